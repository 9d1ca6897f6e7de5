//! Tests of the walk, and a generator of messages from their layouts that other tests use too.

use bytes::{BufMut, BytesMut};

use super::program::{Array, Tagged};
use super::*;
use crate::protocol::api;

/// A generator of pseudo-random numbers, so that a failure can be repeated from its seed.
pub(in crate::protocol) struct Random(pub(in crate::protocol) u64);

impl Random {
    /// A number below `bound`.
    pub(in crate::protocol) fn below(&mut self, bound: u64) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// The bytes of some message of this layout.
pub(in crate::protocol) fn some_message(
    key: ApiKey,
    direction: Direction,
    version: i16,
    random: &mut Random,
) -> BytesMut {
    let mut buffer = BytesMut::new();
    let program = find(key, direction, version).expect("a version that is coded");
    generate(&program.steps, 0, random, &mut buffer);
    buffer
}

fn generate(steps: &[Step], depth: u32, random: &mut Random, buffer: &mut BytesMut) {
    for step in steps {
        match step {
            // Small bytes: no number of them is a NaN, which is not equal to itself.
            Step::Skip(count) => {
                (0..*count).for_each(|_| buffer.put_u8(random.below(0x40) as u8));
            }
            Step::String(length) | Step::Bytes(length) => {
                if let Some(count) = generate_length(*length, 4, random, buffer) {
                    (0..count).for_each(|_| buffer.put_u8(b'a' + random.below(26) as u8));
                }
            }
            Step::Array(array) => {
                let count_max = if depth < 3 { 3 } else { 1 };
                let count = generate_length(array.length, count_max, random, buffer);
                for _ in 0..count.unwrap_or(0) {
                    generate(&array.element, depth + 1, random, buffer);
                }
            }
            Step::MaybeStruct(body) if random.below(2) == 0 => {
                buffer.put_u8(1);
                generate(body, depth + 1, random, buffer);
            }
            Step::MaybeStruct(_) => buffer.put_i8(-1),
            Step::Tagged(known) => generate_tagged(known, depth, random, buffer),
        }
    }
}

fn generate_length(
    form: Length,
    max: u64,
    random: &mut Random,
    buffer: &mut BytesMut,
) -> Option<usize> {
    let length = random.below(max + 1) as usize;
    let length = (!form.is_nullable() || random.below(4) > 0).then_some(length);
    put_length(form, length.map_or(-1, |length| length as i64), buffer);
    length
}

fn put_length(form: Length, length: i64, buffer: &mut BytesMut) {
    match form {
        Length::Int16 { .. } => buffer.put_i16(length as i16),
        Length::Int32 { .. } => buffer.put_i32(length as i32),
        Length::Compact { .. } => wire::put_uvarint(buffer, (length + 1) as u32),
    }
}

fn generate_tagged(known: &[Tagged], depth: u32, random: &mut Random, buffer: &mut BytesMut) {
    let mut fields: Vec<(u32, BytesMut)> = Vec::new();
    for field in known {
        if random.below(2) == 0 {
            let mut contents = BytesMut::new();
            generate(&field.steps, depth + 1, random, &mut contents);
            fields.push((field.tag, contents));
        }
    }
    if random.below(8) == 0 {
        let contents = (0..random.below(4))
            .map(|_| random.below(256) as u8)
            .collect();
        fields.push((1000 + random.below(1000) as u32, contents));
    }
    wire::put_uvarint(buffer, fields.len() as u32);
    for (tag, contents) in fields {
        wire::put_uvarint(buffer, tag);
        wire::put_uvarint(buffer, contents.len() as u32);
        buffer.put_slice(&contents);
    }
}

/// Every message that can be coded.
pub(in crate::protocol) fn every_message() -> impl Iterator<Item = (ApiKey, Direction, i16)> {
    ApiKey::iter().flat_map(|key| {
        let both = [Direction::Request, Direction::Response];
        let versions = api::codec_versions(key);
        both.into_iter()
            .flat_map(move |way| versions.clone().map(move |v| (key, way, v)))
    })
}

fn check_request(key: ApiKey, version: i16, bytes: &[u8]) -> Result<usize, ShapeErrorKind> {
    let result = check(key, Direction::Request, version, bytes);
    result
        .expect("a version that is coded")
        .map_err(|error| error.kind)
}

#[test]
fn every_layout_can_be_compiled_and_is_in_its_place() {
    assert!(table::LAYOUTS.is_sorted_by_key(|layout| layout.key as i16));
    for key in ApiKey::iter() {
        assert!(layout(key).is_some(), "{key:?}");
        assert!((key as usize) < KEYS);
    }
    assert!(every_message().count() > 500);
    for (key, direction, version) in every_message() {
        assert!(
            find(key, direction, version).is_some(),
            "{key:?} {direction:?} {version}"
        );
    }
    assert!(find(ApiKey::Metadata, Direction::Request, -1).is_none());
    assert!(find(ApiKey::Metadata, Direction::Request, 14).is_none());
    assert!(find(ApiKey::Fetch, Direction::Response, 3).is_none());
    assert!(find(ApiKey::Fetch, Direction::Response, i16::MIN).is_none());
}

#[test]
fn lengths_that_abort_an_unguarded_decoder_are_refused() {
    let huge = [0x7f, 0xff, 0xff, 0xff];
    let huge_compact = [0xff, 0xff, 0xff, 0xff, 0x0f];
    let fetch_4 = [&[0; 17][..], &huge].concat();
    for (key, version, bytes) in [
        (ApiKey::Metadata, 0, &huge[..]),
        (ApiKey::Fetch, 4, &fetch_4),
        (ApiKey::Metadata, 9, &huge_compact),
    ] {
        let result = check_request(key, version, bytes);
        assert_eq!(
            result,
            Err(ShapeErrorKind::ArrayTooLong),
            "{key:?} {version}"
        );
    }
}

#[test]
fn a_whole_message_is_walked_and_what_follows_it_is_left_alone() {
    let mut random = Random(1);
    for (key, direction, version) in every_message() {
        for _ in 0..20 {
            let mut bytes = some_message(key, direction, version, &mut random);
            let length = bytes.len();
            bytes.put_slice(b"\xff\xff\xff\xff");
            let result = check(key, direction, version, &bytes).unwrap();
            assert_eq!(
                result,
                Ok(length),
                "{key:?} {direction:?} {version} {bytes:02x?}"
            );
            // Without its last byte, no message is whole.
            if length > 0 {
                let cut = check(key, direction, version, &bytes[..length - 1]).unwrap();
                assert!(cut.is_err(), "{key:?} {direction:?} {version} {bytes:02x?}");
            }
        }
    }
}

#[test]
fn what_is_wrong_is_told() {
    use ShapeErrorKind::*;
    let many_tags = [&[1, 0, 0, 0, 65][..], &[0; 200]].concat();
    let cases: &[(ApiKey, i16, &[u8], ShapeErrorKind)] = &[
        (
            ApiKey::Metadata,
            8,
            &[0xff, 0xff, 0xff, 0xfe, 0, 0, 0],
            BadLength,
        ),
        (
            ApiKey::Metadata,
            8,
            &[0, 0, 0, 1, 0xff, 0xff, 0, 0, 0],
            Null,
        ),
        (
            ApiKey::Metadata,
            8,
            &[0, 0, 0, 1, 0x7f, 0xff, 0, 0, 0],
            Short,
        ),
        (ApiKey::Metadata, 8, &[0, 0, 0, 0, 0, 0], Short),
        (
            ApiKey::Metadata,
            9,
            &[0x80, 0x80, 0x80, 0x80, 0x80, 0],
            BadLength,
        ),
        (ApiKey::Metadata, 9, &[2, 0, 0, 0, 0, 0, 0], Null),
        (ApiKey::Metadata, 9, &many_tags, TooManyTaggedFields),
        (ApiKey::Metadata, 9, &[1, 0, 0, 0, 1, 5, 9, 0], Short),
        (
            ApiKey::DescribeTopicPartitions,
            0,
            &[1, 0, 0, 0, 1, 7, 0],
            BadLength,
        ),
    ];
    for (key, version, bytes, expected) in cases {
        let result = check_request(*key, *version, bytes);
        assert_eq!(result, Err(*expected), "{key:?} {version} {bytes:02x?}");
    }
    let error = check(ApiKey::Metadata, Direction::Request, 8, &[0, 0, 0, 0, 0]).unwrap();
    assert_eq!(error.unwrap_err().to_string(), "it ends early (at byte 4)");
}

#[test]
fn a_known_tagged_field_has_to_have_the_size_that_it_says() {
    // The cluster id of a Fetch request is tagged field 0.
    let fetch = |size: u8| {
        let mut bytes = vec![0; 4 + 4 + 4 + 4 + 1 + 4 + 4];
        bytes.extend([1, 1, 1, 1, 0, size, 4, b'a', b'b', b'c']);
        bytes
    };
    assert_eq!(check_request(ApiKey::Fetch, 12, &fetch(4)), Ok(35));
    assert_eq!(
        check_request(ApiKey::Fetch, 12, &fetch(5)),
        Err(ShapeErrorKind::Short)
    );
    for size in [0, 3] {
        let result = check_request(ApiKey::Fetch, 12, &fetch(size));
        assert_eq!(result, Err(ShapeErrorKind::TaggedFieldSize), "{size}");
    }
}

#[test]
fn elements_are_counted_over_the_whole_message_when_they_cost_memory() {
    let list_groups = |states: u32| {
        let mut buffer = BytesMut::new();
        wire::put_uvarint(&mut buffer, states + 1);
        buffer.put_bytes(1, states as usize);
        buffer.put_slice(&[1, 0]);
        buffer[..].to_vec()
    };
    let max = REQUEST_ELEMENTS_MAX;
    assert!(check_request(ApiKey::ListGroups, 5, &list_groups(max)).is_ok());
    let result = check_request(ApiKey::ListGroups, 5, &list_groups(max + 1));
    assert_eq!(result, Err(ShapeErrorKind::TooManyElements));
    // As many numbers take no more memory than they have bytes.
    let numbers = max + 1;
    let mut delete = BytesMut::new();
    delete.put_slice(&[2, 2, b't']);
    wire::put_uvarint(&mut delete, numbers + 1);
    delete.put_bytes(0, numbers as usize * 4 + 2);
    let replicas = check_request(ApiKey::DescribeLogDirs, 2, &delete);
    assert_eq!(replicas, Ok(delete.len()));
}

#[test]
fn unknown_tagged_fields_are_counted_over_the_whole_message() {
    let request = |topics: u32| {
        let mut buffer = BytesMut::new();
        wire::put_uvarint(&mut buffer, topics + 1);
        for _ in 0..topics {
            buffer.put_slice(&[2, b't', 64]);
            (0..64).for_each(|tag| buffer.put_slice(&[tag, 0]));
        }
        buffer.put_slice(&[0, 0, 0, 0]);
        buffer[..].to_vec()
    };
    let topics_max = TAGGED_FIELDS_IN_MESSAGE_MAX / 64;
    assert!(check_request(ApiKey::Metadata, 9, &request(topics_max)).is_ok());
    let result = check_request(ApiKey::Metadata, 9, &request(topics_max + 1));
    assert_eq!(result, Err(ShapeErrorKind::TooManyTaggedFields));
}

#[test]
fn a_produce_request_is_walked_in_few_steps() {
    let program = find(ApiKey::Produce, Direction::Request, 9).unwrap();
    let [
        Step::String(_),
        Step::Skip(6),
        Step::Array(topics),
        Step::Tagged(_),
    ] = &program.steps[..]
    else {
        panic!("{program:?}");
    };
    let Array {
        element,
        is_fixed: false,
        is_counted: true,
        ..
    } = &**topics
    else {
        panic!("{program:?}");
    };
    assert_eq!(element.len(), 3);
}
