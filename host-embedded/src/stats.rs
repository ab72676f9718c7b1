//! What the agent has done, counted from its start.

/// Counters, and what is there now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Stats {
    /// PCP clients connected now.
    pub clients: u32,
    /// Connections of who wants pages now.
    pub readers: u32,
    /// PCP clients that came.
    pub clients_served: u32,
    /// Pages that were asked for, and whatever else over HTTP.
    pub requests: u32,
    /// Connections refused because all places were taken by others who used them.
    pub refused: u32,
    /// Idle connections that made room for others.
    pub evicted: u32,
    /// Connections that ended at a deadline of theirs.
    pub timed_out: u32,
    /// Connections that ended because what they sent was no request.
    pub out_of_step: u32,
    /// Documents asked for.
    pub scrapes: u32,
    /// Scrapes that brought no whole document.
    pub failures: u32,
    /// Times that an address was got by DHCP.
    pub leases: u32,
}
