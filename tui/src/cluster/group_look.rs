//! A close look at one group: everything that its lag and its history are told from, read at once.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use kafka_shared::types::TopicPartition;

use crate::model::{
    Cell, ClusterMetadata, Committed, CommittedPartition, ConfigResource, EndPoints, Fault, Group,
    GroupKind, GroupLook, Offsets, Topic,
};

use super::group_log::GroupLogLimits;
use super::wire::ClusterClient;

/// Records that are looked at, one of each partition that is behind.
const RECORDS_MAX: usize = 100;

/// Topics that are asked about the past.
const TOPICS_MAX: usize = 1_000;

/// Groups whose records are looked at at a time.
const AT_ONCE: usize = 4;

/// How long ago the ends of logs are asked for, in milliseconds.
const AGO_MS: [i64; 3] = [600_000, 120_000, 30_000];

impl ClusterClient {
    /// Reads a group closely. What can't be read is missing, with its reason where one is asked
    /// for.
    ///
    /// # Errors
    /// `NotFound` for a group that nobody lists; when its offsets can't be read at all.
    pub async fn look_at_group(
        &self,
        id: &str,
        limits: GroupLogLimits,
    ) -> Result<GroupLook, Fault> {
        let what = format!("look at group \"{id}\"");
        let metadata = self.metadata().await?;
        let groups = self.groups_in(&metadata).await?;
        let group = groups.groups.get(id).cloned().ok_or_else(|| {
            let missing = groups.faults.values().next();
            match missing {
                Some(fault) => Fault::clone(fault),
                None => Fault::not_found(&what, format!("group \"{id}\" does not exist"))
                    .with_hint("list the groups to see their names"),
            }
        })?;
        let one = std::slice::from_ref(&group);
        let (described, committed, log) = tokio::join!(
            self.describe_groups(one),
            self.committed(one),
            self.group_log(id, &metadata, limits)
        );
        let committed = match committed.into_iter().next() {
            Some((_, Ok(committed))) => committed,
            Some((_, Err(fault))) => return Err(Fault::clone(&fault)),
            None => Arc::new(Committed::default()),
        };
        let description = described.into_iter().find_map(|(_, answer)| answer.ok());
        let assigned = description.iter().flat_map(|d| d.members.iter());
        let assigned = assigned.flat_map(|m| m.assignment.iter().map(|a| &a.topic));
        let names: BTreeSet<&Arc<str>> = committed.topics.keys().chain(assigned).collect();
        let topics: Vec<Arc<Topic>> = names
            .iter()
            .filter_map(|name| metadata.topic(name).cloned())
            .collect();
        let names: Vec<Arc<str>> = topics.iter().map(|t| Arc::clone(&t.name)).collect();
        let mut look = GroupLook {
            group: Some(Arc::clone(&group)),
            log: Some(log.map(Arc::new).map_err(Arc::new)),
            ..GroupLook::default()
        };
        if !names.is_empty() {
            let (offsets, stable, settings, ends) = tokio::join!(
                self.offsets(&metadata, Some(&names)),
                self.last_stable_offsets(&metadata, Some(&names)),
                self.topic_settings(&metadata),
                self.ends_before(&topics),
            );
            look.offsets = offsets?;
            look.ends = ends;
            let stable = stable.unwrap_or_default();
            for (topic, cells) in stable {
                for (id, cell) in cells {
                    if let Cell::Known(offset) = cell {
                        let key = TopicPartition::new(&topic, id);
                        look.last_stable.insert(key, offset);
                    }
                }
            }
            let settings = settings.unwrap_or_default();
            let of = |topic: &Arc<Topic>| {
                let settings = settings.get(&topic.name)?;
                let deletes = settings.cleanup_policy.as_deref()?.contains("delete");
                let retention = settings.retention_ms.filter(|ms| deletes && *ms >= 0)?;
                Some((Arc::clone(&topic.name), retention))
            };
            look.retention_ms = topics.iter().filter_map(of).collect();
            look.next_ms = self.next_records(&metadata, &committed, &look).await;
        }
        look.session_timeout_ms = self.session_timeout(&group).await;
        look.taken = self.now();
        look.description = description;
        look.committed = committed;
        Ok(look)
    }

    /// When the record was written that each partition that is behind would go on with.
    async fn next_records(
        &self,
        metadata: &ClusterMetadata,
        committed: &Committed,
        look: &GroupLook,
    ) -> BTreeMap<TopicPartition, i64> {
        let mut behind = Vec::new();
        for (topic, partitions) in &*committed.topics {
            let offsets = look.offsets.get(topic);
            for commit in partitions {
                let found = offsets.and_then(|offsets| offsets.partition(commit.partition));
                let range = found.map(|f| (f.start, f.end));
                if let (Some(at), Some((Cell::Known(start), Cell::Known(end)))) =
                    (commit.offset, range)
                    && at < end
                {
                    let key = TopicPartition::new(&**topic, commit.partition);
                    behind.push((key, at.max(start), end - at));
                }
            }
        }
        // What is furthest behind is told exactly.
        behind.sort_by_key(|(_, _, lag)| std::cmp::Reverse(*lag));
        let wanted = behind.into_iter().take(RECORDS_MAX);
        let wanted = wanted.map(|(key, at, _)| (key, at)).collect();
        let found = self.records_at(metadata, wanted).await.into_iter();
        let time = |(key, record): (TopicPartition, Result<_, String>)| {
            let message: Option<crate::model::Message> = record.ok()?;
            let ms = message?.timestamp_ms;
            (ms >= 0).then_some((key, ms))
        };
        found.filter_map(time).collect()
    }

