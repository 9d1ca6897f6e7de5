//! What the machine says as lines of a script.

use std::fmt::Write as _;

use kafka_shared::error::ErrorCode;

use super::super::super::quorum_records::QuorumRecord;
use super::super::super::rpc::*;
use super::super::super::voters::ReplicaKey;
use super::super::{ControlRecord, Output, Peer};

/// One line for each output, and only one for what goes to several peers in a row.
pub(super) fn lines(outputs: &[Output]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in outputs.iter().map(text) {
        let before = lines.last().and_then(|last| send_parts(last));
        let merged = before.zip(send_parts(&line)).and_then(|(before, now)| {
            let is_same = before.1 == now.1;
            is_same.then(|| format!("to {}, {}: {}", before.0, now.0, now.1))
        });
        match (merged, lines.last_mut()) {
            (Some(merged), Some(last)) => *last = merged,
            _ => lines.push(line),
        }
    }
    lines
}

/// The peers and the request of `to 2, 3: …`.
fn send_parts(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix("to ")?.split_once(": ")
}

fn name(error: ErrorCode) -> &'static str {
    if error == ErrorCode::NONE {
        "ok"
    } else {
        error.name()
    }
}

fn ids<'a>(keys: impl IntoIterator<Item = &'a ReplicaKey>) -> Vec<i32> {
    keys.into_iter().map(|key| key.id).collect()
}

fn end(end: LogEnd) -> String {
    format!("{}@{}", end.end_offset, end.last_epoch)
}

fn leader(leader: &CurrentLeader) -> String {
    let id = leader.id.map_or("-".to_owned(), |id| id.to_string());
    let place = if leader.id.is_some() && leader.endpoints.is_empty() {
        "?"
    } else {
        ""
    };
    format!("leader={id}{place}@{}", leader.epoch)
}

fn text(output: &Output) -> String {
    match output {
        Output::PersistElection {
            election,
            static_voters,
        } => {
            let or_dash = |id: Option<i32>| id.map_or("-".to_owned(), |id| id.to_string());
            let (leader, voted) = (election.leader_id, election.voted.map(|voted| voted.id));
            let version = if static_voters.is_some() { " v0" } else { "" };
            format!(
                "persist epoch={} leader={} voted={}{version}",
                election.epoch,
                or_dash(leader),
                or_dash(voted)
            )
        }
        Output::Send { to, request, .. } => {
            let to = match to {
                Peer::Node(id) => id.to_string(),
                Peer::Bootstrap(_) => "boot".into(),
            };
            format!("to {to}: {}", request_text(request))
        }
        Output::Reply { token, response } => format!("reply {token}: {}", response_text(response)),
        Output::UpgradeReply { error, .. } => format!("upgrade: {}", name(*error)),
        Output::BecomeLeader {
            epoch,
            epoch_start_offset,
        } => format!("lead epoch={epoch} from={epoch_start_offset}"),
        Output::AppendControl { records, .. } => {
            let records: Vec<_> = records.iter().map(control_text).collect();
            format!("write {}", records.join(", "))
        }
        Output::StepDown { epoch } => format!("step down epoch={epoch}"),
        Output::LeaderChanged(news) => format!("news {}", leader(news)),
        Output::HighWatermark(offset) => format!("commit {offset}"),
        Output::AppendFetched {
            end_offset, flush, ..
        } => format!(
            "append {end_offset}{}",
            if *flush { " and flush" } else { "" }
        ),
        Output::Flush => "flush".into(),
        Output::Truncate { end_offset } => format!("truncate {end_offset}"),
        Output::CreateSnapshot(id) => format!("create snapshot {}@{}", id.end_offset, id.epoch),
        Output::AppendSnapshot { .. } => "append to snapshot".into(),
        Output::DropSnapshot(id) => format!("drop snapshot {}@{}", id.end_offset, id.epoch),
        Output::InstallSnapshot(id) => format!("install snapshot {}@{}", id.end_offset, id.epoch),
        Output::Fault(_) => "fault".into(),
        Output::ShutdownDone => "done".into(),
    }
}

fn control_text(record: &ControlRecord) -> String {
    match record {
        ControlRecord::LeaderChange {
            leader_id,
            voters,
            granting_voters,
        } => format!("leader {leader_id} of {voters:?} by {granting_voters:?}"),
        ControlRecord::Quorum(QuorumRecord::KRaftVersion(level)) => format!("level {level}"),
        ControlRecord::Quorum(QuorumRecord::Voters(voters)) => format!("voters {:?}", voters.ids()),
    }
}

fn request_text(request: &Request) -> String {
    match request {
        Request::Vote(request) => format!(
            "{} epoch={} end={}",
            if request.pre_vote { "pre-vote" } else { "vote" },
            request.epoch,
            end(request.log)
        ),
        Request::BeginQuorumEpoch(request) => format!("begin epoch={}", request.epoch),
        Request::EndQuorumEpoch(request) => {
            let preferred = ids(&request.preferred_candidates);
            format!("end epoch={} preferred={preferred:?}", request.epoch)
        }
        Request::Fetch(request) => format!(
            "fetch epoch={} at={}@{} hw={}",
            request.epoch, request.fetch_offset, request.last_fetched_epoch, request.high_watermark
        ),
        Request::FetchSnapshot(request) => {
            let id = request.snapshot_id;
            format!(
                "fetch snapshot {}@{} from {}",
                id.end_offset, id.epoch, request.position
            )
        }
        Request::AddRaftVoter(request) => format!("add {}", request.voter.id),
        Request::RemoveRaftVoter(request) => format!("remove {}", request.voter.id),
        Request::UpdateRaftVoter(request) => format!("update {}", request.voter.id),
        Request::ApiVersions => "api versions".into(),
    }
}

fn response_text(response: &Response) -> String {
    match response {
        Response::Vote(response) => {
            let is_error = response.error != ErrorCode::NONE;
            let outcome = if response.vote_granted {
                "granted"
            } else {
                "refused"
            };
            let outcome = if is_error {
                response.error.name()
            } else {
                outcome
            };
            format!("{outcome} {}", leader(&response.leader))
        }
        Response::BeginQuorumEpoch(response) | Response::EndQuorumEpoch(response) => {
            format!("{} {}", name(response.error), leader(&response.leader))
        }
        Response::Fetch(response) => {
            let mut text = format!("{} {}", name(response.error), leader(&response.leader));
            write!(text, " hw={}", response.high_watermark).unwrap();
            if let Some(epoch) = response.diverging_epoch {
                write!(text, " diverge={}@{}", epoch.end_offset, epoch.epoch).unwrap();
            }
            if let Some(id) = response.snapshot_id {
                write!(text, " snapshot={}@{}", id.end_offset, id.epoch).unwrap();
            }
            if let FetchRecords::Read { from, .. } = response.records {
                write!(text, " records from {from}").unwrap();
            }
            text
        }
        Response::FetchSnapshot(response) => {
            let piece = format!("{} bytes from {}", response.bytes, response.position);
            format!("{} {piece}", name(response.error))
        }
        Response::AddRaftVoter(response) | Response::RemoveRaftVoter(response) => {
            name(response.error).to_owned()
        }
        Response::UpdateRaftVoter(response) => {
            format!("{} {}", name(response.error), leader(&response.leader))
        }
        Response::ApiVersions(_) => "api versions".into(),
    }
}
