//! The task that owns a connection's socket: frames out, answers back to who waits for them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Command, Control, Waiter};
use crate::client::error::ClientError;
use crate::client::messenger::Messenger;
use crate::client::stream::{Reader, Writer};
use crate::protocol::frame::{FrameBuffer, FrameError};
use crate::tls::{Tls, TlsFault};
use crate::types::Endpoint;

/// Where the correlation id stands in a request's frame: after the length, the key and the version.
const CORRELATION_ID: std::ops::Range<usize> = 8..12;

/// No more frames are taken from callers while so many wait for the socket.
const UNSENT_FRAMES_MAX: usize = 16;

/// The task's state.
pub(super) struct Io {
    pub(super) endpoint: Endpoint,
    pub(super) tls: Option<Tls>,
    pub(super) has_sasl: bool,
    pub(super) read: Reader,
    pub(super) write: Writer,
    /// Bytes may still stand in the buffers of TLS.
    pub(super) must_flush: bool,
    /// Answers that have come; the first is that about the versions.
    pub(super) n_answers: u64,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) controls: mpsc::Receiver<Control>,
    /// No commands are taken.
    pub(super) is_held: bool,
    pub(super) frames: FrameBuffer,
    pub(super) unsent: VecDeque<BytesMut>,
    pub(super) messenger: Messenger<Waiter>,
    /// Cancelled when no handle is left.
    pub(super) abandoned: CancellationToken,
    pub(super) is_usable: Arc<AtomicBool>,
}

/// Why the task ends.
enum End {
    NoHandleLeft,
    Lost(String),
    Tls(TlsFault),
    Violation(String),
}

impl Io {
    pub(super) async fn run(mut self) {
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
