//! Client quotas: the limits of users, client ids and addresses, and which of them apply.

use std::collections::BTreeMap;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::{draw_empty, interest, part};
use crate::cluster::Interest;
use crate::derive::{self, AppliedQuota, limit_text};
use crate::model::{CLIENT_LIMITS, IP_LIMITS, QuotaEntity};
use crate::ops::{Action, SecurityAction};
use crate::ui::command::{Id, Scope};
use crate::ui::cx::Cx;
use crate::ui::dialogs::TextDialog;
use crate::ui::format;
use crate::ui::screen::{Changed, Part, Place, Screen, Step, Toast, focused_list};
use crate::ui::screens::{cells, topics};
use crate::ui::widgets::form::{Field, Form, Wrong};
use crate::ui::widgets::list::{Column, Filter, Key, List, Named};

/// One limit of an entity.
pub struct Row {
    key: String,
    entity: QuotaEntity,
    limit: String,
    value: f64,
}

impl Named for Row {
    fn name(&self) -> &str {
        &self.key
    }

    fn matches(&self, filter: &Filter) -> bool {
        filter.accepts(&self.key)
    }
}

const COLUMNS: &[Column<Row>] = &[
    Column::wide(
        "WHO",
        12,
        0,
        |row, _| Key::text(&row.key),
        |row, cx| cells::foreign(&row.entity.to_string(), cx),
    ),
    Column::wide(
        "LIMIT",
        10,
        0,
        |row, _| Key::text(&row.limit),
        |row, cx| cells::foreign(&row.limit, cx),
    ),
    Column::number(
        "VALUE",
        12,
        0,
        |row, _| Key::Float(row.value),
        |row, cx| cells::plain(limit_text(&row.limit, row.value), cx),
    ),
];

/// The screen.
#[derive(Debug)]
pub struct Quotas {
    list: List<Row>,
}

impl Quotas {
    pub fn new() -> Self {
        Self {
            list: List::new(COLUMNS),
        }
    }
}

/// What is typed for the default of a kind; an empty field means that the kind has no part in it.
const DEFAULT: &str = "(default)";

const LIMITS: &[&str] = &[
    CLIENT_LIMITS[0],
    CLIENT_LIMITS[1],
    CLIENT_LIMITS[2],
    CLIENT_LIMITS[3],
    IP_LIMITS[0],
];

fn alter(entity: QuotaEntity, limit: &str, value: Option<f64>) -> Vec<Step> {
    let action = SecurityAction::AlterQuota {
        entity,
        limits: BTreeMap::from([(limit.to_owned(), value)]),
    };
    vec![Step::Plan(Action::Security(action))]
}

fn set_form(row: Option<&Row>) -> Form {
    let part = |kind: &str| -> String {
        let name = row.and_then(|row| row.entity.0.get(kind));
        name.map_or(String::new(), |name| {
            name.clone().unwrap_or(DEFAULT.to_owned())
        })
    };
    let at = row.and_then(|row| LIMITS.iter().position(|limit| *limit == row.limit));
    let value = row.map_or(String::new(), |row| row.value.to_string());
    let note = format!("{DEFAULT} is every one without a quota of its own; empty: not by this");
    let fields = vec![
        Field::text("user", &part(QuotaEntity::USER), note.clone()),
        Field::text("client id", &part(QuotaEntity::CLIENT_ID), note.clone()),
        Field::text("address", &part(QuotaEntity::IP), note),
        Field::text("limit", LIMITS[at.unwrap_or(0)], LIMITS.join(", ")),
        Field::text(
            "value",
            &value,
            "bytes per second, per cent of a thread, or per second",
        ),
    ];
    Form::new("set a limit", fields, |values, _| {
        let mut entity = QuotaEntity::default();
        for (field, kind) in [QuotaEntity::USER, QuotaEntity::CLIENT_ID, QuotaEntity::IP]
            .into_iter()
            .enumerate()
        {
            match values.get(field) {
                "" => continue,
                DEFAULT => entity.0.insert(kind.to_owned(), None),
                name => entity.0.insert(kind.to_owned(), Some(name.to_owned())),
            };
        }
        if entity.0.is_empty() {
            return Err(Wrong::new(
                0,
                "for whom? a user, a client id, both, or an address",
            ));
        }
        let value: f64 = values
            .number(4)?
            .ok_or_else(|| Wrong::new(4, "how much?"))?;
        Ok(alter(entity, values.get(3), Some(value)))
    })
}

