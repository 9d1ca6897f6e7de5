//! Reads schemas from a schema registry, Confluent's HTTP API: `/schemas/ids/{id}`,
//! `/schemas/guids/{guid}` and, for what a schema names, `/subjects/{subject}/versions/{version}`.
//!
//! Invariants: at most [`AT_ONCE`] requests at a time and [`ASKED_MAX`] schemas for one read; a
//! registry that does not answer is not asked again within the same read; what it said is kept.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;
use kafka_shared::http::{Client, HttpError, Request, Url};
use kafka_shared::secret::Secret;
use kafka_shared::tls::TlsFault;
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::decode::{Compiled, SchemaBook, SchemaRef, SchemaText};

/// Requests at a time.
const AT_ONCE: usize = 4;

/// Schemas that one read may need.
const ASKED_MAX: usize = 200;

/// Schemas that one schema may name, all in all.
const REFERENCES_MAX: usize = 100;

const TIMEOUT_MS: u64 = 5_000;

const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Where a registry is and who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryOptions {
    pub url: Url,
    /// User and password.
    pub user: Option<(String, Secret)>,
    pub token: Option<Secret>,
    /// A PEM file with the authorities that are trusted; `None`: those of the platform.
    pub ca: Option<PathBuf>,
}

/// A registry with what was read from it.
#[derive(Clone, Debug)]
pub struct Registry {
    options: Arc<RegistryOptions>,
    /// Made when something is read first.
    http: Arc<OnceCell<Client>>,
    book: SchemaBook,
}

/// Why there is no schema.
enum Failure {
    /// Of this schema.
    Schema(String),
    /// Of the registry: others would fail the same way.
    Registry(String),
}

impl Registry {
    pub fn new(options: RegistryOptions) -> Self {
        Self {
            options: Arc::new(options),
            http: Arc::default(),
            book: SchemaBook::of_registry(),
        }
    }

    async fn http(&self) -> Result<&Client, Failure> {
        let made = self.http.get_or_try_init(async || {
            let client = match self.options.url.is_tls {
                true => Client::trusting(self.options.ca.as_deref()).await?,
                false => Client::plain(),
            };
            Ok::<_, TlsFault>(Client {
                timeout_ms: TIMEOUT_MS,
                body_bytes_max: ANSWER_BYTES_MAX,
                ..client
            })
        });
        made.await.map_err(|fault| {
            let why = format!("the registry can't be asked: {}", fault.reason);
            Failure::Registry(why)
        })
    }

    /// The schemas that were read so far.
    pub fn book(&self) -> &SchemaBook {
        &self.book
    }

    /// Reads those schemas that are not in the book. What can't be read is in the book with the
    /// reason.
    pub async fn prepare(&self, wanted: BTreeSet<SchemaRef>) {
        let missing = wanted
            .into_iter()
            .filter(|schema| self.book.get(schema).is_none());
        let missing: Vec<SchemaRef> = missing.take(ASKED_MAX).collect();
        let mut reads = stream::iter(missing.clone())
            .map(|schema| self.read(schema))
            .buffer_unordered(AT_ONCE);
        let mut down = None;
        while let Some((schema, read)) = reads.next().await {
            let said = match read {
                Ok(compiled) => Ok(Arc::new(compiled)),
                Err(Failure::Schema(why)) => Err(why),
                Err(Failure::Registry(why)) => {
                    down = Some(why);
                    break;
                }
            };
            self.book.put(schema, said);
        }
        drop(reads);
        if let Some(why) = down {
            for schema in missing {
                if self.book.get(&schema).is_none() {
                    self.book.put(schema, Err(why.clone()));
                }
            }
        }
    }

    async fn read(&self, schema: SchemaRef) -> (SchemaRef, Result<Compiled, Failure>) {
        (schema, self.compiled(schema).await)
    }

    async fn compiled(&self, schema: SchemaRef) -> Result<Compiled, Failure> {
        let path = match schema {
            SchemaRef::Id(id) => format!("/schemas/ids/{id}"),
            SchemaRef::Guid(guid) => format!("/schemas/guids/{guid}"),
        };
        let text = self.schema_at(&path).await?;
        let references = self.references(&text).await?;
        // A schema from outside is work, and may be malformed in any way.
        let compiled = Compiled::new(&text, &references);
        compiled.map_err(Failure::Schema)
    }

