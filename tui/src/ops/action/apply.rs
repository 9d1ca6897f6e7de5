//! Several changes as one, which are planned, confirmed and undone together.

use serde::{Deserialize, Serialize};

use super::Action;

/// Changes of topics, each of which could be made on its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ApplyTopics {
    /// In the order in which they are made; none of them is of this kind itself.
    pub steps: Vec<Action>,
}

impl Action {
    /// The actions that this one consists of: itself, where it is no list of others.
    pub fn steps(&self) -> &[Self] {
        match self {
            Self::Apply(apply) => &apply.steps,
            one => std::slice::from_ref(one),
        }
    }
}
