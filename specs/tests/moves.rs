//! The verdicts of `msr diff` are true: guests of one released version are saved and restored under the other, in generated code
//! and interpreter, and what happens to them is what was said; so are the witnesses.
mod common;

use common::{capabilities, model, watched};
use msr_dsl::compare::condition::Condition;
use msr_dsl::compare::convert::{convert, convert_what_can_be};
use msr_dsl::compare::default_guest::DefaultGuest;
use msr_dsl::compare::finding::Witness;
use msr_dsl::compare::rules::Effect;
use msr_dsl::compare::side::Side;
use msr_dsl::compare::steps::Step;
use msr_dsl::compare::verdict::Verdict;
use msr_dsl::compare::{Comparison, compare};
use msr_dsl::interpret::{Answer, Machine};
use msr_dsl::manifest::Manifest;
use msr_dsl::model::{Model, View};
use msr_runtime::record::crc32c;
use msr_runtime::{ErrorRecord, MachineCheck, MachineCheckEvent, Refusal, Reset};
use specs::McState;

const SPECS: [&str; 4] = ["vmce", "vmce-amd", "kvm", "sdm"];

fn file(spec: &str, extension: &str) -> (String, String) {
    let path = format!("{}/{spec}.{extension}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    (path, text)
}

/// The released versions of a spec, as the spec has them.
fn released(spec: &str, model: &Model) -> Vec<Side> {
    let (path, text) = file(spec, "msr");
    let manifest = Manifest::parse(&file(spec, "lock").1).expect("a manifest");
    let versions = manifest.versions;
    let view = |version: &u16| {
        model
            .version(*version)
            .expect("a released version is in the spec")
    };
    versions
        .keys()
        .map(|version| Side::of_spec(&format!("{spec}@{version}"), &path, &text, view(version)))
        .collect()
}

fn compared(old: &Side, new: &Side) -> Comparison {
    compare(old, new)
        .decided()
        .unwrap_or_else(|question| panic!("{question}"))
}

/// Guests with every kind of capability word: new, with registers written, with an error, with one that is pending.
fn guests<'v>(model: &Model, view: &'v View) -> Vec<Machine<'v>> {
    let mut guests = Vec::new();
    // Every seventh: each flag is among them, set alone, clear alone or both.
    for word in capabilities(model, view.version).into_iter().step_by(7) {
        let mut guest = Machine::new(view);
        guest.set_capability(word);
        guests.push(guest.clone());
        let mut written = guest.clone();
        for msr in watched(model, view.version) {
            written.write(msr, 0x40);
            written.write(msr, 1);
        }
        guests.push(written.clone());
        let record = ErrorRecord {
            status: 0xbd80_0000_0000_0134,
            address: 0x5000,
            misc: 0x8c,
        };
        let event = MachineCheckEvent {
            restart_ip_valid: true,
            error_ip_valid: false,
            local: false,
            record: Some(record),
        };
        written.inject(&event);
        guests.push(written);
        guest.set_pending(true);
        guests.push(guest);
    }
    guests
}

/// Whether a move is refused by what the verdict says of this guest, before it does anything.
fn kept_out(verdict: &Verdict, guest: &Machine) -> bool {
    match verdict {
        Verdict::Safe => false,
        Verdict::Refused(_) => true,
        Verdict::Undecided(_) => unreachable!("the comparison was decided"),
        Verdict::Conditional(reasons) => {
            let conditions = reasons
                .iter()
                .filter_map(|reason| reason.condition.as_ref());
            conditions
                .map(|condition: &Condition| condition.holds(guest))
                .any(|holds| holds == Some(false))
        }
    }
}

#[test]
fn verdicts_are_true_of_guests_that_move() {
    let mut moved = 0;
    for spec in SPECS {
        let model = model(spec);
        let sides = released(spec, &model);
        for old in &sides {
            for new in sides.iter().filter(|new| new.name != old.name) {
                let comparison = compared(old, new);
                for guest in guests(&model, &old.view) {
                    moved += usize::from(moves(&model, &comparison, &guest, new));
                }
            }
        }
    }
    assert!(moved > 100, "{moved} guests moved");
}

