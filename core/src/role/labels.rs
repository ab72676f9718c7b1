//! Label sets as JSON, at every level of PCP's hierarchy.

use super::answer::{Place, Scope};
use crate::{
    exposition::{Label, LabelSet},
    mapping::Put,
    pcp::{
        InDom, Pmid, Status,
        label::{CLUSTER, CONTEXT, DOMAIN, INDOM, INSTANCES, ITEM, MAX_JSON, MAX_NAME, flag, is_name},
    },
    pdu::{
        label::{Head, Index, Request, Set},
        profile::Profile,
    },
    store::{Series, Slot},
    wire::{Writer, count},
};

/// Label sets that are being told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Labels<'a> {
    pub(super) request: Request,
    pub(super) of: Of<'a>,
}

/// Whose labels they are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Of<'a> {
    /// Nobody's: there are none.
    None,
    /// One set; of a source's only the label `source`, where asked so.
    One { labels: LabelSet<'a>, source_only: bool },
    /// Each instance's that the profile has.
    Instances { first: Slot, indom: InDom, profile: Profile<'a> },
}

const SET: u8 = 1;
const JSON: u8 = 2;

impl<'a> Labels<'a> {
    /// What a request asks for, or why it cannot be had.
    pub(super) fn find(scope: &Scope<'a>, request: Request, profile: Profile<'a>) -> Result<Self, Status> {
        let view = scope.view;
        let one = |labels| Of::One { labels, source_only: false };
        let of = match request.kind {
            CONTEXT if scope.is_collector => one(view.context_labels()),
            DOMAIN if request.ident == u32::from(scope.domain) => one(view.domain_labels()),
            DOMAIN => return Err(Status::NOAGENT),
            CLUSTER | ITEM => {
                let pmid = Pmid::from_bits(request.ident);
                if pmid.domain() != scope.domain {
                    return Err(Status::PMID);
                }
                if request.kind == CLUSTER {
                    view.cluster_labels(pmid.cluster()).map_or(Of::None, one)
                } else {
                    let singular = view.identified(pmid).filter(|m| m.desc().indom == InDom::NULL);
                    let series = singular.and_then(|m| view.series_at(view.first(m)));
                    series.map_or(Of::None, |s| one(view.labels(s)))
                }
            }
            INDOM | INSTANCES => {
                let indom = InDom::from_bits(request.ident);
                if indom.domain() != scope.domain {
                    return Err(Status::INDOM);
                }
                match view.of_indom(indom) {
                    None => Of::None,
                    Some(m) if request.kind == INDOM => view
                        .cluster_labels(m.desc().pmid.cluster())
                        .map_or(Of::None, |labels| Of::One { labels, source_only: true }),
                    Some(m) => Of::Instances { first: view.first(m), indom, profile },
                }
            }
            _ => return Err(Status::TYPE),
        };
        Ok(Self { request, of })
    }

    /// Length of the PDU, how many sets, and where the first JSON text lies.
    pub(super) fn measure(&self, scope: &Scope<'a>) -> (u32, u32, u32) {
        let (mut sets, mut json_at, mut json) = (0u32, Head::LEN, 0u32);
        let mut add = |labels: LabelSet<'a>, source_only| {
            let (labels, len) = self.size(labels, source_only);
            sets = sets.saturating_add(1);
            json_at = json_at.saturating_add(Set::len(labels));
            json = json.saturating_add(len);
        };
        match self.of {
            Of::None => {}
            Of::One { labels, source_only } => add(labels, source_only),
            Of::Instances { first, .. } => {
                self.instances(scope, first).for_each(|(_, s)| add(scope.view.labels(s), false));
            }
        }
        (json_at.saturating_add(json), sets, json_at)
    }

    /// Emits the record at `place`; `place.sum` is where the next JSON text lies.
    pub(super) fn record(
        &self,
        scope: &Scope<'a>,
        place: Place,
        len: u32,
        w: &mut Writer<'_>,
    ) -> Option<Place> {
        let (inst, labels, source_only) = match (place.stage, self.of) {
            (SET | JSON, Of::One { labels, source_only }) => (-1, labels, source_only),
            (SET | JSON, Of::Instances { .. }) => {
                let series = scope.view.series_at(place.slot)?;
                (series.instance().cast_signed(), scope.view.labels(series), false)
            }
            _ => {
                let (_, sets, json_at) = self.measure(scope);
                let Request { ident, kind } = self.request;
                Head { len, ident, kind, sets }.emit(0, w);
                return self.first(scope).map(|slot| Place { stage: SET, slot, sum: json_at, at: 0 });
            }
        };
        let mut sum = place.sum;
        if place.stage == SET {
            let (labels_len, json_len) = self.size(labels, source_only);
            Set { inst, labels: labels_len.cast_signed(), json_offset: sum, json_len }.emit(w);
            self.each(labels, source_only, &mut |index, _, _| index.emit(w));
            sum = sum.saturating_add(json_len);
        } else {
            self.json(labels, source_only, &mut |piece| w.bytes(piece));
        }
        let next = match self.of {
            Of::Instances { .. } => self.instances(scope, place.slot).nth(1).map(|(slot, _)| slot),
            _ => None,
        };
        match next {
            Some(slot) => Some(Place { slot, sum, ..place }),
            None if place.stage == SET => {
                self.first(scope).map(|slot| Place { stage: JSON, slot, sum, ..place })
            }
            None => None,
        }
    }

    fn first(&self, scope: &Scope<'a>) -> Option<Slot> {
        match self.of {
            Of::None => None,
            Of::One { .. } => Some(Slot::NONE),
            Of::Instances { first, .. } => self.instances(scope, first).next().map(|(slot, _)| slot),
        }
    }

    fn instances(&self, scope: &Scope<'a>, from: Slot) -> impl Iterator<Item = (Slot, &'a Series)> + use<'a> {
        let selection = match self.of {
            Of::Instances { indom, profile, .. } => profile.selection(indom),
            _ => Profile::ALL.selection(InDom::NULL),
        };
        scope.view.series_from(from).filter(move |(_, s)| selection.includes(s.instance().cast_signed()))
    }

    /// How many labels a set has, and how long its JSON is.
    fn size(&self, labels: LabelSet<'_>, source_only: bool) -> (u32, u32) {
        let (mut labels_len, mut json_len) = (0u32, 0usize);
        self.each(labels, source_only, &mut |_, _, _| labels_len = labels_len.saturating_add(1));
        self.json(labels, source_only, &mut |piece| json_len = json_len.saturating_add(piece.len()));
        (labels_len, count(json_len))
    }

    /// Goes over the labels that can be told, by name, each once: where they lie in the JSON, and what they are.
    fn each(&self, labels: LabelSet<'_>, source_only: bool, f: &mut dyn FnMut(Index, &str, Label<'_>)) {
        let mut at = 1usize;
        let mut before = "";
        while let Some(label) = next_by_name(labels, before) {
            let name = label.name.raw();
            before = name;
            let instance_name = self.request.kind == INSTANCES && name == "instname";
            if !is_name(name.as_bytes())
                || name.len() > MAX_NAME
                || instance_name
                || (source_only && name != "source")
            {
                continue;
            }
            let name_at = at.saturating_add(if at > 1 { 2 } else { 1 });
            let value_at = name_at.saturating_add(name.len()).saturating_add(2);
            let mut value_len = 2usize;
            escape(label, &mut |piece| value_len = value_len.saturating_add(piece.len()));
            let end = value_at.saturating_add(value_len);
            if end >= MAX_JSON {
                return;
            }
            at = end;
            let word = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
            let index = Index {
                name_at: word(name_at),
                name_len: u8::try_from(name.len()).unwrap_or(u8::MAX),
                flags: flag(self.request.kind),
                value_at: word(value_at),
                value_len: word(value_len),
            };
            f(index, name, label);
        }
    }

    fn json(&self, labels: LabelSet<'_>, source_only: bool, put: Put<'_>) {
        let mut open: &[u8] = b"{\"";
        self.each(labels, source_only, &mut |_, name, label| {
            put(open);
            put(name.as_bytes());
            put(b"\":\"");
            escape(label, put);
            put(b"\"");
            open = b",\"";
        });
        if open.first() == Some(&b',') {
            put(b"}");
        }
    }
}