fn which_form(row: Option<&Row>) -> Form {
    let part = |kind: &str| -> String {
        let name = row.and_then(|row| row.entity.0.get(kind));
        name.cloned().flatten().unwrap_or_default()
    };
    let fields = vec![
        Field::text("user", &part(QuotaEntity::USER), "its name, without User:"),
        Field::text(
            "client id",
            &part(QuotaEntity::CLIENT_ID),
            "as the client sends it",
        ),
        Field::text("address", &part(QuotaEntity::IP), "the client's address"),
    ];
    Form::new("which limits apply", fields, |values, cx| {
        let Some(quotas) = cx.snapshot.security.quotas.get() else {
            return Ok(vec![Step::Say(Toast::bad("the quotas are not known"))]);
        };
        let mut applied = derive::client_quotas(quotas, values.get(0), values.get(1));
        if !values.get(2).is_empty() {
            applied.extend(derive::ip_quotas(quotas, values.get(2)));
        }
        Ok(vec![told(&applied, cx)])
    })
}

fn told(applied: &[AppliedQuota], cx: &Cx<'_>) -> Step {
    let theme = cx.theme;
    let mut lines: Vec<(String, Style)> = Vec::new();
    for quota in applied {
        let (Some(value), Some(entity)) = (quota.value, &quota.entity) else {
            lines.push((format!("{}: no limit", quota.limit), theme.dim));
            continue;
        };
        let value = limit_text(&quota.limit, value);
        let text = format!("{}: {value}", quota.limit);
        lines.push((text, theme.accent));
        let from = format!("  by the quota of {entity}");
        lines.push((format::clean(&from).into_owned(), theme.text));
        if let Some(shared_by) = &quota.shared_by {
            lines.push((format!("  shared by {shared_by}"), theme.dim));
        }
    }
    let copy: Vec<&str> = lines.iter().map(|(line, _)| line.as_str()).collect();
    let copy = copy.join("\n");
    Step::Dialog(Box::new(TextDialog::new("limits that apply", lines, copy)))
}

impl Screen for Quotas {
    fn place(&self) -> Place {
        Place::Quotas
    }

    fn title(&self) -> String {
        "quotas".to_owned()
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Quotas, Scope::List]
    }

    fn interest(&self, _cx: &Cx<'_>) -> Interest {
        interest()
    }

    fn parts(&self, cx: &Cx<'_>) -> Vec<Part> {
        part("quotas", &cx.snapshot.security.quotas)
    }

    focused_list!(self.list);

    fn shows(&self) -> Changed {
        Changed::SECURITY
    }

    fn on_data(&mut self, cx: &Cx<'_>, _changed: Changed) {
        let Some(quotas) = cx.snapshot.security.quotas.get() else {
            return;
        };
        let mut rows = Vec::new();
        for quota in quotas {
            rows.extend(quota.limits.iter().map(|(limit, value)| Row {
                key: format!("{} {limit}", quota.entity),
                entity: quota.entity.clone(),
                limit: limit.clone(),
                value: *value,
            }));
        }
        self.list.set_rows(rows, cx);
    }

    fn run(&mut self, command: Id, _argument: &str, cx: &Cx<'_>) -> Option<Vec<Step>> {
        let selected = self.list.selected_row();
        Some(match command {
            Id::SetQuota => vec![Step::Dialog(Box::new(set_form(None)))],
            Id::Open => vec![Step::Dialog(Box::new(set_form(Some(selected?))))],
            Id::Explain => vec![Step::Dialog(Box::new(which_form(selected)))],
            Id::Delete => {
                let row = selected?;
                alter(row.entity.clone(), &row.limit, None)
            }
            Id::Copy => topics::copy(&selected?.key, cx),
            _ => return None,
        })
    }

    fn draw(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
        let quotas = &cx.snapshot.security.quotas;
        if !draw_empty(quotas, "there are no quotas: n sets one", cx, area, buffer) {
            self.list.draw(cx, true, area, buffer);
        }
    }
}
