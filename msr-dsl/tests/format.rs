//! `msr fmt` changes the layout and nothing else, and comes to rest at once.

#[path = "../../msr-dsl-macros/tests/random/generate.rs"]
mod generate;

use generate::{Random, spec};
use msr_dsl::format::{FormatError, WIDTH, format};
use msr_dsl::source::compile_text;
use proptest::prelude::*;
use std::path::PathBuf;

fn read(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every spec that the project ships, and the template of `msr new`.
fn shipped() -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../specs");
    let entries = std::fs::read_dir(folder).expect("specs");
    let names = entries.map(|entry| entry.expect("an entry").file_name().display().to_string());
    let specs = names.filter(|name| name.ends_with(".msr"));
    let mut all: Vec<_> = specs
        .map(|name| (name.clone(), read(&format!("../specs/{name}"))))
        .collect();
    assert!(all.len() >= 5, "{} specs", all.len());
    all.push((
        "new.msr".to_owned(),
        read("src/cli/new.msr").replace("NAME", "name"),
    ));
    all.push(("fine".to_owned(), read("tests/cases/fine/input.msr")));
    all
}

/// What the spec means, word for word.
fn meaning(text: &str) -> String {
    let outcome = compile_text(text);
    let mut model = outcome
        .model
        .unwrap_or_else(|| panic!("{:?}", outcome.diagnostics));
    // Where a register stands is no part of what it means.
    let registers = model.views.iter_mut().flat_map(|view| &mut view.registers);
    registers.for_each(|register| register.line = 0);
    format!("{model:?}")
}

#[track_caller]
fn formatted(text: &str) -> String {
    let once = format(text).unwrap_or_else(|error| panic!("{error}:\n{text}"));
    assert_eq!(format(&once).expect("formatted text"), once, "not at rest");
    once
}

#[test]
fn what_is_shipped_is_laid_out() {
    for (name, text) in shipped() {
        assert_eq!(formatted(&text), text, "{name}: run `cargo msr fmt`");
    }
}

#[test]
fn the_manuals_first_spec_is_laid_out() {
    let manual = read("../docs/language.md");
    let spec = manual
        .split("```text\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .expect("the first spec");
    assert_eq!(formatted(spec), spec);
}

#[test]
fn random_specs_keep_their_meaning() {
    let mut random = Random::new(7);
    for _ in 0..60 {
        let text = spec(&mut random);
        let formatted = formatted(&text);
        assert_eq!(meaning(&formatted), meaning(&text), "{text}");
        assert!(
            formatted.lines().all(|line| line.chars().count() <= WIDTH),
            "{formatted}"
        );
    }
}

/// The text with other spaces between its words; line ends that a comment needs stay.
fn scrambled(text: &str, mut next: impl FnMut() -> u32) -> String {
    let spaces = [" ", "  ", "\n", "\t", "\n\n\n", "\n        ", "  \n"];
    let mut out = String::new();
    for line in text.lines() {
        let (code, comment) = match (line.find("//"), line.find('"')) {
            (Some(at), quote) if quote.is_none_or(|quote| at < quote) => line.split_at(at),
            _ => (line, ""),
        };
        for (i, part) in code.split('"').enumerate() {
            if i % 2 == 1 {
                out += &format!("\"{part}\"");
                continue;
            }
            for c in part.chars() {
                if c == ' ' {
                    out += spaces[next() as usize % spaces.len()];
                } else if "{};,@".contains(c) && next().is_multiple_of(3) {
                    out += &format!(" {c}\n");
                } else {
                    out.push(c);
                }
            }
        }
        out += comment;
        out += if !comment.is_empty() || next().is_multiple_of(2) {
            "\n"
        } else {
            " "
        };
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn other_spaces_are_the_same_spec(which in 0usize..7, numbers in proptest::collection::vec(any::<u32>(), 64)) {
        let (_, text) = &shipped()[which];
        let mut at = 0;
        let other = scrambled(text, || { at += 1; numbers[at % numbers.len()].rotate_left(at as u32 / 64) });
        let formatted = formatted(&other);
        prop_assert_eq!(meaning(&formatted), meaning(text));
        let comments = |text: &str| text.lines().filter_map(|line| Some(line.split_once("//")?.1.to_owned())).collect::<Vec<_>>();
        prop_assert_eq!(comments(&formatted), comments(text));
    }
}

#[test]
fn comments_stay_where_they_are() {
    let text = "// first\n\n\ninterface! { // behind\n/// Doc.  \n\n interface x{vendor any;// of anyone\nversion 1 /* why */ \"a\" // odd\n;\n// last\n}\n\
                hook H(value:u64);\n// above\nregister R@0x10{cite \"x\";write   store;migrate saved 1;\n[3:0]F:enum{A=0,/*b*/B=1,_};\n\n\n[4]G:bool in 1..{when !(F==1)&&R!=2;}\nreserved fault_if_set;}\n}\n// end\n";
    let expected = "// first

interface! { // behind
    /// Doc.
    interface x {
        vendor any; // of anyone
        version 1 /* why */ \"a\" // odd
            ;
        // last
    }

    hook H(value: u64);

    // above
    register R @ 0x10 {
        cite \"x\";
        write store;
        migrate saved 1;
        [3:0] F: enum {
            A = 0, /*b*/
            B = 1,
            _
        };

        [4] G: bool in 1.. { when !(F == 1) && R != 2; }
        reserved fault_if_set;
    }
}

// end
";
    assert_eq!(formatted(text), expected);
}

#[test]
fn what_is_too_long_is_broken() {
    let long = "A_RATHER_LONG_NAME | ANOTHER_LONG_NAME | ";
    let text = format!(
        "interface! {{\nregister R @ 0x1 {{ restore accepts {}LAST; }}\nfeature F {{ requires {}LAST; default; }}\nregister S @ 0x2 {{ [1:0] F: enum {{ {}_ }}; }} }}",
        long.repeat(4),
        long.repeat(2),
        "ONE_OF_MANY_VALUES = 0, ".repeat(6)
    );
    let formatted = formatted(&text);
    assert!(
        formatted.lines().all(|line| line.chars().count() <= WIDTH),
        "{formatted}"
    );
    assert!(formatted.contains("\n            | "), "{formatted}");
    assert!(
        formatted.contains("enum {\n            ONE_OF"),
        "{formatted}"
    );
}

#[test]
fn mistakes_in_the_words_are_told_and_others_are_not_its_business() {
    let wrong =
        format("interface! { registr X @ 0x1 { write store; } }").expect_err("a misspelt word");
    let FormatError::Mistakes(mistakes) = wrong else {
        panic!("{wrong}");
    };
    assert_eq!(mistakes[0].message, "unknown item `registr`");
    // No interface, and a name that nothing has.
    formatted("interface! { register X @ 0x1 { read NOTHING; } }");
}
