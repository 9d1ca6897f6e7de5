//! Log directories of our brokers under Apache's controller, seen through Apache's tools: a disk that fails, replicas
//! that move, and what a crash costs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::admin::Admin;
use crate::mixed::Mixed;
use crate::node::Kind;
use crate::{Case, apache, shell};

const SETTINGS: &str = "log.dirs={folder}/data,{folder}/more\n\
                        replica.high.watermark.checkpoint.interval.ms=500\n\
                        broker.session.timeout.ms=6000\nbroker.heartbeat.interval.ms=1000\n\
                        auto.leader.rebalance.enable=false";
const DEADLINE: Duration = Duration::from_secs(60);

pub fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "directories: a lost one moves its leaders, and Apache's tool moves replicas between the others",
            disks_fail_and_replicas_move,
        ),
        Case::new(
            "directories: only after a clean stop may a broker lead what nobody else holds",
            unclean_restarts_are_told,
        ),
    ]
}

/// Error and partitions of topic `t` of a directory.
type Described = (Option<String>, Vec<serde_json::Value>);

/// What kafka-log-dirs says of directories of broker 1.
fn described<const N: usize>(cluster: &Mixed, dirs: [&Path; N]) -> anyhow::Result<[Described; N]> {
    let args = [
        "--describe",
        "--bootstrap-server",
        &cluster.bootstrap(),
        "--topic-list",
        "t",
    ];
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    let output = apache::tool("kafka-log-dirs", &args, None)?.success()?;
    let json = output
        .lines()
        .find(|line| line.starts_with('{'))
        .context("a line of JSON")?;
    let json: serde_json::Value = serde_json::from_str(json)?;
    let found = |list: &serde_json::Value, key: &str, value: serde_json::Value| {
        let list = list.as_array().into_iter().flatten();
        list.into_iter().find(|entry| entry[key] == value).cloned()
    };
    let broker = found(&json["brokers"], "broker", 1.into()).context("the broker")?;
    let mut described = Vec::new();
    for dir in dirs {
        let dir = found(
            &broker["logDirs"],
            "logDir",
            dir.display().to_string().into(),
        )
        .with_context(|| format!("{} in {broker}", dir.display()))?;
        let partitions = dir["partitions"].as_array().cloned().unwrap_or_default();
        described.push((dir["error"].as_str().map(str::to_owned), partitions));
    }
    described
        .try_into()
        .ok()
        .context("as many as were asked for")
}

fn is_in(folder: &Path, partition: i32) -> bool {
    folder.join(format!("t-{partition}")).is_dir()
}

fn disks_fail_and_replicas_move() -> anyhow::Result<()> {
    let mut cluster = Mixed::start(&[(1, Kind::Ours), (2, Kind::Apache)], SETTINGS)?;
    let checked = check_disks(&mut cluster);
    checked.with_context(|| cluster.logs())
}

#[allow(
    clippy::disallowed_methods,
    reason = "a disk is taken away, which nobody has to make durable"
)]
fn check_disks(cluster: &mut Mixed) -> anyhow::Result<()> {
    let admin = Admin::new(cluster)?;
    let assignments: [&[i32]; 4] = [&[1, 2], &[2, 1], &[1, 2], &[2, 1]];
    admin.create("t", 1, &assignments)?;
    let (data, more) = (
        cluster.folder(1).join("data"),
        cluster.folder(1).join("more"),
    );
    for (error, partitions) in described(cluster, [&data, &more])? {
        ensure!(
            error.is_none() && partitions.len() == 2,
            "{error:?} {partitions:?}"
        );
    }
    let lines: String = (0..200).map(|n| format!("{n}\n")).collect();
    let args = ["--bootstrap-server", &cluster.bootstrap(), "--topic", "t"];
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    apache::tool("kafka-console-producer", &args, Some(&lines))?.success()?;
    replicas_move(cluster, &admin, &data, &more)?;

    // The disk is gone: something else lies in its place.
    let lost: Vec<i32> = (0..4)
        .filter(|partition| is_in(&more, *partition))
        .collect();
    ensure!(!lost.is_empty() && lost.len() < 4, "{lost:?}");
    let aside = more.with_file_name("aside");
    std::fs::rename(&more, &aside)?;
    std::fs::write(&more, b"")?;
    let mut seen = Vec::new();
    let done = shell::wait_until(DEADLINE, || {
        seen = (0..4)
            .map(|partition| admin.partition("t", partition))
            .collect();
        (0..4).zip(&seen).all(|(partition, found): (i32, _)| {
            found
                .as_ref()
                .is_ok_and(|found| match lost.contains(&partition) {
                    true => found.leader_id.0 == 2 && found.isr_nodes.len() == 1,
                    false => found.isr_nodes.len() == 2,
                })
        })
    });
    ensure!(done, "{lost:?} are lost on broker 1: {seen:?}");
    let [(error, _), (kept_error, kept)] = described(cluster, [&more, &data])?;
    ensure!(
        error
            .as_deref()
            .is_some_and(|error| error.contains("KafkaStorageException")),
        "{error:?}"
    );
    ensure!(
        kept_error.is_none() && kept.len() == 4 - lost.len(),
        "{kept_error:?} {kept:?}"
    );

    cluster.stop(1)?;
    std::fs::remove_file(&more)?;
    std::fs::rename(&aside, &more)?;
    cluster.up(1)?;
    (0..4).try_for_each(|partition| admin.until_in_sync("t", partition, 2))
}

