//! Reference pages: a model as one self-contained HTML page.
//!
//! Principles: the page opens from a file, needs no network and reads without scripts; scripts only hide what is not asked for.
//! Everything in it comes from the model, so it cannot differ from what a guest sees.

mod changes;
mod expression;
mod map;
mod prose;
pub mod register;
pub mod text;
mod version;

use crate::model::Model;
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// The page of an interface.
pub fn page(model: &Model) -> String {
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (model.name) ": the MSRs that a guest sees" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (header(model))
                main {
                    (legend())
                    @for view in model.views.iter().rev() { (version::section(model, view)) }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    markup.into_string()
}

fn header(model: &Model) -> Markup {
    let vendor = match model.vendor.as_str() {
        "any" => "guests of any vendor".to_owned(),
        "amd" => "AMD guests".to_owned(),
        _ => "Intel guests".to_owned(),
    };
    html! {
        header {
            h1 { (model.name) }
            p { (prose::prose(&model.doc)) }
            p.vendor { "For " (vendor) "." }
            nav aria-label="versions" {
                @for view in model.views.iter().rev() {
                    a href=(format!("#v{}", view.version)) title=(view.text) { "version " (view.version) }
                }
            }
            // Shown by the script, which makes it work.
            p #search hidden {
                label for="find" { "Find a register, a field or an address " }
                input #find type="search" placeholder="MCIP or 0x17a";
                span #found role="status" {}
            }
        }
    }
}

fn legend() -> Markup {
    html! {
        ul.legend aria-label="legend of the drawings" {
            @for kind in map::Kind::ALL {
                li { span class=(format!("swatch {}", kind.class())) {} " " (kind.words()) }
            }
        }
    }
}
