//! Where a text stops falling into words: unbalanced brackets, unfinished texts and comments. (proc-macro2 tells that it
//! does, and not well where.)

use proc_macro2::{Span, TokenStream, TokenTree};

/// How many brackets may be in each other: whatever reads them goes down as deep.
pub const DEEPEST: usize = 128;

/// Where brackets are in each other more than [`DEEPEST`] deep.
pub fn too_deep(tokens: &TokenStream) -> Option<Span> {
    let mut open = vec![tokens.clone().into_iter()];
    while let Some(inmost) = open.last_mut() {
        match inmost.next() {
            Some(TokenTree::Group(group)) if open.len() > DEEPEST => {
                return Some(group.span_open());
            }
            Some(TokenTree::Group(group)) => open.push(group.stream().into_iter()),
            Some(_) => {}
            None => drop(open.pop()),
        }
    }
    None
}

/// A place and what is wrong there.
#[derive(Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub help: String,
}

/// The first trouble of a text, if it is one of those that this module knows.
pub fn trouble(text: &str) -> Option<Trouble> {
    let mut scan = Scan {
        chars: text.chars().collect(),
        at: 0,
        line: 1,
        column: 1,
    };
    let mut open: Vec<(char, usize, usize)> = Vec::new();
    let mut suspect: Option<(char, usize, usize)> = None;
    while let Some(c) = scan.peek(0) {
        let (line, column) = (scan.line, scan.column);
        let here = |message: String, help: &str| {
            Some(Trouble {
                line,
                column,
                message,
                help: help.to_owned(),
            })
        };
        match c {
            '/' if scan.peek(1) == Some('/') => scan.skip_while(|c| c != '\n'),
            '/' if scan.peek(1) == Some('*') => {
                if !scan.comment() {
                    return here(
                        "a comment without an end".to_owned(),
                        "write `*/` where it ends",
                    );
                }
                continue;
            }
            '"' => {
                if !scan.text() {
                    return here(
                        "a text without an end".to_owned(),
                        "write `\"` where it ends",
                    );
                }
                continue;
            }
            '(' | '[' | '{' => open.push((c, line, column)),
            ')' | ']' | '}' => match open.pop() {
                Some((opened, at, _)) if closing(opened) != c => {
                    let message = format!("`{c}` does not close the `{opened}` of line {at}");
                    return here(message, "close what was opened last");
                }
                Some(opened) if line != opened.1 && scan.begins(line) != scan.begins(opened.1) => {
                    suspect = suspect.or(Some(opened));
                }
                Some(_) => {}
                None => {
                    return here(
                        format!("`{c}` closes nothing"),
                        "take it out, or look for a missing opening one",
                    );
                }
            },
            _ => {}
        }
        scan.step();
    }
    // By their number it is the outermost that stays open; by the way the lines are set it is the first whose end is set otherwise.
    let (opened, line, column) = open.pop().map(|last| suspect.unwrap_or(last))?;
    let help = format!("write `{}` where it ends", closing(opened));
    Some(Trouble {
        line,
        column,
        message: format!("`{opened}` is never closed"),
        help,
    })
}

fn closing(open: char) -> char {
    match open {
        '(' => ')',
        '[' => ']',
        _ => '}',
    }
}

struct Scan {
    chars: Vec<char>,
    at: usize,
    line: usize,
    column: usize,
}

impl Scan {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    /// The column of a line's first character that is no space.
    fn begins(&self, line: usize) -> usize {
        let mut lines = self.chars.split(|c| *c == '\n');
        let line = lines.nth(line - 1).unwrap_or_default();
        line.iter().take_while(|c| c.is_whitespace()).count()
    }

    fn step(&mut self) {
        match self.peek(0) {
            Some('\n') => (self.line, self.column) = (self.line + 1, 1),
            _ => self.column += 1,
        }
        self.at += 1;
    }

    fn skip_while(&mut self, keep: impl Fn(char) -> bool) {
        while self.peek(0).is_some_and(&keep) {
            self.step();
        }
    }

    /// Comments nest, as in Rust.
    fn comment(&mut self) -> bool {
        let mut depth = 0;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some('/'), Some('*')) => depth += 1,
                (Some('*'), Some('/')) => depth -= 1,
                (None, _) => return false,
                _ => {
                    self.step();
                    continue;
                }
            }
            self.step();
            self.step();
            if depth == 0 {
                return true;
            }
        }
    }

    fn text(&mut self) -> bool {
        self.step();
        loop {
            match self.peek(0) {
                None => return false,
                Some('"') => {
                    self.step();
                    return true;
                }
                Some('\\') => {
                    self.step();
                    self.step();
                }
                Some(_) => self.step(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Option<(usize, usize)> {
        trouble(text).map(|one| (one.line, one.column))
    }

    #[test]
    fn troubles_are_found_where_they_are() {
        assert_eq!(at("a { b ( c ) }"), None);
        assert_eq!(at("a {\n  b (\n}"), Some((3, 1)));
        assert_eq!(at("a {\n  b"), Some((1, 3)));
        assert_eq!(at("a {\n  b {\n    c {\n  }\n}"), Some((3, 7)));
        assert_eq!(at("a }"), Some((1, 3)));
        assert_eq!(at("a { \"}\" /* } /* } */ */ // }\n }"), None);
        assert_eq!(at("a { \"never"), Some((1, 5)));
        assert_eq!(at("\n /* never"), Some((2, 2)));
    }
}
