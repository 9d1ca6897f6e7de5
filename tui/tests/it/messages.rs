//! Writing and reading records.

use kafka_tui::cluster::{ReadFrom, ReadLimits, ReadMessages, TailMessages};
use kafka_tui::model::{FaultKind, Header, Message, ReadStop};
use kafka_tui::ops::{Action, CreateTopic, ProduceMessage};

use super::*;

async fn topic(client: &ClusterClient, partitions: i32) -> String {
    let name = unique("messages");
    let create = CreateTopic {
        name: name.clone(),
        partitions: Some(partitions),
        replication_factor: Some(1),
        ..CreateTopic::default()
    };
    make(client, Action::CreateTopic(create)).await;
    name
}

fn message(topic: &str, partition: i32, value: &str) -> ProduceMessage {
    ProduceMessage {
        topic: topic.to_owned(),
        partition: Some(partition),
        value: Some(value.as_bytes().to_vec()),
        ..ProduceMessage::default()
    }
}

fn read(topic: &str, from: ReadFrom, messages: usize) -> ReadMessages {
    let limits = ReadLimits {
        messages,
        ..ReadLimits::default()
    };
    ReadMessages {
        topic: topic.to_owned(),
        from,
        limits,
        ..ReadMessages::default()
    }
}

fn values(messages: &[Message]) -> Vec<String> {
    let text = |message: &Message| {
        String::from_utf8_lossy(message.value.as_deref().unwrap_or_default()).into_owned()
    };
    messages.iter().map(text).collect()
}

#[test]
fn records_come_back_as_they_were_written_with_nulls_repeats_and_order() {
    with_cluster(|bootstrap| async move {
        let client = client(&bootstrap);
        let topic = topic(&client, 3).await;
        let header = |key: &str, value: Option<&str>| {
            (key.to_owned(), value.map(|value| value.as_bytes().to_vec()))
        };
        let odd = ProduceMessage {
            key: Some(b"key".to_vec()),
            value: None,
            headers: vec![
                header("z", None),
                header("a", Some("1")),
                header("a", Some("2")),
            ],
            ..message(&topic, 0, "")
        };
        let plain = ProduceMessage {
            headers: vec![header("a", Some("1")), header("b", Some("2"))],
            ..message(&topic, 0, "value")
        };
        assert_eq!(client.produce(&odd).await.unwrap(), (0, 0));
        assert_eq!(client.produce(&plain).await.unwrap(), (0, 1));
        let (messages, report) = client
            .read_messages(&read(&topic, ReadFrom::Start, 10))
            .await
            .unwrap();
        assert_eq!((report.messages, report.stop), (2, ReadStop::End));
        let model = |(key, value): &(String, Option<Vec<u8>>)| Header {
            key: Arc::from(key.as_str()),
            value: value.clone().map(Into::into),
        };
        for (message, wanted) in messages.iter().zip([&odd, &plain]) {
            assert_eq!(message.key.as_deref(), wanted.key.as_deref());
            assert_eq!(message.value.as_deref(), wanted.value.as_deref());
            let headers: Vec<Header> = wanted.headers.iter().map(model).collect();
            assert_eq!(message.headers, headers);
        }
        make(&client, Action::DeleteTopics(vec![topic])).await;
    });
}

#[test]
fn a_read_starts_where_it_should_and_ends_at_its_limits() {
    with_cluster(|bootstrap| async move {
        let client = client(&bootstrap);
        let topic = topic(&client, 3).await;
        let mut middle = 0;
        for n in 0..12 {
            client
                .produce(&message(&topic, n % 3, &n.to_string()))
                .await
                .unwrap();
            // Timestamps are milliseconds: records in one would have no order.
            tokio::time::sleep(Duration::from_millis(3)).await;
            if n == 5 {
                middle = client.now().wall_ms;
            }
        }
        let ask = async |from, messages| {
            let read = client.read_messages(&read(&topic, from, messages)).await;
            let (messages, report) = read.unwrap();
            (values(&messages), report.stop)
        };
        let all: Vec<String> = (0..12).map(|n| n.to_string()).collect();
        assert_eq!(
            ask(ReadFrom::Start, 100).await,
            (all.clone(), ReadStop::End)
        );
        assert_eq!(
            ask(ReadFrom::Start, 4).await,
            (all[..4].to_vec(), ReadStop::MessageLimit)
        );
        assert_eq!(ask(ReadFrom::End, 5).await.0, all[7..]);
        assert_eq!(ask(ReadFrom::End, 0).await.0, [""; 0], "and it ends");
        assert_eq!(ask(ReadFrom::Time(middle), 100).await.0, all[6..]);
        assert_eq!(ask(ReadFrom::Offset(3), 100).await.0, all[9..]);
        assert_eq!(
            ask(ReadFrom::Offset(99), 100).await,
            (vec![], ReadStop::End)
        );
        let one = ReadMessages {
            partitions: Some(vec![1]),
            ..read(&topic, ReadFrom::Start, 9)
        };
        let (messages, _) = client.read_messages(&one).await.unwrap();
        assert_eq!(values(&messages), ["1", "4", "7", "10"]);
        let none = ReadMessages {
            partitions: Some(vec![7]),
            ..read(&topic, ReadFrom::Start, 9)
        };
        assert_eq!(
            client.read_messages(&none).await.unwrap_err().kind,
            FaultKind::NotFound
        );
        make(&client, Action::DeleteTopics(vec![topic])).await;
    });
}

#[test]
fn a_tail_sees_what_is_written_after_it_began_and_nothing_before() {
    with_cluster(|bootstrap| async move {
        let client = client(&bootstrap);
        let topic = topic(&client, 2).await;
        client.produce(&message(&topic, 0, "before")).await.unwrap();
        let tail = TailMessages {
            topic: topic.clone(),
            ..TailMessages::default()
        };
        let mut tail = client.tail_messages(&tail).await.unwrap();
        for (partition, value) in [(0, "one"), (1, "two"), (0, "three")] {
            client
                .produce(&message(&topic, partition, value))
                .await
                .unwrap();
            let next = tail.next().await.expect("the tail goes on").unwrap();
            assert_eq!(
                (next.partition, values(&[next])),
                (partition, vec![value.to_owned()])
            );
        }
        make(&client, Action::DeleteTopics(vec![topic])).await;
    });
}

#[test]
fn a_key_goes_where_kafkas_own_producers_send_it() {
    with_cluster(|bootstrap| async move {
        let client = client(&bootstrap);
        let topic = topic(&client, 100).await;
        // Partitions among 100 as Kafka's producer chooses them.
        for (key, partition) in [("21", 40), ("foobar", 66), ("a-little-bit-long-string", 12)] {
            let keyed = ProduceMessage {
                partition: None,
                key: Some(key.as_bytes().to_vec()),
                ..message(&topic, 0, "v")
            };
            assert_eq!(client.produce(&keyed).await.unwrap().0, partition, "{key}");
        }
        make(&client, Action::DeleteTopics(vec![topic])).await;
    });
}
