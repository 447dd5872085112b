//! Knows callers by the certificate that they showed the listener.

use std::sync::Arc;

use crate::credentials::certificate::Certificate;
use crate::credentials::recent::Recent;
use crate::credentials::secret::Digest;
use crate::exchange::{Exchange, Request};
use crate::identity::Identity;
use crate::plan;
use crate::policies::Local;
use crate::policies::authentication::{Proof, Refusal};
use crate::policies::consumer_headers::ConsumerHeaders;
use crate::respond::Code;
use crate::snapshot::Snapshot;

/// Certificates that are kept as they were read; reading one again costs some microseconds.
const READ: usize = 1024;

pub struct Mtls {
    /// Any certificate of the listener's authorities is proof; without it, only those of consumers are.
    any: bool,
    consumer_headers: ConsumerHeaders,
    read: Recent<Arc<Identity>>,
}

impl Mtls {
    pub fn compile(plan: &plan::Mtls) -> Self {
        Self {
            any: plan.any,
            consumer_headers: ConsumerHeaders::compile(&plan.consumer_to_headers),
            read: Recent::new(READ),
        }
    }

    pub fn check(self: &Arc<Self>, local: &Local, exchange: &Exchange) -> Proof {
        let Some(der) = exchange.connection.client_certificate.as_deref() else { return Proof::Missing };
        let fingerprint = Digest::of(der);
        let identity = match self.read.get(&fingerprint) {
            Some(identity) => identity,
            None => match self.identity(&exchange.snapshot, &fingerprint, der) {
                Ok(identity) => {
                    let identity = Arc::new(identity);
                    self.read.insert(fingerprint, identity.clone());
                    identity
                }
                Err(detail) => return refuse(detail),
            },
        };
        // A connection may live longer than the certificate that was good when it began.
        let now = local.epoch_millis(exchange.started_micros) / 1000;
        if identity.expires.is_some_and(|expires| expires < now) {
            return refuse("the certificate has expired".into());
        }
        Proof::Proved(identity)
    }

    /// A certificate is not a part of the request.
    pub fn strip(&self, _request: &mut Request) {}

    /// There is no scheme for certificates to ask for in a field (RFC 8705 has none either).
    pub fn challenge(&self) -> Option<Box<[u8]>> {
        None
    }

    pub fn owned(&self, names: &mut Vec<Box<[u8]>>) {
        self.consumer_headers.owned(names);
    }

    fn identity(&self, snapshot: &Snapshot, fingerprint: &Digest, der: &[u8]) -> Result<Identity, String> {
        let Some(certificate) = Certificate::read(der) else {
            return Err("the certificate cannot be read".into());
        };
        let consumer = snapshot.credentials.of_certificate(fingerprint, &certificate).cloned();
        if consumer.is_none() && !self.any {
            return Err(format!("no consumer has the certificate of {}", certificate.subject()));
        }
        Ok(Identity {
            method: "mtls",
            subject: certificate.subject().into(),
            claims: certificate.claims(fingerprint),
            lines: consumer.as_ref().map(|consumer| self.consumer_headers.lines(consumer)).unwrap_or_default(),
            consumer,
            expires: Some(certificate.not_after),
        })
    }
}

fn refuse(detail: String) -> Proof {
    Proof::Refused(Refusal { code: Code::InvalidCredentials, challenge: None, detail: Some(detail.into()) })
}
