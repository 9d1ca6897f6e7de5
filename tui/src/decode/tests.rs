//! Payloads as other programs write them, and payloads as nobody would.

use bytes::Bytes;
use kafka_shared::schema::Schema as _;
use kafka_shared::schema::offsets::{
    GroupRecordType, OffsetCommitKey, OffsetCommitValue, OffsetsKey,
};
use kafka_shared::schema::transaction::{TransactionLogRecord, TransactionLogValue};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::model::{Control, Fate, RecordFacts};

fn message(key: Option<&[u8]>, value: Option<&[u8]>) -> Message {
    Message {
        topic: "t".into(),
        partition: 1,
        offset: 7,
        timestamp_ms: 1_700_000_000_000,
        key: key.map(Bytes::copy_from_slice),
        value: value.map(Bytes::copy_from_slice),
        headers: Vec::new(),
        facts: RecordFacts::default(),
    }
}

fn read(decoder: Decoder, bytes: &[u8]) -> Decoded {
    let message = message(None, Some(bytes));
    decode(&message, Part::Value, decoder, &SchemaBook::default()).unwrap()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

#[test]
fn every_decoder_is_found_by_its_name() {
    for decoder in Decoder::ALL {
        assert_eq!(decoder.name().parse(), Ok(*decoder));
    }
    assert_eq!(Decoder::default(), Decoder::Auto);
    let why = "xml".parse::<Decoder>().unwrap_err();
    assert!(why.contains("msgpack"), "{why}");
}

#[test]
fn what_fits_is_found_and_named() {
    let double = 1.5_f64.to_be_bytes();
    let float = (-2.25_f32).to_be_bytes();
    let uuid = unhex("550e8400e29b41d4a716446655440000");
    for (bytes, decoder, value) in [
        (&b"hello\tworld"[..], "text", json!("hello\tworld")),
        (b"", "empty", json!("")),
        (b"{\"b\":1,\"a\":[]}", "json", json!({"b": 1, "a": []})),
        (b"{not json", "text", json!("{not json")),
        (b"42", "text", json!("42")),
        (
            b"\x1b[31mred and more\x1b[0m",
            "text",
            json!("\u{1b}[31mred and more\u{1b}[0m"),
        ),
        (&[0, 0, 0, 42], "int", json!(42)),
        (&[0, 0, 0, 0, 0, 1, 0, 0], "long", json!(65_536)),
        (&[0xff; 8], "long", json!(-1)),
        (&[1, 0], "short", json!(256)),
        (&double, "double", json!(1.5)),
        (&float, "float", json!(-2.25)),
        (&uuid, "uuid", json!("550e8400-e29b-41d4-a716-446655440000")),
        (
            b"\x82\xa1a\x01\xa1b\xc3",
            "msgpack",
            json!({"a": 1, "b": true}),
        ),
        (b"\xa1\x61a\x82\x01\xf5", "cbor", json!({"a": [1, true]})),
        (
            &[0xde, 0xad, 0xbe, 0xef, 0x00],
            "hex",
            json!("0xdeadbeef00"),
        ),
    ] {
        let decoded = read(Decoder::Auto, bytes);
        assert_eq!(
            (&*decoded.decoder, &decoded.value),
            (decoder, &value),
            "{bytes:?}"
        );
        assert_eq!(decoded.error, None, "{bytes:?}");
    }
}

#[test]
fn a_decoder_that_fails_says_why_and_shows_the_bytes() {
    for (decoder, bytes, why) in [
        (Decoder::Int, &b"abc"[..], "int: it has 3 bytes and not 4"),
        (Decoder::Text, b"ab\xff", "text: byte 2: it is no UTF-8"),
        (Decoder::Json, b"{", "json: EOF"),
        (Decoder::Uuid, b"x", "uuid: it has 1 bytes and not 16"),
        (
            Decoder::MessagePack,
            b"\x01\x02",
            "msgpack: byte 1: 1 bytes are left over",
        ),
        (Decoder::MessagePack, b"\xc1", "msgpack: byte 0: 0xc1"),
        (Decoder::Cbor, b"\x1c", "cbor: byte 1: 0x1c means nothing"),
        (Decoder::Cbor, b"\xff", "cbor: byte 0: an end"),
        (Decoder::Registry, b"hello", "registry: neither"),
        (
            Decoder::Registry,
            b"\0\0\0\0\x07x",
            "schema 7: no schema registry is named",
        ),
        (Decoder::Offsets, b"hello", "offsets: "),
    ] {
        let decoded = read(decoder, bytes);
        let error = decoded.error.unwrap();
        assert!(error.starts_with(why), "{error}");
        assert_eq!(decoded.value, json!(hex(bytes)));
        assert!(decoded.text.starts_with("000000  "), "{}", decoded.text);
    }
}

/// The examples of the MessagePack specification and of RFC 8949, appendix A.
#[test]
fn messagepack_and_cbor_as_they_are_specified() {
    for (bytes, value) in [
        ("ff", json!(-1)),
        ("d1 8000", json!(-32768)),
        ("cf ffffffffffffffff", json!(u64::MAX)),
        ("cb 3ff199999999999a", json!(1.1)),
        ("ca 3fc00000", json!(1.5)),
        ("c4 02 0102", json!("0x0102")),
        ("dc 0002 c0 a2 6869", json!([null, "hi"])),
        ("df 00000001 a1 61 93 01 02 03", json!({"a": [1, 2, 3]})),
        ("d6 ff 00000001", json!("1970-01-01T00:00:01Z")),
        (
            "d7 05 0102030405060708",
            json!({"extension": 5, "bytes": "0x0102030405060708"}),
        ),
    ] {
        let decoded = read(Decoder::MessagePack, &unhex(bytes));
        assert_eq!((decoded.value, decoded.error), (value, None), "{bytes}");
    }
    for (bytes, value) in [
        ("1b ffffffffffffffff", json!(u64::MAX)),
        ("3b ffffffffffffffff", json!("-18446744073709551616")),
        ("39 03e7", json!(-1000)),
        ("f9 3c00", json!(1.0)),
        ("f9 0001", json!(5.960464477539063e-8)),
        ("f9 c400", json!(-4.0)),
        ("f9 7c00", json!("inf")),
        ("fa 47c35000", json!(100_000.0)),
        ("fb c010666666666666", json!(-4.1)),
        ("f6", json!(null)),
        ("f0", json!({"simple": 16})),
        ("c1 1a 514b67b0", json!("2013-03-21T20:04:00Z")),
        ("d8 20 64 69657466", json!("ietf")),
        ("44 01020304", json!("0x01020304")),
        ("62 c3bc", json!("ü")),
        ("a3 01 02 03 04 61 78 05", json!({"1": 2, "3": 4, "x": 5})),
        ("5f 42 0102 43 030405 ff", json!("0x0102030405")),
        ("7f 65 7374726561 61 6d ff", json!("stream")),
        ("9f 01 82 02 03 9f 04 05 ff ff", json!([1, [2, 3], [4, 5]])),
        (
            "bf 61 61 01 61 62 9f 02 03 ff ff",
            json!({"a": 1, "b": [2, 3]}),
        ),
        ("d9 d9f7 82 01 02", json!([1, 2])),
    ] {
        let bytes = unhex(bytes);
        let decoded = read(Decoder::Cbor, &bytes);
        assert_eq!((decoded.value, decoded.error), (value, None), "{bytes:x?}");
    }
}

#[test]
fn few_bytes_never_become_many_values_or_a_deep_stack() {
    let deep = [0x91; 10_000];
    assert!(
        read(Decoder::MessagePack, &deep)
            .error
            .unwrap()
            .contains("levels deep")
    );
    let deep = [0x9f; 10_000];
    assert!(
        read(Decoder::Cbor, &deep)
            .error
            .unwrap()
            .contains("levels deep")
    );
    let huge = unhex("dd ffffffff");
    assert!(
        read(Decoder::MessagePack, &huge)
            .error
            .unwrap()
            .contains("does not fit")
    );
    let mut tags = vec![0xc6; 10_000];
    tags.push(1);
    assert!(
        read(Decoder::Cbor, &tags)
            .error
            .unwrap()
            .contains("levels deep")
    );
    // A thousand million nulls of Avro take five bytes.
    let book = book(SchemaKind::Avro, r#"{"type":"array","items":"null"}"#, &[]);
    let message = message(None, Some(&unhex("00 00000007 80a8d6b907 00")));
    let decoded = decode(&message, Part::Value, Decoder::Registry, &book).unwrap();
    assert!(decoded.error.unwrap().contains("more than 200000 values"));
    let nested = format!(
        "{}\"int\"{}",
        r#"{"type":"array","items":"#.repeat(200),
        "}".repeat(200)
    );
    let schema = schema(SchemaKind::Avro, &nested);
    assert!(Compiled::new(&schema, &[]).is_err());
    let nested = format!("{}{}", "message A { ".repeat(2_000), "}".repeat(2_000));
    let schema = self::schema(SchemaKind::Protobuf, &nested);
    assert!(
        Compiled::new(&schema, &[])
            .unwrap_err()
            .contains("levels deep")
    );
}

fn schema(kind: SchemaKind, text: &str) -> SchemaText {
    SchemaText {
        kind,
        text: text.to_owned(),
        references: Vec::new(),
    }
}

/// A book that has this as schema 7.
fn book(kind: SchemaKind, text: &str, references: &[&str]) -> SchemaBook {
    let references: Vec<String> = references.iter().map(|text| (*text).to_owned()).collect();
    let compiled = Compiled::new(&schema(kind, text), &references).unwrap();
    let book = SchemaBook::of_registry();
    book.put(SchemaRef::Id(7), Ok(std::sync::Arc::new(compiled)));
    book
}

fn registered(book: &SchemaBook, payload: &str) -> Decoded {
    let bytes = [vec![0, 0, 0, 0, 7], unhex(payload)].concat();
    let message = message(None, Some(&bytes));
    decode(&message, Part::Value, Decoder::Auto, book).unwrap()
}

#[test]
fn avro_with_all_its_types() {
    let text = r#"{
        "type": "record", "name": "Order", "namespace": "shop", "fields": [
            {"name": "id", "type": "long"},
            {"name": "name", "type": ["null", "string"], "default": null},
            {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}},
            {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
            {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
            {"name": "day", "type": {"type": "int", "logicalType": "date"}},
            {"name": "tags", "type": {"type": "map", "values": "int"}},
            {"name": "hash", "type": {"type": "fixed", "name": "Hash", "size": 2}},
            {"name": "ratio", "type": "double"},
            {"name": "ok", "type": "boolean"},
            {"name": "next", "type": ["null", "Order"]},
            {"name": "address", "type": "geo.Address"}
        ]}"#;
    let address = r#"{"type":"record","name":"Address","namespace":"geo","fields":[{"name":"zip","type":"string"}]}"#;
    let book = book(SchemaKind::Avro, text, &[address]);
    let payload = "
        54 02 04 6869 02 04 fb2e
        80a0abfef962 02
        01 04 02 61 06 00 cafe
        000000000000f83f 01 00 06 313233";
    let decoded = registered(&book, payload);
    assert_eq!(decoded.error, None);
    assert_eq!(decoded.decoder, "avro shop.Order, schema 7");
    let expected = json!({
        "id": 42, "name": "hi", "kind": "B", "price": "-12.34",
        "at": "2023-11-14T22:13:20Z", "day": "1970-01-02", "tags": {"a": 3}, "hash": "0xcafe",
        "ratio": 1.5, "ok": true, "next": null, "address": {"zip": "123"},
    });
    assert_eq!(decoded.value, expected);
    let names: Vec<&String> = decoded.value.as_object().unwrap().keys().collect();
    assert_eq!(names[0], "id", "fields stay in the order of the schema");
    let cut = registered(&book, "54 02 10 6869");
    let error = cut.error.unwrap();
    assert!(
        error.starts_with("avro shop.Order, schema 7: name: byte 3: 8 bytes"),
        "{error}"
    );
    assert!(cut.decoder == "hex" && cut.value == json!("0x00000000075402106869"));
}

#[test]
fn protobuf_with_nesting_maps_packed_fields_groups_and_well_known_types() {
    let common = "syntax = \"proto3\"; package common; enum Colour { NONE = 0; RED = 1; }";
    let text = r#"
        syntax = "proto3"; // a comment
        package shop;
        import "google/protobuf/timestamp.proto";
        import "common.proto";
        option java_package = "x.y";
        /* another { */
        message Ignored { reserved 1 to 5, "x"; }
        message Order {
            option deprecated = true;
            message Item {
                string sku = 1;
                sint32 delta = 2 [(my.option) = { a: "}" }];
            }
            int64 id = 1;
            repeated Item items = 2;
            map<string, int32> counts = 3;
            repeated int32 packed = 4;
            oneof which { string text = 5; bytes raw = 6; }
            .common.Colour colour = 7;
            google.protobuf.Timestamp at = 8;
            double ratio = 9;
            optional bool ok = 10;
            missing.Type what = 11;
        }
        service S { rpc Get (Order) returns (Order) { option x = "{"; } }
    "#;
    let book = book(SchemaKind::Protobuf, text, &[common]);
    let order = "
        08 2a
        12 05 0a 01 61 10 03
        12 03 0a 01 62
        1a 05 0a 01 78 10 05
        22 03 01 02 03
        32 02 cafe
        38 01
        42 06 08 80e2cfaa06
        49 000000000000f83f
        50 01
        5a 01 ff
        78 05";
    // The second message of the file.
    let decoded = registered(&book, &format!("02 02 {order}"));
    assert_eq!(decoded.error, None);
    assert_eq!(decoded.decoder, "protobuf shop.Order, schema 7");
    let expected = json!({
        "id": 42,
        "items": [{"sku": "a", "delta": -2}, {"sku": "b"}],
        "counts": {"x": 5},
        "packed": [1, 2, 3],
        "raw": "0xcafe",
        "colour": "RED",
        "at": "2023-11-14T22:13:20Z",
        "ratio": 1.5,
        "ok": true,
        "what": {"undeclared": "missing.Type", "bytes": "0xff"},
        "15": 5,
    });
    assert_eq!(decoded.value, expected);
    // The first message in the second.
    let item = registered(&book, "04 02 00 0a 01 61");
    assert_eq!(item.decoder, "protobuf shop.Order.Item, schema 7");
    assert_eq!(item.value, json!({"sku": "a"}));
    let error = registered(&book, "02 0e 08 01").error.unwrap();
    assert!(error.contains("no message [7]"), "{error}");
    let error = registered(&book, "02 02 09 01").error.unwrap();
    assert!(
        error.contains("id: ") && error.contains("wire type 1"),
        "{error}"
    );
    // Without a schema only numbers are known.
    let raw = read(
        Decoder::Protobuf,
        &unhex("08 96 01 12 07 74657374696e67 08 01"),
    );
    assert_eq!(raw.value, json!({"1": [150, 1], "2": "testing"}));
}

#[test]
fn a_mistake_in_a_proto_file_is_told_with_its_line() {
    for (text, why) in [
        ("message A {\n int32 = 1; }", "line 2: a name is wanted"),
        ("message A { /* ", "a comment does not end"),
        ("\n\nnonsense", "line 3: \"nonsense\""),
        ("message A { int32 x = 1", "the file ends too early"),
    ] {
        let error = Compiled::new(&schema(SchemaKind::Protobuf, text), &[]).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn json_behind_a_schema_and_schemas_named_by_headers() {
    let book = book(SchemaKind::Json, r#"{"title":"Order"}"#, &[]);
    let decoded = registered(&book, "7b7d");
    assert_eq!(
        (&*decoded.decoder, decoded.value),
        ("json Order, schema 7", json!({}))
    );
    // Without a registry the payload tells itself.
    let bytes = [&[0, 0, 0, 0, 9][..], b"{\"a\":1}"].concat();
    assert_eq!(read(Decoder::Auto, &bytes).decoder, "json behind schema 9");
    // A GUID in a header.
    let guid = uuid::Uuid::from_u128(0x1234);
    let compiled = Compiled::new(&schema(SchemaKind::Avro, "\"string\""), &[]).unwrap();
    book.put(SchemaRef::Guid(guid), Ok(std::sync::Arc::new(compiled)));
    let mut message = message(None, Some(b"\x04hi"));
    message.headers.push(Header {
        key: "__value_schema_id".into(),
        value: Some([&[1][..], guid.as_bytes()].concat().into()),
    });
    let wanted = schema_of(&message, Part::Value, Decoder::Auto);
    assert_eq!(wanted, Some(SchemaRef::Guid(guid)));
    let decoded = decode(&message, Part::Value, Decoder::Auto, &book).unwrap();
    assert_eq!(decoded.value, json!("hi"));
    assert_eq!(schema_of(&message, Part::Key, Decoder::Auto), None);
}

#[test]
fn a_registry_that_does_not_know_an_id_leaves_what_the_bytes_could_be() {
    let book = SchemaBook::of_registry();
    book.put(
        SchemaRef::Id(1),
        Err("the registry does not have it".to_owned()),
    );
    let with = |bytes: &[u8]| {
        let message = message(None, Some(bytes));
        decode(&message, Part::Value, Decoder::Auto, &book).unwrap()
    };
    assert_eq!(with(&[0, 0, 0, 0, 1, 0, 0, 0]).decoder, "long");
    let unknown = with(&[0, 0, 0, 0, 1, 0xff, 0xfe]);
    assert_eq!(
        unknown.error.as_deref(),
        Some("schema 1: the registry does not have it")
    );
}

#[test]
fn what_a_registry_answers() {
    let answer = json!({
        "schema": "syntax", "schemaType": "PROTOBUF",
        "references": [{"name": "a.proto", "subject": "a", "version": 3}],
    });
    let schema = SchemaText::parse(&answer).unwrap();
    assert_eq!(schema.kind, SchemaKind::Protobuf);
    assert_eq!(
        schema.references,
        [("a.proto".to_owned(), "a".to_owned(), 3)]
    );
    assert_eq!(
        SchemaText::parse(&json!({"schema": "\"int\""}))
            .unwrap()
            .kind,
        SchemaKind::Avro
    );
    for bad in [
        json!({}),
        json!({"schema": "x", "schemaType": "XML"}),
        json!([]),
    ] {
        assert!(SchemaText::parse(&bad).is_err(), "{bad}");
    }
}

#[test]
fn kafkas_own_topics_are_read_without_being_asked() {
    let key = OffsetsKey::OffsetCommit(OffsetCommitKey {
        group: "g".to_owned(),
        topic: "orders".to_owned(),
        partition: 3,
    });
    let value = OffsetCommitValue {
        offset: 99,
        commit_timestamp: 1_700_000_000_000,
        ..OffsetCommitValue::default()
    };
    let mut offsets = message(
        Some(&key.encode().unwrap()),
        Some(&value.encode_versioned(3).unwrap()),
    );
    offsets.topic = "__consumer_offsets".into();
    let book = SchemaBook::default();
    let of = |part| decode(&offsets, part, Decoder::Auto, &book).unwrap();
    let key = json!({"record": "OffsetCommit", "group": "g", "topic": "orders", "partition": 3});
    assert_eq!(of(Part::Key).value, key);
    let value = of(Part::Value).value;
    assert_eq!(value["offset"], 99);
    assert_eq!(value["commit_timestamp_text"], "2023-11-14T22:13:20Z");
    let key = OffsetsKey::Group {
        record_type: GroupRecordType::ConsumerGroupCurrentMemberAssignment,
        group: "g".to_owned(),
        part: Some("m".to_owned()),
    };
    // Epoch 3 after 2, giving partitions away, nothing owned.
    let value = [0, 0, 0, 0, 0, 3, 0, 0, 0, 2, 1, 1, 1, 0];
    let mut assignment = message(Some(&key.encode().unwrap()), Some(&value));
    assignment.topic = "__consumer_offsets".into();
    let decoded = decode(&assignment, Part::Value, Decoder::Auto, &book).unwrap();
    let expected = json!({
        "record": "ConsumerGroupCurrentMemberAssignment",
        "member_epoch": 3,
        "previous_member_epoch": 2,
        "state": "UNREVOKED_PARTITIONS",
        "assigned_partitions": [],
        "partitions_pending_revocation": [],
    });
    assert_eq!(decoded.value, expected);
    let record = TransactionLogRecord {
        transactional_id: "tx".to_owned(),
        value: Some(TransactionLogValue {
            producer_id: 5,
            transaction_status: 1,
            ..TransactionLogValue::default()
        }),
    };
    let (key, value) = record.encode(0).unwrap();
    let mut message = message(Some(&key), value.as_deref());
    message.topic = "__transaction_state".into();
    let decoded = decode(&message, Part::Value, Decoder::Auto, &book).unwrap();
    assert_eq!(decoded.value["transaction_status"], "Ongoing");
    let decoded = decode(&message, Part::Key, Decoder::Auto, &book).unwrap();
    assert_eq!(decoded.value, json!({"transactional_id": "tx"}));
}

fn filter(text: &str) -> MessageFilter {
    MessageFilter::parse(text, &|text| text.parse().ok()).unwrap()
}

fn chosen(text: &str, message: &Message) -> bool {
    filter(text).accepts(message, Default::default(), &SchemaBook::default())
}

#[test]
fn filters_choose_by_key_value_path_header_place_and_time() {
    let value =
        br#"{"user":{"id":42,"name":"Ada"},"items":[{"sku":"x"},{"sku":"y"}],"ok":true,"n":null}"#;
    let mut message = message(Some(b"user-42"), Some(value));
    message.headers = vec![
        Header {
            key: "src".into(),
            value: Some(Bytes::from_static(b"test-7")),
        },
        Header {
            key: "gone".into(),
            value: None,
        },
    ];
    for yes in [
        "ada",
        "USER-42",
        "test-7",
        "\"name\":",
        "key == user-42",
        "key ~ USER",
        "key =~ '^user-[0-9]+$'",
        "value.user.id == 42",
        "value.user.id >= 42",
        "value.user.id",
        "value.user.name == Ada",
        "value.items[1].sku == y",
        "value.items[*].sku == x",
        "value.ok == true",
        "value.n == null",
        "header.src ~ test",
        "header[\"src\"] == test-7",
        "header.gone == null",
        "not header.gone",
        "partition == 1",
        "offset = 7",
        "offset<8",
        "time > 1600000000000",
        "size > 10",
        "ada and partition == 1",
        "nothing or ada",
        "not (nothing or control)",
        "ada test-7",
        "value.user['name'] == Ada",
        "value.missing != 5",
        "not value.missing",
        "value !~ bob",
        "not aborted and control == false",
    ] {
        assert!(chosen(yes, &message), "{yes}");
    }
    for no in [
        "bob",
        "key == user",
        "value.user.id == 43",
        "value.user.id == \"x\"",
        "value.items[2].sku",
        "header.other",
        "partition == 2",
        "not ada",
        "ada and bob",
        "(ada",
        "value.n",
        "aborted",
        "value.items[*].sku != x",
        "time > 1800000000000",
    ] {
        match MessageFilter::parse(no, &|text| text.parse().ok()) {
            Ok(filter) => {
                let accepts = filter.accepts(&message, Default::default(), &SchemaBook::default());
                assert!(!accepts, "{no}");
            }
            Err(why) => assert_eq!(no, "(ada", "{why}"),
        }
    }
    message.value = None;
    assert!(chosen("value == null", &message) && chosen("not value", &message));
    assert!(!chosen("value.user.id == 42", &message));
    message.facts.transaction = Fate::Aborted;
    assert!(chosen("aborted", &message));
    message.facts.control = Some(Control::Commit {
        coordinator_epoch: 1,
    });
    assert!(chosen("control", &message));
}

#[test]
fn a_filter_that_means_nothing_is_refused_with_the_reason() {
    for (text, why) in [
        ("== 5", "nothing before it"),
        ("colour == red", "is nothing to compare"),
        ("offset == x", "is no number"),
        ("time > soon", "is no time"),
        ("key =~ '('", "regex"),
        ("key ==", "nothing follows"),
        ("value.id === 7", "\"===\" is no operator"),
        ("offset <> 7", "\"<>\" is no operator"),
        ("'open", "a text does not end"),
        ("a or", "ends where a test is wanted"),
        ("a )", "not expected"),
        ("value.a[ == 1", "can't be read"),
        ("", "ends where a test is wanted"),
    ] {
        let error = MessageFilter::parse(text, &|_| None).unwrap_err();
        assert!(error.contains(why), "{text}: {error}");
    }
    assert!(MessageFilter::parse(&"not ".repeat(1000), &|_| None).is_err());
    assert!(MessageFilter::parse(&"(".repeat(1000), &|_| None).is_err());
    assert!(MessageFilter::parse(&"a ".repeat(1000), &|_| None).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_bytes_break_a_decoder(bytes in prop::collection::vec(any::<u8>(), 0..200), which in 0..Decoder::ALL.len()) {
        let avro = book(SchemaKind::Avro, r#"{"type":"record","name":"R","fields":[
            {"name":"a","type":["null","R","string",{"type":"map","values":"R"}]},
            {"name":"b","type":{"type":"array","items":"bytes"}},
            {"name":"c","type":{"type":"bytes","logicalType":"decimal","scale":900}}]}"#, &[]);
        let proto = book(SchemaKind::Protobuf,
            "message A { A a = 1; repeated A b = 2; map<int32, A> m = 3; repeated fixed64 f = 4;
             google.protobuf.Any any = 5; google.protobuf.Value v = 6; group G = 7 { A x = 1; } }", &[]);
        for topic in ["t", "__consumer_offsets", "__transaction_state", "__cluster_metadata"] {
            let mut message = message(Some(&bytes), Some(&bytes));
            message.topic = topic.into();
            for book in [&avro, &proto] {
                decode(&message, Part::Value, Decoder::ALL[which], book).unwrap();
                decode(&message, Part::Key, Decoder::ALL[which], book).unwrap();
            }
        }
        let prefixed = [&[0, 0, 0, 0, 7, 0][..], &bytes].concat();
        let message = message(None, Some(&prefixed));
        for book in [&avro, &proto] {
            decode(&message, Part::Value, Decoder::Registry, book).unwrap();
        }
    }

    #[test]
    fn no_text_breaks_a_filter_a_path_or_a_schema(text in ".{0,80}", words in prop::collection::vec(prop::sample::select(vec![
        "message", "enum", "A", "{", "}", "=", "1", ";", "map", "<", ">", ",", "string", "oneof", "option", "group", "repeated", ".", "[", "]",
    ]), 0..40)) {
        let _ = MessageFilter::parse(&text, &|_| None);
        let _ = JsonPath::parse(&text);
        for kind in [SchemaKind::Avro, SchemaKind::Protobuf, SchemaKind::Json] {
            let _ = Compiled::new(&schema(kind, &text), &[]);
        }
        let _ = Compiled::new(&schema(SchemaKind::Protobuf, &words.join(" ")), &[]);
    }
}
