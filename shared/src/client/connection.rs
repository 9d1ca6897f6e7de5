//! One socket to one broker, shared by any number of callers.
//!
//! One task owns the socket. Callers hand it whole frames through a bounded queue and wait for the
//! bytes of the answer, never longer than their time-out; encoding and decoding happen in the
//! caller. A connection is not used for anything new after a request on it has run out of time
//! (what was asked later stands in line behind it), after a violation of the protocol, or when it
//! is closed; [`Connection::is_usable`] says so. When the last handle is dropped, the socket is
//! closed.
//!
//! Requests wait in line at the broker, which handles one at a time for each connection: a long
//! poll should have a connection of its own.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, MetadataRequest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{OnceCell, mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::ConnectionConfig;
use super::authenticate::{self, Exchange};
use super::error::{ClientError, Step};
use super::messenger::Messenger;
use super::negotiation::{Answer, ApiVersions, Negotiation};
use super::stream::{Reader, Stream, Writer};
use crate::protocol::frame::{FrameBuffer, FrameError};
use crate::protocol::{Request, api, codec};
use crate::task;
use crate::tls::{Tls, TlsFault};
use crate::types::Endpoint;

/// Where the correlation id stands in a request's frame: after the length, the key and the version.
const CORRELATION_ID: std::ops::Range<usize> = 8..12;

/// No more frames are taken from callers while so many wait for the socket.
const UNSENT_FRAMES_MAX: usize = 16;

/// How a request is to be sent, where it differs from the usual.
#[derive(Clone, Copy, Debug, Default)]
pub struct SendOptions {
    /// No newer version than this: newer ones may lack what the request holds, as topic names.
    pub version_max: Option<i16>,
    /// Instead of the configured time-out. For a long poll: its wait and some more.
    pub timeout_ms: Option<u64>,
}

/// The part of a session's life after which it is renewed, as a fraction: Kafka's clients choose a
/// moment between this one and 0.95.
const RENEW_AFTER: (u64, u64) = (85, 100);

/// A handle to a connection; clones share it.
#[derive(Clone, Debug)]
pub struct Connection {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    /// Goes before all commands, also while those are held back.
    control: mpsc::Sender<Control>,
    /// Tells the task when the last handle is gone, also while it takes no commands.
    _alive: Arc<DropGuard>,
}

#[derive(Debug)]
struct Shared {
    endpoint: Endpoint,
    config: ConnectionConfig,
    versions: ApiVersions,
    is_usable: Arc<AtomicBool>,
    /// What the broker said when it was asked before the first change.
    cluster_id: OnceCell<Option<String>>,
}

/// What waits for an answer.
type Waiter = oneshot::Sender<Result<Bytes, ClientError>>;

/// A request on its way to the task.
#[derive(Debug)]
struct Command {
    key: ApiKey,
    version: i16,
    frame: BytesMut,
    waiter: Waiter,
}

/// What the task is told while the session is renewed: a broker takes nothing else meanwhile.
#[derive(Debug)]
enum Control {
    Hold,
    Send(Command),
    Release,
}

impl Connection {
    /// Connects, secures and asks for the versions, all within the configured time.
    ///
    /// # Errors
    /// Which of the steps failed.
    pub async fn connect(
        endpoint: &Endpoint,
        config: &ConnectionConfig,
    ) -> Result<Connection, ClientError> {
        let deadline = deadline_in(config.connect_timeout_ms);
        let stream = open(endpoint, config, deadline).await?;
        let (mut connection, is_usable) = Connection::start(stream, endpoint, config);
        let versions = connection.negotiate(deadline).await?;
        let (endpoint, config) = (endpoint.clone(), config.clone());
        connection.shared = Arc::new(Shared {
            endpoint,
            config,
            versions,
            is_usable,
            cluster_id: OnceCell::new(),
        });
        connection.authenticate(deadline).await?;
        Ok(connection)
    }

