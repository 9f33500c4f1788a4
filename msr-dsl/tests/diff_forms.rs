//! The forms of `msr diff` for other programs, read as those read them: nothing that a file's name or a reason holds breaks one.

use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

/// What means something to JSON, XML, Markdown, URIs or GitHub's workflow commands.
const NASTY: &str = "a,b:c%0Ad|e&<f>\"g' `h*_#[i](j)";

struct Nasty {
    folder: tempfile::TempDir,
    old: PathBuf,
    new: PathBuf,
}

impl Nasty {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let own = folder.path().join(NASTY);
        std::fs::create_dir(&own).expect("a folder");
        let spec = |doc: &str, lines: &str| {
            format!(
                "interface! {{ interface t {{ vendor any; version 1 \"{doc}\"; }}
                 /// {doc}
                 register R @ 0x11 {{ cite \"{doc}\"; migrate saved 2; {lines} }} }}"
            )
        };
        let write = |name: &str, text: String| {
            let path = own.join(name);
            std::fs::write(&path, text).expect("a file");
            path
        };
        let doc = "a | b & <c> % d, e: f `g` *h* ::error::";
        let old = write("old.msr", spec(doc, "write store;"));
        let new = write("new.msr", spec("other", "write ignore; held;"));
        Self { folder, old, new }
    }

    fn diff(&self, options: &[&str]) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_msr"))
            .arg("diff")
            .args(options)
            .args([&self.old, &self.new])
            .output()
            .expect("msr runs");
        let talk = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{talk}");
        String::from_utf8(output.stdout).expect("text")
    }

    fn json(&self, options: &[&str]) -> Value {
        serde_json::from_str(&self.diff(options)).expect("JSON")
    }

    fn new_name(&self) -> &str {
        self.new.to_str().expect("text")
    }

    /// Excuses the first finding with a reason.
    fn waivers(&self, reason: &str) -> String {
        let value = self.json(&["--json"]);
        let print = value["comparisons"][0]["findings"][0]["fingerprint"].as_str();
        let path = self.folder.path().join("waivers");
        std::fs::write(&path, format!("{} {reason}\n", print.expect("one"))).expect("a file");
        path.display().to_string()
    }
}

#[test]
fn json_says_names_as_they_are() {
    let nasty = Nasty::new();
    let value = nasty.json(&["--json"]);
    let one = &value["comparisons"][0];
    assert_eq!(one["new"], format!("{}@1", nasty.new_name()));
    let findings = one["findings"].as_array().expect("findings");
    assert!(findings.len() == 3, "{findings:?}");
    assert!(
        findings
            .iter()
            .all(|one| one["lines"][1]["file"] == nasty.new_name())
    );
}

#[test]
fn sarif_has_what_the_standard_asks_for() {
    let nasty = Nasty::new();
    let waivers = nasty.waivers(NASTY);
    let value = nasty.json(&["--sarif", "--waivers", &waivers]);
    assert_eq!(value["version"], "2.1.0");
    let run = &value["runs"][0];
    assert_eq!(run["tool"]["driver"]["name"], "msr diff");
    let rules = run["tool"]["driver"]["rules"].as_array().expect("rules");
    for rule in rules {
        assert!(rule["id"].is_string() && rule["shortDescription"]["text"].is_string());
    }
    let results = run["results"].as_array().expect("results");
    assert_eq!(results.len(), 3);
    for result in results {
        let index = result["ruleIndex"].as_u64().expect("an index") as usize;
        assert_eq!(rules[index]["id"], result["ruleId"]);
        let text = result["message"]["text"].as_str().expect("a message");
        assert!(text.starts_with(|first: char| first != ':'), "{text}");
        let level = result["level"].as_str().expect("a level");
        assert!(["none", "note", "warning", "error"].contains(&level));
        let places = result["locations"].as_array().expect("locations");
        assert_eq!(places.len(), 1);
        for place in places {
            let physical = &place["physicalLocation"];
            let uri = physical["artifactLocation"]["uri"].as_str().expect("a URI");
            assert_eq!(decoded(uri), nasty.new_name());
            assert!(physical["region"]["startLine"].as_u64() > Some(0));
            assert!(physical["region"]["startColumn"].as_u64() > Some(0));
        }
    }
    let reasons = results
        .iter()
        .map(|one| &one["suppressions"][0]["justification"]);
    assert_eq!(reasons.filter(|reason| **reason == NASTY).count(), 1);
}

