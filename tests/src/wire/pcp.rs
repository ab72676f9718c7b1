//! A PCP client's requests, as bytes.

use pmbridge_core::{
    pcp::{InDom, Pmid},
    pdu::{
        Kind, Pmids, creds, desc as descriptor, fetch as fetching, instance, label, pmns, profile,
        text as help,
    },
    wire::Writer,
};

/// What all names lie below.
pub const ALL_NAMES: &str = "";

/// The bytes of a PDU.
pub fn pdu(emit: impl Fn(&mut Writer<'_>)) -> Vec<u8> {
    let mut counter = Writer::counter();
    emit(&mut counter);
    let mut bytes = vec![0; counter.total()];
    emit(&mut Writer::new(&mut bytes));
    bytes
}

fn bits(pmids: &[Pmid]) -> Vec<u8> {
    pmids.iter().flat_map(|pmid| pmid.to_bits().to_be_bytes()).collect()
}

/// Who the client is.
pub fn credentials() -> Vec<u8> {
    pdu(|w| creds::Creds { version: 2, flags: creds::Features::NONE }.emit(7, w))
}

/// Which metrics lie below a name.
pub fn names(root: &str) -> Vec<u8> {
    pdu(|w| pmns::Traverse { name: root.as_bytes() }.emit(0, w))
}

/// What comes next below a name, with whether those are leaves.
pub fn children(root: &str) -> Vec<u8> {
    pdu(|w| pmns::Child { subtype: 1, name: root.as_bytes() }.emit(0, w))
}

/// Which ids these names have.
pub fn ids(names: &[&str]) -> Vec<u8> {
    let sum = |of: &dyn Fn(usize) -> u32| names.iter().map(|name| of(name.len())).sum::<u32>();
    let len = pmns::NamesHead::LEN + sum(&|len| pmns::Name::len(len, false));
    let count = i32::try_from(names.len()).expect("few names");
    pdu(|w| {
        pmns::NamesHead { len, strings: sum(&pmns::string_len), statuses: 0, count }.emit(0, w);
        for name in names {
            pmns::Name { status: None, name: name.as_bytes() }.emit(w);
        }
    })
}

/// What a metric is.
pub fn desc(pmid: Pmid) -> Vec<u8> {
    pdu(|w| descriptor::Request { pmid }.emit(0, w))
}

/// What metrics are.
pub fn descs(pmids: &[Pmid]) -> Vec<u8> {
    let bits = bits(pmids);
    pdu(|w| descriptor::DescIds { status: 0, pmids: Pmids::new(&bits) }.emit(0, w))
}

/// One line of help for a metric.
pub fn text(pmid: Pmid) -> Vec<u8> {
    pdu(|w| help::Request { ident: pmid.to_bits(), kind: 1 | 4 }.emit(0, w))
}

/// All instances of a domain.
pub fn instances(indom: InDom) -> Vec<u8> {
    pdu(|w| instance::Request::all(indom).emit(0, w))
}

/// The labels of one level.
pub fn labels(ident: u32, kind: u32) -> Vec<u8> {
    pdu(|w| label::Request { ident, kind }.emit(0, w))
}

/// All values of these metrics, behind a profile that wants all instances.
pub fn fetch(kind: Kind, pmids: &[Pmid]) -> Vec<u8> {
    let bits = bits(pmids);
    pdu(|w| {
        profile::Profile::ALL.emit(0, w);
        fetching::Fetch { kind, context: 0, pmids: Pmids::new(&bits) }.emit(0, w);
    })
}
