//! The codecs of record batches, with a limit on what a batch may decompress to.
//!
//! What is written is what Java clients read: snappy in xerial framing, the standard lz4 frame
//! with independent blocks. What is read is wider: snappy also without framing. Invariant:
//! decompression never allocates more than the limit plus a fixed working set of the codec.
//! Follows Kafka's `Compression` classes and KIP-110 (zstd), KIP-390 (levels).

use std::cell::RefCell;
use std::io::{Read, Write};
use std::str::FromStr;

use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};
use zstd::zstd_safe;

/// A codec of record batches, by its id in the batch's attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum Compression {
    #[default]
    None = 0,
    Gzip = 1,
    Snappy = 2,
    Lz4 = 3,
    Zstd = 4,
}

impl Compression {
    /// All codecs, in the order of their ids.
    pub const ALL: [Compression; 5] = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];

    pub fn id(self) -> u8 {
        self as u8
    }

    pub fn from_id(id: u8) -> Option<Compression> {
        Compression::ALL.get(usize::from(id)).copied()
    }

    /// The name in configurations: `none`, `gzip`, `snappy`, `lz4`, `zstd`.
    pub fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Snappy => "snappy",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        }
    }
}

impl std::fmt::Display for Compression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no codec has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a compression codec: none, gzip, snappy, lz4, zstd are")]
pub struct UnknownCodecName(String);

impl FromStr for Compression {
    type Err = UnknownCodecName;

    fn from_str(name: &str) -> Result<Compression, UnknownCodecName> {
        let found = Compression::ALL
            .into_iter()
            .find(|codec| codec.name() == name);
        found.ok_or_else(|| UnknownCodecName(name.to_owned()))
    }
}

/// Why a payload has no compressed or decompressed form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompressionError {
    #[error("the records decompress to more than the {max_bytes} bytes allowed")]
    TooLarge { max_bytes: usize },
    #[error("the records are not {codec}: {reason}")]
    Corrupt { codec: Compression, reason: String },
    #[error("{codec} cannot compress: {reason}")]
    Failed { codec: Compression, reason: String },
}

/// Compresses `data`; `level` is the codec's own scale, out-of-range values are clamped, and
/// `None` is Kafka's default. Only gzip (1 to 9) and zstd (−131072 to 22) have levels here.
pub fn compress(
    codec: Compression,
    data: &[u8],
    level: Option<i32>,
) -> Result<Vec<u8>, CompressionError> {
    let failed = |error: &dyn std::error::Error| CompressionError::Failed {
        codec,
        reason: error.to_string(),
    };
    match codec {
        Compression::None => Ok(data.to_vec()),
        Compression::Gzip => gzip(data, level).map_err(|error| failed(&error)),
        Compression::Snappy => snappy_xerial(data).map_err(|error| failed(&error)),
        Compression::Lz4 => lz4(data).map_err(|error| failed(&error)),
        Compression::Zstd => zstd(data, level).map_err(|error| failed(&error)),
    }
}

/// Decompresses `data` to at most `max_bytes` bytes.
pub fn decompress(
    codec: Compression,
    data: &[u8],
    max_bytes: usize,
) -> Result<Vec<u8>, CompressionError> {
    match codec {
        Compression::None if data.len() > max_bytes => {
            Err(CompressionError::TooLarge { max_bytes })
        }
        Compression::None => Ok(data.to_vec()),
        Compression::Gzip => read_limited(codec, MultiGzDecoder::new(data), data.len(), max_bytes),
        Compression::Snappy => unsnappy(data, max_bytes),
        Compression::Lz4 => {
            let frame = lz4_frame(data).map_err(|reason| corrupt(codec, reason))?;
            read_limited(codec, FrameDecoder::new(frame), frame.len(), max_bytes)
        }
        Compression::Zstd => unzstd(data, max_bytes),
    }
}

fn corrupt(codec: Compression, reason: impl std::fmt::Display) -> CompressionError {
    CompressionError::Corrupt {
        codec,
        reason: reason.to_string(),
    }
}

