//! What others say of the pages: promtool, the reference parser of OpenMetrics, libpcp.

use pmbridge_tests::{Agent, Finished, get};

use super::{beside, can, good_page, judge, judge_is_content, promtool};

#[test]
fn promtool_finds_no_error_on_any_page_and_no_lint_but_missing_help_on_a_modern_one() {
    if !can("promtool_finds_no_error_on_any_page_and_no_lint_but_missing_help_on_a_modern_one") {
        return;
    }
    let (_site, export) = beside(&Agent::ALL, &[]);
    let mut wrong = Vec::new();
    for query in [
        "",
        "names=awkward",
        "names=sample",
        "names=proc,hotproc,kernel",
        "names=mmv,pmcd",
        "info=true",
        "times=true",
    ] {
        for naming in ["pcp", "prometheus"] {
            let path = format!("/metrics?naming={naming}&{query}");
            let page = good_page(&export, &path);
            assert!(page.contains("# TYPE "), "{path}: {page}");
            let (code, lines) = promtool(page.as_bytes());
            let lints: Vec<_> = match naming {
                // Of PCP's own names it has much to say, and all of it is in the names.
                "pcp" if code == 3 => Vec::new(),
                _ => lines.into_iter().filter(|line| !is_allowed(line)).collect(),
            };
            if !matches!(code, 0 | 3) || !lints.is_empty() {
                wrong.push(format!(
                    "{path}: {code}, {} lines\n{}",
                    lints.len(),
                    lints[..lints.len().min(40)].join("\n")
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_reference_parser_takes_every_openmetrics_page() {
    if !can("the_reference_parser_takes_every_openmetrics_page") {
        return;
    }
    let (_site, export) = beside(&Agent::ALL, &[]);
    let queries =
        ["naming=pcp", "naming=prometheus", "naming=pcp&info=true", "naming=prometheus&info=true&times=true"];
    let urls: Vec<_> = queries.iter().map(|query| format!("{}?{query}", export.url)).collect();
    let mut args = vec!["openmetrics"];
    args.extend(urls.iter().map(String::as_str));
    judge_is_content(&args);
}

#[test]
fn every_format_keeps_its_own_rules() {
    if !can("every_format_keeps_its_own_rules") {
        return;
    }
    let agents = [Agent::Pmcd, Agent::Linux, Agent::Sample, Agent::Mmv(3, 4), Agent::Awkward(100)];
    let (_site, export) = beside(&agents, &[]);
    let urls = ["", "?naming=prometheus&info=true", "?info=true&times=true"]
        .map(|query| format!("{}{query}", export.url));
    judge_is_content(&["strict", &urls[0], &urls[1], &urls[2]]);
    let gzip = get(export.port, "/metrics", &["Accept-Encoding: gzip"]);
    assert_eq!((gzip.status, gzip.field("Content-Encoding")), (200, Some("gzip")), "{}", gzip.head);
    let mut plain = String::new();
    let mut decoder = flate2::read::GzDecoder::new(gzip.body.as_slice());
    std::io::Read::read_to_string(&mut decoder, &mut plain).expect("gzip");
    assert!(plain.contains("# TYPE kernel_all_load gauge\n"), "{plain}");
}

#[test]
fn heads_values_and_labels_are_what_libpcp_gives_to_the_bit() {
    if !can("heads_values_and_labels_are_what_libpcp_gives_to_the_bit") {
        return;
    }
    let (site, export) = beside(&Agent::ALL, &[]);
    let host = format!("127.0.0.1:{}", site.port);
    // Once more, from what it remembers. What stands still for half a second may move all the same: a fault lasts.
    for _ in 0..2 {
        let mut said = Vec::new();
        let is_content = (0..3).any(|_| {
            let Finished { code, out, err } = judge(&["values", &host, &export.url]);
            said.push(format!("{out}{err}"));
            code == 0
        });
        assert!(is_content, "{}", said.join("\n"));
    }
}

#[test]
fn strings_are_info_metrics_where_they_are_asked_for() {
    if !can("strings_are_info_metrics_where_they_are_asked_for") {
        return;
    }
    let (site, export) = beside(&Agent::ALL, &[]);
    judge_is_content(&["strings", &format!("127.0.0.1:{}", site.port), &format!("{}?info=true", export.url)]);
    let without = good_page(&export, "/metrics?names=awkward.still.string");
    assert!(!without.contains("value=\"back"), "{without}");
}

#[test]
fn both_namings_have_the_same_series() {
    if !can("both_namings_have_the_same_series") {
        return;
    }
    let (_site, export) = beside(&Agent::ALL, &[]);
    let of = |naming: &str| {
        format!("{}?names=awkward.still,awkward.many,sample.long,mmv,hinv&naming={naming}", export.url)
    };
    judge_is_content(&["same", &of("pcp"), &of("prometheus")]);
}

/// Whether a lint is none of the exporter's: missing help.
fn is_allowed(line: &str) -> bool {
    line.ends_with("no help text")
}
