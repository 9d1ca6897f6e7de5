//! What is asked for before a voter is added or a feature level is changed.

use crate::derive::{feature_level, feature_level_name};
use crate::model::{FeatureLevel, QuorumReplica, VoterListener};
use crate::ops::{Action, AddVoter, Direction, QuorumAction, SetFeature};
use crate::ui::cx::Cx;
use crate::ui::format;
use crate::ui::screen::Step;
use crate::ui::widgets::form::{Field, Form, Wrong};

/// Proposes the listener that the other voters have, on the host of the node.
pub fn add_voter(node: &QuorumReplica, cx: &Cx<'_>) -> Form {
    let quorum = cx.snapshot.quorum.get();
    let usual = quorum.and_then(|quorum| quorum.listeners.values().flatten().next());
    let broker = cx.snapshot.metadata.get().and_then(|m| m.broker(node.id));
    let host = broker.map_or("HOST", |broker| &broker.host);
    let name = usual.map_or("CONTROLLER", |usual| &usual.name);
    let port = usual.map_or(9093, |usual| usual.port);
    let proposed = format!("{name}://{host}:{port}");
    let directory = node.directory_id.clone().unwrap_or_default();
    let fields = vec![
        Field::text(
            "listener",
            &proposed,
            "where the others reach it; more than one with commas",
        ),
        Field::text(
            "directory",
            &directory,
            "the directory.id of its metadata log",
        ),
    ];
    let id = node.id;
    Form::new(
        format!("make node {id} a voter"),
        fields,
        move |values, _| {
            let listeners = values.get(0).split(',').map(|text| text.trim().parse());
            let listeners: Result<Vec<VoterListener>, String> = listeners.collect();
            let add = AddVoter {
                id,
                directory_id: Some(values.get(1).to_owned()).filter(|id| !id.is_empty()),
                listeners: listeners.map_err(|why| Wrong::new(0, why))?,
            };
            Ok(vec![Step::Plan(Action::Quorum(QuorumAction::AddVoter(
                add,
            )))])
        },
    )
}

pub fn set_feature(feature: &FeatureLevel) -> Form {
    let FeatureLevel {
        name,
        finalized,
        supported_min,
        supported_max,
        ..
    } = feature;
    let newest = match feature_level_name(name, *supported_max) {
        Some(known) => format!("{supported_max} ({known})"),
        None => supported_max.to_string(),
    };
    let note = format!("from {supported_min} to {newest}; 0 switches it off");
    let fields = vec![
        Field::text("level", &supported_max.to_string(), note),
        Field::choice("down", &["refuse", "if nothing is lost", "unsafely"], 0),
    ];
    let (feature, before) = (name.clone(), *finalized);
    let title = format!("the level of {}", format::clean(name));
    let now = match before {
        Some(level) => format!("now it is {level}"),
        None => "now it is not known".to_owned(),
    };
    let form = Form::new(title, fields, move |values, _| {
        let level = feature_level(&feature, values.get(0))
            .ok_or_else(|| Wrong::new(0, "that is no level"))?;
        let is_down = before.is_some_and(|before| level < before);
        let direction = match values.get(1) {
            "if nothing is lost" if is_down => Direction::Down,
            "unsafely" if is_down => Direction::DownUnsafe,
            _ => Direction::Up,
        };
        let set = SetFeature {
            name: feature.clone(),
            level,
            direction,
        };
        let action = QuorumAction::SetFeatures(vec![set]);
        Ok(vec![Step::Plan(Action::Quorum(action))])
    });
    form.intro(vec![now])
}
