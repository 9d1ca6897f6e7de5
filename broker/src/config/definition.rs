//! What the tables of keys say beyond `kafka_shared::config`: where a key is visible, whether it has
//! an effect here, and checks that only single keys need.

use std::ops::Deref;

use kafka_shared::config::{ConfigKey, ConfigValue};

/// Where a key may appear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    Public,
    /// Accepted, but shown only when it is set.
    Internal,
    /// Can be set while the broker runs, and not in its file.
    DynamicOnly,
}

/// One row of a table of keys.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    pub key: ConfigKey,
    pub visibility: Visibility,
    /// False: the key is accepted and does nothing here.
    pub is_honoured: bool,
}

impl Deref for Key {
    type Target = ConfigKey;

    fn deref(&self) -> &ConfigKey {
        &self.key
    }
}

/// `compression.gzip.level`.
pub(super) fn gzip_level(value: &ConfigValue) -> Result<(), String> {
    match value.as_i64() {
        Some(-1 | 1..=9) => Ok(()),
        _ => Err("Value must be between 1 and 9 or equal to -1".to_owned()),
    }
}

/// `partition:broker,…`, or `*`.
pub(super) fn throttled_replicas(value: &ConfigValue) -> Result<(), String> {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let is_replica = |replica: &String| {
        replica
            .split_once(':')
            .is_some_and(|(partition, broker)| is_number(partition) && is_number(broker))
    };
    match value.as_list().unwrap_or_default() {
        [only] if only == "*" => Ok(()),
        replicas if replicas.iter().all(is_replica) => Ok(()),
        _ => Err(
            "must be the literal '*' or a list of replicas in the following format: \
                  [partitionId]:[brokerId],[partitionId]:[brokerId],..."
                .to_owned(),
        ),
    }
}

/// `share.auto.offset.reset`.
pub(super) fn auto_offset_reset(value: &ConfigValue) -> Result<(), String> {
    let text = value.as_str().unwrap_or_default();
    let is_valid = match text.split_once(':') {
        None => text == "latest" || text == "earliest",
        Some(("by_duration", duration)) => is_iso_duration(duration),
        Some(_) => false,
    };
    if is_valid {
        return Ok(());
    }
    Err("must be `earliest`, `latest` or of the format `by_duration:PnDTnHnMn.nS`.".to_owned())
}

/// `PnDTnHnMn.nS` with at least one part and no sign.
fn is_iso_duration(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('P') else {
        return false;
    };
    let (date, time) = rest
        .split_once('T')
        .map_or((rest, None), |(date, time)| (date, Some(time)));
    let date_parts = duration_parts(date, "D");
    let time_parts = time.map_or(Some(0), |time| {
        duration_parts(time, "HMS").filter(|parts| *parts > 0)
    });
    matches!((date_parts, time_parts), (Some(days), Some(times)) if days + times > 0)
}

/// Number of parts, each a number and one of `units`, which come in their order; only seconds may
/// have a fraction.
fn duration_parts(text: &str, units: &str) -> Option<usize> {
    let mut units = units.chars();
    let mut number = String::new();
    let mut parts = 0;
    for c in text.chars() {
        if c.is_ascii_digit() || c == '.' {
            number.push(c);
            continue;
        }
        let is_fraction = number.contains('.');
        if number.parse::<f64>().is_err() || (is_fraction && c != 'S') || !units.any(|u| u == c) {
            return None;
        }
        number.clear();
        parts += 1;
    }
    number.is_empty().then_some(parts)
}