/// A URI reference (RFC 3986) without a scheme, as the name that it stands for.
fn decoded(uri: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=@%".contains(byte);
    assert!(uri.bytes().all(|byte| plain(&byte)), "{uri}");
    let mut parts = uri.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at(2);
        bytes.push(u8::from_str_radix(digits, 16).expect("two digits"));
        bytes.extend(rest.as_bytes());
    }
    String::from_utf8(bytes).expect("text")
}

#[test]
fn junit_is_xml_whose_numbers_are_right() {
    let nasty = Nasty::new();
    let text = nasty.diff(&["--junit"]);
    let document = roxmltree::Document::parse(text.trim()).expect("XML");
    let suites: Vec<_> = document
        .root_element()
        .children()
        .filter(|one| one.is_element())
        .collect();
    assert_eq!(document.root_element().tag_name().name(), "testsuites");
    assert_eq!(suites.len(), 1);
    let suite = suites[0];
    let name = suite.attribute("name").expect("a name");
    assert!(name.ends_with(&format!("{}@1", nasty.new_name())), "{name}");
    let named = |name: &'static str| {
        suite
            .descendants()
            .filter(move |one| one.has_tag_name(name))
    };
    let number = |name: &str| {
        suite
            .attribute(name)
            .and_then(|text| text.parse::<usize>().ok())
    };
    assert_eq!(number("tests"), Some(named("testcase").count()));
    assert_eq!(number("failures"), Some(named("failure").count()));
    assert!(named("failure").count() > 1);
    for failure in named("failure") {
        assert!(
            failure
                .attribute("message")
                .is_some_and(|text| !text.is_empty())
        );
        assert!(
            failure.text().is_some_and(|text| text.contains("R 0x11 [")),
            "{text}"
        );
    }
}

#[test]
fn annotations_are_one_line_each_with_four_properties() {
    let nasty = Nasty::new();
    let waivers = nasty.waivers("100% sure");
    let text = nasty.diff(&["--github", "--waivers", &waivers]);
    let findings = nasty.json(&["--json"])["comparisons"][0]["findings"]
        .as_array()
        .map(Vec::len);
    assert_eq!(Some(text.lines().count()), findings);
    for line in text.lines() {
        // As the runner reads it: a command, properties up to `::`, data.
        let (head, data) = line
            .strip_prefix("::")
            .and_then(|rest| rest.split_once("::"))
            .expect("a command");
        let (level, properties) = head.split_once(' ').expect("properties");
        assert!(["notice", "warning", "error"].contains(&level), "{line}");
        let properties: Vec<(&str, &str)> = properties
            .split(',')
            .filter_map(|one| one.split_once('='))
            .collect();
        let names: Vec<&str> = properties.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["file", "line", "col", "title"], "{line}");
        let plain = |text: &str| {
            let text = text.replace("%3A", ":").replace("%2C", ",");
            text.replace("%0D", "\r")
                .replace("%0A", "\n")
                .replace("%25", "%")
        };
        assert_eq!(plain(properties[0].1), nasty.new_name());
        assert!(properties[1].1.parse::<usize>().is_ok_and(|line| line > 0));
        assert!(!data.is_empty());
    }
    assert!(text.contains("(waived: 100%25 sure)"), "{text}");
}

#[test]
fn markdown_has_three_cells_in_each_row() {
    let nasty = Nasty::new();
    let waivers = nasty.waivers("a | b `c` <d>");
    let text = nasty.diff(&["--markdown", "--waivers", &waivers]);
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
    assert_eq!(rows.len(), 4, "{text}");
    for row in rows {
        let open = row.replace("\\\\", "").replace("\\|", "");
        assert_eq!(open.matches('|').count(), 4, "{row}");
    }
    assert!(text.contains("Waived: a \\| b \\`c\\` \\<d\\>"), "{text}");
    // A backquote in a name needs more of them around it.
    assert!(
        text.contains(&format!("`` {}@1 ``", nasty.new_name())),
        "{text}"
    );
    assert_eq!(text.matches("```").count() % 2, 0, "{text}");
}
