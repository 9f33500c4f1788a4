//! Rust names for the spec's names.

use proc_macro2::{Ident, Span};
use quote::format_ident;

/// `MCi_STATUS` as a field or function: `mci_status`.
pub fn snake(name: &str) -> Ident {
    let mut out = String::new();
    let mut before: Option<char> = None;
    for c in name.chars() {
        // A capital after a small letter or digit of a CamelCase name starts a word; all-capital names have underscores.
        let starts =
            c.is_uppercase() && before.is_some_and(|b| b.is_lowercase()) && !name.contains('_');
        if starts {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
        before = Some(c);
    }
    ident(&out)
}

/// `MCi_STATUS` as a type or variant: `MciStatus`. A name without underscores that has small letters stays.
pub fn camel(name: &str) -> Ident {
    let keep = name.chars().any(char::is_lowercase)
        && name.starts_with(char::is_uppercase)
        && !name.contains('_');
    if keep {
        return ident(name);
    }
    let mut out = String::new();
    for word in name.split('_').filter(|word| !word.is_empty()) {
        let mut chars = word.chars();
        out.extend(chars.next().map(|c| c.to_ascii_uppercase()));
        out.extend(chars.map(|c| c.to_ascii_lowercase()));
    }
    ident(&out)
}

/// Methods of `State`, and of the traits that it implements: an accessor must not stand in front of them.
const TAKEN: &[&str] = &[
    "new",
    "as_written",
    "clone",
    "collected",
    "create",
    "default",
    "eq",
    "fmt",
    "from",
    "read",
    "read_with",
    "write",
    "write_with",
    "reset",
    "save",
    "restore",
    "restore_with",
    "capability",
    "with_capability",
    "capability_word",
    "set_capability_word",
    "with_features",
    "inject",
    "pending",
    "set_pending",
    "in_progress",
    "local_enabled",
    "is_broadcast",
    "held",
    "hold",
];

/// The method that gives a register as the guest reads it.
pub fn accessor(register: &str) -> Ident {
    let name = snake(register);
    match TAKEN.contains(&name.to_string().as_str()) {
        true => format_ident!("{}_register", name),
        false => name,
    }
}

/// The function by which other registers' expressions see a register. No name of a spec becomes one with a capital.
pub fn value_of(register: &str) -> Ident {
    format_ident!("valueOf_{}", snake(register))
}

/// An identifier; a keyword or a name that starts with a digit gets an underscore.
pub fn ident(text: &str) -> Ident {
    match syn::parse_str::<Ident>(text) {
        Ok(mut ident) => {
            ident.set_span(Span::call_site());
            ident
        }
        Err(_) if text.starts_with(|c: char| c.is_ascii_digit()) => {
            Ident::new(&format!("_{text}"), Span::call_site())
        }
        Err(_) => Ident::new(&format!("{text}_"), Span::call_site()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_field_become_rust_names() {
        assert_eq!(snake("MCi_STATUS").to_string(), "mci_status");
        assert_eq!(camel("MCi_STATUS").to_string(), "MciStatus");
        assert_eq!(camel("X2apicIcrWrite").to_string(), "X2apicIcrWrite");
        assert_eq!(snake("TYPE").to_string(), "type_");
    }
}
