//! Topics, settings, elections and polling.

use std::collections::BTreeMap;

use kafka_tui::cluster::{ConnectOptions, Interest, PollIntervals, Poller};
use kafka_tui::model::{
    Cell, ClusterSnapshot, ConfigResource, ConfigSource, FaultKind, TopicPartition, Update,
};
use kafka_tui::ops::{
    self, Action, AddPartitions, AlterConfigs, ConfigChange, CreateTopic, ProduceMessage,
};

use super::*;

fn create(name: &str, partitions: i32) -> Action {
    Action::CreateTopic(CreateTopic {
        name: name.to_owned(),
        partitions: Some(partitions),
        replication_factor: Some(1),
        ..CreateTopic::default()
    })
}

#[test]
fn a_topic_is_created_changed_and_deleted() {
    with_cluster(|bootstrap| async move {
        let client = client(&bootstrap);
        let name = unique("life");
        make(&client, create(&name, 2)).await;
        let add = AddPartitions {
            topic: name.clone(),
            total: 5,
            assignment: None,
        };
        make(&client, Action::AddPartitions(add)).await;
        let metadata = client.metadata().await.unwrap();
        let topic = metadata.topic(&name).unwrap();
        assert_eq!((topic.partitions.len(), topic.replication_factor()), (5, 1));
        assert!(
            topic
                .partitions
                .iter()
                .all(|p| p.has_leader() && p.isr.len() == 1)
        );
        assert!(topic.id.is_some() && !topic.is_internal);

        let resource = ConfigResource::Topic(name.clone());
        let change = |changes| {
            Action::AlterConfigs(AlterConfigs {
                resource: resource.clone(),
                changes,
            })
        };
        let set = |name: &str, value: &str| ConfigChange::Set {
            name: name.to_owned(),
            value: value.to_owned(),
        };
        let changes = vec![
            set("retention.ms", "60000"),
            ConfigChange::Append {
                name: "cleanup.policy".into(),
                value: "compact".into(),
            },
        ];
        make(&client, change(changes)).await;
        let configs = client.configs(&resource).await.unwrap();
        assert_eq!(configs.value("retention.ms"), Some("60000"));
        assert_eq!(configs.value("cleanup.policy"), Some("delete,compact"));
        assert_eq!(
            configs.get("retention.ms").unwrap().source,
            ConfigSource::Topic
        );
        let documented = configs
            .entries
            .iter()
            .filter(|entry| entry.documentation.is_some());
        assert!(documented.count() > 20, "the settings are explained");

        make(
            &client,
            change(vec![ConfigChange::Delete {
                name: "retention.ms".into(),
            }]),
        )
        .await;
        let configs = client.configs(&resource).await.unwrap();
        assert_eq!(
            configs.get("retention.ms").unwrap().source,
            ConfigSource::Default
        );

        // One that was made anew since a deletion was planned is not deleted by it.
        let delete = Action::DeleteTopics(vec![name.clone()]);
        let stale = ops::plan(delete.clone(), &snapshot(&client).await).unwrap();
        make(&client, delete.clone()).await;
        make(&client, create(&name, 1)).await;
        let report = ops::execute(&client, &stale).await.unwrap();
        let (_, fault) = report.faults().next().expect("it is another one");
        assert_eq!(fault.kind, FaultKind::NotFound);
        assert!(client.metadata().await.unwrap().topic(&name).is_some());

        make(&client, delete).await;
        assert!(client.metadata().await.unwrap().topic(&name).is_none());
        let fault = client.configs(&resource).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::NotFound);
    });
}

#[test]
fn the_broker_checks_a_topic_before_it_is_made() {
    with_cluster(|bootstrap| async move {
        let client = client(&bootstrap);
        let name = unique("checked");
        let create = CreateTopic {
            name: name.clone(),
            configs: vec![("retention.ms".into(), "soon".into())],
            ..CreateTopic::default()
        };
        let plan = ops::plan(Action::CreateTopic(create), &snapshot(&client).await).unwrap();
        let check = ops::check(&client, &plan).await.unwrap();
        let (_, fault) = check.faults().next().expect("the value is no number");
        assert_eq!(fault.kind, FaultKind::Refused);
        assert!(fault.why.contains("INVALID_CONFIG"), "{}", fault.why);
        assert!(
            client.metadata().await.unwrap().topic(&name).is_none(),
            "checking made nothing"
        );
    });
}

