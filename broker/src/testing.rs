//! Brokers for tests, alone and as clusters: in this process, on free ports, in temporary folders.
//!
//! Behind the feature `testing`, so that the tests of other crates can use it too.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    time::Duration,
};

use anyhow::Context as _;
use futures_util::future::try_join_all;
use kafka_shared::types::{random_uuid, uuid_to_base64};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::{
    cli::ConfigArgs,
    config::BrokerConfig,
    log::DirLock,
    metadata::format::{InitialQuorum, InitialVoter, format},
    server::{self, BrokerHandle},
};

/// How long a killed node may take to let go of its folder.
const KILL_DEADLINE: Duration = Duration::from_secs(20);

/// A running broker whose data goes away with it.
pub struct TestBroker {
    handle: BrokerHandle,
    address: SocketAddr,
    settings: Vec<String>,
    dir: TempDir,
}

impl TestBroker {
    /// Starts a broker with the defaults of `kafka-broker start`, and with `settings` (`key=value`) on
    /// top.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(settings: &[&str]) -> anyhow::Result<Self> {
        let settings = settings.iter().map(|s| (*s).to_owned()).collect();
        let dir = tempfile::tempdir().context("make a temporary folder")?;
        Self::start_in(dir, settings, "127.0.0.1:0").await
    }

    async fn start_in(dir: TempDir, settings: Vec<String>, listen: &str) -> anyhow::Result<Self> {
        let mut set = vec![format!("listeners=PLAINTEXT://{listen}")];
        set.extend(settings.iter().cloned());
        let args = ConfigArgs {
            config: None,
            set,
            data_dir: Some(dir.path().join("data")),
        };
        let (config, _) = args.load()?;
        let handle = server::start(config).await?;
        let address = handle
            .local_addrs()
            .first()
            .context("the broker has no listener")?
            .1;
        Ok(Self {
            handle,
            address,
            settings,
            dir,
        })
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `host:port`, as clients want it.
    pub fn bootstrap(&self) -> String {
        self.address.to_string()
    }

    pub fn handle(&self) -> &BrokerHandle {
        &self.handle
    }

    /// The data folder.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Stops the broker in order and removes its data.
    ///
    /// # Errors
    /// When it does not stop cleanly.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.handle.shutdown().await
    }

    /// Stops the broker in order and starts it again at the same address, on the same data.
    ///
    /// # Errors
    /// When it does not stop cleanly or does not start again.
    pub async fn restart(self) -> anyhow::Result<Self> {
        let Self {
            handle,
            address,
            settings,
            dir,
        } = self;
        handle.shutdown().await?;
        Self::start_in(dir, settings, &address.to_string()).await
    }
}

/// What a node of a [`Cluster`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Broker,
    Controller,
    Both,
}

impl Role {
    fn process_roles(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::Controller => "controller",
            Self::Both => "broker,controller",
        }
    }

    fn is_controller(self) -> bool {
        self != Self::Broker
    }
}

/// One node of a cluster, running or not.
struct Member {
    role: Role,
    address: SocketAddr,
    controller_address: SocketAddr,
    settings: Vec<String>,
    /// Beside the data folder, which then has the metadata log alone.
    log_dirs: Vec<PathBuf>,
    running: Option<Running>,
}

/// A node with the threads that are its own, so that it can be ended as a process is.
struct Running {
    /// Taken when the node is stopped in order.
    handle: Option<BrokerHandle>,
    runtime: Option<Runtime>,
}

