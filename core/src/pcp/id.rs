//! Metrics and instance domains are numbers whose top bits say which domain owns them.

use core::fmt;

/// No instance in particular: the one value of a singular metric, and the wildcard of a request.
pub const IN_NULL: i32 = -1;

/// A metric: who owns it, and which of the owner's it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Pmid(u32);

impl Pmid {
    /// No metric.
    pub const NULL: Self = Self(u32::MAX);

    /// A 9-bit domain, a 12-bit cluster and a 10-bit item, or `None` where one is too large.
    pub const fn new(domain: u16, cluster: u16, item: u16) -> Option<Self> {
        if domain < 1 << 9 && cluster < 1 << 12 && item < 1 << 10 {
            Some(Self((domain as u32) << 22 | (cluster as u32) << 10 | item as u32))
        } else {
            None
        }
    }

    /// The id with these bits, known or not.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The bits as they are sent.
    pub const fn to_bits(self) -> u32 {
        self.0
    }

    /// The domain that owns the metric.
    pub const fn domain(self) -> u16 {
        (self.0 >> 22 & 0x1ff) as u16
    }

    /// The cluster within the domain.
    pub const fn cluster(self) -> u16 {
        (self.0 >> 10 & 0xfff) as u16
    }

    /// The item within the cluster.
    pub const fn item(self) -> u16 {
        (self.0 & 0x3ff) as u16
    }
}

impl fmt::Display for Pmid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NULL {
            return f.write_str("PM_ID_NULL");
        }
        write!(f, "{}.{}.{}", self.domain(), self.cluster(), self.item())
    }
}

/// An instance domain: who owns it, and which of the owner's it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct InDom(u32);

impl InDom {
    /// The domain of metrics that have just one value.
    pub const NULL: Self = Self(u32::MAX);

    /// The 22-bit serial within a 9-bit domain, or `None` where either is too large.
    pub const fn new(domain: u16, serial: u32) -> Option<Self> {
        if domain < 1 << 9 && serial < 1 << 22 { Some(Self((domain as u32) << 22 | serial)) } else { None }
    }

    /// The id with these bits, known or not.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The bits as they are sent.
    pub const fn to_bits(self) -> u32 {
        self.0
    }

    /// The domain that owns the instances.
    pub const fn domain(self) -> u16 {
        (self.0 >> 22 & 0x1ff) as u16
    }

    /// The serial within the domain.
    pub const fn serial(self) -> u32 {
        self.0 & 0x3f_ffff
    }
}

impl fmt::Display for InDom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NULL {
            return f.write_str("PM_INDOM_NULL");
        }
        write!(f, "{}.{}", self.domain(), self.serial())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn parts_of_an_id_come_back() {
        let pmid = Pmid::new(510, 4095, 1023).unwrap();
        assert_eq!((pmid.domain(), pmid.cluster(), pmid.item()), (510, 4095, 1023));
        assert_eq!(pmid.to_string(), "510.4095.1023");
        let indom = InDom::new(144, 4_194_303).unwrap();
        assert_eq!((indom.domain(), indom.serial()), (144, 4_194_303));
        assert_eq!(indom.to_string(), "144.4194303");
        assert_eq!(Pmid::from_bits(pmid.to_bits()), pmid);
    }

    #[test]
    fn parts_too_large_make_no_id() {
        assert_eq!(Pmid::new(512, 0, 0), None);
        assert_eq!(Pmid::new(0, 4096, 0), None);
        assert_eq!(Pmid::new(0, 0, 1024), None);
        assert_eq!(InDom::new(512, 0), None);
        assert_eq!(InDom::new(0, 1 << 22), None);
    }
}
