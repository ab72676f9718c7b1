//! A client, the bridge and a neighbour on one wire in one process, with a clock that the test turns.
#![expect(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "a test may panic, and does so where a law is broken"
)]

use pmbridge_core::{
    pcp::{Pmid, Semantics, Type, Units},
    pdu::{self, Kind, Pmids, creds, error, fetch, pmns, result::Results},
    store::{Declaration, Instance, Instances, Published, SourceId, Store},
    time::{Instant, Timestamp},
    wire::Writer,
};
use pmbridge_embedded::{
    Bridge, Target,
    memory::{CLIENTS, Memory, RX, TX},
};
use smoltcp::{
    iface::{Config, Interface, SocketHandle, SocketSet},
    phy::{Loopback, Medium},
    socket::tcp::{Socket, SocketBuffer},
    wire::{EthernetAddress, IpAddress, IpCidr, IpEndpoint},
};

const HERE: IpAddress = IpAddress::v4(10, 0, 0, 1);
const PCP: u16 = 44_321;
const HTTP: u16 = 9100;
const REQUEST: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n";

/// A wire with everybody on it.
struct Wire {
    device: Loopback,
    iface: Interface,
    sockets: SocketSet<'static>,
    client: SocketHandle,
    neighbour: SocketHandle,
    bridge: Bridge,
    store: Store<Memory>,
    target: Target<'static>,
    /// What the neighbour answers, if it does.
    document: Option<&'static str>,
    millis: u64,
}

fn socket(sockets: &mut SocketSet<'static>) -> SocketHandle {
    sockets.add(Socket::new(SocketBuffer::new(vec![0; RX]), SocketBuffer::new(vec![0; TX])))
}

impl Wire {
    fn new(document: Option<&'static str>) -> Self {
        let mut device = Loopback::new(Medium::Ethernet);
        let config = Config::new(EthernetAddress([2, 0, 0, 0, 0, 1]).into());
        let mut iface = Interface::new(config, &mut device, smoltcp::time::Instant::ZERO);
        iface.update_ip_addrs(|all| all.push(IpCidr::new(HERE, 8)).unwrap());
        let mut sockets = SocketSet::new(Vec::new());
        let bridge = Bridge::new(PCP, [(); CLIENTS].map(|()| socket(&mut sockets)));
        let (client, neighbour) = (socket(&mut sockets), socket(&mut sockets));
        let mut store = Store::new(Memory::new(), 144, 1);
        store.set_root("pmbridge").unwrap();
        let own = store.add_source("own", "", Some(0)).unwrap();
        publish(&mut store, own);
        let source = store.add_source("n", "source=\"n\"", Some(1)).unwrap();
        let to = socket(&mut sockets);
        let target = Target::new(to, source, IpEndpoint::new(HERE, HTTP), REQUEST);
        Self { device, iface, sockets, client, neighbour, bridge, store, target, document, millis: 0 }
    }

    fn tick(&mut self) {
        self.millis += 10;
        let neighbour = self.sockets.get_mut::<Socket<'_>>(self.neighbour);
        // smoltcp has no backlog: one that is done listens again at once.
        if !neighbour.is_active() && !neighbour.is_listening() && self.document.is_some() {
            neighbour.abort();
            neighbour.listen(HTTP).unwrap();
        }
        let (now, wall) = (Instant::from_millis(self.millis), Timestamp { secs: 1, nanos: 0 });
        let stack = (&mut self.iface, &mut self.device, &mut self.sockets);
        self.bridge.poll(&mut self.store, core::slice::from_mut(&mut self.target), stack, (now, wall));
        let neighbour = self.sockets.get_mut::<Socket<'_>>(self.neighbour);
        if neighbour.can_recv() {
            neighbour.recv(|request| (request.len(), assert_eq!(request, REQUEST))).unwrap();
            let answer = format!("HTTP/1.1 200 OK\r\n\r\n{}", self.document.unwrap());
            neighbour.send_slice(answer.as_bytes()).unwrap();
            neighbour.close();
        }
    }

    fn connect(&mut self, port: u16) {
        let client = self.sockets.get_mut::<Socket<'_>>(self.client);
        client.connect(self.iface.context(), IpEndpoint::new(HERE, PCP), port).unwrap();
    }

    /// Sends a request byte by byte or whole, and takes the answer.
    fn ask(&mut self, request: &[u8], size: usize) -> Vec<u8> {
        let (mut rest, mut answer) = (request, Vec::new());
        for _ in 0..2000 {
            self.tick();
            let client = self.sockets.get_mut::<Socket<'_>>(self.client);
            if client.may_send() && !rest.is_empty() {
                let (now, later) = rest.split_at(size.min(rest.len()));
                let sent = client.send_slice(now).unwrap();
                rest = if sent == now.len() { later } else { rest.get(sent..).unwrap() };
            }
            if client.can_recv() {
                client.recv(|bytes| (bytes.len(), answer.extend_from_slice(bytes))).unwrap();
            }
            if let Some((_, _, len)) = pdu::split(&answer).unwrap() {
                assert_eq!(len, answer.len());
                return answer;
            }
        }
        answer
    }
}

