//! Where OAUTHBEARER tokens come from, and the one that is good now.
//!
//! Invariants: one fetch at a time, whoever else needs a token waits for it; a token is used until
//! four fifths of its lifetime are over; what a token endpoint answers is never shown.
//!
//! Kafka: `common/security/oauthbearer/ClientCredentialsJwtRetriever.java`,
//! `internals/secured/HttpJwtRetriever.java` (4.3).

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde_json::Value;
use tokio::sync::Mutex;

use crate::http::{self, Request, Url};
use crate::sasl::oauth::{self, Token};
use crate::secret::{Secret, read_text};
use crate::time::{Clock, SystemClock};

/// Without a lifetime that anybody tells, a token is asked for again after so long.
const UNKNOWN_LIFETIME_MS: i64 = 5 * 60 * 1000;

/// Where tokens come from.
#[derive(Clone, Debug)]
pub enum TokenSource {
    /// A server that gives tokens for client credentials (RFC 6749 §4.4).
    Endpoint(TokenEndpoint),
    /// A file that something else keeps fresh.
    File(PathBuf),
    /// No signature: for brokers that are set up for development.
    Unsecured {
        claims: BTreeMap<String, Value>,
        lifetime_s: i64,
    },
}

#[derive(Clone, Debug)]
pub struct TokenEndpoint {
    pub url: Url,
    pub client_id: String,
    pub client_secret: Secret,
    pub scope: Option<String>,
    /// Whether id and secret are escaped as in forms before they go into the header, as RFC 6749
    /// says and few servers expect.
    pub escape_credentials: bool,
    pub http: http::Client,
}

/// Gives tokens.
pub struct TokenProvider {
    source: TokenSource,
    /// KIP-342.
    pub extensions: BTreeMap<String, String>,
    clock: SystemClock,
    cached: Mutex<Option<(Token, i64)>>,
}

impl fmt::Debug for TokenProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenProvider")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl TokenProvider {
    pub fn new(source: TokenSource, extensions: BTreeMap<String, String>) -> TokenProvider {
        TokenProvider {
            source,
            extensions,
            clock: SystemClock::new(),
            cached: Mutex::new(None),
        }
    }

    /// A token that is good now.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn token(&self) -> Result<Secret, String> {
        let mut cached = self.cached.lock().await;
        let now_ms = self.clock.wall_ms();
        if let Some((token, until_ms)) = &*cached
            && now_ms < *until_ms
        {
            return Ok(token.text.clone());
        }
        let token = self.fetch(now_ms).await?;
        if token.expires_at_ms.is_some_and(|at_ms| at_ms <= now_ms) {
            return Err(
                "the token has expired already: check the clock of this machine".to_owned(),
            );
        }
        let until_ms = match (&self.source, oauth::refresh_at_ms(&token, now_ms)) {
            // Reading it costs nothing, and it may have been replaced.
            (TokenSource::File(_), _) => now_ms,
            (_, Some(at_ms)) => at_ms,
            (_, None) => now_ms + UNKNOWN_LIFETIME_MS,
        };
        let text = token.text.clone();
        *cached = Some((token, until_ms));
        Ok(text)
    }

    /// The broker did not like it: the next one is a new one.
    pub async fn forget(&self) {
        *self.cached.lock().await = None;
    }

    async fn fetch(&self, now_ms: i64) -> Result<Token, String> {
        match &self.source {
            TokenSource::Endpoint(endpoint) => endpoint.fetch(now_ms).await,
            TokenSource::File(path) => {
                let text = read_text(path).await;
                let text = text.map_err(|why| format!("the token in {}: {why}", path.display()))?;
                let text = text.trim();
                Ok(Token {
                    expires_at_ms: oauth::expiry_of(text),
                    text: Secret::new(text),
                })
            }
            TokenSource::Unsecured { claims, lifetime_s } => {
                Ok(oauth::unsecured(claims, now_ms, *lifetime_s))
            }
        }
    }
}

