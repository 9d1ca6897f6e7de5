//! What the screens do with saved clusters. Every time the file is read anew: a person or another
//! window may have changed it.

use std::path::PathBuf;
use std::sync::Arc;

use kafka_shared::task;
use kafka_shared::time::Clock;

use crate::cluster::ClusterClient;
use crate::clusters::{ClustersFile, Entry, Target};
use crate::model::{Fault, FaultKind, Probe};
use crate::ui::event::{Answer, ClustersAction};

/// Where they are saved; nowhere on a machine without a home.
#[derive(Debug, Clone, Default)]
pub struct SavedClusters {
    pub config: Option<PathBuf>,
}

impl SavedClusters {
    /// Whether there are any. A file that can't be read has to be looked at too.
    pub fn are_there(&self) -> bool {
        match self.config.as_deref().map(ClustersFile::load) {
            None => false,
            Some(Ok(file)) => !file.entries().is_empty(),
            Some(Err(_)) => true,
        }
    }

    pub(super) async fn act(self, action: ClustersAction, clock: Arc<dyn Clock>) -> Answer {
        match action {
            ClustersAction::List => Answer::Clusters(self.load().await),
            ClustersAction::Learn { name, cluster_id } => {
                Answer::Clusters(self.learn(name, cluster_id).await)
            }
            ClustersAction::Add { ref entry, replace } => {
                let saved = self.add((**entry).clone(), replace, clock).await;
                done_or_tried(saved, action)
            }
            ClustersAction::Edit {
                ref before,
                ref after,
            } => {
                let saved = self.edit(before, (**after).clone(), clock).await;
                done_or_tried(saved, action)
            }
            ClustersAction::Test(name) => {
                let tried = async {
                    let mut file = self.load().await?;
                    let target = Target::of(file.find(&name)?, file.path())?;
                    let probe = probe(&target, clock).await?;
                    let text = format!("{name} answers: {}", told(&probe));
                    if let Some(id) = &probe.cluster_id
                        && file.learn_cluster_id(&name, id)
                    {
                        file = save(file).await?;
                    }
                    Ok((text, file))
                };
                Answer::ClusterDone(tried.await)
            }
            ClustersAction::Remove(name) => {
                let removed = async {
                    let mut file = self.load().await?;
                    file.remove(&name)?;
                    Ok((format!("{name} is removed"), save(file).await?))
                };
                Answer::ClusterDone(removed.await)
            }
        }
    }

    async fn add(
        &self,
        mut entry: Entry,
        replace: bool,
        clock: Arc<dyn Clock>,
    ) -> Result<(String, ClustersFile), Fault> {
        let mut file = self.load().await?;
        // Before it takes its time: the name may be taken.
        file.add(&entry, replace)?;
        let probe = probe(&Target::of(&entry, file.path())?, clock).await?;
        entry.cluster_id.clone_from(&probe.cluster_id);
        let mut file = self.load().await?;
        file.add(&entry, replace)?;
        let text = format!("{} is saved: {}", entry.name, told(&probe));
        Ok((text, save(file).await?))
    }

    async fn edit(
        &self,
        before: &Entry,
        mut after: Entry,
        clock: Arc<dyn Clock>,
    ) -> Result<(String, ClustersFile), Fault> {
        let mut file = self.load().await?;
        // Before it takes its time: the name may be taken.
        file.edit(before, &after)?;
        let mut text = format!("{} is changed", after.name);
        let learns_id = before.cluster_id.is_some() && after.cluster_id.is_none();
        if learns_id || !after.is_reached_as(before) {
            let probe = probe(&Target::of(&after, file.path())?, clock).await?;
            text = format!("{text}: {}", told(&probe));
            if let Some(was) = after.learn_id(probe.cluster_id.as_deref(), before) {
                text = format!("{text}; it was cluster {was} before");
            }
        }
        let mut file = self.load().await?;
        file.edit(before, &after)?;
        Ok((text, save(file).await?))
    }

    /// A saved cluster by its name.
    pub(super) async fn find(&self, name: &str) -> Result<Target, Fault> {
        let file = self.load().await?;
        Target::of(file.find(name)?, file.path())
    }

    async fn load(&self) -> Result<ClustersFile, Fault> {
        let path = self.config.clone().ok_or_else(|| {
            Fault::refused("read the configuration", "there is no folder for it")
                .with_hint("set HOME or KAFKA_TUI_CONFIG")
        })?;
        let loaded = task::spawn_blocking("ui-clusters-load", move || ClustersFile::load(&path));
        loaded.await.unwrap_or_else(|_| Err(broken()))
    }

    async fn learn(&self, name: String, cluster_id: String) -> Result<ClustersFile, Fault> {
        let mut file = self.load().await?;
        if file.learn_cluster_id(&name, &cluster_id) {
            file = save(file).await?;
        }
        Ok(file)
    }
}

fn done_or_tried(saved: Result<(String, ClustersFile), Fault>, tried: ClustersAction) -> Answer {
    match saved {
        Ok(done) => Answer::ClusterDone(Ok(done)),
        Err(fault) => Answer::ClusterNotSaved {
            tried: Box::new(tried),
            fault,
        },
    }
}

async fn save(file: ClustersFile) -> Result<ClustersFile, Fault> {
    let saved = task::spawn_blocking("ui-clusters-save", move || file.save().map(|()| file));
    saved.await.unwrap_or_else(|_| Err(broken()))
}

fn broken() -> Fault {
    let why = "the task broke: see the log";
    Fault::new(FaultKind::Failed, "use the configuration", why)
}

async fn probe(target: &Target, clock: Arc<dyn Clock>) -> Result<Probe, Fault> {
    let client = ClusterClient::new(target.options().await?, clock);
    let probe = client.probe().await?;
    match (&target.cluster_id, &probe.cluster_id) {
        (Some(saved), Some(found)) if saved != found => {
            let why = format!("it answers as cluster {found}, and was saved as {saved}");
            Err(Fault::refused("test the cluster", why)
                .with_hint("changes are refused there; if this is right, e learns its id anew"))
        }
        _ => Ok(probe),
    }
}

fn told(probe: &Probe) -> String {
    let id = probe.cluster_id.as_deref().unwrap_or("of unknown id");
    let lack = probe.lack().map(|lack| format!("; {lack}"));
    format!(
        "cluster {id}, {} brokers, {} topics, over {}, {} ms{}",
        probe.brokers,
        probe.topics,
        probe.security_protocol,
        probe.took_ms,
        lack.unwrap_or_default()
    )
}
