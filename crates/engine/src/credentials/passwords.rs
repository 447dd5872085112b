//! Checks passwords against argon2id hashes, beside the workers, and remembers the outcome for a while.
//!
//! One check costs some 20 ms and 19 MiB by design, so there are few threads, a short queue, and no more: whoever comes when
//! the queue is full is told to come again, and everybody whose password was checked lately is not held up. What is remembered
//! is an HMAC, under a key of this process, of name, password and stored hash: it tells nothing of the password, and with
//! the stored hash changed it fits no more. Several requests with the same password wait for one check.

use std::collections::hash_map::Entry;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier};
use aws_lc_rs::hmac;
use tokio::sync::oneshot;

use crate::clock::Millis;
use crate::credentials::recent::Recent;
use crate::credentials::secret::{Digest, DigestMap};

const THREADS: usize = 2;
const QUEUE: usize = 64;
/// Outcomes that are remembered, of either kind.
const REMEMBERED: usize = 16 * 1024;
/// More than any sane hash asks for: one check must not take the memory of the machine.
const MOST_MEMORY_KIB: u32 = 1024 * 1024;
const MOST_PASSES: u32 = 64;
const MOST_LANES: u32 = 16;

/// A hash as the document has it.
pub struct Stored {
    hash: PasswordHash,
    text: Box<str>,
    /// Stands in for the hash of a user whom nobody knows: it takes the same time and fits no password.
    is_nobody: bool,
}

impl Stored {
    /// Reads a PHC string; the error says what is wrong and does not repeat it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let hash =
            PasswordHash::new(text).map_err(|_| "expected a hash such as `$argon2id$v=19$m=19456,t=2,p=1$...`")?;
        if Algorithm::try_from(hash.algorithm.as_str()) != Ok(Algorithm::Argon2id) {
            return Err("expected an argon2id hash, not one of another algorithm");
        }
        if hash.salt.is_none() || hash.hash.is_none() {
            return Err("the hash is cut off");
        }
        let params = Params::try_from(&hash).map_err(|_| "the parameters of the hash are not valid")?;
        if params.m_cost() > MOST_MEMORY_KIB || params.t_cost() > MOST_PASSES || params.p_cost() > MOST_LANES {
            return Err("the hash takes more than 1 GiB, 64 passes or 16 lanes to check");
        }
        Ok(Self { hash, text: text.into(), is_nobody: false })
    }

    /// Nobody's hash, which costs what `like` costs. It is written down and not computed: every reload makes one.
    pub fn nobody(like: Option<&Self>) -> Self {
        let params = like.and_then(|like| Params::try_from(&like.hash).ok()).unwrap_or_default();
        let [memory, passes, lanes] = [params.m_cost(), params.t_cost(), params.p_cost()];
        // 16 bytes of salt and 32 of hash, all zero.
        let (salt, hash) = ("A".repeat(22), "A".repeat(43));
        let text = format!("$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${hash}");
        let hash = PasswordHash::new(&text).expect("parameters that were read, and a salt of the usual length");
        Self { hash, text: "".into(), is_nobody: true }
    }

    /// The time it takes to check, to compare with others.
    pub fn cost(&self) -> u64 {
        let params = Params::try_from(&self.hash).unwrap_or_default();
        u64::from(params.m_cost()) * u64::from(params.t_cost())
    }

    fn fits(&self, password: &[u8]) -> bool {
        let fits = Argon2::default().verify_password(password, &self.hash).is_ok();
        fits && !self.is_nobody
    }
}

/// Hashes a password as OWASP advises: argon2id, 19 MiB, 2 passes.
pub fn hash(password: &[u8]) -> String {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).expect("a system without random bytes cannot do TLS either");
    let hash = Argon2::default().hash_password_with_salt(password, &salt);
    hash.expect("the default parameters, and a salt of the usual length").to_string()
}

/// A password that someone shows, and how long what is found out stays good.
pub struct Question {
    pub stored: Arc<Stored>,
    pub password: Box<[u8]>,
    pub digest: Digest,
    pub good_until: Millis,
    pub bad_until: Millis,
}

pub struct Passwords {
    key: hmac::Key,
    shared: Arc<Shared>,
    /// Begins with the first question, and with it the threads; gone when they cannot be started.
    queue: OnceLock<Option<SyncSender<Question>>>,
}

struct Shared {
    /// Until when an outcome stays good.
    good: Recent<Millis>,
    bad: Recent<Millis>,
    /// Who waits for which answer.
    waiting: Mutex<DigestMap<Vec<oneshot::Sender<bool>>>>,
}

impl Default for Passwords {
    fn default() -> Self {
        let mut key = [0; 32];
        getrandom::fill(&mut key).expect("a system without random bytes cannot do TLS either");
        let shared = Shared { good: Recent::new(REMEMBERED), bad: Recent::new(REMEMBERED), waiting: Mutex::default() };
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &key), shared: Arc::new(shared), queue: OnceLock::new() }
    }
}

impl Passwords {
    /// What an outcome is remembered by.
    pub fn digest(&self, user: &[u8], password: &[u8], stored: &Stored) -> Digest {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [user, stored.text.as_bytes(), password] {
            // With its length before it, no part can pass for a piece of another.
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.sign().as_ref());
        Digest(bytes)
    }

    /// What was found out lately.
    pub fn remembered(&self, digest: &Digest, now: Millis) -> Option<bool> {
        let holds = |table: &Recent<Millis>| table.get(digest).is_some_and(|until| until > now);
        if holds(&self.shared.good) {
            return Some(true);
        }
        holds(&self.shared.bad).then_some(false)
    }