fn publish(store: &mut Store<Memory>, own: SourceId) {
    let declaration = Declaration {
        name: "pmbridge.uptime",
        help: "Seconds since the start.",
        kind: Type::U32,
        semantics: Semantics::COUNTER,
        units: Units::NONE,
        instances: Instances::One,
        item: None,
        storable: false,
        aside: false,
    };
    let metric = store.declare(own, &declaration).unwrap();
    store.publish(metric, Instance::ONE, Published::Bits(42)).unwrap();
}

fn emitted(emit: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut bytes = vec![0; 512];
    let mut w = Writer::new(&mut bytes);
    emit(&mut w);
    let len = w.written();
    bytes.truncate(len);
    bytes
}

fn name(name: &str) -> Vec<u8> {
    let len = pmns::NamesHead::LEN + pmns::Name::len(name.len(), false);
    emitted(|w| {
        pmns::NamesHead { len, strings: pmns::string_len(name.len()), statuses: 0, count: 1 }.emit(0, w);
        pmns::Name { status: None, name: name.as_bytes() }.emit(w);
    })
}

fn credentials() -> Vec<u8> {
    emitted(|w| creds::Creds { version: 2, flags: creds::Features::NONE }.emit(7, w))
}

fn fetching(pmids: [Pmid; 2]) -> Vec<u8> {
    let ids: Vec<u8> = pmids.iter().flat_map(|pmid| pmid.to_bits().to_be_bytes()).collect();
    emitted(|w| {
        w.words([28, Kind::PROFILE.0, 0, 0, 0, 0, 0]);
        fetch::Fetch { kind: Kind::FETCH, context: 0, pmids: Pmids::new(&ids) }.emit(0, w);
    })
}

#[test]
fn a_client_asks_and_a_neighbour_is_scraped_for_it() {
    for size in [1, 5, 512] {
        let mut wire = Wire::new(Some("temp 36.6\n"));
        wire.connect(50_000);
        let challenge = wire.ask(b"", size);
        let (_, body, _) = pdu::split(&challenge).unwrap().unwrap();
        assert_eq!(error::Challenge::parse(body).unwrap().version, 2);

        let answer = wire.ask(&[credentials(), name("pmbridge.n.temp")].concat(), size);
        let (_, body, _) = pdu::split(&answer).unwrap().unwrap();
        let temp = pmns::Ids::parse(body).unwrap().pmids.at(0).unwrap();
        assert_eq!(temp, Pmid::new(144, 1, 0).unwrap());

        for _ in 0..3 {
            let answer = wire.ask(&fetching([temp, Pmid::new(144, 0, 0).unwrap()]), size);
            let (header, body, _) = pdu::split(&answer).unwrap().unwrap();
            let results = Results::parse(header.kind, body).unwrap();
            let words: Vec<_> = results.iter().map(|set| set.values().next().unwrap().word).collect();
            let bits = words.first().and_then(|at| results.block(*at)).unwrap().long();
            assert_eq!((bits, words.last()), (Some(36.6f64.to_bits()), Some(&42)));
        }
    }
}

#[test]
fn a_silent_neighbour_costs_its_own_metrics_only() {
    let mut wire = Wire::new(None);
    wire.connect(50_000);
    wire.ask(b"", 512);
    let answer = wire.ask(&[credentials(), name("pmbridge.uptime")].concat(), 512);
    let (_, body, _) = pdu::split(&answer).unwrap().unwrap();
    let uptime = pmns::Ids::parse(body).unwrap().pmids.at(0).unwrap();
    let answer = wire.ask(&fetching([Pmid::new(144, 1, 0).unwrap(), uptime]), 512);
    let (header, body, _) = pdu::split(&answer).unwrap().unwrap();
    let sets: Vec<_> = Results::parse(header.kind, body).unwrap().iter().map(|set| set.head.count).collect();
    assert!(matches!(*sets, [..0, 1]), "{sets:?}");
}

#[test]
fn a_client_that_asks_too_much_is_dropped_and_the_next_is_served() {
    let mut wire = Wire::new(Some("temp 1\n"));
    wire.connect(50_000);
    wire.ask(b"", 512);
    let long = [&[0, 0, 8, 0, 0, 0, 0x70, 0x0e][..], &[0; 2040]].concat();
    assert_eq!(wire.ask(&[credentials(), long].concat(), 512), b"");
    assert!(!wire.sockets.get::<Socket<'_>>(wire.client).is_active());
    wire.connect(50_001);
    assert_eq!(wire.ask(b"", 512).len(), 20);
}
