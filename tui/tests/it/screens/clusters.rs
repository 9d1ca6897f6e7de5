//! Saved clusters and connections that fail, through the real program.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{
    ApiKey, ApiVersionsResponse, SaslAuthenticateResponse, SaslHandshakeResponse,
};
use kafka_shared::protocol::{Response, StrBytes, api, codec, header};

use super::{Session, WIDE, program};
use crate::terminal::Terminal;

/// What a narrow split of a terminal leaves.
const TINY: (u16, u16) = (40, 10);

fn config() -> anyhow::Result<(tempfile::TempDir, PathBuf)> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("config.toml");
    Ok((folder, path))
}

/// Runs a command with that configuration file.
fn command(config: &Path, args: &[&str]) -> anyhow::Result<Output> {
    let mut command = Command::new(program());
    command.arg("--config-file").arg(config).args(args);
    command.env_remove("KAFKA_BOOTSTRAP");
    command.env("TEST_PASSWORD", "sesame");
    Ok(command.output()?)
}

fn json(output: &Output) -> anyhow::Result<serde_json::Value> {
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn clusters_are_saved_switched_and_removed_on_the_screen() -> anyhow::Result<()> {
    let (_folder, path) = config()?;
    let shown = path.display().to_string();
    let mut session = Session::start(WIDE, &["--config-file", &shown], &[], &[("alpha", 1)])?;
    let bootstrap = session.bootstrap();
    session.see("8", "no cluster is saved: n adds one")?;
    session.see("n", "save a cluster")?;
    session
        .terminal
        .keys(&format!("lab tab {bootstrap} tab tab tab tab tab tab tab"))?;
    session.terminal.keys("green tab tab tab space enter")?;
    session.see("", "lab is saved: cluster")?;
    session.see("", "read-only")?;
    session.see("enter", "READ-ONLY")?;
    session.terminal.wait_for("live")?;
    assert!(session.terminal.text().starts_with(" kafka-tui  lab"));
    session.see("3 D", "read-only")?;
    session.see(":clusters enter", "BROKERS")?;
    session.see("w", "type lab to confirm")?;
    session.terminal.keys("lab enter")?;
    session.terminal.wait_while("READ-ONLY")?;
    session.terminal.wait_for("live")?;
    session.see(":cluster space lab enter", "READ-ONLY")?;
    session.see(":clusters enter", "BROKERS")?;
    session.see("t", "lab answers: cluster")?;
    // What was read stays filled in; the form adds to it, and comments stay.
    let text = std::fs::read_to_string(&path)?;
    std::fs::write(&path, format!("# mine\n{text}"))?;
    session.see("e", "edit lab")?;
    session.see("ctrl-u lab-2 tab", &bootstrap)?;
    session.terminal.keys("tab tab tab tab tab tab tab")?;
    session.see("ctrl-u red tab space enter", "lab-2 is changed")?;
    session.see("", "high")?;
    let edited = std::fs::read_to_string(&path)?;
    let expected = format!("# mine\n{text}").replace("[clusters.lab]", "[clusters.lab-2]");
    let expected = expected.replace("\"green\"", "\"red\"");
    let (before, after) = expected.split_once("cluster_id").expect("it was learned");
    let (id, _) = after.split_once('\n').expect("a line");
    assert!(edited.starts_with(before), "{edited}");
    assert!(edited.contains(id) && edited.contains("danger = \"high\""));
    // Another address is connected to before it is saved.
    session.see("e tab", "edit lab-2")?;
    session.see("ctrl-u 127.0.0.1:9 enter", "127.0.0.1:9")?;
    session.terminal.wait_while("edit lab-2")?;
    session.see("", "127.0.0.1:9")?;
    assert_eq!(std::fs::read_to_string(&path)?, edited);
    // What was typed is there once more, and is left.
    session.see("e", "brokers     127.0.0.1:9 ")?;
    session.see("esc", &bootstrap)?;
    session.see("e ctrl-u lab enter", "lab is changed")?;
    session.see("D", "type lab to confirm")?;
    session.see("lab enter", "lab is removed")?;
    session.quit()
}

#[test]
fn clusters_are_saved_tested_and_removed_by_commands() -> anyhow::Result<()> {
    let session = Session::start(WIDE, &[], &[], &[])?;
    let (_folder, path) = config()?;
    let bootstrap = session.bootstrap();
    let add = [
        "clusters",
        "add",
        "lab",
        "--bootstrap",
        &bootstrap,
        "--output",
        "json",
    ];
    let added = command(&path, &add)?;
    assert!(added.status.success(), "{}", stderr(&added));
    let id = json(&added)?["probe"]["cluster_id"]
        .as_str()
        .map(str::to_owned);
    assert_eq!(json(&added)?["done"], "saved");
    let again = command(&path, &add)?;
    assert_eq!(again.status.code(), Some(6), "{}", stderr(&again));
    let listed = json(&command(&path, &["clusters", "list", "--output", "json"])?)?;
    assert_eq!(listed["clusters"][0]["cluster_id"].as_str(), id.as_deref());
    let tested = json(&command(&path, &["clusters", "test", "--output", "json"])?)?;
    assert_eq!(tested["clusters"][0]["ok"], true);
    let topics = command(&path, &["--cluster", "lab", "topics", "list"])?;
    assert!(topics.status.success(), "{}", stderr(&topics));
    // An edit is tried where it changes how the cluster is reached, and else saved as it is.
    let edit = |more: &[&str]| {
        let edit = ["clusters", "edit", "lab", "--output", "json"];
        command(&path, &[&edit[..], more].concat())
    };
    let twice = format!("{bootstrap},{bootstrap}");
    let edited = edit(&["--bootstrap", &twice])?;
    let done = json(&edited)?;
    assert_eq!(
        (&done["done"], done["probe"]["cluster_id"].as_str()),
        (&"changed".into(), id.as_deref()),
        "{}",
        stderr(&edited)
    );
    assert_eq!(stderr(&edited), "", "it is the same cluster");
    let text = std::fs::read_to_string(&path)?;
    let dead = edit(&["--bootstrap", "127.0.0.1:9"])?;
    assert_eq!(dead.status.code(), Some(5), "{}", stderr(&dead));
    assert!(stderr(&dead).contains("--no-test saves it"));
    assert_eq!(std::fs::read_to_string(&path)?, text);
    let coloured = json(&edit(&["--color", "cyan"])?)?;
    assert_eq!(
        coloured["probe"],
        serde_json::Value::Null,
        "nobody is asked"
    );
    let unknown = command(&path, &["--cluster", "nowhere", "topics", "list"])?;
    assert_eq!(unknown.status.code(), Some(3));
    assert!(stderr(&unknown).contains("hint: there are lab"));
    let asked = command(&path, &["clusters", "remove", "lab"])?;
    assert_eq!(asked.status.code(), Some(4), "nobody confirmed it");
    let removed = command(&path, &["clusters", "remove", "lab", "--yes"])?;
    assert!(removed.status.success(), "{}", stderr(&removed));
    session.quit()
}

#[test]
fn nothing_is_changed_where_it_is_read_only_or_another_cluster() -> anyhow::Result<()> {
    let session = Session::start(WIDE, &[], &[], &[("kept", 1)])?;
    let (_folder, path) = config()?;
    let bootstrap = session.bootstrap();
    let text = format!(
        "[clusters.moved]\nbootstrap = \"{bootstrap}\"\ncluster_id = \"AAAAAAAAAAAAAAAAAAAAAA\"\n\
         [clusters.calm]\nbootstrap = \"{bootstrap}\"\nread_only = true\ndanger = \"low\"\n"
    );
    std::fs::write(&path, text)?;
    let delete = |cluster: &str, more: &[&str]| {
        let args = ["--cluster", cluster, "topics", "delete", "kept"];
        command(&path, &[&args[..], more].concat())
    };
    let moved = delete("moved", &["--yes"])?;
    assert_eq!(moved.status.code(), Some(4), "{}", stderr(&moved));
    assert!(
        stderr(&moved).contains("this is not the cluster you saved"),
        "{}",
        stderr(&moved)
    );
    let tested = command(&path, &["clusters", "test", "moved"])?;
    assert_eq!(tested.status.code(), Some(4), "{}", stderr(&tested));
    // If that is right, its id is learned anew, which is told.
    assert!(stderr(&tested).contains("kafka-tui clusters edit moved --learn-id"));
    let learned = command(&path, &["clusters", "edit", "moved", "--learn-id"])?;
    assert!(learned.status.success(), "{}", stderr(&learned));
    let told = "warning: it was cluster AAAAAAAAAAAAAAAAAAAAAA before";
    assert!(stderr(&learned).contains(told), "{}", stderr(&learned));
    let tested = command(&path, &["clusters", "test", "moved"])?;
    assert!(tested.status.success(), "{}", stderr(&tested));
    let calm = delete("calm", &[])?;
    assert_eq!(calm.status.code(), Some(4));
    assert!(stderr(&calm).contains("read-only"), "{}", stderr(&calm));
    let allowed = delete("calm", &["--read-write"])?;
    assert!(allowed.status.success(), "{}", stderr(&allowed));
    session.quit()
}

#[test]
fn changes_are_dry_runs_where_the_cluster_says_so_until_they_are_told_otherwise()
-> anyhow::Result<()> {
    let session = Session::start(WIDE, &[], &[], &[("log", 1)])?;
    let (_folder, path) = config()?;
    let bootstrap = session.bootstrap();
    let at = |more: &str| format!("bootstrap = \"{bootstrap}\"\n{more}\n");
    let text = format!(
        "[clusters.dev]\n{}[clusters.careful]\n{}[clusters.prod]\n{}[clusters.bold]\n{}",
        at(""),
        at("dry_run = true"),
        at("danger = \"high\""),
        at("danger = \"high\"\ndry_run = false"),
    );
    std::fs::write(&path, text)?;
    let does_it = "dry run: nothing was changed; --execute does it\n";
    let saved = |name: &'static str| vec!["--cluster", name];
    let unsaved = vec!["--bootstrap", &*bootstrap];
    for (nth, (cluster, variable, more, is_made, told)) in [
        (saved("dev"), "", &[][..], true, ""),
        // The variable is for clusters that are not saved.
        (saved("dev"), "true", &[], true, ""),
        (saved("careful"), "", &[], false, does_it),
        (saved("careful"), "", &["--execute"], true, ""),
        (saved("prod"), "false", &[], false, does_it),
        (saved("prod"), "", &["--execute", "--yes"], true, ""),
        (
            saved("prod"),
            "",
            &["--dry-run"],
            false,
            "dry run: nothing was changed\n",
        ),
        (saved("bold"), "", &["--yes"], true, ""),
        (unsaved.clone(), "true", &[], false, does_it),
        (unsaved.clone(), "true", &["--execute"], true, ""),
        (unsaved.clone(), "false", &[], true, ""),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("made-{nth}");
        let run = |args: &[&str]| -> anyhow::Result<Output> {
            let mut command = Command::new(program());
            command.arg("--config-file").arg(&path).args(&cluster);
            command.args(["--output", "json"]).args(args);
            command
                .env_remove("KAFKA_BOOTSTRAP")
                .env("KAFKA_TUI_DRY_RUN", variable);
            Ok(command.output()?)
        };
        let create = ["topics", "create", &name, "--partitions", "1"];
        let output = run(&[&create[..], more].concat())?;
        let what = format!("{cluster:?} {variable} {more:?}: {}", stderr(&output));
        assert!(output.status.success(), "{what}");
        assert_eq!(json(&output)?["dry_run"], !is_made, "{what}");
        assert_eq!(stderr(&output), told, "{what}");
        let described = run(&["topics", "describe", &name])?;
        assert_eq!(described.status.success(), is_made, "{what}");
    }
    let careful = |args: &[&str]| command(&path, &[&["--cluster", "careful"][..], args].concat());
    let produce = ["messages", "produce", "log", "--value", "v", "-o", "json"];
    for (more, is_made) in [(&[][..], false), (&["--execute"], true)] {
        let output = careful(&[&produce[..], more].concat())?;
        let what = stderr(&output);
        assert!(output.status.success(), "{what}");
        assert_eq!(what.contains("--execute does it"), !is_made, "{what}");
        let read = careful(&[
            "messages",
            "read",
            "log",
            "--from",
            "beginning",
            "-o",
            "json",
        ])?;
        let n = json(&read)?["messages"].as_array().map(Vec::len);
        assert_eq!(n, Some(usize::from(is_made)), "{what}");
    }
    let every = careful(&["elect", "--every", "1h"])?;
    assert_eq!(every.status.code(), Some(4));
    assert!(
        stderr(&every).contains("hint: --execute elects"),
        "{}",
        stderr(&every)
    );
    let mut wrong = Command::new(program());
    wrong
        .args(&unsaved)
        .args(["topics", "list"])
        .env("KAFKA_TUI_DRY_RUN", "maybe");
    let wrong = wrong.output()?;
    assert!(
        stderr(&wrong).contains("neither true nor false"),
        "{}",
        stderr(&wrong)
    );
    let listed = command(&path, &["clusters", "list", "-o", "json"])?;
    let listed = json(&listed)?;
    let by_default = |at: usize| listed["clusters"][at]["is_dry_by_default"].as_bool();
    let all = [0, 1, 2, 3].map(by_default);
    assert_eq!(all, [Some(false), Some(true), Some(true), Some(false)]);
    // On the screens every change is a plan that is looked at and confirmed anyway.
    session.quit()
}

fn answer<B: Response>(
    socket: &mut TcpStream,
    header: &header::RequestHeader,
    body: &B,
) -> std::io::Result<()> {
    let frame: BytesMut =
        codec::encode_response_frame(body, header.api_version, header.correlation_id)
            .expect("it can be encoded");
    socket.write_all(&frame)
}

/// A broker that knows no password. It ends with the test's process.
fn refusing_broker() -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    std::thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || refuse(socket));
        }
    });
    Ok(address)
}

