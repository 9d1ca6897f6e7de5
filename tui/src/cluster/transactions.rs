//! Transactions at their coordinators, producers in partitions, and the end of a transaction that
//! nobody ends.
//!
//! KIP-664; Kafka: `TransactionsCommand.java`, `AbortTransactionHandler.java` (4.3).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use futures_util::future::join_all;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::describe_producers_response::ProducerState;
use kafka_protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic,
};
use kafka_protocol::messages::{
    DescribeProducersRequest, DescribeTransactionsRequest, ListTransactionsRequest,
    ListTransactionsResponse, ProducerId, TopicName, TransactionalId, WriteTxnMarkersRequest,
};
use kafka_shared::client::Route;
use kafka_shared::error::ErrorCode;
use kafka_shared::protocol::StrBytes;

use crate::model::{
    BlockedPartition, Cell, ClusterMetadata, Fault, FaultKind, PartError, PartitionProducer,
    Producers, TopicPartition, TopicProducers, Transaction, TransactionDetail, TransactionFilter,
    Transactions, WrittenPartition,
};
use crate::ops::{AbortTransaction, Verification};

use super::wire::{ClusterClient, To, check_code, client_fault};

/// Partitions whose producers are asked for at once, as in Kafka's tool.
const PARTITIONS_MAX: usize = 500;

/// Transactional ids that are described at once.
const IDS_MAX: usize = 500;

/// Partitions behind whose last stable offset producers are looked for: more of them have one
/// cause.
const BLOCKED_MAX: usize = 1_000;

/// The versions of ListTransactions that filter by duration and by a pattern.
const FILTERS_DURATION: i16 = 1;
const FILTERS_PATTERN: i16 = 2;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

impl ClusterClient {
    /// The transactional ids that every broker's coordinator has, and which brokers did not tell.
    ///
    /// # Errors
    /// When no broker tells.
    pub async fn list_transactions(
        &self,
        metadata: &ClusterMetadata,
        filter: &TransactionFilter,
    ) -> Result<Transactions, Fault> {
        let what = "list the transactions";
        let brokers: Vec<i32> = metadata
            .brokers
            .iter()
            .filter(|broker| broker.fenced != Some(true))
            .map(|broker| broker.id)
            .collect();
        let answers = brokers.iter().map(|id| self.list_at(what, *id, filter));
        let answers = join_all(answers).await;
        let mut listed = Transactions::default();
        for (id, answer) in brokers.iter().zip(answers) {
            match answer {
                Err(fault) => {
                    listed.faults.insert(*id, Arc::new(fault));
                }
                Ok(response) => {
                    let transaction = |state: &kafka_protocol::messages::list_transactions_response::TransactionState| Transaction {
                        id: Arc::from(state.transactional_id.as_str()),
                        producer_id: state.producer_id.0,
                        state: Arc::from(state.transaction_state.as_str()),
                        coordinator: *id,
                        detail: None,
                    };
                    let found = response.transaction_states.iter().map(transaction);
                    listed.transactions.extend(found);
                }
            }
        }
        let all_failed = !brokers.is_empty() && listed.faults.len() == brokers.len();
        if let Some(fault) = listed.faults.values().next().filter(|_| all_failed) {
            return Err(Fault::clone(fault));
        }
        listed.transactions.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(listed)
    }

