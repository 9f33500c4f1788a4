//! Registers: what reads and writes do, and whether there is state.

use super::expression::{Scope, condition_in, constant, value_in};
use super::scope::scope;
use super::select::{select, single};
use super::{Context, field};
use crate::ast::{self, Init, Statement};
use crate::codes;
use crate::diagnostics::Diagnostics;
use crate::model::{
    BitRule, Expr, Illegal, Legal, Migrate, Read, Register, RegisterId, Rule, Write,
};
use proc_macro2::Span;

/// The statements of one kind that count in this version; one is allowed.
pub fn the<'a, T>(
    cx: &Context<'a>,
    id: RegisterId,
    what: &str,
    diagnostics: &mut Diagnostics,
    pick: impl Fn(&'a Statement) -> Option<T>,
) -> Option<(T, Span)> {
    let found = select(&cx.registers[id.0].statements, cx.version)
        .filter_map(|said| Some((pick(&said.what)?, said.span)));
    single(found.collect::<Vec<_>>(), what, diagnostics)
}

/// Resolves a register. Addresses, state and migration follow in later passes.
pub fn register(cx: &Context, id: RegisterId, diagnostics: &mut Diagnostics) -> Register {
    let ast = cx.registers[id.0];
    let said_write = the(cx, id, "write", diagnostics, |s| {
        if let Statement::Write(write) = s {
            Some(write)
        } else {
            None
        }
    });
    let (write, rule) = match said_write {
        Some((write, _)) => write_rule(cx, id, write, diagnostics),
        None if ast.hidden => (Write::Bits(None), BitRule::Store),
        None if ast.may_say("write") => (Write::Bits(None), BitRule::Ignore),
        None => {
            diagnostics.add(
                &codes::WRITE_UNSAID,
                ast.name.span,
                format!(
                    "`{}` does not say what a write does in version {}",
                    ast.name.text, cx.version
                ),
                "add `write store;`, `write ignore;`, `write fault;`, ...",
            );
            (Write::Bits(None), BitRule::Ignore)
        }
    };
    let by_bits = matches!(write, Write::Bits(_));
    let fields = field::fields(cx, id, &rule, by_bits, diagnostics);
    let named = fields.iter().fold(0, |mask, field| mask | field.mask());
    let reserved = reserved(cx, id, &rule, !named, diagnostics);
    let read = the(cx, id, "read", diagnostics, |s| {
        if let Statement::Read(read) = s {
            Some(read)
        } else {
            None
        }
    });
    let present = the(cx, id, "when", diagnostics, |s| {
        if let Statement::When(c, a) = s {
            Some((c, *a))
        } else {
            None
        }
    });
    let reset = the(cx, id, "reset", diagnostics, |s| {
        if let Statement::Reset(value) = s {
            Some(value)
        } else {
            None
        }
    });
    let reset = reset
        .and_then(|(value, _)| constant(cx, value, diagnostics))
        .unwrap_or(0);
    let shared = scope(cx, id, diagnostics);
    if ast.hidden {
        hidden(cx, id, diagnostics);
    }
    Register {
        name: ast.name.text.clone(),
        doc: ast.doc.clone(),
        line: crate::diagnostics::start(ast.name.span).line,
        cite: select(&ast.statements, cx.version)
            .filter_map(|said| {
                if let Statement::Cite(text) = &said.what {
                    Some(text.clone())
                } else {
                    None
                }
            })
            .collect(),
        banked: ast.banked,
        addresses: Vec::new(),
        stored: false,
        scope: shared,
        held: held(cx, id, diagnostics),
        present: present.and_then(|((condition, absent), _)| {
            let asked = condition_in(cx, condition, Scope::of(id), diagnostics)?;
            field::by_own_state(&ast.name, (&asked, u64::MAX), condition.span, diagnostics);
            Some((asked, absent))
        }),
        reset,
        init: init(cx, id, reset, diagnostics),
        read: read
            .map_or(Some(Read::Value(Expr::State)), |(read, _)| {
                read_rule(cx, id, read, diagnostics)
            })
            .unwrap_or(Read::Fault),
        write,
        rules: rules(cx, id, diagnostics),
        fields,
        reserved,
        reserved_mask: !named,
        migrate: Migrate::Derived,
        accepts: 0,
        after: Vec::new(),
    }
}

