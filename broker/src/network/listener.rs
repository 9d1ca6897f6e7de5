//! Binds listeners and accepts connections on them, within the limits.
//!
//! Binding and serving are two steps: a broker first learns its ports (which may be 0 in its
//! configuration), registers them, and only accepts when it can answer.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use kafka_shared::task;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, error, info, warn};

use super::{
    ConnectionInfo, Dispatch, NetworkConfig,
    connection::{Shared, serve},
    limits::{ConnectionLimits, FrameBudget, Slot},
};

/// How long to wait after the operating system refused to accept (it has no file descriptor left).
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// The smallest send buffer towards a peer on the same machine.
const LOCAL_SEND_BUFFER_BYTES: usize = 100 * 1024;

/// One listener as configured.
#[derive(Debug, Clone)]
pub struct ListenerConfig {
    /// Its name, such as `PLAINTEXT`.
    pub name: Arc<str>,
    /// Empty: every address of the machine.
    pub host: String,
    /// 0: any free port.
    pub port: u16,
    /// `socket.listen.backlog.size`.
    pub backlog: i32,
}

/// A listener that holds its port but accepts nothing yet.
#[derive(Debug)]
pub struct BoundListener {
    name: Arc<str>,
    listener: TcpListener,
    local_addr: SocketAddr,
}

impl BoundListener {
    /// Takes the port. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the host has no address, or the port is taken or forbidden.
    pub fn bind(config: &ListenerConfig, network: &NetworkConfig) -> io::Result<Self> {
        let mut last = None;
        for addr in addresses(config)? {
            match bind_one(addr, config.backlog, network) {
                Ok(listener) => {
                    let local_addr = listener.local_addr()?;
                    return Ok(Self {
                        name: Arc::clone(&config.name),
                        listener,
                        local_addr,
                    });
                }
                Err(e) => last = Some(e),
            }
        }
        Err(last.unwrap_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotFound,
                format!("{} has no address", config.host),
            )
        }))
    }

    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The address with the port that was really taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }
}

fn addresses(config: &ListenerConfig) -> io::Result<Vec<SocketAddr>> {
    if config.host.is_empty() {
        // One socket for IPv6 and IPv4 where the machine has both.
        let any: [SocketAddr; 2] = [
            (std::net::Ipv6Addr::UNSPECIFIED, config.port).into(),
            (std::net::Ipv4Addr::UNSPECIFIED, config.port).into(),
        ];
        return Ok(any.to_vec());
    }
    Ok((config.host.as_str(), config.port)
        .to_socket_addrs()?
        .collect())
}

