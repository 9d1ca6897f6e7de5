//! Metadata quorums of Apache Kafka's nodes and ours: who follows, who leads, who comes and goes.
//!
//! While a quorum changes its leaders, topics and settings are changed through an Apache broker.
//! Afterwards the metadata logs of all nodes have to be the same bytes, and every snapshot that any
//! node wrote has to hold what the log up to its offset says.

mod admin;
mod kept;
mod random;
mod replacement;
mod traffic;
mod upgrades;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use kafka_shared::types::{
    Endpoint, METADATA_TOPIC_NAME, random_uuid, uuid_from_base64, uuid_to_base64,
};

use self::admin::{Admin, Voter};
use crate::node::{Kind, LOWERED, Node};
use crate::{Case, apache, shell};

const SOON: Duration = Duration::from_secs(60);

pub fn cases() -> Vec<Case> {
    vec![
        Case::new(
            "quorum: our broker follows an Apache controller, and holds its image",
            an_observer_of_ours,
        ),
        Case::new(
            "quorum: two Apache controllers and one of ours lead in turn, with dynamic voters",
            || leaders_in_turn(false),
        ),
        Case::new(
            "quorum: two Apache controllers and one of ours lead in turn, with static voters",
            || leaders_in_turn(true),
        ),
        Case::new(
            "quorum: our controller joins an Apache one, takes over, and is left alone",
            from_apache_to_ours,
        ),
        Case::new(
            "quorum: a cluster of both kinds is upgraded from 3.6 to 4.3 and gets dynamic voters, \
             an Apache controller leading at first and at last",
            || upgrades::with_leaders(Kind::Apache),
        ),
        Case::new(
            "quorum: a cluster of both kinds is upgraded from 3.6 to 4.3 and gets dynamic voters, \
             a controller of ours leading at first and at last",
            || upgrades::with_leaders(Kind::Ours),
        ),
        Case::new(
            "quorum: a broker and a controller of ours keep out of a cluster with features that they lack",
            upgrades::features_that_we_lack,
        ),
        Case::new(
            "quorum: controllers are replaced one by one under load, from Apache's to ours and back",
            replacement::there_and_back,
        ),
        Case::new(
            "quorum: at every metadata.version, registrations, upgrades and operations are judged and \
             written as Apache's controller does",
            random::levels::climb,
        ),
        Case::new(
            "quorum: random operations have the same answers and records at Apache's controller and ours",
            random::side_by_side,
        ),
        Case::new(
            "quorum: random operations while an Apache controller and two of ours lead in turn",
            random::in_turn,
        ),
    ]
}

fn metadata_dir(node: &Node) -> PathBuf {
    node.data().join(format!("{METADATA_TOPIC_NAME}-0"))
}

/// Nodes below 10 are controllers, the others brokers.
struct Cluster {
    nodes: BTreeMap<i32, Node>,
    cluster_id: String,
    is_static: bool,
    controllers: Vec<(i32, u16)>,
    /// More lines for everybody's `server.properties`.
    settings: String,
    /// Whose program formats all folders; `None` if each node's own does.
    formatted_by: Option<Kind>,
    /// Levels of features that a folder is formatted with.
    features: &'static [&'static str],
    folder: tempfile::TempDir,
}

fn is_controller(id: i32) -> bool {
    id < 10
}

impl Cluster {
    fn new(nodes: &[(i32, Kind)], is_static: bool) -> anyhow::Result<Self> {
        let mut cluster = Self {
            nodes: BTreeMap::new(),
            cluster_id: uuid_to_base64(random_uuid()),
            is_static,
            controllers: Vec::new(),
            settings: "metadata.log.max.record.bytes.between.snapshots=3000\n".to_owned(),
            formatted_by: None,
            features: &LOWERED,
            folder: tempfile::tempdir()?,
        };
        for (id, kind) in nodes {
            let port = shell::free_port()?;
            if is_controller(*id) {
                cluster.controllers.push((*id, port));
            }
            let folder = cluster.folder.path().join(id.to_string());
            cluster.nodes.insert(*id, Node::new(*kind, port, folder)?);
        }
        for id in cluster.nodes.keys() {
            cluster.configure(*id)?;
        }
        Ok(cluster)
    }

