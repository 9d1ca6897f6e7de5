//! Tests of the client against a server made for the purpose, over real sockets.
//!
//! A [`Script`] decides what the server does with each request; the server speaks frames and
//! headers and nothing else. No test sleeps: what has to take time is a deadline of the client's.

mod secured;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, BrokerId, CreateTopicsRequest,
    CreateTopicsResponse, DescribeGroupsRequest, DescribeGroupsResponse, FindCoordinatorResponse,
    ListGroupsRequest, ListGroupsResponse, ListOffsetsRequest, ListOffsetsResponse,
    MetadataRequest, MetadataResponse, TopicName,
};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::error::ErrorCode;
use crate::protocol::frame::FrameBuffer;
use crate::protocol::header::{self, RequestHeader};
use crate::protocol::{Response, StrBytes, api, codec};
use crate::task;
use crate::types::TopicPartition;

/// What the server does after a request.
enum Act {
    /// Sends these frames, in this order.
    Send(Vec<BytesMut>),
    /// Says nothing.
    Wait,
    Close,
}

/// Sees every request of every connection, in the order in which they come.
type Script = dyn Fn(&Server, RequestHeader, Bytes) -> Act + Send + Sync;

struct Server {
    endpoint: Endpoint,
    connections: AtomicUsize,
    /// Requests by API key, those for the versions not counted.
    requests: Mutex<HashMap<i16, usize>>,
}

impl Server {
    async fn start(
        script: impl Fn(&Server, RequestHeader, Bytes) -> Act + Send + Sync + 'static,
    ) -> Arc<Server> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::new("127.0.0.1", listener.local_addr().unwrap().port());
        let (connections, requests) = (AtomicUsize::new(0), Mutex::default());
        let server = Arc::new(Server {
            endpoint,
            connections,
            requests,
        });
        let script: Arc<Script> = Arc::new(script);
        let (own, script) = (server.clone(), script);
        task::spawn("test-server", async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                own.connections.fetch_add(1, Ordering::SeqCst);
                task::spawn(
                    "test-connection",
                    serve(own.clone(), script.clone(), socket),
                );
            }
        });
        server
    }

    /// A server that speaks all that can be spoken here.
    async fn speaking_all(
        script: impl Fn(&Server, RequestHeader, Bytes) -> Act + Send + Sync + 'static,
    ) -> Arc<Server> {
        Server::start(move |server, header, body| match header.api() {
            Some(ApiKey::ApiVersions) => reply(&header, &all_versions()),
            _ => script(server, header, body),
        })
        .await
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn requests(&self, key: ApiKey) -> usize {
        self.requests
            .lock()
            .get(&(key as i16))
            .copied()
            .unwrap_or(0)
    }
}

async fn serve(server: Arc<Server>, script: Arc<Script>, mut socket: TcpStream) {
    let mut frames = FrameBuffer::new(1 << 20);
    loop {
        while let Some(mut frame) = frames.next_frame().unwrap() {
            let header = header::parse_request_header(&mut frame).unwrap();
            *server.requests.lock().entry(header.api_key).or_default() += 1;
            match script(&server, header, frame) {
                Act::Wait => {}
                Act::Close => return,
                Act::Send(replies) => {
                    for reply in replies {
                        socket.write_all(&reply).await.unwrap();
                    }
                }
            }
        }
        match socket.read_buf(frames.space()).await {
            Ok(count) if count > 0 => {}
            _ => return,
        }
    }
}

fn frame<B: Response>(header: &RequestHeader, response: &B) -> BytesMut {
    codec::encode_response_frame(response, header.api_version, header.correlation_id).unwrap()
}

fn reply<B: Response>(header: &RequestHeader, response: &B) -> Act {
    Act::Send(vec![frame(header, response)])
}

fn versions(ranges: impl IntoIterator<Item = (i16, i16, i16)>) -> ApiVersionsResponse {
    let range = |(key, min, max)| {
        ApiVersion::default()
            .with_api_key(key)
            .with_min_version(min)
            .with_max_version(max)
    };
    ApiVersionsResponse::default().with_api_keys(ranges.into_iter().map(range).collect())
}

