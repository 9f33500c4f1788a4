//! What generated code may cost, in instructions. The counts are the same in every run of a build.

use measure::callgrind::{Call, count, worst};
use std::path::Path;

const SUBJECT: &str = env!("CARGO_BIN_EXE_subject");

fn counted(what: &str) -> Vec<Call> {
    count(Path::new(SUBJECT), &[what]).unwrap_or_else(|why| panic!("{why}"))
}

/// The most instructions of `what` on `on`, and where.
fn most<'c>(calls: &'c [Call], what: &str, on: &str) -> &'c Call {
    worst(calls, what, on).unwrap_or_else(|| panic!("no {what} of {on} was counted"))
}

#[test]
fn accesses_and_records_stay_within_their_limits() {
    let calls = counted("interfaces");
    // Xen's C takes 33 for its read of MCG_CAP.
    for vmce in ["vmce@2", "vmce@3", "vmce@4"] {
        let read = most(&calls, "read", vmce);
        assert!(read.instructions <= 25, "{read:?}");
    }
    let mut interfaces: Vec<&str> = calls.iter().map(|call| call.on.as_str()).collect();
    interfaces.dedup();
    assert!(interfaces.len() >= 7, "{interfaces:?}");
    for on in interfaces {
        for what in ["read", "write"] {
            let access = most(&calls, what, on);
            assert!(access.instructions <= 40, "{access:?}");
        }
        for what in ["save", "restore"] {
            let record = most(&calls, what, on);
            // The platform's registers are five times as many, each with values that a restore has to refuse.
            let platform = what == "restore" && on.starts_with("platform@");
            let limit = if platform { 650 } else { 400 };
            assert!(record.instructions < limit, "{record:?}");
        }
    }
}

#[test]
fn the_number_of_registers_costs_nothing() {
    let calls = counted("sizes");
    for what in ["read", "write"] {
        let of = |size| most(&calls, what, size).instructions;
        let ten = of("many10");
        assert_eq!(of("many100"), ten, "{what}, 100 registers");
        assert_eq!(of("many1000"), ten, "{what}, 1000 registers");
    }
}

/// Records are sealed by the processor's instruction where there is one: in blocks, and what is left of them, of any length.
#[test]
fn the_instruction_gives_the_same_checksum() {
    use msr_runtime::record::{crc32c, crc32c_sse42};
    if !std::is_x86_feature_detected!("sse4.2") {
        return;
    }
    let bytes: Vec<u8> = (0..700u32).map(|i| (i * i % 251) as u8).collect();
    for length in 0..bytes.len() {
        let own = &bytes[..length];
        // SAFETY: the processor has SSE4.2, as seen above.
        let by_instruction = unsafe { crc32c_sse42(7, own) };
        assert_eq!(by_instruction, crc32c(7, own), "{length} bytes");
    }
}
