//! Kafka's error codes: the number that goes over the wire, the name that people know, whether a
//! client may try again, and what it means in a sentence.
//!
//! An [`ErrorCode`] is what a peer or our own code branches on; the message of an [`ApiError`] is
//! for people. A code that is not in the table is kept as it came, so that a newer broker's error
//! is shown and not lost.
//!
//! Kafka: `common/protocol/Errors.java` (4.3).

use std::fmt;

/// The number that Kafka sends for an error; 0 is success.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ErrorCode(pub i16);

/// One line of the table: is it worth trying again, the name, the sentence.
struct Entry(bool, &'static str, &'static str);

macro_rules! error_codes {
    ($($code:literal $name:ident $retriable:literal $message:literal,)*) => {
        impl ErrorCode {
            $(#[doc = $message] pub const $name: ErrorCode = ErrorCode($code);)*

            /// Every code of the table, in order.
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$name,)*];
        }

        /// The table, beginning with code -1.
        static ENTRIES: &[Entry] = &[$(Entry($retriable, stringify!($name), $message),)*];
    };
}

error_codes! {
    -1 UNKNOWN_SERVER_ERROR false "the server failed in a way that it did not foresee; its log says more",
    0 NONE false "no error",
    1 OFFSET_OUT_OF_RANGE false "the offset lies before the first or after the last one that the partition holds",
    2 CORRUPT_MESSAGE true "a record batch is damaged, too large, or lacks the key that a compacted topic needs",
    3 UNKNOWN_TOPIC_OR_PARTITION true "this broker knows no such topic or partition",
    4 INVALID_FETCH_SIZE false "the size to fetch is not valid",
    5 LEADER_NOT_AVAILABLE true "the partition has no leader at the moment",
    6 NOT_LEADER_OR_FOLLOWER true "this broker does not lead the partition, or holds no replica of it",
    7 REQUEST_TIMED_OUT true "the request was not completed in the time it allowed",
    8 BROKER_NOT_AVAILABLE false "the broker is not available",
    9 REPLICA_NOT_AVAILABLE true "the replica is not available on this broker",
    10 MESSAGE_TOO_LARGE false "a record batch is larger than the broker or the topic allows",
    11 STALE_CONTROLLER_EPOCH false "another controller has taken over since this request was made",
    12 OFFSET_METADATA_TOO_LARGE false "the text committed along with an offset is too long",
    13 NETWORK_EXCEPTION true "the connection was lost before the answer came",
    14 COORDINATOR_LOAD_IN_PROGRESS true "the coordinator is still reading its state",
    15 COORDINATOR_NOT_AVAILABLE true "no coordinator is available at the moment",
    16 NOT_COORDINATOR true "this broker is not the coordinator of that group or transaction",
    17 INVALID_TOPIC_EXCEPTION false "the topic's name is not allowed, or the topic does not permit this",
    18 RECORD_LIST_TOO_LARGE false "a record batch is larger than a log segment may be",
    19 NOT_ENOUGH_REPLICAS true "fewer replicas are in sync than min.insync.replicas asks for; nothing was written",
    20 NOT_ENOUGH_REPLICAS_AFTER_APPEND true "the records were written, but to fewer in-sync replicas than required",
    21 INVALID_REQUIRED_ACKS false "acks must be 0, 1 or all (-1)",
    22 ILLEGAL_GENERATION false "the group is at another generation than the member",
    23 INCONSISTENT_GROUP_PROTOCOL false "the member shares no protocol with the others of its group, or named none",
    24 INVALID_GROUP_ID false "the group id is not allowed",
    25 UNKNOWN_MEMBER_ID false "the group has no such member",
    26 INVALID_SESSION_TIMEOUT false "the session time-out is outside of what the broker allows",
    27 REBALANCE_IN_PROGRESS false "the group is rebalancing; the member has to join again",
    28 INVALID_COMMIT_OFFSET_SIZE false "the offsets to commit are too large to be stored",
    29 TOPIC_AUTHORIZATION_FAILED false "not authorized for the topic",
    30 GROUP_AUTHORIZATION_FAILED false "not authorized for the group",
    31 CLUSTER_AUTHORIZATION_FAILED false "not authorized for the cluster",
    32 INVALID_TIMESTAMP false "a record's timestamp is outside of what the topic accepts",
    33 UNSUPPORTED_SASL_MECHANISM false "the broker does not offer this SASL mechanism",
    34 ILLEGAL_SASL_STATE false "the request does not fit the state of the SASL authentication",
    35 UNSUPPORTED_VERSION false "the broker does not speak this version of the API",
    36 TOPIC_ALREADY_EXISTS false "a topic of this name exists already",
    37 INVALID_PARTITIONS false "the number of partitions is not valid",
    38 INVALID_REPLICATION_FACTOR false "the replication factor is below 1 or above the number of brokers",
    39 INVALID_REPLICA_ASSIGNMENT false "the assignment of replicas is not valid",
    40 INVALID_CONFIG false "a configuration value is not valid",
    41 NOT_CONTROLLER true "this node is not the active controller",
    42 INVALID_REQUEST false "the request contradicts itself or the protocol",
    43 UNSUPPORTED_FOR_MESSAGE_FORMAT false "the records' format on the broker does not allow this",
    44 POLICY_VIOLATION false "a policy set on the broker refuses this",
    45 OUT_OF_ORDER_SEQUENCE_NUMBER false "the producer's sequence number is not the one expected next",
    46 DUPLICATE_SEQUENCE_NUMBER false "the broker has this batch already",
    47 INVALID_PRODUCER_EPOCH false "the producer's epoch is old",
    48 INVALID_TXN_STATE false "the transaction's state does not allow this",
    49 INVALID_PRODUCER_ID_MAPPING false "the producer id does not belong to this transactional id",
    50 INVALID_TRANSACTION_TIMEOUT false "the transaction time-out is above transaction.max.timeout.ms",
    51 CONCURRENT_TRANSACTIONS true "another operation on the same transaction has not ended yet",
    52 TRANSACTION_COORDINATOR_FENCED false "another transaction coordinator has taken over",
    53 TRANSACTIONAL_ID_AUTHORIZATION_FAILED false "not authorized for the transactional id",
    54 SECURITY_DISABLED false "security is not switched on",
    55 OPERATION_NOT_ATTEMPTED false "not tried, because another part of the same request failed",
    56 KAFKA_STORAGE_ERROR true "the broker cannot read or write the partition's log directory",
    57 LOG_DIR_NOT_FOUND false "the broker has no such log directory",
    58 SASL_AUTHENTICATION_FAILED false "authentication failed; check the user name and the password",
    59 UNKNOWN_PRODUCER_ID false "the broker no longer knows this producer id, its records have been deleted",
    60 REASSIGNMENT_IN_PROGRESS false "a reassignment of the partition is under way",
    61 DELEGATION_TOKEN_AUTH_DISABLED false "delegation tokens are not switched on",
    62 DELEGATION_TOKEN_NOT_FOUND false "the broker has no such delegation token",
    63 DELEGATION_TOKEN_OWNER_MISMATCH false "only the owner or a renewer of the delegation token may do this",
    64 DELEGATION_TOKEN_REQUEST_NOT_ALLOWED false "delegation tokens cannot be asked for on this kind of connection",
    65 DELEGATION_TOKEN_AUTHORIZATION_FAILED false "not authorized for the delegation token",
    66 DELEGATION_TOKEN_EXPIRED false "the delegation token has expired",
    67 INVALID_PRINCIPAL_TYPE false "this kind of principal is not supported",
    68 NON_EMPTY_GROUP false "the group still has members",
    69 GROUP_ID_NOT_FOUND false "there is no such group",
    70 FETCH_SESSION_ID_NOT_FOUND true "the broker no longer has this fetch session",
    71 INVALID_FETCH_SESSION_EPOCH true "the fetch session is at another epoch",
    72 LISTENER_NOT_FOUND true "the leader has no listener of the name that the client came in by",
    73 TOPIC_DELETION_DISABLED false "deleting topics is switched off (delete.topic.enable)",
    74 FENCED_LEADER_EPOCH true "the request carries an older leader epoch than the broker's",
    75 UNKNOWN_LEADER_EPOCH true "the request carries a newer leader epoch than the broker's",
    76 UNSUPPORTED_COMPRESSION_TYPE false "the client's version of the API cannot carry this compression",
    77 STALE_BROKER_EPOCH false "the broker has registered again since; this epoch is old",
    78 OFFSET_NOT_AVAILABLE true "the new leader cannot yet tell this offset for sure",
    79 MEMBER_ID_REQUIRED false "the member has to join again with the member id that this answer gives",
    80 PREFERRED_LEADER_NOT_AVAILABLE true "the preferred leader is not alive or not in sync",
    81 GROUP_MAX_SIZE_REACHED false "the group has as many members as the broker allows",
    82 FENCED_INSTANCE_ID false "another member has come with the same group.instance.id",
    83 ELIGIBLE_LEADERS_NOT_AVAILABLE true "no replica that may lead is available",
    84 ELECTION_NOT_NEEDED true "the partition has the leader it should have",
    85 NO_REASSIGNMENT_IN_PROGRESS false "no reassignment of the partition is under way",
    86 GROUP_SUBSCRIBED_TO_TOPIC false "a member of the group is subscribed to the topic",
    87 INVALID_RECORD false "a record failed the broker's checks",
    88 UNSTABLE_OFFSET_COMMIT true "a transaction that commits this offset is still open",
    89 THROTTLING_QUOTA_EXCEEDED true "a quota is used up; try again later",
    90 PRODUCER_FENCED false "a newer producer uses the same transactional id",
    91 RESOURCE_NOT_FOUND false "there is no such resource",
    92 DUPLICATE_RESOURCE false "the request names the same resource twice",
    93 UNACCEPTABLE_CREDENTIAL false "the credential does not meet the rules for credentials",
    94 INCONSISTENT_VOTER_SET false "sender or receiver is not among the expected voters",
    95 INVALID_UPDATE_VERSION false "the version to update to is not valid",
    96 FEATURE_UPDATE_FAILED false "the features could not be updated",
    97 PRINCIPAL_DESERIALIZATION_FAILURE false "the forwarded request's principal could not be read",
    98 SNAPSHOT_NOT_FOUND false "there is no such snapshot",
    99 POSITION_OUT_OF_RANGE false "the position lies outside of the snapshot",
    100 UNKNOWN_TOPIC_ID true "this broker knows no topic with this id",
    101 DUPLICATE_BROKER_REGISTRATION false "another live broker has this node id",
    102 BROKER_ID_NOT_REGISTERED false "no broker with this id is registered",
    103 INCONSISTENT_TOPIC_ID true "the partition's log belongs to a topic with another id",
    104 INCONSISTENT_CLUSTER_ID false "the request was meant for a cluster with another id",
    105 TRANSACTIONAL_ID_NOT_FOUND false "there is no such transactional id",
    106 FETCH_SESSION_TOPIC_ID_ERROR true "the fetch session mixes topic names and topic ids",
    107 INELIGIBLE_REPLICA false "a replica of the proposed in-sync set may not be in it",
    108 NEW_LEADER_ELECTED false "the change was made, and the partition has another leader now",
    109 OFFSET_MOVED_TO_TIERED_STORAGE false "the offset is in tiered storage only",
    110 FENCED_MEMBER_EPOCH false "the coordinator has fenced the member; it has to give up its partitions and join again",
    111 UNRELEASED_INSTANCE_ID false "another member still holds this instance id",
    112 UNSUPPORTED_ASSIGNOR false "the group does not offer this assignor",
    113 STALE_MEMBER_EPOCH false "the member has not learned its new epoch yet",
    114 MISMATCHED_ENDPOINT_TYPE false "a broker was asked what only a controller answers, or the other way round",
    115 UNSUPPORTED_ENDPOINT_TYPE false "this type of endpoint is not supported",
    116 UNKNOWN_CONTROLLER_ID false "there is no controller with this id",
    117 UNKNOWN_SUBSCRIPTION_ID false "the telemetry subscription is unknown or old",
    118 TELEMETRY_TOO_LARGE false "the telemetry is larger than the broker accepts",
    119 INVALID_REGISTRATION false "the controller does not accept the broker's registration",
    120 TRANSACTION_ABORTABLE false "the transaction failed; abort it and go on with the same transactional id",
    121 INVALID_RECORD_STATE false "the record is in a state in which it cannot be acknowledged",
    122 SHARE_SESSION_NOT_FOUND true "the broker no longer has this share session",
    123 INVALID_SHARE_SESSION_EPOCH true "the share session is at another epoch",
    124 FENCED_STATE_EPOCH false "the share group's state is at another epoch",
    125 INVALID_VOTER_KEY false "the voter's key is not the one of this replica",
    126 DUPLICATE_VOTER false "the voter is one already",
    127 VOTER_NOT_FOUND false "there is no such voter",
    128 INVALID_REGULAR_EXPRESSION false "the regular expression is not valid",
    129 REBOOTSTRAP_REQUIRED false "what the client knows of the cluster is out of date; start from the bootstrap servers",
    130 STREAMS_INVALID_TOPOLOGY false "the topology is not valid",
    131 STREAMS_INVALID_TOPOLOGY_EPOCH false "the topology's epoch is not valid",
    132 STREAMS_TOPOLOGY_FENCED false "the topology's epoch is out of date",
    133 SHARE_SESSION_LIMIT_REACHED true "the broker has as many share sessions as it allows",
}

