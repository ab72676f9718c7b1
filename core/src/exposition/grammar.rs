//! The grammar of one whole line, over bytes that are known to be UTF-8.
//!
//! What it finds are pieces of the line's bytes; [`within`] finds their text without another look at
//! the bytes. Blanks are taken as text 0.0.4 has them, which is more than OpenMetrics allows.

use memchr::memchr2;
use nom::{
    Err, IResult, Parser as _, bytes,
    combinator::opt,
    error::ParseError,
    sequence::{delimited, pair, preceded, terminated},
};

use super::{ErrorKind, Exemplar, LabelSet, Line, MAX_LABELS, Sample, Tail, labels::Name, number};

type Parsed<'a, O> = IResult<&'a [u8], O, ErrorKind>;

impl ParseError<&[u8]> for ErrorKind {
    fn from_error_kind(_: &[u8], _: nom::error::ErrorKind) -> Self {
        Self::Junk
    }

    fn append(_: &[u8], _: nom::error::ErrorKind, other: Self) -> Self {
        other
    }
}

/// What an error of the grammar says.
pub(super) fn kind(error: Err<ErrorKind>) -> ErrorKind {
    match error {
        Err::Error(kind) | Err::Failure(kind) => kind,
        Err::Incomplete(_) => ErrorKind::Junk,
    }
}

/// The text of `piece`, which lies in `text`.
#[inline]
pub(super) fn within<'a>(text: &'a str, piece: &[u8]) -> Option<&'a str> {
    let from = piece.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
    text.get(from..from.checked_add(piece.len())?)
}

#[inline]
fn text_of<'a>(text: &'a str, piece: &[u8]) -> Result<&'a str, ErrorKind> {
    within(text, piece).ok_or(ErrorKind::Utf8)
}

/// The pieces of a line.
pub(super) enum Found<'a> {
    Blank,
    Comment(&'a [u8]),
    Help { family: &'a [u8], text: &'a [u8] },
    Type { family: &'a [u8], kind: &'a [u8] },
    Unit { family: &'a [u8], unit: &'a [u8] },
    Eof,
    Sample { series: Series<'a>, tail: FoundTail<'a> },
}

impl<'a> Found<'a> {
    /// The same pieces as text.
    #[inline]
    pub(super) fn within(self, text: &'a str) -> Result<Line<'a>, ErrorKind> {
        let of = |piece| text_of(text, piece);
        Ok(match self {
            Self::Blank => Line::Blank,
            Self::Comment(comment) => Line::Comment(of(comment)?),
            Self::Help { family, text } => Line::Help { family: of(family)?, text: of(text)? },
            Self::Type { family, kind } => Line::Type { family: of(family)?, kind: of(kind)? },
            Self::Unit { family, unit } => Line::Unit { family: of(family)?, unit: of(unit)? },
            Self::Eof => Line::Eof,
            Self::Sample { series, tail } => Line::Sample(Sample {
                raw: series.raw,
                name: of(series.name)?,
                labels: LabelSet::stored(of(series.labels)?),
                tail: tail.within(text)?,
            }),
        })
    }
}

/// The pieces of a series.
pub(super) struct Series<'a> {
    raw: &'a [u8],
    name: &'a [u8],
    labels: &'a [u8],
}

/// The pieces behind a series.
pub(super) struct FoundTail<'a> {
    value: &'a [u8],
    timestamp: Option<&'a [u8]>,
    exemplar: Option<FoundExemplar<'a>>,
}

impl<'a> FoundTail<'a> {
    /// The same pieces as text.
    #[inline]
    pub(super) fn within(self, text: &'a str) -> Result<Tail<'a>, ErrorKind> {
        let of = |piece| text_of(text, piece);
        let exemplar = match self.exemplar {
            None => None,
            Some(FoundExemplar { labels, value, timestamp }) => Some(Exemplar {
                labels: LabelSet::stored(of(labels)?),
                value: of(value)?,
                timestamp: timestamp.map(of).transpose()?,
            }),
        };
        Ok(Tail { value: of(self.value)?, timestamp: self.timestamp.map(of).transpose()?, exemplar })
    }
}

struct FoundExemplar<'a> {
    labels: &'a [u8],
    value: &'a [u8],
    timestamp: Option<&'a [u8]>,
}

