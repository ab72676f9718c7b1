//! The grammar of one line, by nom, over bytes.

use nom::{
    Err, IResult, Parser as _,
    bytes::complete::{take_till1, take_while},
    combinator::opt,
    error::{Error, ErrorKind as Nom},
    sequence::{delimited, preceded},
};

use super::{ErrorKind, Exemplar, LabelSet, Line, MAX_LABELS, Sample, Tail, number};

type Parsed<'a, T> = IResult<&'a [u8], T>;

/// What stands between the commas in braces, without its quotes.
pub(super) enum Item<'a> {
    /// The metric's name, quoted.
    Name(&'a [u8]),
    /// A label: name and value.
    Label(&'a [u8], &'a [u8]),
}

/// Reads one line, without its line feed.
///
/// # Errors
///
/// What is wrong with it. Other lines are none the worse for it.
pub fn line(bytes: &[u8]) -> Result<Line<'_>, ErrorKind> {
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    let (start, _) = blanks(bytes).unwrap_or((bytes, b""));
    match start.first() {
        None => Ok(Line::Blank),
        Some(b'#') => comment(start.get(1..).unwrap_or_default()),
        Some(_) => sample(start).map(Line::Sample),
    }
}

/// Reads what follows name and braces: value, timestamp, exemplar.
///
/// # Errors
///
/// What is wrong with it.
pub fn tail(bytes: &[u8]) -> Result<Tail<'_>, ErrorKind> {
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    let (rest, value) = word(bytes).map_err(|_| ErrorKind::NoValue)?;
    if value.first() == Some(&b'#') {
        return Err(ErrorKind::NoValue);
    }
    let (rest, timestamp) = moment(rest).ok_or(ErrorKind::Timestamp)?;
    let (rest, exemplar) = match blanks(rest) {
        Ok((after, _)) if after.first() == Some(&b'#') => exemplar(after).ok_or(ErrorKind::Exemplar)?,
        _ => (rest, None),
    };
    match blanks(rest) {
        Ok(([], _)) => Ok(Tail { value: utf8(value)?, timestamp, exemplar }),
        _ => Err(ErrorKind::Trailing),
    }
}

fn sample(start: &[u8]) -> Result<Sample<'_>, ErrorKind> {
    let (rest, bare) = opt(name).parse(start).map_err(|_| ErrorKind::Name)?;
    let (braces, _) = blanks(rest).unwrap_or((rest, b""));
    let (rest, quoted, labels) = match braces.split_first() {
        Some((b'{', inside)) => {
            let (after, quoted) = check_labels(inside)?;
            let len = inside.len().saturating_sub(after.len()).saturating_sub(1);
            (after, quoted, utf8(inside.get(..len).unwrap_or_default())?)
        }
        _ => (rest, None, ""),
    };
    let name = match (bare, quoted) {
        (Some(name), None) | (None, Some(name)) => utf8(name)?,
        _ => return Err(ErrorKind::Name),
    };
    let raw = start.get(..start.len().saturating_sub(rest.len())).unwrap_or_default();
    if labels.is_empty() && !matches!(rest.first(), None | Some(b' ' | b'\t')) && raw.last() != Some(&b'}') {
        return Err(ErrorKind::Name);
    }
    Ok(Sample { raw, name, labels: LabelSet::checked(labels), tail: tail(rest)? })
}

/// Checks what follows an opening brace, to the closing one: what follows that, and a quoted metric name.
fn check_labels(inside: &[u8]) -> Result<(&[u8], Option<&[u8]>), ErrorKind> {
    let (mut rest, mut name, mut seen) = (inside, None, [b"".as_slice(); MAX_LABELS]);
    let mut places = seen.iter_mut();
    let mut names = 0usize;
    loop {
        let (start, _) = blanks(rest).unwrap_or((rest, b""));
        if let Some((b'}', after)) = start.split_first() {
            if names == 0 || inside.len() != start.len() {
                drop(places);
                return if is_unique(&seen, names) { Ok((after, name)) } else { Err(ErrorKind::Duplicate) };
            }
        }
        let (after, item) = item_or_why(start)?;
        match item {
            Item::Name(quoted) if name.is_none() => name = Some(quoted),
            Item::Name(_) => return Err(ErrorKind::Label),
            Item::Label(label, _) => {
                *places.next().ok_or(ErrorKind::TooManyLabels)? = label;
                names = names.saturating_add(1);
            }
        }
        rest = after;
    }
}

