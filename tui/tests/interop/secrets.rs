//! Saved clusters through keys: added, edited, tested, switched to, guarded by rights, danger and the
//! cluster's id, removed; and passwords that are in nothing that is shown, printed or written.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::cluster::Cluster;
use crate::terminal::Terminal;
use crate::{WIDE, program};

const USER: &str = "keeper";

/// Of the user, where it stands in Kafka's own file; of a user that is made; of one that is typed.
const OWN: &str = "own-secret-of-the-keeper";
const GIVEN: &str = "given-secret-of-another";
const TYPED: &str = "typed-secret-of-a-third";

/// Where everything goes that the program writes.
struct Home {
    folder: tempfile::TempDir,
    /// All that it printed, and every screen.
    told: Vec<String>,
}

impl Home {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Runs a command; its exit code and all that it said.
    fn run(&mut self, args: &[&str]) -> anyhow::Result<(i32, String)> {
        let mut command = Command::new(program());
        command.arg("--config-file").arg(self.path("config.toml"));
        command.args(args).env_remove("KAFKA_BOOTSTRAP");
        command.env("XDG_STATE_HOME", self.path("state"));
        command.env("TEST_OWN", OWN).env("TEST_GIVEN", GIVEN);
        // Whoever looks closely is told no more.
        command.env("RUST_LOG", "trace");
        let output = command.stdin(std::process::Stdio::null()).output()?;
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let told = said(&output.stdout) + &said(&output.stderr);
        self.told.push(told.clone());
        Ok((output.status.code().context("it ended by itself")?, told))
    }

    fn open(&self, args: &[&str]) -> anyhow::Result<Terminal> {
        let config = self.text("config.toml");
        let all = [&["--config-file", &config, "--refresh", "1"][..], args].concat();
        let state = self.text("state");
        let variables = [("XDG_STATE_HOME", &*state), ("TEST_OWN", OWN)];
        Terminal::start(program(), &all, &variables, WIDE)
    }

    /// What the program told or wrote that holds one of these.
    fn leaks(&self, secrets: &[&str]) -> anyhow::Result<Vec<String>> {
        let mut leaks: Vec<String> = Vec::new();
        for text in &self.told {
            if secrets.iter().any(|secret| text.contains(secret)) {
                leaks.push(text.clone());
            }
        }
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                // Written by hand, as people write them for Kafka's tools.
                if path.ends_with("client.properties") {
                    continue;
                }
                let bytes = std::fs::read(&path)?;
                let holds = |secret: &&str| {
                    let text = secret.as_bytes();
                    let encoded = kafka_shared::sasl::base64(text);
                    // The end of what is encoded depends on what follows.
                    let encoded = encoded.trim_end_matches('=').as_bytes();
                    let encoded = &encoded[..encoded.len() - 2];
                    bytes.windows(text.len()).any(|part| part == text)
                        || bytes.windows(encoded.len()).any(|part| part == encoded)
                };
                if secrets.iter().any(holds) {
                    leaks.push(path.display().to_string());
                }
            }
        }
        Ok(leaks)
    }
}

pub fn kept(cluster: &mut Cluster) -> anyhow::Result<()> {
    let credentials = format!("SCRAM-SHA-512=[password={OWN}]");
    let entity = ["--entity-type", "users", "--entity-name", USER];
    let set = [&["--alter", "--add-config", &credentials][..], &entity].concat();
    cluster.tool("kafka-configs", &set, None)?;
    let who = format!("User:{USER}");
    for on in [&["--cluster"][..], &["--topic", "*"], &["--group", "*"]] {
        let add = ["--add", "--allow-principal", &who, "--operation", "All"];
        cluster.tool("kafka-acls", &[&add[..], on].concat(), None)?;
    }
    let mut home = Home {
        folder: tempfile::tempdir()?,
        told: Vec::new(),
    };
    let kept = by_keys(cluster, &mut home).and_then(|()| by_commands(cluster, &mut home));
    let leaks = home.leaks(&[OWN, GIVEN, TYPED])?;
    for on in [&["--cluster"][..], &["--topic", "*"], &["--group", "*"]] {
        let remove = [
            "--remove",
            "--force",
            "--allow-principal",
            &who,
            "--operation",
            "All",
        ];
        cluster.tool("kafka-acls", &[&remove[..], on].concat(), None)?;
    }
    let unset = [
        &["--alter", "--delete-config", "SCRAM-SHA-512"][..],
        &entity,
    ]
    .concat();
    cluster.tool("kafka-configs", &unset, None)?;
    kept?;
    ensure!(leaks.is_empty(), "a secret is in {leaks:?}");
    Ok(())
}

