//! Random histories of a log against a list of batches.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Append { records: usize, size: usize },
    Roll,
    TruncateTo(u8),
    RaiseStart(u8),
    Retain,
    Flush,
    Reopen,
    Crash,
    Restart(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (1usize..4, 0usize..300).prop_map(|(records, size)| Step::Append { records, size }),
        1 => Just(Step::Roll),
        1 => any::<u8>().prop_map(Step::TruncateTo),
        1 => any::<u8>().prop_map(Step::RaiseStart),
        1 => Just(Step::Retain),
        1 => Just(Step::Flush),
        1 => Just(Step::Reopen),
        1 => Just(Step::Crash),
        1 => (0u8..20).prop_map(Step::Restart),
    ]
}

/// What the log should hold: batches as (base offset, values), in order.
#[derive(Debug, Default)]
struct Model {
    batches: Vec<(i64, Vec<String>)>,
    start: i64,
    end: i64,
}

impl Model {
    fn truncate(&mut self, offset: i64) {
        self.batches
            .retain(|(base, values)| base + values.len() as i64 <= offset);
        self.end = offset;
        self.start = self.start.min(offset);
    }

    /// The start of the batch that holds `offset`; leaders and followers part at batches.
    fn batch_start(&self, offset: i64) -> i64 {
        let bases = self.batches.iter().map(|(base, _)| *base);
        bases
            .take_while(|base| *base <= offset)
            .last()
            .unwrap_or(self.end)
    }

    fn records_from(&self, offset: i64) -> Vec<(i64, String)> {
        let all = self
            .batches
            .iter()
            .flat_map(|(base, values)| (*base..).zip(values.iter().cloned()));
        all.filter(|(at, _)| *at >= offset).collect()
    }
}

struct Run {
    fixture: Fixture,
    log: Arc<Log>,
    model: Model,
    time: i64,
}

impl Run {
    fn apply(&mut self, step: &Step) {
        match step {
            Step::Append { records, size } => self.append(*records, *size),
            Step::Roll => self.log.roll(None).unwrap(),
            Step::TruncateTo(part) => {
                let offset = self.model.batch_start(self.part_of_range(*part));
                self.log.truncate_to(offset).unwrap();
                if offset < self.model.end {
                    self.model.truncate(offset);
                }
            }
            Step::RaiseStart(part) => {
                let offset = self.part_of_range(*part);
                self.log.maybe_increment_log_start_offset(offset).unwrap();
                self.model.start = self.model.start.max(offset);
            }
            Step::Retain => {
                self.log.delete_old_segments().unwrap();
            }
            Step::Flush => self.log.flush(false).unwrap(),
            Step::Reopen => {
                self.log.close().unwrap();
                self.reopen(true);
            }
            Step::Crash => self.reopen(false),
            Step::Restart(ahead) => {
                let offset = self.model.end + i64::from(*ahead);
                self.log.truncate_fully_and_start_at(offset, None).unwrap();
                self.model = Model {
                    batches: Vec::new(),
                    start: offset,
                    end: offset,
                };
            }
        }
        self.log.update_high_watermark(self.model.end);
    }

    fn append(&mut self, records: usize, size: usize) {
        let values: Vec<String> = (0..records)
            .map(|i| format!("{}-{i}-{}", self.model.end, "x".repeat(size)))
            .collect();
        let refs: Vec<&str> = values.iter().map(String::as_str).collect();
        self.time += (size as i64 % 7) - 2;
        let info = append(&self.log, &batch_at(self.time, &refs));
        assert_eq!(info.first_offset, self.model.end);
        self.model.batches.push((self.model.end, values));
        self.model.end += records as i64;
    }

    fn part_of_range(&self, part: u8) -> i64 {
        self.model.start + (self.model.end - self.model.start) * i64::from(part) / 255
    }

    fn reopen(&mut self, clean: bool) {
        // Without a flush the files are complete all the same: only the process died.
        let options = LogOpenOptions {
            topic_id: None,
            log_start_offset: self.model.start,
            recovery_point: self.log.recovery_point(),
            clean,
        };
        self.log = self.fixture.open_with(options).unwrap();
    }

    fn check(&self) {
        let (log, model) = (&self.log, &self.model);
        assert_eq!(
            (log.log_start_offset(), log.log_end_offset()),
            (model.start, model.end)
        );
        assert!(log.recovery_point() <= model.end);
        assert_eq!(read_all(log), model.records_from(model.start));
        let middle = self.part_of_range(100);
        assert_eq!(read_from(log, middle, 150), model.records_from(middle));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_log_holds_what_the_model_holds(steps in prop::collection::vec(step(), 1..40)) {
        let fixture = Fixture::with(|config| {
            config.segment_bytes = 1200;
            config.index_interval_bytes = 300;
            config.retention_bytes = -1;
        });
        let log = fixture.open_clean();
        let mut run = Run { fixture, log, model: Model::default(), time: NOW_MS };
        for step in &steps {
            run.apply(step);
            run.check();
        }
    }
}
