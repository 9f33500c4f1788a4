//! The smallest pieces: words, numbers, texts, version ranges.

use crate::ast::{Absent, At, Illegal, Name, Versions, Waiver};
use crate::diagnostics::from_to;
use crate::words::{closest, suggest};
use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{Ident, LitInt, LitStr, Token};

/// A mistake at a place, with its mend.
pub fn error(
    span: Span,
    message: impl std::fmt::Display,
    help: impl std::fmt::Display,
) -> syn::Error {
    syn::Error::new(span, format!("{message}\nhelp: {help}"))
}

/// Whether the next word is `word`.
pub fn peek(input: ParseStream, word: &str) -> bool {
    input
        .cursor()
        .ident()
        .is_some_and(|(ident, _)| ident == word)
}

/// Takes `word`.
pub fn word(input: ParseStream, word: &str) -> syn::Result<Span> {
    if !peek(input, word) {
        return Err(unknown(input, "word", &[word]));
    }
    Ok(input.call(Ident::parse_any)?.span())
}

/// Takes `word` if it is next.
pub fn take(input: ParseStream, text: &str) -> Option<Span> {
    if peek(input, text) {
        word(input, text).ok()
    } else {
        None
    }
}

/// Takes `text` if it is next, and refuses a word that is nearly that and none of `others`, which may stand here too.
pub fn optional(input: ParseStream, text: &str, others: &[&str]) -> syn::Result<bool> {
    if take(input, text).is_some() {
        return Ok(true);
    }
    let Some((ident, _)) = input.cursor().ident() else {
        return Ok(false);
    };
    let found = ident.to_string();
    match closest(&found, [text]) {
        Some(_) if !others.contains(&found.as_str()) => Err(unknown(input, "word", &[text])),
        _ => Ok(false),
    }
}

/// The next word is nearly one of these.
pub fn nearly(input: ParseStream, words: &[&str]) -> bool {
    let next = input.cursor().ident();
    next.is_some_and(|(ident, _)| closest(&ident.to_string(), words.iter().copied()).is_some())
}

/// The next thing is none of `expected`.
///
/// A `;` there is one too many: lines end before it, and blocks need none.
pub fn unknown(input: ParseStream, kind: &str, expected: &[&str]) -> syn::Error {
    match input.cursor().token_tree() {
        Some((proc_macro2::TokenTree::Ident(ident), _)) => {
            let text = ident.to_string();
            error(
                ident.span(),
                format!("unknown {kind} `{text}`"),
                suggest(&text, expected),
            )
        }
        Some((proc_macro2::TokenTree::Punct(mark), _)) if mark.as_char() == ';' => error(
            input.span(),
            format!("expected a {kind}, found `;`"),
            match kind.starts_with("statement") || kind == "item" {
                true => "take it out: what ends with `}` or `;` needs no other".to_owned(),
                false => suggest("", expected),
            },
        ),
        _ => error(
            input.span(),
            format!("expected a {kind}, found {}", found(input)),
            suggest("", expected),
        ),
    }
}

/// What is next, for people.
fn found(input: ParseStream) -> String {
    match input.cursor().token_tree() {
        Some((tree, _)) => {
            let short: String = tree.to_string().chars().take(20).collect();
            format!("`{short}`")
        }
        None => "the end of the block".to_owned(),
    }
}

const NAME: &str = "a name is a word: letters, digits and `_`, a letter first";

/// Rust would take others too: `r#type`, `_x`, letters of any language.
fn is_name(text: &str) -> bool {
    let all = |mut of: std::str::Chars| of.all(|c| c.is_ascii_alphanumeric() || c == '_');
    text.starts_with(|first: char| first.is_ascii_alphabetic()) && all(text.chars())
}

/// A name that the author chooses.
pub fn name(input: ParseStream) -> syn::Result<Name> {
    match input.cursor().ident() {
        Some(_) => {
            let ident = input.call(Ident::parse_any)?;
            let (text, span) = (ident.to_string(), ident.span());
            if is_name(&text) {
                Ok(Name { text, span })
            } else {
                Err(error(span, format!("`{text}` is no name"), NAME))
            }
        }
        None => Err(error(
            input.span(),
            format!("expected a name, found {}", found(input)),
            NAME,
        )),
    }
}

/// A number, decimal, 0x or 0b, with `_` between digits.
pub fn integer(input: ParseStream) -> syn::Result<At<u64>> {
    if !input.peek(LitInt) {
        let mistake = unknown(input, "number", &["10", "0x179", "0b101"]);
        return Err(match input.cursor().ident() {
            Some((ident, _)) if u64::from_str_radix(&ident.to_string(), 16).is_ok() => error(
                mistake.span(),
                format!("`{ident}` is a word"),
                format!("as a number in hexadecimal it is `0x{ident}`"),
            ),
            _ => mistake,
        });
    }
    let literal: LitInt = input.parse()?;
    if !literal.suffix().is_empty() {
        return Err(error(
            literal.span(),
            format!("`{literal}` has a suffix"),
            "write the number alone",
        ));
    }
    match literal.base10_parse::<u64>() {
        Ok(value) => Ok(At {
            value,
            span: literal.span(),
        }),
        Err(_) => Err(error(
            literal.span(),
            format!("`{literal}` does not fit 64 bits"),
            "an MSR has 64 bits",
        )),
    }
}

