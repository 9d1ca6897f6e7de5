use bytes::{Buf as _, Bytes};
use kafka_protocol::messages::fetch_request::{
    FetchPartition as WantedPartition, FetchTopic as WantedTopic, ForgottenTopic,
};
use kafka_protocol::messages::{FetchResponse, TopicName};
use kafka_protocol::protocol::{Decodable as _, StrBytes};
use kafka_shared::record::batch;

use super::*;
use crate::log::AppendOrigin;
use crate::replica::append::AppendEntry;
use crate::replica::testing::{NODE, World, batch, registration, topic_id};

/// A request of one version; topics are named as the version wants them.
struct Client {
    version: i16,
    session_id: i32,
    session_epoch: i32,
}

impl Client {
    fn new(version: i16) -> Self {
        let session_epoch = if version >= 7 { 0 } else { -1 };
        Self {
            version,
            session_id: 0,
            session_epoch,
        }
    }

    fn topic(&self, name: &str) -> (TopicName, Uuid) {
        match self.version {
            ..FIRST_TOPIC_ID => (TopicName(StrBytes::from_string(name.into())), Uuid::nil()),
            _ => (TopicName::default(), topic_id(name)),
        }
    }

    fn request(&self, wanted: &[(&str, i32, i64)], forgotten: &[(&str, i32)]) -> FetchRequest {
        let topics = wanted.iter().map(|&(name, partition, offset)| {
            let (topic, id) = self.topic(name);
            let partition = WantedPartition::default()
                .with_partition(partition)
                .with_fetch_offset(offset)
                .with_current_leader_epoch(-1)
                .with_last_fetched_epoch(-1)
                .with_partition_max_bytes(1 << 20);
            WantedTopic::default()
                .with_topic(topic)
                .with_topic_id(id)
                .with_partitions(vec![partition])
        });
        let forgotten = forgotten.iter().map(|&(name, partition)| {
            let (topic, id) = self.topic(name);
            ForgottenTopic::default()
                .with_topic(topic)
                .with_topic_id(id)
                .with_partitions(vec![partition])
        });
        FetchRequest::default()
            .with_max_wait_ms(0)
            .with_min_bytes(1)
            .with_max_bytes(1 << 20)
            .with_session_id(self.session_id)
            .with_session_epoch(self.session_epoch)
            .with_topics(topics.collect())
            .with_forgotten_topics_data(forgotten.collect())
    }

    /// Sends a request and decodes the response with the reference decoder.
    async fn send(&self, world: &World, request: FetchRequest) -> FetchResponse {
        let version = self.version;
        let sender = Sender {
            listener: "PLAINTEXT",
            version,
            correlation_id: 5,
        };
        let frame = fetch(&world.replicas, sender, request).await.unwrap();
        let mut bytes = frame.to_bytes().unwrap();
        bytes.advance(if version >= 12 { 9 } else { 8 });
        let response = FetchResponse::decode(&mut bytes, version).unwrap();
        assert!(bytes.is_empty(), "{} bytes are left over", bytes.len());
        response
    }

    async fn fetch(&self, world: &World, wanted: &[(&str, i32, i64)]) -> FetchResponse {
        self.send(world, self.request(wanted, &[])).await
    }
}

async fn append(world: &World, topic: &str, records: Bytes) {
    let partition = world.replicas.partition(topic, 0);
    let entry = [AppendEntry { partition, records }];
    let appended = world
        .replicas
        .append_records(1, Duration::ZERO, AppendOrigin::Client, &entry)
        .await;
    assert_eq!(appended[0].error, ErrorCode::NONE);
}

/// One line per partition: topic, number, error, high watermark, number of batches.
fn lines(response: &FetchResponse) -> Vec<String> {
    let mut lines = Vec::new();
    for topic in &response.responses {
        let name = match &*topic.topic.0 {
            "" => ["t", "u"]
                .into_iter()
                .find(|name| topic_id(name) == topic.topic_id)
                .unwrap_or("?"),
            name => name,
        };
        for p in &topic.partitions {
            let records = p.records.clone().unwrap_or_default();
            let n_batches = batch::batches(&records).map(Result::unwrap).count();
            let error = ErrorCode(p.error_code).name();
            lines.push(format!(
                "{name}-{} {error} hw={} batches={n_batches}",
                p.partition_index, p.high_watermark
            ));
        }
    }
    lines
}

