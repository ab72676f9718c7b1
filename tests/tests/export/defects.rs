//! The defects of PCP's own exporter, pmproxy, each shown not to be ours, beside a real pmcd.
//!
//! The numbers are those of the list that pmbridge was made from; a test says in its comment what pmproxy does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use pmbridge_tests::{Agent, Export, Response, ask, get};

use super::{FEW, assert_refused, assert_serves, beside, can, good_page, promtool, samples, value};

/// Whether a family tells of the exporter itself.
fn is_own(name: &str) -> bool {
    name.starts_with("pmbridge_") || name.starts_with("process_")
}

/// Milliseconds since the epoch.
fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()
}

/// Times are up to a thousand seconds ahead.
#[test]
fn d01_times_are_those_of_the_one_fetch() {
    if !can("d01_times_are_those_of_the_one_fetch") {
        return;
    }
    let (_site, export) = beside(&FEW, &[]);
    let before = now();
    let page = good_page(&export, "/metrics?names=sample,awkward&times=true");
    let after = now();
    let lines = page.lines().filter(|line| line.starts_with("sample_") || line.starts_with("awkward_"));
    let times: BTreeSet<_> = lines.map(|line| line.rsplit_once(' ').unwrap().1.to_owned()).collect();
    assert_eq!(times.len(), 1, "one fetch, one time: {times:?}");
    let time: u128 = times.first().unwrap().parse().unwrap();
    assert!((before - 1000..=after).contains(&time), "{before} <= {time} <= {after}");
    let open = ["Accept: application/openmetrics-text;version=1.0.0"];
    let open = get(export.port, "/metrics?names=sample.long&times=true", &open).text();
    let line = open
        .lines()
        .find(|line| line.starts_with("sample_long_hundred{"))
        .unwrap_or_else(|| panic!("{open}"));
    let seconds: f64 = line.rsplit_once(' ').unwrap().1.parse().unwrap();
    assert!((seconds - now() as f64 / 1e3).abs() < 60.0, "{line}: seconds in OpenMetrics");
    let without = good_page(&export, "/metrics?names=sample.long");
    assert!(without.contains("} 100\n"), "{without}");
}

/// Escapes that no format has, and UTF-8 as `\xc3\xa9`.
#[test]
fn d02_instance_names_are_there_as_they_are() {
    if !can("d02_instance_names_are_there_as_they_are") {
        return;
    }
    let (_site, export) = beside(&FEW, &[]);
    let page = good_page(&export, "/metrics?names=awkward.still.instances");
    for name in [
        "café",
        "日本語",
        "🎉",
        r"back\\slash",
        "tab\there",
        r"line\nfeed",
        r#"say \"hi\""#,
        "carriage\rreturn",
        r"trailing\\",
    ] {
        assert!(page.contains(&format!("instname=\"{name}\"")), "no {name} in\n{page}");
    }
    assert_eq!(promtool(page.as_bytes()).0, 0, "{page}");
}

/// JSON's escapes are kept and escaped again.
#[test]
fn d03_labels_have_json_undone() {
    if !can("d03_labels_have_json_undone") {
        return;
    }
    let (_site, export) = beside(&FEW, &[]);
    let page = good_page(&export, "/metrics?names=awkward.still.labels");
    for level in ["domain", "indom", "cluster", "item", "instance"] {
        let label = format!("of_{level}=\"say \\\"hi\\\" \\\\ café\\n\t\u{1}\"");
        assert!(page.contains(&label), "no {label} in\n{page}");
    }
    assert!(page.contains("of_context=\"say \\\"hi\\\" \\\\ café é\""), "{page}");
}

