//! The text of .proto files: messages, enums and their fields. Options, services, extensions and
//! reserved ranges are skipped: they don't change how bytes are read.
//!
//! Invariant: any text ends in declarations or in an error with its line.

use std::iter::Peekable;
use std::str::Chars;

use crate::decode::DEPTH_MAX;

/// Fields, values and types of one file.
const DECLARATIONS_MAX: usize = 50_000;

/// What one file declares.
#[derive(Debug, Default)]
pub(super) struct File {
    pub package: String,
    pub messages: Vec<MessageDecl>,
    pub enums: Vec<EnumDecl>,
}

#[derive(Debug, Default)]
pub(super) struct MessageDecl {
    pub name: String,
    pub fields: Vec<FieldDecl>,
    pub messages: Vec<MessageDecl>,
    pub enums: Vec<EnumDecl>,
}

#[derive(Debug)]
pub(super) struct EnumDecl {
    pub name: String,
    pub values: Vec<(String, i32)>,
}

#[derive(Debug)]
pub(super) struct FieldDecl {
    pub name: String,
    pub number: u64,
    pub is_repeated: bool,
    /// The type of a map's keys.
    pub map_key: Option<String>,
    /// As it is written: `.a.B`, `B`, `int32`. Of a map, the values'.
    pub type_name: String,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Number(String),
    Text,
    Sign(char),
}

/// Reads a file.
///
/// # Errors
/// What is wrong with it, with the line.
pub(super) fn parse(text: &str) -> Result<File, String> {
    let mut parser = Parser {
        chars: text.chars().peekable(),
        line: 1,
        peeked: None,
        n_declared: 0,
    };
    let file = parser.file();
    file.map_err(|why| format!("the .proto, line {}: {why}", parser.line))
}

struct Parser<'t> {
    chars: Peekable<Chars<'t>>,
    line: usize,
    peeked: Option<Token>,
    n_declared: usize,
}

