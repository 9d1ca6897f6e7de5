//! ACL rules: who is allowed or denied what, what that comes to, and which rules do nothing.

use std::collections::BTreeMap;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::{draw_empty, interest, part};
use crate::cluster::Interest;
use crate::derive::{self, AclQuestion, Allowed, Idle};
use crate::model::{
    Acl, AclOperation, AclPattern, AclPermission, AclResource, CLUSTER_RESOURCE, WILDCARD,
};
use crate::ops::{Action, SecurityAction};
use crate::ui::command::{Id, Scope};
use crate::ui::cx::Cx;
use crate::ui::dialogs::TextDialog;
use crate::ui::format;
use crate::ui::screen::{Changed, Part, Place, Screen, Step, Toast, focused_list};
use crate::ui::screens::absent;
use crate::ui::screens::{cells, topics};
use crate::ui::widgets::form::{Field, Form, Values, Wrong};
use crate::ui::widgets::frame;
use crate::ui::widgets::list::{Column, Filter, Key, List, Named, Rows};

/// One rule.
pub struct Row {
    text: String,
    acl: Acl,
    /// Its place in the order of Kafka's authorizer.
    order: i64,
    idle: Option<(Idle, String)>,
}

impl Named for Row {
    fn name(&self) -> &str {
        &self.text
    }

    fn matches(&self, filter: &Filter) -> bool {
        filter.accepts(&self.text)
    }
}

fn style(row: &Row, cx: &Cx<'_>) -> Style {
    match row.acl.permission {
        _ if row.idle.is_some() => cx.theme.dim,
        AclPermission::DENY => cx.theme.bad,
        _ => cx.theme.text,
    }
}

fn styled(text: &str, row: &Row, cx: &Cx<'_>) -> Span<'static> {
    Span::styled(format::clean(text).into_owned(), style(row, cx))
}

fn idle_word(idle: Idle) -> &'static str {
    match idle {
        Idle::NoSuchResource => "unused",
        Idle::Redundant => "superfluous",
        Idle::Denied => "denied",
        Idle::NoSuchOperation => "no effect",
    }
}

const COLUMNS: &[Column<Row>] = &[
    Column::wide(
        "PRINCIPAL",
        8,
        0,
        |row, _| Key::text(&row.acl.principal),
        |row, cx| styled(&row.acl.principal, row, cx),
    ),
    Column::text(
        "",
        5,
        0,
        |row, _| Key::text(row.acl.permission.name()),
        |row, cx| styled(row.acl.permission.name(), row, cx),
    ),
    Column::wide(
        "OPERATION",
        7,
        0,
        |row, _| Key::text(row.acl.operation.name()),
        |row, cx| styled(row.acl.operation.name(), row, cx),
    ),
    Column::wide(
        "ON",
        12,
        0,
        |row, _| Key::Int(row.order),
        |row, cx| styled(&row.acl.resource_text(), row, cx),
    ),
    Column::wide(
        "HOST",
        6,
        3,
        |row, _| Key::text(&row.acl.host),
        |row, cx| styled(&row.acl.host, row, cx),
    ),
    Column::text(
        "STATE",
        11,
        2,
        |row, _| Key::Int(i64::from(row.idle.is_none())),
        |row, cx| match &row.idle {
            Some((idle, _)) => Span::styled(idle_word(*idle), cx.theme.warn),
            None => cells::dim("", cx),
        },
    ),
];

/// The parts of the cluster that are shown; topics and groups say which rules are of use.
const SHOWN: Changed = Changed::SECURITY
    .and(Changed::METADATA)
    .and(Changed::GROUPS);

/// The screen.
#[derive(Debug)]
pub struct Acls {
    list: List<Row>,
    only_idle: bool,
    n_idle: usize,
}

impl Acls {
    pub fn new() -> Self {
        Self {
            list: List::sorted_by(COLUMNS, 3, false),
            only_idle: false,
            n_idle: 0,
        }
    }

    fn chosen(&self) -> Vec<Acl> {
        self.list
            .chosen()
            .iter()
            .map(|row| row.acl.clone())
            .collect()
    }
}

const RESOURCES: &[&str] = &["topic", "group", "cluster", "transactional_id"];

/// The resource of a form's fields; the cluster needs no name.
fn resource(values: &Values<'_>, kind: usize, name: usize) -> Result<(AclResource, String), Wrong> {
    let resource: AclResource = values
        .get(kind)
        .parse()
        .map_err(|why| Wrong::new(kind, why))?;
    match values.get(name) {
        _ if resource == AclResource::CLUSTER => Ok((resource, CLUSTER_RESOURCE.to_owned())),
        "" => Err(Wrong::new(name, "which one? * is every one")),
        text => Ok((resource, text.to_owned())),
    }
}

