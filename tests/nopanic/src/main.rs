//! An image that links only where no panic is reachable from core.
//!
//! The panic handler calls a symbol that does not exist. Sections that nothing reaches are left out of the image, so
//! the symbol is missed only where some path leads to a panic. With the feature `control` one does.

#![no_std]
#![no_main]

mod page;
mod serial;

use core::hint::black_box;

use pmbridge_core::exposition::{self, Parser, number};
use pmbridge_core::http::{request::Get, response::location, server};
use pmbridge_core::mapping::Plain;
use pmbridge_core::pcp::{InDom, Pmid, Semantics, Type, Units};
use pmbridge_core::pdu::{
    self, Kind, attr, creds, desc, error, fetch, instance, label, pmns, profile, result, text,
};
use pmbridge_core::role::{
    Context, Role,
    agent::{Agent, Settings},
    client::{self, Answer, Ask, Client, Inquirer, OutOfStep},
    collector::Collector,
    document::Document,
    exporter::{self, Exporter, Page, Site},
    scraper::Scraper,
};
use pmbridge_core::store::{Declaration, Fixed, Instance, Instances, Published, Region, SourceId, Store};
use pmbridge_core::time::{Duration, Instant, Timestamp};
use pmbridge_core::wire::Writer;

unsafe extern "C" {
    safe fn a_panic_is_reachable() -> !;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    a_panic_is_reachable()
}

/// Reaches all of core with input that the compiler knows nothing of.
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    let mut input = [0_u8; 256];
    let mut output = [0_u8; 256];
    loop {
        black_box(&mut input);
        every_pdu(black_box(&input), black_box(&mut output));
        every_line(black_box(&input), black_box(&mut output));
        page::every_line(black_box(&input), black_box(&mut output));
        every_role(black_box(&input), black_box(&mut output));
        serial::every_line(black_box(&input), black_box(&mut output));
        serial::every_relay(black_box(&input), black_box(&mut output));
        every_request(black_box(&input), black_box(&mut output));
        every_question(black_box(&input), black_box(&mut output));
        #[cfg(feature = "control")]
        black_box(input[black_box(input.len())]);
    }
}

/// Parses whatever comes as whatever it says it is, and emits it again.
fn every_pdu(input: &[u8], output: &mut [u8]) {
    let Ok(Some((header, body, len))) = pdu::split(input) else { return };
    black_box(len);
    let mut w = Writer::resume(output, black_box(3));
    let from = header.from;
    macro_rules! again {
        ($parsed:expr) => {
            if let Ok(parsed) = black_box($parsed) {
                parsed.emit(from, &mut w);
            }
        };
    }
    match header.kind {
        Kind::PROFILE => again!(profile::Profile::parse(body)),
        Kind::FETCH | Kind::HIGHRES_FETCH => again!(fetch::Fetch::parse(header.kind, body)),
        Kind::RESULT | Kind::HIGHRES_RESULT => again!(result::Results::parse(header.kind, body)),
        Kind::INSTANCE_REQ => again!(instance::Request::parse(body)),
        Kind::INSTANCE => again!(instance::Instances::parse(body)),
        Kind::LABEL_REQ => again!(label::Request::parse(body)),
        Kind::LABEL => again!(label::Labels::parse(body)),
        Kind::PMNS_NAMES => again!(pmns::Names::parse(body)),
        Kind::PMNS_IDS => again!(pmns::Ids::parse(body)),
        Kind::PMNS_CHILD => again!(pmns::Child::parse(body)),
        Kind::PMNS_TRAVERSE => again!(pmns::Traverse::parse(body)),
        Kind::TEXT_REQ => again!(text::Request::parse(body)),
        _ => {}
    }
    let _ = black_box((
        creds::Creds::parse(body),
        error::Report::parse(body),
        error::Challenge::parse(body),
        desc::Request::parse(body),
    ));
    let _ = black_box((attr::Attr::parse(body), text::Text::parse(body), desc::Reply::parse(body)));
    let _ = black_box((desc::DescIds::parse(body), desc::Descs::parse(body)));
    black_box((w.total(), w.written(), w.is_whole()));
}

