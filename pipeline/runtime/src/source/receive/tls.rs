//! TLS 1.2 and 1.3 (RFC 5246, RFC 8446) of what is listened to over TCP, by OpenSSL, which Kafka's client brings anyway.
//!
//! ```text
//!  accept ─► Tls::shake: bounded in time, counted ─► Wire ─► the listener's own protocol
//!            no `tls`: as it comes ──────────────────►┘
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use logbraid_core::component::{ConfigError, ensure};
use openssl::asn1::Asn1Time;
use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{
    AlpnError, NameType, Ssl, SslAcceptor, SslContext, SslMethod, SslOptions, SslRef, SslSessionCacheMode,
    SslVerifyMode, select_next_proto,
};
use openssl::stack::Stack;
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::{X509, X509VerifyResult};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;
use tokio_util::sync::CancellationToken;

use super::super::StartError;
use super::connections::LEAVING;
use super::door::Door;
use super::status::add;
use super::wire::Wire;

/// TLS 1.2 and 1.3. The files are read at the start.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The certificate that senders are shown, and behind it those that lead to its authority, as PEM.
    pub certificate: PathBuf,
    /// The private key of the certificate, as PEM and without a password.
    pub key: PathBuf,
    /// Certificates of authorities, as PEM: a sender must show a certificate of one of them [default: none is asked for].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<PathBuf>,
}

impl Config {
    /// # Errors
    /// When a path is empty.
    pub fn check(&self) -> Result<(), ConfigError> {
        let paths = [
            ("certificate", Some(&self.certificate)),
            ("key", Some(&self.key)),
            ("client_ca", self.client_ca.as_ref()),
        ];
        for (name, path) in paths {
            let named = path.is_none_or(|path| !path.as_os_str().is_empty());
            ensure(named, &format!("tls.{name}"), "must name a file; try `/etc/logbraid/tls/server.pem`")?;
        }
        Ok(())
    }
}

/// How often at most it is told why handshakes fail, in nanoseconds.
const TELL_EVERY: i64 = 10_000_000_000;

/// A certificate and its key, and who may come in.
pub(super) struct Tls {
    context: SslContext,
    /// What users should know of the certificate.
    notice: Option<String>,
    /// When something was told last.
    told: AtomicI64,
}

impl Tls {
    /// Reads the files of `source`. `protocols` are those that may be agreed upon (ALPN, RFC 7301), the preferred first,
    /// each with its length before it; with none, what senders propose is not looked at.
    ///
    /// # Errors
    /// When a file cannot be read, is not PEM, or the key is another certificate's.
    pub(super) fn read(
        config: &Config,
        source: &str,
        protocols: &'static [u8],
    ) -> Result<Arc<Self>, StartError> {
        let unusable = |name: &str, path: &Path, why: &dyn std::fmt::Display| {
            StartError::new(format!("source `{source}`: `tls.{name}: {}` {why}", path.display()))
        };
        let file = |name: &str, path: &Path| {
            let help = "name a file that this user may read";
            std::fs::read(path)
                .map_err(|error| unusable(name, path, &format!("cannot be read: {error}")).help(help))
        };
        let certificates = |name: &str, path: &Path| {
            let read = X509::stack_from_pem(&file(name, path)?).ok().filter(|chain| !chain.is_empty());
            read.ok_or_else(|| {
                let help = "PEM begins with `-----BEGIN CERTIFICATE-----`; `openssl x509 -inform der` makes PEM of DER";
                unusable(name, path, &"holds no certificate in PEM").help(help)
            })
        };
        let chain = certificates("certificate", &config.certificate)?;
        let key = private_key(&file("key", &config.key)?).ok_or_else(|| {
            let help =
                "PEM begins with `-----BEGIN PRIVATE KEY-----`; `openssl pkey -in FILE` takes a password off";
            unusable("key", &config.key, &"holds no private key in PEM without a password").help(help)
        })?;
        let fits = chain[0].public_key().is_ok_and(|public| public.public_eq(&key));
        if !fits {
            let why =
                format!("is not the key of the first certificate in `{}`", config.certificate.display());
            let help = "a chain begins with the server's own certificate; compare `openssl x509 -noout -pubkey` and \
                        `openssl pkey -pubout`";
            return Err(unusable("key", &config.key, &why).help(help));
        }
        let authorities =
            config.client_ca.as_ref().map(|path| certificates("client_ca", path)).transpose()?;
        let notice = out_of_date(&chain[0]).map(|why| {
            format!("source `{source}`: the certificate in `{}` {why}", config.certificate.display())
        });
        let context = context(chain, &key, authorities, protocols).map_err(|error| {
            let why = format!("cannot be used: {}", words(&error));
            unusable("certificate", &config.certificate, &why).help("keys of RSA need 2048 bits or more")
        })?;
        Ok(Arc::new(Self { context, notice, told: AtomicI64::new(0) }))
    }

    /// What users should know before the first sender is refused.
    pub(super) fn notice(&self) -> Option<String> {
        self.notice.clone()
    }