    /// Connects and secures, without asking for the versions: for who knows from elsewhere what
    /// the broker speaks. Only [`Connection::send_unchecked`] can be used on it.
    ///
    /// # Errors
    /// Which of the steps failed.
    pub async fn connect_without_versions(
        endpoint: &Endpoint,
        config: &ConnectionConfig,
    ) -> Result<Connection, ClientError> {
        let deadline = deadline_in(config.connect_timeout_ms);
        let stream = open(endpoint, config, deadline).await?;
        let (connection, _) = Connection::start(stream, endpoint, config);
        connection.authenticate(deadline).await?;
        Ok(connection)
    }

    /// Starts the task that owns the socket. The versions are not known yet.
    fn start(
        stream: Stream,
        endpoint: &Endpoint,
        config: &ConnectionConfig,
    ) -> (Connection, Arc<AtomicBool>) {
        let (control, controls) = mpsc::channel(1);
        let (commands, receiver) = mpsc::channel(config.in_flight_max.max(1));
        let is_usable = Arc::new(AtomicBool::new(true));
        let abandoned = CancellationToken::new();
        let (read, write) = stream.split();
        let io = Io {
            endpoint: endpoint.clone(),
            tls: config.security.tls.clone(),
            has_sasl: config.security.sasl.is_some(),
            read,
            write,
            must_flush: false,
            n_answers: 0,
            commands: receiver,
            controls,
            is_held: false,
            frames: FrameBuffer::new(config.response_bytes_max),
            unsent: VecDeque::new(),
            messenger: Messenger::new(config.in_flight_max.max(1)),
            abandoned: abandoned.clone(),
            is_usable: is_usable.clone(),
        };
        // Nobody waits for the task: it ends with the socket or with the last handle.
        drop(task::spawn("client-connection", io.run()));
        let shared = Arc::new(Shared {
            endpoint: endpoint.clone(),
            config: config.clone(),
            versions: ApiVersions::default(),
            is_usable: is_usable.clone(),
            cluster_id: OnceCell::new(),
        });
        let alive = Arc::new(abandoned.drop_guard());
        (
            Connection {
                shared,
                commands,
                control,
                _alive: alive,
            },
            is_usable,
        )
    }

    async fn negotiate(&self, deadline: Instant) -> Result<ApiVersions, ClientError> {
        let config = &self.shared.config;
        let fail = |reason| ClientError::ApiVersions {
            endpoint: self.endpoint().clone(),
            reason,
        };
        let mut negotiation = Negotiation::new();
        loop {
            let request = negotiation.request(&config.software_name, &config.software_version);
            let version = negotiation.version();
            let timeout_ms = config.connect_timeout_ms;
            let answer = self.exchange(&request, version, deadline, timeout_ms).await;
            let body = answer.map_err(|error| match error {
                ClientError::Timeout {
                    endpoint,
                    timeout_ms,
                    ..
                } => ClientError::Timeout {
                    endpoint,
                    step: Step::ApiVersions,
                    timeout_ms,
                },
                ClientError::Closed { reason, .. } | ClientError::Protocol { reason, .. } => {
                    fail(reason)
                }
                other => other,
            })?;
            if let Answer::Done(versions) = negotiation.answer(body).map_err(fail)? {
                return Ok(versions);
            }
        }
    }

    /// Proves who this is, if that is wanted, and goes on doing so before the session ends.
    async fn authenticate(&self, deadline: Instant) -> Result<(), ClientError> {
        let Some(sasl) = &self.shared.config.security.sasl else {
            return Ok(());
        };
        let link = Link {
            shared: &self.shared,
            via: Via::Commands(&self.commands),
            deadline,
        };
        let timeout_ms = self.shared.config.connect_timeout_ms;
        let endpoint = self.endpoint();
        let done = timeout_at(deadline, authenticate::authenticate(&link, sasl)).await;
        let lifetime_ms = done.unwrap_or_else(|_| {
            Err(ClientError::Timeout {
                endpoint: endpoint.clone(),
                step: Step::Sasl,
                timeout_ms,
            })
        })?;
        if let Some(lifetime_ms) = lifetime_ms {
            let renewal = renew(self.shared.clone(), self.control.clone(), lifetime_ms);
            // It ends with the connection's task, which drops the other end of the channel.
            drop(task::spawn("client-session", renewal));
        }
        Ok(())
    }