/// Moves a guest; true if it arrives.
fn moves(model: &Model, comparison: &Comparison, guest: &Machine, new: &Side) -> bool {
    let place = || {
        format!(
            "{} → {}: {:x?}",
            comparison.names[0],
            comparison.names[1],
            guest.cells()
        )
    };
    if new.view.restore_only {
        assert!(
            matches!(comparison.verdicts[0], Verdict::Refused(_)),
            "{}",
            place()
        );
        return false;
    }
    let record = guest.save();
    let mut there = Machine::new(&new.view);
    let taken = there.restore(&record);
    assert_eq!(
        taken.is_err(),
        kept_out(&comparison.verdicts[0], guest),
        "{}: {taken:?}",
        place()
    );
    let generated = McState::restore(&new.view.name, new.view.version, &record, crc32c);
    assert_eq!(
        generated.expect("a version with code").is_ok(),
        taken.is_ok(),
        "{}",
        place()
    );
    if taken.is_err() {
        return false;
    }
    // What a move loses by itself is lost here too.
    let mut here = Machine::new(guest.view());
    here.restore(&record).expect("its own record");
    let versions = [guest.view().version, new.view.version];
    let msrs = versions
        .into_iter()
        .flat_map(|version| watched(model, version));
    goes_on_as_said(comparison, &here, &there, msrs, place);
    true
}

/// Two guests from one record answer alike but where a finding that is not safe says otherwise.
fn goes_on_as_said(
    comparison: &Comparison,
    here: &Machine,
    there: &Machine,
    msrs: impl IntoIterator<Item = u32>,
    place: impl Fn() -> String,
) {
    for msr in msrs {
        // A finding that is safe excuses nothing but an answer where there was none.
        let named = |here: &Answer| {
            let gains = matches!(here, Answer::Fault | Answer::Unlisted);
            let mut own = comparison.findings.iter().filter(|finding| {
                finding.about.msrs.contains(&msr) && (gains || finding.effects()[0] != Effect::Safe)
            });
            own.next().is_some()
        };
        let read = here.read(msr);
        assert!(
            read == there.read(msr) || named(&read),
            "rdmsr {msr:#x}: {}",
            place()
        );
        for value in [0, 1, u64::MAX, 1 << 20] {
            let answers = [
                here.clone().write(msr, value),
                there.clone().write(msr, value),
            ];
            assert!(
                answers[0] == answers[1] || named(&answers[0]),
                "wrmsr {msr:#x} {value:#x}: {}",
                place()
            );
        }
    }
}

/// The default guest as it is created goes on without a condition only if nothing that is not safe is shown by what such a guest
/// does, on a condition only if something is, by that or by its record; and is refused only if its record is.
#[test]
fn what_is_said_of_the_default_guest_is_true() {
    let models: Vec<Model> = SPECS.into_iter().map(model).collect();
    let sides: Vec<Side> = (SPECS.iter().zip(&models))
        .flat_map(|(spec, model)| released(spec, model))
        .collect();
    let mut said = [0; 3];
    for (old, new) in sides
        .iter()
        .flat_map(|old| sides.iter().map(move |new| (old, new)))
    {
        if old.view.restore_only || old.name == new.name {
            continue;
        }
        let comparison = compared(old, new);
        let place = format!("{} → {}", old.name, new.name);
        let guest = Machine::new(&old.view);
        let taken = match old.view.name == new.view.name {
            true => Machine::new(&new.view).restore(&guest.save()).is_ok(),
            false => convert_what_can_be(&old.view, &new.view, &guest.save()).is_ok(),
        };
        let shown: Vec<&Witness> = (comparison.findings.iter())
            .filter(|finding| finding.effects()[0] != Effect::Safe)
            .filter_map(|finding| finding.witness.as_ref())
            .filter(|witness| is_of(witness, &guest))
            .collect();
        let by_record = |step: &Step| matches!(step, Step::Restore(_));
        let mut accesses = shown.iter().filter(|one| !one.steps.iter().any(by_record));
        match comparison.default_guests[0].as_ref().expect("guests start") {
            DefaultGuest::Refused(why) => {
                said[0] += 1;
                assert!(
                    !taken || new.view.restore_only || unknown(&guest, &new.view),
                    "{place}: {why:?}"
                );
            }
            DefaultGuest::GoesOn => {
                said[1] += 1;
                assert!(taken && accesses.next().is_none(), "{place}");
            }
            DefaultGuest::GoesOnIf(conditions) => {
                said[2] += 1;
                assert!(taken && !shown.is_empty(), "{place}: {conditions:?}");
            }
        }
    }
    assert!(said.into_iter().all(|count| count > 0), "{said:?}");
}

