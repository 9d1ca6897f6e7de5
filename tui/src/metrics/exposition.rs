//! Prometheus' text exposition format, line by line and without trust.
//!
//! Reads version 0.0.4 and what OpenMetrics and Prometheus 3 add to it that one may meet: time
//! stamps with a fraction, exemplars, quoted names. Comments, and with them types and help, are
//! passed over: what a figure means is told by its name.
//!
//! Invariants: never panics; nothing is copied but label values with escapes and names in quotes; a
//! line that is no sample is an error of its own and spoils no other.
//!
//! Prometheus: docs/instrumenting/exposition_formats.md, expfmt's text parser.

use std::borrow::Cow;

/// Labels of one sample; what has more is no sample.
const LABELS_MAX: usize = 64;

/// One figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample<'a> {
    pub name: Cow<'a, str>,
    /// In the order of the page.
    pub labels: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// May be infinite, or no number.
    pub value: f64,
}

impl Sample<'_> {
    /// The value of a label, whatever the case of its name.
    pub fn label(&self, name: &str) -> Option<&str> {
        let mut labels = self.labels.iter();
        let found = labels.find(|(own, _)| own.eq_ignore_ascii_case(name))?;
        Some(&found.1)
    }
}

/// A line that is no sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// From 1.
    pub number: usize,
    pub why: &'static str,
}

/// The samples of a page whose names are wanted, and the lines that are none. Of a sample that is
/// not wanted only the name is looked at.
pub fn samples<'a>(
    page: &'a str,
    is_wanted: impl Fn(&str) -> bool + 'a,
) -> impl Iterator<Item = Result<Sample<'a>, BadLine>> + 'a {
    page.split('\n').enumerate().filter_map(move |(at, line)| {
        let line = line.trim_matches([' ', '\t', '\r']);
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let read = sample(line, &is_wanted).transpose()?;
        Some(read.map_err(|why| BadLine {
            number: at + 1,
            why,
        }))
    })
}

type Why = &'static str;

/// `None` for what is not wanted.
fn sample<'a>(line: &'a str, is_wanted: &impl Fn(&str) -> bool) -> Result<Option<Sample<'a>>, Why> {
    let mut rest = Rest(line);
    let mut name = Cow::Borrowed(rest.name());
    if !name.is_empty() && !is_wanted(&name) {
        return Ok(None);
    }
    rest.blanks();
    let mut labels = Vec::new();
    if rest.take('{') {
        name = braces(&mut rest, name, &mut labels)?;
    }
    if name.is_empty() {
        return Err("it begins with no name");
    }
    if !is_wanted(&name) {
        return Ok(None);
    }
    // A time stamp may follow, and an exemplar: both are of no use here.
    let value = rest.0.split_ascii_whitespace().next();
    let value = value.ok_or("it has no value")?;
    let value = value.parse().map_err(|_| "its value is no number")?;
    Ok(Some(Sample {
        name,
        labels,
        value,
    }))
}

/// What stands in braces: labels, and the name where it is quoted.
fn braces<'a>(
    rest: &mut Rest<'a>,
    mut name: Cow<'a, str>,
    labels: &mut Vec<(Cow<'a, str>, Cow<'a, str>)>,
) -> Result<Cow<'a, str>, Why> {
    loop {
        rest.blanks();
        if rest.take('}') {
            return Ok(name);
        }
        let key = match rest.0.starts_with('"') {
            true => rest.quoted()?,
            false => Cow::Borrowed(rest.name()),
        };
        rest.blanks();
        if rest.take('=') {
            if key.is_empty() {
                return Err("a label has no name");
            }
            rest.blanks();
            if labels.len() == LABELS_MAX {
                return Err("it has too many labels");
            }
            labels.push((key, rest.quoted()?));
        } else if name.is_empty() && !key.is_empty() {
            name = key;
        } else {
            return Err("a label has no value");
        }
        rest.blanks();
        if !rest.take(',') && !rest.0.starts_with('}') {
            return Err("its labels do not end");
        }
    }
}

