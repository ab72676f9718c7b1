//! Every PDU that real PCP programs sent is parsed, and emitted again byte for byte.
//!
//! The streams of `tests/data/pdu` were recorded between PCP 6.0.3 and 7.2.0, a stand-alone
//! collector and agent without libpcp (`mini`, `tiny`), and a client that sends what no PCP program
//! does (`rawclient`). libpcp pads with `~` and so do the others: no comparison forgives any byte.
//! Event records stay opaque blocks.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    reason = "a test may panic, and does so where the data is wrong"
)]

mod recorded;

use std::fs;

use pmbridge_core::pdu::{
    Error, Kind, attr, creds, desc, error, fetch, instance, label, pmns, profile, result, split, text,
};
use pmbridge_core::wire::Writer;

struct Captured {
    /// File and line.
    place: String,
    bytes: Vec<u8>,
}

impl Captured {
    fn kind(&self) -> Kind {
        split(&self.bytes).unwrap().unwrap().0.kind
    }

    fn body(&self) -> &[u8] {
        &self.bytes[12..]
    }
}

/// All PDUs of the files whose name starts so.
fn captured(prefix: &str) -> Vec<Captured> {
    let mut all = Vec::new();
    for entry in fs::read_dir(recorded::directory()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.starts_with(prefix) || !name.ends_with(".jsonl") {
            continue;
        }
        for (line, number) in fs::read_to_string(&path).unwrap().lines().zip(1..) {
            if let Some(bytes) = recorded::bytes(line) {
                all.push(Captured { place: format!("{name}:{number}"), bytes });
            }
        }
    }
    all
}

/// Parses a PDU's body and emits it, or `None` for a kind that has no body to parse.
fn again(kind: Kind, body: &[u8], from: u32, w: &mut Writer<'_>) -> Option<Result<(), Error>> {
    let mut parse_and_emit = || -> Result<bool, Error> {
        match kind {
            Kind::ERROR if body.len() == 8 => error::Challenge::parse(body)?.emit(from, w),
            Kind::ERROR => error::Report::parse(body)?.emit(from, w),
            Kind::RESULT | Kind::HIGHRES_RESULT => result::Results::parse(kind, body)?.emit(from, w),
            Kind::PROFILE => profile::Profile::parse(body)?.emit(from, w),
            Kind::FETCH | Kind::HIGHRES_FETCH => fetch::Fetch::parse(kind, body)?.emit(from, w),
            Kind::DESC_REQ => desc::Request::parse(body)?.emit(from, w),
            Kind::DESC => desc::Reply::parse(body)?.emit(from, w),
            Kind::INSTANCE_REQ => instance::Request::parse(body)?.emit(from, w),
            Kind::INSTANCE => instance::Instances::parse(body)?.emit(from, w),
            Kind::TEXT_REQ => text::Request::parse(body)?.emit(from, w),
            Kind::TEXT => text::Text::parse(body)?.emit(from, w),
            Kind::CREDS => creds::Creds::parse(body)?.emit(from, w),
            Kind::PMNS_IDS => pmns::Ids::parse(body)?.emit(from, w),
            Kind::PMNS_NAMES => pmns::Names::parse(body)?.emit(from, w),
            Kind::PMNS_CHILD => pmns::Child::parse(body)?.emit(from, w),
            Kind::PMNS_TRAVERSE => pmns::Traverse::parse(body)?.emit(from, w),
            Kind::ATTR => attr::Attr::parse(body)?.emit(from, w),
            Kind::LABEL_REQ => label::Request::parse(body)?.emit(from, w),
            Kind::LABEL => label::Labels::parse(body)?.emit(from, w),
            Kind::DESC_IDS => desc::DescIds::parse(body)?.emit(from, w),
            Kind::DESCS => desc::Descs::parse(body)?.emit(from, w),
            _ => return Ok(false),
        }
        Ok(true)
    };
    match parse_and_emit() {
        Ok(true) => Some(Ok(())),
        Ok(false) => None,
        Err(error) => Some(Err(error)),
    }
}

/// What is accepted of a PDU, emitted through windows of this size.
fn emitted(bytes: &[u8], window: usize) -> Option<Vec<u8>> {
    let (header, body, len) = split(bytes).unwrap().unwrap();
    assert_eq!(len, bytes.len());
    let (mut out, mut part) = (Vec::new(), vec![0; window]);
    loop {
        let mut w = Writer::resume(&mut part, out.len());
        again(header.kind, body, header.from, &mut w)?.ok()?;
        let (written, whole) = (w.written(), w.is_whole());
        out.extend_from_slice(&part[..written]);
        if whole {
            return Some(out);
        }
        assert_eq!(written, window);
    }
}

