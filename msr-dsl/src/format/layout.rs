//! Statements and blocks as lines.

use super::WIDTH;
use super::lex::Token;
use super::space::Before;
use super::tree::{Body, Entry, Piece, What};

const INDENT: usize = 4;

/// A whole file.
pub fn lay_out(file: &Body) -> String {
    let mut lines: Vec<String> = Vec::new();
    write_body(file, 0, &mut lines);
    let mut out = lines.join("\n");
    out.push('\n');
    out
}

/// How a statement is tried, from the shortest.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Try {
    /// Blocks on the statement's line, where they may.
    Flat,
    /// The block on lines of its own, the values of an enumeration not.
    Block,
    /// All on lines of their own, and the words broken into lines.
    Broken,
}

fn write_body(body: &Body, depth: usize, lines: &mut Vec<String>) {
    let mut after_long = false;
    let written: Vec<Vec<String>> = body
        .entries
        .iter()
        .map(|entry| write_entry(entry, depth))
        .collect();
    for (at, (entry, text)) in body.entries.iter().zip(&written).enumerate() {
        let is_item = depth <= 1;
        let blank = entry.blank_before
            || is_item
                && (after_long
                    || starts_long(
                        &body.entries[at..],
                        &written[at..],
                        at == 0 || !is_comment(&body.entries[at - 1]),
                    ));
        if blank && at != 0 {
            lines.push(String::new());
        }
        after_long = !is_comment(entry) && text.len() > 1;
        lines.extend(text.iter().cloned());
    }
}

fn is_comment(entry: &Entry) -> bool {
    matches!(entry.what, What::Comment(_))
}

/// The comments here and the statement under them begin, and it has more than one line.
fn starts_long(entries: &[Entry], written: &[Vec<String>], first: bool) -> bool {
    let begins = first || entries[0].blank_before;
    let mut under = entries
        .iter()
        .zip(written)
        .enumerate()
        .skip_while(|(at, (entry, _))| is_comment(entry) && (*at == 0 || !entry.blank_before));
    begins
        && under.next().is_some_and(|(at, (entry, text))| {
            !is_comment(entry) && text.len() > 1 && (at == 0 || !entry.blank_before)
        })
}

fn write_entry(entry: &Entry, depth: usize) -> Vec<String> {
    let indent = " ".repeat(INDENT * depth);
    match &entry.what {
        What::Comment(comment) => vec![format!("{indent}{}", comment.text)],
        What::Statement(pieces, trailing) => {
            let fits = |written: &Written| written.widest <= WIDTH;
            let flat = write_statement(pieces, depth, Try::Flat);
            let written =
                [Try::Block, Try::Broken]
                    .into_iter()
                    .fold(flat, |best, next| match fits(&best) {
                        true => best,
                        false => write_statement(pieces, depth, next),
                    });
            let mut lines = written.lines;
            if let (Some(comment), Some(last)) = (trailing, lines.last_mut()) {
                *last = format!("{last} {comment}");
            }
            lines
        }
    }
}

struct Written {
    lines: Vec<String>,
    /// The widest line of the statement's own words.
    widest: usize,
}

fn write_statement(pieces: &[Piece], depth: usize, how: Try) -> Written {
    let mut out = Lines::new(depth);
    let mut before = Before::default();
    for (at, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Token(token) => {
                let together = (how == Try::Broken).then(|| together(before, &pieces[at..]));
                out.token(before, *token, together);
                before = before.and(*token);
            }
            Piece::Values(body) | Piece::Block(body) => {
                let values = matches!(piece, Piece::Values(_));
                let flat = how == Try::Flat || how == Try::Block && values;
                // The body of `interface!` is the file.
                let whole = before.last.is_some_and(|last| last.text == "!");
                if flat && body.one_line && !whole {
                    out.flat(body);
                } else {
                    out.block(body);
                }
                before = before.and(CLOSE);
            }
        }
    }
    out.finish()
}

/// The width of the words up to the next one before which the statement may be broken.
fn together<'t>(mut before: Before<'t>, pieces: &[Piece<'t>]) -> usize {
    let mut width = 0;
    for piece in pieces {
        let Piece::Token(token) = piece else { break };
        if width > 0 && before.may_break(*token) {
            break;
        }
        width += usize::from(before.space(*token)) + token.text.chars().count();
        before = before.and(*token);
    }
    width
}

const CLOSE: Token = Token {
    kind: super::lex::Kind::Close,
    text: "}",
    lines_before: 0,
};

/// Lines as they grow.
struct Lines {
    depth: usize,
    done: Vec<String>,
    line: String,
    widest: usize,
    /// A comment has ended the line.
    ended: bool,
}

impl Lines {
    fn new(depth: usize) -> Self {
        Self {
            depth,
            done: Vec::new(),
            line: " ".repeat(INDENT * depth),
            widest: 0,
            ended: false,
        }
    }

    fn end_line(&mut self, indent: usize) {
        let line = std::mem::replace(&mut self.line, " ".repeat(INDENT * indent));
        self.widest = self.widest.max(line.chars().count());
        self.done.push(line);
        self.ended = false;
    }

    /// One more word; `together` is the width of those that stay on its line, if the statement is to be broken.
    fn token(&mut self, before: Before, token: Token, together: Option<usize>) {
        let full = together.is_some_and(|width| self.line.chars().count() + width > WIDTH);
        let own_line = token.is_comment() && token.lines_before > 0;
        if self.ended || own_line || full && before.may_break(token) {
            self.end_line(self.depth + 1);
        } else if before.space(token) {
            self.line.push(' ');
        }
        self.line.push_str(token.text);
        self.ended = token.ends_line();
    }

    /// ` { a; b; }`
    fn flat(&mut self, body: &Body) {
        if body.entries.is_empty() {
            self.line.push_str(" {}");
            return;
        }
        self.line.push_str(" {");
        for entry in &body.entries {
            if let What::Statement(pieces, _) = &entry.what {
                let text = write_statement(pieces, 0, Try::Flat).lines.concat();
                self.line.push(' ');
                self.line.push_str(&text);
            }
        }
        self.line.push_str(" }");
    }

    fn block(&mut self, body: &Body) {
        if self.ended {
            self.end_line(self.depth);
        } else {
            self.line.push(' ');
        }
        self.line.push('{');
        if let Some(comment) = body.opening {
            self.line.push(' ');
            self.line.push_str(comment);
        }
        if body.entries.is_empty() && body.opening.is_none() {
            self.line.push('}');
            return;
        }
        self.end_line(self.depth);
        write_body(body, self.depth + 1, &mut self.done);
        self.line.push('}');
    }

    fn finish(mut self) -> Written {
        self.end_line(0);
        Written {
            lines: self.done,
            widest: self.widest,
        }
    }
}
