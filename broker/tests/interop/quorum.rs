//! Metadata quorums of Apache Kafka's nodes and ours: who follows, who leads, who comes and goes.
//!
//! While a quorum changes its leaders, topics and settings are changed through an Apache broker.
//! Afterwards the metadata logs of all nodes have to be the same bytes, and every snapshot that any
//! node wrote has to hold what the log up to its offset says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use kafka_broker::metadata::batches::decode_batches;
use kafka_broker::metadata::loader::BatchLoader;
use kafka_broker::metadata::snapshot::{self, SnapshotId};
use kafka_broker::metadata::{ConfigResource, MetadataImage};
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::{
    CreateTopicsRequest, DeleteTopicsRequest, DescribeQuorumRequest,
    IncrementalAlterConfigsRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use kafka_shared::client::{Connection, ConnectionConfig, SendOptions};
use kafka_shared::error::ErrorCode;
use kafka_shared::record::batch::batches;
use kafka_shared::schema::metadata::MetadataRecord;
use kafka_shared::types::{Endpoint, METADATA_TOPIC_NAME, random_uuid, uuid_to_base64};

use crate::shell::{self, Stopwatch};
use crate::{Case, apache};

const UP: Duration = Duration::from_secs(180);
const SOON: Duration = Duration::from_secs(60);

/// Levels at which our nodes can be brokers too.
const FEATURES: [&str; 4] = [
    "group.version=0",
    "share.version=0",
    "streams.version=0",
    "transaction.version=0",
];

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
    ]
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Apache,
    Ours,
}

struct Node {
    kind: Kind,
    port: u16,
    folder: PathBuf,
    process: Option<Child>,
}

impl Node {
    fn properties(&self) -> PathBuf {
        self.folder.join("server.properties")
    }

    fn metadata_dir(&self) -> PathBuf {
        self.folder
            .join("data")
            .join(format!("{METADATA_TOPIC_NAME}-0"))
    }

    fn spawn(&mut self) -> anyhow::Result<()> {
        let mut command = match self.kind {
            Kind::Apache => {
                let mut command = apache::java("pom.xml", None)?;
                command.arg("kafka.Kafka");
                command
            }
            Kind::Ours => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-broker"));
                command.args(["start", "--config"]);
                command
            }
        };
        command.arg(self.properties());
        self.process = Some(apache::spawn_server(&mut command, &self.folder)?);
        Ok(())
    }

    fn is_up(&mut self) -> bool {
        let ended = self.process.as_mut().map(Child::try_wait);
        matches!(ended, Some(Ok(None))) && shell::listens(self.port)
    }

    fn wait_up(&mut self) -> anyhow::Result<()> {
        let up = shell::wait_until(UP, || self.is_up());
        ensure!(up, "a node did not start:\n{}", self.log());
        Ok(())
    }

    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            shell::kill(&mut process);
        }
    }

    fn stop(&mut self) -> anyhow::Result<()> {
        match self.process.take() {
            Some(mut process) => shell::terminate(&mut process, SOON),
            None => Ok(()),
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("server.log")).unwrap_or_default()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Nodes below 10 are controllers, the others brokers.
struct Cluster {
    nodes: BTreeMap<i32, Node>,
    cluster_id: String,
    is_static: bool,
    controllers: Vec<(i32, u16)>,
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
            folder: tempfile::tempdir()?,
        };
        for (id, kind) in nodes {
            let port = shell::free_port()?;
            if is_controller(*id) {
                cluster.controllers.push((*id, port));
            }
            cluster.add(*id, *kind, port);
        }
        for id in cluster.nodes.keys() {
            cluster.configure(*id)?;
        }
        Ok(cluster)
    }

    fn add(&mut self, id: i32, kind: Kind, port: u16) {
        let node = Node {
            kind,
            port,
            folder: self.folder.path().join(id.to_string()),
            process: None,
        };
        self.nodes.insert(id, node);
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
            "process.roles={role}\nnode.id={id}\nlisteners={listener}://127.0.0.1:{}\n{quorum}\n\
             controller.listener.names=CONTROLLER\ninter.broker.listener.name=PLAINTEXT\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n\
             log.dirs={}\noffsets.topic.replication.factor=1\n\
             log.cleaner.dedupe.buffer.size=2000000\n\
             metadata.log.max.record.bytes.between.snapshots=3000\n",
            node.port,
            node.folder.join("data").display(),
        );
        std::fs::create_dir_all(&node.folder)?;
        std::fs::write(node.properties(), text)?;
        Ok(())
    }

    /// Formats a node with its own kind's program.
    fn format(&self, id: i32, options: &[String]) -> anyhow::Result<()> {
        let node = &self.nodes[&id];
        let mut args = vec!["format".to_owned()];
        args.extend(["-t".to_owned(), self.cluster_id.clone(), "-c".to_owned()]);
        args.push(node.properties().display().to_string());
        args.extend_from_slice(options);
        for feature in FEATURES {
            args.extend(["--feature".to_owned(), feature.to_owned()]);
        }
        match node.kind {
            Kind::Apache => apache::tool("kafka-storage", &args, None)?.success()?,
            Kind::Ours => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-broker"));
                command.args(&args);
                shell::run(&mut command, None, SOON)?.success()?
            }
        };
        Ok(())
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
        let dirs: Vec<_> = self.nodes.values().map(Node::metadata_dir).collect();
        compare(&dirs)
    }
}