/// The label whose name comes next after `before`; the first of its name.
fn next_by_name<'a>(labels: LabelSet<'a>, before: &str) -> Option<Label<'a>> {
    let mut best: Option<Label<'a>> = None;
    for label in labels.iter() {
        let name = label.name.raw();
        if name > before && best.is_none_or(|b| name < b.name.raw()) {
            best = Some(label);
        }
    }
    best
}

/// Writes a value as the inside of a JSON string.
fn escape(label: Label<'_>, put: Put<'_>) {
    for piece in label.value.pieces() {
        let mut rest = piece.as_bytes();
        loop {
            let plain = rest.iter().position(|&b| b < b' ' || b == b'"' || b == b'\\').unwrap_or(rest.len());
            let Some((head, tail)) = rest.split_at_checked(plain) else { break };
            put(head);
            let Some((&byte, tail)) = tail.split_first() else { break };
            match byte {
                b'"' => put(b"\\\""),
                b'\\' => put(b"\\\\"),
                b'\n' => put(b"\\n"),
                b'\t' => put(b"\\t"),
                b'\r' => put(b"\\r"),
                _ => put(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 15)]),
            }
            rest = tail;
        }
    }
}

const fn hex(digit: u8) -> u8 {
    if digit < 10 { b'0'.saturating_add(digit) } else { b'a'.saturating_add(digit.saturating_sub(10)) }
}