fn bind_one(addr: SocketAddr, backlog: i32, network: &NetworkConfig) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if addr.is_ipv6() && addr.ip().is_unspecified() {
        socket.set_only_v6(false)?;
    }
    // Inherited by accepted sockets; the receive window is fixed when a connection is made.
    if let Some(bytes) = network.socket_receive_buffer_bytes {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.bind(&addr.into())?;
    socket.listen(backlog)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

/// The running listeners with all their connections.
#[derive(Debug)]
pub struct Network {
    limits: Arc<ConnectionLimits>,
    stopping: CancellationToken,
    aborting: CancellationToken,
    tasks: TaskTracker,
    local_addrs: Vec<(Arc<str>, SocketAddr)>,
}

impl Network {
    /// Accepts on every listener and hands requests to `dispatch`.
    pub fn start<D: Dispatch>(
        listeners: Vec<BoundListener>,
        config: NetworkConfig,
        dispatch: Arc<D>,
    ) -> Self {
        let network = Self {
            limits: ConnectionLimits::new(&config),
            stopping: CancellationToken::new(),
            aborting: CancellationToken::new(),
            tasks: TaskTracker::new(),
            local_addrs: listeners
                .iter()
                .map(|l| (Arc::clone(&l.name), l.local_addr))
                .collect(),
        };
        let acceptor = Acceptor {
            limits: Arc::clone(&network.limits),
            tasks: network.tasks.clone(),
            aborting: network.aborting.clone(),
            next_id: Arc::new(AtomicU64::new(0)),
            shared: Arc::new(Shared {
                dispatch,
                budget: FrameBudget::new(&config),
                config,
                stopping: network.stopping.clone(),
            }),
        };
        for listener in listeners {
            let acceptor = acceptor.clone();
            let accepting = network.tasks.track_future(acceptor.accept(listener));
            drop(task::spawn("listener", accepting));
        }
        network
    }

    /// Listener names with the addresses they are bound to.
    pub fn local_addrs(&self) -> &[(Arc<str>, SocketAddr)] {
        &self.local_addrs
    }

    pub fn connection_count(&self) -> usize {
        self.limits.connection_count()
    }

    /// Where changed connection limits are applied; the other settings are fixed at the start.
    pub fn limits(&self) -> Arc<ConnectionLimits> {
        Arc::clone(&self.limits)
    }

    /// Stops accepting and reading at once, lets requests in flight finish within `grace`, then
    /// closes what is left.
    pub async fn shutdown(&self, grace: Duration) {
        self.stopping.cancel();
        self.tasks.close();
        if timeout(grace, self.tasks.wait()).await.is_err() {
            info!(
                connections = self.connection_count(),
                "closing connections with requests in flight"
            );
            self.aborting.cancel();
            self.tasks.wait().await;
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.stopping.cancel();
        self.aborting.cancel();
    }
}

#[derive(Debug)]
struct Acceptor<D> {
    limits: Arc<ConnectionLimits>,
    tasks: TaskTracker,
    aborting: CancellationToken,
    next_id: Arc<AtomicU64>,
    shared: Arc<Shared<D>>,
}

impl<D> Clone for Acceptor<D> {
    fn clone(&self) -> Self {
        Self {
            limits: Arc::clone(&self.limits),
            tasks: self.tasks.clone(),
            aborting: self.aborting.clone(),
            next_id: Arc::clone(&self.next_id),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<D: Dispatch> Acceptor<D> {
    async fn accept(self, listener: BoundListener) {
        let stopping = self.shared.stopping.clone();
        let accepting = async {
            let mut failing = false;
            loop {
                let slot = self.limits.reserve().await;
                match listener.listener.accept().await {
                    Ok((stream, peer_addr)) => {
                        failing = false;
                        self.connected(&listener, stream, peer_addr, slot);
                    }
                    Err(e) => {
                        // Once per episode: an exhausted machine needs no flood of messages.
                        if !failing {
                            error!(listener = %listener.name, "cannot accept connections: {e}");
                            failing = true;
                        }
                        sleep(ACCEPT_BACKOFF).await;
                    }
                }
            }
        };
        tokio::select! {
            () = stopping.cancelled() => {}
            () = accepting => {}
        }
    }

    fn connected(&self, listener: &BoundListener, stream: TcpStream, peer: SocketAddr, slot: Slot) {
        let Some(slot) = slot.assign(peer.ip()) else {
            info!(peer = %peer, listener = %listener.name, "refusing connection: too many from this address");
            return;
        };
        let local_addr = match self.prepare(&stream, peer) {
            Ok(addr) => addr,
            Err(e) => {
                // The peer is already gone.
                debug!(peer = %peer, "dropping new connection: {e}");
                return;
            }
        };
        let info = Arc::new(ConnectionInfo {
            id: self.next_id.fetch_add(1, Ordering::Relaxed),
            listener: Arc::clone(&listener.name),
            local_addr,
            peer_addr: peer,
            client_software: std::sync::OnceLock::new(),
        });
        let shared = Arc::clone(&self.shared);
        let aborting = self.aborting.clone();
        let serving = self.tasks.track_future(async move {
            let _slot = slot;
            tokio::select! {
                biased;
                () = aborting.cancelled() => {
                    warn!(peer = %info.peer_addr, "closing connection before its request was answered");
                }
                () = serve(stream, Arc::clone(&info), shared) => {}
            }
        });
        drop(task::spawn("connection", serving));
    }

    fn prepare(&self, stream: &TcpStream, peer: SocketAddr) -> io::Result<SocketAddr> {
        stream.set_nodelay(true)?;
        let local_addr = stream.local_addr()?;
        let socket = SockRef::from(stream);
        socket.set_keepalive(true)?;
        if let Some(bytes) = self.shared.config.socket_send_buffer_bytes {
            socket.set_send_buffer_size(send_buffer_bytes(bytes, local_addr, peer))?;
        }
        Ok(local_addr)
    }
}

/// What to set as the send buffer of a connection; the kernel takes twice as much.
// Differs from Kafka: where the peer is on the same machine, segments have 64 KiB, and a buffer that
// does not hold two of them is sent in pieces each of which waits 40 ms for its delayed acknowledgement.
fn send_buffer_bytes(configured: usize, local: SocketAddr, peer: SocketAddr) -> usize {
    let is_local = peer.ip().to_canonical().is_loopback() || peer.ip() == local.ip();
    match is_local {
        true => configured.max(LOCAL_SEND_BUFFER_BYTES),
        false => configured,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_send_buffer_is_widened_towards_peers_on_the_same_machine_only() {
        for (local, peer, configured, expected) in [
            ("127.0.0.1:9092", "127.0.0.1:5000", 16_384, 102_400),
            ("[::1]:9092", "[::1]:5000", 16_384, 102_400),
            (
                "[::ffff:127.0.0.1]:9092",
                "[::ffff:127.0.0.1]:5000",
                16_384,
                102_400,
            ),
            ("10.0.0.1:9092", "10.0.0.1:5000", 16_384, 102_400),
            ("10.0.0.1:9092", "10.0.0.2:5000", 16_384, 16_384),
            ("127.0.0.1:9092", "127.0.0.1:5000", 1_000_000, 1_000_000),
        ] {
            let [local_addr, peer_addr] =
                [local, peer].map(|addr| addr.parse::<SocketAddr>().expect("an address"));
            let bytes = send_buffer_bytes(configured, local_addr, peer_addr);
            assert_eq!(bytes, expected, "{peer} to {local}");
        }
    }
}
