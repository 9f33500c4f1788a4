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
        "hypervisor {version} up on {processors} processors",
    ),
    ("processor.up", Look::Life, "processor up"),
    (
        "guest.up",
        Look::Life,
        "{guest} up: {vcpus} vCPUs, {memory} MiB, {interface}",
    ),
    ("guest.console", Look::Guest, "{guest}: {text}"),
    (
        "guest.shutdown",
        Look::Life,
        "{guest} shuts down with exit code {code}",
    ),
    ("guest.stopped", Look::Life, "{guest} is stopped: {reason}"),
    (
        "fault.raised",
        Look::MachineCheck,
        "fault injected into bank {bank} of processor {processor}",
    ),
    (
        "fault.refused",
        Look::MachineCheck,
        "fault refused: {reason}",
    ),
    ("mc.entered", Look::MachineCheck, "#MC"),
    (
        "mc.rendezvous",
        Look::MachineCheck,
        "rendezvous: {present} processors met",
    ),
    (
        "mc.bank",
        Look::MachineCheck,
        "bank {bank} holds an error: status {status}",
    ),
    ("mc.owner", Look::MachineCheck, "owns bank {bank}"),
    (
        "mc.graded",
        Look::MachineCheck,
        "bank {bank} graded {class}",
    ),
    (
        "mc.worst",
        Look::MachineCheck,
        "worst is {class}: processor {owner} recovers",
    ),
    (
        "mc.hit",
        Look::MachineCheck,
        "{guest} is hit at its page {gpa}",
    ),
    (
        "page.retired",
        Look::MachineCheck,
        "page {page} is out of use",
    ),
    (
        "vmce.injected",
        Look::Virtual,
        "{guest} vCPU {vcpu} gets a vMCE",
    ),
    (
        "vmce.handled",
        Look::Virtual,
        "{guest} vCPU {vcpu} has handled it",
    ),
    ("mc.resumed", Look::MachineCheck, "goes on"),
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