/// A number of at most 16 bits.
pub fn small(input: ParseStream) -> syn::Result<At<u16>> {
    let number = integer(input)?;
    match u16::try_from(number.value) {
        Ok(value) => Ok(At {
            value,
            span: number.span,
        }),
        Err(_) => Err(error(
            number.span,
            format!("{} is too large here", number.value),
            "at most 65535",
        )),
    }
}

/// A text in quotes.
pub fn string(input: ParseStream) -> syn::Result<At<String>> {
    if !input.peek(LitStr) {
        return Err(error(
            input.span(),
            format!("expected a text in quotes, found {}", found(input)),
            "write it as `\"...\"`",
        ));
    }
    let literal: LitStr = input.parse()?;
    Ok(At {
        value: literal.value(),
        span: literal.span(),
    })
}

/// `///` lines.
pub fn doc(input: ParseStream) -> syn::Result<String> {
    let mut lines = Vec::new();
    while input.peek(Token![#]) {
        let hash: Token![#] = input.parse()?;
        let content;
        syn::bracketed!(content in input);
        if !peek(&content, "doc") {
            return Err(error(
                hash.span,
                "an attribute",
                "only `///` comments stand here",
            ));
        }
        word(&content, "doc")?;
        content.parse::<Token![=]>()?;
        let line = string(&content)?.value;
        let line = line.trim_end();
        lines.push(line.strip_prefix(' ').unwrap_or(line).to_owned());
    }
    Ok(lines.join("\n"))
}

/// `in 2`, `in 2..`, `in 1..=2`, `in ..=2`.
pub fn versions(input: ParseStream) -> syn::Result<Versions> {
    let start = word(input, "in")?;
    range(input, start)
}

/// `in` is next, or a word that is nearly that and has versions behind it.
pub fn is_nearly_in(input: ParseStream) -> bool {
    let Some((ident, after)) = input.cursor().ident() else {
        return false;
    };
    let versions =
        after.literal().is_some() || after.punct().is_some_and(|(mark, _)| mark.as_char() == '.');
    ident == "in" || versions && closest(&ident.to_string(), ["in"]).is_some()
}

/// `in ...`, or the same with `in` misspelt, if it is next; none inside if its versions are wrong.
pub fn nearly_versions(input: ParseStream) -> Option<Option<Versions>> {
    is_nearly_in(input).then(|| versions_behind(input).ok())
}

/// The versions behind a word that is taken as `in`.
pub fn versions_behind(input: ParseStream) -> syn::Result<Versions> {
    let start = name(input)?.span;
    range(input, start)
}

fn range(input: ParseStream, start: Span) -> syn::Result<Versions> {
    if input.peek(Token![..=]) {
        input.parse::<Token![..=]>()?;
        let to = small(input)?;
        return Ok(Versions {
            from: 0,
            to: Some(to.value),
            span: from_to(start, to.span),
        });
    }
    let from = small(input)?;
    if input.peek(Token![..=]) {
        input.parse::<Token![..=]>()?;
        let to = small(input)?;
        let span = from_to(start, to.span);
        if to.value < from.value {
            return Err(error(
                span,
                format!("{} is before {}", to.value, from.value),
                "write the older version first",
            ));
        }
        return Ok(Versions {
            from: from.value,
            to: Some(to.value),
            span,
        });
    }
    if input.peek(Token![..]) {
        let dots: Token![..] = input.parse()?;
        if input.peek(LitInt) {
            return Err(error(
                from_to(from.span, input.span()),
                "both ends of a range belong to it",
                "write `..=`",
            ));
        }
        return Ok(Versions {
            from: from.value,
            to: None,
            span: from_to(start, dots.spans[1]),
        });
    }
    Ok(Versions {
        from: from.value,
        to: Some(from.value),
        span: from_to(start, from.span),
    })
}

/// `in ...`, if it is there.
pub fn maybe_versions(input: ParseStream) -> syn::Result<Option<Versions>> {
    if peek(input, "in") {
        versions(input).map(Some)
    } else {
        Ok(None)
    }
}

/// `fault`, `zero`, `unlisted`.
pub fn absent(input: ParseStream) -> syn::Result<Absent> {
    let known = ["fault", "zero", "unlisted"];
    if take(input, "fault").is_some() {
        Ok(Absent::Fault)
    } else if take(input, "zero").is_some() {
        Ok(Absent::Zero)
    } else if take(input, "unlisted").is_some() {
        Ok(Absent::Unlisted)
    } else {
        Err(unknown(input, "answer", &known))
    }
}

/// `else fault`, `else ignore`, `else keep`.
pub fn illegal(input: ParseStream) -> syn::Result<Illegal> {
    if !optional(input, "else", &[])? {
        return Err(error(
            input.span(),
            "what an illegal value does is not said",
            "end with `else fault;`, `else ignore;` or, for a field, `else keep;`",
        ));
    }
    if take(input, "fault").is_some() {
        Ok(Illegal::Fault)
    } else if take(input, "ignore").is_some() {
        Ok(Illegal::Ignore)
    } else if take(input, "keep").is_some() {
        Ok(Illegal::Keep)
    } else {
        Err(unknown(input, "answer", &["fault", "ignore", "keep"]))
    }
}

/// `waive CODE "reason";`
pub fn waiver(input: ParseStream) -> syn::Result<Waiver> {
    word(input, "waive")?;
    let code = name(input)?;
    let reason = string(input)?.value;
    super::semicolon(input)?;
    Ok(Waiver { code, reason })
}
