//! Whether a command makes its change, or only shows it.
//!
//! One rule for all of them: `--execute` and `--dry-run` say so. Where neither is given, commands
//! that people look through first (`groups reset`, `reassign run`, `apply`, `undo`, `plan`,
//! `reassign janitor`) show what they would do, and all others go by the cluster: it may be saved
//! with `dry_run`, and a dangerous one is as if it were, unless it says otherwise.

use clap::Args;

use super::Io;
use crate::clusters::Target;

/// How a change is made.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct ChangeArgs {
    /// Show the plan, let the broker check it where it can, change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do it, also where that has to be said: on clusters that are saved with dry_run, or whose
    /// danger is high
    #[arg(long, conflicts_with = "dry_run")]
    pub execute: bool,
    /// Don't ask before destroying data
    #[arg(long)]
    pub yes: bool,
    /// Whether the command only shows its change on any cluster, unless it is told to execute it.
    #[arg(skip)]
    shows_first: bool,
}

impl ChangeArgs {
    /// Of a command that only shows its change unless it is told to execute it.
    pub(super) fn showing_first(self) -> Self {
        Self {
            shows_first: true,
            ..self
        }
    }

    /// For what belongs to a change that is executed already: nothing is asked, nothing only shown.
    pub(super) fn decided(self) -> Self {
        Self {
            dry_run: false,
            execute: true,
            yes: true,
            ..self
        }
    }

    /// Whether nothing is to be changed on this cluster.
    pub(super) fn is_dry(self, target: &Target) -> bool {
        let by_default = self.shows_first || target.is_dry_by_default();
        self.dry_run || (by_default && !self.execute)
    }

    /// Says on stderr of a dry run that it was one, and where nobody asked for it what does it.
    pub(super) fn tell(self, target: &Target, io: &mut Io<'_>) {
        if self.dry_run {
            io.tell("dry run: nothing was changed\n");
        } else if self.is_dry(target) {
            io.tell("dry run: nothing was changed; --execute does it\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clusters::Level;

    fn target(level: Level, dry_run: Option<bool>) -> Target {
        Target {
            level,
            dry_run,
            ..Target::default()
        }
    }

    fn told(change: ChangeArgs, target: &Target) -> String {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut io = Io {
            out: &mut out,
            err: &mut err,
            ask: &mut |_| None,
        };
        change.tell(target, &mut io);
        assert!(out.is_empty(), "stdout holds what was asked for");
        String::from_utf8(err).unwrap()
    }

    #[test]
    fn what_is_said_counts_then_what_the_cluster_says_then_its_danger() {
        let plain = ChangeArgs::default();
        let execute = ChangeArgs {
            execute: true,
            ..plain
        };
        let dry = ChangeArgs {
            dry_run: true,
            ..plain
        };
        for (level, said, by_default) in [
            (Level::Low, None, false),
            (Level::Normal, None, false),
            (Level::High, None, true),
            (Level::Low, Some(true), true),
            (Level::Normal, Some(true), true),
            (Level::High, Some(true), true),
            (Level::Low, Some(false), false),
            (Level::High, Some(false), false),
        ] {
            let target = target(level, said);
            let what = format!("{level:?} {said:?}");
            assert_eq!(plain.is_dry(&target), by_default, "{what}");
            assert!(plain.showing_first().is_dry(&target), "{what}");
            for change in [dry, dry.showing_first()] {
                assert!(change.is_dry(&target), "{what}");
                assert_eq!(told(change, &target), "dry run: nothing was changed\n");
            }
            for change in [execute, execute.showing_first(), plain.decided()] {
                assert!(!change.is_dry(&target), "{what}");
                assert_eq!(told(change, &target), "");
            }
            let does_it = "dry run: nothing was changed; --execute does it\n";
            let expected = if by_default { does_it } else { "" };
            assert_eq!(told(plain, &target), expected, "{what}");
            assert_eq!(told(plain.showing_first(), &target), does_it);
        }
    }
}
