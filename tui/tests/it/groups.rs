//! Group members, what is seen of them, and deleting a group.

use kafka_shared::task;
use kafka_tui::demo::{MemberOptions, run_member};
use kafka_tui::derive;
use kafka_tui::model::{FaultKind, Group, GroupDescription, GroupState};
use kafka_tui::ops::{Action, CreateTopic, ProduceMessage};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::*;

pub struct TestMember {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl TestMember {
    pub fn start(bootstrap: &[Endpoint], group: &str, topic: &str) -> Self {
        let stop = CancellationToken::new();
        let (client, stopped) = (client(bootstrap), stop.clone());
        let options = MemberOptions {
            group: group.to_owned(),
            topics: vec![topic.to_owned()],
            records_per_second: None,
        };
        let task = task::spawn("test-member", async move {
            let progress = Mutex::default();
            run_member(&client, &options, &progress, &stopped).await;
        });
        Self { stop, task }
    }

    pub async fn leave(self) {
        self.stop.cancel();
        self.task.await.expect("the member ends in order");
    }
}

pub async fn group(
    client: &ClusterClient,
    id: &str,
) -> Option<(Arc<Group>, Arc<GroupDescription>)> {
    let groups = client.groups().await.ok()?;
    let group = Arc::clone(groups.groups.get(id)?);
    let described = client
        .describe_groups(std::slice::from_ref(&group))
        .await
        .pop()?;
    Some((group, described.1.ok()?))
}

/// Waits until the group is stable with its four partitions over so many members.
pub async fn shared_by(client: &ClusterClient, id: &str, members: usize) {
    eventually("the group is stable", || async {
        let Some((_, group)) = group(client, id).await else {
            return false;
        };
        let mut owned: Vec<i32> = group
            .members
            .iter()
            .flat_map(|member| member.assignment.iter())
            .flat_map(|assignment| assignment.partitions.iter().copied())
            .collect();
        owned.sort_unstable();
        group.state == GroupState::Stable && group.members.len() == members && owned == [0, 1, 2, 3]
    })
    .await;
}

#[test]
fn members_share_partitions_commit_and_leave_and_the_lag_is_seen() {
    with_cluster(|bootstrap| async move {
        let client = client(&bootstrap);
        let (topic, id) = (unique("consumed"), unique("group"));
        let create = CreateTopic {
            name: topic.clone(),
            partitions: Some(4),
            replication_factor: Some(1),
            ..CreateTopic::default()
        };
        make(&client, Action::CreateTopic(create)).await;
        let write = async |n: usize| {
            for at in 0..n {
                let message = ProduceMessage {
                    topic: topic.clone(),
                    partition: Some((at % 4) as i32),
                    value: Some(b"v".to_vec()),
                    ..ProduceMessage::default()
                };
                client.produce(&message).await.unwrap();
            }
        };
        write(8).await;
        let first = TestMember::start(&bootstrap, &id, &topic);
        shared_by(&client, &id, 1).await;
        let second = TestMember::start(&bootstrap, &id, &topic);
        shared_by(&client, &id, 2).await;
        let lag = async || {
            let (group, description) = group(&client, &id).await?;
            let committed = client.committed(&[group]).await.pop()?.1.ok()?;
            let metadata = client.metadata().await.ok()?;
            let offsets = client
                .offsets(&metadata, Some(&[Arc::from(&*topic)]))
                .await
                .ok()?;
            Some(derive::group_lag(
                &committed,
                &offsets,
                Some(&description),
                |_, _| true,
            ))
        };
        eventually("everything is read", || async {
            lag()
                .await
                .is_some_and(|lag| lag.total.complete() == Some(0) && lag.owned == 4)
        })
        .await;

        let fault = client
            .delete_groups(std::slice::from_ref(&id))
            .await
            .unwrap()
            .pop()
            .unwrap();
        assert_eq!(
            fault.1.unwrap_err().kind,
            FaultKind::Refused,
            "it has members"
        );
        first.leave().await;
        shared_by(&client, &id, 1).await;
        second.leave().await;
        eventually("the group is empty", || async {
            group(&client, &id)
                .await
                .is_some_and(|(_, group)| group.state == GroupState::Empty)
        })
        .await;
        write(3).await;
        assert_eq!(
            lag().await.unwrap().total.complete(),
            Some(3),
            "nobody reads any more"
        );
        make(&client, Action::DeleteGroups(vec![id])).await;
        make(&client, Action::DeleteTopics(vec![topic])).await;
    });
}
