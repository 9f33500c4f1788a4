//! What each kind of event is called in the timeline.
//!
//! `{field}` is replaced by the field's value. An event that lacks a field of its sentence, and a kind that is not here, are
//! shown as the log has them; a field that the sentence does not use is added behind it.

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// The hypervisor's own life.
    Life,
    /// Something a guest says or does.
    Guest,
    /// A fault, and what the host does about it.
    MachineCheck,
    /// What reaches a guest of it.
    Virtual,
}

/// Sentences by kind.
pub const WORDS: &[(&str, Look, &str)] = &[
    (
        "hypervisor.up",
        Look::Life,
        "hypervisor up: version {version}, {processors} processors",
    ),
    (
        "guest.up",
        Look::Life,
        "{name} up: {vcpus} vCPUs, {memory} MiB, interface {interface}",
    ),
    ("guest.console", Look::Guest, "{guest}/{vcpu}: {text}"),
    (
        "guest.shutdown",
        Look::Life,
        "{guest} shuts down with exit code {code}",
    ),
    ("guest.stopped", Look::Life, "{guest} is stopped: {reason}"),
    (
        "fault.raised",
        Look::MachineCheck,
        "fault injected: bank {bank} of processor {target}, status {status}",
    ),
    ("fault.refused", Look::MachineCheck, "fault refused: {text}"),
    ("mc.entered", Look::MachineCheck, "#MC in {context} context"),
    (
        "mc.rendezvous",
        Look::MachineCheck,
        "rendezvous: {arrived} of {expected} processors, {ticks} instructions",
    ),
    (
        "mc.missing",
        Look::MachineCheck,
        "processor {processor} did not come",
    ),
    (
        "mc.late",
        Look::MachineCheck,
        "came late, looks at its banks alone",
    ),
    (
        "mc.bank",
        Look::MachineCheck,
        "owns bank {bank}, grade {class} ({code}): status {status}",
    ),
    (
        "mc.earlier",
        Look::MachineCheck,
        "from before the reset: bank {bank} ({code}), status {status}",
    ),
    (
        "mc.corrected",
        Look::MachineCheck,
        "corrected error {count} in bank {bank} ({code})",
    ),
    (
        "mc.worst",
        Look::MachineCheck,
        "worst grade {class}: processor {owner} recovers",
    ),
    (
        "mc.hit",
        Look::MachineCheck,
        "{owner} is hit: host page {hpa}",
    ),
    (
        "mc.fatal",
        Look::MachineCheck,
        "fatal: {reason}; reset with the banks intact",
    ),
    ("mc.resumed", Look::MachineCheck, "leaves the machine check"),
    (
        "page.retired",
        Look::MachineCheck,
        "page {hpa} is out of use",
    ),
    (
        "page.unflushed",
        Look::MachineCheck,
        "processor {processor} has not flushed its translations",
    ),
    (
        "vmce.posted",
        Look::Virtual,
        "for {guest} vCPU {vcpu}: {outcome}",
    ),
    (
        "vmce.injected",
        Look::Virtual,
        "vMCE to {guest} vCPU {vcpu}, MCG_STATUS {mcg_status}",
    ),
    (
        "vmce.handled",
        Look::Virtual,
        "{guest} vCPU {vcpu} has handled it",
    ),
    (
        "vmce.stop-record",
        Look::Virtual,
        "{guest} vCPU {vcpu}, record {which}: status {status}, address {addr}",
    ),
    ("records.lost", Look::Life, "{count} records were lost"),
    (
        "machine.unsupported",
        Look::Life,
        "this machine cannot run the hypervisor: {reason}",
    ),
    ("machine.off", Look::Life, "machine off"),
];

/// The sentence of a kind.
pub fn of(kind: &str) -> Option<(Look, &'static str)> {
    WORDS
        .iter()
        .find(|(name, _, _)| *name == kind)
        .map(|(_, look, sentence)| (*look, *sentence))
}
