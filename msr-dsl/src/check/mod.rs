//! From the syntax tree to the model: names are resolved, and every mistake that a careful reviewer would ask about
//! is found here and nowhere else. One file per subject.

mod accepts;
mod addresses;
mod banks;
mod beyond;
mod closed;
mod dead;
mod decide;
mod effect;
mod expression;
mod extra;
mod features;
mod field;
mod guests;
mod in_every_guest;
mod injection;
mod legal;
mod lock;
mod migration;
mod older;
pub(crate) mod register;
pub(crate) use width::asks_for_place;
mod rust_names;
mod scope;
mod select;
mod state;
mod taken;
mod told;
mod versions;
mod warnings;
mod width;

use crate::ast::Spec;
use crate::codes;
use crate::diagnostics::Diagnostics;
use crate::model::{Hook, Model, RegisterId, View};
use crate::words::suggest;
use proc_macro2::Span;
use std::collections::HashMap;

/// Checks a spec, poisoned lines aside. None if it has errors.
pub fn check(
    spec: &Spec,
    end: Span,
    manifest: Option<&str>,
    diagnostics: &mut Diagnostics,
) -> Option<Model> {
    let model = model(spec, end, diagnostics)?;
    if let Some(manifest) = manifest {
        lock::lock(spec, &model, manifest, diagnostics);
    }
    if diagnostics.has_errors() {
        None
    } else {
        Some(model)
    }
}

fn model(spec: &Spec, end: Span, diagnostics: &mut Diagnostics) -> Option<Model> {
    // Mistakes in the words of a line do not end the checks of names, fields and rules.
    let in_words = diagnostics.errors();
    let interface = versions::interface(spec, end, diagnostics)?;
    names(spec, diagnostics);
    texts(spec, diagnostics);
    rust_names::rust_names(spec, diagnostics);
    injection::deliveries(spec, diagnostics);
    let numbers = versions::numbers(interface, diagnostics);
    if diagnostics.errors() > in_words {
        return None;
    }
    versions::ranges(spec, &numbers, diagnostics);
    if diagnostics.errors() > in_words {
        return None;
    }
    let mut views: Vec<View> = interface
        .versions
        .iter()
        .map(|line| Context::new(spec, line.number.value as u16).view(line, diagnostics))
        .collect();
    if spec.registers.is_empty() && !diagnostics.has_errors() {
        diagnostics.add(
            &codes::HALF_SAID,
            interface.name.span,
            format!("interface `{}` lists no register", interface.name.text),
            "add one: `register NAME @ 0x179 { ... }`",
        );
    }
    if diagnostics.has_errors() {
        return None;
    }
    closed::restored(spec, &mut views, diagnostics);
    migration::dropped(&mut views);
    migration::across(spec, &views, diagnostics);
    older::older(spec, &views, diagnostics);
    taken::taken(spec, &views, diagnostics);
    dead::dead(spec, &views, diagnostics);
    in_every_guest::in_every_guest(spec, &views, diagnostics);
    versions::changes(interface, &views, diagnostics);
    warnings::warnings(spec, &views, diagnostics);
    warnings::waivers(spec, diagnostics);
    if diagnostics.has_errors() {
        return None;
    }
    let known = crate::model::known(&views);
    for view in &mut views {
        view.known = known.clone();
    }
    Some(Model {
        name: interface.name.text.clone(),
        doc: interface.doc.clone(),
        vendor: interface
            .vendor
            .first()
            .map_or_else(|| "any".to_owned(), |vendor| vendor.text.clone()),
        removed: spec
            .removed
            .iter()
            .map(|one| one.what.to_string())
            .collect(),
        views,
    })
}

/// What the passes over one version share.
pub(crate) struct Context<'a> {
    spec: &'a Spec,
    version: u16,
    /// The registers of this version: their statements, by number.
    registers: Vec<&'a crate::ast::Register>,
    names: HashMap<&'a str, RegisterId>,
    hooks: Vec<&'a crate::ast::Hook>,
}

