//! A datum with its age and its failure: [`Resource`], [`Cell`], [`Fault`].

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// When something was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Taken {
    /// Milliseconds of a monotonic clock: ages and rates are computed from these.
    #[serde(skip)]
    pub monotonic_ms: i64,
    /// Milliseconds since the epoch, for people.
    pub wall_ms: i64,
}

/// What a user can do about a failure decides its kind; exit codes follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The cluster or one of its brokers could not be reached, or did not answer in time.
    Unreachable,
    /// The thing asked for does not exist.
    NotFound,
    /// It exists already.
    AlreadyExists,
    /// The broker or this program refused: not authorised, read-only, invalid.
    Refused,
    /// The cluster is too old for what was asked.
    Unsupported,
    /// Anything else that failed.
    Failed,
}

/// One failure, told in three parts: what was tried, why it did not work, what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    pub kind: FaultKind,
    /// What was tried, for example `list topics`.
    pub what: String,
    /// Why it did not work, with Kafka's error name where Kafka said it.
    pub why: String,
    /// What the reader can do.
    pub hint: Option<String>,
}

impl Fault {
    pub fn new(kind: FaultKind, what: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
            why: why.into(),
            hint: None,
        }
    }

    /// A refusal by this program.
    pub fn refused(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new(FaultKind::Refused, what, why)
    }

    pub fn not_found(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new(FaultKind::NotFound, what, why)
    }

    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

impl std::error::Error for Fault {}

/// Kafka's error for one small part (a partition, a replica, a broker), without prose.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartError(pub i16);

impl PartError {
    /// Kafka's name of the error.
    pub fn name(self) -> String {
        kafka_shared::error::ErrorCode(self.0).name().to_owned()
    }
}

impl fmt::Display for PartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl fmt::Debug for PartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl<'de> Deserialize<'de> for PartError {
    /// By Kafka's name; a name that is not known is Kafka's own unknown error.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let is_it = |code: &i16| kafka_shared::error::ErrorCode(*code).name() == name;
        Ok(Self((-1..500).find(is_it).unwrap_or(-1)))
    }
}

impl Serialize for PartError {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One value of a table: unknown until read, known, or failed on its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Cell<T> {
    #[default]
    Unknown,
    Known(T),
    Failed(PartError),
}

impl<T: Copy> Cell<T> {
    pub fn known(&self) -> Option<T> {
        match self {
            Self::Known(value) => Some(*value),
            Self::Unknown | Self::Failed(_) => None,
        }
    }
}

/// What came of reading a part of a cluster.
pub type Read<T> = Result<Arc<T>, Arc<Fault>>;

/// A part of a cluster's state: the last value that was read, when, and what has failed since.
#[derive(Clone, Debug)]
pub struct Resource<T> {
    value: Option<Arc<T>>,
    taken: Taken,
    fault: Option<Arc<Fault>>,
    failed_at: Taken,
    loading: bool,
}

impl<T> Default for Resource<T> {
    fn default() -> Self {
        Self {
            value: None,
            taken: Taken::default(),
            fault: None,
            failed_at: Taken::default(),
            loading: false,
        }
    }
}

impl<T> Resource<T> {
    /// A value that was read at `taken`, without a failure.
    pub fn ready(value: T, taken: Taken) -> Self {
        Self {
            value: Some(Arc::new(value)),
            taken,
            ..Self::default()
        }
    }

    /// The last value that was read, however old.
    pub fn value(&self) -> Option<&Arc<T>> {
        self.value.as_ref()
    }

    /// The last value by reference.
    pub fn get(&self) -> Option<&T> {
        self.value.as_deref()
    }

    /// When [`Self::value`] was read; `None` before the first one.
    pub fn taken(&self) -> Option<Taken> {
        self.value.as_ref().map(|_| self.taken)
    }

    /// Milliseconds since the value was read; `None` before the first one.
    pub fn age_ms(&self, now_monotonic_ms: i64) -> Option<i64> {
        self.taken()
            .map(|taken| now_monotonic_ms.saturating_sub(taken.monotonic_ms).max(0))
    }

    /// The failure of the newest attempt; `None` when the newest attempt succeeded.
    pub fn fault(&self) -> Option<&Arc<Fault>> {
        self.fault.as_ref()
    }

    /// When the first of the failures since the last success happened.
    pub fn failing_since(&self) -> Option<Taken> {
        self.fault.as_ref().map(|_| self.failed_at)
    }

    /// Refines the last value without making it newer.
    pub(super) fn replace_value(&mut self, value: Arc<T>) {
        self.value = Some(value);
    }

    pub fn is_loading(&self) -> bool {
        self.loading
    }

    pub fn set_loading(&mut self) {
        self.loading = true;
    }

    /// Takes the result of one attempt: a value replaces value and failure, a failure stands
    /// beside the old value.
    pub fn apply(&mut self, result: Result<Arc<T>, Arc<Fault>>, at: Taken) {
        self.loading = false;
        match result {
            Ok(value) => {
                self.value = Some(value);
                self.taken = at;
                self.fault = None;
            }
            Err(fault) => {
                if self.fault.is_none() {
                    self.failed_at = at;
                }
                self.fault = Some(fault);
            }
        }
    }
}