impl Parser<'_> {
    fn bump(&mut self) -> Option<char> {
        let c = self.chars.next()?;
        self.line += usize::from(c == '\n');
        Some(c)
    }

    fn skip_comment(&mut self) -> Result<(), String> {
        match self.chars.peek() {
            Some('/') => while self.bump().is_some_and(|c| c != '\n') {},
            Some('*') => {
                self.bump();
                let mut last = ' ';
                loop {
                    match self.bump() {
                        Some('/') if last == '*' => break,
                        Some(c) => last = c,
                        None => return Err("a comment does not end".to_owned()),
                    }
                }
            }
            _ => return Err("a lone /".to_owned()),
        }
        Ok(())
    }

    fn read_token(&mut self) -> Result<Option<Token>, String> {
        loop {
            let Some(c) = self.bump() else {
                return Ok(None);
            };
            match c {
                c if c.is_whitespace() || c == '\u{feff}' => {}
                '/' => self.skip_comment()?,
                '"' | '\'' => {
                    self.skip_text(c)?;
                    return Ok(Some(Token::Text));
                }
                c if c.is_ascii_digit() => {
                    return Ok(Some(Token::Number(self.word(c))));
                }
                c if c.is_alphabetic() || c == '_' => {
                    return Ok(Some(Token::Word(self.word(c))));
                }
                c => return Ok(Some(Token::Sign(c))),
            }
        }
    }

    fn word(&mut self, first: char) -> String {
        let mut word = String::from(first);
        while let Some(c) = self.chars.next_if(|c| c.is_alphanumeric() || *c == '_') {
            word.push(c);
        }
        word
    }

    fn skip_text(&mut self, quote: char) -> Result<(), String> {
        loop {
            match self.bump() {
                Some('\\') => {
                    self.bump();
                }
                Some(c) if c == quote => return Ok(()),
                Some('\n') | None => return Err("a text does not end".to_owned()),
                Some(_) => {}
            }
        }
    }

    fn peek(&mut self) -> Result<Option<&Token>, String> {
        if self.peeked.is_none() {
            self.peeked = self.read_token()?;
        }
        Ok(self.peeked.as_ref())
    }

    fn next(&mut self) -> Result<Token, String> {
        self.peek()?;
        self.peeked
            .take()
            .ok_or_else(|| "the file ends too early".to_owned())
    }

    fn sign(&mut self, wanted: char) -> Result<(), String> {
        match self.next()? {
            Token::Sign(c) if c == wanted => Ok(()),
            other => Err(format!("'{wanted}' is wanted and not {}", shown(&other))),
        }
    }

    fn next_if(&mut self, wanted: char) -> Result<bool, String> {
        let is_it = self.peek()? == Some(&Token::Sign(wanted));
        if is_it {
            self.peeked = None;
        }
        Ok(is_it)
    }

    fn name(&mut self) -> Result<String, String> {
        match self.next()? {
            Token::Word(word) => Ok(word),
            other => Err(format!("a name is wanted and not {}", shown(&other))),
        }
    }

    /// The rest of a name with points in it; `first` is its first word, or a point.
    fn dotted(&mut self, first: Token) -> Result<String, String> {
        let mut name = match first {
            Token::Word(word) => word,
            Token::Sign('.') => format!(".{}", self.name()?),
            other => return Err(format!("a type is wanted and not {}", shown(&other))),
        };
        while self.next_if('.')? {
            name.push('.');
            name.push_str(&self.name()?);
        }
        Ok(name)
    }

    fn int(&mut self) -> Result<i64, String> {
        let is_negative = self.next_if('-')?;
        let Token::Number(digits) = self.next()? else {
            return Err("a number is wanted".to_owned());
        };
        let n = match digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
            Some(hex) => i64::from_str_radix(hex, 16),
            None if digits.len() > 1 && digits.starts_with('0') => i64::from_str_radix(&digits, 8),
            None => digits.parse(),
        };
        let n = n.map_err(|_| format!("\"{digits}\" is no number"))?;
        Ok(if is_negative { -n } else { n })
    }

    /// Up to the end of a statement, whatever is in it.
    fn skip_statement(&mut self) -> Result<(), String> {
        let mut open = 0_usize;
        loop {
            match self.next()? {
                Token::Sign(';') if open == 0 => return Ok(()),
                Token::Sign('{' | '[' | '(') => open += 1,
                Token::Sign('}') if open == 1 => return Ok(()),
                Token::Sign('}' | ']' | ')') => {
                    open = open.checked_sub(1).ok_or("a bracket too many")?;
                }
                _ => {}
            }
        }
    }

    /// `option x = {…};` ends with the semicolon, a service with its bracket.
    fn skip_option(&mut self) -> Result<(), String> {
        self.skip_statement()?;
        self.next_if(';')?;
        Ok(())
    }

    fn declared(&mut self, depth: usize) -> Result<(), String> {
        self.n_declared += 1;
        if self.n_declared > DECLARATIONS_MAX {
            return Err(format!(
                "there are more than {DECLARATIONS_MAX} declarations"
            ));
        }
        if depth > DEPTH_MAX {
            return Err(format!("it is nested more than {DEPTH_MAX} levels deep"));
        }
        Ok(())
    }

    fn file(&mut self) -> Result<File, String> {
        let mut file = File::default();
        while self.peek()?.is_some() {
            let token = self.next()?;
            let Token::Word(word) = token else {
                if token == Token::Sign(';') {
                    continue;
                }
                return Err(format!("{} stands alone", shown(&token)));
            };
            match word.as_str() {
                "package" => {
                    let first = self.next()?;
                    file.package = self.dotted(first)?;
                    self.sign(';')?;
                }
                "message" => file.messages.push(self.message(1)?),
                "enum" => file.enums.push(self.enumeration(1)?),
                "syntax" | "edition" | "import" | "option" | "service" | "extend" => {
                    self.skip_option()?;
                }
                other => return Err(format!("\"{other}\" means nothing here")),
            }
        }
        Ok(file)
    }

    fn message(&mut self, depth: usize) -> Result<MessageDecl, String> {
        let mut message = MessageDecl {
            name: self.name()?,
            ..MessageDecl::default()
        };
        self.sign('{')?;
        self.body(&mut message, depth)?;
        Ok(message)
    }

    /// Up to the closing bracket.
    fn body(&mut self, message: &mut MessageDecl, depth: usize) -> Result<(), String> {
        self.declared(depth)?;
        loop {
            let token = self.next()?;
            let word = match &token {
                Token::Sign('}') => return Ok(()),
                Token::Sign(';') => continue,
                Token::Word(word) => word.clone(),
                _ => String::new(),
            };
            // A type may be called like a keyword of another place, but not like these.
            match word.as_str() {
                "message" => message.messages.push(self.message(depth + 1)?),
                "enum" => message.enums.push(self.enumeration(depth + 1)?),
                "oneof" => {
                    self.name()?;
                    self.sign('{')?;
                    self.body(message, depth + 1)?;
                }
                "option" | "extensions" | "reserved" | "extend" => self.skip_option()?,
                _ => self.field(message, token, depth)?,
            }
        }
    }

    fn field(
        &mut self,
        message: &mut MessageDecl,
        first: Token,
        depth: usize,
    ) -> Result<(), String> {
        self.declared(depth)?;
        let (mut token, mut is_repeated) = (first, false);
        if let Token::Word(label) = &token
            && matches!(label.as_str(), "optional" | "required" | "repeated")
        {
            is_repeated = label == "repeated";
            token = self.next()?;
        }
        let mut type_name = self.dotted(token)?;
        let mut map_key = None;
        if type_name == "map" && self.next_if('<')? {
            map_key = Some(self.name()?);
            self.sign(',')?;
            let first = self.next()?;
            type_name = self.dotted(first)?;
            self.sign('>')?;
        }
        let mut name = self.name()?;
        self.sign('=')?;
        let number = u64::try_from(self.int()?).map_err(|_| "a field has a negative number")?;
        if self.next_if('[')? {
            let mut open = 1;
            while open > 0 {
                match self.next()? {
                    Token::Sign('[' | '{') => open += 1,
                    Token::Sign(']' | '}') => open -= 1,
                    _ => {}
                }
            }
        }
        if type_name == "group" {
            let mut group = MessageDecl {
                name: name.clone(),
                ..MessageDecl::default()
            };
            self.sign('{')?;
            self.body(&mut group, depth + 1)?;
            type_name = group.name.clone();
            name = name.to_lowercase();
            message.messages.push(group);
        } else {
            self.sign(';')?;
        }
        message.fields.push(FieldDecl {
            name,
            number,
            is_repeated,
            map_key,
            type_name,
        });
        Ok(())
    }

    fn enumeration(&mut self, depth: usize) -> Result<EnumDecl, String> {
        let name = self.name()?;
        let mut values = Vec::new();
        self.sign('{')?;
        loop {
            self.declared(depth)?;
            match self.next()? {
                Token::Sign('}') => return Ok(EnumDecl { name, values }),
                Token::Sign(';') => {}
                Token::Word(word) => {
                    if matches!(word.as_str(), "option" | "reserved")
                        && self.peek()? != Some(&Token::Sign('='))
                    {
                        self.skip_option()?;
                        continue;
                    }
                    self.sign('=')?;
                    let number = i32::try_from(self.int()?).map_err(|error| error.to_string())?;
                    values.push((word, number));
                    self.skip_statement()?;
                }
                other => return Err(format!("{} in an enum", shown(&other))),
            }
        }
    }
}

fn shown(token: &Token) -> String {
    match token {
        Token::Word(word) | Token::Number(word) => format!("\"{word}\""),
        Token::Text => "a text".to_owned(),
        Token::Sign(c) => format!("'{c}'"),
    }
}