/// A whole line.
#[inline]
pub(super) fn line(input: &[u8]) -> Parsed<'_, Found<'_>> {
    let (input, _) = blanks(input)?;
    match input.split_first() {
        None => Ok((input, Found::Blank)),
        Some((b'#', comment)) => remark(comment),
        Some(_) => {
            let (rest, series) = series(input)?;
            // A brace needs no blank behind it; a name was ended by one.
            let (rest, tail) = tail(rest)?;
            Ok((rest, Found::Sample { series, tail }))
        }
    }
}

/// What follows a `#`.
fn remark(comment: &[u8]) -> Parsed<'_, Found<'_>> {
    let (rest, (before, word)) = pair(blanks, word).parse(comment)?;
    let end: &[u8] = &[];
    match word {
        _ if before.is_empty() => Ok((end, Found::Comment(comment))),
        // No family follows: the word alone is a remark as any other.
        b"HELP" | b"TYPE" if rest.iter().all(|&b| is_blank(b)) => Ok((end, Found::Comment(comment))),
        b"HELP" => {
            let (text, family) = family(rest)?;
            Ok((end, Found::Help { family, text }))
        }
        b"TYPE" => {
            let (rest, family) = family(rest)?;
            let (rest, kind) = terminated(word_or(ErrorKind::Kind), blanks).parse(rest)?;
            if rest.is_empty() { Ok((end, Found::Type { family, kind })) } else { fail(ErrorKind::Junk) }
        }
        // Text knows no units: there, a line that is no unit is a remark as any other.
        b"UNIT" => match (family, terminated(self::word, blanks)).parse(rest) {
            Ok(([], (family, unit))) => Ok((end, Found::Unit { family, unit })),
            _ => Ok((end, Found::Comment(comment))),
        },
        b"EOF" if rest.is_empty() && before == b" " => Ok((end, Found::Eof)),
        _ => Ok((end, Found::Comment(comment))),
    }
}

/// The family that a remark is about, and the blanks around it.
fn family(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (input, _) = blanks(input)?;
    let is_quoted = input.starts_with(b"\"");
    let (rest, name) = if is_quoted { quoted(input)? } else { span(METRIC, input)? };
    match rest.first() {
        _ if name.is_empty() || !is_quoted && starts_with_digit(name) => fail(ErrorKind::Family),
        Some(&b) if !is_blank(b) => fail(ErrorKind::Family),
        _ => {
            let (rest, _) = blanks(rest)?;
            Ok((rest, name))
        }
    }
}

/// Name and braces, or a name in braces.
#[inline]
fn series(input: &[u8]) -> Parsed<'_, Series<'_>> {
    let (after, name) = span(METRIC, input)?;
    if starts_with_digit(name) {
        return fail(ErrorKind::MetricName);
    }
    let (at, _) = blanks(after)?;
    let (rest, (name, labels)) = match (at.first(), name.is_empty()) {
        (Some(b'{'), true) => match braces(at)? {
            (rest, Braces { name: Some(name), labels }) => (rest, (name, labels)),
            (_, Braces { name: None, .. }) => return fail(ErrorKind::MetricName),
        },
        (Some(b'{'), false) => match braces(at)? {
            (rest, Braces { name: None, labels }) => (rest, (name, labels)),
            (_, Braces { name: Some(_), .. }) => return fail(ErrorKind::TwoNames),
        },
        (_, true) => return fail(ErrorKind::MetricName),
        (None, false) => return fail(ErrorKind::Value),
        (Some(_), false) if at.len() == after.len() => return fail(ErrorKind::MetricName),
        (Some(_), false) => (after, (name, &[][..])),
    };
    let raw = before(input, rest)?;
    Ok((rest, Series { raw, name, labels: if labels.is_empty() { before(raw, raw)? } else { labels } }))
}

/// Value, timestamp and exemplar, to the end of the line.
#[inline]
pub(super) fn tail(input: &[u8]) -> Parsed<'_, FoundTail<'_>> {
    let (rest, (value, _)) = preceded(blanks, pair(word_or(ErrorKind::Value), blanks)).parse(input)?;
    if let Some(b'{' | b'#') = value.first() {
        return fail(ErrorKind::Value);
    }
    if rest.is_empty() {
        return Ok((rest, FoundTail { value, timestamp: None, exemplar: None }));
    }
    let (rest, timestamp) = timestamp(rest)?;
    let (rest, exemplar) = opt(exemplar).parse(rest)?;
    if rest.is_empty() { Ok((rest, FoundTail { value, timestamp, exemplar })) } else { fail(ErrorKind::Junk) }
}

