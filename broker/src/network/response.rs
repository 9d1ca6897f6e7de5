//! A response on its way out: the frame's bytes in order, some of them still in a file.
//!
//! [`FrameBuilder`] begins a frame with the four bytes of its size and the response header, takes
//! encoded bytes, shared bytes and file ranges, and fills in the size at the end. Nothing is copied
//! that is handed over as [`Bytes`] or as a range of a file.

use std::{
    fs::File,
    io::{self, IoSlice},
    os::fd::AsFd,
    sync::Arc,
    time::Duration,
};

use bytes::{BufMut, Bytes, BytesMut};
use tokio::{io::Interest, net::TcpStream, time::timeout};

/// Most buffers handed to the kernel in one call.
const IO_SLICES_MAX: usize = 64;
/// After so many bytes a writer lets others run, whether or not the socket would take more.
const BYTES_PER_TURN: usize = 4 * 1024 * 1024;
const SIZE_PREFIX_LEN: usize = 4;
/// So many responses, or so many bytes of them, are sent without waiting for more.
const OUTBOX_FRAMES_MAX: usize = 16;
const OUTBOX_BYTES_MAX: usize = 16 * 1024;

/// One stretch of a response.
#[derive(Debug, Clone)]
pub enum Segment {
    Bytes(Bytes),
    /// `len` bytes of `file` from byte `position`; the file must hold them until they are sent.
    File {
        file: Arc<File>,
        position: u64,
        len: usize,
    },
}

impl Segment {
    fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::File { len, .. } => *len,
        }
    }
}

/// A complete response, size prefix included.
#[derive(Debug, Clone)]
pub struct ResponseFrame {
    segments: Vec<Segment>,
}

impl ResponseFrame {
    /// Bytes on the wire, the size prefix included.
    pub fn size_in_bytes(&self) -> usize {
        self.segments.iter().map(Segment::len).sum()
    }

    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The frame as one piece, for tests and for requests that a node sends to itself.
    ///
    /// # Errors
    /// When a file does not hold the promised bytes.
    pub fn to_bytes(&self) -> io::Result<Bytes> {
        let mut out = BytesMut::with_capacity(self.size_in_bytes());
        for segment in &self.segments {
            match segment {
                Segment::Bytes(bytes) => out.extend_from_slice(bytes),
                Segment::File {
                    file,
                    position,
                    len,
                } => {
                    let start = out.len();
                    out.resize(start + len, 0);
                    std::os::unix::fs::FileExt::read_exact_at(
                        &**file,
                        &mut out[start..],
                        *position,
                    )?;
                }
            }
        }
        Ok(out.freeze())
    }
}

/// Assembles a [`ResponseFrame`].
#[derive(Debug)]
pub struct FrameBuilder {
    done: Vec<Segment>,
    done_len: usize,
    current: BytesMut,
}

impl FrameBuilder {
    /// Begins a frame with the response header: version 1 ends in an empty set of tagged fields.
    pub fn new(correlation_id: i32, header_version: i16) -> Self {
        let mut current = BytesMut::with_capacity(256);
        current.put_i32(0);
        current.put_i32(correlation_id);
        if header_version >= 1 {
            current.put_u8(0);
        }
        Self {
            done: Vec::new(),
            done_len: 0,
            current,
        }
    }

    /// Where encoders append.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.current
    }

    /// Appends bytes without copying them; short ones are copied, which is cheaper.
    pub fn push_bytes(&mut self, bytes: Bytes) {
        if bytes.len() <= 512 {
            self.current.extend_from_slice(&bytes);
        } else {
            self.seal();
            self.push(Segment::Bytes(bytes));
        }
    }

    /// Appends `len` bytes of `file` from byte `position`, read only when they are sent.
    pub fn push_file(&mut self, file: Arc<File>, position: u64, len: usize) {
        if len > 0 {
            self.seal();
            self.push(Segment::File {
                file,
                position,
                len,
            });
        }
    }

    /// The finished frame, or none when it is longer than a frame can be (2³¹−1 bytes).
    pub fn finish(mut self) -> Option<ResponseFrame> {
        self.seal();
        let size = i32::try_from(self.done_len - SIZE_PREFIX_LEN).ok()?;
        let Some(Segment::Bytes(first)) = self.done.first_mut() else {
            return None;
        };
        // The first segment was sealed by this builder and nobody else holds it.
        let mut head = BytesMut::from(std::mem::take(first));
        head[..SIZE_PREFIX_LEN].copy_from_slice(&size.to_be_bytes());
        *first = head.freeze();
        Some(ResponseFrame {
            segments: self.done,
        })
    }

    fn seal(&mut self) {
        if !self.current.is_empty() {
            let bytes = self.current.split().freeze();
            self.push(Segment::Bytes(bytes));
        }
    }

    fn push(&mut self, segment: Segment) {
        self.done_len += segment.len();
        self.done.push(segment);
    }
}

/// Responses that wait to be sent together; in order.
#[derive(Debug)]
pub(super) struct Outbox {
    segments: Vec<Segment>,
    n_frames: usize,
    size_in_bytes: usize,
    /// How long the peer may take no byte at all.
    stall: Duration,
}

impl Outbox {
    pub(super) fn new(stall: Duration) -> Self {
        Self {
            segments: Vec::new(),
            n_frames: 0,
            size_in_bytes: 0,
            stall,
        }
    }