/// Reads a decoder to its end, or to one byte more than allowed.
fn read_limited(
    codec: Compression,
    decoder: impl Read,
    compressed_len: usize,
    max_bytes: usize,
) -> Result<Vec<u8>, CompressionError> {
    let mut out = Vec::with_capacity(compressed_len.saturating_mul(3).min(max_bytes));
    let limit = (max_bytes as u64).saturating_add(1);
    match decoder.take(limit).read_to_end(&mut out) {
        Ok(_) if out.len() > max_bytes => Err(CompressionError::TooLarge { max_bytes }),
        Ok(_) => Ok(out),
        Err(error) => Err(corrupt(codec, error)),
    }
}

fn gzip(data: &[u8], level: Option<i32>) -> std::io::Result<Vec<u8>> {
    let level = level
        .filter(|level| *level >= 0)
        .map_or_else(flate2::Compression::default, |l| {
            flate2::Compression::new(l.min(9) as u32)
        });
    let mut encoder = GzEncoder::new(Vec::with_capacity(data.len() / 2 + 64), level);
    encoder.write_all(data)?;
    encoder.finish()
}

fn lz4(data: &[u8]) -> Result<Vec<u8>, lz4_flex::frame::Error> {
    // Kafka's reader knows only independent blocks and never checks a content checksum.
    let info = FrameInfo::new()
        .block_mode(BlockMode::Independent)
        .block_size(BlockSize::Max64KB);
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::with_capacity(data.len() / 2 + 64));
    encoder.write_all(data)?;
    encoder.finish()
}

/// The first frame in `data`, up to its end mark. Refuses what Kafka's reader refuses although
/// lz4 allows it: other kinds of frames, dependent blocks, a missing end mark.
fn lz4_frame(data: &[u8]) -> Result<&[u8], &'static str> {
    const CUT: &str = "the frame is cut";
    let (header, _) = data.split_first_chunk::<6>().ok_or(CUT)?;
    let (magic, flags) = (&header[..4], header[4]);
    if magic != 0x184d_2204u32.to_le_bytes() || flags >> 6 != 1 {
        return Err("it is not an lz4 frame of version 1");
    }
    let has = |bit: u8| usize::from(flags & bit != 0);
    let (dictionary, content_checksum, content_size) = (has(0x01), has(0x04), has(0x08));
    let (block_checksum, independent) = (has(0x10), has(0x20) == 1);
    if !independent || dictionary == 1 {
        return Err("its blocks depend on each other or on a dictionary");
    }
    // Fixed part, content size, header checksum.
    let mut position = 6 + 8 * content_size + 1;
    loop {
        let size = data.get(position..position + 4).ok_or(CUT)?;
        let size = u32::from_le_bytes(size.try_into().expect("the slice has 4 bytes"));
        position += 4;
        if size == 0 {
            return data.get(..position + 4 * content_checksum).ok_or(CUT);
        }
        // The highest bit marks a block that is not compressed.
        position += (size & 0x7fff_ffff) as usize + 4 * block_checksum;
    }
}

thread_local! {
    static ZSTD_ENCODER: RefCell<Option<(i32, zstd::bulk::Compressor<'static>)>> =
        const { RefCell::new(None) };
    static ZSTD_DECODER: RefCell<Option<zstd_safe::DCtx<'static>>> = const { RefCell::new(None) };
}

fn zstd(data: &[u8], level: Option<i32>) -> std::io::Result<Vec<u8>> {
    let level = level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL);
    let range = zstd::compression_level_range();
    let level = level.clamp(*range.start(), *range.end());
    ZSTD_ENCODER.with_borrow_mut(|cached| {
        if let Some((_, encoder)) = cached.as_mut().filter(|(cached, _)| *cached == level) {
            return encoder.compress(data);
        }
        let (_, encoder) = cached.insert((level, zstd::bulk::Compressor::new(level)?));
        encoder.compress(data)
    })
}

/// libzstd's error for an output buffer that is too small: part of its stable interface.
const ZSTD_DESTINATION_TOO_SMALL: usize = 0usize.wrapping_sub(70);

