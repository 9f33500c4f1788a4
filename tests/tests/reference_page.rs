//! Reference pages in a browser: opened from a file in headless Chromium, at the width of a phone and of a desk.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use boot::setup::{self, Purpose};
use boot::workspace::Workspace;

/// A page that opens the reference page in a frame of some width, does something in it, and writes what it saw into its own body.
fn harness(place: &str, width: u32, script: &str) -> String {
    format!(
        r#"<!doctype html><body><iframe src="vmce.html{place}" style="width:{width}px;height:800px;border:0"></iframe>
<pre id="seen"></pre><script>
onload = () => {{
  const page = document.querySelector("iframe").contentDocument;
  const see = (text) => document.getElementById("seen").append(text + "\n");
  const shown = () => [...page.querySelectorAll("section.version")].filter((s) => s.offsetHeight > 0).map((s) => s.id);
  {script}
}};
</script>"#
    )
}

/// What the browser has seen, by line.
fn seen(place: &str, width: u32, script: &str) -> Vec<String> {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let missing = setup::missing(&[Purpose::Browser]);
        assert!(missing.is_empty(), "run `cargo boot setup`: {missing:?}");
        let folder = tempfile::tempdir().unwrap();
        let spec = Workspace::find().unwrap().root.join("specs/vmce.msr");
        let model = msr_dsl::source::compile_file(&spec).unwrap().1.model;
        let page = msr_dsl::document::page(&model.unwrap());
        std::fs::write(folder.path().join("vmce.html"), page).unwrap();
        folder
    });
    let harness_file = folder
        .path()
        .join(format!("{place}{width}.html").replace('#', "at-"));
    std::fs::write(&harness_file, harness(place, width, script)).unwrap();
    let page = open(&harness_file);
    let (_, rest) = page.split_once("<pre id=\"seen\">").unwrap();
    let (text, _) = rest.split_once("</pre>").unwrap();
    text.lines().map(str::to_owned).collect()
}

/// The page as it stands after its scripts.
fn open(file: &Path) -> String {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"])
        // The frame is a file too, and the harness looks into it.
        .args([
            "--allow-file-access-from-files",
            "--virtual-time-budget=5000",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("file://{}", file.display()))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Nothing is wider than the screen: what is, scrolls in a frame of its own.
#[test]
fn it_fits_a_phone_and_a_desk() {
    for width in [360, 1280] {
        let script = "see(page.documentElement.scrollWidth <= page.documentElement.clientWidth); see(page.querySelectorAll('svg.map').length > 20)";
        assert_eq!(
            seen("", width, script),
            ["true", "true"],
            "{width} pixels wide"
        );
    }
}

/// On a phone nothing of a witness is cut off, and a map begins with the low bits, which have the names.
#[test]
fn a_phone_shows_whole_witnesses_and_the_low_bits() {
    let script = "const cut = [...page.querySelectorAll('pre')].filter((one) => one.scrollWidth > one.clientWidth);
      see(page.querySelectorAll('pre').length > 4 && cut.length == 0);
      const maps = [...page.querySelectorAll('svg.map')].filter((one) => one.getBoundingClientRect().width > 0);
      see(maps.length > 4 && maps.every((one) => one.getBoundingClientRect().right <= 390))";
    assert_eq!(seen("", 390, script), ["true", "true"]);
}

#[test]
fn a_link_shows_the_version_that_it_leads_to() {
    let at = "see(shown().join()); const top = page.getElementById('v2.MCG_STATUS.MCIP').getBoundingClientRect().top; see(-1 < top && top < 800)";
    assert_eq!(seen("#v2.MCG_STATUS.MCIP", 1280, at), ["v2", "true"]);
    assert_eq!(
        seen("#MCG_CAP", 1280, "see(shown().join())"),
        ["v4"],
        "without a version: the newest"
    );
}

#[test]
fn a_search_leaves_what_was_asked_for() {
    let script = "const field = page.getElementById('find'); field.value = '0x17a'; field.dispatchEvent(new Event('input'));
      const left = [...page.querySelectorAll('section.register h3')].filter((h) => h.offsetHeight > 0 && h.parentElement.dataset.find);
      see(left.map((h) => h.firstElementChild.textContent).join());
      see(page.getElementById('found').textContent)";
    assert_eq!(seen("#v3", 800, script), ["MCG_STATUS", "1 register"]);
}
