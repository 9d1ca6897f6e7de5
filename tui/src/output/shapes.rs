//! The documents that `--output json` prints, and their tables. Pure: made from a snapshot.

mod apply;
mod broker_metrics;
mod brokers;
mod changes;
mod clusters;
mod connect;
mod group_history;
mod groups;
mod happenings;
mod messages;
mod offsets;
mod program;
mod quorum;
mod runs;
mod security;
mod stop;
mod streams;
mod top;
mod topics;
mod transactions;
mod undo;
mod wait;

pub use apply::{ApplyJson, DriftRow, ExportedJson};
pub use broker_metrics::{BrokerMetricsJson, BrokerMetricsRow, TopicFlowRow, broker_metrics};
pub use brokers::{
    BrokerJson, BrokerRow, BrokerTopicRow, BrokersJson, LocalJson, LocalLog, LocalLogsJson,
    LogDirRow, broker, brokers,
};
pub use changes::{DoneJson, LoadRow, MoveRow, MovesJson, PlanJson, moves};
pub use clusters::{ClusterDoneJson, ClusterRow, ClusterTestJson, ClusterTestRow, ClustersJson};
pub use connect::{ConnectChangeJson, ConnectorJson, ConnectorsJson, connector, connectors};
pub use group_history::{
    EventRow, GroupLagJson, LagDetailRow, OwnerRow, ReachRow, TimelineJson, group_lag_detail,
    group_timeline,
};
pub use groups::{GroupJson, GroupRow, GroupsJson, LagRow, MemberRow, MissingPart, group, groups};
pub use happenings::{ChangesJson, happening_line};
pub use messages::{
    HeaderRow, MessageRow, MessagesJson, MovedJson, PartitionPlace, ReadJson, message_row, read,
};
pub use offsets::{OffsetRow, OffsetsJson};
pub use program::{DocsJson, DocsPage, ExporterJson};
pub use quorum::{FeatureRow, FeaturesJson, QuorumJson};
pub use runs::{JanitorJson, LeftOverRow, RunJson};
pub use security::{AclAnswerJson, AclsJson, IdleAclsJson, QuotasJson, UsersJson, WhichQuotasJson};
pub use stop::{MayStopJson, may_stop};
pub use streams::{StreamsMemberRow, SubtopologyRow, TopologyRow};
pub use top::{TopGroupRow, TopJson, TopTopicRow, top};
pub use topics::{
    BalanceJson, ConfigRow, ConfigsJson, PartitionRow, PercentsJson, ShareRow, TopicJson, TopicRow,
    TopicsJson, configs, topic, topics,
};
pub(crate) use transactions::silent;
pub use transactions::{
    BlockedJson, HangingJson, PartitionName, PartitionProducersJson, ProducerRow, ProducersJson,
    SilentBroker, TransactionJson, TransactionRow, TransactionsJson,
};
pub use undo::{UndoJson, UndoRow, undo};
pub use wait::WaitJson;

fn join(ids: &[i32]) -> String {
    ids.iter().map(i32::to_string).collect::<Vec<_>>().join(",")
}

fn yes(flag: bool) -> String {
    if flag {
        "yes".to_owned()
    } else {
        String::new()
    }
}