fn is_unique(names: &[&[u8]], len: usize) -> bool {
    let names = names.get(..len).unwrap_or_default();
    let twice = |i: usize, name: &&[u8]| names.iter().skip(i.saturating_add(1)).any(|other| other == name);
    !names.iter().enumerate().any(|(i, name)| twice(i, name))
}

/// One item and the comma behind it, if there is one.
pub(super) fn item(input: &[u8]) -> Parsed<'_, Item<'_>> {
    item_or_why(input).map_err(|_| error(input, Nom::Alt))
}

fn item_or_why(input: &[u8]) -> Result<(&[u8], Item<'_>), ErrorKind> {
    let (input, _) = blanks(input).unwrap_or((input, b""));
    let was_quoted = input.first() == Some(&b'"');
    let (rest, name) = if was_quoted {
        quoted(input).map_err(|_| ErrorKind::OpenQuote)?
    } else {
        label_name(input).map_err(|_| ErrorKind::Label)?
    };
    let (after, equals) = opt(preceded(blanks, byte(b'='))).parse(rest).map_err(|_| ErrorKind::Label)?;
    let (rest, item) = match equals {
        None if was_quoted && !name.is_empty() => (rest, Item::Name(name)),
        None => return Err(ErrorKind::Label),
        Some(_) => {
            let (value, _) = blanks(after).unwrap_or((after, b""));
            if value.first() != Some(&b'"') {
                return Err(ErrorKind::Quote);
            }
            let (rest, value) = quoted(value).map_err(|_| ErrorKind::OpenQuote)?;
            (rest, Item::Label(name, value))
        }
    };
    let (rest, _) = blanks(rest).unwrap_or((rest, b""));
    match rest.split_first() {
        Some((b',', rest)) => Ok((rest, item)),
        None | Some((b'}', _)) => Ok((rest, item)),
        Some(_) => Err(ErrorKind::Brace),
    }
}

fn comment(text: &[u8]) -> Result<Line<'_>, ErrorKind> {
    let all = utf8(text);
    let Ok((rest, keyword)) = word(text) else { return all.map(Line::Comment) };
    let spaced = text.len() != blanks(text).map_or(0, |(rest, _)| rest.len());
    match keyword {
        b"HELP" if spaced => {
            let (rest, family) = family(rest)?;
            let text = rest.split_first().map_or(rest, |(_, text)| text);
            Ok(Line::Help { family, text: utf8(text)? })
        }
        b"TYPE" if spaced => one_word(rest).map(|(family, kind)| Line::Type { family, kind }),
        b"UNIT" if spaced => {
            let (rest, family) = family(rest)?;
            let (_, unit) = blanks(rest).map_or((b"".as_slice(), rest), |(unit, _)| (b"", unit));
            Ok(Line::Unit { family, unit: utf8(unit.trim_ascii_end())? })
        }
        b"EOF" if text == b" EOF" => Ok(Line::Eof),
        _ => all.map(Line::Comment),
    }
}

fn one_word(rest: &[u8]) -> Result<(&str, &str), ErrorKind> {
    let (rest, family) = family(rest)?;
    let (rest, kind) = word(rest).map_err(|_| ErrorKind::Metadata)?;
    match blanks(rest) {
        Ok(([], _)) => Ok((family, utf8(kind)?)),
        _ => Err(ErrorKind::Metadata),
    }
}

/// A family's name, quoted or not.
fn family(rest: &[u8]) -> Result<(&[u8], &str), ErrorKind> {
    let (start, _) = blanks(rest).unwrap_or((rest, b""));
    let (rest, name) = if start.first() == Some(&b'"') { quoted(start) } else { word(start) }
        .map_err(|_| ErrorKind::Metadata)?;
    Ok((rest, utf8(name)?))
}

