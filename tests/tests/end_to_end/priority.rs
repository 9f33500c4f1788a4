//! An error reaches its guest's vCPUs whatever they are doing, before anybody else goes on where they are.

use boot::log::Event;

use super::{BOCHS, log, met};

/// From the end of the machine check to the delivery of its #MC, at most, in time stamp ticks: no vCPU has run in between.
const AT_ONCE: u64 = 3000;
/// For the writing of one event of the log, at most.
const AN_EVENT: u64 = 1500;
/// `slice=200000` of these scenarios: two vCPUs that were hit and share a processor have it one after the other.
const SLICE: u64 = 200_000;

/// How long after the machine check ended on a processor a vCPU of guest 0 there had its #MC.
fn told_after(events: &[Event], processor: u64, vcpu: u64) -> u64 {
    let mut own = events
        .iter()
        .filter(|event| event.number("cpu") == Some(processor));
    let resumed = own.find(|event| event.kind == "mc.resumed");
    let injected = own.find(|event| {
        event.kind == "vmce.injected"
            && event.number("guest") == Some(0)
            && event.number("vcpu") == Some(vcpu)
    });
    let (Some(resumed), Some(injected)) = (resumed, injected) else {
        panic!("{}", log(events));
    };
    injected.t.unwrap() - resumed.t.unwrap()
}

#[test]
fn a_vcpu_that_was_not_running_goes_first() {
    let events = met("shared-srao-waiting", &BOCHS);
    let (first, second) = (told_after(&events, 0, 0), told_after(&events, 0, 1));
    assert!(first < AT_ONCE, "{first}\n{}", log(&events));
    assert!(second < SLICE + AT_ONCE, "{second}\n{}", log(&events));
}

#[test]
fn a_halted_vcpu_goes_first() {
    let events = met("shared-halted", &BOCHS);
    for (processor, vcpu) in [(0, 0), (1, 1)] {
        let after = told_after(&events, processor, vcpu);
        assert!(after < AT_ONCE, "{vcpu}: {after}\n{}", log(&events));
    }
}

#[test]
fn a_vcpu_that_has_met_an_error_and_the_other_go_first() {
    let events = met("shared-srar-running", &BOCHS);
    let (first, second) = (told_after(&events, 0, 0), told_after(&events, 0, 1));
    assert!(first < AT_ONCE, "{first}\n{}", log(&events));
    assert!(second < SLICE + AT_ONCE, "{second}\n{}", log(&events));
}

/// One that waits for SIPI is told nothing; all others are.
#[test]
fn a_vcpu_that_starts() {
    met("shared-startup", &BOCHS);
}

/// Nor does a machine check wait for the log.
#[test]
fn a_machine_check_goes_before_the_log() {
    met("log-gives-way", &BOCHS);
}

/// Nor for whoever else writes it: an event of it is all that is waited for.
#[test]
fn a_machine_check_does_not_wait_for_another_processors_turn_at_the_log() {
    const LMCE_S: u64 = 8;
    let events = met("log-in-use", &BOCHS);
    let local = |kind: &str| {
        let mut found = events.iter().filter(|event| {
            event.kind == kind
                && event
                    .number("mcg_status")
                    .is_some_and(|is| is & LMCE_S != 0)
        });
        found.next().and_then(|event| event.t)
    };
    let (Some(raised), Some(entered)) = (local("fault.raised"), local("mc.entered")) else {
        panic!("{}", log(&events));
    };
    let waited = entered - raised;
    assert!(waited < AN_EVENT, "{waited}\n{}", log(&events));
}
