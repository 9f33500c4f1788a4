//! Mistakes of meaning in a spec that has others: what is said of features, banks, the injection, tags and addresses is checked as far
//! as it depends on nothing in which there is a mistake already, so that one mistake stays one error.

use super::{Context, addresses, banks, extra, features, injection, migration, select, state};
use crate::ast::Spec;
use crate::diagnostics::{Diagnostics, start};
use crate::model::View;
use proc_macro2::Span;
use std::collections::BTreeSet;

/// Checks what can be checked in a version whose registers have mistakes.
pub fn beyond(cx: &Context, mut view: View, diagnostics: &mut Diagnostics) {
    let items = Items::new(cx.spec);
    let wrong = items.wrong(diagnostics);
    // An interface, or an item that could not be read at all, may be what anything depends on.
    if cx.spec.lost_item || wrong.contains(&items.of_span(cx.spec.interfaces[0].name.span)) {
        return;
    }
    let is_fine = |name: &str| {
        let own = cx.registers.iter().find(|one| one.name.text == name);
        own.is_some_and(|own| !wrong.contains(&items.of_span(own.name.span)))
    };
    let keep = |found: Diagnostics, diagnostics: &mut Diagnostics| {
        for one in found
            .iter()
            .filter(|one| !wrong.contains(&items.of_span(one.span)))
        {
            diagnostics.add(one.code, one.span, one.message.as_str(), one.help.as_str());
        }
    };
    let word = cx.spec.interfaces[0].capability.first();
    let mut found = Diagnostics::default();
    view.capability = features::capability(cx, &view, &mut found);
    view.banks = banks::banks(cx, &mut found);
    view.extra = extra::extra(cx, &view, &mut found);
    view.features = features::features(cx, &view, &mut found);
    // Which features there are, and how many banks, the capability register says.
    if word.is_none_or(|name| is_fine(&name.text)) {
        keep(found, diagnostics);
    }
    let roles = cx.spec.injections.iter().flat_map(|section| {
        let roles = select::select(&section.roles, cx.version).map(|said| &said.what.1);
        let pending = select::select(&section.pending, cx.version).map(|said| &said.what);
        roles.chain(pending)
    });
    let known = |text: &str| cx.registers.iter().any(|one| one.name.text == text);
    let roles: Vec<&str> = roles.map(|name| name.text.as_str()).collect();
    let mut found = Diagnostics::default();
    view.injection = injection::injection(cx, &view, &mut found);
    if roles.iter().all(|name| is_fine(name) || !known(name)) {
        keep(found, diagnostics);
    }
    let mut found = Diagnostics::default();
    state::storage(cx, &mut view);
    migration::tags(cx, &mut view, &mut found);
    state::after_storage(cx, &view, &mut found);
    // What has state depends on the injection too.
    let sections = cx.spec.injections.iter();
    let told = sections.map(|section| items.of_span(section.span));
    if roles.iter().all(|name| is_fine(name)) && !told.into_iter().any(|one| wrong.contains(&one)) {
        keep(found, diagnostics);
    }
    let mut found = Diagnostics::default();
    addresses::addresses(cx, &mut view, &mut found);
    keep(found, diagnostics);
}

/// Where the items of a spec begin: a line belongs to the last that begins before it.
struct Items {
    starts: BTreeSet<usize>,
}

impl Items {
    fn new(spec: &Spec) -> Self {
        let interfaces = spec.interfaces.iter().map(|one| one.name.span);
        let features = spec.features.iter().map(|one| one.name.span);
        let hooks = spec.hooks.iter().map(|one| one.name.span);
        let registers = spec.registers.iter().map(|one| one.name.span);
        let injections = spec.injections.iter().map(|one| one.span);
        let removed = spec.removed.iter().map(|one| one.span);
        let all = interfaces.chain(features).chain(hooks).chain(registers);
        let all = all.chain(injections).chain(removed);
        Self {
            starts: all.map(|span| start(span).line).collect(),
        }
    }

    fn of_span(&self, span: Span) -> usize {
        let line = start(span).line;
        self.starts.range(..=line).next_back().copied().unwrap_or(0)
    }

    /// Those in which there is a mistake already.
    fn wrong(&self, diagnostics: &Diagnostics) -> BTreeSet<usize> {
        diagnostics
            .iter()
            .map(|one| self.of_span(one.span))
            .collect()
    }
}
