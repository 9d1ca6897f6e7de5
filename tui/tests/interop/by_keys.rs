//! What the commands do to rules, users, limits, voters and features, done by keys; Kafka's own
//! tools say that it was done.

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::command::document;
use crate::running::Place;
use crate::shell;
use crate::{manager, terminal::Terminal};

const PASSWORD: &str = "by-hand-and-unseen";

/// How long a tool's answer may take to become what it should.
const DEADLINE: std::time::Duration = std::time::Duration::from_secs(60);

/// Confirms the plan on the screen, and waits for what is said when it is done.
fn confirm(terminal: &mut Terminal, done: &str) -> anyhow::Result<()> {
    terminal.wait_for("press y to execute")?;
    terminal.keys("y")?;
    terminal.wait_for(done)
}

pub fn rules(cluster: &mut Cluster) -> anyhow::Result<()> {
    let listed = |text: &str| {
        let found = cluster.tool("kafka-acls", &["--list"], None);
        found.is_ok_and(|all| all.contains(text))
    };
    let create = ["--create", "--topic", "keyed-1", "--partitions", "1"];
    cluster.tool("kafka-topics", &create, None)?;
    let place = Place::of(cluster)?;
    let mut terminal = place.screens("acls")?;
    terminal.wait_for("there are no rules: n creates one")?;
    terminal
        .keys("n tab ctrl-u User:carol tab ctrl-u read,describe tab tab keyed- tab space enter")?;
    terminal.wait_for("kafka-acls.sh")?;
    confirm(&mut terminal, "✓ create 2 rules")?;
    terminal.wait_until("both rules", |terminal| {
        let text = terminal.text();
        text.matches("User:carol").count() >= 2 && text.contains("topics that begin with")
    })?;
    let rule = "principal=User:carol, host=*, operation=READ, permissionType=ALLOW";
    ensure!(listed(rule), "kafka-acls sees it");
    // Reading includes describing: one of both does nothing, and the screen says which.
    terminal.wait_for("1 does nothing")?;
    terminal.keys("x ctrl-u User:carol tab ctrl-u write tab tab ctrl-u keyed-1 enter")?;
    terminal.wait_for("the rules say")?;
    terminal.wait_for("no")?;
    terminal.keys("esc esc o")?;
    terminal.wait_for("only those that do nothing")?;
    terminal.wait_for("superfluous")?;
    // One that another rule denies, and one of which there is nothing: told as that.
    // Who may write may describe too, so that all is denied.
    for (kind, operation, topic) in [
        ("--deny", "all", "keyed-1"),
        ("--allow", "write", "keyed-1"),
        ("--allow", "write", "nowhere"),
    ] {
        let create = ["acls", "create", kind, "User:erin", "--topic", topic];
        document(
            cluster,
            &[&create[..], &["--operation", operation]].concat(),
        )?;
    }
    terminal.wait_for("3 · only those that do nothing")?;
    let told = document(cluster, &["acls", "idle"])?;
    for (word, idle, why) in [
        ("denied", "denied", "denied by: deny User:erin"),
        (
            "unused",
            "no_such_resource",
            "there is no topic \"nowhere\"",
        ),
        (
            "superfluous",
            "redundant",
            "says no more than: allow User:carol",
        ),
    ] {
        let is_it = |row: &Value| {
            let own = row["why"].as_str().unwrap_or_default();
            row["idle"] == idle && own.starts_with(why)
        };
        let rows = told["idle"].as_array().context("a list")?;
        ensure!(rows.iter().any(is_it), "{word}: {told}");
        terminal.wait_until(word, |terminal| {
            let line = terminal.line(word).unwrap_or_default();
            line.contains("User:")
        })?;
    }
    document(cluster, &["acls", "delete", "--principal", "User:erin"])?;
    terminal.wait_for("1 · only those that do nothing")?;
    terminal.keys("o g space j space D")?;
    confirm(&mut terminal, "✓ delete 2 rules")?;
    terminal.wait_for("there are no rules")?;
    ensure!(!listed("User:carol"), "kafka-acls sees none");
    // Back by the key; and what had made them is taken back by the command.
    terminal.keys("u")?;
    terminal.wait_for("undo: delete 2 rules")?;
    confirm(&mut terminal, "✓ undo: delete 2 rules")?;
    ensure!(listed(rule), "kafka-acls sees them again");
    let done = place.document(&["undo", "--execute"])?;
    ensure!(done["plan"]["title"] == "undo: create 2 rules", "{done}");
    ensure!(!listed("User:carol"), "kafka-acls sees none any more");
    let delete = ["--delete", "--topic", "keyed-1"];
    cluster.tool("kafka-topics", &delete, None).map(drop)
}

