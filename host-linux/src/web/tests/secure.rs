//! Encryption, certificates and passwords, with clients that are not ours: curl and OpenSSL.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicU32;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::*;

/// A directory with certificates, one authority's and what it has signed. It goes with the test.
struct Dir(PathBuf);

impl Dir {
    /// `None` where there is no OpenSSL or no curl, which is said past the capture.
    fn new() -> Option<Self> {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        if !["/usr/bin/openssl", "/usr/bin/curl"].iter().all(|file| Path::new(file).exists()) {
            std::io::stderr().write_all(b"SKIPPED tests of TLS: openssl or curl is not installed\n").unwrap();
            return None;
        }
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("pmbridge-web-{}-{serial}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let this = Self(dir);
        this.openssl(&format!("req -x509 {KEY} -days 30 -subj /CN=authority -keyout ca.key -out ca.pem"));
        this.openssl(&format!(
            "req -x509 {KEY} -days 30 -subj /CN=other -keyout other-ca.key -out other-ca.pem"
        ));
        this.signed("server", "ca", "subjectAltName=DNS:localhost,IP:127.0.0.1");
        this.signed("client", "ca", "subjectAltName=DNS:prom.example,IP:10.0.0.7,URI:spiffe://x/prom");
        this.signed("stranger", "other-ca", "subjectAltName=DNS:prom.example");
        Some(this)
    }

    fn signed(&self, name: &str, by: &str, extension: &str) {
        fs::write(self.0.join("ext"), extension).unwrap();
        self.openssl(&format!("req {KEY} -subj /CN={name} -keyout {name}.key -out {name}.csr"));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA {by}.pem -CAkey {by}.key -CAcreateserial -days 30 -extfile ext -out {name}.pem"
        ));
    }

    fn openssl(&self, args: &str) {
        let out =
            Command::new("/usr/bin/openssl").args(args.split(' ')).current_dir(&self.0).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }

    /// Writes the file of the server's configuration.
    fn config(&self, text: &str) -> PathBuf {
        let file = self.0.join("web.yml");
        fs::write(self.0.join("web.new"), text).unwrap();
        fs::rename(self.0.join("web.new"), &file).unwrap();
        file
    }

    /// What curl has to say to these words: the status and the body, or how it failed.
    fn curl(&self, server: &Server, words: &str) -> Result<(u16, String), i32> {
        let mut command = Command::new("/usr/bin/curl");
        command.args(["-s", "--noproxy", "*", "--cacert", "ca.pem", "-m", "60", "-w", "\n%{http_code}"]);
        let scheme = if words.contains("http:") { "http" } else { "https" };
        let url = format!("{scheme}://127.0.0.1:{}/metrics?size=5000", server.address.port());
        command.args(words.split_whitespace().filter(|word| *word != "http:")).arg(url);
        let out = command.current_dir(&self.0).stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        match out.status.code().unwrap() {
            0 => {
                let (body, status) = text.rsplit_once('\n').unwrap();
                Ok((status.parse().unwrap(), body.into()))
            }
            code => Err(code),
        }
    }

    fn is_served(&self, server: &Server, words: &str) -> bool {
        match self.curl(server, words) {
            Ok((200, body)) => body.as_bytes() == page(5000),
            _ => false,
        }
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        if !thread::panicking() {
            drop(fs::remove_dir_all(&self.0));
        }
    }
}

fn tls(more: &str) -> String {
    let more: String = more.lines().map(|line| format!("  {}\n", line.trim())).collect();
    format!("tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n{more}")
}

/// Whether the server starts with this configuration, or why it does not.
fn starts(file: PathBuf) -> Result<(), String> {
    let poll = Poll::new().unwrap();
    let settings = Settings {
        listen: ([127, 0, 0, 1], 0).into(),
        telemetry_path: "/metrics".into(),
        config_file: Some(file),
        max_connections: 1,
        max_unread: 1 << 30,
        timeout: Duration::from_secs(5),
    };
    Web::new(poll.registry(), Token(100), settings).map(drop).map_err(|error| error.to_string())
}

