//! Conditions that are the same in every guest and every state: a register that no guest has, a rule that never refuses, an `if` with
//! one outcome. What the capability word alone decides is found before, one version at a time; this looks at all that registers can be.

use super::Context;
use super::decide::{self, Decider};
use super::select::select;
use crate::ast::{self, FieldStatement, Spec, Statement};
use crate::codes;
use crate::diagnostics::{Diagnostics, start};
use crate::model::{BitRule, Expr, Field, Legal, Op, Read, Register, RegisterId, View, mask};
use proc_macro2::Span;
use std::collections::HashSet;

/// Notes them, in every version.
pub fn in_every_guest(spec: &Spec, views: &[View], diagnostics: &mut Diagnostics) {
    let mut without_effect = Vec::new();
    for view in views {
        let cx = Context::new(spec, view.version);
        let decider = Decider::new(view);
        for (id, register) in view.ids().filter(|(_, register)| !register.hidden()) {
            let mut lines = Lines {
                cx: &cx,
                view,
                decider: &decider,
                id,
                register,
                diagnostics,
                asked: &mut without_effect,
            };
            lines.register();
        }
    }
    // A line that several versions share is of use if it is in one of them.
    let of_use = |one: &&Asked| one.found.is_none();
    let of_use: HashSet<_> = without_effect
        .iter()
        .filter(of_use)
        .map(Asked::place)
        .collect();
    for asked in &without_effect {
        if let (Some((message, help)), false) = (&asked.found, of_use.contains(&asked.place())) {
            diagnostics.add(
                &codes::RULE_WITHOUT_EFFECT,
                asked.span,
                message.clone(),
                *help,
            );
        }
    }
}

/// A line of one version that was looked at.
struct Asked {
    span: Span,
    /// Which of its conditions: the way to it from the whole expression.
    part: String,
    /// What is wrong and what to do, if it has no effect there.
    found: Option<(String, &'static str)>,
}

impl Asked {
    /// Where it stands.
    fn place(&self) -> (usize, usize, &str) {
        let at = start(self.span);
        (at.line, at.column, &self.part)
    }
}

struct Lines<'a> {
    cx: &'a Context<'a>,
    view: &'a View,
    decider: &'a Decider<'a>,
    id: RegisterId,
    register: &'a Register,
    diagnostics: &'a mut Diagnostics,
    asked: &'a mut Vec<Asked>,
}

