//! The channel against controllers that are played, over real sockets.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiKey, ApiVersionsResponse, BrokerId};
use kafka_shared::protocol::header::response_header_version;
use kafka_shared::protocol::{Response, codec};
use parking_lot::Mutex;

use super::*;
use crate::network::{
    BoundListener, Dispatch, FrameBuilder, ListenerConfig, Network, NetworkConfig, Reply,
    RequestContext as NetworkContext,
};
use crate::raft::LeaderAndEpoch;

/// What a played controller does with a heartbeat.
#[derive(Debug, Clone, Copy)]
enum Act {
    Answer(ErrorCode),
    Hang,
    Close,
}

#[derive(Debug)]
struct Played {
    act: Mutex<Act>,
    heartbeats: watch::Sender<u32>,
}

impl Dispatch for Played {
    async fn dispatch(&self, cx: NetworkContext, _body: Bytes) -> Reply {
        if cx.header.api_key == ApiKey::ApiVersions as i16 {
            let row = |key: ApiKey, max| {
                ApiVersion::default()
                    .with_api_key(key as i16)
                    .with_max_version(max)
            };
            let rows = vec![row(ApiKey::ApiVersions, 4), row(ApiKey::BrokerHeartbeat, 2)];
            return reply(&cx, &ApiVersionsResponse::default().with_api_keys(rows));
        }
        self.heartbeats.send_modify(|count| *count += 1);
        let act = *self.act.lock();
        match act {
            Act::Answer(code) => {
                let response = BrokerHeartbeatResponse::default().with_error_code(code.0);
                reply(&cx, &response)
            }
            Act::Hang => std::future::pending().await,
            Act::Close => Reply::Close,
        }
    }
}

fn reply<R: Response>(cx: &NetworkContext, response: &R) -> Reply {
    let (key, version) = (cx.header.api_key, cx.header.api_version);
    let mut frame = FrameBuilder::new(
        cx.header.correlation_id,
        response_header_version(key, version),
    );
    codec::encode_response(response, version, frame.buffer()).unwrap();
    Reply::Frame(frame.finish().unwrap())
}

struct Controllers {
    played: BTreeMap<i32, (Arc<Played>, Network)>,
    status: watch::Sender<Status>,
    channel: ControllerChannel,
}

/// Controllers 1 and 2 of a quorum, and the channel of node 9, which knows no leader yet.
fn controllers(act: Act) -> Controllers {
    let mut played = BTreeMap::new();
    let mut endpoints = BTreeMap::new();
    for id in [1, 2] {
        let wanted = ListenerConfig {
            name: "CONTROLLER".into(),
            host: "127.0.0.1".into(),
            port: 0,
            backlog: 5,
        };
        let listener = BoundListener::bind(&wanted, &NetworkConfig::default()).unwrap();
        let port = listener.local_addr().port();
        let host = "127.0.0.1".to_owned();
        endpoints.insert(id, Endpoint { host, port });
        let dispatch = Arc::new(Played {
            act: Mutex::new(act),
            heartbeats: watch::Sender::new(0),
        });
        let network = Network::start(
            vec![listener],
            NetworkConfig::default(),
            Arc::clone(&dispatch),
        );
        played.insert(id, (dispatch, network));
    }
    let status = watch::Sender::new(Status {
        leader_endpoints: Vec::new(),
        leader: LeaderAndEpoch {
            leader_id: -1,
            epoch: 0,
        },
        leading_epoch: None,
        activation_offset: -1,
        high_watermark: 0,
        failure: None,
        is_closed: false,
    });
    let config = ChannelConfig {
        node_id: 9,
        controller_listener: "CONTROLLER".to_owned(),
        request_timeout: Duration::from_secs(30),
        connect_timeout: Duration::from_secs(10),
    };
    let find_voter = move |id| endpoints.get(&id).cloned();
    let receiver = status.subscribe();
    let channel = ControllerChannel::with(config, None, receiver, Box::new(find_voter));
    Controllers {
        played,
        status,
        channel,
    }
}

