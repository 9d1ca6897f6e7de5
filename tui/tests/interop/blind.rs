//! A user who may log in and nothing else: each screen says why it shows nothing and what to do, in
//! a terminal of any size, nothing waits for an answer that never comes, and leaving works at once.

use anyhow::{Context as _, ensure};

use crate::cluster::Cluster;
use crate::command::run_with;
use crate::terminal::Terminal;
use crate::{TINY, WIDE, program};

const USER: &str = "nobody";
const PASSWORD: &str = "nobody-knows";

/// What no screen may say to who sees nothing.
const LIES: [&str; 4] = [
    "all is well",
    "there are no ",
    "no partition waits",
    "reading …",
];

const PARTIAL: &str = "what this user may not see is missing here";
const REFUSED: &str = "CLUSTER_AUTHORIZATION_FAILED";
const RIGHTS: &str = "administrator";

/// The keys that lead to each screen, and what stands there.
const SCREENS: &[(&str, &[&str])] = &[
    (":overview enter", &["HEALTH not known", PARTIAL, RIGHTS]),
    (":brokers enter", &["127.0.0.1", "up"]),
    (":broker space 1 enter", &[PARTIAL, RIGHTS]),
    (":brokers enter c", &["settings of broker", REFUSED]),
    (":topics enter", &[PARTIAL, RIGHTS]),
    (
        ":topic space orders enter",
        &["there is no topic \"orders\"", RIGHTS],
    ),
    (":groups enter", &[PARTIAL, RIGHTS]),
    (
        ":group space stopped enter",
        &["or this user may not see it"],
    ),
    (":reassignments enter", &[REFUSED, "needs DESCRIBE", RIGHTS]),
    (":quorum enter", &[REFUSED, "metadata.version"]),
    (":changes enter", &["overview › changes"]),
    (":acls enter", &[REFUSED, RIGHTS]),
    (":users enter", &[REFUSED, RIGHTS]),
    (":quotas enter", &[REFUSED, RIGHTS]),
    (":transactions enter", &[PARTIAL]),
];

/// What is on the screen as words: lines are broken where the terminal ends.
pub fn words(terminal: &Terminal) -> String {
    let text = terminal.text();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

pub fn look(cluster: &mut Cluster) -> anyhow::Result<()> {
    let credentials = format!("SCRAM-SHA-512=[password={PASSWORD}]");
    let entity = ["--entity-type", "users", "--entity-name", USER];
    let set = [&["--alter", "--add-config", &credentials][..], &entity].concat();
    cluster.tool("kafka-configs", &set, None)?;
    let looked = look_at_all(cluster);
    let unset = [
        &["--alter", "--delete-config", "SCRAM-SHA-512"][..],
        &entity,
    ]
    .concat();
    cluster.tool("kafka-configs", &unset, None)?;
    looked
}

fn look_at_all(cluster: &Cluster) -> anyhow::Result<()> {
    let file = tempfile::NamedTempFile::new()?;
    let text = format!(
        "bootstrap.servers={}\nsecurity.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-512\n\
         sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \
         username=\"{USER}\" password=\"{PASSWORD}\";\n",
        cluster.sasl()
    );
    std::fs::write(file.path(), text)?;
    let path = file.path().to_str().context("a path in UTF-8")?;
    let args = ["--properties", path, "--refresh", "1"];
    let mut terminal = Terminal::start(program(), &args, &[], (80, 24))?;
    terminal.wait_for("may not describe the cluster")?;
    terminal.wait_for("controller ?")?;
    for (keys, shown) in SCREENS {
        terminal.keys(keys)?;
        for text in *shown {
            terminal
                .wait_until(text, |terminal| words(terminal).contains(text))
                .with_context(|| format!("after {keys}"))?;
        }
        for size in [TINY, WIDE, (80, 24)] {
            terminal.resize(size.0, size.1)?;
            terminal
                .wait_until("it says why, and nothing that is not so", |terminal| {
                    let text = words(terminal);
                    terminal.text().lines().count() == usize::from(size.1)
                        && text.contains("may not describe the clus")
                        && !LIES.iter().any(|lie| text.contains(lie))
                })
                .with_context(|| format!("after {keys} at {size:?}"))?;
        }
        ensure!(
            !terminal.text().contains(PASSWORD),
            "a password is on the screen"
        );
        terminal.keys("esc")?;
    }
    // Nothing that was asked for silenced a broker.
    terminal.wait_for("live")?;
    terminal.keys("ctrl-c")?;
    ensure!(terminal.wait_for_end()?.success(), "it ends at once");

    // An empty list says on the other stream why it may be empty.
    for args in [
        &["topics", "list"][..],
        &["groups", "list"],
        &["brokers", "list"],
        &["transactions", "open"],
    ] {
        let mut command = std::process::Command::new(program());
        let output = command.args(["--properties", path]).args(args).output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success() && errors.contains("may not describe the cluster"),
            "{args:?}: {errors}"
        );
    }

    for (args, code, told) in [
        (&["acls", "list"][..], 4, "CLUSTER_AUTHORIZATION_FAILED"),
        (&["users", "list"], 4, "CLUSTER_AUTHORIZATION_FAILED"),
        (&["quorum", "describe"], 4, "CLUSTER_AUTHORIZATION_FAILED"),
        (&["topics", "create", "mine"], 4, "AUTHORIZATION_FAILED"),
    ] {
        let all = [&["--properties", path][..], args].concat();
        let (found, document) = run_with(&all, None)?;
        let text = document.to_string();
        ensure!(
            found == code && text.contains(told),
            "{args:?}: {found}: {text}"
        );
    }
    Ok(())
}
