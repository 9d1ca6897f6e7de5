//! The arguments of `reassign`.

use clap::{Args, Subcommand};

use super::ChangeArgs;

#[derive(Debug, Subcommand)]
pub enum ReassignCommand {
    /// Propose a reassignment and write it as kafka-reassign-partitions reads it
    #[command(after_help = super::examples::REASSIGN_PLAN)]
    Plan {
        #[command(flatten)]
        goal: Box<GoalArgs>,
        #[command(flatten)]
        pace: PaceArgs,
        /// Only these topics; all of them if absent
        #[arg(long = "topic", value_name = "NAME")]
        topics: Vec<String>,
        /// Go on where partitions would span fewer racks than now
        #[arg(long)]
        allow_fewer_racks: bool,
        /// Write the proposal here
        #[arg(long, value_name = "FILE")]
        out: Option<std::path::PathBuf>,
        /// Write the replicas of now here, to go back to
        #[arg(long, value_name = "FILE")]
        rollback: Option<std::path::PathBuf>,
    },
    /// Start the reassignment of a file
    Execute {
        /// As `plan` or kafka-reassign-partitions wrote it
        #[arg(long, value_name = "FILE")]
        file: std::path::PathBuf,
        /// Wait until it is done, telling how far it is
        #[arg(long)]
        wait: bool,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Execute a plan in batches, throttled, to its end; a dry run without --execute
    ///
    /// It may be interrupted, paused, sped up and taken over by another process at any time: its
    /// state is a file. Throttles are removed at the end, whatever the end is.
    #[command(after_help = super::examples::REASSIGN_RUN)]
    Run {
        /// As `plan --out` or kafka-reassign-partitions wrote it
        #[arg(value_name = "PLAN")]
        file: std::path::PathBuf,
        #[command(flatten)]
        pace: PaceArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Go on with a run that was paused or interrupted, with another pace if one is named
    Resume {
        #[command(flatten)]
        pace: PaceArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Begin no further move of the run; what is on its way arrives
    Pause {
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Change the throttle or the batch of the run
    Set {
        #[command(flatten)]
        pace: PaceArgs,
        /// Without a throttle
        #[arg(long, conflicts_with = "throttle")]
        unthrottled: bool,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Find throttles that were left behind; with --execute remove those that were set from here
    Janitor {
        /// Those of others too: an operator may want them
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Show the reassignments that run, with their progress
    Status,
    /// Cancel the run that is under way, or reassignments: those of a file, or all
    Cancel {
        /// Only the partitions of this file
        #[arg(long, value_name = "FILE")]
        file: Option<std::path::PathBuf>,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

/// What a reassignment is for.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub struct GoalArgs {
    /// No replica stays on these brokers
    #[arg(long, value_name = "ID,...", value_delimiter = ',')]
    pub drain: Vec<i32>,
    /// Replicas on the first broker go to the second: 1:4
    #[arg(long = "move", value_name = "FROM:TO")]
    pub from_to: Option<String>,
    /// Spread evenly over these brokers, or over all with `all`
    #[arg(long, value_name = "ID,...|all")]
    pub balance: Option<String>,
    /// These new brokers get their share; the others exchange nothing
    #[arg(long, value_name = "ID,...", value_delimiter = ',')]
    pub add: Vec<i32>,
    /// Every partition gets that many replicas
    #[arg(long, value_name = "N")]
    pub replication_factor: Option<usize>,
    /// Spread the preferred leaders by the order of replicas; nothing is copied
    #[arg(long)]
    pub leaders: bool,
    /// A placement from scratch over these brokers, as kafka-reassign-partitions --generate
    #[arg(long, value_name = "ID,...|all")]
    pub generate: Option<String>,
    /// Check this file against the cluster and show what it changes
    #[arg(long, value_name = "FILE")]
    pub file: Option<std::path::PathBuf>,
}

/// How a reassignment is paced.
#[derive(Clone, Debug, Default, Args)]
pub struct PaceArgs {
    /// What a broker may send and receive for it, in bytes a second: 20000000, 20M, 20MiB
    #[arg(long, value_name = "BYTES", value_parser = crate::ops::execution::parse_rate)]
    pub throttle: Option<i64>,
    /// How many partitions are moved at a time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: Option<u32>,
}
