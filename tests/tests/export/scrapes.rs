//! A Prometheus that scrapes each second, while pmcd and its agents come and go.

use std::path::Path;
use std::process::Command;

use pmbridge_tests::{PROMETHEUS, PYTHON, has, pmbridge, run};

use super::can;

#[test]
fn a_minute_of_prometheus_loses_no_sample_but_while_pmcd_is_away() {
    const NAME: &str = "a_minute_of_prometheus_loses_no_sample_but_while_pmcd_is_away";
    if !can(NAME) || !has(NAME, &[PROMETHEUS]) {
        return;
    }
    let soak = Path::new(env!("CARGO_MANIFEST_DIR")).join("soak_export.py");
    let finished = run(Command::new(PYTHON).arg(soak).arg("60").arg("--pmbridge").arg(pmbridge()));
    assert_eq!(finished.code, 0, "{}\n{}", finished.out, finished.err);
    eprintln!("{}", finished.out);
}
