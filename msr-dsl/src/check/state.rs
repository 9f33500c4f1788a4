//! State: which registers have some, whether anything changes it, and the values that it takes by itself.

use super::register::{ranges, the, writable};
use super::select::select;
use super::{Context, closed, legal};
use crate::ast::{self, Init, Statement};
use crate::codes;
use crate::diagnostics::Diagnostics;
use crate::interpret::{allows, in_sets};
use crate::model::{
    BitRule, Expr, Illegal, Migrate, Read, Register, RegisterId, Rule, View, Write,
};
use proc_macro2::Span;

/// Which registers have cells: what can change, and what others have to remember.
pub fn storage(cx: &Context, view: &mut View) {
    let injected: Vec<RegisterId> = view
        .injection
        .iter()
        .flat_map(|injection| {
            [
                injection.global.0,
                injection.status.0,
                injection.address.0,
                injection.misc.0,
            ]
        })
        .collect();
    for i in 0..view.registers.len() {
        let id = RegisterId(i);
        let saved = select(&cx.registers[i].statements, cx.version)
            .any(|said| matches!(said.what, Statement::Migrate(ast::Migrate::Saved { .. })));
        let register = &view.registers[i];
        let shown = matches!(&register.read, Read::Value(value) if mentions_state(value))
            || register
                .fields
                .iter()
                .filter_map(|field| field.read.as_ref())
                .any(mentions_state);
        let all_computed =
            register.reserved_mask == 0 && register.fields.iter().all(|field| field.read.is_some());
        let stored = (shown && !all_computed)
            || writable(register) != 0
            || saved
            || register.held
            || view.capability == Some(id)
            || injected.contains(&id);
        view.registers[i].stored = stored;
    }
}

fn mentions_state(expr: &Expr) -> bool {
    let mut found = false;
    expr.walk(&mut |one| found |= *one == Expr::State);
    found
}

/// What can be said only when it is known which registers have state.
pub fn after_storage(cx: &Context, view: &View, diagnostics: &mut Diagnostics) {
    for (id, register) in view.ids() {
        let name = cx.registers[id.0].name.span;
        let reset = the(cx, id, "reset", diagnostics, |s| match s {
            Statement::Reset(value) => Some(value.span),
            _ => None,
        });
        let reset = reset.map(|(span, _)| span);
        if let (Some(span), false) = (reset, register.stored) {
            diagnostics.add(
                &codes::RESET_WITHOUT_STATE,
                span,
                format!("`{}` has a reset value and no state", register.name),
                "its reads never show it: write the value after `read`, or leave `reset` out",
            );
        }
        unchanged(cx, view, id, diagnostics);
        // What a write may set may be set from the beginning too. Of the capability register `restore accepts` says it.
        let strict = match register.reserved {
            BitRule::FaultIfSet => true,
            BitRule::Ignore | BitRule::FaultOnChange => {
                !register.fields.is_empty() && view.capability != Some(id)
            }
            _ => false,
        };
        if register.stored || reset.is_some() {
            let value = Given {
                what: match reset {
                    Some(_) => "reset value",
                    None => "implied reset value",
                },
                value: register.reset,
                said: reset,
            };
            value.check(register, strict, name, diagnostics);
        }
        let init = the(cx, id, "init", &mut Diagnostics::default(), |s| match s {
            Statement::Init(Init::Value(value)) => Some(value.span),
            _ => None,
        });
        if let (Some((span, _)), Some(value)) = (init, register.init) {
            kept_over_init(register, value, span, diagnostics);
            let value = Given {
                what: "value after INIT",
                value,
                said: Some(span),
            };
            value.check(register, strict, name, diagnostics);
        }
    }
}

/// A sticky bit keeps over INIT what it had before: a value given to it there would be ignored.
fn kept_over_init(register: &Register, value: u64, span: Span, diagnostics: &mut Diagnostics) {
    let kept = sticky(register);
    if kept == u64::MAX {
        diagnostics.add(
            &codes::RULE_WITHOUT_EFFECT,
            span,
            format!(
                "every bit of `{}` is sticky: INIT changes none",
                register.name
            ),
            "leave `init` out, or write `one_sets` for the bits that INIT changes",
        );
    } else if value & kept != 0 {
        diagnostics.add(
            &codes::RESET_OUTSIDE,
            span,
            format!(
                "the value after INIT sets bits {}, which are sticky",
                ranges(value & kept)
            ),
            "clear them: INIT leaves a sticky bit as it is; one that INIT changes is `one_sets`",
        );
    }
}

/// Bits that keep their value over INIT.
fn sticky(register: &Register) -> u64 {
    let of = |rule: &BitRule, bits: u64| match rule {
        BitRule::Sticky => bits,
        _ => 0,
    };
    let fields = register.fields.iter();
    fields.fold(
        of(&register.reserved, register.reserved_mask),
        |all, field| all | of(&field.write, field.mask()),
    )
}