    /// Refuses a change where this broker is not of the cluster that is meant.
    async fn check_cluster(&self) -> Result<(), ClientError> {
        let Some(guard) = &self.shared.config.guard else {
            return Ok(());
        };
        let asked = self.shared.cluster_id.get_or_try_init(|| async {
            let version = self.version_of::<MetadataRequest>()?;
            let request = MetadataRequest::default().with_topics(Some(Vec::new()));
            let timeout_ms = self.shared.config.request_timeout_ms;
            let answer = self.send_known(&request, version, timeout_ms).await?;
            Ok(answer.cluster_id.map(|id| id.to_string()))
        });
        let found = asked.await?;
        guard
            .check(found.as_deref())
            .map_err(|expected| ClientError::OtherCluster {
                endpoint: self.endpoint().clone(),
                expected,
                found: found.clone(),
                is_saved: guard.is_saved(),
            })
    }

    /// Who is at the other end.
    pub fn endpoint(&self) -> &Endpoint {
        &self.shared.endpoint
    }

    /// What the broker speaks.
    pub fn versions(&self) -> &ApiVersions {
        &self.shared.versions
    }

    /// Whether new requests should go over this connection.
    pub fn is_usable(&self) -> bool {
        self.shared.is_usable.load(Ordering::Acquire) && !self.commands.is_closed()
    }

    /// The version in which [`Connection::send`] sends a request of this type.
    ///
    /// # Errors
    /// [`ClientError::Unsupported`] when there is no version that both sides speak.
    pub fn version_of<R: Request>(&self) -> Result<i16, ClientError> {
        self.version_up_to::<R>(i16::MAX)
    }

    fn version_up_to<R: Request>(&self, version_max: i16) -> Result<i16, ClientError> {
        let newest = self.shared.versions.newest_common(R::KEY, version_max);
        newest.ok_or_else(|| ClientError::Unsupported {
            endpoint: self.endpoint().clone(),
            key: R::KEY,
            ours: *api::codec_versions(R::KEY).start()
                ..=version_max.min(*api::codec_versions(R::KEY).end()),
            theirs: self.shared.versions.get(R::KEY as i16),
        })
    }

    /// Sends a request in the newest version that both sides speak, and waits for the response.
    ///
    /// The newest versions of some requests name topics by id only (Produce 13, Fetch 13,
    /// OffsetCommit 10, OffsetFetch 10); see [`SendOptions::version_max`].
    ///
    /// # Errors
    /// No common version, a field that the version lacks, no answer in time, a lost connection, an
    /// answer that cannot be read. Error codes within the response are the caller's to look at.
    pub async fn send<R: Request>(&self, request: R) -> Result<R::Response, ClientError> {
        self.send_ref(&request, SendOptions::default()).await
    }

