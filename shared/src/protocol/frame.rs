//! The frame around every message: four bytes of length (signed, big-endian), then as many bytes.
//!
//! No socket: bytes are read into [`FrameBuffer::space`] by whoever owns the socket, and whole
//! frames come out of [`FrameBuffer::next_frame`]. Memory grows with the bytes that have arrived,
//! not with the length that a peer announces.
//!
//! Kafka: `common/network/NetworkReceive.java` (4.3).

use bytes::{Buf, Bytes, BytesMut};

/// The bytes of the length in front of a frame.
pub const LENGTH_BYTES: usize = 4;

/// How much room is made for bytes when it isn't known that more will come.
const READ_BYTES_MIN: usize = 8 * 1024;

/// How much room is made ahead of the bytes that have arrived when a long frame was announced.
const READ_AHEAD_BYTES_MAX: usize = 256 * 1024;

/// Room that a lean buffer uses again for the next frame; it gives more back.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// A length that no frame may have; the connection cannot go on after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("a frame of negative length ({0})")]
    Negative(i32),
    #[error("a frame of {length_bytes} bytes; at most {max_bytes} are accepted")]
    TooLarge {
        length_bytes: usize,
        max_bytes: usize,
    },
}

/// Reads the length at the beginning of `bytes` and checks it; None while fewer than four bytes
/// are there.
pub fn frame_length(bytes: &[u8], max_bytes: usize) -> Result<Option<usize>, FrameError> {
    let Some(prefix) = bytes.first_chunk::<LENGTH_BYTES>() else {
        return Ok(None);
    };
    let length = i32::from_be_bytes(*prefix);
    let length_bytes = usize::try_from(length).map_err(|_| FrameError::Negative(length))?;
    if length_bytes > max_bytes {
        return Err(FrameError::TooLarge {
            length_bytes,
            max_bytes,
        });
    }
    Ok(Some(length_bytes))
}

/// Collects bytes until they make frames.
#[derive(Debug)]
pub struct FrameBuffer {
    bytes: BytesMut,
    max_bytes: usize,
    is_lean: bool,
}

impl FrameBuffer {
    /// Accepts frames of up to `max_bytes`, the length itself not counted.
    pub fn new(max_bytes: usize) -> FrameBuffer {
        FrameBuffer {
            bytes: BytesMut::new(),
            max_bytes,
            is_lean: false,
        }
    }

    /// As [`Self::new`], giving the room of long frames back: for connections that rest longer
    /// than they work.
    pub fn lean(max_bytes: usize) -> FrameBuffer {
        FrameBuffer {
            is_lean: true,
            ..FrameBuffer::new(max_bytes)
        }
    }

    /// The buffer to append received bytes to, with room for at least one more byte.
    pub fn space(&mut self) -> &mut BytesMut {
        let have = self.bytes.len();
        let announced = match frame_length(&self.bytes, self.max_bytes) {
            Ok(Some(length_bytes)) => LENGTH_BYTES + length_bytes,
            _ => 0,
        };
        let missing = announced.saturating_sub(have);
        // Doubling what has arrived keeps the copies few and a silent peer cheap.
        let ahead = missing
            .min(have.max(READ_AHEAD_BYTES_MAX))
            .max(READ_BYTES_MIN);
        // Asking for room when there is enough would move bytes for nothing.
        let enough = if missing == 0 {
            1
        } else {
            missing.min(READ_BYTES_MIN)
        };
        if self.bytes.capacity() - have < enough {
            self.bytes.reserve(ahead);
        }
        &mut self.bytes
    }

    /// Appends bytes that were received elsewhere.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes the next whole frame, without its length. None when more bytes are needed.
    ///
    /// # Errors
    /// A length that is negative or too large; every further call fails in the same way.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some(length_bytes) = frame_length(&self.bytes, self.max_bytes)? else {
            return Ok(None);
        };
        if self.bytes.len() - LENGTH_BYTES < length_bytes {
            return Ok(None);
        }
        self.bytes.advance(LENGTH_BYTES);
        if self.is_lean && self.bytes.len() == length_bytes && length_bytes > KEPT_BYTES_MAX {
            // The room goes with the frame.
            return Ok(Some(std::mem::take(&mut self.bytes).freeze()));
        }
        Ok(Some(self.bytes.split_to(length_bytes).freeze()))
    }

    /// How many bytes have arrived of a frame that isn't whole yet.
    pub fn pending_bytes(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_whole_however_the_bytes_are_cut() {
        let stream = [
            &[0, 0, 0, 3][..],
            b"abc",
            &[0, 0, 0, 0],
            &[0, 0, 0, 1],
            b"d",
        ]
        .concat();
        for step in 1..=stream.len() {
            let mut buffer = FrameBuffer::new(3);
            let mut frames = Vec::new();
            for piece in stream.chunks(step) {
                buffer.push(piece);
                while let Some(frame) = buffer.next_frame().unwrap() {
                    frames.push(frame);
                }
            }
            assert_eq!(
                frames,
                [&b"abc"[..], b"", b"d"],
                "cut into pieces of {step}"
            );
            assert_eq!(buffer.pending_bytes(), 0);
        }
    }

    #[test]
    fn a_bad_length_is_an_error_and_stays_one() {
        let mut buffer = FrameBuffer::new(100);
        buffer.push(&101i32.to_be_bytes());
        let error = FrameError::TooLarge {
            length_bytes: 101,
            max_bytes: 100,
        };
        assert_eq!(buffer.next_frame(), Err(error));
        assert_eq!(buffer.next_frame(), Err(error));
        buffer.space();
        let mut buffer = FrameBuffer::new(100);
        buffer.push(&(-1i32).to_be_bytes());
        assert_eq!(buffer.next_frame(), Err(FrameError::Negative(-1)));
    }

    #[test]
    fn an_announced_length_reserves_little_until_bytes_arrive() {
        let mut buffer = FrameBuffer::new(usize::MAX);
        buffer.push(&i32::MAX.to_be_bytes());
        assert!(buffer.space().capacity() < 2 * READ_AHEAD_BYTES_MAX);
        assert_eq!(buffer.next_frame(), Ok(None));
    }

    #[test]
    fn what_a_long_frame_took_is_not_kept_and_what_follows_it_is() {
        let frame = |n: usize, byte: u8| {
            let length = i32::try_from(n).unwrap().to_be_bytes();
            [&length[..], &vec![byte; n]].concat()
        };
        let mut buffer = FrameBuffer::lean(usize::MAX);
        buffer.push(&frame(KEPT_BYTES_MAX + 1, 1));
        assert_eq!(
            buffer.next_frame().unwrap().unwrap().len(),
            KEPT_BYTES_MAX + 1
        );
        assert!(buffer.space().capacity() <= KEPT_BYTES_MAX);
        buffer.push(&frame(KEPT_BYTES_MAX + 1, 2));
        buffer.push(&frame(3, 3));
        assert_eq!(
            buffer.next_frame().unwrap().unwrap().len(),
            KEPT_BYTES_MAX + 1
        );
        assert_eq!(buffer.next_frame().unwrap().unwrap(), [3; 3][..]);
        assert_eq!(buffer.next_frame(), Ok(None));
    }

    #[test]
    fn there_is_always_room_for_another_byte() {
        let mut buffer = FrameBuffer::new(1 << 20);
        buffer.push(&(1i32 << 20).to_be_bytes());
        for _ in 0..(1 << 20) {
            let space = buffer.space();
            assert!(space.capacity() > space.len());
            space.extend_from_slice(&[7]);
        }
        assert_eq!(buffer.next_frame().unwrap().unwrap().len(), 1 << 20);
    }
}