fn all_versions() -> ApiVersionsResponse {
    versions(ApiKey::iter().map(|key| {
        let versions = api::codec_versions(key);
        (key as i16, *versions.start(), *versions.end())
    }))
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// Short enough that a test ends soon, long enough for a busy machine where nothing is to be late.
fn quick() -> ConnectionConfig {
    ConnectionConfig {
        request_timeout_ms: 20_000,
        ..ConnectionConfig::default()
    }
}

async fn connect(server: &Server) -> Connection {
    Connection::connect(&server.endpoint, &quick())
        .await
        .unwrap()
}

fn group_error(code: i16) -> ListGroupsResponse {
    ListGroupsResponse::default().with_error_code(code)
}

#[tokio::test]
async fn versions_are_negotiated_and_the_newest_common_one_is_used() {
    let server = Server::start(|_, header, mut body| match header.api().unwrap() {
        ApiKey::ApiVersions => {
            assert_eq!(header.client_id.as_deref(), Some("kafka-shared"));
            let request: ApiVersionsRequest =
                codec::decode_request(&mut body, header.api_version).unwrap();
            assert_eq!(&*request.client_software_name, "kafka-shared");
            reply(&header, &versions([(16, 1, 3), (3, 20, 30)]))
        }
        _ => {
            assert_eq!((header.api_key, header.api_version), (16, 3));
            reply(&header, &group_error(7))
        }
    })
    .await;
    let connection = connect(&server).await;
    assert_eq!(connection.versions().get(16), Some(1..=3));
    assert_eq!(connection.version_of::<ListGroupsRequest>(), Ok(3));
    let response = connection.send(ListGroupsRequest::default()).await.unwrap();
    assert_eq!(response.error_code, 7);

    let error = connection
        .send(MetadataRequest::default())
        .await
        .unwrap_err();
    let told = "have no common version of Metadata: it offers 20 to 30, this is 0 to 13";
    assert!(error.to_string().ends_with(told), "{error}");
    let error = connection
        .send(ListOffsetsRequest::default())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("it offers none"), "{error}");
    let error = connection
        .send_version(ListGroupsRequest::default(), 4)
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::Unsupported { .. }), "{error}");
}

#[tokio::test]
async fn a_broker_that_knows_only_older_questions_is_asked_again() {
    for known in [0, 2, 3] {
        let server = Server::start(move |_, header, _| match header.api_version {
            version if version > known => {
                let refused = versions([(18, 0, known)]).with_error_code(35);
                let frame = codec::encode_response_frame(&refused, 0, header.correlation_id);
                Act::Send(vec![frame.unwrap()])
            }
            _ => reply(&header, &versions([(18, 0, known), (16, 0, 0)])),
        })
        .await;
        let connection = connect(&server).await;
        assert_eq!(connection.versions().get(18), Some(0..=known));
        assert_eq!(server.requests(ApiKey::ApiVersions), 2);
        assert_eq!(
            server.connections(),
            1,
            "it comes down on the same connection"
        );
    }
}

#[tokio::test]
async fn answers_find_their_callers_in_any_order() {
    let held = Mutex::new(Vec::new());
    let server = Server::speaking_all(move |_, header, mut body| {
        let request: DescribeGroupsRequest =
            codec::decode_request(&mut body, header.api_version).unwrap();
        // The throttle time tells which request it was.
        let response = DescribeGroupsResponse::default()
            .with_throttle_time_ms(request.groups[0].parse().unwrap());
        let mut held = held.lock();
        held.push(frame(&header, &response));
        if held.len() < 20 {
            return Act::Wait;
        }
        held.reverse();
        Act::Send(std::mem::take(&mut held))
    })
    .await;
    let connection = connect(&server).await;
    let calls = (0..20).map(|number: i32| {
        let connection = connection.clone();
        task::spawn("test-call", async move {
            let group = text(&number.to_string()).into();
            let request = DescribeGroupsRequest::default().with_groups(vec![group]);
            connection.send(request).await.unwrap().throttle_time_ms
        })
    });
    for (number, call) in calls.collect::<Vec<_>>().into_iter().enumerate() {
        assert_eq!(call.await.unwrap(), number as i32);
    }
}

