//! What comes into the application and what it asks for, both as data.
//!
//! Every job has a number of its own. An answer carries the number of its job; whoever has asked
//! something newer meanwhile does not know that number any more and ignores the answer.

use std::path::PathBuf;
use std::sync::Arc;

use crate::cluster::{ConnectOptions, Interest, ReadMessages, TailMessages};
use crate::clusters::{ClustersFile, Entry, Target};
use crate::connect::{Change, Connector, Proposal, Workers};
use crate::decode::SchemaBook;
use crate::local::{LocalBroker, Outcomes};
use crate::model::{
    ClusterMetadata, ClusterSnapshot, Fault, GroupLook, Message, Offsets, ReadReport, Taken,
    TopicProducers, Update,
};
use crate::ops::declared::{Prepared, Wanted};
use crate::ops::execution::Run;
use crate::ops::execution::janitor::LeftOver;
use crate::ops::undo;
use crate::ops::{self, Action, AlterOffsets, Plan, Report, Verification};
use crate::transfer::Transfer;
use crate::ui::screens::{ProposeWish, Proposed, ResetWish};

/// Names one job among all of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(pub u64);

/// Names one connection to a cluster among all of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId(pub u64);

/// What comes in.
#[derive(Debug)]
pub enum Event {
    /// A key, a click, a paste, a new size.
    Terminal(crossterm::event::Event),
    /// A part of the cluster was read, at that time.
    Data {
        session: SessionId,
        update: Update,
        at: Taken,
    },
    /// What is needed to connect was read, or can't be.
    Resolved {
        session: SessionId,
        result: Result<Box<ConnectOptions>, Fault>,
    },
    /// Something that goes on beside everything else went wrong.
    Trouble(Fault),
    /// The run of this cluster that has not ended, or just did.
    Run {
        session: SessionId,
        run: Option<Box<Run>>,
    },
    /// A job has something to say; some say several things.
    Answer { job: JobId, answer: Answer },
    /// Time has passed that [`App::tick_in_ms`](crate::ui::app::App::tick_in_ms) asked for.
    Tick,
    /// The system asks the program to end.
    Terminate,
}

/// What a job says.
#[derive(Debug)]
pub enum Answer {
    Checked(Result<Report, Fault>),
    Executed(Result<Report, Fault>),
    /// The plan of a change that names much.
    Planned(Result<Box<Plan>, Fault>),
    /// What a reassignment of a large cluster could be.
    Proposed(Result<Box<Proposed>, Fault>),
    Verified(Result<Verification, Fault>),
    /// Throttles that nothing needs.
    LeftOver(Result<Vec<LeftOver>, Fault>),
    /// The last change that can be undone, and what was read to plan that.
    LastChange(Box<undo::Last>, Vec<Update>),
    /// The schemas that messages of this job are read with; it fills while they come.
    Schemas(SchemaBook),
    Read(Result<(Vec<Message>, ReadReport), Fault>),
    Tailed(Vec<Result<Message, Fault>>),
    TailEnded(Option<Fault>),
    Local(Result<Vec<LocalBroker>, Fault>),
    LocalStarted(Result<Outcomes, Fault>),
    /// What is being done now, in words; more will come.
    LocalTold(String),
    /// Stopped, killed, paused, resumed or deleted, in words.
    LocalDone(Result<String, Fault>),
    /// Records that are to be written were looked at, with the cluster where that is another one.
    TransferPrepared(Result<(Box<Transfer>, Option<Box<Target>>), Fault>),
    /// How far an execution is, in words.
    Progress(String),
    /// Files were compared with the cluster; it is different from before.
    Declared(Result<Box<Prepared>, Fault>),
    /// Written to files, in words.
    Exported(Result<String, Fault>),
    Connectors(Result<Vec<Connector>, Fault>),
    /// What a connector's configuration would be.
    ConnectorProposed(Result<Box<Proposal>, Fault>),
    /// A connector was changed, in words.
    ConnectorChanged(Result<String, Fault>),
    Clusters(Result<ClustersFile, Fault>),
    /// Saved, tested or removed: what to say, and the clusters afterwards.
    ClusterDone(Result<(String, ClustersFile), Fault>),
    /// What a form asked for was not saved.
    ClusterNotSaved {
        tried: Box<ClustersAction>,
        fault: Fault,
    },
    /// A group was looked at closely; more looks follow.
    GroupLooked(Result<Arc<GroupLook>, Fault>),
    /// A topic's producers were looked at; more looks follow.
    Producers(Result<Arc<TopicProducers>, Fault>),
    /// What a group's offsets would become.
    ResetPrepared(Result<Arc<AlterOffsets>, Fault>),
    /// The last lines of the log of the broker of that name.
    LocalLog(Result<(String, Vec<String>), Fault>),
}

/// What is done with saved clusters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClustersAction {
    List,
    /// Saves one, after connecting to it.
    Add {
        entry: Box<Entry>,
        replace: bool,
    },
    /// Changes what is different in `after`, after connecting to it where it is reached in another
    /// way.
    Edit {
        before: Box<Entry>,
        after: Box<Entry>,
    },
    Test(String),
    Remove(String),
    /// Keeps the id of a cluster that answers for the first time.
    Learn {
        name: String,
        cluster_id: String,
    },
}

impl ClustersAction {
    pub fn is_add(&self) -> bool {
        matches!(self, Self::Add { .. })
    }

    /// Whether it changes this entry, as it is saved now.
    pub fn edits(&self, saved: &Entry) -> bool {
        matches!(self, Self::Edit { before, .. } if **before == *saved)
    }
}