/// `{"a":{"b":"c"}}` is `b="c"` there, and a list begins with a colon.
#[test]
fn d04_nested_labels_are_flat_and_numbers_are_as_written() {
    if !can("d04_nested_labels_are_flat_and_numbers_are_as_written") {
        return;
    }
    let (_site, export) = beside(&FEW, &[]);
    let page = good_page(&export, "/metrics?names=awkward.still.nested.single");
    let labels = [
        r#"item_nested_a_b_c="deep""#,
        r#"item_nested_a_d="1""#,
        r#"item_nested_yes="true""#,
        r#"item_nested_nothing="null""#,
        r#"item_figures_big="18446744073709551615""#,
        r#"item_figures_int="-5""#,
        r#"item_figures_empty="""#,
        r#"rack="7""#,
    ];
    for label in labels {
        assert!(page.contains(label), "no {label} in\n{page}");
    }
}

/// Labels that an agent calls `instid` and `instname` make all instances one series there.
#[test]
fn labels_do_not_disguise_an_instance() {
    if !can("labels_do_not_disguise_an_instance") {
        return;
    }
    let (_site, export) = beside(&FEW, &[]);
    for naming in ["pcp", "prometheus"] {
        let path = format!("/metrics?names=awkward.still.labels.disguised&naming={naming}");
        let page = good_page(&export, &path);
        for own in [r#"instid="0",instname="uno""#, r#"instid="1",instname="due""#] {
            assert_eq!(page.matches(own).count(), 1, "{own}: {page}");
        }
    }
}

/// Over its socket pmcd says who asks, as labels of all that it has.
#[test]
fn series_are_the_same_over_pmcds_socket() {
    if !can("series_are_the_same_over_pmcds_socket") {
        return;
    }
    let (site, export) = beside(&FEW, &[]);
    let socket = format!("unix:{}", site.dir.join("run/pmcd.socket").display());
    let local = Export::start_at(&socket, &[]);
    let path = "/metrics?names=sample.long,sample.bin,awkward.still.instances";
    let [remote, local] = [&export, &local].map(|export| samples(&good_page(export, path)));
    let all = |page: BTreeMap<String, String>| -> Vec<String> {
        page.into_keys().filter(|series| !is_own(series)).collect()
    };
    assert_eq!(all(local), all(remote));
}

/// Two metrics of one name and two names of one metric: families twice, series twice.
#[test]
fn d05_names_that_collide_are_one_family_each_and_no_series_is_lost() {
    if !can("d05_names_that_collide_are_one_family_each_and_no_series_is_lost") {
        return;
    }
    let (_site, export) = beside(&FEW, &[]);
    for naming in ["pcp", "prometheus"] {
        let page = good_page(&export, &format!("/metrics?names=awkward.still.name&naming={naming}"));
        let types: Vec<_> = page
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE "))
            .map(|rest| rest.split(' ').next().unwrap())
            .collect();
        let once: BTreeSet<_> = types.iter().collect();
        assert_eq!(types.len(), once.len(), "a family twice: {page}");
        let values: BTreeSet<u32> = samples(&page)
            .into_iter()
            .filter(|(series, _)| series.starts_with("awkward"))
            .map(|(series, value)| value.parse().unwrap_or_else(|_| panic!("{series} {value}")))
            .collect();
        // As many names as awkward.py has, numbered from 1000.
        assert_eq!((values.first(), values.last()), (Some(&1000), Some(&1043)), "{naming}: {page}");
        assert_eq!(values.len(), 44, "{naming}: {page}");
    }
    // Names of one PMID are metrics each; a family each, as their names differ.
    let page = good_page(&export, "/metrics?names=sample.dupnames");
    let lines: Vec<_> = page.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines.len(), samples(&page).len(), "a series twice: {page}");
    assert!(matches!(promtool(page.as_bytes()).0, 0 | 3), "{page}");
}

