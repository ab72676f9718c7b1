//! A Prometheus that comes encrypted, with a certificate and a password.

use std::process::Command;

use pmbridge_tests::{
    Answer, Dir, Export, OPENSSL, PMCD, PROMETHEUS, Pmcd, Pmda, Process, Server, eventually, free_port, has,
    run,
};

use super::files::{HASH, TLS, certificates};

#[test]
fn prometheus_scrapes_with_certificate_and_password() {
    const CURL: &str = "/usr/bin/curl";
    if !has("prometheus_scrapes_with_certificate_and_password", &[PROMETHEUS, CURL, PMCD, OPENSSL]) {
        return;
    }
    let server = Server::new();
    let good = server.put("/good", Answer::Document(b"good_metric 42\n".to_vec()));
    let pmcd = Pmcd::start(Pmda::Ours, &[("good", &good)]);
    let dir = Dir::new();
    certificates(&dir);
    let more = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n  client_allowed_sans: [prom.example]\n";
    let file = dir.write("web.yml", format!("{TLS}{more}basic_auth_users:\n  prom: {HASH}\n"));
    let target = format!("127.0.0.1:{}", pmcd.port);
    let export = Export::start_at(&target, &["-u", "root", "--web.config.file", file.to_str().unwrap()]);
    assert!(export.url.starts_with("https://"), "{}", export.url);
    let job = |name: &str, password: &str, certificate: &str| {
        let path = |file: &str| dir.join(file).display().to_string();
        format!(
            "- job_name: {name}\n  scheme: https\n  basic_auth: {{username: prom, password: {password}}}\n  tls_config:\n    \
             ca_file: {}\n{certificate}  static_configs: [{{targets: ['127.0.0.1:{}']}}]\n",
            path("ca.pem"),
            export.port
        )
    };
    let certificate = format!(
        "    cert_file: {}\n    key_file: {}\n",
        dir.join("client.pem").display(),
        dir.join("client.key").display()
    );
    let config = dir.write(
        "prometheus.yml",
        format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n{}{}{}",
            job("good", "a", &certificate),
            job("wrong_password", "b", &certificate),
            job("no_certificate", "a", "")
        ),
    );
    let port = free_port();
    let mut command = Command::new(PROMETHEUS);
    command.arg(format!("--config.file={}", config.display()));
    command.arg(format!("--storage.tsdb.path={}", dir.join("data").display()));
    command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
    let prometheus = Process::start(&mut command, dir.join("prometheus.log"));
    let query = |text: &str| {
        let url = format!("http://127.0.0.1:{port}/api/v1/query");
        run(Command::new(CURL).args([
            "-sG",
            "--noproxy",
            "*",
            "--data-urlencode",
            &format!("query={text}"),
            &url,
        ]))
        .out
    };
    eventually("a scrape that brings something", || {
        query("openmetrics_good_good_metric{job=\"good\"}").contains("\"42\"").then_some(())
    });
    for (job, up) in [("good", "\"1\""), ("wrong_password", "\"0\""), ("no_certificate", "\"0\"")] {
        eventually(&format!("{job}; Prometheus said:\n{}", prometheus.said()), || {
            query(&format!("up{{job=\"{job}\"}}")).contains(up).then_some(())
        });
    }
    // At 1 s, for a while: one connection, and no scrape that fails.
    std::thread::sleep(std::time::Duration::from_secs(5));
    let least = query("min_over_time(up{job=\"good\"}[5s])");
    assert!(least.contains("\"1\""), "{least}");
}
