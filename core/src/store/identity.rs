//! PMIDs and instance domains are numbered as PCP's own PMDA numbers them.

use crate::pcp::{InDom, Pmid};

/// The names that one cluster of PMIDs can hold.
pub(crate) const ITEMS: u16 = 1024;

/// The same, to divide by.
const ITEMS_OF_A_CLUSTER: u32 = ITEMS as u32;

/// The serials below this are those of the bridge's own instance domains.
const FIRST_SERIAL: u32 = 4096;

/// The last cluster that a source can have: instance domains have numbers of 22 bits, and the bridge's own metrics
/// have the cluster behind it.
pub(crate) const LAST_CLUSTER: u16 = 4090;

/// The instance domain of the metric `cluster.item`: one each.
pub(crate) fn indom(domain: u16, cluster: u16, item: u16) -> Option<InDom> {
    let serial =
        u32::from(cluster).checked_mul(ITEMS.into())?.checked_add(item.into())?.checked_add(FIRST_SERIAL)?;
    InDom::new(domain, serial)
}

/// The metric that has this instance domain.
pub(crate) fn metric_of(indom: InDom) -> Option<Pmid> {
    let place = indom.serial().checked_sub(FIRST_SERIAL)?;
    let cluster = u16::try_from(place / ITEMS_OF_A_CLUSTER).ok()?;
    let item = u16::try_from(place % ITEMS_OF_A_CLUSTER).ok()?;
    Pmid::new(indom.domain(), cluster, item)
}
