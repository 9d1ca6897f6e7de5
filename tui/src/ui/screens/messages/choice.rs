//! What is read of a topic and how: filter, partitions, decoders, transactions.

use crate::cluster::Isolation;
use crate::decode::{Decoder, MessageFilter};
use crate::ui::command::Id;
use crate::ui::format;
use crate::ui::screen::Step;
use crate::ui::widgets::form::{Field, Form, Wrong};

/// Stands between the fields of the form when they are handed over as one text.
const SEPARATOR: char = '\u{1f}';

const ISOLATIONS: &[&str] = &["all, marked", "committed only"];
const CONTROLS: &[&str] = &["hidden", "shown"];
const DECODERS: [&str; Decoder::ALL.len()] = {
    let mut names = [""; Decoder::ALL.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = Decoder::ALL[at].name();
        at += 1;
    }
    names
};

/// What was chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Choice {
    pub filter: Option<MessageFilter>,
    /// `None`: all.
    pub partitions: Option<Vec<i32>>,
    pub decoders: (Decoder, Decoder),
    pub isolation: Isolation,
    pub control: bool,
}

impl Choice {
    pub(super) fn form(&self) -> Form {
        let filter = self.filter.as_ref().map_or("", MessageFilter::text);
        let partitions = self.partitions.as_deref().map(format::ids);
        let at = |decoder: Decoder| {
            let place = Decoder::ALL.iter().position(|other| *other == decoder);
            place.unwrap_or(0)
        };
        let fields = vec![
            Field::text(
                "filter",
                filter,
                "value.user.id == 7 and not header.src ~ test",
            ),
            Field::text(
                "partitions",
                &partitions.unwrap_or_default(),
                "0,2; empty: all",
            ),
            Field::choice("key as", &DECODERS, at(self.decoders.0)),
            Field::choice("value as", &DECODERS, at(self.decoders.1)),
            Field::choice("transactions", ISOLATIONS, self.isolation as usize),
            Field::choice("markers", CONTROLS, usize::from(self.control)),
        ];
        let before = self.clone();
        Form::new("what to read", fields, move |values, cx| {
            let parts: Vec<&str> = (0..6).map(|field| values.get(field)).collect();
            let text = parts.join(&SEPARATOR.to_string());
            before.with(&text, cx.now.wall_ms)?;
            Ok(vec![Step::Close, Step::Run(Id::Find, text)])
        })
    }

    /// The choice after `text`: a filter alone, or all fields of the form.
    pub(super) fn with(&self, text: &str, now_ms: i64) -> Result<Self, Wrong> {
        let mut fields = text.split(SEPARATOR);
        let filter = fields.next().unwrap_or_default().trim();
        let mut choice = self.clone();
        choice.filter = match filter {
            "" => None,
            filter => {
                let time = |text: &str| format::parse_time(text, now_ms);
                let filter = MessageFilter::parse(filter, &time);
                Some(filter.map_err(|why| Wrong::new(0, why))?)
            }
        };
        let rest: Vec<&str> = fields.collect();
        let [partitions, key, value, isolation, control] = rest[..] else {
            return Ok(choice);
        };
        choice.partitions = match partitions.trim() {
            "" => None,
            text => {
                let ids = text.split(',').map(|id| id.trim().parse::<i32>());
                let ids: Result<Vec<i32>, _> = ids.collect();
                let why = || format!("\"{text}\" are no partitions: 0,2");
                Some(ids.map_err(|_| Wrong::new(1, why()))?)
            }
        };
        let decoder = |field, text: &str| text.parse().map_err(|why| Wrong::new(field, why));
        choice.decoders = (decoder(2, key)?, decoder(3, value)?);
        choice.isolation = match isolation == ISOLATIONS[1] {
            true => Isolation::ReadCommitted,
            false => Isolation::ReadUncommitted,
        };
        choice.control = control == CONTROLS[1];
        Ok(choice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_alone_leaves_the_rest_as_it_is() {
        let all = [
            "size > 3",
            "0, 2",
            "long",
            "json",
            ISOLATIONS[1],
            CONTROLS[1],
        ];
        let choice = Choice::default().with(&all.join("\u{1f}"), 0).unwrap();
        assert_eq!(choice.partitions, Some(vec![0, 2]));
        assert_eq!(choice.decoders, (Decoder::Long, Decoder::Json));
        assert_eq!(choice.isolation, Isolation::ReadCommitted);
        assert!(choice.control && choice.filter.is_some());
        let later = choice.with("offset > 5", 0).unwrap();
        assert_eq!(later.decoders, choice.decoders);
        assert_eq!(later.filter.unwrap().text(), "offset > 5");
        let wrong = |text: &str| Choice::default().with(text, 0).is_err();
        assert!(wrong("size > x") && wrong("\u{1f}a\u{1f}auto\u{1f}auto\u{1f}\u{1f}"));
    }
}
