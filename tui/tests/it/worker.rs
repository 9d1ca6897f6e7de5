//! A double of a worker's REST interface.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

/// Of its user `me`.
pub const PASSWORD: &str = "open sesame";

/// Connectors with the state of each and of its only task.
type States = Arc<Mutex<BTreeMap<String, (String, String)>>>;

/// A worker that ends with the program of the test.
pub struct Worker {
    pub url: String,
    states: States,
}

impl Worker {
    pub fn start() -> anyhow::Result<Worker> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}", listener.local_addr()?);
        let state = |own: &str, task: &str| (own.to_owned(), task.to_owned());
        let states = BTreeMap::from([
            ("files".to_owned(), state("RUNNING", "RUNNING")),
            ("to-s3".to_owned(), state("RUNNING", "FAILED")),
        ]);
        let states: States = Arc::new(Mutex::new(states));
        let shared = Arc::clone(&states);
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                // A client that leaves early is its own matter.
                let _ = answer(socket, &shared);
            }
        });
        Ok(Worker { url, states })
    }

    pub fn state(&self, name: &str) -> Option<(String, String)> {
        let states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        states.get(name).cloned()
    }
}

fn answer(mut socket: TcpStream, states: &States) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    let head = loop {
        let n = socket.read(&mut piece)?;
        bytes.extend_from_slice(&piece[..n]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let length = text
            .lines()
            .find_map(|l| l.strip_prefix("Content-Length: ")?.parse().ok());
        let end = text
            .find("\r\n\r\n")
            .map(|end| end + 4 + length.unwrap_or(0));
        if n == 0 || end.is_some_and(|end| bytes.len() >= end) {
            break text;
        }
    };
    let line = head.lines().next().unwrap_or_default();
    let line = line.trim_end_matches(" HTTP/1.1");
    // base64 of "me:open sesame"
    let (status, body) = match head.contains("Authorization: Basic bWU6b3BlbiBzZXNhbWU=") {
        true => respond(line, states),
        false => (
            401,
            json!({"error_code": 401, "message": "User cannot access"}),
        ),
    };
    let body = body.to_string();
    write!(
        socket,
        "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn respond(line: &str, states: &States) -> (u16, Value) {
    let mut states = states.lock().unwrap_or_else(PoisonError::into_inner);
    if line.starts_with("GET /connectors?") {
        let of = |(name, (own, task)): (&String, &(String, String))| {
            let trace = (task == "FAILED").then_some("org.example.NoBucket: there is none\n\tat x");
            let document = json!({
                "status": {
                    "name": name, "type": "sink",
                    "connector": {"state": own, "worker_id": "w1:8083"},
                    "tasks": [{"id": 0, "state": task, "worker_id": "w1:8083", "trace": trace}],
                },
                "info": {"config": {"connector.class": "org.example.Sink", "the.password": "p"}},
            });
            (name.clone(), document)
        };
        return (200, Value::Object(states.iter().map(of).collect()));
    }
    let missing = (
        404,
        json!({"error_code": 404, "message": "no such connector"}),
    );
    let (method, path) = line.split_once(' ').unwrap_or_default();
    let mut parts = path.trim_start_matches("/connectors/").split(['/', '?']);
    let name = parts.next().unwrap_or_default().to_owned();
    let verb = parts.next().unwrap_or_default().to_owned();
    if method == "DELETE" {
        return match states.remove(&name) {
            Some(_) => (204, Value::Null),
            None => missing,
        };
    }
    let Some(state) = states.get_mut(&name) else {
        return missing;
    };
    let (own, task) = match (method, verb.as_str()) {
        ("GET", "config") => return (200, json!({"connector.class": "org.example.Sink"})),
        ("PUT", "pause") => ("PAUSED", "PAUSED"),
        ("PUT", "stop") => ("STOPPED", ""),
        ("PUT", "resume") | ("POST", "restart") => ("RUNNING", "RUNNING"),
        _ => return missing,
    };
    *state = (own.to_owned(), task.to_owned());
    (202, Value::Null)
}
