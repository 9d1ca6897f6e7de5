//! A connector's configuration in a file: a JSON object, as the REST interface takes it.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use crate::model::{Fault, FaultKind};

/// No configuration is longer.
const BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Reads the values that the file sets: with `name` and `config`, as it is posted, or the
/// configuration alone.
///
/// # Errors
/// It can't be read, is too long, or holds no JSON object.
pub fn read_config(file: &Path) -> Result<BTreeMap<String, String>, Fault> {
    let what = "read a connector's configuration";
    let failed = |why: String| Fault::refused(what, format!("{}: {why}", file.display()));
    let mut text = String::new();
    let read = std::fs::File::open(file)
        .and_then(|opened| opened.take(BYTES_MAX + 1).read_to_string(&mut text));
    let n = read.map_err(|error| {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => FaultKind::NotFound,
            _ => FaultKind::Failed,
        };
        Fault::new(kind, what, format!("{}: {error}", file.display()))
    })?;
    if n as u64 > BYTES_MAX {
        return Err(failed("it is too long".to_owned()));
    }
    let document: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
    let config = document.get("config").filter(|config| config.is_object());
    let object = config.unwrap_or(&document).as_object();
    let object = object.ok_or_else(|| failed("it is no JSON object".to_owned()))?;
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let pairs = object.iter();
    Ok(pairs
        .map(|(key, value)| (key.clone(), text(value)))
        .collect())
}
