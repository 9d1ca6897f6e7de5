//! A configuration value: parsed from text as Kafka's `ConfigDef.parseType` does, rendered as
//! `ConfigDef.convertToString` does.

use std::fmt;

use super::ConfigType;

/// A secret; neither `Debug` nor `Display` shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    pub const HIDDEN: &'static str = "[hidden]";

    pub fn new(secret: impl Into<String>) -> Password {
        Password(secret.into())
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Password::HIDDEN)
    }
}

impl fmt::Display for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Password::HIDDEN)
    }
}

/// A value of a [`ConfigType`].
#[derive(Debug, Clone, PartialEq)]
pub enum ConfigValue {
    Boolean(bool),
    String(String),
    Int(i32),
    Short(i16),
    Long(i64),
    Double(f64),
    List(Vec<String>),
    /// A class name as given; there are no classes here to check it against.
    Class(String),
    Password(Password),
}

impl ConfigValue {
    /// Parses text after taking off white space at its ends; `None` if it is not of the type.
    pub fn parse(config_type: ConfigType, text: &str) -> Option<ConfigValue> {
        let text = text.trim_matches(|c| c <= ' ');
        Some(match config_type {
            ConfigType::Boolean if text.eq_ignore_ascii_case("true") => ConfigValue::Boolean(true),
            ConfigType::Boolean if text.eq_ignore_ascii_case("false") => {
                ConfigValue::Boolean(false)
            }
            ConfigType::Boolean => return None,
            ConfigType::String => ConfigValue::String(text.to_owned()),
            ConfigType::Int => ConfigValue::Int(text.parse().ok()?),
            ConfigType::Short => ConfigValue::Short(text.parse().ok()?),
            ConfigType::Long => ConfigValue::Long(text.parse().ok()?),
            ConfigType::Double => ConfigValue::Double(parse_double(text)?),
            ConfigType::List if text.is_empty() => ConfigValue::List(Vec::new()),
            ConfigType::List => {
                let trim = |element: &str| element.trim_ascii().to_owned();
                ConfigValue::List(text.split(',').map(trim).collect())
            }
            ConfigType::Class => ConfigValue::Class(text.to_owned()),
            ConfigType::Password => ConfigValue::Password(Password::new(text)),
        })
    }

    /// Keeps only the first of equal elements of a list.
    pub(super) fn drop_duplicates(&mut self) {
        if let ConfigValue::List(values) = self {
            let mut seen = std::collections::HashSet::new();
            values.retain(|value| seen.insert(value.clone()));
        }
    }

    pub fn config_type(&self) -> ConfigType {
        match self {
            ConfigValue::Boolean(_) => ConfigType::Boolean,
            ConfigValue::String(_) => ConfigType::String,
            ConfigValue::Int(_) => ConfigType::Int,
            ConfigValue::Short(_) => ConfigType::Short,
            ConfigValue::Long(_) => ConfigType::Long,
            ConfigValue::Double(_) => ConfigType::Double,
            ConfigValue::List(_) => ConfigType::List,
            ConfigValue::Class(_) => ConfigType::Class,
            ConfigValue::Password(_) => ConfigType::Password,
        }
    }

    /// The canonical text. A password renders as [`Password::HIDDEN`]; DescribeConfigs has null
    /// in its place.
    pub fn render(&self) -> String {
        match self {
            ConfigValue::Boolean(value) => value.to_string(),
            ConfigValue::Int(value) => value.to_string(),
            ConfigValue::Short(value) => value.to_string(),
            ConfigValue::Long(value) => value.to_string(),
            ConfigValue::Double(value) => render_double(*value),
            ConfigValue::String(value) | ConfigValue::Class(value) => value.clone(),
            ConfigValue::List(values) => values.join(","),
            ConfigValue::Password(value) => value.to_string(),
        }
    }

    pub fn as_bool(&self) -> Option<bool> {
        match self {
            ConfigValue::Boolean(value) => Some(*value),
            _ => None,
        }
    }

    /// Any whole number, whatever its width.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            ConfigValue::Int(value) => Some(i64::from(*value)),
            ConfigValue::Short(value) => Some(i64::from(*value)),
            ConfigValue::Long(value) => Some(*value),
            _ => None,
        }
    }

    /// A whole number that fits in 32 bits.
    pub fn as_i32(&self) -> Option<i32> {
        self.as_i64().and_then(|value| i32::try_from(value).ok())
    }

    /// Any number. A whole one beyond 2^53 is rounded, as in Kafka's range checks.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            ConfigValue::Double(value) => Some(*value),
            _ => self.as_i64().map(|value| value as f64),
        }
    }

    /// A string or a class name.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            ConfigValue::String(value) | ConfigValue::Class(value) => Some(value),
            _ => None,
        }
    }

    pub fn as_list(&self) -> Option<&[String]> {
        match self {
            ConfigValue::List(values) => Some(values),
            _ => None,
        }
    }

    pub fn as_password(&self) -> Option<&Password> {
        match self {
            ConfigValue::Password(value) => Some(value),
            _ => None,
        }
    }
}

/// Java's `Double.parseDouble` without hexadecimal: also a type suffix, but of the words only
/// `NaN` and `Infinity`.
fn parse_double(text: &str) -> Option<f64> {
    match text.trim_start_matches(['+', '-']) {
        "NaN" | "Infinity" => return text.parse().ok(),
        rest if !rest.starts_with(|c: char| c.is_ascii_digit() || c == '.') => return None,
        _ => {}
    }
    text.strip_suffix(['d', 'D', 'f', 'F'])
        .unwrap_or(text)
        .parse()
        .ok()
}

/// Java's `Double.toString`: at least one digit after the point, and an exponent outside of
/// 10^-3 to 10^7.
fn render_double(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let magnitude = value.abs();
    if magnitude == 0.0 || (1e-3..1e7).contains(&magnitude) {
        return format!("{value:?}");
    }
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').expect("the e format has an e");
    let point = if digits.contains('.') { "" } else { ".0" };
    format!("{digits}{point}E{exponent}")
}