    /// Takes a response, and sends all of them when they are worth a system call of their own.
    ///
    /// # Errors
    /// Those of [`Outbox::flush`].
    pub(super) async fn put(&mut self, stream: &TcpStream, frame: ResponseFrame) -> io::Result<()> {
        self.n_frames += 1;
        self.size_in_bytes += frame.size_in_bytes();
        self.segments.extend(frame.segments);
        if self.n_frames >= OUTBOX_FRAMES_MAX || self.size_in_bytes >= OUTBOX_BYTES_MAX {
            self.flush(stream).await?;
        }
        Ok(())
    }

    /// Sends what is there.
    ///
    /// # Errors
    /// Those of [`write_all`]; the outbox is empty afterwards all the same.
    pub(super) async fn flush(&mut self, stream: &TcpStream) -> io::Result<()> {
        if self.segments.is_empty() {
            return Ok(());
        }
        (self.n_frames, self.size_in_bytes) = (0, 0);
        let mut segments = std::mem::take(&mut self.segments);
        write_all(stream, &segments, self.stall).await?;
        // The vector's memory is kept for the next response, not the response.
        segments.clear();
        self.segments = segments;
        Ok(())
    }
}

/// What is left to write.
struct Cursor<'a> {
    segments: &'a [Segment],
    /// Bytes of the first segment that are already out.
    offset: usize,
}

impl Cursor<'_> {
    fn advance(&mut self, mut n: usize) {
        while n > 0 {
            let Some(first) = self.segments.first() else {
                return;
            };
            let left = first.len() - self.offset;
            if n < left {
                self.offset += n;
                return;
            }
            n -= left;
            self.segments = &self.segments[1..];
            self.offset = 0;
        }
    }
}

/// Writes all segments; `stall` is how long the peer may take no byte at all.
///
/// # Errors
/// Those of the socket; `TimedOut` after a stall; `UnexpectedEof` when a file is shorter than its
/// range says. After an error the connection is unusable, because part of a frame may be out.
async fn write_all(stream: &TcpStream, segments: &[Segment], stall: Duration) -> io::Result<()> {
    let mut cursor = Cursor {
        segments,
        offset: 0,
    };
    let mut in_this_turn = 0;
    while !cursor.segments.is_empty() {
        match stream.try_io(Interest::WRITABLE, || write_some(stream, &cursor)) {
            Ok(n) => {
                cursor.advance(n);
                in_this_turn += n;
                if in_this_turn >= BYTES_PER_TURN {
                    in_this_turn = 0;
                    tokio::task::yield_now().await;
                }
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                timeout(stall, stream.writable()).await.map_err(|_| {
                    io::Error::new(io::ErrorKind::TimedOut, "the peer reads nothing")
                })??;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// One system call's worth of what is left; the number of bytes written is never 0.
fn write_some(stream: &TcpStream, cursor: &Cursor<'_>) -> io::Result<usize> {
    match &cursor.segments[0] {
        Segment::Bytes(_) => write_bytes(stream, cursor),
        Segment::File {
            file,
            position,
            len,
        } => {
            let sent = send_file(
                stream,
                file,
                *position + cursor.offset as u64,
                len - cursor.offset,
                cursor.segments.len() > 1,
            )?;
            if sent == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "a log segment is shorter than the range that was to be sent",
                ));
            }
            Ok(sent)
        }
    }
}

fn write_bytes(stream: &TcpStream, cursor: &Cursor<'_>) -> io::Result<usize> {
    let mut slices = Vec::with_capacity(cursor.segments.len().min(IO_SLICES_MAX));
    let mut skip = cursor.offset;
    for segment in cursor.segments.iter().take(IO_SLICES_MAX) {
        let Segment::Bytes(bytes) = segment else {
            break;
        };
        slices.push(IoSlice::new(&bytes[skip..]));
        skip = 0;
    }
    let more = slices.len() < cursor.segments.len();
    send_slices(stream, &slices, more)
}

/// `more` keeps the kernel from sending a short packet before the file range that follows.
#[cfg(target_os = "linux")]
fn send_slices(stream: &TcpStream, slices: &[IoSlice<'_>], more: bool) -> io::Result<usize> {
    use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
    let flags = if more {
        SendFlags::NOSIGNAL | SendFlags::MORE
    } else {
        SendFlags::NOSIGNAL
    };
    Ok(sendmsg(
        stream.as_fd(),
        slices,
        &mut SendAncillaryBuffer::default(),
        flags,
    )?)
}

#[cfg(not(target_os = "linux"))]
fn send_slices(stream: &TcpStream, slices: &[IoSlice<'_>], _more: bool) -> io::Result<usize> {
    Ok(rustix::io::writev(stream.as_fd(), slices)?)
}

#[cfg(target_os = "linux")]
fn send_file(
    stream: &TcpStream,
    file: &File,
    position: u64,
    len: usize,
    _more: bool,
) -> io::Result<usize> {
    let mut offset = position;
    Ok(rustix::fs::sendfile(
        stream.as_fd(),
        file.as_fd(),
        Some(&mut offset),
        len,
    )?)
}

#[cfg(not(target_os = "linux"))]
fn send_file(
    stream: &TcpStream,
    file: &File,
    position: u64,
    len: usize,
    more: bool,
) -> io::Result<usize> {
    let mut chunk = vec![0; len.min(64 * 1024)];
    let n = std::os::unix::fs::FileExt::read_at(file, &mut chunk, position)?;
    if n == 0 {
        return Ok(0);
    }
    send_slices(stream, &[IoSlice::new(&chunk[..n])], more)
}
