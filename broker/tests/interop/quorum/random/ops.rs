//! Operations of administrators and brokers, drawn by a seed: what makes sense, and what doesn't.

use kafka_broker::metadata::MetadataImage;

/// A generator of numbers; the same seed draws the same numbers.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, below: usize) -> usize {
        (self.next() % below.max(1) as u64) as usize
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }
}

/// The brokers that the test plays.
pub const BROKERS: [i32; 5] = [101, 102, 103, 104, 105];

/// With more topics than this, some are deleted before more are created.
const TOPICS_MAX: usize = 50;

/// A topic that a request creates.
#[derive(Debug, Clone)]
pub struct NewTopic {
    pub name: String,
    pub partitions: i32,
    pub replication_factor: i16,
    /// Partition and replicas.
    pub assignments: Vec<(i32, Vec<i32>)>,
    pub configs: Vec<(String, Option<String>)>,
}

/// Changes of a resource's configuration: operation, key and value.
#[derive(Debug, Clone)]
pub struct Resource {
    pub resource_type: i8,
    pub name: String,
    pub changes: Vec<(i8, String, Option<String>)>,
}

/// Topic and partition.
pub type Partition = (String, i32);

#[derive(Debug, Clone)]
pub enum Op {
    CreateTopics {
        topics: Vec<NewTopic>,
        validate_only: bool,
    },
    /// Creates a topic with replicas of the controller's choice, adds partitions and deletes it.
    PassingTopic {
        partitions: i32,
        replication_factor: i16,
    },
    DeleteTopics(Vec<String>),
    DeleteTopicsById(Vec<String>),
    CreatePartitions {
        topic: String,
        count: i32,
        assignments: Option<Vec<Vec<i32>>>,
        validate_only: bool,
    },
    AlterConfigs {
        resources: Vec<Resource>,
        validate_only: bool,
        is_legacy: bool,
    },
    /// 0 preferred, 1 unclean; `None` for all partitions.
    ElectLeaders(i8, Option<Vec<Partition>>),
    /// `None` cancels.
    Reassign {
        moves: Vec<(Partition, Option<Vec<i32>>)>,
        allow_factor_change: bool,
    },
    ListReassignments(Option<Vec<Partition>>),
    /// Entity as kind and name, and key with value; `None` removes.
    Quotas {
        entries: Vec<QuotaChange>,
        validate_only: bool,
    },
    Scram {
        /// User and mechanism.
        deletions: Vec<(String, i8)>,
        /// User, mechanism and iterations.
        upsertions: Vec<(String, i8, i32)>,
        seed: u8,
    },
    Register {
        broker: i32,
        kind: Registration,
    },
    Heartbeat {
        broker: i32,
        fence: bool,
        shut_down: bool,
        is_first_dir_offline: bool,
        is_stale: bool,
    },
    Unregister(i32),
    /// Feature, level and kind of upgrade.
    UpdateFeatures {
        updates: Vec<(String, i16, i8)>,
        validate_only: bool,
    },
    AlterPartition {
        partition: Partition,
        by: i32,
        isr: Vec<i32>,
        leader_epoch_change: i32,
        partition_epoch_change: i32,
        knows_epochs: bool,
        recovery: i8,
    },
    ProducerIds {
        broker: i32,
        is_stale: bool,
    },
    AssignDirs {
        broker: i32,
        partition: Partition,
        dir: usize,
    },
}

/// Entity and its keys with values.
pub type QuotaChange = (Vec<(String, Option<String>)>, Vec<(String, Option<f64>)>);

/// How a broker registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// After a clean shutdown, or after one that wasn't.
    Restart {
        is_clean: bool,
    },
    /// As the process that it is.
    Again,
    NoDirs,
    ReservedDir,
    ForeignCluster,
    TooOld,
    NoMetadataVersion,
}

pub fn draw(random: &mut Random, image: &MetadataImage) -> Op {
    let mut draw = Draw { random, image };
    match draw.random.below(100) {
        0..14 if image.topics.len() > TOPICS_MAX => Op::DeleteTopics(draw.topic_names()),
        0..14 => draw.create_topics(),
        14..16 => Op::PassingTopic {
            partitions: draw.random.below(5) as i32 - 1,
            replication_factor: draw.random.below(7) as i16 - 1,
        },
        16..21 => Op::DeleteTopics(draw.topic_names()),
        21..23 => Op::DeleteTopicsById(draw.topic_names()),
        23..28 => draw.create_partitions(),
        28..44 => draw.alter_configs(),
        44..48 => draw.elect_leaders(),
        48..55 => draw.reassign(),
        55..57 => draw.list_reassignments(),
        57..64 => draw.quotas(),
        64..69 => draw.scram(),
        69..73 => draw.register(),
        73..82 => draw.heartbeat(),
        82..83 => Op::Unregister(draw.broker()),
        83..86 => draw.update_features(),
        86..97 => draw.alter_partition(),
        97..98 => Op::ProducerIds {
            broker: draw.broker(),
            is_stale: draw.random.one_in(4),
        },
        _ => Op::AssignDirs {
            broker: draw.broker(),
            partition: draw.partition(),
            dir: draw.random.below(3),
        },
    }
}