/// A timestamp and the blanks behind it, where there is one.
fn timestamp(input: &[u8]) -> Parsed<'_, Option<&[u8]>> {
    if let None | Some(b'#') = input.first() {
        return Ok((input, None));
    }
    let (rest, time) = terminated(word, blanks).parse(input)?;
    if number::timestamp(time) { Ok((rest, Some(time))) } else { fail(ErrorKind::Timestamp) }
}

/// `# {labels} value [timestamp]`, to the end of the line.
fn exemplar(input: &[u8]) -> Parsed<'_, FoundExemplar<'_>> {
    let Some((b'#', input)) = input.split_first() else { return Err(Err::Error(ErrorKind::Junk)) };
    let broken = |_| Err::Failure(ErrorKind::Exemplar);
    let (input, blank) = blanks(input)?;
    if blank.is_empty() {
        return fail(ErrorKind::Exemplar);
    }
    let (rest, Braces { name: None, labels }) = braces(input)? else { return fail(ErrorKind::Exemplar) };
    let (rest, value) = delimited(blanks, word_or(ErrorKind::Exemplar), blanks).parse(rest)?;
    if number::parse(value).is_none() {
        return fail(ErrorKind::Exemplar);
    }
    let (rest, timestamp) = timestamp(rest).map_err(broken)?;
    Ok((rest, FoundExemplar { labels, value, timestamp }))
}

struct Braces<'a> {
    name: Option<&'a [u8]>,
    labels: &'a [u8],
}

/// `{`, labels and perhaps a quoted name, `}`.
#[inline]
fn braces(input: &[u8]) -> Parsed<'_, Braces<'_>> {
    let Some((b'{', text)) = input.split_first() else { return fail(ErrorKind::Exemplar) };
    let mut seen = Seen::default();
    let mut metric = None;
    let (mut rest, _) = blanks(text)?;
    while !rest.starts_with(b"}") {
        let (after, found) = inside(rest)?;
        match found {
            Inside::Metric(name) if metric.is_none() => metric = Some(name),
            Inside::Metric(_) => return fail(ErrorKind::TwoNames),
            Inside::Label { name, .. } => seen.add(name, before(text, rest)?)?,
        }
        rest = after;
    }
    let labels = before(text, rest)?;
    match rest.split_first() {
        Some((_, rest)) => Ok((rest, Braces { name: metric, labels })),
        None => fail(ErrorKind::Comma),
    }
}

/// What can stand between the commas in braces.
pub(super) enum Inside<'a> {
    Metric(&'a [u8]),
    Label { name: &'a [u8], value: &'a [u8] },
}

/// A label or a quoted metric name, with the comma and the blanks behind it.
#[inline]
pub(super) fn inside(input: &[u8]) -> Parsed<'_, Inside<'_>> {
    // Text that was stored may open with the blanks behind the brace.
    let (input, _) = blanks(input)?;
    let is_quoted = input.starts_with(b"\"");
    let (rest, name) = if is_quoted { quoted(input)? } else { span(LABEL, input)? };
    if name.is_empty() || !is_quoted && starts_with_digit(name) {
        return fail(if is_quoted { ErrorKind::MetricName } else { ErrorKind::LabelName });
    }
    let (rest, _) = blanks(rest)?;
    let (rest, found) = match rest.split_first() {
        Some((b'=', rest)) => {
            let (rest, value) = delimited(blanks, quoted, blanks).parse(rest)?;
            (rest, Inside::Label { name, value })
        }
        _ if is_quoted => (rest, Inside::Metric(name)),
        _ => return fail(ErrorKind::Equals),
    };
    match rest.split_first() {
        Some((b',', rest)) => {
            let (rest, _) = blanks(rest)?;
            Ok((rest, found))
        }
        None | Some((b'}', _)) => Ok((rest, found)),
        Some(_) => fail(ErrorKind::Comma),
    }
}

/// Which label names there were, roughly: names that differ seldom look alike.
#[derive(Default)]
struct Seen {
    marks: [u64; 4],
    count: u32,
    has_escapes: bool,
}

impl Seen {
    /// Adds a name; `earlier` is the text before it.
    #[inline]
    fn add(&mut self, name: &[u8], earlier: &[u8]) -> Result<(), Err<ErrorKind>> {
        self.count = self.count.saturating_add(1);
        if self.count > MAX_LABELS {
            return Err(Err::Failure(ErrorKind::TooManyLabels));
        }
        let (row, mark) = Self::place(name);
        let Some(marks) = self.marks.get_mut(row) else { return Ok(()) };
        let is_known = *marks & mark != 0;
        *marks |= mark;
        // An escape can spell a name in a way that looks different and is not.
        self.has_escapes |= name.contains(&b'\\');
        if is_known || self.has_escapes {
            return Self::compare(name, earlier);
        }
        Ok(())
    }