    async fn list_at(
        &self,
        what: &str,
        node: i32,
        filter: &TransactionFilter,
    ) -> Result<ListTransactionsResponse, Fault> {
        let needed = match filter {
            TransactionFilter {
                id_pattern: Some(_),
                ..
            } => FILTERS_PATTERN,
            TransactionFilter {
                longer_than_ms: Some(_),
                ..
            } => FILTERS_DURATION,
            _ => 0,
        };
        if needed > 0 {
            let connection = self.connection(what, To::Node(node)).await?;
            let version = connection.version_of::<ListTransactionsRequest>();
            let version = version.map_err(|error| client_fault(what, &error))?;
            if version < needed {
                let why = format!("broker {node} is too old to filter by this");
                return Err(Fault::new(FaultKind::Unsupported, what, why)
                    .with_hint("list all of them, or filter by state or producer id"));
            }
        }
        let states = filter.states.iter().map(|state| text(state)).collect();
        let producers = filter.producer_ids.iter().copied().map(ProducerId);
        let pattern = filter.id_pattern.as_deref().map(text);
        let request = ListTransactionsRequest::default()
            .with_state_filters(states)
            .with_producer_id_filters(producers.collect())
            .with_duration_filter(filter.longer_than_ms.unwrap_or(-1))
            .with_transactional_id_pattern(pattern);
        let response = self.ask_part(what, node, request, None).await?;
        check_code(what, response.error_code, None)?;
        if let Some(state) = response.unknown_state_filters.first() {
            let why = format!("broker {node} knows no state \"{}\"", state.as_str());
            return Err(Fault::refused(what, why));
        }
        Ok(response)
    }

    /// Describes the transactions named by their places in `transactions`, each at the broker that
    /// listed it. What has gone since has no detail; what can't be told is said to be so.
    pub async fn describe_transactions(
        &self,
        transactions: &mut Transactions,
        is_wanted: impl Fn(&Transaction) -> bool,
    ) {
        let what = "describe the transactions";
        let mut by_broker: BTreeMap<i32, Vec<Arc<str>>> = BTreeMap::new();
        for transaction in transactions.transactions.iter().filter(|t| is_wanted(t)) {
            let ids = by_broker.entry(transaction.coordinator).or_default();
            ids.push(Arc::clone(&transaction.id));
        }
        let mut asks = Vec::new();
        for (broker, ids) in &by_broker {
            asks.extend(ids.chunks(IDS_MAX).map(|ids| (*broker, ids)));
        }
        let answers = asks.iter().map(|(broker, ids)| {
            let ids = ids.iter().map(|id| TransactionalId::from(text(id)));
            let request =
                DescribeTransactionsRequest::default().with_transactional_ids(ids.collect());
            self.ask_part(what, *broker, request, None)
        });
        let mut details: HashMap<Arc<str>, TransactionDetail> = HashMap::new();
        for ((_, ids), answer) in asks.iter().zip(join_all(answers).await) {
            let Ok(response) = answer else {
                let error = PartError(ErrorCode::NETWORK_EXCEPTION.0);
                let failed = ids.iter().map(|id| (Arc::clone(id), error));
                transactions.undescribed.extend(failed);
                continue;
            };
            for state in &response.transaction_states {
                let id: Arc<str> = Arc::from(state.transactional_id.as_str());
                match ErrorCode(state.error_code) {
                    ErrorCode::NONE => {
                        details.insert(id, detail(state));
                    }
                    // It has gone meanwhile.
                    ErrorCode::TRANSACTIONAL_ID_NOT_FOUND => {}
                    ErrorCode(code) => {
                        transactions.undescribed.insert(id, PartError(code));
                    }
                }
            }
        }
        for transaction in &mut transactions.transactions {
            if let Some(detail) = details.remove(&transaction.id) {
                transaction.detail = Some(detail);
            }
        }
    }

