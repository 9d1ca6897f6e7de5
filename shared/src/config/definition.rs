//! What a configuration key accepts: its type, default, validator and how values are shown.
//!
//! A table of keys is `static`: [`ConfigKey`] is built by `const fn`s. Invariants: a value that
//! parses here is one that Kafka accepts for the same type and validator, and its rendering is
//! what Kafka's DescribeConfigs prints; passwords appear in no message.
//! Follows Kafka's `ConfigDef`.

mod nearest;
mod value;

use std::collections::{BTreeMap, HashSet};
use std::fmt;

pub use nearest::nearest;
pub use value::{ConfigValue, Password};

/// The type of a key's value; the ids are those of DescribeConfigs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i8)]
pub enum ConfigType {
    Boolean = 1,
    String = 2,
    Int = 3,
    Short = 4,
    Long = 5,
    Double = 6,
    List = 7,
    Class = 8,
    Password = 9,
}

impl ConfigType {
    /// The id in a DescribeConfigs response.
    pub fn id(self) -> i8 {
        self as i8
    }

    /// Kafka's name, as in its documentation.
    pub fn name(self) -> &'static str {
        match self {
            ConfigType::Boolean => "boolean",
            ConfigType::String => "string",
            ConfigType::Int => "int",
            ConfigType::Short => "short",
            ConfigType::Long => "long",
            ConfigType::Double => "double",
            ConfigType::List => "list",
            ConfigType::Class => "class",
            ConfigType::Password => "password",
        }
    }

    /// What Kafka says of a value that is not of the type.
    fn problem(self) -> String {
        match self {
            ConfigType::Boolean => "Expected value to be either true or false".to_owned(),
            _ => format!("Not a number of type {}", self.name().to_uppercase()),
        }
    }

    /// What a value must look like, for documentation.
    fn expectation(self) -> &'static str {
        match self {
            ConfigType::Boolean => "true or false (BOOLEAN)",
            ConfigType::String => "text (STRING)",
            ConfigType::Int => "a whole number of 32 bits (INT)",
            ConfigType::Short => "a whole number of 16 bits (SHORT)",
            ConfigType::Long => "a whole number of 64 bits (LONG)",
            ConfigType::Double => "a number (DOUBLE)",
            ConfigType::List => "values separated by commas (LIST)",
            ConfigType::Class => "the name of a class (CLASS)",
            ConfigType::Password => "text (PASSWORD)",
        }
    }
}

/// How a key can change while the broker runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UpdateMode {
    /// Only by the file, with a restart.
    ReadOnly,
    /// Per broker, while it runs.
    PerBroker,
    /// For all brokers at once, or per broker.
    ClusterWide,
}

impl UpdateMode {
    /// Kafka's name, as in its documentation.
    pub fn name(self) -> &'static str {
        match self {
            UpdateMode::ReadOnly => "read-only",
            UpdateMode::PerBroker => "per-broker",
            UpdateMode::ClusterWide => "cluster-wide",
        }
    }
}

/// How much a key matters to a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Importance {
    High,
    Medium,
    Low,
}

/// The value of a key that nobody set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigDefault {
    /// None: the key must be set.
    Required,
    /// Null.
    Null,
    /// This text, parsed like a value from a file.
    Value(&'static str),
}

/// A check beyond the type. Bounds are inclusive.
#[derive(Debug, Clone, Copy)]
pub enum Validator {
    Any,
    AtLeast(i64),
    Between(i64, i64),
    /// For doubles: at least the first, at most the second number.
    BetweenDoubles(f64, f64),
    OneOf(&'static [&'static str]),
    OneOfIgnoringCase(&'static [&'static str]),
    /// Every element of a list is one of these, none twice.
    ListOf(&'static [&'static str]),
    /// As `ListOf`, and not an empty list.
    NonEmptyListOf(&'static [&'static str]),
    /// No element of a list is empty or there twice; `true` refuses an empty list.
    UniqueList {
        non_empty: bool,
    },
    NonEmpty,
    NonEmptyWithoutControlCharacters,
    /// The error says what was expected.
    Custom(fn(&ConfigValue) -> Result<(), String>),
    All(&'static [Validator]),
}

