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

mod io;
mod link;

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::MetadataRequest;
use tokio::net::TcpStream;
use tokio::sync::{OnceCell, mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::io::Io;
use self::link::{Link, Via, renew};
use super::ConnectionConfig;
use super::authenticate;
use super::error::{ClientError, Step};
use super::messenger::Messenger;
use super::negotiation::{Answer, ApiVersions, Negotiation};
use super::stream::Stream;
use crate::protocol::frame::FrameBuffer;
use crate::protocol::own::{self, OwnRequest};
use crate::protocol::{Request, Response, api, codec};
use crate::task;
use crate::tls::TlsFault;
use crate::types::Endpoint;

/// How a request is to be sent, where it differs from the usual.
#[derive(Clone, Copy, Debug, Default)]
pub struct SendOptions {
    /// No newer version than this: newer ones may lack what the request holds, as topic names.
    pub version_max: Option<i16>,
    /// Instead of the configured time-out. For a long poll: its wait and some more.
    pub timeout_ms: Option<u64>,
}

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
    key: i16,
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

/// A response as it came.
#[derive(Debug)]
pub struct Undecoded<B> {
    shared: Arc<Shared>,
    body: Bytes,
    version: i16,
    response: PhantomData<B>,
}

impl<B: Response> Undecoded<B> {
    /// The bytes of the body.
    pub fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// # Errors
    /// When it cannot be read; the connection is not used any more then.
    pub fn decode(mut self) -> Result<B, ClientError> {
        codec::decode_response(&mut self.body, self.version).map_err(|error| {
            self.shared.is_usable.store(false, Ordering::Release);
            ClientError::Protocol {
                endpoint: self.shared.endpoint.clone(),
                reason: error.to_string(),
            }
        })
    }
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
            frames: match config.is_lean {
                true => FrameBuffer::lean(config.response_bytes_max),
                false => FrameBuffer::new(config.response_bytes_max),
            },
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
            key: R::KEY as i16,
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
                key: R::KEY as i16,
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

    /// As [`Connection::send`], of an API that kafka-protocol lacks and that changes nothing.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub async fn send_own<R: OwnRequest>(
        &self,
        request: &R,
        timeout_ms: Option<u64>,
    ) -> Result<R::Response, ClientError> {
        let theirs = self.shared.versions.get(R::KEY);
        if theirs
            .as_ref()
            .is_none_or(|versions| !versions.contains(&own::VERSION))
        {
            return Err(ClientError::Unsupported {
                endpoint: self.endpoint().clone(),
                key: R::KEY,
                ours: own::VERSION..=own::VERSION,
                theirs,
            });
        }
        let timeout_ms = timeout_ms.unwrap_or(self.shared.config.request_timeout_ms);
        let link = Link {
            shared: &self.shared,
            via: Via::Commands(&self.commands),
            deadline: deadline_in(timeout_ms),
        };
        let client_id = Some(self.shared.config.client_id.as_str());
        let frame = own::encode_request_frame(request, client_id)
            .map_err(|reason| ClientError::Encode { reason })?;
        let body = link.answer(R::KEY, own::VERSION, frame, timeout_ms).await?;
        own::decode_response(&body).map_err(|reason| {
            self.shared.is_usable.store(false, Ordering::Release);
            ClientError::Protocol {
                endpoint: self.endpoint().clone(),
                reason,
            }
        })
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
        let answer = self.send_known_undecoded(request, version, timeout_ms);
        answer.await?.decode()
    }

    async fn send_known_undecoded<R: Request>(
        &self,
        request: &R,
        version: i16,
        timeout_ms: u64,
    ) -> Result<Undecoded<R::Response>, ClientError> {
        let deadline = deadline_in(timeout_ms);
        let body = self
            .exchange(request, version, deadline, timeout_ms)
            .await?;
        Ok(Undecoded {
            shared: Arc::clone(&self.shared),
            body,
            version,
            response: PhantomData,
        })
    }

    /// As [`Connection::send_with`], without looking into the response: for who has seen it
    /// before and knows it by its bytes.
    ///
    /// # Errors
    /// As [`Connection::send`], except for what cannot be read: [`Undecoded::decode`] tells that.
    pub async fn send_undecoded<R: Request>(
        &self,
        request: R,
        options: SendOptions,
    ) -> Result<Undecoded<R::Response>, ClientError> {
        let version = self.version_up_to::<R>(options.version_max.unwrap_or(i16::MAX))?;
        let timeout_ms = options
            .timeout_ms
            .unwrap_or(self.shared.config.request_timeout_ms);
        if !api::is_read_only(R::KEY) {
            self.check_cluster().await?;
        }
        self.send_known_undecoded(&request, version, timeout_ms)
            .await
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
