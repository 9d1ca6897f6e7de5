//! When a broker says what to the controller: a state machine without clock and network.
//!
//! ```text
//! STARTING                     registers, then hears whether it has read the metadata far enough
//! RECOVERY                     its logs are being opened; it wants to stay fenced until they are
//! RUNNING                      unfenced for the first time; it may be fenced and unfenced again
//! PENDING_CONTROLLED_SHUTDOWN  its partitions are being led elsewhere
//! SHUTTING_DOWN                it says nothing any more
//! ```
//!
//! One request is under way at a time. Times are milliseconds of a clock that never goes back.
//!
//! Kafka: `BrokerLifecycleManager.java` (4.3).

use kafka_protocol::messages::BrokerHeartbeatResponse;

/// Between heartbeats of a broker that has nothing to do but to catch up.
const STARTING_INTERVAL_MS: i64 = 10;
/// After the first heartbeat that asks for a shutdown.
const SHUTDOWN_INTERVAL_MS: i64 = 50;
/// Longest wait after a failure before the broker runs.
///
// Differs from Kafka: there it is a whole interval. Until it runs, nobody is served by this broker,
// and what it waits for (an election, the end of its last life's session) may come any moment.
const STARTING_RETRY_MS: i64 = 500;

/// Where a broker stands; the order is that of its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum BrokerState {
    Starting,
    Recovery,
    Running,
    PendingControlledShutdown,
    ShuttingDown,
}

/// What to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Registration,
    Heartbeat {
        want_fence: bool,
        want_shut_down: bool,
    },
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Machine {
    interval_ms: i64,
    state: BrokerState,
    is_registered: bool,
    was_registered: bool,
    is_ready_to_unfence: bool,
    is_shutdown_known: bool,
    is_under_way: bool,
    /// What has happened meanwhile is to be told as soon as the request under way is answered.
    is_urgent: bool,
    next_ms: i64,
}

impl Machine {
    pub(crate) fn new(interval_ms: i64, now_ms: i64) -> Self {
        Self {
            interval_ms: interval_ms.max(1),
            state: BrokerState::Starting,
            is_registered: false,
            was_registered: false,
            is_ready_to_unfence: false,
            is_shutdown_known: false,
            is_under_way: false,
            is_urgent: false,
            next_ms: now_ms,
        }
    }

    pub(crate) fn state(&self) -> BrokerState {
        self.state
    }

    /// Whether the controller has taken a registration of this broker at least once.
    pub(crate) fn was_registered(&self) -> bool {
        self.was_registered
    }

    /// When [`Self::poll`] has something to send next; `None` if something else has to happen.
    pub(crate) fn deadline_ms(&self) -> Option<i64> {
        let is_over = self.state == BrokerState::ShuttingDown;
        (!self.is_under_way && !is_over).then_some(self.next_ms)
    }

    /// What to send now. It is under way until one of the methods below says what came of it.
    pub(crate) fn poll(&mut self, now_ms: i64) -> Option<Next> {
        if self.deadline_ms()? > now_ms {
            return None;
        }
        self.is_under_way = true;
        Some(if self.is_registered {
            Next::Heartbeat {
                want_fence: !self.is_ready_to_unfence,
                want_shut_down: self.state == BrokerState::PendingControlledShutdown,
            }
        } else {
            Next::Registration
        })
    }

    /// The controller took the registration.
    pub(crate) fn registered(&mut self, now_ms: i64) {
        self.is_registered = true;
        self.was_registered = true;
        self.is_urgent = true;
        self.answered(now_ms, 0);
    }

    /// The controller answered a heartbeat.
    pub(crate) fn heartbeat_answered(&mut self, now_ms: i64, response: &BrokerHeartbeatResponse) {
        let mut wait_ms = self.interval_ms;
        match self.state {
            BrokerState::Starting => {
                if response.is_caught_up {
                    self.state = BrokerState::Recovery;
                }
                wait_ms = STARTING_INTERVAL_MS;
            }
            BrokerState::Recovery if !response.is_fenced => self.state = BrokerState::Running,
            BrokerState::PendingControlledShutdown => {
                if response.should_shut_down {
                    self.state = BrokerState::ShuttingDown;
                } else if !std::mem::replace(&mut self.is_shutdown_known, true) {
                    wait_ms = SHUTDOWN_INTERVAL_MS;
                }
            }
            BrokerState::Recovery | BrokerState::Running | BrokerState::ShuttingDown => {}
        }
        self.answered(now_ms, wait_ms);
    }

    /// There was no answer, or an error. After a failure nothing is urgent.
    pub(crate) fn failed(&mut self, now_ms: i64) {
        self.is_urgent = false;
        let wait_ms = if self.state < BrokerState::Running {
            self.interval_ms.min(STARTING_RETRY_MS)
        } else {
            self.interval_ms
        };
        self.answered(now_ms, wait_ms);
    }