/// A value that a key does not accept, or a key that has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConfigError {
    /// Empty when the error is about several keys.
    pub key: String,
    /// The whole sentence, in the words of Kafka's tools: scripts match them.
    pub message: String,
}

impl ConfigError {
    /// An error about several keys, or one whose sentence has a form of its own.
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> ConfigError {
        ConfigError {
            key: key.into(),
            message: message.into(),
        }
    }

    /// The usual sentence.
    pub fn invalid(key: &str, value: &str, problem: impl fmt::Display) -> ConfigError {
        ConfigError::new(
            key,
            format!("Invalid value {value} for configuration {key}: {problem}"),
        )
    }
}

/// One row of a table of keys.
#[derive(Debug, Clone, Copy)]
pub struct ConfigKey {
    pub name: &'static str,
    pub config_type: ConfigType,
    pub default: ConfigDefault,
    pub validator: Validator,
    pub importance: Importance,
    pub update_mode: UpdateMode,
    /// One line, in our own words.
    pub doc: &'static str,
}

impl ConfigKey {
    /// A read-only key of medium importance that accepts any value of its type.
    pub const fn new(
        name: &'static str,
        config_type: ConfigType,
        default: ConfigDefault,
        doc: &'static str,
    ) -> ConfigKey {
        ConfigKey {
            name,
            config_type,
            default,
            validator: Validator::Any,
            importance: Importance::Medium,
            update_mode: UpdateMode::ReadOnly,
            doc,
        }
    }

    pub const fn with_validator(self, validator: Validator) -> ConfigKey {
        ConfigKey { validator, ..self }
    }

    pub const fn with_importance(self, importance: Importance) -> ConfigKey {
        ConfigKey { importance, ..self }
    }

    pub const fn with_update_mode(self, update_mode: UpdateMode) -> ConfigKey {
        ConfigKey {
            update_mode,
            ..self
        }
    }

    /// Whether values must not be shown.
    pub fn is_sensitive(&self) -> bool {
        self.config_type == ConfigType::Password
    }

    /// Parses and validates a value as given in a file or a request.
    pub fn parse_value(&self, text: &str) -> Result<ConfigValue, ConfigError> {
        let mut value = ConfigValue::parse(self.config_type, text)
            .ok_or_else(|| self.error(text, self.config_type.problem()))?;
        if self.validator.is_of_lists() {
            value.drop_duplicates();
        }
        self.validate(&value)?;
        Ok(value)
    }

    /// Checks a parsed value; its type must be the key's.
    pub fn validate(&self, value: &ConfigValue) -> Result<(), ConfigError> {
        self.validator.check(self, value)
    }

    /// The error about a required key that is not set.
    pub fn missing(&self) -> ConfigError {
        let name = self.name;
        ConfigError::new(
            name,
            format!("Missing required configuration \"{name}\" which has no default value."),
        )
    }

    /// The default, parsed; `None` if it is null or the key is required.
    pub fn default_value(&self) -> Option<ConfigValue> {
        match self.default {
            ConfigDefault::Required | ConfigDefault::Null => None,
            ConfigDefault::Value(text) => ConfigValue::parse(self.config_type, text),
        }
    }

    /// The type in words and what the validator allows.
    pub fn expectation(&self) -> String {
        let mut text = self.config_type.expectation().to_owned();
        if let Some(allowed) = self.validator.describe() {
            text.push_str(", ");
            text.push_str(&allowed);
        }
        text
    }

    /// Kafka's notation of the valid values for documentation and CreateTopics errors, if any.
    pub fn valid_values(&self) -> Option<String> {
        self.validator.describe()
    }

    fn error(&self, value: &str, problem: impl fmt::Display) -> ConfigError {
        let value = if self.is_sensitive() {
            Password::HIDDEN
        } else {
            value
        };
        ConfigError::invalid(self.name, value, problem)
    }
}

impl Validator {
    /// Whether duplicates in a list are dropped before it is checked, as Kafka does.
    fn is_of_lists(&self) -> bool {
        matches!(
            self,
            Validator::ListOf(_) | Validator::NonEmptyListOf(_) | Validator::UniqueList { .. }
        )
    }

