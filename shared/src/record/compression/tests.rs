use std::io::Write;

use proptest::prelude::*;

use super::*;

const MAX: usize = 4 << 20;

fn samples() -> Vec<Vec<u8>> {
    let noise: Vec<u8> = (0..200_000u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let text = "a line that repeats, and repeats. "
        .repeat(5_000)
        .into_bytes();
    vec![
        Vec::new(),
        vec![7],
        b"short".to_vec(),
        vec![0; 1 << 20],
        noise,
        text,
    ]
}

#[test]
fn every_codec_gives_back_what_it_got() {
    for codec in Compression::ALL {
        for sample in samples() {
            let compressed = compress(codec, &sample, None).unwrap();
            let back = decompress(codec, &compressed, sample.len()).unwrap();
            assert!(back == sample, "{codec}, {} bytes", sample.len());
        }
    }
}

#[test]
fn one_byte_beyond_the_limit_is_too_large() {
    for codec in Compression::ALL {
        for sample in samples().into_iter().filter(|sample| !sample.is_empty()) {
            let max_bytes = sample.len() - 1;
            let compressed = compress(codec, &sample, None).unwrap();
            let result = decompress(codec, &compressed, max_bytes);
            assert_eq!(
                result,
                Err(CompressionError::TooLarge { max_bytes }),
                "{codec}"
            );
        }
    }
}

#[test]
fn cut_streams_are_corrupt() {
    let sample = "text that is long enough to compress "
        .repeat(100)
        .into_bytes();
    for codec in Compression::ALL.into_iter().skip(1) {
        let compressed = compress(codec, &sample, None).unwrap();
        for len in 0..compressed.len() {
            let result = decompress(codec, &compressed[..len], MAX);
            // Framed snappy has no end mark: between blocks, text is missing, never wrong.
            match result {
                Ok(text) if codec == Compression::Snappy => {
                    assert!(sample.starts_with(&text) && text.len() < sample.len());
                }
                result => assert!(
                    matches!(result, Err(CompressionError::Corrupt { .. })),
                    "{codec} cut after {len} bytes"
                ),
            }
        }
    }
}

#[test]
fn snappy_without_framing_is_read() {
    let sample = b"raw snappy, as clients that are not Java send it, send it, send it";
    let raw = snap::raw::Encoder::new().compress_vec(sample).unwrap();
    assert_eq!(decompress(Compression::Snappy, &raw, MAX).unwrap(), sample);
}

#[test]
fn snappy_is_written_in_blocks_with_javas_header() {
    let compressed = compress(Compression::Snappy, &[9; 100_000], None).unwrap();
    assert_eq!(compressed[..16], *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01");
    let first = u32::from_be_bytes(compressed[16..20].try_into().unwrap()) as usize;
    let block = &compressed[20..20 + first];
    assert_eq!(snap::raw::decompress_len(block).unwrap(), 32 * 1024);
}

#[test]
fn a_false_snappy_size_allocates_nothing() {
    let claims_two_gib = [0x80, 0x80, 0x80, 0x80, 0x08, 0x00];
    let error = decompress(Compression::Snappy, &claims_two_gib, usize::MAX).unwrap_err();
    assert!(matches!(error, CompressionError::Corrupt { .. }));
    let mut framed = XERIAL_HEADER.to_vec();
    framed.extend_from_slice(&[0xff; 8]);
    assert!(decompress(Compression::Snappy, &framed, MAX).is_err());
}

#[test]
fn lz4_has_what_javas_reader_requires() {
    let compressed = compress(Compression::Lz4, &[1; 100_000], None).unwrap();
    assert_eq!(compressed[..4], 0x184d_2204u32.to_le_bytes());
    let flags = compressed[4];
    assert_eq!(flags >> 6, 1, "frame version");
    assert_ne!(flags & 0x20, 0, "blocks are independent");
    assert_eq!(flags & 0x01, 0, "no dictionary");
    assert_eq!(compressed[5] >> 4, 4, "blocks of 64 KiB");
    assert!(
        compressed.ends_with(&[0; 4]),
        "end mark, no content checksum"
    );
}

#[test]
fn lz4_that_javas_reader_refuses_is_refused() {
    let frame = |info: FrameInfo| {
        let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
        encoder.write_all(&[1; 200_000]).unwrap();
        encoder.finish().unwrap()
    };
    let linked = frame(FrameInfo::new().block_mode(BlockMode::Linked));
    assert!(decompress(Compression::Lz4, &linked, MAX).is_err());
    let info = FrameInfo::new().block_mode(BlockMode::Independent);
    let mut checked = frame(info.block_checksums(true).content_checksum(true));
    assert_eq!(
        decompress(Compression::Lz4, &checked, MAX).unwrap(),
        [1; 200_000]
    );
    checked.extend_from_slice(b"behind the frame");
    assert_eq!(
        decompress(Compression::Lz4, &checked, MAX).unwrap(),
        [1; 200_000]
    );
}

#[test]
fn zstd_of_a_stream_with_a_huge_window_is_read() {
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    let sample = "no content size in a streamed frame "
        .repeat(60_000)
        .into_bytes();
    for part in sample.chunks(1000) {
        encoder.write_all(part).unwrap();
    }
    let compressed = encoder.finish().unwrap();
    assert_eq!(
        zstd_safe::get_frame_content_size(&compressed).unwrap(),
        None
    );
    assert!(decompress(Compression::Zstd, &compressed, MAX).unwrap() == sample);
    let error = decompress(Compression::Zstd, &compressed, sample.len() - 1).unwrap_err();
    assert!(matches!(error, CompressionError::TooLarge { .. }));
}

#[test]
fn levels_beyond_the_range_are_clamped() {
    let sample = "levels ".repeat(1000).into_bytes();
    for codec in Compression::ALL {
        for level in [i32::MIN, -1, 0, 1, 5, 9, 17, i32::MAX] {
            let compressed = compress(codec, &sample, Some(level)).unwrap();
            assert_eq!(
                decompress(codec, &compressed, MAX).unwrap(),
                sample,
                "{codec} {level}"
            );
        }
    }
}

#[test]
fn codecs_have_kafkas_ids_and_names() {
    for (id, name) in [
        (0, "none"),
        (1, "gzip"),
        (2, "snappy"),
        (3, "lz4"),
        (4, "zstd"),
    ] {
        let codec = Compression::from_id(id).unwrap();
        assert_eq!(
            (codec.id(), codec.name(), name.parse()),
            (id, name, Ok(codec))
        );
    }
    assert_eq!(Compression::from_id(5), None);
    assert!(
        "brotli"
            .parse::<Compression>()
            .unwrap_err()
            .to_string()
            .contains("brotli")
    );
}

proptest! {
    #[test]
    fn damaged_streams_never_panic_nor_exceed_the_limit(
        codec in 1..5u8,
        seed: Vec<u8>,
        flips in proptest::collection::vec((any::<prop::sample::Index>(), 0..8u8), 0..4),
    ) {
        let codec = Compression::from_id(codec).unwrap();
        let mut compressed = compress(codec, &seed.repeat(8), None).unwrap();
        for (at, bit) in flips {
            let at = at.index(compressed.len());
            compressed[at] ^= 1 << bit;
        }
        if let Ok(out) = decompress(codec, &compressed, 512) {
            prop_assert!(out.len() <= 512);
        }
    }
}
