//! What a firmware is put under to see how much of its stack it uses: everybody asks at once, a neighbour included.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{Error, qemu};

/// The most bytes of its stack that a firmware used.
pub(crate) fn stack(settings: &qemu::Settings) -> Result<u64, Error> {
    let neighbour = TcpListener::bind("127.0.0.1:0")?;
    let scrape = format!("scrape=load@10.0.2.2:{}/metrics", neighbour.local_addr()?.port());
    thread::spawn(move || be_a_neighbour(&neighbour));
    let settings =
        qemu::Settings { arguments: vec!["ip=10.0.2.15/24".to_owned(), scrape], ..settings.clone() };
    let mut qemu = qemu::Qemu::start(&settings)?;
    let ports = qemu.ports()?;
    let port = |guest: u16| ports.iter().find(|port| port.0 == guest).map(|port| port.1).ok_or("no port");
    let (pcp, http) = (port(44_321)?, port(9100)?);
    let until = Instant::now() + PATIENCE;
    while page(http, TEXT).is_err() {
        if Instant::now() > until {
            return Err("the firmware does not answer".into());
        }
        thread::sleep(Duration::from_millis(50));
    }
    thread::scope(|scope| {
        for kind in [TEXT, OPEN_METRICS] {
            scope.spawn(move || (0..ROUNDS * 5).for_each(|_| drop(page(http, kind))));
        }
        for _ in 0..2 {
            scope.spawn(move || (0..ROUNDS).for_each(|_| pminfo(pcp)));
        }
    });
    // It looks at its stack a few times a second.
    thread::sleep(Duration::from_secs(1));
    let page = page(http, TEXT)?;
    let line = page.lines().find_map(|line| line.strip_prefix("device_stack_bytes{part=\"peak\"} "));
    Ok(line.ok_or_else(|| format!("no stack in\n{page}"))?.trim().parse()?)
}

/// All that pminfo can ask for, where it is installed.
fn pminfo(port: u16) {
    let mut pminfo = Command::new("pminfo");
    pminfo.args(["-h", &format!("127.0.0.1:{port}"), "-fdtTlmM"]);
    if pminfo.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        eprintln!("pminfo is not there: no load of PCP");
    }
}

/// The page, as asked for.
fn page(port: u16, accept: &str) -> Result<String, Error> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let request =
        format!("GET /metrics HTTP/1.1\r\nHost: device\r\nAccept: {accept}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.starts_with("HTTP/1.1 200") { Ok(answer) } else { Err("no page".into()) }
}

/// Has a page of all sorts of metrics for who asks.
fn be_a_neighbour(listener: &TcpListener) {
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { continue };
        let _ = stream.read(&mut [0; 1024]);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", PAGE.len());
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(PAGE.as_bytes()));
    }
}

const PAGE: &str = "# HELP load_seconds How long.\n# TYPE load_seconds histogram\nload_seconds_bucket{le=\"0.1\"} 2\n\
    load_seconds_bucket{le=\"+Inf\"} 3\nload_seconds_sum 0.30000000000000004\nload_seconds_count 3\n# TYPE load_bytes gauge\n\
    load_bytes{part=\"one\",of=\"the \\\"load\\\"\"} 123456789.125\nload_bytes{part=\"two\"} 1.7976931348623157e308\n# TYPE \
    load_total counter\nload_total 17 1700000000000\nload_tiny 2.2250738585072011e-308\n";
const TEXT: &str = "text/plain";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0";
const ROUNDS: usize = 10;
const PATIENCE: Duration = Duration::from_secs(60);
