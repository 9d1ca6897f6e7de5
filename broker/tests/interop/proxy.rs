//! A TCP proxy in front of nodes, whose links can be cut, silenced, delayed and slowed down.
//!
//! A link leads from a node, or from all clients together, to a node. Everybody connects to the
//! same port of the node that they want; who it is says the client id of the first request
//! (`broker-2-fetcher-0`, `raft-client-2`, `2`), which is forwarded like everything else.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::{Bytes, BytesMut};
use kafka_shared::task::spawn;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// What stands for all clients in a link.
pub const CLIENTS: i32 = 0;

/// From whom, and to whom.
pub type Link = (i32, i32);

/// How a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    Whole,
    /// Connections are reset, also new ones.
    Cut,
    /// Nothing comes through in these directions. What was sent is kept, and comes through when the
    /// link is whole again, as on a network that loses packets for a while.
    Silent {
        requests: bool,
        answers: bool,
    },
    /// Everything comes so much later.
    Late(Duration),
    /// So many bytes come through per second, in small pieces.
    Trickling {
        bytes_per_second: u32,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Requests,
    Answers,
}

impl Condition {
    fn is_silent(self, direction: Direction) -> bool {
        match self {
            Self::Silent { requests, answers } => match direction {
                Direction::Requests => requests,
                Direction::Answers => answers,
            },
            _ => false,
        }
    }
}

#[derive(Debug, Default)]
struct Links {
    conditions: Mutex<HashMap<Link, watch::Sender<Condition>>>,
}

impl Links {
    fn subscribe(&self, link: Link) -> watch::Receiver<Condition> {
        let mut conditions = self.conditions.lock();
        let sender = conditions
            .entry(link)
            .or_insert_with(|| watch::Sender::new(Condition::Whole));
        sender.subscribe()
    }
}

/// See the module's documentation. Ends when dropped.
#[derive(Debug)]
pub struct Proxy {
    links: Arc<Links>,
    runtime: tokio::runtime::Runtime,
}

impl Proxy {
    pub fn new() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        Ok(Self {
            links: Arc::default(),
            runtime,
        })
    }

    /// Listens in front of a node's port; the port that others are to be told.
    pub fn listen_for(&self, node: i32, port: u16) -> anyhow::Result<u16> {
        let _runtime = self.runtime.enter();
        let bound = self
            .runtime
            .block_on(TcpListener::bind(("127.0.0.1", 0)))
            .context("listen as a proxy")?;
        let own_port = bound.local_addr()?.port();
        let links = Arc::clone(&self.links);
        spawn("proxy", async move {
            while let Ok((stream, _)) = bound.accept().await {
                let links = Arc::clone(&links);
                spawn("proxy-connection", async move {
                    // Whatever ends a connection ends it for both sides.
                    let _ended = carry(stream, &links, node, port).await;
                });
            }
        });
        Ok(own_port)
    }

    pub fn set(&self, link: Link, condition: Condition) {
        let mut conditions = self.links.conditions.lock();
        conditions
            .entry(link)
            .or_insert_with(|| watch::Sender::new(condition))
            .send_replace(condition);
    }

    /// Makes all links whole.
    pub fn heal(&self) {
        for sender in self.links.conditions.lock().values() {
            sender.send_replace(Condition::Whole);
        }
    }
}

