//! A server for a few read-only pages: HTTP/1.1, `GET` and `HEAD`, one request to a connection.
//!
//! Everything is bounded: connections at a time, the head of a request, the time until it is
//! there, the time in which the answer has to be taken. Who is slow or talks nonsense loses a
//! connection and keeps nobody else from theirs.
//!
//! RFC 9110, RFC 9112.

use std::sync::Arc;
use std::time::Duration;

use kafka_shared::task;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Connections at a time; others are closed at once.
pub const CONNECTIONS_MAX: usize = 32;
/// Of the first line with all headers.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// Until the head is there.
const HEAD_MS: u64 = 5_000;
/// In which the answer has to be taken.
const ANSWER_MS: u64 = 15_000;
/// What a client still says after its answer is listened to for so long, and for so many bytes:
/// closing on unread bytes would throw the answer away.
const LINGER_MS: u64 = 500;
const LINGER_BYTES: usize = 64 * 1024;
/// The pause after a connection that could not be accepted: no file descriptor may be free.
const ACCEPT_PAUSE_MS: u64 = 100;

/// What an answer begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Ok,
    BadRequest,
    NotFound,
    MethodNotAllowed,
    HeadTooLarge,
    Unavailable,
}

impl Status {
    fn line(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::BadRequest => "400 Bad Request",
            Self::NotFound => "404 Not Found",
            Self::MethodNotAllowed => "405 Method Not Allowed",
            Self::HeadTooLarge => "431 Request Header Fields Too Large",
            Self::Unavailable => "503 Service Unavailable",
        }
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    status: Status,
    content_type: &'static str,
    body: String,
}

impl Answer {
    pub fn new(status: Status, content_type: &'static str, body: String) -> Self {
        Self {
            status,
            content_type,
            body,
        }
    }

    pub fn text(status: Status, body: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", body.to_owned())
    }

    fn bytes(&self, is_head: bool) -> Vec<u8> {
        let allow = match self.status {
            Status::MethodNotAllowed => "Allow: GET, HEAD\r\n",
            _ => "",
        };
        let mut text = format!(
            "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n{allow}\r\n",
            self.status.line(),
            self.content_type,
            self.body.len(),
        );
        if !is_head {
            text.push_str(&self.body);
        }
        text.into_bytes()
    }
}

/// What a request's first bytes say.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Parsed {
    /// It is not whole yet.
    More,
    Get(String),
    Head(String),
    Bad(Status),
}

/// Reads the head of a request.
fn parse(bytes: &[u8]) -> Parsed {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let Some(end) = end.filter(|end| *end <= HEAD_BYTES_MAX) else {
        // Nobody needs to send eight kilobytes to be told that this is no HTTP.
        let is_text = bytes
            .iter()
            .all(|b| matches!(b, b'\r' | b'\n' | b'\t') || (0x20..0x7f).contains(b) || *b >= 0x80);
        return match () {
            () if !is_text => Parsed::Bad(Status::BadRequest),
            () if bytes.len() > HEAD_BYTES_MAX => Parsed::Bad(Status::HeadTooLarge),
            () => Parsed::More,
        };
    };
    let Ok(text) = std::str::from_utf8(&bytes[..end]) else {
        return Parsed::Bad(Status::BadRequest);
    };
    let line = text.split("\r\n").next().unwrap_or_default();
    let words: Vec<&str> = line.split(' ').collect();
    let &[method, path, version] = &words[..] else {
        return Parsed::Bad(Status::BadRequest);
    };
    if !version.starts_with("HTTP/1.") || !path.starts_with('/') {
        return Parsed::Bad(Status::BadRequest);
    }
    match method {
        "GET" => Parsed::Get(path.to_owned()),
        "HEAD" => Parsed::Head(path.to_owned()),
        _ => Parsed::Bad(Status::MethodNotAllowed),
    }
}

/// Answers requests until it is aborted. `answer` gets the path with its query.
pub async fn serve(
    listener: TcpListener,
    answer: impl Fn(&str) -> Answer + Clone + Send + Sync + 'static,
) {
    let free = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
            continue;
        };
        let Ok(permit) = Arc::clone(&free).try_acquire_owned() else {
            // What fits into the socket's buffer is sent without waiting for anybody.
            let busy = Answer::text(Status::Unavailable, "too many connections\n");
            let _ = socket.try_write(&busy.bytes(false));
            continue;
        };
        let answer = answer.clone();
        drop(task::spawn("exporter-connection", async move {
            // Whoever has gone away is told nothing.
            let _ = talk(socket, answer).await;
            drop(permit);
        }));
    }
}

