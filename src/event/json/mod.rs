//! One strict pass over JSON: it finds members and where values end, checks the grammar on the way, and copies nothing.
//!
//! Nesting is counted, not recursed into, so that no input can exhaust the stack. Text that isn't JSON at all can still
//! be delimited by its brackets, which is how one broken record of a message leaves the others alone.

mod walk;

pub use walk::{balanced_end, elements, members, whole};

use crate::event::bytes::next_in_string;
use crate::event::{Raw, Text};

/// Deepest accepted nesting of one record. Microsoft's own stay below ten; beyond this only an attack is plausible.
pub const DEPTH_MAX: u32 = 64;

/// What is wrong with a text that should be JSON, and at which byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("ends in the middle, at byte {at}")]
    Truncated { at: usize },
    #[error("has something unexpected at byte {at}")]
    Unexpected { at: usize },
    #[error("has a control character inside a string at byte {at}")]
    ControlCharacter { at: usize },
    #[error("has an invalid escape at byte {at}")]
    Escape { at: usize },
    #[error("is nested deeper than {DEPTH_MAX} levels at byte {at}")]
    TooDeep { at: usize },
}

impl Fault {
    pub const fn at(&self) -> usize {
        match self {
            Self::Truncated { at }
            | Self::Unexpected { at }
            | Self::ControlCharacter { at }
            | Self::Escape { at }
            | Self::TooDeep { at } => *at,
        }
    }
}

/// A place in a text. All cuts are made at ASCII bytes, so that they never fall inside a character.
#[derive(Debug, Clone, Copy)]
pub struct Scanner<'r> {
    text: &'r str,
    at: usize,
}

impl<'r> Scanner<'r> {
    pub const fn new(text: &'r str) -> Self {
        Self { text, at: 0 }
    }
    pub const fn starting_at(text: &'r str, at: usize) -> Self {
        Self { text, at }
    }
    pub const fn at(&self) -> usize {
        self.at
    }

    pub fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }
    #[inline]
    pub fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
    /// Steps over `byte`, after any blanks, if it is next.
    #[inline]
    pub fn take(&mut self, byte: u8) -> bool {
        if self.peek() != Some(byte) {
            self.skip_blanks();
            if self.peek() != Some(byte) {
                return false;
            }
        }
        self.at += 1;
        true
    }
    #[inline]
    pub fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        if self.take(byte) { Ok(()) } else { Err(self.unexpected()) }
    }
    pub const fn unexpected(&self) -> Fault {
        if self.at >= self.text.len() { Fault::Truncated { at: self.at } } else { Fault::Unexpected { at: self.at } }
    }

    /// The key of a member and the colon after it.
    #[inline(always)]
    pub fn key(&mut self) -> Result<Text<'r>, Fault> {
        self.expect(b'"')?;
        let key = self.string()?;
        self.expect(b':')?;
        Ok(key)
    }

    /// One value, whose containers lie `depth` levels deep. Most are strings right after the colon.
    #[inline(always)]
    pub fn value(&mut self, depth: u32) -> Result<Raw<'r>, Fault> {
        if self.peek() == Some(b'"') {
            self.at += 1;
            return self.string().map(Raw::String);
        }
        self.any_value(depth)
    }

    fn any_value(&mut self, depth: u32) -> Result<Raw<'r>, Fault> {
        self.skip_blanks();
        let start = self.at;
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                self.string().map(Raw::String)
            }
            Some(b'n') => self.word("null", Raw::Null),
            Some(b'-' | b'0'..=b'9') => {
                self.number()?;
                Ok(Raw::Number(&self.text[start..self.at]))
            }
            Some(b't') => self.word("true", Raw::Bool(true)),
            Some(b'f') => self.word("false", Raw::Bool(false)),
            Some(b'{') => {
                self.container(depth)?;
                Ok(Raw::Object(&self.text[start..self.at]))
            }
            Some(b'[') => {
                self.container(depth)?;
                Ok(Raw::Array(&self.text[start..self.at]))
            }
            Some(_) | None => Err(self.unexpected()),
        }
    }

    fn word(&mut self, word: &str, value: Raw<'r>) -> Result<Raw<'r>, Fault> {
        if self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            return Ok(value);
        }
        let rest = &self.text.as_bytes()[self.at..];
        let same = rest.iter().zip(word.as_bytes()).take_while(|(a, b)| a == b).count();
        self.at += same;
        Err(self.unexpected())
    }

    fn number(&mut self) -> Result<(), Fault> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { Err(self.unexpected()) } else { Ok(()) }
    }

    /// The rest of a string whose opening quote has been taken.
    #[inline(always)]
    pub fn string(&mut self) -> Result<Text<'r>, Fault> {
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at = next_in_string(self.text.as_bytes(), self.at);
            match self.peek() {
                Some(b'"') => {
                    let inner = &self.text[start..self.at];
                    self.at += 1;
                    return Ok(Text::quoted(inner, escaped));
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return Err(Fault::ControlCharacter { at: self.at }),
                None => return Err(Fault::Truncated { at: self.at }),
            }
        }
    }

    #[inline]
    fn escape(&mut self) -> Result<(), Fault> {
        match self.text.as_bytes().get(self.at + 1) {
            Some(b'\\' | b'"' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let digits = self.text.as_bytes().get(self.at + 2..self.at + 6);
                let digits = digits.ok_or(Fault::Truncated { at: self.text.len() })?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(Fault::Escape { at: self.at });
                }
                self.at += 6;
            }
            Some(_) => return Err(Fault::Escape { at: self.at }),
            None => return Err(Fault::Truncated { at: self.text.len() }),
        }
        Ok(())
    }

    /// An object or array, to its end. One bit for each open container says which of the two it is.
    fn container(&mut self, depth: u32) -> Result<(), Fault> {
        let mut open: u32 = 0;
        let mut objects: u64 = 0;
        loop {
            // A value is next; when it is a container it is entered instead.
            self.skip_blanks();
            match self.peek() {
                Some(opening @ (b'{' | b'[')) => {
                    if depth + open > DEPTH_MAX {
                        return Err(Fault::TooDeep { at: self.at });
                    }
                    self.at += 1;
                    open += 1;
                    objects = objects << 1 | u64::from(opening == b'{');
                    if self.take(if opening == b'{' { b'}' } else { b']' }) {
                        open -= 1;
                        objects >>= 1;
                    } else {
                        if opening == b'{' {
                            self.key()?;
                        }
                        continue;
                    }
                }
                _ => {
                    self.value(depth + open)?;
                }
            }
            // After a value come ends of containers, and then a comma or the end of it all.
            loop {
                if open == 0 {
                    return Ok(());
                }
                let in_object = objects & 1 == 1;
                if self.take(if in_object { b'}' } else { b']' }) {
                    open -= 1;
                    objects >>= 1;
                } else {
                    self.expect(b',')?;
                    if in_object {
                        self.key()?;
                    }
                    break;
                }
            }
        }
    }
}