impl ErrorCode {
    fn entry(self) -> Option<&'static Entry> {
        ENTRIES.get(usize::try_from(i32::from(self.0) + 1).ok()?)
    }

    /// Kafka's name, as `NOT_LEADER_OR_FOLLOWER`. A code that Kafka 4.3 does not have is
    /// `UNKNOWN_ERROR_CODE`; [`fmt::Display`] shows its number as well.
    pub fn name(self) -> &'static str {
        self.entry().map_or("UNKNOWN_ERROR_CODE", |entry| entry.1)
    }

    /// What it means, in a sentence without a capital letter and a full stop.
    pub fn message(self) -> &'static str {
        self.entry().map_or(
            "the peer sent an error code that is not known here",
            |entry| entry.2,
        )
    }

    /// Whether the same request may succeed when it is sent again, perhaps to another node.
    pub fn is_retriable(self) -> bool {
        self.entry().is_some_and(|entry| entry.0)
    }

    pub fn is_none(self) -> bool {
        self == ErrorCode::NONE
    }

    /// `Ok(())` for 0, otherwise the error without a message of its own.
    pub fn ok(self) -> Result<(), ApiError> {
        if self.is_none() {
            Ok(())
        } else {
            Err(ApiError::from(self))
        }
    }
}

impl From<i16> for ErrorCode {
    fn from(code: i16) -> ErrorCode {
        ErrorCode(code)
    }
}

