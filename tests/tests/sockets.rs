//! pmcd comes to us over a socket, and an orphan keeps no port.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use pmbridge_tests::{
    Answer, Dir, PMCD, Pmcd, Process, Sandbox, Server, eventually, free_port, has, pmbridge, run,
};

/// A command for pmcd.conf with these flags, on the directories of a test.
fn command(dir: &Dir, flags: &str) -> String {
    let [config, log] = ["config.d", "pmda.log"].map(|name| dir.join(name).display().to_string());
    format!("{} pmda -d 144 -c {config} -l {log} {flags}", pmbridge().display())
}

/// The line of pmcd.conf serves a source's value, its names included, and ends when pmcd does.
fn serves(line: impl FnOnce(&Dir) -> String) {
    let server = Server::new();
    let url = server.put("/m", Answer::Document(b"a{x=\"y\"} 42\n".to_vec()));
    let mut pmcd = Pmcd::start_line(&[("one", &url)], line);
    eventually(&format!("the value in {}", pmcd.dir.path().display()), || {
        let shown = run(pmcd.tool("pminfo").args(["-f", "openmetrics.one"])).out;
        shown.contains("inst [0 or \"0 x:y\"] value 42").then_some(())
    });
    let pmda = pmcd.pmda().expect("a PMDA");
    assert!(pmcd.dir.read("pmda.log").contains("waits for pmcd on"), "{}", pmcd.logs());
    pmcd.process.kill();
    eventually("the end of the PMDA", || (!is_ours(pmda)).then_some(()));
}

/// Whether a process still is a pmbridge.
fn is_ours(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().contains("pmbridge")
}

#[test]
fn pmcd_comes_over_inet() {
    if has("pmcd_comes_over_inet", &[PMCD]) {
        let port = free_port();
        serves(|dir| {
            format!("openmetrics\t144\tsocket\tinet {port}\t{}", command(dir, &format!("-i {port}")))
        });
    }
}

#[test]
fn pmcd_comes_over_a_unix_socket() {
    if has("pmcd_comes_over_a_unix_socket", &[PMCD]) {
        serves(|dir| {
            let path = dir.join("pmda.socket");
            // One that an earlier run left is no obstacle.
            drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
            let path = path.display();
            format!("openmetrics\t144\tsocket\tunix {path}\t{}", command(dir, &format!("-u {path}")))
        });
    }
}

