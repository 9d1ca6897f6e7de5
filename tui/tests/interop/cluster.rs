//! Three brokers of Apache Kafka, the first of them with the controller.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::oauth::Identity;
use crate::secured::Secured;
use crate::{apache, metrics, shell};

const CLUSTER_ID: &str = "4L6g3nShT-eMCtK--X86sw";

/// The rack of each broker: one of them has no other.
pub const RACKS: [&str; 3] = ["r1", "r1", "r2"];

/// Settings of every node: no leader moves by itself, and what is lost is found out soon. Who does
/// not log in may do everything; who does, what the rules allow.
const SETTINGS: &str = "\
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL:SASL_PLAINTEXT
inter.broker.listener.name=PLAINTEXT
auto.leader.rebalance.enable=false
offsets.topic.num.partitions=3
offsets.topic.replication.factor=3
group.initial.rebalance.delay.ms=0
group.consumer.min.session.timeout.ms=6000
group.consumer.session.timeout.ms=8000
group.consumer.min.heartbeat.interval.ms=500
group.consumer.heartbeat.interval.ms=500
group.share.min.session.timeout.ms=6000
group.share.session.timeout.ms=8000
group.share.min.heartbeat.interval.ms=500
group.share.heartbeat.interval.ms=500
group.streams.min.session.timeout.ms=6000
group.streams.session.timeout.ms=8000
group.streams.min.heartbeat.interval.ms=500
group.streams.heartbeat.interval.ms=500
group.streams.initial.rebalance.delay.ms=0
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=500
log.cleaner.backoff.ms=500
transaction.state.log.num.partitions=3
transaction.partition.verification.enable=false
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
";

/// One node; killed when dropped.
struct Node {
    port: u16,
    /// Where one logs in with a password.
    sasl: u16,
    folder: tempfile::TempDir,
    command: Command,
    process: Option<Child>,
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            shell::kill(process);
        }
    }
}

/// The brokers, with the ids 1, 2, 3, and what reads from them.
pub struct Cluster {
    nodes: Vec<Node>,
    /// Where the first node's controller listens.
    controller: u16,
    /// One more controller, without a broker.
    added: Option<Node>,
    consumers: Vec<Child>,
    /// The last node takes secured clients too.
    secured: Secured,
    /// Where the second node tells its figures.
    metrics_port: u16,
    /// Who gives the tokens that the last node takes.
    identity: Identity,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.consumers.iter_mut().for_each(shell::kill);
    }
}

impl Cluster {
    pub fn start(n: usize) -> anyhow::Result<Self> {
        let controller = shell::free_port()?;
        let mut cluster = Self {
            nodes: Vec::new(),
            controller,
            added: None,
            consumers: Vec::new(),
            secured: Secured::new()?,
            metrics_port: shell::free_port()?,
            identity: Identity::start()?,
        };
        for id in 1..=n {
            let option = cluster.identity.java_option();
            cluster.nodes.push(Node::format(id, controller, &option)?);
        }
        let last = cluster.nodes.last().context("there are nodes")?;
        let properties = last.folder.path().join("server.properties");
        cluster.secured.add_to(&properties, &cluster.identity)?;
        if let Some(second) = cluster.nodes.get_mut(1) {
            let folder = second.folder.path();
            metrics::add_to(&mut second.command, folder, cluster.metrics_port)?;
        }
        for id in 1..=n {
            cluster.spawn(id)?;
        }
        for id in 1..=n {
            cluster.wait_for(id)?;
        }
        Ok(cluster)
    }

    pub fn bootstrap(&self) -> String {
        let addresses = self
            .nodes
            .iter()
            .map(|node| format!("127.0.0.1:{}", node.port));
        addresses.collect::<Vec<_>>().join(",")
    }

    pub fn port(&self, id: usize) -> u16 {
        self.nodes[id - 1].port
    }

    /// Where one logs in with a password.
    pub fn sasl(&self) -> String {
        let addresses = self
            .nodes
            .iter()
            .map(|node| format!("127.0.0.1:{}", node.sasl));
        addresses.collect::<Vec<_>>().join(",")
    }

    /// Where node 2 tells its figures.
    pub fn metrics_port(&self) -> u16 {
        self.metrics_port
    }

    pub fn secured(&self) -> &Secured {
        &self.secured
    }

    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Starts a node that does not run, and does not wait.
    pub fn spawn(&mut self, id: usize) -> anyhow::Result<()> {
        let node = &mut self.nodes[id - 1];
        let process = apache::spawn_server(&mut node.command, node.folder.path())?;
        node.process = Some(process);
        Ok(())
    }

    /// Starts one more controller, which follows and does not vote; its id and its listener.
    pub fn add_controller(&mut self) -> anyhow::Result<(usize, String)> {
        let id = self.nodes.len() + 1;
        let port = shell::free_port()?;
        let listener = format!("CONTROLLER://127.0.0.1:{port}");
        let folder = tempfile::tempdir()?;
        let properties = folder.path().join("server.properties");
        let data = folder.path().join("data");
        let text = format!(
            "{SETTINGS}node.id={id}\nprocess.roles=controller\nlisteners={listener}\n\
             log.dirs={}\ncontroller.quorum.bootstrap.servers=127.0.0.1:{}\n",
            data.display(),
            self.controller
        );
        std::fs::write(&properties, text)?;
        let mut format: Vec<String> =
            ["format", "-t", CLUSTER_ID, "--no-initial-controllers", "-c"]
                .map(str::to_owned)
                .to_vec();
        format.push(properties.display().to_string());
        apache::tool("kafka-storage", &format, None)?.success()?;
        let mut command = apache::java("pom.xml", None)?;
        command.arg("kafka.Kafka").arg(&properties);
        let process = apache::spawn_server(&mut command, folder.path())?;
        self.added = Some(Node {
            port,
            sasl: 0,
            folder,
            command,
            process: Some(process),
        });
        Ok((id, listener))
    }

