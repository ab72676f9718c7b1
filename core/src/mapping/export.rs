//! The way out: what an exposition calls a PCP metric, by one of two namings.
//!
//! | | [`Pcp`](Naming::Pcp) | [`Prometheus`](Naming::Prometheus) |
//! |---|---|---|
//! | `disk.dev.read`, a counter in count | `disk_dev_read` | `disk_dev_read_total` |
//! | `mem.util.used`, instant in Kbyte | `mem_util_used` | `mem_util_used_bytes` |
//! | `kernel.all.cpu.user`, a counter in millisec | `kernel_all_cpu_user` | `kernel_all_cpu_user_seconds_total` |
//! | values | as they are | in base units ([`base`]) |
//! | a counter in OpenMetrics | `unknown`, so that its name stays | `counter` |
//!
//! `Pcp` is as pmproxy has it: a `.` becomes `_`, and so does any other character that a name cannot have.
//!
//! `Prometheus` takes a name apart at each of those, and where a capital follows a small letter, and puts its pieces,
//! in small letters, together again with `_`, so that no lint finds anything:
//!
//! * last pieces that say the unit, or of a counter `total`, are left out, since the name's end says it (`read_kb`);
//! * a piece that looks like a unit's abbreviation (`s`, `kb`) is put to the piece behind it without `_`, or where
//!   there is none to the one before it (`dev.d_await` is `dev_dawait`, `read_kb` that are no bytes `readkb`);
//! * a unit that values are not in is in the singular (`minutes`, `bits`), a type's name in the plural (`counter`);
//! * a gauge whose last piece is `total`, `count`, `sum` or `bucket` has `current` behind it.
//!
//! A metric of strings is an info family, `NAME_info`, whose sample is 1 and whose label `value` is the string.
//! Aggregates and event records cannot be exposed.
//!
//! **Collisions.** Different metrics may come to the same name: `a.b` and `a_b`. Each family is one metric. Of those
//! that collide the first in order of PCP names keeps the name; the stem of any other gets `_x` and eight digits behind
//! it, the [`mark`] of its PCP name. So what a metric is called depends on which metrics there are, and not on who came
//! first.

use core::fmt::{self, Write as _};

use super::{Put, base, is_among};
use crate::{
    exposition::writer::Kind,
    pcp::{Desc, Semantics, Type, Units},
};

/// How metrics are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[expect(clippy::exhaustive_enums, reason = "there will be no third")]
pub enum Naming {
    /// As pmproxy calls them.
    #[default]
    Pcp,
    /// As Prometheus' conventions have it.
    Prometheus,
}

impl Naming {
    /// The naming of this word.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "pcp" => Some(Self::Pcp),
            "prometheus" => Some(Self::Prometheus),
            _ => None,
        }
    }
}

/// What kind of family a metric is; `None` where it cannot be exposed.
pub fn kind(desc: &Desc) -> Option<Kind> {
    match desc.kind {
        Type::STRING => Some(Kind::Info),
        kind if !kind.is_number() => None,
        _ if desc.semantics == Semantics::COUNTER => Some(Kind::Counter),
        _ => Some(Kind::Gauge),
    }
}

/// What values are multiplied by.
pub fn factor(naming: Naming, units: Units) -> base::Factor {
    if naming == Naming::Pcp { base::Factor::One } else { base::Factor::of(units) }
}

/// Writes the unit that a family's name ends in; nothing where it ends in none.
pub fn unit(naming: Naming, kind: Kind, units: Units, put: Put<'_>) {
    if naming == Naming::Prometheus && kind != Kind::Info {
        base::name(units, put);
    }
}

/// Writes the name of a metric's family, without the end that all samples of a [`Kind`] have. `mark` is for one that
/// collides.
pub fn name(naming: Naming, pcp: &str, kind: Kind, units: Units, mark: Option<u32>, put: Put<'_>) {
    match naming {
        Naming::Pcp => verbatim(pcp, put),
        Naming::Prometheus => stem(pcp, kind, units, put),
    }
    if let Some(mark) = mark {
        put(b"_x");
        for shift in [28_u32, 24, 20, 16, 12, 8, 4, 0] {
            let digit = usize::try_from(mark.wrapping_shr(shift) & 15).unwrap_or_default();
            put(b"0123456789abcdef".get(digit..=digit).unwrap_or_default());
        }
    }
    if naming == Naming::Prometheus && kind != Kind::Info && !base::is_plain(units) {
        put(b"_");
        base::name(units, put);
    }
}