/// Decompresses in one call into a buffer that grows until it fits. Unlike a stream this needs
/// no window memory, so a producer that asks for a 128 MiB window costs nothing and works.
fn unzstd(data: &[u8], max_bytes: usize) -> Result<Vec<u8>, CompressionError> {
    let declared = zstd_safe::get_frame_content_size(data)
        .map_err(|error| corrupt(Compression::Zstd, error))?;
    let mut capacity = match declared {
        Some(size) if size > max_bytes as u64 => {
            return Err(CompressionError::TooLarge { max_bytes });
        }
        Some(size) => size as usize,
        None => data
            .len()
            .saturating_mul(4)
            .clamp(1 << 12, max_bytes.max(1 << 12)),
    };
    ZSTD_DECODER.with_borrow_mut(|decoder| {
        let decoder = decoder.get_or_insert_with(zstd_safe::DCtx::create);
        loop {
            capacity = capacity.min(max_bytes);
            let mut out = Vec::with_capacity(capacity);
            match decoder.decompress(&mut out, data) {
                Ok(_) => return Ok(out),
                Err(ZSTD_DESTINATION_TOO_SMALL) if capacity == max_bytes => {
                    return Err(CompressionError::TooLarge { max_bytes });
                }
                Err(ZSTD_DESTINATION_TOO_SMALL) => capacity = capacity.saturating_mul(4).max(64),
                Err(code) => {
                    let reason = zstd_safe::get_error_name(code);
                    return Err(corrupt(Compression::Zstd, reason));
                }
            }
        }
    })
}

/// Magic bytes, version 1 and lowest compatible version 1 of xerial's snappy stream.
const XERIAL_HEADER: [u8; 16] = *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
const XERIAL_MAGIC_LEN: usize = 8;
const XERIAL_BLOCK_LEN: usize = 32 * 1024;

fn snappy_xerial(data: &[u8]) -> Result<Vec<u8>, snap::Error> {
    let mut out = Vec::with_capacity(XERIAL_HEADER.len() + data.len() / 2 + 64);
    out.extend_from_slice(&XERIAL_HEADER);
    let mut encoder = snap::raw::Encoder::new();
    let mut block = vec![0; snap::raw::max_compress_len(XERIAL_BLOCK_LEN.min(data.len()))];
    for chunk in data.chunks(XERIAL_BLOCK_LEN) {
        let len = encoder.compress(chunk, &mut block)?;
        out.extend_from_slice(&(len as u32).to_be_bytes());
        out.extend_from_slice(&block[..len]);
    }
    Ok(out)
}

fn unsnappy(data: &[u8], max_bytes: usize) -> Result<Vec<u8>, CompressionError> {
    let mut out = Vec::new();
    if data.get(..XERIAL_MAGIC_LEN) != Some(&XERIAL_HEADER[..XERIAL_MAGIC_LEN]) {
        unsnappy_block(data, &mut out, max_bytes)?;
        return Ok(out);
    }
    let Some(mut rest) = data.get(XERIAL_HEADER.len()..) else {
        return Err(corrupt(Compression::Snappy, "the stream header is cut"));
    };
    while let Some((len, tail)) = rest.split_first_chunk::<4>() {
        let len = u32::from_be_bytes(*len) as usize;
        let Some((block, tail)) = tail.split_at_checked(len) else {
            return Err(corrupt(Compression::Snappy, "a block is cut"));
        };
        unsnappy_block(block, &mut out, max_bytes)?;
        rest = tail;
    }
    match rest.is_empty() {
        true => Ok(out),
        false => Err(corrupt(Compression::Snappy, "a block length is cut")),
    }
}

/// Appends one raw snappy block's content to `out`, which may grow to `max_bytes`.
fn unsnappy_block(
    block: &[u8],
    out: &mut Vec<u8>,
    max_bytes: usize,
) -> Result<(), CompressionError> {
    let bad = |error: snap::Error| corrupt(Compression::Snappy, error);
    let len = snap::raw::decompress_len(block).map_err(bad)?;
    // Three bytes copy at most 64, so a larger claim is false, whatever the limit.
    if len / 32 > block.len() {
        return Err(corrupt(
            Compression::Snappy,
            "a block claims an impossible size",
        ));
    }
    let start = out.len();
    if len > max_bytes - start {
        return Err(CompressionError::TooLarge { max_bytes });
    }
    out.resize(start + len, 0);
    snap::raw::Decoder::new()
        .decompress(block, &mut out[start..])
        .map_err(bad)?;
    Ok(())
}

#[cfg(test)]
mod tests;
