//! Datagrams over UDP and Unix sockets: what the kernel drops while nobody reads is counted.

use std::io;
use std::os::fd::AsFd;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UdpSocket, UnixDatagram};

use super::super::connections::LEAVING;
use super::super::lines::Lines;
use super::super::status::add;
use super::{Shared, keep};

/// Datagrams that are kept together, at most.
const TOGETHER: usize = 512;
/// Their bytes, but for the last one.
const TOGETHER_BYTES: usize = 1 << 20;
/// What each message takes in memory beside its bytes.
const LENGTH_BYTES: usize = 16;
/// How often datagrams are still taken when the listener ends: what the kernel holds, mostly.
const LEAVING_ROUNDS: usize = 64;
/// What the kernel is asked to hold while others are written to the disk; it may give less.
const KERNEL_BYTES: usize = 8 << 20;
/// How often the kernel's count of dropped datagrams is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

trait Socket: AsFd + Send + Sync + 'static {
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send;
    fn try_recv(&self, to: &mut [u8]) -> io::Result<usize>;
}

impl Socket for UdpSocket {
    async fn readable(&self) -> io::Result<()> {
        Self::readable(self).await
    }
    fn try_recv(&self, to: &mut [u8]) -> io::Result<usize> {
        Self::try_recv(self, to)
    }
}

impl Socket for UnixDatagram {
    async fn readable(&self) -> io::Result<()> {
        Self::readable(self).await
    }
    fn try_recv(&self, to: &mut [u8]) -> io::Result<usize> {
        Self::try_recv(self, to)
    }
}

pub(super) async fn udp(socket: UdpSocket, shared: Arc<Shared>) {
    let inode = rustix::fs::fstat(&socket).map(|stat| stat.st_ino).ok();
    let mut counted = 0;
    let mut look = || {
        let Some(dropped) = inode.and_then(dropped) else { return };
        add(&shared.door.status.dropped, dropped.saturating_sub(counted));
        counted = dropped;
    };
    let mut read = pin!(read(&socket, &shared));
    loop {
        let ended = tokio::time::timeout(LOOK_EVERY, read.as_mut()).await.is_ok();
        look();
        if ended {
            return;
        }
    }
}

/// Over Unix sockets the kernel drops nothing: a sender waits, or is told that it would have to.
pub(super) async fn unix(socket: UnixDatagram, shared: Arc<Shared>) {
    read(&socket, &shared).await;
}

async fn read(socket: &impl Socket, shared: &Shared) {
    let _as_much_as_it_gives = rustix::net::sockopt::set_socket_recv_buffer_size(socket, KERNEL_BYTES);
    let max = usize::try_from(shared.config.message.bytes()).unwrap_or(usize::MAX);
    // One byte more tells a message that is cut from one that fits.
    let mut bytes = vec![0; max + 1];
    let mut left = None;
    loop {
        match &mut left {
            None => tokio::select! {
                biased;
                () = shared.stop.cancelled() => left = Some(LEAVING_ROUNDS),
                readable = socket.readable() => if readable.is_err() { left = Some(0) },
            },
            Some(0) => return,
            Some(left) => {
                *left -= 1;
                let _silent = tokio::time::timeout(LEAVING, socket.readable()).await;
            }
        }
        let held = shared.door.room(TOGETHER_BYTES + max + TOGETHER * LENGTH_BYTES).await;
        let received = shared.door.now();
        let mut lines = Lines::default();
        let mut ended = left.is_some();
        for _ in 0..TOGETHER {
            let length = match socket.try_recv(&mut bytes) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // An error is one of another datagram, such as a port that nobody listens on.
                Err(_) => continue,
            };
            ended = false;
            add(&shared.door.status.cut, u64::from(length > max));
            let message = &bytes[..length.min(max)];
            let end =
                message.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r' | 0)).map_or(0, |at| at + 1);
            lines.push(&message[..end], received);
            if lines.bytes() >= TOGETHER_BYTES {
                break;
            }
        }
        if !keep(shared, lines, held).await || ended {
            return;
        }
    }
}

/// How many datagrams the kernel has dropped for want of room, of the UDP socket `inode`.
fn dropped(inode: u64) -> Option<u64> {
    let inode = inode.to_string();
    ["/proc/net/udp", "/proc/net/udp6"].iter().find_map(|path| {
        let table = std::fs::read_to_string(path).ok()?;
        let row = table.lines().find(|row| row.split_whitespace().nth(9) == Some(inode.as_str()))?;
        row.split_whitespace().last()?.parse().ok()
    })
}
