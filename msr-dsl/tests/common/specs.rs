//! Two specs, compared by the command.

use super::common::msr;

/// A part of what was printed.
#[track_caller]
pub fn has(text: &str, part: &str) {
    assert!(text.contains(part), "no `{part}` in\n{text}");
}

/// What `msr diff` prints of two specs, standard error behind standard output, and its status.
pub fn diff(old: &str, new: &str, options: &[&str]) -> (String, i32) {
    let folder = tempfile::tempdir().expect("a folder");
    let sides = [("old.msr", old), ("new.msr", new)].map(|(name, text)| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    });
    let arguments = [&["diff"], options, &[&sides[0], &sides[1]]].concat();
    let output = msr(&arguments, "");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).expect("text");
    (text, output.status.code().unwrap_or(-1))
}