/// A dashboard may use any of the names.
#[test]
fn all_names_of_one_metric_are_on_the_page_whether_they_are_asked_for_or_not() {
    if !can("all_names_of_one_metric_are_on_the_page_whether_they_are_asked_for_or_not") {
        return;
    }
    let (_site, export) = beside(&FEW, &[]);
    // In this order: the first to be asked for is not the first of all.
    for query in ["names=sample.dupnames.three", "", "names=sample.dupnames", "naming=prometheus"] {
        let page = good_page(&export, &format!("/metrics?{query}"));
        let all = samples(&page);
        let of = |name: &str| -> BTreeSet<(&str, &String)> {
            let named = all.iter().filter_map(|(series, value)| Some((series.strip_prefix(name)?, value)));
            named.filter(|(labels, _)| labels.starts_with('{')).collect()
        };
        let third = of("sample_dupnames_three_bin");
        assert_eq!(third.len(), 9, "{query}: {page}");
        if query.ends_with("three") {
            continue;
        }
        for group in ["two", "four", "five"] {
            assert_eq!(of(&format!("sample_dupnames_{group}_bin")), third, "{query}: {page}");
        }
        if !query.starts_with("names") {
            assert_eq!(of("sample_bin"), third, "{query}: {page}");
        }
    }
}

/// Help is not escaped.
#[test]
fn d06_help_is_escaped_and_missing_help_is_no_line() {
    if !can("d06_help_is_escaped_and_missing_help_is_no_line") {
        return;
    }
    let (_site, export) = beside(&FEW, &[]);
    let page = good_page(&export, "/metrics?names=awkward.still.help");
    for line in [
        "# HELP awkward_still_help_h0 say \"hi\"\n",
        "# HELP awkward_still_help_h1 back\\\\slash\n",
        "# HELP awkward_still_help_h3 \\\\n is no line feed\n",
        "# HELP awkward_still_help_h4 tab\there\n",
        "# HELP awkward_still_help_h5 line\\nfeed\n",
        "# HELP awkward_still_help_h8 café\n",
    ] {
        assert!(page.contains(line), "no {line} in\n{page}");
    }
    assert!(!page.contains("# HELP awkward_still_help_h24"), "{page}");
}

/// An instance whose name is empty is not there.
#[test]
fn d07_an_instance_without_a_name_is_a_series() {
    if !can("d07_an_instance_without_a_name_is_a_series") {
        return;
    }
    let (_site, export) = beside(&FEW, &[]);
    let page = good_page(&export, "/metrics?names=awkward.still.counts");
    let all = samples(&page);
    let of = |label: &str| {
        all.iter().filter(|(series, _)| series.starts_with("awkward_") && series.contains(label)).count()
    };
    assert_eq!(
        (of("instid=\"0\""), of("instname=\"\""), of("instname=\" \""), of("instid=")),
        (1, 1, 1, 27),
        "{page}"
    );
}

/// No `_total`, units in no base unit, no UNIT.
#[test]
fn d08_modern_names_have_base_units_and_rescaled_values() {
    if !can("d08_modern_names_have_base_units_and_rescaled_values") {
        return;
    }
    let (_site, export) = beside(&FEW, &[]);
    let page = good_page(&export, "/metrics?names=awkward.still.units&naming=prometheus");
    let expected = [
        ("awkward_still_units_space0_stands_bytes", 12345.0),
        ("awkward_still_units_space1_stands_bytes", 12346.0 * 1024.0),
        ("awkward_still_units_space1_grows_bytes_total", 12346.0 * 1024.0),
        ("awkward_still_units_time0_grows_seconds_total", 12349.0 / 1e9),
        ("awkward_still_units_time2_stands_seconds", 12351.0 / 1e3),
        ("awkward_still_units_time3_stands_seconds", 12352.0),
        ("awkward_still_units_time4_stands_seconds", 12353.0 * 60.0),
        ("awkward_still_units_time5_grows_seconds_total", 12354.0 * 3600.0),
    ];
    for (name, number) in expected {
        let shown: f64 = value(&page, name).parse().unwrap();
        assert!((shown - number).abs() <= number * 1e-12, "{name} is {number} and shows as {shown}");
    }
    // Metrics that only differ in their scale of counts are told apart or named alike with values rescaled.
    assert!(
        page.lines().filter(|line| line.contains("_count3_grows")).any(|line| line.contains("_total{")),
        "{page}"
    );
    let open = get(
        export.port,
        "/metrics?names=awkward.still.units&naming=prometheus",
        &["Accept: application/openmetrics-text;version=1.0.0"],
    )
    .text();
    assert!(open.contains("# UNIT awkward_still_units_space1_grows_bytes bytes\n"), "{open}");
    assert!(open.contains("# TYPE awkward_still_units_space1_grows_bytes counter\n"), "{open}");
}

