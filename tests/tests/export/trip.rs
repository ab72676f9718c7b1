//! pmcd's metrics out as a page and in again as a PMDA: they are what they were.

use pmbridge_tests::{Agent, Pmda, Setup, eventually, run};

use super::{beside, can, judge_is_content};

#[test]
fn what_goes_out_as_a_page_comes_in_again_as_it_was() {
    if !can("what_goes_out_as_a_page_comes_in_again_as_it_was") {
        return;
    }
    let (site, export) = beside(&Agent::ALL, &[]);
    for rules in ["6.0", "7.2"] {
        let setup = Setup::new().source("back", &export.url).args(&["--compat", rules]);
        let second = setup.start(Pmda::Ours);
        eventually("the names that came back", || {
            let names = run(&mut second.tool("pminfo")).out;
            names.contains("openmetrics.back.awkward.many.gauge").then_some(())
        });
        let host = |port: u16| format!("127.0.0.1:{port}");
        judge_is_content(&["trip", &host(site.port), &host(second.port), "openmetrics.back", rules]);
    }
}
