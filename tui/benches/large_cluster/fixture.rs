//! A cluster that only says that it is large: three nodes that answer what the manager asks, from
//! numbers, with offsets that grow.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::describe_quorum_response::{PartitionData, ReplicaState, TopicData};
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::*;
use kafka_shared::protocol::frame::FrameBuffer;
use kafka_shared::protocol::messages::{
    DescribeLogDirsPartition, DescribeLogDirsResponse, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_shared::protocol::{Request, StrBytes, api, codec, header};
use kafka_shared::task;
use kafka_shared::time::{Clock as _, SystemClock};
use kafka_shared::types::Uuid;
use kafka_tui::cluster::consumer_protocol::{encode_assignment, encode_subscription};
use kafka_tui::model::TopicAssignment;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// How large it is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub topics: usize,
    /// Spread evenly; what is left over has the last topic.
    pub partitions: usize,
    pub groups: usize,
}

impl Size {
    /// How many a topic has.
    pub fn partitions_of(&self, topic: usize) -> usize {
        let each = self.partitions / self.topics;
        if topic + 1 == self.topics {
            each + self.partitions % self.topics
        } else {
            each
        }
    }
}

/// The first offset of every partition.
const LOG_START_OFFSET: i64 = 100;

/// The end of every partition before anybody writes.
const LOG_END_OFFSET: i64 = 10_000;

/// Records of a partition to which nobody writes.
pub const STILL_RECORDS: i64 = LOG_END_OFFSET - LOG_START_OFFSET;

/// Topics that each group reads.
const TOPICS_PER_GROUP: usize = 5;

const NODES: i32 = 3;

/// No request is longer.
const FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What the manager asks and this answers.
const APIS: [ApiKey; 13] = [
    ApiKey::ApiVersions,
    ApiKey::Metadata,
    ApiKey::DescribeCluster,
    ApiKey::ListOffsets,
    ApiKey::DescribeConfigs,
    ApiKey::DescribeLogDirs,
    ApiKey::ListGroups,
    ApiKey::DescribeGroups,
    ApiKey::OffsetFetch,
    ApiKey::FindCoordinator,
    ApiKey::DescribeQuorum,
    ApiKey::ListPartitionReassignments,
    ApiKey::DescribeTopicPartitions,
];

struct Cluster {
    size: Size,
    /// Nobody writes to it.
    is_still: bool,
    ports: Vec<u16>,
    clock: SystemClock,
    n_requests: AtomicU64,
}

/// Starts the nodes; they answer until the process ends.
async fn serve(size: Size, is_still: bool) -> anyhow::Result<Arc<Cluster>> {
    let mut listeners = Vec::new();
    for _ in 0..NODES {
        listeners.push(TcpListener::bind("127.0.0.1:0").await.context("listen")?);
    }
    let ports = listeners
        .iter()
        .map(|listener| Ok(listener.local_addr()?.port()))
        .collect::<anyhow::Result<Vec<u16>>>()?;
    let cluster = Arc::new(Cluster {
        size,
        is_still,
        ports,
        clock: SystemClock::new(),
        n_requests: AtomicU64::new(0),
    });
    for (at, listener) in listeners.into_iter().enumerate() {
        let cluster = Arc::clone(&cluster);
        drop(task::spawn("fixture-node", async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (cluster, node) = (Arc::clone(&cluster), at as i32 + 1);
                drop(task::spawn("fixture-connection", async move {
                    // A client that goes away ends its connection only.
                    let _ = connection(&cluster, node, socket).await;
                }));
            }
        }));
    }
    Ok(cluster)
}

async fn connection(cluster: &Cluster, node: i32, mut socket: TcpStream) -> anyhow::Result<()> {
    socket.set_nodelay(true)?;
    let mut frames = FrameBuffer::new(FRAME_BYTES_MAX);
    loop {
        while let Some(mut frame) = frames.next_frame()? {
            let header = header::parse_request_header(&mut frame)?;
            cluster.n_requests.fetch_add(1, Ordering::Relaxed);
            let answer = cluster.answer(node, &header, frame)?;
            socket.write_all(&answer).await?;
        }
        if socket.read_buf(frames.space()).await? == 0 {
            return Ok(());
        }
    }
}

fn text(text: impl Into<String>) -> StrBytes {
    StrBytes::from_string(text.into())
}

