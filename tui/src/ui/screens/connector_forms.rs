//! The forms of connectors: a new one, another configuration, one task, and the question whether
//! to do what a worker has checked.
//!
//! What a form is filled in with goes back to the screen as the argument of a command, one JSON
//! document: nobody types it, and nothing of it needs quoting.

use std::path::PathBuf;

use crate::connect::{ConfigDiff, Connector};
use crate::ui::command::Id;
use crate::ui::event::{ConnectorWish, Effect};
use crate::ui::format;
use crate::ui::screen::Step;
use crate::ui::widgets::form::{Field, Form, Wrong};

/// Changes that are shown; a new connector has as many as it has keys.
const LINES_MAX: usize = 12;

fn argument(name: &str, wish: &ConnectorWish) -> String {
    serde_json::json!([name, wish.set, wish.unset, wish.file]).to_string()
}

/// The connector and what is wished of it; `None` for what no form has written.
pub(super) fn read_argument(text: &str) -> Option<(String, ConnectorWish)> {
    let (name, set, unset, file) = serde_json::from_str(text).ok()?;
    Some((name, ConnectorWish { set, unset, file }))
}

fn run(id: Id, name: &str, wish: &ConnectorWish) -> Vec<Step> {
    vec![Step::Close, Step::Run(id, argument(name, wish))]
}

pub(super) fn create() -> Form {
    let fields = vec![
        Field::text("name", "", "of the connector"),
        Field::text("file", "", "a JSON object with its configuration, or empty"),
        Field::text("class", "", "connector.class, where no file says it"),
        Field::text("settings", "", "key=value, separated by commas"),
    ];
    Form::new("a new connector", fields, |values, _| {
        let (name, file, class) = (values.get(0), values.get(1), values.get(2));
        if name.is_empty() {
            return Err(Wrong::new(0, "it needs a name"));
        }
        if file.is_empty() && class.is_empty() {
            return Err(Wrong::new(2, "which connector is it to be?"));
        }
        let mut set = values.pairs(3)?;
        if !class.is_empty() {
            set.push(("connector.class".to_owned(), class.to_owned()));
        }
        let wish = ConnectorWish {
            set,
            file: (!file.is_empty()).then(|| PathBuf::from(file)),
            ..ConnectorWish::default()
        };
        Ok(run(Id::NewConnector, name, &wish))
    })
}

pub(super) fn alter(connector: &Connector) -> Form {
    let keys: Vec<&str> = connector.config.keys().map(String::as_str).collect();
    let note = format!("there are {}", keys.join(", "));
    let fields = vec![
        Field::text(
            "key",
            "",
            format::clean(&format::cut(&note, 300)).into_owned(),
        ),
        Field::text("value", "", "empty: the key is taken out"),
        Field::text("file", "", "a JSON object with values to set, or empty"),
    ];
    let name = connector.name.clone();
    let title = format!("configuration of {}", format::clean(&name));
    Form::new(title, fields, move |values, _| {
        let mut wished = ConnectorWish::default();
        let (key, value, file) = (values.get(0), values.get(1), values.get(2));
        match (key.is_empty(), value.is_empty()) {
            (true, _) if file.is_empty() => return Err(Wrong::new(0, "which key?")),
            (true, _) => {}
            (false, true) => wished.unset.push(key.to_owned()),
            (false, false) => wished.set.push((key.to_owned(), value.to_owned())),
        }
        wished.file = (!file.is_empty()).then(|| PathBuf::from(file));
        Ok(run(Id::AlterConfig, &name, &wished))
    })
}

pub(super) fn task(connector: &Connector) -> Form {
    let failed = connector.tasks.iter().find(|task| task.state == "FAILED");
    let first = failed.or(connector.tasks.first());
    let ids: Vec<i32> = connector.tasks.iter().map(|task| task.id).collect();
    let note = match ids[..] {
        [] => "it has no task".to_owned(),
        _ => format!("it has {}", format::ids(&ids)),
    };
    let first = first.map(|task| task.id.to_string()).unwrap_or_default();
    let fields = vec![Field::text("task", &first, note)];
    let title = format!("restart a task of {}", format::clean(&connector.name));
    Form::new(title, fields, move |values, _| {
        match values.number::<i32>(0)? {
            Some(id) if ids.contains(&id) => Ok(vec![
                Step::Close,
                Step::Run(Id::RestartTask, id.to_string()),
            ]),
            _ => Err(Wrong::new(0, "there is no such task")),
        }
    })
}

/// A line for each key that is to be another.
pub(super) fn diff_lines(diff: &[ConfigDiff]) -> Vec<String> {
    let shown = |value: &Option<String>| match value {
        Some(value) => format::clean(value).into_owned(),
        None => "(none)".to_owned(),
    };
    let line = |diff: &ConfigDiff| {
        let (key, before) = (format::clean(&diff.key), shown(&diff.before));
        format!("{key}: {before} → {}", shown(&diff.after))
    };
    let mut lines: Vec<String> = diff.iter().take(LINES_MAX).map(line).collect();
    if diff.len() > LINES_MAX {
        lines.push(format!("and {} more", diff.len() - LINES_MAX));
    }
    lines
}

/// Asks whether to do it, or for what has to be typed first.
pub(super) fn confirm(
    mut lines: Vec<String>,
    name: &str,
    wanted: Option<String>,
    effect: impl Fn(String) -> Effect + Send + 'static,
) -> Form {
    lines.push(String::new());
    let field = match &wanted {
        Some(wanted) => Field::text("name", "", format!("type {wanted} to confirm")),
        None => Field::choice("do it", &["yes", "no"], 0),
    };
    let name = name.to_owned();
    let title = format!("{} will be configured", format::clean(&name));
    let form = Form::new(title, vec![field], move |values, _| {
        let said = values.get(0);
        match &wanted {
            None if said == "no" => Ok(vec![Step::Close]),
            Some(wanted) if said != wanted => {
                Err(Wrong::new(0, format!("type {wanted}, or leave with esc")))
            }
            _ => Ok(vec![Step::Close, Step::Effect(effect(name.clone()))]),
        }
    });
    form.intro(lines)
}
