//! TLS 1.2 and 1.3 (RFC 5246, RFC 8446) to a server, by OpenSSL, which Kafka's client brings anyway.

use std::path::{Path, PathBuf};
use std::pin::Pin;

use logbraid_core::component::{ConfigError, ensure};
use logbraid_core::sink::SinkError;
use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::ssl::{SslConnector, SslMethod};
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::{X509, X509VerifyResult};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

/// TLS 1.2 and 1.3. The server's certificate is always checked; files are read at the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Certificates of authorities, as PEM: the server's must be of one of them [default: those that the system trusts].
    pub ca: Option<PathBuf>,
    /// A certificate of our own, for servers that ask for one, and behind it those that lead to its authority, as PEM.
    pub certificate: Option<PathBuf>,
    /// The private key of the certificate, as PEM and without a password.
    pub key: Option<PathBuf>,
    /// The name that the server's certificate must have [default: the host that is connected to].
    pub name: Option<String>,
}

impl Config {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        for (name, path) in [("ca", &self.ca), ("certificate", &self.certificate), ("key", &self.key)] {
            let named = path.as_ref().is_none_or(|path| !path.as_os_str().is_empty());
            ensure(named, &format!("tls.{name}"), "must name a file; try `/etc/logbraid/tls/ca.pem`")?;
        }
        ensure(
            self.certificate.is_some() == self.key.is_some(),
            if self.key.is_none() { "tls.certificate" } else { "tls.key" },
            "`certificate` and `key` go together; name both, or neither",
        )?;
        let named = self.name.as_ref().is_none_or(|name| !name.trim().is_empty());
        ensure(named, "tls.name", "must be a host's name; leave it out for the host that is connected to")
    }
}

/// OpenSSL's `X509_V_ERR_HOSTNAME_MISMATCH` and `X509_V_ERR_IP_ADDRESS_MISMATCH`.
const HOSTNAME_MISMATCH: i32 = 62;
const IP_ADDRESS_MISMATCH: i32 = 64;

/// What is needed to connect.
pub(crate) struct Tls {
    connector: SslConnector,
    name: Option<String>,
    /// Whether there is a certificate of our own.
    own: bool,
}

impl Tls {
    /// Reads the files.
    pub(crate) fn read(config: &Config) -> Result<Self, SinkError> {
        let unusable = |name: &str, path: &Path, why: &dyn std::fmt::Display| {
            SinkError::Fatal(format!("`tls.{name}: {}` {why}", path.display()))
        };
        let file = |name: &str, path: &Path| {
            std::fs::read(path).map_err(|error| {
                unusable(name, path, &format!("cannot be read: {error}; name a file that this user may read"))
            })
        };
        let failed = |error: ErrorStack| SinkError::Fatal(format!("TLS cannot be used: {error}"));
        let mut builder = SslConnector::builder(SslMethod::tls_client()).map_err(failed)?;
        if let Some(path) = &config.ca {
            let chain = X509::stack_from_pem(&file("ca", path)?).ok().filter(|chain| !chain.is_empty());
            let chain = chain.ok_or_else(|| {
                unusable(
                    "ca",
                    path,
                    &"holds no certificate in PEM, which begins with `-----BEGIN CERTIFICATE-----`",
                )
            })?;
            let mut store = X509StoreBuilder::new().map_err(failed)?;
            for authority in chain {
                store.add_cert(authority).map_err(failed)?;
            }
            builder.set_cert_store(store.build());
        }
        if let Some((certificate, key)) = config.certificate.as_ref().zip(config.key.as_ref()) {
            let pem = file("key", key)?;
            // Nobody is asked for a password.
            let private = PKey::private_key_from_pem_callback(&pem, |_| Ok(0)).map_err(|_| {
                let why =
                    "holds no private key in PEM without a password; `openssl pkey -in FILE` takes one off";
                unusable("key", key, &why)
            })?;
            file("certificate", certificate)?;
            builder.set_certificate_chain_file(certificate).map_err(|_| {
                unusable(
                    "certificate",
                    certificate,
                    &"holds no certificate in PEM, which begins with `-----BEGIN CERTIFICATE-----`",
                )
            })?;
            let fits = builder.set_private_key(&private).and_then(|()| builder.check_private_key());
            fits.map_err(|_| {
                let why = format!("is not the key of the first certificate in `{}`", certificate.display());
                unusable("key", key, &why)
            })?;
        }
        Ok(Self { connector: builder.build(), name: config.name.clone(), own: config.key.is_some() })
    }

    /// What may have broken a connection that is new: with TLS 1.3 a server refuses who shows nothing after the handshake.
    pub(crate) const fn hint(&self) -> &'static str {
        if self.own { "" } else { "; if the server asks for a certificate, name it in `tls.certificate`" }
    }

    /// Agrees with the server on keys; an error says what happened, in words.
    pub(super) async fn shake(&self, stream: TcpStream, host: &str) -> Result<SslStream<TcpStream>, String> {
        let name = self.name.as_deref().unwrap_or(host);
        let unusable = |error: ErrorStack| format!("TLS cannot be used: {error}");
        let ssl = self.connector.configure().and_then(|ssl| ssl.into_ssl(name)).map_err(unusable)?;
        let mut stream = SslStream::new(ssl, stream).map_err(unusable)?;
        let Err(error) = Pin::new(&mut stream).connect().await else { return Ok(stream) };
        let verdict = stream.ssl().verify_result();
        if verdict != X509VerifyResult::OK {
            let help = match verdict.as_raw() {
                HOSTNAME_MISMATCH | IP_ADDRESS_MISMATCH => {
                    format!("it is not for `{name}`; `tls.name` says what it is for")
                }
                _ => "`tls.ca` names whose are accepted".to_owned(),
            };
            return Err(format!(
                "the server's certificate is not accepted: {}; {help}",
                verdict.error_string()
            ));
        }
        Err(match error.ssl_error().and_then(|stack| stack.errors().first()?.reason()) {
            Some("wrong version number" | "packet length too long" | "bad record type") => {
                "the server does not speak TLS".to_owned()
            }
            Some(alert) if alert.contains("alert") => {
                format!("the server refuses TLS: {alert}; does it ask for `tls.certificate`?")
            }
            Some(reason) => format!("TLS failed: {reason}"),
            None => "the server hung up in the middle of the handshake".to_owned(),
        })
    }
}