#[tokio::test]
async fn a_closed_connection_fails_all_that_wait_on_it() {
    let seen = AtomicUsize::new(0);
    let server = Server::speaking_all(move |_, _, _| match seen.fetch_add(1, Ordering::SeqCst) {
        0 | 1 => Act::Wait,
        _ => Act::Close,
    })
    .await;
    let connection = connect(&server).await;
    let request = ListGroupsRequest::default;
    let calls = [(); 3].map(|()| {
        let connection = connection.clone();
        task::spawn("test-call", async move { connection.send(request()).await })
    });
    for call in calls {
        let error = call.await.unwrap().unwrap_err();
        assert!(
            matches!(error, ClientError::Closed { was_sent: true, .. }),
            "{error}"
        );
        assert!(error.may_have_been_done() && error.is_retriable());
    }
    assert!(!connection.is_usable());
    let error = connection.send(request()).await.unwrap_err();
    assert!(
        matches!(
            error,
            ClientError::Closed {
                was_sent: false,
                ..
            }
        ),
        "{error}"
    );
    assert!(!error.may_have_been_done());
}

#[tokio::test]
async fn a_server_that_says_nothing_runs_into_the_deadline_of_its_step() {
    let black_hole = Server::start(|_, _, _| Act::Wait).await;
    let config = ConnectionConfig {
        connect_timeout_ms: 50,
        ..quick()
    };
    let error = Connection::connect(&black_hole.endpoint, &config)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            ClientError::Timeout {
                step: Step::ApiVersions,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.hint().contains("TLS"));

    let silent = Server::speaking_all(|_, header, _| match header.api() {
        Some(ApiKey::ListGroups) => Act::Wait,
        _ => reply(&header, &MetadataResponse::default()),
    })
    .await;
    let connection = connect(&silent).await;
    let options = SendOptions {
        timeout_ms: Some(50),
        ..SendOptions::default()
    };
    let error = connection
        .send_with(ListGroupsRequest::default(), options)
        .await
        .unwrap_err();
    let step = Step::Request(ApiKey::ListGroups as i16);
    let endpoint = silent.endpoint.clone();
    assert_eq!(
        error,
        ClientError::Timeout {
            endpoint,
            step,
            timeout_ms: 50
        }
    );
    assert!(
        !connection.is_usable(),
        "what comes after would stand in line behind it"
    );
    connection
        .send(MetadataRequest::default())
        .await
        .expect("what is under way may finish");
}

#[tokio::test]
async fn callers_beyond_the_limit_wait_in_line_and_no_longer_than_they_want_to() {
    let server = Server::speaking_all(|_, _, _| Act::Wait).await;
    let config = ConnectionConfig {
        in_flight_max: 1,
        ..quick()
    };
    let connection = Connection::connect(&server.endpoint, &config)
        .await
        .unwrap();
    let calls = [(); 8].map(|()| {
        let connection = connection.clone();
        let options = SendOptions {
            timeout_ms: Some(50),
            ..SendOptions::default()
        };
        task::spawn("test-call", async move {
            connection
                .send_with(ListGroupsRequest::default(), options)
                .await
        })
    });
    for call in calls {
        let error = call.await.unwrap().unwrap_err();
        assert!(matches!(error, ClientError::Timeout { .. }), "{error}");
    }
    assert_eq!(server.requests(ApiKey::ListGroups), 1);
}

#[tokio::test]
async fn nonsense_from_the_server_ends_the_connection() {
    let answers: [fn(&RequestHeader) -> Vec<u8>; 4] = [
        // An answer to nothing, a negative length, a length without end, a broken body.
        |_| vec![0, 0, 0, 5, 0x70, 0, 0, 0, 0],
        |_| vec![0xff, 0xff, 0xff, 0xff],
        |_| vec![0x7f, 0xff, 0xff, 0xff],
        |header| {
            [
                &[0, 0, 0, 6][..],
                &header.correlation_id.to_be_bytes(),
                &[0, 1],
            ]
            .concat()
        },
    ];
    for answer in answers {
        let server = Server::speaking_all(move |_, header, _| {
            Act::Send(vec![BytesMut::from(&answer(&header)[..])])
        })
        .await;
        let connection = connect(&server).await;
        let error = connection
            .send(ListGroupsRequest::default())
            .await
            .unwrap_err();
        assert!(matches!(error, ClientError::Protocol { .. }), "{error}");
        assert!(!error.is_retriable());
        assert!(!connection.is_usable());
    }
}

