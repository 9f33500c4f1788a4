//! Bits that a write can only clear, or only set, and that nothing ever brings to where they could be cleared, or set.

use super::Context;
use crate::ast::{self, Spec, Statement};
use crate::codes;
use crate::diagnostics::Diagnostics;
use crate::model::{BitRule, Field, Legal, Migrate, Register, RegisterId, Rule, View};
use proc_macro2::Span;

/// Notes them, in every version.
pub fn dead(spec: &Spec, views: &[View], diagnostics: &mut Diagnostics) {
    for (at, view) in views.iter().enumerate() {
        let cx = Context::new(spec, view.version);
        for (id, register) in view.ids() {
            let settled = !register.stored || register.held || view.capability == Some(id);
            if settled || brought(&views[..at], register) {
                continue;
            }
            let bits = Bits::of(&cx, view, id, register);
            if super::register::writable(register) != 0 && bits.ones == 0 && !bits.clears {
                diagnostics.add(
                    &codes::CONSTANT_STATE,
                    cx.registers[id.0].name.span,
                    format!("nothing but 0 is ever stored in `{}`", register.name),
                    "its rules let no other value through: write `read zero;` and `write ignore;`, or let more be legal",
                );
                continue;
            }
            for ast in cx.fields(id) {
                let field = register.fields.iter().find(|one| one.name == ast.name.text);
                if let Some(field) = field.filter(|one| one.read.is_none()) {
                    bits.look(
                        &field.name,
                        &field.write,
                        field.mask(),
                        ast.name.span,
                        diagnostics,
                    );
                }
            }
            if register.fields.is_empty() {
                let span = cx.registers[id.0].name.span;
                bits.look(
                    &register.name,
                    &register.reserved,
                    u64::MAX,
                    span,
                    diagnostics,
                );
            }
        }
    }
}

/// A record of an older version may bring it with any bits.
fn brought(older: &[View], register: &Register) -> bool {
    let tag = |one: &Register| match one.migrate {
        Migrate::Saved { tag, .. } => Some(tag),
        _ => None,
    };
    let Some(own) = tag(register) else {
        return false;
    };
    let mut all = older.iter().flat_map(|view| &view.registers);
    all.any(|one| tag(one) == Some(own))
}

/// What the bits of a register can become without a write that clears or sets.
struct Bits {
    /// Those that can be 1.
    ones: u64,
    /// Those that can be 0.
    zeros: u64,
    /// Some write clears.
    clears: bool,
}

impl Bits {
    fn of(cx: &Context, view: &View, id: RegisterId, register: &Register) -> Self {
        let injected = view
            .injection
            .iter()
            .flat_map(|injection| injection.shown());
        let injected = injected.filter(|(own, _)| *own == id);
        let injected = injected.fold(0, |all, (_, mask)| all | mask);
        let pending = view
            .injection
            .as_ref()
            .is_some_and(|one| one.pending == Some(id));
        let mut all = super::select::select(&cx.registers[id.0].statements, cx.version);
        let accepts = match all.any(|said| matches!(said.what, Statement::Accepts(_))) {
            true => register.accepts,
            false => 0,
        };
        let freely = |rule: &BitRule| matches!(rule, BitRule::Store | BitRule::Locked(_));
        let of = |pick: &dyn Fn(&BitRule) -> bool| {
            let fields = register.fields.iter().filter(|field| pick(&field.write));
            let reserved = match pick(&register.reserved) {
                true => register.reserved_mask,
                false => 0,
            };
            fields.fold(reserved, |all, field: &Field| all | field.mask())
        };
        let default = match register.migrate {
            Migrate::Saved { default, .. } => default,
            _ => register.reset,
        };
        let own = [
            register.reset,
            register.init.unwrap_or(register.reset),
            default,
        ];
        let legal = written(register);
        let free = of(&freely);
        let any = injected | accepts | if pending { u64::MAX } else { 0 };
        let sets = free | of(&|rule| matches!(rule, BitRule::OneSets | BitRule::Sticky));
        let clears = of(&|rule| matches!(rule, BitRule::OneClears | BitRule::ZeroClears));
        Self {
            ones: own.iter().fold(any | sets & legal, |all, one| all | one),
            zeros: own.iter().fold(any | free | clears, |all, one| all | !one),
            clears: clears != 0,
        }
    }

    fn look(
        &self,
        name: &str,
        rule: &BitRule,
        mask: u64,
        span: Span,
        diagnostics: &mut Diagnostics,
    ) {
        let (message, help) = match rule {
            BitRule::OneClears | BitRule::ZeroClears if self.ones & mask == 0 => (
                format!("nothing sets `{name}`, so there is nothing to clear"),
                "let a machine check, a reset value or another rule set it, or write `ignore`",
            ),
            BitRule::OneSets | BitRule::Sticky if self.zeros & mask == 0 => (
                format!("nothing clears `{name}`, so there is nothing to set"),
                "let its reset value be 0, or write `ignore`",
            ),
            _ => return,
        };
        diagnostics.add(&codes::CONSTANT_STATE, span, message, help);
    }
}

/// Bits that a written value can have, as far as its sets of values say.
pub fn written(register: &Register) -> u64 {
    let of = |rules: &[Rule]| {
        rules.iter().fold(u64::MAX, |all, rule| match &rule.legal {
            Legal::Sets(sets) => all & sets.iter().fold(0, |bits, set| bits | set.bits()),
            Legal::Holds(_) => all,
        })
    };
    let fields = register.fields.iter().map(|field| {
        let outside = !field.mask();
        of(&field.rules) << field.lo | outside
    });
    fields.fold(of(&register.rules), |all, field| all & field)
}

/// A field that a register's `write` would change, were its reads not computed.
pub fn computed<'a>(cx: &Context<'a>, id: RegisterId) -> Option<&'a ast::Field> {
    let mut said = super::select::select(&cx.registers[id.0].statements, cx.version);
    let writes = said.any(|said| match &said.what {
        Statement::Write(ast::Write::Bits(rule, _)) => !matches!(
            rule.value,
            ast::BitRule::Ignore | ast::BitRule::FaultIfSet | ast::BitRule::FaultOnChange
        ),
        _ => false,
    });
    let is_read = |field: &&ast::Field| {
        let mut own = super::select::select(&field.statements, cx.version);
        own.any(|said| matches!(said.what, ast::FieldStatement::Read(_)))
    };
    cx.fields(id).filter(|_| writes).find(is_read)
}
