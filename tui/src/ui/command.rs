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
    Timeline,
    Messages,
    Reassign,
    Reassignments,
    Quorum,
    Changes,
    Acls,
    Users,
    Quotas,
    Transactions,
    /// Who writes to a topic.
    Producers,
    Configs,
    /// Topics as files declare them.
    Declared,
    Local,
    Clusters,
    /// Kafka Connect.
    Connectors,
    Start,
    /// Screens with more than one list.
    Panes,
}

/// What may follow a command's name after `:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument {
    None,
    Topic,
    Group,
    Broker,
    Text,
}

/// What a command does; the screen or the application knows how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Id {
    AbortTransaction,
    AddVoter,
    RemoveVoter,
    SetFeature,
    Transactions,
    /// Who writes to a topic's partitions.
    Producers,
    Unregister,
    Acls,
    CreateAcl,
    Explain,
    Quotas,
    SetPassword,
    SetQuota,
    ShowIdle,
    Users,
    AddPartitions,
    AlterConfig,
    At,
    Back,
    Bottom,
    Broker,
    Brokers,
    AddCluster,
    EditCluster,
    CancelReassignment,
    CancelRun,
    Cluster,
    Clusters,
    Changes,
    Command,
    Configs,
    /// The settings of all brokers.
    DefaultConfigs,
    Copy,
    CreateTopic,
    Delete,
    DeleteOffsets,
    Diff,
    Down,
    DrainBroker,
    Earlier,
    EditReplicas,
    EnterCluster,
    EnterWriting,
    ElectPreferred,
    Execute,
    Filter,
    Find,
    Group,
    Groups,
    HalfPageDown,
    HalfPageUp,
    Help,
    Janitor,
    Jump,
    KeepReplicas,
    KillLocal,
    Later,
    Local,
    LocalLog,
    RestartLocal,
    RollingRestart,
    Mark,
    MarkAll,
    MayStop,
    Messages,
    More,
    NextPane,
    Now,
    Open,
    Overview,
    PageDown,
    PageUp,
    Pause,
    Produce,
    Quit,
    Quorum,
    Reassign,
    Reassignments,
    Refresh,
    ResetConfig,
    ResetOffsets,
    RunBatches,
    RunPace,
    SeekEnd,
    SeekOffset,
    SeekStart,
    SeekTime,
    SetBrokers,
    ShowJson,
    ShowOverridden,
    SortNext,
    SortPrevious,
    SortReverse,
    StartLocal,
    StopLocal,
    Suspend,
    Tail,
    TestCluster,
    Timeline,
    Top,
    Topic,
    Topics,
    Undo,
    Up,
    Connect,
    Connectors,
    RestartConnector,
    RestartTask,
    NewConnector,
    StopConnector,
    Apply,
    DeleteUndeclared,
    ExportTopics,
    Prune,
    CopyMessages,
    ExportMessages,
    ImportMessages,
    ShowDifferent,
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
    /// One or two words for the line of hints; empty for what is not shown there.
    pub hint: &'static str,
    pub argument: Argument,
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
    Command {
        id,
        scope,
        name,
        aliases: &[],
        keys,
        doc,
        writes: false,
        hint: "",
        argument: Argument::None,
    }
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

    const fn hint(mut self, hint: &'static str) -> Self {
        self.hint = hint;
        self
    }

    const fn takes(mut self, argument: Argument) -> Self {
        self.argument = argument;
        self
    }

    pub fn is_named(&self, name: &str) -> bool {
        !self.name.is_empty() && (self.name == name || self.aliases.contains(&name))
    }

    /// The keys as the help writes them.
    pub fn keys_label(&self) -> String {
        self.keys
            .iter()
            .map(|k| k.label())
            .collect::<Vec<_>>()
            .join(" ")
    }
}

use Key::{Char, Code, Ctrl};