struct Draw<'a> {
    random: &'a mut Random,
    image: &'a MetadataImage,
}

const ODD_NAMES: [&str; 8] = [
    "",
    ".",
    "a b",
    "__cluster_metadata",
    "t_1",
    "t.1",
    "nowhere",
    "__consumer_offsets",
];

const TOPIC_CONFIGS: [(&str, &[&str]); 16] = [
    ("retention.ms", &["1", "86400000", "-1", "-2", "x", ""]),
    (
        "cleanup.policy",
        &[
            "delete",
            "compact",
            "compact,delete",
            "delete,delete",
            "none",
            "",
        ],
    ),
    ("min.insync.replicas", &["1", "2", "3", "0", "9"]),
    (
        "unclean.leader.election.enable",
        &["true", "false", "maybe"],
    ),
    ("compression.type", &["zstd", "producer", "brotli"]),
    ("max.message.bytes", &["1000", "0", "-1", "99999999999"]),
    ("segment.bytes", &["1048576", "1", "10485760"]),
    ("retention.bytes", &["-1", "1000000", "1.5"]),
    (
        "leader.replication.throttled.replicas",
        &["*", "0:101,1:102", "0:101", "x"],
    ),
    (
        "follower.replication.throttled.replicas",
        &["*", "0:101", "", "1-2"],
    ),
    (
        "message.timestamp.type",
        &["CreateTime", "LogAppendTime", "createtime"],
    ),
    ("min.cleanable.dirty.ratio", &["0.5", "0", "1.1"]),
    ("compression.zstd.level", &["3", "22", "23", "-131072"]),
    ("local.retention.ms", &["-2", "100", "-3"]),
    ("no.such.key", &["1"]),
    ("segment.ms", &["1", "0", "604800000"]),
];

/// Values that make sense: brokers check them, and controllers take what they are told.
const BROKER_CONFIGS: [(&str, &[&str]); 8] = [
    ("min.insync.replicas", &["1", "2", "3"]),
    ("log.retention.ms", &["1", "2000"]),
    ("unclean.leader.election.enable", &["true", "false"]),
    ("leader.replication.throttled.rate", &["1000", "-1"]),
    ("cordoned.log.dirs", &["/a", "*", ""]),
    ("message.max.bytes", &["1000000", "2000000"]),
    ("no.such.key", &["1"]),
    ("background.threads", &["10", "11"]),
];

const GROUP_CONFIGS: [(&str, &[&str]); 6] = [
    (
        "consumer.session.timeout.ms",
        &["45000", "50000", "1", "x", "9999999"],
    ),
    (
        "consumer.heartbeat.interval.ms",
        &["5000", "6000", "1", "99999"],
    ),
    (
        "share.isolation.level",
        &["read_committed", "read_uncommitted", "x"],
    ),
    (
        "share.auto.offset.reset",
        &["latest", "earliest", "by_duration:PT1H", "never"],
    ),
    ("streams.num.standby.replicas", &["0", "1", "99"]),
    ("no.such.key", &["1"]),
];

const METRICS_CONFIGS: [(&str, &[&str]); 4] = [
    ("interval.ms", &["1000", "99", "3600001", "x"]),
    ("metrics", &["org.apache.kafka.", "*", "", "a,b"]),
    (
        "match",
        &["client_id=a.*", "client_software_name=[", "colour=red", ""],
    ),
    ("no.such.key", &["1"]),
];

