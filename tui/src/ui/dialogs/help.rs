//! The help of a screen, made from the table of commands.

use crate::ui::command::{self, Scope};
use crate::ui::cx::Cx;
use crate::ui::dialogs::TextDialog;
use crate::ui::format;
use crate::ui::screen::Screen;

/// Cells of a description, so that a terminal of 80 columns shows it whole.
const DOC_WIDTH: usize = 43;

/// Cells before what a row does; where keys and names take more it stands below them.
const HEAD_WIDTH: usize = 31;

/// The help of the screen on top.
#[derive(Debug)]
pub struct Help;

impl Help {
    pub fn of(screen: &dyn Screen, scopes: &[Scope], cx: &Cx<'_>) -> TextDialog {
        let mut lines = Vec::new();
        let mut seen: Vec<command::Key> = Vec::new();
        for scope in scopes {
            let rows: Vec<_> = command::COMMANDS
                .iter()
                .filter(|c| c.scope == *scope)
                .collect();
            if rows.is_empty() {
                continue;
            }
            if !lines.is_empty() {
                lines.push((String::new(), cx.theme.text));
            }
            lines.push((heading(*scope, screen), cx.theme.header));
            for row in rows {
                // A key that an inner scope took does not reach this row.
                let keys: Vec<String> = (row.keys.iter())
                    .filter(|key| !seen.contains(key))
                    .map(|key| key.label())
                    .collect();
                let name = match row.name {
                    "" => String::new(),
                    name if row.aliases.is_empty() => format!(":{name}"),
                    name => format!(":{name} :{}", row.aliases.join(" :")),
                };
                if keys.is_empty() && name.is_empty() {
                    continue;
                }
                let refused = refusal(screen, row, cx);
                let style = if refused.is_some() {
                    cx.theme.dim
                } else {
                    cx.theme.text
                };
                let why = refused.map(|why| format!(" ({why})")).unwrap_or_default();
                let doc = format::wrap(&format!("{}{why}", row.doc), DOC_WIDTH);
                let mut head = format!("  {:<12} {name:<15} ", keys.join(" "));
                if head.chars().count() > HEAD_WIDTH {
                    lines.push((head, style));
                    head = " ".repeat(HEAD_WIDTH);
                }
                for part in doc {
                    lines.push((format!("{head}{part}"), style));
                    head = " ".repeat(head.chars().count());
                }
            }
            let taken = command::COMMANDS.iter().filter(|c| c.scope == *scope);
            seen.extend(taken.flat_map(|c| c.keys.iter().copied()));
        }
        let text = lines
            .iter()
            .map(|(line, _)| line.as_str())
            .collect::<Vec<_>>()
            .join("\n");
        TextDialog::new(format!("help: {}", screen.title()), lines, text)
    }
}

fn heading(scope: Scope, screen: &dyn Screen) -> String {
    match scope {
        Scope::Everywhere => "everywhere".to_owned(),
        Scope::List => "in lists".to_owned(),
        Scope::Panes => "lists of this screen".to_owned(),
        _ => screen.title(),
    }
}

/// Why a command can't run now.
pub fn refusal(screen: &dyn Screen, command: &command::Command, cx: &Cx<'_>) -> Option<String> {
    if command.writes && cx.read_only {
        return Some("this session is read-only".to_owned());
    }
    if command.writes && cx.is_past {
        return Some("this is the past: :now goes back to the present".to_owned());
    }
    screen.refusal(command.id, cx)
}
