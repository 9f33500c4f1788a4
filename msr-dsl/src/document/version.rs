//! The part of the page that shows one version.

use super::expression::expression;
use super::prose::prose;
use super::{changes, register, text};
use crate::model::{Argument, Injection, Model, Offer, Scope, View};
use maud::{Markup, html};

/// The version's section; its anchor is `v3`.
pub fn section(model: &Model, view: &View) -> Markup {
    let newest = view.version == model.newest().version;
    html! {
        section.version id=(format!("v{}", view.version)) {
            h2 { "Version " (view.version) }
            p { (prose(&sentence(&view.text))) }
            @if view.restore_only {
                p { "Guests of this version are only restored, into a later one." }
            }
            (overview(view))
            (changes::section(model, view))
            @if !view.features.is_empty() { (features(view)) }
            @for register in &view.registers { (register::section(view, register, newest)) }
            @if let Some(injection) = &view.injection { (injected(view, injection)) }
            @if !view.hooks.is_empty() { (hooks(view)) }
            @if let Some(extra) = text::extra(view) {
                h3 { "What an administrator may name at boot" }
                p { "For guests from newer hosts: " (extra) "." }
            }
            @if !view.saved().is_empty() { (record(view, Scope::Vcpu)) }
            @if !view.saved_of(Scope::Guest).is_empty() { (record(view, Scope::Guest)) }
        }
    }
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), letters.as_str())
}

fn overview(view: &View) -> Markup {
    html! {
        div.wide {
            table.overview {
                thead { tr { th { "register" } th { "address" } th { "reset" } th { "read" } th { "write" } th { "migrates" } } }
                tbody {
                    @for one in &view.registers {
                        tr {
                            td { a href=(format!("#{}", register::anchor(view, one))) { (one.name) } }
                            td { code { (text::addresses(one)) } }
                            td { code { (text::reset(one)) } }
                            td { (text::read(view, one)) }
                            td { (text::write(view, one)) }
                            td { (text::migrates(one)) }
                        }
                    }
                }
            }
        }
    }
}

fn features(view: &View) -> Markup {
    html! {
        h3 { "Features" }
        div.wide {
            table {
                thead { tr { th { "feature" } th { "bit" } th { "who has it" } th { "needs" } th { "" } } }
                tbody {
                    @for feature in &view.features {
                        tr id=(format!("v{}.{}", view.version, feature.name)) {
                            td { (feature.name) }
                            td { code { (feature.bit) } }
                            td { @match feature.offer {
                                Offer::Default => "every new guest",
                                Offer::Offered => "guests that are given it",
                            } }
                            td { (needs(feature)) }
                            td { (prose(&feature.doc)) }
                        }
                    }
                }
            }
        }
    }
}

fn needs(feature: &crate::model::Feature) -> String {
    let all = feature.requires.iter().map(|one| one.join(" or "));
    let host = feature.host.iter().map(|host| format!("host: {host}"));
    let all: Vec<String> = all.chain(host).collect();
    match all.is_empty() {
        true => "–".to_owned(),
        false => all.join(", "),
    }
}

fn injected(view: &View, injection: &Injection) -> Markup {
    let rows = injection.shown();
    html! {
        section.register id=(format!("v{}.injection", view.version)) {
            h3 { "What an injected machine check shows" }
            p {
                @if injection.broadcast { "Every vCPU is told" } @else { "The vCPU that it is for is told" }
                "; bank " (injection.bank) " takes the error."
            }
            div.wide {
                table {
                    thead { tr { th { "register" } th { "bits that an injection may set" } } }
                    tbody {
                        @for (id, mask) in rows {
                            tr {
                                td { a href=(format!("#{}", register::anchor(view, view.register(id)))) { (view.register(id).name) } }
                                td { code { (text::number(mask)) } }
                            }
                        }
                    }
                }
            }
            @if let Some(local) = &injection.local {
                p { "To one vCPU alone if " code { (expression(view, local)) } "." }
            }
            @if let Some(pending) = injection.pending {
                p { "Not delivered yet: " code { (view.register(pending).name) } "." }
            }
        }
    }
}

fn hooks(view: &View) -> Markup {
    let argument = |argument: &Argument| match argument {
        Argument::Value => "value: u64",
        Argument::Msr => "msr: u32",
        Argument::Index => "index: u32",
    };
    html! {
        h3 { "What the hypervisor does itself" }
        dl {
            @for hook in &view.hooks {
                dt { code { (hook.name) "(" (hook.arguments.iter().map(argument).collect::<Vec<_>>().join(", ")) ")" } }
                dd { (prose(&hook.doc)) }
            }
        }
    }
}

fn record(view: &View, scope: Scope) -> Markup {
    html! {
        h3 { @match scope {
            Scope::Vcpu => "The saved record",
            Scope::Guest => "The saved record of what the guest's vCPUs share",
        } }
        p { "Items in the order of restoring; those of older versions that are read and dropped are not listed." }
        div.wide {
            table {
                thead { tr { th { "tag" } th { "register" } th { "64-bit words" } th { "where a record lacks it" } } }
                tbody {
                    @for (id, tag, default) in view.saved_of(scope) {
                        tr {
                            td { (tag) }
                            td { a href=(format!("#{}", register::anchor(view, view.register(id)))) { (view.register(id).name) } }
                            td { (view.cells(view.register(id))) }
                            td { code { (text::number(default)) } }
                        }
                    }
                }
            }
        }
    }
}