/// The witness is one of such a guest: created so on the old side, or restored there with its capability word.
fn is_of(witness: &Witness, guest: &Machine) -> bool {
    let created = witness.start[0].capability.is_none() && witness.start[0].features.is_empty();
    let record = witness.steps.iter().find_map(|step| match step {
        Step::Restore(record) => Some(record),
        _ => None,
    });
    match record {
        None => created,
        Some(record) => {
            let mut restored = Machine::new(guest.view());
            restored.restore_either(record).is_ok() && restored.capability() == guest.capability()
        }
    }
}

/// It has capability bits that the other version does not know.
fn unknown(guest: &Machine, to: &View) -> bool {
    let known = to.capability.map_or(u64::MAX, |id| to.register(id).accepts);
    guest.capability().unwrap_or(0) & !known != 0
}

/// It is in its #MC handler.
fn handles(guest: &Machine) -> bool {
    matches!(guest.read(0x17a), Answer::Value(status) if status & 4 != 0)
}

/// Between interfaces a record is converted. It is refused exactly if the verdict says so of the guest, or it would lose a pending
/// machine check; what arrives meets nothing that is not said.
#[test]
fn verdicts_are_true_of_guests_that_are_converted() {
    let models: Vec<Model> = SPECS.into_iter().map(model).collect();
    let sides = |at: usize| released(SPECS[at], &models[at]);
    let (mut arrived, mut lossy, mut refused) = (0, 0, 0);
    for (old_at, new_at) in (0..SPECS.len()).flat_map(|a| (0..SPECS.len()).map(move |b| (a, b))) {
        if old_at == new_at {
            continue;
        }
        for (old, new) in sides(old_at)
            .iter()
            .flat_map(|old| sides(new_at).into_iter().map(move |new| (old, new)))
        {
            let comparison = compared(old, &new);
            let verdict = &comparison.verdicts[0];
            let msrs: Vec<u32> = [(old_at, old), (new_at, &new)]
                .into_iter()
                .flat_map(|(at, side)| watched(&models[at], side.view.version))
                .collect();
            // Each of the four kinds of guest that `guests` makes, of fewer words: there are many pairs.
            for guest in guests(&models[old_at], &old.view).into_iter().step_by(7) {
                let place = || {
                    let names = &comparison.names;
                    format!("{} → {}: {:x?}", names[0], names[1], guest.cells())
                };
                let record = guest.save();
                let converted = convert_what_can_be(&old.view, &new.view, &record);
                let Ok(converted) = converted else {
                    let kept = kept_out(verdict, &guest) || guest.pending() || handles(&guest);
                    assert!(kept, "{converted:?} {verdict:#?}: {}", place());
                    refused += 1;
                    continue;
                };
                assert!(!kept_out(verdict, &guest), "{verdict:#?}: {}", place());
                arrived += 1;
                let mut there = Machine::new(&new.view);
                there
                    .restore(&converted.record)
                    .expect("a converted record");
                let mut here = Machine::new(&old.view);
                here.restore(&record).expect("its own record");
                // What is lost is said guest by guest, and `convert` makes no record of it.
                if converted.lost.is_empty() {
                    goes_on_as_said(&comparison, &here, &there, msrs.iter().copied(), place);
                    arrived += 1;
                } else {
                    assert_ne!(*verdict, Verdict::Safe, "{:?}: {}", converted.lost, place());
                    assert!(convert(&old.view, &new.view, &record).is_err());
                    lossy += 1;
                }
            }
        }
    }
    assert!(
        arrived > 20 && lossy > 20 && refused > 100,
        "{arrived} arrived, {lossy} with losses, {refused} refused"
    );
}

