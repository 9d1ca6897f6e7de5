use proptest::prelude::*;

use super::*;

fn pairs(text: &str) -> Vec<(String, String)> {
    let properties = Properties::parse(text).unwrap();
    properties
        .iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn lines_are_read_as_java_reads_them() {
    let cases: [(&str, &[(&str, &str)]); 24] = [
        ("a=b", &[("a", "b")]),
        ("a:b", &[("a", "b")]),
        ("a b", &[("a", "b")]),
        ("a\tb", &[("a", "b")]),
        ("  a = b ", &[("a", "b ")]),
        ("a   :   b", &[("a", "b")]),
        ("a = = b", &[("a", "= b")]),
        ("a  b = c", &[("a", "b = c")]),
        ("a", &[("a", "")]),
        ("a=", &[("a", "")]),
        ("=b", &[("", "b")]),
        ("# a=b\n! c=d\n   #e\n\n \t\n", &[]),
        ("a=b # not a comment", &[("a", "b # not a comment")]),
        ("a=1\r\nb=2\rc=3\n", &[("a", "1"), ("b", "2"), ("c", "3")]),
        ("a=one,\\\n   two,\\\r\n\tthree", &[("a", "one,two,three")]),
        ("a=b\\\n# still the value", &[("a", "b# still the value")]),
        ("a=b\\\\\nc=d", &[("a", "b\\"), ("c", "d")]),
        ("# comment \\\na=b", &[("a", "b")]),
        ("a=b\\", &[("a", "b")]),
        ("a\\ b\\=c\\:d=e", &[("a b=c:d", "e")]),
        ("a=\\t\\n\\r\\f\\q\\\"", &[("a", "\t\n\r\u{c}q\"")]),
        ("a=\\u00e9\\u00E9 \\ud83d\\ude00", &[("a", "éé 😀")]),
        ("b=1\na=2\nb=3", &[("b", "3"), ("a", "2")]),
        ("path=C:\\\\logs", &[("path", "C:\\logs")]),
    ];
    for (text, expected) in cases {
        let expected: Vec<_> = expected
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        assert_eq!(pairs(text), expected, "{text:?}");
    }
}

#[test]
fn a_unicode_escape_without_four_digits_names_its_line() {
    for text in [
        "x=1\n\na=\\u12",
        "x=1\n\na=\\u+123",
        "x=1\n\n\\uzzzz=b",
        "x=1\n\na=\\u12é4",
    ] {
        assert_eq!(
            Properties::parse(text),
            Err(PropertiesError { line: 3 }),
            "{text:?}"
        );
    }
}

#[test]
fn entries_know_their_line_and_what_they_replaced() {
    let properties = Properties::parse("# head\na=1\nb=\\\n2\na=3").unwrap();
    let lines: Vec<_> = properties
        .entries()
        .iter()
        .map(|e| (e.key.as_str(), e.line))
        .collect();
    assert_eq!(lines, [("a", 5), ("b", 3)]);
    let replaced = Entry {
        key: "a".to_owned(),
        value: "1".to_owned(),
        line: 2,
    };
    assert_eq!(properties.overridden(), [replaced]);
}

#[test]
fn bytes_are_utf_8_or_else_latin_1() {
    let value = |bytes: &[u8]| {
        Properties::parse_bytes(bytes)
            .unwrap()
            .get("a")
            .map(str::to_owned)
    };
    assert_eq!(value("a=é".as_bytes()).as_deref(), Some("é"));
    assert_eq!(value(b"a=\xe9").as_deref(), Some("é"));
    assert_eq!(value(b"\xef\xbb\xbfa=b").as_deref(), Some("b"));
}

#[test]
fn keys_are_set_in_place_and_removed() {
    let mut properties: Properties = [("a", "1"), ("b", "2"), ("c", "3")].into_iter().collect();
    properties.set("b", "9");
    assert_eq!(properties.remove("a").as_deref(), Some("1"));
    assert_eq!(properties.remove("a"), None);
    properties.set("a", "4");
    let pairs: Vec<_> = properties.iter().collect();
    assert_eq!(pairs, [("b", "9"), ("c", "3"), ("a", "4")]);
    assert_eq!(
        (properties.get("c"), properties.get("x"), properties.len()),
        (Some("3"), None, 3)
    );
}

#[test]
fn text_is_written_as_java_stores_it() {
    let mut properties = Properties::new();
    properties.set("cluster.id", "abc-_9");
    properties.set("a key", " lead and trail ");
    properties.set("url", "http://h:1/#!=\\");
    properties.set("é", "😀\n");
    assert_eq!(
        properties.to_text(&["", "two\nlines"]),
        "#\n#two\n#lines\ncluster.id=abc-_9\na\\ key=\\ lead and trail \n\
         url=http\\://h\\:1/\\#\\!\\=\\\\\n\\u00E9=\\uD83D\\uDE00\\n\n"
    );
}

proptest! {
    #[test]
    fn what_is_written_reads_back(
        entries in proptest::collection::vec((".{0,12}", "[ \\\\=:#!a\\t\\n\\r\\x0cé😀]{0,12}"), 0..8),
        comment in ".{0,20}",
    ) {
        let properties: Properties = entries.into_iter().collect();
        let text = properties.to_text(&[&comment]);
        prop_assert!(text.is_ascii());
        prop_assert_eq!(Properties::parse(&text), Ok(properties));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>, text in "[a\\\\u0d8= \\n\\r#é]{0,40}") {
        let _ = Properties::parse_bytes(&bytes);
        let _ = Properties::parse(&text);
    }
}
