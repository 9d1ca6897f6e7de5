//! The quorum-state file: the epoch, its leader, and the vote.
//!
//! One line of JSON. Version 1 (kraft.version 1) is written:
//! `{"leaderId":1,"leaderEpoch":1,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA",
//! "data_version":1}`. Version 0 is read too; its other fields say nothing that is needed.
//!
//! Kafka: `raft/FileQuorumStateStore.java`, `raft/ElectionState.java` (4.3).

use kafka_shared::types::{Uuid, uuid_from_base64, uuid_to_base64};
use serde::Deserialize;

use super::voters::ReplicaKey;

/// Name of the file in the metadata log's folder.
pub const FILE_NAME: &str = "quorum-state";

/// What a node must not forget about elections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ElectionState {
    pub epoch: i32,
    pub leader_id: Option<i32>,
    /// Who got this node's vote in the epoch.
    pub voted: Option<ReplicaKey>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    #[serde(default = "none")]
    leader_id: i32,
    #[serde(default)]
    leader_epoch: i32,
    #[serde(default = "none")]
    voted_id: i32,
    #[serde(default)]
    voted_directory_id: Option<String>,
    #[serde(rename = "data_version")]
    data_version: i16,
}

fn none() -> i32 {
    -1
}

impl ElectionState {
    /// The content of the file: at version 0, which has no directories, if the ids of the static
    /// voters are given, as a quorum at kraft.version 0 does; at version 1 otherwise.
    pub fn to_file(self, static_voters: Option<&[i32]>) -> String {
        let Some(voters) = static_voters else {
            return self.to_json();
        };
        let voters: Vec<_> = voters
            .iter()
            .map(|id| format!("{{\"voterId\":{id}}}"))
            .collect();
        format!(
            "{{\"clusterId\":\"\",\"leaderId\":{},\"leaderEpoch\":{},\"votedId\":{},\
             \"appliedOffset\":0,\"currentVoters\":[{}],\"data_version\":0}}",
            self.leader_id.unwrap_or(-1),
            self.epoch,
            self.voted.map_or(-1, |voted| voted.id),
            voters.join(","),
        )
    }

    /// The content of the file at version 1.
    pub fn to_json(self) -> String {
        let voted = self.voted.unwrap_or(ReplicaKey {
            id: -1,
            directory_id: Uuid::nil(),
        });
        format!(
            "{{\"leaderId\":{},\"leaderEpoch\":{},\"votedId\":{},\"votedDirectoryId\":\"{}\",\
             \"data_version\":1}}",
            self.leader_id.unwrap_or(-1),
            self.epoch,
            voted.id,
            uuid_to_base64(voted.directory_id),
        )
    }

    /// Reads the content of the file.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let data: Data = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if !(0..=1).contains(&data.data_version) {
            return Err(format!("unknown data_version {}", data.data_version));
        }
        if data.leader_epoch < 0 {
            return Err(format!("negative leaderEpoch {}", data.leader_epoch));
        }
        let directory_id = match &data.voted_directory_id {
            Some(text) => uuid_from_base64(text).ok_or("votedDirectoryId is no id")?,
            None => Uuid::nil(),
        };
        Ok(Self {
            epoch: data.leader_epoch,
            leader_id: (data.leader_id >= 0).then_some(data.leader_id),
            voted: (data.voted_id >= 0).then_some(ReplicaKey {
                id: data.voted_id,
                directory_id,
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_kafka_are_read_and_written_byte_for_byte() {
        let v1 = "{\"leaderId\":1,\"leaderEpoch\":7,\"votedId\":-1,\
                  \"votedDirectoryId\":\"AAAAAAAAAAAAAAAAAAAAAA\",\"data_version\":1}";
        let state = ElectionState::from_json(v1).unwrap();
        assert_eq!(
            state,
            ElectionState {
                epoch: 7,
                leader_id: Some(1),
                voted: None
            }
        );
        assert_eq!(state.to_json(), v1);
        let v0 = "{\"clusterId\":\"\",\"leaderId\":-1,\"leaderEpoch\":3,\"votedId\":2,\
                  \"appliedOffset\":0,\"currentVoters\":[{\"voterId\":2}],\"data_version\":0}";
        let voted = ReplicaKey {
            id: 2,
            directory_id: Uuid::nil(),
        };
        let expected = ElectionState {
            epoch: 3,
            leader_id: None,
            voted: Some(voted),
        };
        assert_eq!(ElectionState::from_json(v0), Ok(expected));
        assert_eq!(ElectionState::from_json(&expected.to_json()), Ok(expected));
    }

    #[test]
    fn a_damaged_file_is_an_error() {
        for text in [
            "",
            "{",
            "{\"data_version\":2}",
            "{\"leaderEpoch\":-4,\"data_version\":1}",
            "{\"leaderEpoch\":1,\"votedId\":1,\"votedDirectoryId\":\"x\",\"data_version\":1}",
        ] {
            assert!(ElectionState::from_json(text).is_err(), "{text}");
        }
    }
}
