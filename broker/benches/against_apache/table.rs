//! The figures of both brokers, their ratios, and the verdict.

use std::fmt;

/// One figure: less is better.
#[derive(Debug)]
struct Row {
    name: String,
    ours: f64,
    apache: f64,
    /// The best and the worst ratio of a single round.
    spread: (f64, f64),
    /// The ratio that a later step asks for.
    later: Option<f64>,
    /// Whether it counts for the verdict.
    is_judged: bool,
}

impl Row {
    fn ratio(&self) -> f64 {
        self.ours / self.apache
    }
}

#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Row>,
}

impl Table {
    /// Adds a figure that must not be worse than Apache Kafka's; rounds are `[ours, Apache's]`.
    pub fn add(&mut self, name: &str, rounds: &[[f64; 2]], later: Option<f64>) {
        self.push(name, rounds, later, true);
    }

    /// Adds a figure that explains others.
    pub fn add_unjudged(&mut self, name: &str, rounds: &[[f64; 2]]) {
        self.push(name, rounds, None, false);
    }

    fn push(&mut self, name: &str, rounds: &[[f64; 2]], later: Option<f64>, is_judged: bool) {
        let median = |which: usize| {
            let mut values: Vec<f64> = rounds.iter().map(|round| round[which]).collect();
            values.sort_by(f64::total_cmp);
            quantile(&values, 0.5)
        };
        let ratios = rounds.iter().map(|[ours, apache]| ours / apache);
        self.rows.push(Row {
            name: name.to_owned(),
            ours: median(0),
            apache: median(1),
            spread: (
                ratios.clone().fold(f64::INFINITY, f64::min),
                ratios.fold(f64::NEG_INFINITY, f64::max),
            ),
            later,
            is_judged,
        });
    }

    /// Whether no judged ratio is worse than Apache Kafka's. A ratio that is no number is worse.
    pub fn is_won(&self) -> bool {
        self.worse().next().is_none()
    }

    fn worse(&self) -> impl Iterator<Item = &Row> {
        let is_fine = |row: &&Row| row.ratio() <= 1.0;
        self.rows
            .iter()
            .filter(|r| r.is_judged)
            .filter(move |r| !is_fine(r))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<42}{:>10}{:>10}{:>8}   {:<15}{:>7}",
            "median of the rounds", "ours", "Apache", "ratio", "of a round", "later"
        )?;
        for row in &self.rows {
            let spread = format!("{:.3}–{:.3}", row.spread.0, row.spread.1);
            let later = row.later.map(|l| format!("{l:.3}")).unwrap_or_default();
            writeln!(
                f,
                "{:<42}{:>10.3}{:>10.3}{:>8.3}   {spread:<15}{later:>7}",
                row.name,
                row.ours,
                row.apache,
                row.ratio()
            )?;
        }
        let judged = self.rows.iter().filter(|row| row.is_judged).count();
        let worse: Vec<String> = (self.worse())
            .map(|row| format!("{} ({:.3})", row.name, row.ratio()))
            .collect();
        if worse.is_empty() {
            writeln!(
                f,
                "VERDICT: none of {judged} ratios is worse than Apache Kafka's"
            )
        } else {
            writeln!(
                f,
                "VERDICT: worse than Apache Kafka in {}",
                worse.join("; ")
            )
        }
    }
}

/// The value below which `share` of the sorted values lie; not a number where there are none.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let index = (last as f64 * share).round() as usize;
    sorted.get(index).copied().unwrap_or(f64::NAN)
}
