//! Watches the brokers' listeners: asks each unfenced broker of another node for its API versions,
//! over and over on one connection, and notices when nothing listens there any more.
//!
//! Every node with the controller's role does so, active or not: a controller that becomes active
//! because a node has died has to know at once that its broker has died too. What is seen is judged
//! elsewhere ([`super::heartbeat`]). Only PLAINTEXT listeners are asked; a broker without one is
//! never seen, and judged by its heartbeats alone. A broker that is fenced, or registers anew, is
//! forgotten.
//!
//! Kafka has no counterpart.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use kafka_shared::protocol::frame::FrameBuffer;
use kafka_shared::task;
use kafka_shared::time::Clock;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::heartbeat::{Sighting, watch_interval_ms};
use crate::metadata::{
    BrokerRegistration, ListenerEndpoint, MetadataDelta, MetadataHandle, MetadataImage,
    MetadataPublisher,
};

/// ApiVersions at version 0, correlation id 0, without a client id.
const QUESTION: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
/// Many times what an answer takes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// A connection on which no answer comes for so long is given up.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// Between two attempts to connect: the first after a connection has ended, and later ones.
const RECONNECT_FIRST: Duration = Duration::from_millis(10);
const RECONNECT: Duration = Duration::from_millis(250);
/// `security_protocol` of a listener without encryption and authentication.
const PLAINTEXT: i16 = 0;

type Shown = Arc<Mutex<Sighting>>;

struct Watched {
    epoch: i64,
    endpoint: ListenerEndpoint,
    shown: Shown,
    _watching: DropGuard,
}

#[derive(Default)]
struct Seen {
    brokers: Mutex<BTreeMap<i32, Watched>>,
    /// A listener is gone.
    is_gone: Notify,
    /// Brokers have come, gone or changed.
    is_changed: Notify,
}

/// What this node sees of the brokers; the watching ends with it.
pub(super) struct Watch {
    seen: Arc<Seen>,
    _watching: DropGuard,
}

impl Watch {
    /// Begins to watch the brokers of the image, except that of this node.
    pub(super) fn start(node_id: i32, metadata: &MetadataHandle, clock: Arc<dyn Clock>) -> Self {
        let seen = Arc::new(Seen::default());
        metadata.add_publisher(Arc::new(Publisher(Arc::clone(&seen))));
        let stop = CancellationToken::new();
        let keeper = Keeper {
            node_id,
            metadata: metadata.clone(),
            clock,
            seen: Arc::clone(&seen),
        };
        drop(task::spawn(
            "broker-watch",
            stop.clone().run_until_cancelled_owned(keeper.run()),
        ));
        Self {
            seen,
            _watching: stop.drop_guard(),
        }
    }

    /// What is seen of this registration of a broker.
    pub(super) fn sighting(&self, id: i32, epoch: i64) -> Sighting {
        let brokers = self.seen.brokers.lock();
        let watched = brokers.get(&id).filter(|watched| watched.epoch == epoch);
        watched.map_or_else(Sighting::default, |watched| *watched.shown.lock())
    }

    /// Waits until a listener is gone.
    pub(super) async fn is_gone(&self) {
        self.seen.is_gone.notified().await;
    }
}

struct Publisher(Arc<Seen>);

impl MetadataPublisher for Publisher {
    fn name(&self) -> &'static str {
        "broker watch"
    }

    fn on_metadata_update(&self, delta: &MetadataDelta, _image: &Arc<MetadataImage>) {
        if delta.changed_brokers().next().is_some() {
            self.0.is_changed.notify_one();
        }
    }
}

/// Has one task for each broker that is to be watched.
struct Keeper {
    node_id: i32,
    metadata: MetadataHandle,
    clock: Arc<dyn Clock>,
    seen: Arc<Seen>,
}

impl Keeper {
    async fn run(self) {
        loop {
            self.follow(&self.metadata.image());
            self.seen.is_changed.notified().await;
        }
    }

