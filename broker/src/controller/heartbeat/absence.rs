//! Which brokers are gone before their session is over.
//!
//! Heartbeats alone tell a broker's end only when its session times out. A controller sees more:
//! whether the broker's listener answers (the watch asks it over and over), and when the broker
//! last fetched the metadata log, which every broker does at least twice a second. So a broker is
//! fenced
//! * at once when nothing listens any more where it did listen, and it was not heard of since;
//! * soon when it is silent altogether: no heartbeat, no fetch, no answer of a listener that did
//!   answer before.
//!
//! A listener that was never reached from this node says nothing, and what is heard from the broker
//! itself counts more than what its listener does: a broker that only this node can't reach may be
//! fenced once, and is not fenced again when it has come back.
//!
//! Differs from Kafka: there the session time-out is the only sign, and writes to what a killed
//! broker led or replicated stand still for that long. To fence a broker is always safe: it is
//! unfenced by its next heartbeat.

use super::{Broker, Heartbeats};

/// The shortest silence that counts, however short the session is.
const SILENCE_MIN_MS: i64 = 1_000;
/// So much of the session may pass in silence.
const SILENCE_OF_SESSION: i64 = 6;
/// Between questions to a listener, if the brokers are few.
const WATCH_INTERVAL_MIN_MS: i64 = 500;
/// Of a large cluster, each is asked less often.
const WATCH_INTERVAL_PER_BROKER_MS: i64 = 10;
/// How often all are looked at.
const LOOK_INTERVAL_MS: i64 = 200;
/// A look that comes so much too late says that this node itself was held up.
const HELD_UP_MS: i64 = 300;

/// What is seen of a broker beside its heartbeats. Times are those of the controller's clock, `None`
/// for never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sighting {
    /// When its listener answered last.
    pub answered_ms: Option<i64>,
    /// Since when nothing listens where something has answered before.
    pub refused_since_ms: Option<i64>,
    /// When it last fetched the metadata log from this node.
    pub fetched_ms: Option<i64>,
}

/// Why a broker is taken for gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// Its session has timed out.
    Session,
    /// Nothing listens at its address any more.
    Refused,
    /// Neither heartbeats nor fetches come from it, and its listener doesn't answer.
    Silent,
}

/// How often each of so many brokers is asked, in milliseconds.
pub(crate) fn watch_interval_ms(n_brokers: usize) -> i64 {
    let n_brokers = i64::try_from(n_brokers).unwrap_or(i64::MAX);
    n_brokers
        .saturating_mul(WATCH_INTERVAL_PER_BROKER_MS)
        .max(WATCH_INTERVAL_MIN_MS)
}

impl Heartbeats {
    /// Notes which node led the metadata quorum before this one. It leads no more because it was
    /// not heard of, or because it went; so its broker need not be taken for alive.
    pub fn led_before(&mut self, id: i32) {
        if let Some(broker) = self.brokers.get_mut(&id) {
            broker.has_led = true;
        }
    }

    /// Notes that the time goes on; to be called at every look. A node that was held up has heard
    /// nobody meanwhile, and that is not the others' fault.
    pub fn looked(&mut self, now_ms: i64) {
        if now_ms.saturating_sub(self.looked_ms) > LOOK_INTERVAL_MS + HELD_UP_MS {
            self.held_up_until_ms = now_ms;
        }
        self.looked_ms = now_ms;
    }

    /// When to look next; `None` if there is nobody to look for.
    pub fn next_look_ms(&self) -> Option<i64> {
        let mut others = self.brokers.iter().filter(|(id, _)| **id != self.node_id);
        let is_any = others.any(|(_, broker)| broker.is_active());
        is_any.then(|| self.looked_ms.saturating_add(LOOK_INTERVAL_MS))
    }

    /// An unfenced broker that is not there, and why.
    pub fn absent_broker(
        &self,
        now_ms: i64,
        sight: impl Fn(i32, i64) -> Sighting,
    ) -> Option<(i32, Absence)> {
        if let Some(id) = self.stale_broker(now_ms) {
            return Some((id, Absence::Session));
        }
        let mut others = self.brokers.iter().filter(|(id, _)| **id != self.node_id);
        others.find_map(|(id, broker)| {
            let absence = broker.is_active().then(|| {
                let sighting = sight(*id, broker.epoch);
                self.absence(broker, sighting, now_ms)
            });
            Some((*id, absence??))
        })
    }