/// What generated code answers last to a witness; none if it has no such guest.
fn generated(witness: &Witness, side: usize, views: [&View; 2]) -> Option<String> {
    let view = views[side];
    let guest = witness.start[side].guest_of(views, side).ok()?;
    let state = McState::restore(&view.name, view.version, &guest.machine.save(), crc32c);
    let mut state = state.ok()?.expect("a new guest's own record");
    let mut last = None;
    for step in &witness.steps {
        let answer = match step {
            Step::Read(msr) => state.read(*msr).map_or_else(refusal, Answer::Value),
            Step::Write { msr, value } => state
                .write(*msr, *value)
                .map_or_else(refusal, |()| Answer::Ok),
            Step::Inject(what) => {
                state.inject(&what.event());
                Answer::Ok
            }
            Step::Init => {
                state.reset(Reset::Init);
                continue;
            }
            Step::Restore(record) => {
                let converted = guest
                    .from
                    .map(|from| convert_what_can_be(from, view, record));
                let record = match converted {
                    Some(Ok(converted)) => converted.record,
                    Some(Err(_)) => return Some("refused".to_owned()),
                    None => record.clone(),
                };
                match McState::restore(&view.name, view.version, &record, crc32c) {
                    Ok(Ok(restored)) => {
                        state = restored;
                        Answer::Ok
                    }
                    _ => return Some("refused".to_owned()),
                }
            }
            // No machine-check interface that ships has state that vCPUs share.
            Step::Vcpu(_) | Step::InitElsewhere | Step::SaveGuest => return None,
            Step::Deliver | Step::Save => return None,
            // Nor does one hold registers.
            Step::Hold { .. } | Step::Held(_) => return None,
        };
        last = Some(msr_dsl::compare::steps::answer(answer));
    }
    last
}

fn refusal<H>(refusal: Refusal<H>) -> Answer {
    match refusal {
        Refusal::Fault => Answer::Fault,
        Refusal::Unlisted => Answer::Unlisted,
        Refusal::Pass => Answer::Pass,
        Refusal::Hook(_) => Answer::Hook(String::new()),
    }
}

#[test]
fn generated_code_answers_witnesses_as_was_said() {
    let models: Vec<Model> = SPECS.into_iter().map(model).collect();
    let sides: Vec<Side> = SPECS
        .into_iter()
        .zip(&models)
        .flat_map(|(spec, model)| released(spec, model))
        .collect();
    let creatable = |side: &&Side| !side.view.restore_only;
    let mut answered = 0;
    for old in sides.iter().filter(creatable) {
        for new in sides
            .iter()
            .filter(creatable)
            .filter(|new| new.name != old.name)
        {
            for finding in compared(old, new).findings {
                let Some(witness) = &finding.witness else {
                    continue;
                };
                let views = [&old.view, &new.view];
                for side in 0..2 {
                    if let Some(answer) = generated(witness, side, views) {
                        let said = &witness.answers[side];
                        assert!(
                            answer == *said || answer == "refused" && said.starts_with("refused"),
                            "{answer}, not {said}: {finding:#?}"
                        );
                        answered += 1;
                    }
                }
            }
        }
    }
    assert!(answered > 100, "{answered} answers");
}

#[test]
fn a_record_that_is_converted_loses_nothing() {
    let models: Vec<Model> = SPECS.into_iter().map(model).collect();
    let (mut converted, mut refused) = (0, 0);
    for (spec, own) in SPECS.into_iter().zip(&models) {
        for old in released(spec, own) {
            for (other_spec, other) in SPECS.into_iter().zip(&models) {
                let new = released(other_spec, other)
                    .pop()
                    .expect("a released version");
                let comparison = compared(&old, &new);
                for guest in guests(own, &old.view) {
                    let record = guest.save();
                    let Ok(bytes) = convert(&old.view, &new.view, &record) else {
                        refused += 1;
                        continue;
                    };
                    converted += 1;
                    assert!(
                        !kept_out(&comparison.verdicts[0], &guest),
                        "{} → {}",
                        old.name,
                        new.name
                    );
                    let mut there = Machine::new(&new.view);
                    there.restore(&bytes).expect("a converted record");
                    let mut here = Machine::new(&old.view);
                    here.restore(&record).expect("its own record");
                    for register in &old.view.registers {
                        for (msr, _) in register.addresses.iter().flat_map(|address| address.msrs())
                        {
                            if let Answer::Value(value) = here.read(msr) {
                                assert_eq!(
                                    there.read(msr),
                                    Answer::Value(value),
                                    "{msr:#x}: {} → {}",
                                    old.name,
                                    new.name
                                );
                            }
                        }
                    }
                }
            }
        }
    }
    assert!(
        converted > 100 && refused > 100,
        "{converted} converted, {refused} refused"
    );
}
