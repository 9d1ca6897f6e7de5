use super::*;

static KEYS: [ConfigKey; 9] = [
    ConfigKey::new(
        "node.id",
        ConfigType::Int,
        ConfigDefault::Required,
        "The id of the node.",
    )
    .with_validator(Validator::AtLeast(0))
    .with_importance(Importance::High),
    ConfigKey::new(
        "retention.ms",
        ConfigType::Long,
        ConfigDefault::Value("604800000"),
        "Age.",
    )
    .with_validator(Validator::AtLeast(-1))
    .with_update_mode(UpdateMode::ClusterWide),
    ConfigKey::new(
        "compression.type",
        ConfigType::String,
        ConfigDefault::Value("producer"),
        "C.",
    )
    .with_validator(Validator::OneOf(&["gzip", "producer"])),
    ConfigKey::new(
        "cleanup.policy",
        ConfigType::List,
        ConfigDefault::Value("delete"),
        "P.",
    )
    .with_validator(Validator::ListOf(&["compact", "delete"])),
    ConfigKey::new(
        "ratio",
        ConfigType::Double,
        ConfigDefault::Value("0.5"),
        "R.",
    )
    .with_validator(Validator::BetweenDoubles(0.0, 1.0)),
    ConfigKey::new("secret", ConfigType::Password, ConfigDefault::Null, "S.")
        .with_validator(Validator::Custom(|_| Err("never right".to_owned()))),
    ConfigKey::new("even", ConfigType::Int, ConfigDefault::Value("2"), "E.").with_validator(
        Validator::All(&[Validator::Between(0, 10), Validator::Custom(is_even)]),
    ),
    ConfigKey::new("name", ConfigType::String, ConfigDefault::Value("x"), "N.")
        .with_validator(Validator::NonEmptyWithoutControlCharacters),
    ConfigKey::new(
        "preallocate",
        ConfigType::Boolean,
        ConfigDefault::Value("false"),
        "B.",
    ),
];

fn is_even(value: &ConfigValue) -> Result<(), String> {
    match value.as_i64() {
        Some(n) if n % 2 != 0 => Err("expected an even number".to_owned()),
        _ => Ok(()),
    }
}

fn message(name: &str, text: &str) -> String {
    ConfigDef::new(&KEYS)
        .parse_value(name, text)
        .unwrap_err()
        .to_string()
}

#[test]
fn texts_parse_as_kafka_parses_them() {
    use ConfigValue::{Boolean, Double, Int, List, Long, Short, String as Text};
    let list = |values: &[&str]| Some(List(values.iter().map(|v| (*v).to_owned()).collect()));
    let cases = [
        (ConfigType::Boolean, " TRUE\t", Some(Boolean(true))),
        (ConfigType::Boolean, "yes", None),
        (ConfigType::Int, " +7 ", Some(Int(7))),
        (ConfigType::Int, "2147483648", None),
        (ConfigType::Int, "1_000", None),
        (ConfigType::Int, "", None),
        (ConfigType::Short, "-32768", Some(Short(i16::MIN))),
        (ConfigType::Short, "32768", None),
        (
            ConfigType::Long,
            "9223372036854775807",
            Some(Long(i64::MAX)),
        ),
        (ConfigType::Long, "1.0", None),
        (ConfigType::Double, "1", Some(Double(1.0))),
        (ConfigType::Double, "-.5e3", Some(Double(-500.0))),
        (ConfigType::Double, "1.5d", Some(Double(1.5))),
        (ConfigType::Double, "Infinity", Some(Double(f64::INFINITY))),
        (ConfigType::Double, "inf", None),
        (ConfigType::Double, "infinity", None),
        (ConfigType::Double, "1,5", None),
        (ConfigType::String, "  a b ", Some(Text("a b".to_owned()))),
        (ConfigType::List, "", list(&[])),
        (ConfigType::List, " a , b,c ", list(&["a", "b", "c"])),
        (ConfigType::List, "a,,", list(&["a", "", ""])),
    ];
    for (config_type, text, expected) in cases {
        assert_eq!(
            ConfigValue::parse(config_type, text),
            expected,
            "{config_type:?} {text:?}"
        );
    }
}

