//! Health, readiness and what the exporter tells of itself, with and without pmcd.

use std::time::{Duration, Instant};

use pmbridge_tests::{Agent, Export, eventually, free_port};

use super::{FEW, assert_refused, beside, can, good_page, samples};

#[test]
fn it_is_healthy_always_and_ready_while_pmcd_answers() {
    if !can("it_is_healthy_always_and_ready_while_pmcd_answers") {
        return;
    }
    let (mut site, export) = beside(&FEW, &["--timeout", "1"]);
    assert_eq!(export.get("/-/healthy").status, 200);
    eventually("readiness", || (export.get("/-/ready").status == 200).then_some(()));
    site.stop();
    eventually("no readiness", || (export.get("/-/ready").status == 503).then_some(()));
    assert_eq!(export.get("/-/healthy").status, 200);
    assert_refused(&export.get("/metrics?names=sample"), 503);
    site.again();
    site.wait(&FEW);
    eventually("readiness again", || (export.get("/-/ready").status == 200).then_some(()));
    assert_eq!(export.get("/-/healthy").status, 200);
    let page = good_page(&export, "/metrics?names=sample");
    assert!(page.contains("sample_long_hundred{"), "{page}");
}

#[test]
fn without_a_pmcd_it_waits_for_one() {
    if !can("without_a_pmcd_it_waits_for_one") {
        return;
    }
    let mut export = Export::start(free_port(), &["--timeout", "1"]);
    assert_eq!(export.get("/-/healthy").status, 200);
    assert_eq!(export.get("/-/ready").status, 503);
    let before = Instant::now();
    assert_refused(&export.get("/metrics"), 503);
    eprintln!("refused after {:?}", before.elapsed());
    assert!(export.process.is_alive(), "{}", export.process.said());
    std::thread::sleep(Duration::from_secs(3));
    let lines = export.process.said().lines().count();
    assert!(lines < 20, "{lines} lines:\n{}", export.process.said());
}

#[test]
fn a_restarted_pmcd_is_found_at_once() {
    if !can("a_restarted_pmcd_is_found_at_once") {
        return;
    }
    let (mut site, export) = beside(&FEW, &[]);
    for _ in 0..3 {
        good_page(&export, "/metrics?names=sample.long");
        site.stop();
        site.again();
        site.wait(&FEW);
        // The first scrape may find that the old connection is gone; it has to ask again by itself.
        let page = export.get("/metrics?names=sample.long");
        assert_eq!(page.status, 200, "{page:?}\n{}", export.process.said());
        assert!(page.text().contains("sample_long_hundred{"), "{page:?}");
    }
}

#[test]
fn names_of_an_agent_go_with_it_and_come_with_it() {
    if !can("names_of_an_agent_go_with_it_and_come_with_it") {
        return;
    }
    let (site, export) = beside(&FEW, &[]);
    let shows = |name: &str| good_page(&export, "/metrics").contains(&format!("\n{name}{{"));
    assert!(shows("sample_long_hundred") && shows("awkward_still_number_zero"));
    site.agents(&[Agent::Pmcd, Agent::Sample]);
    eventually("the awkward agent's end", || (!shows("awkward_still_number_zero")).then_some(()));
    assert!(shows("sample_long_hundred"));
    site.agents(&FEW);
    eventually("the awkward agent", || shows("awkward_still_number_zero").then_some(()));
    eventually("the awkward agent's crash", || {
        site.kill_agent("awkward");
        (!shows("awkward_still_number_zero")).then_some(())
    });
    assert!(shows("sample_long_hundred"));
    site.agents(&FEW);
    eventually("the awkward agent after its crash", || shows("awkward_still_number_zero").then_some(()));
}

#[test]
fn instances_that_come_and_go_are_those_of_the_fetch() {
    if !can("instances_that_come_and_go_are_those_of_the_fetch") {
        return;
    }
    let (_site, export) = beside(&FEW, &[]);
    for _ in 0..30 {
        let page = good_page(&export, "/metrics?names=awkward.moving");
        let all = samples(&page);
        let turn: u64 = super::value(&page, "awkward_moving_turn").parse().unwrap();
        let going: Vec<_> =
            all.iter().filter(|(series, _)| series.starts_with("awkward_moving_going{")).collect();
        let expected = 1 + (1..60).filter(|i| (turn + i) % 5 < 2).count();
        assert_eq!(going.len(), expected, "turn {turn}: {going:?}");
        for (series, value) in going {
            let name = if value == "0" { "always".to_owned() } else { format!("sometimes-{value}") };
            assert!(series.contains(&format!("instname=\"{name}\"")), "{series} {value}");
        }
        // The agent has another name for an id at each tenth turn, and is a turn late to tell it.
        let renamed = |series: &&String| {
            series.starts_with("awkward_moving_renamed{") && series.contains("instid=\"0\"")
        };
        let first = all.keys().find(renamed).unwrap_or_else(|| panic!("nothing is renamed: {page}"));
        let expected = format!("instname=\"generation {}\"", turn / 10);
        assert!(turn % 10 < 2 || first.contains(&expected), "turn {turn}: {first}");
    }
}

#[test]
fn it_tells_how_long_scrapes_take_and_how_agents_are() {
    if !can("it_tells_how_long_scrapes_take_and_how_agents_are") {
        return;
    }
    let (site, export) = beside(&FEW, &[]);
    let own = |page: &str| -> Vec<String> {
        samples(page)
            .into_iter()
            .map(|(k, v)| format!("{k} {v}"))
            .filter(|line| line.starts_with("pmbridge_"))
            .collect()
    };
    let first = own(&good_page(&export, "/metrics"));
    for word in ["duration", "series", "cache", "agent"] {
        assert!(first.iter().any(|line| line.contains(word)), "no {word} in {first:#?}");
    }
    let of_awkward = |lines: &[String]| -> Vec<String> {
        lines.iter().filter(|line| line.contains("\"awkward\"") && line.contains("up")).cloned().collect()
    };
    assert!(of_awkward(&first).iter().any(|line| line.ends_with(" 1")), "{first:#?}");
    eventually("the awkward agent told to be down", || {
        site.kill_agent("awkward");
        let lines = of_awkward(&own(&good_page(&export, "/metrics")));
        lines.iter().any(|line| line.ends_with(" 0")).then_some(())
    });
}
