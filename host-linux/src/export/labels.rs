//! The labels of series: six levels of sets as pmcd has them, and the texts that were made of them.
//!
//! Metrics whose sets are alike are one group: they share the text of each instance. A text is made when a series first
//! needs it, and dropped when the instance goes or one of its sets is another.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use pmbridge_core::exposition::LabelSet;
use pmbridge_core::mapping::export::{Naming, has_humps, label};
use pmbridge_core::mapping::label::{Instance, merge};
use pmbridge_core::pcp::{IN_NULL, InDom, Pmid, label};
use pmbridge_core::role::client::{Instances, Labels as Sets};
use pmbridge_core::time::{Duration, Instant};

/// The labels of a series as an exposition has them, `a="b",c="d"`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    plain: Box<str>,
    /// The same for Prometheus' conventions, where a name has humps or is `le` or `quantile`.
    smooth: Option<Box<str>>,
}

impl Text {
    /// The text in this naming.
    pub(crate) fn in_naming(&self, naming: Naming) -> &str {
        let smooth = self.smooth.as_ref().filter(|_| naming == Naming::Prometheus);
        smooth.unwrap_or(&self.plain)
    }
}

impl From<String> for Text {
    fn from(plain: String) -> Self {
        let smooth = smooth(LabelSet::stored(&plain));
        Self { plain: plain.into(), smooth: smooth.map(String::into) }
    }
}

/// Labels that are called as Prometheus' conventions have it, if any is not. One that would be called as another has
/// `_` behind its name, as have `le` and `quantile`, which belong to histograms and summaries.
fn smooth(labels: LabelSet<'_>) -> Option<String> {
    let is_rough = |name: &str| has_humps(name) || matches!(name, "le" | "quantile");
    if !labels.into_iter().any(|label| is_rough(label.name.raw())) {
        return None;
    }
    let mut taken: HashSet<String> = labels.into_iter().map(|label| label.name.raw().to_owned()).collect();
    let mut text = String::new();
    for one in labels {
        let mut name = one.name.raw().to_owned();
        if is_rough(&name) {
            let mut smooth = Vec::new();
            label(&name, &mut |piece| smooth.extend_from_slice(piece));
            name = String::from_utf8(smooth).unwrap_or_default();
            while !taken.insert(name.clone()) {
                name.push('_');
            }
        }
        text.push_str(if text.is_empty() { "" } else { "," });
        text.push_str(&name);
        text.push_str("=\"");
        text.push_str(one.value.raw());
        text.push('"');
    }
    Some(text)
}

/// The labels of one pmcd's metrics.
#[derive(Debug, Default)]
pub(super) struct Labels {
    context: Option<Rc<[u8]>>,
    domains: HashMap<u16, Rc<[u8]>>,
    indoms: HashMap<InDom, Rc<[u8]>>,
    clusters: HashMap<u32, Rc<[u8]>>,
    members: HashMap<InDom, Members>,
    groups: Vec<Group>,
    places: HashMap<Key, usize>,
    /// How many texts were made.
    pub(super) made: u64,
}

/// What metrics have in common whose series have the same labels.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    indom: InDom,
    domain: u16,
    cluster: Rc<[u8]>,
    metric: Rc<[u8]>,
}

#[derive(Debug)]
struct Group {
    key: Key,
    texts: HashMap<i32, Rc<Text>>,
}

/// The instances of a domain.
#[derive(Debug, Default)]
struct Members {
    all: HashMap<i32, Member>,
    /// How often the names, and the labels, were read.
    round: (u64, u64),
    /// When they were last read.
    read: Option<Instant>,
}

#[derive(Debug)]
struct Member {
    name: Box<str>,
    labels: Box<[u8]>,
    /// The last round that had it, of names and of labels.
    round: (u64, u64),
    /// It is not what texts were made of.
    is_other: bool,
}

/// What a set of labels belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Owner {
    Context,
    Domain(u16),
    InDom(InDom),
    Cluster(Pmid),
}