impl Running {
    fn into_parts(mut self) -> (BrokerHandle, Runtime) {
        let handle = self.handle.take().expect("it is taken only here");
        let runtime = self
            .runtime
            .take()
            .expect("it is taken only here and at the end");
        (handle, runtime)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Whatever runs on it is dropped where it stands.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A cluster of several nodes, each with its own folder, sockets and threads. The data goes away with it.
pub struct Cluster {
    members: BTreeMap<i32, Member>,
    dir: TempDir,
}

impl Cluster {
    /// Starts so many nodes with ids from 1 on, each of them broker and controller.
    ///
    /// # Errors
    /// When one of them does not start.
    pub async fn start(nodes: usize) -> anyhow::Result<Self> {
        Self::start_with(&vec![Role::Both; nodes], &[]).await
    }

    /// Starts a node of each role with ids from 1 on, and with `settings` (`key=value`) for all.
    /// The controllers are the first voters of a dynamic quorum.
    ///
    /// # Errors
    /// When one of them does not start.
    pub async fn start_with(roles: &[Role], settings: &[&str]) -> anyhow::Result<Self> {
        Self::start_on_dirs(roles, settings, 0).await
    }

    /// As [`Self::start_with`], where the metadata log has a folder of its own ([`Self::data_dir`]) and
    /// there are so many log directories beside it ([`Self::log_dir`]); with 0 there is one for all.
    ///
    /// # Errors
    /// When one of them does not start.
    pub async fn start_on_dirs(
        roles: &[Role],
        settings: &[&str],
        log_dirs: usize,
    ) -> anyhow::Result<Self> {
        let mut cluster = Self::formatted(roles, settings, log_dirs)?;
        let ids: Vec<i32> = cluster.members.keys().copied().collect();
        // A quorum needs a majority, and a broker the quorum: all start together.
        let starting = ids.iter().map(|id| cluster.starting(*id));
        let started = try_join_all(starting).await?;
        for (member, running) in cluster.members.values_mut().zip(started) {
            member.running = Some(running);
        }
        Ok(cluster)
    }

    fn formatted(roles: &[Role], settings: &[&str], log_dirs: usize) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir().context("make a temporary folder")?;
        let mut ports = free_addresses(roles.len() * 2)?.into_iter();
        let mut members = BTreeMap::new();
        for (id, role) in (1..).zip(roles) {
            let (Some(address), Some(controller_address)) = (ports.next(), ports.next()) else {
                anyhow::bail!("too few ports");
            };
            let member = Member {
                role: *role,
                address,
                controller_address,
                settings: Vec::new(),
                log_dirs: (1..=log_dirs)
                    .map(|number| dir.path().join(format!("node-{id}-logs-{number}")))
                    .collect(),
                running: None,
            };
            members.insert(id, member);
        }
        let controllers: Vec<_> = members
            .iter()
            .filter(|(_, m)| m.role.is_controller())
            .collect();
        let bootstrap: Vec<_> = controllers
            .iter()
            .map(|(_, member)| member.controller_address.to_string())
            .collect();
        let voters: Vec<_> = controllers
            .iter()
            .map(|(id, member)| InitialVoter {
                id: **id,
                host: member.controller_address.ip().to_string(),
                port: member.controller_address.port(),
                directory_id: random_uuid(),
            })
            .collect();
        let brokers = roles
            .iter()
            .filter(|role| **role != Role::Controller)
            .count();
        for (id, member) in &mut members {
            member.settings = common_settings(*id, member, &bootstrap.join(","), brokers);
            member
                .settings
                .extend(settings.iter().map(|s| (*s).to_owned()));
        }
        let cluster = Self { members, dir };
        let cluster_id = uuid_to_base64(random_uuid());
        for (id, member) in &cluster.members {
            let quorum = match member.role.is_controller() {
                true => InitialQuorum::Voters(voters.clone()),
                false => InitialQuorum::Unknown,
            };
            let config = cluster.config(*id)?;
            let options = server::format_options(&config, cluster_id.clone(), quorum, false);
            format(&options, 0)?;
        }
        Ok(cluster)
    }

    fn config(&self, id: i32) -> anyhow::Result<BrokerConfig> {
        let Member {
            settings, log_dirs, ..
        } = self.member(id);
        let (mut set, mut data_dir) = (settings.clone(), Some(self.data_dir(id)));
        if !log_dirs.is_empty() {
            let dirs: Vec<_> = log_dirs
                .iter()
                .map(|dir| dir.display().to_string())
                .collect();
            set.push(format!("log.dirs={}", dirs.join(",")));
            set.push(format!("metadata.log.dir={}", self.data_dir(id).display()));
            data_dir = None;
        }
        let args = ConfigArgs {
            config: None,
            set,
            data_dir,
        };
        Ok(args.load()?.0)
    }

    async fn starting(&self, id: i32) -> anyhow::Result<Running> {
        let config = self.config(id)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name(format!("node-{id}"))
            .enable_all()
            .build()?;
        let started = runtime.spawn(server::start(config)).await;
        match started.context("a node that starts panicked").flatten() {
            Ok(handle) => Ok(Running {
                handle: Some(handle),
                runtime: Some(runtime),
            }),
            Err(error) => {
                runtime.shutdown_background();
                Err(error.context(format!("start node {id}")))
            }
        }
    }

    fn member(&self, id: i32) -> &Member {
        self.members.get(&id).expect("the node is of this cluster")
    }

    /// The data folder of a node.
    pub fn data_dir(&self, id: i32) -> PathBuf {
        self.dir.path().join(format!("node-{id}"))
    }

    /// A log directory of a node, counted from 1.
    pub fn log_dir(&self, id: i32, number: usize) -> PathBuf {
        self.member(id).log_dirs[number - 1].clone()
    }

    /// Gives a node that does not run one more log directory, which is not made.
    pub fn add_log_dir(&mut self, id: i32) {
        let member = self
            .members
            .get_mut(&id)
            .expect("the node is of this cluster");
        let number = member.log_dirs.len() + 1;
        let path = self.dir.path().join(format!("node-{id}-logs-{number}"));
        member.log_dirs.push(path);
    }

    /// The ids of the nodes that run.
    pub fn running(&self) -> Vec<i32> {
        let running = self.members.iter().filter(|(_, m)| m.running.is_some());
        running.map(|(id, _)| *id).collect()
    }

    /// A node that runs.
    pub fn node(&self, id: i32) -> &BrokerHandle {
        let running = self.member(id).running.as_ref();
        let handle = running.and_then(|running| running.handle.as_ref());
        handle.expect("the node runs")
    }

    /// Where clients reach a broker.
    pub fn address(&self, id: i32) -> SocketAddr {
        self.member(id).address
    }

    /// Where a controller is reached.
    pub fn controller_address(&self, id: i32) -> SocketAddr {
        self.member(id).controller_address
    }

    /// `host:port` of all brokers, as clients want it.
    pub fn bootstrap(&self) -> String {
        let brokers = self.members.values().filter(|m| m.role != Role::Controller);
        let addresses: Vec<_> = brokers.map(|m| m.address.to_string()).collect();
        addresses.join(",")
    }

    /// The node whose controller is active, if there is one now.
    pub fn active_controller(&self) -> Option<i32> {
        let is_active = |id: &i32| self.node(*id).is_active_controller();
        self.running().into_iter().find(is_active)
    }

    /// Stops a node in order.
    ///
    /// # Errors
    /// When it does not stop cleanly.
    pub async fn stop_node(&mut self, id: i32) -> anyhow::Result<()> {
        let Some(running) = self.members.get_mut(&id).and_then(|m| m.running.take()) else {
            return Ok(());
        };
        let (handle, runtime) = running.into_parts();
        let stopped = runtime.spawn(handle.shutdown()).await;
        runtime.shutdown_background();
        stopped.context("a node that stops panicked").flatten()
    }

    /// Ends a node as a crash of its process would; when this returns, its folder is free.
    ///
    /// # Errors
    /// When something holds the folder for too long.
    pub async fn kill_node(&mut self, id: i32) -> anyhow::Result<()> {
        if let Some(member) = self.members.get_mut(&id) {
            member.running = None;
        }
        let mut dirs = self.member(id).log_dirs.clone();
        dirs.push(self.data_dir(id));
        let freed = async {
            for dir in dirs.iter().filter(|dir| dir.is_dir()) {
                while DirLock::acquire(dir).is_err() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        };
        let waited = tokio::time::timeout(KILL_DEADLINE, freed).await;
        waited.with_context(|| format!("the folder of the killed node {id} is still in use"))
    }

    /// Starts a node again on its data, at its addresses.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_node(&mut self, id: i32) -> anyhow::Result<()> {
        let running = self.starting(id).await?;
        if let Some(member) = self.members.get_mut(&id) {
            member.running = Some(running);
        }
        Ok(())
    }

    /// Stops all nodes in order, those that are only controllers last.
    ///
    /// # Errors
    /// When one of them does not stop cleanly.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let mut ids = self.running();
        ids.sort_by_key(|id| self.member(*id).role == Role::Controller);
        for id in ids {
            self.stop_node(id).await?;
        }
        Ok(())
    }
}

/// Addresses that nothing listens at, all different.
fn free_addresses(count: usize) -> anyhow::Result<Vec<SocketAddr>> {
    let listeners: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0"))
        .collect::<Result<_, _>>()
        .context("find free ports")?;
    let addresses = listeners.iter().map(TcpListener::local_addr);
    addresses
        .collect::<Result<_, _>>()
        .context("find free ports")
}

fn common_settings(id: i32, member: &Member, bootstrap: &str, brokers: usize) -> Vec<String> {
    let broker = format!("PLAINTEXT://{}", member.address);
    let controller = format!("CONTROLLER://{}", member.controller_address);
    let listeners = match member.role {
        Role::Broker => broker,
        Role::Controller => controller,
        Role::Both => format!("{broker},{controller}"),
    };
    let replication_factor = brokers.min(3);
    vec![
        format!("node.id={id}"),
        format!("process.roles={}", member.role.process_roles()),
        format!("listeners={listeners}"),
        format!("controller.quorum.bootstrap.servers={bootstrap}"),
        format!("offsets.topic.replication.factor={replication_factor}"),
        "offsets.topic.num.partitions=3".to_owned(),
    ]
}