fn topic_name(at: usize) -> String {
    format!("team-{:02}.service-{:03}.topic-{at:05}", at % 40, at % 250)
}

fn topic_of_name(name: &str) -> Option<usize> {
    name.rsplit_once('-')?.1.parse().ok()
}

fn group_name(at: usize) -> String {
    format!("team-{:02}.consumer-{at:04}", at % 40)
}

fn group_of_name(name: &str) -> Option<usize> {
    name.rsplit_once('-')?.1.parse().ok()
}

/// Records that a group is behind in a partition.
fn behind(topic: usize, partition: usize) -> i64 {
    ((topic + partition) % 50) as i64
}

/// Replicas of a partition, the leader first.
fn replicas(topic: usize, partition: usize) -> [i32; 3] {
    let first = (topic + partition) as i32 % NODES;
    [first + 1, (first + 1) % NODES + 1, (first + 2) % NODES + 1]
}

impl Cluster {
    fn answer(
        &self,
        node: i32,
        header: &header::RequestHeader,
        mut body: Bytes,
    ) -> anyhow::Result<BytesMut> {
        let key = header.api().context("an unknown API")?;
        let body = &mut body;
        match key {
            ApiKey::ApiVersions => reply::<ApiVersionsRequest>(header, body, |_| self.versions()),
            ApiKey::Metadata => reply(header, body, |request| self.metadata(&request)),
            ApiKey::DescribeCluster => {
                reply::<DescribeClusterRequest>(header, body, |_| self.describe())
            }
            ApiKey::ListOffsets => reply(header, body, |request| self.list_offsets(&request)),
            ApiKey::DescribeConfigs => reply(header, body, |request| configs(&request)),
            ApiKey::DescribeLogDirs => {
                reply::<DescribeLogDirsRequest>(header, body, |_| self.log_dirs(node))
            }
            ApiKey::ListGroups => {
                reply::<ListGroupsRequest>(header, body, |_| self.list_groups(node))
            }
            ApiKey::DescribeGroups => reply(header, body, |request| self.describe_groups(&request)),
            ApiKey::OffsetFetch => reply(header, body, |request| self.offset_fetch(&request)),
            ApiKey::DescribeQuorum => {
                reply::<DescribeQuorumRequest>(header, body, |_| self.quorum())
            }
            ApiKey::ListPartitionReassignments => {
                reply::<ListPartitionReassignmentsRequest>(header, body, |_| Default::default())
            }
            key => anyhow::bail!("{key:?} is not part of this"),
        }
    }

    fn versions(&self) -> ApiVersionsResponse {
        let version = |key: &ApiKey| {
            let versions = api::codec_versions(*key);
            ApiVersion::default()
                .with_api_key(*key as i16)
                .with_min_version(*versions.start())
                .with_max_version(*versions.end())
        };
        ApiVersionsResponse::default().with_api_keys(APIS.iter().map(version).collect())
    }