    /// The producers of partitions, as their leaders know them.
    pub async fn producers(
        &self,
        metadata: &ClusterMetadata,
        keys: &[TopicPartition],
    ) -> Producers {
        let what = "describe the producers";
        let mut found = Producers::new();
        let mut by_leader: BTreeMap<i32, Vec<&TopicPartition>> = BTreeMap::new();
        for key in keys {
            let topic = metadata.topic(&key.topic);
            match topic.and_then(|topic| topic.partition(key.partition)) {
                Some(partition) if partition.leader >= 0 => {
                    by_leader.entry(partition.leader).or_default().push(key);
                }
                missing => {
                    let code = missing.map_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, |_| {
                        ErrorCode::LEADER_NOT_AVAILABLE
                    });
                    found.insert(key.clone(), Err(PartError(code.0)));
                }
            }
        }
        // One leader is asked for one part after the other.
        let asks = by_leader.iter().map(|(leader, keys)| async move {
            let mut found = Producers::new();
            for keys in keys.chunks(PARTITIONS_MAX) {
                let request = producers_request(keys);
                let answer = self.ask_part(what, *leader, request, None).await;
                let code = match &answer {
                    Ok(_) => ErrorCode::UNKNOWN_SERVER_ERROR,
                    Err(fault) if fault.kind == FaultKind::Unsupported => {
                        ErrorCode::UNSUPPORTED_VERSION
                    }
                    Err(_) => ErrorCode::NETWORK_EXCEPTION,
                };
                let unmentioned = Err(PartError(code.0));
                let all = keys.iter().map(|key| ((*key).clone(), unmentioned.clone()));
                found.extend(all);
                for topic in answer.iter().flat_map(|response| &response.topics) {
                    for partition in &topic.partitions {
                        let key =
                            TopicPartition::new(topic.name.as_str(), partition.partition_index);
                        let producers = partition.active_producers.iter().map(producer);
                        let producers = match partition.error_code {
                            0 => Ok(producers.collect()),
                            code => Err(PartError(code)),
                        };
                        // What was not asked for is nobody's.
                        found.entry(key).and_modify(|known| *known = producers);
                    }
                }
            }
            found
        });
        for part in join_all(asks).await {
            found.extend(part);
        }
        found
    }

    /// Who has written to a topic's partitions lately, or to one of them, and how far readers of
    /// committed records get there.
    ///
    /// # Errors
    /// There is no such topic or partition, or no leader tells offsets.
    pub async fn topic_producers(
        &self,
        metadata: &ClusterMetadata,
        topic: &str,
        only: Option<i32>,
    ) -> Result<TopicProducers, Fault> {
        let what = "describe the producers";
        let found = metadata.topic(topic).ok_or_else(|| {
            Fault::not_found(what, format!("topic \"{topic}\" does not exist"))
                .with_hint("`kafka-tui topics list` shows their names")
        })?;
        let ids = found.partitions.iter().map(|known| known.id);
        let ids: Vec<i32> = ids
            .filter(|id| only.is_none_or(|wanted| wanted == *id))
            .collect();
        if ids.is_empty() {
            let why = format!("topic \"{topic}\" has no such partition");
            return Err(Fault::not_found(what, why));
        }
        let keys: Vec<TopicPartition> = ids
            .iter()
            .map(|id| TopicPartition::new(topic, *id))
            .collect();
        let names = [Arc::clone(&found.name)];
        // Before the ends, so that no reader seems to be ahead of them.
        let stable = self.last_stable_offsets(metadata, Some(&names)).await?;
        let (ends, mut producers) = tokio::join!(
            self.offsets(metadata, Some(&names)),
            self.producers(metadata, &keys)
        );
        let ends = ends?;
        let (stable, ends) = (stable.get(&found.name), ends.get(&found.name));
        let partitions: Vec<WrittenPartition> = keys
            .iter()
            .map(|key| WrittenPartition {
                partition: key.partition,
                last_stable_offset: stable
                    .and_then(|cells| cells.get(&key.partition).copied())
                    .unwrap_or(Cell::Unknown),
                high_watermark: ends
                    .and_then(|ends| ends.partition(key.partition))
                    .map_or(Cell::Unknown, |offsets| offsets.end),
                producers: producers.remove(key).unwrap_or(Ok(Vec::new())),
            })
            .collect();
        let all = partitions
            .iter()
            .flat_map(|partition| partition.producers.iter().flatten());
        let all: BTreeSet<i64> = all.map(|producer| producer.producer_id).collect();
        let (transactional_ids, ids_missing) = self.ids_of(metadata, &all).await;
        Ok(TopicProducers {
            topic: Arc::clone(&found.name),
            partitions,
            transactional_ids,
            ids_missing,
        })
    }

    /// The transactional ids of producers, and whether some are missing.
    async fn ids_of(
        &self,
        metadata: &ClusterMetadata,
        producers: &BTreeSet<i64>,
    ) -> (BTreeMap<i64, Arc<str>>, bool) {
        if producers.is_empty() {
            return (BTreeMap::new(), false);
        }
        let filter = TransactionFilter {
            producer_ids: producers.iter().copied().collect(),
            ..TransactionFilter::default()
        };
        match self.list_transactions(metadata, &filter).await {
            Ok(listed) => {
                let ids = listed.transactions.into_iter();
                let ids = ids.map(|known| (known.producer_id, known.id)).collect();
                (ids, !listed.faults.is_empty())
            }
            Err(_) => (BTreeMap::new(), true),
        }
    }

    /// Everything about transactions: where readers of committed records are held up and by whom,
    /// what coordinators know, with details of all that is open. `topics` limits the partitions
    /// that are looked at.
    ///
    /// A transaction that is open in a partition holds its last stable offset back, so that only
    /// partitions where it is behind are asked for their producers.
    ///
    /// # Errors
    /// When no leader tells offsets or no broker its transactions.
    pub async fn transactions(
        &self,
        metadata: &ClusterMetadata,
        topics: Option<&[Arc<str>]>,
    ) -> Result<Transactions, Fault> {
        // Before the ends, so that what moved in between looks held up and never the reverse; the
        // producers tell which of the two it is.
        let stable = self.last_stable_offsets(metadata, topics).await?;
        let ends = self.offsets(metadata, topics).await?;
        let mut held = Vec::new();
        let mut n_unknown = 0;
        for (name, cells) in &stable {
            let Some(ends) = ends.get(name) else { continue };
            for (id, stable) in cells {
                let end = ends.partition(*id).map(|partition| partition.end);
                match (stable, end) {
                    (Cell::Known(stable), Some(Cell::Known(end))) if stable < &end => {
                        held.push((TopicPartition::new(&**name, *id), *stable, end));
                    }
                    (Cell::Known(_), Some(Cell::Known(_))) => {}
                    _ => n_unknown += 1,
                }
            }
        }
        held.sort();
        held.truncate(BLOCKED_MAX);
        let keys: Vec<TopicPartition> = held.iter().map(|(key, ..)| key.clone()).collect();
        let mut producers = self.producers(metadata, &keys).await;
        // After the producers: what is open there and was known is known still, or has ended.
        let mut all = self
            .list_transactions(metadata, &TransactionFilter::default())
            .await?;
        all.n_unknown = n_unknown;
        let mut open_ids = BTreeSet::new();
        for (partition, last_stable_offset, high_watermark) in held {
            let open = producers
                .remove(&partition)
                .unwrap_or(Ok(Vec::new()))
                .map(|all| {
                    let mut open: Vec<PartitionProducer> = all
                        .into_iter()
                        .filter(|producer| producer.open_from.is_some())
                        .collect();
                    open.sort_by_key(|producer| producer.open_from);
                    open
                });
            // It has caught up meanwhile.
            if open.as_ref().is_ok_and(Vec::is_empty) {
                continue;
            }
            open_ids.extend(open.iter().flatten().map(|producer| producer.producer_id));
            all.blocked.push(BlockedPartition {
                partition,
                last_stable_offset,
                high_watermark,
                open,
            });
        }
        let is_wanted = |transaction: &Transaction| {
            transaction.is_open() || open_ids.contains(&transaction.producer_id)
        };
        self.describe_transactions(&mut all, is_wanted).await;
        Ok(all)
    }

    /// Ends a transaction in one partition by a marker of abortion, as a coordinator would.
    ///
    /// # Errors
    /// When the transaction is not open there any more, and what the leader says against it.
    pub async fn abort_transaction(&self, abort: &AbortTransaction) -> Result<(), Fault> {
        let what = format!("abort the transaction in {}", abort.partition);
        self.may_send::<WriteTxnMarkersRequest>(&what)?;
        let still = self.open_in(&what, &abort.partition).await?;
        let is_meant = |producer: &&PartitionProducer| {
            producer.open_from == Some(abort.start_offset)
                && producer.producer_id == abort.producer_id
        };
        let Some(producer) = still.iter().find(is_meant) else {
            return Err(Fault::not_found(what, "it is not open there any more"));
        };
        let epoch = i16::try_from(producer.producer_epoch)
            .map_err(|_| Fault::refused(&what, "the producer's epoch is no epoch"))?;
        let topic = WritableTxnMarkerTopic::default()
            .with_name(TopicName::from(text(&abort.partition.topic)))
            .with_partition_indexes(vec![abort.partition.partition]);
        // No coordinator has marked it before: 0 is not above any epoch that one may have.
        let marker = WritableTxnMarker::default()
            .with_producer_id(ProducerId(producer.producer_id))
            .with_producer_epoch(epoch)
            .with_coordinator_epoch(producer.coordinator_epoch.max(0))
            .with_transaction_result(false)
            .with_topics(vec![topic]);
        let request = WriteTxnMarkersRequest::default().with_markers(vec![marker]);
        let code = |r: &kafka_protocol::messages::WriteTxnMarkersResponse| {
            let topics = r.markers.iter().flat_map(|marker| &marker.topics);
            let mut partitions = topics.flat_map(|topic| &topic.partitions);
            partitions.next().map(|partition| partition.error_code)
        };
        let error_of =
            |r: &kafka_protocol::messages::WriteTxnMarkersResponse| ErrorCode(code(r).unwrap_or(0));
        let route = Route::Leader(abort.partition.clone());
        let answer = self.client.send_to(&route, request, error_of).await;
        let answer = answer.map_err(|error| client_fault(&what, &error))?;
        let unmentioned = || Fault::new(FaultKind::Failed, &what, "the answer does not mention it");
        check_code(&what, code(&answer).ok_or_else(unmentioned)?, None)
    }

    /// The open transactions of one partition, from its leader.
    async fn open_in(
        &self,
        what: &str,
        key: &TopicPartition,
    ) -> Result<Vec<PartitionProducer>, Fault> {
        let metadata = self.metadata().await?;
        let mut producers = self.producers(&metadata, std::slice::from_ref(key)).await;
        match producers.remove(key) {
            Some(Ok(producers)) => Ok(producers),
            Some(Err(PartError(code))) => check_code(what, code, None).map(|()| Vec::new()),
            None => Ok(Vec::new()),
        }
    }

    pub(crate) async fn verify_abort(
        &self,
        abort: &AbortTransaction,
    ) -> Result<Verification, Fault> {
        let open = self.open_in("verify the abort", &abort.partition).await?;
        let is_left = open.iter().any(|producer| {
            producer.producer_id == abort.producer_id
                && producer.open_from == Some(abort.start_offset)
        });
        Ok(if is_left {
            let detail = "the transaction is still open there".to_owned();
            Verification::Differs { detail }
        } else {
            Verification::Done
        })
    }
}

