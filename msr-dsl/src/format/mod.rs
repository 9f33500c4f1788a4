//! The one layout of a spec: `cargo msr fmt`.
//!
//! Only spaces and line ends change. The text falls into words and comments (`lex`), these into statements and blocks
//! (`tree`), and the statements are written anew (`layout`, `space`). Comments stay where they are, a blank line
//! between statements stays one, and a block that was written on one line stays on one line if it fits.

mod layout;
mod lex;
mod space;
mod tree;

use crate::diagnostics::{Diagnostic, TOO_DEEP};
use crate::source::compile_text;
use proc_macro2::{TokenStream, TokenTree};
use std::fmt;

/// No line is longer, in characters, unless one word is.
pub const WIDTH: usize = 120;

/// Why a text has no layout.
#[derive(Debug)]
pub enum FormatError {
    /// The text does not follow the grammar.
    Mistakes(Vec<Diagnostic>),
    /// The new text would not say the same: a fault of this module.
    Changed,
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mistakes(mistakes) => write!(f, "{} mistakes", mistakes.len()),
            Self::Changed => f.write_str(
                "the formatted text would not say the same, so the file was left as it is (a fault of `msr fmt`)",
            ),
        }
    }
}

/// The text of a spec file in the one layout. Names need not be right, words and their order do.
///
/// # Errors
/// The text does not follow the grammar.
pub fn format(text: &str) -> Result<String, FormatError> {
    let mut mistakes = compile_text(text).diagnostics;
    mistakes.retain(|one| one.code.id.starts_with("E0") || one.message.starts_with(TOO_DEEP));
    if !mistakes.is_empty() {
        return Err(FormatError::Mistakes(mistakes));
    }
    let tokens = lex::lex(text);
    let formatted = layout::lay_out(&tree::body(&tokens));
    // Held twice: by this module's own reading of the text, comments included, and by the compiler's.
    if lex::same(&tokens, &lex::lex(&formatted)) && words(text) == words(&formatted) {
        Ok(formatted)
    } else {
        Err(FormatError::Changed)
    }
}

/// The words of a text as the compiler reads them; spaces at the end of a line of documentation do not count.
fn words(text: &str) -> Option<Vec<String>> {
    fn collect(tokens: TokenStream, out: &mut Vec<String>) {
        for tree in tokens {
            match tree {
                TokenTree::Group(group) => {
                    out.push(format!("{:?}", group.delimiter()));
                    collect(group.stream(), out);
                    out.push("end".to_owned());
                }
                TokenTree::Literal(literal) => {
                    let text = literal.to_string();
                    out.push(text.trim_end_matches('"').trim_end().to_owned());
                }
                other => out.push(other.to_string()),
            }
        }
    }
    let mut out = Vec::new();
    collect(text.parse().ok()?, &mut out);
    Some(out)
}

/// The first line in which two texts differ, from 1; none if they are the same.
pub fn first_difference(one: &str, other: &str) -> Option<usize> {
    if one == other {
        return None;
    }
    let (mut left, mut right) = (one.split('\n'), other.split('\n'));
    let mut line = 1;
    while left.next() == right.next() {
        line += 1;
    }
    Some(line)
}
