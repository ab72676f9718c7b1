//! Drives a pmcd that is there, for who works on this module.
use std::rc::Rc;
use std::time::Instant as Clock;

use mio::{Events, Poll, Token};
use pmbridge_core::time::{Duration, Instant};

use super::catalog::Value;
use super::pmcd::{Ended, Pmcd};
use super::selection::{Matching, Selection};
use crate::log::Log;

struct Loop {
    poll: Poll,
    pmcd: Pmcd,
    epoch: Clock,
    log: Log,
}

impl Loop {
    fn new() -> Self {
        let poll = Poll::new().unwrap();
        let address = std::env::var("PMCD").unwrap().parse().unwrap();
        let registry = poll.registry().try_clone().unwrap();
        let pmcd = Pmcd::new(registry, Token(5), address, Duration::from_secs(5));
        Self { poll, pmcd, epoch: Clock::now(), log: Log::plain(true) }
    }

    fn now(&self) -> Instant {
        Instant::from_millis(u64::try_from(self.epoch.elapsed().as_millis()).unwrap())
    }

    fn scrape(&mut self, selection: &Rc<Selection>) -> Ended {
        let ticket = self.pmcd.want(Rc::clone(selection), self.now());
        let mut events = Events::with_capacity(8);
        loop {
            let now = self.now();
            if let Some(ended) = self.pmcd.pump(now, &self.log) {
                assert!(ended.tickets.contains(&ticket));
                return ended;
            }
            let wait = self
                .pmcd
                .deadline()
                .map(|at| std::time::Duration::from_millis(at.saturating_since(self.now()).millis() + 1));
            self.poll.poll(&mut events, wait).unwrap();
            if !events.is_empty() {
                self.pmcd.wake();
            }
        }
    }
}

fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e6
}

#[test]
#[ignore = "needs a pmcd"]
fn drive() {
    let names: Vec<String> =
        std::env::var("NAMES").unwrap_or_default().split_whitespace().map(str::to_string).collect();
    let scrapes: usize = std::env::var("SCRAPES").map_or(1, |n| n.parse().unwrap());
    let pause: u64 = std::env::var("PAUSE").map_or(0, |n| n.parse().unwrap());
    let dump = std::env::var_os("DUMP").is_some();
    let texts = std::env::var_os("NOTEXTS").is_none();
    let selection =
        Rc::new(Selection::new(names, vec![(Matching::Glob, "nothing".into())]).unwrap().with_texts(texts));
    let mut drive = Loop::new();
    for n in 0..scrapes {
        let (began, before) = (Clock::now(), cpu());
        let ended = drive.scrape(&selection);
        let (took, used) = (began.elapsed(), cpu() - before);
        let catalog = drive.pmcd.catalog();
        let series: usize = ended.metrics.iter().map(|place| catalog.series(*place).len()).sum();
        eprintln!(
            "{n}: {:?} metrics {} series {series} unknown {:?} in {took:?} own {used:.3} ms {:?} epoch {}",
            ended.result,
            ended.metrics.len(),
            ended.unknown,
            catalog.stats(),
            catalog.epoch()
        );
        if n + 1 == scrapes {
            eprintln!("{:?}", catalog.agents());
            for place in ended.metrics.iter().filter(|_| dump) {
                let metric = &catalog.metrics()[*place];
                let desc = catalog.metrics()[catalog.owner(*place)].desc;
                println!(
                    "M {} {:?} {} status {:?}",
                    metric.name,
                    desc.map(|d| d.to_string_of()),
                    metric.oneline,
                    catalog.metrics()[catalog.owner(*place)].status
                );
                for series in catalog.series(*place) {
                    let value = match &series.value {
                        Value::I64(v) => v.to_string(),
                        Value::U64(v) => v.to_string(),
                        Value::F32(v) => v.to_string(),
                        Value::F64(v) => v.to_string(),
                        Value::Text(v) => format!("{v:?}"),
                        Value::None => "-".into(),
                    };
                    println!("S {} {} {{{}}} {value}", metric.name, series.inst, series.labels);
                }
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(pause));
    }
}

trait ToStringOf {
    fn to_string_of(&self) -> String;
}

impl ToStringOf for pmbridge_core::pcp::Desc {
    fn to_string_of(&self) -> String {
        format!("{} {} {} {} {}", self.pmid, self.kind, self.indom, self.semantics, self.units)
    }
}
