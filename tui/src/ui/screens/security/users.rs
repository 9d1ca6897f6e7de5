//! Users whose SCRAM passwords the cluster keeps.

use kafka_shared::secret::Secret;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{draw_empty, interest, part};
use crate::cluster::Interest;
use crate::model::{ScramCredential, ScramMechanism};
use crate::ops::{Action, SecurityAction, SetPassword};
use crate::ui::command::{Id, Scope};
use crate::ui::cx::Cx;
use crate::ui::format;
use crate::ui::screen::{Changed, Part, Place, Screen, Step, focused_list};
use crate::ui::screens::{cells, topics};
use crate::ui::widgets::form::{Field, Form, Wrong};
use crate::ui::widgets::list::{Column, Filter, Key, List, Named};

/// One password of a user.
pub struct Row {
    /// User and mechanism: a user may have a password for each.
    key: String,
    user: String,
    credential: ScramCredential,
    n_rules: usize,
}

impl Named for Row {
    fn name(&self) -> &str {
        &self.key
    }

    fn matches(&self, filter: &Filter) -> bool {
        filter.accepts(&self.user)
    }
}

const COLUMNS: &[Column<Row>] = &[
    Column::wide(
        "USER",
        20,
        0,
        |row, _| Key::text(&row.key),
        |row, cx| cells::foreign(&row.user, cx),
    ),
    Column::text(
        "MECHANISM",
        14,
        0,
        |row, _| Key::text(row.credential.mechanism.name()),
        |row, cx| cells::plain(row.credential.mechanism.name(), cx),
    ),
    Column::number(
        "ITERATIONS",
        10,
        1,
        |row, _| Key::Int(row.credential.iterations.into()),
        |row, cx| cells::plain(format::count(row.credential.iterations.into()), cx),
    ),
    Column::number(
        "RULES",
        6,
        2,
        |row, _| Key::size(row.n_rules),
        |row, cx| cells::count(row.n_rules, cx),
    ),
];

/// The screen.
#[derive(Debug)]
pub struct Users {
    list: List<Row>,
}

impl Users {
    pub fn new() -> Self {
        Self {
            list: List::new(COLUMNS),
        }
    }
}

const MECHANISMS: &[&str] = &["SCRAM-SHA-512", "SCRAM-SHA-256"];

fn set_form(row: Option<&Row>) -> Form {
    let user = row.map_or("", |row| &row.user);
    let is_256 = row.is_some_and(|row| row.credential.mechanism == ScramMechanism::SHA_256);
    let fields = vec![
        Field::text(
            "user",
            user,
            "a new user, or one that gets another password",
        ),
        Field::choice("for", MECHANISMS, usize::from(is_256)),
        Field::secret(
            "password",
            "it is salted here; the cluster gets no more than the hash",
        ),
        Field::secret("again", "the same once more"),
        Field::text("iterations", "8192", "from 4096 to 16384"),
    ];
    Form::new("set a password", fields, |values, _| {
        if values.raw(2) != values.raw(3) {
            return Err(Wrong::new(3, "the two are not the same"));
        }
        let set = SetPassword {
            user: values.get(0).to_owned(),
            mechanism: values.get(1).parse().map_err(|why| Wrong::new(1, why))?,
            password: Secret::new(values.raw(2)),
            iterations: values.number(4)?.unwrap_or(8192),
        };
        let action = SecurityAction::SetPassword(set);
        Ok(vec![Step::Plan(Action::Security(action))])
    })
}

impl Screen for Users {
    fn place(&self) -> Place {
        Place::Users
    }

    fn title(&self) -> String {
        "users".to_owned()
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Users, Scope::List]
    }

    fn interest(&self, _cx: &Cx<'_>) -> Interest {
        interest()
    }

    fn parts(&self, cx: &Cx<'_>) -> Vec<Part> {
        part("users", &cx.snapshot.security.users)
    }

    focused_list!(self.list);

    fn shows(&self) -> Changed {
        Changed::SECURITY
    }

    fn on_data(&mut self, cx: &Cx<'_>, _changed: Changed) {
        let security = &cx.snapshot.security;
        let Some(users) = security.users.get() else {
            return;
        };
        let mut rows = Vec::new();
        for user in users {
            let principal = format!("User:{}", user.name);
            let acls = security.acls.get().into_iter().flatten();
            let n_rules = acls.filter(|acl| acl.principal == principal).count();
            rows.extend(user.credentials.iter().map(|credential| Row {
                key: format!("{} {}", user.name, credential.mechanism),
                user: user.name.clone(),
                credential: *credential,
                n_rules,
            }));
        }
        self.list.set_rows(rows, cx);
    }

    fn run(&mut self, command: Id, _argument: &str, cx: &Cx<'_>) -> Option<Vec<Step>> {
        let selected = self.list.selected_row();
        Some(match command {
            Id::SetPassword => vec![Step::Dialog(Box::new(set_form(None)))],
            Id::Open => vec![Step::Dialog(Box::new(set_form(Some(selected?))))],
            Id::Delete => {
                let row = selected?;
                let action = SecurityAction::DeletePassword {
                    user: row.user.clone(),
                    mechanism: Some(row.credential.mechanism),
                };
                vec![Step::Plan(Action::Security(action))]
            }
            Id::Copy => topics::copy(&selected?.user, cx),
            _ => return None,
        })
    }

    fn draw(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
        let users = &cx.snapshot.security.users;
        let nothing = "the cluster keeps no passwords: n sets one";
        if !draw_empty(users, nothing, cx, area, buffer) {
            self.list.draw(cx, true, area, buffer);
        }
    }
}