/// A hidden register is the hypervisor's: no access reaches it, and the injection section says what it is for.
fn hidden(cx: &Context, id: RegisterId, diagnostics: &mut Diagnostics) {
    let register = cx.registers[id.0];
    let about_accesses = select(&register.statements, cx.version).find(|said| {
        matches!(
            said.what,
            Statement::When(..)
                | Statement::Read(_)
                | Statement::Write(_)
                | Statement::Legal(..)
                | Statement::Require(..)
        )
    });
    if let Some(said) = about_accesses {
        diagnostics.add(
            &codes::HIDDEN,
            said.span,
            format!("no access reaches `{}`: it is hidden", register.name.text),
            "leave the line out",
        );
        return;
    }
    let used = cx
        .spec
        .injections
        .iter()
        .flat_map(|injection| &injection.pending);
    let lost = cx.spec.lost_item
        || cx
            .spec
            .injections
            .iter()
            .any(|one| one.lost.iter().any(|lost| lost.may_say("pending")));
    // A name that is none is told of where it stands.
    let is_hidden = |name: &str| {
        let mut all = cx.spec.registers.iter();
        all.any(|one| one.hidden && one.name.text == name)
    };
    let may_be_meant = |said: &ast::Said<ast::Name>| {
        said.what.text == register.name.text || !is_hidden(&said.what.text)
    };
    if register.banked || !lost && !used.into_iter().any(may_be_meant) {
        diagnostics.add(
            &codes::HIDDEN,
            register.name.span,
            format!(
                "nothing says what the hidden register `{}` is for",
                register.name.text
            ),
            "name it in the injection section (`pending NAME;`); it is not banked",
        );
    }
}

/// Whether the hypervisor sets and takes the state.
fn held(cx: &Context, id: RegisterId, diagnostics: &mut Diagnostics) -> bool {
    let said = the(cx, id, "held", diagnostics, |s| {
        matches!(s, Statement::Held).then_some(())
    });
    let register = cx.registers[id.0];
    if let Some((_, span)) = said
        && (register.banked || register.hidden)
    {
        diagnostics.add(
            &codes::HELD,
            span,
            format!(
                "`{}` is {}",
                register.name.text,
                if register.banked { "banked" } else { "hidden" }
            ),
            "leave `held` out: only a single register that a guest can name is held",
        );
    }
    said.is_some()
}

fn init(cx: &Context, id: RegisterId, reset: u64, diagnostics: &mut Diagnostics) -> Option<u64> {
    let init = the(cx, id, "init", diagnostics, |s| {
        if let Statement::Init(init) = s {
            Some(init)
        } else {
            None
        }
    });
    match init?.0 {
        Init::Keep => None,
        Init::Reset => Some(reset),
        Init::Value(value) => constant(cx, value, diagnostics),
    }
}

fn hook(cx: &Context, name: &ast::Name, diagnostics: &mut Diagnostics) -> Option<usize> {
    let found = cx.hooks.iter().position(|hook| hook.name.text == name.text);
    if found.is_none() && !cx.spec.may_define(&name.text) {
        let known: Vec<&str> = cx
            .hooks
            .iter()
            .map(|hook| hook.name.text.as_str())
            .collect();
        let help = crate::words::closest(&name.text, known.iter().copied()).map_or_else(
            || format!("declare it: `hook {}(value: u64);`", name.text),
            |c| format!("did you mean `{c}`?"),
        );
        diagnostics.add(
            &codes::UNKNOWN_HOOK,
            name.span,
            format!("unknown hook `{}`", name.text),
            help,
        );
    }
    found
}

fn read_rule(
    cx: &Context,
    id: RegisterId,
    read: &ast::Read,
    diagnostics: &mut Diagnostics,
) -> Option<Read> {
    Some(match read {
        ast::Read::Value(value) => Read::Value(value_in(cx, value, Scope::of(id), diagnostics)?),
        ast::Read::Fault => Read::Fault,
        ast::Read::Unlisted => Read::Unlisted,
        ast::Read::Pass => Read::Pass,
        ast::Read::Hook(name) => {
            let found = hook(cx, name, diagnostics)?;
            let takes_value = |(argument, _): &(ast::Name, ast::Name)| argument.text == "value";
            if cx.hooks[found].arguments.iter().flatten().any(takes_value) {
                diagnostics.add(
                    &codes::HOOK_ARGUMENT,
                    name.span,
                    format!(
                        "`{}` takes the written value, and a read writes none",
                        name.text
                    ),
                    "declare another hook for reads",
                );
            }
            Read::Hook(found)
        }
    })
}

