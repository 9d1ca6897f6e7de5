//! Answers of groups' coordinators that were those of the last round: what was made of them is given
//! again.

use std::sync::Arc;

use kafka_shared::protocol::Request;

use crate::model::{ClusterMetadata, Committed, Group, GroupDescription, PerGroup};

use super::groups::{Mentioned, per_group};
use super::seen::{Digest, SeenEach};
use super::wire::{ClusterClient, decoded};

impl ClusterClient {
    /// Asks for groups. What was made of an answer that is that of the last round is given again.
    pub(super) async fn ask_groups<R: Request, T>(
        &self,
        asked: &Asked<'_, T>,
        request: R,
        version_max: Option<i16>,
        made: impl FnOnce(R::Response) -> Mentioned<T>,
    ) -> Again<T> {
        let (what, node) = (asked.what, asked.node);
        let answer = self.ask_part_undecoded(what, node, request, version_max);
        let answer = answer.await;
        let (Some(seen), Some(question)) = (asked.seen, asked.question()) else {
            let mentioned = answer.and_then(|answer| decoded(what, answer));
            return (per_group(asked.groups, mentioned.map(made)), false);
        };
        let ids = asked.groups.iter().map(|group| group.id.as_bytes());
        let digest = ids.fold(Digest::NOTHING, Digest::and);
        let digest = digest.and_answer(node, &answer);
        if let Some(same) = seen.of(question.clone(), digest) {
            return (PerGroup::clone(&same), true);
        }
        let mentioned = answer.and_then(|answer| decoded(what, answer));
        let found = per_group(asked.groups, mentioned.map(made));
        seen.keep(question, digest, &Arc::new(found.clone()));
        (found, false)
    }
}

/// What is known of groups, and whether it is what was known in the last round.
pub(super) type Again<T> = (PerGroup<T>, bool);

/// What is known of all groups that were asked for.
pub(super) fn together<T>(answers: Vec<Again<T>>) -> Again<T> {
    let are_same = answers.iter().all(|(_, is_same)| *is_same);
    let all = answers.into_iter().flat_map(|(groups, _)| groups);
    (all.collect(), are_same)
}

/// What is asked of a coordinator, and what its answers to that were.
pub(super) struct Asked<'a, T> {
    pub(super) what: &'a str,
    pub(super) node: i32,
    pub(super) groups: &'a [Arc<Group>],
    pub(super) seen: Option<&'a SeenEach<Question, PerGroup<T>>>,
}

impl<T: PartialEq> Asked<'_, T> {
    /// Compares what was found with what was found in the last round.
    pub(super) fn compared(&self, found: PerGroup<T>) -> Again<T> {
        let (Some(seen), Some(question)) = (self.seen, self.question()) else {
            return (found, false);
        };
        let of_all = Some(Digest::NOTHING);
        if let Some(same) = seen.of(question.clone(), of_all)
            && *same == found
        {
            return (PerGroup::clone(&same), true);
        }
        let is_whole = found.iter().all(|(_, result)| result.is_ok());
        seen.keep(
            question,
            of_all.filter(|_| is_whole),
            &Arc::new(found.clone()),
        );
        (found, false)
    }
}

impl<T> Asked<'_, T> {
    fn question(&self) -> Option<Question> {
        let first = self.groups.first()?;
        Some((self.node, Arc::clone(&first.id)))
    }
}

/// Who is asked, and the first of the groups that are asked for.
pub(super) type Question = (i32, Arc<str>);

/// What coordinators answered in the last round.
#[derive(Debug, Default)]
pub(super) struct SeenGroups {
    pub(super) described: SeenEach<Question, PerGroup<GroupDescription>>,
    pub(super) committed: SeenEach<Question, PerGroup<Committed>>,
}

impl SeenGroups {
    pub(super) fn begin_round(&self) {
        self.described.begin_round();
        self.committed.begin_round();
    }
}

/// What is known before groups are asked for.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) seen: &'a SeenGroups,
    /// Whose names of topics are shared.
    pub(super) metadata: &'a ClusterMetadata,
}

impl Known<'_> {
    pub(super) fn share(&self, name: &mut Arc<str>) {
        if let Some(topic) = self.metadata.topic(name) {
            *name = Arc::clone(&topic.name);
        }
    }

    pub(super) fn share_all(&self, group: &mut GroupDescription) {
        for member in &mut group.members {
            let lists = member.assignment.iter_mut().chain(&mut member.target);
            let owned = lists.map(|list| &mut list.topic);
            for name in member.subscribed.iter_mut().chain(owned) {
                self.share(name);
            }
        }
    }
}