/// Has Apache's tool move a replica that is led here and one that follows.
fn replicas_move(cluster: &Mixed, admin: &Admin, data: &Path, more: &Path) -> anyhow::Result<()> {
    let mut plans = Vec::new();
    let mut moved: Vec<(i32, PathBuf)> = Vec::new();
    // One that is led here in either direction, and one that follows in the other.
    let led = 0;
    let away = if is_in(data, led) { more } else { data };
    let follows = [1, 3].into_iter().find(|partition| is_in(away, *partition));
    for partition in [Some(led), follows].into_iter().flatten() {
        let to = if is_in(data, partition) { more } else { data };
        let replicas = if partition == led { [1, 2] } else { [2, 1] };
        let dirs = replicas.map(|id| {
            if id == 1 {
                to.display().to_string()
            } else {
                "any".to_owned()
            }
        });
        plans.push(serde_json::json!({
            "topic": "t", "partition": partition, "replicas": replicas, "log_dirs": dirs,
        }));
        moved.push((partition, to.to_owned()));
    }
    let plan = serde_json::json!({ "version": 1, "partitions": plans });
    let file = cluster.folder(1).join("plan.json");
    std::fs::write(&file, plan.to_string())?;
    let reassign = |mode: &[&str]| {
        let file = file.display().to_string();
        let bootstrap = cluster.bootstrap();
        let mut args = vec![
            "--bootstrap-server",
            &bootstrap,
            "--reassignment-json-file",
            &file,
        ];
        args.extend(mode);
        let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
        apache::tool("kafka-reassign-partitions", &args, None)?.success()
    };
    reassign(&["--execute", "--replica-alter-log-dirs-throttle", "10000000"])?;
    let arrived = shell::wait_until(DEADLINE, || {
        moved.iter().all(|(partition, to)| is_in(to, *partition))
    });
    ensure!(arrived, "{moved:?}");
    let said = reassign(&["--verify"])?;
    ensure!(
        said.matches("completed successfully").count() >= moved.len() && !said.contains("failed"),
        "kafka-reassign-partitions says\n{said}"
    );
    let [in_data, in_more] = described(cluster, [data, more])?;
    for (partition, to) in moved {
        admin.until_in_sync("t", partition, 2)?;
        let (_, partitions) = if to == data { &in_data } else { &in_more };
        let name = format!("t-{partition}");
        let there = partitions
            .iter()
            .find(|there| there["partition"] == name.as_str());
        ensure!(
            there.is_some_and(|there| there["isFuture"] == false),
            "{partitions:?}"
        );
        // Both hold the same, whichever of its directories Apache's broker has chosen.
        let folders = ["data", "more"].map(|dir| cluster.folder(2).join(dir).join(&name));
        let other = folders
            .iter()
            .find(|folder| folder.is_dir())
            .context("Apache's replica")?;
        let same = shell::wait_until(DEADLINE, || {
            let read = |folder: &Path| std::fs::read(folder.join("00000000000000000000.log")).ok();
            read(other).is_some() && read(other) == read(&to.join(&name))
        });
        ensure!(same, "the replicas of {name} differ");
    }
    Ok(())
}

/// Whether broker 1 leads, alone after `end` of it, while the other replica is down.
fn leads_alone_after(cluster: &mut Mixed, admin: &Admin, is_clean: bool) -> anyhow::Result<bool> {
    admin.until_in_sync("t", 0, 2)?;
    cluster.stop(2)?;
    admin.until_in_sync("t", 0, 1)?;
    if is_clean {
        cluster.stop(1)?;
    } else {
        cluster.kill(1);
    }
    cluster.up(1)?;
    let admin = Admin::new(cluster)?;
    let leads = shell::wait_until(Duration::from_secs(12), || {
        admin.leader("t", 0).is_ok_and(|leader| leader == 1)
    });
    cluster.up(2)?;
    admin.until_in_sync("t", 0, 2)?;
    Ok(leads)
}

fn unclean_restarts_are_told() -> anyhow::Result<()> {
    let brokers = [(1, Kind::Ours), (2, Kind::Apache)];
    let mut cluster = Mixed::start(&brokers, SETTINGS)?;
    let admin = Admin::new(&cluster)?;
    admin.create("t", 2, &[&[1, 2]])?;
    let checked = || -> anyhow::Result<()> {
        // It has told the epoch that it had, so what it held is taken for whole.
        ensure!(
            leads_alone_after(&mut cluster, &admin, true)?,
            "not after a clean stop"
        );
        // A broker that was killed may lack what it has acknowledged: only the other one may lead.
        ensure!(
            !leads_alone_after(&mut cluster, &admin, false)?,
            "after kill -9"
        );
        Ok(())
    };
    let mut checked = checked;
    let checked = checked();
    checked.with_context(|| cluster.logs())
}