#[test]
fn a_read_only_session_changes_nothing() {
    with_cluster(|bootstrap| async move {
        let writer = client(&bootstrap);
        let name = unique("guarded");
        make(&writer, create(&name, 1)).await;
        let mut options = ConnectOptions::new(bootstrap.clone());
        options.read_only = true;
        let reader = ClusterClient::new(options, Arc::new(SystemClock::new()));
        assert!(
            reader.metadata().await.unwrap().topic(&name).is_some(),
            "reading works"
        );
        let partitions = vec![TopicPartition::new(&name, 0)];
        let refused = [
            reader
                .create_topic(&CreateTopic::default(), false)
                .await
                .map(|_| ()),
            reader
                .delete_topics(std::slice::from_ref(&name), &BTreeMap::new())
                .await
                .map(|_| ()),
            reader
                .create_partitions(&AddPartitions::default(), true)
                .await
                .map(|_| ()),
            reader
                .elect_preferred_leaders(&partitions)
                .await
                .map(|_| ()),
            reader
                .alter_reassignments([(partitions[0].clone(), None)].into())
                .await
                .map(|_| ()),
            reader.delete_groups(&["g".to_owned()]).await.map(|_| ()),
            reader
                .produce(&ProduceMessage {
                    topic: name.clone(),
                    ..Default::default()
                })
                .await
                .map(|_| ()),
            reader
                .alter_configs(
                    &AlterConfigs {
                        resource: ConfigResource::Topic(name.clone()),
                        changes: vec![],
                    },
                    false,
                )
                .await
                .map(|_| ()),
        ];
        for result in refused {
            let fault = result.unwrap_err();
            assert_eq!(
                (fault.kind, &*fault.why),
                (FaultKind::Refused, "this session is read-only")
            );
        }
        let metadata = writer.metadata().await.unwrap();
        let offsets = writer
            .offsets(&metadata, Some(&[Arc::from(&*name)]))
            .await
            .unwrap();
        assert_eq!(offsets[&*name].partition(0).unwrap().end, Cell::Known(0));
        make(&writer, Action::DeleteTopics(vec![name])).await;
    });
}

#[test]
fn polling_tells_names_first_and_then_every_part() {
    with_cluster(|bootstrap| async move {
        let client = client(&bootstrap);
        let name = unique("polled");
        make(&client, create(&name, 3)).await;
        let interest = Interest {
            topics: vec![Arc::from(&*name)],
            configs: vec![ConfigResource::Topic(name.clone())],
            ..Interest::default()
        };
        let intervals = PollIntervals::default();
        let (poller, mut updates) = Poller::start(client.clone(), intervals, interest);
        let mut snapshot = ClusterSnapshot::default();
        let is_complete = |snapshot: &ClusterSnapshot| {
            snapshot
                .offsets
                .get()
                .is_some_and(|all| all.contains_key(&*name))
                && snapshot
                    .settings
                    .get()
                    .is_some_and(|all| all.contains_key(&*name))
                && snapshot.log_dirs.get().is_some()
                && snapshot.groups.get().is_some()
                && snapshot.quorum.get().is_some()
                && snapshot
                    .features
                    .get()
                    .is_some_and(|features| !features.levels.is_empty())
                && snapshot.reassignments.get().is_some()
                && snapshot
                    .configs
                    .values()
                    .any(|configs| configs.get().is_some())
        };
        while !is_complete(&snapshot) {
            let (update, at) = updates.recv().await.expect("the poller runs");
            let needs_names = matches!(
                update,
                Update::Offsets { .. } | Update::LogDirs(_) | Update::Settings(_)
            );
            assert!(
                !needs_names || snapshot.metadata.get().is_some(),
                "names come first"
            );
            snapshot.apply(update, at);
        }
        let dirs = snapshot.log_dirs.get().unwrap();
        assert_eq!(
            dirs.dirs.len(),
            snapshot.metadata.get().unwrap().brokers.len()
        );
        let quorum = snapshot.quorum.get().unwrap();
        assert!(quorum.high_watermark > 0 && !quorum.voters.is_empty());
        assert_eq!(snapshot.controller_id(), Some(quorum.leader_id));
        drop(poller);
        while updates.recv().await.is_some() {}
        make(&client, Action::DeleteTopics(vec![name])).await;
    });
}
