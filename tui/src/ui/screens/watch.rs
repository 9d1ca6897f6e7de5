//! A job that looks for a screen again and again, from when the screen is opened until it is left.
//!
//! Invariant: one looks at a time, and what an older one finds is nobody's.

use crate::ui::cx::Cx;
use crate::ui::event::{Answer, Effect, JobId};
use crate::ui::screen::Step;

#[derive(Debug, Default)]
pub struct Watch(Option<JobId>);

impl Watch {
    /// Begins to look, in the place of who has looked before.
    pub fn begin(&mut self, cx: &Cx<'_>, effect: impl FnOnce(JobId) -> Effect) -> Vec<Step> {
        let job = cx.new_job();
        let before = self.0.replace(job).map(Effect::Cancel);
        let effects = before.into_iter().chain([effect(job)]);
        effects.map(Step::Effect).collect()
    }

    /// The jobs that end with the screen.
    pub fn end(&mut self) -> Vec<JobId> {
        self.0.take().into_iter().collect()
    }

    /// What was found, where the answer is this job's.
    pub fn found(&self, job: JobId, answer: &mut Option<Answer>) -> Option<Answer> {
        answer.take_if(|_| self.0 == Some(job))
    }
}
