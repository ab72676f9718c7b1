//! What a run of pmbridge may use at most.
//!
//! Each limit is a flag. What goes over one is refused with a message and counted; the rest goes on.

/// The ceilings of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Series kept over all sources.
    pub(crate) series: usize,
    /// Names of one source.
    pub(crate) names: usize,
    /// Instances that vanished and whose ids are kept, over all sources.
    pub(crate) vanished: usize,
    /// Bytes of one document.
    pub(crate) body: usize,
    /// Bytes of one line of a document.
    pub(crate) line: usize,
    /// PCP clients connected at once.
    pub(crate) clients: usize,
    /// Connections to endpoints open at once; never more than the system's limit of open files leaves room for.
    pub(crate) connections: usize,
    /// Connections of those who want pages, open at once.
    pub(crate) scrapers: usize,
    /// Bytes of pages that they have not read to the end.
    pub(crate) unread: usize,
}

impl Limits {
    /// A million series and its document fit with room to spare.
    pub(crate) const DEFAULT: Self = Self {
        series: 1 << 23,
        names: 1 << 16,
        vanished: 1 << 24,
        body: 1 << 30,
        line: 1 << 20,
        clients: 512,
        connections: usize::MAX,
        scrapers: 512,
        unread: 256 << 20,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