/// The mark of a PCP name, for when its family's name is taken. `round` counts up while that is taken, too.
pub fn mark(pcp: &str, round: u32) -> u32 {
    // FNV-1a.
    let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    let start = round.to_le_bytes().into_iter().filter(|_| round > 0).fold(0x811c_9dc5, step);
    pcp.bytes().fold(start, step)
}

/// Writes the comment that says what a metric is in PCP's own words, with its line feed, as pmproxy does.
/// [`PcpLine`](super::PcpLine) reads it. A name with blanks or line breaks in it, which none should have, gets none.
pub fn pcp_line(pcp: &str, desc: &Desc, put: Put<'_>) {
    if pcp.bytes().any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control()) {
        return;
    }
    put(b"# PCP5 ");
    put(pcp.as_bytes());
    put(b" ");
    let mut out = Out(put);
    let kind = match desc.kind {
        Type::I32 => "32",
        Type::U32 => "u32",
        Type::I64 => "64",
        Type::U64 => "u64",
        Type::FLOAT => "float",
        Type::DOUBLE => "double",
        Type::STRING => "string",
        Type::AGGREGATE | Type::AGGREGATE_STATIC => "aggregate",
        Type::EVENT => "event",
        Type::HIGHRES_EVENT => "highresevent",
        _ => "unknown",
    };
    let semantics = match desc.semantics {
        Semantics::COUNTER => "counter",
        Semantics::DISCRETE => "discrete",
        _ => "instant",
    };
    // The pieces go where nothing can fail.
    let _ = writeln!(out, "{} {kind} {} {semantics} {}", desc.pmid, desc.indom, desc.units);
}

struct Out<'p>(Put<'p>);

impl fmt::Write for Out<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        (self.0)(text.as_bytes());
        Ok(())
    }
}

/// Writes a name with `_` for whatever no name can have.
fn verbatim(pcp: &str, put: Put<'_>) {
    if pcp.bytes().next().is_none_or(|byte| byte.is_ascii_digit()) {
        put(b"_");
    }
    let mut rest = pcp;
    while let Some(at) = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
        let Some((plain, tail)) = rest.split_at_checked(at) else { break };
        put(plain.as_bytes());
        put(b"_");
        let mut chars = tail.chars();
        chars.next();
        rest = chars.as_str();
    }
    put(rest.as_bytes());
}

/// Writes a name as Prometheus' conventions have it, without its unit.
fn stem(pcp: &str, kind: Kind, units: Units, put: Put<'_>) {
    let is_said = |piece: &[u8]| {
        let is = |words: &str| is_among(piece, words);
        kind == Kind::Counter && is("total")
            || kind != Kind::Info
                && (units.space() != 0 && is(SPACES)
                    || units.time() != 0 && is(TIMES)
                    || (units.space() < 0 || units.time() < 0) && is("per"))
    };
    // What the end says is left out, but never all of the name.
    let kept = pieces(pcp).enumerate().filter(|(_, piece)| !is_said(piece)).last();
    let last = kept.map_or(0, |(n, _)| n);
    // No name is empty, and none begins with a digit.
    if pieces(pcp).next().is_none_or(|first| first.first().is_some_and(u8::is_ascii_digit)) {
        put(b"_");
    }
    let has_end = kind != Kind::Gauge || !base::is_plain(units);
    let is_short = |piece: &[u8]| is_among(piece, ABBREVIATIONS);
    let kept = pieces(pcp).enumerate().take_while(|(n, _)| *n <= last);
    let long = kept.clone().filter(|(n, piece)| *n == 0 || !is_short(piece)).last().map_or(0, |(n, _)| n);
    let mut is_joined = true;
    for (n, piece) in kept {
        let is = |words: &str| is_among(piece, words);
        put(if is_joined || n > long { b"" } else { b"_" });
        is_joined = n > 0 && is_short(piece);
        let word =
            if is_other_unit(piece) { piece.split_last().map_or(piece, |(_, head)| head) } else { piece };
        word.iter().for_each(|byte| put(&[byte.to_ascii_lowercase()]));
        if n > 0 && is("counter gauge histogram summary") {
            put(b"s");
        }
        if n > 0 && n == last && !has_end && is("total count sum bucket") {
            put(b"_current");
        }
    }
}