    /// As [`Connection::send`], in exactly this version, which the broker has to speak.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub async fn send_version<R: Request>(
        &self,
        request: R,
        version: i16,
    ) -> Result<R::Response, ClientError> {
        let theirs = self.shared.versions.get(R::KEY as i16);
        if !theirs
            .as_ref()
            .is_some_and(|theirs| theirs.contains(&version))
        {
            let endpoint = self.endpoint().clone();
            let ours = version..=version;
            return Err(ClientError::Unsupported {
                endpoint,
                key: R::KEY,
                ours,
                theirs,
            });
        }
        self.send_checked(&request, version, self.shared.config.request_timeout_ms)
            .await
    }

    /// As [`Connection::send`], in exactly this version, whether the broker is known to speak it or
    /// not.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub async fn send_unchecked<R: Request>(
        &self,
        request: &R,
        version: i16,
    ) -> Result<R::Response, ClientError> {
        self.send_checked(request, version, self.shared.config.request_timeout_ms)
            .await
    }

    /// As [`Connection::send`], with other limits.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub async fn send_with<R: Request>(
        &self,
        request: R,
        options: SendOptions,
    ) -> Result<R::Response, ClientError> {
        self.send_ref(&request, options).await
    }

    pub(super) async fn send_ref<R: Request>(
        &self,
        request: &R,
        options: SendOptions,
    ) -> Result<R::Response, ClientError> {
        let version = self.version_up_to::<R>(options.version_max.unwrap_or(i16::MAX))?;
        let timeout_ms = options
            .timeout_ms
            .unwrap_or(self.shared.config.request_timeout_ms);
        self.send_checked(request, version, timeout_ms).await
    }

    /// The version is one that the broker speaks.
    async fn send_checked<R: Request>(
        &self,
        request: &R,
        version: i16,
        timeout_ms: u64,
    ) -> Result<R::Response, ClientError> {
        if !api::is_read_only(R::KEY) {
            self.check_cluster().await?;
        }
        self.send_known(request, version, timeout_ms).await
    }

    async fn send_known<R: Request>(
        &self,
        request: &R,
        version: i16,
        timeout_ms: u64,
    ) -> Result<R::Response, ClientError> {
        let deadline = deadline_in(timeout_ms);
        let mut body = self
            .exchange(request, version, deadline, timeout_ms)
            .await?;
        codec::decode_response(&mut body, version).map_err(|error| {
            self.shared.is_usable.store(false, Ordering::Release);
            ClientError::Protocol {
                endpoint: self.endpoint().clone(),
                reason: error.to_string(),
            }
        })
    }

    /// Sends a request and waits for the bytes of the response's body.
    async fn exchange<R: Request>(
        &self,
        request: &R,
        version: i16,
        deadline: Instant,
        timeout_ms: u64,
    ) -> Result<Bytes, ClientError> {
        let link = Link {
            shared: &self.shared,
            via: Via::Commands(&self.commands),
            deadline,
        };
        link.bytes(request, version, timeout_ms).await
    }
}

/// How frames get to the task.
#[derive(Clone, Copy)]
enum Via<'a> {
    Commands(&'a mpsc::Sender<Command>),
    Control(&'a mpsc::Sender<Control>),
}

/// A way to the task, up to a moment.
struct Link<'a> {
    shared: &'a Shared,
    via: Via<'a>,
    deadline: Instant,
}

impl Link<'_> {
    async fn bytes<R: Request>(
        &self,
        request: &R,
        version: i16,
        timeout_ms: u64,
    ) -> Result<Bytes, ClientError> {
        let client_id = Some(self.shared.config.client_id.as_str());
        let frame =
            codec::encode_request_frame(request, version, 0, client_id).map_err(|error| {
                ClientError::Encode {
                    reason: error.to_string(),
                }
            })?;
        let (waiter, answer) = oneshot::channel();
        let command = Command {
            key: R::KEY,
            version,
            frame,
            waiter,
        };
        let closed = || ClientError::Closed {
            endpoint: self.shared.endpoint.clone(),
            reason: "it was closed before".to_owned(),
            was_sent: false,
        };
        // An answer that comes later finds nobody waiting.
        let answered = timeout_at(self.deadline, async {
            let is_taken = match self.via {
                Via::Commands(commands) => commands.send(command).await.is_ok(),
                Via::Control(control) => control.send(Control::Send(command)).await.is_ok(),
            };
            if !is_taken {
                return Err(closed());
            }
            // The task answers everybody who is left when it ends; only a call that comes at the
            // same moment finds its command dropped.
            answer.await.map_err(|_| closed())?
        });
        answered.await.unwrap_or_else(|_| {
            self.shared.is_usable.store(false, Ordering::Release);
            let (endpoint, step) = (self.shared.endpoint.clone(), Step::Request(R::KEY));
            Err(ClientError::Timeout {
                endpoint,
                step,
                timeout_ms,
            })
        })
    }
}