    fn follow(&self, image: &MetadataImage) {
        let mut brokers = self.seen.brokers.lock();
        let others = image.cluster.brokers.values();
        let wanted: BTreeMap<i32, (i64, &ListenerEndpoint)> = others
            .filter(|broker| broker.id != self.node_id && !broker.fenced)
            .filter_map(|broker| Some((broker.id, (broker.epoch, plaintext(broker)?))))
            .collect();
        brokers.retain(|id, watched| {
            wanted
                .get(id)
                .is_some_and(|now| *now == (watched.epoch, &watched.endpoint))
        });
        let interval_ms = watch_interval_ms(image.cluster.brokers.len());
        for (id, (epoch, endpoint)) in wanted {
            brokers
                .entry(id)
                .or_insert_with(|| self.watch(epoch, endpoint.clone(), interval_ms));
        }
    }

    fn watch(&self, epoch: i64, endpoint: ListenerEndpoint, interval_ms: i64) -> Watched {
        let shown = Shown::default();
        let watcher = Watcher {
            endpoint: endpoint.clone(),
            interval: Duration::from_millis(interval_ms.unsigned_abs()),
            clock: Arc::clone(&self.clock),
            shown: Arc::clone(&shown),
            seen: Arc::clone(&self.seen),
        };
        let stop = CancellationToken::new();
        drop(task::spawn(
            "watch-broker",
            stop.clone().run_until_cancelled_owned(watcher.run()),
        ));
        Watched {
            epoch,
            endpoint,
            shown,
            _watching: stop.drop_guard(),
        }
    }
}

fn plaintext(broker: &BrokerRegistration) -> Option<&ListenerEndpoint> {
    let mut listeners = broker.listeners.iter();
    listeners.find(|listener| listener.security_protocol == PLAINTEXT)
}

/// Asks one broker.
struct Watcher {
    endpoint: ListenerEndpoint,
    interval: Duration,
    clock: Arc<dyn Clock>,
    shown: Shown,
    seen: Arc<Seen>,
}

impl Watcher {
    async fn run(self) {
        let mut pause = RECONNECT_FIRST;
        loop {
            let address = (&*self.endpoint.host, self.endpoint.port);
            match timeout(ANSWER_TIMEOUT, TcpStream::connect(address)).await {
                Ok(Ok(socket)) => {
                    if self.ask_until_it_ends(socket).await {
                        pause = RECONNECT_FIRST;
                    }
                }
                Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    self.refused();
                }
                Ok(Err(_)) | Err(_) => {}
            }
            sleep(pause).await;
            pause = RECONNECT;
        }
    }

    /// Asks over and over; returns whether that went well for a while.
    async fn ask_until_it_ends(&self, mut socket: TcpStream) -> bool {
        let mut frames = FrameBuffer::new(ANSWER_BYTES_MAX);
        let mut n_answers = 0_u64;
        loop {
            let asked = timeout(ANSWER_TIMEOUT, ask(&mut socket, &mut frames)).await;
            if !matches!(asked, Ok(Ok(()))) {
                return n_answers > 1;
            }
            n_answers += 1;
            self.answered();
            // Nothing is to come now but the end.
            let end = socket.read_buf(frames.space());
            if timeout(self.interval, end).await.is_ok() {
                return n_answers > 1;
            }
        }
    }

    fn answered(&self) {
        let mut shown = self.shown.lock();
        shown.answered_ms = Some(self.clock.monotonic_ms());
        shown.refused_since_ms = None;
    }

    fn refused(&self) {
        let mut shown = self.shown.lock();
        if shown.answered_ms.is_some() && shown.refused_since_ms.is_none() {
            shown.refused_since_ms = Some(self.clock.monotonic_ms());
            drop(shown);
            self.seen.is_gone.notify_one();
        }
    }
}

/// Asks once. What the answer says is of no interest.
async fn ask(socket: &mut TcpStream, frames: &mut FrameBuffer) -> io::Result<()> {
    socket.write_all(&QUESTION).await?;
    loop {
        match frames.next_frame() {
            Ok(Some(_answer)) => return Ok(()),
            Ok(None) => {}
            Err(_) => return Err(io::ErrorKind::InvalidData.into()),
        }
        if socket.read_buf(frames.space()).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