#[tokio::test]
async fn a_server_that_is_no_broker_is_told_from_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::new("127.0.0.1", listener.local_addr().unwrap().port());
    let web = task::spawn("test-web", async move {
        for _ in 0..2 {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = [0; 16];
            socket.read_exact(&mut request).await.unwrap();
            socket
                .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                .await
                .unwrap();
        }
        drop(listener);
    });
    let error = Connection::connect(&endpoint, &quick()).await.unwrap_err();
    assert!(matches!(error, ClientError::ApiVersions { .. }), "{error}");
    assert!(error.hint().contains("Kafka broker's port"));
    Connection::connect(&endpoint, &quick()).await.unwrap_err();
    web.await.unwrap();
    let error = Connection::connect(&endpoint, &quick()).await.unwrap_err();
    assert!(matches!(error, ClientError::Connect { .. }), "{error}");
    assert!(error.is_retriable());
}

#[tokio::test]
async fn the_socket_is_closed_with_the_last_handle() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::new("127.0.0.1", listener.local_addr().unwrap().port());
    let closed = task::spawn("test-server", async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut frames = FrameBuffer::new(1000);
        let mut frame_bytes = loop {
            if let Some(frame) = frames.next_frame().unwrap() {
                break frame;
            }
            socket.read_buf(frames.space()).await.unwrap();
        };
        let header = header::parse_request_header(&mut frame_bytes).unwrap();
        socket
            .write_all(&frame(&header, &all_versions()))
            .await
            .unwrap();
        // A request that is never answered, and the end.
        while socket.read_buf(frames.space()).await.unwrap() > 0 {}
    });
    let config = ConnectionConfig {
        in_flight_max: 1,
        ..quick()
    };
    let connection = Connection::connect(&endpoint, &config).await.unwrap();
    let clone = connection.clone();
    drop(connection);
    assert!(clone.is_usable());
    let options = SendOptions {
        timeout_ms: Some(20),
        ..SendOptions::default()
    };
    clone
        .send_with(ListGroupsRequest::default(), options)
        .await
        .unwrap_err();
    drop(clone);
    closed.await.unwrap();
}

/// Answers Metadata with these nodes, the first of which is the controller, and with a topic "t"
/// whose partition 0 is led by `leader`.
fn metadata(nodes: &[(i32, &Endpoint)], leader: i32) -> MetadataResponse {
    let broker = |(id, endpoint): &(i32, &Endpoint)| {
        MetadataResponseBroker::default()
            .with_node_id(BrokerId(*id))
            .with_host(text(&endpoint.host))
            .with_port(i32::from(endpoint.port))
    };
    let partition = MetadataResponsePartition::default().with_leader_id(BrokerId(leader));
    let topic = MetadataResponseTopic::default()
        .with_name(Some(TopicName(text("t"))))
        .with_partitions(vec![partition]);
    MetadataResponse::default()
        .with_brokers(nodes.iter().map(broker).collect())
        .with_controller_id(BrokerId(nodes[0].0))
        .with_topics(vec![topic])
}

fn config(bootstrap: &[&Endpoint]) -> ClientConfig {
    let mut config = ClientConfig::new(bootstrap.iter().map(|each| (*each).clone()).collect());
    config.connection = quick();
    config.retry_backoff_ms = 1;
    config
}

/// An endpoint where nothing listens.
async fn nowhere() -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    Endpoint::new("127.0.0.1", listener.local_addr().unwrap().port())
}

#[tokio::test]
async fn bootstrap_servers_are_tried_in_order_until_one_answers() {
    let server = Server::speaking_all(|server, header, _| {
        reply(&header, &metadata(&[(5, &server.endpoint)], 5))
    })
    .await;
    let dead = nowhere().await;
    let client = Client::connect(config(&[&dead, &server.endpoint]))
        .await
        .unwrap();
    let cluster = client.cluster().await.unwrap();
    assert_eq!(cluster.controller_id, Some(5));
    assert_eq!(cluster.nodes[&5].endpoint, server.endpoint);
    assert_eq!(
        server.requests(ApiKey::Metadata),
        1,
        "the second look is into the memory"
    );

    let error = Client::connect(config(&[&dead])).await.unwrap_err();
    assert!(error.to_string().starts_with("cannot connect to"));
    assert!(error.is_retriable());
    let error = Client::connect(config(&[])).await.unwrap_err();
    assert!(error.to_string().ends_with("no bootstrap server was given"));
}

