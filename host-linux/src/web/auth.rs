//! Users and their passwords: HTTP's basic authentication against bcrypt.
//!
//! A password takes its time to be verified, so a thread of its own does it, and what it found is remembered in memory,
//! by a key that is good for this process only. Who is no user takes as long as who is one and has the wrong password.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, Read as _, Write as _};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::thread;

use base64::Engine as _;
use base64::alphabet::{self, Alphabet};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use mio::net::UnixStream;
use mio::{Interest, Registry, Token};
use ring::{hmac, rand};

/// Users, and what their passwords come to.
pub(super) type Users = BTreeMap<String, Hash>;

/// What bcrypt makes of a password.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Hash {
    cost: u32,
    salt: [u8; SALT],
    digest: [u8; DIGEST],
}

impl Hash {
    /// Reads `$2y$10$...`, as htpasswd writes it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let rest = ["$2a$", "$2b$", "$2y$"].iter().find_map(|version| text.strip_prefix(version))?;
        let (cost, rest) = rest.split_once('$')?;
        let cost = cost.parse().ok().filter(|known| cost.len() == 2 && COSTS.contains(known))?;
        let (salt, digest) = rest.split_at_checked(SALT_TEXT)?;
        let (salt, digest) = (BCRYPT.decode(salt).ok()?, BCRYPT.decode(digest).ok()?);
        Some(Self { cost, salt: salt.try_into().ok()?, digest: digest.try_into().ok()? })
    }

    /// Whether this is what the password comes to.
    fn is_of(&self, password: &[u8]) -> bool {
        let mut key = password.to_vec();
        key.push(0);
        key.truncate(LONGEST);
        let digest = bcrypt::bcrypt(self.cost, self.salt, &key);
        digest.iter().zip(&self.digest).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
    }
}

impl core::fmt::Debug for Hash {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Hash")
    }
}

/// Whether somebody may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Yes.
    Granted,
    /// No.
    Denied,
    /// It is being found out.
    Later,
}

/// User, password and hash, as this process knows them.
type Key = [u8; 32];

/// A password that is to be verified.
struct Job {
    key: Key,
    password: Vec<u8>,
    hash: Hash,
    /// Whether there is such a user.
    known: bool,
}

/// Who verifies.
pub(super) struct Auth {
    secret: hmac::Key,
    found: HashMap<Key, bool>,
    granted: usize,
    pending: HashSet<Key>,
    jobs: Option<SyncSender<Job>>,
    verdicts: Receiver<(Key, bool)>,
    bell: UnixStream,
    told: Option<(Sender<(Key, bool)>, UnixStream)>,
}