#[test]
fn a_pmcd_that_is_not_root_comes_over_both() {
    let test = "a_pmcd_that_is_not_root_comes_over_both";
    if !has(test, &[PMCD, "/usr/bin/nsenter"]) {
        return;
    }
    let Some(sandbox) = Sandbox::start(test) else { return };
    let binary = pmbridge();
    let line = |kind: &str, flag: &str, place: &str| {
        let command = format!("{} pmda {flag} {place} -c /run/config.d", binary.display());
        sandbox.ok(&format!(
            "cd /etc/pcp/pmcd && sed -i -e '1i openmetrics 144 socket {kind} {place} {command}' -e '/^openmetrics/d' pmcd.conf"
        ));
    };
    let shows = |what: &str, flag: &str| {
        eventually(what, || {
            let running = sandbox.sh(&format!("pgrep -fa '[p]mbridge pmda {flag}'")).out;
            let shown = sandbox.sh("pminfo -f openmetrics.one.a").out;
            (!running.is_empty() && shown.contains("value 42")).then_some(())
        });
    };
    let (port, path) = (free_port().to_string(), "/run/pcp/pmda.socket");
    line("inet", "-i", &port);
    // Rebuild leaves out whom pmcd.conf does not have.
    sandbox.ok("mkdir /run/config.d && echo 'a 42' >/run/page && echo file:///run/page >/run/config.d/one.url
        cd /var/lib/pcp/pmns && printf 'root {\\n\\topenmetrics\\t144:*:*\\n}\\n' >root_openmetrics && ./Rebuild -s
        cd /var/log/pcp/pmcd && /usr/lib/pcp/bin/pmcd -A && /usr/lib/pcp/bin/pmcd_wait -t 60");
    shows("the value over inet", "-i");
    line("unix", "-u", path);
    sandbox.ok("kill -HUP $(cat /run/pcp/pmcd.pid)");
    shows("the value over unix", "-u");
    assert_eq!(sandbox.ok("ps -o user= -C pmcd").trim(), "pcp");
    assert_eq!(sandbox.ok(&format!("stat -c '%a %U' {path}")), "660 pcp\n");
}

#[test]
fn a_pmda_ends_when_pmcd_is_killed_before_it_connects() {
    if !has("a_pmda_ends_when_pmcd_is_killed_before_it_connects", &[PMCD]) {
        return;
    }
    let (port, other) = (free_port(), free_port());
    // pmcd looks for it elsewhere, so that it waits however fast pmcd is.
    let line = |dir: &Dir| {
        format!("openmetrics\t144\tsocket\tinet {other}\t{}", command(dir, &format!("-i {port}")))
    };
    let mut pmcd = Pmcd::start_line(&[], line);
    eventually("the PMDA to wait", || pmcd.dir.read("pmda.log").contains("waits for pmcd on").then_some(()));
    pmcd.process.kill();
    eventually("its end", || {
        let log = pmcd.dir.read("pmda.log");
        log.contains("pmcd has gone before it connected").then_some(())
    });
    eventually("the port to be free", || TcpListener::bind(("127.0.0.1", port)).ok());
}

/// What `pmbridge pmda` says as it ends without having served anybody.
fn refused(flags: &[&str]) -> String {
    let dir = Dir::new();
    let finished = run(Command::new(pmbridge())
        .args(["pmda", "--ids", "-", "-l", "-", "-c"])
        .arg(dir.path())
        .args(flags));
    assert!(finished.code > 0 && !finished.err.contains("panicked"), "{finished:?}");
    finished.err
}

#[test]
fn a_port_or_path_that_cannot_be_had_is_told() {
    let taken = Server::new();
    let port = taken.port().to_string();
    let said = refused(&["-i", &port]);
    assert!(said.contains(&format!("127.0.0.1:{port}")) && said.contains("another program"), "{said}");
    let said = refused(&["-u", "/no/such/directory/socket"]);
    assert!(said.contains("/no/such/directory/socket") && said.contains("does not exist"), "{said}");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let said = refused(&["--unix", file.to_str().unwrap()]);
    assert!(said.contains("it is not a socket") && file.exists(), "{said}");
}

#[test]
fn only_the_first_who_connects_is_pmcd() {
    let (dir, port) = (Dir::new(), free_port());
    std::fs::create_dir_all(dir.join("config.d")).unwrap();
    let mut command = Command::new(pmbridge());
    command.args(["pmda", "--ids", "-", "-i", &port.to_string(), "-l", "-", "-c"]).arg(dir.join("config.d"));
    let mut process = Process::start(&mut command, dir.join("log"));
    let mut pmcd = eventually("its port", || TcpStream::connect(("127.0.0.1", port)).ok());
    // The PMDA speaks first: its credentials, 20 bytes. It says nothing that a socket line could not take.
    let mut credentials = [0; 20];
    pmcd.read_exact(&mut credentials).unwrap();
    assert_eq!(credentials[..8], [0, 0, 0, 20, 0, 0, 0x70, 0x0c]);
    eventually("nobody to listen any more", || TcpStream::connect(("127.0.0.1", port)).err());
    assert!(process.is_alive());
    // Answered by itself, then a hang-up in the midst of a PDU.
    pmcd.write_all(&credentials).unwrap();
    pmcd.write_all(&credentials[..7]).unwrap();
    drop(pmcd);
    assert!(process.wait().success(), "{}", process.said());
}

#[test]
fn a_signal_ends_one_that_waits() {
    let dir = Dir::new();
    let mut command = Command::new(pmbridge());
    command.args(["pmda", "--ids", "-", "-l", "-", "-u"]).arg(dir.join("socket")).arg("-c").arg(dir.path());
    let process = Process::start(&mut command, dir.join("log"));
    eventually("it to wait", || process.said().contains("waits for pmcd on").then_some(()));
    // Dropping asks it to end, and would kill it only after two seconds.
    drop(process);
    let said = dir.read("log");
    assert!(said.contains("asked to end before pmcd connected"), "{said}");
}
