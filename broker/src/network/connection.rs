//! One task per connection: frame in, header, dispatch, response out, in order.
//!
//! The answers to requests that have arrived together leave together, with one system call and one
//! wake-up of the client: an answer stays in the [`Outbox`] only while the next request is already
//! in memory and is handled without waiting.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use futures_util::poll;
use kafka_protocol::protocol::StrBytes;
use kafka_shared::protocol::header::parse_request_header;

use tokio::{net::TcpStream, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{
    ConnectionInfo, Dispatch, NetworkConfig, Reply, RequestContext,
    frame::{Frame, FrameError, FrameReader},
    limits::FrameBudget,
    response::Outbox,
};

/// What all connections share.
#[derive(Debug)]
pub(super) struct Shared<D> {
    pub(super) dispatch: Arc<D>,
    pub(super) config: NetworkConfig,
    pub(super) budget: FrameBudget,
    /// Cancelled when the broker stops: a connection then ends after the request it is handling.
    pub(super) stopping: CancellationToken,
}

/// Serves a connection until either side ends it.
pub(super) async fn serve<D: Dispatch>(
    stream: TcpStream,
    info: Arc<ConnectionInfo>,
    shared: Arc<Shared<D>>,
) {
    if let Err(error) = run(&stream, &info, &shared).await {
        match &error {
            FrameError::InvalidSize(_) | FrameError::TooLarge { .. } => {
                warn!(peer = %info.peer_addr, listener = %info.listener, "closing connection: {error}");
            }
            _ => {
                debug!(peer = %info.peer_addr, listener = %info.listener, "closing connection: {error}");
            }
        }
    }
}

async fn run<D: Dispatch>(
    stream: &TcpStream,
    info: &Arc<ConnectionInfo>,
    shared: &Shared<D>,
) -> Result<(), FrameError> {
    let mut outbox = Outbox::new(shared.config.connections_max_idle);
    let outcome = answer(stream, info, shared, &mut outbox).await;
    // What was answered is sent, however the connection ends.
    outbox.flush(stream).await?;
    outcome
}

/// Answers requests until either side ends the connection. The last answers may be left in the outbox.
async fn answer<D: Dispatch>(
    stream: &TcpStream,
    info: &Arc<ConnectionInfo>,
    shared: &Shared<D>,
    outbox: &mut Outbox,
) -> Result<(), FrameError> {
    let config = &shared.config;
    let mut reader = FrameReader::new(Instant::now(), config);
    let mut client_id = ClientId::default();
    loop {
        if !reader.holds_frame() {
            outbox.flush(stream).await?;
        }
        let begun = tokio::select! {
            biased;
            () = shared.stopping.cancelled() => return Ok(()),
            begun = reader.begun(stream, config) => begun?,
        };
        if !begun {
            return Ok(());
        }
        let Frame { bytes, permit } = tokio::select! {
            biased;
            frame = reader.frame(stream, &shared.budget, config) => frame?,
            // A request that has not come in full was never ours to finish.
            () = shared.stopping.cancelled() => return Ok(()),
        };
        let Some((cx, body)) = context(bytes, info, &mut client_id) else {
            return Ok(());
        };
        let is_long_poll = shared.dispatch.is_long_poll(cx.header.api_key);
        let mut handling = pin!(shared.dispatch.dispatch(cx, body));
        let reply = match poll!(handling.as_mut()) {
            Poll::Ready(reply) => reply,
            Poll::Pending => {
                // Earlier answers don't wait for a request that waits for something.
                let flushed = outbox.flush(stream).await;
                let reply = if is_long_poll {
                    tokio::select! {
                        biased;
                        reply = handling => reply,
                        () = reader.closed(stream) => return Ok(()),
                    }
                } else {
                    // A request that was begun is finished, also when nobody is there any more.
                    handling.await
                };
                flushed?;
                reply
            }
        };
        drop(permit);
        match reply {
            Reply::Frame(frame) => outbox.put(stream, frame).await?,
            Reply::NoResponse => {}
            Reply::Close => return Ok(()),
        }
    }
}

/// Splits a frame in context and body; none when its header cannot be read.
fn context(
    mut bytes: Bytes,
    info: &Arc<ConnectionInfo>,
    client_id: &mut ClientId,
) -> Option<(RequestContext, Bytes)> {
    let mut header = match parse_request_header(&mut bytes) {
        Ok(header) => header,
        Err(error) => {
            debug!(peer = %info.peer_addr, "closing connection: invalid request header: {error}");
            return None;
        }
    };
    header.client_id = client_id.owned(header.client_id);
    let cx = RequestContext {
        header,
        connection: Arc::clone(info),
        received_at: Instant::now(),
    };
    Some((cx, bytes))
}

/// The client id of the last request, in memory of its own: it seldom changes within a connection,
/// and a slice of the frame would keep the whole frame alive wherever it is kept.
#[derive(Debug, Default)]
struct ClientId(Option<StrBytes>);

impl ClientId {
    fn owned(&mut self, received: Option<StrBytes>) -> Option<StrBytes> {
        if self.0.as_deref() != received.as_deref() {
            self.0 = received.map(|id| StrBytes::from_string(id.as_str().to_owned()));
        }
        self.0.clone()
    }
}
