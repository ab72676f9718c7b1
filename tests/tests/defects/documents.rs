//! Defects in reading a document: D1, D18, D22 to D26.

use pmbridge_tests::{Answer, Pmcd, Pmda, Server, Setup, eventually};

use super::{assert_kept, can, log_lines, names, of_source, shown, values};

/// The PMDA with one source, `page`, of this document.
fn page(text: &str) -> (Server, Pmcd) {
    let server = Server::new();
    let url = server.put("/page", Answer::Document(text.as_bytes().to_vec()));
    let pmcd = Pmcd::start(Pmda::Ours, &[("page", &url)]);
    (server, pmcd)
}

/// A bad line ends the document there, and the status says `success`.
#[test]
fn d01_a_bad_line_costs_that_line_and_is_counted() {
    if !can("d01_a_bad_line_costs_that_line_and_is_counted") {
        return;
    }
    let bad = [
        "-x 1",
        "_x 1",
        ":x 1",
        "{\"quoted\",a=\"b\"} 1",
        "a-b 1",
        "comma{a=\"b\" c=\"d\"} 1",
        "unquoted{a=b} 1",
        "no_value",
        "no_value{a=\"b\"}",
        "open{a=\"b 1",
        "<html>not a page</html>",
    ];
    let text: String = bad.iter().enumerate().map(|(i, line)| format!("good_{i} {i}\n{line}\n")).collect();
    let (_server, pmcd) = page(&(text + "good_last 99\n"));
    for (i, line) in bad.iter().enumerate() {
        let name = format!("openmetrics.page.good_{i}");
        assert_eq!(values(&pmcd, &name), format!("value {i}"), "before {line}");
    }
    assert_eq!(values(&pmcd, "openmetrics.page.good_last"), "value 99");
    let refused = of_source(&pmcd, "openmetrics.control.refused_lines", "page");
    let counted = refused.parse::<u32>().unwrap_or_else(|_| panic!("{refused}"));
    assert!(counted > 0, "{refused}");
    let told = pmcd.dir.read("pmda.log");
    assert!(told.contains("page"), "no word on them in\n{told}");
    let lines = log_lines(&pmcd);
    for _ in 0..5 {
        values(&pmcd, "openmetrics.page.good_last");
    }
    assert_eq!(log_lines(&pmcd), lines, "told again at each scrape:\n{}", pmcd.logs());
}

/// The first sample decides whether a metric has instances, and one that is not so ends the document. The first half
/// is the classic rule (QA test 1191 has `simple_metric` numbered by it); the second is not wanted by any.
#[test]
fn d18_a_metric_that_changes_its_shape_costs_itself_only() {
    if !can("d18_a_metric_that_changes_its_shape_costs_itself_only") {
        return;
    }
    let (server, pmcd) = page("one 1\nmany{x=\"1\"} 2\nafter 3\n");
    let pmda = pmcd.pmda();
    server.put("/page", Answer::Document(b"one{x=\"1\"} 5\nmany 7\nmany{x=\"1\"} 8\nafter 4\n".to_vec()));
    assert_eq!(values(&pmcd, "openmetrics.page.after"), "value 4", "{}", pmcd.logs());
    assert_eq!(values(&pmcd, "openmetrics.page.one"), "value 5", "{}", pmcd.logs());
    let many = values(&pmcd, "openmetrics.page.many");
    assert!(many.contains("inst [0 or \"0 x:1\"] value 8"), "{many}");
    let all = shown(&pmcd, &["openmetrics.page"]);
    assert!(all["openmetrics.page.one"].desc[0].contains("PM_INDOM_NULL"), "{all:#?}");
    let lines = log_lines(&pmcd);
    for _ in 0..5 {
        values(&pmcd, "openmetrics.page.many");
    }
    assert!(log_lines(&pmcd) <= lines + 1, "told again at each scrape:\n{}", pmcd.logs());
    assert_kept(&pmcd, pmda);
}

/// What OpenMetrics has more than the text format is skipped, and does no harm. (Types that only it has are classic:
/// `_created` of a counter is one.)
#[test]
fn d22_what_only_openmetrics_has_does_no_harm() {
    if !can("d22_what_only_openmetrics_has_does_no_harm") {
        return;
    }
    let (_server, pmcd) = page(
        "# HELP req_seconds Requests.\n# TYPE req_seconds histogram\n# UNIT req_seconds seconds\n\
         req_seconds_bucket{le=\"1\"} 7 # {trace_id=\"ab} # \\\" c\"} 0.67 1520879607.789\n\
         req_seconds_bucket{le=\"+Inf\"} 9 1520879607.123 # {trace_id=\"x\"} 3\n\
         req_seconds_created 1520872607.5\n# TYPE flag stateset\nflag{flag=\"a\"} 1\n\
         # TYPE build info\nbuild_info{version=\"1\"} 1\nlast 5 1520879607\n# EOF\n",
    );
    let page = |name: &str| values(&pmcd, &format!("openmetrics.page.{name}"));
    assert_eq!(
        page("req_seconds_bucket"),
        "inst [0 or \"0 le:1\"] value 7|inst [1 or \"1 le:+Inf\"] value 9"
    );
    assert_eq!(page("req_seconds_created"), "value 1520872607.5");
    assert_eq!(page("build_info"), "inst [0 or \"0 version:1\"] value 1");
    assert_eq!(page("flag"), "inst [0 or \"0 flag:a\"] value 1");
    assert_eq!(page("last"), "value 5");
}

