//! TLS towards clients.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, NoClientAuth, ResolvesServerCert, ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;
use webpki::{EndEntityCert, KeyUsage};

use crate::listener::socket::{Socket, Transport};
use crate::plan::{self, ClientCertificates, TlsVersion};
use crate::problem::Problem;

/// TLS 1.2 sessions kept for clients that do not take tickets.
const SESSIONS: usize = 4096;
/// Tickets after a TLS 1.3 handshake: one for each connection that a browser opens at once is enough.
const TICKETS: usize = 2;

/// A listener's certificates and rules, compiled. Shared by all workers, so that a session resumes on any of them.
///
/// Tickets are sealed with keys of this object alone: a session of another listener, or of rules that have changed since,
/// does not resume here, as it may have been made under weaker rules for client certificates.
#[derive(Clone)]
pub struct ServerTls {
    acceptor: TlsAcceptor,
    /// Faults that do not keep the listener from serving: certificates out of their time.
    pub warnings: Vec<Problem>,
}

impl ServerTls {
    /// Compiles the plan; problems and warnings are placed relative to the listener's `tls`.
    pub fn compile(plan: &plan::ListenerTls, http2: bool) -> Result<Self, Problem> {
        let mut warnings = Vec::new();
        let resolver = Resolver::compile(&plan.certificates, &mut warnings)?;
        let versions: &[_] = match plan.minimum_version {
            TlsVersion::Tls12 => &[&rustls::version::TLS13, &rustls::version::TLS12],
            TlsVersion::Tls13 => &[&rustls::version::TLS13],
        };
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .map_err(|error| Problem::new("minimum_version", "config.bad_tls", error.to_string()))?
            .with_client_cert_verifier(client_verifier(plan)?)
            .with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = protocols(http2);
        config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
        config.ticketer = aws_lc_rs::Ticketer::new()
            .map_err(|error| Problem::new("certificates", "config.bad_tls", format!("no ticket key: {error}")))?;
        config.send_tls13_tickets = TICKETS;
        // A server that speaks first (HTTP/2 SETTINGS) saves its client a round trip.
        config.send_half_rtt_data = plan.client_certificates == ClientCertificates::None;
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), warnings })
    }

    pub fn config(&self) -> &Arc<ServerConfig> {
        self.acceptor.config()
    }

    /// Shakes hands with a client that has that long for it.
    pub async fn accept(&self, transport: Transport, within: Duration) -> io::Result<Socket> {
        match tokio::time::timeout(within, self.acceptor.accept(transport)).await {
            Ok(stream) => Ok(Socket::ServerTls(Box::new(stream?))),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

fn protocols(http2: bool) -> Vec<Vec<u8>> {
    let names: &[&[u8]] = if http2 { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
    names.iter().map(|name| name.to_vec()).collect()
}

fn client_verifier(plan: &plan::ListenerTls) -> Result<Arc<dyn ClientCertVerifier>, Problem> {
    let optional = match plan.client_certificates {
        ClientCertificates::None => return Ok(Arc::new(NoClientAuth)),
        ClientCertificates::Optional => true,
        ClientCertificates::Required => false,
    };
    let roots = parse_roots(plan.client_ca.as_deref().unwrap_or_default(), "client_ca")?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = if optional { builder.allow_unauthenticated() } else { builder };
    builder.build().map_err(|error| Problem::new("client_ca", "config.bad_certificate", error.to_string()))
}

/// Reads the authorities of a PEM text; at least one must be there.
pub(crate) fn parse_roots(pem: &str, path: &str) -> Result<RootCertStore, Problem> {
    let mut roots = RootCertStore::empty();
    for certificate in parse_chain(pem, path)? {
        roots.add(certificate).map_err(|error| Problem::new(path, "config.bad_certificate", error.to_string()))?;
    }
    Ok(roots)
}

pub(crate) fn parse_chain(pem: &str, path: &str) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| Problem::new(path, "config.bad_certificate", format!("not readable as PEM: {error}")))?;
    match chain.is_empty() {
        true => Err(Problem::new(path, "config.bad_certificate", "expected a certificate in PEM, found none")),
        false => Ok(chain),
    }
}

pub(crate) fn parse_key(pem: &str, path: &str) -> Result<PrivateKeyDer<'static>, Problem> {
    // The parser's errors quote no key material, but a key's text is not worth the risk.
    PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| Problem::new(path, "config.bad_key", "expected a private key in PEM (not encrypted), found none"))
}

