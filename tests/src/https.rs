//! An HTTPS endpoint that is not ours, OpenSSL's through Python, and certificates for it, good and bad.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Dir, OPENSSL, PYTHON, Process, eventually, run};

/// A certificate authority of one test.
#[derive(Debug)]
pub struct Authority {
    dir: Dir,
}

/// A server. It ends with the test.
#[derive(Debug)]
pub struct Https {
    /// The process.
    pub process: Process,
    /// Its port on 127.0.0.1.
    pub port: u16,
}

impl Authority {
    /// A new one of this name, that nobody trusts yet.
    pub fn new(name: &str) -> Self {
        let this = Self { dir: Dir::new() };
        this.openssl(&format!(
            "req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN={name} -keyout ca.key -out ca.pem"
        ));
        this
    }

    /// The file with its certificate, for those who shall trust it.
    pub fn file(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// A server with a certificate for these names (`DNS:localhost,IP:127.0.0.1`), valid for so many days.
    pub fn server(&self, names: &str, days: i32, more: &[&str]) -> Https {
        let file = format!("server-{}-{days}", names.replace([':', ','], "-"));
        self.dir.write("names", format!("subjectAltName={names}\n"));
        self.openssl(&format!(
            "req -newkey rsa:2048 -nodes -subj /CN=server -keyout {file}.key -out {file}.csr"
        ));
        self.openssl(&format!(
            "x509 -req -in {file}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days {days} -extfile names -out {file}.pem"
        ));
        self.serve(&file, more)
    }

    /// A server whose certificate is that of an authority, as `openssl req -x509` makes them, and the file with it and
    /// with this one's.
    pub fn of_itself(&self, names: &str) -> (Https, PathBuf) {
        let file = format!("itself-{}", names.replace([':', ','], "-"));
        self.openssl(&format!(
            "req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=itself -addext subjectAltName={names} -keyout {file}.key -out {file}.pem"
        ));
        let both = [self.file(), self.dir.join(&format!("{file}.pem"))]
            .map(|file| std::fs::read_to_string(file).unwrap());
        (self.serve(&file, &[]), self.dir.write(&format!("{file}.both"), both.concat()))
    }

    fn serve(&self, file: &str, more: &[&str]) -> Https {
        let script = self.dir.write("https.py", include_str!("https.py"));
        let mut command = Command::new(PYTHON);
        command
            .arg(script)
            .args([format!("{file}.pem"), format!("{file}.key")].map(|file| self.dir.join(&file)));
        let process = Process::start(command.args(more), self.dir.join(&format!("{file}.log")));
        let port = eventually("the port of the HTTPS server", || {
            process.said().lines().find_map(|line| line.strip_prefix("port ")?.parse().ok())
        });
        Https { process, port }
    }

    fn openssl(&self, args: &str) {
        let mut command = Command::new(OPENSSL);
        run(command.args(args.split(' ')).current_dir::<&Path>(self.dir.path())).ok();
    }
}
