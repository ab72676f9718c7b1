//! Label sets as JSON, at every level of PCP's hierarchy.

use super::answer::{Place, Scope};
use crate::{
    exposition::{Bytes, Label, LabelSet},
    mapping::{Compat, Put},
    pcp::{
        InDom, Pmid, Status,
        label::{
            CLUSTER, CONTEXT, DOMAIN, INDOM, INSTANCES, ITEM, MAX_JSON, MAX_LABELS, MAX_NAME, OPTIONAL, flag,
            is_name,
        },
    },
    pdu::{
        label::{self as pdu, Head, Index, Request},
        profile::Profile,
    },
    store::{Metric, Series, Slot},
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
    /// One set.
    One(Set<'a>),
    /// Each instance's that the profile has.
    Instances { metric: &'a Metric, profile: Profile<'a> },
}

/// Where the labels of one set come from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Set<'a> {
    /// A text, all of it.
    Text(LabelSet<'a>),
    /// The label `source` of a source.
    Source(LabelSet<'a>),
    /// A metric: those of its series that was written last, and those that only others have; of a metric that a PCP
    /// line describes those of its first (import: labels; QA 1221).
    Item(&'a Metric),
    /// An instance.
    Series(&'a Metric, &'a Series),
}

/// A label of a set.
#[derive(Clone, Copy)]
struct Found<'a> {
    name: &'a str,
    value: Value<'a>,
    flags: u8,
}

#[derive(Clone, Copy)]
enum Value<'a> {
    Sent(Label<'a>),
    /// The name of the instance, its id in front.
    Instance(&'a Metric, &'a Series),
}

/// How many series are looked at for labels that not all of a metric have.
const MIXED: usize = 32;

const SET: u8 = 1;
const JSON: u8 = 2;

/// The label that names an instance of a metric that a PCP line describes.
const INSTNAME: &str = "instname";

impl<'a> Labels<'a> {
    /// What a request asks for, or why it cannot be had.
    pub(super) fn find(scope: &Scope<'a>, request: Request, profile: Profile<'a>) -> Result<Self, Status> {
        let view = scope.view;
        let of = match request.kind {
            CONTEXT if scope.is_collector => Of::One(Set::Text(view.context_labels())),
            DOMAIN if request.ident == u32::from(scope.domain) => Of::One(Set::Text(view.domain_labels())),
            DOMAIN => return Err(Status::NOAGENT),
            CLUSTER | ITEM => {
                let pmid = Pmid::from_bits(request.ident);
                if pmid.domain() != scope.domain {
                    return Err(Status::PMID);
                }
                let set = if request.kind == CLUSTER {
                    view.cluster_labels(pmid.cluster()).map(Set::Text)
                } else {
                    view.identified(pmid).filter(|m| has_labels(scope, m)).map(Set::Item)
                };
                set.map_or(Of::None, Of::One)
            }
            INDOM | INSTANCES => {
                let indom = InDom::from_bits(request.ident);
                if indom.domain() != scope.domain {
                    return Err(Status::INDOM);
                }
                match view.of_indom(indom) {
                    None => Of::None,
                    Some(m) if request.kind == INDOM => {
                        let labels = view.cluster_labels(m.desc().pmid.cluster());
                        labels.map_or(Of::None, |labels| Of::One(Set::Source(labels)))
                    }
                    Some(metric) => Of::Instances { metric, profile },
                }
            }
            _ => return Err(Status::TYPE),
        };
        Ok(Self { request, of })
    }

    /// Length of the PDU, how many sets, and where the first JSON text lies.
    pub(super) fn measure(&self, scope: &Scope<'a>) -> (u32, u32, u32) {
        let (mut sets, mut json_at, mut json) = (0u32, Head::LEN, 0u32);
        let mut add = |set| {
            let (labels, len) = self.size(scope, set);
            sets = sets.saturating_add(1);
            json_at = json_at.saturating_add(pdu::Set::len(labels));
            json = json.saturating_add(len);
        };
        match self.of {
            Of::None => {}
            Of::One(set) => add(set),
            Of::Instances { metric, .. } => self
                .instances(scope, scope.view.first(metric))
                .for_each(|(_, series)| add(Set::Series(metric, series))),
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
        let (inst, set) = match (place.stage, self.of) {
            (SET | JSON, Of::One(set)) => (-1, set),
            (SET | JSON, Of::Instances { metric, .. }) => {
                let series = scope.view.series_at(place.slot)?;
                (series.instance().cast_signed(), Set::Series(metric, series))
            }
            _ => {
                let (_, sets, json_at) = self.measure(scope);
                let Request { ident, kind } = self.request;
                Head { len, ident, kind, sets }.emit(0, w);
                return self.first(scope).map(|slot| Place {
                    stage: SET,
                    slot,
                    sum: json_at,
                    ..Place::default()
                });
            }
        };
        let mut sum = place.sum;
        if place.stage == SET {
            let (labels, json_len) = self.size(scope, set);
            pdu::Set { inst, labels: labels.cast_signed(), json_offset: sum, json_len }.emit(w);
            self.each(scope, set, &mut |index, _| index.emit(w));
            sum = sum.saturating_add(json_len);
        } else {
            self.json(scope, set, &mut |piece| w.bytes(piece));
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
            Of::One(_) => Some(Slot::NONE),
            Of::Instances { metric, .. } => {
                self.instances(scope, scope.view.first(metric)).next().map(|(slot, _)| slot)
            }
        }
    }

    fn instances(&self, scope: &Scope<'a>, from: Slot) -> impl Iterator<Item = (Slot, &'a Series)> + use<'a> {
        let selection = match self.of {
            Of::Instances { metric, profile } => profile.selection(metric.desc().indom),
            _ => Profile::ALL.selection(InDom::NULL),
        };
        scope.view.series_from(from).filter(move |(_, s)| selection.includes(s.instance().cast_signed()))
    }

    /// How many labels a set has, and how long its JSON is.
    fn size(&self, scope: &Scope<'a>, set: Set<'a>) -> (u32, u32) {
        let (mut labels_len, mut json_len) = (0u32, 0usize);
        self.each(scope, set, &mut |_, _| labels_len = labels_len.saturating_add(1));
        self.json(scope, set, &mut |piece| json_len = json_len.saturating_add(piece.len()));
        (labels_len, count(json_len))
    }

    /// Goes over the labels that can be told, by name, each once: where they lie in the JSON, and what they are.
    fn each(&self, scope: &Scope<'a>, set: Set<'a>, f: &mut dyn FnMut(Index, Found<'a>)) {
        if set.is_lost(scope) {
            return;
        }
        let (mut at, mut told) = (1usize, 0usize);
        let mut before = "";
        while let Some(found) = set.after(scope, before) {
            let name = found.name;
            before = name;
            if !is_name(name.as_bytes()) || name.len() > MAX_NAME {
                continue;
            }
            told = told.saturating_add(1);
            if told > MAX_LABELS {
                return;
            }
            let name_at = at.saturating_add(if at > 1 { 2 } else { 1 });
            let value_at = name_at.saturating_add(name.len()).saturating_add(2);
            let mut value_len = 2usize;
            found.write(scope, &mut |piece| value_len = value_len.saturating_add(piece.len()));
            let end = value_at.saturating_add(value_len);
            if end >= MAX_JSON {
                return;
            }
            at = end;
            let word = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
            let index = Index {
                name_at: word(name_at),
                name_len: u8::try_from(name.len()).unwrap_or(u8::MAX),
                flags: flag(self.request.kind) | found.flags,
                value_at: word(value_at),
                value_len: word(value_len),
            };
            f(index, found);
        }
    }

    fn json(&self, scope: &Scope<'a>, set: Set<'a>, put: Put<'_>) {
        let mut open: &[u8] = b"{\"";
        self.each(scope, set, &mut |_, found| {
            put(open);
            put(found.name.as_bytes());
            put(b"\":\"");
            found.write(scope, put);
            put(b"\"");
            open = b",\"";
        });
        if open.first() == Some(&b',') {
            put(b"}");
        }
    }
}

impl<'a> Set<'a> {
    /// Whether PCP 6.0 has none of these labels, because one of their values breaks the JSON that it makes (QA 1221).
    fn is_lost(self, scope: &Scope<'a>) -> bool {
        let view = scope.view;
        let labels = match self {
            _ if view.compat() != Compat::V60 => return false,
            Self::Text(_) | Self::Source(_) => return false,
            Self::Item(metric) => teller(scope, metric).map_or(LabelSet::EMPTY, |series| view.labels(series)),
            Self::Series(_, series) => view.labels(series),
        };
        labels.iter().any(|label| breaks_json(label.value.pieces().bytes()))
    }

    /// The label whose name comes next after `before`.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn after(self, scope: &Scope<'a>, before: &str) -> Option<Found<'a>> {
        let view = scope.view;
        let sent = |label: Label<'a>| Found { name: label.name.raw(), value: Value::Sent(label), flags: 0 };
        match self {
            Self::Text(labels) => next_by_name(labels, before, None).map(sent),
            Self::Source(labels) => {
                labels.iter().find(|l| l.name.raw() == "source" && before.is_empty()).map(sent)
            }
            Self::Item(metric) => {
                let latest = teller(scope, metric)?;
                let mut best = None;
                if view.is_mixed(metric) && !view.is_lined(metric) {
                    for (_, series) in view.series_from(view.first(metric)).take(MIXED) {
                        best = next_by_name(view.labels(series), before, best);
                    }
                }
                let label = next_by_name(view.labels(latest), before, best)?;
                let optional = cfg!(feature = "full")
                    && view.optional(latest).iter().any(|other| other.name == label.name);
                Some(Found { flags: if optional { OPTIONAL } else { 0 }, ..sent(label) })
            }
            Self::Series(metric, series) => {
                let mut next = next_by_name(view.labels(series), before, None);
                if next.is_some_and(|label| label.name.raw() == INSTNAME) {
                    next = next_by_name(view.labels(series), INSTNAME, None);
                }
                let named = view.compat() == Compat::V60 && view.is_sent(series) && before < INSTNAME;
                match next {
                    Some(label) if !named || label.name.raw() < INSTNAME => Some(sent(label)),
                    _ if named => Some(Found {
                        name: INSTNAME,
                        value: Value::Instance(metric, series),
                        flags: OPTIONAL,
                    }),
                    _ => None,
                }
            }
        }
    }
}

/// Whether a metric has labels itself: one that the host declared, where it has one value.
fn has_labels(scope: &Scope<'_>, metric: &Metric) -> bool {
    let is_one = metric.desc().indom == InDom::NULL;
    let tells =
        |series: &Series| scope.view.is_sent(series) || is_one && !scope.view.labels(series).is_empty();
    scope.view.latest(metric).is_some_and(tells)
}

/// The series whose labels those of its metric are.
fn teller<'a>(scope: &Scope<'a>, metric: &Metric) -> Option<&'a Series> {
    let first = scope.view.series_at(scope.view.first(metric)).filter(|_| scope.view.is_lined(metric));
    first.or_else(|| scope.view.latest(metric))
}

