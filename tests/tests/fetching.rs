//! Documents that come encrypted, packed, from elsewhere, or from a script.

use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use flate2::{Compression, write::GzEncoder};
use pmbridge_tests::{
    Answer, Authority, Dir, OPENSSL, PMINFO, PYTHON, Serve, Server, TRUST, eventually, has, run,
};

/// What a fetch of one metric shows.
fn fetch(serve: &Serve, name: &str) -> String {
    let name = if name.is_empty() { "openmetrics".into() } else { format!("openmetrics.{name}") };
    run(serve.tool("pminfo").args(["-f", &name])).out
}

/// Waits until a metric has this value.
fn shows(serve: &Serve, name: &str, value: &str) {
    eventually(&format!("{name} {value}; pmbridge said\n{}", serve.process.said()), || {
        fetch(serve, name).contains(&format!("value {value}\n")).then_some(())
    });
}

/// Waits until the log has this.
fn says(serve: &Serve, text: &str) {
    eventually(&format!("{text:?} in what pmbridge said:\n{}", serve.process.said()), || {
        fetch(serve, "");
        serve.process.said().contains(text).then_some(())
    });
}

fn packed(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(vec![], Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn gzip(body: Vec<u8>) -> Answer {
    Answer::Fields(200, "Content-Encoding: gzip\r\n".into(), body)
}

fn moved(code: u16, to: &str) -> Answer {
    Answer::Fields(code, format!("Location: {to}\r\n"), b"elsewhere\n".to_vec())
}

#[test]
fn a_certificate_is_verified() {
    if !has("a_certificate_is_verified", &[PMINFO, PYTHON, OPENSSL]) {
        return;
    }
    let (known, unknown, double) = (Authority::new("a"), Authority::new("b"), Authority::new("a"));
    let good = known.server("DNS:localhost,IP:127.0.0.1", 30, &[]);
    let old = known.server("DNS:localhost,IP:127.0.0.1", 30, &["1.2"]);
    let other = known.server("DNS:other.example", 30, &[]);
    let expired = known.server("DNS:localhost", -1, &[]);
    let stranger = unknown.server("DNS:localhost", 30, &[]);
    let forged = double.server("DNS:localhost", 30, &[]);
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let plain_port = plain.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in plain.incoming() {
            drop(client.unwrap().write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"));
        }
    });
    let mut sources = vec![
        format!("byname=https://localhost:{}/m", good.port),
        format!("byaddress=https://127.0.0.1:{}/slow", good.port),
        format!("big=https://127.0.0.1:{}/big", good.port),
        format!("cut=https://127.0.0.1:{}/cut", good.port),
        format!("old=https://127.0.0.1:{}/m", old.port),
        format!("other=https://localhost:{}/m", other.port),
        format!("expired=https://localhost:{}/m", expired.port),
        format!("stranger=https://localhost:{}/m", stranger.port),
        format!("forged=https://localhost:{}/m", forged.port),
        format!("plain=https://127.0.0.1:{plain_port}/m"),
    ];
    let args: Vec<_> = sources.iter_mut().map(|source| &**source).collect();
    let ca = known.file();
    let serve = Serve::start_in(&args, &[("SSL_CERT_FILE", ca.to_str().unwrap())]);
    for source in ["byname", "byaddress", "old"] {
        eventually(source, || fetch(&serve, source).contains("value").then_some(()));
    }
    eventually("a big page", || fetch(&serve, "big").contains("i:99999\"] value 99999\n").then_some(()));
    for (source, why) in [
        ("other", "the server's certificate is for another name"),
        ("expired", "the server's certificate has expired"),
        ("stranger", "the server's certificate has an unknown issuer"),
        ("forged", "the server's certificate is not signed by the trusted issuer that it names"),
        ("plain", "the server does not speak TLS there"),
        ("cut", "connection was cut"),
    ] {
        eventually(&format!("{why}: {}", serve.process.said()), || {
            let said = serve.process.said();
            said.lines().any(|line| line.contains(&format!("{source} (")) && line.contains(why)).then_some(())
        });
        assert!(!fetch(&serve, source).contains("value"), "{source}");
    }
    // The variables of PCP's own PMDA come first.
    let bundle = unknown.file();
    let variables =
        [("SSL_CERT_FILE", ca.to_str().unwrap()), ("REQUESTS_CA_BUNDLE", bundle.to_str().unwrap())];
    let serve = Serve::start_in(&args, &variables);
    eventually("the other trust", || fetch(&serve, "stranger").contains("value").then_some(()));
    assert!(!fetch(&serve, "byname").contains("value"));
}

/// As OpenSSL has it, and so PCP's own PMDA.
#[test]
fn a_certificate_of_an_authority_is_taken_where_it_is_itself_trusted() {
    if !has("a_certificate_of_an_authority_is_taken", &[PMINFO, PYTHON, OPENSSL]) {
        return;
    }
    let authority = Authority::new("a");
    let (itself, trusted) = authority.of_itself("DNS:localhost");
    let (stranger, _) = authority.of_itself("DNS:localhost,IP:127.0.0.1");
    let sources = [
        format!("itself=https://localhost:{}/m", itself.port),
        format!("misnamed=https://127.0.0.1:{}/m", itself.port),
        format!("stranger=https://localhost:{}/m", stranger.port),
    ];
    let serve =
        Serve::start_in(&sources.each_ref().map(|s| &**s), &[("SSL_CERT_FILE", trusted.to_str().unwrap())]);
    eventually("a page", || fetch(&serve, "itself").contains("value").then_some(()));
    for (source, why) in [
        ("misnamed", "the server's certificate is for another name"),
        (
            "stranger",
            "the server's certificate is an authority's (CA:TRUE) and not itself among the trusted ones",
        ),
    ] {
        eventually(why, || {
            let said = serve.process.said();
            said.lines().any(|line| line.contains(&format!("{source} (")) && line.contains(why)).then_some(())
        });
        assert!(!fetch(&serve, source).contains("value"), "{source}");
    }
}

#[test]
fn an_encrypted_connection_is_kept_and_a_session_is_resumed() {
    if !has("an_encrypted_connection_is_kept_and_a_session_is_resumed", &[PMINFO, PYTHON, OPENSSL]) {
        return;
    }
    let authority = Authority::new("a");
    let (kept, closing) =
        (authority.server("IP:127.0.0.1", 30, &[]), authority.server("IP:127.0.0.1", 20, &[]));
    let (kept, closing) = (
        format!("kept=https://127.0.0.1:{}/m", kept.port),
        format!("closing=https://127.0.0.1:{}/close", closing.port),
    );
    let servers = [&*kept, &*closing];
    let ca = authority.file();
    let serve = Serve::start_in(&servers, &[("SSL_CERT_FILE", ca.to_str().unwrap())]);
    shows(&serve, "kept.connections", "1");
    eventually("a resumed session", || (!fetch(&serve, "closing.resumed").contains("value 0")).then_some(()));
    for _ in 0..5 {
        assert!(fetch(&serve, "kept.connections").contains("value 1\n"), "{}", serve.process.said());
    }
}

#[test]
fn check_speaks_tls_and_follows() {
    if !has("check_speaks_tls_and_follows", &[PYTHON, OPENSSL]) {
        return;
    }
    let authority = Authority::new("a");
    let https = authority.server("DNS:localhost", 30, &[]);
    let server = Server::new();
    let url = server.put("/x", moved(302, &format!("https://localhost:{}/m", https.port)));
    let check = |ca: &str| {
        let mut command = std::process::Command::new(pmbridge_tests::pmbridge());
        for variable in TRUST {
            command.env_remove(variable);
        }
        run(command.args(["check", &url]).env("SSL_CERT_FILE", ca))
    };
    let shown = check(authority.file().to_str().unwrap()).ok();
    assert!(shown.contains("connections"), "{shown}");
    let refused = check("/dev/null");
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("trusted certificates"), "{}", refused.err);
}

