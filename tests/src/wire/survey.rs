//! All that can be asked of an agent, found by asking.

use pmbridge_core::{
    pcp::{Desc, Pmid, label},
    pdu::{self, Kind, desc, pmns},
};

use super::pcp;

/// Asks these on one connection, and gives all answers.
pub type Ask<'a> = &'a mut dyn FnMut(&[Vec<u8>]) -> Vec<Vec<u8>>;

/// A PCP client's requests about all metrics with such names, one of each kind: what a conversation says after its
/// challenge, which is the answer to the first of them, that is empty.
pub fn survey(ask: Ask<'_>, is_wanted: &dyn Fn(&str) -> bool) -> Vec<Vec<u8>> {
    let greeting = pcp::credentials();
    let mut after_greeting = |request: &[u8]| -> Vec<u8> {
        let mut answers = ask(&[Vec::new(), [&greeting[..], request].concat()]);
        answers.pop().expect("an answer")
    };
    // The first fetch makes the agent scrape its neighbours, whose names it knows from then on.
    let first: Vec<Pmid> = (1..4).filter_map(|cluster| Pmid::new(DOMAIN, cluster, 0)).collect();
    after_greeting(&pcp::fetch(Kind::FETCH, &first));
    let names = names_in(&after_greeting(&pcp::names("")));
    let names: Vec<&str> = names.iter().map(String::as_str).filter(|name| is_wanted(name)).collect();
    let answer = after_greeting(&pcp::ids(&names));
    let pmids: Vec<Pmid> = pmns::Ids::parse(body(&answer)).expect("ids").pmids.iter().collect();
    let answer = after_greeting(&pcp::descs(&pmids));
    let descs: Vec<Desc> = desc::Descs::parse(body(&answer)).expect("descriptors").iter().flatten().collect();
    assert_eq!(descs.len(), pmids.len(), "each metric has a descriptor");
    let mut requests = vec![Vec::new(), [greeting, pcp::names("")].concat(), pcp::children("")];
    requests.extend([pcp::ids(&names), pcp::descs(&pmids)]);
    requests.push(pcp::labels(u32::MAX, label::CONTEXT));
    for desc in &descs {
        let (pmid, indom) = (desc.pmid, desc.indom);
        requests.extend([pcp::desc(pmid), pcp::text(pmid), pcp::labels(pmid.to_bits(), label::ITEM)]);
        requests.extend([pcp::instances(indom), pcp::labels(indom.to_bits(), label::INSTANCES)]);
        requests.push(pcp::fetch(Kind::FETCH, &[pmid]));
    }
    requests.push(pcp::fetch(Kind::FETCH, &pmids));
    requests.push(pcp::fetch(Kind::HIGHRES_FETCH, &pmids));
    requests
}

fn body(answer: &[u8]) -> &[u8] {
    pdu::split(answer).expect("a PDU").expect("a whole one").1
}

fn names_in(answer: &[u8]) -> Vec<String> {
    let names = pmns::Names::parse(body(answer)).expect("names");
    names.iter().map(|name| String::from_utf8_lossy(name.name).into_owned()).collect()
}

/// The domain of an agent's metrics.
const DOMAIN: u16 = 144;
/// What the neighbour serves: one of each sort.
pub const PAGE: &str = "\
# HELP temp_celsius How warm it is.
# TYPE temp_celsius gauge
temp_celsius{sensor=\"cpu\"} 36.6
temp_celsius{sensor=\"board\"} -4
temp_celsius{sensor=\"a \\\"quoted\\\" one\"} 1e3
# TYPE turns counter
turns_total 12345678901
# TYPE wait_seconds histogram
wait_seconds_bucket{le=\"0.1\"} 3
wait_seconds_bucket{le=\"1\"} 5
wait_seconds_bucket{le=\"+Inf\"} 8
wait_seconds_sum 9.75
wait_seconds_count 8
";
