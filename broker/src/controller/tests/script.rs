//! The controller by scripts: one request per line in, the answer and the records out.
//!
//! Requests: `broker ID…` (registers and unfences), `create NAME [partitions=N] [rf=N]
//! [assign=1,2;2,1] [validate] [key=value…]`, `delete NAME…`, `grow NAME COUNT [assign=…]`,
//! `config TYPE/NAME set|delete|append|subtract KEY [VALUE]`, `replace TYPE/NAME [key=value…]`,
//! `elect preferred|unclean T-P…|all`, `reassign T-P 1,2|cancel`, `reassigning`,
//! `isr T-P by=ID to=1,2 [epoch=N] [version=N]`, `heartbeat ID offset=N [fence] [stop] [offline]`,
//! `restart ID [clean]`, `unregister ID`, `pass MS`, `ids ID`, `feature NAME LEVEL [downgrade]`,
//! `show T-P`. Records are applied before the next line.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::sync::Arc;

use kafka_protocol::messages::alter_configs_request as legacy;
use kafka_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use kafka_protocol::messages::alter_partition_request::{BrokerState, PartitionData, TopicData};
use kafka_protocol::messages::broker_registration_request::Feature;
use kafka_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::update_features_request::FeatureUpdateKey;
use kafka_protocol::messages::{
    AllocateProducerIdsRequest, AlterConfigsRequest, AlterPartitionReassignmentsRequest,
    AlterPartitionRequest, BrokerHeartbeatRequest, BrokerId, BrokerRegistrationRequest,
    CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, ElectLeadersRequest,
    IncrementalAlterConfigsRequest, ListPartitionReassignmentsRequest, TopicName,
    UnregisterBrokerRequest, UpdateFeaturesRequest,
};
use kafka_protocol::protocol::StrBytes;
use kafka_shared::error::{ApiError, ErrorCode};
use kafka_shared::schema::metadata::{FeatureLevelRecord, MetadataRecord};
use uuid::Uuid;

use crate::controller::config::ControllerConfig;
use crate::controller::heartbeat::Heartbeats;
use crate::controller::random::Random;
use crate::controller::state::{Cx, Outcome, QuorumController};
use crate::controller::testing::{CLUSTER_ID, TestValidator};
use crate::metadata::features::SUPPORTED;
use crate::metadata::{MetadataImage, ResourceType};

pub(super) struct Script {
    pub(super) controller: QuorumController,
    pub(super) heartbeats: Heartbeats,
    pub(super) random: RefCell<Random>,
    next_offset: i64,
    now_ms: i64,
    incarnations: u128,
    out: String,
}

pub(super) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn name(name: &str) -> TopicName {
    TopicName(text(name))
}

fn ids(list: &str) -> Vec<BrokerId> {
    list.split(',')
        .map(|id| BrokerId(id.parse().unwrap()))
        .collect()
}

pub(super) fn directory(id: i32) -> Uuid {
    Uuid::from_u128(5_000 + id.unsigned_abs() as u128)
}

fn split_tp(tp: &str) -> (&str, i32) {
    let (topic, partition) = tp.rsplit_once('-').unwrap();
    (topic, partition.parse().unwrap())
}

fn option<'a>(words: &[&'a str], key: &str) -> Option<&'a str> {
    words
        .iter()
        .find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}

fn pairs<'a>(words: &[&'a str], known: &[&str]) -> Vec<(&'a str, &'a str)> {
    let pairs = words.iter().filter_map(|word| word.split_once('='));
    pairs.filter(|(key, _)| !known.contains(key)).collect()
}

impl Script {
    pub(super) fn new() -> Self {
        let config = ControllerConfig {
            cluster_id: CLUSTER_ID.into(),
            ..Default::default()
        };
        let image = Arc::new(MetadataImage::default());
        let mut script = Self {
            controller: QuorumController::new(config.into(), Arc::new(TestValidator), image),
            heartbeats: Heartbeats::new(&MetadataImage::default(), 100, 9_000, 0),
            random: RefCell::new(Random::new(1)),
            next_offset: 0,
            now_ms: 0,
            incarnations: 0,
            out: String::new(),
        };
        let level = |name: &str, feature_level| {
            FeatureLevelRecord {
                name: name.into(),
                feature_level,
            }
            .into()
        };
        script.apply(&[
            level("metadata.version", 30),
            level("eligible.leader.replicas.version", 1),
        ]);
        script
    }

    pub(super) fn apply(&mut self, records: &[MetadataRecord]) {
        self.controller
            .replay(self.next_offset, records, &mut self.heartbeats)
            .unwrap();
        self.next_offset += records.len() as i64;
    }

