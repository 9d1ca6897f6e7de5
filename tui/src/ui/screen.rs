//! The contract of screens and dialogs with the application: they hold their own state, are told
//! of keys, data and answers, and answer with [`Step`]s.

use std::fmt;
use std::sync::Arc;

use crossterm::event::KeyEvent;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use crate::cluster::Interest;
use crate::clusters::Target;
use crate::model::{ConfigResource, Fault, Taken, TopicPartition, Update};
use crate::ops::Action;
use crate::transfer::Transfer;
use crate::ui::command::{Id, Scope};
use crate::ui::cx::Cx;
use crate::ui::event::{Answer, Effect, JobId};
use crate::ui::widgets::list::Rows;

/// A screen by name: what breadcrumbs, the palette and the jump list lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Start,
    Overview,
    Brokers,
    Broker(i32),
    Topics,
    Topic(String),
    Groups,
    Group(String),
    /// A group's rebalances.
    Timeline(String),
    Messages(String),
    /// Who writes to a topic's partitions.
    Producers(String),
    Reassign(Moving),
    Reassignments,
    Quorum,
    Changes,
    Acls,
    Users,
    Quotas,
    Transactions,
    Configs(ConfigResource),
    Local,
    Clusters,
    Connectors,
    /// Topics as the files at this path declare them.
    Declared(String),
}

impl Place {
    /// Whether it is about a cluster, so that there is nothing to see without one.
    pub fn needs_cluster(&self) -> bool {
        !matches!(
            self,
            Self::Start | Self::Local | Self::Clusters | Self::Connectors
        )
    }
}

/// What a reassignment is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moving {
    Topics(Vec<String>),
    Partitions(Vec<TopicPartition>),
    /// Everything off this broker.
    Drain(i32),
}

/// What a screen or dialog wants.
#[derive(Debug)]
pub enum Step {
    /// Replaces the screens by this one.
    Go(Place),
    /// Goes one deeper.
    Push(Place),
    /// Leaves the screen.
    Back,
    Dialog(Box<dyn Dialog>),
    /// Closes the dialog on top.
    Close,
    /// Closes all dialogs: what they were for is done.
    CloseAll,
    /// Plans an action and shows the plan.
    Plan(Action),
    /// As `Plan`, with what was read for it.
    PlanOn(Action, Vec<Update>),
    /// Shows the plan of records that are to be written, to another cluster where one is given.
    PlanTransfer(Box<Transfer>, Option<Box<Target>>),
    /// Runs a command with what follows it.
    Run(Id, String),
    /// Connects to these addresses, without security.
    Connect(String),
    /// Connects to a saved cluster.
    Enter(Box<Target>),
    Effect(Effect),
    Say(Toast),
}

/// How a message is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Good,
    Info,
    Bad,
}

/// A message that goes away by itself, or with the next key.
#[derive(Debug, Clone)]
pub struct Toast {
    pub tone: Tone,
    pub text: String,
    pub hint: Option<String>,
}

impl Toast {
    pub fn info(text: impl Into<String>) -> Self {
        Self {
            tone: Tone::Info,
            text: text.into(),
            hint: None,
        }
    }

    pub fn good(text: impl Into<String>) -> Self {
        Self {
            tone: Tone::Good,
            text: text.into(),
            hint: None,
        }
    }

    pub fn bad(text: impl Into<String>) -> Self {
        Self {
            tone: Tone::Bad,
            text: text.into(),
            hint: None,
        }
    }

    pub fn fault(fault: &Fault) -> Self {
        Self {
            tone: Tone::Bad,
            text: fault.to_string(),
            hint: fault.hint.clone(),
        }
    }
}

/// Which parts of the cluster were read since rows were made last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Changed(u16);

impl Changed {
    pub const METADATA: Self = Self(1);
    pub const OFFSETS: Self = Self(1 << 1);
    pub const SETTINGS: Self = Self(1 << 2);
    pub const LOG_DIRS: Self = Self(1 << 3);
    pub const GROUPS: Self = Self(1 << 4);
    /// Descriptions and committed offsets.
    pub const GROUP_DETAILS: Self = Self(1 << 5);
    pub const CONFIGS: Self = Self(1 << 6);
    pub const QUORUM: Self = Self(1 << 7);
    pub const REASSIGNMENTS: Self = Self(1 << 8);
    pub const FEATURES: Self = Self(1 << 9);
    pub const SECURITY: Self = Self(1 << 10);
    pub const TRANSACTIONS: Self = Self(1 << 11);
    pub const METRICS: Self = Self(1 << 12);
    pub const ALL: Self = Self(u16::MAX);

    pub fn of(update: &Update) -> Self {
        match update {
            Update::Metadata(_) => Self::METADATA,
            Update::Offsets { .. } => Self::OFFSETS,
            Update::Settings(_) => Self::SETTINGS,
            Update::LogDirs(_) => Self::LOG_DIRS,
            Update::Groups(_) => Self::GROUPS,
            Update::Descriptions(_) | Update::Committed(_) => Self::GROUP_DETAILS,
            Update::Configs(..) => Self::CONFIGS,
            Update::Quorum(_) => Self::QUORUM,
            // It marks the partitions in the metadata too.
            Update::Reassignments(_) => Self::REASSIGNMENTS.and(Self::METADATA),
            Update::Features(_) => Self::FEATURES,
            Update::Security(_) => Self::SECURITY,
            Update::Transactions(_) => Self::TRANSACTIONS,
            Update::Metrics(_) => Self::METRICS,
        }
    }

    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether any of those parts is among these.
    pub fn any(self, of: Self) -> bool {
        self.0 & of.0 != 0
    }
}

