//! The layout of every request and response, as facts: one row per API, in the order of the keys.
//!
//! The facts are those of Kafka 4.3.1's message definitions (`common/message/*.json`), in a
//! notation of our own that holds nothing but what decides how many bytes a field takes:
//!
//! | notation | field |
//! |---|---|
//! | `b` `h` `i` `l` `u` | one, two, four, eight, sixteen bytes (bool and int8; int16; int32; int64 and float64; uuid) |
//! | `s` `y` | string; bytes and records |
//! | `[x]` | array of `x` |
//! | `(x y)` | struct of the fields `x` and `y` |
//! | `?`, `?2+`, `?2-7` | may be null: in every version that has the field, since 2, in 2 to 7 |
//! | `#0` | is tagged field number 0 |
//! | `@2+`, `@2-7` | is there since version 2, in versions 2 to 7 only |
//!
//! Whether lengths are compact and structs end in tagged fields follows from the first flexible
//! version. Ranges are cut to the versions that the enclosing struct has.

use kafka_protocol::messages::ApiKey;

/// The layout of one API's messages.
pub(super) struct Layout {
    pub(super) key: ApiKey,
    /// The first version with compact lengths and tagged fields, in requests and responses.
    pub(super) first_flexible: i16,
    pub(super) request: &'static str,
    pub(super) response: &'static str,
}

const fn row(
    key: ApiKey,
    first_flexible: i16,
    request: &'static str,
    response: &'static str,
) -> Layout {
    Layout {
        key,
        first_flexible,
        request,
        response,
    }
}

/// For APIs that have no flexible version.
const NEVER: i16 = i16::MAX;