fn write_rule(
    cx: &Context,
    id: RegisterId,
    write: &ast::Write,
    diagnostics: &mut Diagnostics,
) -> (Write, BitRule) {
    match write {
        ast::Write::Bits(rule, then) => {
            let resolved =
                field::bit_rule(cx, id, &rule.value, diagnostics).unwrap_or(BitRule::Ignore);
            let then = then.as_ref().and_then(|name| hook(cx, name, diagnostics));
            (Write::Bits(then), resolved)
        }
        ast::Write::Fault => (Write::Fault, BitRule::Ignore),
        ast::Write::Unlisted => (Write::Unlisted, BitRule::Ignore),
        ast::Write::Pass => (Write::Pass, BitRule::Ignore),
        ast::Write::Hook(name) => (
            hook(cx, name, diagnostics).map_or(Write::Fault, Write::Hook),
            BitRule::Ignore,
        ),
    }
}

fn reserved(
    cx: &Context,
    id: RegisterId,
    default: &BitRule,
    unnamed: u64,
    diagnostics: &mut Diagnostics,
) -> BitRule {
    let said = the(cx, id, "reserved", diagnostics, |s| {
        if let Statement::Reserved(rule) = s {
            Some(rule)
        } else {
            None
        }
    });
    let ast = cx.registers[id.0];
    let lost = ast.may_say("reserved") || ast.may_have_more_fields();
    let has_fields = cx.fields(id).next().is_some();
    match said {
        Some((_, span)) if unnamed == 0 => {
            diagnostics.add(
                &codes::NO_RESERVED,
                span,
                "every bit has a field: none is reserved",
                "leave `reserved` out",
            );
            BitRule::Ignore
        }
        Some((rule, span)) => {
            let resolved =
                field::bit_rule(cx, id, &rule.value, diagnostics).unwrap_or(BitRule::Ignore);
            if resolved.changes() && !matches!(resolved, BitRule::Store) {
                diagnostics.add(
                    &codes::RESERVED_WRITABLE,
                    span,
                    "reserved bits that are writable in a way of their own",
                    "give them a field, or write `reserved ignore;`, `fault_if_set`, `fault_on_change` or `store`",
                );
            }
            resolved
        }
        None if unnamed != 0 && has_fields && default.changes() && !lost => {
            let register = cx.registers[id.0];
            diagnostics.add(
                &codes::RESERVED_UNSAID,
                register.name.span,
                format!("`{}` does not say what a write does to bits {}", register.name.text, ranges(unnamed)),
                "add `reserved fault_if_set;` (or `ignore`, `fault_on_change`, `store`), or name the bits",
            );
            BitRule::Ignore
        }
        None => default.clone(),
    }
}

/// `63:4, 2` for a mask.
pub fn ranges(mask: u64) -> String {
    let mut parts = Vec::new();
    let mut bit = 64;
    while bit > 0 {
        bit -= 1;
        if mask >> bit & 1 == 0 {
            continue;
        }
        let hi = bit;
        while bit > 0 && mask >> (bit - 1) & 1 == 1 {
            bit -= 1;
        }
        parts.push(if hi == bit {
            hi.to_string()
        } else {
            format!("{hi}:{bit}")
        });
    }
    parts.join(", ")
}

fn rules(cx: &Context, id: RegisterId, diagnostics: &mut Diagnostics) -> Vec<Rule> {
    let mut rules = Vec::new();
    for said in select(&cx.registers[id.0].statements, cx.version) {
        let (legal, otherwise) = match &said.what {
            Statement::Legal(sets, otherwise) => (
                field::sets(cx, id, sets, diagnostics).map(Legal::Sets),
                *otherwise,
            ),
            Statement::Require(condition, otherwise) => (
                condition_in(cx, condition, Scope::write(id), diagnostics).map(Legal::Holds),
                *otherwise,
            ),
            _ => continue,
        };
        if otherwise == Illegal::Keep {
            diagnostics.add(
                &codes::KEEP_WHOLE,
                said.span,
                "`else keep` for a whole register",
                "`keep` is for one field; for the whole register write `else ignore;`",
            );
        }
        rules.extend(legal.map(|legal| Rule { legal, otherwise }));
    }
    rules
}

/// The register's bits that a write can change.
pub fn writable(register: &Register) -> u64 {
    if !matches!(register.write, Write::Bits(_)) {
        return 0;
    }
    let mut mask = if register.reserved.changes() {
        register.reserved_mask
    } else {
        0
    };
    for field in register.fields.iter().filter(|field| field.write.changes()) {
        mask |= field.mask();
    }
    mask
}