fn by_keys(cluster: &Cluster, home: &mut Home) -> anyhow::Result<()> {
    let recording = home.text("recording");
    let mut terminal = home.open(&["--record", &recording])?;
    terminal.wait_for("No cluster yet")?;
    // Saved with a login whose password is in a variable, dangerous, in red.
    terminal.keys("8 n")?;
    terminal.wait_for("save a cluster")?;
    terminal.keys(&format!(
        "vault tab {} tab tab space space space tab {USER} tab env:TEST_OWN",
        cluster.sasl()
    ))?;
    terminal.keys("tab tab tab red enter")?;
    terminal.wait_for("vault is saved: cluster")?;
    home.told.push(terminal.text());
    // Edited: where the password is is shown and stays; another address is tried before it is saved.
    terminal.keys("e")?;
    terminal.wait_for("env:TEST_OWN")?;
    home.told.push(terminal.text());
    terminal.keys(&format!("tab ,{}", cluster.sasl()))?;
    terminal.keys("tab tab tab tab tab tab tab tab space enter")?;
    terminal.wait_for("vault is changed: cluster")?;
    terminal.wait_for("high")?;
    home.told.push(terminal.text());
    terminal.keys("t")?;
    terminal.wait_for("vault answers: cluster")?;
    terminal.keys("enter")?;
    terminal.wait_for("live")?;
    let text = terminal.text();
    ensure!(text.starts_with(" kafka-tui  vault !"), "{text}");
    let at = u16::try_from(text.find("vault").context("its name")?)?;
    let colour = terminal.screen().cell(0, at).map(vt100::Cell::fgcolor);
    ensure!(colour == Some(vt100::Color::Idx(1)), "in red: {colour:?}");
    home.told.push(terminal.text());

    // What moves leaders is confirmed with the cluster's name, what destroys with its own.
    terminal.keys(":create space guarded enter")?;
    terminal.wait_for("create a topic")?;
    terminal.keys("enter")?;
    terminal.wait_for("press y to execute")?;
    terminal.keys("y")?;
    terminal.wait_for("✓ create topic \"guarded\"")?;
    terminal.keys(":topics enter / guarded enter")?;
    terminal.wait_for("1 of ")?;
    terminal.keys("D")?;
    terminal.wait_for("type guarded to confirm")?;
    terminal.keys("vault enter")?;
    terminal.wait_for("type guarded to confirm")?;
    terminal.keys("ctrl-u guarded enter")?;
    terminal.wait_for("✓ delete topic \"guarded\"")?;

    // A password that is typed is dots on the screen, and nowhere else.
    terminal.keys("esc :users enter n")?;
    terminal.wait_for("set a password")?;
    terminal.keys(&format!("ctrl-u third tab tab {TYPED} tab {TYPED}"))?;
    terminal.wait_for("•••")?;
    home.told.push(terminal.text());
    terminal.keys("enter")?;
    terminal.wait_for("kafka-configs.sh")?;
    home.told.push(terminal.text());
    // Danger: the cluster's name is wanted where a yes would do elsewhere.
    let wants_name = terminal.text().contains("type vault to confirm");
    terminal.keys(if wants_name { "vault enter" } else { "y" })?;
    terminal.wait_for("✓ set the password of user \"third\"")?;
    home.told.push(terminal.text());
    terminal.wait_until("the user", |terminal| terminal.row("third").is_some())?;
    terminal.keys("/ third enter D")?;
    terminal.wait_for("type third to confirm")?;
    terminal.keys("third enter")?;
    terminal.wait_for("✓ delete the password of user \"third\"")?;

    // The same address with another id: another cluster was made where the saved one was.
    let path = home.path("config.toml");
    let text = std::fs::read_to_string(&path)?;
    ensure!(text.contains("cluster_id = "), "its id was kept: {text}");
    ensure!(
        text.contains("${env:TEST_OWN}") && !text.contains(OWN),
        "{text}"
    );
    let (before, rest) = text.split_once("cluster_id = \"").context("an id")?;
    let (_, after) = rest.split_once('"').context("an id")?;
    let moved = format!("{before}cluster_id = \"AAAAAAAAAAAAAAAAAAAAAA\"{after}");
    std::fs::write(&path, &moved)?;
    terminal.keys("esc :cluster space vault enter")?;
    terminal.wait_for("this is not the cluster you saved")?;
    terminal.keys(":create space astray enter")?;
    terminal.wait_for("create a topic")?;
    terminal.keys("enter")?;
    terminal.wait_for("belongs to cluster")?;
    ensure!(!terminal.text().contains("✓ create"), "{}", terminal.text());
    home.told.push(terminal.text());
    std::fs::write(&path, &text)?;
    terminal.keys("ctrl-c")?;
    ensure!(terminal.wait_for_end()?.success(), "it ends");
    let topics = cluster.tool("kafka-topics", &["--list"], None)?;
    ensure!(
        !topics.contains("astray"),
        "nothing went to another cluster"
    );
    ensure!(Path::new(&recording).exists(), "it was recorded");
    Ok(())
}