    fn check(&self, key: &ConfigKey, value: &ConfigValue) -> Result<(), ConfigError> {
        let problem = match self {
            Validator::Any => None,
            Validator::AtLeast(min) => below(value, *min as f64, min),
            Validator::Between(min, max) => {
                below(value, *min as f64, min).or_else(|| above(value, *max as f64, max))
            }
            Validator::BetweenDoubles(min, max) => {
                below(value, *min, min).or_else(|| above(value, *max, max))
            }
            Validator::OneOf(choices) => {
                let is_valid = value.as_str().is_none_or(|text| choices.contains(&text));
                (!is_valid).then(|| format!("String must be one of: {}", choices.join(", ")))
            }
            Validator::OneOfIgnoringCase(choices) => {
                let is_same = |text: &str| choices.iter().any(|c| c.eq_ignore_ascii_case(text));
                (!value.as_str().is_none_or(is_same)).then(|| {
                    let choices = choices.join(", ");
                    format!("String must be one of (case insensitive): {choices}")
                })
            }
            Validator::ListOf(choices) => return check_list(key, value, true, choices),
            Validator::NonEmptyListOf(choices) => return check_list(key, value, false, choices),
            Validator::UniqueList { non_empty } => {
                return check_list(key, value, !non_empty, &[]);
            }
            Validator::NonEmpty => {
                (value.as_str() == Some("")).then(|| "String must be non-empty".to_owned())
            }
            Validator::NonEmptyWithoutControlCharacters => {
                let is_bad = |text: &str| text.is_empty() || text.chars().any(char::is_control);
                let problem = "String may not be empty or contain control sequences";
                value
                    .as_str()
                    .is_some_and(is_bad)
                    .then(|| problem.to_owned())
            }
            Validator::Custom(check) => check(value).err(),
            Validator::All(validators) => {
                return validators
                    .iter()
                    .try_for_each(|validator| validator.check(key, value));
            }
        };
        match problem {
            None => Ok(()),
            Some(problem) => Err(key.error(&value.render(), problem)),
        }
    }

    /// What is allowed, in words that follow "expected"; `None` if nothing can be said.
    pub fn describe(&self) -> Option<String> {
        match self {
            Validator::Any | Validator::Custom(_) => None,
            Validator::AtLeast(min) => Some(format!("at least {min}")),
            Validator::Between(min, max) => Some(format!("{min} to {max}")),
            Validator::BetweenDoubles(min, max) if max.is_infinite() => {
                Some(format!("at least {min}"))
            }
            Validator::BetweenDoubles(min, max) => Some(format!("{min} to {max}")),
            Validator::OneOf(choices) | Validator::OneOfIgnoringCase(choices) => {
                Some(format!("one of {}", choices.join(", ")))
            }
            Validator::ListOf(choices) => {
                Some(format!("any of {}, none twice", choices.join(", ")))
            }
            Validator::NonEmptyListOf(choices) => Some(format!(
                "at least one of {}, none twice",
                choices.join(", ")
            )),
            Validator::UniqueList { non_empty: true } => {
                Some("at least one value, none empty, none twice".to_owned())
            }
            Validator::UniqueList { non_empty: false } => {
                Some("no value empty, none twice".to_owned())
            }
            Validator::NonEmpty => Some("not an empty text".to_owned()),
            Validator::NonEmptyWithoutControlCharacters => {
                Some("a text that is not empty and has no control characters".to_owned())
            }
            Validator::All(validators) => {
                let all: Vec<_> = validators.iter().filter_map(Validator::describe).collect();
                (!all.is_empty()).then(|| all.join(", "))
            }
        }
    }
}

fn below(value: &ConfigValue, min: f64, shown: impl fmt::Display) -> Option<String> {
    let is_below = value.as_f64().is_some_and(|number| number < min);
    is_below.then(|| format!("Value must be at least {shown}"))
}

fn above(value: &ConfigValue, max: f64, shown: impl fmt::Display) -> Option<String> {
    let is_above = value.as_f64().is_some_and(|number| number > max);
    is_above.then(|| format!("Value must be no more than {shown}"))
}

