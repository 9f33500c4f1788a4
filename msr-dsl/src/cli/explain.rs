//! `msr check --explain CODE`: what a code means, with a mistake that it is about and its mend.
//!
//! The examples are cases of the checker's tests (`tests/cases`): what is shown is what the tests hold the checker to. A case is mended by the
//! spec without mistakes from which all of them were made, or by a `mended.msr` beside it.

use super::USAGE;
use super::output::{put, tell};
use msr_dsl::codes;
use msr_dsl::words::suggest;
use similar::TextDiff;
use std::process::ExitCode;

/// A spec with one mistake.
struct Example {
    code: &'static str,
    wrong: &'static str,
    /// What the checker says about it.
    said: &'static str,
    mended: &'static str,
}

macro_rules! examples {
    ($($code:ident $case:literal $($own:ident)?;)*) => {
        const EXAMPLES: &[Example] = &[$(Example {
            code: stringify!($code),
            wrong: include_str!(concat!("../../tests/cases/", $case, "/input.msr")),
            said: include_str!(concat!("../../tests/cases/", $case, "/expected.txt")),
            mended: mended!($case $($own)?),
        }),*];
    };
}

macro_rules! mended {
    ($case:literal) => {
        include_str!("../../tests/cases/fine/input.msr")
    };
    ($case:literal mended) => {
        include_str!(concat!("../../tests/cases/", $case, "/mended.msr"))
    };
}

examples! {
    E001 "number_expected";
    E002 "file_brace_open";
    E003 "file_with_more";
    E101 "interface_missing";
    E102 "interface_name_long";
    E103 "accepts_unknown_field";
    E104 "field_name_twice";
    E105 "name_taken" mended;
    E106 "said_twice";
    E107 "banks_half_said";
    E108 "rust_name_field";
    E109 "cite_nothing";
    E111 "version_missing";
    E112 "version_order";
    E113 "version_text";
    E114 "version_unknown";
    E115 "version_all";
    E116 "field_not_in_version" mended;
    E117 "version_restore_only_last";
    E118 "version_words";
    E119 "waiver_matches_nothing" mended;
    E121 "locked_reset";
    E122 "lock_file_broken";
    E201 "field_overlap";
    E202 "enum_value_wide";
    E203 "reserved_unsaid";
    E204 "reserved_nothing" mended;
    E205 "reserved_writable";
    E206 "const_with_read";
    E207 "write_unseen";
    E208 "locked_always";
    E209 "keep_whole";
    E301 "address_range_empty";
    E302 "address_overlap";
    E303 "hidden_unknown";
    E401 "write_unsaid";
    E402 "reset_enum_implied";
    E403 "reset_without_state" mended;
    E404 "constant_state" mended;
    E405 "wrong_type_condition";
    E406 "shift" mended;
    E407 "not_constant";
    E408 "value_in_read" mended;
    E409 "cycle" mended;
    E410 "tag_zero";
    E411 "not_readable" mended;
    E412 "unreachable_field";
    E413 "read_wide";
    E414 "legal_nothing";
    E415 "held_banked";
    E416 "scope_without_state" mended;
    E417 "scope_reads_vcpu" mended;
    E501 "feature_without_bit";
    E502 "feature_bit_elsewhere";
    E503 "feature_bit_twice";
    E504 "feature_offer_unsaid";
    E505 "feature_default_clear";
    E506 "feature_half_there";
    E507 "feature_requires_itself";
    E508 "feature_not_restored";
    E509 "capability_writable";
    E510 "extra_bit_of_count";
    E511 "feature_default_requires" mended;
    E601 "banks_missing";
    E602 "banks_count_other";
    E603 "injection_bank";
    E604 "bank_of_single" mended;
    E701 "migrate_unsaid";
    E702 "migrate_derived_with_state";
    E703 "migrate_transient_without_state";
    E704 "migrate_without_reason";
    E705 "tag_twice";
    E706 "tag_reused";
    E707 "restore_without_save";
    E708 "restore_refuses_reset";
    E709 "restore_cycle" mended;
    E710 "tombstone_tag" mended;
    E711 "restore_default_enum";
    E801 "hook_without_type";
    E802 "hook_argument_type";
    E803 "hook_unknown";
    E901 "injection_without_mcip";
    E902 "injection_unseen";
    W001 "warning_cite";
    W002 "warning_doc";
    W003 "warning_hook";
    W004 "warning_accepts";
    W005 "feature_without_effect";
    W006 "warning_delivery";
    W007 "warning_told";
    W008 "older_bits" mended;
}

/// What a code means.
pub fn explain(id: &str) -> ExitCode {
    let Some(code) = codes::find(id) else {
        let known: Vec<&str> = codes::ALL.iter().map(|code| code.id).collect();
        tell!("no code `{id}`: {}", suggest(id, &known));
        return ExitCode::from(USAGE);
    };
    put!("{}: {}\n\n{}", code.id, code.title, code.explanation);
    if let Some(example) = EXAMPLES.iter().find(|one| one.code == code.id) {
        put!(
            "\nAn example:\n\n{}\nMended:\n\n{}",
            example.said,
            example.mend().trim_end_matches('\n')
        );
    }
    ExitCode::SUCCESS
}

impl Example {
    /// The lines that change, each with its neighbours.
    fn mend(&self) -> String {
        let changes = TextDiff::from_lines(self.wrong, self.mended);
        let mut text = String::new();
        for (at, group) in changes.grouped_ops(1).iter().enumerate() {
            if at > 0 {
                text += "  ...\n";
            }
            for change in group.iter().flat_map(|change| changes.iter_changes(change)) {
                text += &format!("{} {change}", change.tag());
            }
        }
        text
    }
}
