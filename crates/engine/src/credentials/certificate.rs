//! What a client certificate says of its owner.
//!
//! The listener has verified the certificate against its authorities; here it is only read.

use std::net::IpAddr;
use std::str::FromStr;

use serde_json::json;
use x509_cert::Certificate as X509;
use x509_cert::der::Decode;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::oid::db::rfc4519::{CN, O, OU};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::{DirectoryString, GeneralName};
use x509_cert::name::Name;

use crate::claims::Claims;
use crate::credentials::secret::Digest;

/// A certificate that was read.
#[derive(Debug, Default)]
pub struct Certificate {
    pub uris: Vec<String>,
    /// In lower case.
    pub dns: Vec<String>,
    pub emails: Vec<String>,
    pub addresses: Vec<String>,
    /// As RFC 4514 writes it: `CN=orders,O=Example`.
    pub subject: String,
    pub common_names: Vec<String>,
    pub organizations: Vec<String>,
    pub units: Vec<String>,
    pub issuer: String,
    pub serial: String,
    /// Unix seconds.
    pub not_before: u64,
    pub not_after: u64,
}

impl Certificate {
    /// Reads DER; `None` when it is no certificate that we can read.
    pub fn read(der: &[u8]) -> Option<Self> {
        let certificate = X509::from_der(der).ok()?;
        let body = certificate.tbs_certificate();
        let mut read = Self {
            subject: body.subject().to_string(),
            common_names: texts(body.subject(), CN),
            organizations: texts(body.subject(), O),
            units: texts(body.subject(), OU),
            issuer: body.issuer().to_string(),
            serial: hex(body.serial_number().as_bytes()),
            not_before: body.validity().not_before.to_unix_duration().as_secs(),
            not_after: body.validity().not_after.to_unix_duration().as_secs(),
            ..Self::default()
        };
        if let Some((_, names)) = body.get_extension::<SubjectAltName>().ok()? {
            names.0.iter().for_each(|name| read.take(name));
        }
        Some(read)
    }

    fn take(&mut self, name: &GeneralName) {
        match name {
            GeneralName::UniformResourceIdentifier(uri) => self.uris.push(uri.to_string()),
            GeneralName::DnsName(dns) => self.dns.push(dns.to_string().to_ascii_lowercase()),
            GeneralName::Rfc822Name(email) => self.emails.push(email.to_string()),
            GeneralName::IpAddress(bytes) => self.addresses.extend(address(bytes.as_bytes())),
            _ => {}
        }
    }

    /// Who it speaks of, in one word: the first of URI, DNS name, e-mail address, common name, and else the whole name.
    pub fn subject(&self) -> &str {
        let names = [&self.uris, &self.dns, &self.emails, &self.common_names];
        names.into_iter().find_map(|names| names.first()).unwrap_or(&self.subject)
    }

    /// For `{claims.x}`: `subject.common_name`, `san.dns`, `sha256` and so on.
    pub fn claims(&self, fingerprint: &Digest) -> Claims {
        let claims = json!({
            "subject": {
                "dn": self.subject,
                "common_name": self.common_names.first(),
                "organization": self.organizations,
                "organizational_unit": self.units,
            },
            "san": {"uri": self.uris, "dns": self.dns, "email": self.emails, "ip": self.addresses},
            "issuer": {"dn": self.issuer},
            "serial": self.serial,
            "sha256": hex(&fingerprint.0),
            "not_before": self.not_before,
            "not_after": self.not_after,
        });
        claims.as_object().map(Claims::from).unwrap_or_default()
    }
}

/// A name as we compare it, of one as people write it: `CN=orders,O=Example`, the most specific part first.
pub fn normal_subject(text: &str) -> Option<String> {
    Name::from_str(text).ok().filter(|name| !name.is_empty()).map(|name| name.to_string())
}

fn texts(name: &Name, kind: ObjectIdentifier) -> Vec<String> {
    let of_kind = name.iter().filter(|part| part.oid == kind);
    of_kind.filter_map(|part| part.value.decode_as::<DirectoryString>().ok()).map(|text| text.value().into()).collect()
}

fn address(bytes: &[u8]) -> Option<String> {
    let address = match bytes.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
        _ => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
    };
    Some(address.to_string())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_compare_as_people_write_them() {
        for (written, normal) in [
            ("CN=orders,O=Example", Some("CN=orders,O=Example")),
            ("CN=orders", Some("CN=orders")),
            ("", None),
            ("orders", None),
        ] {
            assert_eq!(normal_subject(written).as_deref(), normal, "{written}");
        }
    }

    #[test]
    fn what_is_no_certificate_is_not_read() {
        for bytes in [&b""[..], b"\x30\x00", &[0xff; 100]] {
            assert!(Certificate::read(bytes).is_none());
        }
    }
}