impl Exchange for Link<'_> {
    async fn exchange<R: Request>(
        &self,
        request: &R,
        version: i16,
    ) -> Result<R::Response, ClientError> {
        let timeout_ms = self.shared.config.connect_timeout_ms;
        let body = self.bytes(request, version, timeout_ms).await;
        let advice = "the broker's log says more".to_owned();
        let mut body = body.map_err(|error| match error {
            ClientError::Closed { reason, .. } | ClientError::Protocol { reason, .. } => {
                self.fail(reason, advice.clone())
            }
            ClientError::Timeout {
                endpoint,
                timeout_ms,
                ..
            } => ClientError::Timeout {
                endpoint,
                step: Step::Sasl,
                timeout_ms,
            },
            other => other,
        })?;
        let decoded = codec::decode_response(&mut body, version);
        decoded.map_err(|error| self.fail(error.to_string(), advice))
    }

    fn authenticate_version(&self) -> i16 {
        authenticate::version_of(&self.shared.versions)
    }

    fn fail(&self, reason: String, advice: String) -> ClientError {
        ClientError::Sasl {
            endpoint: self.shared.endpoint.clone(),
            reason,
            advice,
        }
    }
}

/// Renews the session whenever most of its life is over, until the connection ends. Nothing else
/// is sent meanwhile; what was sent before is answered before.
async fn renew(shared: Arc<Shared>, control: mpsc::Sender<Control>, mut lifetime_ms: u64) {
    let Some(sasl) = shared.config.security.sasl.clone() else {
        return;
    };
    loop {
        let (part, whole) = RENEW_AFTER;
        let due = deadline_in(lifetime_ms / whole * part + lifetime_ms % whole * part / whole);
        tokio::select! {
            () = sleep_until(due) => {}
            () = control.closed() => return,
        }
        if control.send(Control::Hold).await.is_err() {
            return;
        }
        let link = Link {
            shared: &shared,
            via: Via::Control(&control),
            deadline: deadline_in(shared.config.request_timeout_ms),
        };
        let renewed = timeout_at(link.deadline, authenticate::authenticate(&link, &sasl)).await;
        let next = match renewed {
            Ok(Ok(next)) => next,
            failed => {
                // What comes next goes over a new connection, which tells what is wrong.
                shared.is_usable.store(false, Ordering::Release);
                let endpoint = &shared.endpoint;
                tracing::warn!(%endpoint, ?failed, "the session could not be renewed");
                None
            }
        };
        if control.send(Control::Release).await.is_err() {
            return;
        }
        match next {
            Some(next) => lifetime_ms = next,
            None => return,
        }
    }
}

/// The moment after `timeout_ms`; of longer times than a day, the moment after a day, because the
/// clock has an end.
pub(super) fn deadline_in(timeout_ms: u64) -> Instant {
    const DAY_MS: u64 = 24 * 60 * 60 * 1000;
    Instant::now() + Duration::from_millis(timeout_ms.min(DAY_MS))
}

/// Connects, and puts TLS around it where that is wanted.
async fn open(
    endpoint: &Endpoint,
    config: &ConnectionConfig,
    deadline: Instant,
) -> Result<Stream, ClientError> {
    let socket = connect_socket(endpoint, config, deadline).await?;
    let Some(tls) = &config.security.tls else {
        return Ok(Stream::Plain(socket));
    };
    let stream = timeout_at(deadline, tls.connect(&endpoint.host, socket)).await;
    match stream {
        Ok(Ok(stream)) => Ok(Stream::Tls(Box::new(stream))),
        Ok(Err(TlsFault { reason, advice })) => Err(ClientError::Tls {
            endpoint: endpoint.clone(),
            reason,
            advice,
        }),
        Err(_) => Err(ClientError::Timeout {
            endpoint: endpoint.clone(),
            step: Step::Tls,
            timeout_ms: config.connect_timeout_ms,
        }),
    }
}