#[tokio::test]
async fn one_connection_to_each_node_is_shared_and_replaced_when_it_is_lost() {
    let server = Server::speaking_all(|server, header, _| match header.api() {
        Some(ApiKey::Metadata) => reply(&header, &metadata(&[(5, &server.endpoint)], 5)),
        Some(ApiKey::ListGroups) => reply(&header, &group_error(0)),
        _ => Act::Close,
    })
    .await;
    let client = Client::connect(config(&[&server.endpoint])).await.unwrap();
    let calls = [(); 10].map(|()| {
        let client = client.clone();
        task::spawn("test-call", async move { client.node(5).await.unwrap() })
    });
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(
        server.connections(),
        2,
        "one to the bootstrap server, one to the node"
    );
    let connection = client.node(5).await.unwrap();
    connection
        .send(DescribeGroupsRequest::default())
        .await
        .unwrap_err();
    let route = Route::Node(5);
    let answer = client
        .send_to(&route, ListGroupsRequest::default(), |_| ErrorCode::NONE)
        .await;
    assert_eq!(answer.unwrap().error_code, 0);
    assert_eq!(server.connections(), 3);
    let error = client.node(6).await.unwrap_err();
    assert_eq!(error, ClientError::UnknownNode { id: 6 });
    client.dedicated(5).await.unwrap();
    assert_eq!(server.connections(), 4);
}