impl From<ErrorCode> for i16 {
    fn from(code: ErrorCode) -> i16 {
        code.0
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.entry() {
            Some(entry) => f.write_str(entry.1),
            None => write!(f, "{}({})", self.name(), self.0),
        }
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An error that goes to a client or came from a broker: the code, and perhaps a message that says
/// more than the code does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    pub code: ErrorCode,
    pub message: Option<String>,
}

impl ApiError {
    pub fn new(code: ErrorCode, message: impl Into<String>) -> ApiError {
        ApiError {
            code,
            message: Some(message.into()),
        }
    }

    /// The code and message fields of a response as a result: `Ok(())` when the code is 0. Brokers
    /// send an empty message where they have none.
    pub fn check(code: i16, message: Option<&str>) -> Result<(), ApiError> {
        match ErrorCode(code) {
            ErrorCode::NONE => Ok(()),
            code => {
                let message = message
                    .filter(|message| !message.is_empty())
                    .map(str::to_owned);
                Err(ApiError { code, message })
            }
        }
    }

    /// The own message if there is one, else the code's.
    pub fn message(&self) -> &str {
        self.message
            .as_deref()
            .unwrap_or_else(|| self.code.message())
    }
}

impl From<ErrorCode> for ApiError {
    fn from(code: ErrorCode) -> ApiError {
        ApiError {
            code,
            message: None,
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message())
    }
}

impl std::error::Error for ApiError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_no_gap_so_that_a_code_is_its_own_index() {
        for (index, code) in ErrorCode::ALL.iter().enumerate() {
            assert_eq!(i32::from(code.0), index as i32 - 1);
        }
        assert_eq!(ErrorCode::ALL.last(), Some(&ErrorCode(133)));
    }

