//! What QEMU's arguments say, for want of a place where a device keeps its settings.
//!
//! `dhcp`, or `ip=A.B.C.D/BITS` and behind it `gateway=A.B.C.D`; `scrape=NAME@A.B.C.D:PORT/PATH`, behind it its `include=GLOB`,
//! and behind those its `exclude=GLOB`; `run=MS`; `wall=SECONDS` since 1970, where the host shall not be asked.

use core::{net::Ipv4Addr, ops::Range};

use pmbridge_embedded::{Address, Neighbour};
use pmbridge_firmware::clock;
use semihosting::{
    experimental::env::{Args, args},
    sys::arm_compat::sys_time,
};

/// Where the text stays, and what is made of it.
pub(crate) struct Room {
    arguments: Args<ARGUMENTS>,
    globs: [&'static str; GLOBS],
    neighbours: [Neighbour; NEIGHBOURS],
}

/// What was said.
pub(crate) struct Told {
    /// Where the device is.
    pub(crate) address: Address,
    /// Whom it scrapes.
    pub(crate) neighbours: &'static [Neighbour],
    /// After how many milliseconds it ends.
    pub(crate) run: Option<u32>,
    /// The time since 1970 in seconds.
    pub(crate) wall: Option<u32>,
}

/// Which globs are a neighbour's: those to include, those to exclude.
type Ranges = [Range<usize>; 2];

impl Room {
    /// Listens; `None` where something is said that means nothing, or too much of it, which is `last` then.
    #[inline(never)]
    pub(crate) fn listen(room: &'static mut Option<Self>, last: &mut &'static str) -> Option<Told> {
        let this = room.insert(Self {
            arguments: args().ok()?,
            globs: [""; GLOBS],
            neighbours: [NOBODY; NEIGHBOURS],
        });
        let arguments = &this.arguments;
        let mut told = Told { address: Address::Dhcp, neighbours: &[], run: None, wall: None };
        let mut ranges: [Ranges; NEIGHBOURS] = [const { [0..0, 0..0] }; NEIGHBOURS];
        let (mut neighbours, mut globs) = (0_usize, 0_usize);
        for argument in arguments.skip(1) {
            let argument = argument.ok()?;
            *last = argument;
            if argument == "dhcp" {
                told.address = Address::Dhcp;
                continue;
            }
            let (word, text) = split(argument, b'=')?;
            match word {
                "ip" => {
                    let (address, prefix) = split(text, b'/')?;
                    let (address, prefix) = (octets(address)?, u8::try_from(number(prefix)?).ok()?);
                    told.address = Address::Static { address, prefix, gateway: None };
                }
                "gateway" => match &mut told.address {
                    Address::Static { gateway, .. } => *gateway = Some(octets(text)?),
                    Address::Dhcp => return None,
                },
                "run" => told.run = Some(number(text)?),
                "wall" => told.wall = Some(number(text)?),
                "scrape" => {
                    *this.neighbours.get_mut(neighbours)? = neighbour(text)?;
                    *ranges.get_mut(neighbours)? = [globs..globs, globs..globs];
                    neighbours = neighbours.checked_add(1)?;
                }
                "include" | "exclude" => {
                    let [include, exclude] = ranges.get_mut(neighbours.checked_sub(1)?)?;
                    *this.globs.get_mut(globs)? = text;
                    globs = globs.checked_add(1)?;
                    if word == "include" {
                        // Its own lie side by side.
                        include.end = globs;
                        *exclude = (exclude.start == exclude.end).then_some(globs..globs)?;
                    } else {
                        exclude.end = globs;
                    }
                }
                _ => return None,
            }
        }
        let globs: &'static [&'static str] = &this.globs;
        for (neighbour, [include, exclude]) in this.neighbours.iter_mut().zip(ranges) {
            neighbour.include = globs.get(include)?;
            neighbour.exclude = globs.get(exclude)?;
        }
        told.neighbours = this.neighbours.get(..neighbours)?;
        Some(told)
    }
}

/// A second since 1970, and the microseconds since boot at which it began: the host's clock has whole seconds, so that
/// the next one has to be waited for. 0 where it has none.
pub(crate) fn wall() -> (u64, u64) {
    let now = || sys_time().map_or(0, |secs| u64::try_from(secs).unwrap_or(0));
    let before = now();
    loop {
        let (secs, micros) = (now(), clock::micros());
        if secs != before || secs == 0 {
            return (secs, micros);
        }
    }
}

/// `NAME@A.B.C.D:PORT/PATH`.
fn neighbour(text: &'static str) -> Option<Neighbour> {
    let (name, rest) = split(text, b'@')?;
    let (host, path) = rest.split_at_checked(rest.bytes().position(|byte| byte == b'/')?)?;
    let (address, port) = split(host, b':')?;
    let address = Ipv4Addr::from(octets(address)?);
    Some(Neighbour { name, address, port: u16::try_from(number(port)?).ok()?, path, ..NOBODY })
}

fn octets(text: &'static str) -> Option<[u8; 4]> {
    let mut octets = [0_u8; 4];
    let mut text = text;
    for (place, octet) in octets.iter_mut().enumerate() {
        let (digits, rest) = if place < 3 { split(text, b'.')? } else { (text, "") };
        *octet = u8::try_from(number(digits)?).ok()?;
        text = rest;
    }
    Some(octets)
}

fn number(text: &str) -> Option<u32> {
    if text.is_empty() {
        return None;
    }
    let mut bytes = text.bytes();
    bytes.try_fold(0_u32, |number, byte| number.checked_mul(10)?.checked_add(digit(byte)?.into()))
}

fn digit(byte: u8) -> Option<u8> {
    byte.checked_sub(b'0').filter(|&digit| digit < 10)
}

/// What stands before and behind the first of these.
#[inline(never)]
fn split(text: &'static str, at: u8) -> Option<(&'static str, &'static str)> {
    let place = text.bytes().position(|byte| byte == at)?;
    Some((text.get(..place)?, text.get(place.checked_add(1)?..)?))
}

const NOBODY: Neighbour =
    Neighbour { name: "", address: Ipv4Addr::UNSPECIFIED, port: 0, path: "", include: &[], exclude: &[] };
/// Bytes of all arguments.
const ARGUMENTS: usize = 384;
/// Globs of all neighbours.
const GLOBS: usize = 8;
/// Neighbours at most.
const NEIGHBOURS: usize = 2;