fn producers_request(keys: &[&TopicPartition]) -> DescribeProducersRequest {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for key in keys {
        topics.entry(&key.topic).or_default().push(key.partition);
    }
    let topic = |(name, partitions): (&str, Vec<i32>)| {
        TopicRequest::default()
            .with_name(TopicName::from(text(name)))
            .with_partition_indexes(partitions)
    };
    DescribeProducersRequest::default().with_topics(topics.into_iter().map(topic).collect())
}

fn producer(state: &ProducerState) -> PartitionProducer {
    PartitionProducer {
        producer_id: state.producer_id.0,
        producer_epoch: state.producer_epoch,
        coordinator_epoch: state.coordinator_epoch,
        last_sequence: state.last_sequence,
        last_timestamp_ms: state.last_timestamp,
        open_from: (state.current_txn_start_offset >= 0).then_some(state.current_txn_start_offset),
    }
}

fn detail(
    state: &kafka_protocol::messages::describe_transactions_response::TransactionState,
) -> TransactionDetail {
    let partitions = state.topics.iter().flat_map(|topic| {
        let key = |id: &i32| TopicPartition::new(topic.topic.as_str(), *id);
        topic.partitions.iter().map(key)
    });
    let mut partitions: Vec<TopicPartition> = partitions.collect();
    partitions.sort();
    TransactionDetail {
        producer_epoch: state.producer_epoch,
        timeout_ms: state.transaction_timeout_ms,
        started_ms: (state.transaction_start_time_ms >= 0)
            .then_some(state.transaction_start_time_ms),
        partitions,
    }
}