/// An optional timestamp: a finite number. `None` where a word is there that is none.
fn moment(input: &[u8]) -> Option<(&[u8], Option<&str>)> {
    match word(input) {
        Ok((rest, text)) if text.first() != Some(&b'#') => {
            number::parse(text).filter(|t| t.is_finite())?;
            Some((rest, Some(utf8(text).ok()?)))
        }
        _ => Some((input, None)),
    }
}

fn exemplar(input: &[u8]) -> Option<(&[u8], Option<Exemplar<'_>>)> {
    let (inside, _) = preceded((byte(b'#'), blanks), byte(b'{')).parse(input).ok()?;
    let (rest, name) = check_labels(inside).ok()?;
    let len = inside.len().saturating_sub(rest.len()).saturating_sub(1);
    let labels = LabelSet::checked(utf8(inside.get(..len)?).ok()?);
    let (rest, value) = word(rest).ok().filter(|(_, value)| name.is_none() && number::parse(value).is_some())?;
    let (rest, timestamp) = moment(rest)?;
    Some((rest, Some(Exemplar { labels, value: utf8(value).ok()?, timestamp })))
}

fn blanks(input: &[u8]) -> Parsed<'_, &[u8]> {
    take_while(|b| b == b' ' || b == b'\t').parse(input)
}

fn word(input: &[u8]) -> Parsed<'_, &[u8]> {
    preceded(blanks, take_till1(|b| b == b' ' || b == b'\t')).parse(input)
}

/// A metric name. Dots are no part of the format but of what PCP's own exporters and importer take for a name.
fn name(input: &[u8]) -> Parsed<'_, &[u8]> {
    starting(input, |b| b.is_ascii_alphabetic() || b == b'_' || b == b':', |b| b == b':' || b == b'.')
}

fn label_name(input: &[u8]) -> Parsed<'_, &[u8]> {
    starting(input, |b| b.is_ascii_alphabetic() || b == b'_', |_| false)
}

/// A byte that `first` has, then letters, digits, underscores and what `also` has.
fn starting(input: &[u8], first: fn(u8) -> bool, also: fn(u8) -> bool) -> Parsed<'_, &[u8]> {
    if !input.first().is_some_and(|&b| first(b)) {
        return Err(error(input, Nom::Alpha));
    }
    take_while(|b: u8| b.is_ascii_alphanumeric() || b == b'_' || also(b)).parse(input)
}

/// A quoted text, without its quotes.
fn quoted(input: &[u8]) -> Parsed<'_, &[u8]> {
    delimited(byte(b'"'), inside_quotes, byte(b'"')).parse(input)
}

fn inside_quotes(input: &[u8]) -> Parsed<'_, &[u8]> {
    let mut from = 0usize;
    loop {
        let rest = input.get(from..).unwrap_or_default();
        let Some(at) = memchr::memchr2(b'"', b'\\', rest) else { return Err(error(input, Nom::Escaped)) };
        let end = from.saturating_add(at);
        if rest.get(at) == Some(&b'"') {
            let (value, rest) = input.split_at_checked(end).ok_or_else(|| error(input, Nom::Escaped))?;
            return Ok((rest, value));
        }
        from = end.saturating_add(2);
    }
}

fn byte(wanted: u8) -> impl Fn(&[u8]) -> Parsed<'_, u8> {
    move |input| match input.split_first() {
        Some((b, rest)) if *b == wanted => Ok((rest, *b)),
        _ => Err(error(input, Nom::Char)),
    }
}

const fn error(input: &[u8], kind: Nom) -> Err<Error<&[u8]>> {
    Err::Error(Error { input, code: kind })
}

fn utf8(bytes: &[u8]) -> Result<&str, ErrorKind> {
    core::str::from_utf8(bytes).map_err(|_| ErrorKind::Utf8)
}
