//! Files of Prometheus' format: what promtool finds good starts here, but for what is not done here; what it finds bad
//! does not.

use std::process::Command;

use pmbridge_tests::{Dir, Export, OPENSSL, PROMTOOL, eventually, free_port, has, pmbridge, run};

/// Certificates for a server on this machine and for a client, of one authority.
pub(super) fn certificates(dir: &Dir) {
    let openssl = |args: &str| {
        run(Command::new(OPENSSL).args(args.split(' ')).current_dir(dir.path())).ok();
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!("req -x509 {key} -days 30 -subj /CN=authority -keyout ca.key -out ca.pem"));
    for (name, names) in [("server", "DNS:localhost,IP:127.0.0.1"), ("client", "DNS:prom.example")] {
        dir.write("ext", format!("subjectAltName={names}"));
        openssl(&format!("req {key} -subj /CN={name} -keyout {name}.key -out {name}.csr"));
        openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile ext -out {name}.pem"
        ));
    }
}

pub(super) const TLS: &str = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n";
/// Of the password "a", a known answer of jBCrypt's tests.
pub(super) const HASH: &str = "$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe";

/// Whether the program refuses this file at its start, and with which words.
fn refused(file: &str) -> Option<String> {
    let nobody = format!("127.0.0.1:{}", free_port());
    let mut command = Command::new("timeout");
    command.arg("3").arg(pmbridge()).args([
        "export",
        "--pmcd",
        &nobody,
        "--web.listen-address",
        "127.0.0.1:0",
    ]);
    let finished = run(command.args(["--web.config.file", file, "-u", "root"]));
    // 124: it was still there.
    (finished.code != 124 && finished.code != 0).then_some(finished.err)
}

#[test]
fn files_are_understood_as_promtool_does() {
    if !has("files_are_understood_as_promtool_does", &[PROMTOOL, OPENSSL]) {
        return;
    }
    let dir = Dir::new();
    certificates(&dir);
    let tls = |more: &str| format!("{TLS}  {more}\n");
    for (text, there, here) in [
        (String::new(), true, true),
        (TLS.into(), true, true),
        (tls("client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem"), true, true),
        (tls("client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: ca.pem"), true, true),
        (tls("client_auth_type: RequireAnyClientCert"), true, true),
        (tls("client_auth_type: RequestClientCert"), true, true),
        (tls("min_version: TLS12\n  max_version: TLS13"), true, true),
        (tls("cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]"), true, true),
        (tls("curve_preferences: [CurveP256, X25519]"), true, true),
        (tls("prefer_server_cipher_suites: false"), true, true),
        (format!("basic_auth_users:\n  a: {HASH}\n"), true, true),
        ("http_server_config:\n  http2: false\n  headers:\n    X-Frame-Options: deny\n".into(), true, true),
        // Good there, and told here that it is not done.
        ("http_server_config:\n  http2: true\n".into(), true, false),
        (tls("min_version: TLS10"), true, false),
        (tls("curve_preferences: [CurveP521]"), true, false),
        (tls("cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA]"), true, false),
        // Bad on both sides.
        ("nonsense: true\n".into(), false, false),
        ("tls_server_config:\n  cert_file: server.pem\n".into(), false, false),
        (tls("key_size: 3"), false, false),
        (tls("client_auth_type: Nonsense"), false, false),
        (tls("client_ca_file: ca.pem"), false, false),
        (tls("max_version: TLS99"), false, false),
        (tls("cipher_suites: [NONSENSE]"), false, false),
        (TLS.replace("server.key", "nowhere.key"), false, false),
        (TLS.replace("server.key", "client.key"), false, false),
        ("basic_auth_users:\n  a: secret\n".into(), false, false),
        ("http_server_config:\n  headers:\n    Server: x\n".into(), false, false),
        ("http_server_config:\n  headers:\n    X-Frame-Options: perhaps\n".into(), false, false),
        ("basic_auth_users: [a]\n".into(), false, false),
    ] {
        let file = dir.write("web.yml", &text);
        let judged =
            run(Command::new(PROMTOOL).args(["check", "web-config"]).arg(&file).current_dir(dir.path()));
        assert_eq!(judged.code == 0, there, "{text}\n{}{}", judged.out, judged.err);
        let refused = refused(file.to_str().unwrap());
        assert_eq!(refused.is_none(), here, "{text}\n{refused:?}");
        if let Some(why) = refused {
            assert!(why.contains("web.yml: line ") && !why.contains("secret"), "{why}");
        }
    }
}

#[test]
fn a_changed_file_holds_soon_and_a_bad_one_never() {
    let dir = Dir::new();
    let file = dir.write("web.yml", "");
    let export = Export::alone(&["--web.config.file", file.to_str().unwrap()]);
    assert_eq!(export.get("/-/healthy").status, 200);
    let until =
        |want: u16| eventually(&want.to_string(), || (export.get("/-/healthy").status == want).then_some(()));
    dir.write("web.yml", format!("basic_auth_users:\n  a: {HASH}\n"));
    until(401);
    // Written again and again, cut short and whole: nobody slips in between.
    for n in 0..200 {
        dir.write("web.yml", if n % 2 == 0 { "" } else { "basic_auth_users:\n  a: hunter2\n" });
        assert_eq!(export.get("/-/healthy").status, 401);
    }
    let told = || export.process.said().matches("line 2: this password is no hash").count();
    eventually("a word on it", || {
        assert_eq!(export.get("/-/healthy").status, 401);
        (told() > 0).then_some(())
    });
    assert_eq!(export.get("/-/healthy").status, 401);
    assert!(told() == 1 && !export.process.said().contains("hunter2"), "{}", export.process.said());
    dir.write("web.yml", "{}");
    until(200);
}
