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

use super::config::ControllerConfig;
use super::heartbeat::Heartbeats;
use super::random::Random;
use super::state::{Cx, Outcome, QuorumController};
use super::testing::{CLUSTER_ID, TestValidator};
use crate::metadata::features::SUPPORTED;
use crate::metadata::{ConfigResource, MetadataImage, ResourceType};

struct Script {
    controller: QuorumController,
    heartbeats: Heartbeats,
    random: RefCell<Random>,
    next_offset: i64,
    now_ms: i64,
    incarnations: u128,
    out: String,
}

fn text(text: &str) -> StrBytes {
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

fn directory(id: i32) -> Uuid {
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
    fn new() -> Self {
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

    fn apply(&mut self, records: &[MetadataRecord]) {
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
    fn decide<T>(
        &mut self,
        decide: impl FnOnce(&QuorumController, &Cx<'_>, &mut Heartbeats) -> Result<Outcome<T>, ApiError>,
    ) -> Option<T> {
        let cx = Cx {
            now_ms: self.now_ms,
            next_offset: self.next_offset,
            random: &self.random,
            is_forwarded: true,
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
    fn start_broker(&mut self, id: i32) {
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
        let member = |id: BrokerId| {
            BrokerState::default()
                .with_broker_id(id)
                .with_broker_epoch(image.cluster.broker_epoch(id.0))
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
            .with_broker_epoch(image.cluster.broker_epoch(by))
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
        let response = self.decide(|controller, _, _| Ok(controller.update_features(&request)));
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
fn check(script: &str) {
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

#[test]
fn mistakes_in_create_topics_get_kafkas_codes_and_words() {
    check(
        "
        broker 1
        create orders partitions=2 rf=1 retention.ms=5
            + topic orders
            + config 2/orders retention.ms=Some(\"5\")
            + partition 0 replicas=[1] isr=[1]
            + partition 1 replicas=[1] isr=[1]
            orders NONE
        create orders
            orders TOPIC_ALREADY_EXISTS: Topic 'orders' already exists.
        create bad+name
            bad name INVALID_TOPIC_EXCEPTION: Topic name is invalid: 'bad name' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'
        create ..
            .. INVALID_TOPIC_EXCEPTION: Topic name is invalid: '..' is not allowed
        create a.b
            + topic a.b
            + partition 0 replicas=[1] isr=[1]
            a.b NONE
        create a_b
            a_b INVALID_TOPIC_EXCEPTION: Topic 'a_b' collides with existing topic: a.b
        create __cluster_metadata
            __cluster_metadata INVALID_REQUEST: Creation of internal topic __cluster_metadata is prohibited.
        create t twice
            t INVALID_REQUEST: Duplicate topic name.
        create t partitions=0
            t INVALID_PARTITIONS: Number of partitions was set to an invalid non-positive value.
        create t rf=0
            t INVALID_REPLICATION_FACTOR: Replication factor must be larger than 0, or -1 to use the default value.
        create t rf=3
            t INVALID_REPLICATION_FACTOR: Unable to replicate the partition 3 time(s): The target replication factor of 3 cannot be reached because only 1 broker(s) are registered or some brokers have all their log directories cordoned.
        create t partitions=10001
            POLICY_VIOLATION: Excessively large number of partitions per request.
        create t no.such=1
            t INVALID_CONFIG: Unknown topic config name: no.such
        create t retention.ms=abc
            t INVALID_CONFIG: Invalid value abc for configuration retention.ms: Not a number of type LONG
        create t assign=7
            t INVALID_REPLICA_ASSIGNMENT: The manual partition assignment includes broker 7, but no such broker is registered.
        create t assign=1,1
            t INVALID_REPLICA_ASSIGNMENT: The manual partition assignment includes the broker 1 more than once.
        create t assign=1 partitions=1
            t INVALID_REQUEST: A manual partition assignment was specified, but numPartitions was not set to -1.
        create t validate
            t NONE
        create t assign=1;1
            + topic t
            + partition 0 replicas=[1] isr=[1]
            + partition 1 replicas=[1] isr=[1]
            t NONE
        ",
    );
}

#[test]
fn without_an_unfenced_broker_nothing_is_created() {
    check(
        "
        create t
            t INVALID_REPLICATION_FACTOR: Unable to replicate the partition 1 time(s): All brokers are currently fenced, or have all their log directories cordoned.
        broker 1
        heartbeat 1 offset=9 fence
            ~ broker 1 fenced=1 shutdown=0 dirs=0
            caught up=true fenced=true stop=false
        create t assign=1
            t INVALID_REPLICA_ASSIGNMENT: All brokers specified in the manual partition assignment for partition 0 are fenced or in controlled shutdown.
        ",
    );
}

#[test]
fn topics_are_deleted_by_name_and_take_their_configs_with_them() {
    check(
        "
        broker 1
        create a retention.ms=5
            + topic a
            + config 2/a retention.ms=Some(\"5\")
            + partition 0 replicas=[1] isr=[1]
            a NONE
        delete a nope a2 a2
            - topic a
            a2 INVALID_REQUEST: Duplicate topic name.
            nope UNKNOWN_TOPIC_OR_PARTITION
            a NONE
        create a
            + topic a
            + partition 0 replicas=[1] isr=[1]
            a NONE
        config topic/a delete retention.ms
            config NONE
        ",
    );
}

#[test]
fn partitions_are_only_ever_added() {
    check(
        "
        broker 1
        create a partitions=2
            + topic a
            + partition 0 replicas=[1] isr=[1]
            + partition 1 replicas=[1] isr=[1]
            a NONE
        grow a 2
            a INVALID_PARTITIONS: Topic already has 2 partition(s).
        grow a 1
            a INVALID_PARTITIONS: The topic a currently has 2 partition(s); 1 would not be an increase.
        grow b 3
            b UNKNOWN_TOPIC_OR_PARTITION
        grow a 4 assign=1
            a INVALID_REPLICA_ASSIGNMENT: Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified.
        grow a 4 assign=1;9
            a INVALID_REPLICA_ASSIGNMENT: The manual partition assignment includes broker 9, but no such broker is registered.
        grow a 3
            + partition 2 replicas=[1] isr=[1]
            a NONE
        ",
    );
}

#[test]
fn configs_change_one_resource_as_a_whole() {
    check(
        "
        broker 1
        create a
            + topic a
            + partition 0 replicas=[1] isr=[1]
            a NONE
        config topic/a set retention.ms 7
            + config 2/a retention.ms=Some(\"7\")
            config NONE
        config topic/a set retention.ms 7
            config NONE
        config topic/a append cleanup.policy compact
            + config 2/a cleanup.policy=Some(\"delete,compact\")
            config NONE
        config topic/a subtract cleanup.policy delete
            + config 2/a cleanup.policy=Some(\"compact\")
            config NONE
        config topic/a append retention.ms 1
            config INVALID_CONFIG: Can't APPEND to key retention.ms because its type is not LIST.
        config topic/a set no.such 1
            config INVALID_CONFIG: Unknown topic config name: no.such
        config topic/nope set retention.ms 1
            config UNKNOWN_TOPIC_OR_PARTITION: The topic 'nope' does not exist.
        config broker/77 set log.cleaner.threads 2
            config BROKER_ID_NOT_REGISTERED: No node with id 77 found.
        config broker/x set log.cleaner.threads 2
            config INVALID_REQUEST: Invalid broker name x
        config broker/ set log.cleaner.threads 2
            + config 4/ log.cleaner.threads=Some(\"2\")
            config NONE
        config broker/ set log.cleaner.threads 2
            + config 4/ log.cleaner.threads=Some(\"2\")
            config NONE
        config broker/1 set min.insync.replicas 2
            config INVALID_CONFIG: Broker-level min.insync.replicas cannot be altered while ELR is enabled.
        config broker/ delete min.insync.replicas
            config INVALID_CONFIG: Cluster-level min.insync.replicas cannot be removed while ELR is enabled.
        config topic/a set min.insync.replicas 2
            + config 2/a min.insync.replicas=Some(\"2\")
            - elr of \"a\"
            config NONE
        config 3/a set retention.ms 1
            config UNSUPPORTED_VERSION: Unknown resource type 3.
        config group/g set consumer.heartbeat.interval.ms 6000
            + config 32/g consumer.heartbeat.interval.ms=Some(\"6000\")
            config NONE
        replace topic/a retention.ms=9
            + config 2/a retention.ms=Some(\"9\")
            + config 2/a cleanup.policy=None
            + config 2/a min.insync.replicas=None
            - elr of \"a\"
            config NONE
        ",
    );
}

#[test]
fn leaders_move_when_a_broker_goes_and_come_back_by_preferred_election() {
    check(
        "
        broker 1 2 3
        create a assign=1,2,3;2,3,1
            + topic a
            + partition 0 replicas=[1, 2, 3] isr=[1, 2, 3]
            + partition 1 replicas=[2, 3, 1] isr=[2, 3, 1]
            a NONE
        heartbeat 1 offset=50 stop
            ~ broker 1 fenced=0 shutdown=1 dirs=0
            ~ a-0 isr=[2, 3] leader=2
            ~ a-1 isr=[2, 3]
            caught up=true fenced=false stop=false
        heartbeat 2 offset=50
            caught up=true fenced=false stop=false
        heartbeat 1 offset=50 stop
            caught up=true fenced=false stop=false
        heartbeat 3 offset=50
            caught up=true fenced=false stop=false
        heartbeat 1 offset=50 stop
            ~ broker 1 fenced=1 shutdown=0 dirs=0
            caught up=true fenced=true stop=true
        elect preferred a-0 a-1 b-0
            a-0 PREFERRED_LEADER_NOT_AVAILABLE
            a-1 ELECTION_NOT_NEEDED
            b-0 UNKNOWN_TOPIC_OR_PARTITION: No such topic as b
        restart 1 clean
            + broker 1
        heartbeat 1 offset=99
            ~ broker 1 fenced=-1 shutdown=0 dirs=0
            caught up=true fenced=false stop=false
        isr a-0 by=2 to=2,3,1
            ~ a-0 isr=[2, 3, 1]
            isr NONE
        elect preferred all
            ~ a-0 leader=1
            a-0 NONE
        show a-0
            replicas=[1, 2, 3] isr=[2, 3, 1] elr=[] leader=1 epoch=2 version=3
        ",
    );
}

#[test]
fn a_single_replica_is_eligible_while_its_broker_is_away_unless_it_crashed() {
    check(
        "
        broker 1
        create a
            + topic a
            + partition 0 replicas=[1] isr=[1]
            a NONE
        pass 10000
            ~ a-0 isr=[] elr=[1] lastElr=[1] leader=-1
            ~ broker 1 fenced=1 shutdown=0 dirs=0
        restart 1 clean
            + broker 1
        heartbeat 1 offset=99
            ~ broker 1 fenced=-1 shutdown=0 dirs=0
            ~ a-0 isr=[1] elr=[] lastElr=[] leader=1
            caught up=true fenced=false stop=false
        pass 10000
            ~ a-0 isr=[] elr=[1] lastElr=[1] leader=-1
            ~ broker 1 fenced=1 shutdown=0 dirs=0
        restart 1
            ~ a-0 elr=[]
            + broker 1
        heartbeat 1 offset=99
            ~ broker 1 fenced=-1 shutdown=0 dirs=0
            ~ a-0 isr=[1] lastElr=[] leader=1 recovery=1
            caught up=true fenced=false stop=false
        isr a-0 by=1 to=1
            ~ a-0 recovery=0
            isr NONE
        ",
    );
}

#[test]
fn a_silent_broker_is_fenced_and_a_live_one_keeps_its_id() {
    check(
        "
        broker 1 2
        create a assign=1,2
            + topic a
            + partition 0 replicas=[1, 2] isr=[1, 2]
            a NONE
        restart 1
            DUPLICATE_BROKER_REGISTRATION: Another broker is registered with that broker id. If the broker was recently restarted this should self-resolve once the heartbeat manager expires the broker's session.
        pass 5000
        heartbeat 2 offset=99
            caught up=true fenced=false stop=false
        pass 5000
            ~ a-0 isr=[2] leader=2
            ~ broker 1 fenced=1 shutdown=0 dirs=0
        elect unclean a-0
            a-0 ELECTION_NOT_NEEDED
        unregister 1
            - broker 1
        unregister 1
            BROKER_ID_NOT_REGISTERED: Broker ID 1 is not currently registered
        ",
    );
}

#[test]
fn a_broker_that_lost_its_disk_leads_nothing() {
    check(
        "
        broker 1 2
        create a assign=1,2
            + topic a
            + partition 0 replicas=[1, 2] isr=[1, 2]
            a NONE
        heartbeat 1 offset=99 offline
            ~ a-0 isr=[2] leader=2
            ~ broker 1 fenced=0 shutdown=0 dirs=0
            caught up=true fenced=false stop=false
        ",
    );
}

#[test]
fn leaders_propose_isrs_and_stale_ones_are_refused() {
    check(
        "
        broker 1 2 3
        create a assign=1,2,3
            + topic a
            + partition 0 replicas=[1, 2, 3] isr=[1, 2, 3]
            a NONE
        isr a-0 by=1 to=1,2
            ~ a-0 isr=[1, 2]
            isr NONE
        isr a-0 by=2 to=1,2
            isr INVALID_REQUEST
        isr a-0 by=1 to=2
            isr INVALID_REQUEST
        isr a-0 by=1 to=1,2,4
            isr INVALID_REQUEST
        isr a-0 by=1 to=1 version=0
            isr INVALID_UPDATE_VERSION
        isr a-0 by=1 to=1 version=9
            isr NOT_CONTROLLER
        isr a-0 by=1 to=1 epoch=9
            isr NOT_CONTROLLER
        heartbeat 3 offset=99 fence
            ~ broker 3 fenced=1 shutdown=0 dirs=0
            caught up=true fenced=true stop=false
        isr a-0 by=1 to=1,2,3
            isr INELIGIBLE_REPLICA
        isr a-0 by=1 to=1,2
            isr NONE
        ",
    );
}

#[test]
fn a_reassignment_ends_when_the_new_replicas_are_in_sync_and_can_be_cancelled() {
    check(
        "
        broker 1 2 3
        create a assign=1,2;1,2
            + topic a
            + partition 0 replicas=[1, 2] isr=[1, 2]
            + partition 1 replicas=[1, 2] isr=[1, 2]
            a NONE
        reassign a-0 3,2
            ~ a-0 replicas=[3, 2, 1] removing=[1] adding=[3]
            a-0 NONE
        reassigning
            a-0 replicas=[3, 2, 1] adding=[3] removing=[1]
        isr a-0 by=1 to=1,2,3
            ~ a-0 isr=[2, 3] replicas=[3, 2] removing=[] adding=[] leader=3
            isr NEW_LEADER_ELECTED
        reassigning
        reassign a-0 cancel
            a-0 NO_REASSIGNMENT_IN_PROGRESS
        reassign a-1 3,1
            ~ a-1 replicas=[3, 1, 2] removing=[2] adding=[3]
            a-1 NONE
        reassign a-1 cancel
            ~ a-1 replicas=[1, 2] removing=[] adding=[] leader=1
            a-1 NONE
        reassign a-1 2,1
            ~ a-1 replicas=[2, 1]
            a-1 NONE
        reassign a-1 2,1,3 same-rf
            a-1 INVALID_REPLICATION_FACTOR: The replication factor is changed from 2 to 3
        reassign a-1 2
            ~ a-1 isr=[2] replicas=[2] leader=2
            a-1 NONE
        reassign a-1 4
            a-1 INVALID_REPLICA_ASSIGNMENT: The manual partition assignment includes broker 4, but no such broker is registered.
        reassign b-0 1
            b-0 UNKNOWN_TOPIC_OR_PARTITION: Unable to find a topic named b.
        ",
    );
}

#[test]
fn producer_ids_come_in_blocks_that_never_overlap() {
    check(
        "
        broker 1
        ids 1
            + ids up to 1000
            from 0 count 1000
        ids 1
            + ids up to 2000
            from 1000 count 1000
        ids 2
            STALE_BROKER_EPOCH: No broker registration found for broker id 2
        ",
    );
}

#[test]
fn features_go_only_where_all_can_follow() {
    check(
        "
        broker 1
        feature group.version 1
            feature INVALID_UPDATE_VERSION: The update failed for all features since the following feature had an error: Invalid update version 1 for feature group.version. Local controller 1 does not support this feature.
        feature no.such 1
            feature INVALID_UPDATE_VERSION: The update failed for all features since the following feature had an error: Invalid update version 1 for feature no.such. Local controller 1 does not support this feature.
        feature metadata.version 31
            feature INVALID_UPDATE_VERSION: The update failed for all features since the following feature had an error: Invalid update version 31 for feature metadata.version. Local controller 1 only supports versions 7-30
        feature metadata.version 29
            feature INVALID_UPDATE_VERSION: The update failed for all features since the following feature had an error: Invalid update version 29 for feature metadata.version. Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade.
        feature metadata.version 29 downgrade
            feature INVALID_UPDATE_VERSION: The update failed for all features since the following feature had an error: Unsupported metadata.version downgrade from 30 to 29. Refusing to perform the requested downgrade because it might delete metadata information.
        feature eligible.leader.replicas.version 0 downgrade
            + eligible.leader.replicas.version=0
            feature NONE
        feature eligible.leader.replicas.version 1
            + eligible.leader.replicas.version=1
            + config 4/ min.insync.replicas=Some(\"1\")
            feature NONE
        ",
    );
}

#[test]
fn a_registration_has_to_fit_the_cluster() {
    let mut script = Script::new();
    let base = BrokerRegistrationRequest::default()
        .with_broker_id(BrokerId(1))
        .with_cluster_id(text(CLUSTER_ID))
        .with_incarnation_id(Uuid::from_u128(77))
        .with_log_dirs(vec![directory(1)]);
    let range = |name: &str, min, max| {
        Feature::default()
            .with_name(text(name))
            .with_min_supported_version(min)
            .with_max_supported_version(max)
    };
    let all = vec![
        range("metadata.version", 7, 30),
        range("kraft.version", 0, 1),
        range("eligible.leader.replicas.version", 0, 1),
    ];
    let without = |name: &str| {
        all.iter()
            .filter(|f| &*f.name != name)
            .cloned()
            .collect::<Vec<_>>()
    };
    let mut old = without("metadata.version");
    old.push(range("metadata.version", 7, 29));
    let mut unknown = all.clone();
    unknown.push(range("later.version", 0, 3));
    let reserved = vec![Uuid::from_u128(3)];
    let twice = vec![directory(1), directory(1)];
    // The outcomes are those of a real controller, asked with 23 variants of a registration.
    let cases = [
        (base.clone().with_features(unknown), ErrorCode::NONE),
        (
            base.clone().with_features(without("kraft.version")),
            ErrorCode::UNSUPPORTED_VERSION,
        ),
        (
            base.clone()
                .with_features(without("eligible.leader.replicas.version")),
            ErrorCode::UNSUPPORTED_VERSION,
        ),
        (
            base.clone().with_features(old),
            ErrorCode::UNSUPPORTED_VERSION,
        ),
        (
            base.clone().with_features(without("metadata.version")),
            ErrorCode::INVALID_REGISTRATION,
        ),
        (
            base.clone()
                .with_features(all.clone())
                .with_log_dirs(Vec::new()),
            ErrorCode::INVALID_REGISTRATION,
        ),
        (
            base.clone()
                .with_features(all.clone())
                .with_log_dirs(reserved),
            ErrorCode::INVALID_REGISTRATION,
        ),
        (
            base.clone().with_features(all.clone()).with_log_dirs(twice),
            ErrorCode::INVALID_REGISTRATION,
        ),
        (
            base.clone()
                .with_features(all.clone())
                .with_cluster_id(text("other")),
            ErrorCode::INCONSISTENT_CLUSTER_ID,
        ),
    ];
    for (request, expected) in cases {
        let cx = Cx {
            now_ms: 0,
            next_offset: 9,
            random: &script.random,
            is_forwarded: true,
        };
        let outcome = script
            .controller
            .register_broker(&cx, &script.heartbeats, &request);
        let code = outcome.map_or_else(|error| error.code, |_| ErrorCode::NONE);
        assert_eq!(code, expected, "{request:?}");
    }
    script.start_broker(2);
    let taken = base.with_features(all).with_log_dirs(vec![directory(2)]);
    let cx = Cx {
        now_ms: 0,
        next_offset: 9,
        random: &script.random,
        is_forwarded: true,
    };
    let error = script
        .controller
        .register_broker(&cx, &script.heartbeats, &taken)
        .unwrap_err();
    assert!(
        error
            .message()
            .starts_with("Broker 2 is already registered"),
        "{error}"
    );
    assert!(
        script
            .controller
            .image()
            .configs
            .get(&ConfigResource::broker(1))
            .is_none()
    );
}