#[tokio::test]
async fn every_version_reads_the_records_and_tells_errors_apart() {
    let world = World::start();
    world.create_topic("t", 2);
    for _ in 0..2 {
        append(&world, "t", batch(&["a", "b"])).await;
    }
    for version in 4..=18 {
        let client = Client::new(version);
        let response = client
            .fetch(
                &world,
                &[("t", 0, 2), ("t", 1, 0), ("t", 1, 9), ("x", 0, 0)],
            )
            .await;
        let unknown = match version {
            ..13 => "x-0 UNKNOWN_TOPIC_OR_PARTITION",
            _ => "?-0 UNKNOWN_TOPIC_ID",
        };
        assert_eq!(
            lines(&response),
            [
                "t-0 NONE hw=4 batches=1".to_owned(),
                "t-1 OFFSET_OUT_OF_RANGE hw=-1 batches=0".to_owned(),
                format!("{unknown} hw=-1 batches=0"),
            ],
            "version {version}"
        );
        assert_eq!(response.session_id != 0, version >= 7, "version {version}");
    }
}

#[tokio::test]
async fn a_session_goes_over_the_wire() {
    let world = World::start();
    world.create_topic("t", 2);
    world.create_topic("u", 1);
    for version in [7, 12, 13, 18] {
        let mut client = Client::new(version);
        let wanted = [
            ("t", 0, world.partition("t", 0).log().log_end_offset()),
            ("u", 0, 0),
        ];
        let first = client.fetch(&world, &wanted).await;
        assert_eq!((first.error_code, lines(&first).len()), (0, 2));
        client.session_id = first.session_id;

        client.session_epoch = 1;
        let quiet = client.fetch(&world, &[]).await;
        assert_eq!((quiet.session_id, quiet.error_code), (first.session_id, 0));
        assert!(lines(&quiet).is_empty());

        append(&world, "t", batch(&["a"])).await;
        client.session_epoch = 2;
        let news = lines(&client.fetch(&world, &[]).await);
        assert_eq!(news.len(), 1);
        assert!(
            news[0].starts_with("t-0 NONE") && news[0].ends_with("batches=1"),
            "{news:?}"
        );

        let repeated = client.fetch(&world, &[]).await;
        assert_eq!(
            ErrorCode(repeated.error_code),
            ErrorCode::INVALID_FETCH_SESSION_EPOCH
        );
        assert_eq!((repeated.session_id, lines(&repeated).len()), (0, 0));

        client.session_epoch = 3;
        let request = client.request(&[], &[("t", 0), ("u", 0)]);
        assert_eq!(client.send(&world, request).await.session_id, 0);
        client.session_epoch = 4;
        let gone = client.fetch(&world, &[]).await;
        assert_eq!(
            ErrorCode(gone.error_code),
            ErrorCode::FETCH_SESSION_ID_NOT_FOUND
        );
    }
    assert_eq!(world.replicas.fetch_sessions().lock().n_sessions(), 0);
}

#[tokio::test]
async fn who_leads_instead_is_told_from_version_16_on() {
    let world = World::start();
    world.register_broker(2, "kafka2");
    world.register("t", 0, registration(2, 6, &[NODE, 2]));
    world.register("u", 0, registration(2, 7, &[2]));
    for version in [10, 12, 15, 16, 18] {
        let response = Client::new(version)
            .fetch(&world, &[("t", 0, 0), ("u", 0, 0)])
            .await;
        let leaders: Vec<(i32, i32)> = response
            .responses
            .iter()
            .flat_map(|topic| &topic.partitions)
            .map(|p| (p.current_leader.leader_id.0, p.current_leader.leader_epoch))
            .collect();
        let hosts: Vec<&str> = response
            .node_endpoints
            .iter()
            .map(|node| &*node.host)
            .collect();
        if version >= 16 {
            assert_eq!(leaders[1], (2, 7));
            assert_eq!(hosts, ["kafka2"], "version {version}");
        } else {
            assert_eq!(
                (leaders[1], hosts.len()),
                ((-1, -1), 0),
                "version {version}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_answers_when_the_first_record_is_there() {
    let world = World::start();
    world.create_topic("t", 1);
    let client = Client::new(18);
    let request = client.request(&[("t", 0, 0)], &[]).with_max_wait_ms(30_000);
    let before = tokio::time::Instant::now();
    let (response, ()) = tokio::join!(client.send(&world, request), async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        append(&world, "t", batch(&["a"])).await;
    });
    assert_eq!(before.elapsed(), Duration::from_millis(700));
    assert_eq!(lines(&response), ["t-0 NONE hw=1 batches=1"]);
}

#[tokio::test]
async fn readers_of_committed_records_are_told_of_no_aborted_transactions() {
    let world = World::start();
    world.create_topic("t", 1);
    append(&world, "t", batch(&["a"])).await;
    for (isolation_level, expected) in [(0, None), (1, Some(0))] {
        let client = Client::new(11);
        let request = client
            .request(&[("t", 0, 0)], &[])
            .with_isolation_level(isolation_level);
        let response = client.send(&world, request).await;
        let partition = &response.responses[0].partitions[0];
        let aborted = partition.aborted_transactions.as_ref().map(Vec::len);
        assert_eq!((aborted, partition.last_stable_offset), (expected, 1));
    }
}
