//! The one table of commands: keys, help, palette and hints are made from it.
//!
//! A key press looks for the first row whose scope is the screen's own, then a list's, then
//! everywhere; a name typed after `:` does the same.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Where a command makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    Everywhere,
    /// Every screen that shows a list.
    List,
    Overview,
    Brokers,
    Broker,
    Topics,
    Topic,
    Groups,
    Group,
    Messages,
    Reassignments,
    Quorum,
    Configs,
    Local,
    Start,
}

/// What a command does; the screen or the application knows how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Id {
    AddPartitions,
    AlterConfig,
    Back,
    Bottom,
    CancelReassignment,
    Command,
    Configs,
    Copy,
    CreateTopic,
    Delete,
    Down,
    DrainBroker,
    ElectPreferred,
    Filter,
    Groups,
    HalfPageDown,
    HalfPageUp,
    Help,
    Jump,
    KillLocal,
    Local,
    LocalLog,
    Mark,
    Messages,
    Open,
    Overview,
    PageDown,
    PageUp,
    Produce,
    Quit,
    Quorum,
    Reassign,
    Reassignments,
    Refresh,
    Brokers,
    ResetConfig,
    SeekEnd,
    SeekOffset,
    SeekStart,
    SeekTime,
    SortNext,
    SortPrevious,
    SortReverse,
    StartLocal,
    StopLocal,
    Suspend,
    Tail,
    Top,
    Topics,
    Up,
}

/// One row of the table.
#[derive(Debug)]
pub struct Command {
    pub id: Id,
    pub scope: Scope,
    /// What is typed after `:`; empty where only a key makes sense.
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    pub keys: &'static [Key],
    pub doc: &'static str,
    /// Whether it changes the cluster: greyed out with `--read-only`.
    pub writes: bool,
}

/// A key as it is written in the help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Char(char),
    Ctrl(char),
    Code(KeyCode),
}

impl Key {
    pub fn matches(self, event: KeyEvent) -> bool {
        let control = event.modifiers.contains(KeyModifiers::CONTROL);
        match self {
            Self::Char(c) => !control && event.code == KeyCode::Char(c),
            Self::Ctrl(c) => control && event.code == KeyCode::Char(c),
            Self::Code(code) => event.code == code,
        }
    }

    pub fn label(self) -> String {
        match self {
            Self::Char(' ') => "space".to_owned(),
            Self::Char(c) => c.to_string(),
            Self::Ctrl(c) => format!("ctrl-{c}"),
            Self::Code(KeyCode::Enter) => "enter".to_owned(),
            Self::Code(KeyCode::Esc) => "esc".to_owned(),
            Self::Code(KeyCode::Up) => "↑".to_owned(),
            Self::Code(KeyCode::Down) => "↓".to_owned(),
            Self::Code(KeyCode::Left) => "←".to_owned(),
            Self::Code(KeyCode::Right) => "→".to_owned(),
            Self::Code(KeyCode::PageUp) => "pgup".to_owned(),
            Self::Code(KeyCode::PageDown) => "pgdn".to_owned(),
            Self::Code(KeyCode::Home) => "home".to_owned(),
            Self::Code(KeyCode::End) => "end".to_owned(),
            Self::Code(KeyCode::F(n)) => format!("f{n}"),
            Self::Code(other) => format!("{other:?}").to_lowercase(),
        }
    }
}

const fn command(
    id: Id,
    scope: Scope,
    name: &'static str,
    keys: &'static [Key],
    doc: &'static str,
) -> Command {
    Command { id, scope, name, aliases: &[], keys, doc, writes: false }
}

impl Command {
    const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    const fn writes(mut self) -> Self {
        self.writes = true;
        self
    }

    pub fn is_named(&self, name: &str) -> bool {
        !self.name.is_empty() && (self.name == name || self.aliases.contains(&name))
    }

    /// The keys as the help writes them.
    pub fn keys_label(&self) -> String {
        self.keys.iter().map(|k| k.label()).collect::<Vec<_>>().join(" ")
    }
}

use Key::{Char, Code, Ctrl};

