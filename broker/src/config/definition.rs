//! What a configuration key is: its type, the values it takes, and what it says about a bad one.
//!
//! Everything here is pure and works on one key at a time; the tables are in [`super::keys`].
//! Values are parsed as Kafka parses them (surrounding blanks are dropped, lists are split at commas
//! with their blanks, duplicates in a list are dropped), and a refused value is named in the words
//! that Kafka's own tools print, so that scripts that match them keep working.
//!
//! Kafka: `common/config/ConfigDef.java` (4.3).

use std::fmt::{self, Write as _};

/// The type of a key's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigType {
    Boolean,
    String,
    Int,
    Short,
    Long,
    Double,
    List,
    Class,
    Password,
}

impl ConfigType {
    /// The number that stands for the type in DescribeConfigs (0 would be an unknown type).
    pub fn id(self) -> i8 {
        match self {
            Self::Boolean => 1,
            Self::String => 2,
            Self::Int => 3,
            Self::Short => 4,
            Self::Long => 5,
            Self::Double => 6,
            Self::List => 7,
            Self::Class => 8,
            Self::Password => 9,
        }
    }

    /// Kafka's name of the type.
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Int => "INT",
            Self::Short => "SHORT",
            Self::Long => "LONG",
            Self::Double => "DOUBLE",
            Self::List => "LIST",
            Self::Class => "CLASS",
            Self::Password => "PASSWORD",
        }
    }
}

/// What a key is worth to an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Importance {
    High,
    Medium,
    Low,
}

/// How a key of a broker can change while the broker runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateMode {
    /// Only by a restart.
    ReadOnly,
    /// For one broker at a time.
    PerBroker,
    /// For one broker, or for all of them at once.
    ClusterWide,
    /// Keys of topics, groups and client metrics: always.
    Dynamic,
}

/// Where a key may appear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    Public,
    /// Accepted, but shown only when it is set.
    Internal,
    /// Can be set while the broker runs, and not in its file.
    DynamicOnly,
}

/// The value of a key that is not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Default {
    /// None: the key has to be set.
    Required,
    Null,
    Value(&'static str),
}

/// Which values of the right type a key takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Validator {
    Any,
    AtLeast(f64),
    /// Both ends are inclusive.
    Between(f64, f64),
    OneOf(&'static [&'static str]),
    OneOfIgnoreCase(&'static [&'static str]),
    NonEmpty,
    /// A list whose elements are not empty; no `valid` means any.
    List { empty_allowed: bool, valid: &'static [&'static str] },
    /// `compression.gzip.level`: 1 to 9, or -1.
    GzipLevel,
    /// `partition:broker,…`, or `*`.
    ThrottledReplicas,
    /// `share.auto.offset.reset`.
    AutoOffsetReset,
}

/// One row of a table of keys.
#[derive(Debug, Clone, Copy)]
pub struct ConfigKey {
    pub name: &'static str,
    pub kind: ConfigType,
    pub default: Default,
    pub validator: Validator,
    pub importance: Importance,
    pub update_mode: UpdateMode,
    pub visibility: Visibility,
    /// False: the key is accepted and does nothing here.
    pub is_honoured: bool,
    /// One line.
    pub doc: &'static str,
}

/// A parsed value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Boolean(bool),
    /// Int, Short and Long.
    Integer(i64),
    Double(f64),
    /// String, Class and Password.
    Text(String),
    List(Vec<String>),
}

impl fmt::Display for Value {
    /// As Kafka writes it in DescribeConfigs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            Self::Double(value) => f.write_str(&java_double(*value)),
            Self::Text(value) => f.write_str(value),
            Self::List(values) => f.write_str(&values.join(",")),
        }
    }
}

/// A double as Java prints it: plain between 10⁻³ and 10⁷, else with an exponent.
fn java_double(value: f64) -> String {
    let magnitude = value.abs();
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if magnitude == 0.0 || (1e-3..1e7).contains(&magnitude) {
        return format!("{value:?}");
    }
    let text = format!("{value:E}");
    match text.split_once('E') {
        Some((mantissa, exponent)) if !mantissa.contains('.') => {
            format!("{mantissa}.0E{exponent}")
        }
        _ => text,
    }
}

/// Why a value was refused, in Kafka's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

impl ConfigError {
    pub fn invalid(name: &str, value: &str, why: impl fmt::Display) -> Self {
        Self(format!("Invalid value {value} for configuration {name}: {why}"))
    }
}

impl ConfigKey {
    /// Whether the value must never be shown.
    pub fn is_sensitive(&self) -> bool {
        self.kind == ConfigType::Password
    }