async fn talk(
    mut socket: TcpStream,
    answer: impl Fn(&str) -> Answer + Send + 'static,
) -> std::io::Result<()> {
    let head = timeout(Duration::from_millis(HEAD_MS), read_head(&mut socket)).await;
    let Ok(head) = head else {
        return Ok(());
    };
    let (path, is_head) = match head? {
        Parsed::Get(path) => (path, false),
        Parsed::Head(path) => (path, true),
        Parsed::Bad(status) => {
            let bytes = Answer::text(status, &format!("{}\n", status.line())).bytes(false);
            return finish(&mut socket, &bytes).await;
        }
        Parsed::More => return Ok(()),
    };
    // Rendering a large cluster takes a while: not on a thread that others wait for.
    let rendered = task::spawn_blocking("exporter-render", move || answer(&path).bytes(is_head));
    let bytes = rendered.await.map_err(std::io::Error::other)?;
    finish(&mut socket, &bytes).await
}

/// The head of a request; [`Parsed::More`] when the client left before it was whole.
async fn read_head(socket: &mut TcpStream) -> std::io::Result<Parsed> {
    let mut bytes = Vec::with_capacity(1_024);
    loop {
        if socket.read_buf(&mut bytes).await? == 0 {
            return Ok(Parsed::More);
        }
        match parse(&bytes) {
            Parsed::More => {}
            head => return Ok(head),
        }
    }
}

async fn finish(socket: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    let sent = timeout(Duration::from_millis(ANSWER_MS), async {
        socket.write_all(bytes).await?;
        socket.shutdown().await
    });
    match sent.await {
        Ok(sent) => sent?,
        Err(_) => return Ok(()),
    }
    let rest = async {
        let mut ignored = [0; 1_024];
        let mut n = 0;
        while n < LINGER_BYTES {
            match socket.read(&mut ignored).await {
                Ok(0) | Err(_) => return,
                Ok(more) => n += more,
            }
        }
    };
    let _ = timeout(Duration::from_millis(LINGER_MS), rest).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_and_nonsense_is_told_at_once() {
        let get = |path: &str| Parsed::Get(path.to_owned());
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(HEAD_BYTES_MAX));
        for (bytes, head) in [
            (
                &b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"[..],
                get("/metrics"),
            ),
            (b"GET /m?x=1 HTTP/1.0\r\n\r\n", get("/m?x=1")),
            (b"HEAD / HTTP/1.1\r\n\r\n", Parsed::Head("/".to_owned())),
            (b"GET / HTTP/1.1\r\nHost", Parsed::More),
            (b"", Parsed::More),
            (
                b"POST / HTTP/1.1\r\n\r\n",
                Parsed::Bad(Status::MethodNotAllowed),
            ),
            (
                b"GET metrics HTTP/1.1\r\n\r\n",
                Parsed::Bad(Status::BadRequest),
            ),
            (b"GET / x HTTP/1.1\r\n\r\n", Parsed::Bad(Status::BadRequest)),
            (b"GET / FTP/1\r\n\r\n", Parsed::Bad(Status::BadRequest)),
            (b"\r\n\r\n", Parsed::Bad(Status::BadRequest)),
            // The first bytes of TLS, and of Kafka's protocol.
            (b"\x16\x03\x01\x02\x00", Parsed::Bad(Status::BadRequest)),
            (b"\0\0\0\x20\0\x12", Parsed::Bad(Status::BadRequest)),
            (long.as_bytes(), Parsed::Bad(Status::HeadTooLarge)),
        ] {
            let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]);
            assert_eq!(parse(bytes), head, "{shown:?}");
        }
    }

    async fn exchange(address: std::net::SocketAddr, bytes: &[u8]) -> String {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(bytes).await.unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).await.unwrap();
        text
    }

    #[test]
    fn silent_clients_keep_nobody_waiting_and_too_many_are_sent_away() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let page = |path: &str| Answer::text(Status::Ok, &format!("this is {path}"));
            let server = task::spawn("serve", serve(listener, page));
            let mut silent = Vec::new();
            for _ in 4..CONNECTIONS_MAX {
                let mut socket = TcpStream::connect(address).await.unwrap();
                socket.write_all(b"GET / HT").await.unwrap();
                silent.push(socket);
            }
            let answer = exchange(address, b"GET /a HTTP/1.1\r\n\r\n").await;
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
            assert!(answer.ends_with("\r\n\r\nthis is /a"), "{answer}");
            let answer = exchange(address, b"HEAD /a HTTP/1.1\r\n\r\n").await;
            assert!(answer.contains("Content-Length: 10\r\n"), "{answer}");
            assert!(answer.ends_with("\r\n\r\n"), "{answer}");
            let answer =
                exchange(address, b"PUT /a HTTP/1.1\r\nContent-Length: 9\r\n\r\n123").await;
            assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
            // Silent ones take the last places, until one is sent away.
            loop {
                let mut socket = TcpStream::connect(address).await.unwrap();
                let mut text = String::new();
                let read = socket.read_to_string(&mut text);
                if timeout(Duration::from_millis(200), read).await.is_ok() && !text.is_empty() {
                    assert!(text.starts_with("HTTP/1.1 503 "), "{text}");
                    break;
                }
                silent.push(socket);
            }
            server.abort();
        });
    }
}