    /// Finds out; `None` when too many are waiting already.
    pub async fn check(&self, question: Question) -> Option<bool> {
        self.ask(question)?.await.ok()
    }

    fn ask(&self, question: Question) -> Option<oneshot::Receiver<bool>> {
        let queue = self.queue.get_or_init(|| start(&self.shared)).as_ref()?;
        let (answer, receiver) = oneshot::channel();
        match self.shared.waiting().entry(question.digest) {
            Entry::Occupied(asked) => asked.into_mut().push(answer),
            Entry::Vacant(place) => match queue.try_send(question) {
                Ok(()) => {
                    place.insert(vec![answer]);
                }
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => return None,
            },
        }
        Some(receiver)
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, DigestMap<Vec<oneshot::Sender<bool>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, question: &Question) {
        let fits = question.stored.fits(&question.password);
        match fits {
            true => self.good.insert(question.digest, question.good_until),
            false => self.bad.insert(question.digest, question.bad_until),
        }
        for waiting in self.waiting().remove(&question.digest).unwrap_or_default() {
            let _ = waiting.send(fits);
        }
    }
}

fn start(shared: &Arc<Shared>) -> Option<SyncSender<Question>> {
    let (queue, questions) = sync_channel(QUEUE);
    let questions = Arc::new(Mutex::new(questions));
    for number in 0..THREADS {
        let (shared, questions) = (shared.clone(), questions.clone());
        let thread = thread::Builder::new().name(format!("passwords-{number}"));
        if let Err(error) = thread.spawn(move || work(&shared, &questions)) {
            tracing::error!(%error, "no thread to check passwords");
            if number == 0 {
                return None;
            }
        }
    }
    Some(queue)
}

/// Answers until nobody can ask any more.
fn work(shared: &Shared, questions: &Mutex<Receiver<Question>>) {
    loop {
        let question = questions.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match question {
            Ok(question) => shared.answer(&question),
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `secret`, with as little work as argon2 allows.
    fn stored() -> Arc<Stored> {
        let params = Params::new(8, 1, 1, None).unwrap();
        let hash = Argon2::from(params).hash_password_with_salt(b"secret", b"0123456789abcdef").unwrap();
        Arc::new(Stored::parse(&hash.to_string()).unwrap())
    }

    fn question(passwords: &Passwords, password: &[u8], stored: &Arc<Stored>) -> Question {
        let digest = passwords.digest(b"ann", password, stored);
        Question { stored: stored.clone(), password: password.into(), digest, good_until: 100, bad_until: 50 }
    }

    fn check(passwords: &Passwords, question: Question) -> Option<bool> {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(passwords.check(question))
    }

    #[test]
    fn an_outcome_is_remembered_for_its_time() {
        let (passwords, stored) = (Passwords::default(), stored());
        for (password, fits, until) in [(&b"secret"[..], true, 100), (b"Secret", false, 50), (b"", false, 50)] {
            let asked = question(&passwords, password, &stored);
            let digest = asked.digest;
            assert_eq!(passwords.remembered(&digest, 0), None);
            assert_eq!(check(&passwords, asked), Some(fits));
            assert_eq!(passwords.remembered(&digest, until - 1), Some(fits));
            assert_eq!(passwords.remembered(&digest, until), None);
        }
    }

    #[test]
    fn nobody_has_no_password() {
        let passwords = Passwords::default();
        let nobody = Arc::new(Stored::nobody(Some(&stored())));
        assert_eq!(nobody.cost(), stored().cost());
        assert_eq!(check(&passwords, question(&passwords, b"", &nobody)), Some(false));
    }

    #[test]
    fn no_part_passes_for_a_piece_of_another() {
        let (passwords, stored) = (Passwords::default(), stored());
        let one = passwords.digest(b"ab", b"c", &stored);
        assert!(one != passwords.digest(b"a", b"bc", &stored));
        assert!(one != Passwords::default().digest(b"ab", b"c", &stored));
        assert!(one == passwords.digest(b"ab", b"c", &stored));
    }

    #[test]
    fn a_full_queue_refuses_and_the_same_question_does_not_queue_twice() {
        let (passwords, stored) = (Passwords::default(), stored());
        // A queue that nobody serves.
        let (queue, questions) = sync_channel(1);
        passwords.queue.set(Some(queue)).unwrap();
        let first = passwords.ask(question(&passwords, b"a", &stored));
        let again = passwords.ask(question(&passwords, b"a", &stored));
        let other = passwords.ask(question(&passwords, b"b", &stored));
        assert_eq!([first.is_some(), again.is_some(), other.is_some()], [true, true, false]);
        passwords.shared.answer(&questions.recv().unwrap());
        assert_eq!((first.unwrap().blocking_recv(), again.unwrap().blocking_recv()), (Ok(false), Ok(false)));
        assert!(passwords.ask(question(&passwords, b"b", &stored)).is_some());
    }

    #[test]
    fn only_an_argon2id_hash_within_bounds_is_taken() {
        let good = hash(b"x");
        assert!(Stored::parse(&good).is_ok());
        for bad in [
            "",
            "x",
            "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW",
            &good.replace("argon2id", "argon2i"),
            &good.replace("m=19456", "m=99999999"),
            &good.replace("t=2", "t=0"),
            &good.replace("p=1", "p=200"),
            good.rsplit_once('$').unwrap().0,
        ] {
            assert!(Stored::parse(bad).is_err(), "{bad}");
        }
    }
}
