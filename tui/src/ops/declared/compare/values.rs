//! Declared values against those of a cluster, and names against patterns.

use std::collections::BTreeSet;

use kafka_shared::config::definition::nearest;

use super::{Difference, Setting};
use crate::model::{ConfigKind, Configs};
use crate::ops::ConfigChange;

/// What a declared setting changes; `None` where it is so.
pub(super) fn set(
    setting: &Setting,
    configs: &Configs,
) -> Result<Option<(Difference, ConfigChange)>, String> {
    let name = &setting.name;
    let Some(entry) = configs.get(name) else {
        let known: Vec<&str> = configs.entries.iter().map(|entry| &*entry.name).collect();
        return Err(unknown(name, &known));
    };
    if entry.is_read_only {
        return Err(format!("{name} can't be changed while a broker runs"));
    }
    let is_own = entry.is_overridden(&configs.resource);
    let change = match &setting.value {
        None if !is_own => return Ok(None),
        None => ConfigChange::Delete { name: name.clone() },
        Some(value) => {
            let now = entry.value.as_deref();
            if is_own && now.is_some_and(|now| is_same(entry.kind, now, value)) {
                return Ok(None);
            }
            ConfigChange::Set {
                name: name.clone(),
                value: value.clone(),
            }
        }
    };
    let difference = Difference {
        what: name.clone(),
        now: match entry.is_sensitive {
            true => Some("(hidden)".to_owned()),
            false => entry.value.clone(),
        },
        declared: setting.value.clone(),
        source: Some(entry.source.as_str().to_owned()),
    };
    Ok(Some((difference, change)))
}

/// Whether two ways to write a value mean the same.
fn is_same(kind: ConfigKind, one: &str, other: &str) -> bool {
    if one == other {
        return true;
    }
    match kind {
        ConfigKind::Boolean => one.eq_ignore_ascii_case(other.trim()),
        ConfigKind::Int | ConfigKind::Short | ConfigKind::Long => {
            let number = |text: &str| text.trim().parse::<i64>().ok();
            number(one).is_some() && number(one) == number(other)
        }
        ConfigKind::Double => {
            let number = |text: &str| text.trim().parse::<f64>().ok();
            number(one).is_some() && number(one) == number(other)
        }
        ConfigKind::List => {
            let items = |text: &str| -> BTreeSet<String> {
                let items = text
                    .split(',')
                    .map(str::trim)
                    .filter(|item| !item.is_empty());
                items.map(str::to_owned).collect()
            };
            items(one) == items(other)
        }
        _ => false,
    }
}

pub(super) fn unknown(name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(nearest) => format!("there is no setting {name}; did you mean {nearest}?"),
        None => format!("there is no setting {name}"),
    }
}

/// Whether a name fits a pattern in which `*` stands for anything.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, name, wanted) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("*b", "ab", true),
            ("*", "", true),
            ("a*c*e", "abcde", true),
            ("a*c*e", "abde", false),
            ("ab*bc", "abc", false),
            ("connect-*", "connect-offsets", true),
        ] {
            assert_eq!(fits(pattern, name), wanted, "{pattern} {name}");
        }
    }

    #[test]
    fn values_are_compared_as_what_they_mean() {
        for (kind, one, other, wanted) in [
            (ConfigKind::Long, "60000", "60000", true),
            (ConfigKind::Long, "60000", " 060000", true),
            (ConfigKind::Long, "60000", "60001", false),
            (ConfigKind::Double, "0.5", "0.50", true),
            (ConfigKind::Boolean, "true", "TRUE", true),
            (ConfigKind::List, "compact,delete", "delete, compact", true),
            (ConfigKind::List, "compact", "compact,delete", false),
            (ConfigKind::String, "gzip", "GZIP", false),
        ] {
            assert_eq!(is_same(kind, one, other), wanted, "{one} {other}");
        }
    }
}