impl<'a> Context<'a> {
    fn new(spec: &'a Spec, version: u16) -> Self {
        let registers: Vec<_> = spec
            .registers
            .iter()
            .filter(|r| select::lives(r.versions, version))
            .collect();
        let names = registers
            .iter()
            .enumerate()
            .map(|(i, r)| (r.name.text.as_str(), RegisterId(i)))
            .collect();
        Self {
            spec,
            version,
            registers,
            names,
            hooks: spec.hooks.iter().collect(),
        }
    }

    fn view(&self, line: &crate::ast::VersionLine, diagnostics: &mut Diagnostics) -> View {
        let interface = &self.spec.interfaces[0];
        let registers = (0..self.registers.len())
            .map(|i| register::register(self, RegisterId(i), diagnostics))
            .collect();
        let mut view = View {
            name: interface.name.text.clone(),
            version: self.version,
            text: line.text.value.clone(),
            restore_only: line.restore_only,
            capability: None,
            banks: None,
            features: Vec::new(),
            hooks: self
                .hooks
                .iter()
                .map(|hook| self.hook(hook, diagnostics))
                .collect(),
            registers,
            injection: None,
            dropped_tags: Vec::new(),
            extra: None,
            known: [].into(),
        };
        if diagnostics.has_errors() {
            beyond::beyond(self, view.clone(), diagnostics);
            return view;
        }
        view.capability = features::capability(self, &view, diagnostics);
        view.banks = banks::banks(self, diagnostics);
        if diagnostics.has_errors() {
            beyond::beyond(self, view.clone(), diagnostics);
            return view;
        }
        view.extra = extra::extra(self, &view, diagnostics);
        view.features = features::features(self, &view, diagnostics);
        view.injection = injection::injection(self, &view, diagnostics);
        state::storage(self, &mut view);
        migration::tags(self, &mut view, diagnostics);
        state::after_storage(self, &view, diagnostics);
        addresses::addresses(self, &mut view, diagnostics);
        if !diagnostics.has_errors() {
            expression::cells(self, &view, diagnostics);
            expression::cycles(self, &view, diagnostics);
        }
        if !diagnostics.has_errors() {
            scope::consistent(self, &view, diagnostics);
            effect::effects(self, &view, diagnostics);
            legal::legal(self, &view, diagnostics);
        }
        if !diagnostics.has_errors() {
            banks::consistent(self, &view, diagnostics);
            features::consistent(self, &view, diagnostics);
            guests::unreachable(self, &view, diagnostics);
            injection::consistent(self, &view, diagnostics);
            migration::length(self, &view, diagnostics);
        }
        view
    }

    fn hook(&self, hook: &crate::ast::Hook, diagnostics: &mut Diagnostics) -> Hook {
        use crate::model::Argument;
        let mut arguments = Vec::new();
        let Some(list) = &hook.arguments else {
            diagnostics.add(
                &codes::HOOK_WITHOUT_TYPE,
                hook.name.span,
                format!("hook `{}` has no type", hook.name.text),
                format!(
                    "write its arguments: `hook {}(value: u64);`, or `hook {}();` if it has none",
                    hook.name.text, hook.name.text
                ),
            );
            return Hook {
                name: hook.name.text.clone(),
                doc: hook.doc.clone(),
                arguments,
            };
        };
        for (name, ty) in list {
            let (argument, right) = match name.text.as_str() {
                "value" => (Argument::Value, "u64"),
                "msr" => (Argument::Msr, "u32"),
                "index" => (Argument::Index, "u32"),
                other => {
                    diagnostics.add(
                        &codes::HOOK_ARGUMENT,
                        name.span,
                        format!("a hook has no argument `{other}`"),
                        suggest(other, &["value", "msr", "index"]),
                    );
                    continue;
                }
            };
            if arguments.contains(&argument) {
                diagnostics.add(
                    &codes::HOOK_ARGUMENT,
                    name.span,
                    format!("argument `{}` is there twice", name.text),
                    "leave one out",
                );
            }
            if ty.text != right {
                diagnostics.add(
                    &codes::HOOK_ARGUMENT,
                    ty.span,
                    format!("argument `{}` is not a `{}`", name.text, ty.text),
                    format!("write `{}: {right}`", name.text),
                );
            }
            arguments.push(argument);
        }
        Hook {
            name: hook.name.text.clone(),
            doc: hook.doc.clone(),
            arguments,
        }
    }
}

