//! A small HTTP/1.1 client for what stands beside a cluster: token endpoints, schema registries,
//! Kafka Connect, metrics.
//!
//! One request to a connection, one answer, everything bounded: the time for all of it, the head,
//! the body. `http` and `https`; no redirects (a token request must not be led elsewhere), no
//! proxies, no compression.
//!
//! `http/response.rs` is the part without a socket.
//!
//! RFC 9110, RFC 9112.

mod response;

use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub use response::Response;
use response::{Parsed, parse};

use crate::secret::{Secret, read_text};
use crate::tls::{Tls, TlsFault, TlsSettings, Trust};
use crate::types::Endpoint;

/// An address of the web: scheme, host, port and path with query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    pub is_tls: bool,
    pub endpoint: Endpoint,
    /// Begins with a slash.
    pub path: String,
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.endpoint, self.path)
    }
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Url, String> {
        let fail = |why: &str| format!("\"{}\" is no address of the web: {why}", shown(text));
        let (is_tls, rest) = if let Some(rest) = text.strip_prefix("https://") {
            (true, rest)
        } else if let Some(rest) = text.strip_prefix("http://") {
            (false, rest)
        } else {
            return Err(fail("it has to begin with http:// or https://"));
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let path = path.split('#').next().unwrap_or_default();
        if authority.contains('@') {
            return Err(fail("a user name does not belong into it"));
        }
        let has_port = authority
            .rsplit_once(':')
            .is_some_and(|(_, port)| !port.contains(']'));
        let endpoint = match has_port {
            true => authority.parse(),
            false => format!("{authority}:{}", if is_tls { 443 } else { 80 }).parse(),
        };
        let endpoint = endpoint.map_err(|_| fail("its host can't be read"))?;
        let is_legal = |c: char| c.is_ascii_graphic();
        if !path.chars().all(is_legal) {
            return Err(fail(
                "its path holds blanks or other characters that have to be escaped",
            ));
        }
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Url {
            is_tls,
            endpoint,
            path: format!("{slash}{path}"),
        })
    }
}

/// Without what could be a password in it.
fn shown(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((_, rest)) => format!("…@{rest}"),
        None => text.chars().take(200).collect(),
    }
}

/// A request.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `GET` if empty.
    pub method: String,
    pub headers: Vec<(String, String)>,
    /// Sent as `Authorization`, whole: `Basic …`, `Bearer …`.
    pub authorization: Option<Secret>,
    pub content_type: Option<String>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn get() -> Request {
        Request::default()
    }

    /// A request with a JSON body.
    pub fn json(method: &str, body: &serde_json::Value) -> Request {
        Request {
            method: method.to_owned(),
            content_type: Some("application/json".to_owned()),
            body: body.to_string().into_bytes(),
            ..Request::default()
        }
    }

    /// Adds `Authorization: Basic`.
    #[must_use]
    pub fn basic(mut self, user: &str, password: &Secret) -> Request {
        let pair = format!("{user}:{}", password.expose());
        let coded = crate::sasl::base64(pair.as_bytes());
        self.authorization = Some(Secret::new(format!("Basic {coded}")));
        self
    }

    fn head(&self, url: &Url) -> Result<String, HttpError> {
        let method = if self.method.is_empty() {
            "GET"
        } else {
            &self.method
        };
        let authorization = self
            .authorization
            .as_ref()
            .map(|text| ("Authorization", text.expose()));
        let content_type = self
            .content_type
            .as_deref()
            .map(|text| ("Content-Type", text));
        let own = self.headers.iter().map(|(name, value)| (&**name, &**value));
        let headers: Vec<(&str, &str)> = own.chain(authorization).chain(content_type).collect();
        let is_token = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        let is_value = |text: &str| text.chars().all(|c| !c.is_control());
        let is_legal = |(name, value): &(&str, &str)| is_token(name) && is_value(value);
        if !is_token(method) || !headers.iter().all(is_legal) {
            return Err(HttpError::Request(
                "a header can't hold line ends".to_owned(),
            ));
        }
        let mut head = format!(
            "{method} {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n",
            url.path,
            url.endpoint,
            self.body.len()
        );
        if !headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("accept"))
        {
            head.push_str("Accept: */*\r\n");
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        Ok(head)
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    #[error("{0}")]
    Request(String),
    #[error("cannot connect to {endpoint}: {reason}")]
    Connect { endpoint: Endpoint, reason: String },
    #[error("TLS with {endpoint}: {reason}; {advice}")]
    Tls {
        endpoint: Endpoint,
        reason: String,
        advice: String,
    },
    #[error("no answer from {endpoint} within {timeout_ms} ms")]
    Timeout { endpoint: Endpoint, timeout_ms: u64 },
    #[error("the answer of {endpoint} can't be read: {reason}")]
    Answer { endpoint: Endpoint, reason: String },
}

