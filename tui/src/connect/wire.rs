//! Kafka Connect's documents, read without trust: what is missing is empty, what is of another
//! shape is no answer.

use std::collections::{BTreeMap, BTreeSet};

use kafka_shared::http::Response;
use kafka_shared::secret::{HIDDEN, Source};
use serde_json::Value;

use super::{ConfigDiff, Connector, Task, WorkerInfo};
use crate::model::{Fault, FaultKind};

const REBALANCE: &str = "the workers divide their work anew";

/// Parts of keys whose values nobody shall read over somebody's shoulder.
const SECRET_WORDS: [&str; 8] = [
    "password",
    "passwd",
    "secret",
    "token",
    "credential",
    "jaas.config",
    "private.key",
    "access.key",
];

/// The value of a key as it can be shown.
pub fn shown_value(key: &str, value: &str) -> String {
    let key = key.to_lowercase();
    let may_hold = SECRET_WORDS.iter().any(|word| key.contains(word));
    // Connect's own references are `${provider:path:key}`.
    let is_reference = Source::parse(value).reference().is_some()
        || (value.starts_with("${") && value.ends_with('}'));
    match may_hold && !is_reference && !value.is_empty() {
        true => HIDDEN.to_owned(),
        false => value.to_owned(),
    }
}

/// A name as a part of a path.
pub(super) fn escaped(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(byte));
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

/// The answer where it is a yes; a fault that says what the worker said where it is none.
pub(super) fn checked(what: &str, response: Response) -> Result<Response, Fault> {
    if response.is_success() {
        return Ok(response);
    }
    let said = response.json().ok();
    let said = said.as_ref().and_then(|json| json.get("message")?.as_str());
    let said = match said {
        Some(said) => said.to_owned(),
        None => response.text().chars().take(300).collect(),
    };
    let said = said.trim();
    let why = match (response.status, said.is_empty()) {
        (409, _) => format!("{REBALANCE}: {said}"),
        (status, true) => format!("the worker answers {status}"),
        (status, false) => format!("the worker answers {status}: {said}"),
    };
    let (kind, hint) = match response.status {
        404 => (
            FaultKind::NotFound,
            "`kafka-tui connect list` shows what there is",
        ),
        401 | 403 => (
            FaultKind::Refused,
            "name the user: connect_login of the saved cluster, or --login user:env:NAME",
        ),
        405 => (FaultKind::Unsupported, "these workers are too old for it"),
        400..=499 => (FaultKind::Refused, ""),
        _ => (FaultKind::Failed, "the worker's log says more"),
    };
    let fault = Fault::new(kind, what, why);
    Err(match hint {
        "" => fault,
        hint => fault.with_hint(hint),
    })
}

pub(super) fn is_rebalance(fault: &Fault) -> bool {
    fault.why.starts_with(REBALANCE)
}

pub(super) fn json(what: &str, response: &Response) -> Result<Value, Fault> {
    response.json().map_err(|why| {
        let why = format!("the answer is not that of a worker: {why}");
        Fault::new(FaultKind::Failed, what, why)
            .with_hint("is the address that of a worker's REST interface?")
    })
}

pub(super) fn strange(what: &str) -> Fault {
    let why = "the answer is not that of a worker";
    Fault::new(FaultKind::Failed, what, why)
        .with_hint("is the address that of a worker's REST interface?")
}

fn text(value: &Value, key: &str) -> Option<String> {
    Some(value.get(key)?.as_str()?.to_owned())
}

pub(super) fn info(document: &Value) -> Option<WorkerInfo> {
    Some(WorkerInfo {
        version: text(document, "version")?,
        kafka_cluster_id: text(document, "kafka_cluster_id"),
    })
}

pub(super) fn connectors(document: &Value) -> Option<Vec<Connector>> {
    let all = document.as_object()?;
    let mut all: Vec<Connector> = all.iter().map(|(name, of)| connector(name, of)).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Some(all)
}

fn connector(name: &str, of: &Value) -> Connector {
    let nothing = Value::Null;
    let status = of.get("status").unwrap_or(&nothing);
    let info = of.get("info").unwrap_or(&nothing);
    let own = status.get("connector").unwrap_or(&nothing);
    let unknown = || "UNKNOWN".to_owned();
    let kind = text(status, "type").or_else(|| text(info, "type"));
    let tasks = status.get("tasks").and_then(Value::as_array);
    let config = info.get("config").and_then(config).unwrap_or_default();
    let shown = |(key, value): (String, String)| {
        let value = shown_value(&key, &value);
        (key, value)
    };
    let mut tasks: Vec<Task> = tasks.into_iter().flatten().filter_map(task).collect();
    tasks.sort_by_key(|task| task.id);
    Connector {
        name: name.to_owned(),
        kind: kind.unwrap_or_default(),
        state: text(own, "state").unwrap_or_else(unknown),
        worker: text(own, "worker_id").unwrap_or_default(),
        trace: text(own, "trace"),
        tasks,
        config: config.into_iter().map(shown).collect(),
    }
}

fn task(of: &Value) -> Option<Task> {
    Some(Task {
        id: i32::try_from(of.get("id")?.as_i64()?).ok()?,
        state: text(of, "state")?,
        worker: text(of, "worker_id").unwrap_or_default(),
        trace: text(of, "trace"),
    })
}

pub(super) fn config(document: &Value) -> Option<BTreeMap<String, String>> {
    let pairs = document.as_object()?.iter();
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    Some(
        pairs
            .map(|(key, value)| (key.clone(), text(value)))
            .collect(),
    )
}

/// What is different, by key.
pub(super) fn diff(
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> Vec<ConfigDiff> {
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changed = keys
        .into_iter()
        .filter(|key| before.get(*key) != after.get(*key));
    let shown = |of: &BTreeMap<String, String>, key: &String| {
        of.get(key).map(|value| shown_value(key, value))
    };
    changed
        .map(|key| ConfigDiff {
            key: key.clone(),
            before: shown(before, key),
            after: shown(after, key),
        })
        .collect()
}

/// What a validation found wrong.
pub(super) fn problems(document: &Value) -> Option<Vec<String>> {
    let configs = document.get("configs")?.as_array()?;
    let mut problems = Vec::new();
    for value in configs.iter().filter_map(|config| config.get("value")) {
        let name = text(value, "name").unwrap_or_default();
        let errors = value.get("errors").and_then(Value::as_array);
        for error in errors.into_iter().flatten().filter_map(Value::as_str) {
            problems.push(format!("{name}: {error}"));
        }
    }
    Some(problems)
}