/// What is done with local brokers, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalAction {
    /// A broker, or a cluster with all its nodes; made anew if there is none of that name.
    Start {
        name: String,
        /// Of a new cluster.
        brokers: Option<usize>,
        racks: Vec<String>,
        /// The installation of Apache Kafka that runs a new one.
        apache: Option<PathBuf>,
        /// Only these nodes of it; all if empty.
        apache_nodes: Vec<i32>,
    },
    /// Stopped and started again: brokers on their own, nodes, or a whole cluster.
    Restart(String),
    /// The nodes of a cluster, one after the other.
    RollingRestart(String),
    Stop(Vec<String>),
    Kill(Vec<String>),
    Pause(Vec<String>),
    Resume(Vec<String>),
    /// A broker on its own, or a whole cluster.
    Delete(String),
    /// The broker, and what its lines must hold.
    Log(String, String),
}

/// What a connector's configuration is to become.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectorWish {
    pub set: Vec<(String, String)>,
    pub unset: Vec<String>,
    /// A JSON object with values to set before those.
    pub file: Option<PathBuf>,
}

/// What is to be planned.
#[derive(Debug)]
pub enum PlanWish {
    Action(Box<Action>),
    Undo(Box<undo::Last>),
}

impl PlanWish {
    /// # Errors
    /// It can't be done on this cluster.
    pub fn plan(self, snapshot: &ClusterSnapshot) -> Result<Plan, Fault> {
        match self {
            Self::Action(action) => ops::plan(*action, snapshot),
            Self::Undo(last) => last.plan(snapshot),
        }
    }

    /// Partitions that a plan of it is about.
    pub fn n_named(&self) -> usize {
        let n = |step: &Action| match step {
            Action::Reassign(reassign) => reassign.target.len(),
            Action::RunReassign(run) => run.reassign.target.len(),
            Action::CancelReassignments(keys) | Action::ElectPreferredLeaders(keys) => keys.len(),
            _ => 0,
        };
        let action = match self {
            Self::Action(action) => Some(&**action),
            Self::Undo(last) => {
                let entry = last.entry.as_ref();
                entry.and_then(|entry| entry.inverse.undo.as_ref())
            }
        };
        action.map_or(0, |action| action.steps().iter().map(n).sum())
    }
}

/// What is to be done outside.
#[derive(Debug)]
pub enum Effect {
    /// Leaves the cluster of before, if any, and polls this one, as soon as what its target refers
    /// to was read.
    Connect {
        session: SessionId,
        target: Box<Target>,
        interest: Interest,
    },
    /// Polls a cluster of which everything needed is known.
    Open {
        session: SessionId,
        options: Box<ConnectOptions>,
        interest: Interest,
    },
    Clusters {
        job: JobId,
        action: ClustersAction,
    },
    /// What the screen shows now.
    SetInterest(Interest),
    /// Reads everything now.
    Refresh,
    /// Frees what nobody needs any more.
    Free(Arc<Offsets>),
    /// Plans a change that names so much that the screens would wait for it.
    Plan {
        job: JobId,
        wish: PlanWish,
        snapshot: Box<ClusterSnapshot>,
    },
    /// Makes a proposal of new replicas.
    Propose {
        job: JobId,
        wish: Box<ProposeWish>,
    },
    /// Lets the broker validate a plan.
    Check {
        job: JobId,
        plan: Arc<Plan>,
    },
    Execute {
        job: JobId,
        plan: Arc<Plan>,
    },
    /// Compares the cluster with a plan until it is done, or it is clear that it will take longer.
    Verify {
        job: JobId,
        plan: Arc<Plan>,
    },
    /// Looks for throttles that nothing needs.
    FindLeftOver {
        job: JobId,
    },
    /// Looks for the last change of this cluster that can be undone.
    LastChange {
        job: JobId,
        metadata: Option<Arc<ClusterMetadata>>,
    },
    ReadMessages {
        job: JobId,
        read: Box<ReadMessages>,
    },
    /// Looks closely at a group, again and again until it is cancelled.
    WatchGroup {
        job: JobId,
        group: String,
    },
    /// Looks at who writes to a topic, again and again until it is cancelled.
    WatchProducers {
        job: JobId,
        topic: String,
    },
    /// Reads what new offsets for a group come to.
    PrepareReset {
        job: JobId,
        wish: Box<ResetWish>,
    },
    TailMessages {
        job: JobId,
        tail: Box<TailMessages>,
    },
    /// Tells the connectors, and again after a while, until it is cancelled.
    WatchConnectors {
        job: JobId,
        workers: Box<Workers>,
    },
    /// Lets a worker check what a connector's configuration would be.
    ProposeConnector {
        job: JobId,
        workers: Box<Workers>,
        name: String,
        wish: ConnectorWish,
    },
    /// Compares declared topics with the cluster, and again after a while, until it is cancelled.
    WatchDeclared {
        job: JobId,
        files: Vec<PathBuf>,
        wanted: Wanted,
    },
    ExportMessages {
        job: JobId,
        read: Box<ReadMessages>,
        path: PathBuf,
    },
    /// Looks at records that are to be written, and writes none.
    PrepareTransfer {
        job: JobId,
        transfer: Box<Transfer>,
    },
    /// Writes topics, or all for none, as files that declare them.
    ExportTopics {
        job: JobId,
        names: Vec<String>,
        with_replicas: bool,
        path: PathBuf,
    },
    ChangeConnector {
        job: JobId,
        workers: Box<Workers>,
        name: String,
        change: Change,
    },
    /// Tells the local brokers, and again whenever they are different, until it is cancelled.
    WatchLocal {
        job: JobId,
    },
    Local {
        job: JobId,
        action: LocalAction,
    },
    /// Ends a job whose answer nobody waits for any more. A change that was sent is not undone.
    Cancel(JobId),
    /// Puts a text on the clipboard.
    Copy(String),
    Suspend,
    Quit,
}