/// Reads whatever comes as an exposition, and as numbers.
fn every_line(input: &[u8], output: &mut [u8]) {
    black_box((number::parse(input), number::signed(input), number::unsigned(input)));
    let _ = black_box(exposition::line(input));
    let mut rest = input;
    let mut parser = Parser::default();
    while let Some(line) = parser.next(&mut rest) {
        let _ = black_box(line);
    }
    let _ = black_box(parser.last(&mut rest));
    black_box(location(input));
    if let Ok(text) = core::str::from_utf8(input) {
        let mut w = Writer::resume(output, black_box(3));
        Get { host: text, path: text, headers: text, keep_alive: black_box(true) }.emit(&mut w);
        black_box(w.written());
    }
}

/// A site that answers whatever the compiler cannot know.
struct Anything;

impl Site for Anything {
    fn answer(&mut self, request: &server::Request<'_>) -> exporter::Answer {
        black_box((request.field("authorization"), request.wants_gzip(), request.path));
        for (name, value) in server::pairs(request.query) {
            black_box((name.is("names"), value.bytes().count(), value.raw()));
        }
        let status = server::Status::new(black_box(200));
        let page = Page {
            status,
            content_type: black_box("text/plain"),
            length: black_box(Some(7)),
            gzip: black_box(true),
            varies: black_box(true),
        };
        match black_box(1) {
            0 => exporter::Answer::Later,
            1 => exporter::Answer::Page(page),
            2 => exporter::Answer::Page(Page { length: None, ..page }),
            _ => exporter::Answer::Status(status),
        }
    }

    fn body(&mut self, output: &mut [u8]) -> Result<(usize, bool), exporter::Aborted> {
        black_box(output);
        black_box(Ok((black_box(3), black_box(true))))
    }

    fn end(&mut self) {}
}

/// Serves whoever asks whatever.
fn every_request(input: &[u8], output: &mut [u8]) {
    let mut exporter = Exporter::new(exporter::Limits::DEFAULT);
    let mut other = Exporter::refusing(exporter::Limits::DEFAULT, server::Status::UNAVAILABLE);
    while black_box(true) {
        let now = Instant::from_millis(black_box(1));
        for exporter in [&mut exporter, &mut other] {
            let _ = black_box(exporter.step(&mut Anything, black_box(input), black_box(output), now));
            exporter.passed(black_box(2));
            black_box((exporter.deadline(), exporter.is_done(), exporter.body_left()));
            black_box((exporter.is_idle(), exporter.is_waiting(), exporter.is_answering()));
        }
    }
}

/// Asks whatever the compiler knows nothing of.
struct Anyone<'a>(Ask<'a>);

impl Inquirer for Anyone<'_> {
    fn ask(&mut self) -> Option<Ask<'_>> {
        black_box(Some(self.0))
    }

    fn asked(&mut self) {
        black_box(&mut self.0);
    }

    fn answer(&mut self, answer: Answer<'_>) -> Result<(), OutOfStep> {
        match answer {
            Answer::Names(names) => names.iter().for_each(|name| _ = black_box(name)),
            Answer::Ids(pmids) => pmids.iter().for_each(|pmid| _ = black_box(pmid)),
            Answer::Instances(instances) => instances.iter().for_each(|instance| _ = black_box(instance)),
            Answer::Labels(labels) => labels.iter().for_each(|set| _ = black_box((set.inst(), set.json()))),
            Answer::Results(results) => {
                for set in results.iter() {
                    for value in set.values() {
                        black_box(
                            results.block(value.word).map(|block| (block.long(), block.word(), block.text())),
                        );
                    }
                }
                black_box(results.time());
            }
            other => _ = black_box(other),
        }
        black_box(Ok(()))
    }
}

/// A client that asks, and takes whatever comes for answers.
fn every_question(input: &[u8], output: &mut [u8]) {
    let text = core::str::from_utf8(input).unwrap_or_default();
    let pmid = Pmid::from_bits(black_box(3));
    let pmids = [pmid; 3];
    let settings = client::Settings {
        pid: black_box(1),
        patience: Duration::from_millis(black_box(2000)),
        max_answer: black_box(1 << 20),
    };
    let mut client = Client::new(settings);
    let (level, ident) = (black_box(1), black_box(1));
    let asks = [
        Ask::Traverse { name: text },
        Ask::Children { name: text },
        Ask::Ids { names: text },
        Ask::Descs { pmids: &pmids },
        Ask::Oneline { pmid },
        Ask::Instances { indom: InDom::from_bits(black_box(3)) },
        Ask::Labels { level, ident },
        Ask::Fetch { pmids: &pmids },
    ];
    for ask in asks {
        let mut anyone = Anyone(black_box(ask));
        let now = Instant::from_millis(black_box(1));
        let _ = black_box(client.step(&mut anyone, black_box(input), black_box(output), now));
        black_box((client.deadline(), client.is_ready(), client.is_busy(), client.features()));
    }
}