/// Every command. Within a scope the most used come first: that is the order of the hints.
#[rustfmt::skip]
pub const COMMANDS: &[Command] = &[
    command(Id::Help, Scope::Everywhere, "help", &[Char('?'), Code(KeyCode::F(1))], "show the keys and commands of this screen").aliases(&["h"]),
    command(Id::Command, Scope::Everywhere, "", &[Char(':')], "type a command"),
    command(Id::Jump, Scope::Everywhere, "jump", &[Ctrl('p')], "jump to a topic, group or broker by a few letters"),
    command(Id::Overview, Scope::Everywhere, "overview", &[Char('1')], "health of the cluster").aliases(&["o", "home"]),
    command(Id::Brokers, Scope::Everywhere, "brokers", &[Char('2')], "brokers").aliases(&["b"]),
    command(Id::Topics, Scope::Everywhere, "topics", &[Char('3')], "topics").aliases(&["t"]),
    command(Id::Groups, Scope::Everywhere, "groups", &[Char('4')], "consumer groups").aliases(&["g"]),
    command(Id::Reassignments, Scope::Everywhere, "reassignments", &[Char('5')], "running reassignments").aliases(&["r"]),
    command(Id::Quorum, Scope::Everywhere, "quorum", &[Char('6')], "the metadata quorum and feature levels"),
    command(Id::Local, Scope::Everywhere, "local", &[Char('7')], "local brokers").aliases(&["l"]),
    command(Id::Refresh, Scope::Everywhere, "refresh", &[Ctrl('r')], "read everything on this screen again now"),
    command(Id::Back, Scope::Everywhere, "back", &[Code(KeyCode::Esc), Code(KeyCode::Backspace)], "close, clear the filter, or go back"),
    command(Id::Quit, Scope::Everywhere, "quit", &[Char('q'), Ctrl('c')], "leave").aliases(&["q", "exit"]),
    command(Id::Suspend, Scope::Everywhere, "", &[Ctrl('z')], "suspend to the shell"),

    command(Id::Open, Scope::List, "", &[Code(KeyCode::Enter), Code(KeyCode::Right), Char('l')], "open the selected row"),
    command(Id::Filter, Scope::List, "filter", &[Char('/')], "filter by name; !text for all others"),
    command(Id::SortNext, Scope::List, "", &[Char('>'), Char('s')], "sort by the next column"),
    command(Id::SortPrevious, Scope::List, "", &[Char('<')], "sort by the previous column"),
    command(Id::SortReverse, Scope::List, "", &[Char('S')], "reverse the order"),
    command(Id::Mark, Scope::List, "", &[Char(' ')], "mark the row for what follows"),
    command(Id::Copy, Scope::List, "copy", &[Char('y')], "copy the name to the clipboard"),
    command(Id::Up, Scope::List, "", &[Char('k'), Code(KeyCode::Up)], "up"),
    command(Id::Down, Scope::List, "", &[Char('j'), Code(KeyCode::Down)], "down"),
    command(Id::HalfPageUp, Scope::List, "", &[Ctrl('u')], "half a page up"),
    command(Id::HalfPageDown, Scope::List, "", &[Ctrl('d')], "half a page down"),
    command(Id::PageUp, Scope::List, "", &[Ctrl('b'), Code(KeyCode::PageUp)], "a page up"),
    command(Id::PageDown, Scope::List, "", &[Ctrl('f'), Code(KeyCode::PageDown)], "a page down"),
    command(Id::Top, Scope::List, "", &[Char('g'), Code(KeyCode::Home)], "to the first row"),
    command(Id::Bottom, Scope::List, "", &[Char('G'), Code(KeyCode::End)], "to the last row"),

    command(Id::Configs, Scope::Brokers, "configs", &[Char('c')], "settings of the selected broker"),
    command(Id::DrainBroker, Scope::Brokers, "drain", &[Char('d')], "move all replicas off the selected broker").writes(),

    command(Id::CreateTopic, Scope::Topics, "create", &[Char('n')], "create a topic").writes(),
    command(Id::Messages, Scope::Topics, "messages", &[Char('m')], "read messages of the selected topic"),
    command(Id::Configs, Scope::Topics, "configs", &[Char('c')], "settings of the selected topic"),
    command(Id::Produce, Scope::Topics, "produce", &[Char('p')], "write one message").writes(),
    command(Id::AddPartitions, Scope::Topics, "partitions", &[Char('+')], "add partitions").writes(),
    command(Id::Reassign, Scope::Topics, "reassign", &[Char('a')], "reassign the marked topics or the selected one").writes(),
    command(Id::ElectPreferred, Scope::Topics, "elect", &[Char('e')], "elect the preferred leaders").writes(),
    command(Id::Delete, Scope::Topics, "delete", &[Char('D')], "delete the marked topics or the selected one").writes(),

    command(Id::Messages, Scope::Topic, "messages", &[Char('m')], "read messages"),
    command(Id::Configs, Scope::Topic, "configs", &[Char('c')], "settings"),
    command(Id::Produce, Scope::Topic, "produce", &[Char('p')], "write one message").writes(),
    command(Id::AddPartitions, Scope::Topic, "partitions", &[Char('+')], "add partitions").writes(),
    command(Id::Reassign, Scope::Topic, "reassign", &[Char('a')], "reassign this topic, or the marked partitions").writes(),
    command(Id::ElectPreferred, Scope::Topic, "elect", &[Char('e')], "elect the preferred leaders").writes(),
    command(Id::Delete, Scope::Topic, "delete", &[Char('D')], "delete this topic").writes(),

    command(Id::Delete, Scope::Groups, "delete", &[Char('D')], "delete the marked groups or the selected one").writes(),

    command(Id::Tail, Scope::Messages, "tail", &[Char('t')], "follow new messages"),
    command(Id::SeekStart, Scope::Messages, "start", &[Char('b')], "read from the start"),
    command(Id::SeekEnd, Scope::Messages, "end", &[Char('e')], "read the newest"),
    command(Id::SeekOffset, Scope::Messages, "offset", &[Char('o')], "read from an offset"),
    command(Id::SeekTime, Scope::Messages, "time", &[Char('w')], "read from a time"),
    command(Id::Produce, Scope::Messages, "produce", &[Char('p')], "write one message").writes(),

    command(Id::CancelReassignment, Scope::Reassignments, "cancel", &[Char('x')], "cancel the marked reassignments or the selected one").writes(),

    command(Id::AlterConfig, Scope::Configs, "set", &[Char('e')], "change the selected setting").writes(),
    command(Id::ResetConfig, Scope::Configs, "unset", &[Char('D')], "back to what it inherits").writes(),

    command(Id::StartLocal, Scope::Local, "start", &[Char('n')], "start a local broker, new or stopped"),
    command(Id::StopLocal, Scope::Local, "stop", &[Char('x')], "stop the selected broker"),
    command(Id::KillLocal, Scope::Local, "kill", &[Char('K')], "kill -9 the selected broker"),
    command(Id::LocalLog, Scope::Local, "log", &[Char('o')], "show the log of the selected broker"),
    command(Id::Delete, Scope::Local, "delete", &[Char('D')], "delete a stopped broker's data"),

    command(Id::StartLocal, Scope::Start, "start", &[Char('n')], "start a local broker"),
];