    fn metadata(&self, request: &MetadataRequest) -> MetadataResponse {
        let brokers = self.ports.iter().enumerate().map(|(at, port)| {
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(at as i32 + 1))
                .with_host(text("127.0.0.1"))
                .with_port(i32::from(*port))
                .with_rack(Some(text(format!("rack-{at}"))))
        });
        let topics: Vec<usize> = match &request.topics {
            None => (0..self.size.topics).collect(),
            Some(asked) => asked
                .iter()
                .filter_map(|topic| topic_of_name(topic.name.as_ref()?.as_str()))
                .collect(),
        };
        MetadataResponse::default()
            .with_brokers(brokers.collect())
            .with_cluster_id(Some(text("bGFyZ2UtY2x1c3Rlci1maXg")))
            .with_controller_id(BrokerId(1))
            .with_topics(topics.into_iter().map(|topic| self.topic(topic)).collect())
    }

    fn topic(&self, topic: usize) -> MetadataResponseTopic {
        let partition = |id: usize| {
            let replicas = replicas(topic, id).map(BrokerId).to_vec();
            // A few are not in sync, so that there is something to see.
            let in_sync = if (topic + id).is_multiple_of(997) {
                2
            } else {
                3
            };
            MetadataResponsePartition::default()
                .with_partition_index(id as i32)
                .with_leader_id(replicas[0])
                .with_leader_epoch(4)
                .with_isr_nodes(replicas[..in_sync].to_vec())
                .with_replica_nodes(replicas)
        };
        MetadataResponseTopic::default()
            .with_name(Some(TopicName::from(text(topic_name(topic)))))
            .with_topic_id(Uuid::from_u128(1_000 + topic as u128))
            .with_partitions((0..self.size.partitions_of(topic)).map(partition).collect())
    }

    fn describe(&self) -> DescribeClusterResponse {
        let broker = |(at, port): (usize, &u16)| {
            DescribeClusterBroker::default()
                .with_broker_id(BrokerId(at as i32 + 1))
                .with_host(text("127.0.0.1"))
                .with_port(i32::from(*port))
                .with_rack(Some(text(format!("rack-{at}"))))
        };
        DescribeClusterResponse::default()
            .with_cluster_id(text("bGFyZ2UtY2x1c3Rlci1maXg"))
            .with_controller_id(BrokerId(1))
            .with_brokers(self.ports.iter().enumerate().map(broker).collect())
    }

    /// The end of a partition: it grows at a rate of its own.
    fn end(&self, topic: usize, partition: usize) -> i64 {
        if self.is_still {
            return LOG_END_OFFSET;
        }
        let seconds = self.clock.monotonic().as_secs_f64();
        let rate = ((topic * 31 + partition * 7) % 200) as f64;
        LOG_END_OFFSET + (rate * seconds) as i64
    }

    fn list_offsets(&self, request: &ListOffsetsRequest) -> ListOffsetsResponse {
        let topics = request.topics.iter().map(|topic| {
            let at = topic_of_name(topic.name.as_str()).unwrap_or(0);
            let partitions = topic.partitions.iter().map(|partition| {
                let id = usize::try_from(partition.partition_index).unwrap_or(0);
                let offset = if partition.timestamp == -2 {
                    LOG_START_OFFSET
                } else {
                    self.end(at, id)
                };
                ListOffsetsPartitionResponse::default()
                    .with_partition_index(partition.partition_index)
                    .with_timestamp(-1)
                    .with_offset(offset)
            });
            ListOffsetsTopicResponse::default()
                .with_name(topic.name.clone())
                .with_partitions(partitions.collect())
        });
        ListOffsetsResponse::default().with_topics(topics.collect())
    }

    fn log_dirs(&self, node: i32) -> DescribeLogDirsResponse {
        // Every node has a replica of every partition.
        let topics = (0..self.size.topics).map(|topic| {
            let partition = |id: usize| {
                DescribeLogDirsPartition::default()
                    .with_partition_index(id as i32)
                    .with_partition_size(self.end(topic, id) * 120)
            };
            DescribeLogDirsTopic::default()
                .with_name(TopicName::from(text(topic_name(topic))))
                .with_partitions((0..self.size.partitions_of(topic)).map(partition).collect())
        });
        let dir = DescribeLogDirsResult {
            log_dir: text(format!("/data/{node}")),
            topics: topics.collect(),
            total_bytes: 4 << 40,
            usable_bytes: 1 << 40,
            ..DescribeLogDirsResult::default()
        };
        DescribeLogDirsResponse {
            results: vec![dir],
            ..DescribeLogDirsResponse::default()
        }
    }

    fn list_groups(&self, node: i32) -> ListGroupsResponse {
        let own = (0..self.size.groups).filter(|group| *group as i32 % NODES + 1 == node);
        let group = |group: usize| {
            ListedGroup::default()
                .with_group_id(GroupId::from(text(group_name(group))))
                .with_protocol_type(text("consumer"))
                .with_group_state(text("Stable"))
                .with_group_type(text("classic"))
        };
        ListGroupsResponse::default().with_groups(own.map(group).collect())
    }

    /// The topics that a group reads.
    fn topics_of(&self, group: usize) -> impl Iterator<Item = usize> + '_ {
        (0..TOPICS_PER_GROUP).map(move |at| (group * TOPICS_PER_GROUP + at) % self.size.topics)
    }

    fn describe_groups(&self, request: &DescribeGroupsRequest) -> DescribeGroupsResponse {
        let group = |id: &GroupId| {
            let at = group_of_name(id.as_str()).unwrap_or(0);
            let topics: Vec<String> = self.topics_of(at).map(topic_name).collect();
            let owned = self.topics_of(at).map(|topic| TopicAssignment {
                topic: Arc::from(topic_name(topic)),
                partitions: (0..self.size.partitions_of(topic) as i32).collect(),
            });
            let owned: Vec<TopicAssignment> = owned.collect();
            let member = DescribedGroupMember::default()
                .with_member_id(text(format!(
                    "app-{at}-0f8fad5b-d9cb-469f-a165-70867728950e"
                )))
                .with_client_id(text(format!("app-{at}")))
                .with_client_host(text("/10.0.0.1"))
                .with_member_metadata(encode_subscription(&topics).unwrap_or_default().into())
                .with_member_assignment(encode_assignment(&owned).unwrap_or_default().into());
            DescribedGroup::default()
                .with_group_id(id.clone())
                .with_group_state(text("Stable"))
                .with_protocol_type(text("consumer"))
                .with_protocol_data(text("range"))
                .with_members(vec![member])
        };
        DescribeGroupsResponse::default().with_groups(request.groups.iter().map(group).collect())
    }

    fn offset_fetch(&self, request: &OffsetFetchRequest) -> OffsetFetchResponse {
        let group = |asked: &offset_fetch_request::OffsetFetchRequestGroup| {
            let at = group_of_name(asked.group_id.as_str()).unwrap_or(0);
            let topics = self.topics_of(at).map(|topic| {
                let partition = |id: usize| {
                    let behind = behind(topic, id);
                    OffsetFetchResponsePartitions::default()
                        .with_partition_index(id as i32)
                        .with_committed_offset(self.end(topic, id) - behind)
                };
                OffsetFetchResponseTopics::default()
                    .with_name(TopicName::from(text(topic_name(topic))))
                    .with_partitions((0..self.size.partitions_of(topic)).map(partition).collect())
            });
            OffsetFetchResponseGroup::default()
                .with_group_id(asked.group_id.clone())
                .with_topics(topics.collect())
        };
        OffsetFetchResponse::default().with_groups(request.groups.iter().map(group).collect())
    }

    fn quorum(&self) -> DescribeQuorumResponse {
        let replica = |id: i32| {
            ReplicaState::default()
                .with_replica_id(BrokerId(id))
                .with_log_end_offset(1_000_000)
        };
        let partition = PartitionData::default()
            .with_leader_id(BrokerId(1))
            .with_leader_epoch(7)
            .with_high_watermark(1_000_000)
            .with_current_voters((1..=NODES).map(replica).collect());
        let topic = TopicData::default()
            .with_topic_name(TopicName::from(text("__cluster_metadata")))
            .with_partitions(vec![partition]);
        DescribeQuorumResponse::default().with_topics(vec![topic])
    }
}

