//! What Apache Kafka's brokers and controllers asked and heard, as it went over the wire.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{
    AllocateProducerIdsRequest, AlterPartitionRequest, BrokerHeartbeatRequest,
    BrokerHeartbeatResponse, BrokerRegistrationRequest, BrokerRegistrationResponse,
    ControllerRegistrationRequest, EnvelopeRequest,
};
use kafka_shared::protocol::header::{encode_request_header, parse_request_header};
use kafka_shared::protocol::{Request, codec};

use super::script::Script;

const FRAMES: &str = include_str!("../../../tests/golden/controller_frames.txt");

/// The recorded frames of one API, `req` or `resp`, in their order and with their headers.
pub(crate) fn recorded(name: &str, direction: &str) -> Vec<Bytes> {
    let mut lines = FRAMES.lines();
    let mut frames = Vec::new();
    while let (Some(title), Some(hex)) = (lines.next(), lines.next()) {
        let mut words = title.split(' ');
        if words.next() == Some(name) && words.next_back() == Some(direction) {
            let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            frames.push((0..hex.len()).step_by(2).map(byte).collect());
        }
    }
    assert!(!frames.is_empty(), "{name} {direction}");
    frames
}

fn requests<R: Request>(name: &str) -> Vec<R> {
    let decode = |mut frame: Bytes| {
        let whole = frame.clone();
        let header = parse_request_header(&mut frame).unwrap();
        let request: R = codec::decode_request(&mut frame, header.api_version).unwrap();
        assert!(frame.is_empty(), "{name}");
        // What was read makes the same bytes again.
        let mut again = BytesMut::new();
        let (version, id) = (header.api_version, header.correlation_id);
        encode_request_header(R::KEY, version, id, header.client_id.as_deref(), &mut again)
            .unwrap();
        codec::encode_request(&request, version, &mut again).unwrap();
        assert_eq!(again.freeze(), whole, "{name}");
        request
    };
    recorded(name, "req").into_iter().map(decode).collect()
}

fn responses<R: Request>(name: &str, version: i16) -> Vec<R::Response> {
    let decode = |frame: Bytes| {
        // Correlation id and no tagged fields.
        let mut body = frame.slice(5..);
        codec::decode_response(&mut body, version).unwrap()
    };
    recorded(name, "resp").into_iter().map(decode).collect()
}

#[test]
fn recorded_requests_are_read_and_written_to_the_same_bytes() {
    assert_eq!(
        requests::<ControllerRegistrationRequest>("ControllerRegistration").len(),
        1
    );
    assert_eq!(requests::<EnvelopeRequest>("Envelope").len(), 1);
    assert_eq!(
        requests::<AllocateProducerIdsRequest>("AllocateProducerIds").len(),
        1
    );
    assert_eq!(requests::<AlterPartitionRequest>("AlterPartition").len(), 1);
}

#[test]
fn a_recorded_broker_hears_from_our_controller_what_it_heard_from_apache_kafkas() {
    let mut script = Script::new();
    let registrations = requests::<BrokerRegistrationRequest>("BrokerRegistration");
    let their_epochs: Vec<i64> = responses::<BrokerRegistrationRequest>("BrokerRegistration", 4)
        .iter()
        .map(|response: &BrokerRegistrationResponse| response.broker_epoch)
        .collect();
    let heartbeats = requests::<BrokerHeartbeatRequest>("BrokerHeartbeat");
    let heard = responses::<BrokerHeartbeatRequest>("BrokerHeartbeat", 2);
    let their_epoch = their_epochs[0];
    let registration = registrations[0].clone();
    let our_epoch = script
        .decide(|controller, cx, hearts| controller.register_broker(cx, hearts, &registration))
        .expect("the registration is taken")
        .broker_epoch;
    let mut beat = |recorded: &BrokerHeartbeatRequest, ahead: i64| {
        let mut request = recorded.clone();
        request.current_metadata_offset += our_epoch - their_epoch + ahead;
        request.broker_epoch = our_epoch;
        script
            .decide(|controller, cx, hearts| controller.broker_heartbeat(cx, hearts, &request))
            .expect("the heartbeat is taken")
    };
    // Not there yet, caught up, ready: the recorded answers in their order.
    let mut answers: Vec<BrokerHeartbeatResponse> = vec![beat(&heartbeats[0], 0)];
    answers.push(beat(&heartbeats[0], 1));
    answers.push(beat(&heartbeats[0], 1));
    answers.push(beat(&heartbeats[1], 0));
    assert_eq!(answers, heard);
}
