//! What README.md says of memory is what the compiler makes of it for a chip; where it is not, this does not compile, and the
//! error names both numbers.
//!
//!     cargo check -p pmbridge-embedded --features check-readme --target thumbv7m-none-eabi

use crate::memory::{Memory, Standard};

/// The memory that one more costs, as the difference that eight more make.
macro_rules! one_more {
    ($($few:literal),* => $($many:literal),*) => {
        (size_of::<Memory<'_, $($many),*>>() - size_of::<Memory<'_, $($few),*>>()) / 8
    };
}

const CLIENT: usize = one_more!(1, 1, 4, 1, 0, 1, 8, 8 => 9, 1, 12, 1, 0, 1, 8, 8);
const READER: usize = one_more!(1, 1, 4, 1, 1, 1, 8, 8 => 1, 9, 12, 1, 1, 1, 8, 8);
const SOURCE: usize = one_more!(1, 1, 4, 1, 1, 1, 8, 8 => 1, 1, 4, 9, 1, 1, 8, 8);
const METRIC: usize = one_more!(0, 1, 3, 1, 1, 1, 8, 8 => 0, 1, 3, 1, 9, 1, 8, 8);
const ASKED: usize = one_more!(1, 1, 4, 1, 1, 1, 8, 8 => 1, 1, 4, 1, 9, 1, 8, 8) - METRIC;
const SERIES: usize = one_more!(1, 1, 4, 1, 1, 1, 8, 8 => 1, 1, 4, 1, 1, 9, 8, 8);
const INDEX: usize = one_more!(1, 1, 4, 1, 1, 1, 8, 8 => 1, 1, 4, 1, 1, 1, 16, 8);
const EMPTY: usize = size_of::<Memory<'_, 0, 0, 2, 0, 0, 0, 0, 0>>();

const _: [(); said("a PCP client")] = [(); CLIENT];
const _: [(); said("a reader of pages")] = [(); READER];
const _: [(); said("a neighbour")] = [(); SOURCE];
const _: [(); said("a metric")] = [(); METRIC];
const _: [(); said("a metric, for each PCP client")] = [(); ASKED];
const _: [(); said("a series")] = [(); SERIES];
const _: [(); said("an entry of the index")] = [(); INDEX];
const _: [(); said("the agent itself")] = [(); EMPTY];
const _: [(); said("`memory::Standard`")] = [(); size_of::<Standard<'_>>()];

/// The number in the row of the table that begins with this cell.
const fn said(cell: &str) -> usize {
    let mut lines = include_str!("../README.md").as_bytes();
    while let [byte, rest @ ..] = lines {
        lines = rest;
        if *byte == b'\n'
            && let [b'|', b' ', rest @ ..] = rest
            && let Some([b' ', b'|', b' ', rest @ ..]) = behind(rest, cell.as_bytes())
        {
            return number(rest);
        }
    }
    0
}

/// What comes behind that beginning.
const fn behind<'a>(text: &'a [u8], beginning: &[u8]) -> Option<&'a [u8]> {
    let (mut text, mut beginning) = (text, beginning);
    while let [want, others @ ..] = beginning {
        match text {
            [byte, rest @ ..] if *byte == *want => (text, beginning) = (rest, others),
            _ => return None,
        }
    }
    Some(text)
}

/// A number, with commas where it is long.
const fn number(text: &[u8]) -> usize {
    let (mut text, mut number) = (text, 0usize);
    while let [byte @ (b'0'..=b'9' | b','), rest @ ..] = text {
        if *byte != b',' {
            number = number * 10 + (*byte - b'0') as usize;
        }
        text = rest;
    }
    number
}
