//! Commands for the metadata quorum, feature levels, and registrations.

use clap::Subcommand;

use crate::derive::feature_level;
use crate::model::{Fault, Update, VoterListener};
use crate::ops::{Action, AddVoter, Direction, QuorumAction, SetFeature};
use crate::output::{FeaturesJson, QuorumJson};

use super::change::execute;
use super::{ChangeArgs, GlobalArgs, Io, Session, shared};

#[derive(Debug, Subcommand)]
pub enum QuorumCommand {
    /// Show the voters and observers of the metadata quorum
    Describe,
    /// Make a controller that follows the metadata log a voter
    #[command(after_help = super::examples::ADD_VOTER)]
    AddVoter {
        /// The controller's node id
        id: i32,
        /// Where the others reach it: CONTROLLER://host:9093
        #[arg(long = "listener", value_name = "NAME://HOST:PORT", required = true)]
        listeners: Vec<VoterListener>,
        /// Of its metadata log directory; the one that it follows with if absent
        #[arg(long, value_name = "ID")]
        directory_id: Option<String>,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Take a voter out of the quorum, if the quorum survives it
    RemoveVoter {
        /// The controller's node id
        id: i32,
        /// Of its metadata log directory; the one that is known if absent
        #[arg(long, value_name = "ID")]
        directory_id: Option<String>,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

#[derive(Debug, Subcommand)]
pub enum FeaturesCommand {
    /// List the feature levels in effect and what each broker can do
    List,
    /// Raise feature levels: metadata.version=4.3, kraft.version=1
    #[command(after_help = super::examples::FEATURES_UPGRADE)]
    Upgrade {
        /// Features with their new levels
        #[arg(required = true, value_name = "NAME=LEVEL", value_parser = super::key_value)]
        features: Vec<(String, String)>,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Lower feature levels; 0 switches a feature off
    Downgrade {
        /// Features with their new levels
        #[arg(required = true, value_name = "NAME=LEVEL", value_parser = super::key_value)]
        features: Vec<(String, String)>,
        /// Even where metadata is lost by it
        #[arg(long = "unsafe")]
        is_unsafe: bool,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

/// What planning needs to know.
async fn open(global: &GlobalArgs) -> Result<Session, Fault> {
    let mut session = Session::open(global).await?;
    let metadata = session.metadata()?;
    let (quorum, features) = tokio::join!(
        session.client.quorum(),
        session.client.features_of(&metadata)
    );
    session.apply(Update::Quorum(shared(quorum)));
    session.apply(Update::Features(shared(features)));
    Ok(session)
}

pub(super) async fn quorum(
    global: &GlobalArgs,
    command: QuorumCommand,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    let (action, change) = match command {
        QuorumCommand::Describe => {
            let quorum = global.client().await?.quorum().await?;
            io.print(global.output, &QuorumJson::from(quorum));
            return Ok(0);
        }
        QuorumCommand::AddVoter {
            id,
            listeners,
            directory_id,
            change,
        } => {
            let add = AddVoter {
                id,
                directory_id,
                listeners,
            };
            (QuorumAction::AddVoter(add), change)
        }
        QuorumCommand::RemoveVoter {
            id,
            directory_id,
            change,
        } => (QuorumAction::RemoveVoter { id, directory_id }, change),
    };
    let session = open(global).await?;
    execute(global, &session, Action::Quorum(action), change, io).await
}

pub(super) async fn features(
    global: &GlobalArgs,
    command: FeaturesCommand,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    let (features, direction, change) = match command {
        FeaturesCommand::List => {
            let session = Session::open(global).await?;
            let metadata = session.metadata()?;
            let features = session.client.features_of(&metadata).await?;
            io.print(global.output, &FeaturesJson::from(features));
            return Ok(0);
        }
        FeaturesCommand::Upgrade { features, change } => (features, Direction::Up, change),
        FeaturesCommand::Downgrade {
            features,
            is_unsafe: false,
            change,
        } => (features, Direction::Down, change),
        FeaturesCommand::Downgrade {
            features, change, ..
        } => (features, Direction::DownUnsafe, change),
    };
    let mut set = Vec::new();
    for (name, level) in features {
        let Some(level) = feature_level(&name, &level) else {
            let why = format!("\"{level}\" is no level of {name}");
            return Err(Fault::refused("change feature levels", why)
                .with_hint("`kafka-tui features list` shows the levels"));
        };
        set.push(SetFeature {
            name,
            level,
            direction,
        });
    }
    let session = open(global).await?;
    let action = Action::Quorum(QuorumAction::SetFeatures(set));
    execute(global, &session, action, change, io).await
}

pub(super) async fn unregister(
    global: &GlobalArgs,
    id: i32,
    change: ChangeArgs,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    let session = open(global).await?;
    let action = Action::Quorum(QuorumAction::UnregisterBroker(id));
    execute(global, &session, action, change, io).await
}
