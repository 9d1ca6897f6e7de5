//! Commands for transactions and the producers of partitions.

use std::sync::Arc;
use std::time::Duration;

use clap::Subcommand;

use crate::derive::{self, Openness};
use crate::model::{Fault, Group, TopicPartition, TransactionFilter, Update};
use crate::ops::{AbortTransaction, Action};
use crate::output::{
    BlockedJson, HangingJson, ProducersJson, TransactionJson, TransactionRow, TransactionsJson,
    silent,
};

use super::change::execute;
use super::{ChangeArgs, GlobalArgs, Io, Session, shared, wait};

#[derive(Debug, Subcommand)]
pub enum TransactionsCommand {
    /// List the transactional ids that coordinators know
    List {
        /// Only of these states: Ongoing, PrepareCommit, PrepareAbort, CompleteCommit,
        /// CompleteAbort, Empty, Dead
        #[arg(long, value_delimiter = ',')]
        state: Vec<String>,
        /// Only of these producer ids
        #[arg(long, value_name = "ID", value_delimiter = ',')]
        producer_id: Vec<i64>,
        /// Only those that have been running for longer: 30s, 10m
        #[arg(long, value_name = "TIME", value_parser = wait::duration)]
        longer_than: Option<Duration>,
        /// Only transactional ids that match this regular expression
        #[arg(long, value_name = "REGEX")]
        id_pattern: Option<String>,
    },
    /// Show one transactional id with the partitions of its transaction
    Describe {
        /// The transactional id
        id: String,
    },
    /// Show the producers that have written to a topic's partitions lately
    Producers {
        /// The topic's name
        #[arg(long)]
        topic: String,
        /// Only this partition
        #[arg(long)]
        partition: Option<i32>,
    },
    /// Show where readers of committed records are held up, by which transaction, and which groups
    Open {
        /// Only these topics
        #[arg(long)]
        topic: Vec<String>,
        /// What is open for longer may hang
        #[arg(long, value_name = "TIME", default_value = "15m", value_parser = wait::duration)]
        max_timeout: Duration,
    },
    /// List the transactions that nobody will end
    ///
    /// Exits with 8 when there are any.
    FindHanging {
        /// Only in these topics
        #[arg(long)]
        topic: Vec<String>,
        /// transaction.max.timeout.ms of the brokers: only what is open for longer
        #[arg(long, value_name = "TIME", default_value = "15m", value_parser = wait::duration)]
        max_timeout: Duration,
    },
    /// Abort a transaction in one partition
    Abort {
        /// The topic's name
        #[arg(long)]
        topic: String,
        /// The partition's number
        #[arg(long)]
        partition: i32,
        /// Where it begins, as `open` and `find-hanging` show it
        #[arg(long, value_name = "OFFSET")]
        start_offset: i64,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

pub(super) async fn run(
    global: &GlobalArgs,
    command: TransactionsCommand,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    let mut session = Session::open(global).await?;
    session.warn_of_rights(io);
    let metadata = session.metadata()?;
    match command {
        TransactionsCommand::List {
            state,
            producer_id,
            longer_than,
            id_pattern,
        } => {
            let filter = TransactionFilter {
                states: state,
                producer_ids: producer_id,
                longer_than_ms: longer_than.map(ms),
                id_pattern,
            };
            let listed = session.client.list_transactions(&metadata, &filter).await?;
            io.print(global.output, &TransactionsJson::from(listed));
            Ok(0)
        }
        TransactionsCommand::Describe { id } => describe(global, &session, &id, io).await,
        TransactionsCommand::Producers { topic, partition } => {
            let client = &session.client;
            let look = client.topic_producers(&metadata, &topic, partition).await?;
            io.print(global.output, &ProducersJson::from(look));
            Ok(0)
        }
        TransactionsCommand::Open { topic, max_timeout } => {
            read(&mut session, &topic).await?;
            read_groups(&mut session).await?;
            let blocked = derive::blocked(&session.snapshot, now_ms(&session), ms(max_timeout));
            let all = session.snapshot.transactions.get();
            let answer = BlockedJson {
                blocked,
                unknown_partitions: all.map_or(0, |all| all.n_unknown),
                missing: all.map(silent).unwrap_or_default(),
            };
            io.print(global.output, &answer);
            Ok(0)
        }
        TransactionsCommand::FindHanging { topic, max_timeout } => {
            read(&mut session, &topic).await?;
            let blocked = derive::blocked(&session.snapshot, now_ms(&session), ms(max_timeout));
            let open = blocked.into_iter().flat_map(|blocked| blocked.open);
            let hanging: Vec<_> = open
                .filter(|open| open.openness == Openness::Hanging)
                .collect();
            let code = if hanging.is_empty() {
                0
            } else {
                crate::output::EXIT_NO
            };
            let all = session.snapshot.transactions.get();
            let answer = HangingJson {
                hanging,
                unknown_partitions: all.map_or(0, |all| all.n_unknown),
                missing: all.map(silent).unwrap_or_default(),
            };
            io.print(global.output, &answer);
            Ok(code)
        }
        TransactionsCommand::Abort {
            topic,
            partition,
            start_offset,
            change,
        } => {
            read(&mut session, std::slice::from_ref(&topic)).await?;
            let abort = AbortTransaction {
                partition: TopicPartition::new(&*topic, partition),
                start_offset,
                producer_id: -1,
            };
            execute(
                global,
                &session,
                Action::AbortTransaction(abort),
                change,
                io,
            )
            .await
        }
    }
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn now_ms(session: &Session) -> i64 {
    session.client.now().wall_ms
}

fn no_topic(name: &str) -> Fault {
    Fault::not_found(
        "look for transactions",
        format!("topic \"{name}\" does not exist"),
    )
    .with_hint("`kafka-tui topics list` shows their names")
}

/// Reads the transactions of these topics, or of all.
async fn read(session: &mut Session, topics: &[String]) -> Result<(), Fault> {
    let metadata = session.metadata()?;
    if let Some(name) = topics.iter().find(|name| metadata.topic(name).is_none()) {
        return Err(no_topic(name));
    }
    let names: Vec<Arc<str>> = topics.iter().map(|name| Arc::from(name.as_str())).collect();
    let names = Some(&names[..]).filter(|names| !names.is_empty());
    let transactions = session.client.transactions(&metadata, names).await?;
    session.apply(Update::Transactions(Ok(Arc::new(transactions))));
    Ok(())
}

/// What groups have committed, where anything is held up at all.
async fn read_groups(session: &mut Session) -> Result<(), Fault> {
    let held = session.snapshot.transactions.get();
    if held.is_none_or(|all| all.blocked.is_empty()) {
        return Ok(());
    }
    let metadata = session.metadata()?;
    let groups = session.client.groups_in(&metadata).await?;
    let listed: Vec<Arc<Group>> = groups.groups.values().cloned().collect();
    session.apply(Update::Groups(shared(Ok(groups))));
    let committed = session.client.committed(&listed).await;
    session.apply(Update::Committed(committed));
    Ok(())
}

async fn describe(
    global: &GlobalArgs,
    session: &Session,
    id: &str,
    io: &mut Io<'_>,
) -> Result<u8, Fault> {
    let what = "describe a transaction";
    let metadata = session.metadata()?;
    let filter = TransactionFilter::default();
    let mut all = session.client.list_transactions(&metadata, &filter).await?;
    let is_wanted = |transaction: &crate::model::Transaction| *transaction.id == *id;
    session
        .client
        .describe_transactions(&mut all, is_wanted)
        .await;
    let found = all.transactions.iter().find(|known| is_wanted(known));
    let Some(transaction) = found else {
        let why = match all.faults.keys().next() {
            Some(broker) => format!("no coordinator knows \"{id}\", and broker {broker} is silent"),
            None => format!("no coordinator knows \"{id}\""),
        };
        return Err(Fault::not_found(what, why)
            .with_hint("`kafka-tui transactions list` shows the transactional ids"));
    };
    let started = transaction
        .detail
        .as_ref()
        .and_then(|detail| detail.started_ms);
    let answer = TransactionJson {
        age_ms: started.map(|started| now_ms(session).saturating_sub(started)),
        transaction: TransactionRow::from(transaction),
    };
    io.print(global.output, &answer);
    Ok(0)
}
