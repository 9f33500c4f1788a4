//! docs/events.md is made from the kernel's two tables. `BANKSHOT_ACCEPT=1 cargo test -p kernel --test events` writes it anew.

use kernel::event::{Event, Level};
use kernel::message;
use std::fmt::Write;

fn reference() -> String {
    let mut text = String::from(
        "# Events\n\nMade from the tables in `kernel/src/mc/event.rs` and `kernel/src/message.rs`; a test keeps it so. Every event has `cpu=` first: the processor \
         that it happened on. `boot-protocol.md` has the form of the text. A kind may have several sets of keys.\n\n\
         | kind | level | keys | meaning |\n|---|---|---|---|\n",
    );
    for kind in Event::KINDS.iter().chain(message::KINDS) {
        let keys: Vec<_> = kind.format.split(' ').skip(2).map(key).collect();
        let level = match kind.level {
            Level::debug => "debug",
            Level::info => "info",
            Level::warn => "warn",
            Level::error => "error",
        };
        writeln!(
            text,
            "| `{}` | {level} | {} | {} |",
            kind.name,
            keys.join(" "),
            kind.doc
        )
        .expect("to a string");
    }
    text.push_str(
        "\n## Words\n\nWhat a key that holds one of a few words can be.\n\n| kind | key | words |\n|---|---|---|\n",
    );
    // The same words of several kinds stand once.
    let mut rows: Vec<(&str, &[&str], Vec<&str>)> = Vec::new();
    for kind in Event::KINDS {
        for (key, words) in kind.fields.iter().zip(kind.words) {
            match rows.iter_mut().find(|row| row.0 == *key && row.1 == *words) {
                _ if words.is_empty() => {}
                Some((.., kinds)) if kinds.contains(&kind.name) => {}
                Some((.., kinds)) => kinds.push(kind.name),
                None => rows.push((key, words, vec![kind.name])),
            }
        }
    }
    let quoted = |words: &[&str]| {
        let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
        words.join(" ")
    };
    for (key, words, kinds) in rows {
        let (kinds, words) = (quoted(&kinds), quoted(words));
        writeln!(text, "| {kinds} | `{key}` | {words} |").expect("to a string");
    }
    text
}

/// `key={=type}` as `key`, fixed text as it is.
fn key(word: &str) -> String {
    format!("`{}`", word.split_once("={").map_or(word, |(key, _)| key))
}

#[test]
fn the_reference_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/events.md");
    let want = reference();
    if std::env::var_os("BANKSHOT_ACCEPT").is_some() {
        std::fs::write(path, want).expect("docs/ is writable");
        return;
    }
    let is = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        is == want,
        "docs/events.md is not what the table says; BANKSHOT_ACCEPT=1 writes it anew"
    );
}