impl Labels {
    /// Drops all of it.
    pub(super) fn forget(&mut self) {
        *self = Self { made: self.made, ..Self::default() };
    }

    /// Whether this set was read, be it empty.
    pub(super) fn knows(&self, owner: Owner) -> bool {
        match owner {
            Owner::Context => self.context.is_some(),
            Owner::Domain(domain) => self.domains.contains_key(&domain),
            Owner::InDom(indom) => self.indoms.contains_key(&indom),
            Owner::Cluster(pmid) => self.clusters.contains_key(&cluster(pmid)),
        }
    }

    /// Keeps a set.
    pub(super) fn learn(&mut self, owner: Owner, json: Rc<[u8]>) {
        match owner {
            Owner::Context => self.context = Some(json),
            Owner::Domain(domain) => _ = self.domains.insert(domain, json),
            Owner::InDom(indom) => _ = self.indoms.insert(indom, json),
            Owner::Cluster(pmid) => _ = self.clusters.insert(cluster(pmid), json),
        }
    }

    /// The group of a metric whose own labels are these.
    pub(super) fn group(&mut self, pmid: Pmid, indom: InDom, metric: &Rc<[u8]>) -> usize {
        let cluster = self.clusters.get(&cluster(pmid)).cloned().unwrap_or_default();
        let key = Key { indom, domain: pmid.domain(), cluster, metric: Rc::clone(metric) };
        if let Some(place) = self.places.get(&key) {
            return *place;
        }
        let place = self.groups.len();
        self.groups.push(Group { key: key.clone(), texts: HashMap::new() });
        self.places.insert(key, place);
        place
    }

    /// The labels of an instance in a group; `None` where the instance has no name yet.
    pub(super) fn text(&mut self, group: usize, inst: i32) -> Option<Rc<Text>> {
        let Group { key, texts } = self.groups.get_mut(group)?;
        let inst = if key.indom == InDom::NULL { IN_NULL } else { inst };
        if let Some(text) = texts.get(&inst) {
            return Some(Rc::clone(text));
        }
        let member =
            if key.indom == InDom::NULL { None } else { Some(self.members.get(&key.indom)?.all.get(&inst)?) };
        let of = |set: Option<&Rc<[u8]>>| set.map_or_else(Rc::default, Rc::clone);
        let (context, domain) = (of(self.context.as_ref()), of(self.domains.get(&key.domain)));
        let indom = of(self.indoms.get(&key.indom));
        let sets = [&context[..], &domain[..], &indom[..], &key.cluster[..], &key.metric[..]];
        let own =
            member.map(|member| Instance { id: inst, name: member.name.as_bytes(), labels: &member.labels });
        let mut text = Vec::with_capacity(TYPICAL);
        merge(&sets, own, &mut |piece| text.extend_from_slice(piece));
        self.made = self.made.saturating_add(1);
        let text = Rc::new(Text::from(String::from_utf8_lossy(&text).into_owned()));
        texts.insert(inst, Rc::clone(&text));
        Some(text)
    }

    /// Takes the names of a domain's instances, all of them.
    pub(super) fn name_members(&mut self, indom: InDom, instances: &Instances<'_>) {
        let members = self.members.entry(indom).or_default();
        members.round.0 = members.round.0.wrapping_add(1);
        let round = members.round.0;
        for entry in instances.iter() {
            let name = String::from_utf8_lossy(entry.name);
            match members.all.get_mut(&entry.inst) {
                Some(member) => {
                    if *member.name != *name {
                        (member.name, member.is_other) = (name.into(), true);
                    }
                    member.round.0 = round;
                }
                None => {
                    let (name, labels) = (name.into(), Box::default());
                    let member = Member { name, labels, round: (round, 0), is_other: false };
                    members.all.insert(entry.inst, member);
                }
            }
        }
    }

