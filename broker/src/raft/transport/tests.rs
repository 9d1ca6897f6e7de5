//! The transport against nodes that answer, that hang, and that aren't there.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::BytesMut;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::vote_response::{NodeEndpoint, PartitionData, TopicData};
use kafka_protocol::messages::{ApiVersionsResponse, BrokerId, VoteRequest, VoteResponse};
use kafka_protocol::protocol::StrBytes;
use kafka_shared::protocol::header::parse_request_header;
use kafka_shared::protocol::{ApiKey, codec};
use kafka_shared::types::Uuid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::*;
use crate::raft::rpc::{LogEnd, VoteRequest as AskVote, VoteResponse as Voted};
use crate::raft::voters::{ReplicaKey, VoterEndpoint};

const DEADLINE: Duration = Duration::from_secs(30);

/// A node that answers votes in the versions it speaks, or never.
struct TestNode {
    port: u16,
    connections: Arc<AtomicUsize>,
    negotiations: Arc<AtomicUsize>,
    votes: Arc<Mutex<Vec<(i16, VoteRequest)>>>,
}

impl TestNode {
    async fn start(vote_max: i16, is_silent: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let node = Self {
            port: listener.local_addr().unwrap().port(),
            connections: Arc::default(),
            negotiations: Arc::default(),
            votes: Arc::default(),
        };
        let (connections, negotiations) = (node.connections.clone(), node.negotiations.clone());
        let votes = node.votes.clone();
        drop(task::spawn("test-node", async move {
            while let Ok((socket, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::Relaxed);
                let (negotiations, votes) = (negotiations.clone(), votes.clone());
                let serve = serve(socket, vote_max, is_silent, negotiations, votes);
                drop(task::spawn("test-connection", serve));
            }
        }));
        node
    }

    fn ask(&self, correlation_id: u64, to: Peer, pre_vote: bool) -> Outgoing {
        Outgoing {
            correlation_id,
            to,
            host: "127.0.0.1".into(),
            port: self.port,
            request: Request::Vote(AskVote {
                candidate: key(1),
                epoch: 5,
                voter: Some(key(2)),
                log: LogEnd {
                    end_offset: 10,
                    last_epoch: 4,
                },
                pre_vote,
            }),
        }
    }
}

fn key(id: i32) -> ReplicaKey {
    ReplicaKey {
        id,
        directory_id: Uuid::from_u128(1_000 + id.unsigned_abs() as u128),
    }
}

async fn serve(
    mut socket: TcpStream,
    vote_max: i16,
    is_silent: bool,
    negotiations: Arc<AtomicUsize>,
    votes: Arc<Mutex<Vec<(i16, VoteRequest)>>>,
) {
    while let Ok(len) = socket.read_u32().await {
        let mut frame = vec![0; len as usize];
        socket.read_exact(&mut frame).await.unwrap();
        let mut body = Bytes::from(frame);
        let header = parse_request_header(&mut body).unwrap();
        assert_eq!(header.client_id.as_deref(), Some("raft-client-1"));
        let mut out = BytesMut::new();
        out.extend_from_slice(&header.correlation_id.to_be_bytes());
        if header.api_key == ApiKey::ApiVersions as i16 {
            negotiations.fetch_add(1, Ordering::Relaxed);
            let api = |key: ApiKey, max| {
                ApiVersion::default()
                    .with_api_key(key as i16)
                    .with_max_version(max)
            };
            let apis = vec![api(ApiKey::ApiVersions, 4), api(ApiKey::Vote, vote_max)];
            let response = ApiVersionsResponse::default().with_api_keys(apis);
            codec::encode_response(&response, header.api_version, &mut out).unwrap();
        } else {
            let version = header.api_version;
            let request: VoteRequest = codec::decode_request(&mut body, version).unwrap();
            votes.lock().push((version, request));
            if is_silent {
                continue;
            }
            out.extend_from_slice(&[0]);
            let partition = PartitionData::default()
                .with_leader_id(BrokerId(3))
                .with_leader_epoch(6)
                .with_vote_granted(true);
            let topic = TopicData::default().with_partitions(vec![partition]);
            let mut response = VoteResponse::default().with_topics(vec![topic]);
            if version >= 1 {
                let endpoint = NodeEndpoint::default()
                    .with_node_id(BrokerId(3))
                    .with_host(StrBytes::from_static_str("leader"))
                    .with_port(9093);
                response.node_endpoints.push(endpoint);
            }
            codec::encode_response(&response, version, &mut out).unwrap();
        }
        socket.write_u32(out.len() as u32).await.unwrap();
        socket.write_all(&out).await.unwrap();
    }
}

type Answers = mpsc::Receiver<(u64, Answer)>;

fn transport(request_timeout_ms: i64) -> (NetworkTransport, Answers) {
    let config = TransportConfig {
        node_id: 1,
        cluster_id: "cluster".into(),
        listener_name: "CONTROLLER".into(),
        request_timeout_ms,
    };
    let (sender, answers) = mpsc::channel(100);
    let deliver: Deliver = Arc::new(move |id, answer| sender.try_send((id, answer)).unwrap());
    let transport = NetworkTransport::new(config, Handle::current(), deliver);
    (transport, answers)
}

