//! An expression of the model, in the words of the language.

use crate::model::{Expr, Op, RegisterId, View};

/// The expression as a spec would have it; `fields` are those of the register it stands in.
pub fn expression(view: &View, expr: &Expr) -> String {
    Printer { view }.print(expr, 0)
}

struct Printer<'v> {
    view: &'v View,
}

impl Printer<'_> {
    /// `binding`: how tightly the surrounding operator binds; a looser one inside needs brackets.
    fn print(&self, expr: &Expr, binding: u8) -> String {
        match expr {
            Expr::Number(0) => "zero".to_owned(),
            Expr::Number(u64::MAX) => "all_ones".to_owned(),
            Expr::Number(value) => format!("{value:#x}"),
            Expr::Bool(truth) => truth.to_string(),
            Expr::Value => "value".to_owned(),
            Expr::State => "state".to_owned(),
            Expr::Index => "i".to_owned(),
            Expr::Register(id) => self.name(*id),
            Expr::Cell(id, bank) => format!("{}[{bank}]", self.name(*id)),
            Expr::Field(of, hi, lo) => self.field(of, *hi, *lo),
            // The language reads a bit as a truth value, and back, without a word for it.
            Expr::IsSet(inner) | Expr::AsBit(inner) => self.print(inner, binding),
            Expr::Not(inner) => format!("!{}", self.print(inner, 9)),
            Expr::Binary(op, left, right) => {
                let (sign, own) = operator(*op);
                let (left, right) = (self.print(left, own), self.print(right, own + 1));
                bracketed(format!("{left} {sign} {right}"), own < binding)
            }
            Expr::If(condition, yes, no) => bracketed(
                format!(
                    "{} if {} else {}",
                    self.print(yes, 1),
                    self.print(condition, 1),
                    self.print(no, 0)
                ),
                binding > 0,
            ),
        }
    }

    fn name(&self, id: RegisterId) -> String {
        self.view.register(id).name.clone()
    }

    /// `MCG_CAP.COUNT` where the bits are a field's, `MCG_CAP[7:0]` where they are not.
    fn field(&self, of: &Expr, hi: u32, lo: u32) -> String {
        let register = match of {
            Expr::Register(id) | Expr::Cell(id, _) => Some(self.view.register(*id)),
            _ => None,
        };
        let field = register.and_then(|register| {
            let same = |field: &&crate::model::Field| (field.hi, field.lo) == (hi, lo);
            register.fields.iter().find(same)
        });
        let of = self.print(of, 9);
        match field {
            Some(field) => format!("{of}.{}", field.name),
            None if hi == lo => format!("{of}[{hi}]"),
            None => format!("{of}[{hi}:{lo}]"),
        }
    }
}

/// An operator's sign, and how tightly it binds (as in Rust).
fn operator(op: Op) -> (&'static str, u8) {
    match op {
        Op::Either => ("||", 1),
        Op::Both => ("&&", 2),
        Op::Eq => ("==", 3),
        Op::Ne => ("!=", 3),
        Op::Lt => ("<", 3),
        Op::Le => ("<=", 3),
        Op::Gt => (">", 3),
        Op::Ge => (">=", 3),
        Op::Or => ("|", 4),
        Op::And => ("&", 5),
        Op::Shl => ("<<", 6),
        Op::Shr => (">>", 6),
    }
}

fn bracketed(text: String, needed: bool) -> String {
    if needed { format!("({text})") } else { text }
}