/// State that neither guest, hypervisor, injection nor restore changes is a constant.
fn unchanged(cx: &Context, view: &View, id: RegisterId, diagnostics: &mut Diagnostics) {
    let register = view.register(id);
    let changed = writable(register) != 0
        || register.held
        || register.accepts & !register.reset != 0
        || view.capability == Some(id)
        || view
            .injection
            .as_ref()
            .is_some_and(|injection| injection.sets(id));
    let (saved, restored) = match register.migrate {
        Migrate::Saved { default, .. } => (", and it is saved", default != register.reset),
        _ => ("", false),
    };
    // `reserved` of a register without fields, which is told of elsewhere, takes the place of `write`.
    let said_reserved = select(&cx.registers[id.0].statements, cx.version)
        .any(|said| matches!(said.what, Statement::Reserved(_)));
    let told = !saved.is_empty() && register.fields.is_empty() && said_reserved;
    if register.stored && !changed && !restored && !told {
        if let Some(field) = super::dead::computed(cx, id) {
            diagnostics.add(
                &codes::CONSTANT_STATE,
                field.name.span,
                format!(
                    "reads of `{}` are computed, so a write stores nothing in `{}`{saved}",
                    field.name.text, register.name
                ),
                "let the register say `write ignore;` and leave `migrate` out, or take the field's `read` out",
            );
            return;
        }
        let help = match saved {
            "" => format!("write `read {:#x};`", register.reset),
            _ => "let the guest write it (`write store;`), say that the hypervisor has it (`held;`), or leave `migrate` out".to_owned(),
        };
        diagnostics.add(
            &codes::CONSTANT_STATE,
            cx.registers[id.0].name.span,
            format!("nothing changes the state of `{}`{saved}", register.name),
            help,
        );
    }
}

/// A value that a register takes by itself, after power-on or INIT.
struct Given {
    what: &'static str,
    value: u64,
    /// Where it stands; none if it is 0 because nothing is said.
    said: Option<Span>,
}

impl Given {
    /// It is one that the register can have. `strict`: reserved bits are clear.
    fn check(&self, register: &Register, strict: bool, name: Span, diagnostics: &mut Diagnostics) {
        let (what, value) = (self.what, self.value);
        let (span, help) = match self.said {
            Some(span) => (span, "choose a legal one"),
            None => (name, "write `reset VALUE;` with a legal one"),
        };
        let mut add = |message: String, help: &str| {
            diagnostics.add(&codes::RESET_OUTSIDE, span, message, help);
        };
        let reserved = value & if strict { register.reserved_mask } else { 0 };
        let fields = register.fields.iter();
        let computed = fields.filter(|field| field.read.is_some());
        let computed = value & computed.fold(0, |mask, field| mask | field.mask());
        if reserved != 0 {
            add(
                format!("the {what} sets reserved bits {}", ranges(reserved)),
                "clear them, or give them a field",
            );
        } else if computed != 0 {
            add(
                format!(
                    "the {what} sets bits {}, whose reads are computed",
                    ranges(computed)
                ),
                "clear them: no read shows them",
            );
        }
        for field in register.fields.iter().filter(|one| one.read.is_none()) {
            let own = (value & field.mask()) >> field.lo;
            if self.is_refused(&field.rules, |rule| in_sets(rule, own))
                || closed::names(field).is_some_and(|names| !names.contains(&own))
            {
                add(
                    format!(
                        "the {what} gives `{}` the illegal value {own:#x}",
                        field.name
                    ),
                    help,
                );
            }
        }
        let faulting = register.rules.iter().filter(|rule| {
            rule.is_about_value() && (register.held || rule.otherwise == Illegal::Fault)
        });
        let looked_at = matches!(register.write, Write::Bits(_)) || register.held;
        let refused = faulting.into_iter().any(|rule| !allows(rule, value));
        if looked_at && refused && legal::some_of(register) {
            let other = match register.held {
                true => "",
                false => {
                    ", or let the rule ask for the state too: `require value == state || ... else fault;`"
                }
            };
            add(
                format!(
                    "the {what} {value:#x} is illegal by the rules of `{}`",
                    register.name
                ),
                &format!("{help}{other}"),
            );
        }
    }

    /// Whether rules of a field refuse it. Where they leave no value at all, that is the mistake, which is told elsewhere. A guest that
    /// writes back what it has read may be heard out and not obeyed, but does not fault.
    fn is_refused(&self, rules: &[Rule], allows: impl Fn(&Rule) -> bool) -> bool {
        let counts = |rule: &&Rule| self.said.is_some() || rule.otherwise == Illegal::Fault;
        legal::some(rules) && rules.iter().filter(counts).any(|rule| !allows(rule))
    }
}