fn check_list(
    key: &ConfigKey,
    value: &ConfigValue,
    may_be_empty: bool,
    choices: &[&str],
) -> Result<(), ConfigError> {
    let name = key.name;
    let list = value.as_list().unwrap_or_default();
    let refuse = |message: String| Err(ConfigError::new(name, message));
    if list.is_empty() && !may_be_empty {
        let valid = match choices {
            [] => "any non-empty value".to_owned(),
            choices => format!("[{}]", choices.join(", ")),
        };
        return refuse(format!(
            "Configuration '{name}' must not be empty. Valid values include: {valid}"
        ));
    }
    let mut seen = HashSet::with_capacity(list.len());
    for element in list {
        if element.is_empty() {
            return refuse(format!("Configuration '{name}' values must not be empty."));
        }
        if !seen.insert(element) {
            return refuse(format!(
                "Configuration '{name}' values must not be duplicated."
            ));
        }
        if !choices.is_empty() && !choices.contains(&element.as_str()) {
            let problem = format!("String must be one of: {}", choices.join(", "));
            return Err(ConfigError::invalid(name, element, problem));
        }
    }
    Ok(())
}

/// A table of keys with lookup by name.
#[derive(Debug, Clone)]
pub struct ConfigDef {
    keys: &'static [ConfigKey],
    by_name: BTreeMap<&'static str, &'static ConfigKey>,
}

/// What [`ConfigDef::parse`] made of the entries of a file.
#[derive(Debug, Clone, Default)]
pub struct ParsedConfigs {
    /// Every key of the table that has a value, given or by default.
    pub values: BTreeMap<&'static str, ConfigValue>,
    /// Keys that were given and are not in the table, in the order given.
    pub unknown: Vec<String>,
    pub errors: Vec<ConfigError>,
}

impl ConfigDef {
    pub fn new(keys: &'static [ConfigKey]) -> ConfigDef {
        ConfigDef {
            keys,
            by_name: keys.iter().map(|key| (key.name, key)).collect(),
        }
    }

    /// The rows in the order of the table.
    pub fn keys(&self) -> &'static [ConfigKey] {
        self.keys
    }

    pub fn get(&self, name: &str) -> Option<&'static ConfigKey> {
        self.by_name.get(name).copied()
    }

    /// Parses one value; an unknown key is an error that names the nearest known one.
    pub fn parse_value(&self, name: &str, text: &str) -> Result<ConfigValue, ConfigError> {
        match self.get(name) {
            Some(key) => key.parse_value(text),
            None => Err(self.unknown_key(name)),
        }
    }

    /// The error about a key that is not in the table.
    pub fn unknown_key(&self, name: &str) -> ConfigError {
        let hint = match self.nearest(name) {
            Some(near) => format!("; did you mean {near}?"),
            None => String::new(),
        };
        ConfigError::new(name, format!("Unknown configuration key {name}{hint}"))
    }

    /// The key of the table that looks most like `name`, if one does.
    pub fn nearest(&self, name: &str) -> Option<&'static str> {
        nearest(name, self.keys.iter().map(|key| key.name))
    }

    /// Parses all entries, the last of a key counting, and fills in the defaults.
    pub fn parse<'a>(
        &self,
        entries: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> ParsedConfigs {
        let mut parsed = ParsedConfigs::default();
        let mut given = BTreeMap::new();
        for (name, text) in entries {
            match self.get(name) {
                Some(key) => drop(given.insert(key.name, text)),
                None => parsed.unknown.push(name.to_owned()),
            }
        }
        for key in self.keys {
            let value = match (given.get(key.name), key.default) {
                (Some(text), _) => key.parse_value(text).map(Some),
                (None, ConfigDefault::Required) => Err(key.missing()),
                (None, _) => Ok(key.default_value()),
            };
            match value {
                Ok(Some(value)) => drop(parsed.values.insert(key.name, value)),
                Ok(None) => {}
                Err(error) => parsed.errors.push(error),
            }
        }
        parsed
    }
}

#[cfg(test)]
mod tests;