    /// Takes the labels of a domain's instances, of all that have any.
    pub(super) fn label_members(&mut self, indom: InDom, sets: Option<&Sets<'_>>) {
        let members = self.members.entry(indom).or_default();
        members.round.1 = members.round.1.wrapping_add(1);
        let round = members.round.1;
        for set in sets.into_iter().flat_map(|sets| sets.iter()) {
            if let Some(member) = members.all.get_mut(&set.inst()) {
                if *member.labels != *set.json() {
                    (member.labels, member.is_other) = (set.json().into(), true);
                }
                member.round.1 = round;
            }
        }
        for member in members.all.values_mut() {
            if member.round.1 != round && !member.labels.is_empty() {
                (member.labels, member.is_other) = (Box::default(), true);
            }
        }
    }

    /// Whether the instances of a domain were read so long ago that some may be called otherwise now.
    pub(super) fn is_old(&self, indom: InDom, now: Instant) -> bool {
        let read = self.members.get(&indom).and_then(|members| members.read);
        read.is_some_and(|read| now >= read.saturating_add(FRESH))
    }

    /// Drops who is gone, and the texts that are no longer true; whether there were any of the latter.
    pub(super) fn settle(&mut self, indom: InDom, now: Instant) -> bool {
        let Some(members) = self.members.get_mut(&indom) else { return false };
        members.read = Some(now);
        let round = members.round.0;
        members.all.retain(|_, member| member.round.0 == round);
        let mut is_other = false;
        for group in self.groups.iter_mut().filter(|group| group.key.indom == indom) {
            group.texts.retain(|inst, _| match members.all.get(inst) {
                Some(member) => {
                    is_other |= member.is_other;
                    !member.is_other
                }
                None => false,
            });
            if group.texts.capacity() > ROOMY && group.texts.len() < group.texts.capacity() / 4 {
                group.texts.shrink_to_fit();
            }
        }
        for member in members.all.values_mut() {
            member.is_other = false;
        }
        is_other
    }
}

impl Owner {
    /// The level, and whose labels they are, as the protocol has both.
    pub(super) fn asked(self) -> (u32, u32) {
        match self.alike() {
            Self::Context => (label::CONTEXT, u32::MAX),
            Self::Domain(domain) => (label::DOMAIN, domain.into()),
            Self::InDom(indom) => (label::INDOM, indom.to_bits()),
            Self::Cluster(pmid) => (label::CLUSTER, pmid.to_bits()),
        }
    }

    /// The same for all metrics of a cluster.
    pub(super) const fn alike(self) -> Self {
        match self {
            Self::Cluster(pmid) => Self::Cluster(Pmid::from_bits(pmid.to_bits() & !ITEM)),
            other => other,
        }
    }
}

/// The cluster of a metric, with its domain.
const fn cluster(pmid: Pmid) -> u32 {
    pmid.to_bits() >> 10
}

/// The bits of a metric's number that are its place in the cluster.
const ITEM: u32 = 0x3ff;
/// So long the names of instances, and their labels, are held for true where nothing says that they are not.
const FRESH: Duration = Duration::from_secs(60);
/// Bytes of most texts.
const TYPICAL: usize = 160;
/// Smaller tables are not worth shrinking.
const ROOMY: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_lose_their_humps_and_none_its_place() {
        let texts = |plain: &str| {
            let text = Text::from(plain.to_owned());
            assert_eq!(text.in_naming(Naming::Pcp), plain);
            text.in_naming(Naming::Prometheus).to_owned()
        };
        assert_eq!(texts(r#"a="x\"Y",b_c="d""#), r#"a="x\"Y",b_c="d""#);
        assert_eq!(texts(r#"aB="fooBar",HTTPCode="1",b="d\\""#), r#"a_b="fooBar",HTTPCode="1",b="d\\""#);
        assert_eq!(texts(r#"aB="1",a_b="2""#), r#"a_b_="1",a_b="2""#);
        assert_eq!(texts(r#"aBc="1",aBC="2""#), r#"a_bc="1",a_bc_="2""#);
        assert_eq!(texts(r#"le="1",quantile="2",title="3""#), r#"le_="1",quantile_="2",title="3""#);
    }
}
