//! Mistakes in a scenario file, each with its place, the line itself and the mend.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;

/// A value and where it stands, in bytes of the file.
#[derive(Clone, Debug)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Range<usize>,
}

/// A mistake.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Where.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub help: Option<String>,
}

/// All mistakes of a file.
#[derive(Debug, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Adds one.
    pub fn add(&mut self, span: &Range<usize>, message: impl Into<String>) {
        self.0.push(Problem {
            span: span.clone(),
            message: message.into(),
            help: None,
        });
    }

    /// Adds one and says how to mend it.
    pub fn add_with_help(
        &mut self,
        span: &Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.0.push(Problem {
            span: span.clone(),
            message: message.into(),
            help: Some(help.into()),
        });
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them as text, in the order of the file.
    pub fn render(mut self, path: &Path, source: &str) -> String {
        self.0.sort_by_key(|problem| problem.span.start);
        let rendered: Vec<_> = self
            .0
            .iter()
            .map(|problem| problem.render(path, source))
            .collect();
        rendered.join("\n")
    }
}

impl Problem {
    /// `FILE:LINE:COLUMN: message`, the line, a mark under the place, the mend.
    fn render(&self, path: &Path, source: &str) -> String {
        let start = floor(source, self.span.start);
        let before = &source[..start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = source[line_start..].lines().next().unwrap_or("");
        let number = before.matches('\n').count() + 1;
        let column = source[line_start..start].chars().count() + 1;
        let marked = floor(
            source,
            self.span.end.max(start).min(line_start + line.len()),
        );
        let width = source[start..marked.max(start)].chars().count().max(1);
        let indent: String = line
            .chars()
            .take(column - 1)
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();

        let mut out = format!("{}:{number}:{column}: {}\n", path.display(), self.message);
        let gutter = " ".repeat(number.to_string().len());
        let _ = writeln!(out, " {number} | {line}");
        let _ = writeln!(out, " {gutter} | {indent}{}", "^".repeat(width));
        if let Some(help) = &self.help {
            let _ = writeln!(out, " {gutter} = {help}");
        }
        out
    }
}

/// The line, from 1, on which something starts.
pub fn line_of(source: &str, span: &Range<usize>) -> usize {
    source[..floor(source, span.start)].matches('\n').count() + 1
}

/// The character boundary at or before `at`.
fn floor(source: &str, at: usize) -> usize {
    (0..=at.min(source.len()))
        .rev()
        .find(|&at| source.is_char_boundary(at))
        .unwrap_or(0)
}

/// The likeliest of `known` for a misspelt word, if any is near.
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    known
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(word.len()).div_ceil(3))
        .min()
        .map(|(_, candidate)| candidate)
}

/// "did you mean", or the whole choice.
pub fn suggestion(word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known: {}", known.join(", ")),
    }
}

/// Edit distance with neighbours swapped counted as one.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = change.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(source: &str, span: Range<usize>) -> String {
        let mut problems = Problems::default();
        problems.add_with_help(&span, "wrong", "mend it");
        problems.render(Path::new("a.toml"), source)
    }

    #[test]
    fn shows_line_column_and_mark() {
        assert_eq!(
            render("[x]\n  péché = 12\n", 16..18),
            "a.toml:2:11: wrong\n 2 |   péché = 12\n   |           ^^\n   = mend it\n"
        );
    }

    #[test]
    fn no_place_is_out_of_bounds() {
        for at in 0..12 {
            for end in 0..20 {
                assert!(render("a\n\u{e9}\r\nb", at..end).contains("wrong"));
            }
        }
        assert!(render("", 5..9).starts_with("a.toml:1:1: wrong"));
    }

    #[test]
    fn suggests_the_nearest_only_when_near() {
        let known = ["processors", "memory", "banks"];
        assert_eq!(nearest("procesors", known), Some("processors"));
        assert_eq!(nearest("bakns", known), Some("banks"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(suggestion("zzz", &["a", "b"]), "known: a, b");
    }
}
