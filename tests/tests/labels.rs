//! Labels as PCP's own Python binding gets them: the same sets from the stock PMDA and from ours.
//!
//! All samples and scripts of PCP's QA are the sources. What may differ stands in [`ALLOWED`], with the words
//! that DESIGN.md uses.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use pmbridge_tests::{Finished, PMCD, PYTHON, Pmcd, Pmda, SAMPLES, STOCK, Setup, has, run};

const LABELS: &str = include_str!("labels.py");
/// The executable sources of PCP's QA.
const SCRIPTS: &str = "/var/lib/pcp/testsuite/openmetrics/scripts";

/// A difference that is wanted, for a reason that DESIGN.md gives.
struct Allowed {
    is: fn(&Difference<'_>) -> bool,
    reason: &'static str,
}

/// What two PMDAs give; nothing where one has no such set.
struct Difference<'a> {
    call: &'a str,
    stock: Option<&'a str>,
    ours: Option<&'a str>,
    /// Whether this call of this metric fails under the stock PMDA.
    failed: bool,
}

const ALLOWED: &[Allowed] = &[Allowed {
    // libpcp refuses a whole set in which a value is not escaped, and the whole call for a metric that is singular or
    // at item level. Where QA test 1221 shows what is left of it, ours has no more.
    is: |of| {
        let escapes = of.ours.is_some_and(|set| set.contains('\\'));
        matches!(of.call, "instances" | "item" | "lookup")
            && (of.failed || of.stock.is_none_or(|set| set == "{}") && escapes)
    },
    reason: "as proper JSON whatever the values hold",
}];

/// What labels.py prints of these names, or of all.
pub(crate) fn labels(port: u16, args: &[&str]) -> Finished {
    let mut python = Command::new(PYTHON);
    python.env("PMCD_REQUEST_TIMEOUT", "170").env("PMCD_CONNECT_TIMEOUT", "30").env("LC_ALL", "C.UTF-8");
    run(python.args(["-c", LABELS, &format!("127.0.0.1:{port}")]).args(args))
}

/// The sets, by call and of what; the parts that are the test's own are made the same.
fn sets(pmcd: &Pmcd) -> BTreeMap<(String, String), String> {
    let finished = labels(pmcd.port, &[]);
    assert_eq!((finished.code, finished.err.as_str()), (0, ""), "{}", pmcd.logs());
    let here = pmcd.dir.path().display().to_string();
    let line = |line: &str| {
        let mut fields = line.splitn(3, '\t').map(|field| field.replace(&here, "HERE"));
        let mut field = || fields.next().unwrap();
        let call = field();
        ((call, field()), field())
    };
    let all: BTreeMap<_, _> = finished.out.lines().map(line).collect();
    assert!(all.len() > 1000, "{} sets\n{}", all.len(), pmcd.logs());
    all
}

/// All samples as files, and all scripts, as QA tests 1191 and 1221 have them.
pub(crate) fn qa_sources() -> Setup {
    let mut setup = Setup::new();
    let mut samples: Vec<_> = std::fs::read_dir(SAMPLES).unwrap().flatten().map(|e| e.path()).collect();
    samples.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    for path in samples {
        let name = path.file_stem().unwrap().to_str().unwrap().replace(['-', '.'], "_");
        setup = setup.source(&format!("{name}_txt"), &format!("file://{}", path.display()));
    }
    let to = setup.dir.join("config.d");
    run(Command::new("cp").arg("-a").arg(format!("{SCRIPTS}/.")).arg(&to)).ok();
    std::fs::remove_file(to.join("GNUmakefile")).ok();
    setup
}

#[test]
fn every_label_call_gives_what_it_gives_under_the_stock_pmda() {
    let needed = [PMCD, STOCK, SAMPLES, SCRIPTS, PYTHON];
    if !has("every_label_call_gives_what_it_gives_under_the_stock_pmda", &needed) {
        return;
    }
    let under = |pmda| sets(&qa_sources().start(pmda));
    let (stock, ours) = std::thread::scope(|scope| {
        let stock = scope.spawn(|| under(Pmda::Stock));
        let ours = scope.spawn(|| under(Pmda::Ours));
        (stock.join().unwrap(), ours.join().unwrap())
    });
    let mut keys: Vec<_> = stock.keys().chain(ours.keys()).collect();
    keys.sort();
    keys.dedup();
    keys.retain(|(_, what)| !what.contains("openmetrics.control."));
    let mut allowed = 0;
    let mut wrong = Vec::new();
    for (call, what) in &keys {
        let metric = what.split(' ').next().unwrap_or_default();
        let failed =
            stock.get(&(call.clone(), metric.to_owned())).is_some_and(|set| set.starts_with("ERROR"));
        let [stock, ours] =
            [&stock, &ours].map(|all| all.get(&(call.clone(), what.clone())).map(String::as_str));
        if stock == ours {
            continue;
        }
        if ALLOWED.iter().any(|allowed| (allowed.is)(&Difference { call, stock, ours, failed })) {
            allowed += 1;
        } else {
            wrong.push(format!("{call} {what}\n    stock {}\n    ours  {}", or_none(stock), or_none(ours)));
        }
    }
    eprintln!("{} sets, {allowed} allowed differences", keys.len());
    let shown = wrong.iter().take(40).map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(wrong.is_empty(), "{} of {} sets differ, such as\n{shown}", wrong.len(), keys.len());
}

fn or_none(set: Option<&str>) -> &str {
    set.unwrap_or("none")
}

#[test]
fn every_allowed_difference_of_labels_is_explained_in_the_design() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../DESIGN.md");
    let design = std::fs::read_to_string(path).expect("DESIGN.md").to_lowercase();
    let design = design.split_whitespace().collect::<Vec<_>>().join(" ");
    for allowed in ALLOWED {
        let reason = allowed.reason.to_lowercase();
        assert!(design.contains(&reason), "DESIGN.md does not say: {}", allowed.reason);
    }
}

#[test]
fn the_scripts_of_qa_are_where_they_are_looked_for() {
    if has("the_scripts_of_qa_are_where_they_are_looked_for", &[SAMPLES]) {
        assert!(Path::new(SCRIPTS).is_dir(), "{SCRIPTS}");
    }
}