/// Sends requests, each over a connection of its own.
#[derive(Clone, Debug)]
pub struct Client {
    /// None where only `http` is spoken.
    pub tls: Option<Arc<Tls>>,
    /// For connecting, sending and the whole answer.
    pub timeout_ms: u64,
    pub body_bytes_max: usize,
}

impl Client {
    /// Trusts the platform's authorities; answers of up to 16 MiB within 15 s.
    pub fn new() -> Client {
        Client {
            tls: Tls::platform().ok().map(Arc::new),
            ..Client::plain()
        }
    }

    /// Speaks `http` only, with the limits of [`Client::new`].
    pub fn plain() -> Client {
        Client {
            tls: None,
            timeout_ms: 15_000,
            body_bytes_max: 16 * 1024 * 1024,
        }
    }

    /// As [`Client::new`], trusting the authorities whose certificates this PEM file holds; where
    /// there is none, those of the platform.
    ///
    /// # Errors
    /// The file can't be read, or holds no certificate that can be.
    pub async fn trusting(ca: Option<&Path>) -> Result<Client, TlsFault> {
        let Some(path) = ca else {
            return Ok(Client::new());
        };
        let fail = |why: &str| TlsFault {
            reason: format!("the authorities of {}: {why}", path.display()),
            advice: "give a PEM file with their certificates".to_owned(),
        };
        let pem = read_text(path).await.map_err(|why| fail(&why))?;
        let settings = TlsSettings {
            trust: Trust::Pem(pem),
            ..TlsSettings::default()
        };
        let tls = Tls::new(&settings).map_err(|fault| fail(&fault.reason))?;
        Ok(Client {
            tls: Some(Arc::new(tls)),
            ..Client::plain()
        })
    }

    /// Sends a request and reads the whole answer, whatever its status is.
    ///
    /// # Errors
    /// There was no answer, or none that can be read.
    pub async fn send(&self, url: &Url, request: &Request) -> Result<Response, HttpError> {
        let head = request.head(url)?;
        let is_head = request.method == "HEAD";
        let limit = Duration::from_millis(self.timeout_ms);
        let answer = timeout(limit, self.exchange(url, &head, &request.body, is_head));
        answer.await.unwrap_or_else(|_| {
            Err(HttpError::Timeout {
                endpoint: url.endpoint.clone(),
                timeout_ms: self.timeout_ms,
            })
        })
    }

    async fn exchange(
        &self,
        url: &Url,
        head: &str,
        body: &[u8],
        is_head: bool,
    ) -> Result<Response, HttpError> {
        let endpoint = &url.endpoint;
        let connected = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await;
        let socket = connected.map_err(|error| HttpError::Connect {
            endpoint: endpoint.clone(),
            reason: error.to_string(),
        })?;
        let done = if url.is_tls {
            let fail = |reason: &str, advice: &str| HttpError::Tls {
                endpoint: endpoint.clone(),
                reason: reason.to_owned(),
                advice: advice.to_owned(),
            };
            let tls = self.tls.as_ref();
            let tls = tls.ok_or_else(|| fail("no authority is trusted here", "install some"))?;
            let stream = tls.connect(&endpoint.host, socket).await;
            let stream = stream.map_err(|fault| fail(&fault.reason, &fault.advice))?;
            self.talk(stream, head, body, is_head).await
        } else {
            self.talk(socket, head, body, is_head).await
        };
        done.map_err(|reason| HttpError::Answer {
            endpoint: endpoint.clone(),
            reason,
        })
    }

    async fn talk(
        &self,
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
        head: &str,
        body: &[u8],
        is_head: bool,
    ) -> Result<Response, String> {
        let text = |error: io::Error| error.to_string();
        stream.write_all(head.as_bytes()).await.map_err(text)?;
        stream.write_all(body).await.map_err(text)?;
        stream.flush().await.map_err(text)?;
        let mut bytes = Vec::new();
        loop {
            let n = match stream.read_buf(&mut bytes).await {
                Ok(n) => n,
                // Servers that close without saying so in TLS: the lengths tell if all is there.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
                Err(error) => return Err(error.to_string()),
            };
            match parse(&bytes, n == 0, is_head, self.body_bytes_max)? {
                Parsed::Done(response) => return Ok(response),
                Parsed::More if n == 0 => return Err("it ended too early".to_owned()),
                Parsed::More => {}
            }
        }
    }
}

impl Default for Client {
    fn default() -> Client {
        Client::new()
    }
}

#[cfg(test)]
mod tests;