    /// Agrees with the other end on keys, within `limit`; `None` when that failed, which is counted and told, or when the
    /// listener ends.
    async fn shake(
        &self,
        stream: TcpStream,
        door: &Door,
        limit: Duration,
        stop: &CancellationToken,
    ) -> Option<SslStream<TcpStream>> {
        let peer = stream
            .peer_addr()
            .map_or_else(|_| "a sender".to_owned(), |address| format!("a sender at {}", address.ip()));
        let mut stream = SslStream::new(Ssl::new(&self.context).ok()?, stream).ok()?;
        let ends = async {
            stop.cancelled().await;
            tokio::time::sleep(LEAVING).await;
        };
        let why = tokio::select! {
            biased;
            shaken = tokio::time::timeout(limit, Pin::new(&mut stream).accept()) => match shaken {
                Ok(Ok(())) => return Some(stream),
                Ok(Err(error)) => failed(&error, stream.ssl()),
                Err(_elapsed) => {
                    add(&door.status.timeouts, 1);
                    Some("the handshake took too long; does the sender speak TLS?".to_owned())
                }
            },
            () = ends => return None,
        };
        add(&door.status.tls_refused, 1);
        if let Some(why) = why {
            tracing::debug!("{peer}: {why}");
            let (now, told) = (door.now(), self.told.load(Ordering::Relaxed));
            if now.saturating_sub(told) >= TELL_EVERY {
                self.told.store(now, Ordering::Relaxed);
                door.tell(format!("{peer} was refused: {why}"));
            }
        }
        None
    }
}

/// A connection that its listener may read: after the handshake where there is TLS, at once where there is none.
pub(super) async fn wire(
    tls: Option<&Tls>,
    stream: TcpStream,
    door: &Door,
    limit: Duration,
    stop: &CancellationToken,
) -> Option<Wire> {
    match tls {
        None => Some(Wire::plain(stream)),
        Some(tls) => tls.shake(stream, door, limit, stop).await.map(Wire::secret),
    }
}

/// Nobody is asked for a password.
fn private_key(pem: &[u8]) -> Option<PKey<Private>> {
    PKey::private_key_from_pem_callback(pem, |_| Ok(0)).ok()
}

fn out_of_date(certificate: &X509) -> Option<String> {
    let now = Asn1Time::days_from_now(0).ok()?;
    let (from, to) = (certificate.not_before(), certificate.not_after());
    if *to < *now {
        Some(format!("expired on {to}: senders will refuse it; renew it and start again"))
    } else if *from > *now {
        Some(format!("is not valid before {from}: senders will refuse it until then"))
    } else {
        None
    }
}

fn context(
    chain: Vec<X509>,
    key: &PKey<Private>,
    authorities: Option<Vec<X509>>,
    protocols: &'static [u8],
) -> Result<SslContext, ErrorStack> {
    let mut context = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
    let mut chain = chain.into_iter();
    if let Some(own) = chain.next() {
        context.set_certificate(&own)?;
    }
    for further in chain {
        context.add_extra_chain_cert(further)?;
    }
    context.set_private_key(key)?;
    // Keys are agreed upon once, and sessions are in the tickets that senders hold: nothing grows here.
    context.set_options(SslOptions::NO_RENEGOTIATION);
    context.set_session_cache_mode(SslSessionCacheMode::OFF);
    context.set_session_id_context(b"logbraid")?;
    if let Some(authorities) = authorities {
        let mut store = X509StoreBuilder::new()?;
        let mut names = Stack::new()?;
        for authority in authorities {
            names.push(authority.subject_name().to_owned()?)?;
            store.add_cert(authority)?;
        }
        context.set_cert_store(store.build());
        context.set_client_ca_list(names);
        context.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
    }
    if !protocols.is_empty() {
        context.set_alpn_select_callback(move |_, offered| {
            select_next_proto(protocols, offered).ok_or(AlpnError::ALERT_FATAL)
        });
    }
    Ok(context.build().into_context())
}

/// Why a handshake failed, and what to do; `None` for one who only knocks.
fn failed(error: &openssl::ssl::Error, ssl: &SslRef) -> Option<String> {
    let verdict = ssl.verify_result();
    if verdict != X509VerifyResult::OK {
        let why = verdict.error_string();
        return Some(format!("its certificate is not accepted: {why}; `tls.client_ca` names whose are"));
    }
    let Some(stack) = error.ssl_error() else {
        let begun = ssl.servername(NameType::HOST_NAME).is_some();
        return begun.then(|| "it hung up in the middle of the handshake".to_owned());
    };
    let reason =
        stack.errors().first().and_then(openssl::error::Error::reason).unwrap_or_default().to_owned();
    Some(match reason.as_str() {
        "http request"
        | "https proxy request"
        | "wrong version number"
        | "packet length too long"
        | "bad record type"
        | "unsupported protocol version number" => {
            "it does not speak TLS; switch TLS on there, or leave `tls` out here".to_owned()
        }
        "unsupported protocol" => "it knows only versions of TLS before 1.2".to_owned(),
        "peer did not return a certificate" => {
            "it showed no certificate, and `tls.client_ca` asks for one".to_owned()
        }
        "unexpected eof while reading" => return None,
        alert if alert.contains("alert") => {
            format!("it does not accept the certificate in `tls.certificate`, or what was proposed: {alert}")
        }
        _ => words(stack),
    })
}

/// The reasons of OpenSSL, without its own places and numbers.
fn words(stack: &ErrorStack) -> String {
    let reasons: Vec<&str> = stack.errors().iter().filter_map(openssl::error::Error::reason).collect();
    if reasons.is_empty() { stack.to_string() } else { reasons.join(", ") }
}