#[test]
fn pages_come_encrypted() {
    let Some(dir) = Dir::new() else { return };
    let server = Server::with(20, Some(dir.config(&tls(""))));
    assert!(dir.is_served(&server, ""));
    assert!(dir.is_served(&server, "--tls-max 1.2"));
    assert!(dir.is_served(&server, "--http1.0"));
    assert!(dir.is_served(&server, "--compressed"));
    assert!(dir.is_served(&server, "--http2"), "what is not spoken is not insisted on");
    assert!(dir.curl(&server, "http:").is_err());
    // A large page, and one that waits, through the same connection.
    let url = |query: &str| format!("https://127.0.0.1:{}/metrics?{query}", server.address.port());
    let out = Command::new("/usr/bin/curl")
        .args(["-sS", "--cacert", "ca.pem", &url("size=3000000"), &url("size=7"), &url("size=2000000")])
        .current_dir(&dir.0)
        .output()
        .unwrap();
    assert!(
        out.stdout == [page(3_000_000), page(7), page(2_000_000)].concat(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let accepted = server.stats().accepted;
    assert!(accepted <= 7, "{accepted}");
}

/// Asks for a page of this size, reads nothing until its kernel is full, and then how much there is.
fn read_late(server: &Server, config: Arc<rustls::ClientConfig>, size: usize) -> usize {
    let mut socket = server.connect();
    let mut tls = rustls::ClientConnection::new(config, "127.0.0.1".try_into().unwrap()).unwrap();
    let mut stream = rustls::Stream::new(&mut tls, &mut socket);
    stream.write_all(get(&format!("/metrics?size={size}")).as_bytes()).unwrap();
    stream.flush().unwrap();
    thread::sleep(Span::from_millis(300));
    let (mut all, mut piece) = (0usize, vec![0; 1 << 16]);
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return all,
            Ok(n) => all = all.saturating_add(n),
            Err(error) => panic!("{size}: {error} after {all}"),
        }
    }
}

