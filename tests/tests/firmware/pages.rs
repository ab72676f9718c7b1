//! Prometheus and its judges on the firmware.

use std::io::Write;
use std::process::{Command, Stdio};

use pmbridge_tests::{
    Board, CLIENT, Dir, Firmware, PROMETHEUS, PROMTOOL, PYTHON, Process, eventually, free_port, get, has,
};

use super::{DECLARED, OPEN, TEXT, page};

fn can(test: &str, tools: &[&str]) -> bool {
    Board::Lm3s6965evb.is_there(test) && has(test, tools)
}

/// What a program says to a page that it is given.
fn judged(command: &mut Command, page: &str) -> String {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let said = child.wait_with_output().unwrap();
    let [out, err] = [said.stdout, said.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert_eq!(said.status.code(), Some(0), "{out}{err}\n{page}");
    out + &err
}

#[test]
fn promtool_has_nothing_to_say_of_the_page() {
    if !can("promtool_has_nothing_to_say_of_the_page", &[PROMTOOL]) {
        return;
    }
    let page = page(&Firmware::start(&[]), TEXT);
    assert_eq!(judged(Command::new(PROMTOOL).args(["check", "metrics"]), &page), "", "{page}");
}

#[test]
fn the_reference_parser_takes_the_page_as_openmetrics() {
    if !can("the_reference_parser_takes_the_page_as_openmetrics", &[PYTHON, CLIENT]) {
        return;
    }
    const PARSE: &str = "import sys\n\
        from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse\n\
        for f in parse(sys.stdin.read()): print(f.name, f.type, f.unit, len(f.samples))\n";
    let page = page(&Firmware::start(&[]), OPEN);
    let families = judged(Command::new(PYTHON).args(["-c", PARSE]), &page);
    for family in ["device_uptime_seconds counter seconds 1", "sensor_latency_seconds histogram seconds 8"] {
        assert!(families.lines().any(|line| line == family), "{family}:\n{families}\n{page}");
    }
}

/// A database that scrapes one target each second.
struct Prometheus {
    port: u16,
    process: Process,
    _dir: Dir,
}

impl Prometheus {
    fn start(target: u16) -> Self {
        let dir = Dir::new();
        let config = dir.write(
            "prometheus.yml",
            format!(
                "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n\
                 - job_name: chip\n  static_configs: [{{targets: ['127.0.0.1:{target}']}}]\n"
            ),
        );
        let port = free_port();
        let mut command = Command::new(PROMETHEUS);
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", dir.join("data").display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        Self { port, process: Process::start(&mut command, dir.join("prometheus.log")), _dir: dir }
    }

    /// The value of an expression that has one.
    fn value(&self, expression: &str) -> Option<f64> {
        let text: String = expression.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let answer = get(self.port, &format!("/api/v1/query?query={text}"), &[]).text();
        let (_, value) = answer.split_once("\"value\":[")?;
        value.split('"').nth(1)?.parse().ok()
    }
}

#[test]
fn prometheus_scrapes_each_second_and_no_scrape_fails() {
    const NAME: &str = "prometheus_scrapes_each_second_and_no_scrape_fails";
    const SCRAPES: f64 = 20.0;
    if !can(NAME, &[PROMETHEUS]) {
        return;
    }
    let firmware = Firmware::start(&[]);
    let prometheus = Prometheus::start(firmware.http);
    eventually(&format!("{SCRAPES} scrapes; Prometheus said:\n{}", prometheus.process.said()), || {
        prometheus.value("count_over_time(up[10m])").filter(|&scrapes| scrapes >= SCRAPES)
    });
    assert_eq!(prometheus.value("min_over_time(up[10m])"), Some(1.0), "{}", firmware.process.said());
    assert_eq!(prometheus.value("sensor_temperature{sensor=\"chip\"}"), Some(41.5));
    assert!(prometheus.value("rate(device_idle_seconds_total[10s])").is_some_and(|share| share > 0.0));
    assert!(
        prometheus.value("histogram_quantile(0.9, sensor_latency_seconds_bucket)").is_some_and(|q| q > 0.0)
    );
    let page = page(&firmware, TEXT);
    for (_, name) in DECLARED {
        let name = if name == "sensor_latency_seconds" { "sensor_latency_seconds_count" } else { name };
        assert!(prometheus.value(&format!("sum({name})")).is_some(), "{name}\n{page}");
    }
}
