//! Configuration as Kafka does it: `.properties` files and typed, validated, documented keys.
//!
//! [`properties`] reads and writes files; [`definition`] says what a key accepts and how its value
//! is shown. Which keys exist is the broker's and the manager's own table, not here.

pub mod definition;
pub mod properties;

pub use definition::{
    ConfigDef, ConfigDefault, ConfigError, ConfigKey, ConfigType, ConfigValue, Importance,
    Password, UpdateMode, Validator,
};
pub use properties::Properties;