    fn configure(&self, id: i32) -> anyhow::Result<()> {
        let node = &self.nodes[&id];
        let (role, listener) = if is_controller(id) {
            ("controller", "CONTROLLER")
        } else {
            ("broker", "PLAINTEXT")
        };
        let each = |form: &dyn Fn(&(i32, u16)) -> String| {
            let all: Vec<_> = self.controllers.iter().map(form).collect();
            all.join(",")
        };
        let quorum = if self.is_static {
            let voters = each(&|(id, port)| format!("{id}@127.0.0.1:{port}"));
            format!("controller.quorum.voters={voters}")
        } else {
            let servers = each(&|(_, port)| format!("127.0.0.1:{port}"));
            format!("controller.quorum.bootstrap.servers={servers}")
        };
        let text = format!(
            "process.roles={role}\nlisteners={listener}://127.0.0.1:{}\n{quorum}\n\
             inter.broker.listener.name=PLAINTEXT\noffsets.topic.replication.factor=1\n{}",
            node.port, self.settings,
        );
        node.configure(id, &text)
    }

    /// Formats a node.
    fn format(&self, id: i32, options: &[String]) -> anyhow::Result<()> {
        let node = &self.nodes[&id];
        let by = self.formatted_by.unwrap_or(node.kind);
        node.format(by, &self.cluster_id, options, self.features)
    }

    /// One controller more, which observes the dynamic quorum until it is added.
    fn join(&mut self, id: i32, kind: Kind) -> anyhow::Result<()> {
        let port = shell::free_port()?;
        let folder = self.folder.path().join(id.to_string());
        self.nodes.insert(id, Node::new(kind, port, folder)?);
        self.is_static = false;
        self.configure(id)?;
        self.controllers.push((id, port));
        self.format(id, &["--no-initial-controllers".to_owned()])?;
        self.node(id).up()
    }

    /// A controller as requests name it, with the directory that it was formatted with.
    fn voter(&self, id: i32) -> anyhow::Result<Voter> {
        let path = self.nodes[&id].data().join("meta.properties");
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let mut lines = text.lines();
        let directory_id = lines
            .find_map(|line| line.strip_prefix("directory.id="))
            .and_then(uuid_from_base64)
            .context("no directory id")?;
        Ok(Voter {
            id,
            directory_id,
            endpoint: self.endpoint(id),
        })
    }

    /// The option that names the first voters.
    fn initial_controllers(&self) -> Vec<String> {
        if self.is_static {
            return Vec::new();
        }
        let voter = |(id, port): &(i32, u16)| {
            let directory_id = uuid_to_base64(random_uuid());
            format!("{id}@127.0.0.1:{port}:{directory_id}")
        };
        let voters: Vec<_> = self.controllers.iter().map(voter).collect();
        vec!["--initial-controllers".to_owned(), voters.join(",")]
    }

    fn format_all(&self) -> anyhow::Result<()> {
        let initial = self.initial_controllers();
        for id in self.nodes.keys() {
            let options = if is_controller(*id) {
                &initial[..]
            } else {
                &[]
            };
            self.format(*id, options)?;
        }
        Ok(())
    }

    fn up_all(&mut self) -> anyhow::Result<()> {
        for node in self.nodes.values_mut() {
            node.spawn()?;
        }
        self.nodes.values_mut().try_for_each(Node::wait_up)
    }

    fn node(&mut self, id: i32) -> &mut Node {
        self.nodes.get_mut(&id).expect("the node is one of them")
    }

    fn endpoint(&self, id: i32) -> Endpoint {
        Endpoint {
            host: "127.0.0.1".to_owned(),
            port: self.nodes[&id].port,
        }
    }

    /// Stops all, brokers first, and compares what they have kept.
    fn stop_and_compare(mut self) -> anyhow::Result<usize> {
        let ids: Vec<_> = self.nodes.keys().rev().copied().collect();
        for id in ids {
            // A controller whose majority is gone has nobody to hand over to.
            if self.node(id).stop().is_err() {
                self.node(id).kill();
            }
        }
        let dirs: Vec<_> = self.nodes.values().map(metadata_dir).collect();
        kept::compare(&dirs)
    }
}

fn an_observer_of_ours() -> anyhow::Result<()> {
    let mut cluster = Cluster::new(
        &[(1, Kind::Apache), (11, Kind::Apache), (12, Kind::Ours)],
        false,
    )?;
    cluster.format_all()?;
    let mut admin = Admin::new(cluster.endpoint(11))?;
    for id in [1, 11] {
        cluster.node(id).spawn()?;
    }
    for id in [1, 11] {
        cluster.node(id).wait_up()?;
    }
    // Enough for snapshots, so that our node gets one.
    admin.changes(60)?;
    cluster.node(12).spawn()?;
    cluster.node(12).wait_up()?;
    admin.wait_caught_up(&[1, 11, 12])?;
    admin.changes(60)?;
    // The controller is away for a while, in order and not.
    cluster.node(1).stop()?;
    cluster.node(1).spawn()?;
    admin.changes(20)?;
    cluster.node(1).kill();
    cluster.node(12).kill();
    cluster.node(1).spawn()?;
    admin.changes(20)?;
    cluster.node(12).spawn()?;
    cluster.node(12).wait_up()?;
    admin.changes(60)?;
    admin.wait_caught_up(&[1, 11, 12])?;
    let snapshots = cluster.stop_and_compare()?;
    ensure!(snapshots > 6, "only {snapshots} snapshots");
    Ok(())
}

