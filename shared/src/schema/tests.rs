use proptest::prelude::*;

use super::*;

schema! {
    /// A bit of everything.
    pub struct Everything, versions 1..=3, flexible 2 {
        tiny: i8;
        port: u16 = 9092;
        wide: i64, since 2;
        gone: i32, until 2;
        dropped: i32 = -1, since 3, ignorable true;
        flag: bool = true;
        ratio: f64;
        id: Uuid;
        name: String;
        rack: Option<String>;
        blob: Bytes;
        maybe_blob: Option<Bytes>;
        list: Vec<i32>;
        maybe_list: Option<Vec<String>>;
        inner: Inner;
        maybe_inner: Option<Inner>, since 2;
        inners: Vec<Inner>;
        tagged_number: i32 = -1, since 2, tag 0;
        tagged_inner: Option<Inner> = Some(Inner::default()), since 2, tag 1;
        tagged_text: Option<String>, since 3, tag 5;
    }

    /// Nested.
    pub struct Inner, versions 0..=3, flexible 2 {
        text: String;
        numbers: Option<Vec<i16>>, since 2, tag 0;
    }

    /// The same without versions beyond 2.
    pub struct Older, versions 0..=2, flexible 0 {
        known: i32, tag 1;
    }

    /// With more tags than `Older`.
    pub struct Newer, versions 0..=2, flexible 0 {
        before: String, tag 0;
        known: i32, tag 1;
        after: Vec<i64>, tag 9;
    }

    /// The classic member of a consumer group as Kafka declares it: default not null.
    pub struct Member, versions 0..=0, flexible 0 {
        classic: Option<Classic> = Some(Classic::default()), tag 0;
    }

    pub struct Classic, versions 0..=0, flexible 0 {
        timeout: i32;
    }
}

fn encode<S: Schema>(value: &S, version: i16) -> Vec<u8> {
    let mut out = Vec::new();
    value.encode(&mut out, version).unwrap();
    out
}

fn decode<S: Schema>(bytes: &[u8], version: i16) -> Result<S, SchemaError> {
    let mut reader = Reader::new(bytes);
    let value = S::decode(&mut reader, version)?;
    reader.finish()?;
    Ok(value)
}

fn everything(version: i16) -> Everything {
    let text = |text: &str| text.to_owned();
    let inner = |text: &str| Inner {
        text: text.to_owned(),
        numbers: (version >= 2).then(|| vec![1, -1]),
    };
    let mut value = Everything {
        tiny: -3,
        gone: if version <= 2 { 6 } else { 0 },
        ratio: 0.25,
        id: Uuid::from_u128(77),
        name: text("Ä"),
        rack: Some(text("r1")),
        blob: Bytes::from_static(b"\0\x01"),
        list: vec![1, 2, 3],
        maybe_list: Some(vec![text("x"), text("")]),
        inner: inner("in"),
        inners: vec![inner("a"), Inner::default()],
        ..Everything::default()
    };
    if version >= 2 {
        value.wide = i64::MIN;
        value.maybe_inner = Some(inner("maybe"));
        value.tagged_number = 5;
        value.tagged_inner = None;
    }
    if version >= 3 {
        value.dropped = 8;
        value.tagged_text = Some(text("tag"));
    }
    value
}

#[test]
fn every_kind_of_field_survives_every_version() {
    for version in 1..=3 {
        for value in [everything(version), Everything::default()] {
            let bytes = encode(&value, version);
            assert_eq!(
                decode::<Everything>(&bytes, version),
                Ok(value),
                "version {version}"
            );
        }
    }
}

#[test]
fn defaults_are_the_declared_ones() {
    let value = Everything::default();
    assert_eq!(
        (value.port, value.flag, value.tagged_number),
        (9092, true, -1)
    );
    assert_eq!(
        (value.tiny, value.rack, value.tagged_inner),
        (0, None, Some(Inner::default()))
    );
}

#[test]
fn versions_that_do_not_exist_are_refused_both_ways() {
    for version in [i16::MIN, -1, 0, 4, i16::MAX] {
        let error = SchemaError::UnsupportedVersion {
            schema: "Everything",
            version,
        };
        assert_eq!(
            Everything::default().encode(&mut Vec::new(), version),
            Err(error.clone())
        );
        assert_eq!(decode::<Everything>(&[0; 100], version), Err(error));
    }
}

#[test]
fn a_version_without_a_field_refuses_its_value_unless_that_is_ignorable() {
    let refused = |value: &Everything, version| value.encode(&mut Vec::new(), version);
    let missing = |field, version| {
        Err(SchemaError::FieldNotInVersion {
            schema: "Everything",
            field,
            version,
        })
    };
    let wide = Everything {
        wide: 1,
        ..Everything::default()
    };
    assert_eq!(refused(&wide, 1), missing("wide", 1));
    assert_eq!(refused(&wide, 2), Ok(()));
    let gone = Everything {
        gone: 1,
        ..Everything::default()
    };
    assert_eq!(refused(&gone, 3), missing("gone", 3));
    let tagged = Everything {
        tagged_inner: None,
        ..Everything::default()
    };
    assert_eq!(refused(&tagged, 1), missing("tagged_inner", 1));
    let dropped = Everything {
        dropped: 1,
        ..Everything::default()
    };
    let back: Everything = decode(&encode(&dropped, 2), 2).unwrap();
    assert_eq!(back.dropped, -1);
}

