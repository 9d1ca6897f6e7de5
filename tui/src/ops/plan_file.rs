//! Any plan as a file, to be read, compared and executed later: the action, what it was made from,
//! and what it would change. Reassignments have a file of their own with a partition a line: see
//! [`reassign::PlanFile`](super::reassign::PlanFile).

use std::collections::BTreeMap;

use kafka_shared::types::uuid_to_base64;
use serde::{Deserialize, Serialize};

use crate::model::{ClusterSnapshot, Fault};

use super::action::Action;
use super::plan::{Change, Plan};

/// Of the file's format.
const VERSION: u32 = 1;

/// Says what kind of file it is.
const FORMAT: &str = "kafka-tui plan";

/// A plan that was saved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedPlan {
    pub format: String,
    pub version: u32,
    pub cluster_id: Option<String>,
    /// RFC 3339, in UTC.
    pub made_at: String,
    pub title: String,
    /// Of the cluster and of what is to be changed as it was then.
    pub fingerprint: String,
    pub changes: Vec<Change>,
    pub warnings: Vec<String>,
    pub equivalent: Vec<String>,
    pub action: Action,
    /// The ids of the topics that it deletes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub topic_ids: BTreeMap<String, String>,
}

impl SavedPlan {
    pub fn of(plan: &Plan, wall_ms: i64) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            cluster_id: plan.cluster_id.clone(),
            made_at: super::undo::timestamp(wall_ms),
            title: plan.title.clone(),
            fingerprint: fingerprint(plan.cluster_id.as_deref(), &plan.changes),
            changes: plan.changes.clone(),
            warnings: plan.warnings.clone(),
            equivalent: plan.equivalent.clone(),
            action: plan.action.clone(),
            topic_ids: ids_of(plan),
        }
    }

    /// The text of the file.
    ///
    /// # Errors
    /// The action holds what must not be written.
    pub fn print(&self) -> Result<String, Fault> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| Fault::refused("write the plan", error.to_string()))?;
        Ok(text + "\n")
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It is something else, or was edited.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let refuse = |why: String| Fault::refused("read the plan", why);
        let saved: Self = serde_json::from_str(text).map_err(|error| {
            let fault = refuse(format!("not a plan that was saved: {error}"));
            match super::reassign::PlanFile::parse(text) {
                Ok(_) => fault.with_hint("it is a reassignment: `kafka-tui reassign run FILE`"),
                Err(_) => fault,
            }
        })?;
        if saved.format != FORMAT || saved.version != VERSION {
            let (format, version) = (&saved.format, saved.version);
            return Err(refuse(format!("{format} of version {version} is unknown")));
        }
        if saved.fingerprint != fingerprint(saved.cluster_id.as_deref(), &saved.changes) {
            let why = "its changes or its cluster were edited".to_owned();
            return Err(refuse(why).with_hint("plan it again instead"));
        }
        Ok(saved)
    }

    /// Plans the same action on the cluster of now.
    ///
    /// # Errors
    /// This is another cluster, or what is to be changed is not as it was: says what has moved.
    pub fn plan(&self, snapshot: &ClusterSnapshot) -> Result<Plan, Fault> {
        let now = snapshot.metadata.get();
        let now = now.and_then(|metadata| metadata.cluster_id.as_deref());
        if let (Some(then), Some(now)) = (self.cluster_id.as_deref(), now)
            && then != now
        {
            let why = format!("it was made for cluster {then}, and this is {now}");
            return Err(Fault::refused(&self.title, why));
        }
        let plan = super::plan(self.action.clone(), snapshot)?;
        let mut moved = self.moved(&plan.changes);
        let then = |name: &String| self.topic_ids.get(name);
        for (name, _) in ids_of(&plan)
            .iter()
            .filter(|(name, now)| then(name).is_some_and(|then| then != *now))
        {
            let why = "is another one by now: it was deleted and made anew";
            moved.insert(0, format!("topic \"{name}\" {why}"));
        }
        match moved.first() {
            None => Ok(plan),
            Some(first) => {
                let more = match moved.len() {
                    1 => String::new(),
                    n => format!("; and {} more", n - 1),
                };
                let hint = "plan it again";
                Err(Fault::refused(&self.title, format!("{first}{more}")).with_hint(hint))
            }
        }
    }

    /// What is not as it was. What is as wanted already has not moved.
    fn moved(&self, now: &[Change]) -> Vec<String> {
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "(none)".to_owned());
        let mut moved = Vec::new();
        for change in now {
            let then = self
                .changes
                .iter()
                .find(|then| then.subject == change.subject);
            match then {
                Some(then) if then.before == change.before => {}
                Some(then) => moved.push(format!(
                    "{} is {} and was {} when this was planned",
                    change.subject,
                    text(&change.before),
                    text(&then.before)
                )),
                None => moved.push(format!("{} would change too", change.subject)),
            }
        }
        moved
    }
}