/// Citations and tombstones say something, and each tombstone stands once.
fn texts(spec: &Spec, diagnostics: &mut Diagnostics) {
    let statements = spec.registers.iter().flat_map(|one| &one.statements);
    for said in statements {
        if matches!(&said.what, crate::ast::Statement::Cite(text) if text.trim().is_empty()) {
            diagnostics.add(
                &codes::SAYS_NOTHING,
                said.span,
                "a citation of nothing",
                "name the manual and the section, or leave the line out and waive the warning",
            );
        }
    }
    let mut seen: Vec<(String, proc_macro2::Span)> = Vec::new();
    for removed in &spec.removed {
        if removed.why.trim().is_empty() {
            diagnostics.add(
                &codes::SAYS_NOTHING,
                removed.span,
                "a tombstone without a reason",
                "say why it is gone",
            );
        }
        let what = match &removed.what {
            crate::ast::RemovedThing::Tag { tag, .. } => format!("tag {}", tag.value),
            crate::ast::RemovedThing::Bit(name, bit) => {
                format!("bit {} of `{}`", bit.value, name.text)
            }
        };
        if let Some((_, first)) = seen.iter().find(|(other, _)| *other == what) {
            let at = crate::diagnostics::start(*first);
            diagnostics.add(
                &codes::SAID_TWICE,
                removed.span,
                format!(
                    "{what} is removed twice (first at {}:{})",
                    at.line, at.column
                ),
                "keep one",
            );
        }
        seen.push((what, removed.span));
    }
}

/// Words with a meaning of their own in expressions.
const MEANINGS: &[&str] = &["value", "state", "i"];

/// No name stands for two things in one version.
fn names(spec: &Spec, diagnostics: &mut Diagnostics) {
    let overlap = |a: Option<crate::ast::Versions>, b: Option<crate::ast::Versions>| match (a, b) {
        (Some(a), Some(b)) => {
            a.from <= b.to.unwrap_or(u16::MAX) && b.from <= a.to.unwrap_or(u16::MAX)
        }
        _ => true,
    };
    let mut seen: Vec<(&crate::ast::Name, Option<crate::ast::Versions>, &str)> = Vec::new();
    let registers = spec
        .registers
        .iter()
        .map(|r| (&r.name, r.versions, "register"));
    let features = spec
        .features
        .iter()
        .map(|f| (&f.name, f.versions, "feature"));
    let hooks = spec.hooks.iter().map(|h| (&h.name, None, "hook"));
    for (name, versions, kind) in registers.chain(features).chain(hooks) {
        if MEANINGS.contains(&name.text.as_str()) {
            diagnostics.add(
                &codes::NAME_TAKEN,
                name.span,
                format!("`{}` has a meaning of its own in expressions", name.text),
                "choose another name",
            );
        }
        match seen
            .iter()
            .find(|(other, over, _)| other.text == name.text && overlap(*over, versions))
        {
            Some((first, _, first_kind)) => {
                let at = crate::diagnostics::start(first.span);
                diagnostics.add(
                    &codes::NAME_TWICE,
                    name.span,
                    format!(
                        "`{}` is the name of a {first_kind} already (at {}:{})",
                        name.text, at.line, at.column
                    ),
                    "rename one, or let their versions not overlap",
                );
            }
            None => seen.push((name, versions, kind)),
        }
    }
}