#[tokio::test]
async fn a_request_follows_the_controller_when_it_moves() {
    let other = Server::speaking_all(|_, header, _| {
        reply(
            &header,
            &CreateTopicsResponse::default().with_throttle_time_ms(2),
        )
    })
    .await;
    let moved = other.endpoint.clone();
    let server = Server::speaking_all(move |server, header, _| match header.api() {
        Some(ApiKey::Metadata) => {
            let (here, there) = ((1, &server.endpoint), (2, &moved));
            let is_first = server.requests(ApiKey::Metadata) == 1;
            let nodes = if is_first {
                [here, there]
            } else {
                [there, here]
            };
            reply(&header, &metadata(&nodes, 1))
        }
        _ => reply(
            &header,
            &CreateTopicsResponse::default().with_throttle_time_ms(1),
        ),
    })
    .await;
    let client = Client::new(config(&[&server.endpoint]));
    let error_of = |response: &CreateTopicsResponse| match response.throttle_time_ms {
        1 => ErrorCode::NOT_CONTROLLER,
        _ => ErrorCode::NONE,
    };
    let request = CreateTopicsRequest::default();
    let response = client
        .send_to(&Route::Controller, request, error_of)
        .await
        .unwrap();
    assert_eq!(response.throttle_time_ms, 2);
    assert_eq!(server.requests(ApiKey::CreateTopics), 1);
    assert_eq!(other.requests(ApiKey::CreateTopics), 1);
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_is_not_sent_again_and_a_question_is() {
    let server = Server::speaking_all(|server, header, _| match header.api() {
        Some(ApiKey::Metadata) => reply(&header, &metadata(&[(1, &server.endpoint)], 1)),
        Some(ApiKey::ListGroups) if server.requests(ApiKey::ListGroups) > 1 => {
            reply(&header, &group_error(0))
        }
        _ => Act::Close,
    })
    .await;
    let client = Client::new(config(&[&server.endpoint]));
    let change = CreateTopicsRequest::default();
    let error = client
        .send_to(&Route::Controller, change, |_| ErrorCode::NONE)
        .await
        .unwrap_err();
    assert!(error.may_have_been_done(), "{error}");
    assert_eq!(server.requests(ApiKey::CreateTopics), 1);
    let question = ListGroupsRequest::default();
    client
        .send_to(&Route::Node(1), question, |_| ErrorCode::NONE)
        .await
        .unwrap();
    assert_eq!(server.requests(ApiKey::ListGroups), 2);
}

#[tokio::test]
async fn a_coordinator_is_remembered_until_it_says_that_it_is_none() {
    let server = Server::speaking_all(|server, header, _| match header.api() {
        Some(ApiKey::FindCoordinator) => {
            let is_first = server.requests(ApiKey::FindCoordinator) == 1;
            let found = Coordinator::default()
                .with_key(text("g"))
                .with_node_id(BrokerId(1))
                .with_host(text(&server.endpoint.host))
                .with_port(i32::from(server.endpoint.port))
                .with_error_code(if is_first { 15 } else { 0 });
            reply(
                &header,
                &FindCoordinatorResponse::default().with_coordinators(vec![found]),
            )
        }
        Some(ApiKey::ListGroups) => {
            let is_second = server.requests(ApiKey::ListGroups) == 2;
            reply(&header, &group_error(if is_second { 16 } else { 0 }))
        }
        _ => reply(&header, &metadata(&[(1, &server.endpoint)], 1)),
    })
    .await;
    let client = Client::new(config(&[&server.endpoint]));
    let route = Route::Coordinator(CoordinatorType::Group, "g".to_owned());
    let send = || {
        let error_of = |response: &ListGroupsResponse| ErrorCode(response.error_code);
        client.send_to(&route, ListGroupsRequest::default(), error_of)
    };
    assert_eq!(send().await.unwrap().error_code, 0);
    assert_eq!(
        server.requests(ApiKey::FindCoordinator),
        2,
        "there was none at first"
    );
    assert_eq!(send().await.unwrap().error_code, 0);
    assert_eq!(server.requests(ApiKey::FindCoordinator), 3, "it has moved");
    assert_eq!(server.requests(ApiKey::ListGroups), 3);
    assert_eq!(send().await.unwrap().error_code, 0);
    assert_eq!(
        server.requests(ApiKey::FindCoordinator),
        3,
        "it is remembered"
    );
}

#[tokio::test]
async fn a_leader_is_remembered_until_it_says_that_it_is_none() {
    let old = Server::speaking_all(|_, header, _| {
        reply(
            &header,
            &ListOffsetsResponse::default().with_throttle_time_ms(6),
        )
    })
    .await;
    let old_leader = old.endpoint.clone();
    let server = Server::speaking_all(move |server, header, _| match header.api() {
        Some(ApiKey::Metadata) => {
            let leader = if server.requests(ApiKey::Metadata) == 1 {
                2
            } else {
                1
            };
            reply(
                &header,
                &metadata(&[(1, &server.endpoint), (2, &old_leader)], leader),
            )
        }
        _ => reply(&header, &ListOffsetsResponse::default()),
    })
    .await;
    let client = Client::new(config(&[&server.endpoint]));
    let route = Route::Leader(TopicPartition::new("t", 0));
    // The throttle time stands for the code of the partition, which has to be looked for.
    let error_of = |response: &ListOffsetsResponse| ErrorCode(response.throttle_time_ms as i16);
    for _ in 0..2 {
        let request = ListOffsetsRequest::default();
        let response = client.send_to(&route, request, error_of).await.unwrap();
        assert_eq!(response.throttle_time_ms, 0);
    }
    assert_eq!(old.requests(ApiKey::ListOffsets), 1);
    assert_eq!(server.requests(ApiKey::Metadata), 2);
    let error = client
        .leader(&TopicPartition::new("t", 1))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("looking for the leader of t-1: UNKNOWN_TOPIC")
    );
}

#[tokio::test]
async fn a_call_ends_with_its_time_even_when_every_attempt_fails() {
    let server = Server::speaking_all(|server, header, _| match header.api() {
        Some(ApiKey::Metadata) => reply(&header, &metadata(&[(1, &server.endpoint)], 1)),
        _ => reply(&header, &group_error(41)),
    })
    .await;
    let client = Client::new(config(&[&server.endpoint]));
    let options = SendOptions {
        timeout_ms: Some(300),
        ..SendOptions::default()
    };
    let error_of = |response: &ListGroupsResponse| ErrorCode(response.error_code);
    let request = ListGroupsRequest::default();
    let response = client
        .send_to_with(&Route::Controller, request, options, error_of)
        .await;
    assert_eq!(response.unwrap().error_code, 41, "the last answer is told");
    assert!(server.requests(ApiKey::ListGroups) > 1);
}