/// One connection, to its end.
async fn carry(mut near: TcpStream, links: &Links, node: i32, port: u16) -> anyhow::Result<()> {
    near.set_nodelay(true)?;
    let mut first = BytesMut::new();
    let from = loop {
        if let Some(client_id) = client_id(&first) {
            break sender(&client_id);
        }
        anyhow::ensure!(near.read_buf(&mut first).await? > 0, "closed");
    };
    let mut condition = links.subscribe((from, node));
    if *condition.borrow_and_update() == Condition::Cut {
        near.set_zero_linger()?;
        return Ok(());
    }
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let far = TcpStream::connect(address).await?;
    far.set_nodelay(true)?;
    near.set_zero_linger()?;
    far.set_zero_linger()?;
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    let requests = Pump::start(
        condition.clone(),
        Direction::Requests,
        near_in,
        first.freeze(),
    );
    let answers = Pump::start(condition.clone(), Direction::Answers, far_in, Bytes::new());
    tokio::select! {
        _ended = requests.write_to(far_out) => {}
        _ended = answers.write_to(near_out) => {}
        _cut = condition.wait_for(|condition| *condition == Condition::Cut) => {}
    }
    Ok(())
}

/// The client id of the request whose bytes begin here, once they are complete that far.
fn client_id(bytes: &[u8]) -> Option<String> {
    // Size, key, version and correlation id come before it.
    let length = bytes.get(12..14)?;
    let length = usize::try_from(i16::from_be_bytes([length[0], length[1]])).unwrap_or(0);
    let id = bytes.get(14..14 + length)?;
    Some(String::from_utf8_lossy(id).into_owned())
}

/// The node that says this client id.
fn sender(client_id: &str) -> i32 {
    let id = client_id
        .strip_prefix("raft-client-")
        .or_else(|| {
            let rest = client_id.strip_prefix("broker-")?;
            Some(rest.split_once("-fetcher-")?.0)
        })
        .unwrap_or(client_id);
    id.parse().unwrap_or(CLIENTS)
}

/// One direction of a connection. Reading goes on while what was read waits, so that a delay is one
/// of each byte and not one of each piece after the other.
struct Pump {
    condition: watch::Receiver<Condition>,
    direction: Direction,
    pieces: mpsc::Receiver<(Instant, Bytes)>,
}

impl Pump {
    fn start(
        condition: watch::Receiver<Condition>,
        direction: Direction,
        mut from: OwnedReadHalf,
        first: Bytes,
    ) -> Self {
        let (sender, pieces) = mpsc::channel(64);
        spawn("proxy-read", async move {
            let mut piece = first;
            loop {
                let read_at = Instant::now();
                if !piece.is_empty() && sender.send((read_at, piece)).await.is_err() {
                    return;
                }
                let mut buffer = BytesMut::with_capacity(16 * 1024);
                let read = tokio::select! {
                    read = from.read_buf(&mut buffer) => read,
                    () = sender.closed() => return,
                };
                match read {
                    Ok(n) if n > 0 => piece = buffer.freeze(),
                    _ => return,
                }
            }
        });
        Self {
            condition,
            direction,
            pieces,
        }
    }

    async fn write_to(mut self, mut to: OwnedWriteHalf) -> anyhow::Result<()> {
        while let Some((read_at, mut piece)) = self.pieces.recv().await {
            while !piece.is_empty() {
                let part = self.next_part(read_at, &mut piece).await?;
                to.write_all(&part).await?;
            }
        }
        to.shutdown().await?;
        Ok(())
    }

    /// Waits until some of a piece may go on, and splits that off.
    async fn next_part(&mut self, read_at: Instant, piece: &mut Bytes) -> anyhow::Result<Bytes> {
        const PER_SECOND: u32 = 20;
        loop {
            let condition = *self.condition.borrow_and_update();
            let until = match condition {
                _ if condition.is_silent(self.direction) => None,
                Condition::Late(latency) if Instant::now() < read_at + latency => {
                    Some(read_at + latency)
                }
                Condition::Trickling { bytes_per_second } => {
                    tokio::time::sleep(Duration::from_secs(1) / PER_SECOND).await;
                    let n = usize::try_from(bytes_per_second / PER_SECOND)?.max(1);
                    return Ok(piece.split_to(n.min(piece.len())));
                }
                _ => return Ok(std::mem::take(piece)),
            };
            let due = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => {}
                changed = self.condition.changed() => changed?,
            }
        }
    }
}