#[test]
fn lengths_are_wide_before_and_compact_in_flexible_versions() {
    let inner = Inner {
        text: "ab".to_owned(),
        numbers: None,
    };
    assert_eq!(encode(&inner, 1), [0, 2, b'a', b'b']);
    assert_eq!(encode(&inner, 2), [3, b'a', b'b', 0]);
    let inner = Inner {
        numbers: Some(vec![-2]),
        ..inner
    };
    assert_eq!(encode(&inner, 2), [3, b'a', b'b', 1, 0, 3, 2, 0xff, 0xfe]);
}

#[test]
fn a_tagged_struct_is_marked_null_by_a_varint() {
    assert_eq!(encode(&Member { classic: None }, 0), [1, 0, 1, 0]);
    assert_eq!(encode(&Member::default(), 0), [0]);
    let member = Member {
        classic: Some(Classic { timeout: 7 }),
    };
    let bytes = encode(&member, 0);
    assert_eq!(bytes, [1, 0, 6, 1, 0, 0, 0, 7, 0]);
    for member in [Member { classic: None }, Member::default(), member] {
        assert_eq!(decode(&encode(&member, 0), 0), Ok(member));
    }
}

#[test]
fn an_untagged_struct_is_marked_null_by_an_int8() {
    let at = |value: &Everything| {
        let (null, some) = (Everything::default(), value);
        let (null, some) = (encode(&null, 2), encode(some, 2));
        let differs = null.iter().zip(&some).position(|(a, b)| a != b).unwrap();
        (null[differs] as i8, some[differs] as i8)
    };
    let value = Everything {
        maybe_inner: Some(Inner::default()),
        ..Everything::default()
    };
    assert_eq!(at(&value), (-1, 1));
}

#[test]
fn tags_of_a_later_version_are_skipped() {
    let newer = Newer {
        before: "b".to_owned(),
        known: 3,
        after: vec![1, 2],
    };
    assert_eq!(decode(&encode(&newer, 0), 0), Ok(Older { known: 3 }));
}

#[test]
fn tags_must_rise_and_fill_their_size() {
    assert_eq!(decode(&[1, 1, 4, 0, 0, 0, 3], 0), Ok(Older { known: 3 }));
    let twice = [2, 1, 4, 0, 0, 0, 3, 1, 4, 0, 0, 0, 3];
    assert_eq!(decode::<Older>(&twice, 0), Err(SchemaError::TagOrder));
    let falling = [2, 5, 0, 1, 4, 0, 0, 0, 3];
    assert_eq!(decode::<Older>(&falling, 0), Err(SchemaError::TagOrder));
    let too_long = [1, 1, 5, 0, 0, 0, 3, 9];
    assert_eq!(
        decode::<Older>(&too_long, 0),
        Err(SchemaError::TrailingBytes(1))
    );
    assert!(decode::<Older>(&[1, 1, 3, 0, 0, 3], 0).is_err());
    assert!(decode::<Older>(&[0xff, 0xff, 0xff, 0xff, 0x0f], 0).is_err());
}

#[test]
fn null_and_impossible_lengths_are_refused() {
    assert_eq!(
        decode::<Inner>(&[0xff, 0xff], 1),
        Err(SchemaError::UnexpectedNull)
    );
    assert_eq!(decode::<Inner>(&[0], 2), Err(SchemaError::UnexpectedNull));
    assert_eq!(
        decode::<Inner>(&[0x80, 0x00], 1),
        Err(SchemaError::InvalidLength(-32768))
    );
    assert!(matches!(
        decode::<Inner>(&[0, 9], 1),
        Err(SchemaError::Truncated { .. })
    ));
    assert_eq!(
        decode::<Inner>(&[0, 1, 0xff], 1),
        Err(SchemaError::InvalidUtf8)
    );
    let mut long = vec![0x81, 0x80, 0x02];
    long.extend(vec![b'x'; 32_768]);
    assert_eq!(
        decode::<Inner>(&long, 2),
        Err(SchemaError::InvalidLength(32_768))
    );
    let huge_array = [1, 1, 0, 5, 0xff, 0xff, 0xff, 0xff, 0x0f];
    assert!(decode::<Inner>(&huge_array, 2).is_err());
}

#[test]
fn a_string_beyond_its_length_field_is_refused() {
    let inner = Inner {
        text: "x".repeat(32_768),
        numbers: None,
    };
    for version in 1..=2 {
        assert_eq!(
            inner.encode(&mut Vec::new(), version),
            Err(SchemaError::TooLong(32_768))
        );
    }
}

#[test]
fn a_version_prefix_is_an_int16() {
    let inner = Inner {
        text: "v".to_owned(),
        numbers: None,
    };
    let mut bytes = inner.encode_versioned(1).unwrap();
    assert_eq!(bytes, [0, 1, 0, 1, b'v']);
    bytes.push(0xaa);
    assert_eq!(Inner::decode_versioned(&bytes), Ok((1, inner)));
    assert!(Inner::decode_versioned(&[0]).is_err());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic_and_what_decodes_encodes(bytes: Vec<u8>, version in 1..=3i16) {
        if let Ok(value) = Everything::decode(&mut Reader::new(&bytes), version) {
            prop_assert!(value.encode(&mut Vec::new(), version).is_ok());
        }
    }

    #[test]
    fn damaged_bytes_never_panic(
        version in 1..=3i16, at: prop::sample::Index, byte: u8, cut: prop::sample::Index,
    ) {
        let mut bytes = encode(&everything(version), version);
        let place = at.index(bytes.len());
        bytes[place] = byte;
        let _ = decode::<Everything>(&bytes, version);
        prop_assert!(
            decode::<Everything>(&encode(&everything(version), version)[..cut.index(bytes.len())], version).is_err()
        );
    }
}