impl Auth {
    /// One that wakes the loop with this token.
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let (mut bell, ringer) = UnixStream::pair()?;
        registry.register(&mut bell, token, Interest::READABLE)?;
        let (told, verdicts) = channel();
        let secret = hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new());
        Ok(Self {
            secret: secret.map_err(|_| io::Error::other("the system has no random numbers"))?,
            found: HashMap::new(),
            granted: 0,
            pending: HashSet::new(),
            jobs: None,
            verdicts,
            bell,
            told: Some((told, ringer)),
        })
    }

    /// Takes what was found out; whether there was anything.
    pub(super) fn learn(&mut self) -> bool {
        while self.bell.read(&mut [0; 64]).is_ok_and(|n| n > 0) {}
        let mut some = false;
        while let Ok((key, granted)) = self.verdicts.try_recv() {
            self.note(key, granted);
            some = true;
        }
        some
    }

    fn note(&mut self, key: Key, granted: bool) {
        self.pending.remove(&key);
        // Who guesses passwords pushes out other guesses, not who has guessed right.
        if self.found.len().saturating_sub(self.granted) >= MOST_FOUND {
            self.found.retain(|_, granted| *granted);
        }
        if self.granted >= MOST_FOUND {
            self.found.clear();
            self.granted = 0;
        }
        if self.found.insert(key, granted).is_none() && granted {
            self.granted = self.granted.saturating_add(1);
        }
    }

    /// Whether who says this in its Authorization is one of these users.
    pub(super) fn check(&mut self, users: &Users, says: Option<&str>) -> Verdict {
        let Some((user, password)) = says.and_then(credentials) else { return Verdict::Denied };
        let own = users.get(&user);
        // Somebody's hash in place of none's, always the same for the same name, so that it costs the same.
        let Some(hash) = own.or_else(|| users.values().nth(self.place(&user, users.len()))) else {
            return Verdict::Denied;
        };
        let key =
            self.key(&[user.as_bytes(), &[u8::from(own.is_some())], &hash.salt, &hash.digest, &password]);
        if let Some(granted) = self.found.get(&key) {
            return if *granted { Verdict::Granted } else { Verdict::Denied };
        }
        if self.pending.contains(&key) {
            return Verdict::Later;
        }
        if self.jobs.is_none() {
            self.jobs = self.told.take().and_then(|(told, ringer)| start(told, ringer));
        }
        let job = Job { key, password, hash: hash.clone(), known: own.is_some() };
        match self.jobs.as_ref().map(|jobs| jobs.try_send(job)) {
            Some(Ok(())) => {
                self.pending.insert(key);
                Verdict::Later
            }
            // Asked again when the next password is verified.
            Some(Err(TrySendError::Full(_))) => Verdict::Later,
            Some(Err(TrySendError::Disconnected(_))) | None => Verdict::Denied,
        }
    }

    fn key(&self, parts: &[&[u8]]) -> Key {
        let mut context = hmac::Context::with_key(&self.secret);
        for part in parts {
            context.update(&part.len().to_le_bytes());
            context.update(part);
        }
        context.sign().as_ref().try_into().unwrap_or_default()
    }

    /// A place below `count` that a name always has.
    fn place(&self, user: &str, count: usize) -> usize {
        let key = self.key(&[user.as_bytes()]);
        usize::from(key.first().copied().unwrap_or(0)).checked_rem(count).unwrap_or(0)
    }
}

/// Starts the thread that verifies.
fn start(told: Sender<(Key, bool)>, mut ringer: UnixStream) -> Option<SyncSender<Job>> {
    let (jobs, queue) = sync_channel::<Job>(QUEUE);
    let work = move || {
        for job in queue {
            let granted = job.hash.is_of(&job.password) && job.known;
            if told.send((job.key, granted)).is_err() {
                return;
            }
            // A bell that is full has rung.
            let _ = ringer.write(&[1]);
        }
    };
    thread::Builder::new().name("passwords".into()).spawn(work).ok().map(|_| jobs)
}

/// User and password of an Authorization. RFC 7617.
fn credentials(says: &str) -> Option<(String, Vec<u8>)> {
    let (scheme, text) = says.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = text.trim_ascii().trim_end_matches('=');
    let bytes = BASE64.decode(text).ok()?;
    let colon = bytes.iter().position(|byte| *byte == b':')?;
    let (user, password) = bytes.split_at_checked(colon)?;
    Some((String::from_utf8(user.to_vec()).ok()?, password.get(1..)?.to_vec()))
}

/// Six bits a letter in this alphabet, without padding. What the last letter has beyond whole bytes is nothing.
const fn letters(alphabet: &Alphabet) -> GeneralPurpose {
    let config = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone);
    GeneralPurpose::new(alphabet, config)
}

static BASE64: GeneralPurpose = letters(&alphabet::STANDARD);
static BCRYPT: GeneralPurpose = letters(&alphabet::BCRYPT);
/// What bcrypt looks at of a password.
const LONGEST: usize = 72;
const SALT: usize = 16;
const SALT_TEXT: usize = 22;
/// The last byte is never written down.
const DIGEST: usize = 23;
/// The least that bcrypt knows, and what takes a minute.
const COSTS: core::ops::RangeInclusive<u32> = 4..=20;
/// Passwords that wait to be verified.
const QUEUE: usize = 16;
/// What is remembered of either sort.
const MOST_FOUND: usize = 1024;

#[cfg(test)]
mod tests {
    use mio::Poll;

    use super::*;

    // Known answers: those of jBCrypt's tests for "a" and for the alphabet.
    const OF_A: &str = "$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe";
    const OF_ALPHABET: &str = "$2a$08$aTsUwsyowQuzRrDqFflhgekJ8d9/7Z3GV3UcgvzQW3J5zMyrTvlz.";