/// What is left of instances that vanished, of which a chip keeps nothing.
const PAST: usize = if cfg!(feature = "full") { 16 } else { 0 };

type Memory = Fixed<4, 16, 64, PAST, 256, 4096>;

/// What a host publishes itself.
fn publish(store: &mut Store<Memory>, own: SourceId, text: &str) {
    let declaration = Declaration {
        name: text,
        help: text,
        kind: Type(black_box(5)),
        semantics: Semantics::INSTANT,
        units: Units::NONE,
        instances: Instances::Shared(black_box(3)),
        item: black_box(Some(7)),
        storable: black_box(true),
        aside: black_box(true),
    };
    if let Ok(metric) = store.declare(own, &declaration) {
        let _ = black_box(store.publish(metric, Instance::named(text), Published::Bits(black_box(1))));
        let _ =
            black_box(store.publish(metric, Instance::numbered(black_box(1), text), Published::Text(text)));
        store.withdraw(metric, black_box(1));
        let _ = black_box(store.declare_series(metric, black_box(Some((text, text))), &[(text, text)]));
    }
    let _ = black_box(store.declare_histogram(own, &declaration, &[(text, text)], black_box(&[1, 2])));
    let mut metric = store.first_declared(own);
    while let Some(this) = metric {
        let mut series = store.first_series(this);
        while let Some(this) = series {
            series = store.renew(this, Published::Bits(black_box(1))).unwrap_or_default();
        }
        metric = store.declared_after(this);
    }
}

/// A store that everything is done to, and every role over it.
fn every_role(input: &[u8], output: &mut [u8]) {
    let patience = Duration::from_millis(black_box(2000));
    let now = Instant::from_millis(black_box(1));
    let wall = Timestamp { secs: black_box(2), nanos: black_box(3) };
    let mut store = Store::new(Memory::new(), black_box(144), black_box(1));
    let text = core::str::from_utf8(black_box(input)).unwrap_or_default();
    let _ = black_box((store.set_root(text), store.set_context(text)));
    let (Ok(source), Ok(own)) =
        (store.add_source(text, text, Some(1)), store.add_source(text, text, Some(black_box(2))))
    else {
        return;
    };
    publish(&mut store, own, text);
    store.on_demand(own);
    store.begin(own);
    store.published(own);
    let _ = black_box((store.stored(), store.set_labels(source, text)));
    let mut agent =
        Agent::<256>::new(Settings { pid: black_box(1), announces_ready: black_box(true), patience });
    let mut collector = Collector::<256, 2>::new(patience);
    let mut small = Collector::<256, 2, _>::with_memory(patience, [0_u8; 512]);
    let mut serial = Agent::<256, _>::with_memory(
        Settings { pid: black_box(1), announces_ready: black_box(true), patience },
        [0_u8; 128],
    );
    let mut scraper = Scraper::new(input, Document::new(source, [0_u8; 160], Plain), black_box(1000));
    let mut document = Document::new(source, [0_u8; 160], Plain);
    while black_box(true) {
        black_box(&mut store);
        if let Some((source, _)) = store.wanted(black_box(0)) {
            store.begin(source);
        }
        let mut cx = Context { store: &mut store, now: black_box(now), wall };
        let _ = black_box(agent.step(&mut cx, black_box(input), black_box(output)));
        let _ = black_box(collector.step(&mut cx, black_box(input), black_box(output)));
        let _ = black_box(small.step(&mut cx, black_box(input), black_box(output)));
        let _ = black_box(serial.step(&mut cx, black_box(input), black_box(output)));
        let _ = black_box(scraper.step(&mut cx, black_box(input), black_box(output)));
        let _ = black_box(scraper.end(&mut cx));
        black_box((Role::<Memory>::deadline(&agent), Role::<Memory>::is_busy(&collector)));
        document.feed(&mut store, black_box(input), &mut |refused| {
            black_box(refused);
        });
        document.finish(&mut store, &mut |_| {});
        store.commit(source, black_box(true), black_box(now));
        page::every_family(&store, text, black_box(output));
        black_box((store.refused(Region::Text), document.stats(), store.text_len()));
    }
    #[cfg(feature = "full")]
    {
        store.retire(source);
        store.revive(source);
    }
    black_box(&store);
}
