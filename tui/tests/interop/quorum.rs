//! Voters and features: the quorum is shown as kafka-metadata-quorum says it, one more controller
//! becomes a voter and none again, a feature goes up and down.

use anyhow::{Context as _, ensure};

use crate::cluster::Cluster;
use crate::command::{document, run};
use crate::manager;

pub fn voters_and_features(cluster: &mut Cluster) -> anyhow::Result<()> {
    let described = document(cluster, &["quorum", "describe"])?;
    let text = cluster.tool("kafka-metadata-quorum", &["describe", "--status"], None)?;
    let line = |name: &str| {
        let mut lines = text.lines();
        let found = lines
            .find_map(|line| line.strip_prefix(name))
            .map(str::trim);
        found.with_context(|| format!("{name} in {text}"))
    };
    ensure!(
        line("LeaderId:")?.parse().ok() == described["leader_id"].as_i64(),
        "{text}"
    );
    ensure!(
        line("LeaderEpoch:")?.parse().ok() == described["leader_epoch"].as_i64(),
        "{text}"
    );
    ensure!(described["survival"]["n_voters"] == 1, "{described}");
    let (code, refused) = run(cluster, &["quorum", "remove-voter", "1", "--yes"])?;
    ensure!(
        code == 4 && refused.to_string().contains("last voter"),
        "{refused}"
    );

    let (id, listener) = cluster.add_controller()?;
    let id = id.to_string();
    let add = ["quorum", "add-voter", &id, "--listener", &listener];
    // What an earlier case left under this id is not meant, and does not disturb.
    let is_ready = || {
        let dry = run(cluster, &[&add[..], &["--dry-run"]].concat());
        dry.is_ok_and(|(code, plan)| {
            let told = plan["plan"].to_string();
            code == 0 && !told.contains("caught up") && !told.contains("behind the leader")
        })
    };
    let deadline = std::time::Duration::from_secs(120);
    ensure!(
        crate::shell::wait_until(deadline, is_ready),
        "the new controller follows"
    );
    let n_voters = || {
        let described = document(cluster, &["quorum", "describe"]);
        described.map(|described| described["survival"]["n_voters"].as_u64())
    };
    // The leader gives up when the new one does not answer it in time; and one that was told to
    // have taken too long may be a voter all the same.
    let mut said = Vec::new();
    let is_added = || {
        said.push(run(cluster, &add));
        n_voters().is_ok_and(|n_voters| n_voters == Some(2))
    };
    ensure!(crate::shell::wait_until(deadline, is_added), "{said:?}");
    let text = cluster.tool(
        "kafka-metadata-quorum",
        &["describe", "--replication"],
        None,
    )?;
    let is_follower = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.first() == Some(&&*id) && words.contains(&"Follower")
    };
    ensure!(text.lines().any(is_follower), "{text}");

    let mut terminal = manager(cluster, "quorum")?;
    terminal.wait_until("two voters", |terminal| {
        terminal.row(&id).is_some_and(|row| row[1] == "voter")
    })?;
    // Voters stand before observers: the first row of this id is the one that votes.
    terminal.keys(&format!("/ {id} enter"))?;
    terminal.wait_until("the other nodes are left out", |terminal| {
        terminal.row(&id).is_some() && terminal.row("1").is_none()
    })?;
    terminal.keys("D")?;
    terminal.wait_for(&format!("type remove voter {id} to confirm"))?;
    terminal.keys(&format!("remove space voter space {id} enter"))?;
    terminal.wait_for(&format!("✓ remove the voter {id}"))?;
    ensure!(n_voters()? == Some(1), "the voter is gone");
    drop(terminal);
    cluster.remove_controller();

    let features = document(cluster, &["features", "list"])?;
    let all = features["features"].as_array().context("features")?;
    let text = cluster.tool("kafka-features", &["describe"], None)?;
    for feature in all {
        let name = feature["name"].as_str().context("a name")?;
        let mut lines = text.lines();
        let line = lines.find(|line| line.split_whitespace().nth(1) == Some(name));
        let line = line.with_context(|| format!("{name} in {text}"))?;
        let level = line.split("FinalizedVersionLevel: ").nth(1);
        let level = level.and_then(|rest| rest.split_whitespace().next());
        let level = level.context("a level")?;
        let shown = match (feature["finalized_name"].as_str(), &feature["finalized"]) {
            (Some(name), _) => name.to_owned(),
            (None, level) => level.to_string(),
        };
        ensure!(level == shown, "{name}: {line} and {feature}");
        ensure!(
            feature["nodes"].as_array().map(Vec::len) == Some(3),
            "{feature}"
        );
    }
    let down = [
        "features",
        "downgrade",
        "eligible.leader.replicas.version=0",
    ];
    let dry = document(cluster, &[&down[..], &["--dry-run"]].concat())?;
    ensure!(dry["check"]["items"][0]["ok"] == true, "{dry}");
    let done = document(cluster, &down)?;
    ensure!(done["verification"]["state"] == "done", "{done}");
    let up = ["features", "upgrade", "eligible.leader.replicas.version=1"];
    let done = document(cluster, &up)?;
    ensure!(done["verification"]["state"] == "done", "{done}");
    let (code, refused) = run(cluster, &["features", "upgrade", "metadata.version=99"])?;
    ensure!(code == 4, "{refused}");
    Ok(())
}
