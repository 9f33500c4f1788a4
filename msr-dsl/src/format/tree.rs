//! Tokens as statements and blocks.

use super::lex::{Kind, Token};

/// What stands between two braces, or in a file.
#[derive(Debug, Default)]
pub struct Body<'t> {
    /// A comment behind the opening brace, on its line.
    pub opening: Option<&'t str>,
    /// Statements and comments.
    pub entries: Vec<Entry<'t>>,
    /// It was written on one line, and holds no comment.
    pub one_line: bool,
}

/// A statement, or a comment of its own.
#[derive(Debug)]
pub struct Entry<'t> {
    /// A blank line stands before it.
    pub blank_before: bool,
    /// What it is.
    pub what: What<'t>,
}

/// See [`Entry`].
#[derive(Debug)]
pub enum What<'t> {
    /// A comment on lines of its own.
    Comment(Token<'t>),
    /// A statement, and the comment behind it on its line.
    Statement(Vec<Piece<'t>>, Option<&'t str>),
}

/// A part of a statement.
#[derive(Debug)]
pub enum Piece<'t> {
    /// A word, or a comment in the midst of the statement.
    Token(Token<'t>),
    /// The values of an enumeration.
    Values(Body<'t>),
    /// The block that ends the statement.
    Block(Body<'t>),
}

/// A whole file.
pub fn body<'t>(tokens: &[Token<'t>]) -> Body<'t> {
    let mut reader = Reader { tokens, at: 0 };
    reader.body(";")
}

struct Reader<'r, 't> {
    tokens: &'r [Token<'t>],
    at: usize,
}

impl<'t> Reader<'_, 't> {
    fn peek(&self) -> Option<Token<'t>> {
        self.tokens.get(self.at).copied()
    }

    /// Up to the closing brace, which is taken, or the end. `end` ends a statement.
    fn body(&mut self, end: &str) -> Body<'t> {
        let start = self.at;
        let mut body = Body::default();
        while let Some(token) = self.peek() {
            if token.text == "}" && token.kind == Kind::Close {
                self.at += 1;
                break;
            }
            let blank_before = token.lines_before > 1 && self.at != start;
            if !token.is_comment() {
                let pieces = self.statement(end);
                body.entries.push(Entry {
                    blank_before,
                    what: What::Statement(pieces, None),
                });
                continue;
            }
            self.at += 1;
            let behind = token.kind == Kind::Comment && token.lines_before == 0;
            match body.entries.last_mut() {
                None if behind && start != 0 => body.opening = Some(token.text),
                Some(Entry {
                    what: What::Statement(_, trailing @ None),
                    ..
                }) if behind => *trailing = Some(token.text),
                last => {
                    // Documentation stands right before what it documents.
                    let documents = |entry: &mut Entry| matches!(&entry.what, What::Comment(doc) if doc.kind == Kind::Doc);
                    let blank_before = blank_before && !last.is_some_and(documents);
                    body.entries.push(Entry {
                        blank_before,
                        what: What::Comment(token),
                    });
                }
            }
        }
        let inside = &self.tokens[start..self.at];
        body.one_line = inside
            .iter()
            .all(|token| token.lines_before == 0 && !token.is_comment());
        let mut after_doc = false;
        for entry in &mut body.entries {
            entry.blank_before &= !after_doc;
            after_doc = matches!(&entry.what, What::Comment(doc) if doc.kind == Kind::Doc);
        }
        body
    }

    fn statement(&mut self, end: &str) -> Vec<Piece<'t>> {
        let mut pieces: Vec<Piece> = Vec::new();
        while let Some(token) = self.peek() {
            if token.text == "}" && token.kind == Kind::Close {
                break;
            }
            self.at += 1;
            if token.text == "{" && token.kind == Kind::Open {
                let of_enum =
                    matches!(pieces.last(), Some(Piece::Token(before)) if before.text == "enum");
                if of_enum {
                    pieces.push(Piece::Values(self.body(",")));
                    continue;
                }
                pieces.push(Piece::Block(self.body(";")));
                break;
            }
            pieces.push(Piece::Token(token));
            if token.text == end && token.kind == Kind::Mark {
                break;
            }
        }
        pieces
    }
}