impl Found<'_> {
    /// Writes the value as the inside of a JSON string.
    fn write(&self, scope: &Scope<'_>, put: Put<'_>) {
        match self.value {
            Value::Sent(label) => label.value.pieces().for_each(|piece| escape(piece.as_bytes(), put)),
            Value::Instance(metric, series) => {
                scope.view.prefixed_name(metric, series, &mut |piece| escape(piece, put));
            }
        }
    }
}

/// The label whose name comes next after `before`; of `best` and one of that name the latter.
fn next_by_name<'a>(labels: LabelSet<'a>, before: &str, best: Option<Label<'a>>) -> Option<Label<'a>> {
    let mut next: Option<Label<'a>> = None;
    for label in labels.iter() {
        let name = label.name.raw();
        if name > before && next.is_none_or(|next| name < next.name.raw()) {
            next = Some(label);
        }
    }
    match (next, best) {
        (Some(next), Some(best)) if best.name.raw() < next.name.raw() => Some(best),
        (None, best) => best,
        (next, _) => next,
    }
}

/// Whether a value that stands in JSON as it is has a quote or a line feed there, or a backslash that begins no escape.
fn breaks_json(value: Bytes<'_>) -> bool {
    let mut escaping = false;
    for byte in value {
        match byte {
            b'\n' => return true,
            _ if escaping && !br#""\/bfnrtu"#.contains(&byte) => return true,
            b'"' if !escaping => return true,
            _ => escaping = byte == b'\\' && !escaping,
        }
    }
    escaping
}

/// Writes a text as the inside of a JSON string.
fn escape(text: &[u8], put: Put<'_>) {
    let mut rest = text;
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

const fn hex(digit: u8) -> u8 {
    if digit < 10 { b'0'.saturating_add(digit) } else { b'a'.saturating_add(digit.saturating_sub(10)) }
}