/// Whether a label's name has humps, as in `camelCase`, which Prometheus' conventions have not.
pub fn has_humps(label: &str) -> bool {
    Humps(label.as_bytes()).nth(1).is_some()
}

/// Writes a label's name without humps: `camel_case`.
pub fn label(name: &str, put: Put<'_>) {
    for (n, piece) in Humps(name.as_bytes()).enumerate() {
        put(if n == 0 { b"" } else { b"_" });
        piece.iter().for_each(|byte| put(&[byte.to_ascii_lowercase()]));
    }
}

/// The pieces of a name.
fn pieces(pcp: &str) -> impl Iterator<Item = &[u8]> + Clone {
    let words = pcp.as_bytes().split(|byte| !byte.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.flat_map(Humps)
}

/// The pieces of a word, each of which ends where a capital follows a small letter.
#[derive(Clone)]
struct Humps<'a>(&'a [u8]);

impl<'a> Iterator for Humps<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let pairs = self.0.iter().zip(self.0.iter().skip(1));
        let end = pairs.take_while(|(a, b)| !(a.is_ascii_lowercase() && b.is_ascii_uppercase())).count();
        let (piece, rest) = self.0.split_at_checked(end.saturating_add(1))?;
        self.0 = rest;
        Some(piece)
    }
}

/// Whether a word is a unit that base units are not, perhaps with a prefix: `minutes`, `kilobytes`.
fn is_other_unit(piece: &[u8]) -> bool {
    let has_end = |words: &str, is_fit: &dyn Fn(&[u8]) -> bool| {
        words.as_bytes().split(u8::is_ascii_whitespace).any(|word| {
            let parts = piece.split_at_checked(piece.len().saturating_sub(word.len()));
            parts.is_some_and(|(head, tail)| tail.eq_ignore_ascii_case(word) && is_fit(head))
        })
    };
    let is_prefix = |head: &[u8]| is_among(head, PREFIXES);
    has_end(OTHER_UNITS, &|head| head.is_empty() || is_prefix(head)) || has_end(BASE_UNITS, &is_prefix)
}

/// Words that say a size.
const SPACES: &str = "b kb mb gb tb pb byte bytes kbyte kbytes mbyte mbytes gbyte gbytes kilobytes megabytes \
    gigabytes terabytes kib mib gib kibibytes mebibytes gibibytes";

/// Words that say a time.
const TIMES: &str = "s ms us ns h d sec secs msec msecs usec usecs nsec nsecs millisec microsec nanosec second \
    seconds milliseconds microseconds nanoseconds minutes hours days";

/// Pieces that no name may have behind its first, and single letters that would make one of the next.
const ABBREVIATIONS: &str = "s ms us ns sec b kb mb gb tb pb m h d u n k g t p";

const PREFIXES: &str = "pico nano micro milli centi deci deca hecto kilo kibi mega mibi giga gibi tera tebi peta \
    pebi";

const BASE_UNITS: &str = "amperes bytes grams joules meters metres seconds volts";