/// Tries every address of the host in turn.
async fn connect_socket(
    endpoint: &Endpoint,
    config: &ConnectionConfig,
    deadline: Instant,
) -> Result<TcpStream, ClientError> {
    let timeout = |step| ClientError::Timeout {
        endpoint: endpoint.clone(),
        step,
        timeout_ms: config.connect_timeout_ms,
    };
    let host = (endpoint.host.as_str(), endpoint.port);
    let addresses = timeout_at(deadline, tokio::net::lookup_host(host))
        .await
        .map_err(|_| timeout(Step::Resolve))?
        .map_err(|error| ClientError::Resolve {
            endpoint: endpoint.clone(),
            reason: error.to_string(),
        })?;
    let mut failure = "the host has no address".to_owned();
    for address in addresses {
        match timeout_at(deadline, TcpStream::connect(address)).await {
            Err(_) => return Err(timeout(Step::Connect)),
            Ok(Err(error)) => failure = error.to_string(),
            Ok(Ok(socket)) => {
                // Without it, small requests wait for the acknowledgement of earlier ones.
                return match socket.set_nodelay(true) {
                    Ok(()) => Ok(socket),
                    Err(error) => Err(ClientError::Connect {
                        endpoint: endpoint.clone(),
                        reason: error.to_string(),
                    }),
                };
            }
        }
    }
    Err(ClientError::Connect {
        endpoint: endpoint.clone(),
        reason: failure,
    })
}

/// The task's state.
struct Io {
    endpoint: Endpoint,
    tls: Option<Tls>,
    has_sasl: bool,
    read: Reader,
    write: Writer,
    /// Bytes may still stand in the buffers of TLS.
    must_flush: bool,
    /// Answers that have come; the first is that about the versions.
    n_answers: u64,
    commands: mpsc::Receiver<Command>,
    controls: mpsc::Receiver<Control>,
    /// No commands are taken.
    is_held: bool,
    frames: FrameBuffer,
    unsent: VecDeque<BytesMut>,
    messenger: Messenger<Waiter>,
    /// Cancelled when no handle is left.
    abandoned: CancellationToken,
    is_usable: Arc<AtomicBool>,
}

/// Why the task ends.
enum End {
    NoHandleLeft,
    Lost(String),
    Tls(TlsFault),
    Violation(String),
}

impl Io {
    async fn run(mut self) {
        let end = loop {
            if let Err(end) = self.turn().await {
                break end;
            }
        };
        self.is_usable.store(false, Ordering::Release);
        let endpoint = self.endpoint.clone();
        let (in_flight, queued) = match end {
            End::NoHandleLeft => return,
            End::Lost(reason) => {
                tracing::debug!(%endpoint, reason, "connection lost");
                let lost = |was_sent| {
                    let (endpoint, reason) = (endpoint.clone(), reason.clone());
                    ClientError::Closed {
                        endpoint,
                        reason,
                        was_sent,
                    }
                };
                (lost(true), lost(false))
            }
            End::Tls(TlsFault { reason, advice }) => {
                let error = ClientError::Tls {
                    endpoint,
                    reason,
                    advice,
                };
                (error.clone(), error)
            }
            End::Violation(reason) => {
                tracing::warn!(%endpoint, reason, "protocol violation");
                let queued = ClientError::Closed {
                    endpoint: endpoint.clone(),
                    reason: reason.clone(),
                    was_sent: false,
                };
                (ClientError::Protocol { endpoint, reason }, queued)
            }
        };
        self.commands.close();
        for waiter in self.messenger.drain() {
            // A caller that has gone away needs no answer.
            let _ = waiter.send(Err(in_flight.clone()));
        }
        while let Ok(command) = self.commands.try_recv() {
            let _ = command.waiter.send(Err(queued.clone()));
        }
    }