/// What rawclient sends that is refused, in its order, and why.
const REFUSED: [(Kind, Error); 6] = [
    (Kind::PROFILE, Error::Truncated),      // without the last of its four words
    (Kind::HIGHRES_FETCH, Error::Count),    // of no metric
    (Kind::INSTANCE_REQ, Error::Truncated), // a name without its padding
    (Kind::PMNS_NAMES, Error::Count),       // promises fewer bytes of names than there are
    (Kind::PMNS_NAMES, Error::Truncated),   // the last name without its padding
    (Kind::DESC_REQ, Error::Trailing),      // a word too long
];

/// Kinds rawclient sends that nobody answers: one unknown, the retired CONTROL_REQ, a logger's.
const UNKNOWN: [Kind; 3] = [Kind(0x7099), Kind::CONTROL_REQ, Kind(0x8000)];

#[test]
fn every_pdu_is_emitted_as_it_was_sent_unless_it_is_refused() {
    let mut accepted = 0;
    for pdu in captured("") {
        let (header, body, _) = split(&pdu.bytes).unwrap().unwrap();
        match again(header.kind, body, header.from, &mut Writer::counter()) {
            Some(Ok(())) => {
                let out = emitted(&pdu.bytes, pdu.bytes.len()).unwrap();
                assert_eq!(out, pdu.bytes, "{}", pdu.place);
                accepted += 1;
            }
            refused => {
                assert!(pdu.place.starts_with("rawclient"), "{}: {refused:?}", pdu.place);
            }
        }
    }
    assert!(accepted > 2500, "{accepted}");
}

#[test]
fn what_no_pcp_program_sends_is_refused_for_its_reason() {
    for file in ["rawclient-603", "rawclient-720"] {
        let (mut refused, mut unknown) = (Vec::new(), Vec::new());
        for pdu in captured(file) {
            match again(pdu.kind(), pdu.body(), 0, &mut Writer::counter()) {
                Some(Ok(())) => {}
                Some(Err(error)) => refused.push((pdu.kind(), error)),
                None => unknown.push(pdu.kind()),
            }
        }
        assert_eq!(refused, REFUSED, "{file}");
        assert_eq!(unknown, UNKNOWN, "{file}");
    }
}

#[test]
fn every_window_gives_the_same_bytes() {
    for pdu in captured("") {
        let Some(whole) = emitted(&pdu.bytes, pdu.bytes.len()) else { continue };
        for window in [1, 7, 24, 100] {
            let out = emitted(&pdu.bytes, window).unwrap();
            assert!(out == whole, "{} through {window}", pdu.place);
        }
    }
}

#[test]
fn every_body_cut_short_is_refused() {
    for pdu in captured("") {
        if emitted(&pdu.bytes, pdu.bytes.len()).is_none() {
            continue;
        }
        // A challenge holds a report, and an attribute ends where its PDU does.
        let whole_when_short = match pdu.kind() {
            Kind::ERROR => 4..5,
            Kind::ATTR => 4..usize::MAX,
            _ => 0..0,
        };
        for len in 0..pdu.body().len() {
            if let Some(Ok(())) = again(pdu.kind(), &pdu.body()[..len], 0, &mut Writer::counter()) {
                assert!(whole_when_short.contains(&len), "{} of {len} bytes", pdu.place);
            }
        }
    }
}

#[test]
fn whatever_is_accepted_is_emitted_at_its_length_and_accepted_again() {
    for pdu in captured("") {
        let mut bytes = pdu.bytes.clone();
        for at in (12..bytes.len()).take(400) {
            let sent = bytes[at];
            for wrong in [0, 1, 0x7f, 0xff, sent.wrapping_add(1), sent ^ 0x80] {
                bytes[at] = wrong;
                if let Some(out) = emitted(&bytes, bytes.len() + 1) {
                    assert_eq!(out.len(), bytes.len(), "{} with {wrong} at {at}", pdu.place);
                    assert_eq!(emitted(&out, out.len()), Some(out), "{} with {wrong} at {at}", pdu.place);
                }
            }
            bytes[at] = sent;
        }
    }
}
