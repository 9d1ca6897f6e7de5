//! What keeps one from a cluster, step by step: each is named on the screen, in a small terminal
//! too, and by a command, with what to do.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use crate::blind::words;
use crate::cluster::Cluster;
use crate::command::run_with;
use crate::terminal::Terminal;
use crate::{TINY, program, shell};

/// A user that nobody has made.
const LOGIN: &str = "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-512\n\
                     sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule \
                     required username=\"unknown\" password=\"guessed-by-us\";\n";

/// Where, with which properties; what is said of the step, and what to do.
struct Step {
    name: &'static str,
    servers: String,
    properties: &'static str,
    told: &'static str,
    advice: &'static str,
}

fn steps(cluster: &Cluster, silent: &TcpListener) -> anyhow::Result<Vec<Step>> {
    let step = |name, servers: String, properties, told, advice| Step {
        name,
        servers,
        properties,
        told,
        advice,
    };
    let first = |servers: String| servers.split(',').next().unwrap_or_default().to_owned();
    let open = first(cluster.bootstrap());
    Ok(vec![
        // Whoever has no server for names waits for an answer, and is told that.
        step(
            "resolve",
            "no-such-host.invalid:9092".to_owned(),
            "",
            "resolv",
            "",
        ),
        step(
            "connect",
            format!("127.0.0.1:{}", shell::free_port()?),
            "",
            "cannot connect to 127.0.0.1",
            "check that a broker runs there",
        ),
        step(
            "TLS",
            open.clone(),
            "security.protocol=SSL\n",
            "TLS with 127.0.0.1",
            "TLS",
        ),
        step(
            "SASL",
            first(cluster.sasl()),
            LOGIN,
            "SASL with 127.0.0.1",
            "check username and password",
        ),
        step(
            "ApiVersions",
            silent.local_addr()?.to_string(),
            "",
            "API versions",
            "check that this is a Kafka broker's port",
        ),
    ])
}

fn written(folder: &Path, step: &Step) -> anyhow::Result<PathBuf> {
    let path = folder.join(format!("{}.properties", step.name));
    let text = format!(
        "bootstrap.servers={}\n{}request.timeout.ms=3000\n\
         socket.connection.setup.timeout.ms=3000\n",
        step.servers, step.properties
    );
    std::fs::write(&path, text)?;
    Ok(path)
}

pub fn told(cluster: &mut Cluster) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let silent = TcpListener::bind("127.0.0.1:0")?;
    for step in steps(cluster, &silent)? {
        let path = written(folder.path(), &step)?;
        let path = path.to_str().context("a path in UTF-8")?;
        let what = || format!("the step {}", step.name);
        let args = ["--properties", path, "--refresh", "1"];
        let mut terminal = Terminal::start(program(), &args, &[], (80, 24))?;
        for size in [(80, 24), TINY] {
            terminal.resize(size.0, size.1)?;
            terminal
                .wait_until(step.told, |terminal| words(terminal).contains(step.told))
                .with_context(what)?;
        }
        terminal.resize(80, 24)?;
        terminal
            .wait_until(step.advice, |terminal| {
                words(terminal).contains(step.advice)
            })
            .with_context(what)?;
        ensure!(!terminal.text().contains("guessed-by-us"), "{}", what());
        terminal.keys("q")?;
        ensure!(terminal.wait_for_end()?.success(), "it ends");
        let (code, said) = run_with(&["--properties", path, "topics", "list"], None)?;
        let said = said.as_str().unwrap_or_default().to_owned();
        ensure!(
            matches!(code, 4 | 5) && said.contains(step.told) && said.contains("hint: "),
            "{}: {code}: {said}",
            what()
        );
    }
    Ok(())
}
