//! Changes of the metadata quorum, of feature levels, and of who is registered.

use serde::{Deserialize, Serialize};

use crate::model::VoterListener;

/// One change of the quorum, the features or the registrations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuorumAction {
    AddVoter(AddVoter),
    RemoveVoter {
        id: i32,
        /// Kafka's text form; `None` is the one that the quorum has for it.
        directory_id: Option<String>,
    },
    SetFeatures(Vec<SetFeature>),
    /// Forgets a broker that is gone for good.
    UnregisterBroker(i32),
}

impl QuorumAction {
    /// Whether the controller can check it without doing it.
    pub fn can_be_checked(&self) -> bool {
        matches!(self, Self::SetFeatures(_))
    }
}

/// A controller that becomes a voter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddVoter {
    pub id: i32,
    /// Kafka's text form; `None` is the one that it follows with.
    pub directory_id: Option<String>,
    /// Where it is reached by the others.
    pub listeners: Vec<VoterListener>,
}

/// A new level of a feature; 0 switches it off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetFeature {
    pub name: String,
    pub level: i16,
    pub direction: Direction,
}

/// Which way a level may go; the numbers are Kafka's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Up = 1,
    /// Down where nothing is lost by it.
    Down = 2,
    /// Down although metadata may be lost.
    DownUnsafe = 3,
}