impl Controllers {
    fn elect(&self, leader_id: i32, epoch: i32) {
        self.status
            .send_modify(|status| status.leader = LeaderAndEpoch { leader_id, epoch });
    }

    fn tell(&self, id: i32, act: Act) {
        *self.played[&id].0.act.lock() = act;
    }

    async fn asked(&self, id: i32, times: u32) {
        let mut heartbeats = self.played[&id].0.heartbeats.subscribe();
        let asked = heartbeats.wait_for(|count| *count >= times);
        let asked = tokio::time::timeout(Duration::from_secs(20), asked).await;
        asked.expect("the controller is asked").unwrap();
    }

    fn heartbeat(&self, timeout: Duration) -> tokio::task::JoinHandle<ErrorCode> {
        let channel = self.channel.clone();
        kafka_shared::task::spawn("heartbeat", async move {
            let cx = RequestContext {
                timeout,
                ..RequestContext::default()
            };
            let request = BrokerHeartbeatRequest::default().with_broker_id(BrokerId(9));
            ErrorCode(channel.broker_heartbeat(&cx, request).await.error_code)
        })
    }
}

const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_request_waits_for_a_leader_and_is_answered_by_it() {
    let controllers = controllers(Act::Answer(ErrorCode::STALE_BROKER_EPOCH));
    let answer = controllers.heartbeat(LONG);
    controllers.elect(1, 1);
    assert_eq!(answer.await.unwrap(), ErrorCode::STALE_BROKER_EPOCH);
    assert!(controllers.channel.controller_versions().is_none());
}

#[tokio::test]
async fn not_controller_is_never_the_answer() {
    let controllers = controllers(Act::Answer(ErrorCode::NOT_CONTROLLER));
    controllers.elect(1, 1);
    let answer = controllers.heartbeat(LONG);
    controllers.asked(1, 2).await;
    controllers.tell(2, Act::Answer(ErrorCode::NONE));
    controllers.elect(2, 2);
    assert_eq!(answer.await.unwrap(), ErrorCode::NONE);
}

#[tokio::test]
async fn a_controller_that_hangs_is_left_for_the_next_one() {
    let controllers = controllers(Act::Hang);
    controllers.elect(1, 1);
    let answer = controllers.heartbeat(LONG);
    controllers.asked(1, 1).await;
    controllers.tell(2, Act::Answer(ErrorCode::NONE));
    // Nobody leads for a while.
    controllers.elect(-1, 2);
    controllers.elect(2, 2);
    assert_eq!(answer.await.unwrap(), ErrorCode::NONE);
}

#[tokio::test]
async fn a_lost_connection_is_made_again() {
    let controllers = controllers(Act::Close);
    controllers.elect(1, 1);
    let answer = controllers.heartbeat(LONG);
    controllers.asked(1, 2).await;
    controllers.tell(1, Act::Answer(ErrorCode::NONE));
    assert_eq!(answer.await.unwrap(), ErrorCode::NONE);
}

#[tokio::test]
async fn at_the_deadline_the_answer_is_that_it_has_passed() {
    let short = Duration::from_millis(200);
    let timed_out = ErrorCode::REQUEST_TIMED_OUT;
    let hanging = controllers(Act::Hang);
    // Without a leader, with one that hangs, and with one that isn't any more.
    assert_eq!(hanging.heartbeat(short).await.unwrap(), timed_out);
    hanging.elect(1, 1);
    assert_eq!(hanging.heartbeat(short).await.unwrap(), timed_out);
    hanging.tell(1, Act::Answer(ErrorCode::NOT_CONTROLLER));
    assert_eq!(hanging.heartbeat(short).await.unwrap(), timed_out);
    // The request that has timed out blocks no later one.
    hanging.tell(1, Act::Answer(ErrorCode::NONE));
    assert_eq!(hanging.heartbeat(LONG).await.unwrap(), ErrorCode::NONE);
}
