//! Reading batches out of a segment file: headers one after the other, whole batches, slices to send.
//!
//! Invariants:
//! - Nothing reads beyond the end it was given, which is a length that the writer has published.
//! - Memory is bounded: headers come through a window of fixed size, a whole batch is read only when its
//!   length fits what is left of the file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use kafka_shared::record::batch::{BatchError, BatchHeader, HEADER_LEN, LOG_OVERHEAD};

/// A range of a file that can be sent without copying it through user space.
#[derive(Debug, Clone)]
pub struct FileSlice {
    pub file: Arc<File>,
    /// Byte position of the first byte.
    pub position: u64,
    /// Number of bytes.
    pub len: usize,
}

impl FileSlice {
    /// Copies the range into memory.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file was truncated meanwhile.
    pub fn read(&self) -> io::Result<Bytes> {
        read_range(&self.file, self.position, self.len).map(Bytes::from)
    }
}

/// Reads exactly `len` bytes at `position`.
pub(crate) fn read_range(file: &File, position: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; len];
    file.read_exact_at(&mut buffer, position)?;
    Ok(buffer)
}

/// Why a scan stopped before the end.
#[derive(Debug)]
pub(crate) enum ScanError {
    Io(io::Error),
    /// The bytes at this position are no batch.
    Corrupt {
        position: u64,
        error: BatchError,
    },
}

impl From<io::Error> for ScanError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ScanError> for io::Error {
    fn from(error: ScanError) -> Self {
        match error {
            ScanError::Io(error) => error,
            ScanError::Corrupt { position, error } => io::Error::new(
                io::ErrorKind::InvalidData,
                format!("no record batch at byte {position}: {error}"),
            ),
        }
    }
}

/// Where a batch lies and what its header says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchAt {
    pub position: u64,
    pub header: BatchHeader,
}

impl BatchAt {
    /// The position behind the batch.
    pub fn end(&self) -> u64 {
        self.position + self.header.size_in_bytes() as u64
    }
}

/// Walks over batch headers from `position` up to `end`. A batch that the end cuts is not returned.
pub(crate) struct HeaderScan<'a> {
    file: &'a File,
    position: u64,
    end: u64,
    window: Vec<u8>,
    window_start: u64,
    window_size: usize,
}

/// Window for looking a batch up behind an index entry: a little more than one index interval.
pub(crate) const LOOKUP_WINDOW: usize = 4096 + 2 * HEADER_LEN;
/// Window for walking over a whole segment.
pub(crate) const SCAN_WINDOW: usize = 64 * 1024;

impl<'a> HeaderScan<'a> {
    pub fn new(file: &'a File, position: u64, end: u64, window_size: usize) -> Self {
        Self {
            file,
            position,
            end,
            window: Vec::new(),
            window_start: 0,
            window_size,
        }
    }

    /// The position of the batch that comes next.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next batch, or none at the end or where the end cuts a batch.
    pub fn next(&mut self) -> Result<Option<BatchAt>, ScanError> {
        let left = self.end.saturating_sub(self.position);
        if left < LOG_OVERHEAD as u64 {
            return Ok(None);
        }
        self.fill(HEADER_LEN.min(usize::try_from(left).unwrap_or(usize::MAX)))?;
        let at = usize::try_from(self.position - self.window_start).unwrap_or(usize::MAX);
        let header = match BatchHeader::parse(&self.window[at..]) {
            Ok(header) => header,
            Err(BatchError::Truncated { .. }) => return Ok(None),
            Err(error) => {
                return Err(ScanError::Corrupt {
                    position: self.position,
                    error,
                });
            }
        };
        let size = header.size_in_bytes() as u64;
        if size > left {
            return Ok(None);
        }
        let found = BatchAt {
            position: self.position,
            header,
        };
        self.position += size;
        Ok(Some(found))
    }

    /// Makes the window hold `needed` bytes from the position on.
    fn fill(&mut self, needed: usize) -> io::Result<()> {
        let window_end = self.window_start + self.window.len() as u64;
        if self.position >= self.window_start && self.position + needed as u64 <= window_end {
            return Ok(());
        }
        let left = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        self.window.resize(self.window_size.min(left), 0);
        self.window_start = self.position;
        self.file.read_exact_at(&mut self.window, self.position)
    }
}

/// The batch that holds `offset`, or the first one behind it when compaction removed it. The scan starts at
/// `from`, which has to be the start of a batch at or before the wanted one.
pub(crate) fn find_offset(
    file: &File,
    offset: i64,
    from: u64,
    end: u64,
) -> Result<Option<BatchAt>, ScanError> {
    let mut scan = HeaderScan::new(file, from, end, LOOKUP_WINDOW);
    while let Some(batch) = scan.next()? {
        if batch.header.last_offset() >= offset {
            return Ok(Some(batch));
        }
    }
    Ok(None)
}

/// Checks the checksum of a batch in a file without holding the batch in memory.
pub(crate) fn crc_matches(file: &File, batch: &BatchAt, buffer: &mut Vec<u8>) -> io::Result<bool> {
    const CHECKSUM_FROM: u64 = 21;
    const CHUNK: u64 = 256 * 1024;
    let (mut position, end) = (batch.position + CHECKSUM_FROM, batch.end());
    let mut crc = 0;
    while position < end {
        let len = (end - position).min(CHUNK) as usize;
        buffer.resize(len, 0);
        file.read_exact_at(buffer, position)?;
        crc = crc32c::crc32c_append(crc, buffer);
        position += len as u64;
    }
    Ok(crc == batch.header.crc)
}
