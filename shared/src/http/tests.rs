//! Answers of all shapes, whole and in pieces; requests over a socket.

use proptest::prelude::*;
use tokio::net::TcpListener;

use super::response::{Parsed, parse};
use super::*;
use crate::task;

#[test]
fn addresses_are_read_and_written_alike() {
    for (text, expected) in [
        (
            "http://localhost:8081/subjects?x=1",
            "http://localhost:8081/subjects?x=1",
        ),
        (
            "https://idp.example/token#part",
            "https://idp.example:443/token",
        ),
        ("http://[::1]", "http://[::1]:80/"),
        ("http://[::1]:8080?q", "http://[::1]:8080/?q"),
    ] {
        assert_eq!(text.parse::<Url>().unwrap().to_string(), expected);
    }
    for text in [
        "",
        "localhost:80",
        "ftp://x",
        "http://",
        "http://a b/",
        "http://u:sesame@x/",
    ] {
        let error = text.parse::<Url>().unwrap_err();
        assert!(!error.contains("sesame"), "{error}");
    }
}

const ANSWERS: [(&str, &str); 4] = [
    ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello"),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n",
        "hello",
    ),
    (
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n",
        "",
    ),
    ("HTTP/1.0 500 No\r\n\r\nuntil the end", "until the end"),
];

#[test]
fn an_answer_is_done_when_it_is_whole_and_not_before() {
    for (answer, body) in ANSWERS {
        let Ok(Parsed::Done(response)) = parse(answer.as_bytes(), true, false, 100) else {
            panic!("{answer}");
        };
        assert_eq!(response.text(), body);
        let shortest = answer.rfind(['o', '\n']).unwrap_or(0);
        for end in 0..shortest.min(answer.len() - 3) {
            let parsed = parse(&answer.as_bytes()[..end], false, false, 100);
            assert_eq!(parsed, Ok(Parsed::More), "{answer:?} up to {end}");
        }
    }
}

#[test]
fn what_is_too_long_or_wrong_is_refused_before_it_is_kept() {
    let long = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(70_000));
    for (answer, told) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n",
            "longer than 100",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "length"),
        ("HTTP/2 200\r\n\r\n", "no answer of HTTP/1.1"),
        ("HTTP/1.1 2x0 OK\r\n\r\n", "no answer of HTTP/1.1"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "gzip"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            "chunk",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
            "chunk",
        ),
        (&long, "head is too long"),
    ] {
        let error = parse(answer.as_bytes(), false, false, 100).unwrap_err();
        assert!(error.contains(told), "{error}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, head in "HTTP/1.1 [0-9]{3}\r\n[a-zA-Z:\r\n-]{0,80}") {
        let _ = parse(&bytes, true, false, 1000);
        let with_head = [head.as_bytes(), b"\r\n\r\n", &bytes].concat();
        let _ = parse(&with_head, true, false, 1000);
    }
}

/// Answers one request with these bytes; what was asked.
async fn serve(answer: &'static [u8]) -> (Url, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    let asked = task::spawn("test-server", async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"body") {
            socket.read_buf(&mut bytes).await.unwrap();
        }
        socket.write_all(answer).await.unwrap();
        String::from_utf8(bytes).unwrap()
    });
    (url.parse().unwrap(), asked)
}

fn client() -> Client {
    Client {
        tls: None,
        timeout_ms: 20_000,
        body_bytes_max: 1000,
    }
}

#[tokio::test]
async fn a_request_is_sent_and_its_answer_read() {
    let (url, asked) = serve(b"HTTP/1.1 401 No\r\nContent-Length: 2\r\nX-A: b\r\n\r\n{}").await;
    let request = Request {
        method: "POST".to_owned(),
        headers: vec![("Accept".to_owned(), "application/json".to_owned())],
        body: b"body".to_vec(),
        ..Request::default()
    };
    let request = request.basic("user", &"pass".into());
    assert!(!format!("{request:?}").contains("dXNlcjpwYXNz"));
    let response = client().send(&url, &request).await.unwrap();
    assert_eq!((response.status, response.header("x-a")), (401, Some("b")));
    assert_eq!(response.json().unwrap(), serde_json::json!({}));
    let asked = asked.await.unwrap();
    assert!(
        asked.starts_with("POST /token HTTP/1.1\r\nHost: 127.0.0.1:"),
        "{asked}"
    );
    assert!(
        asked.contains("\r\nAuthorization: Basic dXNlcjpwYXNz\r\n"),
        "{asked}"
    );
    assert_eq!(asked.matches("Accept:").count(), 1, "{asked}");
}

#[tokio::test]
async fn silence_a_closed_port_and_split_headers_are_errors() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: Url = format!("http://{}/", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let hasty = Client {
        timeout_ms: 50,
        ..client()
    };
    let silent = hasty.send(&url, &Request::get()).await.unwrap_err();
    assert!(matches!(silent, HttpError::Timeout { .. }), "{silent}");
    drop(listener);
    let closed = client().send(&url, &Request::get()).await.unwrap_err();
    assert!(matches!(closed, HttpError::Connect { .. }), "{closed}");
    let mut split = Request::get();
    split
        .headers
        .push(("X".to_owned(), "a\r\nHost: evil".to_owned()));
    let refused = client().send(&url, &split).await.unwrap_err();
    assert!(matches!(refused, HttpError::Request(_)), "{refused}");
}

#[tokio::test]
async fn a_file_of_authorities_is_read_or_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let missing = Client::trusting(Some(&path)).await.unwrap_err();
    assert!(missing.reason.contains("ca.pem"), "{}", missing.reason);
    std::fs::write(&path, "no certificate").unwrap();
    let empty = Client::trusting(Some(&path)).await.unwrap_err();
    assert!(
        empty.reason.contains("there is no certificate"),
        "{}",
        empty.reason
    );
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(&path, made.cert.pem()).unwrap();
    assert!(Client::trusting(Some(&path)).await.unwrap().tls.is_some());
}
