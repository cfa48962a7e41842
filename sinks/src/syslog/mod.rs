//! The sink `syslog`: records as messages of RFC 5424, over TCP, TLS, UDP and Unix sockets. The protocol has no answer:
//! a record counts as delivered once the kernel has taken it for a connection that is open.

mod config;
mod message;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use futures::future::BoxFuture;
use logbraid_core::component::ConfigError;
use logbraid_core::sink::{Sink, SinkError};
use logbraid_core::{EventTime, Record, Span};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{UdpSocket, UnixDatagram, UnixStream};

use self::config::To;
pub use self::config::{Config, Facility, Format, Framing};
use self::message::{Message, Writer};
use crate::batch::Pending;
use crate::net::tls::Tls;
use crate::net::{self, Duplex};
use crate::{Context, SinkComponent};

/// A connection that is closed within so long after it was made was refused.
const SOON: Span = Span::from_seconds(10);

/// What was done.
#[derive(Debug, Default)]
struct Tally {
    records: u64,
    bytes: u64,
    cut: u64,
    failed: u64,
}

/// Where messages go.
enum Link {
    Stream(Box<dyn Duplex>),
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

/// The sink.
pub struct Syslog {
    config: Config,
    to: To,
    writer: Writer,
    now: Arc<dyn Fn() -> EventTime + Send + Sync>,
    tls: Option<Tls>,
    link: Option<Link>,
    /// When it was connected to.
    connected: Option<EventTime>,
    pending: Pending<Message>,
    tally: Tally,
}

impl SinkComponent for Syslog {
    type Config = Config;
    const NAME: &'static str = "syslog";
    const DOCS: &'static str = include_str!("README.md");
    fn build(config: Config, context: &Context) -> Result<Self, ConfigError> {
        let to = config.check()?;
        Ok(Self {
            writer: Writer::new(&config, &to),
            to,
            now: Arc::clone(&context.now),
            tls: None,
            link: None,
            connected: None,
            pending: Pending::new(config.batch),
            tally: Tally::default(),
            config,
        })
    }
}

impl Syslog {
    /// Sends what goes together next.
    async fn send(&mut self) -> Result<(), SinkError> {
        let (timeout, to, tls) = (self.config.timeout.to_std(), &self.to, self.tls.as_ref());
        // Taken out: what is given up leaves no half-used connection behind.
        let kept = self.link.take();
        let pending = &self.pending;
        let now = (self.now)();
        let since = self.connected.replace(now).unwrap_or(now);
        let work = async {
            let kept = match kept {
                Some(Link::Stream(mut stream)) => {
                    let open = net::is_open(&mut stream).await;
                    // One that ends connections again and again takes nothing; one that was idle is asked again at once.
                    if !open && now.nanos().saturating_sub(since.nanos()) < SOON.nanos() {
                        return Err("the server closed the connection soon after it was made".to_owned());
                    }
                    open.then_some(Link::Stream(stream))
                }
                other => other,
            };
            let (mut link, since) = match kept {
                Some(kept) => (kept, since),
                None => (connect(to, tls).await?, now),
            };
            // Of a datagram the kernel takes all or nothing.
            let first = pending.front().map_or(&[][..], |message| &message.bytes);
            let refused = |error: std::io::Error| format!("a message cannot be sent: {error}");
            let count = match &mut link {
                Link::Stream(stream) => write(stream, pending).await?,
                Link::Udp(socket) => socket.send(first).await.map(|_| 1).map_err(refused)?,
                Link::Unix(socket) => socket.send(first).await.map(|_| 1).map_err(refused)?,
            };
            Ok((link, since, count))
        };
        let done = tokio::time::timeout(timeout, work).await;
        match done.unwrap_or_else(|_| Err(format!("it takes nothing for {timeout:?}"))) {
            Ok((link, since, count)) => {
                (self.link, self.connected) = (Some(link), Some(since));
                for message in self.pending.first(count) {
                    self.tally.bytes += message.bytes.len() as u64;
                    self.tally.cut += u64::from(message.cut);
                }
                self.tally.records += count as u64;
                self.pending.drop_first(count);
                Ok(())
            }
            Err(why) => {
                self.tally.failed += 1;
                Err(SinkError::Retry(format!("`{}`: {why}", self.to)))
            }
        }
    }
}

async fn connect(to: &To, tls: Option<&Tls>) -> Result<Link, String> {
    let failed = |error: std::io::Error| format!("cannot connect: {error}");
    Ok(match to {
        To::Tcp(address) => {
            let mut stream = address.connect(tls).await?;
            net::welcome(&mut stream).await.map_err(|why| why + tls.map_or("", Tls::hint))?;
            Link::Stream(stream)
        }
        To::UnixStream(path) => Link::Stream(Box::new(UnixStream::connect(path).await.map_err(failed)?)),
        To::Udp(address) => Link::Udp(udp(&address.host, address.port).await.map_err(failed)?),
        To::Unix(path) => {
            let socket = UnixDatagram::unbound().map_err(failed)?;
            socket.connect(path).map_err(failed)?;
            Link::Unix(socket)
        }
    })
}

/// A socket for the first address of `host` that can be reached.
async fn udp(host: &str, port: u16) -> std::io::Result<UdpSocket> {
    let mut last = None;
    for address in tokio::net::lookup_host((host, port)).await? {
        let any: IpAddr =
            if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let reached = async {
            let socket = UdpSocket::bind((any, 0)).await?;
            socket.connect(address).await.map(|()| socket)
        };
        match reached.await {
            Ok(socket) => return Ok(socket),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| std::io::Error::other(format!("`{host}` has no address"))))
}

/// Writes messages to a connection that is open afterwards as well; how many.
async fn write(stream: &mut Box<dyn Duplex>, pending: &Pending<Message>) -> Result<usize, String> {
    let count = pending.next(usize::MAX, |_, _| true);
    let bytes: Vec<u8> = pending.first(count).flat_map(|message| message.bytes.iter().copied()).collect();
    stream.write_all(&bytes).await.map_err(|error| net::broke(&error))?;
    stream.flush().await.map_err(|error| net::broke(&error))?;
    if net::is_open(stream).await { Ok(count) } else { Err("the server closed the connection".to_owned()) }
}

impl Sink for Syslog {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    /// A server that is down is waited for when there is something to send; a file that cannot be read never will.
    fn open(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(async move {
            self.tls = self.config.tls.as_ref().map(Tls::read).transpose()?;
            Ok(())
        })
    }

    fn write<'a>(&'a mut self, records: &'a [&'a Record]) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move {
            // First, so that after an error nothing of this call was taken.
            while self.pending.is_full() {
                self.send().await?;
            }
            for record in records {
                self.pending.push(self.writer.message(record, &*self.now));
            }
            Ok(())
        })
    }

    fn flush(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(async move {
            self.pending.pace().await;
            while !self.pending.is_empty() {
                self.send().await?;
            }
            Ok(())
        })
    }

    fn close(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        Box::pin(async move {
            let Some(Link::Stream(stream)) = self.link.take() else { return Ok(()) };
            net::close(stream).await.map_err(|why| SinkError::Retry(format!("`{}`: {why}", self.to)))
        })
    }

    fn metrics(&self, report: &mut dyn FnMut(&'static str, u64)) {
        let Tally { records, bytes, cut, failed } = self.tally;
        for (name, value) in [("records", records), ("bytes", bytes), ("cut", cut), ("failed", failed)] {
            report(name, value);
        }
    }
}

#[cfg(test)]
mod tests;