#[test]
fn a_packed_document_is_unpacked() {
    if !has("a_packed_document_is_unpacked", &[PMINFO]) {
        return;
    }
    let server = Server::new();
    let page = b"packed_metric 42\n";
    let (mut damaged, short) = (packed(page), packed(page));
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    let sources = [
        format!("good={}", server.put("/good", gzip(packed(page)))),
        format!("damaged={}", server.put("/damaged", gzip(damaged))),
        format!("short={}", server.put("/short", gzip(short[..short.len() - 4].to_vec()))),
        format!("bomb={}", server.put("/bomb", gzip(packed(&vec![b'\n'; 64 << 20])))),
        format!(
            "unknown={}",
            server.put("/unknown", Answer::Fields(200, "Content-Encoding: br\r\n".into(), page.to_vec()))
        ),
    ];
    let mut args: Vec<_> = sources.iter().map(|source| &**source).collect();
    args.extend(["--max-body", "1048576"]);
    let serve = Serve::start(&args);
    shows(&serve, "good.packed_metric", "42");
    shows(&serve, "good.packed_metric", "42");
    assert!(server.head("/good").contains("\r\nAccept-Encoding: gzip"), "{}", server.head("/good"));
    assert_eq!(server.connections(), 5 + server.gets("/damaged") - 1, "the good one is kept");
    for (source, why) in [
        ("damaged", "compressed body is damaged"),
        ("short", "connection ended inside the body"),
        ("bomb", "document is longer than 1048576 bytes, unpacked if it is packed (--max-body)"),
        ("unknown", "body is encoded in a way that was not asked for"),
    ] {
        says(&serve, why);
        assert!(!fetch(&serve, source).contains("value"), "{source}");
    }
}

