//! Scripts of batches against the producers' state.

use super::*;

const ID: i64 = 42;

fn tp() -> TopicPartition {
    TopicPartition::new("t", 0)
}

fn header(epoch: i16, sequence: i32, count: i32, base_offset: i64) -> BatchHeader {
    let mut builder = kafka_shared::record::builder::BatchBuilder::new();
    builder.append(0, None, None, &[]).unwrap();
    let mut header = BatchHeader::parse(&builder.build()).unwrap();
    header.producer_id = ID;
    header.producer_epoch = epoch;
    header.base_sequence = sequence;
    header.last_offset_delta = count - 1;
    header.base_offset = base_offset;
    header
}

/// What a batch leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Appended,
    /// Already there, at this offset.
    Duplicate(i64),
    OutOfOrder,
    Fenced,
}
use Answer::{Appended, Duplicate, Fenced, OutOfOrder};

struct Script {
    states: ProducerStates,
    next_offset: i64,
}

impl Script {
    fn new() -> Self {
        Self {
            states: ProducerStates::default(),
            next_offset: 0,
        }
    }

    /// As the log does it: duplicates first, then the checks, then the update.
    fn append(&mut self, origin: AppendOrigin, epoch: i16, sequence: i32, count: i32) -> Answer {
        let header = header(epoch, sequence, count, self.next_offset);
        if let Some(first) = self
            .states
            .get(ID)
            .and_then(|entry| entry.find_duplicate(&header))
            && origin == AppendOrigin::Client
        {
            return Duplicate(first.first_offset());
        }
        let mut append = self.states.prepare(ID, origin);
        let place = LogOffsetMetadata::offset_only(self.next_offset);
        match append.append_data(&header, place, &tp()) {
            Ok(()) => {
                self.states.update(&append);
                self.next_offset += i64::from(count);
                Appended
            }
            Err(error) if error.code() == ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER => OutOfOrder,
            Err(error) => {
                assert_eq!(error.code(), ErrorCode::INVALID_PRODUCER_EPOCH);
                Fenced
            }
        }
    }
}

#[test]
fn sequences_are_checked_as_kafka_checks_them() {
    const MAX: i32 = i32::MAX;
    // Each script: (epoch, first sequence, records) → answer.
    type Step = ((i16, i32, i32), Answer);
    let scripts: &[(&str, &[Step])] = &[
        (
            "in order",
            &[
                ((0, 0, 3), Appended),
                ((0, 3, 1), Appended),
                ((0, 4, 2), Appended),
            ],
        ),
        (
            "a gap",
            &[
                ((0, 0, 3), Appended),
                ((0, 4, 1), OutOfOrder),
                ((0, 3, 1), Appended),
            ],
        ),
        (
            "an unknown producer may begin anywhere",
            &[((5, 17, 1), Appended), ((5, 18, 1), Appended)],
        ),
        (
            "five batches are remembered, the sixth back is not",
            &[
                ((0, 0, 1), Appended),
                ((0, 1, 2), Appended),
                ((0, 3, 1), Appended),
                ((0, 4, 1), Appended),
                ((0, 5, 1), Appended),
                ((0, 6, 1), Appended),
                ((0, 6, 1), Duplicate(6)),
                ((0, 1, 2), Duplicate(1)),
                ((0, 0, 1), OutOfOrder),
                ((0, 1, 1), OutOfOrder),
                ((0, 7, 1), Appended),
                ((0, 1, 2), OutOfOrder),
            ],
        ),
        (
            "sequences wrap to zero",
            &[
                ((0, MAX - 1, 2), Appended),
                ((0, 0, 1), Appended),
                ((0, MAX - 1, 2), Duplicate(0)),
                ((0, 1, 1), Appended),
            ],
        ),
        (
            "a batch that wraps inside",
            &[
                ((0, MAX - 1, 5), Appended),
                ((0, MAX - 1, 5), Duplicate(0)),
                ((0, 3, 1), Appended),
                ((0, 0, 1), OutOfOrder),
            ],
        ),
        (
            "a new epoch begins at zero",
            &[
                ((0, 0, 2), Appended),
                ((1, 2, 1), OutOfOrder),
                ((1, 0, 1), Appended),
                ((0, 2, 1), Fenced),
                ((1, 0, 1), Duplicate(2)),
                ((1, 1, 1), Appended),
            ],
        ),
        (
            "an old epoch is fenced also for what it wrote",
            &[((3, 0, 1), Appended), ((2, 0, 1), Fenced)],
        ),
        (
            "the same sequences in another epoch",
            &[((0, 0, 1), Appended), ((1, 0, 1), Appended)],
        ),
    ];
    for (what, script) in scripts {
        let mut run = Script::new();
        for (step, ((epoch, sequence, count), expected)) in script.iter().enumerate() {
            let answer = run.append(AppendOrigin::Client, *epoch, *sequence, *count);
            assert_eq!(answer, *expected, "{what}, step {step}");
        }
    }
}