    fn absence(&self, broker: &Broker, sighting: Sighting, now_ms: i64) -> Option<Absence> {
        // A listener that this node never reached may be one that it can't reach.
        let answered_ms = sighting.answered_ms?;
        let contact_ms = broker.last_contact_ms.filter(|_| !broker.is_assumed);
        let heard_ms = contact_ms.max(sighting.fetched_ms);
        if let Some(refused_ms) = sighting.refused_since_ms {
            let is_after = |heard_ms| {
                // What it had sent before may have come late.
                heard_ms > refused_ms && now_ms.saturating_sub(heard_ms) < SILENCE_MIN_MS
            };
            if !heard_ms.is_some_and(is_after) {
                return Some(Absence::Refused);
            }
        }
        let is_trusted = !broker.is_assumed || !broker.has_led;
        let assumed_ms = broker.last_contact_ms.filter(|_| is_trusted);
        let last_ms = answered_ms
            .max(heard_ms.unwrap_or(i64::MIN))
            .max(assumed_ms.unwrap_or(i64::MIN))
            .max(self.held_up_until_ms);
        (now_ms.saturating_sub(last_ms) >= self.silence_ms()).then_some(Absence::Silent)
    }

    /// Who wants a longer session wants more patience.
    fn silence_ms(&self) -> i64 {
        (self.session_timeout_ms / SILENCE_OF_SESSION)
            .max(SILENCE_MIN_MS)
            .max(watch_interval_ms(self.brokers.len()).saturating_mul(3))
            .min(self.session_timeout_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::{BrokerRegistration, MetadataImage};

    /// Node 1 is active since 10,000 ms; broker 2, of epoch 7, is there too.
    fn heartbeats() -> Heartbeats {
        let mut heartbeats = Heartbeats::new(&MetadataImage::default(), 1, 9_000, 10_000);
        for (id, epoch) in [(1, 6), (2, 7)] {
            let broker = BrokerRegistration {
                id,
                epoch,
                incarnation_id: uuid::Uuid::nil(),
                listeners: Vec::new(),
                features: std::collections::BTreeMap::new(),
                rack: None,
                fenced: false,
                in_controlled_shutdown: false,
                directories: Vec::new(),
                cordoned_directories: None,
            };
            heartbeats.registration_changed(id, None, Some(&broker));
            heartbeats.assume(id, epoch, 10_000);
        }
        heartbeats.looked(10_000);
        heartbeats
    }

    /// Looks in time until `now_ms`.
    fn look(heartbeats: &mut Heartbeats, now_ms: i64) {
        while heartbeats.looked_ms < now_ms {
            heartbeats.looked((heartbeats.looked_ms + LOOK_INTERVAL_MS).min(now_ms));
        }
    }

    fn seen(
        answered_ms: impl Into<Option<i64>>,
        refused_since_ms: impl Into<Option<i64>>,
        fetched_ms: impl Into<Option<i64>>,
    ) -> Sighting {
        Sighting {
            answered_ms: answered_ms.into(),
            refused_since_ms: refused_since_ms.into(),
            fetched_ms: fetched_ms.into(),
        }
    }

    fn absent(heartbeats: &Heartbeats, now_ms: i64, sighting: Sighting) -> Option<Absence> {
        let found = heartbeats.absent_broker(now_ms, |_, epoch| {
            assert_eq!(epoch, 7, "nobody looks for the controller's own broker");
            sighting
        });
        found.map(|(_, absence)| absence)
    }

    #[test]
    fn a_broker_whose_listener_is_gone_is_gone_unless_it_is_heard_of() {
        let mut heartbeats = heartbeats();
        heartbeats.contact(2, 7, 12_000);
        look(&mut heartbeats, 12_100);
        let refused = seen(12_010, 12_100, 12_000);
        assert_eq!(absent(&heartbeats, 12_100, refused), Some(Absence::Refused));
        assert_eq!(absent(&heartbeats, 12_100, seen(None, 12_100, None)), None);
        // A heartbeat that was on its way does not save it for long.
        heartbeats.contact(2, 7, 12_101);
        assert_eq!(absent(&heartbeats, 12_300, refused), None);
        look(&mut heartbeats, 13_101);
        assert_eq!(absent(&heartbeats, 13_101, refused), Some(Absence::Refused));
        // One that fetches all the time is there.
        let fetching = seen(12_010, 12_100, 12_700);
        assert_eq!(absent(&heartbeats, 13_200, fetching), None);
    }

    #[test]
    fn a_broker_is_silent_only_if_nothing_at_all_is_heard_of_it() {
        let mut heartbeats = heartbeats();
        heartbeats.contact(2, 7, 12_000);
        look(&mut heartbeats, 14_000);
        let silent = Some(Absence::Silent);
        for (sighting, expected) in [
            (seen(12_400, None, 12_300), silent),
            (seen(12_501, None, 12_300), None),
            (seen(12_400, None, 12_501), None),
            (seen(None, None, 12_300), None),
            (seen(12_400, None, None), silent),
        ] {
            let found = absent(&heartbeats, 14_000, sighting);
            assert_eq!(found, expected, "{sighting:?}");
        }
        heartbeats.contact(2, 7, 12_600);
        assert_eq!(absent(&heartbeats, 14_000, seen(12_400, None, None)), None);
        assert_eq!(
            absent(&heartbeats, 14_100, seen(12_400, None, None)),
            silent
        );
    }

    #[test]
    fn a_longer_session_and_more_brokers_give_more_time() {
        let mut heartbeats = heartbeats();
        assert_eq!(heartbeats.silence_ms(), 1_500);
        heartbeats.session_timeout_ms = 30_000;
        assert_eq!(heartbeats.silence_ms(), 5_000);
        heartbeats.session_timeout_ms = 800;
        assert_eq!(heartbeats.silence_ms(), 800);
        assert_eq!((watch_interval_ms(3), watch_interval_ms(200)), (500, 2_000));
    }

    #[test]
    fn a_controller_that_was_held_up_accuses_nobody_for_it() {
        let mut heartbeats = heartbeats();
        heartbeats.contact(2, 7, 12_000);
        look(&mut heartbeats, 12_200);
        heartbeats.looked(15_000);
        let sighting = seen(12_100, None, 12_100);
        assert_eq!(absent(&heartbeats, 15_000, sighting), None);
        look(&mut heartbeats, 16_499);
        assert_eq!(absent(&heartbeats, 16_499, sighting), None);
        look(&mut heartbeats, 16_500);
        let silent = absent(&heartbeats, 16_500, sighting);
        assert_eq!(silent, Some(Absence::Silent));
    }

    #[test]
    fn a_new_controller_gives_all_some_time_but_the_one_that_led_before() {
        let mut heartbeats = heartbeats();
        look(&mut heartbeats, 10_200);
        let paused = seen(8_000, None, None);
        assert_eq!(absent(&heartbeats, 10_200, paused), None);
        let killed = seen(9_000, 9_050, None);
        assert_eq!(absent(&heartbeats, 10_200, killed), Some(Absence::Refused));
        heartbeats.held_up_until_ms = i64::MIN;
        heartbeats.led_before(2);
        assert_eq!(absent(&heartbeats, 10_200, paused), Some(Absence::Silent));
        assert_eq!(absent(&heartbeats, 10_200, seen(9_000, None, None)), None);
        heartbeats.contact(2, 7, 10_100);
        assert_eq!(absent(&heartbeats, 10_200, paused), None);
    }

    #[test]
    fn who_is_fenced_or_leaves_or_is_this_node_is_not_looked_for() {
        let mut heartbeats = heartbeats();
        assert_eq!(heartbeats.next_look_ms(), Some(10_200));
        heartbeats.controlled_shutdown(2, 50);
        assert_eq!(heartbeats.next_look_ms(), None);
        look(&mut heartbeats, 14_000);
        assert_eq!(
            absent(&heartbeats, 14_000, seen(11_000, 11_000, None)),
            None
        );
    }
}
