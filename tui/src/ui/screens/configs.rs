//! The settings of a topic or a broker: value, where it comes from, what it means; set and unset.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::{absent, cells, forms, topics};
use crate::cluster::Interest;
use crate::model::{ConfigEntry, ConfigResource, ConfigSource, Resource};
use crate::ops::{Action, AlterConfigs, ConfigChange};
use crate::ui::command::{Id, Scope};
use crate::ui::cx::Cx;
use crate::ui::format;
use crate::ui::screen::{Changed, Part, Place, Screen, Step, focused_list};
use crate::ui::widgets::frame;
use crate::ui::widgets::list::{Column, Filter, Key, List, Named, Rows};

/// One key.
pub struct Row {
    entry: ConfigEntry,
    is_own: bool,
    default: Option<String>,
}

impl Named for Row {
    fn name(&self) -> &str {
        &self.entry.name
    }

    fn matches(&self, filter: &Filter) -> bool {
        filter.accepts(&self.entry.name)
    }
}

fn value_text(entry: &ConfigEntry) -> String {
    match &entry.value {
        _ if entry.is_sensitive => "(hidden)".to_owned(),
        Some(value) if value.is_empty() => "\"\"".to_owned(),
        Some(value) => format::clean(value).into_owned(),
        None => format::NONE.to_owned(),
    }
}

fn source_style(row: &Row, cx: &Cx<'_>) -> Style {
    match row.entry.source {
        _ if row.is_own => cx.theme.accent,
        ConfigSource::Default => cx.theme.dim,
        _ => cx.theme.text,
    }
}

const COLUMNS: &[Column<Row>] = &[
    Column::name(
        "SETTING",
        30,
        |row, _| Key::text(&row.entry.name),
        |row, cx| {
            Span::styled(
                format::clean(&row.entry.name).into_owned(),
                source_style(row, cx),
            )
        },
    ),
    Column::wide(
        "VALUE",
        12,
        0,
        |row, _| Key::text(&value_text(&row.entry)),
        |row, cx| Span::styled(value_text(&row.entry), source_style(row, cx)),
    ),
    Column::wide(
        "FROM",
        16,
        0,
        |row, _| Key::text(row.entry.source.as_str()),
        |row, cx| Span::styled(row.entry.source.as_str(), source_style(row, cx)),
    ),
    Column::wide(
        "DEFAULT",
        20,
        2,
        |row, _| row.default.as_deref().map_or(Key::Unknown, Key::text),
        |row, cx| match &row.default {
            Some(value) => Span::styled(format::clean(value).into_owned(), cx.theme.dim),
            None => cells::dim(format::NONE, cx),
        },
    ),
    Column::text(
        "TYPE",
        8,
        3,
        |row, _| Key::text(row.entry.kind.as_str()),
        |row, cx| cells::dim(row.entry.kind.as_str(), cx),
    ),
    Column::text(
        "",
        9,
        4,
        |row, _| Key::Int(i64::from(row.entry.is_read_only)),
        |row, cx| {
            cells::dim(
                if row.entry.is_read_only {
                    "read-only"
                } else {
                    ""
                },
                cx,
            )
        },
    ),
];

/// The parts of the cluster that are shown.
const SHOWN: Changed = Changed::CONFIGS;

/// The screen.
#[derive(Debug)]
pub struct ConfigsScreen {
    resource: ConfigResource,
    list: List<Row>,
    only_set: bool,
    n_all: usize,
}

impl ConfigsScreen {
    pub fn new(resource: ConfigResource) -> Self {
        Self {
            resource,
            list: List::new(COLUMNS),
            only_set: false,
            n_all: 0,
        }
    }

    fn draw_detail(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
        let theme = cx.theme;
        let Some(row) = self.list.selected_row() else {
            return;
        };
        let entry = &row.entry;
        let title = format::clean(&entry.name);
        frame::rule(
            &title,
            theme.title,
            theme,
            Rect { height: 1, ..area },
            buffer,
        );
        let width = area.width.saturating_sub(2);
        let mut lines: Vec<(String, Style)> = Vec::new();
        let doc = entry
            .documentation
            .as_deref()
            .unwrap_or("the broker sent no description");
        let doc = format::without_tags(doc);
        for line in format::wrap(&format::clean(&doc), usize::from(width))
            .into_iter()
            .take(3)
        {
            lines.push((line, theme.text));
        }
        let from = |synonym: &crate::model::ConfigSynonym| {
            let value = synonym.value.as_deref().unwrap_or("(hidden)");
            format!("{}={value} ({})", synonym.name, synonym.source.as_str())
        };
        let synonyms: Vec<String> = entry.synonyms.iter().map(from).collect();
        if !synonyms.is_empty() {
            let text = format!("strongest first: {}", synonyms.join(" › "));
            lines.push((format::clean(&text).into_owned(), theme.dim));
        }
        for (y, (text, style)) in (area.y + 1..area.bottom()).zip(lines) {
            frame::text(&text, style, area.x + 1, y, width, buffer);
        }
    }
}

