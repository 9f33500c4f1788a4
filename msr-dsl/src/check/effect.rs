//! Every line has an effect: what is accepted and ignored would be worse than an error.

use super::select::select;
use super::{Context, guests, legal, width};
use crate::ast::{self, FieldStatement, Statement};
use crate::codes::{self, Code};
use crate::diagnostics::Diagnostics;
use crate::model::{
    BitRule, Expr, Field, Illegal, Legal, Migrate, Read, Register, RegisterId, Rule, View, Write,
};
use proc_macro2::Span;

/// Notes the lines of this version that change nothing.
pub fn effects(cx: &Context, view: &View, diagnostics: &mut Diagnostics) {
    for (id, register) in view.ids().filter(|(_, register)| !register.hidden()) {
        let mut lines = Lines {
            view,
            id,
            register,
            diagnostics,
        };
        // The rules stand in the model as they do in the spec.
        let mut rules = register.rules.iter().enumerate();
        for said in select(&cx.registers[id.0].statements, cx.version) {
            let rule = match said.what {
                Statement::Legal(..) | Statement::Require(..) => rules.next(),
                _ => None,
            };
            let about_value = rule.is_none_or(|(_, rule)| rule.is_about_value());
            lines.statement(&said.what, about_value, said.span);
            let Some((at, rule)) = rule else { continue };
            let before: Vec<&Rule> = register.rules[..at].iter().collect();
            if let Legal::Holds(condition) = &rule.legal
                && !condition.is_constant()
                && let Some(always) = lines.always(condition)
            {
                lines.same_in_every_guest(said.span, always);
            } else if legal::asks_nothing(rule) {
                lines.asks_nothing(said.span, "every value is legal anyway");
            } else if legal::follows(&before, rule, u64::MAX) {
                lines.asks_nothing(said.span, "what is said before asks for it already");
            } else if matches!(&rule.legal, Legal::Holds(one) if width::keeps_state(one))
                && lines.by_bits()
            {
                let message =
                    "no write changes the state: the value has to be what the state is".to_owned();
                lines.without_effect(
                    said.span,
                    message,
                    "write `write fault_on_change;` (or `write ignore;`) and leave this out",
                );
            }
        }
        for ast in cx.fields(id) {
            if let Some(field) = register.fields.iter().find(|one| one.name == ast.name.text) {
                lines.field(ast, field, cx.version);
            }
        }
        lines.conditions(cx);
        lines.constant(cx);
        lines.unseen(cx.registers[id.0].name.span);
    }
}

struct Lines<'a> {
    view: &'a View,
    id: RegisterId,
    register: &'a Register,
    diagnostics: &'a mut Diagnostics,
}