/// Requests to a broker, as an administrator makes them, each until it is done.
struct Admin {
    runtime: tokio::runtime::Runtime,
    endpoint: Endpoint,
    random: u64,
    topics: Vec<String>,
    made: usize,
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

impl Admin {
    fn new(endpoint: Endpoint) -> anyhow::Result<Self> {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        Ok(Self {
            runtime: builder.enable_all().build()?,
            endpoint,
            random: 42,
            topics: Vec::new(),
            made: 0,
        })
    }

    fn random(&mut self, below: usize) -> usize {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.random >> 33) as usize % below
    }

    fn send<R: kafka_shared::protocol::Request>(&self, request: &R) -> anyhow::Result<R::Response> {
        let config = ConnectionConfig::default();
        // Topics are deleted by name.
        let options = SendOptions {
            version_max: Some(5),
            ..SendOptions::default()
        };
        self.runtime.block_on(async {
            let connection = Connection::connect(&self.endpoint, &config).await?;
            Ok(connection.send_with(request.clone(), options).await?)
        })
    }

    /// Tries until the answer is an expected one.
    fn until<R: kafka_shared::protocol::Request>(
        &self,
        request: &R,
        code: impl Fn(&R::Response) -> i16,
        done: &[ErrorCode],
    ) -> anyhow::Result<()> {
        let watch = Stopwatch::start();
        loop {
            let outcome = self
                .send(request)
                .map(|response| ErrorCode(code(&response)));
            match &outcome {
                Ok(code) if done.contains(code) => return Ok(()),
                _ if watch.elapsed() < SOON => std::thread::sleep(Duration::from_millis(100)),
                Ok(code) => bail!("{}: {}", std::any::type_name::<R>(), code.name()),
                Err(error) => bail!("{}: {error:#}", std::any::type_name::<R>()),
            }
        }
    }

    /// Makes, changes or deletes a topic.
    fn change(&mut self) -> anyhow::Result<()> {
        match self.random(4) {
            0 if self.topics.len() > 3 => {
                let idx = self.random(self.topics.len());
                let name = self.topics.remove(idx);
                let request = DeleteTopicsRequest::default()
                    .with_topic_names(vec![TopicName(text(&name))])
                    .with_timeout_ms(10_000);
                let done = [ErrorCode::NONE, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION];
                self.until(&request, |r| r.responses[0].error_code, &done)
            }
            1 if !self.topics.is_empty() => {
                let idx = self.random(self.topics.len());
                let value = self.random(1_000_000).to_string();
                let config = AlterableConfig::default()
                    .with_name(text("retention.ms"))
                    .with_value(Some(text(&value)));
                let resource = AlterConfigsResource::default()
                    .with_resource_type(ConfigResource::topic("").resource_type.id())
                    .with_resource_name(text(&self.topics[idx]))
                    .with_configs(vec![config]);
                let request =
                    IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
                self.until(&request, |r| r.responses[0].error_code, &[ErrorCode::NONE])
            }
            _ => {
                self.made += 1;
                let name = format!("topic-{}", self.made);
                let partitions = 1 + self.random(3) as i32;
                let topic = CreatableTopic::default()
                    .with_name(TopicName(text(&name)))
                    .with_num_partitions(partitions)
                    .with_replication_factor(1);
                let request = CreateTopicsRequest::default()
                    .with_topics(vec![topic])
                    .with_timeout_ms(10_000);
                let done = [ErrorCode::NONE, ErrorCode::TOPIC_ALREADY_EXISTS];
                self.until(&request, |r| r.topics[0].error_code, &done)?;
                self.topics.push(name);
                Ok(())
            }
        }
    }

    fn changes(&mut self, count: usize) -> anyhow::Result<()> {
        (0..count).try_for_each(|_| self.change())
    }

    /// The leader of the quorum, the high watermark, and the ends of all replicas' logs by id.
    fn quorum(&self) -> anyhow::Result<(i32, i64, BTreeMap<i32, i64>)> {
        let topic = TopicData::default()
            .with_topic_name(TopicName(text(METADATA_TOPIC_NAME)))
            .with_partitions(vec![PartitionData::default()]);
        let request = DescribeQuorumRequest::default().with_topics(vec![topic]);
        let response = self.send(&request)?;
        let partition = response
            .topics
            .first()
            .and_then(|topic| topic.partitions.first());
        let partition = partition.context("no metadata partition")?;
        ensure!(
            response.error_code == 0 && partition.error_code == 0,
            "DescribeQuorum: {} {}",
            ErrorCode(response.error_code).name(),
            ErrorCode(partition.error_code).name()
        );
        let replicas = partition.current_voters.iter().chain(&partition.observers);
        let ends = replicas.map(|replica| (replica.replica_id.0, replica.log_end_offset));
        Ok((
            partition.leader_id.0,
            partition.high_watermark,
            ends.collect(),
        ))
    }