/// The commands of a screen: its own first, then those of lists, then those of everywhere.
pub fn available(scopes: &[Scope]) -> impl Iterator<Item = &'static Command> {
    let scopes: Vec<Scope> = scopes.to_vec();
    scopes.into_iter().flat_map(|scope| COMMANDS.iter().filter(move |c| c.scope == scope))
}

/// The command that a key means on a screen.
pub fn by_key(scopes: &[Scope], event: KeyEvent) -> Option<&'static Command> {
    available(scopes).find(|c| c.keys.iter().any(|k| k.matches(event)))
}

/// The command of that name or alias.
pub fn by_name(scopes: &[Scope], name: &str) -> Option<&'static Command> {
    available(scopes).find(|c| c.is_named(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_and_no_name_means_two_things_in_one_scope() {
        for (i, a) in COMMANDS.iter().enumerate() {
            for b in COMMANDS.iter().skip(i + 1).filter(|b| b.scope == a.scope) {
                let same_key = a.keys.iter().find(|k| b.keys.contains(k));
                assert_eq!(same_key, None, "{:?} and {:?}", a.id, b.id);
                let names = std::iter::once(&b.name).chain(b.aliases);
                for name in names.filter(|n| !n.is_empty()) {
                    assert!(!a.is_named(name), "{name} is {:?} and {:?}", a.id, b.id);
                }
            }
        }
    }

    #[test]
    fn no_screen_hides_help_quit_or_the_way_back() {
        let own = COMMANDS.iter().filter(|c| !matches!(c.scope, Scope::Everywhere));
        let vital = COMMANDS.iter().filter(|c| matches!(c.id, Id::Help | Id::Quit | Id::Back));
        let vital: Vec<&Key> = vital.flat_map(|c| c.keys).collect();
        for command in own {
            assert!(!command.keys.iter().any(|k| vital.contains(&k)), "{command:?}");
        }
    }
}
