//! What a PCP client says, and how it takes what it hears.

use pmbridge_core::{
    pcp::Pmid,
    pdu::{self, Kind, Pmids, creds, fetch, pmns, result::Results},
    wire::Writer,
};
use smoltcp::iface::SocketHandle;

use super::{PCP, Rig};

fn emitted(emit: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut bytes = vec![0; 16_384];
    let mut w = Writer::new(&mut bytes);
    emit(&mut w);
    let len = w.written();
    bytes.truncate(len);
    bytes
}

/// Asks for the PMID of a name.
pub fn name(name: &str) -> Vec<u8> {
    names(&[name])
}

/// Asks for the PMIDs of names.
pub fn names(all: &[&str]) -> Vec<u8> {
    let len = pmns::NamesHead::LEN + all.iter().map(|name| pmns::Name::len(name.len(), false)).sum::<u32>();
    let strings = all.iter().map(|name| pmns::string_len(name.len())).sum();
    emitted(|w| {
        pmns::NamesHead { len, strings, statuses: 0, count: i32::try_from(all.len()).unwrap() }.emit(0, w);
        all.iter().for_each(|name| pmns::Name { status: None, name: name.as_bytes() }.emit(w));
    })
}

/// Says who it is.
pub fn credentials() -> Vec<u8> {
    emitted(|w| creds::Creds { version: 2, flags: creds::Features::NONE }.emit(7, w))
}

/// Asks what a metric is.
pub fn describing(pmid: Pmid) -> Vec<u8> {
    emitted(|w| w.words([16, Kind::DESC_REQ.0, 0, pmid.to_bits()]))
}

/// Asks for values, of all instances.
pub fn fetching(pmids: &[Pmid]) -> Vec<u8> {
    let ids: Vec<u8> = pmids.iter().flat_map(|pmid| pmid.to_bits().to_be_bytes()).collect();
    emitted(|w| {
        w.words([28, Kind::PROFILE.0, 0, 0, 0, 0, 0]);
        fetch::Fetch { kind: Kind::FETCH, context: 0, pmids: Pmids::new(&ids) }.emit(0, w);
    })
}

/// The number of values of each metric of a result, or its error; and the first value's bits.
pub fn values(answer: &[u8]) -> Vec<(i32, Option<u64>)> {
    let (header, body, _) = pdu::split(answer).unwrap().unwrap();
    let results = Results::parse(header.kind, body).unwrap();
    results
        .iter()
        .map(|set| {
            let first = set.values().next().map(|value| {
                let in_situ = u64::from(value.word);
                if set.is_in_situ() { in_situ } else { results.block(value.word).unwrap().long().unwrap() }
            });
            (set.head.count, first)
        })
        .collect()
}

impl Rig {
    /// A client that has said who it is.
    pub fn client(&mut self) -> SocketHandle {
        let client = self.peer.connect(PCP, 8192);
        let challenge = self.hear(client, 2000);
        assert_eq!(challenge.len(), 20, "{challenge:?}");
        self.peer.get(client).send_slice(&credentials()).unwrap();
        client
    }

    /// The answer of the agent, or what came of it in so many milliseconds.
    pub fn hear(&mut self, client: SocketHandle, millis: u64) -> Vec<u8> {
        let mut answer = Vec::new();
        self.until(millis, |rig| {
            answer.extend(rig.peer.take(client));
            matches!(pdu::split(&answer), Ok(Some((_, _, len))) if len == answer.len())
        });
        answer
    }

    /// Asks in pieces of so many bytes, and hears the answer.
    pub fn ask(&mut self, client: SocketHandle, request: &[u8], size: usize) -> Vec<u8> {
        for piece in request.chunks(size) {
            self.peer.get(client).send_slice(piece).unwrap();
            if size < request.len() {
                self.turn();
            }
        }
        self.hear(client, 8000)
    }

    /// The PMID of a name.
    pub fn pmid(&mut self, client: SocketHandle, of: &str) -> Pmid {
        let answer = self.ask(client, &name(of), 4096);
        let (_, body, _) = pdu::split(&answer).unwrap().unwrap();
        pmns::Ids::parse(body).unwrap().pmids.at(0).unwrap()
    }

    /// The values of a metric, one for each instance; and the first of them.
    pub fn fetch(&mut self, client: SocketHandle, of: &[Pmid]) -> Vec<(i32, Option<u64>)> {
        let answer = self.ask(client, &fetching(of), 4096);
        values(&answer)
    }
}
