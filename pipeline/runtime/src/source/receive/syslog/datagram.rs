//! Datagrams over UDP and Unix sockets: what the kernel drops while nobody reads is counted.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::{UdpSocket, UnixDatagram};

use super::super::lines::Lines;
use super::{Shared, keep};

/// The longest datagram over IP; longer ones of Unix sockets are cut there.
const DATAGRAM_BYTES: usize = 64 << 10;
/// Datagrams that are kept together.
const TOGETHER: usize = 512;
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
    let look = async {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if let Some(dropped) = inode.and_then(dropped) {
                shared.door.status.dropped.store(dropped, Ordering::Relaxed);
            }
        }
    };
    tokio::select! {
        () = read(&socket, &shared) => {}
        () = look => {}
    }
}

/// Over Unix sockets nothing is dropped: the sender waits.
pub(super) async fn unix(socket: UnixDatagram, shared: Arc<Shared>) {
    read(&socket, &shared).await;
}

async fn read(socket: &impl Socket, shared: &Shared) {
    let _as_much_as_it_gives = rustix::net::sockopt::set_socket_recv_buffer_size(socket, KERNEL_BYTES);
    let max = usize::try_from(shared.config.message.bytes()).unwrap_or(usize::MAX);
    let mut bytes = vec![0; DATAGRAM_BYTES];
    loop {
        let readable = tokio::select! {
            readable = socket.readable() => readable,
            () = shared.stop.cancelled() => return,
        };
        let received = shared.door.now();
        let mut lines = Lines::default();
        while readable.is_ok() && lines.count() < TOGETHER {
            // An error is one of another datagram, such as a port that nobody listens on.
            let Ok(length) = socket.try_recv(&mut bytes) else { break };
            let message = &bytes[..length.min(max)];
            let end =
                message.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r' | 0)).map_or(0, |at| at + 1);
            lines.push(&message[..end], received);
        }
        if !keep(shared, lines).await {
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
