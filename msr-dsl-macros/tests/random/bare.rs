//! Generated code without what serves only people who write Rust against it.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// The same without the types of registers' fields and the accessors that give them: half of the time that such code takes to compile,
/// and no access goes through them. All else is as it was.
pub fn bare(generated: TokenStream) -> String {
    inside(generated, "mod", |version| {
        let items = items(version);
        let kept = items.into_iter().filter(|item| !is_field_type(item));
        let kept = kept.flatten().collect();
        inside(kept, "impl", |state| {
            let kept = items_but(state, is_accessor);
            kept.into_iter().flatten().collect()
        })
    })
    .to_string()
}

type Item = Vec<TokenTree>;

/// The items of a file or block. Each ends with its braces or a semicolon.
fn items(tokens: TokenStream) -> Vec<Item> {
    let mut items = vec![Item::new()];
    for token in tokens {
        let ends = match &token {
            TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
            TokenTree::Punct(punct) => punct.as_char() == ';',
            _ => false,
        };
        items.last_mut().expect("the last one").push(token);
        if ends {
            items.push(Item::new());
        }
    }
    items
}

fn items_but(tokens: TokenStream, not: fn(&Item) -> bool) -> Vec<Item> {
    let mut items = items(tokens);
    items.retain(|item| !not(item));
    items
}

/// `change` made to what stands in the braces of items of a kind, `mod` or `impl`.
fn inside(
    tokens: TokenStream,
    kind: &str,
    change: impl Fn(TokenStream) -> TokenStream,
) -> TokenStream {
    let changed = items(tokens).into_iter().map(|mut item| {
        let is = words(&item).iter().any(|word| word == kind);
        if let (true, Some(TokenTree::Group(braces))) = (is, item.last_mut()) {
            *braces = Group::new(Delimiter::Brace, change(braces.stream()));
        }
        item
    });
    changed.flatten().collect()
}

/// The identifiers of an item, without what stands in brackets of any kind.
fn words(item: &Item) -> Vec<String> {
    let word = |token: &TokenTree| match token {
        TokenTree::Ident(word) => Some(word.to_string()),
        _ => None,
    };
    item.iter().filter_map(word).collect()
}

/// A register's type, an enumeration of a field, or that one's methods. (The state and the hooks stay.)
fn is_field_type(item: &Item) -> bool {
    let words = words(item);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["pub", "struct" | "enum", name] | ["impl", name] => {
            !matches!(*name, "State" | "Guest" | "Hook" | "Held" | "GuestHeld")
        }
        _ => false,
    }
}

/// A method that does nothing but hand out what another one, `valueOf_...`, computes.
fn is_accessor(item: &Item) -> bool {
    let words = words(item);
    let Some(name) = words.iter().skip_while(|word| *word != "fn").nth(1) else {
        return false;
    };
    let body = item.last().map(ToString::to_string).unwrap_or_default();
    let register = name.strip_suffix("_register").unwrap_or(name);
    let hands_out = |name: &str| body.contains(&format!("(self . valueOf_{name} ("));
    !body.contains(';') && (hands_out(name) || hands_out(register))
}
