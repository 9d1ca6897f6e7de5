//! Controllers that are replaced one by one under load, from Apache Kafka's program to ours and back:
//! by voters with new directories, and on the same directory.
//!
//! `KAFKA_INTEROP_REPLACEMENTS` is how often the whole quorum goes there and back, in a quorum that
//! is all Apache's at first; without it two of three go once.

use anyhow::{Context, ensure};

use super::admin::Admin;
use super::traffic::Traffic;
use super::{Cluster, SOON};
use crate::node::Kind;
use crate::shell;

const CONTROLLERS: [i32; 3] = [1, 2, 3];
const APACHE_BROKER: i32 = 11;
const OUR_BROKER: i32 = 12;

/// How the next program comes to its folder.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// The voter is removed, the folder formatted anew, and a voter with a new directory is added.
    NewDirectory,
    /// The voter is removed, and added again on the folder that it has.
    SameDirectory,
    /// The voters stay as they are: the folder goes from one program to the other.
    InPlace,
}

const WAYS: [Way; 3] = [Way::NewDirectory, Way::SameDirectory, Way::InPlace];

/// Makes a controller one of the other program.
fn replace(cluster: &mut Cluster, admin: &mut Admin, id: i32, way: Way) -> anyhow::Result<()> {
    let voter = cluster.voter(id)?;
    let is_removed = matches!(way, Way::NewDirectory | Way::SameDirectory);
    if is_removed {
        admin.until_removed(&voter)?;
        admin.changes(5)?;
    }
    let node = cluster.node(id);
    node.stop()?;
    node.kind = node.kind.other();
    if matches!(way, Way::NewDirectory) {
        std::fs::remove_dir_all(node.data())?;
        cluster.format(id, &["--no-initial-controllers".to_owned()])?;
    }
    cluster.node(id).spawn()?;
    // Two of three go on in the meantime.
    admin.changes(5)?;
    cluster.node(id).wait_up()?;
    admin.wait_caught_up(&[id])?;
    if is_removed {
        let again = cluster.voter(id)?;
        let is_new = again.directory_id != voter.directory_id;
        ensure!(
            is_new == matches!(way, Way::NewDirectory),
            "{way:?}: {again:?}"
        );
        admin.until_added(&again)?;
    }
    admin.changes(5)
}

fn has_kind(cluster: &Cluster, kind: Kind) -> bool {
    CONTROLLERS.iter().all(|id| cluster.nodes[id].kind == kind)
}

/// A rolling replacement of all that are of this kind.
fn roll(
    cluster: &mut Cluster,
    admin: &mut Admin,
    traffic: &mut Traffic,
    from: Kind,
    ids: &[i32],
    shift: usize,
) -> anyhow::Result<()> {
    for (place, id) in ids.iter().enumerate() {
        ensure!(cluster.nodes[id].kind == from, "{id} is another");
        let way = WAYS[(place + shift) % WAYS.len()];
        replace(cluster, admin, *id, way).with_context(|| format!("{way:?} of {id}"))?;
        traffic.go_on()?;
        let voters = admin.voters()?;
        ensure!(voters.len() == CONTROLLERS.len(), "{voters:?}");
    }
    Ok(())
}

pub fn there_and_back() -> anyhow::Result<()> {
    let rounds = super::random::number("KAFKA_INTEROP_REPLACEMENTS", 0)?;
    let (second, ids) = match rounds {
        0 => (Kind::Ours, &[1, 3][..]),
        _ => (Kind::Apache, &CONTROLLERS[..]),
    };
    let nodes = [
        (1, Kind::Apache),
        (2, second),
        (3, Kind::Apache),
        (APACHE_BROKER, Kind::Apache),
        (OUR_BROKER, Kind::Ours),
    ];
    let mut cluster = Cluster::new(&nodes, false)?;
    cluster.formatted_by = Some(Kind::Ours);
    cluster.format_all()?;
    cluster.up_all()?;
    let mut admin = Admin::new(cluster.endpoint(OUR_BROKER))?;
    let mut traffic = Traffic::start(&cluster, [APACHE_BROKER, OUR_BROKER])?;
    admin.changes(10)?;
    let mut run = || -> anyhow::Result<()> {
        for round in 0..rounds.max(1) {
            roll(
                &mut cluster,
                &mut admin,
                &mut traffic,
                Kind::Apache,
                ids,
                round,
            )?;
            ensure!(
                has_kind(&cluster, Kind::Ours),
                "there is an Apache controller"
            );
            roll(
                &mut cluster,
                &mut admin,
                &mut traffic,
                Kind::Ours,
                ids,
                round + 1,
            )?;
        }
        admin.wait_caught_up(&[1, 2, 3, APACHE_BROKER, OUR_BROKER])
    };
    let result = run();
    result.with_context(|| {
        let nodes = cluster.nodes.iter();
        nodes
            .map(|(id, node)| node.log_end(*id))
            .collect::<String>()
    })?;
    let told = traffic.finish(&cluster)?;
    let in_step = shell::wait_until(SOON, || admin.quorum().is_ok());
    ensure!(in_step, "nobody leads in the end");
    let snapshots = cluster.stop_and_compare()?;
    println!("     {told}; {snapshots} snapshots equal the log");
    ensure!(snapshots > 2, "only {snapshots} snapshots");
    Ok(())
}
