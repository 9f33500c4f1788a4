//! Expressions of a manifest.

use crate::model::{Argument, Expr, Op, RegisterId};

/// Reads one expression from left to right.
pub struct Reader<'t> {
    text: &'t str,
    id: &'t dyn Fn(&str) -> Option<RegisterId>,
}

const OPERATORS: &[(&str, Op)] = &[
    ("<<", Op::Shl),
    (">>", Op::Shr),
    ("==", Op::Eq),
    ("!=", Op::Ne),
    ("<=", Op::Le),
    (">=", Op::Ge),
    ("&&", Op::Both),
    ("||", Op::Either),
    ("|", Op::Or),
    ("&", Op::And),
    ("<", Op::Lt),
    (">", Op::Gt),
];

impl<'t> Reader<'t> {
    /// `id` gives registers by their keys.
    pub fn new(text: &'t str, id: &'t dyn Fn(&str) -> Option<RegisterId>) -> Self {
        Self { text, id }
    }

    /// The expression, if nothing follows it.
    pub fn whole(mut self) -> Option<Expr> {
        let read = self.read()?;
        self.text.is_empty().then_some(read)
    }

    /// The expression, and how many bytes follow it.
    pub fn leading(mut self) -> Option<(Expr, usize)> {
        let read = self.read()?;
        Some((read, self.text.len()))
    }

    fn take(&mut self, word: &str) -> bool {
        let rest = self.text.strip_prefix(word);
        self.text = rest.unwrap_or(self.text);
        rest.is_some()
    }

    fn expect(&mut self, word: &str) -> Option<()> {
        self.take(word).then_some(())
    }

    /// Up to a sign, which is taken too.
    fn until(&mut self, sign: &str) -> Option<&'t str> {
        let (before, rest) = self.text.split_once(sign)?;
        self.text = rest;
        Some(before)
    }

    fn read(&mut self) -> Option<Expr> {
        let mut read = self.one()?;
        while self.take("[") {
            let (hi, lo) = (
                self.until(":")?.parse().ok()?,
                self.until("]")?.parse().ok()?,
            );
            read = Expr::Field(Box::new(read), hi, lo);
        }
        Some(read)
    }

    fn one(&mut self) -> Option<Expr> {
        if self.take("!") {
            return Some(Expr::Not(Box::new(self.read()?)));
        }
        if self.take("set(") {
            return self.inside(Expr::IsSet);
        }
        if self.take("bit(") {
            return self.inside(Expr::AsBit);
        }
        if self.take("msr(") {
            return Some(Expr::Register((self.id)(self.until(")")?)?));
        }
        if self.take("state(") {
            let id = (self.id)(self.until(", bank ")?)?;
            return Some(Expr::Cell(id, self.until(")")?.parse().ok()?));
        }
        if self.take("(") {
            return self.compound();
        }
        let words = [
            ("true", Expr::Bool(true)),
            ("false", Expr::Bool(false)),
            ("value", Expr::Value),
            ("state", Expr::State),
            ("index", Expr::Index),
        ];
        for (word, read) in words {
            if self.take(word) {
                return Some(read);
            }
        }
        self.expect("0x")?;
        let end = self
            .text
            .find(|sign: char| !sign.is_ascii_hexdigit())
            .unwrap_or(self.text.len());
        let (digits, rest) = self.text.split_at(end);
        self.text = rest;
        u64::from_str_radix(digits, 16).ok().map(Expr::Number)
    }

    fn inside(&mut self, wrap: fn(Box<Expr>) -> Expr) -> Option<Expr> {
        let read = self.read()?;
        self.expect(")")?;
        Some(wrap(Box::new(read)))
    }

    /// `A if C else B)` or `A op B)`.
    fn compound(&mut self) -> Option<Expr> {
        let first = Box::new(self.read()?);
        self.expect(" ")?;
        if self.take("if ") {
            let condition = Box::new(self.read()?);
            self.expect(" else ")?;
            let other = Box::new(self.read()?);
            self.expect(")")?;
            return Some(Expr::If(condition, first, other));
        }
        let op = OPERATORS.iter().find(|(sign, _)| self.take(sign))?.1;
        self.expect(" ")?;
        let second = Box::new(self.read()?);
        self.expect(")")?;
        Some(Expr::Binary(op, first, second))
    }
}

/// `Value, Msr]`: the arguments of a hook.
pub fn arguments(text: &str) -> Option<Vec<Argument>> {
    let list = text.strip_suffix(')')?;
    let words = list.split(", ").filter(|word| !word.is_empty());
    words
        .map(|word| match word {
            "value" => Some(Argument::Value),
            "msr" => Some(Argument::Msr),
            "index" => Some(Argument::Index),
            _ => None,
        })
        .collect()
}