#[test]
fn values_render_as_kafka_prints_them() {
    let cases = [
        (ConfigType::Boolean, "True", "true"),
        (ConfigType::Int, "+007", "7"),
        (ConfigType::List, "a , b", "a,b"),
        (ConfigType::Double, "1", "1.0"),
        (ConfigType::Double, "0.5", "0.5"),
        (ConfigType::Double, "0.001", "0.001"),
        (ConfigType::Double, "0.0001", "1.0E-4"),
        (ConfigType::Double, "9999999", "9999999.0"),
        (ConfigType::Double, "10000000", "1.0E7"),
        (ConfigType::Double, "123456789", "1.23456789E8"),
        (ConfigType::Double, "-0", "-0.0"),
        (ConfigType::Double, "-Infinity", "-Infinity"),
        (
            ConfigType::Double,
            "1.7976931348623157e308",
            "1.7976931348623157E308",
        ),
        (ConfigType::Password, "secret", "[hidden]"),
    ];
    for (config_type, text, expected) in cases {
        let value = ConfigValue::parse(config_type, text).unwrap();
        assert_eq!(value.config_type(), config_type);
        assert_eq!(value.render(), expected);
    }
}

#[test]
fn refusals_name_key_value_and_what_is_expected() {
    let cases = [
        ("retention.ms", "abc", "Not a number of type LONG"),
        ("retention.ms", "-2", "Value must be at least -1"),
        (
            "compression.type",
            "GZIP",
            "String must be one of: gzip, producer",
        ),
        ("ratio", "1.1", "Value must be no more than 1"),
        ("even", "11", "Value must be no more than 10"),
        ("even", "3", "expected an even number"),
        (
            "preallocate",
            "yes",
            "Expected value to be either true or false",
        ),
    ];
    for (name, text, problem) in cases {
        let expected = format!("Invalid value {text} for configuration {name}: {problem}");
        assert_eq!(message(name, text), expected);
    }
    let cases = [
        (
            "cleanup.policy",
            "delete, other",
            "Invalid value other for configuration cleanup.policy: \
             String must be one of: compact, delete",
        ),
        (
            "secret",
            "hunter2",
            "Invalid value [hidden] for configuration secret: never right",
        ),
        (
            "retention.msec",
            "1",
            "Unknown configuration key retention.msec; did you mean retention.ms?",
        ),
        (
            "zzzzzzzzzzzz",
            "1",
            "Unknown configuration key zzzzzzzzzzzz",
        ),
    ];
    for (name, text, expected) in cases {
        assert_eq!(message(name, text), expected);
    }
    assert!(message("name", "a\u{7}b").contains("control sequences"));
}

#[test]
fn validators_accept_and_refuse() {
    let check = |validator: Validator, config_type, text: &str| {
        let key = ConfigKey::new("key", config_type, ConfigDefault::Null, "K.");
        key.with_validator(validator).parse_value(text).is_ok()
    };
    const POLICIES: &[&str] = &["compact", "delete"];
    let cases = [
        (Validator::Between(1, 5), ConfigType::Short, "1", true),
        (Validator::Between(1, 5), ConfigType::Short, "6", false),
        (Validator::AtLeast(0), ConfigType::Long, "-1", false),
        (Validator::AtLeast(0), ConfigType::Double, "0.5", true),
        (
            Validator::OneOfIgnoringCase(POLICIES),
            ConfigType::String,
            "Delete",
            true,
        ),
        (Validator::ListOf(POLICIES), ConfigType::List, "", true),
        (
            Validator::ListOf(POLICIES),
            ConfigType::List,
            "compact,delete",
            true,
        ),
        (
            Validator::ListOf(POLICIES),
            ConfigType::List,
            "compact,other",
            false,
        ),
        (
            Validator::NonEmptyListOf(POLICIES),
            ConfigType::List,
            "",
            false,
        ),
        (
            Validator::NonEmptyListOf(POLICIES),
            ConfigType::List,
            "delete",
            true,
        ),
        (
            Validator::UniqueList { non_empty: false },
            ConfigType::List,
            "",
            true,
        ),
        (
            Validator::UniqueList { non_empty: true },
            ConfigType::List,
            "",
            false,
        ),
        (
            Validator::UniqueList { non_empty: true },
            ConfigType::List,
            "a,b,a",
            true,
        ),
        (
            Validator::UniqueList { non_empty: true },
            ConfigType::List,
            "a,",
            false,
        ),
        (Validator::NonEmpty, ConfigType::String, " ", false),
        (Validator::Any, ConfigType::String, "", true),
    ];
    for (validator, config_type, text, expected) in cases {
        assert_eq!(
            check(validator, config_type, text),
            expected,
            "{validator:?} {text:?}"
        );
    }
}

