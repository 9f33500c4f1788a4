//! What each kind of event is called in the timeline.
//!
//! `{field}` is replaced by the field's value, `{field#noun}` by so many of the noun, `{-field}` by nothing: the sentence says it
//! already; with `{-field=word}` the sentence is for that word only. Of several sentences of a kind
//! the first counts whose fields the event has. An event for which there is none is shown as the log has it; a field that the
//! sentence does not name is added behind it.

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
        "hypervisor.boot",
        Look::Life,
        "boot: Bankshot {version}, {memory} MiB for it and its guests",
    ),
    (
        "hypervisor.clock",
        Look::Life,
        "clock: {unix}; {tsc_khz} thousand ticks a second, by {source}",
    ),
    (
        "hypervisor.up",
        Look::Life,
        "hypervisor up: version {version}, {processors#processor}, {banks#bank} each, {interfaces}, fault injection on{-faults=yes}",
    ),
    (
        "hypervisor.up",
        Look::Life,
        "hypervisor up: version {version}, {processors#processor}, {banks#bank} each, {interfaces}, fault injection off{-faults=no}",
    ),
    (
        "hypervisor.exception",
        Look::Life,
        "the hypervisor met exception {vector} at {rip}, address {address}",
    ),
    (
        "hypervisor.panic",
        Look::Life,
        "the hypervisor gave up at {file}:{line}",
    ),
    (
        "processor.up",
        Look::Life,
        "processor {processor} up: APIC {apic}, package {package}, signature {signature}, microcode {microcode}, PPIN {ppin}, MCG_CAP {mcg_cap}",
    ),
    (
        "processor.missing",
        Look::Life,
        "the processor with APIC {apic} did not come up",
    ),
    (
        "guest.up",
        Look::Life,
        "{guest} up: {vcpus#vCPU}, {memory} MiB, interface {interface}{-name}",
    ),
    (
        "guest.privileged",
        Look::Life,
        "{guest} is the privileged guest",
    ),
    (
        "records.registered",
        Look::Life,
        "{guest} vCPU {vcpu} asks for records of errors, by vector {vector}; {waiting} waiting",
    ),
    ("vcpu.up", Look::Life, "{guest} vCPU {vcpu} starts"),
    (
        "vcpu.exits",
        Look::Life,
        "{guest} vCPU {vcpu} made {exits#exit}",
    ),
    ("guest.console", Look::Guest, "{guest}/{vcpu}: {text}"),
    (
        "guest.shutdown",
        Look::Life,
        "{guest} shuts down with exit code {code}",
    ),
    ("guest.stopped", Look::Life, "{guest} is stopped: {reason}"),
    (
        "vcpu.value-excluded",
        Look::Life,
        "{guest} vCPU {vcpu} has {value} in {msr}, which the spec excludes",
    ),
    (
        "guest.unknown-exit",
        Look::Life,
        "{guest} vCPU {vcpu} made an exit without an answer: {reason}",
    ),
    (
        "guest.bad-access",
        Look::Life,
        "{guest} vCPU {vcpu} touched {gpa}, which it does not have",
    ),
    (
        "fault.raised",
        Look::MachineCheck,
        "fault injected: bank {bank} of processor {target}, {mcg_status}, status {status}, host address {addr}",
    ),
    (
        "fault.refused",
        Look::MachineCheck,
        "fault refused: {reason}",
    ),
    (
        "mc.entered",
        Look::MachineCheck,
        "#MC in {guest} vCPU {vcpu}, {mcg_status}{-context}",
    ),
    (
        "mc.entered",
        Look::MachineCheck,
        "#MC in the hypervisor, {mcg_status}{-context}",
    ),
    (
        "mc.rendezvous",
        Look::MachineCheck,
        "rendezvous: {arrived} of {expected#processor}, after {ticks#instruction}",
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
        "owns the error in bank {bank}: {class} ({code}), status {status}",
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
        "mc.uncorrected",
        Look::MachineCheck,
        "uncorrected error in bank {bank} ({code}) that needs no action",
    ),
    (
        "mc.worst",
        Look::MachineCheck,
        "worst grade: {class}; processor {owner} recovers",
    ),
    (
        "mc.hit",
        Look::MachineCheck,
        "{guest} is hit at its page {gpa} (host {hpa}){-owner}{-pages}",
    ),
    (
        "mc.hit",
        Look::MachineCheck,
        "the hypervisor's memory is hit: {hpa}{-owner=hypervisor}",
    ),
    (
        "mc.hit",
        Look::MachineCheck,
        "memory that is nobody's is hit: {hpa}{-owner=free}",
    ),
    (
        "mc.hit",
        Look::MachineCheck,
        "firmware's memory is hit: {hpa}{-owner=firmware}",
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
        "page {gpa} of {guest} (host {hpa}) is out of use{-owner}{-pages=1}",
    ),
    (
        "page.retired",
        Look::MachineCheck,
        "{pages#page} of {guest} from {gpa} on (host {hpa}) are out of use{-owner}",
    ),
    (
        "page.retired",
        Look::MachineCheck,
        "{owner} page {hpa} is out of use",
    ),
    (
        "page.replaced",
        Look::MachineCheck,
        "page {gpa} of {guest} moves from {hpa} to {by} after {count} corrected errors",
    ),
    (
        "page.kept",
        Look::MachineCheck,
        "page {hpa} stays in use after {count} corrected errors: {reason}",
    ),
    (
        "page.returned",
        Look::MachineCheck,
        "page {gpa} of {guest} (host {hpa}) is back in use{-owner}",
    ),
    (
        "page.returned",
        Look::MachineCheck,
        "{owner} page {hpa} is back in use",
    ),
    (
        "page.refused",
        Look::Life,
        "the command about a page is refused: {reason}",
    ),
    (
        "processor.out",
        Look::MachineCheck,
        "processor {processor} is out of use; {vcpus#vCPU} to go on elsewhere",
    ),
    (
        "processor.back",
        Look::MachineCheck,
        "processor {processor} is back in use; {vcpus#vCPU} to come back",
    ),
    (
        "processor.refused",
        Look::Life,
        "the command about a processor is refused: {reason}",
    ),
    (
        "processor.listed",
        Look::Life,
        "processor {processor} is {state}, with {vcpus#vCPU}",
    ),
    (
        "vcpu.moved",
        Look::Life,
        "{guest} vCPU {vcpu} goes on here, from processor {from}",
    ),
    (
        "page.listed",
        Look::Life,
        "out of use: page {gpa} of {guest}{-owner}",
    ),
    ("page.listed", Look::Life, "out of use: {owner} page {hpa}"),
    (
        "page.list",
        Look::Life,
        "{pages#page} out of use in all{-unlisted=0}",
    ),
    (
        "page.unflushed",
        Look::MachineCheck,
        "processor {processor} has not flushed its translations",
    ),
    (
        "vmce.posted",
        Look::Virtual,
        "vMCE for {guest} vCPU {vcpu}: {outcome}",
    ),
    (
        "vmce.injected",
        Look::Virtual,
        "vMCE to {guest} vCPU {vcpu}, {mcg_status}: record at {addr}, status {status}{-record}",
    ),
    (
        "vmce.injected",
        Look::Virtual,
        "vMCE to {guest} vCPU {vcpu}, {mcg_status}: clean bank{-record}",
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
    ("records.lost", Look::Life, "lost {count#record}"),
    (
        "machine.unsupported",
        Look::Life,
        "this machine cannot run the hypervisor: {reason}",
    ),
    ("boot.refused", Look::Life, "boot refused: {what}: {text}"),
    ("machine.off", Look::Life, "machine off"),
];