    /// No controller was found in time; the search is a wait of its own.
    pub(crate) fn timed_out(&mut self, now_ms: i64) {
        self.answered(now_ms, 0);
    }

    fn answered(&mut self, now_ms: i64, wait_ms: i64) {
        self.is_under_way = false;
        let wait_ms = if std::mem::take(&mut self.is_urgent) {
            0
        } else {
            wait_ms
        };
        self.next_ms = now_ms.saturating_add(wait_ms);
    }

    /// The broker can lead and follow from now on.
    pub(crate) fn ready_to_unfence(&mut self, now_ms: i64) {
        self.is_ready_to_unfence = true;
        self.tell_at_once(now_ms);
    }

    /// Something that heartbeats carry has changed, as a directory that is lost.
    pub(crate) fn changed(&mut self, now_ms: i64) {
        if self.is_registered {
            self.tell_at_once(now_ms);
        }
    }

    /// The controller lacks something of the registration.
    pub(crate) fn register_again(&mut self, now_ms: i64) {
        self.is_registered = false;
        self.tell_at_once(now_ms);
    }

    /// Asks for leave; a broker that doesn't run goes without.
    pub(crate) fn begin_controlled_shutdown(&mut self, now_ms: i64) {
        match self.state {
            BrokerState::Running => {
                self.state = BrokerState::PendingControlledShutdown;
                self.tell_at_once(now_ms);
            }
            BrokerState::PendingControlledShutdown => {}
            _ => self.state = BrokerState::ShuttingDown,
        }
    }

    /// The controller has no registration of this broker in this epoch.
    ///
    // Differs from Kafka: a broker that doesn't run yet registers anew. A registration of its last
    // life that was long on its way may have come after its own, and it would ask in vain for ever.
    pub(crate) fn not_registered(&mut self, now_ms: i64) {
        match self.state {
            BrokerState::Starting | BrokerState::Recovery => self.is_registered = false,
            // An administrator may have removed it.
            BrokerState::Running => {}
            // There is nothing to be given up, nor to be asked for.
            BrokerState::PendingControlledShutdown | BrokerState::ShuttingDown => {
                self.is_under_way = false;
                self.state = BrokerState::ShuttingDown;
                return;
            }
        }
        self.failed(now_ms);
    }

