//! Which statements count in a version.

use crate::ast::{Said, Versions};
use crate::codes;
use crate::diagnostics::{Diagnostics, start};
use proc_macro2::Span;

/// Whether something with these versions exists in `version`.
pub fn lives(versions: Option<Versions>, version: u16) -> bool {
    versions.is_none_or(|versions| versions.contain(version))
}

/// Those that count.
pub fn select<T>(said: &[Said<T>], version: u16) -> impl Iterator<Item = &Said<T>> {
    said.iter()
        .filter(move |said| lives(said.versions, version))
}

/// At most one of the same kind counts: the first. A second one is a mistake.
pub fn single<T>(
    found: impl IntoIterator<Item = (T, Span)>,
    what: &str,
    diagnostics: &mut Diagnostics,
) -> Option<(T, Span)> {
    let mut found = found.into_iter();
    let first = found.next()?;
    for (_, span) in found {
        let at = start(first.1);
        diagnostics.add(
            &codes::SAID_TWICE,
            span,
            format!(
                "`{what}` is said twice (first at {}:{})",
                at.line, at.column
            ),
            "keep one, or give each its versions with `in 2.. { ... }`",
        );
    }
    Some(first)
}