    fn say(&mut self, line: &str) {
        writeln!(self.out, "    {line}").unwrap();
    }

    fn result(&mut self, what: &str, code: i16, message: Option<&StrBytes>) {
        let code = ErrorCode(code);
        let message = message
            .map(|message| format!(": {}", &**message))
            .unwrap_or_default();
        self.say(&format!("{what} {}{message}", code.name()));
    }

    /// Decides, applies and shows the records, and gives the response.
    pub(super) fn decide<T>(
        &mut self,
        decide: impl FnOnce(&QuorumController, &Cx<'_>, &mut Heartbeats) -> Result<Outcome<T>, ApiError>,
    ) -> Option<T> {
        let cx = Cx {
            now_ms: self.now_ms,
            next_offset: self.next_offset,
            random: &self.random,
            is_forwarded: true,
            kraft_version: 1,
        };
        match decide(&self.controller, &cx, &mut self.heartbeats) {
            Err(error) => {
                self.say(&error.to_string());
                None
            }
            Ok(outcome) => {
                for record in &outcome.records {
                    let shown = self.show_record(record);
                    self.say(&shown);
                }
                self.apply(&outcome.records);
                Some(outcome.response)
            }
        }
    }

    fn show_record(&self, record: &MetadataRecord) -> String {
        let topic = |id: Uuid| {
            let name = self.controller.image().topics.name_of(id);
            name.map_or("new".to_owned(), ToString::to_string)
        };
        match record {
            MetadataRecord::Topic(r) => format!("+ topic {}", r.name),
            MetadataRecord::Partition(r) => {
                format!(
                    "+ partition {} replicas={:?} isr={:?}",
                    r.partition_id, r.replicas, r.isr
                )
            }
            MetadataRecord::RemoveTopic(r) => format!("- topic {}", topic(r.topic_id)),
            MetadataRecord::Config(r) => {
                format!(
                    "+ config {}/{} {}={:?}",
                    r.resource_type, r.resource_name, r.name, r.value
                )
            }
            MetadataRecord::PartitionChange(r) => {
                let mut line = format!("~ {}-{}", topic(r.topic_id), r.partition_id);
                let mut list = |name: &str, ids: &Option<Vec<i32>>| {
                    if let Some(ids) = ids {
                        write!(line, " {name}={ids:?}").unwrap();
                    }
                };
                list("isr", &r.isr);
                list("replicas", &r.replicas);
                list("removing", &r.removing_replicas);
                list("adding", &r.adding_replicas);
                list("elr", &r.eligible_leader_replicas);
                list("lastElr", &r.last_known_elr);
                if r.leader != -2 {
                    write!(line, " leader={}", r.leader).unwrap();
                }
                if r.leader_recovery_state != -1 {
                    write!(line, " recovery={}", r.leader_recovery_state).unwrap();
                }
                line
            }
            MetadataRecord::RegisterBroker(r) => format!("+ broker {}", r.broker_id),
            MetadataRecord::UnregisterBroker(r) => format!("- broker {}", r.broker_id),
            MetadataRecord::BrokerRegistrationChange(r) => {
                let (id, fenced, going) = (r.broker_id, r.fenced, r.in_controlled_shutdown);
                format!(
                    "~ broker {id} fenced={fenced} shutdown={going} dirs={}",
                    r.log_dirs.len()
                )
            }
            MetadataRecord::ProducerIds(r) => format!("+ ids up to {}", r.next_producer_id),
            MetadataRecord::FeatureLevel(r) => format!("+ {}={}", r.name, r.feature_level),
            MetadataRecord::ClearElr(r) => format!("- elr of {:?}", r.topic_name),
            other => format!("{other:?}"),
        }
    }

    fn line(&mut self, line: &str) {
        let words: Vec<_> = line.split_whitespace().collect();
        let rest = &words[1..];
        match words[0] {
            "broker" => rest
                .iter()
                .for_each(|id| self.start_broker(id.parse().unwrap())),
            "create" => self.create(rest),
            "delete" => self.delete(rest),
            "grow" => self.grow(rest),
            "config" => self.config(rest),
            "replace" => self.replace(rest),
            "elect" => self.elect(rest),
            "reassign" => self.reassign(rest),
            "reassigning" => self.reassigning(),
            "isr" => self.isr(rest),
            "heartbeat" => self.heartbeat(rest),
            "restart" => {
                let id = rest[0].parse().unwrap();
                let epoch = self.controller.image().cluster.broker_epoch(id);
                self.register(id, if rest.contains(&"clean") { epoch } else { -1 });
            }
            "unregister" => {
                let id = BrokerId(rest[0].parse().unwrap());
                let request = UnregisterBrokerRequest::default().with_broker_id(id);
                self.decide(|controller, _, _| controller.unregister_broker(&request));
            }
            "pass" => self.pass(rest[0].parse().unwrap()),
            "ids" => self.producer_ids(rest[0].parse().unwrap()),
            "feature" => self.feature(rest),
            "show" => self.show(rest[0]),
            other => panic!("{other}"),
        }
    }

    /// Registers and unfences without a word.
    pub(super) fn start_broker(&mut self, id: i32) {
        let before = self.out.clone();
        self.register(id, -1);
        let offset = self.next_offset;
        self.heartbeat(&[&id.to_string(), &format!("offset={offset}")]);
        self.out = before;
    }

    fn register(&mut self, id: i32, previous_broker_epoch: i64) {
        self.incarnations += 1;
        let feature = |feature: &crate::metadata::features::Feature| {
            Feature::default()
                .with_name(text(feature.name))
                .with_min_supported_version(feature.supported.min)
                .with_max_supported_version(feature.supported.max)
        };
        let request = BrokerRegistrationRequest::default()
            .with_broker_id(BrokerId(id))
            .with_cluster_id(text(CLUSTER_ID))
            .with_incarnation_id(Uuid::from_u128(9_000 + self.incarnations))
            .with_features(SUPPORTED.iter().map(feature).collect())
            .with_log_dirs(vec![directory(id)])
            .with_previous_broker_epoch(previous_broker_epoch);
        self.decide(|controller, cx, heartbeats| {
            controller.register_broker(cx, heartbeats, &request)
        });
    }

    fn create(&mut self, words: &[&str]) {
        let number =
            |key, default: &str| -> i32 { option(words, key).unwrap_or(default).parse().unwrap() };
        let assignments = option(words, "assign").map(|list| {
            let assign = |(idx, replicas): (i32, &str)| {
                CreatableReplicaAssignment::default()
                    .with_partition_index(idx)
                    .with_broker_ids(ids(replicas))
            };
            (0..).zip(list.split(';')).map(assign).collect::<Vec<_>>()
        });
        let configs = pairs(words, &["partitions", "rf", "assign"])
            .into_iter()
            .map(|(key, value)| {
                CreatableTopicConfig::default()
                    .with_name(text(key))
                    .with_value(Some(text(value)))
            });
        let topic = CreatableTopic::default()
            .with_name(name(&words[0].replace('+', " ")))
            .with_num_partitions(number("partitions", "-1"))
            .with_replication_factor(number("rf", "-1") as i16)
            .with_assignments(assignments.unwrap_or_default())
            .with_configs(configs.collect());
        let mut request = CreateTopicsRequest::default()
            .with_topics(vec![topic.clone()])
            .with_validate_only(words.contains(&"validate"));
        if words.contains(&"twice") {
            request.topics.push(topic);
        }
        let response = self.decide(|controller, cx, _| controller.create_topics(cx, &request));
        for topic in response.into_iter().flat_map(|response| response.topics) {
            self.result(
                topic.name.as_str(),
                topic.error_code,
                topic.error_message.as_ref(),
            );
        }
    }

    fn delete(&mut self, words: &[&str]) {
        let names = words.iter().map(|word| name(word)).collect();
        let request = DeleteTopicsRequest::default().with_topic_names(names);
        let response = self.decide(|controller, _, _| controller.delete_topics(&request));
        for topic in response.into_iter().flat_map(|response| response.responses) {
            let name = topic.name.unwrap();
            self.result(
                name.as_str(),
                topic.error_code,
                topic.error_message.as_ref(),
            );
        }
    }

    fn grow(&mut self, words: &[&str]) {
        let assign = |list: &str| {
            let assign = |replicas: &str| {
                CreatePartitionsAssignment::default().with_broker_ids(ids(replicas))
            };
            list.split(';').map(assign).collect()
        };
        let topic = CreatePartitionsTopic::default()
            .with_name(name(words[0]))
            .with_count(words[1].parse().unwrap())
            .with_assignments(option(words, "assign").map(assign));
        let request = CreatePartitionsRequest::default().with_topics(vec![topic]);
        let response = self.decide(|controller, cx, _| controller.create_partitions(cx, &request));
        for topic in response.into_iter().flat_map(|response| response.results) {
            self.result(
                topic.name.as_str(),
                topic.error_code,
                topic.error_message.as_ref(),
            );
        }
    }

    fn resource(word: &str) -> (i8, &str) {
        let (kind, name) = word.split_once('/').unwrap();
        let id = match kind {
            "topic" => ResourceType::Topic.id(),
            "broker" => ResourceType::Broker.id(),
            "logger" => ResourceType::BrokerLogger.id(),
            "group" => ResourceType::Group.id(),
            other => other.parse().unwrap(),
        };
        (id, name)
    }

    fn config(&mut self, words: &[&str]) {
        let (kind, resource_name) = Self::resource(words[0]);
        let op = ["set", "delete", "append", "subtract"]
            .iter()
            .position(|op| *op == words[1]);
        let config = AlterableConfig::default()
            .with_name(text(words[2]))
            .with_config_operation(op.map_or(9, |op| op as i8))
            .with_value(words.get(3).map(|value| text(value)));
        let resource = AlterConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(resource_name))
            .with_configs(vec![config]);
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        let response =
            self.decide(|controller, cx, _| controller.incremental_alter_configs(cx, &request));
        for r in response.into_iter().flat_map(|response| response.responses) {
            self.result("config", r.error_code, r.error_message.as_ref());
        }
    }