/// Whatever is asked for is answered as `text/plain` without a version.
#[test]
fn d09_formats_are_negotiated() {
    if !can("d09_formats_are_negotiated") {
        return;
    }
    let (_site, export) = beside(&FEW, &[]);
    let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    let newest = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    for (accept, kind) in [
        (prometheus, "application/openmetrics-text"),
        (newest, "application/openmetrics-text"),
        ("text/plain;version=0.0.4", "text/plain; version=0.0.4"),
        ("text/plain;version=1.0.0;escaping=allow-utf-8", "text/plain; version=1.0.0"),
        ("*/*", "text/plain; version=0.0.4"),
        ("application/json", "text/plain; version=0.0.4"),
        (
            "text/plain;version=0.0.4,application/openmetrics-text;version=1.0.0;q=0",
            "text/plain; version=0.0.4",
        ),
        (
            "text/plain;q=0.1, APPLICATION/OPENMETRICS-TEXT;VERSION=1.0.0;Q=0.9",
            "application/openmetrics-text",
        ),
    ] {
        let response = get(export.port, "/metrics?names=sample.long", &[&format!("aCCept: {accept}")]);
        let shown = response.field("content-type").unwrap_or("");
        assert!(response.status == 200 && shown.starts_with(kind), "{accept}: {}", response.head);
        assert_eq!(
            response.text().ends_with("# EOF\n"),
            kind.starts_with("application"),
            "{accept}: {}",
            response.text()
        );
    }
}

/// Floats have eight digits and doubles sixteen, so that 2.34 is 2.3399999 and 0.1 + 0.2 is 0.3.
#[test]
fn d11_numbers_are_the_shortest_that_read_back() {
    if !can("d11_numbers_are_the_shortest_that_read_back") {
        return;
    }
    let (_site, export) = beside(&FEW, &[]);
    let page = good_page(&export, "/metrics?names=awkward.still.number");
    for (name, text) in [
        ("float_234", "2.34"),
        ("sum", "0.30000000000000004"),
        ("u64_max", "18446744073709551615"),
        ("i64_min", "-9223372036854775808"),
        ("nan", "NaN"),
        ("inf", "+Inf"),
        ("minus_inf", "-Inf"),
    ] {
        assert_eq!(value(&page, &format!("awkward_still_number_{name}")), text, "{name}");
    }
}

/// HTTP/1.0 clients get 413, fields are compared with their case, gzip is refused where it is put otherwise.
#[test]
fn d13_http_is_as_written() {
    if !can("d13_http_is_as_written") {
        return;
    }
    let (_site, export) = beside(&[Agent::Pmcd, Agent::Awkward(20_000)], &[]);
    let old = ask(export.port, "GET /metrics HTTP/1.0\r\n\r\n");
    assert!(old.status == 200 && old.text().contains("awkward_many_gauge"), "{}", old.head);
    assert!(old.field("Transfer-Encoding").is_none(), "no chunks in HTTP/1.0: {}", old.head);
    let gzip = |fields: &[&str]| {
        get(export.port, "/metrics?names=pmcd", fields).field("Content-Encoding") == Some("gzip")
    };
    for field in [
        "accept-encoding: gzip",
        "Accept-Encoding: gzip;q=1.0",
        "ACCEPT-ENCODING: gzip,deflate",
        "Accept-Encoding: br, GZIP",
    ] {
        assert!(gzip(&[field]), "{field}");
    }
    for fields in [&[][..], &["Accept-Encoding: identity"], &["Accept-Encoding: gzip;q=0"]] {
        assert!(!gzip(fields), "{fields:?}");
    }
}