/// Every command. Within a scope the most used come first: that is the order of the hints.
#[rustfmt::skip]
pub const COMMANDS: &[Command] = &[
    command(Id::Help, Scope::Everywhere, "help", &[Char('?'), Code(KeyCode::F(1))], "show the keys and commands of this screen").aliases(&["h"]).hint("help"),
    command(Id::Command, Scope::Everywhere, "", &[Char(':')], "type a command, with completion").hint("command"),
    command(Id::Jump, Scope::Everywhere, "jump", &[Ctrl('p')], "jump to a topic, group or broker by a few letters").aliases(&["j"]).hint("jump"),
    command(Id::Overview, Scope::Everywhere, "overview", &[Char('1')], "health of the cluster").aliases(&["o", "home"]),
    command(Id::Brokers, Scope::Everywhere, "brokers", &[Char('2')], "brokers").aliases(&["bs"]),
    command(Id::Topics, Scope::Everywhere, "topics", &[Char('3')], "topics; text after it filters them").aliases(&["ts"]).takes(Argument::Text),
    command(Id::Groups, Scope::Everywhere, "groups", &[Char('4')], "consumer groups; text after it filters them").aliases(&["gs"]).takes(Argument::Text),
    command(Id::Reassignments, Scope::Everywhere, "reassignments", &[Char('5')], "running reassignments").aliases(&["moves"]),
    command(Id::Quorum, Scope::Everywhere, "quorum", &[Char('6')], "the metadata quorum and feature levels").aliases(&["features"]),
    command(Id::Local, Scope::Everywhere, "local", &[Char('7')], "local brokers"),
    command(Id::Clusters, Scope::Everywhere, "clusters", &[Char('8')], "saved clusters").aliases(&["ctx"]),
    command(Id::Connectors, Scope::Everywhere, "connectors", &[], "connectors of Kafka Connect").aliases(&["kc"]),
    command(Id::Apply, Scope::Everywhere, "apply", &[], "compare the topics that a file or a folder declares with the cluster, and make them so").aliases(&["declared"]).takes(Argument::Text),
    command(Id::Cluster, Scope::Everywhere, "cluster", &[], "switch to a saved cluster").takes(Argument::Text),
    command(Id::Changes, Scope::Everywhere, "changes", &[Char('9')], "what happened since this cluster is looked at; text after it filters").aliases(&["feed"]).takes(Argument::Text),
    command(Id::Acls, Scope::Everywhere, "acls", &[], "ACL rules: who may do what; text after it filters").aliases(&["rules"]).takes(Argument::Text),
    command(Id::Users, Scope::Everywhere, "users", &[], "users whose SCRAM passwords the cluster keeps").takes(Argument::Text),
    command(Id::Quotas, Scope::Everywhere, "quotas", &[], "limits of users, client ids and addresses").takes(Argument::Text),
    command(Id::Transactions, Scope::Everywhere, "transactions", &[], "transactions: who holds readers up, and what hangs").aliases(&["txns"]),
    command(Id::Earlier, Scope::Everywhere, "earlier", &[Char('[')], "look at the cluster as it was a moment earlier"),
    command(Id::Later, Scope::Everywhere, "later", &[Char(']')], "a moment later, at last the present again"),
    command(Id::At, Scope::Everywhere, "at", &[], "look at the cluster as it was at a time: 14:00, or 10m for an age").takes(Argument::Text),
    command(Id::Now, Scope::Everywhere, "now", &[], "look at the present again"),
    command(Id::Diff, Scope::Everywhere, "diff", &[], "what is different since a time, or between two: 14:00 14:30").aliases(&["since"]).takes(Argument::Text),
    command(Id::Topic, Scope::Everywhere, "topic", &[], "open a topic").aliases(&["t"]).takes(Argument::Topic),
    command(Id::Group, Scope::Everywhere, "group", &[], "open a group").aliases(&["g"]).takes(Argument::Group),
    command(Id::Broker, Scope::Everywhere, "broker", &[], "open a broker").aliases(&["b"]).takes(Argument::Broker),
    command(Id::Messages, Scope::Everywhere, "messages", &[], "read the messages of a topic").aliases(&["m"]).takes(Argument::Topic),
    command(Id::Producers, Scope::Everywhere, "producers", &[], "who has written to a topic's partitions lately, and how far readers of committed records get").takes(Argument::Topic),
    command(Id::Configs, Scope::Everywhere, "configs", &[], "settings of a topic").aliases(&["c"]).takes(Argument::Topic),
    command(Id::CreateTopic, Scope::Everywhere, "create", &[], "create a topic").takes(Argument::Text).writes(),
    command(Id::ElectPreferred, Scope::Everywhere, "elect", &[], "elect the preferred leader of every partition that another one leads").writes(),
    command(Id::Undo, Scope::Everywhere, "undo", &[Char('u'), Char('U')], "plan to take back the last change made to this cluster, also before the program was started").writes(),
    command(Id::Refresh, Scope::Everywhere, "refresh", &[Ctrl('r')], "read everything on this screen again now"),
    command(Id::Back, Scope::Everywhere, "back", &[Code(KeyCode::Esc), Code(KeyCode::Backspace), Code(KeyCode::Left), Char('h')], "close, clear the filter or the marks, or go back"),
    command(Id::Connect, Scope::Everywhere, "connect", &[], "connect to another cluster: host:port,…").takes(Argument::Text),
    command(Id::Suspend, Scope::Everywhere, "", &[Ctrl('z')], "suspend to the shell"),
    command(Id::Quit, Scope::Everywhere, "quit", &[Char('q'), Ctrl('c')], "leave").aliases(&["q", "exit"]),

    command(Id::Open, Scope::List, "", &[Code(KeyCode::Enter), Code(KeyCode::Right), Char('l')], "open the selected row").hint("open"),
    command(Id::Filter, Scope::List, "filter", &[Char('/')], "filter by name; !text for all others").takes(Argument::Text).hint("filter"),
    command(Id::SortNext, Scope::List, "", &[Char('>'), Char('s')], "sort by the next column").hint("sort"),
    command(Id::SortPrevious, Scope::List, "", &[Char('<')], "sort by the previous column"),
    command(Id::SortReverse, Scope::List, "", &[Char('S')], "reverse the order"),
    command(Id::Mark, Scope::List, "", &[Char(' ')], "mark the row for what follows"),
    command(Id::MarkAll, Scope::List, "mark-all", &[Char('*')], "mark all rows that are shown, or none"),
    command(Id::Copy, Scope::List, "copy", &[Char('y')], "copy the name to the clipboard"),
    command(Id::Up, Scope::List, "", &[Char('k'), Code(KeyCode::Up)], "up"),
    command(Id::Down, Scope::List, "", &[Char('j'), Code(KeyCode::Down)], "down"),
    command(Id::HalfPageUp, Scope::List, "", &[Ctrl('u')], "half a page up"),
    command(Id::HalfPageDown, Scope::List, "", &[Ctrl('d')], "half a page down"),
    command(Id::PageUp, Scope::List, "", &[Ctrl('b'), Code(KeyCode::PageUp)], "a page up"),
    command(Id::PageDown, Scope::List, "", &[Ctrl('f'), Code(KeyCode::PageDown)], "a page down"),
    command(Id::Top, Scope::List, "", &[Char('g'), Code(KeyCode::Home)], "to the first row"),
    command(Id::Bottom, Scope::List, "", &[Char('G'), Code(KeyCode::End)], "to the last row"),

    command(Id::NextPane, Scope::Panes, "", &[Code(KeyCode::Tab)], "to the next list of this screen").hint("next list"),

    command(Id::Brokers, Scope::Overview, "", &[Char('2')], "brokers").hint("brokers"),
    command(Id::Topics, Scope::Overview, "", &[Char('3')], "topics").hint("topics"),
    command(Id::Groups, Scope::Overview, "", &[Char('4')], "consumer groups").hint("groups"),
    command(Id::Reassignments, Scope::Overview, "", &[Char('5')], "running reassignments").hint("reassignments"),
    command(Id::Quorum, Scope::Overview, "", &[Char('6')], "the metadata quorum and feature levels").hint("quorum"),
    command(Id::Changes, Scope::Overview, "", &[Char('9')], "what happened since this cluster is looked at").hint("changes"),

    command(Id::Configs, Scope::Brokers, "configs", &[Char('c')], "settings of the selected broker").hint("settings"),
    command(Id::DefaultConfigs, Scope::Brokers, "defaults", &[Char('C')], "settings of all brokers that have none of their own"),
    command(Id::DrainBroker, Scope::Brokers, "drain", &[Char('d')], "move all replicas off the selected broker").writes().hint("drain"),
    command(Id::MayStop, Scope::Brokers, "may-stop", &[Char('w')], "what would happen if the marked brokers or the selected one stopped now").hint("may stop?"),

    command(Id::Unregister, Scope::Brokers, "unregister", &[], "make the cluster forget the selected broker, which is gone for good").writes(),

    command(Id::Configs, Scope::Broker, "configs", &[Char('c')], "settings of this broker").hint("settings"),
    command(Id::DrainBroker, Scope::Broker, "drain", &[Char('d')], "move all replicas off this broker").writes().hint("drain"),
    command(Id::MayStop, Scope::Broker, "may-stop", &[Char('w')], "what would happen if this broker stopped now").hint("may stop?"),

    command(Id::CreateTopic, Scope::Topics, "create", &[Char('n')], "create a topic").takes(Argument::Text).writes().hint("new"),
    command(Id::Messages, Scope::Topics, "messages", &[Char('m')], "read messages of the selected topic").takes(Argument::Topic).hint("messages"),
    command(Id::Configs, Scope::Topics, "configs", &[Char('c')], "settings of the selected topic").takes(Argument::Topic).hint("settings"),
    command(Id::Reassign, Scope::Topics, "reassign", &[Char('a')], "reassign the marked topics or the selected one").writes().hint("reassign"),
    command(Id::Produce, Scope::Topics, "produce", &[Char('p')], "write one message").writes().hint("produce"),
    command(Id::AddPartitions, Scope::Topics, "partitions", &[Char('+')], "add partitions").writes().hint("partitions"),
    command(Id::ElectPreferred, Scope::Topics, "elect", &[Char('e')], "elect the preferred leaders of the marked topics or the selected one").writes().hint("elect"),
    command(Id::ExportTopics, Scope::Topics, "export", &[Char('x')], "write the marked topics, or all, as a file that declares them").hint("export"),
    command(Id::Delete, Scope::Topics, "delete", &[Char('D')], "delete the marked topics or the selected one").writes().hint("delete"),

    command(Id::Messages, Scope::Topic, "messages", &[Char('m')], "read messages").hint("messages"),
    command(Id::Configs, Scope::Topic, "configs", &[Char('c')], "settings").hint("settings"),
    command(Id::Reassign, Scope::Topic, "reassign", &[Char('a')], "reassign this topic, or the marked partitions").writes().hint("reassign"),
    command(Id::Produce, Scope::Topic, "produce", &[Char('p')], "write one message").writes().hint("produce"),
    command(Id::AddPartitions, Scope::Topic, "partitions", &[Char('+')], "add partitions").writes().hint("partitions"),
    command(Id::ElectPreferred, Scope::Topic, "elect", &[Char('e')], "elect the preferred leaders").writes().hint("elect"),
    command(Id::Producers, Scope::Topic, "producers", &[Char('w')], "who has written to its partitions lately, and how far readers of committed records get").hint("producers"),
    command(Id::Delete, Scope::Topic, "delete", &[Char('D')], "delete this topic").writes().hint("delete"),

    command(Id::ResetOffsets, Scope::Groups, "reset", &[Char('o')], "set where the selected group goes on").writes().hint("offsets"),
    command(Id::Delete, Scope::Groups, "delete", &[Char('D')], "delete the marked groups or the selected one").writes().hint("delete"),
    command(Id::Timeline, Scope::Group, "timeline", &[Char('t')], "this group's rebalances with their likely causes").hint("timeline"),
    command(Id::ResetOffsets, Scope::Group, "reset", &[Char('o')], "set where this group goes on, or the marked topics of it").writes().hint("offsets"),
    command(Id::DeleteOffsets, Scope::Group, "forget", &[Char('x')], "remove what is committed for the topic of the selected partition").writes().hint("forget topic"),
    command(Id::Delete, Scope::Group, "delete", &[Char('D')], "delete this group").writes().hint("delete"),

    command(Id::Tail, Scope::Messages, "tail", &[Char('t')], "follow new messages").hint("tail"),
    command(Id::Pause, Scope::Messages, "pause", &[Char('p')], "hold the tail, and let it go on").hint("pause"),
    command(Id::SeekStart, Scope::Messages, "start", &[Char('b')], "read from the start").hint("start"),
    command(Id::SeekEnd, Scope::Messages, "end", &[Char('e')], "read the newest").hint("newest"),
    command(Id::SeekOffset, Scope::Messages, "offset", &[Char('o')], "read from an offset").takes(Argument::Text).hint("offset"),
    command(Id::SeekTime, Scope::Messages, "time", &[Char('w')], "read from a time").takes(Argument::Text).hint("time"),
    command(Id::Find, Scope::Messages, "find", &[Char('f')], "choose what is read: filter, partitions, decoders, transactions; a filter after it is set").takes(Argument::Text).hint("find"),
    command(Id::More, Scope::Messages, "more", &[Char('m')], "read on where the last read stopped").hint("more"),
    command(Id::Produce, Scope::Messages, "produce", &[Char('n')], "write one message").writes().hint("new"),

    command(Id::ExportMessages, Scope::Messages, "export", &[Char('x')], "write messages to a file, as lines of JSON").hint("export"),
    command(Id::ImportMessages, Scope::Messages, "import", &[Char('i')], "write the messages of an export to this topic, or the lines of a file").writes().hint("import"),
    command(Id::CopyMessages, Scope::Messages, "copy-to", &[Char('c')], "copy messages to another topic, also of another cluster").hint("copy"),

    command(Id::Execute, Scope::Reassign, "execute", &[Char('x')], "plan and confirm this proposal").hint("execute"),
    command(Id::RunBatches, Scope::Reassign, "batches", &[Char('r')], "plan this proposal in batches, throttled, with what to do about partitions that miss replicas").writes().hint("in batches"),
    command(Id::EditReplicas, Scope::Reassign, "edit", &[Char('e')], "edit the replicas of the marked partitions or the selected one").hint("edit"),
    command(Id::KeepReplicas, Scope::Reassign, "keep", &[Char('u')], "leave the marked partitions or the selected one as they are").hint("keep"),
    command(Id::SetBrokers, Scope::Reassign, "receivers", &[Char('b')], "choose the brokers and how replicas are spread").hint("brokers"),
    command(Id::ShowJson, Scope::Reassign, "json", &[Char('o')], "show the file for kafka-reassign-partitions").hint("json"),

    command(Id::CancelReassignment, Scope::Reassignments, "cancel", &[Char('x')], "cancel the marked reassignments or the selected one").writes().hint("cancel"),
    command(Id::Pause, Scope::Reassignments, "pause", &[Char('p')], "pause the run, and let it go on").writes().hint("pause"),
    command(Id::RunPace, Scope::Reassignments, "pace", &[Char('t')], "change the throttle and the batch of the run").writes().hint("pace"),
    command(Id::CancelRun, Scope::Reassignments, "stop", &[Char('X')], "cancel the run: what waits stays, what is on its way goes back").writes().hint("cancel run"),
    command(Id::Janitor, Scope::Reassignments, "janitor", &[Char('J')], "find throttles that were left behind, and remove them").writes().hint("throttles"),

    command(Id::CreateAcl, Scope::Acls, "new", &[Char('n')], "create rules, beginning with what the selected one says").writes().hint("new"),
    command(Id::Explain, Scope::Acls, "explain", &[Char('x')], "say whether somebody may do something, and by which rule").hint("who may?"),
    command(Id::ShowIdle, Scope::Acls, "idle", &[Char('o')], "show only the rules that do nothing, or all").hint("idle only"),
    command(Id::Delete, Scope::Acls, "delete", &[Char('D')], "delete the marked rules or the selected one").writes().hint("delete"),

    command(Id::SetPassword, Scope::Users, "new", &[Char('n')], "set a password, for a new user too").writes().hint("set password"),
    command(Id::Delete, Scope::Users, "delete", &[Char('D')], "delete the selected password").writes().hint("delete"),

    command(Id::SetQuota, Scope::Quotas, "new", &[Char('n')], "set a limit").writes().hint("new"),
    command(Id::Explain, Scope::Quotas, "which", &[Char('x')], "say which limits apply to a client").hint("which applies?"),
    command(Id::Delete, Scope::Quotas, "delete", &[Char('D')], "remove the selected limit").writes().hint("remove"),

    command(Id::AbortTransaction, Scope::Transactions, "abort", &[Char('x')], "abort the selected transaction in its partition").writes().hint("abort"),
    command(Id::Topic, Scope::Transactions, "", &[Char('t')], "open the topic of the selected partition").hint("topic"),
    command(Id::Producers, Scope::Transactions, "producers", &[Char('w')], "who has written to that topic's partitions lately").hint("producers"),

    command(Id::Topic, Scope::Producers, "", &[Char('t')], "open this topic").hint("topic"),
    command(Id::Messages, Scope::Producers, "messages", &[Char('m')], "read its messages").hint("messages"),

    command(Id::AddVoter, Scope::Quorum, "add-voter", &[Char('n')], "make the selected observer a voter").writes().hint("add voter"),
    command(Id::RemoveVoter, Scope::Quorum, "remove-voter", &[Char('D')], "take the selected voter out of the quorum").writes().hint("remove voter"),
    command(Id::SetFeature, Scope::Quorum, "upgrade", &[Char('+')], "change the level of the selected feature, after asking whether it can be").writes().hint("upgrade"),

    command(Id::AlterConfig, Scope::Configs, "set", &[Char('e')], "change the selected setting").writes().hint("change"),
    command(Id::ResetConfig, Scope::Configs, "unset", &[Char('D')], "back to what it inherits").writes().hint("unset"),
    command(Id::ShowOverridden, Scope::Configs, "overridden", &[Char('o')], "show only what differs from the default, or all").hint("own only"),

    command(Id::Execute, Scope::Declared, "execute", &[Char('x')], "plan what makes the marked topics, or all, as they are declared").writes().hint("execute"),
    command(Id::RunPace, Scope::Declared, "pace", &[Char('t')], "move replicas in a run: name its throttle, and how many partitions at a time; after the name: 20M 5").takes(Argument::Text).hint("throttle"),
    command(Id::ShowDifferent, Scope::Declared, "different", &[Char('o')], "show only what differs, or all").hint("differences only"),
    command(Id::Prune, Scope::Declared, "prune", &[Char('p')], "let settings that are not declared go too, or leave them").hint("prune"),
    command(Id::DeleteUndeclared, Scope::Declared, "delete-undeclared", &[Char('D')], "let topics that are not declared go too, or leave them").hint("undeclared"),

    command(Id::AddCluster, Scope::Clusters, "add", &[Char('n')], "save a cluster, after connecting to it").hint("add"),
    command(Id::EditCluster, Scope::Clusters, "edit", &[Char('e')], "change what is saved of the selected cluster").hint("edit"),
    command(Id::TestCluster, Scope::Clusters, "test", &[Char('t')], "connect to the selected cluster and tell which step fails").hint("test"),
    command(Id::EnterCluster, Scope::Clusters, "enter", &[], "switch to a cluster by its name").takes(Argument::Text),
    command(Id::EnterWriting, Scope::Clusters, "write", &[Char('w')], "switch to the selected read-only cluster and allow changes").hint("allow changes"),
    command(Id::Delete, Scope::Clusters, "remove", &[Char('D')], "forget the selected cluster").hint("remove"),

    command(Id::StartLocal, Scope::Local, "start", &[Char('n')], "start a local broker, new or stopped").writes().hint("start"),
    command(Id::StopLocal, Scope::Local, "stop", &[Char('x')], "stop the marked brokers or the selected one").writes().hint("stop"),
    command(Id::KillLocal, Scope::Local, "kill", &[Char('K')], "kill -9 the marked brokers or the selected one").writes().hint("kill"),
    command(Id::RestartLocal, Scope::Local, "restart", &[Char('r')], "stop the selected broker and start it again").writes().hint("restart"),
    command(Id::RollingRestart, Scope::Local, "rolling-restart", &[Char('R')], "restart the nodes of the selected cluster one after the other, each when it may stop").writes().hint("rolling restart"),
    command(Id::Pause, Scope::Local, "pause", &[Char('p')], "hold the marked brokers or the selected one where they stand, or let them go on").writes().hint("pause"),
    command(Id::LocalLog, Scope::Local, "log", &[Char('o')], "show the log of the selected broker; text after it filters its lines").takes(Argument::Text).hint("log"),
    command(Id::Delete, Scope::Local, "delete", &[Char('D')], "delete a stopped broker or cluster with its data").writes().hint("delete"),

    command(Id::RestartConnector, Scope::Connectors, "restart", &[Char('r')], "restart what has failed of the selected connector, or all of it").writes().hint("restart"),
    command(Id::Pause, Scope::Connectors, "pause", &[Char('p')], "let the selected connector rest, or go on").writes().hint("pause"),
    command(Id::RestartTask, Scope::Connectors, "task", &[Char('t')], "restart one task of the selected connector").writes().hint("task"),
    command(Id::AlterConfig, Scope::Connectors, "set", &[Char('e')], "change the configuration of the selected connector, which a worker checks first").writes().hint("change"),
    command(Id::NewConnector, Scope::Connectors, "new", &[Char('n')], "make a connector, of a file or of what is typed").writes().hint("new"),
    command(Id::StopConnector, Scope::Connectors, "stop", &[Char('x')], "end the tasks of the selected connector; its offsets stay").writes().hint("stop"),
    command(Id::Delete, Scope::Connectors, "delete", &[Char('D')], "delete the selected connector").writes().hint("delete"),

    command(Id::Connect, Scope::Start, "connect", &[Char('c')], "connect to a cluster: host:port,…").takes(Argument::Text).hint("connect"),
    command(Id::StartLocal, Scope::Start, "start", &[Char('n')], "start a local broker and connect to it").writes().hint("start a broker"),
];

