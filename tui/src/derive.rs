//! Pure views of what is known: health, balance, rates, sizes, lag, progress.
//!
//! Input: parts of `model`. Output: numbers for tables, and whether they are whole.
//!
//! Invariants:
//! - No clock, no I/O, no state: the same input gives the same output.
//! - A sum that lacks a part is never handed out as a total: see [`Total`].
//! - Where a well-known tool defines a number (CMAK's percentages, Kafka's under-replicated), the
//!   definition is named at the function; where it misleads, the better number stands beside it.

mod acl;
mod balance;
mod commit_history;
mod condition;
mod copy_rate;
mod end_history;
mod feed;
mod flows;
mod health;
mod lag;
mod lag_detail;
mod lag_time;
mod progress;
mod quorum;
mod quota;
mod returning;
mod size;
mod stop;
mod streams;
mod throughput;
mod timeline;
mod top;
mod total;
mod transaction;
mod verdict;

pub use acl::{
    AclAnswer, AclQuestion, Allowed, Idle, IdleAcl, explain_acl, idle_acls, is_about,
    knows_existing, operations_of,
};
pub use balance::{
    BrokerBalance, ClusterBalance, CmakPercents, Spread, TopicBalance, TopicShare, broker_balances,
    cluster_balance, cmak, topic_balance, topic_shares,
};
pub use commit_history::CommitHistory;
pub use condition::{Condition, Needs, Reading, Value};
pub use copy_rate::CopyRate;
pub use end_history::EndHistory;
pub use feed::Before;
pub use flows::{broker_flow, broker_topic_flow, flow_share_percent, leader_rates, topic_flow};
pub use health::{HealthCounts, PartitionHealth, cluster_health, partition_health, topic_health};
pub use lag::{
    GroupLag, GroupTotals, Lag, LagUnknown, PartitionLag, group_lag, group_totals, lag_in,
    topic_groups,
};
pub use lag_detail::{GroupDetail, LagDetail, TimeBy, group_detail, is_bad, verdict_word};
pub use lag_time::{Drain, EndSamples, drain, overtaken_in_ms, rate};
pub use progress::{MoveProgress, moves};
pub use quorum::{Survival, feature_level, feature_level_name, is_following, survival};
pub use quota::{AppliedQuota, client_quotas, ip_quotas, limit_text};
pub use returning::still_lacks;
pub use size::{broker_sizes, leader_size, partition_sizes, topic_size};
pub use stop::{Affected, MayStop, StopCheck, may_stop};
pub use streams::{MissingTopics, StreamsTask, missing_topics, streams_complaints, streams_tasks};
pub use throughput::{cluster_rate, partition_rate, rate_between, topic_rate};
pub use timeline::{Cause, GroupEvent, Moved, Timeline, TimelineSettings, timeline};
pub use top::{
    BusyTopic, ClusterCheck, LaggingGroup, Verdict, all_group_totals, busiest_topics,
    cluster_check, lagging_groups,
};
pub use total::Total;
pub use transaction::{Blocked, MAX_TIMEOUT_MS, OpenTransaction, Openness, blocked, judged};
pub use verdict::{AT_END, ConsumerVerdict, Judged, WINDOW, WindowCommit, verdict};

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::topic as test_topic;
