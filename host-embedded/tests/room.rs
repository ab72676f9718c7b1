//! Neighbours share what room a device has left: nobody keeps any of it for what nobody sees.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a test may panic, and does so where a law is broken"
)]

mod rig;

use pmbridge_embedded::{
    Neighbour, Settings,
    metrics::{Metric, metrics},
};
use rig::{Rig, SETTINGS, http::Answer, neighbour};

metrics! {
    static TABLE;

    static UPTIME: Metric<u64> = Metric::counter("device.uptime", "Seconds since boot.");
}

fn rig(neighbours: &'static [Neighbour]) -> Rig {
    UPTIME.set(0, 1);
    Rig::new(TABLE, &Settings { neighbours, ..SETTINGS })
}

/// A page of 20 names, others in each state.
fn names(state: usize) -> String {
    let one = |n: usize| format!("# TYPE k{n}_total counter\nk{n}_total {n}\n");
    (state * 20..state * 20 + 20).map(one).collect()
}

/// How many samples of a page have such names, and how many slots of metrics are said to be in use.
fn shown(page: &Answer) -> (usize, usize) {
    let lines = page.body.lines().filter(|line| line.starts_with('k'));
    (lines.count(), page.value("pmbridge_metrics").unwrap().parse().unwrap())
}

#[test]
fn names_of_a_neighbour_may_change_for_ever() {
    static NEIGHBOURS: [Neighbour; 1] = [neighbour("n", 9101)];
    let mut rig = rig(&NEIGHBOURS);
    rig.serve(9101, &names(0));
    rig.pass(100);
    let mut most = 0;
    for state in 0..12 {
        rig.servers[0].says(&names(state));
        // What was there the last time is still to be seen while this document is read.
        rig.page("text/plain");
        let (count, slots) = shown(&rig.page("text/plain"));
        assert_eq!(count, 20, "state {state}");
        most = most.max(slots);
    }
    assert!((50..=64).contains(&most), "what vanished is remembered while there is room: {most}");
    // The last ones are in PCP, too.
    let client = rig.client();
    let last = rig.pmid(client, "openmetrics.n.k239_total");
    assert_eq!(rig.fetch(client, &[last]), [(1, Some(239f64.to_bits()))]);
}

#[test]
fn a_neighbour_that_never_ends_keeps_no_other_out() {
    static NEIGHBOURS: [Neighbour; 2] = [neighbour("endless", 9101), neighbour("ok", 9102)];
    let mut rig = rig(&NEIGHBOURS);
    let lines = (0..100_000).map(|n| format!("e{}{{n=\"{n}\"}} {n}\n", n % 30));
    rig.serve(9101, &lines.collect::<String>());
    rig.pass(8000);
    rig.serve(9102, "a{of=\"ok\"} 7\n");
    assert!(rig.agent.stats().failures >= 1);
    for _ in 0..3 {
        rig.pass(8000);
        let page = rig.page("text/plain");
        assert_eq!(page.value("a{of=\"ok\",source=\"ok\"}"), Some("7"), "{}", page.body);
        assert_eq!(page.value("pmbridge_source_up{instname=\"endless\"}"), Some("0"));
        assert_eq!(page.value("pmbridge_source_up{instname=\"ok\"}"), Some("1"));
        assert!(!page.body.contains("\ne0"), "{}", page.body);
    }
    // Who is well again has what room there is.
    rig.servers[0].says("e0{n=\"0\"} 1\n");
    let is_well = |rig: &mut Rig| rig.page("text/plain").value("e0{n=\"0\",source=\"endless\"}") == Some("1");
    assert!(rig.until(70_000, is_well));
}

/// A counter of 150 series with an exemplar each, in each state with other values and after the third with longer ones.
fn exemplars(state: usize) -> String {
    let tail = if state > 3 { "4812765123987" } else { "" };
    let one = |n: usize| format!("c_total{{id=\"{n}\"}} {state} # {{trace_id=\"4bf9\"}} 0.{state}{tail}\n");
    let lines: String = (0..150).map(one).collect();
    format!("# TYPE c counter\n{lines}")
}

#[test]
fn what_is_said_beside_a_value_and_has_no_room_leaves_no_old_one() {
    static NEIGHBOURS: [Neighbour; 1] = [neighbour("n", 9101)];
    let mut rig = rig(&NEIGHBOURS);
    rig.serve(9101, &exemplars(1));
    rig.pass(100);
    let mut full = 0;
    for state in 2..8 {
        rig.servers[0].says(&exemplars(state));
        let page = rig.page("text/plain");
        let lines: Vec<_> = page.body.lines().filter(|line| line.starts_with("c_total")).collect();
        assert!(lines.iter().all(|line| line.ends_with(&format!(" {state}"))), "state {state}: {lines:?}");
        assert!(lines.len() > 50, "state {state}: {lines:?}");
        full +=
            page.value("pmbridge_full_total{instname=\"bytes of text\"}").unwrap().parse::<u32>().unwrap();
    }
    assert!(full > 0, "that there was no room for all of it was not seen");
}