/// The commands of a screen: its own first, then those of lists, then those of everywhere.
pub fn available(scopes: &[Scope]) -> impl Iterator<Item = &'static Command> {
    let scopes: Vec<Scope> = scopes.to_vec();
    scopes
        .into_iter()
        .flat_map(|scope| COMMANDS.iter().filter(move |c| c.scope == scope))
}

/// The command that a key means on a screen.
pub fn by_key(scopes: &[Scope], event: KeyEvent) -> Option<&'static Command> {
    available(scopes).find(|c| c.keys.iter().any(|k| k.matches(event)))
}

/// The command of that name or alias. What is named after it wants one that takes names: the
/// settings of a topic, and not those of the broker that happens to be selected.
pub fn by_name(scopes: &[Scope], name: &str, argument: &str) -> Option<&'static Command> {
    innermost(scopes, argument, |command| command.is_named(name))
}

/// As [`by_name`], for what a screen or a dialog wants.
pub fn by_id(scopes: &[Scope], id: Id, argument: &str) -> Option<&'static Command> {
    innermost(scopes, argument, |command| command.id == id)
}

fn innermost(
    scopes: &[Scope],
    argument: &str,
    is_meant: impl Fn(&Command) -> bool,
) -> Option<&'static Command> {
    let meant = || available(scopes).filter(|command| is_meant(command));
    let taking = || meant().find(|command| command.argument != Argument::None);
    (!argument.is_empty())
        .then(taking)
        .flatten()
        .or_else(|| meant().next())
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
    fn a_name_after_a_command_finds_the_one_that_takes_it() {
        let scopes = [Scope::Brokers, Scope::List, Scope::Everywhere];
        let found = |argument| by_name(&scopes, "configs", argument).map(|c| c.scope);
        assert_eq!(found(""), Some(Scope::Brokers));
        assert_eq!(found("orders"), Some(Scope::Everywhere));
        assert!(
            by_name(&scopes, "brokers", "all").is_some(),
            "too much said"
        );
        assert!(by_name(&scopes, "nonsense", "").is_none());
    }

    #[test]
    fn no_screen_hides_help_quit_or_the_way_back() {
        let own = COMMANDS
            .iter()
            .filter(|c| !matches!(c.scope, Scope::Everywhere));
        let vital = COMMANDS
            .iter()
            .filter(|c| matches!(c.id, Id::Help | Id::Quit | Id::Back));
        let vital: Vec<&Key> = vital.flat_map(|c| c.keys).collect();
        for command in own {
            assert!(
                !command.keys.iter().any(|k| vital.contains(&k)),
                "{command:?}"
            );
        }
    }
}