    #[test]
    fn codes_know_their_names_and_whether_to_try_again() {
        for (code, name, retriable) in [
            (-1, "UNKNOWN_SERVER_ERROR", false),
            (0, "NONE", false),
            (6, "NOT_LEADER_OR_FOLLOWER", true),
            (36, "TOPIC_ALREADY_EXISTS", false),
            (41, "NOT_CONTROLLER", true),
            (77, "STALE_BROKER_EPOCH", false),
            (100, "UNKNOWN_TOPIC_ID", true),
            (133, "SHARE_SESSION_LIMIT_REACHED", true),
            (134, "UNKNOWN_ERROR_CODE", false),
            (-2, "UNKNOWN_ERROR_CODE", false),
            (i16::MIN, "UNKNOWN_ERROR_CODE", false),
            (i16::MAX, "UNKNOWN_ERROR_CODE", false),
        ] {
            assert_eq!(ErrorCode(code).name(), name, "{code}");
            assert_eq!(ErrorCode(code).is_retriable(), retriable, "{code}");
        }
        assert_eq!(ErrorCode(999).to_string(), "UNKNOWN_ERROR_CODE(999)");
    }

    #[test]
    fn an_error_prints_its_name_and_the_best_message_there_is() {
        let bare = ApiError::from(ErrorCode::TOPIC_ALREADY_EXISTS);
        assert_eq!(
            bare.to_string(),
            "TOPIC_ALREADY_EXISTS: a topic of this name exists already"
        );
        let told = ApiError::new(ErrorCode::INVALID_CONFIG, "retention.ms is below -1");
        assert_eq!(told.to_string(), "INVALID_CONFIG: retention.ms is below -1");
        assert_eq!(ApiError::check(0, None), Ok(()));
        assert_eq!(ApiError::check(36, Some("")), Err(bare));
    }
}