impl Draw<'_> {
    fn broker(&mut self) -> i32 {
        if self.random.one_in(40) {
            return 199;
        }
        self.random.pick(&BROKERS)
    }

    /// So many different brokers, mostly.
    fn brokers(&mut self, count: usize) -> Vec<i32> {
        let mut all = BROKERS.to_vec();
        let mut some: Vec<i32> = (0..count)
            .map(|_| all.remove(self.random.below(all.len())))
            .collect();
        if self.random.one_in(25) {
            let odd = [199, 101, -1];
            some.push(self.random.pick(&odd));
        }
        some
    }

    fn topic_name(&mut self) -> String {
        let existing: Vec<_> = self
            .image
            .topics
            .iter()
            .map(|topic| topic.name.to_string())
            .collect();
        match self.random.below(20) {
            0 => self.random.pick(&ODD_NAMES).to_owned(),
            1 => "nowhere".to_owned(),
            _ if existing.is_empty() => "t0".to_owned(),
            _ => self.random.pick(&existing),
        }
    }

    fn topic_names(&mut self) -> Vec<String> {
        let count = 1 + self.random.below(2) + usize::from(self.random.one_in(10));
        (0..count).map(|_| self.topic_name()).collect()
    }

    fn partition(&mut self) -> Partition {
        let topic = self.topic_name();
        let count = self
            .image
            .topics
            .by_name(&topic)
            .map_or(1, |topic| topic.partition_count());
        let beyond = usize::from(self.random.one_in(15));
        (topic, self.random.below(count + beyond) as i32)
    }

    fn partitions(&mut self) -> Vec<Partition> {
        (0..1 + self.random.below(3))
            .map(|_| self.partition())
            .collect()
    }

    /// Some of the keys, with values that are mostly right.
    fn values(&mut self, table: &[(&str, &[&str])], most: usize) -> Vec<(String, Option<String>)> {
        let count = self.random.below(most + 1);
        let mut values = Vec::new();
        for _ in 0..count {
            let (key, choice) = self.random.pick(table);
            // The first ones of each row are right.
            let among = if self.random.one_in(4) {
                choice.len()
            } else {
                1.max(choice.len() / 2)
            };
            let value = match self.random.below(60) {
                0 => None,
                1 if table != BROKER_CONFIGS => Some("x".repeat(20_000)),
                _ => Some(choice[self.random.below(among)].to_owned()),
            };
            if key != "no.such.key" || self.random.one_in(4) {
                values.push((key.to_owned(), value));
            }
        }
        values
    }

    fn new_topic(&mut self) -> NewTopic {
        let mut topic = NewTopic {
            name: match self.random.below(12) {
                0 => self.random.pick(&ODD_NAMES).to_owned(),
                1 => self.topic_name(),
                // A new name: Apache's may have kept settings (see `kept::compare_strictly`).
                _ => format!("t{}-{}", self.image.offset(), self.random.below(100)),
            },
            partitions: -1,
            replication_factor: -1,
            assignments: Vec::new(),
            configs: self.values(&TOPIC_CONFIGS, 2),
        };
        let replicas = 1 + self.random.below(4);
        for idx in 0..1 + self.random.below(4) as i32 {
            let odd = self.random.one_in(60);
            let assigned = if odd {
                Vec::new()
            } else {
                self.brokers(replicas)
            };
            topic.assignments.push((idx, assigned));
        }
        match self.random.below(40) {
            0 => topic.partitions = 1,
            1 => topic.replication_factor = 1,
            2 => topic.assignments[0].0 = 7,
            3 => topic.assignments.push((0, vec![101])),
            4 => {
                // Without an assignment it is refused, or its replicas are anybody's guess.
                topic.assignments.clear();
                topic.partitions = self.random.pick(&[0, -2, 10_001]);
            }
            5 => {
                topic.assignments.clear();
                topic.partitions = 1;
                topic.replication_factor = self.random.pick(&[0, -2, 9]);
            }
            _ => {}
        }
        topic
    }

    fn create_topics(&mut self) -> Op {
        let count = 1 + usize::from(self.random.one_in(5)) + usize::from(self.random.one_in(5));
        Op::CreateTopics {
            topics: (0..count).map(|_| self.new_topic()).collect(),
            validate_only: self.random.one_in(8),
        }
    }

    fn create_partitions(&mut self) -> Op {
        let topic = self.topic_name();
        let image = self.image.topics.by_name(&topic);
        let now = image.map_or(1, |topic| topic.partition_count());
        let factor = image.and_then(|topic| Some(topic.partition(0)?.replicas.len()));
        let more = 1 + self.random.below(3);
        let named = if self.random.one_in(10) {
            more + 1
        } else {
            more
        };
        let factor = match self.random.below(12) {
            0 => 1,
            1 => 0,
            _ => factor.unwrap_or(2).min(BROKERS.len()),
        };
        let mut assignments = Some((0..named).map(|_| self.brokers(factor)).collect());
        let count = match self.random.below(12) {
            0 => now as i32,
            1 => now as i32 - 1,
            2 => {
                assignments = None;
                self.random.pick(&[0, -1, 10_500])
            }
            _ => (now + more) as i32,
        };
        Op::CreatePartitions {
            topic,
            count,
            assignments,
            validate_only: self.random.one_in(8),
        }
    }

    fn resource(&mut self, is_legacy: bool) -> Resource {
        let (resource_type, name, table): (i8, String, &[(&str, &[&str])]) =
            match self.random.below(20) {
                0..11 => (2, self.topic_name(), &TOPIC_CONFIGS),
                11..13 => (4, String::new(), &BROKER_CONFIGS),
                13..15 => (4, self.broker().to_string(), &BROKER_CONFIGS),
                15..17 => {
                    let name = self.random.pick(&["g1", "g2", ""]);
                    (32, name.to_owned(), &GROUP_CONFIGS)
                }
                17..19 => {
                    let name = self.random.pick(&["m1", "m2", ""]);
                    (16, name.to_owned(), &METRICS_CONFIGS)
                }
                _ => match self.random.below(3) {
                    0 => (3, "x".to_owned(), &TOPIC_CONFIGS),
                    1 => (4, "x".to_owned(), &BROKER_CONFIGS),
                    _ => (4, "-1".to_owned(), &BROKER_CONFIGS),
                },
            };
        let values = self.values(table, 3);
        let change = |(key, value): (String, Option<String>)| {
            let op = match self.random.below(12) {
                _ if is_legacy => 0,
                0..7 => 0,
                7..10 => 1,
                10 => 2,
                _ => 3,
            };
            // Apache Kafka's controller answers UNKNOWN_SERVER_ERROR to lists that are null.
            let value = if op >= 2 {
                value.or_else(|| Some("a".to_owned()))
            } else {
                value
            };
            (op, key, value)
        };
        Resource {
            resource_type,
            name,
            changes: values.into_iter().map(change).collect(),
        }
    }

    fn alter_configs(&mut self) -> Op {
        let is_legacy = self.random.one_in(5);
        let count = 1 + usize::from(self.random.one_in(4)) + usize::from(self.random.one_in(8));
        Op::AlterConfigs {
            resources: (0..count).map(|_| self.resource(is_legacy)).collect(),
            validate_only: self.random.one_in(8),
            is_legacy,
        }
    }

    fn elect_leaders(&mut self) -> Op {
        let election_type = self.random.pick(&[0, 0, 0, 1, 1]);
        let all = self.random.one_in(6);
        let partitions = if all { None } else { Some(self.partitions()) };
        Op::ElectLeaders(election_type, partitions)
    }

    fn reassign(&mut self) -> Op {
        let mut moves = Vec::new();
        for partition in self.partitions() {
            let count = 1 + self.random.below(4);
            let target = match self.random.below(10) {
                0..3 => None,
                3 if self.random.one_in(3) => Some(Vec::new()),
                _ => Some(self.brokers(count)),
            };
            if !moves.iter().any(|(other, _)| *other == partition) {
                moves.push((partition, target));
            }
        }
        Op::Reassign {
            moves,
            allow_factor_change: !self.random.one_in(5),
        }
    }

    fn list_reassignments(&mut self) -> Op {
        let all = self.random.one_in(2);
        Op::ListReassignments(if all { None } else { Some(self.partitions()) })
    }

    fn quotas(&mut self) -> Op {
        let mut entries = Vec::new();
        for _ in 0..1 + self.random.below(2) {
            let kinds: &[&str] = match self.random.below(12) {
                0..4 => &["user"],
                4..6 => &["client-id"],
                6..9 => &["user", "client-id"],
                9..11 => &["ip"],
                _ => match self.random.below(3) {
                    0 => &[],
                    1 => &["ip", "user"],
                    _ => &["group"],
                },
            };
            let mut entity = Vec::new();
            for kind in kinds {
                let names: &[&str] = match *kind {
                    "ip" => &["127.0.0.1", "::1", "10.1.2.3"],
                    _ => &["a", "b", "c", ""],
                };
                let name = self.random.pick(names).to_owned();
                let name = if self.random.one_in(5) {
                    None
                } else {
                    Some(name)
                };
                entity.push(((*kind).to_owned(), name));
            }
            let mut ops = Vec::new();
            for _ in 0..1 + self.random.below(3) {
                let key = if kinds == ["ip"] && !self.random.one_in(10) {
                    "connection_creation_rate"
                } else {
                    self.random.pick(&[
                        "producer_byte_rate",
                        "consumer_byte_rate",
                        "request_percentage",
                        "controller_mutation_rate",
                        "producer_byte_rate",
                        "nothing",
                    ])
                };
                // Large enough that nobody is slowed down, where they take effect.
                let values = [
                    Some(1e9),
                    Some(2e9),
                    Some(1e9 + 0.5),
                    Some(0.0),
                    Some(1e20),
                    Some(-1.0),
                ];
                let value = match self.random.below(10) {
                    0..3 => None,
                    3..8 => self.random.pick(&values[..2]),
                    _ => self.random.pick(&values),
                };
                ops.push((key.to_owned(), value));
            }
            entries.push((entity, ops));
        }
        Op::Quotas {
            entries,
            validate_only: self.random.one_in(8),
        }
    }

    fn scram(&mut self) -> Op {
        let mut user = || {
            self.random
                .pick(&["alice", "bob", "carol", "dave", ""])
                .to_owned()
        };
        let names: Vec<String> = (0..3).map(|_| user()).collect();
        let mut deletions = Vec::new();
        let mut upsertions = Vec::new();
        for name in names {
            let mechanism = self.random.pick(&[1, 1, 2, 2, 2, 1, 0, 3]);
            match self.random.below(4) {
                0 => deletions.push((name, mechanism)),
                1 | 2 => {
                    let iterations = self.random.pick(&[4096, 8192, 16384, 4095, 16385, 5000]);
                    upsertions.push((name, mechanism, iterations));
                }
                _ => {}
            }
        }
        Op::Scram {
            deletions,
            upsertions,
            seed: self.random.below(256) as u8,
        }
    }

    fn register(&mut self) -> Op {
        let kind = match self.random.below(14) {
            0..5 => Registration::Restart { is_clean: true },
            5..8 => Registration::Restart { is_clean: false },
            8 => Registration::NoDirs,
            9 => Registration::ReservedDir,
            10 => Registration::ForeignCluster,
            11 => Registration::TooOld,
            12 => Registration::NoMetadataVersion,
            _ => Registration::Again,
        };
        let missing = BROKERS
            .into_iter()
            .find(|id| self.image.cluster.broker(*id).is_none());
        let broker = match missing {
            Some(missing) if self.random.one_in(2) => missing,
            _ => self.random.pick(&BROKERS),
        };
        Op::Register { broker, kind }
    }

    fn heartbeat(&mut self) -> Op {
        let (fence, shut_down) = match self.random.below(20) {
            0..2 => (true, false),
            2..4 => (false, true),
            4 => (true, true),
            _ => (false, false),
        };
        Op::Heartbeat {
            broker: self.broker(),
            fence,
            shut_down,
            is_first_dir_offline: self.random.one_in(40),
            is_stale: self.random.one_in(30),
        }
    }

    fn update_features(&mut self) -> Op {
        let mut update = || {
            let (name, levels): (&str, &[i16]) = match self.random.below(9) {
                0..4 => ("eligible.leader.replicas.version", &[0, 1, 1, 2]),
                4 => ("metadata.version", &[30, 29, 31, 6, 26]),
                5 => ("kraft.version", &[1, 0, 2]),
                6 => ("no.such.feature", &[0, 1]),
                7 => ("group.version", &[0, 2, -1]),
                _ => ("share.version", &[0, 2]),
            };
            let level = self.random.pick(levels);
            (
                name.to_owned(),
                level,
                self.random.pick(&[1, 1, 2, 2, 3, 9]),
            )
        };
        let mut updates = vec![update()];
        let second = update();
        if second.0 != updates[0].0 && self.random.one_in(4) {
            updates.push(second);
        }
        Op::UpdateFeatures {
            updates,
            validate_only: self.random.one_in(3),
        }
    }

    fn alter_partition(&mut self) -> Op {
        let partition = self.partition();
        let registration = self.image.topics.partition(&partition.0, partition.1);
        let leader = registration.map_or(101, |partition| partition.leader);
        let by = if self.random.one_in(12) {
            self.broker()
        } else {
            leader
        };
        let mut isr: Vec<i32> = registration.map_or(vec![101], |p| p.replicas.to_vec());
        isr.retain(|id| *id == by || !self.random.one_in(3));
        if self.random.one_in(30) {
            isr.push(self.broker());
        }
        Op::AlterPartition {
            partition,
            by,
            isr,
            leader_epoch_change: self.random.pick(&[0, 0, 0, 0, 0, 0, 0, 0, -1, 1]),
            partition_epoch_change: self.random.pick(&[0, 0, 0, 0, 0, 0, 0, 0, -1, 1]),
            knows_epochs: !self.random.one_in(4),
            recovery: i8::from(self.random.one_in(30)),
        }
    }
}