    /// Where logs ended some time ago, by the times of their records.
    async fn ends_before(&self, topics: &[Arc<Topic>]) -> EndPoints {
        let now_ms = self.now().wall_ms;
        let topics = &topics[..topics.len().min(TOPICS_MAX)];
        let ask = async |ago_ms| {
            let at_ms = now_ms - ago_ms;
            let found = self.offsets_for_time_of(topics, at_ms).await;
            (at_ms, found.unwrap_or_default())
        };
        let mut points = EndPoints::new();
        for (at_ms, found) in join_all(AGO_MS.map(ask)).await {
            for (topic, cells) in found {
                for (id, cell) in cells {
                    if let Cell::Known(offset) = cell {
                        let key = TopicPartition::new(&*topic, id);
                        points.entry(key).or_default().push((offset, at_ms));
                    }
                }
            }
        }
        for points in points.values_mut() {
            points.sort_unstable_by_key(|(_, at_ms)| *at_ms);
        }
        points
    }

    /// Looks at many groups that are behind, less closely: what they committed last, and where the
    /// logs ended some minutes ago. `committed` and `offsets` were read before.
    pub async fn glance_at_groups(
        &self,
        behind: &[(Arc<Group>, Arc<Committed>)],
        offsets: &Offsets,
        metadata: &ClusterMetadata,
        limits: GroupLogLimits,
    ) -> HashMap<Arc<str>, GroupLook> {
        let names: BTreeSet<&Arc<str>> = behind.iter().flat_map(|(_, c)| c.topics.keys()).collect();
        let topics = names.into_iter().filter_map(|name| metadata.topic(name));
        let topics: Vec<Arc<Topic>> = topics.cloned().collect();
        let ids: Vec<Arc<str>> = behind.iter().map(|(g, _)| Arc::clone(&g.id)).collect();
        let (mut logs, ends) = tokio::join!(
            self.commit_tails(&ids, metadata, limits),
            self.ends_before(&topics)
        );
        let taken = self.now();
        let mut look = |(group, committed): &(Arc<Group>, Arc<Committed>)| {
            let of_it = committed.topics.iter().flat_map(|(topic, commits)| {
                let key = |c: &CommittedPartition| TopicPartition::new(&**topic, c.partition);
                commits.iter().map(key)
            });
            let own = of_it.filter_map(|key| Some((key.clone(), ends.get(&key)?.clone())));
            let of_its_topics = committed
                .topics
                .keys()
                .filter_map(|topic| Some((Arc::clone(topic), Arc::clone(offsets.get(topic)?))));
            let look = GroupLook {
                taken,
                group: Some(Arc::clone(group)),
                committed: Arc::clone(committed),
                offsets: of_its_topics.collect(),
                ends: own.collect(),
                log: logs.remove(&group.id).map(|log| Ok(Arc::new(log))),
                ..GroupLook::default()
            };
            (Arc::clone(&group.id), look)
        };
        let mut looks: HashMap<Arc<str>, GroupLook> = behind.iter().map(&mut look).collect();
        // Of a few it is told exactly: also where a log does not grow, which tells no time.
        let mut left = RECORDS_MAX;
        let few = behind.iter().take_while(|(_, committed)| {
            let n: usize = committed.topics.values().map(Vec::len).sum();
            let fits = n <= left;
            left = left.saturating_sub(n);
            fits
        });
        let asks = few.filter_map(|(group, committed)| {
            let look = looks.get(&group.id)?;
            let id = Arc::clone(&group.id);
            Some(async move { (id, self.next_records(metadata, committed, look).await) })
        });
        let asks: Vec<_> = asks.collect();
        let told: Vec<_> = stream::iter(asks).buffer_unordered(AT_ONCE).collect().await;
        for (id, next_ms) in told {
            if let Some(look) = looks.get_mut(&id) {
                look.next_ms = next_ms;
            }
        }
        looks
    }

    /// The session time-out of members whose records don't say it: the group's own, which is also
    /// that of its coordinator where it has none.
    async fn session_timeout(&self, group: &Group) -> Option<i64> {
        let kind = match group.kind {
            GroupKind::Consumer | GroupKind::Share | GroupKind::Streams => group.kind.as_str(),
            GroupKind::Classic | GroupKind::Other(_) => return None,
        };
        let own = ConfigResource::Group(group.id.to_string());
        let broker = ConfigResource::Broker(group.coordinator);
        for (resource, name) in [
            (own, format!("{kind}.session.timeout.ms")),
            (broker, format!("group.{kind}.session.timeout.ms")),
        ] {
            let Ok(configs) = self.configs(&resource).await else {
                continue;
            };
            let mut entries = configs.entries.iter();
            let found = entries.find(|entry| entry.name == name);
            let value = found.and_then(|entry| entry.value.as_ref()?.parse().ok());
            if value.is_some() {
                return value;
            }
        }
        None
    }
}