    /// The value of the key when it is set nowhere; none for null and for a required key.
    pub fn default_value(&self) -> Option<Value> {
        match self.default {
            Default::Value(text) => {
                Some(self.parse_type(text).expect("a test parses every default of the tables"))
            }
            Default::Required | Default::Null => None,
        }
    }

    /// Parses and checks a value.
    ///
    /// # Errors
    /// When it is not of the key's type, or not one that the key takes.
    pub fn parse(&self, text: &str) -> Result<Value, ConfigError> {
        let mut value = self.parse_type(text)?;
        if let (Validator::List { .. }, Value::List(values)) = (self.validator, &mut value) {
            let mut seen = Vec::with_capacity(values.len());
            values.retain(|v| {
                let is_new = !seen.contains(v);
                seen.push(v.clone());
                is_new
            });
        }
        self.check(&value)?;
        Ok(value)
    }

    fn parse_type(&self, text: &str) -> Result<Value, ConfigError> {
        let trimmed = text.trim();
        let not_a_number = |_| {
            let kind = self.kind.name();
            ConfigError::invalid(self.name, text, format_args!("Not a number of type {kind}"))
        };
        let integer = |parsed: Result<i64, std::num::ParseIntError>| {
            parsed.map(Value::Integer).map_err(|_| not_a_number(()))
        };
        match self.kind {
            ConfigType::Boolean if trimmed.eq_ignore_ascii_case("true") => Ok(Value::Boolean(true)),
            ConfigType::Boolean if trimmed.eq_ignore_ascii_case("false") => {
                Ok(Value::Boolean(false))
            }
            ConfigType::Boolean => Err(ConfigError::invalid(
                self.name,
                text,
                "Expected value to be either true or false",
            )),
            ConfigType::Int => integer(trimmed.parse::<i32>().map(i64::from)),
            ConfigType::Short => integer(trimmed.parse::<i16>().map(i64::from)),
            ConfigType::Long => integer(trimmed.parse::<i64>()),
            ConfigType::Double => {
                trimmed.parse().map(Value::Double).map_err(|_| not_a_number(()))
            }
            ConfigType::List if trimmed.is_empty() => Ok(Value::List(Vec::new())),
            ConfigType::List => {
                Ok(Value::List(trimmed.split(',').map(|v| v.trim().to_owned()).collect()))
            }
            ConfigType::String | ConfigType::Class | ConfigType::Password => {
                Ok(Value::Text(trimmed.to_owned()))
            }
        }
    }

    fn check(&self, value: &Value) -> Result<(), ConfigError> {
        let refuse = |why: String| Err(ConfigError::invalid(self.name, &value.to_string(), why));
        let number = || match value {
            Value::Integer(n) => *n as f64,
            Value::Double(n) => *n,
            _ => f64::NAN,
        };
        match self.validator {
            Validator::AtLeast(min) if number() < min => {
                refuse(format!("Value must be at least {}", self.bound(min)))
            }
            Validator::Between(min, _) if number() < min => {
                refuse(format!("Value must be at least {}", self.bound(min)))
            }
            Validator::Between(_, max) if number() > max => {
                refuse(format!("Value must be no more than {}", self.bound(max)))
            }
            Validator::OneOf(valid) => match value {
                Value::Text(text) if valid.contains(&text.as_str()) => Ok(()),
                _ => refuse(format!("String must be one of: {}", valid.join(", "))),
            },
            Validator::OneOfIgnoreCase(valid) => match value {
                Value::Text(text) if valid.iter().any(|v| v.eq_ignore_ascii_case(text)) => Ok(()),
                _ => {
                    refuse(format!("String must be one of (case insensitive): {}", valid.join(", ")))
                }
            },
            Validator::NonEmpty if *value == Value::Text(String::new()) => {
                refuse("String must be non-empty".to_owned())
            }
            Validator::List { empty_allowed, valid } => self.check_list(value, empty_allowed, valid),
            Validator::GzipLevel => match value {
                Value::Integer(-1 | 1..=9) => Ok(()),
                _ => refuse("Value must be between 1 and 9 or equal to -1".to_owned()),
            },
            Validator::ThrottledReplicas => match value {
                Value::List(replicas) if is_throttled_replica_list(replicas) => Ok(()),
                _ => Err(ConfigError(format!(
                    "{} must be the literal '*' or a list of replicas in the following format: \
                     [partitionId]:[brokerId],[partitionId]:[brokerId],...",
                    self.name
                ))),
            },
            Validator::AutoOffsetReset => match value {
                Value::Text(text) if is_auto_offset_reset(text) => Ok(()),
                _ => refuse(
                    "must be `earliest`, `latest` or of the format `by_duration:PnDTnHnMn.nS`."
                        .to_owned(),
                ),
            },
            Validator::Any
            | Validator::AtLeast(_)
            | Validator::Between(..)
            | Validator::NonEmpty => Ok(()),
        }
    }

