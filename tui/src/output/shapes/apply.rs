//! What `apply` and `topics export` print.

use std::fmt::Write as _;

use serde::Serialize;

use crate::ops::declared::{Compared, Difference, Drift, DriftState};
use crate::output::{Printable, Table};

use super::{DoneJson, PlanJson};

/// `apply`: each declared topic with what differs, and what was done about it.
#[derive(Clone, Debug, Serialize)]
pub struct ApplyJson {
    pub files: Vec<String>,
    /// Whether the cluster was as declared before anything was done.
    pub in_agreement: bool,
    pub new: usize,
    pub changed: usize,
    pub same: usize,
    pub deleted: usize,
    pub topics: Vec<DriftRow>,
    /// Topics that are there, are not declared and stay.
    pub undeclared: Vec<String>,
    /// Why it can't be made as declared; each with its place.
    pub obstacles: Vec<String>,
    pub dry_run: bool,
    /// `null` where nothing is to be done.
    pub plan: Option<PlanJson>,
    pub check: Option<crate::ops::Report>,
    pub report: Option<crate::ops::Report>,
    pub verification: Option<crate::ops::Verification>,
}

#[derive(Clone, Debug, Serialize)]
pub struct DriftRow {
    pub topic: String,
    pub state: DriftState,
    /// Where it is declared, as FILE:LINE.
    pub at: Option<String>,
    pub differences: Vec<Difference>,
    pub obstacles: Vec<String>,
}

impl From<&Drift> for DriftRow {
    fn from(drift: &Drift) -> Self {
        Self {
            topic: drift.topic.clone(),
            state: drift.state,
            at: drift.at.as_ref().map(ToString::to_string),
            differences: drift.differences.clone(),
            obstacles: drift.obstacles.clone(),
        }
    }
}

impl ApplyJson {
    /// What differs; nothing is done yet.
    pub fn new(compared: &Compared, plan: Option<PlanJson>) -> Self {
        Self {
            files: compared.files.clone(),
            in_agreement: compared.is_in_agreement(),
            new: compared.n(DriftState::New),
            changed: compared.n(DriftState::Changed),
            same: compared.n(DriftState::Same),
            deleted: compared.n(DriftState::Deleted),
            topics: compared.topics.iter().map(DriftRow::from).collect(),
            undeclared: compared.undeclared.clone(),
            obstacles: compared.obstacles().map(str::to_owned).collect(),
            dry_run: true,
            plan,
            check: None,
            report: None,
            verification: None,
        }
    }

    /// Takes in what was done.
    pub fn done(&mut self, done: DoneJson) {
        self.dry_run = done.dry_run;
        self.plan = Some(done.plan);
        self.check = done.check;
        self.report = done.report;
        self.verification = done.verification;
    }

    /// What differs, for people.
    pub fn differences(&self) -> String {
        let mut text = format!("{}\n", self.line());
        if self.topics.iter().any(|row| !row.differences.is_empty()) {
            let columns = ["STATE", "TOPIC", "WHAT", "NOW", "DECLARED", "FROM", "AT"];
            let mut table = Table::new(&columns);
            for row in &self.topics {
                for difference in &row.differences {
                    let or = |text: &Option<String>, none: &str| {
                        text.clone().unwrap_or_else(|| none.to_owned())
                    };
                    table.row([
                        row.state.as_str().to_owned(),
                        row.topic.clone(),
                        difference.what.clone(),
                        or(&difference.now, "-"),
                        or(&difference.declared, "(none)"),
                        or(&difference.source, "-"),
                        or(&row.at, "-"),
                    ]);
                }
            }
            text.push_str(&table.render());
        }
        for obstacle in &self.obstacles {
            let _ = writeln!(text, "can't be: {obstacle}");
        }
        if let Some(plan) = &self.plan {
            text.push_str(&plan.notes());
        }
        text
    }

    /// What was done, for people.
    pub fn outcome(&self) -> String {
        let Some(plan) = &self.plan else {
            return String::new();
        };
        let done = DoneJson {
            dry_run: self.dry_run,
            plan: plan.clone(),
            check: None,
            report: self.report.clone(),
            verification: self.verification.clone(),
            is_told: true,
        };
        done.outcome()
    }

    fn line(&self) -> String {
        let counted = [
            (self.new, "new"),
            (self.changed, "changed"),
            (self.deleted, "to be deleted"),
            (self.same, "as declared"),
        ];
        let counted = counted.iter().filter(|(n, _)| *n > 0);
        let mut parts: Vec<String> = counted.map(|(n, word)| format!("{n} {word}")).collect();
        if parts.is_empty() {
            parts.push("no topic is declared".to_owned());
        }
        if !self.undeclared.is_empty() {
            parts.push(format!(
                "{} not declared, left alone",
                self.undeclared.len()
            ));
        }
        format!("{}: {}", self.files.join(", "), parts.join(", "))
    }
}

impl Printable for ApplyJson {
    fn table(&self) -> String {
        format!("{}{}", self.differences(), self.outcome())
    }
}

/// `topics export` to files.
#[derive(Clone, Debug, Serialize)]
pub struct ExportedJson {
    pub topics: usize,
    pub files: Vec<String>,
}

impl Printable for ExportedJson {
    fn table(&self) -> String {
        let mut text = String::new();
        for file in &self.files {
            let _ = writeln!(text, "{file}");
        }
        let _ = writeln!(text, "{}", crate::units::counted(self.topics, "topic"));
        text
    }
}
