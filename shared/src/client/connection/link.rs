//! A way to the task of a connection, and the renewal of its session, which goes past all else.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{Command, Control, Shared, deadline_in};
use crate::client::authenticate::{self, Exchange};
use crate::client::error::{ClientError, Step};
use crate::protocol::{Request, codec};

/// The part of a session's life after which it is renewed, as a fraction: Kafka's clients choose a
/// moment between this one and 0.95.
const RENEW_AFTER: (u64, u64) = (85, 100);

/// How frames get to the task.
#[derive(Clone, Copy)]
pub(super) enum Via<'a> {
    Commands(&'a mpsc::Sender<Command>),
    Control(&'a mpsc::Sender<Control>),
}

/// A way to the task, up to a moment.
pub(super) struct Link<'a> {
    pub(super) shared: &'a Shared,
    pub(super) via: Via<'a>,
    pub(super) deadline: Instant,
}

impl Link<'_> {
    pub(super) async fn bytes<R: Request>(
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
        self.answer(R::KEY as i16, version, frame, timeout_ms).await
    }

    /// Sends a frame and waits for the bytes of the answer's body.
    pub(super) async fn answer(
        &self,
        key: i16,
        version: i16,
        frame: BytesMut,
        timeout_ms: u64,
    ) -> Result<Bytes, ClientError> {
        let (waiter, answer) = oneshot::channel();
        let command = Command {
            key,
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
            let (endpoint, step) = (self.shared.endpoint.clone(), Step::Request(key));
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
pub(super) async fn renew(
    shared: Arc<Shared>,
    control: mpsc::Sender<Control>,
    mut lifetime_ms: u64,
) {
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
