//! What a subscription to client metrics may say.
//!
//! Kafka: `server/metrics/ClientMetricsConfigs.java` (4.3), KIP-714.

use std::sync::Arc;

use kafka_shared::error::{ApiError, ErrorCode};

use super::{invalid_config, keys};
use crate::metadata::configs::ConfigMap;

/// What clients can be told apart by.
const MATCHED: [&str; 6] = [
    "client_instance_id",
    "client_id",
    "client_software_name",
    "client_software_version",
    "client_source_address",
    "client_source_port",
];

/// Milliseconds between pushes of a client's metrics, both inclusive.
const INTERVAL_MS: std::ops::RangeInclusive<i64> = 100..=3_600_000;

pub(super) fn check(name: &str, new: &ConfigMap) -> Result<(), ApiError> {
    let invalid_request = |why: String| Err(ApiError::new(ErrorCode::INVALID_REQUEST, why));
    if name.is_empty() {
        return invalid_request("Subscription name can't be empty".into());
    }
    let is_unknown = |name: &&Arc<str>| !keys::CLIENT_METRICS.contains_key(&***name);
    if let Some(name) = new.keys().find(is_unknown) {
        return invalid_request(format!("Unknown client metrics configuration: {name}"));
    }
    for (name, value) in new {
        let parsed = keys::CLIENT_METRICS[&**name].parse_value(value);
        let parsed = parsed.map_err(|error| invalid_config(error.message))?;
        if &**name == "match" {
            parsed
                .as_list()
                .unwrap_or_default()
                .iter()
                .try_for_each(|selector| check_selector(selector))?;
        }
    }
    let interval = (new.get("interval.ms")).and_then(|text| text.trim().parse::<i64>().ok());
    match interval {
        Some(ms) if !INTERVAL_MS.contains(&ms) => invalid_request(format!(
            "Invalid value {ms} for interval.ms, interval must be between 100 and 3600000 (1 hour)"
        )),
        _ => Ok(()),
    }
}

fn check_selector(selector: &str) -> Result<(), ApiError> {
    // As Java splits: what is empty at the end doesn't count.
    let parts: Vec<_> = selector.trim_end_matches('=').split('=').collect();
    match parts[..] {
        [param, pattern] if MATCHED.contains(&param.trim()) && is_pattern(pattern.trim()) => Ok(()),
        _ => Err(invalid_config(format!(
            "Illegal client matching pattern: {selector}"
        ))),
    }
}

/// Whether a text has the form of one of Java's regular expressions.
///
// Differs from Kafka: it compiles the expression. Nothing is matched with it here, so it is enough
// to tell what Java would refuse for its form: brackets that don't pair, and nothing to repeat.
fn is_pattern(text: &str) -> bool {
    let mut chars = text.chars().peekable();
    let (mut groups, mut classes) = (0_usize, 0_usize);
    let mut can_repeat = false;
    while let Some(c) = chars.next() {
        let was_repeatable = std::mem::replace(&mut can_repeat, true);
        match c {
            '\\' if chars.next().is_none() => return false,
            '\\' => {}
            '[' => {
                classes += 1;
                // A bracket that comes first, also after a negation, is an ordinary character.
                chars.next_if_eq(&'^');
                chars.next_if_eq(&']');
            }
            ']' => classes = classes.saturating_sub(1),
            _ if classes > 0 => {}
            '(' => {
                groups += 1;
                can_repeat = false;
                // What kind of group it is.
                chars.next_if_eq(&'?');
            }
            ')' if groups == 0 => return false,
            ')' => groups -= 1,
            '|' | '^' => can_repeat = false,
            '*' | '+' | '?' | '{' if !was_repeatable => return false,
            '{' => {
                let bounds: String = chars.by_ref().take_while(|c| *c != '}').collect();
                let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
                let (least, most) = bounds.split_once(',').unwrap_or((&bounds, ""));
                if least.is_empty() || !is_number(least) || !is_number(most) {
                    return false;
                }
            }
            // Reluctant and possessive.
            '*' | '+' | '?' => {
                can_repeat = chars.next_if(|c| ['?', '+'].contains(c)).is_none();
            }
            _ => {}
        }
    }
    groups == 0 && classes == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_refused_for_what_java_refuses_them() {
        for right in [
            "client_id=a.*",
            " client_id = [a-c]+(x|y)? ",
            "client_software_name=apache-kafka-java=",
            "client_source_port=90\\d{2,4}",
            "client_id=[]a]",
            "client_id=a*?",
            "client_id=(?:a)",
        ] {
            assert_eq!(check_selector(right), Ok(()), "{right}");
        }
        for wrong in [
            "",
            "client_id",
            "client_id=",
            "colour=red",
            "client_id=a=b",
            "client_id=[",
            "client_id=(a",
            "client_id=a)",
            "client_id=*",
            "client_id=a\\",
            "client_id=a{x}",
            "client_id={1}",
        ] {
            let refused = check_selector(wrong).map_err(|error| error.code);
            assert_eq!(refused, Err(ErrorCode::INVALID_CONFIG), "{wrong}");
        }
    }
}