    fn auth() -> (Poll, Auth) {
        let poll = Poll::new().unwrap();
        let auth = Auth::new(poll.registry(), Token(1)).unwrap();
        (poll, auth)
    }

    fn basic(text: &str) -> String {
        format!("bAsIc {}", BASE64.encode(text))
    }

    fn verdict(auth: &mut Auth, users: &Users, says: &str) -> Verdict {
        for _ in 0..5000 {
            match auth.check(users, Some(says)) {
                Verdict::Later => thread::sleep(core::time::Duration::from_millis(2)),
                other => return other,
            }
            auth.learn();
        }
        Verdict::Later
    }

    #[test]
    fn hashes_are_those_of_bcrypt() {
        for (hash, password) in [
            ("$2a$06$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkgY8jIucDrjc8deX1s.", ""),
            (OF_A, "a"),
            (OF_ALPHABET, "abcdefghijklmnopqrstuvwxyz"),
        ] {
            let hash = Hash::parse(hash).unwrap();
            assert!(hash.is_of(password.as_bytes()), "{password}");
            assert!(!hash.is_of(b"b"));
            assert!(!hash.is_of(&[b'x'; 200]));
        }
        let rest = OF_A.strip_prefix("$2a$06$").unwrap();
        for bad in [
            "",
            "secret",
            "$2y$4$",
            &format!("$2x$06${rest}"),
            &format!("$2y$31${rest}"),
            &format!("$2y$6${rest}"),
        ] {
            assert!(Hash::parse(bad).is_none(), "{bad}");
        }
        assert!(Hash::parse(&format!("{OF_A}x")).is_none());
        assert!(Hash::parse(OF_A.strip_suffix('e').unwrap()).is_none());
    }

    #[test]
    fn a_user_is_who_has_the_password() {
        let (_poll, mut auth) = auth();
        let hash = Hash::parse(OF_A).unwrap();
        let users = Users::from([("alice".into(), hash), ("bob".into(), Hash::parse(OF_ALPHABET).unwrap())]);
        for (says, want) in [
            ("alice:a", Verdict::Granted),
            ("alice:b", Verdict::Denied),
            ("alice:", Verdict::Denied),
            ("bob:a", Verdict::Denied),
            ("nobody:a", Verdict::Denied),
            (":a", Verdict::Denied),
        ] {
            assert_eq!(auth.check(&users, Some(&basic(says))), Verdict::Later, "{says}");
            assert_eq!(verdict(&mut auth, &users, &basic(says)), want, "{says}");
            assert_eq!(auth.check(&users, Some(&basic(says))), want, "at once: {says}");
        }
        for says in ["", "Basic", "Basic !", "Bearer x", &basic("alice")] {
            assert_eq!(auth.check(&users, Some(says)), Verdict::Denied, "{says}");
        }
        assert_eq!(auth.check(&users, None), Verdict::Denied);
        // Who has the name of somebody that has gone is nobody.
        let fewer = Users::from([("bob".into(), users["bob"].clone())]);
        assert_eq!(verdict(&mut auth, &fewer, &basic("alice:a")), Verdict::Denied);
    }

    #[test]
    fn many_who_guess_are_all_told_and_push_nobody_out() {
        let (_poll, mut auth) = auth();
        let hash = Hash::parse(OF_A).unwrap();
        let users = Users::from([("alice".into(), hash)]);
        assert_eq!(verdict(&mut auth, &users, &basic("alice:a")), Verdict::Granted);
        let guesses: Vec<_> = (0..60).map(|n| basic(&format!("alice:{n}"))).collect();
        for guess in &guesses {
            assert_eq!(auth.check(&users, Some(guess)), Verdict::Later);
        }
        assert!(auth.pending.len() <= QUEUE.saturating_add(1));
        for guess in &guesses {
            assert_eq!(verdict(&mut auth, &users, guess), Verdict::Denied);
        }
        for n in 0..3 * MOST_FOUND {
            let key = auth.key(&[&n.to_le_bytes()]);
            auth.note(key, false);
        }
        assert_eq!(auth.check(&users, Some(&basic("alice:a"))), Verdict::Granted);
        assert!(auth.found.len() <= MOST_FOUND.saturating_add(1));
    }
}