/// A trailing comma is the whole name space, a repeated `names` is ignored, an unknown name in the middle too, and one at
/// the end is an error behind a page.
#[test]
fn names_that_are_asked_for_are_those_that_are_shown() {
    if !can("names_that_are_asked_for_are_those_that_are_shown") {
        return;
    }
    let (_site, mut export) = beside(&FEW, &[]);
    let families = |path: &str| -> BTreeSet<String> {
        let page = good_page(&export, path);
        let types = page
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE "))
            .map(|line| line.split(' ').next().unwrap().to_owned());
        types.filter(|name| !is_own(name)).collect()
    };
    let long = families("/metrics?names=sample.long");
    assert!(
        long.contains("sample_long_hundred") && long.iter().all(|name| name.starts_with("sample_long_")),
        "{long:?}"
    );
    assert_eq!(families("/metrics?names=sample.long,"), long, "a trailing comma is nothing");
    assert_eq!(families("/metrics?name=sample.long"), long);
    assert_eq!(families("/metrics?prefix=sample.long"), long);
    assert_eq!(families("/metrics?target=sample.long"), long);
    assert_eq!(families("/metrics?names=sample%2Elong"), long, "percent signs are undone");
    let both = families("/metrics?names=sample.long&names=sample.float");
    assert_eq!(both, families("/metrics?names=sample.long,sample.float"), "a repeated names adds");
    assert!(both.contains("sample_float_hundred") && both.contains("sample_long_hundred"), "{both:?}");
    let filtered = families("/metrics?names=sample.long&filter=*.hundred");
    assert!(
        !filtered.contains("sample_long_hundred") && filtered.contains("sample_long_ten"),
        "{filtered:?}"
    );
    assert_eq!(families("/metrics?names=sample.long&match=regex&filter=hundred%24"), filtered);
    assert_eq!(families("/metrics?names=sample.long&match=exact&filter=sample.long.hundred"), filtered);
    assert!(families("/metrics?names=").len() > 200, "an empty list is all");
    let unknown = get(export.port, "/metrics?names=no.such.metric", &[]);
    assert!(matches!(unknown.status, 400 | 404) && !unknown.text().contains("# TYPE"), "{unknown:?}");
    for list in ["sample.long,no.such", "no.such,sample.long"] {
        let partly = get(export.port, &format!("/metrics?names={list}"), &[]);
        let is_page = partly.status == 200 && partly.text().contains("sample_long_hundred");
        let is_error = matches!(partly.status, 400 | 404) && !partly.text().contains("# TYPE");
        assert!(is_page || is_error, "{list}: {partly:?}");
    }
    assert_serves(&mut export);
}

/// pmproxy 7.2 dies of it.
#[test]
fn a_filter_that_is_no_regex_is_a_bad_request() {
    if !can("a_filter_that_is_no_regex_is_a_bad_request") {
        return;
    }
    let (_site, mut export) = beside(&FEW, &[]);
    for query in
        ["match=regex&filter=(", "match=regex&filter=%5B", "match=regex&filter=*", "match=nonsense&filter=a"]
    {
        assert_refused(&export.get(&format!("/metrics?{query}")), 400);
    }
    let page = good_page(&export, "/metrics?names=sample.long&match=regex&filter=(a%7Ch)undred");
    assert!(page.contains("sample_long_ten") && !page.contains("sample_long_hundred"), "{page}");
    assert_serves(&mut export);
}

