//! Passwords, keys and tokens: text that never gets into a log, an error, a screen or a document.
//!
//! Owns: the type that holds a secret, and the places that one can come from.
//!
//! Invariants:
//! - [`Secret`] writes `[hidden]` wherever it is formatted or serialized; the text is reached by
//!   [`Secret::expose`] only, so that every use of it can be found by that word.
//! - An error tells where a secret should have come from and never what was read.
//! - What is read is bounded in size and, for commands, in time.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};
use tokio::io::AsyncReadExt;

/// What is written instead of a secret.
pub const HIDDEN: &str = "[hidden]";

/// No secret is longer; a PEM file with a key and a chain is the longest of them.
const SECRET_BYTES_MAX: u64 = 256 * 1024;

/// How long a command that prints a secret may take: some ask a person for a finger.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);

/// A text that is used and never shown.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text itself, for the one who has to send it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(HIDDEN)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Secret {
        Secret::new(text)
    }
}

/// Where a secret comes from, as it is written into a value: `${env:NAME}`, `${file:PATH}` (the
/// whole file), `${file:PATH:KEY}` (a key of a properties file, as Kafka's `FileConfigProvider`)
/// or `${command:LINE}` (what a shell prints). Anything else is the value itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Literal(Secret),
    Environment(String),
    File { path: PathBuf, key: Option<String> },
    Command(String),
}

/// Why a secret could not be had; it names the source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot read {place}: {reason}")]
pub struct SecretError {
    pub place: String,
    pub reason: String,
}

impl Source {
    // Differs from Kafka: references work without config.providers, because a password that is
    // written as ${env:NAME} is never meant to be that text.
    pub fn parse(text: &str) -> Source {
        let inner = text.trim().strip_prefix("${");
        let inner = inner.and_then(|rest| rest.strip_suffix('}'));
        match inner.and_then(|inner| inner.split_once(':')) {
            Some(("env", name)) => Source::Environment(name.trim_start_matches(':').to_owned()),
            Some(("file", rest)) => match rest.rsplit_once(':') {
                Some((path, key)) if !key.contains('/') && !path.is_empty() => Source::File {
                    path: PathBuf::from(path),
                    key: Some(key.to_owned()),
                },
                _ => Source::File {
                    path: PathBuf::from(rest),
                    key: None,
                },
            },
            Some(("command", line)) => Source::Command(line.to_owned()),
            _ => Source::Literal(Secret::new(text)),
        }
    }

    /// How it is written into a value; None for a secret that stands there itself.
    pub fn reference(&self) -> Option<String> {
        Some(match self {
            Source::Literal(_) => return None,
            Source::Environment(name) => format!("${{env:{name}}}"),
            Source::File { path, key: None } => format!("${{file:{}}}", path.display()),
            Source::File {
                path,
                key: Some(key),
            } => format!("${{file:{}:{key}}}", path.display()),
            Source::Command(line) => format!("${{command:{line}}}"),
        })
    }

    /// Reads the secret. Line ends at its end are not part of it. Relative paths count from
    /// `folder`.
    ///
    /// # Errors
    /// The variable is not set, the file can't be read or is too long, the command failed.
    pub async fn read(&self, folder: &Path) -> Result<Secret, SecretError> {
        match self {
            Source::Literal(secret) => Ok(secret.clone()),
            Source::Environment(name) => match std::env::var(name) {
                Ok(text) => Ok(Secret(text)),
                Err(std::env::VarError::NotPresent) => {
                    Err(fail(format!("the variable {name}"), "it is not set"))
                }
                Err(_) => Err(fail(format!("the variable {name}"), "it is not UTF-8")),
            },
            Source::File { path, key } => read_file(&folder.join(path), key.as_deref()).await,
            Source::Command(line) => run(line, folder).await,
        }
    }
}

fn fail(place: impl Into<String>, reason: impl fmt::Display) -> SecretError {
    SecretError {
        place: place.into(),
        reason: reason.to_string(),
    }
}

async fn read_file(path: &Path, key: Option<&str>) -> Result<Secret, SecretError> {
    let place = format!("the file {}", path.display());
    let text = read_text(path).await.map_err(|why| fail(&place, why))?;
    let Some(key) = key else {
        return Ok(without_line_end(text));
    };
    let properties =
        crate::config::properties::Properties::parse(&text).map_err(|why| fail(&place, why))?;
    let value = properties.get(key);
    let value = value.ok_or_else(|| fail(&place, format!("it has no key {key}")))?;
    Ok(Secret::new(value))
}

