//! Sentences of a spec.

use maud::{Markup, html};

/// With what stands between backquotes as code, which is what it means in a doc comment.
pub fn prose(text: &str) -> Markup {
    let mut parts: Vec<&str> = text.split('`').collect();
    // A last one without a partner is a backquote.
    let odd = if parts.len().is_multiple_of(2) {
        parts.pop()
    } else {
        None
    };
    html! {
        @for (at, part) in parts.iter().enumerate() {
            @if at % 2 == 1 { code { (part) } } @else { (part) }
        }
        @if let Some(rest) = odd { "`" (rest) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backquotes_are_code() {
        let made = |text| prose(text).into_string();
        assert_eq!(
            made("as `vmce` & others"),
            "as <code>vmce</code> &amp; others"
        );
        assert_eq!(made("`a``b`"), "<code>a</code><code>b</code>");
        assert_eq!(made("one ` alone"), "one ` alone");
        assert_eq!(made("`a` and ` alone"), "<code>a</code> and ` alone");
        assert_eq!(made(""), "");
    }
}
