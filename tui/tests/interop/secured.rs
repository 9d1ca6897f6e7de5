//! A broker that wants TLS with a password, or TLS with a certificate: who has what it wants is in,
//! and who has not reads which step failed, and what to do.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::cluster::Cluster;
use crate::oauth::{self, Identity};
use crate::shell;
use crate::stores;
use crate::terminal::Terminal;

const USER: &str = "me";
const PASSWORD: &str = "open-sesame";

/// Who logs in by PLAIN, which brokers know from their own file.
const PLAIN_USER: &str = "plain-me";
const PLAIN_MODULE: &str = "org.apache.kafka.common.security.plain.PlainLoginModule";

/// The ports of a secured node, and the files of who connects to it.
pub struct Secured {
    /// SASL_SSL with SCRAM-SHA-256.
    pub password_port: u16,
    /// SSL, with a certificate of the client.
    pub certificate_port: u16,
    /// SSL, whoever it is.
    tls_port: u16,
    folder: tempfile::TempDir,
}

impl Secured {
    /// Makes an authority, a certificate of it for `127.0.0.1` and for no name, and one for a
    /// client.
    pub fn new() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        std::fs::write(
            folder.path().join("ca.pem"),
            params.self_signed(&key)?.pem(),
        )?;
        let issuer = Issuer::new(params, key);
        for (file, name) in [("server.pem", "127.0.0.1"), ("client.pem", "client")] {
            let key = KeyPair::generate()?;
            let params = CertificateParams::new(vec![name.to_owned()])?;
            let certificate = params.signed_by(&key, &issuer)?;
            let text = key.serialize_pem() + &certificate.pem();
            std::fs::write(folder.path().join(file), text)?;
        }
        // The broker trusts a certificate that Java's own tool made, too.
        let of_java = stores::make_key(folder.path())?;
        let authority = std::fs::read_to_string(folder.path().join("ca.pem"))?;
        std::fs::write(folder.path().join("trusted.pem"), authority + &of_java)?;
        Ok(Self {
            password_port: shell::free_port()?,
            certificate_port: shell::free_port()?,
            tls_port: shell::free_port()?,
            folder,
        })
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes a node that was not started yet listen for secured clients too; `properties` is its
    /// file. A later line of a key counts.
    pub fn add_to(&self, properties: &Path, identity: &Identity) -> anyhow::Result<()> {
        let text = std::fs::read_to_string(properties)?;
        let listeners = text
            .lines()
            .find_map(|line| line.strip_prefix("listeners="));
        let listeners = listeners.context("a node has listeners")?;
        let added = format!(
            "listeners={listeners},SASL_SSL://127.0.0.1:{},SSL://127.0.0.1:{},\
             OAUTH://127.0.0.1:{},TLS://127.0.0.1:{}\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,\
             SASL:SASL_PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL,OAUTH:SASL_PLAINTEXT,\
             TLS:SSL\n\
             super.users=User:ANONYMOUS;User:{USER};User:{PLAIN_USER};User:CN=rcgen self signed cert;\
             User:{};User:{}\n{}\
             ssl.keystore.type=PEM\nssl.keystore.location={}\n\
             ssl.truststore.type=PEM\nssl.truststore.location={}\n\
             listener.name.ssl.ssl.client.auth=required\n\
             listener.name.sasl_ssl.sasl.enabled.mechanisms=SCRAM-SHA-256,PLAIN\n\
             listener.name.sasl_ssl.plain.sasl.jaas.config={PLAIN_MODULE} required \
             user_{PLAIN_USER}=\"{PASSWORD}\";\n\
             listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.\
             security.scram.ScramLoginModule required;\n",
            self.password_port,
            self.certificate_port,
            identity.broker_port,
            self.tls_port,
            stores::PRINCIPAL,
            oauth::CLIENT,
            identity.settings(),
            self.file("server.pem").display(),
            self.file("trusted.pem").display()
        );
        Ok(std::fs::write(properties, text + &added)?)
    }

    /// Kafka's client properties of a user, as they would be written by hand.
    fn with_password(&self, host: &str, password: &str) -> anyhow::Result<PathBuf> {
        let text = format!(
            "bootstrap.servers={host}:{}\nsecurity.protocol=SASL_SSL\n\
             ssl.truststore.type=PEM\nssl.truststore.location={}\n\
             sasl.mechanism=SCRAM-SHA-256\n\
             sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \\\n  \
             username=\"{USER}\" password=\"{password}\";\n",
            self.password_port,
            self.file("ca.pem").display()
        );
        // Its name is shown, so it is not the password.
        let kind = if password == PASSWORD {
            "right"
        } else {
            "wrong"
        };
        self.write(&format!("{host}-{kind}.properties"), &text)
    }