fn kind_of(acl: Option<&Acl>) -> usize {
    let name = acl.map_or("topic", |acl| acl.resource.name());
    RESOURCES.iter().position(|kind| *kind == name).unwrap_or(0)
}

/// Begins with what the selected rule says: most rules are like another one.
fn create_form(like: Option<&Acl>) -> Form {
    let of = |part: fn(&Acl) -> String, usual: &str| like.map_or(usual.to_owned(), part);
    let is_deny = like.is_some_and(|acl| acl.permission == AclPermission::DENY);
    let is_prefixed = like.is_some_and(|acl| acl.pattern == AclPattern::PREFIXED);
    let operations = "read, write, create, delete, alter, describe, alter_configs, all, …; more \
                      than one with commas";
    let fields = vec![
        Field::choice("rule", &["allow", "deny"], usize::from(is_deny)),
        Field::text(
            "principal",
            &of(|a| a.principal.clone(), "User:"),
            "User:alice; User:* is everybody",
        ),
        Field::text(
            "operation",
            &of(|a| a.operation.to_string(), "read"),
            operations,
        ),
        Field::choice("on", RESOURCES, kind_of(like)),
        Field::text("name", &of(|a| a.name.clone(), ""), "* is every one"),
        Field::choice(
            "name is",
            &["literal", "prefixed"],
            usize::from(is_prefixed),
        ),
        Field::text(
            "host",
            &of(|a| a.host.clone(), WILDCARD),
            "an address; * is every one",
        ),
    ];
    Form::new("create a rule", fields, |values, _| {
        let (kind, name) = resource(values, 3, 4)?;
        let permission = values.get(0).parse().map_err(|why| Wrong::new(0, why))?;
        let pattern = values.get(5).parse().map_err(|why| Wrong::new(5, why))?;
        let mut acls = Vec::new();
        for operation in values.get(2).split(',') {
            let operation: AclOperation = operation.parse().map_err(|why| Wrong::new(2, why))?;
            acls.push(Acl {
                resource: kind,
                name: name.clone(),
                pattern,
                principal: values.get(1).to_owned(),
                host: values.get(6).to_owned(),
                operation,
                permission,
            });
        }
        let action = SecurityAction::CreateAcls(acls);
        Ok(vec![Step::Plan(Action::Security(action))])
    })
}

fn explain_form(like: Option<&Acl>) -> Form {
    let of = |part: fn(&Acl) -> String, usual: &str| like.map_or(usual.to_owned(), part);
    let fields = vec![
        Field::text("may", &of(|a| a.principal.clone(), "User:"), "User:alice"),
        Field::text(
            "do",
            &of(|a| a.operation.to_string(), "read"),
            "read, write, create, delete, alter, describe, …",
        ),
        Field::choice("with", RESOURCES, kind_of(like)),
        Field::text("named", &of(|a| a.name.clone(), ""), "its whole name"),
        Field::text(
            "from",
            "",
            "the client's address; empty: one that no rule names",
        ),
    ];
    Form::new("who may do what", fields, |values, cx| {
        let (resource, name) = resource(values, 2, 3)?;
        let host = values.get(4).to_owned();
        let question = AclQuestion {
            principal: values.get(0).to_owned(),
            host: Some(host).filter(|host| !host.is_empty()),
            operation: values.get(1).parse().map_err(|why| Wrong::new(1, why))?,
            resource,
            name,
        };
        Ok(vec![explained(&question, cx)])
    })
}

fn explained(question: &AclQuestion, cx: &Cx<'_>) -> Step {
    let Some(acls) = cx.snapshot.security.acls.get() else {
        return Step::Say(Toast::bad("the rules are not known"));
    };
    let answer = derive::explain_acl(acls, question);
    let theme = cx.theme;
    let style = match answer.allowed {
        Allowed::Yes => theme.good,
        Allowed::No => theme.bad,
        Allowed::Default => theme.warn,
    };
    let AclQuestion {
        principal,
        operation,
        resource,
        name,
        host,
    } = question;
    let from = host.as_deref().unwrap_or("anywhere");
    let asked = format!("may {principal} {operation} {resource} \"{name}\" from {from}?");
    let mut lines = vec![(asked, theme.dim), (answer.why, style)];
    lines.extend(
        answer
            .notes
            .into_iter()
            .map(|note| (format!("- {note}"), theme.text)),
    );
    let width = 70;
    let wrapped = lines.into_iter().flat_map(|(text, style)| {
        let text = format::clean(&text).into_owned();
        format::wrap(&text, width)
            .into_iter()
            .map(move |line| (line, style))
    });
    let lines: Vec<(String, Style)> = wrapped.collect();
    let copy: Vec<&str> = lines.iter().map(|(line, _)| line.as_str()).collect();
    let copy = copy.join("\n");
    Step::Dialog(Box::new(TextDialog::new("the rules say", lines, copy)))
}

