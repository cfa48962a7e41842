//! Connections to servers: over TCP, by TLS where it is asked for, and over Unix sockets.

pub(crate) mod tls;

use std::pin::Pin;
use std::time::Duration;

use logbraid_core::component::ConfigError;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;

use self::tls::Tls;

/// How long an address is tried before the next of the same name.
const NEXT_ADDRESS: Duration = Duration::from_secs(3);
/// How long a new connection is watched before it is used.
const WELCOME: Duration = Duration::from_millis(200);
/// How long a server may take to read what is left at the end.
const LEAVE: Duration = Duration::from_secs(5);

/// A connection of any kind.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A host and its port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Address {
    /// Reads the setting `name`: `HOST:PORT`, an IPv6 address in brackets.
    pub(crate) fn read(name: &str, text: &str) -> Result<Self, ConfigError> {
        let bad = |what: &str| {
            ConfigError::new(name, format!("`{name}` {what}"))
                .help("write it as `HOST:PORT`, such as `localhost:24224`")
        };
        let (host, port) = text.trim().rsplit_once(':').ok_or_else(|| bad("names no port"))?;
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(|| bad("has no possible port"))?;
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = inner.unwrap_or(host);
        if host.is_empty()
            || host.contains(['/', '@', ' ', '[', ']'])
            || (inner.is_none() && host.contains(':'))
        {
            return Err(bad("has no possible host"));
        }
        Ok(Self { host: host.to_owned(), port })
    }

    /// A connection to the first address that can be reached; one that says nothing does not keep the others waiting.
    async fn reach(&self) -> std::io::Result<TcpStream> {
        let addresses: Vec<_> = tokio::net::lookup_host((self.host.as_str(), self.port)).await?.collect();
        let mut last = std::io::Error::other("the name has no address");
        for (left, address) in (0..addresses.len()).rev().zip(addresses) {
            let reached = TcpStream::connect(address);
            let reached = if left == 0 {
                reached.await
            } else {
                tokio::time::timeout(NEXT_ADDRESS, reached)
                    .await
                    .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
            };
            match reached {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Connects; an error says what happened, in words.
    pub(crate) async fn connect(&self, tls: Option<&Tls>) -> Result<Box<dyn Duplex>, String> {
        let stream = self.reach().await.map_err(|error| format!("cannot connect: {error}"))?;
        // Whole batches are written at once; where the system refuses, they go a little later.
        let _slower = stream.set_nodelay(true);
        match tls {
            None => Ok(Box::new(stream)),
            Some(tls) => Ok(Box::new(tls.shake(stream, &self.host).await?)),
        }
    }
}

/// Waits a moment on a new connection for a server that ends it: with TLS 1.3 who shows no certificate is refused after the
/// handshake, and a server that has no room accepts, too.
pub(crate) async fn welcome(link: &mut (impl Duplex + ?Sized)) -> Result<(), String> {
    match tokio::time::timeout(WELCOME, link.read(&mut [0])).await {
        Ok(Ok(0)) => Err("the server closed the connection at once".to_owned()),
        Ok(Err(error)) => Err(broke(&error)),
        // It is silent, as it should be, or says what nobody asked for.
        Err(_) | Ok(Ok(_)) => Ok(()),
    }
}

/// Ends a connection whose server answers nothing, and waits until the server has ended it, too: then everything has
/// arrived. Where a connection is closed with bytes that were not read, such as tickets of TLS 1.3, the kernel throws away
/// what it has not sent.
pub(crate) async fn close(mut link: Box<dyn Duplex>) -> Result<(), String> {
    let ended = async {
        link.shutdown().await?;
        let mut rest = [0; 1024];
        loop {
            match link.read(&mut rest).await {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Err(error),
                // Of TLS: an end without a word.
                Err(_) => return Ok(()),
            }
        }
    };
    let ended = tokio::time::timeout(LEAVE, ended).await;
    let ended = ended.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
    ended.map_err(|error| format!("at the end {}; what the server has not read is lost", broke(&error)))
}

/// False when the other end has closed a connection on which it says nothing unasked.
pub(crate) async fn is_open(link: &mut (impl Duplex + ?Sized)) -> bool {
    let mut byte = [0];
    let mut byte = ReadBuf::new(&mut byte);
    futures::poll!(std::future::poll_fn(|cx| Pin::new(&mut *link).poll_read(cx, &mut byte))).is_pending()
}

/// What broke a connection, in words.
pub(crate) fn broke(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Some say what their cause says.
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    format!("the connection broke: {text}")
}

/// The name of this host.
pub(crate) fn own_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        let read = |text: &str| Address::read("to", text).map(|address| address.to_string());
        for good in ["localhost:24224", "[::1]:514", "10.0.0.1:1"] {
            assert_eq!(read(good).unwrap(), good);
        }
        for bad in [
            "",
            "localhost",
            "localhost:",
            "localhost:0",
            "localhost:99999",
            ":1",
            "::1:514",
            "http://h:1",
            "a b:1",
            "u@h:1",
        ] {
            assert!(read(bad).unwrap_err().help.unwrap().contains("HOST:PORT"), "{bad}");
        }
    }
}
