//! Any text as a spec.

use msr_dsl::diagnostics::Severity;
use msr_dsl::format::format;
use msr_dsl::generate::generate;
use msr_dsl::source::compile_text;

/// The checker ends, with errors or with a model; from a model without errors code is made, of which both implementations can make a
/// guest. A text that has a layout has it once and for all.
///
/// # Panics
/// If not: that is a finding.
pub fn spec(text: &str) {
    let outcome = compile_text(text);
    let errors = outcome
        .diagnostics
        .iter()
        .any(|one| one.severity() == Severity::Error);
    match outcome.model {
        Some(model) if !errors => {
            assert!(!generate(&model).is_empty(), "no code");
            for view in &model.views {
                let mut machine = msr_dsl::interpret::Machine::new(view);
                let record = machine.save();
                assert_eq!(machine.restore(&record), Ok(()), "its own record");
            }
        }
        _ => assert!(errors, "no model, and no error either"),
    }
    if let Ok(formatted) = format(text) {
        assert_eq!(
            format(&formatted).ok().as_deref(),
            Some(formatted.as_str()),
            "formatted again"
        );
    }
    // Places of texts would pile up, one text for each input.
    proc_macro2::extra::invalidate_current_thread_spans();
}