    fn with_plain(&self, password: &str) -> anyhow::Result<PathBuf> {
        let text = format!(
            "bootstrap.servers=127.0.0.1:{}\nsecurity.protocol=SASL_SSL\n\
             ssl.truststore.type=PEM\nssl.truststore.location={}\nsasl.mechanism=PLAIN\n\
             sasl.jaas.config={PLAIN_MODULE} required username=\"{PLAIN_USER}\" \
             password=\"{password}\";\n",
            self.password_port,
            self.file("ca.pem").display()
        );
        let kind = if password == PASSWORD {
            "right"
        } else {
            "wrong"
        };
        self.write(&format!("plain-{kind}.properties"), &text)
    }

    /// Only the server proves who it is.
    fn with_tls(&self) -> anyhow::Result<PathBuf> {
        let text = format!(
            "bootstrap.servers=127.0.0.1:{}\nsecurity.protocol=SSL\n\
             ssl.truststore.type=PEM\nssl.truststore.location={}\n",
            self.tls_port,
            self.file("ca.pem").display()
        );
        self.write("tls.properties", &text)
    }

    fn with_certificate(&self, has_one: bool) -> anyhow::Result<PathBuf> {
        let own = match has_one {
            true => format!(
                "ssl.keystore.type=PEM\nssl.keystore.location={}\n",
                self.file("client.pem").display()
            ),
            false => String::new(),
        };
        let text = format!(
            "bootstrap.servers=127.0.0.1:{}\nsecurity.protocol=SSL\n\
             ssl.truststore.type=PEM\nssl.truststore.location={}\n{own}",
            self.certificate_port,
            self.file("ca.pem").display()
        );
        self.write(&format!("certificate-{has_one}.properties"), &text)
    }

    pub fn write(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.file(name);
        std::fs::write(&path, text)?;
        Ok(path)
    }
}

/// The screens on these properties, in a terminal as it opens.
pub fn open(properties: &Path) -> anyhow::Result<Terminal> {
    let program = Path::new(env!("CARGO_BIN_EXE_kafka-tui"));
    let properties = properties.to_str().context("a path in UTF-8")?;
    let args = ["--properties", properties, "--refresh", "1"];
    Terminal::start(program, &args, &[], (80, 24))
}

pub fn connect(cluster: &mut Cluster) -> anyhow::Result<()> {
    let credentials = format!("SCRAM-SHA-256=[password={PASSWORD}]");
    let args = ["--alter", "--add-config", &credentials];
    let args = [
        &args[..],
        &["--entity-type", "users", "--entity-name", USER],
    ]
    .concat();
    cluster.tool("kafka-configs", &args, None)?;
    let secured = cluster.secured();

    let open_to_all = format!("bootstrap.servers={}\n", cluster.bootstrap());
    for properties in [
        secured.write("open.properties", &open_to_all)?,
        secured.with_password("127.0.0.1", PASSWORD)?,
        secured.with_plain(PASSWORD)?,
        secured.with_tls()?,
        secured.with_certificate(true)?,
    ] {
        let mut terminal = open(&properties)?;
        terminal.wait_for("live")?;
        terminal.keys("3")?;
        terminal.wait_for("orders")?;
        terminal.keys("ctrl-c")?;
        anyhow::ensure!(
            terminal.wait_for_end()?.success(),
            "{}",
            properties.display()
        );
    }

    let wrong_host = "the certificate is for 127.0.0.1, not localhost";
    for (properties, texts) in [
        (
            secured.with_password("localhost", PASSWORD)?,
            ["TLS with localhost", wrong_host],
        ),
        (
            secured.with_password("127.0.0.1", "guessed")?,
            ["SASL with 127.0.0.1", "invalid credentials"],
        ),
        (
            secured.with_plain("guessed")?,
            ["SASL with 127.0.0.1", "wrong user name or password (PLAIN"],
        ),
        (
            secured.with_certificate(false)?,
            ["TLS with 127.0.0.1", "a certificate of the client"],
        ),
    ] {
        let mut terminal = open(&properties)?;
        terminal.wait_for("not connected")?;
        for text in texts {
            // Lines are broken where the terminal ends.
            terminal.wait_until(text, |terminal| {
                let words: Vec<String> = terminal
                    .text()
                    .split_whitespace()
                    .map(str::to_owned)
                    .collect();
                words.join(" ").contains(text)
            })?;
        }
        anyhow::ensure!(
            !terminal.text().contains(PASSWORD) && !terminal.text().contains("guessed"),
            "a password is on the screen"
        );
        terminal.resize(40, 10)?;
        let step = texts[0].split(' ').next().unwrap_or_default();
        terminal.wait_for(step)?;
    }
    Ok(())
}