#[test]
fn a_redirect_is_followed_and_secrets_stay_at_home() {
    if !has("a_redirect_is_followed_and_secrets_stay_at_home", &[PMINFO]) {
        return;
    }
    let (home, away) = (Server::new(), Server::new());
    let far = away.put("/far/page", Answer::Document(b"far_metric 7\n".to_vec()));
    home.put("/b/near", Answer::Document(b"near_metric 5\n".to_vec()));
    home.put("/out", moved(307, &far));
    home.put("/b/loop", moved(301, "other"));
    home.put("/b/other", moved(301, "/b/loop"));
    home.put("/nowhere", Answer::Status(302));
    home.put("/file", moved(302, "file:///etc/passwd"));
    for n in 0..20 {
        home.put(&format!("/long/{n}"), moved(308, &format!("{}?", n + 1)));
        home.put(&format!("/long/{n}?"), moved(308, &format!("{}?", n + 1)));
    }
    let at = |name: &str, path: &str| format!("{name}=http://user:secret@127.0.0.1:{}{path}", home.port());
    home.put("/a/start", moved(302, "../b/near"));
    let sources = [
        at("near", "/a/start"),
        at("far", "/out"),
        at("circle", "/b/loop"),
        at("long", "/long/0"),
        at("nowhere", "/nowhere"),
        at("file", "/file"),
    ];
    let args: Vec<_> = sources.iter().map(|source| &**source).collect();
    let serve = Serve::start(&args);
    shows(&serve, "near.near_metric", "5");
    shows(&serve, "far.far_metric", "7");
    let before = (home.gets("/a/start"), home.gets("/b/near"), home.gets("/out"), away.gets("/far/page"));
    for _ in 0..3 {
        shows(&serve, "near.near_metric", "5");
        shows(&serve, "far.far_metric", "7");
    }
    let after = (home.gets("/a/start"), home.gets("/b/near"), home.gets("/out"), away.gets("/far/page"));
    assert_eq!(
        after,
        (before.0 + 3, before.1 + 3, before.2 + 3, before.3 + 3),
        "each scrape asks the first URL"
    );
    assert!(home.head("/b/near").contains("\r\nAuthorization: Basic "));
    assert!(!away.head("/far/page").contains("Authorization"), "{}", away.head("/far/page"));
    for why in [
        "redirected in a circle",
        "redirected more than 10 times",
        "server answered with HTTP status 302 and no Location",
        "redirected to what cannot be used: not an http://, https:// or file:// URL",
    ] {
        says(&serve, why);
    }
    assert!(!serve.process.said().contains("secret"));
}

#[test]
fn the_connections_of_many_hosts_are_kept() {
    if !has("the_connections_of_many_hosts_are_kept", &[PMINFO]) {
        return;
    }
    let servers: Vec<_> = (0..25).map(|_| Server::new()).collect();
    let page = || Answer::Document(b"one 1\n".to_vec());
    let sources: Vec<_> =
        servers.iter().enumerate().map(|(n, server)| format!("s{n}={}", server.put("/m", page()))).collect();
    let args: Vec<_> = sources.iter().map(|source| &**source).collect();
    let serve = Serve::start(&args);
    eventually("all of them", || (fetch(&serve, "").matches("value 1\n").count() == 25).then_some(()));
    for _ in 0..3 {
        assert_eq!(fetch(&serve, "").matches("value 1\n").count(), 25);
    }
    for server in &servers {
        assert!(server.gets("/m") > 3);
        assert_eq!(server.connections(), 1);
    }
}

/// A directory of scripts.
fn scripts(all: &[(&str, &str)]) -> Dir {
    let dir = Dir::new();
    for (name, text) in all {
        let path = dir.write(name, text);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    // pmbridge gives root up, and its scripts write here.
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    dir
}

fn serve_scripts(dir: &Dir, more: &[&str]) -> Serve {
    let config = dir.path().to_str().unwrap();
    Serve::start(&[&["--config", config][..], more].concat())
}

fn descriptors(serve: &Serve) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", serve.process.id())).unwrap().count()
}

