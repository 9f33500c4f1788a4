//! Reference pages: whole, self-contained, and every link of them leads somewhere.

use msr_dsl::compare::{compare, side::Side, verdict::Verdict};
use msr_dsl::document;
use msr_dsl::model::Model;
use msr_dsl::source::compile_file;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn shipped() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../specs");
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let specs: Vec<PathBuf> = files
        .filter(|path| path.extension().is_some_and(|e| e == "msr"))
        .collect();
    assert!(specs.len() >= 5, "{specs:?}");
    specs
}

fn model(path: &Path) -> Model {
    compile_file(path).unwrap().1.model.unwrap()
}

/// The values of an attribute, in the order of the page.
fn values<'p>(page: &'p str, attribute: &str) -> Vec<&'p str> {
    let before = format!(" {attribute}=\"");
    let found = page.split(&before).skip(1);
    found.map(|rest| rest.split('"').next().unwrap()).collect()
}

#[test]
fn every_link_leads_somewhere_in_the_page() {
    for path in shipped() {
        let page = document::page(&model(&path));
        let ids = values(&page, "id");
        let places: BTreeSet<&str> = ids.iter().copied().collect();
        assert_eq!(ids.len(), places.len(), "an id twice in {path:?}");
        let links = values(&page, "href");
        assert!(links.len() > 20, "{path:?}");
        for link in links {
            let place = link.strip_prefix('#');
            let place = place.unwrap_or_else(|| panic!("{link} leaves the page of {path:?}"));
            assert!(places.contains(place), "{link} in {path:?}");
        }
        assert_eq!(values(&page, "src"), [""; 0], "{path:?}");
        assert!(
            !page.contains("url(") && !page.contains("@import"),
            "{path:?}"
        );
    }
}

#[test]
fn every_register_and_field_of_every_version_is_there() {
    for path in shipped() {
        let model = model(&path);
        let page = document::page(&model);
        let places: BTreeSet<&str> = values(&page, "id").into_iter().collect();
        for view in &model.views {
            for register in &view.registers {
                let place = format!("v{}.{}", view.version, register.name);
                assert!(places.contains(place.as_str()), "{place} of {path:?}");
                for field in &register.fields {
                    let place = format!("{place}.{}", field.name);
                    assert!(places.contains(place.as_str()), "{place} of {path:?}");
                }
            }
        }
        for register in &model.newest().registers {
            assert!(places.contains(register.name.as_str()), "{path:?}");
        }
    }
}

/// The drawings cover each bit once: their boxes' widths sum to the whole, but for rows drawn as one.
#[test]
fn a_drawing_has_a_box_for_each_field() {
    for path in shipped() {
        let model = model(&path);
        let page = document::page(&model);
        for view in &model.views {
            for register in view.registers.iter().filter(|one| !one.hidden()) {
                let place = format!("id=\"v{}.{}\"", view.version, register.name);
                let (_, section) = page.split_once(&place).unwrap();
                let (section, _) = section.split_once("</section>").unwrap();
                for field in &register.fields {
                    let title = format!("<title>{}</title>", field.name);
                    let rows = field.hi / 16 - field.lo / 16 + 1;
                    let drawn = section.matches(&title).count();
                    assert_eq!(
                        drawn, rows as usize,
                        "{} of {place} in {path:?}",
                        field.name
                    );
                }
            }
        }
    }
}

#[test]
fn what_a_spec_says_cannot_break_the_page() {
    let spec = r#"
        /// A <b>bold</b> & "quoted" word.
        interface odd { vendor any; version 1 "<script>alert(1)</script>"; }
        /// </section>
        register ODD @ 0x50 { cite "<i>"; read zero; write fault; }
    "#;
    let tokens = spec.parse().unwrap();
    let outcome = msr_dsl::compile(tokens, proc_macro2::Span::call_site(), None);
    let page = document::page(&outcome.model.unwrap());
    assert!(page.contains("A &lt;b&gt;bold&lt;/b&gt; &amp; "));
    assert_eq!(page.matches("<script>").count(), 1);
    assert!(!page.contains("<i>") && !page.contains("<b>"));
}

/// Each version but the first tells all that `msr diff` finds against the one before.
#[test]
fn a_version_tells_what_it_changed() {
    let (mut told, mut guests) = (0, 0);
    for path in shipped() {
        let model = model(&path);
        let page = document::page(&model);
        for pair in model.views.windows(2) {
            let sides = [0, 1].map(|at| Side::of_spec("", "", "", &pair[at]));
            let comparison = compare(&sides[0], &sides[1]);
            let place = format!("id=\"v{}.changes\"", pair[1].version);
            let (_, section) = page.split_once(&place).unwrap();
            let (section, _) = section.split_once("</section>").unwrap();
            for (verdict, guest) in comparison.verdicts.iter().zip(&comparison.default_guests) {
                if let (false, Some(guest)) = (*verdict == Verdict::Safe, guest) {
                    let line = format!("A guest as created by default: {guest}.");
                    assert!(section.contains(&line), "{line} in {section}");
                    guests += 1;
                }
            }
            for finding in &comparison.findings {
                assert!(
                    section.contains(&finding.text.replace('"', "&quot;")),
                    "{finding:?}"
                );
                told += 1;
            }
            let rules = section.matches("class=\"rule\"").count();
            assert_eq!(rules, comparison.findings.len(), "{place} of {path:?}");
        }
        let first = format!("id=\"v{}.changes\"", model.views[0].version);
        assert!(!page.contains(&first), "{path:?}");
    }
    assert!(told > 20 && guests > 2, "{told} {guests}");
}
