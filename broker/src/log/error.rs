//! What can go wrong in a log, and the Kafka error code that tells a client.

use std::io;

use kafka_shared::error::{ApiError, ErrorCode};

/// Why one record of a refused batch was refused (`record_errors` of Produce v8 and later).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordError {
    /// Index of the record in its batch, from 0.
    pub batch_index: i32,
    pub message: String,
}

/// An error of a log operation. Every variant maps to a Kafka error code through [`LogError::code`].
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// The records were refused and nothing was written.
    #[error("{message}")]
    Rejected {
        code: ErrorCode,
        message: String,
        record_errors: Vec<RecordError>,
    },
    /// The offset is below the log start offset or above the log end offset.
    #[error(
        "offset {offset} is outside the log, which holds [{log_start_offset}, {log_end_offset}]"
    )]
    OffsetOutOfRange {
        offset: i64,
        log_start_offset: i64,
        log_end_offset: i64,
    },
    /// A follower append that does not continue the log.
    #[error("append at offset {first_offset} where the log ends at {log_end_offset}")]
    UnexpectedAppendOffset {
        first_offset: i64,
        last_offset: i64,
        log_end_offset: i64,
    },
    /// The disk has no room for the records; nothing was written, and the folder stays in service.
    #[error("{message}")]
    NoSpace { message: String },
    /// The folder of the log is out of service, or the operation failed on the disk.
    #[error("{message}")]
    Storage { message: String },
}

impl LogError {
    pub(crate) fn rejected(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::Rejected {
            code,
            message: message.into(),
            record_errors: Vec::new(),
        }
    }

    pub(crate) fn storage(what: &str, error: &io::Error) -> Self {
        Self::Storage {
            message: format!("{what}: {error}"),
        }
    }

    /// The code that a client or follower gets.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Rejected { code, .. } => *code,
            Self::OffsetOutOfRange { .. } => ErrorCode::OFFSET_OUT_OF_RANGE,
            Self::UnexpectedAppendOffset { .. } => ErrorCode::UNKNOWN_SERVER_ERROR,
            Self::NoSpace { .. } | Self::Storage { .. } => ErrorCode::KAFKA_STORAGE_ERROR,
        }
    }

    /// The refused records, empty when the error is not about single records.
    pub fn record_errors(&self) -> &[RecordError] {
        match self {
            Self::Rejected { record_errors, .. } => record_errors,
            _ => &[],
        }
    }
}

impl From<LogError> for ApiError {
    fn from(error: LogError) -> Self {
        ApiError::new(error.code(), error.to_string())
    }
}