pub fn users_and_limits(cluster: &mut Cluster) -> anyhow::Result<()> {
    let users = || {
        let args = ["--describe", "--entity-type", "users"];
        cluster.tool("kafka-configs", &args, None)
    };
    let place = Place::of(cluster)?;
    let mut terminal = place.screens("users")?;
    terminal.wait_for("overview › users")?;
    terminal.keys(&format!(
        "n ctrl-u dora tab tab {PASSWORD} tab {PASSWORD} tab ctrl-u 4096 enter"
    ))?;
    confirm(&mut terminal, "✓ set the password of user \"dora\"")?;
    ensure!(
        !terminal.text().contains(PASSWORD),
        "a password is on the screen"
    );
    terminal.wait_until("the user", |terminal| terminal.row("dora").is_some())?;
    let text = users()?;
    ensure!(
        text.contains("'dora' are SCRAM-SHA-512=iterations=4096"),
        "{text}"
    );
    terminal.keys("/ dora enter D")?;
    terminal.wait_for("type dora to confirm")?;
    terminal.wait_for("the password that user \"dora\" had is known to nobody here")?;
    terminal.keys("dora enter")?;
    terminal.wait_for("✓ delete the password of user \"dora\"")?;
    let is_gone = || users().is_ok_and(|text| !text.contains("dora"));
    ensure!(
        shell::wait_until(DEADLINE, is_gone),
        "kafka-configs sees no dora"
    );

    terminal.keys(":quotas enter")?;
    terminal.wait_for("there are no quotas")?;
    terminal.keys("n dora tab tab tab tab 3000 enter")?;
    confirm(&mut terminal, "✓ change the quota of user \"dora\"")?;
    terminal.wait_for("3 kB/s")?;
    terminal.keys("x enter")?;
    terminal.wait_for("by the quota of user \"dora\"")?;
    terminal.wait_for("consumer_byte_rate: no limit")?;
    terminal.keys("esc esc")?;
    let text = users()?;
    ensure!(
        text.contains("'dora' are producer_byte_rate=3000"),
        "{text}"
    );
    terminal.keys("D")?;
    confirm(&mut terminal, "there are no quotas")?;
    let is_gone = || users().is_ok_and(|text| !text.contains("dora"));
    ensure!(
        shell::wait_until(DEADLINE, is_gone),
        "kafka-configs sees no limit"
    );
    // The limit comes back by the key, and goes by the command, which says what stays as it is.
    terminal.keys("u")?;
    terminal.wait_for("undo: ")?;
    confirm(&mut terminal, "3 kB/s")?;
    let has_limit = || users().is_ok_and(|text| text.contains("producer_byte_rate=3000"));
    ensure!(
        shell::wait_until(DEADLINE, has_limit),
        "kafka-configs sees the limit again"
    );
    place.document(&["undo", "--execute"])?;
    ensure!(
        shell::wait_until(DEADLINE, is_gone),
        "kafka-configs sees no limit any more"
    );
    let list = place.document(&["undo", "--list"])?;
    let rows = list["changes"].as_array().cloned().unwrap_or_default();
    let password = rows.iter().find(|row| {
        let change = row["change"].as_str().unwrap_or_default();
        change.starts_with("delete the password")
    });
    ensure!(
        password.is_some_and(|row| row["can_be_undone"] == false),
        "{list}"
    );
    Ok(())
}

pub fn voters_and_features(cluster: &mut Cluster) -> anyhow::Result<()> {
    let (id, listener) = cluster.add_controller()?;
    let done = add_and_remove(cluster, &id.to_string(), &listener);
    cluster.remove_controller();
    done?;

    let level = || -> anyhow::Result<String> {
        let text = cluster.tool("kafka-features", &["describe"], None)?;
        let mut lines = text.lines();
        let line = lines.find(|line| line.contains("eligible.leader.replicas.version"));
        let (_, rest) = line
            .and_then(|line| line.split_once("FinalizedVersionLevel: "))
            .with_context(|| text.clone())?;
        Ok(rest
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .to_owned())
    };
    let mut terminal = manager(cluster, "quorum")?;
    terminal.wait_for("eligible.leader.replicas.version")?;
    ensure!(level()? == "1", "it is on to begin with");
    terminal.keys("tab / eligible enter + ctrl-u 0 tab space enter")?;
    // The cluster was asked whether it can be, and nothing is changed yet.
    terminal.wait_for("accepts this")?;
    ensure!(level()? == "1", "it is only validated");
    terminal.keys("y")?;
    terminal.wait_for("✓ set the feature eligible.leader.replicas.version to 0")?;
    ensure!(level()? == "0", "it went down");
    terminal.keys("+ ctrl-u 1 enter")?;
    terminal.wait_for("accepts this")?;
    terminal.keys("y")?;
    let is_up = || level().is_ok_and(|level| level == "1");
    ensure!(shell::wait_until(DEADLINE, is_up), "it went up again");
    Ok(())
}

fn add_and_remove(cluster: &Cluster, id: &str, listener: &str) -> anyhow::Result<()> {
    let mut terminal = manager(cluster, "quorum")?;
    terminal.wait_until("the new controller follows", |terminal| {
        let row = terminal.row(id).unwrap_or_default();
        // Behind by nothing: it has caught up.
        row.get(1).is_some_and(|role| role == "observer")
            && row.get(3).is_some_and(|behind| behind == "0")
    })?;
    terminal.keys(&format!("/ {id} enter n ctrl-u {listener} enter"))?;
    terminal.wait_for("kafka-metadata-quorum.sh")?;
    confirm(&mut terminal, &format!("✓ make node {id} a voter"))?;
    let is_voter = || {
        let args = ["describe", "--replication"];
        let text = cluster.tool("kafka-metadata-quorum", &args, None);
        text.is_ok_and(|text| {
            text.lines().any(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                words.first() == Some(&id) && words.contains(&"Follower")
            })
        })
    };
    ensure!(
        shell::wait_until(DEADLINE, is_voter),
        "kafka-metadata-quorum sees it vote"
    );
    terminal.wait_until("it votes", |terminal| {
        terminal.row(id).is_some_and(|row| row[1] == "voter")
    })?;
    terminal.keys("D")?;
    terminal.wait_for(&format!("type remove voter {id} to confirm"))?;
    terminal.keys(&format!("remove space voter space {id} enter"))?;
    terminal.wait_for(&format!("✓ remove the voter {id}"))?;
    ensure!(
        shell::wait_until(DEADLINE, || !is_voter()),
        "kafka-metadata-quorum sees it vote no more"
    );
    Ok(())
}