const OTHER_UNITS: &str = "minutes hours days weeks kelvins yards miles bits pounds ounces calories";

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::exposition::tests::text;
    use crate::{
        mapping::PcpLine,
        pcp::{InDom, Pmid},
    };
    use std::vec::Vec;

    const MIN: Units = Units::new(0, 1, 0, 0, 4, 0);
    const RATE: Units = Units::new(1, -1, 0, 1, 3, 0);
    const PER_SECOND: Units = Units::new(0, -1, 1, 0, 3, 0);

    #[test]
    fn names_follow_prometheus_conventions() {
        use Kind::{Counter, Gauge, Info};
        for (pcp, kind, units, want) in [
            ("disk.dev.read", Counter, Units::COUNT, "disk_dev_read"),
            ("disk.dev.read_bytes", Counter, Units::KBYTE, "disk_dev_read_bytes"),
            ("network.interface.in.bytes", Counter, Units::BYTE, "network_interface_in_bytes"),
            ("kernel.all.cpu.user", Counter, Units::MILLISEC, "kernel_all_cpu_user_seconds"),
            ("kernel.all.load", Gauge, Units::NONE, "kernel_all_load"),
            ("mem.util.directMap4k", Gauge, Units::KBYTE, "mem_util_direct_map4k_bytes"),
            ("hinv.ncpu", Gauge, Units::NONE, "hinv_ncpu"),
            ("kernel.all.uptime", Gauge, Units::SECOND, "kernel_all_uptime_seconds"),
            ("a.uptime_minutes", Gauge, MIN, "a_uptime_seconds"),
            ("a.minutes", Counter, Units::COUNT, "a_minute"),
            ("a.kilobytes.x", Gauge, Units::NONE, "a_kilobyte_x"),
            ("net.bits", Gauge, Units::NONE, "net_bit"),
            ("bits", Gauge, Units::NONE, "bit"),
            ("a.read_kb", Gauge, Units::KBYTE, "a_read_bytes"),
            ("a.read_kb_total", Counter, Units::KBYTE, "a_read_bytes"),
            ("a.read_kb", Gauge, Units::NONE, "a_readkb"),
            ("a.k.b", Gauge, Units::NONE, "akb"),
            ("a.k.b.x", Gauge, Units::NONE, "a_kbx"),
            ("disk.dev.d_await", Gauge, Units::MILLISEC, "disk_dev_dawait_seconds"),
            ("s.x", Gauge, Units::NONE, "s_x"),
            ("bytes", Gauge, Units::BYTE, "bytes_bytes"),
            ("a.rate_per_sec", Gauge, PER_SECOND, "a_rate_per_second"),
            ("a.rate", Gauge, RATE, "a_rate_bytes_per_second"),
            ("swap.total", Gauge, Units::COUNT, "swap_total_current"),
            ("mem.total", Gauge, Units::KBYTE, "mem_total_bytes"),
            ("a.total", Counter, Units::COUNT, "a"),
            ("a.count", Counter, Units::COUNT, "a_count"),
            ("a.count", Gauge, Units::COUNT, "a_count_current"),
            ("a.b.sum", Gauge, Units::NONE, "a_bsum_current"),
            ("count", Gauge, Units::NONE, "count"),
            ("mmv.counter", Gauge, Units::NONE, "mmv_counters"),
            ("gauge.x", Gauge, Units::NONE, "gauge_x"),
            ("a.version", Info, Units::NONE, "a_version"),
            ("a.count", Info, Units::SECOND, "a_count"),
            ("a_.x", Gauge, Units::NONE, "a_x"),
            ("9a.größe", Gauge, Units::NONE, "_9a_gr_e"),
            ("", Gauge, Units::NONE, "_"),
            ("ABCdef.xY", Gauge, Units::NONE, "abcdef_x_y"),
        ] {
            assert_eq!(
                text(|put| name(Naming::Prometheus, pcp, kind, units, None, put)),
                want,
                "{pcp} {kind:?}"
            );
        }
    }

    #[test]
    fn pcp_names_are_as_pmproxy_has_them() {
        for (pcp, want) in [
            ("kernel.all.load", "kernel_all_load"),
            ("a_b.c", "a_b_c"),
            ("mem.util.directMap4k", "mem_util_directMap4k"),
            ("a-b:c", "a_b_c"),
            ("größe", "gr__e"),
            ("9a", "_9a"),
            ("", "_"),
        ] {
            let out = text(|put| name(Naming::Pcp, pcp, Kind::Counter, Units::KBYTE, None, put));
            assert_eq!(out, want);
        }
        assert_eq!(text(|put| unit(Naming::Pcp, Kind::Gauge, Units::KBYTE, put)), "");
        assert_eq!(factor(Naming::Pcp, Units::KBYTE), base::Factor::One);
    }

    #[test]
    fn a_mark_stands_between_the_stem_and_the_unit() {
        let mark = Some(mark("x_y", 0));
        let out = |naming| text(|put| name(naming, "x_y", Kind::Gauge, Units::KBYTE, mark, put));
        assert_eq!(out(Naming::Pcp), "x_y_xc344bde3");
        assert_eq!(out(Naming::Prometheus), "x_y_xc344bde3_bytes");
        assert_ne!(super::mark("x_y", 0), super::mark("x_y", 1));
        assert_ne!(super::mark("x_y", 0), super::mark("x.y", 0));
    }

    fn desc(kind: Type, semantics: Semantics, units: Units) -> Desc {
        let (pmid, indom) = (Pmid::new(60, 2, 0).unwrap(), InDom::new(60, 2).unwrap());
        Desc { pmid, kind, indom, semantics, units }
    }

    #[test]
    fn types_and_semantics_make_the_kind() {
        let counter = Semantics::COUNTER;
        for (kind_of, semantics, want) in [
            (Type::U32, counter, Some(Kind::Counter)),
            (Type::DOUBLE, Semantics::INSTANT, Some(Kind::Gauge)),
            (Type::I64, Semantics::DISCRETE, Some(Kind::Gauge)),
            (Type::FLOAT, Semantics(77), Some(Kind::Gauge)),
            (Type::STRING, counter, Some(Kind::Info)),
            (Type::AGGREGATE, counter, None),
            (Type::EVENT, counter, None),
            (Type::NOSUPPORT, counter, None),
        ] {
            assert_eq!(kind(&desc(kind_of, semantics, Units::NONE)), want);
        }
    }

    #[test]
    fn a_pcp_line_is_as_pmproxy_writes_it_and_is_read_back() {
        let load = desc(Type::FLOAT, Semantics::INSTANT, Units::NONE);
        let line = text(|put| pcp_line("kernel.all.load", &load, put));
        assert_eq!(line, "# PCP5 kernel.all.load 60.2.0 float 60.2 instant none\n");
        let single = Desc { indom: InDom::NULL, ..desc(Type::U64, Semantics::COUNTER, RATE) };
        let line = text(|put| pcp_line("a.b", &single, put));
        assert_eq!(line, "# PCP5 a.b 60.2.0 u64 PM_INDOM_NULL counter Kbyte / sec\n");
        assert_eq!(text(|put| pcp_line("a\nb 1", &single, put)), "");
        for kind in [Type::I32, Type::U32, Type::I64, Type::U64, Type::FLOAT, Type::DOUBLE] {
            for semantics in [Semantics::COUNTER, Semantics::INSTANT, Semantics::DISCRETE] {
                for units in all_units() {
                    let desc = desc(kind, semantics, units);
                    let line = text(|put| pcp_line("a.b", &desc, put));
                    let read = PcpLine::parse(line.trim_end()).unwrap();
                    let said = (read.name, read.kind, read.singular, read.semantics, read.units, read.factor);
                    assert_eq!(said, ("a.b", kind, false, semantics, units, 1.0), "{line}");
                }
            }
        }
    }

    /// Units that say what they are in: a scale of no dimension cannot be read back, and there is none in stock PCP.
    fn all_units() -> Vec<Units> {
        let mut all = Vec::new();
        for space in -2..=2_i8 {
            for time in -2..=2_i8 {
                for count in -2..=2_i8 {
                    for (of_space, of_time, of_count) in
                        [(0, 0, 0), (1, 2, 3), (3, 3, 0), (6, 5, -3), (8, 4, 1)]
                    {
                        let scale = |power, scale| if power == 0 { 0 } else { scale };
                        // `count x 10^2` is either.
                        let of_count =
                            if count == 0 || count.abs() > 1 && of_count == 1 { 0 } else { of_count };
                        all.push(Units::new(
                            space,
                            time,
                            count,
                            scale(space, of_space),
                            scale(time, of_time),
                            of_count,
                        ));
                    }
                }
            }
        }
        all
    }
}
