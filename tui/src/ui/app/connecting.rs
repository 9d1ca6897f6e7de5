//! Going from one cluster to another.

use kafka_shared::types::Endpoint;

use super::{App, Session};
use crate::cluster::ConnectOptions;
use crate::clusters::Target;
use crate::derive::{CommitHistory, EndHistory};
use crate::model::{ClusterSnapshot, Fault, Feed, History, Taken, Update};
use crate::ui::event::{ClustersAction, Effect, SessionId};
use crate::ui::screen::{Changed, Place};

impl App {
    /// Leaves the cluster of before, if any, and shows this one.
    pub(super) fn enter(&mut self, target: Target, effects: &mut Vec<Effect>) {
        self.connect(target, effects);
        self.go(Place::Overview, effects);
    }

    pub(super) fn connect(&mut self, target: Target, effects: &mut Vec<Effect>) {
        self.world.snapshot = ClusterSnapshot::default();
        self.world.feed = Feed::default();
        self.world.ends = EndHistory::default();
        self.world.commits = CommitHistory::default();
        self.world.history = History::default();
        self.world.past = None;
        self.world.tape = None;
        self.world.run = None;
        self.session = Session {
            id: self.session.id + 1,
            started_at: self.world.now,
            ..Session::default()
        };
        let read_only = self.forced_read_only || target.read_only;
        self.world.read_only = read_only;
        self.world.target = Target {
            read_only,
            ..target
        };
        self.changed = Changed::ALL;
        effects.push(Effect::Connect {
            session: SessionId(self.session.id),
            target: Box::new(self.world.target.clone()),
            interest: self.interest.clone(),
        });
    }

    /// Properties and secrets of the cluster were read, or can't be.
    pub(super) fn on_resolved(
        &mut self,
        result: Result<Box<ConnectOptions>, Fault>,
        effects: &mut Vec<Effect>,
    ) {
        match result {
            Ok(options) => effects.push(Effect::Open {
                session: SessionId(self.session.id),
                options,
                interest: self.interest.clone(),
            }),
            Err(fault) => {
                let at: Taken = self.world.now;
                self.on_update(Update::Metadata(Err(fault.into())), at);
                // Nobody tries again before a person has changed something.
                self.session.is_resting = true;
            }
        }
    }

    /// Keeps the id of a saved cluster that answers for the first time.
    pub(super) fn learn_cluster_id(&mut self, effects: &mut Vec<Effect>) {
        let target = &mut self.world.target;
        let metadata = self.world.snapshot.metadata.get();
        let found = metadata.and_then(|metadata| metadata.cluster_id.as_deref());
        if let (Some(name), None, Some(found)) = (&target.name, &target.cluster_id, found) {
            let (name, cluster_id) = (name.clone(), found.to_owned());
            target.cluster_id = Some(cluster_id.clone());
            let job = self.world.cx().new_job();
            effects.push(Effect::Clusters {
                job,
                action: ClustersAction::Learn { name, cluster_id },
            });
        }
    }

    pub(in crate::ui) fn is_connected(&self) -> bool {
        self.session.id > 0
    }
}

/// `host:port` pairs, separated by commas.
pub fn parse_bootstrap(text: &str) -> Result<Vec<Endpoint>, String> {
    let parts = text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty());
    let endpoints: Result<Vec<Endpoint>, String> = parts
        .map(|part| {
            part.parse()
                .map_err(|_| format!("\"{part}\" is not host:port"))
        })
        .collect();
    match endpoints {
        Ok(list) if list.is_empty() => Err("name a broker as host:port".to_owned()),
        other => other,
    }
}
