//! A whole topic in pages: for what is written to a file or to another topic.
//!
//! Invariant: no more is held than a page and what the merge of the partitions needs.

use crate::model::{Fault, FaultKind, Message, ReadReport, ReadStop};

use super::super::wire::ClusterClient;
use super::scan::Scan;
use super::{ReadMessages, report};

/// Messages of one page.
const PAGE_MESSAGES: usize = 2_000;

/// Bytes received for one page, about.
const PAGE_BYTES: u64 = 4 * 1024 * 1024;

/// A read in pages, from a place up to the ends of its start.
pub struct Pages<'a> {
    scan: Scan<'a>,
    what: String,
    /// Messages that may still be handed out.
    left: usize,
    handed_out: u64,
    stop: Option<ReadStop>,
    failed: Vec<(i32, String)>,
}

impl std::fmt::Debug for Pages<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pages")
            .field("what", &self.what)
            .finish_non_exhaustive()
    }
}

impl ClusterClient {
    /// Begins to read in pages. Of the limits the number of messages counts.
    ///
    /// # Errors
    /// `NotFound` for an unknown topic or partition.
    pub async fn pages(&self, read: &ReadMessages) -> Result<Pages<'_>, Fault> {
        let what = format!("read messages of topic \"{}\"", read.topic);
        let (topic, partitions) = self
            .topic_to_read(&what, &read.topic, read.partitions.as_deref())
            .await?;
        let plan = self.read_plan(&what, &topic, &partitions, read).await?;
        let mut choice = read.choice();
        choice.decodes = choice.filter.is_some();
        let mut scan = Scan::new(self, &topic, &plan.ranges, choice);
        scan.finishes = false;
        Ok(Pages {
            scan,
            what,
            left: read.limits.messages,
            handed_out: 0,
            stop: None,
            failed: plan.failed.into_iter().collect(),
        })
    }
}

impl Pages<'_> {
    /// The next messages; `None` when there are no more.
    ///
    /// # Errors
    /// A partition that can't be read: what is missing of a copy has to be known.
    pub async fn next(&mut self) -> Result<Option<Vec<Message>>, Fault> {
        let mut page = Vec::new();
        while page.is_empty() && self.stop.is_none() {
            if self.left == 0 {
                self.stop = Some(ReadStop::MessageLimit);
                break;
            }
            let want = self.left.min(PAGE_MESSAGES);
            let bytes_max = self.scan.counts.bytes.saturating_add(PAGE_BYTES);
            let stop = self.scan.run(&mut page, want, bytes_max, i64::MAX).await;
            if stop == ReadStop::End {
                self.stop = Some(stop);
            }
            let failed = self.failed.iter().cloned();
            let mut failed = failed.chain(self.scan.failed.clone());
            if let Some((id, why)) = failed.next() {
                let why = format!("partition {id}: {why}");
                return Err(Fault::new(FaultKind::Failed, &self.what, why));
            }
        }
        self.left -= page.len();
        self.handed_out += page.len() as u64;
        Ok(Some(page).filter(|page| !page.is_empty()))
    }

    /// How much was read so far.
    pub fn report(&self) -> ReadReport {
        let stop = self.stop.unwrap_or(ReadStop::MessageLimit);
        let failed = self.scan.failed.clone();
        let position = self.scan.position();
        let mut report = report(&self.scan.counts, stop, position, failed);
        report.messages = self.handed_out;
        report
    }
}
