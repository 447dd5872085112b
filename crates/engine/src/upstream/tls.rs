//! TLS towards services.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
use tokio_rustls::TlsConnector;

use crate::listener::socket::Socket;
use crate::listener::tls::{key_problem, parse_chain, parse_key, parse_roots};
use crate::plan::{self, UpstreamProtocol};
use crate::problem::Problem;
use crate::respond::{Code, Failure};

/// Sessions kept for resumption, per service.
const SESSIONS: usize = 256;

/// How one service is verified, compiled. Shared by all workers.
#[derive(Clone)]
pub struct ClientTls {
    connector: TlsConnector,
    name: ServerName<'static>,
    protocol: Option<UpstreamProtocol>,
}

impl ClientTls {
    /// Compiles the plan; problems are placed relative to the service.
    pub fn compile(plan: &plan::UpstreamTls, protocol: UpstreamProtocol) -> Result<Self, Problem> {
        Self::compile_with(plan, Some(protocol))
    }

    /// For a server that speaks something of its own, which has no name in ALPN.
    pub fn without_alpn(plan: &plan::UpstreamTls) -> Result<Self, Problem> {
        Self::compile_with(plan, None)
    }

    fn compile_with(plan: &plan::UpstreamTls, protocol: Option<UpstreamProtocol>) -> Result<Self, Problem> {
        let name = ServerName::try_from(plan.server_name.as_str())
            .map_err(|_| {
                let message = format!("expected a host name or an IP address, got `{}`", plan.server_name);
                Problem::new("tls.server_name", "config.bad_host", message)
            })?
            .to_owned();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| Problem::new("tls", "config.bad_tls", error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(verifier(plan, provider)?);
        let mut config = match &plan.client {
            None => builder.with_no_client_auth(),
            Some(client) => {
                let chain = parse_chain(&client.certificate, "tls.client.certificate")?;
                let key = parse_key(&client.key, "tls.client.key")?;
                builder.with_client_auth_cert(chain, key).map_err(|error| key_problem(&error, "tls.client"))?
            }
        };
        config.alpn_protocols = protocol.map(|protocol| alpn(protocol).to_vec()).into_iter().collect();
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name, protocol })
    }

    /// Shakes hands over a connection that stands. The caller bounds the time; `service` is for the log.
    pub async fn handshake(&self, socket: Socket, service: &str) -> Result<Socket, Failure> {
        let Socket::Plain(transport) = socket else {
            return Err(Failure::with(Code::InternalError, "a handshake within TLS"));
        };
        let connected = self.connector.connect(self.name.clone(), transport).await;
        let stream = connected.map_err(|error| self.failure(service, &error))?;
        let socket = Socket::ClientTls(Box::new(stream));
        // A service that does not know ALPN speaks HTTP/1.1; one that must speak HTTP/2 has to say so (RFC 9113 section 3.2).
        if self.protocol == Some(UpstreamProtocol::H2) && socket.alpn() != Some(b"h2") {
            return Err(self.fail(service, "it did not agree to HTTP/2 by ALPN"));
        }
        Ok(socket)
    }

    fn fail(&self, service: &str, cause: impl std::fmt::Display) -> Failure {
        let name = self.name.to_str();
        Failure::with(Code::UpstreamTlsFailed, format_args!("service {service}: TLS with {name}: {cause}"))
    }

    fn failure(&self, service: &str, error: &std::io::Error) -> Failure {
        match error.get_ref().and_then(|cause| cause.downcast_ref::<Error>()) {
            Some(Error::InvalidCertificate(fault)) => self.fail(service, explain(fault)),
            Some(Error::NoApplicationProtocol) => {
                self.fail(service, "it does not speak the protocol asked for by ALPN")
            }
            Some(Error::InvalidMessage(_)) => self.fail(service, "the handshake broke off: what it answers is not TLS"),
            Some(fault) => self.fail(service, fault),
            None => self.fail(service, format_args!("the handshake broke off: {error}")),
        }
    }
}

fn alpn(protocol: UpstreamProtocol) -> &'static [u8] {
    match protocol {
        UpstreamProtocol::Http1 => b"http/1.1",
        UpstreamProtocol::H2 => b"h2",
    }
}

/// Says what is wrong with a certificate in the words of who has to mend it.
fn explain(fault: &CertificateError) -> String {
    match fault {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "the certificate expired".into(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate is not valid yet".into()
        }
        CertificateError::UnknownIssuer => "the certificate is from an issuer that is not trusted".into(),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("the certificate is for another name: {fault}")
        }
        CertificateError::Other(fault) if is_authority(fault) => {
            "the certificate is an authority's own (`CA:TRUE`), which no server may use".into()
        }
        fault => format!("the certificate is not valid: {fault}"),
    }
}

/// As `openssl req -x509` makes them.
fn is_authority(fault: &OtherError) -> bool {
    matches!(fault.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

fn verifier(plan: &plan::UpstreamTls, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, Problem> {
    if !plan.verify {
        return Ok(Arc::new(Unverified { algorithms: provider.signature_verification_algorithms }));
    }
    let roots = match &plan.ca {
        Some(pem) => Arc::new(parse_roots(pem, "tls.ca")?),
        None => system_roots()?,
    };
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider)
        .build()
        .map_err(|error| Problem::new("tls.ca", "config.bad_certificate", error.to_string()))?;
    Ok(verifier)
}

/// The authorities that the operating system trusts, read once a process. `SSL_CERT_FILE` and `SSL_CERT_DIR` are respected.
fn system_roots() -> Result<Arc<RootCertStore>, Problem> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let roots = ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    });
    match roots.is_empty() {
        true => Err(Problem::new(
            "tls",
            "config.no_authorities",
            "the system has no trusted authorities: install `ca-certificates`, or give the service's own with `ca`",
        )),
        false => Ok(Arc::clone(roots)),
    }
}

/// `verify: false`: takes every certificate. The handshake's signatures are still checked, so the peer holds the key it shows.
#[derive(Debug)]
struct Unverified {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