/// PUT, DELETE, PATCH and POST are answered with the page, and a GET stores.
#[test]
fn nothing_but_reading_is_allowed() {
    if !can("nothing_but_reading_is_allowed") {
        return;
    }
    let (_site, mut export) = beside(&FEW, &[]);
    let send = |method: &str, path: &str| -> Response {
        ask(export.port, &format!("{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
    };
    for method in ["PUT", "DELETE", "PATCH", "POST", "TRACE"] {
        let response = send(method, "/metrics");
        assert!(matches!(response.status, 405 | 501), "{method}: {response:?}");
        assert!(response.status != 405 || response.field("Allow").is_some(), "{method}: {response:?}");
    }
    let head = send("HEAD", "/metrics?names=pmcd");
    assert!(head.status == 200 && head.body.is_empty(), "{head:?}");
    let options = send("OPTIONS", "/metrics");
    assert!(matches!(options.status, 200 | 204), "{options:?}");
    for path in [
        "/metricsXYZ",
        "/pmapi/store?name=sample.write_me&value=7",
        "/search/text?query=a",
        "/series/query?expr=a",
        "/nothing",
    ] {
        assert_eq!(send("GET", path).status, 404, "{path}");
    }
    assert_serves(&mut export);
}

/// Any pmcd that pmproxy can reach is asked, for whoever asks.
#[test]
fn other_hosts_are_asked_only_where_that_is_allowed() {
    if !can("other_hosts_are_asked_only_where_that_is_allowed") {
        return;
    }
    let (site, mut export) = beside(&FEW, &[]);
    let other = pmbridge_tests::Site::start(&[Agent::Pmcd, Agent::Linux]);
    let spec = format!("127.0.0.1:{}", other.port);
    for name in ["hostspec", "hostname", "host"] {
        let response = export.get(&format!("/metrics?names=pmcd&{name}={spec}"));
        if name != "host" || response.status != 200 {
            assert_refused(&response, 403);
        }
    }
    for name in ["local:", "localhost:1", "127.0.0.1", "0", "[::1]:1"] {
        assert_refused(&export.get(&format!("/metrics?names=pmcd&hostspec={name}")), 403);
    }
    assert_serves(&mut export);
    let open = pmbridge_tests::Export::start(site.port, &["--allow-target", &spec]);
    let own = good_page(&open, "/metrics?names=pmcd.pmlogger,pmcd.agent,sample.long");
    assert!(own.contains("sample_long_hundred"), "{own}");
    let theirs = good_page(&open, &format!("/metrics?names=kernel&hostspec={spec}"));
    assert!(theirs.contains("kernel_all_load"), "{theirs}");
    assert_refused(&open.get("/metrics?names=pmcd&hostspec=127.0.0.1:1"), 403);
}

/// Strings are lost, and nothing is told of the scrape.
#[test]
fn d12_flags_say_what_a_page_has_where_a_request_does_not() {
    if !can("d12_flags_say_what_a_page_has_where_a_request_does_not") {
        return;
    }
    let site = pmbridge_tests::Site::start(&FEW);
    let names = ["--names", "sample.long,awkward.still.string,pmcd", "--filter", "*.ten"];
    let more = ["--naming", "prometheus", "--info"];
    let export = pmbridge_tests::Export::start(site.port, &[&names[..], &more[..]].concat());
    let page = good_page(&export, "/metrics");
    assert!(page.contains("sample_long_hundred{") && !page.contains("sample_long_ten{"), "{page}");
    assert!(page.contains("value=\"café\""), "strings: {page}");
    assert!(!page.contains("# PCP5") && !page.contains("sample_float"), "{page}");
    assert!(page.contains("pmbridge_export_scrape_duration_seconds"), "{page}");
    let plain = good_page(&export, "/metrics?naming=pcp&info=false&names=sample");
    assert!(plain.contains("# PCP5 sample.long.hundred ") && !plain.contains("awkward_"), "{plain}");
    assert!(!plain.contains("sample_float"), "no request has more than the flags allow: {plain}");
}