    /// Where a name leaves its mark.
    #[inline]
    fn place(name: &[u8]) -> (usize, u64) {
        let sum = name.iter().fold(0_u8, |sum, &b| sum.wrapping_mul(31).wrapping_add(b));
        (usize::from(sum >> 6), 1_u64 << (sum & 63))
    }

    #[cold]
    fn compare(name: &[u8], earlier: &[u8]) -> Result<(), Err<ErrorKind>> {
        let text = |bytes| core::str::from_utf8(bytes).map_err(|_| Err::Failure(ErrorKind::Utf8));
        let name = Name::new(text(name)?);
        if LabelSet::stored(text(earlier)?).iter().any(|label| label.name == name) {
            return Err(Err::Failure(ErrorKind::DuplicateLabel));
        }
        Ok(())
    }
}

/// The bytes between quotes; a backslash takes the byte behind it along.
#[inline]
fn quoted(input: &[u8]) -> Parsed<'_, &[u8]> {
    let Some((b'"', text)) = input.split_first() else { return fail(ErrorKind::OpenQuote) };
    let mut at = text;
    loop {
        let Some((_, rest)) = memchr2(b'"', b'\\', at).and_then(|end| at.split_at_checked(end)) else {
            return fail(ErrorKind::CloseQuote);
        };
        match rest {
            [b'"', after @ ..] => return Ok((after, before(text, rest)?)),
            [_, _, after @ ..] => at = after,
            _ => return fail(ErrorKind::CloseQuote),
        }
    }
}

/// Whatever is not blank.
#[inline]
fn word(input: &[u8]) -> Parsed<'_, &[u8]> {
    take_while(input, |b| !is_blank(b))
}

/// A word, or an error where there is none.
#[inline]
fn word_or<'a>(kind: ErrorKind) -> impl FnMut(&'a [u8]) -> Parsed<'a, &'a [u8]> {
    move |input| match word(input)? {
        (_, []) => fail(kind),
        found => Ok(found),
    }
}

/// Blanks, if any.
#[inline]
fn blanks(input: &[u8]) -> Parsed<'_, &[u8]> {
    take_while(input, is_blank)
}

/// Bytes that names of `class` can have, if any.
#[inline]
fn span(class: u8, input: &[u8]) -> Parsed<'_, &[u8]> {
    take_while(input, |b| CLASSES.get(usize::from(b)).is_some_and(|classes| classes & class != 0))
}

/// The bytes in front of the first that is not so.
///
/// nom's own slices, and where it is not inlined, as on chips, the linker finds a panic in it. Where it is, it is faster.
#[inline]
fn take_while(input: &[u8], is: impl Fn(u8) -> bool) -> Parsed<'_, &[u8]> {
    if usize::BITS >= u64::BITS {
        return bytes::complete::take_while(is).parse(input);
    }
    let end = input.iter().position(|&byte| !is(byte)).unwrap_or(input.len());
    let (taken, rest) = input.split_at_checked(end).unwrap_or((input, &[]));
    Ok((rest, taken))
}

/// The bytes of `all` before `rest`, which ends it.
///
/// nom's `recognize` does this with slices that could panic.
#[inline]
fn before<'a>(all: &'a [u8], rest: &[u8]) -> Result<&'a [u8], Err<ErrorKind>> {
    let len = all.len().checked_sub(rest.len()).and_then(|len| all.split_at_checked(len));
    len.map(|(before, _)| before).ok_or(Err::Failure(ErrorKind::Junk))
}

#[inline]
fn fail<O>(kind: ErrorKind) -> Result<O, Err<ErrorKind>> {
    Err(Err::Failure(kind))
}

/// Whether a byte parts words.
#[inline]
pub(super) const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn starts_with_digit(name: &[u8]) -> bool {
    name.first().is_some_and(u8::is_ascii_digit)
}

const LABEL: u8 = 1;
const METRIC: u8 = 2;

/// Which names a byte can be part of.
static CLASSES: [u8; 256] = classes();

#[expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "it runs in the compiler")]
const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        classes[byte as usize] = match byte {
            // A dot is no part of the format, but of names that PCP's importer takes.
            b':' | b'.' => METRIC,
            b'_' => LABEL | METRIC,
            _ if byte.is_ascii_alphanumeric() => LABEL | METRIC,
            _ => 0,
        };
        byte += 1;
    }
    classes
}