/// The password comes from a file or from a command; the file of clusters is where XDG says.
fn places(cluster: &Cluster, home: &mut Home) -> anyhow::Result<()> {
    // Not in the folder in which secrets are looked for.
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("password");
    std::fs::write(&path, format!("{OWN}\n"))?;
    let path = path.display();
    for (name, from) in [
        ("by-file", format!("file:{path}")),
        ("by-command", format!("command:head -1 {path}")),
    ] {
        let servers = cluster.sasl();
        let add = ["clusters", "add", name, "--bootstrap", &servers];
        let login = ["--user", USER, "--password-from", &from];
        let (code, told) = home.run(&[&add[..], &login].concat())?;
        ensure!(code == 0, "{name}: {code}: {told}");
        // Found elsewhere from now on; the login stays, and is tried before it is saved.
        std::fs::copy(folder.path().join("password"), folder.path().join("moved"))?;
        let moved = from.replace("password", "moved");
        let (code, told) = home.run(&["clusters", "edit", name, "--password-from", &moved])?;
        ensure!(
            code == 0 && told.contains("changed"),
            "{name}: {code}: {told}"
        );
        let nowhere = ["--password-from", "file:/nowhere/at/all"];
        let (code, told) = home.run(&[&["clusters", "edit", name][..], &nowhere].concat())?;
        ensure!(
            code != 0 && told.contains("--no-test"),
            "{name}: {code}: {told}"
        );
        let mut terminal = home.open(&["--cluster", name])?;
        terminal.wait_for("live")?;
        home.told.push(terminal.text());
        terminal.keys("q")?;
        ensure!(terminal.wait_for_end()?.success(), "it ends");
        let (code, told) = home.run(&["clusters", "remove", name, "--yes"])?;
        ensure!(code == 0, "{code}: {told}");
    }
    let xdg = home.path("xdg");
    std::fs::create_dir_all(xdg.join("kafka-tui"))?;
    std::fs::copy(home.path("config.toml"), xdg.join("kafka-tui/config.toml"))?;
    let mut command = Command::new(program());
    command.args(["clusters", "list"]);
    command.env("XDG_CONFIG_HOME", &xdg);
    let output = command.env_remove("KAFKA_TUI_CONFIG").output()?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success() && told.contains("vault"), "{told}");
    home.told.push(told);
    Ok(())
}

fn by_commands(cluster: &Cluster, home: &mut Home) -> anyhow::Result<()> {
    // Kafka's own file, with the password in it.
    let text = format!(
        "bootstrap.servers={}\nsecurity.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-512\n\
         sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \
         username=\"{USER}\" password=\"{OWN}\";\nssl.truststore.password={OWN}\n",
        cluster.sasl()
    );
    std::fs::write(home.path("client.properties"), text)?;
    let properties = home.text("client.properties");
    let of_file = ["--properties", &properties, "--output", "json"];
    for (args, code) in [
        (&["--output", "json", "clusters", "list"][..], 0),
        (&["--output", "json", "clusters", "test"], 0),
        (
            &["--cluster", "vault", "--output", "json", "topics", "list"],
            0,
        ),
        (&["--cluster", "vault", "users", "list"], 0),
    ] {
        let (found, told) = home.run(args)?;
        ensure!(found == code, "{args:?}: {found}: {told}");
    }
    places(cluster, home)?;
    let set = [
        "users",
        "set-password",
        "another",
        "--password-from",
        "env:TEST_GIVEN",
    ];
    for more in [&["--dry-run"][..], &["--yes"]] {
        let (code, told) = home.run(&[&of_file[..], &set, more].concat())?;
        ensure!(code == 0, "{code}: {told}");
    }
    for args in [
        &["users", "list"][..],
        &["undo"],
        &["users", "delete", "another", "--yes"],
        &["brokers", "list"],
    ] {
        let (code, told) = home.run(&[&of_file[..], args].concat())?;
        ensure!(code == 0 || args[0] == "undo", "{args:?}: {code}: {told}");
    }
    let saved = ["clusters", "add", "filed", "--no-test"];
    home.run(&[&["--properties", &properties][..], &saved].concat())?;
    home.run(&["--output", "json", "clusters", "list"])?;
    let (code, _) = home.run(&["clusters", "remove", "filed", "--yes"])?;
    ensure!(code == 0, "it is removed");

    // Read-only is refused by commands as by keys, until it is allowed.
    let path = home.path("config.toml");
    let text = std::fs::read_to_string(&path)?;
    let text = text.replace("danger = \"high\"", "danger = \"high\"\nread_only = true");
    std::fs::write(&path, text)?;
    let create = [
        "--cluster",
        "vault",
        "topics",
        "create",
        "refused",
        "--execute",
    ];
    let (code, told) = home.run(&create)?;
    ensure!(code == 4 && told.contains("read-only"), "{code}: {told}");
    let mut terminal = home.open(&["--cluster", "vault"])?;
    terminal.wait_for("READ-ONLY")?;
    terminal.wait_for("live")?;
    terminal.keys("3 n")?;
    terminal.wait_for("read-only")?;
    terminal.keys("8")?;
    terminal.wait_for("high")?;
    home.told.push(terminal.text());
    terminal.keys("D")?;
    terminal.wait_for("type vault to confirm")?;
    terminal.keys("vault enter")?;
    terminal.wait_for("vault is removed")?;
    terminal.keys("q")?;
    ensure!(terminal.wait_for_end()?.success(), "it ends");
    Ok(())
}