    fn tell_at_once(&mut self, now_ms: i64) {
        if self.is_under_way {
            self.is_urgent = true;
        } else {
            self.next_ms = now_ms;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL_MS: i64 = 2_000;

    fn answer(
        is_caught_up: bool,
        is_fenced: bool,
        should_shut_down: bool,
    ) -> BrokerHeartbeatResponse {
        BrokerHeartbeatResponse::default()
            .with_is_caught_up(is_caught_up)
            .with_is_fenced(is_fenced)
            .with_should_shut_down(should_shut_down)
    }

    fn heartbeat(want_fence: bool, want_shut_down: bool) -> Option<Next> {
        Some(Next::Heartbeat {
            want_fence,
            want_shut_down,
        })
    }

    /// A broker that runs since 1,000 ms.
    fn running() -> Machine {
        let mut machine = Machine::new(INTERVAL_MS, 0);
        assert_eq!(machine.poll(0), Some(Next::Registration));
        machine.registered(5);
        assert_eq!(machine.poll(5), heartbeat(true, false));
        machine.heartbeat_answered(6, &answer(true, true, false));
        machine.ready_to_unfence(1_000);
        assert_eq!(machine.poll(1_000), heartbeat(false, false));
        machine.heartbeat_answered(1_000, &answer(true, false, false));
        assert_eq!(machine.state(), BrokerState::Running);
        machine
    }

    #[test]
    fn a_broker_starts_as_apache_kafkas_does() {
        // As captured: registration, heartbeats every 10 ms until caught up, none that unfences
        // before the logs are open, then one every interval.
        let mut machine = Machine::new(INTERVAL_MS, 0);
        assert_eq!(machine.poll(0), Some(Next::Registration));
        assert_eq!(machine.poll(1), None);
        machine.registered(5);
        assert_eq!(machine.poll(5), heartbeat(true, false));
        machine.heartbeat_answered(6, &answer(false, true, false));
        assert_eq!((machine.poll(15), machine.deadline_ms()), (None, Some(16)));
        assert_eq!(machine.poll(16), heartbeat(true, false));
        machine.heartbeat_answered(17, &answer(true, true, false));
        assert_eq!(machine.state(), BrokerState::Recovery);
        assert_eq!(machine.poll(27), heartbeat(true, false));
        machine.heartbeat_answered(28, &answer(true, true, false));
        assert_eq!(machine.deadline_ms(), Some(28 + INTERVAL_MS));
        machine.ready_to_unfence(700);
        assert_eq!(machine.poll(700), heartbeat(false, false));
        machine.heartbeat_answered(701, &answer(true, false, false));
        assert_eq!(machine.state(), BrokerState::Running);
        assert_eq!(machine.deadline_ms(), Some(701 + INTERVAL_MS));
    }

    #[test]
    fn what_happens_while_a_request_is_under_way_is_told_right_after_it() {
        let mut machine = running();
        assert_eq!(machine.poll(3_000), heartbeat(false, false));
        machine.changed(3_001);
        assert_eq!(machine.poll(3_001), None);
        machine.heartbeat_answered(3_002, &answer(true, false, false));
        assert_eq!(machine.poll(3_002), heartbeat(false, false));
        machine.changed(3_003);
        machine.failed(3_004);
        assert_eq!(machine.deadline_ms(), Some(3_004 + INTERVAL_MS));
    }

    #[test]
    fn a_broker_that_was_fenced_goes_on_and_one_that_lacks_something_registers_again() {
        let mut machine = running();
        machine.poll(3_000);
        machine.heartbeat_answered(3_000, &answer(true, true, false));
        assert_eq!(machine.state(), BrokerState::Running);
        assert_eq!(machine.poll(5_000), heartbeat(false, false));
        machine.heartbeat_answered(5_000, &answer(true, false, false));
        machine.register_again(5_500);
        assert_eq!(machine.poll(5_500), Some(Next::Registration));
        machine.registered(5_501);
        assert_eq!(machine.poll(5_501), heartbeat(false, false));
        assert_eq!(machine.state(), BrokerState::Running);
    }

    #[test]
    fn a_controlled_shutdown_asks_until_it_is_granted() {
        let mut machine = running();
        machine.begin_controlled_shutdown(1_500);
        assert_eq!(machine.poll(1_500), heartbeat(false, true));
        machine.heartbeat_answered(1_500, &answer(true, false, false));
        assert_eq!(machine.poll(1_550), heartbeat(false, true));
        machine.heartbeat_answered(1_550, &answer(true, false, false));
        assert_eq!(machine.deadline_ms(), Some(1_550 + INTERVAL_MS));
        machine.poll(1_550 + INTERVAL_MS);
        machine.heartbeat_answered(4_000, &answer(true, true, true));
        assert_eq!(machine.state(), BrokerState::ShuttingDown);
        assert_eq!((machine.deadline_ms(), machine.poll(99_999)), (None, None));
    }

    #[test]
    fn a_broker_that_never_ran_goes_without_asking() {
        let mut machine = Machine::new(INTERVAL_MS, 0);
        machine.begin_controlled_shutdown(0);
        assert_eq!(machine.state(), BrokerState::ShuttingDown);
        assert_eq!(machine.poll(0), None);
    }

    #[test]
    fn a_broker_whose_registration_was_replaced_registers_anew_until_it_runs() {
        let mut machine = Machine::new(INTERVAL_MS, 0);
        machine.poll(0);
        machine.registered(5);
        machine.poll(5);
        machine.not_registered(6);
        assert_eq!(
            machine.poll(6 + STARTING_RETRY_MS),
            Some(Next::Registration)
        );
        machine.registered(600);
        assert_eq!(machine.poll(600), heartbeat(true, false));
        machine.heartbeat_answered(601, &answer(true, true, false));
        assert_eq!(machine.poll(611), heartbeat(true, false));
        machine.not_registered(620);
        assert_eq!(machine.poll(1_120), Some(Next::Registration));
        assert_eq!(machine.state(), BrokerState::Recovery);

        let mut machine = running();
        machine.poll(3_000);
        machine.not_registered(3_001);
        assert_eq!(machine.poll(5_001), heartbeat(false, false));
        machine.heartbeat_answered(5_001, &answer(true, false, false));
        machine.begin_controlled_shutdown(5_500);
        machine.poll(5_500);
        machine.not_registered(5_501);
        assert_eq!(machine.state(), BrokerState::ShuttingDown);
    }

    #[test]
    fn failures_are_retried_sooner_before_the_broker_runs() {
        let mut machine = Machine::new(INTERVAL_MS, 0);
        machine.poll(0);
        machine.failed(10);
        assert_eq!(machine.deadline_ms(), Some(10 + STARTING_RETRY_MS));
        machine.poll(600);
        machine.timed_out(2_600);
        assert_eq!(machine.poll(2_600), Some(Next::Registration));
        assert!(!machine.was_registered());
        let mut machine = running();
        machine.poll(3_000);
        machine.failed(3_100);
        assert_eq!(machine.deadline_ms(), Some(3_100 + INTERVAL_MS));
    }
}
