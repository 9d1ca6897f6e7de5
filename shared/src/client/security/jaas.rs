//! The value of `sasl.jaas.config`: one login module with its options.
//!
//! `Class flag name="value" …;` — words, quoted text with Java's escapes, comments.
//!
//! Kafka: `common/security/JaasConfig.java` (4.3), which reads it with `java.io.StreamTokenizer`.

use std::iter::Peekable;
use std::str::Chars;

use crate::secret::Secret;

/// A login module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jaas {
    /// The class, as `org.apache.kafka.common.security.plain.PlainLoginModule`.
    pub module: String,
    options: Vec<(String, Secret)>,
}

impl Jaas {
    /// Reads a value of `sasl.jaas.config`.
    ///
    /// # Errors
    /// What is missing or too much; never a part of the text, which holds passwords.
    pub fn parse(text: &str) -> Result<Jaas, String> {
        let mut tokens = Tokens {
            chars: text.chars().peekable(),
        };
        let module = match tokens.next()? {
            Some(Token::Text(module)) if !module.is_empty() => module,
            _ => return Err("it names no login module".to_owned()),
        };
        match tokens.next()? {
            Some(Token::Text(flag)) if is_flag(&flag) => {}
            _ => {
                let why =
                    "after the login module comes required (or requisite, sufficient, optional)";
                return Err(why.to_owned());
            }
        }
        let mut options: Vec<(String, Secret)> = Vec::new();
        loop {
            let name = match tokens.next()? {
                Some(Token::Semicolon) => break,
                Some(Token::Text(name)) => name,
                Some(Token::Equals) => return Err("an = without a name before it".to_owned()),
                None => return Err("the ; at its end is missing".to_owned()),
            };
            if tokens.next()? != Some(Token::Equals) {
                return Err(format!("the option {} has no =", word(&name)));
            }
            let Some(Token::Text(value)) = tokens.next()? else {
                return Err(format!("the option {} has no value", word(&name)));
            };
            options.retain(|(other, _)| *other != name);
            options.push((name, Secret::new(value)));
        }
        if tokens.next()?.is_some() {
            return Err("there is more than one login module; clients take one".to_owned());
        }
        Ok(Jaas { module, options })
    }

    pub fn option(&self, name: &str) -> Option<&Secret> {
        let mut options = self.options.iter();
        options.find(|(key, _)| key == name).map(|(_, value)| value)
    }

    pub fn options(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.options.iter().map(|(key, value)| (&**key, value))
    }

    /// The class without its package.
    pub fn short_name(&self) -> &str {
        self.module.rsplit('.').next().unwrap_or_default()
    }
}

/// An option's name, if that is what it is: a forgotten quote makes names out of passwords.
fn word(name: &str) -> &str {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_');
    if name.len() <= 40 && name.chars().all(is_name) {
        name
    } else {
        "(hidden)"
    }
}

fn is_flag(text: &str) -> bool {
    let flags = ["required", "requisite", "sufficient", "optional"];
    flags.iter().any(|flag| flag.eq_ignore_ascii_case(text))
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Text(String),
    Equals,
    Semicolon,
}

struct Tokens<'a> {
    chars: Peekable<Chars<'a>>,
}