    fn leader(&self) -> anyhow::Result<i32> {
        let mut last = None;
        let known = shell::wait_until(SOON, || {
            last = Some(self.quorum().map(|(leader, ..)| leader));
            matches!(last, Some(Ok(0..)))
        });
        ensure!(known, "no leader: {last:?}");
        last.context("asked")?
    }

    /// Waits until these nodes have all that is committed now.
    fn wait_caught_up(&self, ids: &[i32]) -> anyhow::Result<()> {
        let mut seen = String::new();
        let mut goal = None;
        let caught_up = shell::wait_until(SOON, || match self.quorum() {
            Ok((_, high_watermark, ends)) => {
                let goal = *goal.get_or_insert(high_watermark);
                seen = format!("{goal}: {ends:?}");
                ids.iter()
                    .all(|id| ends.get(id).is_some_and(|end| *end >= goal))
            }
            Err(_) => false,
        });
        ensure!(caught_up, "{ids:?} don't catch up with {seen}");
        Ok(())
    }
}

/// The bytes of a metadata log and the offset that it starts at.
fn read_log(dir: &Path) -> anyhow::Result<(i64, Vec<u8>)> {
    let mut segments: Vec<_> = std::fs::read_dir(dir)
        .with_context(|| dir.display().to_string())?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    segments.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    segments.sort();
    let first = segments.first().context("no log")?;
    let name = first.file_stem().unwrap_or_default().to_string_lossy();
    let start = name.parse().context("a segment's name")?;
    let mut bytes = Vec::new();
    for path in segments {
        bytes.extend(std::fs::read(path)?);
    }
    Ok((start, bytes))
}

/// Compares the logs of all folders, and their snapshots with the log. Returns the number of
/// snapshots.
fn compare(dirs: &[PathBuf]) -> anyhow::Result<usize> {
    let logs = dirs
        .iter()
        .map(|dir| read_log(dir))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let whole = logs.iter().filter(|(start, _)| *start == 0);
    let (_, whole) = whole
        .max_by_key(|(_, log)| log.len())
        .context("no log is whole")?;
    for ((start, log), dir) in logs.iter().zip(dirs) {
        // What a node fetched after a snapshot begins at that.
        let mut position = 0;
        for batch in batches(whole) {
            let batch = batch?;
            if batch.base_offset() >= *start {
                break;
            }
            position += batch.size_in_bytes();
        }
        let same = &whole[position..];
        let common = log.len().min(same.len());
        ensure!(log[..common] == same[..common], "{} differs", dir.display());
    }
    let mut snapshots = 0;
    for dir in dirs {
        for id in snapshot::list(dir)? {
            if id != SnapshotId::BOOTSTRAP {
                compare_snapshot(dir, id, whole)?;
                snapshots += 1;
            }
        }
    }
    Ok(snapshots)
}

fn compare_snapshot(dir: &Path, id: SnapshotId, log: &[u8]) -> anyhow::Result<()> {
    let content = snapshot::read(dir, id)?;
    let from_snapshot = snapshot::image_of(&content, id).map_err(anyhow::Error::msg)?;
    let mut loader = BatchLoader::new(&MetadataImage::default());
    let mut publications = Vec::new();
    let mut epoch = 0;
    for batch in decode_batches(log) {
        let batch = batch?;
        if batch.last_offset >= id.end_offset {
            break;
        }
        epoch = batch.epoch;
        loader
            .load(&batch, &mut publications)
            .map_err(anyhow::Error::msg)?;
        publications.extend(loader.flush());
    }
    let from_log = publications.pop().map(|publication| publication.image);
    let from_log = from_log.unwrap_or_else(|| Arc::new(MetadataImage::default()));
    let path = dir.join(id.file_name());
    ensure!(
        id.epoch == epoch,
        "{}: the log has epoch {epoch}",
        path.display()
    );
    let (log, snapshot) = (records(&from_log), records(&from_snapshot));
    if log != snapshot {
        let only = |some: &[String], other: &[String]| {
            let missing = some.iter().filter(|record| !other.contains(record));
            missing.cloned().collect::<Vec<_>>().join("\n")
        };
        let (in_log, in_snapshot) = (only(&log, &snapshot), only(&snapshot, &log));
        let path = path.display();
        bail!("{path}: only in the log:\n{in_log}\nonly in the snapshot:\n{in_snapshot}");
    }
    Ok(())
}

/// What an image holds. Settings of topics that are gone don't count: when Apache Kafka 4.3 reads
/// the setting and the deletion of its topic at one go, as after a restart, it keeps the setting.
fn records(image: &MetadataImage) -> Vec<String> {
    let mut records = Vec::new();
    image.write_records(&mut |record| {
        let is_left_over = match &record {
            MetadataRecord::Config(config) => {
                let topic_type = ConfigResource::topic("").resource_type.id();
                config.resource_type == topic_type
                    && image.topics.by_name(&config.resource_name).is_none()
            }
            _ => false,
        };
        if !is_left_over {
            records.push(format!("{record:?}"));
        }
    });
    records
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
