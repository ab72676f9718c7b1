//! Classic rules are those of one version of PCP: where versions differ, the one that a site has is followed.

/// The version of PCP whose rules hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Compat {
    /// 6.0 and whatever came before 7.2: names stay for ever, instances have a label `instname`.
    V60,
    /// 7.2 and later: names that vanish go and come back, `\\` stays two characters in instance names.
    #[default]
    V72,
}