impl Tokens<'_> {
    fn next(&mut self) -> Result<Option<Token>, String> {
        loop {
            let Some(c) = self.chars.next() else {
                return Ok(None);
            };
            return Ok(Some(match c {
                c if c.is_whitespace() => continue,
                '=' => Token::Equals,
                ';' => Token::Semicolon,
                '"' | '\'' => Token::Text(self.quoted(c)?),
                '/' => match self.chars.next() {
                    Some('/') => {
                        self.chars.by_ref().find(|c| *c == '\n');
                        continue;
                    }
                    Some('*') => {
                        self.end_comment()?;
                        continue;
                    }
                    _ => return Err("a / that begins no comment: quote the value".to_owned()),
                },
                c => Token::Text(self.plain(c)),
            }));
        }
    }

    fn end_comment(&mut self) -> Result<(), String> {
        let mut before = ' ';
        for c in self.chars.by_ref() {
            if before == '*' && c == '/' {
                return Ok(());
            }
            before = c;
        }
        Err("a comment does not end".to_owned())
    }

    // Differs from Kafka: words may hold more characters, and numbers stay text; Java's tokenizer
    // drops an unquoted number without a word.
    fn plain(&mut self, first: char) -> String {
        let mut text = String::from(first);
        let ends = |c: char| c.is_whitespace() || matches!(c, '=' | ';' | '"' | '\'');
        while let Some(c) = self.chars.next_if(|c| !ends(*c)) {
            text.push(c);
        }
        text
    }

    fn quoted(&mut self, quote: char) -> Result<String, String> {
        let open = || "a quote is not closed".to_owned();
        let mut text = String::new();
        loop {
            match self.chars.next().ok_or_else(open)? {
                c if c == quote => return Ok(text),
                '\n' | '\r' => return Err(open()),
                '\\' => {
                    let c = self.chars.next().ok_or_else(open)?;
                    text.push(self.escaped(c));
                }
                c => text.push(c),
            }
        }
    }

    fn escaped(&mut self, c: char) -> char {
        match c {
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            '0'..='7' => {
                // Up to \377, as in C.
                let most = if c <= '3' { 2 } else { 1 };
                let mut code = c as u32 - '0' as u32;
                for _ in 0..most {
                    match self.chars.next_if(|c| c.is_digit(8)) {
                        Some(digit) => code = code * 8 + (digit as u32 - '0' as u32),
                        None => break,
                    }
                }
                char::from_u32(code).unwrap_or('\u{fffd}')
            }
            c => c,
        }
    }
}

/// Writes a login module with these options, so that it reads back equal, here and in Java.
pub fn write<'a>(module: &str, options: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = format!("{module} required");
    for (name, value) in options {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"");
        text.push_str(&format!(" {name}=\"{value}\""));
    }
    text.push(';');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: &str = "org.apache.kafka.common.security.plain.PlainLoginModule";

    fn options(text: &str) -> Vec<(String, String)> {
        let jaas = Jaas::parse(text).unwrap();
        let options = jaas.options();
        options
            .map(|(name, value)| (name.to_owned(), value.expose().to_owned()))
            .collect()
    }

    #[test]
    fn what_people_write_is_read() {
        let jaas =
            Jaas::parse(&format!("{PLAIN} required username=\"a\" password=\"b\";")).unwrap();
        assert_eq!(jaas.module, PLAIN);
        assert_eq!(jaas.short_name(), "PlainLoginModule");
        assert_eq!(jaas.option("password").unwrap().expose(), "b");
        for (text, expected) in [
            (r#"M required a="x y;=" ;"#, vec![("a", "x y;=")]),
            (
                r#"M REQUIRED a='it"s' b=plain.word-1;"#,
                vec![("a", "it\"s"), ("b", "plain.word-1")],
            ),
            (
                r#"M optional a="\"\\\t\101\7z";"#,
                vec![("a", "\"\\\tA\u{7}z")],
            ),
            (
                "M required\n a=\"1\" // why\n /* more */ b=\"2\"\n;\n",
                vec![("a", "1"), ("b", "2")],
            ),
            (r#"M required a="1" a="2";"#, vec![("a", "2")]),
            ("M required;", vec![]),
        ] {
            let expected: Vec<(String, String)> = expected
                .into_iter()
                .map(|(a, b)| (a.to_owned(), b.to_owned()))
                .collect();
            assert_eq!(options(text), expected, "{text}");
        }
    }

    #[test]
    fn mistakes_are_named_and_no_password_with_them() {
        for (text, told) in [
            ("", "no login module"),
            ("M a=\"sesame\";", "required"),
            ("M required a=\"sesame\"", "the ;"),
            ("M required a=\"sesame", "quote is not closed"),
            ("M required a sesame;", "the option a has no ="),
            ("M required password=;", "the option password has no value"),
            ("M required \"sesame !\" x;", "the option (hidden)"),
            ("M required a=/sesame;", "quote the value"),
            ("M required /* sesame", "a comment does not end"),
            ("M required; N required;", "more than one"),
        ] {
            let error = Jaas::parse(text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
            assert!(!error.contains("sesame"), "{error}");
        }
        let jaas = Jaas::parse("M required p=\"sesame\";").unwrap();
        assert!(!format!("{jaas:?}").contains("sesame"));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(value in "[^\r\n]*", other: String) {
            let text = write("M", [("password", value.as_str())]);
            prop_assert_eq!(options(&text), vec![("password".to_owned(), value)]);
            let _ = Jaas::parse(&other);
        }
    }
}