    /// kill -9 of the controller that was added.
    pub fn remove_controller(&mut self) {
        self.added = None;
    }

    pub fn wait_for(&self, id: usize) -> anyhow::Result<()> {
        let node = &self.nodes[id - 1];
        if shell::wait_until(Duration::from_secs(90), || shell::listens(node.port)) {
            return Ok(());
        }
        let log = std::fs::read_to_string(node.folder.path().join("server.log"));
        bail!("node {id} did not start:\n{}", log.unwrap_or_default());
    }

    /// kill -9.
    pub fn kill(&mut self, id: usize) {
        if let Some(mut process) = self.nodes[id - 1].process.take() {
            shell::kill(&mut process);
        }
    }

    /// Runs one of Kafka's tools on the cluster; what it prints.
    pub fn tool(&self, name: &str, args: &[&str], stdin: Option<&str>) -> anyhow::Result<String> {
        let mut all = vec!["--bootstrap-server".to_owned(), self.bootstrap()];
        all.extend(args.iter().map(|arg| (*arg).to_owned()));
        let output = apache::tool(name, &all, stdin)?;
        output.success().with_context(|| format!("{name} {args:?}"))
    }

    /// Topics of several shapes, records, a group that stopped half-way, and two that read.
    pub fn fill(&mut self) -> anyhow::Result<()> {
        for (topic, partitions, replicas) in [
            ("orders", "6", "3"),
            ("payments", "3", "2"),
            ("solo", "1", "1"),
        ] {
            let args = ["--create", "--topic", topic, "--partitions", partitions];
            let args = [&args[..], &["--replication-factor", replicas]].concat();
            self.tool("kafka-topics", &args, None)?;
            let records: String = (0..500).map(|n| format!("{n}:value {n}\n")).collect();
            let args = [
                "--topic",
                topic,
                "--reader-property",
                "parse.key=true",
                "--reader-property",
                "key.separator=:",
            ];
            self.tool("kafka-console-producer", &args, Some(&records))?;
        }
        // Set and not consumed: how far a consumer commits depends on when it is stopped.
        let args = ["--group", "stopped", "--topic", "orders", "--reset-offsets"];
        let args = [&args[..], &["--to-offset", "16", "--execute"]].concat();
        self.tool("kafka-consumer-groups", &args, None)?;
        for (group, protocol) in [("classic-one", "classic"), ("consumer-one", "consumer")] {
            self.consume(group, protocol)?;
        }
        Ok(())
    }

    /// A member of a group that goes on reading `payments`.
    fn consume(&mut self, group: &str, protocol: &str) -> anyhow::Result<()> {
        let protocol = format!("group.protocol={protocol}");
        let bootstrap = self.bootstrap();
        let args = [
            "--bootstrap-server",
            &bootstrap,
            "--topic",
            "payments",
            "--group",
            group,
            "--from-beginning",
            "--command-property",
            &protocol,
        ];
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let mut command = apache::tool_command("kafka-console-consumer", &args)?;
        command.stdin(Stdio::null()).stdout(Stdio::null());
        self.consumers.push(command.stderr(Stdio::null()).spawn()?);
        Ok(())
    }
}

impl Node {
    fn format(id: usize, controller: u16, java_option: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let (port, sasl) = (shell::free_port()?, shell::free_port()?);
        let properties = folder.path().join("server.properties");
        std::fs::write(
            &properties,
            properties_of(id, (port, sasl), controller, folder.path()),
        )?;
        let mut format: Vec<String> = ["format", "-t", CLUSTER_ID, "-c"]
            .map(str::to_owned)
            .to_vec();
        format.push(properties.display().to_string());
        if id == 1 {
            format.push("--standalone".to_owned());
        }
        apache::tool("kafka-storage", &format, None)?.success()?;
        let mut command = apache::java("pom.xml", None)?;
        command.arg(java_option);
        command.arg("kafka.Kafka").arg(&properties);
        Ok(Self {
            port,
            sasl,
            folder,
            command,
            process: None,
        })
    }
}

fn properties_of(id: usize, (port, sasl): (u16, u16), controller: u16, folder: &Path) -> String {
    let open = format!("PLAINTEXT://127.0.0.1:{port},SASL://127.0.0.1:{sasl}");
    let (roles, listeners) = match id {
        1 => (
            "broker,controller",
            format!("{open},CONTROLLER://127.0.0.1:{controller}"),
        ),
        _ => ("broker", open),
    };
    let data = folder.join("data");
    let rack = RACKS[(id - 1) % RACKS.len()];
    format!(
        "{SETTINGS}node.id={id}\nbroker.rack={rack}\nprocess.roles={roles}\n\
         listeners={listeners}\nlog.dirs={}\n\
         controller.quorum.bootstrap.servers=127.0.0.1:{controller}\n",
        data.display()
    )
}