fn configs(request: &DescribeConfigsRequest) -> DescribeConfigsResponse {
    let value = |key: &str| match key {
        "min.insync.replicas" => "2",
        "cleanup.policy" => "delete",
        "retention.ms" => "604800000",
        _ => "-1",
    };
    let results = request.resources.iter().map(|resource| {
        let keys = resource.configuration_keys.iter().flatten();
        let configs = keys.map(|key| {
            DescribeConfigsResourceResult::default()
                .with_name(key.clone())
                .with_value(Some(text(value(key))))
                .with_config_source(5)
        });
        DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone())
            .with_configs(configs.collect())
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

/// Decodes a request, answers it and encodes the answer in the request's version.
fn reply<R: Request>(
    header: &header::RequestHeader,
    body: &mut Bytes,
    answer: impl FnOnce(R) -> R::Response,
) -> anyhow::Result<BytesMut> {
    let request = codec::decode_request::<R>(body, header.api_version)?;
    let response = answer(request);
    Ok(codec::encode_response_frame(
        &response,
        header.api_version,
        header.correlation_id,
    )?)
}

/// Serves until standard input ends, and answers each line there with the number of requests that
/// were served so far.
pub async fn serve_until_parent_is_gone(size: Size, is_still: bool) -> anyhow::Result<()> {
    let cluster = serve(size, is_still).await?;
    println!("{}", cluster.ports[0]);
    let told = task::spawn_blocking("stdin", move || {
        for _ in std::io::stdin().lines().map_while(Result::ok) {
            println!("{}", cluster.n_requests.load(Ordering::Relaxed));
        }
    });
    told.await.context("the questions")
}