/// Semantics by words of the name: QA test 1191 wants them (`javamelody_sessions_active_count` is a counter there, and
/// no unit but those of the list is known), so these are the classic rules.
#[test]
fn d23_semantics_and_units_by_name_are_those_that_qa_wants() {
    if !can("d23_semantics_and_units_by_name_are_those_that_qa_wants") {
        return;
    }
    let (_server, pmcd) = page(
        "# TYPE sessions_count gauge\nsessions_count 1\n# TYPE wait_milliseconds gauge\nwait_milliseconds 2\n\
         # TYPE wait_seconds gauge\nwait_seconds 3\n",
    );
    let all = shown(&pmcd, &["openmetrics.page"]);
    let desc = |name: &str| all[&format!("openmetrics.page.{name}")].desc[1].clone();
    assert_eq!(desc("sessions_count"), "Semantics: counter  Units: none");
    assert_eq!(desc("wait_milliseconds"), "Semantics: instant  Units: none");
    assert_eq!(desc("wait_seconds"), "Semantics: instant  Units: sec");
}

/// `100 millisec` is units of a hundred milliseconds; the hundred is thrown away there, so values are wrong by it.
#[test]
fn d24_the_multiplier_of_units_scales_the_value() {
    if !can("d24_the_multiplier_of_units_scales_the_value") {
        return;
    }
    let (_server, pmcd) = page("# PCP5 t.x 1.1.1 double PM_INDOM_NULL instant 100 millisec\nt_x 3\n");
    let all = shown(&pmcd, &["openmetrics.page"]);
    let metric = all.get("openmetrics.page.t.x").unwrap_or_else(|| panic!("{all:#?}\n{}", pmcd.logs()));
    let seconds = match metric.desc[1].split_once("Units: ").map(|(_, units)| units) {
        Some("millisec") => 0.001,
        Some("sec") => 1.0,
        other => panic!("{other:?}"),
    };
    let value: f64 = metric.values[0].strip_prefix("value ").unwrap().parse().unwrap();
    assert!((value * seconds - 0.3).abs() < 1e-9, "3 of 100 ms are 0.3 s: {metric:?}");
}

/// `1e3` and `5.0` are no integers there, and what does not fit wraps silently.
#[test]
fn d25_integers_are_exact_or_have_no_value() {
    if !can("d25_integers_are_exact_or_have_no_value") {
        return;
    }
    let cases = [
        ("u64", "1e3", Some("1000")),
        ("u64", "5.0", Some("5")),
        ("u64", "18446744073709551615", Some("18446744073709551615")),
        ("u64", "18446744073709551616", None),
        ("u64", "-1", None),
        ("u64", "1.5", None),
        ("u64", "NaN", None),
        ("u32", "4294967295", Some("4294967295")),
        ("u32", "4294967296", None),
        ("u32", "-1", None),
        ("64", "-9223372036854775808", Some("-9223372036854775808")),
        ("64", "9223372036854775808", None),
        ("32", "-2147483648", Some("-2147483648")),
        ("32", "2147483648", None),
    ];
    let text: String = cases
        .iter()
        .enumerate()
        .map(|(i, (kind, value, _))| {
            format!("# PCP5 v.m{i} 1.1.{i} {kind} PM_INDOM_NULL instant none\nv_m{i} {value}\n")
        })
        .collect();
    let (_server, pmcd) = page(&(text + "# HELP last One that has no line of its own.\nlast 1\n"));
    let all = shown(&pmcd, &["openmetrics.page"]);
    for (i, (kind, value, want)) in cases.iter().enumerate() {
        let metric = all.get(&format!("openmetrics.page.v.m{i}"));
        let metric = metric.unwrap_or_else(|| panic!("{kind} {value}: {all:#?}"));
        let shown = metric.values.first().and_then(|line| line.strip_prefix("value "));
        assert_eq!(shown, *want, "{kind} {value}: {metric:?}");
    }
    assert!(all.contains_key("openmetrics.page.last"), "the document goes on");
}

/// Over HTTP text is taken for Latin-1; in files a byte that is not UTF-8 costs the source; a byte order mark costs the
/// document, U+2028 and a form feed in a label end the line.
#[test]
fn d26_a_page_is_utf8_with_or_without_a_mark_and_breaks_at_line_feeds_only() {
    if !can("d26_a_page_is_utf8_with_or_without_a_mark_and_breaks_at_line_feeds_only") {
        return;
    }
    let mut text = "\u{feff}first 1\numlaut{a=\"grün\"} 2\nbreaks{a=\"x\u{2028}y\"} 3\nfeed{a=\"x\u{c}y\"} 4\nnext{a=\"\u{85}\"} 5\n"
        .as_bytes()
        .to_vec();
    text.extend_from_slice(b"broken{a=\"\xff\"} 6\nlast 7\n");
    let server = Server::new();
    let url = server.put("/page", Answer::Document(text.clone()));
    let setup = Setup::new();
    let file = setup.dir.write("page.txt", text);
    let setup = setup.source("http", &url).source("file", &format!("file://{}", file.display()));
    let pmcd = setup.start(Pmda::Ours);
    for source in ["http", "file"] {
        let value = |name: &str| values(&pmcd, &format!("openmetrics.{source}.{name}"));
        eventually("both sources", || {
            (!names(&pmcd, &format!("openmetrics.{source}")).is_empty()).then_some(())
        });
        assert_eq!(value("first"), "value 1", "{source}\n{}", pmcd.logs());
        assert_eq!(value("umlaut"), "inst [0 or \"0 a:grün\"] value 2", "{source}");
        for (name, number) in [("breaks", 3), ("feed", 4), ("next", 5)] {
            assert!(value(name).ends_with(&format!("\"] value {number}")), "{source}: {}", value(name));
        }
        assert_eq!(value("last"), "value 7", "{source}");
    }
}