impl Lines<'_> {
    fn register(&mut self) {
        let ast = self.cx.registers[self.id.0];
        let given = self.register.present.as_ref().map(|(when, _)| when);
        let when = self.said(|what| matches!(what, Statement::When(..)));
        if let (Some(condition), Some(span)) = (given, when)
            && !self.presence(None, condition, &ast.name, span)
        {
            return;
        }
        let mut rules = self.register.rules.iter();
        for said in select(&ast.statements, self.cx.version) {
            let rule = match said.what {
                Statement::Legal(..) | Statement::Require(..) => rules.next(),
                _ => None,
            };
            if let Some(Legal::Holds(condition)) = rule.map(|rule| &rule.legal) {
                self.rule(given, condition, said.span);
            }
        }
        let read = self.said(|what| matches!(what, Statement::Read(_)));
        if let (Some(span), Read::Value(value)) = (read, &self.register.read) {
            self.ifs(given, value, span, "");
        }
        let write = self.said(|what| matches!(what, Statement::Write(_)));
        let fields = self.register.fields.iter().map(|field| &field.write);
        let mut rules = std::iter::once(&self.register.reserved).chain(fields);
        if let (Some(span), Some(by)) = (write, rules.find_map(BitRule::lock)) {
            self.lock(given, by, span);
        }
        self.init();
        for ast in self.cx.fields(self.id) {
            let mut fields = self.register.fields.iter();
            if let Some(field) = fields.find(|field| field.name == ast.name.text) {
                self.field(ast, field, given);
            }
        }
    }

    /// Where the register says something.
    fn said(&self, pick: fn(&Statement) -> bool) -> Option<Span> {
        let ast = self.cx.registers[self.id.0];
        let mut all = select(&ast.statements, self.cx.version);
        all.find(|said| pick(&said.what)).map(|said| said.span)
    }

    fn field(&mut self, ast: &ast::Field, field: &Field, given: Option<&Expr>) {
        let mut there = given.cloned();
        for said in select(&ast.statements, self.cx.version) {
            if let (FieldStatement::When(_), Some(condition)) = (&said.what, &field.present) {
                if !self.presence(given, condition, &ast.name, said.span) {
                    return;
                }
                there = Some(both(given, condition));
            }
        }
        for said in select(&ast.statements, self.cx.version) {
            match (&said.what, &field.read, field.write.lock()) {
                (FieldStatement::Read(_), Some(read), _) => {
                    self.ifs(there.as_ref(), read, said.span, "");
                }
                (FieldStatement::Write(_), _, Some(by)) => {
                    self.lock(there.as_ref(), by, said.span);
                }
                _ => {}
            }
        }
    }

    /// Some guest has the register or field, and some lacks it. Whether it is worth looking further.
    fn presence(
        &mut self,
        given: Option<&Expr>,
        condition: &Expr,
        name: &ast::Name,
        span: Span,
    ) -> bool {
        match self.decider.always(self.id, given, condition) {
            None => {
                self.has_effect(span, "when");
                true
            }
            Some(true) => {
                let whose = match given {
                    Some(_) => "every guest that has the register",
                    None => "every guest",
                };
                let message = format!("the condition holds in {whose}: the line asks nothing");
                self.without_effect(span, "when", message, "leave it out");
                false
            }
            Some(false) => {
                self.diagnostics.add(
                    &codes::UNREACHABLE,
                    name.span,
                    format!(
                        "no guest of version {} can have `{}`",
                        self.cx.version, name.text
                    ),
                    "the registers that its condition asks never have such values there: ask for something else, let it begin with the version in which they have, or take the line out",
                );
                false
            }
        }
    }

    fn rule(&mut self, given: Option<&Expr>, condition: &Expr, span: Span) {
        match self.decider.always(self.id, given, condition) {
            Some(true) => self.without_effect(
                span,
                "rule",
                "the condition holds for every value in every guest: the line asks nothing"
                    .to_owned(),
                "leave it out",
            ),
            Some(false) => self.without_effect(
                span,
                "rule",
                "the condition holds for no value in any guest: every write is refused".to_owned(),
                "write `write fault;` (or `write ignore;`) and leave this out",
            ),
            None => {
                self.has_effect(span, "rule");
                self.ifs(given, condition, span, "");
            }
        }
    }

    fn lock(&mut self, given: Option<&Expr>, by: &Expr, span: Span) {
        let (message, help) = match self.decider.always(self.id, given, by) {
            Some(true) => (
                "the condition always holds: nothing is ever stored",
                "write `ignore`",
            ),
            Some(false) => (
                "the condition never holds: nothing is locked",
                "write `store`",
            ),
            None => return self.has_effect(span, "lock"),
        };
        self.without_effect(span, "lock", message.to_owned(), help);
    }

    /// Each `if` has two outcomes.
    fn ifs(&mut self, given: Option<&Expr>, expr: &Expr, span: Span, part: &str) {
        let inner = |way: &str| format!("{part}{way}");
        match expr {
            Expr::If(condition, yes, no) => {
                let same = Expr::Binary(Op::Eq, yes.clone(), no.clone());
                let message = match self.decider.always(self.id, given, condition) {
                    Some(true) => "the condition of the `if` always holds",
                    Some(false) => "the condition of the `if` never holds",
                    None if self.decider.always(self.id, given, &same) == Some(true) => {
                        "the `if` gives the same either way"
                    }
                    None => {
                        let not = Expr::Not(condition.clone());
                        self.has_effect(span, part);
                        self.ifs(given, condition, span, &inner("?"));
                        self.ifs(Some(&both(given, condition)), yes, span, &inner("+"));
                        self.ifs(Some(&both(given, &not)), no, span, &inner("-"));
                        return;
                    }
                };
                self.without_effect(
                    span,
                    part,
                    message.to_owned(),
                    "write what it gives, without the `if`",
                );
            }
            Expr::Field(of, ..) | Expr::IsSet(of) | Expr::AsBit(of) | Expr::Not(of) => {
                self.ifs(given, of, span, &inner("."));
            }
            Expr::Binary(_, a, b) => {
                self.ifs(given, a, span, &inner("<"));
                self.ifs(given, b, span, &inner(">"));
            }
            _ => {}
        }
    }

    /// INIT changes something.
    fn init(&mut self) {
        let Some(span) = self.said(|what| matches!(what, Statement::Init(_))) else {
            return;
        };
        let Some(value) = self.register.init else {
            return;
        };
        let sticky = |rule: &BitRule, bits: u64| match rule {
            BitRule::Sticky => bits,
            _ => 0,
        };
        let fields = self.register.fields.iter();
        let sticky = fields.fold(
            sticky(&self.register.reserved, self.register.reserved_mask),
            |all, field| all | sticky(&field.write, mask(field.hi, field.lo)),
        );
        if sticky != 0 && (decide::ones(self.view, self.id) | value) & !sticky == 0 {
            self.without_effect(
                span,
                "init",
                format!(
                    "no bit of `{}` but sticky ones is ever set, and INIT leaves those",
                    self.register.name
                ),
                "leave `init` out",
            );
        } else {
            self.has_effect(span, "init");
        }
    }

    fn without_effect(&mut self, span: Span, part: &str, message: String, help: &'static str) {
        let (part, found) = (part.to_owned(), Some((message, help)));
        self.asked.push(Asked { span, part, found });
    }

    fn has_effect(&mut self, span: Span, part: &str) {
        let part = part.to_owned();
        self.asked.push(Asked {
            span,
            part,
            found: None,
        });
    }
}

/// A condition, where another is given.
fn both(given: Option<&Expr>, condition: &Expr) -> Expr {
    match given {
        Some(given) => Expr::Binary(
            Op::Both,
            Box::new(given.clone()),
            Box::new(condition.clone()),
        ),
        None => condition.clone(),
    }
}