    fn replace(&mut self, words: &[&str]) {
        let (kind, resource_name) = Self::resource(words[0]);
        let config = |(key, value): (&str, &str)| {
            legacy::AlterableConfig::default()
                .with_name(text(key))
                .with_value(Some(text(value)))
        };
        let resource = legacy::AlterConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(resource_name))
            .with_configs(pairs(words, &[]).into_iter().map(config).collect());
        let request = AlterConfigsRequest::default().with_resources(vec![resource]);
        let response = self.decide(|controller, cx, _| controller.alter_configs(cx, &request));
        for r in response.into_iter().flat_map(|response| response.responses) {
            self.result("config", r.error_code, r.error_message.as_ref());
        }
    }

    fn elect(&mut self, words: &[&str]) {
        let partitions = words[1..].iter().map(|tp| {
            let (topic, partition) = split_tp(tp);
            TopicPartitions::default()
                .with_topic(name(topic))
                .with_partitions(vec![partition])
        });
        let request = ElectLeadersRequest::default()
            .with_election_type(i8::from(words[0] == "unclean"))
            .with_topic_partitions((words[1] != "all").then(|| partitions.collect()));
        let response = self.decide(|controller, _, _| controller.elect_leaders(&request));
        for topic in response
            .into_iter()
            .flat_map(|response| response.replica_election_results)
        {
            for p in topic.partition_result {
                let tp = format!("{}-{}", topic.topic.as_str(), p.partition_id);
                self.result(&tp, p.error_code, p.error_message.as_ref());
            }
        }
    }

    fn reassign(&mut self, words: &[&str]) {
        let (topic, idx) = split_tp(words[0]);
        let partition = ReassignablePartition::default()
            .with_partition_index(idx)
            .with_replicas((words[1] != "cancel").then(|| ids(words[1])));
        let topic = ReassignableTopic::default()
            .with_name(name(topic))
            .with_partitions(vec![partition]);
        let request = AlterPartitionReassignmentsRequest::default()
            .with_topics(vec![topic])
            .with_allow_replication_factor_change(!words.contains(&"same-rf"));
        let response =
            self.decide(|controller, _, _| controller.alter_partition_reassignments(&request));
        for topic in response.into_iter().flat_map(|response| response.responses) {
            for p in topic.partitions {
                let tp = format!("{}-{}", topic.name.as_str(), p.partition_index);
                self.result(&tp, p.error_code, p.error_message.as_ref());
            }
        }
    }

    fn reassigning(&mut self) {
        let request = ListPartitionReassignmentsRequest::default().with_topics(None);
        let response = self.controller.list_partition_reassignments(&request);
        for topic in response.topics {
            for p in topic.partitions {
                let list = |ids: &[BrokerId]| ids.iter().map(|id| id.0).collect::<Vec<_>>();
                self.say(&format!(
                    "{}-{} replicas={:?} adding={:?} removing={:?}",
                    topic.name.as_str(),
                    p.partition_index,
                    list(&p.replicas),
                    list(&p.adding_replicas),
                    list(&p.removing_replicas)
                ));
            }
        }
    }

    fn isr(&mut self, words: &[&str]) {
        let (topic, idx) = split_tp(words[0]);
        let image = Arc::clone(self.controller.image());
        let topic_id = image.topics.id_of(topic).unwrap();
        let partition = image.topics.partition(topic, idx).unwrap();
        let number =
            |key, default: i32| option(words, key).map_or(default, |value| value.parse().unwrap());
        let by = number("by", 0);
        let age = |flag: &str| i64::from(words.contains(&flag));
        let members_age = age("members-of-earlier-lives");
        let member = |id: BrokerId| {
            BrokerState::default()
                .with_broker_id(id)
                .with_broker_epoch(image.cluster.broker_epoch(id.0) - members_age)
        };
        let isr = ids(option(words, "to").unwrap())
            .into_iter()
            .map(member)
            .collect();
        let data = PartitionData::default()
            .with_partition_index(idx)
            .with_leader_epoch(number("epoch", partition.leader_epoch))
            .with_partition_epoch(number("version", partition.partition_epoch))
            .with_new_isr_with_epochs(isr);
        let topic = TopicData::default()
            .with_topic_id(topic_id)
            .with_partitions(vec![data]);
        let request = AlterPartitionRequest::default()
            .with_broker_id(BrokerId(by))
            .with_broker_epoch(image.cluster.broker_epoch(by) - age("of-earlier-life"))
            .with_topics(vec![topic]);
        let response = self.decide(|controller, _, _| controller.alter_partition(&request));
        for p in response
            .into_iter()
            .flat_map(|r| r.topics)
            .flat_map(|topic| topic.partitions)
        {
            self.result("isr", p.error_code, None);
        }
    }

    fn heartbeat(&mut self, words: &[&str]) {
        let id: i32 = words[0].parse().unwrap();
        let epoch = self.controller.image().cluster.broker_epoch(id);
        let offline = words.contains(&"offline").then(|| directory(id));
        let request = BrokerHeartbeatRequest::default()
            .with_broker_id(BrokerId(id))
            .with_broker_epoch(epoch)
            .with_current_metadata_offset(option(words, "offset").unwrap().parse().unwrap())
            .with_want_fence(words.contains(&"fence"))
            .with_want_shut_down(words.contains(&"stop"))
            .with_offline_log_dirs(offline.into_iter().collect());
        let response = self.decide(|controller, cx, heartbeats| {
            controller.broker_heartbeat(cx, heartbeats, &request)
        });
        if let Some(r) = response {
            let (caught_up, fenced, stop) = (r.is_caught_up, r.is_fenced, r.should_shut_down);
            self.say(&format!(
                "caught up={caught_up} fenced={fenced} stop={stop}"
            ));
        }
    }

    fn pass(&mut self, ms: i64) {
        self.now_ms += ms;
        while self.heartbeats.stale_broker(self.now_ms).is_some() {
            self.decide(|controller, cx, heartbeats| {
                controller
                    .fence_stale_broker(cx, heartbeats)
                    .ok_or(ErrorCode::NONE.into())
            });
        }
    }

    fn producer_ids(&mut self, id: i32) {
        let epoch = self.controller.image().cluster.broker_epoch(id);
        let request = AllocateProducerIdsRequest::default()
            .with_broker_id(BrokerId(id))
            .with_broker_epoch(epoch);
        let response = self.decide(|controller, _, _| controller.allocate_producer_ids(&request));
        if let Some(r) = response {
            self.say(&format!(
                "from {} count {}",
                r.producer_id_start.0, r.producer_id_len
            ));
        }
    }

    fn feature(&mut self, words: &[&str]) {
        let update = FeatureUpdateKey::default()
            .with_feature(text(words[0]))
            .with_max_version_level(words[1].parse().unwrap())
            .with_upgrade_type(if words.contains(&"downgrade") { 2 } else { 1 });
        let request = UpdateFeaturesRequest::default().with_feature_updates(vec![update]);
        let response =
            self.decide(|controller, cx, _| Ok(controller.update_features(cx, &request)));
        if let Some(r) = response {
            self.result("feature", r.error_code, r.error_message.as_ref());
        }
    }

    fn show(&mut self, tp: &str) {
        let (topic, idx) = split_tp(tp);
        let image = Arc::clone(self.controller.image());
        let p = image.topics.partition(topic, idx).unwrap();
        self.say(&format!(
            "replicas={:?} isr={:?} elr={:?} leader={} epoch={} version={}",
            p.replicas, p.isr, p.elr, p.leader, p.leader_epoch, p.partition_epoch
        ));
    }
}

#[track_caller]
pub(super) fn check(script: &str) {
    let expected: String = script
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.strip_prefix("        ").unwrap_or(line).to_owned() + "\n")
        .collect();
    let mut runner = Script::new();
    for line in expected.lines().filter(|line| !line.starts_with(' ')) {
        writeln!(runner.out, "{line}").unwrap();
        runner.line(line);
    }
    let mut lines = expected.lines();
    for line in runner.out.lines() {
        assert_eq!(Some(line), lines.next(), "in\n{}", runner.out);
    }
    assert_eq!(None, lines.next(), "in\n{}", runner.out);
}