/// What is left of a line.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn blanks(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t']);
    }

    fn take(&mut self, c: char) -> bool {
        let rest = self.0.strip_prefix(c);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// A name without quotes; empty where none begins.
    fn name(&mut self) -> &'a str {
        let is_inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
        let starts = self
            .0
            .starts_with(|c: char| is_inner(c) && !c.is_ascii_digit());
        let end = match starts {
            true => self.0.find(|c| !is_inner(c)).unwrap_or(self.0.len()),
            false => 0,
        };
        let (name, rest) = self.0.split_at(end);
        self.0 = rest;
        name
    }

    /// A text in quotes, with its escapes undone.
    fn quoted(&mut self) -> Result<Cow<'a, str>, Why> {
        let text = self
            .0
            .strip_prefix('"')
            .ok_or("a label's value has no quotes")?;
        let mut plain: Option<String> = None;
        let mut from = 0;
        let mut chars = text.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.0 = &text[at + 1..];
                    let last = &text[from..at];
                    return Ok(match plain {
                        None => Cow::Borrowed(last),
                        Some(plain) => Cow::Owned(plain + last),
                    });
                }
                '\\' => {
                    let plain = plain.get_or_insert_default();
                    plain.push_str(&text[from..at]);
                    let (next, escaped) = chars.next().ok_or("a label's value does not end")?;
                    match escaped {
                        'n' => plain.push('\n'),
                        '\\' | '"' => plain.push(escaped),
                        // Go's client keeps a backslash that escapes nothing.
                        other => {
                            plain.push('\\');
                            plain.push(other);
                        }
                    }
                    from = next + escaped.len_utf8();
                }
                _ => {}
            }
        }
        Err("a label's value does not end")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(page: &str) -> Vec<Result<Sample<'_>, BadLine>> {
        samples(page, |_| true).collect()
    }

    fn told(page: &str) -> String {
        let one = |read: Result<Sample<'_>, BadLine>| match read {
            Ok(sample) => format!("{} {:?} {}", sample.name, sample.labels, sample.value),
            Err(bad) => format!("{}: {}", bad.number, bad.why),
        };
        all(page).into_iter().map(one).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn lines_are_samples_or_say_why_not() {
        for (page, wanted) in [
            ("", ""),
            ("\n  \n# HELP a b\n#TYPE\n# EOF\n", ""),
            ("a 1", "a [] 1"),
            ("  a:b_9\t -2.5e3   1395066363000 \r\n", "a:b_9 [] -2500"),
            ("a{} +Inf", "a [] inf"),
            ("a NaN\nb -Inf 3.5", "a [] NaN|b [] -inf"),
            (r#"a{x="1",y="2"} 3"#, r#"a [("x", "1"), ("y", "2")] 3"#),
            (r#"a { x = "1" , } 3"#, r#"a [("x", "1")] 3"#),
            (
                r#"a{x="q\"b\\s\n\z}"} 1"#,
                r#"a [("x", "q\"b\\s\n\\z}")] 1"#,
            ),
            (r#"a{x="ü{},=#"} 1 # {t="x"} 5"#, r#"a [("x", "ü{},=#")] 1"#),
            (r#"{"a.b", "l.m"="1"} 4"#, r#"a.b [("l.m", "1")] 4"#),
            ("a", "1: it has no value"),
            ("a{} ", "1: it has no value"),
            ("\n9a 1", "2: it begins with no name"),
            ("{} 1", "1: it begins with no name"),
            ("<html>", "1: it begins with no name"),
            ("a b", "1: its value is no number"),
            (r#"a{x="1" y="2"} 1"#, "1: its labels do not end"),
            (r#"a{x="1"#, "1: a label's value does not end"),
            ("a{x=\"1\\", "1: a label's value does not end"),
            (r#"a{x="1""#, "1: its labels do not end"),
            ("a{x=1} 1", "1: a label's value has no quotes"),
            (r#"a{="1"} 1"#, "1: a label has no name"),
            ("a{x} 1", "1: a label has no value"),
            ("a{,} 1", "1: a label has no value"),
        ] {
            assert_eq!(told(page), wanted, "{page:?}");
        }
        let many: String = (0..=LABELS_MAX).map(|n| format!("l{n}=\"\",")).collect();
        assert_eq!(told(&format!("a{{{many}}} 1")), "1: it has too many labels");
    }

    #[test]
    fn what_is_not_wanted_is_not_looked_at() {
        let page = "b{x=1} 1\na 2\n{\"b\"} 1\n";
        let found: Vec<_> = samples(page, |name| name == "a").collect();
        assert_eq!(found.len(), 1, "{found:?}");
    }

    fn escaped(text: &str) -> String {
        text.replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n")
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            name in "[a-zA-Z_:][a-zA-Z0-9_:]{0,20}",
            labels in prop::collection::vec(("[a-zA-Z_][a-zA-Z0-9_]{0,9}", ".{0,20}"), 0..8),
            value in any::<f64>(),
        ) {
            let written: Vec<String> =
                labels.iter().map(|(k, v)| format!("{k}=\"{}\"", escaped(v))).collect();
            let line = format!("{name}{{{}}} {value}", written.join(","));
            let read = all(&line);
            prop_assert_eq!(read.len(), 1);
            let sample = read[0].as_ref().unwrap();
            prop_assert_eq!(&*sample.name, &*name);
            let same = labels.iter().zip(&sample.labels).all(|(a, b)| a.0 == b.0 && a.1 == b.1);
            prop_assert!(same && labels.len() == sample.labels.len(), "{:?}", sample);
            prop_assert!(sample.value == value || value.is_nan() && sample.value.is_nan());
        }

        #[test]
        fn damaged_pages_are_read_to_their_end(page in "[\\x00-\\x7fü{}=\",\\\\\n]{0,200}") {
            let n_lines = page.split('\n').count();
            prop_assert!(all(&page).len() <= n_lines);
        }
    }
}