#[test]
fn replicated_batches_are_taken_as_they_come() {
    let mut run = Script::new();
    for (epoch, sequence) in [(3, 7), (3, 9), (2, 0), (3, 0)] {
        assert_eq!(
            run.append(AppendOrigin::Replication, epoch, sequence, 1),
            Appended
        );
    }
}

#[test]
fn after_its_records_are_gone_a_known_producer_still_has_to_continue_its_sequence() {
    let mut run = Script::new();
    run.append(AppendOrigin::Client, 1, 0, 2);
    let bytes = super::super::producer_snapshot::encode(&run.states);
    let mut restored = ProducerStates::default();
    super::super::producer_snapshot::decode(&bytes)
        .unwrap()
        .into_iter()
        .for_each(|entry| restored.load(entry));
    run.states = restored;
    assert_eq!(run.append(AppendOrigin::Client, 1, 0, 2), Duplicate(0));
    assert_eq!(run.append(AppendOrigin::Client, 1, 3, 1), OutOfOrder);
    assert_eq!(run.append(AppendOrigin::Client, 1, 2, 1), Appended);
}

#[test]
fn a_producer_that_was_silent_for_too_long_is_forgotten_unless_its_transaction_is_open() {
    let mut run = Script::new();
    run.append(AppendOrigin::Client, 0, 0, 1);
    let mut open = ProducerStateEntry::new(7);
    open.current_txn_first_offset = Some(0);
    open.last_timestamp = 0;
    run.states.load(open);
    run.states.remove_expired(999, 1000);
    assert_eq!(run.states.iter().len(), 2);
    run.states.remove_expired(1000, 1000);
    assert_eq!(
        run.states
            .iter()
            .map(|entry| entry.producer_id)
            .collect::<Vec<_>>(),
        [7]
    );
    assert_eq!(run.append(AppendOrigin::Client, 0, 17, 1), Appended);
}

#[test]
fn a_verified_producer_without_state_begins_at_zero_or_where_it_was_first_seen() {
    let mut run = Script::new();
    run.states.start_verification(ID, 3, 0, true, 0).unwrap();
    assert_eq!(
        run.append(AppendOrigin::Client, 0, 3, 1),
        OutOfOrder,
        "version 2 begins at zero"
    );
    let mut run = Script::new();
    let first = run.states.start_verification(ID, 5, 0, false, 0).unwrap();
    let again = run.states.start_verification(ID, 3, 0, false, 0).unwrap();
    assert_eq!(first, again);
    assert_ne!(first, VerificationGuard::SENTINEL);
    assert_eq!(
        run.append(AppendOrigin::Client, 0, 5, 1),
        OutOfOrder,
        "3 was seen before"
    );
    assert_eq!(run.append(AppendOrigin::Client, 0, 3, 1), Appended);
}

#[test]
fn the_first_unstable_offset_is_that_of_the_oldest_transaction() {
    let mut states = ProducerStates::default();
    for (id, first) in [(1, 30), (2, 10), (3, 20)] {
        let mut entry = ProducerStateEntry::new(id);
        entry.current_txn_first_offset = Some(first);
        states.load(entry);
    }
    let unstable =
        |states: &ProducerStates| states.first_unstable_offset().map(|o| o.message_offset);
    assert_eq!(unstable(&states), Some(10));
    let completed = |producer_id, first_offset, last_offset| CompletedTransaction {
        producer_id,
        first_offset,
        last_offset,
        is_aborted: false,
    };
    assert_eq!(states.last_stable_offset(&completed(2, 10, 40)), 20);
    assert_eq!(states.last_stable_offset(&completed(1, 30, 40)), 10);
    states.complete(&completed(2, 10, 40));
    assert_eq!(
        unstable(&states),
        Some(10),
        "until the marker is replicated"
    );
    states.forget_decided_below(40);
    assert_eq!(
        unstable(&states),
        Some(10),
        "the marker itself is not replicated"
    );
    states.forget_decided_below(41);
    assert_eq!(unstable(&states), Some(20));
    states.complete(&completed(3, 20, 41));
    states.complete(&completed(1, 30, 42));
    states.forget_decided_below(43);
    assert_eq!(unstable(&states), None);
}
