//! Clients, readers, neighbours and the agent on one wire in one process, with a clock that the test turns.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic, and does so where a law is broken"
)]

mod rig;

use pmbridge_core::{
    pcp::Pmid,
    pdu::{self, pmns},
};
use pmbridge_embedded::{
    Agent, Memory, Settings,
    metrics::{Metric, Units, metrics},
    time::Timestamp,
};
use rig::{HTTP, PCP, Rig, SETTINGS, neighbour};
use smoltcp::{
    socket::tcp::State,
    wire::{IpProtocol, Ipv4Packet, UdpPacket},
};

metrics! {
    static TABLE;

    static UPTIME: Metric<u64> = Metric::counter("device.uptime", "Seconds since boot.").units(Units::SECOND);
    static TEMPERATURE: Metric<f64, 2> =
        Metric::gauge("sensor.temperature", "Degrees Celsius.").instances("sensor", &["cpu", "board"]);
}

const OPEN: &str = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";

fn with_neighbours(neighbours: &'static [pmbridge_embedded::Neighbour]) -> Settings {
    Settings { neighbours, ..SETTINGS }
}

#[test]
fn a_device_says_the_same_in_both_protocols() {
    let mut rig = Rig::new(TABLE, &SETTINGS);
    UPTIME.set(0, 42);
    TEMPERATURE.set(1, 36.6);
    let client = rig.client();
    let (uptime, temperature) = (rig.pmid(client, "device.uptime"), rig.pmid(client, "sensor.temperature"));
    let values = rig.fetch(client, &[uptime, temperature]);
    assert_eq!(values, [(1, Some(42)), (2, Some(0f64.to_bits()))]);
    let text = rig.page("text/plain");
    text.check();
    assert!(text.head.contains("version=0.0.4"), "{}", text.head);
    assert_eq!(text.value("device_uptime_seconds_total"), Some("42"));
    assert_eq!(text.value("sensor_temperature{sensor=\"board\"}"), Some("36.6"));
    assert_eq!(text.value("pmbridge_clients"), Some("1"));
    let open = rig.page(OPEN);
    open.check();
    assert!(open.head.contains("application/openmetrics-text"), "{}", open.head);
    assert!(open.body.ends_with("# EOF\n"));
    assert_eq!(open.value("device_uptime_seconds_total"), Some("42"));
}