fn leaders_in_turn(is_static: bool) -> anyhow::Result<()> {
    let apache = Kind::Apache;
    let nodes = [(1, apache), (2, apache), (3, Kind::Ours), (11, apache)];
    let mut cluster = Cluster::new(&nodes, is_static)?;
    cluster.format_all()?;
    cluster.up_all()?;
    let mut admin = Admin::new(cluster.endpoint(11))?;
    admin.changes(20)?;
    let mut led: BTreeMap<i32, usize> = BTreeMap::new();
    for round in 0..20 {
        let leader = admin.leader()?;
        *led.entry(leader).or_default() += 1;
        if round % 2 == 0 {
            cluster.node(leader).kill();
        } else {
            cluster.node(leader).stop()?;
        }
        admin.changes(10)?;
        cluster.node(leader).spawn()?;
        cluster.node(leader).wait_up()?;
        admin.wait_caught_up(&[1, 2, 3, 11])?;
        let both = led.contains_key(&3) && led.len() > 1;
        if round >= 7 && both && led[&3] >= 2 {
            break;
        }
    }
    ensure!(led.contains_key(&3), "ours never led: {led:?}");
    let snapshots = cluster.stop_and_compare()?;
    ensure!(snapshots > 3, "only {snapshots} snapshots");
    Ok(())
}

fn voters(admin: &Admin) -> anyhow::Result<String> {
    let boot = admin.endpoint.to_string();
    let args = ["--bootstrap-server", &boot, "describe", "--replication"];
    let args: Vec<_> = args.map(str::to_owned).into();
    apache::tool("kafka-metadata-quorum", &args, None)?.success()
}

fn from_apache_to_ours() -> anyhow::Result<()> {
    let nodes = [(1, Kind::Apache), (2, Kind::Ours), (11, Kind::Apache)];
    let mut cluster = Cluster::new(&nodes, false)?;
    cluster.format(1, &["--standalone".to_owned()])?;
    cluster.format(2, &["--no-initial-controllers".to_owned()])?;
    cluster.format(11, &[])?;
    cluster.up_all()?;
    let mut admin = Admin::new(cluster.endpoint(11))?;
    admin.changes(20)?;
    admin.wait_caught_up(&[1, 2])?;
    // Our node is added by Kafka's own tool, which reads its settings and its folder.
    let boot = admin.endpoint.to_string();
    let settings = cluster.node(2).properties().display().to_string();
    let add = [
        "--command-config",
        &settings,
        "--bootstrap-server",
        &boot,
        "add-controller",
    ];
    let add: Vec<_> = add.map(str::to_owned).into();
    apache::tool("kafka-metadata-quorum", &add, None)?.success()?;
    admin.changes(10)?;
    let table = voters(&admin)?;
    let voter = table
        .lines()
        .find(|line| line.starts_with('1'))
        .context("no voter 1")?;
    let directory_id = voter
        .split_whitespace()
        .nth(1)
        .context("no directory")?
        .to_owned();
    let remove = [
        "--bootstrap-server",
        &boot,
        "remove-controller",
        "--controller-id",
        "1",
        "--controller-directory-id",
        &directory_id,
    ];
    let remove: Vec<_> = remove.map(str::to_owned).into();
    apache::tool("kafka-metadata-quorum", &remove, None)?.success()?;
    let took_over = shell::wait_until(SOON, || matches!(admin.quorum(), Ok((2, ..))));
    ensure!(took_over, "ours doesn't lead:\n{}", voters(&admin)?);
    admin.changes(10)?;
    cluster.node(1).stop()?;
    admin.changes(10)?;
    cluster.node(2).kill();
    cluster.node(2).spawn()?;
    cluster.node(2).wait_up()?;
    admin.changes(10)?;
    let table = voters(&admin)?;
    ensure!(
        table
            .lines()
            .any(|line| line.starts_with('2') && line.contains("Leader"))
            && !table.contains("Follower"),
        "{table}"
    );
    cluster.stop_and_compare()?;
    Ok(())
}
