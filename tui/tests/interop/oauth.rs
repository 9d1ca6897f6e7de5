//! A server that gives tokens for client credentials, and whose keys a broker checks them with; one
//! who has the secret is in, and who has not reads what the server said.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use kafka_shared::sasl::{base64, base64_url};
use kafka_shared::time::{Clock as _, SystemClock};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};

use crate::blind::words;
use crate::cluster::Cluster;
use crate::command::run_with;
use crate::shell;
use crate::terminal::Terminal;
use crate::{TINY, program};

pub const CLIENT: &str = "the-manager";
const SECRET: &str = "s3cret-of-the-client";
const AUDIENCE: &str = "kafka";

/// A key that signs tokens.
struct Signer {
    name: &'static str,
    key: EcdsaKeyPair,
}

impl Signer {
    fn new(name: &'static str) -> anyhow::Result<Self> {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let made = EcdsaKeyPair::generate_pkcs8(algorithm, &random);
        let made = made.ok().context("make a key")?;
        let key = EcdsaKeyPair::from_pkcs8(algorithm, made.as_ref(), &random);
        let key = key.ok().context("read the key")?;
        Ok(Self { name, key })
    }

    /// The public key as JSON.
    fn public(&self) -> serde_json::Value {
        // After the mark of a point that is not compressed.
        let point = &self.key.public_key().as_ref()[1..];
        let (x, y) = point.split_at(point.len() / 2);
        serde_json::json!({
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.name,
            "x": base64_url(x), "y": base64_url(y),
        })
    }

    fn token(&self, key_name: &str) -> anyhow::Result<String> {
        let now_s = SystemClock::new().wall_ms() / 1000;
        let head = serde_json::json!({"alg": "ES256", "typ": "JWT", "kid": key_name});
        let claims = serde_json::json!({
            "sub": CLIENT, "iss": "the-suite", "aud": AUDIENCE, "scope": "kafka",
            "iat": now_s, "exp": now_s + 3600,
        });
        let part = |value: &serde_json::Value| base64_url(value.to_string().as_bytes());
        let text = format!("{}.{}", part(&head), part(&claims));
        let signature = self.key.sign(&SystemRandom::new(), text.as_bytes());
        let signature = signature.ok().context("sign")?;
        Ok(format!("{text}.{}", base64_url(signature.as_ref())))
    }
}

/// The server, which ends with the test's process, and where a broker takes its tokens.
pub struct Identity {
    port: u16,
    pub broker_port: u16,
}

impl Identity {
    pub fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let known = Arc::new(Signer::new("known")?);
        let stranger = Arc::new(Signer::new("stranger")?);
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let (known, stranger) = (known.clone(), stranger.clone());
                std::thread::spawn(move || serve(&socket, &known, &stranger));
            }
        });
        let broker_port = shell::free_port()?;
        Ok(Self { port, broker_port })
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    /// What the broker's JVM has to allow.
    pub fn java_option(&self) -> String {
        let urls = [self.url("keys"), self.url("token")].join(",");
        format!("-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={urls}")
    }

    /// The broker's settings for its listener `OAUTH`.
    pub fn settings(&self) -> String {
        let of = "listener.name.oauth";
        let package = "org.apache.kafka.common.security.oauthbearer";
        format!(
            "{of}.sasl.enabled.mechanisms=OAUTHBEARER\n\
             {of}.oauthbearer.sasl.jaas.config={package}.OAuthBearerLoginModule required;\n\
             {of}.oauthbearer.sasl.server.callback.handler.class={package}.\
             OAuthBearerValidatorCallbackHandler\n\
             {of}.oauthbearer.sasl.oauthbearer.jwks.endpoint.url={}\n\
             {of}.oauthbearer.sasl.oauthbearer.expected.audience={AUDIENCE}\n\
             sasl.oauthbearer.jwks.endpoint.url={}\n\
             sasl.oauthbearer.expected.audience={AUDIENCE}\n",
            self.url("keys"),
            self.url("keys"),
        )
    }

    /// Kafka's client properties; the secret comes from a variable.
    fn properties(&self, path: &str) -> String {
        format!(
            "bootstrap.servers=127.0.0.1:{}\nsecurity.protocol=SASL_PLAINTEXT\n\
             sasl.mechanism=OAUTHBEARER\nsasl.oauthbearer.token.endpoint.url={}\n\
             sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule \
             required clientId=\"{CLIENT}\" clientSecret=\"${{env:TEST_SECRET}}\" scope=\"kafka\";\n",
            self.broker_port,
            self.url(path),
        )
    }
}