    /// The texts of all that a schema names, each after those that it names itself.
    async fn references(&self, schema: &SchemaText) -> Result<Vec<String>, Failure> {
        let mut ordered = Vec::new();
        let mut seen = BTreeSet::new();
        // Each is visited twice: to look at what it names, and then to take its place.
        let mut stack: Vec<Visit> = visits(schema).collect();
        while let Some(visit) = stack.pop() {
            let (subject, version) = match visit {
                Visit::Read(subject, version) => (subject, version),
                Visit::Take(text) => {
                    ordered.push(text);
                    continue;
                }
            };
            if !seen.insert((subject.clone(), version)) {
                continue;
            }
            if seen.len() > REFERENCES_MAX {
                let why = format!("it names more than {REFERENCES_MAX} other schemas");
                return Err(Failure::Schema(why));
            }
            let path = format!("/subjects/{}/versions/{version}", escaped(&subject));
            let text = self.schema_at(&path).await?;
            let inner: Vec<Visit> = visits(&text).collect();
            stack.push(Visit::Take(text.text));
            stack.extend(inner);
        }
        Ok(ordered)
    }

    async fn schema_at(&self, path: &str) -> Result<SchemaText, Failure> {
        let base = &self.options.url;
        let url = Url {
            path: format!("{}{path}", base.path.trim_end_matches('/')),
            ..base.clone()
        };
        let mut request = Request::get();
        let accept = "application/vnd.schemaregistry.v1+json, application/json";
        request
            .headers
            .push(("Accept".to_owned(), accept.to_owned()));
        if let Some((user, password)) = &self.options.user {
            request = request.basic(user, password);
        } else if let Some(token) = &self.options.token {
            request.authorization = Some(Secret::new(format!("Bearer {}", token.expose())));
        }
        let answer = self.http().await?.send(&url, &request).await;
        let response = answer.map_err(|error| failure(&error))?;
        let registry = |why: &str| Failure::Registry(format!("the registry at {base} {why}"));
        match response.status {
            200 => {}
            404 => return Err(Failure::Schema(not_found(&response.text()))),
            401 | 403 => return Err(registry("does not let us in")),
            status => return Err(registry(&format!("answers with HTTP status {status}"))),
        }
        let json = response.json();
        let json = json.map_err(|why| registry(&format!("answers with no JSON: {why}")))?;
        SchemaText::parse(&json).map_err(Failure::Schema)
    }
}

enum Visit {
    Read(String, i64),
    Take(String),
}

fn visits(schema: &SchemaText) -> impl Iterator<Item = Visit> + '_ {
    let references = schema.references.iter().rev();
    references.map(|(_, subject, version)| Visit::Read(subject.clone(), *version))
}

fn failure(error: &HttpError) -> Failure {
    match error {
        HttpError::Answer { .. } => Failure::Schema(error.to_string()),
        _ => Failure::Registry(format!("the registry can't be asked: {error}")),
    }
}

fn not_found(body: &str) -> String {
    let json: Option<Value> = serde_json::from_str(body).ok();
    let told = json.as_ref().and_then(|json| json.get("message"));
    match told.and_then(Value::as_str) {
        Some(message) => format!("the registry does not have it: {message}"),
        None => "the registry does not have it".to_owned(),
    }
}

/// A name as a part of a path.
fn escaped(name: &str) -> String {
    let mut text = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                text.push(char::from(byte));
            }
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn authorities_that_cant_be_read_are_told_with_each_schema() {
        let registry = Registry::new(RegistryOptions {
            url: "https://127.0.0.1:1".parse().unwrap(),
            user: None,
            token: None,
            ca: Some(PathBuf::from("/nowhere/ca.pem")),
        });
        registry.prepare(BTreeSet::from([SchemaRef::Id(5)])).await;
        let said = registry.book().get(&SchemaRef::Id(5)).unwrap();
        let why = said.err().unwrap();
        assert!(why.contains("/nowhere/ca.pem"), "{why}");
    }

    #[test]
    fn a_subject_is_escaped_in_a_path() {
        assert_eq!(escaped("a/b c-value.1"), "a%2Fb%20c-value.1");
    }
}
