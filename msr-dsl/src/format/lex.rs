//! A text as words and comments, each with the number of line ends before it. Nothing is lost but space.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A word or a number.
    Word,
    /// A text in quotes.
    Text,
    /// An operator or a separator.
    Mark,
    /// `(`, `[`, `{`
    Open,
    /// `)`, `]`, `}`
    Close,
    /// `// ...` or `/* ... */`
    Comment,
    /// `/// ...` or `/** ... */`
    Doc,
}

/// A word or comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'t> {
    /// What it is.
    pub kind: Kind,
    /// As written; a line comment without the spaces at its end.
    pub text: &'t str,
    /// Line ends between the token before and this one.
    pub lines_before: usize,
}

impl Token<'_> {
    /// A comment of either kind.
    pub fn is_comment(&self) -> bool {
        matches!(self.kind, Kind::Comment | Kind::Doc)
    }

    /// A comment that ends with its line.
    pub fn ends_line(&self) -> bool {
        self.is_comment() && self.text.starts_with("//")
    }
}

/// Two texts have the same words and comments in the same order.
pub fn same(one: &[Token], other: &[Token]) -> bool {
    let said = |token: &Token| (token.kind, token.text.to_owned());
    one.iter().map(said).eq(other.iter().map(said))
}

/// Marks of more than one character, the longer first.
const LONG_MARKS: &[&str] = &["..=", "..", "<<", ">>", "==", "!=", "<=", ">=", "&&", "||"];

/// The tokens of a text that proc-macro2 takes.
pub fn lex(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let (mut rest, mut lines_before) = (text, 0);
    while let Some(first) = rest.chars().next() {
        if first.is_whitespace() || first == '\u{feff}' {
            lines_before += usize::from(first == '\n');
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let (kind, length) = token(rest, first);
        let (text, after) = rest.split_at(length);
        tokens.push(Token {
            kind,
            text: if kind == Kind::Comment || kind == Kind::Doc {
                text.trim_end()
            } else {
                text
            },
            lines_before,
        });
        (rest, lines_before) = (after, 0);
    }
    tokens
}

fn token(rest: &str, first: char) -> (Kind, usize) {
    let line = || rest.find('\n').unwrap_or(rest.len());
    if rest.starts_with("//") {
        let doc = rest.starts_with("///") && !rest.starts_with("////");
        return (if doc { Kind::Doc } else { Kind::Comment }, line());
    }
    if rest.starts_with("/*") {
        let doc = rest.starts_with("/**") && !rest.starts_with("/***") && !rest.starts_with("/**/");
        return (if doc { Kind::Doc } else { Kind::Comment }, block(rest));
    }
    if let Some(length) = quoted(rest) {
        return (Kind::Text, length);
    }
    match first {
        '(' | '[' | '{' => return (Kind::Open, 1),
        ')' | ']' | '}' => return (Kind::Close, 1),
        _ => {}
    }
    let in_word = |c: char| c.is_alphanumeric() || c == '_';
    if in_word(first) {
        // `r#type` is one word.
        let raw = rest
            .strip_prefix("r#")
            .filter(|name| name.starts_with(in_word));
        let skip = if raw.is_some() { 2 } else { 0 };
        let end = rest[skip..].find(|c| !in_word(c));
        return (Kind::Word, end.map_or(rest.len(), |end| end + skip));
    }
    let long = LONG_MARKS.iter().find(|mark| rest.starts_with(**mark));
    (Kind::Mark, long.map_or(first.len_utf8(), |mark| mark.len()))
}

/// The length of a block comment; they nest.
fn block(text: &str) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                break;
            }
        } else {
            at += 1;
        }
    }
    at
}

/// The length of a text in quotes, raw or not, if one starts here.
fn quoted(text: &str) -> Option<usize> {
    if let Some(raw) = text.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let inside = raw[hashes..].strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(hashes));
        let length = inside.find(&end).map_or(inside.len(), |at| at + end.len());
        return Some(1 + hashes + 1 + length);
    }
    let inside = text.strip_prefix('"')?;
    let mut escaped = false;
    let end = inside.char_indices().find(|(_, c)| {
        let ends = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    Some(end.map_or(text.len(), |(at, _)| at + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_falls_into_its_words() {
        let words =
            |text: &'static str| -> Vec<&str> { lex(text).iter().map(|t| t.text).collect() };
        assert_eq!(
            words("in 1..=2{a<<3;}"),
            ["in", "1", "..=", "2", "{", "a", "<<", "3", ";", "}"]
        );
        assert_eq!(words("a \"b \\\" // c\" d"), ["a", "\"b \\\" // c\"", "d"]);
        assert_eq!(words("r#\"a\"b\"# c"), ["r#\"a\"b\"#", "c"]);
        assert_eq!(
            words("a /* b /* c */ */ d // e \nf"),
            ["a", "/* b /* c */ */", "d", "// e", "f"]
        );
    }

    #[test]
    fn line_ends_are_counted() {
        let lines: Vec<usize> = lex("a\n\nb c\n").iter().map(|t| t.lines_before).collect();
        assert_eq!(lines, [0, 2, 0]);
    }
}
