//! The answer to whether brokers may stop now.

use std::collections::BTreeSet;

use ratatui::style::Style;

use crate::derive::{self, Affected, MayStop};
use crate::ui::cx::Cx;
use crate::ui::dialogs::TextDialog;
use crate::ui::format;
use crate::ui::screen::Step;

/// Partitions that are named of each kind.
const NAMED: usize = 50;

/// Shows what would happen if these brokers stopped.
pub fn ask(brokers: &BTreeSet<i32>, cx: &Cx<'_>) -> Step {
    let check = derive::may_stop(cx.snapshot, brokers);
    let theme = cx.theme;
    let ids: Vec<i32> = brokers.iter().copied().collect();
    let who = match &ids[..] {
        [one] => format!("broker {one}"),
        _ => format!("brokers {}", format::ids(&ids)),
    };
    let (answer, style) = match check.may_stop {
        MayStop::Yes => ("yes, nothing would be missed", theme.good),
        MayStop::Unknown => ("not known", theme.warn),
        MayStop::No => ("no", theme.bad),
    };
    let mut lines: Vec<(String, Style)> = vec![(answer.to_owned(), style)];
    let mut add = |text: &str, style: Style| lines.push((format::clean(text).into_owned(), style));
    for reason in &check.reasons {
        add(&format!("! {reason}"), style);
    }
    for (what, affected) in [
        ("would have no replica in sync:", &check.offline),
        ("would be under min.insync.replicas:", &check.under_min_isr),
    ] {
        if affected.count > 0 {
            add(what, theme.dim);
            add(&names(affected), theme.text);
        }
    }
    for note in &check.notes {
        add(&format!("- {note}"), theme.text);
    }
    let copy: Vec<&str> = lines.iter().map(|(text, _)| text.as_str()).collect();
    let copy = copy.join("\n");
    let title = format!("may {who} stop now?");
    Step::Dialog(Box::new(TextDialog::new(title, lines, copy)))
}

fn names(affected: &Affected) -> String {
    let names = affected.partitions.iter().take(NAMED);
    let names: Vec<String> = names.map(ToString::to_string).collect();
    let more = match affected.count - names.len() {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    format!("  {}{more}", names.join(" "))
}