impl TokenEndpoint {
    async fn fetch(&self, now_ms: i64) -> Result<Token, String> {
        let fail = |why: &dyn fmt::Display| format!("the token endpoint {}: {why}", self.url);
        let escape = |text: &str| match self.escape_credentials {
            true => oauth::form_text(text),
            false => text.to_owned(),
        };
        let (id, secret) = (escape(&self.client_id), escape(self.client_secret.expose()));
        let request = Request {
            method: "POST".to_owned(),
            headers: vec![("Accept".to_owned(), "application/json".to_owned())],
            content_type: Some("application/x-www-form-urlencoded".to_owned()),
            body: oauth::client_credentials_body(self.scope.as_deref()).into_bytes(),
            ..Request::default()
        };
        let request = request.basic(&id, &Secret::new(secret));
        let answer = self.http.send(&self.url, &request).await;
        let answer = answer.map_err(|error| fail(&error))?;
        if !answer.is_success() {
            let error = answer.json().ok();
            // Only the word of RFC 6749, never a text that might repeat what was sent.
            let word = error
                .as_ref()
                .and_then(|value| value.get("error")?.as_str());
            let is_word = |c: char| c.is_ascii_lowercase() || c == '_';
            let word = word.filter(|word| word.len() < 64 && word.chars().all(is_word));
            let word = word.map(|word| format!(" ({word})")).unwrap_or_default();
            return Err(fail(&format_args!("it answered {}{word}", answer.status)));
        }
        oauth::read_response(&answer.body, now_ms).map_err(|error| fail(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// Answers every request with that, and counts them.
    async fn endpoint(answer: &str) -> (TokenProvider, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let (count, answer) = (asked.clone(), answer.to_owned());
        drop(task::spawn("test-idp", async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut bytes = Vec::new();
                while !bytes.ends_with(b"scope=kafka") {
                    socket.read_buf(&mut bytes).await.unwrap();
                }
                let text = String::from_utf8(bytes).unwrap();
                assert!(
                    text.contains("Authorization: Basic aWQ6c2VzYW1l\r\n"),
                    "{text}"
                );
                count.fetch_add(1, Ordering::SeqCst);
                let _ = socket.write_all(answer.as_bytes()).await;
            }
        }));
        let endpoint = TokenEndpoint {
            url: url.parse().unwrap(),
            client_id: "id".to_owned(),
            client_secret: "sesame".into(),
            scope: Some("kafka".to_owned()),
            escape_credentials: false,
            http: http::Client {
                tls: None,
                timeout_ms: 20_000,
                body_bytes_max: 10_000,
            },
        };
        let source = TokenSource::Endpoint(endpoint);
        (TokenProvider::new(source, BTreeMap::new()), asked)
    }

    #[tokio::test]
    async fn a_token_is_asked_for_once_until_it_is_nearly_over_or_refused() {
        let body = r#"{"access_token":"tok","expires_in":3600}"#;
        let answer = format!("HTTP/1.1 200 OK\r\n\r\n{body}");
        let (provider, asked) = endpoint(&answer).await;
        for _ in 0..3 {
            assert_eq!(provider.token().await.unwrap().expose(), "tok");
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        provider.forget().await;
        provider.token().await.unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), 2);
        assert!(!format!("{provider:?}").contains("sesame"));
    }

    #[tokio::test]
    async fn a_refusal_is_told_without_what_was_sent() {
        let body = r#"{"error":"invalid_client","error_description":"sesame is wrong"}"#;
        let (provider, _) = endpoint(&format!("HTTP/1.1 401 No\r\n\r\n{body}")).await;
        let error = provider.token().await.unwrap_err();
        assert!(
            error.ends_with("it answered 401 (invalid_client)"),
            "{error}"
        );
        let expired = r#"{"access_token":"tok","expires_in":0}"#;
        let (provider, _) = endpoint(&format!("HTTP/1.1 200 OK\r\n\r\n{expired}")).await;
        assert!(
            provider
                .token()
                .await
                .unwrap_err()
                .contains("expired already")
        );
    }
}