/// Reads a file of text that may hold secrets, and no endless one.
///
/// # Errors
/// Why it can't be read, without the path.
pub async fn read_text(path: &Path) -> Result<String, String> {
    let path = path.to_owned();
    let read = crate::task::spawn_blocking("read-secret", move || {
        use std::io::Read as _;
        let file = std::fs::File::open(&path).map_err(|error| error.to_string())?;
        let mut text = String::new();
        let mut bounded = file.take(SECRET_BYTES_MAX + 1);
        match bounded.read_to_string(&mut text) {
            Err(error) => Err(error.to_string()),
            Ok(n) if n as u64 > SECRET_BYTES_MAX => Err("it is too long".to_owned()),
            Ok(_) => Ok(text),
        }
    });
    read.await
        .unwrap_or_else(|_| Err("the task broke".to_owned()))
}

fn without_line_end(mut text: String) -> Secret {
    text.truncate(text.trim_end_matches(['\n', '\r']).len());
    Secret(text)
}

async fn run(line: &str, folder: &Path) -> Result<Secret, SecretError> {
    let place = format!("the output of `{line}`");
    let mut command = tokio::process::Command::new("/bin/sh");
    command.arg("-c").arg(line).kill_on_drop(true);
    if folder.is_dir() {
        command.current_dir(folder);
    }
    // What it says to a person would go through the screens, and might tell the secret.
    command.stdin(Stdio::null()).stderr(Stdio::null());
    let spawned = command.stdout(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|error| fail(&place, error))?;
    let Some(stdout) = child.stdout.take() else {
        return Err(fail(place, "it has no output"));
    };
    let finished = tokio::time::timeout(COMMAND_TIMEOUT, async {
        let mut bytes = Vec::new();
        let mut bounded = stdout.take(SECRET_BYTES_MAX + 1);
        bounded.read_to_end(&mut bytes).await?;
        drop(bounded);
        Ok::<_, std::io::Error>((bytes, child.wait().await?))
    });
    let finished = finished.await.map_err(|_| {
        let seconds = COMMAND_TIMEOUT.as_secs();
        fail(&place, format!("it did not end within {seconds} s"))
    })?;
    let (bytes, status) = finished.map_err(|error| fail(&place, error))?;
    if bytes.len() as u64 > SECRET_BYTES_MAX {
        return Err(fail(place, "it is too long"));
    }
    if !status.success() {
        return Err(fail(place, format!("it ended with {status}")));
    }
    let text = String::from_utf8(bytes).map_err(|_| fail(place, "it is not UTF-8"))?;
    Ok(without_line_end(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_way_of_writing_a_secret_shows_it() {
        let secret = Secret::new("hunter2");
        let source = Source::parse("hunter2");
        let json = serde_json::to_string(&[&secret]).unwrap();
        for text in [
            format!("{secret} {secret:?} {secret:#?}"),
            format!("{source:?}"),
            json,
        ] {
            assert!(!text.contains("hunter2") && text.contains(HIDDEN), "{text}");
        }
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn references_are_read_as_they_are_written() {
        for text in [
            "${env:PASSWORD}",
            "${file:/run/secrets/kafka}",
            "${file:/etc/kafka/secrets.properties:kafka.password}",
            "${command:pass show kafka:prod | head -1}",
        ] {
            let source = Source::parse(text);
            assert_eq!(source.reference().as_deref(), Some(text));
        }
        for text in ["plain", "${unknown:x}", "$env:X", "${}", ""] {
            assert_eq!(Source::parse(text), Source::Literal(text.into()));
        }
    }

    #[tokio::test]
    async fn secrets_come_from_files_and_commands_without_their_last_line_end() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("whole"), "pa ss\n").unwrap();
        std::fs::write(folder.path().join("keys"), "a = 1\nb = two\n").unwrap();
        for (text, expected) in [
            ("${file:whole}", "pa ss"),
            ("${file:keys:b}", "two"),
            ("${command:cat whole}", "pa ss"),
            ("literal", "literal"),
        ] {
            let read = Source::parse(text).read(folder.path()).await;
            assert_eq!(read, Ok(expected.into()), "{text}");
        }
    }

    #[tokio::test]
    async fn a_secret_that_cannot_be_had_says_where_it_was_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("keys"), "a=sesame").unwrap();
        for (text, told) in [
            ("${env:KAFKA_TUI_NO_SUCH}", "the variable KAFKA_TUI_NO_SUCH"),
            ("${file:absent}", "No such file"),
            ("${file:keys:b}", "it has no key b"),
            ("${command:echo sesame; exit 3}", "exit status: 3"),
            ("${command:yes}", "too long"),
        ] {
            let error = Source::parse(text).read(folder.path()).await.unwrap_err();
            let error = error.to_string();
            assert!(error.contains(told), "{error}");
            assert!(!error.contains("a=sesame"), "{error}");
        }
    }
}