    /// Waits for the next thing to happen and does what it asks for.
    async fn turn(&mut self) -> Result<(), End> {
        let has_room = self.messenger.has_room() && self.unsent.len() < UNSENT_FRAMES_MAX;
        let must_write = self.must_flush || !self.unsent.is_empty();
        tokio::select! {
            command = self.commands.recv(), if has_room && !self.is_held => {
                self.accept(command.ok_or(End::NoHandleLeft)?);
            }
            Some(control) = self.controls.recv(), if has_room => match control {
                Control::Hold => self.is_held = true,
                Control::Release => self.is_held = false,
                Control::Send(command) => self.accept(command),
            },
            result = self.read.read_buf(self.frames.space()) => match result {
                Ok(0) => return Err(self.closed()),
                Ok(_) => self.received()?,
                Err(error) => return Err(self.lost(&error)),
            },
            result = write_some(&mut self.write, &mut self.unsent), if must_write => match result {
                Ok(has_more) => self.must_flush = has_more,
                Err(error) => return Err(self.lost(&error)),
            },
            () = self.abandoned.cancelled() => return Err(End::NoHandleLeft),
        }
        Ok(())
    }

    fn lost(&self, error: &std::io::Error) -> End {
        match self.tls.as_ref().and_then(|tls| tls.explain(error)) {
            Some(fault) => End::Tls(fault),
            None if error.kind() == std::io::ErrorKind::UnexpectedEof => self.closed(),
            None => End::Lost(error.to_string()),
        }
    }

    fn closed(&self) -> End {
        let is_refused = self.n_answers == 1 && !self.has_sasl;
        End::Lost(match is_refused {
            true => {
                "the broker closed it at the first request, as one does that wants SASL".to_owned()
            }
            false => "the broker closed it".to_owned(),
        })
    }

    fn accept(&mut self, command: Command) {
        let Command {
            key,
            version,
            mut frame,
            waiter,
        } = command;
        // Its caller has given up while it stood in line.
        if waiter.is_closed() {
            return;
        }
        let correlation_id = self.messenger.begin(key, version, waiter);
        frame[CORRELATION_ID].copy_from_slice(&correlation_id.to_be_bytes());
        self.unsent.push_back(frame);
    }

    /// What begins like no frame often tells what it is instead.
    fn no_frame(&self, error: &FrameError) -> End {
        let length_bytes = match error {
            FrameError::TooLarge { length_bytes, .. } if self.n_answers == 0 => *length_bytes,
            _ => return End::Violation(error.to_string()),
        };
        match (length_bytes >> 16, length_bytes) {
            // A record of TLS: an alert or a handshake, of version 3.x.
            (0x1503 | 0x1603, _) => End::Tls(TlsFault {
                reason: "the port speaks TLS, and this connection does not".to_owned(),
                advice: "set security.protocol to SSL or SASL_SSL".to_owned(),
            }),
            (_, 0x4854_5450) => End::Violation("it answers in HTTP".to_owned()),
            _ => End::Violation(error.to_string()),
        }
    }

    fn received(&mut self) -> Result<(), End> {
        loop {
            let frame = self.frames.next_frame();
            let Some(frame) = frame.map_err(|error| self.no_frame(&error))? else {
                return Ok(());
            };
            self.n_answers += 1;
            let (waiter, body) = self.messenger.answer(frame).map_err(End::Violation)?;
            // Nobody may be waiting any more.
            let _ = waiter.send(Ok(body));
        }
    }
}

/// Writes from the first frame that isn't sent, and lets go of it when it is; after the last one,
/// what stands in buffers. The answer is whether something may still stand there. Nothing is lost
/// when the future is dropped: what was written is gone from the frame, the rest is still there.
async fn write_some(write: &mut Writer, unsent: &mut VecDeque<BytesMut>) -> std::io::Result<bool> {
    let Some(frame) = unsent.front_mut() else {
        write.flush().await?;
        return Ok(false);
    };
    if write.write_buf(frame).await? == 0 {
        return Err(std::io::ErrorKind::WriteZero.into());
    }
    if frame.is_empty() {
        unsent.pop_front();
    }
    Ok(matches!(write, Writer::Tls(_)))
}