/// One request and its answer.
fn serve(socket: &TcpStream, known: &Signer, stranger: &Signer) -> anyhow::Result<()> {
    let mut reader = BufReader::new(socket.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let (mut length, mut login) = (0, String::new());
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse()?,
            "authorization" => login = value.to_owned(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let expected = format!("Basic {}", base64(format!("{CLIENT}:{SECRET}").as_bytes()));
    let (status, answer) = match first.split_whitespace().nth(1) {
        Some("/keys") => ("200 OK", serde_json::json!({"keys": [known.public()]})),
        Some(_) if login != expected || !body.starts_with(b"grant_type=client_credentials") => (
            "401 Unauthorized",
            serde_json::json!({"error": "invalid_client", "error_description": login}),
        ),
        path => {
            let signer = if path == Some("/token") {
                known
            } else {
                stranger
            };
            let token = signer.token(known.name)?;
            let answer = serde_json::json!({
                "access_token": token, "token_type": "Bearer", "expires_in": 3600,
            });
            ("200 OK", answer)
        }
    };
    let answer = answer.to_string();
    let mut socket = socket;
    write!(
        socket,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{answer}",
        answer.len()
    )?;
    Ok(())
}

fn written(folder: &tempfile::TempDir, name: &str, text: &str) -> anyhow::Result<PathBuf> {
    let path = folder.path().join(name);
    std::fs::write(&path, text)?;
    Ok(path)
}

pub fn tokens(cluster: &mut Cluster) -> anyhow::Result<()> {
    let identity = cluster.identity();
    let folder = tempfile::tempdir()?;
    let right = written(&folder, "right", &identity.properties("token"))?;
    let strange = written(&folder, "strange", &identity.properties("strange"))?;
    let open = |path: &PathBuf, secret: &str| {
        let path = path.to_str().context("a path in UTF-8")?;
        let args = ["--properties", path, "--refresh", "1"];
        Terminal::start(program(), &args, &[("TEST_SECRET", secret)], (80, 24))
    };
    let mut terminal = open(&right, SECRET)?;
    terminal.wait_for("live")?;
    terminal.keys("2")?;
    terminal.wait_for("overview › brokers  3")?;
    terminal.keys("q")?;
    ensure!(terminal.wait_for_end()?.success(), "it ends");

    // A right token that nobody knows the key of is refused by the broker, a wrong secret by the
    // server.
    for (path, secret, told) in [
        (&strange, SECRET, "SASL with 127.0.0.1"),
        (&right, "guessed-by-us", "it answered 401 (invalid_client)"),
    ] {
        let mut terminal = open(path, secret)?;
        terminal.wait_for("not connected")?;
        for size in [(80, 24), TINY] {
            terminal.resize(size.0, size.1)?;
            terminal.wait_until(told, |terminal| words(terminal).contains(told))?;
            let text = terminal.text();
            ensure!(!text.contains(secret) && !text.contains("eyJ"), "{text}");
        }
        terminal.keys("q")?;
        ensure!(terminal.wait_for_end()?.success(), "it ends");
    }

    // Without the variable there is nothing to send.
    let path = right.to_str().context("a path in UTF-8")?;
    let (code, document) = run_with(&["--properties", path, "topics", "list"], None)?;
    let text = document.to_string();
    ensure!(code == 4 && text.contains("TEST_SECRET"), "{code}: {text}");
    Ok(())
}
