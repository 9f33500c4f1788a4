//! A file of `[[row]]`: the tables that commands run row by row.

use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;

use crate::error::{Error, Result};
use crate::scenario::Problems;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File<R> {
    row: Vec<Spanned<R>>,
}

/// A row that knows its place.
pub trait Row: DeserializeOwned {
    /// Tells the row in which line of the file it begins, from 1.
    fn set_line(&mut self, line: usize);
}

/// Reads a table from its text. `check` notes the mistakes of a row.
///
/// # Errors
/// [`Error::Input`] with every mistake and its place.
pub fn parse<R: Row>(
    path: &Path,
    text: &str,
    mut check: impl FnMut(&R, &Range<usize>, &mut Problems),
) -> Result<Vec<R>> {
    let mut problems = Problems::default();
    let rows = match toml::from_str::<File<R>>(text) {
        Ok(file) => file.row,
        Err(error) => {
            problems.add(&error.span().unwrap_or(0..0), error.message());
            Vec::new()
        }
    };
    let rows: Vec<_> = rows
        .into_iter()
        .map(|row| {
            let span = row.span();
            let mut row = row.into_inner();
            row.set_line(text[..span.start].matches('\n').count() + 1);
            check(&row, &span, &mut problems);
            row
        })
        .collect();
    if problems.is_empty() {
        Ok(rows)
    } else {
        Err(Error::Input(problems.render(path, text)))
    }
}

/// The text of a table's file.
///
/// # Errors
/// It cannot be read, or is no text.
pub fn text(path: &Path) -> Result<String> {
    String::from_utf8(crate::error::read(path)?)
        .map_err(|_| Error::Input(format!("{}:1:1: not a text in UTF-8\n", path.display())))
}

/// What is said at the end of a table.
pub fn outcome(count: usize, wrong: usize) -> String {
    match wrong {
        0 => format!("all {count} rows hold"),
        wrong => format!("{wrong} of {count} rows do not hold"),
    }
}