#[rustfmt::skip]
pub(super) static LAYOUTS: &[Layout] = &[
    row(ApiKey::Produce, 9,
        "s? h i [(s@3-12 u@13+ [(i y?)])]",
        "[(s@3-12 u@13+ [(i h l l l@5+ [(i s?)]@8+ s?@8+ (i i)#0@10+)])] i [(i s i s?)]#0@10+"),
    row(ApiKey::Fetch, 12,
        "s?#0@12+ i@4-14 (i l)#1@15+ i i i b i@7+ i@7+ [(s@4-12 u@13+ [(i i@9+ l i@12+ l@5+ i \
         u#0@17+ l#1@18+)])] [(s@7-12 u@13+ [i])]@7+ s@11+",
        "i h@7+ i@7+ [(s@4-12 u@13+ [(i h l l l@5+ (i l)#0@12+ (i i)#1@12+ (l i)#2@12+ [(l \
         l)]? i@11+ y?)])] [(i s i s?)]#0@16+"),
    row(ApiKey::ListOffsets, 6, "i b@2+ [(s [(i i@4+ l)])] i@10+", "i@2+ [(s [(i h l l i@4+)])]"),
    row(ApiKey::Metadata, 9,
        "[(u@10+ s?10+)]?1+ b@4+ b@8-10 b@8+",
        "i@3+ [(i s i s?@1+)] s?@2+ i@1+ [(h s?12+ u@10+ b@1+ [(h i i i@7+ [i] [i] [i]@5+)] \
         i@8+)] i@8-10 h@13+"),
    row(ApiKey::OffsetCommit, 8,
        "s i s s?@7+ l@2-4 [(s@2-9 u@10+ [(i l i@6+ s?)])]",
        "i@3+ [(s@2-9 u@10+ [(i h)])]"),
    row(ApiKey::OffsetFetch, 6,
        "s@1-7 [(s [i])]?2+@1-7 [(s s?@9+ i@9+ [(s@8-9 u@10+ [i])]?)]@8+ b@7+",
        "i@3+ [(s [(i l i@5+ s? h)])]@1-7 h@2-7 [(s [(s@8-9 u@10+ [(i l i s? h)])] h)]@8+"),
    row(ApiKey::FindCoordinator, 3,
        "s@0-3 b@1+ [s]@4+",
        "i@1+ h@0-3 s?@1-3 i@0-3 s@0-3 i@0-3 [(s i s i h s?)]@4+"),
    row(ApiKey::JoinGroup, 6,
        "s i i@1+ s s?@5+ s [(s y)] s?@8+",
        "i@2+ h i s?@7+ s?7+ s b@9+ s [(s s?@5+ y)]"),
    row(ApiKey::Heartbeat, 4, "s i s s?@3+", "i@1+ h"),
    row(ApiKey::LeaveGroup, 4, "s s@0-2 [(s s? s?@5+)]@3+", "i@1+ h [(s s? h)]@3+"),
    row(ApiKey::SyncGroup, 4, "s i s s?@3+ s?@5+ s?@5+ [(s y)]", "i@1+ h s?@5+ s?@5+ y"),
    row(ApiKey::DescribeGroups, 5, "[s] b@3+", "i@1+ [(h s?@6+ s s s s [(s s?@4+ s s y y)] i@3+)]"),
    row(ApiKey::ListGroups, 3, "[s]@4+ [s]@5+", "i@1+ h [(s s s@4+ s@5+)]"),
    row(ApiKey::SaslHandshake, NEVER, "s", "h [s]"),
    row(ApiKey::ApiVersions, 3,
        "s@3+ s@3+",
        "h [(h h h)] i@1+ [(s h h)]#0@3+ l#1@3+ [(s h h)]#2@3+ b#3@3+"),
    row(ApiKey::CreateTopics, 5,
        "[(s i h [(i [i])] [(s s?)])] i b",
        "i [(s u@7+ h s? h#0@5+ i@5+ h@5+ [(s s? b b b)]?@5+)]"),
    row(ApiKey::DeleteTopics, 4, "[(s? u)]@6+ [s]@1-5 i", "i [(s?6+ u@6+ h s?@5+)]"),
    row(ApiKey::DeleteRecords, 2, "[(s [(i l)])] i", "i [(s [(i l h)])]"),
    row(ApiKey::InitProducerId, 2, "s? i l@3+ h@3+ b@6+ b@6+", "i h l h l@6+ h@6+"),
    row(ApiKey::OffsetForLeaderEpoch, 4, "i@3+ [(s [(i i i)])]", "i [(s [(h i i l)])]"),
    row(ApiKey::AddPartitionsToTxn, 3,
        "[(s l h b [(s [i])])]@4+ s@0-3 l@0-3 h@0-3 [(s [i])]@0-3",
        "i h@4+ [(s [(s [(i h)])])]@4+ [(s [(i h)])]@0-3"),
    row(ApiKey::AddOffsetsToTxn, 3, "s l h s", "i h"),
    row(ApiKey::EndTxn, 3, "s l h b", "i h l@5+ h@5+"),
    row(ApiKey::WriteTxnMarkers, 1, "[(l h b [(s [i])] i b@2+)]", "[(l [(s [(i h)])])]"),
    row(ApiKey::TxnOffsetCommit, 3,
        "s s l h i@3+ s@3+ s?@3+ [(s [(i l i@2+ s?)])]",
        "i [(s [(i h)])]"),
    row(ApiKey::DescribeAcls, 2, "b s? b s? s? b b", "i h s? [(b s b [(s s b b)])]"),
    row(ApiKey::CreateAcls, 2, "[(b s b s s b b)]", "i [(h s?)]"),
    row(ApiKey::DeleteAcls, 2, "[(b s? b s? s? b b)]", "i [(h s? [(h s? b s b s s b b)])]"),
    row(ApiKey::DescribeConfigs, 4,
        "[(b s [s]?)] b b@3+",
        "i [(h s? b s [(s s? b b b [(s s? b)] b@3+ s?@3+)])]"),
    row(ApiKey::AlterConfigs, 2, "[(b s [(s s?)])] b", "i [(h s? b s)]"),
    row(ApiKey::AlterReplicaLogDirs, 2, "[(s [(s [i])])]", "i [(s [(i h)])]"),
    row(ApiKey::DescribeLogDirs, 2,
        "[(s [i])]?",
        "i h@3+ [(h s [(s [(i l l b)])] l@4+ l@4+ b@5+)]"),
    row(ApiKey::SaslAuthenticate, 2, "y", "h s? y l@1+"),
    row(ApiKey::CreatePartitions, 2, "[(s i [([i])]?)] i b", "i [(s h s?)]"),
    row(ApiKey::CreateDelegationToken, 2, "s?@3+ s?@3+ [(s s)] l", "h s s s@3+ s@3+ l l l s y i"),
    row(ApiKey::RenewDelegationToken, 2, "y l", "h l i"),
    row(ApiKey::ExpireDelegationToken, 2, "y l", "h l i"),
    row(ApiKey::DescribeDelegationToken, 2, "[(s s)]?", "h [(s s s@3+ s@3+ l l l s y [(s s)])] i"),
    row(ApiKey::DeleteGroups, 2, "[s]", "i [(s h)]"),
    row(ApiKey::ElectLeaders, 2, "b@1+ [(s [i])]? i", "i h@1+ [(s [(i h s?)])]"),
    row(ApiKey::IncrementalAlterConfigs, 1, "[(b s [(s b s?)])] b", "i [(h s? b s)]"),
    row(ApiKey::AlterPartitionReassignments, 0,
        "i b@1+ [(s [(i [i]?)])]",
        "i b@1+ h s? [(s [(i h s?)])]"),
    row(ApiKey::ListPartitionReassignments, 0, "i [(s [i])]?", "i h s? [(s [(i [i] [i] [i])])]"),
    row(ApiKey::OffsetDelete, NEVER, "s [(s [(i)])]", "h i [(s [(i h)])]"),
    row(ApiKey::DescribeClientQuotas, 1, "[(s b s?)] b", "i h s? [([(s s?)] [(s l)])]?"),
    row(ApiKey::AlterClientQuotas, 1, "[([(s s?)] [(s l b)])] b", "i [(h s? [(s s?)])]"),
    row(ApiKey::DescribeUserScramCredentials, 0, "[(s)]?", "i h s? [(s h s? [(b i)])]"),
    row(ApiKey::AlterUserScramCredentials, 0, "[(s b)] [(s b i y y)]", "i [(s h s?)]"),
    row(ApiKey::Vote, 0,
        "s? i@1+ [(s [(i i i u@1+ u@1+ i l b@2+)])]",
        "h [(s [(i h i i b)])] [(i s h)]#0@1+"),
    row(ApiKey::BeginQuorumEpoch, 1,
        "s? i@1+ [(s [(i u@1+ i i)])] [(s s h)]@1+",
        "h [(s [(i h i i)])] [(i s h)]#0@1+"),
    row(ApiKey::EndQuorumEpoch, 1,
        "s? [(s [(i i i [i]@0-0 [(i u)]@1+)])] [(s s h)]@1+",
        "h [(s [(i h i i)])] [(i s h)]#0@1+"),
    row(ApiKey::DescribeQuorum, 0,
        "[(s [(i)])]",
        "h s?@2+ [(s [(i h s?@2+ i i l [(i u@2+ l l@1+ l@1+)] [(i u@2+ l l@1+ l@1+)])])] [(i \
         [(s s h)])]@2+"),
    row(ApiKey::AlterPartition, 0,
        "i l [(u [(i i [i]@2-2 [(i l)]@3+ b i)])]",
        "i h [(u [(i h i i [i] b i)])]"),
    row(ApiKey::UpdateFeatures, 0, "i [(s h b@0-0 b@1+)] b@1+", "i h s? [(s h s?)]@0-1"),
    row(ApiKey::Envelope, 0, "y y? y", "y? h"),
    row(ApiKey::FetchSnapshot, 0,
        "s?#0 i i [(s [(i i (l i) l u#0@1+)])]",
        "i h [(s [(i h (l i) (i i)#0 l l y)])] [(i s h)]#0@1+"),
    row(ApiKey::DescribeCluster, 0, "b b@1+ b@2+", "i h s? b@1+ s i [(i s i s? b@2+)] i"),
    row(ApiKey::DescribeProducers, 0, "[(s [i])]", "i [(s [(i h s? [(l i i l i l)])])]"),
    row(ApiKey::BrokerRegistration, 0, "i s u [(s s h h)] [(s h h)] s? b@1+ [u]@2+ l@3+", "i h l"),
    row(ApiKey::BrokerHeartbeat, 0, "i l l b b [u]#0@1+ [u]?#1@2+", "i h b b b"),
    row(ApiKey::UnregisterBroker, 0, "i", "i h s?"),
    row(ApiKey::DescribeTransactions, 0, "[s]", "i [(h s s i l l h [(s [i])])]"),
    row(ApiKey::ListTransactions, 0, "[s] [l] l@1+ s?@2+", "i h [s] [(s l s)]"),
    row(ApiKey::AllocateProducerIds, 0, "i l", "i h l i"),
    row(ApiKey::ConsumerGroupHeartbeat, 0,
        "s s i s? s? i [s]? s?@1+ s? [(u [i])]?",
        "i h s? s? i i ([(u [i])])?"),
    row(ApiKey::ConsumerGroupDescribe, 0,
        "[s] b",
        "i [(h s? s s i i s [(s s? s? i s s [s] s? ([(u s [i])]) ([(u s [i])]) b@1+)] i)]"),
    row(ApiKey::ControllerRegistration, 0, "i u b [(s s h h)] [(s h h)]", "i h s?"),
    row(ApiKey::GetTelemetrySubscriptions, 0, "u", "i h u i [b] i i b [s]"),
    row(ApiKey::PushTelemetry, 0, "u i b b y", "i h"),
    row(ApiKey::AssignReplicasToDirs, 0, "i l [(u [(u [(i)])])]", "i h [(u [(u [(i h)])])]"),
    row(ApiKey::ListConfigResources, 0, "[b]@1+", "i h [(s b@1+)]"),
    row(ApiKey::DescribeTopicPartitions, 0,
        "[(s)] i (s i)?",
        "i [(h s? u b [(h i i i [i] [i] [i]? [i]? [i])] i)] (s i)?"),
    row(ApiKey::ShareGroupHeartbeat, 0, "s s i s? [s]?", "i h s? s? i i ([(u [i])])?"),
    row(ApiKey::ShareGroupDescribe, 0,
        "[s] b",
        "i [(h s? s s i i s [(s s? i s s [s] ([(u s [i])]))] i)]"),
    row(ApiKey::ShareFetch, 0,
        "s? s? i i i i i i b@2+ b@2+ [(u [(i [(l l [b])])])] [(u [i])]",
        "i h s? i [(u [(i h s? h s? (i i) y [(l l h)])])] [(i s i s?)]"),
    row(ApiKey::ShareAcknowledge, 0,
        "s? s? i b@2+ [(u [(i [(l l [b])])])]",
        "i h s? i@2+ [(u [(i h s? (i i))])] [(i s i s?)]"),
    row(ApiKey::AddRaftVoter, 0, "s? i i u [(s s h)] b@1+", "i h s?"),
    row(ApiKey::RemoveRaftVoter, 0, "s? i u", "i h s?"),
    row(ApiKey::UpdateRaftVoter, 0, "s? i i u [(s s h)] (h h)", "i h (i i s i)#0"),
    row(ApiKey::InitializeShareGroupState, 0, "s [(u [(i i l)])]", "[(u [(i h s?)])]"),
    row(ApiKey::ReadShareGroupState, 0, "s [(u [(i i)])]", "[(u [(i h s? i l [(l l b h)])])]"),
    row(ApiKey::WriteShareGroupState, 0,
        "s [(u [(i i i l i@1+ [(l l b h)])])]",
        "[(u [(i h s?)])]"),
    row(ApiKey::DeleteShareGroupState, 0, "s [(u [(i)])]", "[(u [(i h s?)])]"),
    row(ApiKey::ReadShareGroupStateSummary, 0, "s [(u [(i i)])]", "[(u [(i h s? i i l i@1+)])]"),
    row(ApiKey::DescribeShareGroupOffsets, 0,
        "[(s [(s [i])]?)]",
        "i [(s [(s u [(i l i l@1+ h s?)])] h s?)]"),
    row(ApiKey::AlterShareGroupOffsets, 0, "s [(s [(i l)])]", "i h s? [(s u [(i h s?)])]"),
    row(ApiKey::DeleteShareGroupOffsets, 0, "s [(s)]", "i h s? [(s u h s?)]"),
];