impl Screen for ConfigsScreen {
    fn place(&self) -> Place {
        Place::Configs(self.resource.clone())
    }

    fn title(&self) -> String {
        format!("settings of {}", self.resource)
    }

    fn status(&self, _cx: &Cx<'_>) -> String {
        let status = self.list.status();
        if self.only_set {
            format!("{status} · only what is set, of {}", self.n_all)
        } else {
            status
        }
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Configs, Scope::List]
    }

    fn interest(&self, _cx: &Cx<'_>) -> Interest {
        Interest {
            configs: vec![self.resource.clone()],
            ..Interest::default()
        }
    }

    fn parts(&self, cx: &Cx<'_>) -> Vec<Part> {
        let part = cx.snapshot.configs.get(&self.resource);
        part.map(|part| Part::of("settings", part))
            .into_iter()
            .collect()
    }

    focused_list!(self.list);

    fn shows(&self) -> Changed {
        SHOWN
    }

    fn on_data(&mut self, cx: &Cx<'_>, _changed: Changed) {
        let Some(configs) = cx
            .snapshot
            .configs
            .get(&self.resource)
            .and_then(|part| part.get())
        else {
            return;
        };
        self.n_all = configs.entries.len();
        let is_set = |entry: &&ConfigEntry| !self.only_set || entry.source != ConfigSource::Default;
        let row = |entry: &ConfigEntry| Row {
            is_own: entry.is_overridden(&self.resource),
            default: entry
                .synonyms
                .iter()
                .find(|synonym| synonym.source == ConfigSource::Default)
                .and_then(|synonym| synonym.value.clone()),
            entry: entry.clone(),
        };
        let rows: Vec<Row> = configs.entries.iter().filter(is_set).map(row).collect();
        self.list.set_rows(rows, cx);
    }

    fn refusal(&self, command: Id, _cx: &Cx<'_>) -> Option<String> {
        let entry = &self.list.selected_row()?.entry;
        let own = entry.is_overridden(&self.resource);
        match command {
            Id::AlterConfig | Id::ResetConfig if entry.is_read_only => Some(format!(
                "{} is read at the start of a broker only",
                entry.name
            )),
            Id::ResetConfig if !own => {
                Some(format!("{} is not set for {}", entry.name, self.resource))
            }
            _ => None,
        }
    }

    fn run(&mut self, command: Id, argument: &str, cx: &Cx<'_>) -> Option<Vec<Step>> {
        if command == Id::ShowOverridden {
            self.only_set = !self.only_set;
            self.on_data(cx, Changed::ALL);
            return Some(Vec::new());
        }
        let entry = &self.list.selected_row()?.entry;
        let alter = |change: ConfigChange| {
            let alter = AlterConfigs {
                resource: self.resource.clone(),
                changes: vec![change],
            };
            vec![Step::Plan(Action::AlterConfigs(alter))]
        };
        Some(match command {
            // `:set key value` needs no form.
            Id::AlterConfig if argument.contains(' ') => {
                let (name, value) = argument.split_once(' ')?;
                alter(ConfigChange::Set {
                    name: name.to_owned(),
                    value: value.trim().to_owned(),
                })
            }
            Id::Open if entry.is_read_only || cx.read_only => Vec::new(),
            Id::AlterConfig | Id::Open => {
                vec![Step::Dialog(Box::new(forms::alter_config_form(
                    &self.resource,
                    entry,
                )))]
            }
            Id::ResetConfig => alter(ConfigChange::Delete {
                name: entry.name.clone(),
            }),
            Id::Copy => {
                let value = entry.value.as_deref().unwrap_or_default();
                topics::copy(&format!("{}={value}", entry.name), cx)
            }
            _ => return None,
        })
    }

    fn draw(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) {
        let part = cx.snapshot.configs.get(&self.resource);
        if part.is_none_or(|part| part.get().is_none()) {
            let unread = Resource::default();
            return absent::draw(part.unwrap_or(&unread), "", cx, area, buffer);
        }
        let detail = 5.min(area.height / 3);
        let list = Rect {
            height: area.height - detail,
            ..area
        };
        self.list.draw(cx, true, list, buffer);
        let below = Rect {
            y: list.bottom(),
            height: detail,
            ..area
        };
        if detail > 1 {
            self.draw_detail(cx, below, buffer);
        }
    }
}