impl Lines<'_> {
    fn without_effect(&mut self, span: Span, message: String, help: &str) {
        self.add(&codes::RULE_WITHOUT_EFFECT, span, message, help);
    }

    fn add(&mut self, code: &'static Code, span: Span, message: String, help: &str) {
        self.diagnostics.add(code, span, message, help);
    }

    /// The value that a guest writes is looked at.
    fn takes_value(&self) -> bool {
        matches!(self.register.write, Write::Bits(_) | Write::Hook(_))
    }

    fn by_bits(&self) -> bool {
        matches!(self.register.write, Write::Bits(_))
    }

    fn statement(&mut self, statement: &Statement, about_value: bool, span: Span) {
        let name = &self.register.name;
        match statement {
            Statement::Legal(..) | Statement::Require(..) if !self.takes_value() => {
                if !self.register.held {
                    let message = format!("no written value of `{name}` is looked at");
                    let help = "its `write` answers whatever the value is: leave this out, or hold the register (`held;`), for which a restore looks at it";
                    self.without_effect(span, message, help);
                } else if !about_value {
                    let message = format!(
                        "no written value of `{name}` is looked at, and a restore knows the value alone"
                    );
                    self.without_effect(span, message, "ask for `value` and nothing else");
                }
            }
            Statement::Reserved(rule) => self.reserved(&rule.value, span),
            Statement::Init(_) if !self.register.stored => self.add(
                &codes::RESET_WITHOUT_STATE,
                span,
                format!("`{name}` says what INIT does and has no state"),
                "leave `init` out",
            ),
            Statement::Init(_) if self.view.capability == Some(self.id) => self.without_effect(
                span,
                format!("`{name}` is the capability register, which keeps its value over INIT"),
                "leave `init` out",
            ),
            Statement::After(names) => self.after(names, span),
            _ => {}
        }
    }

    fn reserved(&mut self, rule: &ast::BitRule, span: Span) {
        let name = &self.register.name;
        let of_restore = self.register.held && matches!(rule, ast::BitRule::FaultIfSet);
        let fault = matches!(rule, ast::BitRule::FaultIfSet | ast::BitRule::FaultOnChange);
        if self.register.fields.is_empty() && self.by_bits() {
            self.without_effect(
                span,
                format!("no bit of `{name}` has a field, so `reserved` is said of all and `write` of none"),
                "say it once, with `write`, or name bits",
            );
        } else if !(self.by_bits() || of_restore || self.takes_value() && fault) {
            self.without_effect(
                span,
                format!("the `write` of `{name}` does not go by bits"),
                "leave `reserved` out, or let the register say `write store;` (or another rule of bits)",
            );
        }
    }

    fn asks_nothing(&mut self, span: Span, why: &str) {
        self.without_effect(
            span,
            format!("{why}: the line asks nothing"),
            "leave it out",
        );
    }

    /// A `require` that does not depend on the value.
    fn same_in_every_guest(&mut self, span: Span, always: bool) {
        match always {
            true => self.asks_nothing(span, "the condition holds in every guest"),
            false => self.without_effect(
                span,
                "the condition holds in no guest: every write is refused".to_owned(),
                "write `write fault;` (or `write ignore;`) and leave this out",
            ),
        }
    }

    /// Conditions that are the same in every guest.
    fn conditions(&mut self, cx: &Context) {
        let (id, register) = (self.id, self.register);
        let said = |pick: fn(&Statement) -> bool| {
            let mut all = select(&cx.registers[id.0].statements, cx.version);
            all.find(|said| pick(&said.what)).map(|said| said.span)
        };
        let when = said(|what| matches!(what, Statement::When(..)));
        if let (Some((condition, _)), Some(span)) = (&register.present, when)
            && self.always(condition) == Some(true)
        {
            self.asks_nothing(span, "the condition holds in every guest");
        }
        let locks = said(
            |what| matches!(what, Statement::Write(ast::Write::Bits(rule, _)) if is_lock(&rule.value)),
        );
        let fields = register.fields.iter().map(|field| &field.write);
        let by = [&register.reserved]
            .into_iter()
            .chain(fields)
            .find_map(BitRule::lock);
        if let (Some(span), Some(by)) = (locks, by)
            && let Some(always) = self.always(by)
        {
            self.constant_lock(always, span);
        }
    }

    /// What a condition is in every guest, if it is the same in all.
    fn always(&self, condition: &Expr) -> Option<bool> {
        guests::same_for_all(self.view, self.register, condition)
    }

    fn constant_lock(&mut self, always: bool, span: Span) {
        let (message, help) = match always {
            false => (
                "the condition never holds: nothing is locked",
                "write `store`",
            ),
            true => (
                "the condition always holds: nothing is ever stored",
                "write `ignore`",
            ),
        };
        self.without_effect(span, message.to_owned(), help);
    }

    /// What a read always gives has bits for which there is a place.
    fn constant(&mut self, cx: &Context) {
        let Read::Value(value) = &self.register.read else {
            return;
        };
        let mut said = select(&cx.registers[self.id.0].statements, cx.version);
        let read = said.find(|said| matches!(said.what, Statement::Read(_)));
        let Some(read) = read.filter(|_| value.is_constant()) else {
            return;
        };
        let beyond = crate::interpret::constant(value) & self.register.reserved_mask;
        if beyond != 0 && !self.register.fields.is_empty() {
            let bits = super::register::ranges(beyond);
            let name = &self.register.name;
            self.add(
                &codes::CONSTANT_OUTSIDE,
                read.span,
                format!("reads of `{name}` set bits {bits}, which no field has"),
                "clear them, or give them a field (`const`)",
            );
        }
    }

    fn after(&mut self, names: &[ast::Name], span: Span) {
        let saved = |register: &Register| matches!(register.migrate, Migrate::Saved { .. });
        if !saved(self.register) {
            let message = format!(
                "`{}` is not in the record, so nothing is restored",
                self.register.name
            );
            let help = "leave the line out, or write `migrate saved TAG;`";
            self.add(&codes::RESTORE_WITHOUT_SAVE, span, message, help);
            return;
        }
        for name in names {
            let other = self.view.find(&name.text);
            if other.is_some_and(|id| !saved(self.view.register(id))) {
                let message = format!(
                    "`{}` is not in the record: nothing comes after it",
                    name.text
                );
                self.add(
                    &codes::RESTORE_WITHOUT_SAVE,
                    name.span,
                    message,
                    "name a register that is saved",
                );
            }
        }
    }

    fn field(&mut self, ast: &ast::Field, field: &Field, version: u16) {
        let readable = matches!(self.register.read, Read::Value(_));
        let name = &field.name;
        if !readable && matches!(ast.ty.value, ast::FieldType::Const(_)) {
            self.without_effect(
                ast.ty.span,
                format!("`{name}` is constant in a register whose reads show no value"),
                "let the register read a value, or give the field another type",
            );
        }
        let mut rules = field.rules.iter();
        for said in select(&ast.statements, version) {
            if let FieldStatement::Legal(..) = said.what
                && let Some(rule) = rules.next()
            {
                self.legal_of_field(field, rule, said.span);
            }
            match &said.what {
                FieldStatement::When(_)
                    if field.present.as_ref().and_then(|when| self.always(when)) == Some(true) =>
                {
                    self.asks_nothing(said.span, "the condition holds in every guest");
                }
                FieldStatement::Write(rule) if is_lock(&rule.value) => {
                    if let Some(always) = field.write.lock().and_then(|by| self.always(by)) {
                        self.constant_lock(always, said.span);
                    }
                }
                FieldStatement::Read(_) if !readable => self.without_effect(
                    said.span,
                    format!("`{name}` has a `read` in a register whose reads show no value"),
                    "leave it out, or let the register read a value",
                ),
                FieldStatement::When(_) if !readable && !self.takes_value() => self.without_effect(
                    said.span,
                    format!("neither reads nor writes ask whether `{name}` is there"),
                    "leave it out: the register's accesses are answered elsewhere",
                ),
                FieldStatement::Write(_) if !self.takes_value() => {
                    let of_restore =
                        self.register.held && matches!(field.write, BitRule::FaultIfSet);
                    if !of_restore {
                        self.without_effect(
                            said.span,
                            format!("no written value of `{name}` is looked at"),
                            "leave it out: the register's `write` answers whatever the value is",
                        );
                    }
                }
                FieldStatement::Legal(..) if !self.takes_value() => self.without_effect(
                    said.span,
                    format!("no written value of `{name}` is looked at"),
                    "leave it out: the register's `write` answers whatever the value is",
                ),
                FieldStatement::Legal(_, Illegal::Keep)
                    if !self.by_bits() || !field.write.changes() =>
                {
                    self.without_effect(
                        said.span,
                        format!("a write keeps `{name}` whatever the value is"),
                        "leave it out, or let a write change the field",
                    );
                }
                _ => {}
            }
        }
    }

    /// A rule of a field refuses something that is not refused already.
    fn legal_of_field(&mut self, field: &Field, rule: &Rule, span: Span) {
        let rank = |rule: &Rule| match rule.otherwise {
            Illegal::Fault => 0,
            Illegal::Ignore => 1,
            Illegal::Keep => 2,
        };
        let at = field.rules.iter().position(|one| std::ptr::eq(one, rule));
        let earlier = |(number, other): &(usize, &Rule)| {
            rank(other) < rank(rule) || rank(other) == rank(rule) && Some(*number) < at
        };
        let before = field.rules.iter().enumerate().filter(earlier);
        let before: Vec<&Rule> = before.map(|(_, other)| other).collect();
        if legal::follows(&[], rule, field.mask() >> field.lo) {
            self.asks_nothing(span, "every value is legal anyway");
        } else if legal::follows(&before, rule, field.mask() >> field.lo) {
            self.asks_nothing(span, "what is said before asks for it already");
        }
    }

    /// What is stored is seen: by a read, by a rule, or by another register.
    fn unseen(&mut self, span: Span) {
        let register = self.register;
        // Asked last: it looks at all registers.
        let other = || self.view.registers.iter().any(|one| names(one, self.id));
        let injected = self
            .view
            .injection
            .as_ref()
            .is_some_and(|injection| injection.shown().iter().any(|(id, _)| *id == self.id));
        if super::register::writable(register) == 0
            || register.held
            || injected
            || self.view.capability == Some(self.id)
            || asks_for_state(register)
            || other()
        {
            return;
        }
        self.add(
            &codes::WRITE_UNSEEN,
            span,
            format!("what is written to `{}` is never read", register.name),
            "no read, rule or other register looks at its state: write `ignore`, or `fault_if_set`",
        );
    }
}

fn is_lock(rule: &ast::BitRule) -> bool {
    matches!(rule, ast::BitRule::Locked(_))
}

/// A read of the register, or one of its rules, looks at its state.
fn asks_for_state(register: &Register) -> bool {
    let mut asks = false;
    super::expression::each_expression(register, &mut |expr| {
        expr.walk(&mut |one| asks |= *one == Expr::State);
    });
    asks
}

/// A register names a bank of another.
fn names(register: &Register, other: RegisterId) -> bool {
    let mut named = false;
    super::expression::each_expression(register, &mut |expr| {
        expr.walk(&mut |one| named |= matches!(one, Expr::Cell(id, _) if *id == other));
    });
    named
}
