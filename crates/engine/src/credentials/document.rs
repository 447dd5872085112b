//! The credentials of the document's consumers.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::credentials::certificate::{Certificate, normal_subject};
use crate::credentials::keys::{Key, Memo};
use crate::credentials::passwords::Stored;
use crate::credentials::secret::{Digest, DigestMap};
use crate::identity::{Consumer, Consumers};
use crate::plan;
use crate::problem::Problem;

/// Every credential that the document has, by what a request shows of it.
pub struct Credentials {
    pub keys: DigestMap<Arc<Key>>,
    pub users: FxHashMap<Box<[u8]>, User>,
    /// Is checked for users whom nobody knows; costs what the most expensive hash of all users costs.
    pub nobody: Arc<Stored>,
    certificates: Certificates,
    /// Those of consumers that are switched off: else such a one would pass as nobody's, where any certificate will do.
    disabled: Certificates,
}

pub struct User {
    pub consumer: Arc<Consumer>,
    pub stored: Arc<Stored>,
}

#[derive(Default)]
struct Certificates {
    fingerprints: DigestMap<Arc<Consumer>>,
    uris: Names,
    dns: Names,
    emails: Names,
    subjects: Names,
    common_names: Names,
}

type Names = FxHashMap<Box<str>, Arc<Consumer>>;

impl Credentials {
    pub fn compile(plan: &plan::Plan, consumers: &Consumers, problems: &mut Vec<Problem>) -> Self {
        let mut made = Self {
            keys: DigestMap::default(),
            users: FxHashMap::default(),
            nobody: Arc::new(Stored::nobody(None)),
            certificates: Certificates::default(),
            disabled: Certificates::default(),
        };
        for (index, plan) in plan.consumers.iter().enumerate() {
            // A consumer without a place in the table is a problem that was told already.
            let Some(consumer) = consumers.by_name(&plan.name) else { continue };
            let mut found = Vec::new();
            made.take(plan, consumer, &mut found);
            problems.extend(found.into_iter().map(|(path, message)| {
                Problem::new(format!("consumers[{index}].{path}"), "config.bad_credential", message)
            }));
        }
        let dearest = made.users.values().map(|user| &user.stored).max_by_key(|stored| stored.cost());
        made.nobody = Arc::new(Stored::nobody(dearest.map(|stored| &**stored)));
        made
    }

    fn take(&mut self, plan: &plan::Consumer, consumer: &Arc<Consumer>, problems: &mut Vec<(String, String)>) {
        if !consumer.enabled {
            // Another consumer may have taken over what it had, so what comes twice is no problem.
            plan.certificates.iter().for_each(|certificate| drop(self.disabled.take(certificate, consumer)));
            return;
        }
        for (index, hash) in plan.keys.iter().enumerate() {
            let path = format!("keys[{index}]");
            match Digest::from_hex(hash) {
                None => problems.push((path, "expected a SHA-256 in hexadecimal digits".into())),
                Some(digest) => {
                    let key = Key {
                        id: "".into(),
                        name: "".into(),
                        consumer: consumer.clone(),
                        expires: None,
                        revoked: false,
                        memo: Memo::default(),
                    };
                    if let Some(other) = self.keys.insert(digest, Arc::new(key)) {
                        problems.push((path, format!("the consumer `{}` has the same key", other.consumer.name)));
                    }
                }
            }
        }
        for (index, basic) in plan.basic.iter().enumerate() {
            let user = Stored::parse(&basic.password_hash)
                .map(|stored| User { consumer: consumer.clone(), stored: Arc::new(stored) });
            match user {
                Err(message) => problems.push((format!("basic[{index}].password_hash"), message.into())),
                Ok(user) => {
                    if let Some(other) = self.users.insert(basic.username.as_bytes().into(), user) {
                        let message = format!("the consumer `{}` has the same user name", other.consumer.name);
                        problems.push((format!("basic[{index}].username"), message));
                    }
                }
            }
        }
        for (index, certificate) in plan.certificates.iter().enumerate() {
            if let Err(message) = self.certificates.take(certificate, consumer) {
                problems.push((format!("certificates[{index}]"), message));
            }
        }
    }

    /// The consumer that a certificate belongs to. The most exact mark goes first: the certificate itself, then the names that
    /// authorities vouch for one by one, then the names that people read.
    pub fn of_certificate(&self, fingerprint: &Digest, certificate: &Certificate) -> Option<&Arc<Consumer>> {
        let found = self.certificates.find(fingerprint, certificate);
        found.or_else(|| self.disabled.find(fingerprint, certificate))
    }
}

fn first<'a>(table: &'a Names, names: &[String]) -> Option<&'a Arc<Consumer>> {
    names.iter().find_map(|name| table.get(name.as_str()))
}

impl Certificates {
    fn find(&self, fingerprint: &Digest, certificate: &Certificate) -> Option<&Arc<Consumer>> {
        self.fingerprints
            .get(fingerprint)
            .or_else(|| first(&self.uris, &certificate.uris))
            .or_else(|| first(&self.dns, &certificate.dns))
            .or_else(|| first(&self.emails, &certificate.emails))
            .or_else(|| self.subjects.get(certificate.subject.as_str()))
            .or_else(|| first(&self.common_names, &certificate.common_names))
    }

    fn take(&mut self, plan: &plan::ClientCertificate, consumer: &Arc<Consumer>) -> Result<(), String> {
        let consumer = consumer.clone();
        let other = match plan {
            plan::ClientCertificate::Sha256(text) => {
                let digest = Digest::from_hex(text).ok_or("expected a SHA-256 in hexadecimal digits")?;
                self.fingerprints.insert(digest, consumer)
            }
            plan::ClientCertificate::Uri(uri) => self.uris.insert(uri.as_str().into(), consumer),
            plan::ClientCertificate::Dns(name) => self.dns.insert(name.to_ascii_lowercase().into(), consumer),
            plan::ClientCertificate::Email(email) => self.emails.insert(email.as_str().into(), consumer),
            plan::ClientCertificate::Subject(text) => {
                let subject = normal_subject(text).ok_or("expected a name such as `CN=orders,O=Example` (RFC 4514)")?;
                self.subjects.insert(subject.into(), consumer)
            }
            plan::ClientCertificate::CommonName(name) => self.common_names.insert(name.as_str().into(), consumer),
        };
        match other {
            Some(other) => Err(format!("the consumer `{}` has the same certificate", other.name)),
            None => Ok(()),
        }
    }
}