#[test]
fn the_last_of_a_page_is_not_lost_between_encryption_and_a_full_socket() {
    let Some(dir) = Dir::new() else { return };
    let server = Server::with(200, Some(dir.config(&tls(""))));
    let mut roots = rustls::RootCertStore::empty();
    let authority = fs::read(dir.0.join("ca.pem")).unwrap();
    roots.add(CertificateDer::from_pem_slice(&authority).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = Arc::new(versions.unwrap().with_root_certificates(roots).with_no_client_auth());
    // Nobody knows what two kernels hold, but some size is a little more.
    for sizes in (2_000_000..7_000_000).step_by(100_000).collect::<Vec<usize>>().chunks(20) {
        thread::scope(|scope| {
            for size in sizes {
                let (config, server) = (Arc::clone(&config), &server);
                scope.spawn(move || {
                    let all = read_late(server, config, *size);
                    assert!((size + 100..size + 400).contains(&all), "{all} of {size}");
                });
            }
        });
    }
}

#[test]
fn who_never_ends_a_handshake_is_closed() {
    let Some(dir) = Dir::new() else { return };
    let server = Server::with(20, Some(dir.config(&tls(""))));
    let mut slow: Vec<_> = (0..10).map(|_| server.connect()).collect();
    for (n, socket) in slow.iter_mut().enumerate() {
        // The head of a record, and of the hello in it.
        socket.write_all(&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..n]).unwrap();
    }
    until("all of them", || server.stats().connections == 10);
    assert!(dir.is_served(&server, ""));
    server.turn(11);
    for socket in &mut slow {
        let _ = socket.read_to_end(&mut Vec::new());
    }
    drop(slow);
    until("their end", || server.stats().connections == 0);
    // Who does not speak TLS at all is not waited for.
    let mut plain = server.connect();
    plain.write_all(get("/metrics").as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"));
}

#[test]
fn versions_suites_and_curves_are_those_that_were_said() {
    let Some(dir) = Dir::new() else { return };
    let only = |more: &str, words: &str| {
        let server = Server::with(20, Some(dir.config(&tls(more))));
        dir.is_served(&server, words)
    };
    assert!(only("min_version: TLS13", "") && !only("min_version: TLS13", "--tls-max 1.2"));
    assert!(only("max_version: TLS12", "") && !only("max_version: TLS12", "--tlsv1.3"));
    let suites =
        "cipher_suites:\n- TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384\n- TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384";
    assert!(only(suites, "") && only(suites, "--tls-max 1.2"));
    assert!(!only(suites, "--tls-max 1.2 --ciphers ECDHE-ECDSA-AES128-GCM-SHA256"));
    assert!(only("curve_preferences: [CurveP384]", "--curves P-384"));
    assert!(!only("curve_preferences: [CurveP384]", "--curves X25519"));
    assert!(only("prefer_server_cipher_suites: false", ""));
}

#[test]
fn who_asks_shows_a_certificate_where_one_is_asked_for() {
    let Some(dir) = Dir::new() else { return };
    let (client, stranger) = ("--cert client.pem --key client.key", "--cert stranger.pem --key stranger.key");
    for (kind, ca, want) in [
        // Who comes without one, with one of ours, with one of somebody else's.
        ("NoClientCert", "", [true, true, true]),
        ("RequestClientCert", "", [true, true, true]),
        ("RequireAnyClientCert", "", [false, true, true]),
        ("VerifyClientCertIfGiven", "client_ca_file: ca.pem", [true, true, false]),
        ("RequireAndVerifyClientCert", "client_ca_file: ca.pem", [false, true, false]),
        (
            "RequireAndVerifyClientCert",
            "client_ca_file: ca.pem\nclient_allowed_sans: [prom.example]",
            [false, true, false],
        ),
        (
            "RequireAndVerifyClientCert",
            "client_ca_file: ca.pem\nclient_allowed_sans: [10.0.0.7]",
            [false, true, false],
        ),
        (
            "RequireAndVerifyClientCert",
            "client_ca_file: ca.pem\nclient_allowed_sans: [\"spiffe://x/prom\"]",
            [false, true, false],
        ),
        (
            "RequireAndVerifyClientCert",
            "client_ca_file: ca.pem\nclient_allowed_sans: [example, 10.0.0.8]",
            [false, false, false],
        ),
        ("RequireAnyClientCert", "client_allowed_sans: [prom.example]", [false, true, true]),
    ] {
        let server = Server::with(20, Some(dir.config(&tls(&format!("client_auth_type: {kind}\n{ca}")))));
        for versions in ["", "--tls-max 1.2"] {
            let got =
                ["", client, stranger].map(|words| dir.is_served(&server, &format!("{versions} {words}")));
            assert_eq!(got, want, "{kind} {ca} {versions}");
        }
    }
    // What openssl req -x509 makes is an authority's, and may be its own client where it is trusted.
    let config = tls("client_auth_type: RequireAndVerifyClientCert\nclient_ca_file: ca.pem");
    let server = Server::with(20, Some(dir.config(&config)));
    assert!(dir.is_served(&server, "--cert ca.pem --key ca.key"));
    assert!(!dir.is_served(&server, "--cert other-ca.pem --key other-ca.key"));
}

#[test]
fn who_has_no_password_has_no_page() {
    let Some(dir) = Dir::new() else { return };
    for (kind, scheme) in [(String::new(), "http:"), (tls(""), "")] {
        let users = format!(
            "{kind}basic_auth_users:\n  prom: {HASH}\nhttp_server_config:\n  headers:\n    X-Frame-Options: deny\n"
        );
        let server = Server::with(20, Some(dir.config(&users)));
        let curl = |words: &str| dir.curl(&server, &format!("{scheme} {words}"));
        let denied = Ok((401, "Unauthorized\n".to_owned()));
        assert_eq!(curl(""), denied);
        assert_eq!(curl("-u prom:b"), denied);
        assert_eq!(curl("-u prom:b"), denied, "again");
        assert_eq!(curl("-u nobody:a"), denied);
        assert_eq!(curl("-u prom:a").unwrap().0, 200);
        assert_eq!(curl("-u prom:a -I").unwrap().0, 200);
        let head = curl("-I").unwrap().1;
        assert!(
            head.contains("WWW-Authenticate: Basic realm=") && head.contains("X-Frame-Options: deny"),
            "{head}"
        );
        assert_eq!(curl("-X POST -u nobody:a").unwrap().0, 405);
    }
}

#[test]
fn who_guesses_passwords_holds_up_nobody_who_has_one() {
    let Some(dir) = Dir::new() else { return };
    let server = Server::with(80, Some(dir.config(&format!("basic_auth_users:\n  prom: {HASH}\n"))));
    let request = |secret: &str| {
        format!(
            "GET /metrics?size=50 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Basic {secret}\r\n\r\n"
        )
    };
    // prom:a
    assert!(server.ask(&request("cHJvbTph")).starts_with("HTTP/1.1 200 "));
    let mut guesses: Vec<_> = (0..60).map(|_| server.connect()).collect();
    for (n, socket) in guesses.iter_mut().enumerate() {
        let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        let text = request(&format!("cHJvbTph{}A==", char::from(letters[n])));
        socket.write_all(text.as_bytes()).unwrap();
    }
    let since = Clock::now();
    for _ in 0..5 {
        assert!(server.ask(&request("cHJvbTph")).starts_with("HTTP/1.1 200 "));
    }
    let quick = since.elapsed();
    for socket in &mut guesses {
        let mut text = String::new();
        socket.read_to_string(&mut text).unwrap();
        // On a busy machine some are not verified in time.
        assert!(text.starts_with("HTTP/1.1 401 ") || text.starts_with("HTTP/1.1 503 "), "{text}");
    }
    assert!(quick < since.elapsed() / 2, "{quick:?} of {:?}", since.elapsed());
}

#[test]
fn what_the_file_says_holds_once_it_is_changed() {
    let Some(dir) = Dir::new() else { return };
    let server = Server::with(20, Some(dir.config("")));
    let served = |words: &str| dir.is_served(&server, words);
    assert!(served("http:") && !served(""));
    dir.config(&tls(""));
    until("TLS", || served(""));
    assert!(!served("http:"));
    // Nonsense changes nothing.
    dir.config("tls_server_config: nonsense\n");
    thread::sleep(Span::from_millis(400));
    assert!(served("") && !served("http:"));
    // Another certificate under the same name: of an authority that curl does not trust here.
    dir.config(&tls(""));
    dir.signed("server", "other-ca", "subjectAltName=IP:127.0.0.1");
    until("the other certificate", || dir.curl(&server, "") == Err(60));
    dir.signed("server", "ca", "subjectAltName=IP:127.0.0.1");
    until("the first one again", || served(""));
    // Passwords hold for connections that are there already.
    dir.config("{}");
    until("no TLS", || served("http:"));
    let mut kept = server.connect();
    kept.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert!(answer(&mut kept).0.starts_with("HTTP/1.1 200 "));
    dir.config(&format!("basic_auth_users:\n  prom: {HASH}\n"));
    thread::sleep(Span::from_millis(400));
    kept.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert!(answer(&mut kept).0.starts_with("HTTP/1.1 401 "));
}

#[test]
fn what_cannot_be_done_is_told_at_the_start() {
    let Some(dir) = Dir::new() else { return };
    assert_eq!(starts(dir.config(&tls("client_auth_type: NoClientCert"))), Ok(()));
    let pem = |name: &str| fs::read_to_string(dir.0.join(name)).unwrap().replace('\n', "\n    ");
    let inline = format!(
        "tls_server_config:\n  cert: |\n    {}\n  key: |\n    {}\n",
        pem("server.pem"),
        pem("server.key")
    );
    assert_eq!(starts(dir.config(&inline)), Ok(()));
    for (config, want) in [
        (
            "tls_server_config: {cert_file: server.pem}\n".into(),
            "line 1: tls_server_config: key_file is missing",
        ),
        ("tls_server_config: {key_file: server.key}\n".into(), "cert_file is missing"),
        (tls("key: x"), "line 4: key is said in two ways"),
        (tls("cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA]"), "cipher_suites are TLS_ECDHE_"),
        (tls("cipher_suites: [TLS_AES_128_GCM_SHA256]"), "cipher_suites are"),
        (tls("min_version: TLS10"), "line 4: min_version is TLS12 or TLS13"),
        (tls("min_version: TLS13\nmax_version: TLS12"), "min_version is above max_version"),
        (tls("curve_preferences: [CurveP521]"), "curve_preferences are CurveP256"),
        (tls("client_auth_type: Perhaps"), "client_auth_type is NoClientCert,"),
        (tls("client_auth_type: RequireAndVerifyClientCert"), "client_ca_file is missing"),
        (tls("client_ca_file: ca.pem"), "client_ca_file needs a client_auth_type"),
        (
            tls(
                "client_auth_type: VerifyClientCertIfGiven\nclient_ca_file: ca.pem\nclient_allowed_sans: [a]",
            ),
            "client_allowed_sans needs",
        ),
        (tls("client_allowed_sans: [a]"), "client_allowed_sans needs"),
        (tls("client_auth_type: RequireAnyClientCert\nclient_allowed_sans: [a@b]"), "addresses of mail"),
        (
            tls("client_auth_type: RequireAndVerifyClientCert\nclient_ca_file: server.key"),
            "there is no certificate in this",
        ),
        (tls("").replace("server.key", "client.key"), "certificate and key cannot be used"),
        (tls("").replace("server.key", "server.pem"), "there is no private key in this"),
        (tls("").replace("server.key", "nowhere.key"), "nowhere.key: No such file"),
        (tls("tickets: true"), "tickets is not understood in tls_server_config"),
    ] {
        let error = starts(dir.config(&config)).unwrap_err();
        assert!(error.contains(want) && error.contains("web.yml: line "), "{config}\n{error}");
        assert!(!error.contains("PRIVATE"), "{error}");
    }
}

const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
// Of the password "a", a known answer of jBCrypt's tests.
const HASH: &str = "$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe";
