//! Which brokers are alive: the controller's soft state about their heartbeats.
//!
//! It is not in the log. A controller that becomes active starts with every unfenced broker having
//! just been heard of, so that a change of controllers fences nobody.
//!
//! ```text
//! state                request                         next
//! FENCED               wants to shut down              SHUTDOWN_NOW
//! FENCED               wants no fence, is caught up    UNFENCED
//! UNFENCED             wants a fence                   FENCED, or SHUTDOWN_NOW
//! UNFENCED             wants to shut down, leads       CONTROLLED_SHUTDOWN
//! UNFENCED             wants to shut down, no leads    SHUTDOWN_NOW
//! CONTROLLED_SHUTDOWN  leads nothing, all others know  SHUTDOWN_NOW
//! ```
//!
//! Kafka: `controller/BrokerHeartbeatManager.java`, `controller/BrokerHeartbeatTracker.java` (4.3).

mod absence;

use std::collections::BTreeMap;

use kafka_protocol::messages::BrokerHeartbeatRequest;

pub(crate) use self::absence::watch_interval_ms;
pub use self::absence::{Absence, Sighting};
use crate::metadata::{BrokerRegistration, MetadataImage};

/// Where a broker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokerState {
    Fenced,
    Unfenced,
    ControlledShutdown,
    ShutdownNow,
}

impl BrokerState {
    /// Whether the broker counts as fenced.
    pub fn is_fenced(self) -> bool {
        matches!(self, Self::Fenced | Self::ShutdownNow)
    }
}

#[derive(Debug, Clone, Copy)]
struct Broker {
    epoch: i64,
    fenced: bool,
    /// -1 until it has told.
    metadata_offset: i64,
    /// What the others have to know before it may go; -1 if it doesn't want to go.
    controlled_shutdown_offset: i64,
    /// `None` if it was not heard of in this registration.
    last_contact_ms: Option<i64>,
    /// Since when it is expected to be heard of.
    expected_since_ms: i64,
    /// The last contact was with the controller of before, if there was one.
    is_assumed: bool,
    /// It was that controller.
    has_led: bool,
}

impl Broker {
    fn is_active(&self) -> bool {
        !self.fenced && self.controlled_shutdown_offset < 0
    }
}

/// The heartbeats of all registered brokers.
#[derive(Debug, Default)]
pub struct Heartbeats {
    brokers: BTreeMap<i32, Broker>,
    /// The node of this controller.
    node_id: i32,
    session_timeout_ms: i64,
    now_ms: i64,
    /// When it was last looked who is absent.
    looked_ms: i64,
    /// Until when this node may have been unable to hear anybody.
    held_up_until_ms: i64,
}

impl Heartbeats {
    /// The state of a controller that becomes active now.
    pub fn new(image: &MetadataImage, node_id: i32, session_timeout_ms: i64, now_ms: i64) -> Self {
        let mut heartbeats = Self {
            brokers: BTreeMap::new(),
            node_id,
            session_timeout_ms,
            now_ms,
            looked_ms: now_ms,
            held_up_until_ms: i64::MIN,
        };
        for broker in image.cluster.brokers.values() {
            heartbeats.registration_changed(broker.id, None, Some(broker));
            // Differs from Kafka: the broker of the controller's own node ran in the process that
            // this one has replaced, so its session is over. Waiting for it to expire would keep a
            // single node that was killed from serving for as long as the session time-out.
            if !broker.fenced && broker.id != node_id {
                heartbeats.assume(broker.id, broker.epoch, now_ms);
            }
        }
        heartbeats
    }

    /// Takes a broker for one that was just heard of.
    fn assume(&mut self, id: i32, epoch: i64, now_ms: i64) {
        self.contact(id, epoch, now_ms);
        if let Some(broker) = self.brokers.get_mut(&id) {
            broker.is_assumed = true;
        }
    }

    /// Takes over a change of the registration.
    pub fn registration_changed(
        &mut self,
        id: i32,
        old: Option<&BrokerRegistration>,
        new: Option<&BrokerRegistration>,
    ) {
        let Some(new) = new else {
            self.brokers.remove(&id);
            return;
        };
        if old.is_some_and(|old| old.epoch != new.epoch) {
            self.brokers.remove(&id);
        }
        let broker = self.brokers.entry(id).or_insert(Broker {
            epoch: new.epoch,
            fenced: new.fenced,
            metadata_offset: -1,
            controlled_shutdown_offset: -1,
            last_contact_ms: None,
            expected_since_ms: self.now_ms,
            is_assumed: false,
            has_led: false,
        });
        broker.fenced = new.fenced;
        if new.fenced {
            broker.controlled_shutdown_offset = -1;
        }
    }

