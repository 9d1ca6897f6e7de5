//! What a key of the screens is as a command of scripts.
//!
//! Invariant: whatever a screen can do, a script can: what changes or reads something has a command
//! here, and only what moves about on the screen has none.

use crate::ui::command::{Command, Id, Scope};

/// What does the same without a screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Twin {
    /// A command, by its words.
    Command(&'static str),
    /// An option of every command.
    Option(&'static str),
    /// It is about the screen itself.
    Screen,
}

const fn run(words: &'static str) -> Twin {
    Twin::Command(words)
}

/// Without a wildcard, so that a new command of the screens has to say what it is to scripts.
pub(super) fn twin(command: &Command) -> Twin {
    match command.id {
        Id::Overview => run("top"),
        Id::Brokers => run("brokers list"),
        Id::Broker => run("brokers describe"),
        Id::MayStop => run("brokers may-stop"),
        Id::Unregister => run("brokers unregister"),
        Id::Topics => run("topics list"),
        Id::Topic => run("topics describe"),
        Id::CreateTopic => run("topics create"),
        Id::AddPartitions => run("partitions add"),
        Id::ExportTopics => run("topics export"),
        Id::Apply | Id::Prune | Id::DeleteUndeclared | Id::ShowDifferent => run("apply"),
        Id::ElectPreferred => run("elect"),
        Id::Configs | Id::DefaultConfigs | Id::ShowOverridden => run("configs describe"),
        Id::AlterConfig if command.scope == Scope::Connectors => run("connect config"),
        Id::AlterConfig | Id::ResetConfig => run("configs alter"),
        Id::Groups => run("groups list"),
        Id::Group => run("groups describe"),
        Id::Timeline => run("groups timeline"),
        Id::ResetOffsets => run("groups reset"),
        Id::DeleteOffsets => run("groups delete-offsets"),
        Id::Messages
        | Id::Find
        | Id::More
        | Id::SeekStart
        | Id::SeekEnd
        | Id::SeekOffset
        | Id::SeekTime => run("messages read"),
        Id::Tail => run("messages tail"),
        Id::Produce => run("messages produce"),
        Id::ExportMessages => run("messages export"),
        Id::ImportMessages => run("messages import"),
        Id::CopyMessages => run("messages copy"),
        Id::Reassign
        | Id::DrainBroker
        | Id::SetBrokers
        | Id::EditReplicas
        | Id::KeepReplicas
        | Id::ShowJson => run("reassign plan"),
        Id::Execute if command.scope == Scope::Declared => run("apply"),
        Id::Execute => run("reassign execute"),
        Id::RunBatches => run("reassign run"),
        Id::Reassignments => run("reassign status"),
        Id::RunPace if command.scope == Scope::Declared => run("apply"),
        Id::RunPace => run("reassign set"),
        Id::CancelReassignment | Id::CancelRun => run("reassign cancel"),
        Id::Janitor => run("reassign janitor"),
        Id::Undo => run("undo"),
        Id::Quorum => run("quorum describe"),
        Id::AddVoter => run("quorum add-voter"),
        Id::RemoveVoter => run("quorum remove-voter"),
        Id::SetFeature => run("features upgrade"),
        Id::Changes | Id::Diff => run("changes"),
        Id::Acls => run("acls list"),
        Id::CreateAcl => run("acls create"),
        Id::ShowIdle => run("acls idle"),
        Id::Explain if command.scope == Scope::Quotas => run("quotas which"),
        Id::Explain => run("acls explain"),
        Id::Users => run("users list"),
        Id::SetPassword => run("users set-password"),
        Id::Quotas => run("quotas list"),
        Id::SetQuota => run("quotas alter"),
        Id::Transactions => run("transactions open"),
        Id::Producers => run("transactions producers"),
        Id::AbortTransaction => run("transactions abort"),
        Id::Connectors => run("connect list"),
        Id::RestartConnector | Id::RestartTask => run("connect restart"),
        Id::NewConnector => run("connect config"),
        Id::StopConnector => run("connect stop"),
        Id::Clusters => run("clusters list"),
        Id::AddCluster => run("clusters add"),
        Id::EditCluster => run("clusters edit"),
        Id::TestCluster => run("clusters test"),
        Id::Cluster | Id::EnterCluster => Twin::Option("--cluster"),
        Id::EnterWriting => Twin::Option("--read-write"),
        Id::Connect => Twin::Option("--bootstrap"),
        Id::Local => run("local status"),
        Id::StartLocal => run("local start"),
        Id::StopLocal => run("local stop"),
        Id::KillLocal => run("local kill"),
        Id::RestartLocal => run("local restart"),
        Id::RollingRestart => run("local rolling-restart"),
        Id::LocalLog => run("local logs"),
        Id::Pause => match command.scope {
            Scope::Reassignments => run("reassign pause"),
            Scope::Connectors => run("connect pause"),
            Scope::Local => run("local pause"),
            _ => Twin::Screen,
        },
        Id::Delete => delete(command.scope),
        Id::At
        | Id::Back
        | Id::Bottom
        | Id::Command
        | Id::Copy
        | Id::Down
        | Id::Earlier
        | Id::Filter
        | Id::HalfPageDown
        | Id::HalfPageUp
        | Id::Help
        | Id::Jump
        | Id::Later
        | Id::Mark
        | Id::MarkAll
        | Id::NextPane
        | Id::Now
        | Id::Open
        | Id::PageDown
        | Id::PageUp
        | Id::Quit
        | Id::Refresh
        | Id::SortNext
        | Id::SortPrevious
        | Id::SortReverse
        | Id::Suspend
        | Id::Top
        | Id::Up => Twin::Screen,
    }
}

fn delete(scope: Scope) -> Twin {
    match scope {
        Scope::Topics | Scope::Topic => run("topics delete"),
        Scope::Groups | Scope::Group => run("groups delete"),
        Scope::Acls => run("acls delete"),
        Scope::Users => run("users delete"),
        Scope::Quotas => run("quotas alter"),
        Scope::Clusters => run("clusters remove"),
        Scope::Connectors => run("connect delete"),
        Scope::Local => run("local delete"),
        _ => Twin::Screen,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;
    use crate::ui::command::COMMANDS;

    #[test]
    fn whatever_a_screen_does_a_command_does() {
        let program = Cli::command();
        for command in COMMANDS {
            let what = format!("{:?} of {:?}", command.id, command.scope);
            match twin(command) {
                Twin::Command(words) => {
                    let mut found = &program;
                    for word in words.split(' ') {
                        found = found
                            .find_subcommand(word)
                            .unwrap_or_else(|| panic!("{what}: there is no {words}"));
                    }
                    let more = found.get_subcommands().next();
                    assert!(more.is_none(), "{what}: {words} is no whole command");
                    // What a cluster is changed by can be looked at first.
                    let args: Vec<&str> =
                        found.get_arguments().filter_map(|a| a.get_long()).collect();
                    let is_of_cluster = command.writes
                        && !words.starts_with("local")
                        // A proposal is a file, and changes nothing.
                        && words != "reassign plan";
                    let can_be_tried = args.contains(&"dry-run") && args.contains(&"execute");
                    assert!(
                        !is_of_cluster || can_be_tried,
                        "{what}: {words} can't be tried: {args:?}"
                    );
                }
                Twin::Option(name) => {
                    let name = name.trim_start_matches("--");
                    let found = program.get_arguments().any(|a| a.get_long() == Some(name));
                    assert!(found, "{what}: there is no {name}");
                }
                Twin::Screen => assert!(!command.writes, "{what} has no command"),
            }
        }
    }
}