#[test]
fn there_is_one_page_and_a_sign_of_life() {
    let mut rig = Rig::new(TABLE, &SETTINGS);
    let reader = rig.reader(4096);
    let head = rig.request(reader, "HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(head.status == 200 && head.head.contains("chunked"), "{head:?}");
    let healthy = rig.request(reader, "GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!((healthy.status, healthy.body.as_str()), (200, "pmbridge is healthy.\n"));
    assert_eq!(rig.request(reader, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").status, 404);
    assert_eq!(
        rig.request(reader, "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").status,
        405
    );
    // A head of a kilobyte is read, one that is longer than the buffer is refused.
    let long = format!("GET /metrics HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(900));
    assert_eq!(rig.request(reader, &long).status, 200);
    let longer = format!("GET /metrics HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(2000));
    assert_eq!(rig.request(reader, &longer).status, 431);
}

#[test]
fn a_neighbour_is_scraped_for_who_asks_however_a_request_is_cut() {
    static NEIGHBOURS: [pmbridge_embedded::Neighbour; 1] = [neighbour("n", 9101)];
    for size in [1, 5, 512] {
        let mut rig = Rig::new(TABLE, &with_neighbours(&NEIGHBOURS));
        rig.serve(9101, "# TYPE temp gauge\ntemp{at=\"in\"} 36.6\ntemp{at=\"out\"} -1\n");
        rig.pass(50);
        let client = rig.client();
        let temperature = rig.pmid(client, "openmetrics.n.temp");
        for round in 1..4 {
            let answer = rig.ask(client, &rig::pcp::fetching(&[temperature]), size);
            assert_eq!(rig::pcp::values(&answer), [(2, Some(36.6f64.to_bits()))], "{size}");
            assert_eq!(rig.servers[0].asked, 1 + round, "once at the start, and for each question");
        }
        let page = rig.page("text/plain");
        assert_eq!(page.value("temp{at=\"in\"}"), Some("36.6"), "{}", page.body);
        assert_eq!(page.value("pmbridge_source_up{instname=\"n\"}"), Some("1"), "{}", page.body);
        assert_eq!(rig.servers[0].asked, 5);
    }
}

#[test]
fn a_silent_neighbour_costs_its_own_metrics_and_one_question_its_time() {
    static NEIGHBOURS: [pmbridge_embedded::Neighbour; 2] = [neighbour("mute", 9101), neighbour("n", 9102)];
    let mut rig = Rig::new(TABLE, &with_neighbours(&NEIGHBOURS));
    rig.serve(9101, "temp 1\n");
    rig.serve(9102, "temp 2\n");
    rig.pass(100);
    let client = rig.client();
    let (mute, n) = (rig.pmid(client, "openmetrics.mute.temp"), rig.pmid(client, "openmetrics.n.temp"));
    let uptime = rig.pmid(client, "device.uptime");
    // It answers no segment any more.
    let silent = rig.servers.remove(0);
    rig.peer.get(silent.handle).abort();
    rig.pass(10);
    rig.peer.sockets.remove(silent.handle);
    let values = |rig: &mut Rig| {
        let before = rig.millis;
        let counts: Vec<_> = rig.fetch(client, &[mute, n, uptime]).iter().map(|value| value.0).collect();
        (counts, rig.millis - before)
    };
    let (counts, first) = values(&mut rig);
    assert!(counts[0] <= 0 && counts[1..] == [1, 1], "{counts:?}");
    assert!(first < 4000, "{first}");
    let (counts, second) = values(&mut rig);
    assert!(counts[0] <= 0 && counts[1..] == [1, 1], "{counts:?}");
    assert!(second < 100, "{second}");
    // It comes back by itself.
    rig.serve(9101, "temp 3\n");
    rig.pass(5000);
    let values = rig.fetch(client, &[mute]);
    assert_eq!(values, [(1, Some(3f64.to_bits()))]);
}

#[test]
fn a_neighbour_that_sends_for_ever_costs_its_own_scrape() {
    static NEIGHBOURS: [pmbridge_embedded::Neighbour; 1] = [neighbour("n", 9101)];
    let mut rig = Rig::new(TABLE, &with_neighbours(&NEIGHBOURS));
    rig.serve(9101, &"x".repeat(100 << 20));
    let client = rig.client();
    let uptime = rig.pmid(client, "device.uptime");
    assert_eq!(rig.fetch(client, &[uptime])[0].0, 1);
    rig.pass(5000);
    assert!(rig.agent.stats().failures >= 1);
    assert_eq!(rig.fetch(client, &[uptime])[0].0, 1);
}

#[test]
fn what_has_no_room_is_refused_and_counted() {
    static NEIGHBOURS: [pmbridge_embedded::Neighbour; 1] = [neighbour("n", 9101)];
    let mut rig = Rig::new(TABLE, &with_neighbours(&NEIGHBOURS));
    let lines = (0..1000).map(|n| format!("many{{number=\"{n}\"}} {n}\n"));
    let page = lines.chain([format!("long{{text=\"{}\"}} 1\n", "x".repeat(2000)), "last 7\n".into()]);
    rig.serve(9101, &page.collect::<String>());
    rig.pass(2000);
    let page = rig.page("text/plain");
    let number =
        |series: &str| page.value(series).unwrap_or_else(|| panic!("{}", page.body)).parse::<u64>().unwrap();
    assert_eq!(page.value("many{number=\"0\"}"), Some("0"));
    assert_eq!(page.value("many{number=\"999\"}"), None);
    assert_eq!(number("pmbridge_source_up{instname=\"n\"}"), 1);
    assert!(
        number("pmbridge_full_total{instname=\"series\"}") > 0
            || number("pmbridge_full_total{instname=\"bytes of text\"}") > 0
    );
    assert!(number("pmbridge_lines_refused_total") > 700);
    let kept = number("pmbridge_series");
    rig.pass(5000);
    // It stays so, however often.
    for _ in 0..5 {
        let page = rig.page(OPEN);
        assert_eq!(page.value("pmbridge_series"), Some(kept.to_string().as_str()));
    }
}

#[test]
fn the_longest_idle_client_makes_room() {
    let mut rig = Rig::new(TABLE, &SETTINGS);
    let clients: Vec<_> = (0..3)
        .map(|_| {
            rig.pass(100);
            rig.client()
        })
        .collect();
    let uptime = rig.pmid(clients[0], "device.uptime");
    // Nobody has been idle for long: the next one is refused.
    let refused = rig.peer.connect(PCP, 1024);
    rig.pass(1000);
    assert_eq!(rig.peer.get(refused).state(), State::Closed);
    assert_eq!(rig.agent.stats().refused, 1);
    rig.pass(50_000);
    assert_eq!(rig.fetch(clients[0], &[uptime])[0].0, 1);
    rig.pass(50_000);
    let next = rig.client();
    assert_eq!(rig.fetch(next, &[uptime])[0].0, 1);
    rig.pass(100);
    let there: Vec<_> = clients.iter().map(|client| rig.peer.is_up(*client)).collect();
    assert_eq!(there, [true, false, true]);
    assert_eq!(rig.agent.stats().evicted, 1);
    assert_eq!(rig.agent.stats().clients, 3);
}

#[test]
fn an_idle_client_stays_where_nobody_needs_its_place_and_a_dead_one_goes() {
    let mut rig = Rig::new(TABLE, &SETTINGS);
    let (idle, dead) = (rig.client(), rig.client());
    let uptime = rig.pmid(idle, "device.uptime");
    rig.pass(120_000);
    assert_eq!(rig.fetch(idle, &[uptime])[0].0, 1);
    assert_eq!(rig.agent.stats().clients, 2);
    rig.is_deaf = true;
    rig.is_mute = true;
    let _ = dead;
    rig.pass(60_000);
    assert_eq!(rig.agent.stats().clients, 0);
}

#[test]
fn who_says_nothing_or_half_of_it_is_not_waited_for() {
    let mut rig = Rig::new(TABLE, &SETTINGS);
    let mute = rig.peer.connect(PCP, 1024);
    let half = rig.client();
    rig.peer.get(half).send_slice(&[0, 0, 0, 60, 0, 0, 0x70, 0x10]).unwrap();
    let web = rig.reader(1024);
    rig.peer.get(web).send_slice(b"GET /metr").unwrap();
    rig.pass(9000);
    assert!(rig.peer.is_up(mute) && rig.peer.is_up(half) && rig.peer.is_up(web));
    rig.pass(3000);
    assert!(!rig.peer.is_up(mute) && !rig.peer.is_up(half) && !rig.peer.is_up(web));
    let said = rig.peer.take(web);
    assert!(said.starts_with(b"HTTP/1.1 408 "));
    rig.pass(10_000);
    assert_eq!((rig.agent.stats().clients, rig.agent.stats().readers), (0, 0));
}

#[test]
fn half_open_connections_end_and_meanwhile_make_room() {
    let mut rig = Rig::new(TABLE, &SETTINGS);
    // ARP first, so that the answers to the first segments are on the wire.
    let client = rig.client();
    rig.peer.get(client).abort();
    rig.pass(100);
    rig.is_deaf = true;
    let half: Vec<_> = (0..3).map(|_| rig.peer.connect(PCP, 1024)).collect();
    rig.pass(50);
    for handle in half {
        rig.peer.sockets.remove(handle);
    }
    rig.is_deaf = false;
    let early = rig.peer.connect(PCP, 1024);
    rig.pass(500);
    assert_eq!(rig.peer.get(early).state(), State::Closed, "none of them is old");
    rig.pass(1000);
    let client = rig.client();
    let uptime = rig.pmid(client, "device.uptime");
    assert_eq!(rig.fetch(client, &[uptime])[0].0, 1);
    rig.pass(5000);
    assert_eq!(rig.agent.stats().clients, 1);
}

#[test]
fn who_reads_slowly_is_dropped_and_meanwhile_others_are_served() {
    let mut rig = Rig::new(TABLE, &SETTINGS);
    let client = rig.client();
    let uptime = rig.pmid(client, "device.uptime");
    let slow = rig.reader(64);
    rig.peer.get(slow).send_slice(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    rig.pass(200);
    // The first who asks waits until it is dropped.
    for most in [1500, 100, 100, 100] {
        let before = rig.millis;
        assert_eq!(rig.fetch(client, &[uptime])[0].0, 1);
        assert!(rig.millis - before <= most, "{}", rig.millis - before);
        rig.pass(500);
    }
    assert!(!rig.peer.is_up(slow));
    assert_eq!(rig.agent.stats().timed_out, 1);
    assert_eq!(rig.fetch(client, &[uptime])[0].0, 1);
}

#[test]
fn who_reads_a_byte_now_and_then_does_not_hold_a_page_for_ever() {
    let mut rig = Rig::new(TABLE, &SETTINGS);
    let slow = rig.reader(64);
    rig.peer.get(slow).send_slice(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    for _ in 0..10 {
        rig.pass(2000);
        rig.peer.take(slow);
    }
    assert!(!rig.peer.is_up(slow));
}

#[test]
fn nonsense_ends_its_own_connection() {
    let mut rig = Rig::new(TABLE, &SETTINGS);
    let (good, bad) = (rig.client(), rig.client());
    let uptime = rig.pmid(good, "device.uptime");
    rig.peer.get(bad).send_slice(&[0xff; 600]).unwrap();
    rig.pass(100);
    assert!(!rig.peer.is_up(bad));
    assert_eq!(rig.agent.stats().out_of_step, 1);
    assert_eq!(rig.fetch(good, &[uptime, Pmid::from_bits(9)])[0].0, 1);
}

#[test]
fn connections_one_after_the_other_are_all_served() {
    let mut rig = Rig::new(TABLE, &SETTINGS);
    for round in 0..200 {
        let page = rig.page(if round % 2 == 0 { OPEN } else { "text/plain" });
        assert_eq!(page.status, 200);
    }
    assert_eq!((rig.agent.stats().refused, rig.agent.stats().requests), (0, 200));
    let _ = HTTP;
}

#[test]
fn the_agent_rests_when_there_is_nothing_to_do() {
    let mut rig = Rig::new(TABLE, &SETTINGS);
    rig.client();
    rig.page(OPEN);
    rig.pass(30_000);
    assert!(rig.most_polls < 40, "{}", rig.most_polls);
}

#[test]
fn who_says_that_nothing_is_to_be_done_has_done_it() {
    static NEIGHBOURS: [pmbridge_embedded::Neighbour; 2] = [neighbour("n", 9101), neighbour("gone", 9102)];
    let mut rig = Rig::new(TABLE, &with_neighbours(&NEIGHBOURS));
    rig.is_restless = true;
    let lines = (0..60).map(|n| format!("many{{number=\"{n}\"}} {n}\n"));
    let page = lines.collect::<String>();
    // It takes the next connection while the last one ends.
    (0..2).for_each(|_| rig.serve(9101, &page));
    for _ in 0..5 {
        let client = rig.client();
        let many = rig.pmid(client, "openmetrics.n.many");
        let slow = rig.reader(64);
        rig.peer.get(slow).send_slice(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        assert_eq!(rig.fetch(client, &[many])[0].0, 60);
        // More frames at once than it takes in one call.
        let others: Vec<_> = (0..20).map(|_| rig.peer.connect(PCP, 1024)).collect();
        assert_eq!(rig.page(OPEN).status, 200);
        others.into_iter().for_each(|other| rig.peer.get(other).abort());
        rig.peer.get(slow).abort();
        rig.peer.get(client).close();
        rig.pass(7000);
    }
}

#[test]
fn an_address_comes_by_dhcp_stays_while_it_is_lent_and_goes_with_the_lender() {
    static NEIGHBOURS: [pmbridge_embedded::Neighbour; 1] = [neighbour("n", 9101)];
    let settings = Settings { address: pmbridge_embedded::Address::Dhcp, ..with_neighbours(&NEIGHBOURS) };
    let mut rig = Rig::new(TABLE, &settings);
    rig.pass(3000);
    assert_eq!(rig.agent.address(), None);
    rig.dhcp = Some(rig::dhcp::Server::new(&mut rig.peer, 120));
    rig.serve(9101, "temp 36.6\n");
    assert!(rig.until(30_000, |rig| rig.agent.address().is_some()));
    assert_eq!(rig.agent.address(), Some(rig::AGENT.into()));
    let client = rig.client();
    let temperature = rig.pmid(client, "openmetrics.n.temp");
    assert_eq!(rig.fetch(client, &[temperature]), [(1, Some(36.6f64.to_bits()))]);
    rig.pass(300_000);
    assert_eq!(
        rig.fetch(client, &[temperature]),
        [(1, Some(36.6f64.to_bits()))],
        "lent anew, without a seam"
    );
    let lender = rig.dhcp.take();
    rig.pass(300_000);
    assert_eq!(rig.agent.address(), None);
    assert_eq!(rig.agent.stats().clients, 0);
    rig.dhcp = lender;
    rig.pass(30_000);
    let client = rig.client();
    assert_eq!(rig.fetch(client, &[temperature]), [(1, Some(36.6f64.to_bits()))]);
}

#[test]
fn a_client_may_ask_for_all_that_there_is_at_once() {
    static NEIGHBOURS: [pmbridge_embedded::Neighbour; 1] = [neighbour("n", 9101)];
    let settings = with_neighbours(&NEIGHBOURS);
    let mut rig = Rig::new(TABLE, &settings);
    let large = Box::leak(Box::new(Memory::<'_, 3, 2, 7, 5, 220, 300, 2048, 16_384>::new()));
    rig.agent = Agent::new(large, &mut rig.end, TABLE, &settings, rig::at(0)).unwrap();
    let page: String = (0..200).map(|n| format!("gauge_{n} {n}\n")).collect();
    rig.serve(9101, &page);
    rig.pass(100);
    let client = rig.client();
    let names: Vec<_> = (0..200).map(|n| format!("openmetrics.n.gauge_{n}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let answer = rig.ask(client, &rig::pcp::names(&names), 1000);
    let (_, body, _) = pdu::split(&answer).unwrap().unwrap();
    let ids = pmns::Ids::parse(body).unwrap();
    let pmids: Vec<_> = (0..200).map(|n| ids.pmids.at(n).unwrap()).collect();
    let values: Vec<_> = (0..200).map(|n| (1, Some(f64::from(n).to_bits()))).collect();
    assert_eq!(rig.fetch(client, &pmids), values);
}

#[test]
fn a_router_that_is_none_is_not_asked() {
    static NEIGHBOURS: [pmbridge_embedded::Neighbour; 1] = [neighbour("n", 9101)];
    let settings = Settings { address: pmbridge_embedded::Address::Dhcp, ..with_neighbours(&NEIGHBOURS) };
    for router in [[0, 0, 0, 0], [224, 0, 0, 1], [255, 255, 255, 255]] {
        let mut rig = Rig::new(TABLE, &settings);
        let mut server = rig::dhcp::Server::new(&mut rig.peer, 3600);
        // Nobody is on the same network, so that the way to each leads over the router.
        (server.mask, server.router) = ([255; 4].into(), router.into());
        rig.dhcp = Some(server);
        assert!(rig.until(30_000, |rig| rig.agent.address().is_some()));
        rig.peer.connect(44_321, 1024);
        rig.pass(5000);
        assert_eq!(rig.agent.address(), Some(rig::AGENT.into()));
    }
}

/// Lets a frame come from no address, as only one that asks for an address says.
fn hide(frame: &mut [u8]) {
    let Some(packet) = frame.get_mut(14..) else { return };
    let mut packet = Ipv4Packet::new_unchecked(packet);
    if packet.next_header() == IpProtocol::Udp {
        packet.set_src_addr(core::net::Ipv4Addr::UNSPECIFIED);
        packet.fill_checksum();
        UdpPacket::new_unchecked(packet.payload_mut()).set_checksum(0);
    }
}

#[test]
fn who_comes_from_no_address_is_not_heard_as_it_could_not_be_answered() {
    let settings = Settings { address: pmbridge_embedded::Address::Dhcp, ..SETTINGS };
    let mut rig = Rig::new(TABLE, &settings);
    rig.dhcp = Some(rig::dhcp::Server::new(&mut rig.peer, 60));
    rig.until(180_000, |rig| {
        rig.end.inbox.borrow_mut().iter_mut().for_each(|frame| hide(frame));
        false
    });
    assert_eq!(rig.agent.address(), None);
    assert!(rig.until(60_000, |rig| rig.agent.address().is_some()));
}

#[test]
fn what_is_none_is_no_setting() {
    use pmbridge_embedded::{Address, Agent, Error, memory};
    let at = |address, prefix, gateway| Settings {
        address: Address::Static { address, prefix, gateway },
        ..SETTINGS
    };
    let made = |settings: &Settings| {
        let memory = Box::leak(Box::new(memory::Standard::new()));
        Agent::new(memory, &mut rig::wire().0, TABLE, settings, rig::at(0)).map(|_| ())
    };
    for (settings, want) in [
        (Settings { mac: [1, 0, 0, 0, 0, 1], ..SETTINGS }, Error::Mac),
        (at([224, 0, 0, 1], 8, None), Error::Address),
        (at([10, 0, 0, 1], 33, None), Error::Address),
        (at([10, 0, 0, 1], 8, Some([0; 4])), Error::Address),
        (Settings { labels: "hostname=b", ..SETTINGS }, Error::Labels),
        (with_neighbours(&[const { neighbour("9x", 1) }]), Error::Name("9x")),
        (with_neighbours(&[const { neighbour("a", 1) }; 2]), Error::Twice("a")),
    ] {
        assert_eq!(made(&settings), Err(want));
    }
    assert_eq!(made(&at([10, 0, 0, 1], 8, Some([10, 0, 0, 2]))), Ok(()));
}

#[test]
fn what_a_page_calls_as_something_of_the_agents_is_no_metric_of_a_device() {
    use pmbridge_embedded::{Agent, Error, memory, metrics};
    static CAPITALS: Metric<u32> = Metric::gauge("PMBRIDGE.clients", "A page has none.");
    static HUMP: Metric<u32> = Metric::gauge("pmbridgeClients", "It is written apart.");
    static APART: Metric<u32> = Metric::counter("pmbridge_scrapes", "As a dot is written.");
    static EACH: Metric<u32> = Metric::gauge("pmbridgeSource.up", "Of no neighbour.");
    static OTHER: Metric<u32> = Metric::gauge("pm_bridge.clients", "Another one.");
    static NEIGHBOURS: [pmbridge_embedded::Neighbour; 1] = [neighbour("n", 9101)];
    let made = |entry| {
        let memory = Box::leak(Box::new(memory::Standard::new()));
        let table = Box::leak(Box::new([entry]));
        Agent::new(memory, &mut rig::wire().0, table, &with_neighbours(&NEIGHBOURS), rig::at(0)).map(|_| ())
    };
    for (metric, name) in [
        (&CAPITALS, "pmbridge.clients"),
        (&HUMP, "pmbridge.clients"),
        (&APART, "pmbridge.scrapes"),
        (&EACH, "pmbridge.source.up"),
    ] {
        assert_eq!(made(metric.entry()), Err(Error::Metrics(metrics::Error::Twice(name))));
    }
    assert_eq!(made(OTHER.entry()), Ok(()));
}

#[test]
fn who_has_had_its_page_is_in_nobodys_way_and_ends_well() {
    let mut rig = Rig::new(TABLE, &SETTINGS);
    let request = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let mut before = None;
    for _ in 0..10 {
        // Whoever came before has not closed its side.
        let reader = rig.peer.connect(HTTP, 4096);
        assert!(rig.until(30, |rig| rig.peer.is_up(reader)));
        assert_eq!(rig.request(reader, request).status, 200);
        assert!(rig.until(30, |rig| rig.peer.get(reader).state() == State::CloseWait));
        before = Some(reader);
    }
    assert_eq!(rig.agent.stats().refused, 0);
    let last = before.unwrap();
    rig.peer.get(last).close();
    assert!(
        rig.until(100, |rig| rig.peer.get(last).state() == State::Closed),
        "it gets its last acknowledgement"
    );
}

#[test]
fn who_comes_while_others_have_their_turns_is_no_part_of_who_was_there_before() {
    let mut rig = Rig::new(TABLE, &SETTINGS);
    let clients = [rig.client(), rig.client()];
    let uptime = rig.pmid(clients[0], "device.uptime");
    let fetch = rig::pcp::fetching(&[uptime]);
    let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    // One of the two places is taken, so that the other has one after the other.
    let other = rig.peer.connect(HTTP, 4096);
    assert!(rig.until(100, |rig| rig.peer.is_up(other)));
    let mut reader = rig.peer.connect(HTTP, 4096);
    let (mut page, mut is_asked, mut pages) = (Vec::new(), false, 0);
    for step in 0..4_000 {
        // One call of the agent, and the peer has said already all that it can say to that.
        rig.millis += u64::from(step % 10 == 0);
        let (now, wall) = (rig.now(), Timestamp { secs: 1_700_000_000, nanos: 0 });
        rig.agent.poll(&mut rig.end, now, wall);
        let at = smoltcp::time::Instant::from_millis(i64::try_from(rig.millis).unwrap());
        for _ in 0..3 {
            rig.peer.iface.poll(at, &mut rig.peer.end, &mut rig.peer.sockets);
            for client in clients {
                rig.peer.take(client);
                let socket = rig.peer.get(client);
                if socket.send_queue() == 0 {
                    socket.send_slice(&fetch).unwrap();
                }
            }
            page.extend(rig.peer.take(reader));
            let socket = rig.peer.get(reader);
            if socket.state() == State::Established && !is_asked {
                socket.send_slice(request).unwrap();
                is_asked = true;
            } else if socket.state() == State::CloseWait {
                assert!(
                    page.starts_with(b"HTTP/1.1 200"),
                    "page {pages}: {:?}",
                    String::from_utf8_lossy(&page)
                );
                socket.close();
                reader = rig.peer.connect(HTTP, 4096);
                (page, is_asked, pages) = (Vec::new(), false, pages + 1);
            }
        }
    }
    assert!(pages > 20, "{pages} pages");
}