fn refuse(mut socket: TcpStream) -> std::io::Result<()> {
    loop {
        let mut length = [0; 4];
        socket.read_exact(&mut length)?;
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        socket.read_exact(&mut frame)?;
        let header = header::parse_request_header(&mut Bytes::from(frame)).expect("a request");
        match header.api() {
            Some(ApiKey::ApiVersions) => {
                let range = |key: ApiKey| {
                    let versions = api::codec_versions(key);
                    ApiVersion::default()
                        .with_api_key(key as i16)
                        .with_min_version(*versions.start())
                        .with_max_version(*versions.end())
                };
                let keys = ApiKey::iter().map(range).collect();
                let body = ApiVersionsResponse::default().with_api_keys(keys);
                answer(&mut socket, &header, &body)?;
            }
            Some(ApiKey::SaslHandshake) => {
                answer(&mut socket, &header, &SaslHandshakeResponse::default())?;
            }
            _ => {
                let why = StrBytes::from_static_str("Invalid username or password");
                let body = SaslAuthenticateResponse::default()
                    .with_error_code(58)
                    .with_error_message(Some(why));
                answer(&mut socket, &header, &body)?;
            }
        }
    }
}

#[test]
fn a_wrong_password_is_told_on_any_screen_and_never_shown() -> anyhow::Result<()> {
    let (_folder, path) = config()?;
    let address = refusing_broker()?;
    let add = [
        "clusters",
        "add",
        "locked",
        "--bootstrap",
        &address,
        "--user",
        "alice",
    ];
    let login = [
        "--mechanism",
        "PLAIN",
        "--password-from",
        "env:TEST_PASSWORD",
    ];
    let refused = command(&path, &[&add[..], &login].concat())?;
    assert_eq!(refused.status.code(), Some(4), "{}", stderr(&refused));
    let told = "wrong user name or password (PLAIN as alice): Invalid username or password";
    assert!(stderr(&refused).contains(told), "{}", stderr(&refused));
    let saved = command(&path, &[&add[..], &login, &["--no-test"]].concat())?;
    assert!(saved.status.success(), "{}", stderr(&saved));
    let tested = command(&path, &["clusters", "test", "--output", "json"])?;
    assert_eq!(tested.status.code(), Some(4));
    let error = &json(&tested)?["clusters"][0]["error"];
    assert!(
        error["hint"]
            .as_str()
            .is_some_and(|hint| hint.contains("sasl.jaas.config"))
    );
    let everything = format!("{tested:?} {refused:?} {}", std::fs::read_to_string(&path)?);
    assert!(!everything.contains("sesame"), "{everything}");
    let shown = path.display().to_string();
    let args = ["--config-file", &shown, "--cluster", "locked"];
    for size in [WIDE, TINY] {
        let mut terminal = Terminal::start(program(), &args, &[("TEST_PASSWORD", "sesame")], size)?;
        terminal.wait_for("(PLAIN as alice)")?;
        terminal.wait_for("trying again")?;
        terminal.wait_for("check username")?;
        assert!(!terminal.text().contains("sesame"));
        terminal.keys("ctrl-c")?;
        assert!(terminal.wait_for_end()?.success());
    }
    // Without the variable there is nothing to try.
    let mut terminal = Terminal::start(program(), &args, &[], WIDE)?;
    terminal.wait_for("the variable TEST_PASSWORD: it is not set")?;
    terminal.wait_for("ctrl-r tries again")?;
    terminal.keys("8")?;
    terminal.wait_for("SASL_PLAINTEXT")?;
    terminal.keys("q")?;
    assert!(terminal.wait_for_end()?.success());
    Ok(())
}

#[test]
fn a_broker_that_accepts_and_never_answers_is_told_as_that() -> anyhow::Result<()> {
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let address = silent.local_addr()?.to_string();
    for size in [WIDE, TINY] {
        let mut terminal = Terminal::start(program(), &["--bootstrap", &address], &[], size)?;
        terminal.wait_for("connecting to")?;
        terminal.wait_for("no answer for")?;
        terminal.wait_for("asking for")?;
        terminal.wait_for("trying again")?;
        terminal.keys("q")?;
        assert!(terminal.wait_for_end()?.success());
    }
    Ok(())
}
