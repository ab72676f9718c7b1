//! `pmbridge export` beside a real pmcd with the agents of every machine, and with one whose metrics are awkward.

mod attacks;
mod defects;
mod judges;
mod ready;
mod scrapes;
mod trip;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use pmbridge_tests::{
    Agent, CLIENT, Dir, Export, Finished, PMCD, PROMTOOL, PYTHON, Response, Site, eventually, has, run,
};

/// Agents of a site that starts fast.
const FEW: [Agent; 3] = [Agent::Pmcd, Agent::Sample, Agent::Awkward(10)];

/// Whether the suite can run here; each test begins with it.
fn can(test: &str) -> bool {
    has(test, &[PMCD, PROMTOOL, CLIENT, PYTHON])
}

/// A pmcd of these agents and an exporter beside it, whose first page has come.
fn beside(agents: &[Agent], args: &[&str]) -> (Site, Export) {
    let site = Site::start(agents);
    let export = Export::start(site.port, args);
    good_page(&export, "/metrics?names=pmcd");
    (site, export)
}

/// A page once there is one.
fn good_page(export: &Export, path: &str) -> String {
    let said = || export.process.said();
    let page = eventually(&format!("{path}; the exporter said:\n{}", said()), || {
        let response = export.get(path);
        (response.status == 200 && response.is_whole).then_some(response)
    });
    page.text()
}

/// What one of the judges in judge.py has to say.
fn judge(args: &[&str]) -> Finished {
    let mut python = Command::new(PYTHON);
    python.env("PMCD_REQUEST_TIMEOUT", "170").env("PMCD_CONNECT_TIMEOUT", "30").env("LC_ALL", "C.UTF-8");
    run(python.args(["-c", JUDGE]).args(args))
}

/// Fails unless the judge is content; shows what it has compared.
fn judge_is_content(args: &[&str]) {
    let Finished { code, out, err } = judge(args);
    assert_eq!(code, 0, "{args:?}\n{out}\n{err}");
    eprintln!("{args:?}\n{out}");
}

/// What promtool says of a page: its exit code and its lines.
fn promtool(page: &[u8]) -> (i32, Vec<String>) {
    let dir = Dir::new();
    let said = dir.join("said");
    let file = || std::fs::OpenOptions::new().create(true).append(true).open(&said).expect("a file");
    let mut command = Command::new(PROMTOOL);
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(file()).stderr(file());
    let mut child = command.spawn().expect("promtool");
    child.stdin.take().expect("its stdin").write_all(page).ok();
    let code = child.wait().expect("promtool's end").code().unwrap_or(-1);
    (code, dir.read("said").lines().map(str::to_owned).collect())
}

/// The samples of a page, by the text before the value.
fn samples(page: &str) -> BTreeMap<String, String> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.rsplit_once(' ')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

/// The value of the one sample whose name is this, whatever its labels.
fn value(page: &str, name: &str) -> String {
    let is = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
    let line = page.lines().find(is).unwrap_or_else(|| panic!("no {name} in\n{page}"));
    line.rsplit_once(' ').unwrap().1.to_owned()
}

/// Fails unless the exporter serves, a second scraper too.
fn assert_serves(export: &mut Export) {
    assert!(export.process.is_alive(), "it has ended:\n{}", export.process.said());
    good_page(export, "/metrics?names=pmcd.version,pmcd.numagents");
}

/// Fails unless this is an error and no page.
fn assert_refused(response: &Response, status: u16) {
    assert_eq!(response.status, status, "{response:?}");
    assert!(!response.text().contains("# TYPE"), "{response:?}");
}

const JUDGE: &str = include_str!("judge.py");