impl Screen for Acls {
    fn place(&self) -> Place {
        Place::Acls
    }

    fn title(&self) -> String {
        "ACLs".to_owned()
    }

    fn status(&self, _cx: &Cx<'_>) -> String {
        let mut status = self.list.status();
        if self.only_idle {
            status.push_str(" · only those that do nothing");
        } else if self.n_idle > 0 {
            let verb = if self.n_idle == 1 { "does" } else { "do" };
            status.push_str(&format!(" · {} {verb} nothing", self.n_idle));
        }
        status
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Acls, Scope::List]
    }

    fn interest(&self, _cx: &Cx<'_>) -> Interest {
        interest()
    }

    fn parts(&self, cx: &Cx<'_>) -> Vec<Part> {
        part("ACLs", &cx.snapshot.security.acls)
    }

    focused_list!(self.list);

    fn shows(&self) -> Changed {
        SHOWN
    }

    fn on_data(&mut self, cx: &Cx<'_>, _changed: Changed) {
        let Some(acls) = cx.snapshot.security.acls.get() else {
            return;
        };
        let idle = derive::idle_acls(acls, cx.snapshot);
        self.n_idle = idle.len();
        let mut idle: BTreeMap<Acl, (Idle, String)> = idle
            .into_iter()
            .map(|idle| (idle.rule, (idle.idle, idle.why)))
            .collect();
        let row = |(order, acl): (i64, &Acl)| Row {
            text: acl.to_string(),
            acl: acl.clone(),
            order,
            idle: idle.remove(acl),
        };
        let rows = (0_i64..).zip(acls.iter()).map(row);
        let rows: Vec<Row> = rows
            .filter(|row| !self.only_idle || row.idle.is_some())
            .collect();
        self.list.set_rows(rows, cx);
    }

    fn refusal(&self, command: Id, cx: &Cx<'_>) -> Option<String> {
        let fault = cx.snapshot.security.acls.fault()?;
        let needs_rules = matches!(command, Id::CreateAcl | Id::Explain);
        let is_unknown = cx.snapshot.security.acls.get().is_none();
        (needs_rules && is_unknown).then(|| fault.why.clone())
    }

    fn run(&mut self, command: Id, _argument: &str, cx: &Cx<'_>) -> Option<Vec<Step>> {
        let selected = self.list.selected_row().map(|row| &row.acl);
        Some(match command {
            Id::CreateAcl => vec![Step::Dialog(Box::new(create_form(selected)))],
            Id::Explain | Id::Open => vec![Step::Dialog(Box::new(explain_form(selected)))],
            Id::ShowIdle => {
                self.only_idle = !self.only_idle;
                self.on_data(cx, Changed::ALL);
                Vec::new()
            }
            Id::Delete => {
                let action = SecurityAction::DeleteAcls(self.chosen());
                vec![Step::Plan(Action::Security(action))]
            }
            Id::Copy => topics::copy(&selected?.to_string(), cx),
            _ => return None,
        })
    }

    fn draw(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
        let acls = &cx.snapshot.security.acls;
        if draw_empty(acls, "there are no rules: n creates one", cx, area, buffer) {
            return;
        }
        if self.list.rows().is_empty() {
            let text = "no rule does nothing: o shows all of them";
            return absent::say(&[(text, cx.theme.good)], area, buffer);
        }
        let below = if area.height > 12 { 3 } else { 0 };
        let list = Rect {
            height: area.height - below,
            ..area
        };
        self.list.draw(cx, true, list, buffer);
        let Some(row) = self.list.selected_row().filter(|_| below > 0) else {
            return;
        };
        let rule = Rect {
            y: list.bottom(),
            height: 1,
            ..area
        };
        frame::rule("the selected rule", cx.theme.dim, cx.theme, rule, buffer);
        let (x, width) = (area.x + 1, area.width.saturating_sub(2));
        let text = format::clean(&row.text);
        frame::text(&text, style(row, cx), x, rule.y + 1, width, buffer);
        if let Some((_, why)) = &row.idle {
            let why = format::clean(why);
            frame::text(&why, cx.theme.warn, x, rule.y + 2, width, buffer);
        }
    }
}
