//! INSTANCE_REQ and INSTANCE: the members of an instance domain, by number and by name.

use super::{Error, Header, Kind, count, end};
use crate::pcp::{IN_NULL, InDom};
use crate::wire::{self, Reader, Writer, size};

/// Asks for all instances, for the number of a name, or for the name of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Request<'a> {
    /// The domain asked about.
    pub indom: InDom,
    /// The number, or [`IN_NULL`] where it is not given.
    pub inst: i32,
    /// The name; empty where it is not given.
    pub name: &'a [u8],
}

impl<'a> Request<'a> {
    /// Asks for all instances.
    pub const fn all(indom: InDom) -> Self {
        Self { indom, inst: IN_NULL, name: b"" }
    }

    /// Parses the body behind a header.
    ///
    /// # Errors
    ///
    /// A body shorter or longer than the name and its padding.
    pub fn parse(body: &'a [u8]) -> Result<Self, Error> {
        let mut r = Reader::new(body);
        let indom = InDom::from_bits(r.word()?);
        r.long()?;
        let inst = r.int()?;
        let len = count(&mut r)?;
        let this = Self { indom, inst, name: r.text(size(len))? };
        end(&r)?;
        Ok(this)
    }

    /// Emits header and body.
    pub fn emit(&self, from: u32, w: &mut Writer<'_>) {
        let len = wire::count(wire::padded(self.name.len())).saturating_add(32);
        Header { len, kind: Kind::INSTANCE_REQ, from }.emit(w);
        let name_len = wire::count(self.name.len());
        w.words([self.indom.to_bits(), 0, 0, self.inst.cast_unsigned(), name_len]);
        w.text(self.name);
    }
}

/// The start of an answer; `count` entries follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Head {
    /// Bytes of the whole answer: [`LEN`](Self::LEN) and [`Entry::len`] of each entry.
    pub len: u32,
    /// The domain asked about.
    pub indom: InDom,
    /// How many entries follow.
    pub count: u32,
}

impl Head {
    /// Bytes before the first entry.
    pub const LEN: u32 = 20;

    /// Emits header and head.
    pub fn emit(&self, from: u32, w: &mut Writer<'_>) {
        Header { len: self.len, kind: Kind::INSTANCE, from }.emit(w);
        w.words([self.indom.to_bits(), self.count]);
    }
}

/// One instance. Whichever of number and name was asked with need not be told again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Entry<'a> {
    /// The number, or [`IN_NULL`] where it is not told.
    pub inst: i32,
    /// The name; empty where it is not told.
    pub name: &'a [u8],
}

impl Entry<'_> {
    /// Bytes of an entry with a name of this length.
    pub const fn len(name: usize) -> u32 {
        wire::count(wire::padded(name)).saturating_add(8)
    }

    /// Emits the entry.
    pub fn emit(&self, w: &mut Writer<'_>) {
        Self::emit_head(self.inst, self.name.len(), w);
        w.text(self.name);
    }

    /// Emits the part before the name, whose bytes and padding follow.
    pub fn emit_head(inst: i32, name: usize, w: &mut Writer<'_>) {
        w.words([inst.cast_unsigned(), wire::count(name)]);
    }
}

/// Instances of a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Instances<'a> {
    /// The domain asked about.
    pub indom: InDom,
    /// How many there are.
    pub count: u32,
    entries: &'a [u8],
}

impl<'a> Instances<'a> {
    /// Parses the body behind a header.
    ///
    /// # Errors
    ///
    /// A body shorter or longer than the entries.
    pub fn parse(body: &'a [u8]) -> Result<Self, Error> {
        let mut r = Reader::new(body);
        let indom = InDom::from_bits(r.word()?);
        let count = count(&mut r)?;
        let this = Self { indom, count, entries: r.rest() };
        for _ in 0..count {
            entry(&mut r)?;
        }
        end(&r)?;
        Ok(this)
    }

    /// All instances in order.
    pub fn iter(&self) -> impl Iterator<Item = Entry<'a>> + Clone + 'a {
        let mut r = Reader::new(self.entries);
        core::iter::from_fn(move || entry(&mut r).ok())
    }

    /// Emits header and body.
    pub fn emit(&self, from: u32, w: &mut Writer<'_>) {
        let len = wire::count(self.entries.len()).saturating_add(Head::LEN);
        Head { len, indom: self.indom, count: self.count }.emit(from, w);
        self.iter().for_each(|entry| entry.emit(w));
    }
}

fn entry<'a>(r: &mut Reader<'a>) -> Result<Entry<'a>, Error> {
    let inst = r.int()?;
    let len = count(r)?;
    Ok(Entry { inst, name: r.text(size(len))? })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{body, emitted};
    use super::*;

    #[test]
    fn instances_come_back_in_order() {
        let entries = [Entry { inst: 0, name: b"1 minute" }, Entry { inst: 7, name: b"" }];
        let len = entries.iter().map(|e| Entry::len(e.name.len())).sum::<u32>() + Head::LEN;
        let pdu = emitted(|w| {
            Head { len, indom: InDom::from_bits(3), count: 2 }.emit(0, w);
            entries.iter().for_each(|entry| entry.emit(w));
        });
        let instances = Instances::parse(body(&pdu, Kind::INSTANCE)).unwrap();
        assert!(instances.iter().eq(entries));
        assert_eq!(emitted(|w| instances.emit(0, w)), pdu);
        for n in 0..pdu.len() - 12 {
            assert!(Instances::parse(&pdu[12..12 + n]).is_err(), "{n} bytes");
        }
    }

    #[test]
    fn a_count_beyond_the_bytes_is_refused_at_once() {
        let mut body = [0; 16];
        body[4..8].copy_from_slice(&i32::MAX.to_be_bytes());
        assert!(Instances::parse(&body).is_err());
        body[4] = 0xff;
        assert_eq!(Instances::parse(&body), Err(Error::Count));
    }

    #[test]
    fn a_request_comes_back() {
        for name in [&b""[..], b"red", b"blue"] {
            let request = Request { indom: InDom::NULL, inst: IN_NULL, name };
            let pdu = emitted(|w| request.emit(0, w));
            assert_eq!(Request::parse(body(&pdu, Kind::INSTANCE_REQ)), Ok(request));
            for n in 0..pdu.len() - 12 {
                assert!(Request::parse(&pdu[12..12 + n]).is_err(), "{n} bytes");
            }
        }
    }
}