    fn check_list(
        &self,
        value: &Value,
        empty_allowed: bool,
        valid: &[&str],
    ) -> Result<(), ConfigError> {
        let Value::List(values) = value else { return Ok(()) };
        let name = self.name;
        if values.is_empty() && !empty_allowed {
            let what = if valid.is_empty() {
                "any non-empty value".to_owned()
            } else {
                format!("[{}]", valid.join(", "))
            };
            return Err(ConfigError(format!(
                "Configuration '{name}' must not be empty. Valid values include: {what}"
            )));
        }
        for value in values {
            if value.is_empty() {
                return Err(ConfigError(format!(
                    "Configuration '{name}' values must not be empty."
                )));
            }
            if !valid.is_empty() && !valid.contains(&value.as_str()) {
                let valid = valid.join(", ");
                let why = format!("String must be one of: {valid}");
                return Err(ConfigError::invalid(name, value, why));
            }
        }
        Ok(())
    }

    /// A bound as Kafka prints it: without a fraction unless the key has one.
    fn bound(&self, bound: f64) -> String {
        if bound.fract() == 0.0 { format!("{bound:.0}") } else { java_double(bound) }
    }

    /// The values that the key takes, for people; empty when every value of its type.
    pub fn valid_values(&self) -> String {
        let mut out = String::new();
        match self.validator {
            Validator::Any | Validator::List { valid: [], empty_allowed: true } => {}
            Validator::List { valid: [], empty_allowed: false } => out.push_str("not empty"),
            Validator::AtLeast(min) => write!(out, "[{},...]", self.bound(min)).expect("a string"),
            Validator::Between(min, max) => {
                write!(out, "[{},...,{}]", self.bound(min), self.bound(max)).expect("a string");
            }
            Validator::OneOf(valid)
            | Validator::OneOfIgnoreCase(valid)
            | Validator::List { valid, .. } => {
                write!(out, "[{}]", valid.join(", ")).expect("a string");
            }
            Validator::NonEmpty => out.push_str("non-empty string"),
            Validator::GzipLevel => out.push_str("[1,...,9] or -1"),
            Validator::ThrottledReplicas => {
                out.push_str("[partitionId]:[brokerId],[partitionId]:[brokerId],...");
            }
            Validator::AutoOffsetReset => {
                out.push_str("[latest, earliest, by_duration:PnDTnHnMn.nS]");
            }
        }
        out
    }
}

fn is_throttled_replica_list(replicas: &[String]) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    match replicas {
        [] => true,
        [only] if only == "*" => true,
        _ => replicas.iter().all(|replica| {
            replica.split_once(':').is_some_and(|(p, b)| is_number(p) && is_number(b))
        }),
    }
}

fn is_auto_offset_reset(text: &str) -> bool {
    match text.split_once(':') {
        None => text == "latest" || text == "earliest",
        Some(("by_duration", duration)) => is_iso_duration(duration),
        Some(_) => false,
    }
}

/// `PnDTnHnMn.nS` with at least one part and no sign.
fn is_iso_duration(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('P') else { return false };
    let (date, time) = rest.split_once('T').map_or((rest, None), |(d, t)| (d, Some(t)));
    let mut parts = 0;
    let mut take = |text: &str, units: &str, fraction_unit: Option<char>| -> bool {
        let mut units = units.chars();
        let mut number = String::new();
        for c in text.chars() {
            if c.is_ascii_digit() || c == '.' {
                number.push(c);
                continue;
            }
            let is_fraction_fine = !number.contains('.') || Some(c) == fraction_unit;
            if number.parse::<f64>().is_err() || !is_fraction_fine || !units.any(|u| u == c) {
                return false;
            }
            number.clear();
            parts += 1;
        }
        number.is_empty()
    };
    let is_date_fine = take(date, "D", None);
    let is_time_fine = time.is_none_or(|time| !time.is_empty() && take(time, "HMS", Some('S')));
    is_date_fine && is_time_fine && parts > 0
}

/// The name among `known` that looks most like `name`, if one is near enough to be meant.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.len() / 3).max(2);
    known
        .into_iter()
        .map(|candidate| (edit_distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance in bytes; the names are ASCII.
fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (diagonal + usize::from(x != y)).min(above + 1).min(row[j] + 1);
            diagonal = above;
        }
    }
    row[b.len()]
}
