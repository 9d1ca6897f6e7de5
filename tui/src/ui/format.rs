//! Numbers, sizes, times and foreign text as the screens show them.
//!
//! Invariant: text that comes from a cluster (names, keys, values, error messages) reaches the
//! terminal through [`clean`] only: no escape sequence, no control or direction character.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::derive::Total;
use crate::model::{Happening, Subject};

pub use crate::times::{clock_ms, parse_time, time_zone, timestamp_ms};
pub use crate::units::bytes;
use crate::units::significant;

/// What stands for an unknown value.
pub const UNKNOWN: &str = "…";
/// What stands for a value that does not exist.
pub const NONE: &str = "-";

/// Cells of a name in the line that tells what became of it.
const TOLD_NAME_MAX: usize = 40;

/// A whole number with thousands apart: `1,234,567`.
pub fn count(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if n < 0 {
        text.push('-');
    }
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Records a second: `0.50/s`, `12.3/s`, `4,567/s`.
pub fn rate(per_second: f64) -> String {
    if per_second >= 1000.0 {
        format!("{}/s", count(per_second.round() as i64))
    } else if per_second == 0.0 {
        "0/s".to_owned()
    } else {
        format!("{}/s", significant(per_second))
    }
}

/// Columns in which every age has room: no text of [`duration_ms`] is longer.
pub const AGE_WIDTH: u16 = 8;

/// A length of time in its two largest units: `12s`, `3m 5s`, `2h 10m`, `4d 3h`, `3y 7d`. What is
/// not negative fits into [`AGE_WIDTH`].
pub fn duration_ms(ms: i64) -> String {
    const DAY_S: u64 = 86_400;
    const YEAR_S: u64 = 365 * DAY_S;
    let s = ms.unsigned_abs() / 1000;
    match s {
        _ if ms < 0 => {
            let positive = ms.checked_neg().unwrap_or(i64::MAX);
            format!("-{}", duration_ms(positive))
        }
        0 => format!("{ms}ms"),
        1..60 => format!("{s}s"),
        60..3600 => format!("{}m {}s", s / 60, s % 60),
        3600..DAY_S => format!("{}h {}m", s / 3600, s % 3600 / 60),
        _ if s / DAY_S < 1_000 => format!("{}d {}h", s / DAY_S, s % DAY_S / 3600),
        _ if s / YEAR_S < 100 => format!("{}y {}d", s / YEAR_S, s % YEAR_S / DAY_S),
        _ if s / YEAR_S < 10_000 => format!("{}y", s / YEAR_S),
        _ => ">9999y".to_owned(),
    }
}

/// Ids as Kafka's tools print them: `1,2,3`.
pub fn ids(ids: &[i32]) -> String {
    ids.iter().map(i32::to_string).collect::<Vec<_>>().join(",")
}

/// Text that can't move the cursor, change colours, reverse direction or hide.
pub fn clean(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => safe.push(' '),
            '\n' => safe.push('⏎'),
            '\r' => {}
            c if is_plain(c) => safe.push(c),
            _ => safe.push('·'),
        }
    }
    Cow::Owned(safe)
}

fn is_plain(c: char) -> bool {
    let hidden = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    !c.is_control() && !hidden
}