fn ids_of(plan: &Plan) -> BTreeMap<String, String> {
    let ids = plan.topic_ids.iter();
    ids.map(|(name, id)| (name.clone(), uuid_to_base64(*id)))
        .collect()
}

/// FNV-1a over the cluster and each change.
fn fingerprint(cluster_id: Option<&str>, changes: &[Change]) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut take = |text: Option<&str>| {
        let bytes = text.unwrap_or("\u{1}").bytes();
        for byte in bytes.chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    take(cluster_id);
    for change in changes {
        take(Some(&change.subject));
        take(change.before.as_deref());
        take(change.after.as_deref());
    }
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Danger;

    fn saved() -> SavedPlan {
        let mut plan = Plan::new(Action::DeleteTopics(vec!["t".into()]), "it", Danger::Safe);
        plan.cluster_id = Some("c".to_owned());
        plan.change("a", Some("1".to_owned()), Some("2".to_owned()));
        SavedPlan::of(&plan, 0)
    }

    #[test]
    fn a_plan_is_read_as_it_was_written_and_not_as_it_was_edited() {
        let text = saved().print().unwrap();
        assert_eq!(SavedPlan::parse(&text).unwrap(), saved());
        let edited = text.replace("\"before\": \"1\"", "\"before\": \"3\"");
        assert!(
            SavedPlan::parse(&edited)
                .unwrap_err()
                .why
                .contains("edited")
        );
        let other = text.replace("\"cluster_id\": \"c\"", "\"cluster_id\": \"d\"");
        assert!(SavedPlan::parse(&other).unwrap_err().why.contains("edited"));
        assert!(SavedPlan::parse("{}").is_err());
        let moves = r#"{"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[1]}]}"#;
        let hint = SavedPlan::parse(moves).unwrap_err().hint.unwrap();
        assert!(hint.contains("reassign run"), "{hint}");
    }

    #[test]
    fn a_topic_that_was_made_anew_is_not_deleted_by_a_plan_for_the_one_before() {
        let cluster = |id: u128| {
            let topic = crate::model::Topic {
                name: "t".into(),
                id: Some(kafka_shared::types::Uuid::from_u128(id)),
                is_internal: false,
                error: None,
                partitions: Box::default(),
            };
            let metadata = crate::model::ClusterMetadata {
                topics: vec![std::sync::Arc::new(topic)],
                ..Default::default()
            };
            let mut snapshot = ClusterSnapshot::default();
            let update = crate::model::Update::Metadata(Ok(std::sync::Arc::new(metadata)));
            snapshot.apply(update, crate::model::Taken::default());
            snapshot
        };
        let (then, now) = (cluster(7 << 64), cluster(8 << 64));
        let action = Action::DeleteTopics(vec!["t".into()]);
        let plan = crate::ops::plan(action, &then).unwrap();
        let text = SavedPlan::of(&plan, 0).print().unwrap();
        let saved = SavedPlan::parse(&text).unwrap();
        assert_eq!(saved.plan(&then).unwrap().topic_ids, plan.topic_ids);
        let why = saved.plan(&now).unwrap_err().why;
        assert!(why.contains("\"t\" is another one by now"), "{why}");
    }

    #[test]
    fn what_has_moved_is_told() {
        let now = |subject: &str, before: &str| Change {
            subject: subject.to_owned(),
            before: Some(before.to_owned()),
            after: None,
            note: None,
        };
        let saved = saved();
        assert_eq!(saved.moved(&[now("a", "1")]), Vec::<String>::new());
        assert_eq!(saved.moved(&[]), Vec::<String>::new());
        assert_eq!(
            saved.moved(&[now("a", "5")]),
            ["a is 5 and was 1 when this was planned"]
        );
        assert_eq!(saved.moved(&[now("b", "1")]), ["b would change too"]);
    }
}