async fn next(answers: &mut Answers) -> (u64, Result<Response, ErrorCode>) {
    let answer = tokio::time::timeout(DEADLINE, answers.recv()).await;
    let (id, answer) = answer.unwrap().unwrap();
    (id, answer.map(|(response, _)| response))
}

#[tokio::test]
async fn requests_to_a_peer_share_a_connection_whose_versions_are_asked_for_once() {
    let node = TestNode::start(2, false).await;
    let (transport, mut answers) = transport(20_000);
    for id in 0..3 {
        transport.send(node.ask(id, Peer::Node(2), id == 0));
        let (answered, response) = next(&mut answers).await;
        assert_eq!(answered, id);
        let Ok(Response::Vote(Voted {
            error,
            leader,
            vote_granted,
        })) = response
        else {
            panic!("{response:?}");
        };
        assert_eq!((error, vote_granted), (ErrorCode::NONE, true));
        assert_eq!((leader.id, leader.epoch), (Some(3), 6));
        let endpoint = VoterEndpoint {
            name: "CONTROLLER".into(),
            host: "leader".into(),
            port: 9093,
        };
        assert_eq!(leader.endpoints, [endpoint]);
    }
    assert_eq!(node.connections.load(Ordering::Relaxed), 1);
    assert_eq!(node.negotiations.load(Ordering::Relaxed), 1);
    let votes = node.votes.lock();
    let (version, first) = &votes[0];
    let partition = &first.topics[0].partitions[0];
    assert_eq!(*version, 2);
    assert_eq!(first.cluster_id.as_deref(), Some("cluster"));
    assert_eq!((first.voter_id.0, partition.replica_id.0), (2, 1));
    assert_eq!(partition.voter_directory_id, key(2).directory_id);
    assert_eq!(
        (partition.last_offset, partition.last_offset_epoch),
        (10, 4)
    );
    assert!(partition.pre_vote && !votes[1].1.topics[0].partitions[0].pre_vote);
}

#[tokio::test]
async fn an_older_node_is_asked_in_its_version_and_not_for_what_it_doesnt_know() {
    let node = TestNode::start(0, false).await;
    let (transport, mut answers) = transport(20_000);
    transport.send(node.ask(1, Peer::Node(2), true));
    assert_eq!(
        next(&mut answers).await,
        (1, Err(ErrorCode::UNSUPPORTED_VERSION))
    );
    transport.send(node.ask(2, Peer::Node(2), false));
    assert!(matches!(
        next(&mut answers).await,
        (2, Ok(Response::Vote(_)))
    ));
    let votes = node.votes.lock();
    assert_eq!(votes.len(), 1);
    assert_eq!((votes[0].0, votes[0].1.voter_id.0), (0, -1));
}

#[tokio::test]
async fn a_peer_that_hangs_holds_up_nobody_else() {
    let (hanging, good) = (
        TestNode::start(2, true).await,
        TestNode::start(2, false).await,
    );
    let (transport, mut answers) = transport(300);
    transport.send(hanging.ask(1, Peer::Node(2), false));
    transport.send(good.ask(2, Peer::Node(3), false));
    transport.send(good.ask(3, Peer::Bootstrap(0), false));
    let mut first = [next(&mut answers).await.0, next(&mut answers).await.0];
    first.sort_unstable();
    assert_eq!(first, [2, 3]);
    assert_eq!(
        next(&mut answers).await,
        (1, Err(ErrorCode::REQUEST_TIMED_OUT))
    );
    // What hangs is not used again.
    transport.send(hanging.ask(4, Peer::Node(2), false));
    assert_eq!(
        next(&mut answers).await,
        (4, Err(ErrorCode::REQUEST_TIMED_OUT))
    );
    assert_eq!(hanging.connections.load(Ordering::Relaxed), 2);
    // More than can wait is refused at once.
    for id in 10..20 {
        transport.send(hanging.ask(id, Peer::Node(2), false));
    }
    let refused = next(&mut answers).await;
    assert_eq!(refused.1, Err(ErrorCode::BROKER_NOT_AVAILABLE));
    for _ in 0..9 {
        assert!(next(&mut answers).await.1.is_err());
    }
}

#[tokio::test]
async fn a_peer_that_is_not_there_is_told_and_found_where_it_has_moved() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = gone.local_addr().unwrap().port();
    drop(gone);
    let node = TestNode::start(2, false).await;
    let (transport, mut answers) = transport(20_000);
    let ask = node.ask(1, Peer::Node(2), false);
    transport.send(Outgoing {
        port,
        ..ask.clone()
    });
    assert_eq!(
        next(&mut answers).await,
        (1, Err(ErrorCode::BROKER_NOT_AVAILABLE))
    );
    transport.send(ask);
    assert!(matches!(
        next(&mut answers).await,
        (1, Ok(Response::Vote(_)))
    ));
    let moved = TestNode::start(2, false).await;
    transport.send(moved.ask(2, Peer::Node(2), false));
    assert!(matches!(
        next(&mut answers).await,
        (2, Ok(Response::Vote(_)))
    ));
    assert_eq!(moved.connections.load(Ordering::Relaxed), 1);
}