/// A description as brokers send it, which may be a piece of a web page, as plain text.
pub fn without_tags(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('<') {
        plain.push_str(before);
        let is_tag = after.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
        match after.split_once('>').filter(|_| is_tag) {
            Some((tag, after)) => {
                // What stood below each other stays apart.
                if !matches!(tag.trim_start_matches('/'), "code" | "b" | "i" | "em") {
                    let is_link = tag.starts_with("a ") || tag == "/a";
                    plain.push_str(if is_link { "" } else { " " });
                }
                rest = after;
            }
            None => {
                plain.push('<');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    plain
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

/// Bytes as text where they are UTF-8, else as hexadecimal; at most `max` characters.
pub fn payload(bytes: &[u8], max: usize) -> String {
    // A character has at most four bytes: no more of a large value is looked at.
    let head = bytes.get(..max.saturating_mul(4)).unwrap_or(bytes);
    let valid = match std::str::from_utf8(head) {
        Ok(text) => Some(text),
        // The cut may have split the last character.
        Err(e) if head.len() < bytes.len() && e.valid_up_to() + 4 > head.len() => head
            .get(..e.valid_up_to())
            .and_then(|h| std::str::from_utf8(h).ok()),
        Err(_) => None,
    };
    let text = match valid {
        Some(text) => clean(text).into_owned(),
        None => {
            let hex: String = head
                .iter()
                .take(max / 2)
                .map(|b| format!("{b:02x}"))
                .collect();
            format!("0x{hex}")
        }
    };
    cut(&text, max)
}

/// As much as fits into `max` cells of the screen, the last of them an ellipsis where something is
/// missing.
pub fn cut(text: &str, max: usize) -> String {
    if text.width() <= max {
        return text.to_owned();
    }
    let mut short = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > max {
            break;
        }
        short.push(c);
    }
    if max > 0 {
        short.push('…');
    }
    short
}

/// The same for a name: where it ends with the number of a partition, the number stays.
pub fn cut_name(name: &str, max: usize) -> String {
    let number = name.rsplit_once('-').map_or("", |(_, number)| number);
    let is_number = (1..=7).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
    let tail = number.len() + 1;
    // Of the name itself something has to be left.
    if name.width() <= max || !is_number || max < tail + 3 {
        return cut(name, max);
    }
    let (head, tail) = name.split_at(name.len() - tail);
    // Longer than its room by what the number takes, so it ends with an ellipsis.
    format!("{}{tail}", cut(head, max - tail.width()))
}

/// What happened, in a line: of a very long name as much as leaves room for what became of it.
pub fn happening(happening: &Happening) -> String {
    let text = clean(&happening.text);
    match &happening.subject {
        Subject::Topic(name) | Subject::Group(name) if name.width() > TOLD_NAME_MAX => {
            let name = clean(name);
            text.replacen(&*name, &cut_name(&name, TOLD_NAME_MAX), 1)
        }
        _ => text.into_owned(),
    }
}

/// A sum: the number when it is whole, `≥` in front when parts are missing, `…` when nothing is
/// known.
pub fn total<T: Copy + Default + std::ops::AddAssign>(
    total: &Total<T>,
    show: impl Fn(T) -> String,
) -> String {
    match (total.complete(), total.partial()) {
        (Some(whole), _) => show(whole),
        (None, Some(part)) => format!("≥{}", show(part)),
        (None, None) => UNKNOWN.to_owned(),
    }
}

/// `1 topic`, `2 topics`.
pub fn plural(n: usize, noun: &str) -> String {
    let number = count(n as i64);
    if n == 1 {
        format!("{number} {noun}")
    } else {
        format!("{number} {noun}s")
    }
}

/// How many cells a character takes at most, whatever stands before it.
fn cells(c: char) -> usize {
    match c {
        // It can make the character before it twice as wide.
        '\u{fe0f}' => 1,
        c => c.width().unwrap_or(1),
    }
}

/// Breaks a text into lines of at most `width` cells, at spaces where there are any. Takes time in
/// proportion to the text, also where it has no space: a message may be one word of megabytes.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        let mut used = 0;
        let mut is_empty = true;
        for word in paragraph.split(' ') {
            let mut word = word;
            let mut left: usize = word.chars().map(cells).sum();
            if !is_empty && used + 1 + left > width {
                lines.push(std::mem::take(&mut line));
                used = 0;
                is_empty = true;
            }
            // Blanks at the beginning are kept: they are indents.
            if !is_empty {
                line.push(' ');
                used += 1;
            }
            while left > width {
                let mut taken = 0;
                let mut end = 0;
                for c in word.chars() {
                    // The first one is taken also where it is too wide: else it never ended.
                    if end > 0 && taken + cells(c) > width {
                        break;
                    }
                    taken += cells(c);
                    end += c.len_utf8();
                }
                let (head, tail) = word.split_at(end);
                lines.push(head.to_owned());
                left -= taken;
                word = tail;
            }
            line.push_str(word);
            used += left;
            is_empty = false;
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Taken, Weight};

    #[test]
    fn descriptions_lose_their_tags_and_nothing_else() {
        for (text, plain) in [
            (
                "enable <a href=\"#compaction\">log compaction</a>, which",
                "enable log compaction, which",
            ),
            ("set <code>a&lt;b</code> here", "set a<b here"),
            ("one<ul><li>two</li></ul>three", "one  two  three"),
            ("a < b and c > d", "a < b and c > d"),
            ("cut <a", "cut <a"),
            ("", ""),
        ] {
            assert_eq!(without_tags(text), plain);
        }
    }

    #[test]
    fn numbers_keep_their_magnitude_readable() {
        let counts = [0, 7, 999, 1000, -1234, 1_234_567].map(count);
        assert_eq!(counts, ["0", "7", "999", "1,000", "-1,234", "1,234,567"]);
        let sizes = [0, 999, 1023, 1024, 1_500_000, i64::MAX].map(bytes);
        assert_eq!(
            sizes,
            [
                "0 B", "999 B", "1.00 KiB", "1.00 KiB", "1.43 MiB", "8192 PiB"
            ]
        );
        assert_eq!(
            [0.0, 0.5, 12.34, 4567.8].map(rate),
            ["0/s", "0.50/s", "12.3/s", "4,568/s"]
        );
        let times = [5, 12_000, 185_000, 7_800_000, 356_400_000].map(duration_ms);
        assert_eq!(times, ["5ms", "12s", "3m 5s", "2h 10m", "4d 3h"]);
        let day_ms = 86_400_000;
        let long = [999 * day_ms, 1_102 * day_ms, 365_000 * day_ms, i64::MAX];
        let long = long.map(duration_ms);
        assert_eq!(long, ["999d 0h", "3y 7d", "1000y", ">9999y"]);
        assert_eq!([-5_000, i64::MIN].map(duration_ms), ["-5s", "->9999y"]);
    }

    #[test]
    fn foreign_text_cannot_speak_to_the_terminal() {
        assert_eq!(clean("orders"), "orders");
        assert_eq!(
            clean("\u{1b}]52;c;x\u{7}a\u{202e}b\u{200b}\tc\r\nd"),
            "·]52;c;x·a·b· c⏎d"
        );
        assert_eq!(payload(b"\x1b[2J", 40), "·[2J");
        assert_eq!(payload(&[0xff, 0x00, 0x1b], 40), "0xff001b");
        assert_eq!(payload("äöü".as_bytes(), 2), "ä…");
    }

    #[test]
    fn long_texts_break_at_spaces_and_keep_their_indents() {
        assert_eq!(wrap("to be or not to be", 9), ["to be or", "not to be"]);
        assert_eq!(wrap("  \"a\": 1,\n}", 20), ["  \"a\": 1,", "}"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrap("äöü 語語", 3), ["äöü", "語", "語"]);
        assert_eq!(wrap("", 5), [""]);
        assert_eq!(
            wrap("語語", 1),
            ["語", "語", ""],
            "wider than there is room"
        );
    }

    #[test]
    fn a_word_of_megabytes_breaks_in_no_time() {
        let lines = wrap(&"v".repeat(4_000_000), 80);
        assert_eq!(lines.len(), 50_000);
        assert!(lines.iter().all(|line| line.len() == 80));
    }

    #[test]
    fn the_number_of_a_partition_outlives_its_topics_name() {
        for (name, max, shown) in [
            ("stranded-topic-12", 17, "stranded-topic-12"),
            ("stranded-topic-12", 12, "stranded…-12"),
            ("stranded-topic-12", 8, "stra…-12"),
            ("stranded-topic-12", 5, "stra…"),
            ("a-topic-of-20261121", 12, "a-topic-of-…"),
            ("no-number", 6, "no-nu…"),
            ("plain", 3, "pl…"),
        ] {
            assert_eq!(cut_name(name, max), shown);
        }
    }

    #[test]
    fn of_a_very_long_name_what_became_of_it_is_left() {
        let told = |name: &str| {
            let told = Happening {
                at: Taken::default(),
                after: None,
                weight: Weight::Info,
                subject: Subject::Topic(name.into()),
                text: format!("topic {name} was created"),
                partitions: Vec::new(),
            };
            happening(&told)
        };
        assert_eq!(told("orders"), "topic orders was created");
        let cut = format!("topic {}… was created", "n".repeat(TOLD_NAME_MAX - 1));
        assert_eq!(told(&"n".repeat(249)), cut);
    }

    proptest::proptest! {
        #[test]
        fn wrapped_lines_fit(text in "[ a-zü語]{0,60}", width in 2_usize..30) {
            proptest::prop_assert!(wrap(&text, width).iter().all(|line| line.width() <= width));
        }

        #[test]
        fn every_age_has_room_in_its_column(ms in 0..=i64::MAX, shift in 0_u32..63) {
            let text = duration_ms(ms >> shift);
            proptest::prop_assert!(text.width() <= usize::from(AGE_WIDTH), "{}", text);
        }

        #[test]
        fn a_cut_text_fits(text in "[ a-zü語]{0,40}", max in 0_usize..30) {
            proptest::prop_assert!(cut(&text, max).width() <= max);
            let name = format!("{text}-{max}");
            proptest::prop_assert!(cut_name(&name, max).width() <= max);
        }

        #[test]
        fn no_bytes_become_a_control_character(bytes: Vec<u8>, max in 0_usize..200) {
            let shown = payload(&bytes, max);
            proptest::prop_assert!(shown.chars().all(is_plain));
        }
    }
}