/// One part of what a screen shows, with what is the matter with it.
#[derive(Debug, Clone)]
pub struct Part {
    pub name: &'static str,
    pub taken: Option<Taken>,
    pub fault: Option<Arc<Fault>>,
}

impl Part {
    pub fn of<T>(name: &'static str, resource: &crate::model::Resource<T>) -> Self {
        Self {
            name,
            taken: resource.taken(),
            fault: resource.fault().cloned(),
        }
    }
}

/// One screen.
pub trait Screen: fmt::Debug {
    fn place(&self) -> Place;

    /// The word in the line of breadcrumbs.
    fn title(&self) -> String;

    /// What stands beside the title: counts, filter, what is read.
    fn status(&self, _cx: &Cx<'_>) -> String {
        self.list_ref()
            .map(|list| list.status())
            .unwrap_or_default()
    }

    /// The scopes of its commands besides those of everywhere, its own first.
    fn scopes(&self) -> &'static [Scope];

    /// What it wants to be read more often.
    fn interest(&self, _cx: &Cx<'_>) -> Interest {
        Interest::default()
    }

    /// The parts of the cluster that it shows: their failures are shown above it.
    fn parts(&self, _cx: &Cx<'_>) -> Vec<Part> {
        Vec::new()
    }

    /// The list that has the focus.
    fn list(&mut self) -> Option<&mut dyn Rows> {
        None
    }

    fn list_ref(&self) -> Option<&dyn Rows> {
        None
    }

    /// All lists, for clicks; a list that was clicked on gets the focus.
    fn click(&mut self, x: u16, y: u16, cx: &Cx<'_>) -> crate::ui::widgets::list::Clicked {
        match self.list() {
            Some(list) => list.click(x, y, cx),
            None => crate::ui::widgets::list::Clicked::Nothing,
        }
    }

    /// The parts of the cluster that its rows are made of.
    fn shows(&self) -> Changed {
        Changed::ALL
    }

    /// Something new is known of what it shows, or the screen is shown again: then all parts count
    /// as new.
    fn on_data(&mut self, _cx: &Cx<'_>, _changed: Changed) {}

    /// What it wants to be started by itself; asked for after every event.
    fn wants(&mut self, _cx: &Cx<'_>) -> Vec<Step> {
        Vec::new()
    }

    /// One of its jobs says something.
    fn on_answer(&mut self, _job: JobId, _answer: &mut Option<Answer>, _cx: &Cx<'_>) -> Vec<Step> {
        Vec::new()
    }

    /// Why a command can't run now.
    fn refusal(&self, _command: Id, _cx: &Cx<'_>) -> Option<String> {
        None
    }

    /// Runs a command of its scopes that is not about the list itself; `None` when it has none
    /// such. `argument` is what was typed after the name, mostly nothing.
    fn run(&mut self, command: Id, argument: &str, cx: &Cx<'_>) -> Option<Vec<Step>>;

    fn draw(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer);

    /// It was opened: what it starts.
    fn on_open(&mut self, _cx: &Cx<'_>) -> Vec<Step> {
        Vec::new()
    }

    /// It is left for good: the jobs to end.
    fn on_close(&mut self) -> Vec<JobId> {
        Vec::new()
    }
}

/// The methods of a [`Screen`] that give out its list, whether to be changed or not; between two
/// lists a field says which one has the focus.
macro_rules! focused_list {
    ($self:ident . $list:ident) => {
        fn list(&mut $self) -> Option<&mut dyn crate::ui::widgets::list::Rows> {
            Some(&mut $self.$list)
        }

        fn list_ref(&$self) -> Option<&dyn crate::ui::widgets::list::Rows> {
            Some(&$self.$list)
        }
    };
    (if $self:ident . $is_other:ident { $other:ident } else { $list:ident }) => {
        fn list(&mut $self) -> Option<&mut dyn crate::ui::widgets::list::Rows> {
            Some(if $self.$is_other { &mut $self.$other } else { &mut $self.$list })
        }

        fn list_ref(&$self) -> Option<&dyn crate::ui::widgets::list::Rows> {
            Some(if $self.$is_other { &$self.$other } else { &$self.$list })
        }
    };
}
pub(crate) use focused_list;

/// A box over the screen that takes all keys.
pub trait Dialog: fmt::Debug {
    fn key(&mut self, key: KeyEvent, cx: &Cx<'_>) -> Vec<Step>;

    fn paste(&mut self, _text: &str, _cx: &Cx<'_>) {}

    fn wheel(&mut self, _lines: isize) {}

    fn on_answer(&mut self, _job: JobId, _answer: &mut Option<Answer>, _cx: &Cx<'_>) -> Vec<Step> {
        Vec::new()
    }

    fn on_close(&mut self) -> Vec<JobId> {
        Vec::new()
    }

    /// Draws it; the answer is where the cursor stands, if it has one.
    fn draw(&self, cx: &Cx<'_>, area: Rect, buffer: &mut Buffer) -> Option<Position>;

    /// The keys that work in it, for the last line.
    fn hints(&self) -> Vec<(&'static str, &'static str)>;
}
