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
    seen_with(&[], place, width, script)
}

/// The folder of the page, `vmce.html`.
fn folder() -> &'static Path {
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
    folder.path()
}

/// As [`seen`], by a browser with further options.
fn seen_with(options: &[&str], place: &str, width: u32, script: &str) -> Vec<String> {
    let name = format!("{place}{width}{}.html", options.join("")).replace(['#', '-', '='], "_");
    let harness_file = folder().join(name);
    std::fs::write(&harness_file, harness(place, width, script)).unwrap();
    let page = open(&harness_file, options);
    let (_, rest) = page.split_once("<pre id=\"seen\">").unwrap();
    let (text, _) = rest.split_once("</pre>").unwrap();
    text.lines().map(str::to_owned).collect()
}

/// The page as it stands after its scripts.
fn open(file: &Path, options: &[&str]) -> String {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"])
        // The frame is a file too, and the harness looks into it.
        .args([
            "--allow-file-access-from-files",
            "--virtual-time-budget=5000",
        ])
        .args(options)
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

/// In both schemes every text stands out from what it stands on: a contrast of 4.5 to 1 (WCAG 2.1, 1.4.3).
#[test]
fn it_is_read_by_day_and_by_night() {
    let script = r#"
      const view = page.defaultView;
      const rgb = (text) => text.match(/[0-9.]+/g).map(Number);
      const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
      const paper = light(rgb(view.getComputedStyle(page.body).backgroundColor));
      see(paper > 0.5 ? "light" : "dark");
      const faint = (one, key) => {
        const ink = light(rgb(view.getComputedStyle(one)[key]));
        return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05) < 4.5;
      };
      const texts = [...page.querySelectorAll("p, td, th, dt, dd, h1, h2, h3, a, code, li, .rule, .answer")];
      const own = texts.filter((one) => !one.matches("nav a[aria-current]"));
      see(own.length > 500 && own.every((one) => !faint(one, "color")));
      const maps = [...page.querySelectorAll("svg.map text")];
      see(maps.length > 100 && maps.every((one) => !faint(one, "fill")));"#;
    for (option, scheme) in [("1", "light"), ("0", "dark")] {
        let option = format!("--blink-settings=preferredColorScheme={option}");
        assert_eq!(
            seen_with(&[&option], "", 1280, script),
            [scheme, "true", "true"]
        );
    }
}

/// On paper nothing is wider than the page, nothing that is for the screen alone takes place, and the pages are made.
#[test]
fn it_is_printed() {
    let script = r#"
      const print = [...page.styleSheets].flatMap((sheet) => [...sheet.cssRules])
        .filter((rule) => rule instanceof page.defaultView.CSSMediaRule && rule.media.mediaText == "print");
      const rules = print.flatMap((rule) => [...rule.cssRules]).map((rule) => rule.cssText).join("\n");
      page.head.append(Object.assign(page.createElement("style"), { textContent: rules }));
      see(print.length);
      see(page.documentElement.scrollWidth <= page.documentElement.clientWidth);
      const wide = [...page.querySelectorAll(".wide")].filter((one) => one.offsetHeight > 0);
      see(wide.length > 10);
      see(wide.filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.textContent.slice(0, 60) + one.scrollWidth).join());
      see([...page.querySelectorAll("nav, #search")].every((one) => one.offsetHeight == 0));"#;
    // A4 less Chromium's own margins.
    assert_eq!(seen("", 717, script), ["1", "true", "true", "", "true"]);
    let pdf = folder().join("vmce.pdf");
    let page = folder().join("vmce.html");
    open(&page, &[&format!("--print-to-pdf={}", pdf.display())]);
    let bytes = std::fs::read(&pdf).unwrap();
    let page = b"/Type /Page\n";
    let pages = bytes
        .windows(page.len())
        .filter(|part| part == page)
        .count();
    assert!((3..30).contains(&pages), "{pages} pages");
}