#[test]
fn a_script_that_exits_well_is_a_source() {
    if !has("a_script_that_exits_well_is_a_source", &[PMINFO]) {
        return;
    }
    let big = "#!/bin/sh\nawk 'BEGIN { for (i = 0; i < 50000; i++) print \"big{i=\\\"\" i \"\\\"} \" i }'\n";
    let dir = scripts(&[
        ("good.sh", "#!/bin/sh\ncat - /dev/null\necho '# HELP m [x]'\necho good_metric 42\n"),
        ("big.sh", big),
        ("bad.sh", "#!/bin/sh\necho bad_metric 1\nexit 3\n"),
        ("killed.sh", "#!/bin/sh\necho killed_metric 1\nkill -9 $$\n"),
        ("plain.sh", "echo plain_metric 1\n"),
        ("missing.sh", "#!/no/such/interpreter\n"),
        ("flood.sh", "#!/bin/sh\nyes 'flood 1'\n"),
        ("says.sh", "#!/bin/sh\necho 'disk 7 is gone' >&2\nyes noise | head -1000 >&2\necho said 1\n"),
        ("child.sh", "#!/bin/sh\nsleep 20 &\necho child_metric 1\n"),
        ("sub/dir/x.python", "#!/usr/bin/env python3\nprint('deep_metric 9')\n"),
    ]);
    let serve = serve_scripts(&dir, &["--max-body", "4194304"]);
    shows(&serve, "good.good_metric", "42");
    shows(&serve, "child.child_metric", "1");
    shows(&serve, "says.said", "1");
    shows(&serve, "sub.dir.x.deep_metric", "9");
    assert!(fetch(&serve, "big.big").contains("i:49999\"] value 49999\n"));
    for why in [
        "script exited with status 3",
        "script was ended by signal 9 (SIGKILL)",
        "it needs a first line that names an interpreter",
        "script cannot be run: No such file or directory",
        "script printed more than 4194304 bytes (--max-body)",
        "stderr: disk 7 is gone",
        "lines more",
    ] {
        says(&serve, why);
    }
    for source in ["bad", "killed", "plain", "missing", "flood"] {
        assert_eq!(fetch(&serve, source), "", "{source} has no names");
    }
    let said = serve.process.said();
    assert_eq!(said.matches("stderr: noise").count(), 19, "once, and not all of it:\n{said}");
    let before = descriptors(&serve);
    for _ in 0..10 {
        shows(&serve, "good.good_metric", "42");
        fetch(&serve, "");
    }
    eventually("no child that is left", || serve.process.children().is_empty().then_some(()));
    assert!(descriptors(&serve) <= before, "{} descriptors, then {before}", descriptors(&serve));
}

#[test]
fn a_script_whose_time_is_over_is_killed_with_its_children() {
    if !has("a_script_whose_time_is_over_is_killed_with_its_children", &[PMINFO]) {
        return;
    }
    let hung = "#!/bin/sh\ncd \"$(dirname \"$0\")\"\nsleep 1000 &\necho $$ $! >>pids\nwait\n";
    let silent = "#!/bin/sh\nexec >&- 2>&-\nsleep 1000\n";
    let dir =
        scripts(&[("good.sh", "#!/bin/sh\necho good_metric 42\n"), ("hung.sh", hung), ("silent.sh", silent)]);
    let serve = serve_scripts(&dir, &["-t", "1"]);
    shows(&serve, "good.good_metric", "42");
    says(&serve, "no whole document within the time limit (-t): the script was killed");
    // One process that ignored the time limit would be seen here.
    let pids =
        eventually("the script's processes", || Some(dir.read("pids")).filter(|pids| !pids.is_empty()));
    for pid in pids.split_whitespace() {
        eventually("the end of the script and of its child", || {
            let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            (!command.contains("sleep") && !command.contains("hung")).then_some(())
        });
    }
    shows(&serve, "good.good_metric", "42");
    let (before, children) = (descriptors(&serve), serve.process.children().len());
    for _ in 0..3 {
        fetch(&serve, "");
    }
    assert!(children <= 2 && descriptors(&serve) <= before + 6, "{}", serve.process.said());
    // One that runs as pmbridge ends goes with it.
    let hung = || dir.read("pids").split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let known = hung().len();
    eventually("the script again", || (hung().len() > known).then_some(()));
    drop(serve);
    for pid in hung() {
        eventually("the end of the script", || {
            let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            (!command.contains("sleep") && !command.contains("hung")).then_some(())
        });
    }
}

#[test]
fn more_scripts_than_may_run_at_once_have_their_turns() {
    if !has("more_scripts_than_may_run_at_once_have_their_turns", &[PMINFO]) {
        return;
    }
    let dir = scripts(&[]);
    for n in 0..150 {
        let path = dir.write(&format!("s{n}.sh"), "#!/bin/sh\nsleep 0.1\necho turn 1\n");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let serve = serve_scripts(&dir, &[]);
    eventually(&format!("all of them: {}", serve.process.said()), || {
        (fetch(&serve, "").matches("value 1\n").count() == 150).then_some(())
    });
    assert!(serve.process.children().len() <= 64);
}
