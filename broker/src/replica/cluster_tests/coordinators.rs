//! Group coordinators follow the leadership of their partitions.

use std::sync::Arc;
use std::time::Duration;

use kafka_shared::error::ErrorCode;
use kafka_shared::task;
use kafka_shared::time::SystemClock;
use kafka_shared::types::Uuid;

use super::cluster::{Cluster, until};
use super::small_segments;
use crate::coordinator::group::{
    CommitPartition, CommitRequest, FetchRequest as OffsetsRequest, TopicItems,
};
use crate::coordinator::publisher::GroupCoordinatorPublisher;
use crate::coordinator::{GroupCoordinator, GroupCoordinatorConfig};

fn commit(offset: i64) -> CommitRequest {
    let partition = CommitPartition {
        partition: 0,
        offset,
        leader_epoch: -1,
        metadata: None,
    };
    CommitRequest {
        version: 9,
        group_id: "g".into(),
        member_id: "".into(),
        instance_id: None,
        generation_id: -1,
        retention_time_ms: -1,
        topics: vec![TopicItems {
            topic: "t".into(),
            topic_id: Uuid::nil(),
            partitions: vec![partition],
        }],
    }
}

async fn committed(coordinator: &GroupCoordinator) -> Result<Vec<i64>, ErrorCode> {
    let request = OffsetsRequest {
        group_id: "g".into(),
        topics: None,
        require_stable: false,
    };
    let topics = coordinator.fetch_offsets(request).await?;
    let partitions = topics.into_iter().flat_map(|topic| topic.partitions);
    Ok(partitions.map(|found| found.offset).collect())
}

/// Waits until a coordinator answers, and what is asked on the way is only turned away as clients
/// understand it.
async fn until_serving(coordinator: &GroupCoordinator) -> Vec<i64> {
    for _ in 0..2000 {
        match committed(coordinator).await {
            Ok(offsets) => return offsets,
            Err(error) => {
                let expected = [
                    ErrorCode::NOT_COORDINATOR,
                    ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
                ];
                assert!(expected.contains(&error), "{}", error.name());
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the coordinator does not serve");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_move_with_the_leader_and_unacknowledged_commits_are_turned_away() {
    let cluster = Cluster::start(3, 20, small_segments()).await;
    let coordinators: Vec<Arc<GroupCoordinator>> = cluster
        .ids()
        .into_iter()
        .map(|id| {
            let coordinator = GroupCoordinator::new(
                GroupCoordinatorConfig {
                    offsets_topic_num_partitions: 1,
                    ..GroupCoordinatorConfig::default()
                },
                cluster.replicas(id).unwrap(),
                Arc::new(SystemClock::new()),
            );
            let publisher = GroupCoordinatorPublisher::new(Arc::clone(&coordinator), id);
            cluster.metadata(id).add_publisher(Arc::new(publisher));
            coordinator
        })
        .collect();
    cluster.create_topic("__consumer_offsets", 2, &[&[1, 2, 3]]);
    cluster.settled("__consumer_offsets", 0).await;
    for round in 0..6 {
        let leader = cluster
            .controller
            .registration("__consumer_offsets", 0)
            .leader;
        let at = |id: i32| Arc::clone(&coordinators[usize::try_from(id).unwrap() - 1]);
        let before = until_serving(&at(leader)).await;
        assert_eq!(
            before,
            if round == 0 {
                vec![]
            } else {
                vec![100 + round - 1]
            }
        );
        for other in cluster.ids().into_iter().filter(|id| *id != leader) {
            let refused = at(other).commit_offsets(commit(1)).await;
            assert_eq!(refused.unwrap_err(), ErrorCode::NOT_COORDINATOR);
        }
        at(leader)
            .commit_offsets(commit(100 + round))
            .await
            .unwrap();
        cluster.settled("__consumer_offsets", 0).await;
        // Nobody acknowledges what comes now, and another broker takes over.
        let next = leader % 3 + 1;
        cluster.hub.isolate(leader, &cluster.ids());
        let hanging = at(leader);
        let hanging = task::spawn(
            "commit",
            async move { hanging.commit_offsets(commit(7)).await },
        );
        let log = cluster.partition(leader, "__consumer_offsets", 0).unwrap();
        let log = log.log();
        until("the commit is in the log", || {
            log.log_end_offset() > log.high_watermark()
        })
        .await;
        cluster.controller.elect("__consumer_offsets", 0, next);
        let told = hanging.await.unwrap();
        assert_eq!(
            told.unwrap_err(),
            ErrorCode::NOT_COORDINATOR,
            "round {round}"
        );
        cluster.hub.heal();
        assert_eq!(until_serving(&at(next)).await, [100 + round]);
        cluster.settled("__consumer_offsets", 0).await;
    }
    let bytes = cluster.log_bytes(1, "__consumer_offsets", 0);
    for id in [2, 3] {
        assert!(cluster.log_bytes(id, "__consumer_offsets", 0) == bytes);
    }
}
