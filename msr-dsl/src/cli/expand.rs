//! `msr expand`: the generated Rust, laid out for people.

use super::USAGE;
use super::file::named;
use super::output::{put, tell};
use msr_dsl::generate;
use quote::ToTokens;
use std::process::ExitCode;
use syn::Item;

/// Prints what the macro gives.
pub fn expand(file: &str) -> ExitCode {
    match text(file) {
        Ok(text) => {
            put!("{}", text.trim_end());
            ExitCode::SUCCESS
        }
        Err(message) => {
            tell!("{message}");
            ExitCode::from(USAGE)
        }
    }
}

/// Laid out by a library and not by rustfmt, which a user need not have, and which leaves attributes for `///` comments.
fn text(file: &str) -> Result<String, String> {
    let named = named(file)?;
    if named.is_versioned() {
        let file = named.file;
        return Err(format!(
            "what is generated holds every version: write `cargo msr expand {file}`"
        ));
    }
    let model = named.model;
    let code: syn::File = syn::parse2(generate::generate(&model))
        .map_err(|error| format!("the generated code is no Rust: {error}"))?;
    let list = generate::list_text(&model, &generate::versions(&model));
    let texts = code.items.into_iter().map(|item| match item {
        // Of a macro's body nothing but its author knows the layout.
        Item::Macro(own)
            if own
                .ident
                .as_ref()
                .is_some_and(|name| name == generate::LIST) =>
        {
            let attributes = own
                .attrs
                .iter()
                .map(|one| format!("{}\n", one.to_token_stream().to_string().replace(' ', "")));
            format!("{}{list}\n", attributes.collect::<String>())
        }
        item => prettyplease::unparse(&syn::File {
            shebang: None,
            attrs: Vec::new(),
            items: vec![item],
        }),
    });
    Ok(texts.collect::<Vec<_>>().join("\n"))
}
