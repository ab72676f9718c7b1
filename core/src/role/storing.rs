//! Values that a client stores: a RESULT whose metrics are all checked before the first of them changes.
//!
//! Its time stamp says nothing, and its sets may have any of the three formats (pcp-protocol: pitfall 12).

use crate::{
    float,
    pcp::{InDom, Pmid, Status, Type},
    pdu::{
        Kind,
        result::{Results, Value, Values},
    },
    store::{Metric, Slot, Storage, Store, View},
};

/// Stores what a RESULT holds, or says why not.
#[cfg_attr(target_pointer_width = "32", inline(never))]
pub(super) fn store<S: Storage>(store: &mut Store<S>, body: &[u8]) -> Status {
    let Ok(results) = Results::parse(Kind::RESULT, body) else { return Status::IPC };
    if let Err(status) = check(store, &results) {
        return status;
    }
    if !S::STORES {
        return Status::OK;
    }
    for set in results.iter() {
        for value in set.values() {
            if let Ok((series, bits)) = find(store.view(), store.domain(), &results, &set, value) {
                store.store(series, bits);
            }
        }
    }
    Status::OK
}

fn check<S: Storage>(store: &Store<S>, results: &Results<'_>) -> Result<(), Status> {
    for set in results.iter() {
        let metric = metric(store.view(), store.domain(), set.head.pmid)?;
        if !S::STORES || !store.view().is_storable(metric) {
            return Err(Status::PERMISSION);
        }
        for value in set.values() {
            find(store.view(), store.domain(), results, &set, value)?;
        }
    }
    Ok(())
}

/// The metric.
fn metric<'a>(view: View<'a>, domain: u16, pmid: Pmid) -> Result<&'a Metric, Status> {
    let unknown = if pmid.domain() == domain { Status::PMID } else { Status::NOAGENT };
    view.identified(pmid).ok_or(unknown)
}

/// Where a value goes, and its 64 bits.
fn find(
    view: View<'_>,
    domain: u16,
    results: &Results<'_>,
    set: &Values<'_>,
    value: Value,
) -> Result<(Slot, u64), Status> {
    let metric = metric(view, domain, set.head.pmid)?;
    let desc = metric.desc();
    let bits = bits(desc.kind, results, set, value)?;
    let mut all = view.series_from(view.first(metric));
    let series = all.find(|(_, s)| desc.indom == InDom::NULL || s.instance().cast_signed() == value.inst);
    Ok((series.ok_or(Status::INST)?.0, bits))
}

/// A value as the store has it. A negative number is none of an unsigned type.
fn bits(kind: Type, results: &Results<'_>, set: &Values<'_>, value: Value) -> Result<u64, Status> {
    if set.is_in_situ() {
        return match kind {
            Type::I32 => Ok(i64::from(value.word.cast_signed()).cast_unsigned()),
            Type::U32 if value.word.cast_signed() < 0 => Err(Status::BADSTORE),
            Type::U32 => Ok(value.word.into()),
            _ => Err(Status::CONV),
        };
    }
    let block = results.block(value.word).filter(|b| b.kind == kind).ok_or(Status::CONV)?;
    match kind {
        Type::FLOAT => block.word().map(|word| float::double(f32::from_bits(word)).to_bits()),
        Type::U64 if block.long().is_some_and(|bits| bits.cast_signed() < 0) => return Err(Status::BADSTORE),
        Type::I64 | Type::U64 | Type::DOUBLE => block.long(),
        _ => None,
    }
    .ok_or(Status::CONV)
}