#[test]
fn lists_are_parsed_without_duplicates_and_checked_with_them() {
    let key = ConfigDef::new(&KEYS).get("cleanup.policy").unwrap();
    let value = key.parse_value("delete,compact,delete").unwrap();
    assert_eq!(value.render(), "delete,compact");
    let twice = ConfigValue::List(vec!["delete".to_owned(), "delete".to_owned()]);
    assert!(key.validate(&twice).is_err());
}

#[test]
fn a_file_is_parsed_with_defaults_unknown_keys_and_all_errors() {
    let def = ConfigDef::new(&KEYS);
    let entries = [
        ("ratio", "x"),
        ("even", "1"),
        ("even", "4"),
        ("my.plugin.key", "v"),
    ];
    let parsed = def.parse(entries);
    assert_eq!(parsed.unknown, ["my.plugin.key"]);
    let failed: Vec<_> = parsed
        .errors
        .iter()
        .map(|error| error.key.as_str())
        .collect();
    assert_eq!(failed, ["node.id", "ratio"]);
    assert_eq!(parsed.values["even"], ConfigValue::Int(4));
    assert_eq!(
        parsed.values["retention.ms"],
        ConfigValue::Long(604_800_000)
    );
    assert!(!parsed.values.contains_key("secret"));
    assert!(!parsed.values.contains_key("node.id"));
}

#[test]
fn passwords_are_shown_nowhere() {
    let value = ConfigValue::parse(ConfigType::Password, " hunter2 ").unwrap();
    assert_eq!(value.as_password().unwrap().expose(), "hunter2");
    assert!(!format!("{value:?} {}", value.render()).contains("hunter2"));
    assert!(!message("secret", "hunter2").contains("hunter2"));
}

#[test]
fn the_nearest_key_is_found_through_typing_mistakes() {
    let keys = [
        "log.retention.ms",
        "log.retention.bytes",
        "log.dirs",
        "log.dir",
        "node.id",
    ];
    let cases = [
        ("log.retention.ms", Some("log.retention.ms")),
        ("log_retention_ms", Some("log.retention.ms")),
        ("LOG.RETENTION.MS", Some("log.retention.ms")),
        ("log.retnetion.ms", Some("log.retention.ms")),
        ("log.retention.byte", Some("log.retention.bytes")),
        ("logdirs", Some("log.dirs")),
        ("node.ip", Some("node.id")),
        ("broker.rack", None),
        ("", None),
    ];
    for (name, expected) in cases {
        assert_eq!(nearest(name, keys), expected, "{name}");
    }
    assert_eq!(nearest(&"x".repeat(100_000), keys), None);
}

#[test]
fn names_and_ids_are_kafkas() {
    let ids: Vec<_> = [
        ConfigType::Boolean,
        ConfigType::String,
        ConfigType::Int,
        ConfigType::Short,
        ConfigType::Long,
        ConfigType::Double,
        ConfigType::List,
        ConfigType::Class,
        ConfigType::Password,
    ]
    .map(|config_type| (config_type.id(), config_type.name()))
    .into();
    let names = [
        "boolean", "string", "int", "short", "long", "double", "list", "class", "password",
    ];
    assert_eq!(ids, (1..).zip(names).collect::<Vec<_>>());
    assert_eq!(UpdateMode::ClusterWide.name(), "cluster-wide");
}
