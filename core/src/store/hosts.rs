//! What hosts do with a store, and chips do not: sources come and go, ids outlive runs, and PCP may be an older one.

use super::{SourceId, Storage, Store, storage::Full};
use crate::{
    mapping::Compat,
    pcp::Pmid,
    time::{Duration, Instant},
};

impl<S: Storage> Store<S> {
    /// The rules of this version of PCP hold, from before the first source on.
    pub const fn set_compat(&mut self, compat: Compat) {
        self.book.compat = compat;
    }

    /// Questions about names want sources anew whose last good document is older than this (PCP 7.2 has it so).
    pub const fn set_refresh(&mut self, refresh: Duration) {
        self.refresh = Some(refresh);
    }

    /// An instance of a remembered metric had this id before, by its name without the id that may stand in front.
    /// False where there is no such metric.
    pub fn remember_instance(
        &mut self,
        (cluster, item): (u16, u16),
        id: u32,
        prefixed: bool,
        name: &str,
    ) -> Result<bool, Full> {
        let Some(pmid) = Pmid::new(self.book.domain, cluster, item) else { return Ok(false) };
        self.growing(|ledger| ledger.remember_instance(pmid, id, prefixed, name))
    }

    /// The source is no longer there: nobody waits for it, and its values are forgotten; its names, too, where PCP's
    /// version has it so.
    pub fn retire(&mut self, source: SourceId) {
        self.commit(source, false, Instant::NEVER);
        if let Some(row) = self.source_mut(source) {
            row.gone = true;
        }
        if self.book.compat() != Compat::V60 {
            self.ledger().unlist_all(source.0);
        }
    }

    /// The source is there again, or is another, and wants a scrape before names are answered.
    pub fn revive(&mut self, source: SourceId) {
        if let Some(row) = self.source_mut(source) {
            row.gone = false;
            row.finished = 0;
            row.holds_until = Instant::START;
        }
        self.book.settled = self.book.settled.min(source.place());
        self.stirred = true;
    }
}