/// The sentences of a kind, in order.
pub fn of(kind: &str) -> impl Iterator<Item = (Look, &'static str)> {
    WORDS
        .iter()
        .filter(move |(name, _, _)| *name == kind)
        .map(|(_, look, sentence)| (*look, *sentence))
}

/// What a sentence is made of: words, fields that are shown, fields that are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Words as they are.
    Words(&'static str),
    /// A field's value.
    Field(&'static str),
    /// So many of something.
    Count(&'static str, &'static str),
    /// A field that the words say already.
    Silent(&'static str),
    /// A field that must hold this word, which the words say already.
    Is(&'static str, &'static str),
}

/// Takes a sentence apart.
pub fn parts(mut sentence: &'static str) -> Vec<Part> {
    let mut parts = Vec::new();
    while let Some((before, after)) = sentence.split_once('{') {
        parts.push(Part::Words(before));
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        parts.push(match name.strip_prefix('-') {
            Some(name) => match name.split_once('=') {
                Some((name, word)) => Part::Is(name, word),
                None => Part::Silent(name),
            },
            None => match name.split_once('#') {
                Some((name, noun)) => Part::Count(name, noun),
                None => Part::Field(name),
            },
        });
        sentence = after;
    }
    parts.push(Part::Words(sentence));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Known;

    #[test]
    fn every_kind_of_the_kernel_has_words_and_every_field_in_them_exists() {
        let known = Known::of(std::path::Path::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/.."
        )));
        assert!(known.kinds.len() > 20);
        for kind in known.kinds.keys() {
            assert!(of(kind).next().is_some(), "no words for {kind}");
        }
        for (kind, _, sentence) in WORDS {
            let fields = known
                .kinds
                .get(*kind)
                .unwrap_or_else(|| panic!("no kind {kind}"));
            for part in parts(sentence) {
                if let Part::Field(name)
                | Part::Silent(name)
                | Part::Count(name, _)
                | Part::Is(name, _) = part
                {
                    assert!(
                        fields.iter().any(|field| field == name),
                        "{kind} has no {name}"
                    );
                }
            }
        }
    }
}
