//! Where a space stands between two words of a statement, and where a long statement may be broken.

use super::lex::{Kind, Token};

/// What the words of a statement so far say about the next ones.
#[derive(Clone, Copy, Debug, Default)]
pub struct Before<'t> {
    /// The statement's first word.
    pub first: &'t str,
    /// The last word.
    pub last: Option<Token<'t>>,
    /// The last word is a mark before its only operand.
    pub prefix: bool,
    /// Inside `[ ]`.
    pub in_bits: bool,
}

impl<'t> Before<'t> {
    /// After one more word.
    pub fn and(self, token: Token<'t>) -> Self {
        let operand = self.last.is_some_and(ends_operand);
        Self {
            first: if self.last.is_none() {
                token.text
            } else {
                self.first
            },
            last: Some(token),
            prefix: token.text == "!" && !operand || token.text == "#",
            in_bits: match token.text {
                "[" => true,
                "]" => false,
                _ => self.in_bits,
            },
        }
    }

    /// A space stands before `next`.
    pub fn space(&self, next: Token) -> bool {
        let Some(last) = self.last else { return false };
        if last.is_comment() || next.is_comment() {
            return true;
        }
        if self.prefix {
            return false;
        }
        match (last.text, next.text) {
            (_, ";" | "," | ")" | "]" | "." | "-") | ("(" | "[" | "." | "-" | "..=", _) => false,
            // `interface! {`
            ("interface", "!") => false,
            (_, ":") => false,
            (":", _) => !self.in_bits,
            // `1..=3`, but `in ..=3`.
            (_, ".." | "..=") => last.text == "in",
            // A hook's arguments; nothing else is called.
            (_, "(") => !(self.first == "hook" && last.kind == Kind::Word),
            // `MCi_STATUS[1]`, but `less [0] [10]` and `removed bit MCG_CAP [9]`.
            (word, "[") => {
                let index = last.kind == Kind::Word && self.first != "removed";
                !index || ["less", "accepts", "sets"].contains(&word)
            }
            _ => true,
        }
    }

    /// A long statement may go on on a new line with `next`.
    pub fn may_break(&self, next: Token) -> bool {
        let Some(last) = self.last else { return false };
        let binary = ["|", "||", "&&", "else", "if"].contains(&next.text);
        !self.in_bits && (last.text == "," || binary || next.kind == Kind::Text)
    }
}

fn ends_operand(token: Token) -> bool {
    const BEFORE_OPERAND: &[&str] = &[
        "when", "if", "else", "read", "reset", "init", "require", "legal", "local", "locked",
        "count", "default",
    ];
    match token.kind {
        Kind::Word => !BEFORE_OPERAND.contains(&token.text),
        Kind::Close | Kind::Text => true,
        _ => false,
    }
}
