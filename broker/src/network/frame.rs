//! Reads frames from a socket: a size, then that many bytes, in one buffer that becomes the request.
//!
//! Small frames share a read-ahead buffer; a larger one gets a buffer of exactly its size once the
//! limits allow it, so that a request owns its memory and nothing is copied twice. The memory budget is
//! asked as the bytes arrive: what was never written to of a buffer is no memory yet. A connection that
//! waits for its next request holds no buffer.
//!
//! Deadlines: the first request must be complete within the first-frame deadline; between requests a
//! connection may be idle for `connections.max.idle.ms`; a begun frame must keep bringing bytes
//! ([`Progress`]).
// Differs from Kafka: it keeps a half-sent frame for as long as the connection is not idle, and has
// no deadline for the first request, which lets peers hold memory and slots for nothing.

use std::{io, time::Duration};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};

use super::{
    NetworkConfig,
    limits::{FrameBudget, FramePermit},
};

/// Size of the read-ahead buffer; frames that fit in it take nothing from the budget.
const READ_AHEAD_BYTES: usize = 8 * 1024;
/// Its size on a connection whose last frame was larger than that and fits in this.
const FAR_READ_AHEAD_BYTES: usize = 64 * 1024;
const SIZE_PREFIX_LEN: usize = 4;
/// API key, version and correlation id: no request is shorter.
const FRAME_LEN_MIN: usize = 8;
const PRODUCE: i16 = 0;

/// A request as it came, with its share of the memory budget.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) bytes: Bytes,
    pub(super) permit: Option<FramePermit>,
}

/// Why no further frame can be read. The connection is closed for each of them.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    #[error("the peer closed the connection in the middle of a request")]
    Truncated,
    #[error("invalid request size {0}")]
    InvalidSize(i32),
    #[error("request of {size} bytes is larger than the {max} bytes allowed for API key {api_key}")]
    TooLarge {
        size: usize,
        max: usize,
        api_key: i16,
    },
    #[error("no complete request within {0:?} of connecting")]
    FirstFrameDeadline(Duration),
    #[error("idle for longer than {0:?}")]
    Idle(Duration),
    #[error("a request stopped arriving: less than {bytes} bytes in {deadline:?}")]
    Stalled { bytes: usize, deadline: Duration },
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Checks the size that a peer announced; `api_key` is needed only above the limit of most APIs.
///
/// # Errors
/// `InvalidSize` or `TooLarge`; `Ok(false)`: the API key has to be known first.
pub(super) fn check_size(
    size: i32,
    api_key: Option<i16>,
    config: &NetworkConfig,
) -> Result<bool, FrameError> {
    let Ok(bytes) = usize::try_from(size) else {
        return Err(FrameError::InvalidSize(size));
    };
    if bytes < FRAME_LEN_MIN {
        return Err(FrameError::InvalidSize(size));
    }
    let other_max = config
        .other_request_max_bytes
        .min(config.socket_request_max_bytes);
    if bytes <= other_max {
        return Ok(true);
    }
    if bytes > config.socket_request_max_bytes {
        let api_key = api_key.unwrap_or(PRODUCE);
        return Err(FrameError::TooLarge {
            size: bytes,
            max: config.socket_request_max_bytes,
            api_key,
        });
    }
    match api_key {
        None => Ok(false),
        Some(PRODUCE) => Ok(true),
        Some(api_key) => Err(FrameError::TooLarge {
            size: bytes,
            max: other_max,
            api_key,
        }),
    }
}

/// Tells when a begun frame arrives too slowly: each window must bring a number of bytes.
#[derive(Debug, Clone, Copy)]
struct Progress {
    window_ends: Instant,
    bytes_in_window: usize,
}

impl Progress {
    fn begin(now: Instant, config: &NetworkConfig) -> Self {
        Self {
            window_ends: now + config.frame_progress_deadline,
            bytes_in_window: 0,
        }
    }

    fn received(&mut self, n: usize, now: Instant, config: &NetworkConfig) {
        self.bytes_in_window += n;
        if self.bytes_in_window >= config.frame_progress_bytes {
            *self = Self::begin(now, config);
        }
    }
}

/// The reading half of a connection.
#[derive(Debug)]
pub(super) struct FrameReader {
    buffer: BytesMut,
    /// How far the next frame is read ahead.
    read_ahead_bytes: usize,
    /// Present until the first frame is complete.
    first_frame_due: Option<Instant>,
}

impl FrameReader {
    pub(super) fn new(now: Instant, config: &NetworkConfig) -> Self {
        Self {
            buffer: BytesMut::new(),
            read_ahead_bytes: READ_AHEAD_BYTES,
            first_frame_due: Some(now + config.first_frame_deadline),
        }
    }