// ---- certificates by name

/// Chooses the certificate by the name that the client asks for: exact, then wildcard, then the first of the plan.
struct Resolver {
    exact: HashMap<Box<str>, Arc<CertifiedKey>>,
    /// By what follows `*.`, which stands for one label.
    wildcard: HashMap<Box<str>, Arc<CertifiedKey>>,
    default: Arc<CertifiedKey>,
}

impl Resolver {
    fn compile(plans: &[plan::CertifiedKey], warnings: &mut Vec<Problem>) -> Result<Self, Problem> {
        let mut exact = HashMap::new();
        let mut wildcard = HashMap::new();
        let mut default = None;
        for (index, plan) in plans.iter().enumerate() {
            let path = format!("certificates[{index}]");
            let key = Arc::new(certified_key(plan, &path)?);
            let certificate = parse_end_entity(&key, &path)?;
            warnings.extend(check_time(&certificate, &path));
            for name in certificate.valid_dns_names().map(str::to_ascii_lowercase) {
                // The first certificate of a name keeps it.
                match name.strip_prefix("*.") {
                    Some(suffix) => wildcard.entry(suffix.into()).or_insert_with(|| Arc::clone(&key)),
                    None => exact.entry(name.into()).or_insert_with(|| Arc::clone(&key)),
                };
            }
            default.get_or_insert(key);
        }
        let none = || Problem::new("certificates", "config.bad_certificate", "expected at least one certificate");
        Ok(Self { exact, wildcard, default: default.ok_or_else(none)? })
    }

    fn find(&self, name: Option<&str>) -> &Arc<CertifiedKey> {
        let found = name.and_then(|name| {
            let parent = || name.split_once('.').and_then(|(_, parent)| self.wildcard.get(parent));
            self.exact.get(name).or_else(parent)
        });
        found.unwrap_or(&self.default)
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // In lower case already.
        Some(Arc::clone(self.find(hello.server_name())))
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Resolver({} names)", self.exact.len() + self.wildcard.len())
    }
}

fn certified_key(plan: &plan::CertifiedKey, path: &str) -> Result<CertifiedKey, Problem> {
    let chain = parse_chain(&plan.certificate, &format!("{path}.certificate"))?;
    let key = parse_key(&plan.key, &format!("{path}.key"))?;
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(|error| key_problem(&error, path))
}

/// What is wrong with a certificate and its key, which are at `path`.
pub(crate) fn key_problem(error: &rustls::Error, path: &str) -> Problem {
    match error {
        rustls::Error::InconsistentKeys(_) => {
            let message = "the key does not belong to the certificate";
            Problem::new(format!("{path}.key"), "config.bad_key", message)
        }
        rustls::Error::InvalidCertificate(fault) => {
            let message = format!("the certificate cannot be used: {fault}");
            Problem::new(format!("{path}.certificate"), "config.bad_certificate", message)
        }
        error => Problem::new(format!("{path}.key"), "config.bad_key", error.to_string()),
    }
}

fn parse_end_entity<'a>(key: &'a CertifiedKey, path: &str) -> Result<EndEntityCert<'a>, Problem> {
    let fault = |error: String| Problem::new(format!("{path}.certificate"), "config.bad_certificate", error);
    let certificate = key.end_entity_cert().map_err(|error| fault(error.to_string()))?;
    EndEntityCert::try_from(certificate).map_err(|error| fault(error.to_string()))
}

/// A certificate out of its time is served all the same: clients judge it, and a reload must not fail over it.
fn check_time(certificate: &EndEntityCert<'_>, path: &str) -> Option<Problem> {
    let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms.all;
    // Without authorities this always fails; the times are looked at first.
    let checked =
        certificate.verify_for_usage(algorithms, &[], &[], UnixTime::now(), KeyUsage::server_auth(), None, None);
    let message = match checked.err()? {
        webpki::Error::CertExpired { not_after, .. } => {
            format!("the certificate expired, {} days ago", days_between(not_after, UnixTime::now()))
        }
        webpki::Error::CertNotValidYet { not_before, .. } => {
            format!("the certificate is not valid yet, for {} days", days_between(UnixTime::now(), not_before))
        }
        _ => return None,
    };
    Some(Problem::new(format!("{path}.certificate"), "config.certificate_time", message))
}

fn days_between(earlier: UnixTime, later: UnixTime) -> u64 {
    later.as_secs().saturating_sub(earlier.as_secs()) / 86400
}
