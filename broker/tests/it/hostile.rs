//! Peers that send rubbish: whatever arrives, nothing panics, and others are served.
//!
//! Bodies of random bytes mostly fail to decode; bodies of few different small bytes decode often, and
//! reach the handlers with values that no client sends.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kafka_broker::testing::TestBroker;
use kafka_protocol::messages::{ApiVersionsRequest, MetadataRequest};
use kafka_protocol::protocol::StrBytes;
use kafka_shared::client::{Connection, ConnectionConfig};
use kafka_shared::protocol::header::request_header_version;
use kafka_shared::types::Endpoint;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::run;

const ROUNDS: usize = 12;
/// How long a request may be waited for; those that park (JoinGroup, Fetch) are left behind.
const PATIENCE: Duration = Duration::from_millis(15);

/// A small generator, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn bytes(&mut self, alphabet: &[u8], len: usize) -> Vec<u8> {
        let mut byte = || match alphabet {
            [] => (self.next() >> 16) as u8,
            alphabet => alphabet[(self.next() >> 16) as usize % alphabet.len()],
        };
        (0..len).map(|_| byte()).collect()
    }
}

fn frame(key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let mut header = Vec::new();
    header.extend(key.to_be_bytes());
    header.extend(version.to_be_bytes());
    header.extend(1i32.to_be_bytes());
    header.extend((-1i16).to_be_bytes());
    if request_header_version(key, version) >= 2 {
        header.push(0);
    }
    let size = i32::try_from(header.len() + body.len()).unwrap();
    [&size.to_be_bytes()[..], &header, body].concat()
}

async fn connect(broker: &TestBroker) -> Connection {
    let endpoint: Endpoint = broker.bootstrap().parse().unwrap();
    Connection::connect(&endpoint, &ConnectionConfig::default())
        .await
        .unwrap()
}

#[test]
fn no_request_makes_the_broker_panic_or_stop_serving() {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().name() == Some("kafka-test-broker") {
            PANICS.fetch_add(1, Ordering::SeqCst);
        }
        before(info);
    }));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("kafka-test-broker")
        .build()
        .unwrap();
    let attack = async {
        let broker = TestBroker::start(&["offsets.topic.num.partitions=2"])
            .await
            .unwrap();
        let client = connect(&broker).await;
        let versions = client
            .send(
                ApiVersionsRequest::default()
                    .with_client_software_name(StrBytes::from_static_str("test"))
                    .with_client_software_version(StrBytes::from_static_str("1")),
            )
            .await
            .unwrap();
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for api in &versions.api_keys {
            for version in api.min_version..=api.max_version {
                for round in 0..ROUNDS {
                    let alphabet: &[u8] = match round % 4 {
                        0 => &[],
                        1 => &[0, 1],
                        2 => &[0, 0, 0, 1, 2, b't'],
                        _ => &[0, 0, 0xff, 1, 2],
                    };
                    let len = random.below(200);
                    let body = random.bytes(alphabet, len);
                    let mut stream = TcpStream::connect(broker.address()).await.unwrap();
                    let sent = frame(api.api_key, version, &body);
                    stream.write_all(&sent).await.unwrap();
                    let mut answer = [0; 64];
                    let answered = tokio::time::timeout(PATIENCE, stream.read(&mut answer)).await;
                    drop(answered);
                    let panics = PANICS.load(Ordering::SeqCst);
                    assert_eq!(panics, 0, "key {} version {version}: {body:?}", api.api_key);
                }
            }
        }
        let request = MetadataRequest::default().with_topics(Some(vec![]));
        assert_eq!(client.send(request).await.unwrap().brokers.len(), 1);
        drop(client);
        broker.stop().await.unwrap();
    };
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        runtime.block_on(attack);
    }));
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome.unwrap();
    assert_eq!(PANICS.load(Ordering::SeqCst), 0);
}

#[test]
fn lengths_that_no_frame_can_hold_cost_nothing() {
    run(async {
        let broker = TestBroker::start(&[]).await.unwrap();
        // Arrays and strings of two thousand million elements, in the forms of old and new versions.
        for (key, version, body) in [
            (3, 0, &[0x7f, 0xff, 0xff, 0xff][..]),
            (3, 9, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
            (
                1,
                4,
                &[
                    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0x7f, 0xff,
                    0xff, 0xff,
                ],
            ),
            (
                0,
                3,
                &[0xff, 0xff, 0, 1, 0, 0, 0, 1, 0x7f, 0xff, 0xff, 0xff],
            ),
            (19, 2, &[0x7f, 0xff, 0xff, 0xff]),
            (18, 3, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        ] {
            let mut stream = TcpStream::connect(broker.address()).await.unwrap();
            stream.write_all(&frame(key, version, body)).await.unwrap();
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            assert!(rest.is_empty(), "key {key} version {version}: {rest:?}");
        }
        let client = connect(&broker).await;
        let request = MetadataRequest::default().with_topics(Some(vec![]));
        assert_eq!(client.send(request).await.unwrap().brokers.len(), 1);
        drop(client);
        broker.stop().await.unwrap();
    });
}