    /// Whether the next frame is in memory in full.
    pub(super) fn holds_frame(&self) -> bool {
        let Some((prefix, rest)) = self.buffer.split_first_chunk::<SIZE_PREFIX_LEN>() else {
            return false;
        };
        usize::try_from(i32::from_be_bytes(*prefix)).is_ok_and(|size| size <= rest.len())
    }

    /// Waits for the first byte of the next frame; false when the peer has closed the connection.
    ///
    /// Dropping the future loses nothing, so that it can be raced with a shutdown.
    ///
    /// # Errors
    /// `Idle`, `FirstFrameDeadline` and those of the socket.
    pub(super) async fn begun(
        &mut self,
        stream: &TcpStream,
        config: &NetworkConfig,
    ) -> Result<bool, FrameError> {
        if !self.buffer.is_empty() {
            return Ok(true);
        }
        let idle_at = Instant::now() + config.connections_max_idle;
        let due = self
            .first_frame_due
            .map_or(idle_at, |first| first.min(idle_at));
        loop {
            self.buffer.reserve(self.read_ahead_bytes);
            match stream.try_read_buf(&mut (&mut self.buffer).limit(self.read_ahead_bytes)) {
                Ok(0) => return Ok(false),
                Ok(_) => return Ok(true),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.buffer = BytesMut::new();
                    match timeout_at(due, stream.readable()).await {
                        Ok(ready) => ready?,
                        Err(_) if self.first_frame_due == Some(due) => {
                            return Err(FrameError::FirstFrameDeadline(
                                config.first_frame_deadline,
                            ));
                        }
                        Err(_) => return Err(FrameError::Idle(config.connections_max_idle)),
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Resolves when the peer has closed the connection while its request is being handled.
    ///
    /// What the peer sends meanwhile is read ahead, as far as the read-ahead buffer goes; a peer that
    /// has sent more is not watched any longer. Dropping the future loses nothing.
    pub(super) async fn closed(&mut self, stream: &TcpStream) {
        while self.buffer.len() < READ_AHEAD_BYTES {
            let room = READ_AHEAD_BYTES - self.buffer.len();
            self.buffer.reserve(room);
            match stream.try_read_buf(&mut (&mut self.buffer).limit(room)) {
                Ok(0) => return,
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    if self.buffer.is_empty() {
                        self.buffer = BytesMut::new();
                    }
                    if stream.readable().await.is_err() {
                        return;
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
        std::future::pending().await
    }

    /// Reads the frame that [`FrameReader::begun`] announced, to its end.
    ///
    /// # Errors
    /// Every [`FrameError`] but `Idle`.
    pub(super) async fn frame(
        &mut self,
        stream: &TcpStream,
        budget: &FrameBudget,
        config: &NetworkConfig,
    ) -> Result<Frame, FrameError> {
        let mut progress = Progress::begin(Instant::now(), config);
        let mut buffer = std::mem::take(&mut self.buffer);
        self.fill(stream, &mut buffer, SIZE_PREFIX_LEN, &mut progress, config)
            .await?;
        let size = (&buffer[..SIZE_PREFIX_LEN]).get_i32();
        if !check_size(size, None, config)? {
            self.fill(
                stream,
                &mut buffer,
                SIZE_PREFIX_LEN + 2,
                &mut progress,
                config,
            )
            .await?;
            let api_key = (&buffer[SIZE_PREFIX_LEN..SIZE_PREFIX_LEN + 2]).get_i16();
            check_size(size, Some(api_key), config)?;
        }
        let size = usize::try_from(size).expect("checked not to be negative");
        let len = SIZE_PREFIX_LEN + size;
        let permit = if len <= READ_AHEAD_BYTES {
            None
        } else if len <= self.read_ahead_bytes {
            let mut permit = budget.share(size);
            permit.grow().await;
            // Waiting for memory is our fault, not the peer's.
            progress = Progress::begin(Instant::now(), config);
            Some(permit)
        } else {
            let frame = self
                .large_frame(stream, buffer, size, budget, &mut progress, config)
                .await?;
            self.complete(len);
            return Ok(frame);
        };
        self.fill(stream, &mut buffer, len, &mut progress, config)
            .await?;
        buffer.advance(SIZE_PREFIX_LEN);
        let bytes = buffer.split_to(size).freeze();
        self.buffer = buffer;
        self.complete(len);
        Ok(Frame { bytes, permit })
    }

    /// Takes note of a frame that has come in full, of `len` bytes with its size.
    fn complete(&mut self, len: usize) {
        self.first_frame_due = None;
        let is_middle = (READ_AHEAD_BYTES + 1..=FAR_READ_AHEAD_BYTES).contains(&len);
        self.read_ahead_bytes = if is_middle {
            FAR_READ_AHEAD_BYTES
        } else {
            READ_AHEAD_BYTES
        };
    }

    /// Reads a frame into a buffer of its own; what was read beyond its end stays for the next one.
    async fn large_frame(
        &mut self,
        stream: &TcpStream,
        mut read: BytesMut,
        size: usize,
        budget: &FrameBudget,
        progress: &mut Progress,
        config: &NetworkConfig,
    ) -> Result<Frame, FrameError> {
        read.advance(SIZE_PREFIX_LEN);
        let here = read.len().min(size);
        let mut permit = budget.share(size);
        while permit.taken_bytes() < here {
            permit.grow().await;
        }
        let mut frame = BytesMut::with_capacity(size);
        frame.put_slice(&read[..here]);
        read.advance(here);
        self.buffer = read;
        // Waiting for memory is our fault, not the peer's.
        *progress = Progress::begin(Instant::now(), config);
        while frame.len() < size {
            if frame.len() == permit.taken_bytes() {
                permit.grow().await;
                *progress = Progress::begin(Instant::now(), config);
            }
            let left = permit.taken_bytes() - frame.len();
            self.read_some(stream, &mut (&mut frame).limit(left), progress, config)
                .await?;
        }
        Ok(Frame {
            bytes: frame.freeze(),
            permit: Some(permit),
        })
    }

    /// Reads ahead until `buffer` holds at least `len` bytes; `len` fits in the read-ahead buffer.
    async fn fill(
        &self,
        stream: &TcpStream,
        buffer: &mut BytesMut,
        len: usize,
        progress: &mut Progress,
        config: &NetworkConfig,
    ) -> Result<(), FrameError> {
        while buffer.len() < len {
            if buffer.capacity() < len {
                buffer.reserve(self.read_ahead_bytes - buffer.len());
            }
            let room = buffer.capacity().min(self.read_ahead_bytes) - buffer.len();
            self.read_some(stream, &mut (&mut *buffer).limit(room), progress, config)
                .await?;
        }
        Ok(())
    }

    async fn read_some(
        &self,
        stream: &TcpStream,
        into: &mut impl BufMut,
        progress: &mut Progress,
        config: &NetworkConfig,
    ) -> Result<(), FrameError> {
        loop {
            match stream.try_read_buf(into) {
                Ok(0) => return Err(FrameError::Truncated),
                Ok(n) => {
                    progress.received(n, Instant::now(), config);
                    return Ok(());
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    let due = self.first_frame_due.map_or(progress.window_ends, |first| {
                        first.min(progress.window_ends)
                    });
                    match timeout_at(due, stream.readable()).await {
                        Ok(ready) => ready?,
                        Err(_) if self.first_frame_due == Some(due) => {
                            return Err(FrameError::FirstFrameDeadline(
                                config.first_frame_deadline,
                            ));
                        }
                        Err(_) => {
                            return Err(FrameError::Stalled {
                                bytes: config.frame_progress_bytes,
                                deadline: config.frame_progress_deadline,
                            });
                        }
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_of_a_frame_is_renewed_only_by_enough_bytes() {
        let config = NetworkConfig::default();
        let (enough, window) = (config.frame_progress_bytes, config.frame_progress_deadline);
        let begun = Instant::now();
        let mut progress = Progress::begin(begun, &config);
        let at = |seconds| begun + Duration::from_secs(seconds);
        progress.received(enough - 1, at(10), &config);
        assert_eq!(progress.window_ends, begun + window);
        progress.received(1, at(20), &config);
        assert_eq!(progress.window_ends, at(20) + window);
        progress.received(enough / 2, at(25), &config);
        assert_eq!(progress.window_ends, at(20) + window);
    }

    #[test]
    fn only_produce_may_be_large() {
        let config = NetworkConfig {
            socket_request_max_bytes: 1000,
            other_request_max_bytes: 100,
            ..NetworkConfig::default()
        };
        let check = |size, key| check_size(size, key, &config).map_err(|e| e.to_string());
        assert_eq!(check(100, None), Ok(true));
        assert_eq!(check(101, None), Ok(false));
        assert_eq!(check(101, Some(PRODUCE)), Ok(true));
        assert_eq!(check(1000, Some(PRODUCE)), Ok(true));
        assert!(check(101, Some(3)).unwrap_err().contains("API key 3"));
        for size in [i32::MIN, -1, 0, 7, 1001, i32::MAX] {
            assert!(check(size, Some(PRODUCE)).is_err(), "{size}");
        }
    }
}