    /// Notes that the broker was heard of.
    pub fn contact(&mut self, id: i32, epoch: i64, now_ms: i64) {
        self.now_ms = self.now_ms.max(now_ms);
        if let Some(broker) = self.brokers.get_mut(&id)
            && broker.epoch == epoch
        {
            broker.last_contact_ms = Some(now_ms);
            broker.is_assumed = false;
        }
    }

    /// Notes that the broker goes.
    ///
    // Differs from Kafka: there the session of a broker that was told to go lasts until it expires,
    // and a broker that comes back sooner is refused as a duplicate of itself.
    pub fn end_session(&mut self, id: i32) {
        if let Some(broker) = self.brokers.get_mut(&id) {
            broker.last_contact_ms = None;
        }
    }

    /// Whether the broker was heard of lately.
    pub fn has_valid_session(&self, id: i32, epoch: i64, now_ms: i64) -> bool {
        self.brokers.get(&id).is_some_and(|broker| {
            broker.epoch == epoch
                && broker
                    .last_contact_ms
                    .is_some_and(|last| now_ms.saturating_sub(last) < self.session_timeout_ms)
        })
    }

    /// Takes over what a heartbeat says, once its consequences are decided.
    pub fn touch(&mut self, id: i32, metadata_offset: i64) {
        if let Some(broker) = self.brokers.get_mut(&id) {
            broker.metadata_offset = metadata_offset;
        }
    }

    /// Notes at which offset a broker that wants to go has given up its leaderships.
    pub fn controlled_shutdown(&mut self, id: i32, offset: i64) {
        if let Some(broker) = self.brokers.get_mut(&id)
            && !broker.fenced
        {
            // Every heartbeat of this kind moves leaderships, if any are left, so the last counts
            // no more than the first: those who lead now know it from the first on.
            if broker.controlled_shutdown_offset < 0 {
                broker.controlled_shutdown_offset = offset;
            }
        }
    }

    /// Whether a broker waits for its controlled shutdown.
    pub fn is_shutting_down(&self, id: i32) -> bool {
        self.brokers
            .get(&id)
            .is_some_and(|broker| broker.controlled_shutdown_offset >= 0)
    }

    /// The state before and after a heartbeat. `register_offset` is that of the broker's
    /// registration.
    pub fn next_state(
        &self,
        request: &BrokerHeartbeatRequest,
        register_offset: i64,
        has_leaderships: impl FnOnce() -> bool,
    ) -> (BrokerState, BrokerState) {
        use BrokerState::{ControlledShutdown, Fenced, ShutdownNow, Unfenced};
        let Some(broker) = self.brokers.get(&request.broker_id.0) else {
            return (Fenced, Fenced);
        };
        if broker.controlled_shutdown_offset >= 0 {
            let may_go = !has_leaderships()
                && broker.controlled_shutdown_offset <= self.lowest_active_offset();
            return (
                ControlledShutdown,
                if may_go {
                    ShutdownNow
                } else {
                    ControlledShutdown
                },
            );
        }
        if broker.fenced {
            let is_caught_up = request.current_metadata_offset >= register_offset;
            let next = if request.want_shut_down {
                ShutdownNow
            } else if !request.want_fence && is_caught_up {
                Unfenced
            } else {
                Fenced
            };
            return (Fenced, next);
        }
        let next = match (request.want_fence, request.want_shut_down) {
            (false, false) => Unfenced,
            (true, false) => Fenced,
            (true, true) => ShutdownNow,
            (false, true) if has_leaderships() => ControlledShutdown,
            (false, true) => ShutdownNow,
        };
        (Unfenced, next)
    }

    fn lowest_active_offset(&self) -> i64 {
        let active = self.brokers.values().filter(|broker| broker.is_active());
        active
            .map(|broker| broker.metadata_offset)
            .min()
            .unwrap_or(i64::MAX)
    }

    /// An unfenced broker that was silent for too long.
    pub fn stale_broker(&self, now_ms: i64) -> Option<i32> {
        let is_stale = |broker: &Broker| {
            let last = broker.last_contact_ms.unwrap_or(broker.expected_since_ms);
            !broker.fenced && now_ms.saturating_sub(last) >= self.session_timeout_ms
        };
        self.brokers
            .iter()
            .find(|(_, broker)| is_stale(broker))
            .map(|(id, _)| *id)
    }

    /// When a broker becomes stale next; `None` if all are fenced.
    pub fn next_check_ms(&self) -> Option<i64> {
        let unfenced = self.brokers.values().filter(|broker| !broker.fenced);
        unfenced
            .map(|broker| broker.last_contact_ms.unwrap_or(broker.expected_since_ms))
            .map(|last| last.saturating_add(self.session_timeout_ms))
            .min()
    }
}
