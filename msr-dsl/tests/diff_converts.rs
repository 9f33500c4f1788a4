//! Guests that move from one interface to another, by records that are converted: what a comparison says of them, and what `record convert`
//! does, against guests that live. Random pairs of interfaces say the same in other words: a bit kept turned round, another tag, no place
//! for a state, a register that is there for some. Whatever a guest meets otherwise must be told by a condition that it does not
//! keep; and a conversion that takes nothing away must have taken nothing, not even what no read showed when the guest was saved.

mod common;
#[path = "common/numbers.rs"]
mod numbers;
#[path = "common/specs.rs"]
mod specs;

use msr_dsl::compare::condition::Demand;
use msr_dsl::compare::convert::{convert, convert_what_can_be};
use msr_dsl::compare::finding::Finding;
use msr_dsl::compare::side::Side;
use msr_dsl::compare::steps::{Step, execute};
use msr_dsl::compare::verdict::{Reason, Verdict};
use msr_dsl::compare::{Comparison, compare};
use msr_dsl::interpret::{Answer, Machine};
use msr_dsl::model::View;
use msr_dsl::source::compile_text;
use numbers::Numbers;
use specs::has;

/// L decides whether others are there, R is what they ask for, S is computed or not, T may be the guest's, B has banks.
const NAMES: [&str; 5] = ["L", "R", "S", "T", "B"];
/// Choices of a register, and of the interface.
const OWN: usize = 7;
const CHOICES: usize = 3 + NAMES.len() * OWN;

type Choices = [usize; CHOICES];

/// Which of a register's choices says how its bits are kept.
const ENCODING: usize = 0;

/// What a guest gains without having asked for it.
const GAINS: [&str; 2] = ["register-present", "write-kept"];

fn pick<'t>(choice: usize, of: &[&'t str]) -> &'t str {
    of[choice % of.len()]
}

/// What others ask for: of L, of the capability word where there is one, and of R.
fn condition(choice: usize, at: usize, has_word: bool) -> &'static str {
    let all = [
        "L.X",
        "!L.X",
        "L.Y",
        "L.X || L.Y",
        "CAP.F",
        "!CAP.G && L.X",
        "R.X",
        "R.Y && L.X",
    ];
    match all[choice % all.len()] {
        asks if asks.contains("CAP") && !has_word => "!L.Y",
        asks if asks.contains('R') && at < 2 => "L.X",
        asks => asks,
    }
}

/// One of [`NAMES`].
fn register(at: usize, side: usize, choices: &[usize], has_word: bool) -> String {
    let head = match NAMES[at] {
        "B" => "bank register B @ 0x500 + i".to_owned(),
        name => format!("register {name} @ {:#x}", 0x10 + at),
    };
    let ask = |choice: usize| condition(choice, at, has_word);
    let turned = "read state & 2 | (1 if !X else 0);";
    let (reset, write, read, x) = match choices[ENCODING] % 8 {
        0 => (3, "one_clears", "", "one_clears"),
        1 => (2, "one_clears", turned, "one_sets"),
        2 => (1, "store", turned, "one_clears"),
        3 => (0, "store", "", "one_sets"),
        4 => (3, "store", "", "zero_clears"),
        5 => (2, "store", "", "sticky"),
        _ => (0, "store", "", "store"),
    };
    let shared = NAMES[at] == "T" && choices[6] % 8 < 2;
    // It depends on no other.
    let alone = at == 0 || shared;
    let when = match choices[1] % 6 {
        _ if alone => String::new(),
        0 => format!("when {} else fault;", ask(choices[2])),
        1 => format!("when {} else zero;", ask(choices[2])),
        2 => format!("when {} else unlisted;", ask(choices[2])),
        _ => String::new(),
    };
    let narrow = choices[5] % 12 == 2;
    let y = match choices[3] % 6 {
        _ if narrow => "write fault_if_set;".to_owned(),
        0 if !alone => format!("when {}; write {write};", ask(choices[4])),
        1 if !alone => format!("read {}; write ignore;", ask(choices[4])),
        _ => format!("write {write};"),
    };
    let reset = match narrow || y.starts_with("read") {
        true => reset & 1,
        false => reset,
    };
    let tag = [at + 1, 7 * at + 3][side];
    let migrate = match choices[5] % 12 {
        0 => "migrate transient \"t\";".to_owned(),
        1 => format!("migrate saved {tag} default 1;"),
        2 => format!("migrate saved {tag}; restore accepts X;"),
        _ => format!("migrate saved {tag};"),
    };
    let rest = match (NAMES[at], choices[6] % 8) {
        ("S", 0 | 1) => {
            let read = pick(choices[4], &["R.X", "1 if R.X && L.Y else 0"]);
            return format!("{head} {{ cite \"t\"; {when} read {read}; write ignore; }}\n");
        }
        _ if shared => "scope guest;",
        (_, 3) => "init reset;",
        _ => "",
    };
    format!(
        "{head} {{ cite \"t\"; {rest} {when} reset {reset}; {read} write store; reserved fault_if_set; {migrate}
           [0] X: bool {{ write {x}; }} [1] Y: bool {{ {y} }} }}\n"
    )
}

/// The capability register, of which guests can have F, G or both.
fn word(side: usize, f: bool, g: bool) -> String {
    let flags = [
        (f, "F", "feature FF { bit CAP.F; offered; }"),
        (g, "G", "feature GG { bit CAP.G; default; }"),
    ];
    let own = || flags.iter().filter(|(has, ..)| *has);
    let accepts: Vec<&str> = own().map(|(_, name, _)| *name).collect();
    let features: String = own().map(|(.., feature)| *feature).collect();
    format!(
        "{features} register CAP @ 0x17 {{ cite \"t\"; reset {}; write ignore; migrate saved {}; restore accepts {};
           [8] F: bool; [9] G: bool; }}",
        if g { "0x200" } else { "0" },
        100 + side,
        accepts.join(" | ")
    )
}

fn spec(side: usize, choices: &Choices) -> String {
    let (own, registers) = choices.split_at(3);
    let has_word = own[0] % 8 != side;
    let stored = pick(own[1], &["2", "2", "1"]);
    let (f, g) = [(true, true), (true, true), (true, false), (false, true)][own[2] % 4];
    let name = ["one", "two"][side];
    let (capability, word) = match has_word {
        true => ("capability CAP;", word(side, f, g)),
        false => ("", String::new()),
    };
    let registers: String = registers
        .chunks(OWN)
        .enumerate()
        .map(|(at, choices)| register(at, side, choices, has_word))
        .collect();
    format!(
        "interface! {{ interface {name} {{ vendor any; version 1 \"t\"; {capability}
           banks {{ count 2; limit 3; stored {stored}; beyond fault; }} }}
         {word} {registers} }}"
    )
}

/// Every MSR that one of them may have.
const MSRS: [u32; 8] = [0x10, 0x11, 0x12, 0x13, 0x17, 0x500, 0x501, 0x502];

fn step(numbers: &mut Numbers) -> Step {
    let msr = MSRS[numbers.below(MSRS.len())];
    match numbers.below(16) {
        0 => Step::Init,
        1 => Step::InitElsewhere,
        2..6 => Step::Read(msr),
        _ => Step::Write {
            // The register on which others depend is written often.
            msr: [msr, 0x10][numbers.below(2)],
            value: numbers.below(4) as u64,
        },
    }
}

struct Difference {
    msr: u32,
    answers: [Answer; 2],
    lived: Vec<Step>,
}

/// The first difference that some steps and then every read show.
fn walk(pair: &mut [Machine; 2], numbers: &mut Numbers) -> Option<Difference> {
    let steps = [0, 3, 8, 14][numbers.below(4)];
    let random: Vec<Step> = (0..steps).map(|_| step(numbers)).collect();
    let reads = MSRS.into_iter().map(Step::Read);
    let all: Vec<Step> = random.into_iter().chain(reads).collect();
    for (at, step) in all.iter().enumerate() {
        let (msr, answers) = match *step {
            Step::Read(msr) => (msr, pair.each_ref().map(|one| one.read(msr))),
            Step::Write { msr, value } => (msr, pair.each_mut().map(|one| one.write(msr, value))),
            _ => {
                pair.iter_mut().for_each(|one| drop(execute(one, step)));
                continue;
            }
        };
        if answers[0] != answers[1] {
            let lived = all[..=at].to_vec();
            return Some(Difference {
                msr,
                answers,
                lived,
            });
        }
    }
    None
}

/// A finding is about it: these guests, this MSR.
fn tells(finding: &Finding, difference: &Difference, capability: u64) -> bool {
    let condition = finding.conditions[0].as_ref();
    let affected = condition.and_then(|condition| condition.affected.as_ref());
    let is_about = finding.about.msrs.contains(&difference.msr);
    is_about && affected.is_none_or(|affected| affected.contains(capability))
}

/// What only guests that move meet.
fn is_of_moves(finding: &Finding) -> bool {
    let id = finding.rule.id;
    ["move-changes", "restored-changes"].contains(&id) || id.starts_with("item-")
}

struct Pair<'a> {
    texts: [&'a str; 2],
    views: [&'a View; 2],
    comparison: Comparison,
    seed: u64,
}

impl Pair<'_> {
    fn fail(&self, what: &str, lived: &[Step], difference: Option<&Difference>) -> ! {
        let steps = |steps: &[Step]| {
            let steps = steps.iter().map(ToString::to_string);
            steps.collect::<Vec<_>>().join("; ")
        };
        let after = difference.map(|difference| {
            let Difference { msr, answers, .. } = difference;
            format!("{}: {answers:?} at {msr:#x}", steps(&difference.lived))
        });
        let findings = self.comparison.findings.iter().map(|finding| {
            let Finding { rule, about, .. } = finding;
            format!("{} {:x?}: {}", rule.id, about.msrs, finding.text)
        });
        panic!(
            "seed {}: {what}\nbefore: {}\nafter: {}\n{:#?}\n{}\n{}",
            self.seed,
            steps(lived),
            after.unwrap_or_default(),
            findings.collect::<Vec<_>>(),
            self.texts[0],
            self.texts[1]
        )
    }

    /// The guest on both sides, with a way to convert its records.
    fn moved<E>(
        &self,
        guest: &Machine,
        convert: impl Fn(&[u8]) -> Result<Vec<u8>, E>,
    ) -> Result<[Machine<'_>; 2], E> {
        let mut pair = self.views.map(Machine::new);
        let shared = guest.view().is_shared().then(|| guest.save_guest());
        for record in std::iter::once(guest.save()).chain(shared) {
            let converted = convert(&record)?;
            pair[0].restore_either(&record).expect("its own record");
            pair[1].restore_either(&converted).expect("a converted one");
        }
        Ok(pair)
    }

    /// One guest, twice: what was said, and what becomes of it.
    fn lives(&self, numbers: &mut Numbers, capability: u64, met: &mut [usize; 5]) {
        let mut guest = Machine::new(self.views[0]);
        guest.set_capability(capability);
        let steps = [0, 2, 5, 12][numbers.below(4)];
        let lived: Vec<Step> = (0..steps).map(|_| step(numbers)).collect();
        lived
            .iter()
            .for_each(|step| drop(execute(&mut guest, step)));
        let reasons = match &self.comparison.verdicts[0] {
            Verdict::Safe => unreachable!("the interface has another name"),
            Verdict::Refused(_) | Verdict::Undecided(_) => return,
            Verdict::Conditional(reasons) => reasons,
        };
        let holds = |reason: &Reason| {
            let condition = reason.condition.as_ref()?;
            match condition.demand {
                Demand::Converted => Some(true),
                _ => condition.holds(&guest),
            }
        };
        let [old, new] = self.views;
        let lossy = self.moved(&guest, |record| {
            convert_what_can_be(old, new, record).map(|converted| converted.record)
        });
        let lossless = self.moved(&guest, |record| convert(old, new, record));
        let gains = self.comparison.findings.iter().any(|finding| {
            let condition = finding.conditions[0].as_ref();
            GAINS.contains(&finding.rule.id) && condition.is_none_or(|one| one.is_about(&guest))
        });
        let bound = reasons.iter().any(|one| holds(one) != Some(true));
        // What it gains without having asked for it is another answer, too.
        if let (Err(why), false) = (&lossless, bound || gains) {
            self.fail(&format!("kept out: {why:?}"), &lived, None);
        }
        let kept_out = reasons.iter().any(|one| holds(one) == Some(false));
        if lossy.is_err() != kept_out {
            self.fail(&format!("{:?}: {reasons:#?}", lossy.err()), &lived, None);
        }
        let Ok(mut lossy) = lossy else {
            met[0] += 1;
            return;
        };
        let told = |difference: &Difference| -> Vec<&Finding> {
            let open = reasons.iter().filter(|one| holds(one) != Some(true));
            let open: Vec<_> = open.map(|one| one.fingerprint).collect();
            let findings = self.comparison.findings.iter();
            let own = findings.filter(|finding| tells(finding, difference, capability));
            own.filter(|one| open.contains(&one.fingerprint()) || GAINS.contains(&one.rule.id))
                .collect()
        };
        let refused = |difference: &Difference| {
            matches!(difference.answers[0], Answer::Fault | Answer::Unlisted)
        };
        met[1] += 1;
        if let Some(difference) = walk(&mut lossy, numbers).filter(|one| !refused(one)) {
            met[2] += 1;
            if told(&difference).is_empty() {
                self.fail("no condition tells it", &lived, Some(&difference));
            }
        }
        let Ok(mut lossless) = lossless else { return };
        met[3] += 1;
        if let Some(difference) = walk(&mut lossless, numbers).filter(|one| !refused(one)) {
            met[4] += 1;
            // What guests that are born there meet too is no state that was lost.
            let mut told = told(&difference).into_iter();
            if !told.any(|finding| !is_of_moves(finding)) {
                self.fail("taken away unseen", &lived, Some(&difference));
            }
        }
    }
}

/// Two interfaces that say much the same, each bit in whichever way, with up to two changes more.
fn one_pair(seed: u64, met: &mut [usize; 5]) {
    let mut numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let (texts, models) = loop {
        let old: Choices = std::array::from_fn(|_| numbers.below(240));
        let mut new = old;
        // Each of the first four ways to keep a bit is written like the next one.
        for encoding in new[3..].iter_mut().step_by(OWN) {
            let turn = *encoding % 8 < 4 && numbers.below(3) > 0;
            *encoding ^= usize::from(turn);
        }
        for _ in 0..numbers.below(3) {
            new[numbers.below(CHOICES)] = numbers.below(240);
        }
        let texts = [spec(0, &old), spec(1, &new)];
        let models = texts.each_ref().map(|text| compile_text(text).model);
        if let [Some(old), Some(new)] = models {
            break (texts, [old, new]);
        }
    };
    let views = models.each_ref().map(|model| model.newest());
    let sides = [0, 1].map(|at| Side::of_spec(views[at].name.as_str(), "t", &texts[at], views[at]));
    let pair = Pair {
        comparison: compare(&sides[0], &sides[1]),
        texts: texts.each_ref().map(String::as_str),
        views,
        seed,
    };
    for capability in [0x200, 0x300, 0x100, 0] {
        let has = Machine::new(views[0]).promise(capability).is_ok();
        if has || views[0].capability.is_none() && capability == 0 {
            for _ in 0..20 {
                pair.lives(&mut numbers, capability, met);
            }
        }
    }
}

#[test]
fn what_converted_guests_meet_is_what_was_said() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let first = number("SEED").unwrap_or(1);
    let mut met = [0; 5];
    for seed in first..first + number("PAIRS").unwrap_or(60) {
        one_pair(seed, &mut met);
    }
    println!("{met:?}");
    let [refused, taken, differ, lossless, differ_then] = met;
    assert!(
        refused > 20 && taken > 500 && differ > 100 && lossless > 300 && differ_then > 20,
        "{met:?}"
    );
}

/// An interface of a register L that says whether there is a register R.
fn gated(name: &str, gate: &str, r: &str) -> String {
    format!(
        "interface! {{ interface {name} {{ vendor any; version 1 \"t\"; }}
         register L @ 0x10 {{ cite \"t\"; reset 1; write store; reserved fault_if_set; migrate saved 1; [0] X: bool; }}
         register R @ 0x11 {{ cite \"t\"; {gate} {r} }} }}"
    )
}

/// A bit that guests can clear, and the same one kept turned round.
const STRAIGHT: &str = "reset 1; write one_clears; reserved ignore; migrate saved 2; [0] X: bool;";
const TURNED: &str =
    "read 1 if !X else 0; write one_sets; reserved ignore; migrate saved 2; [0] X: bool;";
const GATE: &str = "when L.X else fault;";

/// Two specs, in files.
struct Files {
    _folder: tempfile::TempDir,
    old: String,
    new: String,
}

impl Files {
    fn new(old: &str, new: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let [old, new] = [("old.msr", old), ("new.msr", new)].map(|(name, text)| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("a file");
            path.display().to_string()
        });
        Self {
            _folder: folder,
            old,
            new,
        }
    }

    /// The record of a guest that did something.
    fn record(&self, lived: &str) -> String {
        let output = common::msr(&["sim", &self.old], &format!("{lived}save\n"));
        let text = String::from_utf8(output.stdout).expect("text");
        text.lines().last().expect("a record").to_owned()
    }

    /// What `record convert` says, or prints, and its status.
    fn converted(&self, record: &str) -> (String, i32) {
        let output = common::msr(&["record", "convert", &self.old, record, &self.new], "");
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).expect("text");
        (text, output.status.code().unwrap_or(-1))
    }

    /// The last answer of a guest of the new side with a converted record.
    fn goes_on(&self, record: &str, then: &str) -> String {
        let lines = format!("restore {record}\n{then}");
        let output = common::msr(&["sim", &self.new, "--from", &self.old], &lines);
        let text = String::from_utf8(output.stdout).expect("text");
        text.lines().last().expect("an answer").to_owned()
    }
}

/// One meaning and two encodings: the conversion turns the bit round, whether the guest could read it or not, both ways.
#[test]
fn a_bit_that_is_kept_turned_round_is_converted() {
    for gate in ["", GATE] {
        for [from, to] in [[STRAIGHT, TURNED], [TURNED, STRAIGHT]] {
            let (old, new) = (gated("one", gate, from), gated("two", gate, to));
            let (text, _) = specs::diff(&old, &new, &[]);
            has(&text, "1 finding, 1 breaking");
            has(&text, "goes on if its record is converted\n");
            let files = Files::new(&old, &new);
            for (lived, reads) in [("", 1), ("wrmsr 11 1\n", 0)] {
                let record = files.record(&format!("{lived}wrmsr 10 0\n"));
                let (text, status) = files.converted(&record);
                assert_eq!(status, 0, "{text}");
                let read = files.goes_on(&record, "wrmsr 10 1\nrdmsr 11\n");
                assert_eq!(read, format!("{reads:#018x}"));
            }
        }
    }
}

/// What cannot be converted is a condition, with a witness; and it is not taken away because nobody could read it then.
#[test]
fn state_without_a_place_that_no_read_shows_is_not_dropped_unsaid() {
    let r = "write store; migrate";
    let closed = |name: &str, migrate: &str| {
        gated(name, GATE, &format!("{r} {migrate};")).replace("reset 1;", "")
    };
    let (old, new) = (closed("one", "saved 2"), closed("two", "transient \"t\""));
    let (text, _) = specs::diff(&old, &new, &[]);
    has(&text, "  move-changes  R 0x11  [");
    has(&text, "# old: no option; new: --from ");
    has(
        &text,
        "  move-changes: it does not rely on bits 63:0 of 0x11\n",
    );
    let files = Files::new(&old, &new);
    let record = files.record("wrmsr 10 1\nwrmsr 11 5\nwrmsr 10 0\n");
    let lost = "R (0x11) reads 0x0000000000000005 after wrmsr 0x10 0x1, there 0x0000000000000000\n";
    assert_eq!(files.converted(&record), (lost.to_owned(), 1));
    // Of a guest that has nothing there nothing is lost.
    assert_eq!(files.converted(&files.record("")).1, 0);
}

/// Nor where it is another record that says whether it is there.
#[test]
fn state_behind_what_vcpus_share_is_not_dropped_unsaid() {
    let shared = |name: &str, migrate: &str| {
        gated(name, GATE, &format!("write store; migrate {migrate};"))
            .replace("reset 1;", "scope guest;")
    };
    let (old, new) = (shared("one", "saved 2"), shared("two", "transient \"t\""));
    let files = Files::new(&old, &new);
    let record = files.record("wrmsr 10 1\nwrmsr 11 5\n");
    assert_eq!(
        files.converted(&record),
        ("R (0x11) holds 0x5, there 0x0\n".to_owned(), 1)
    );
    assert_eq!(files.converted(&files.record("wrmsr 10 1\n")).1, 0);
    let files = Files::new(&old, &shared("two", "saved 7"));
    assert_eq!(files.converted(&record).1, 0);
}

/// Nor where the capability word does, which the record of shared state does not have.
#[test]
fn shared_state_behind_a_capability_is_not_dropped_unsaid() {
    let side = |name: &str, migrate: &str| {
        format!(
            "interface! {{ interface {name} {{ vendor any; version 1 \"t\"; capability CAP; }}
             feature FF {{ bit CAP.F; offered; }}
             register CAP @ 0x179 {{ cite \"t\"; reset 2; write ignore; migrate saved 100; restore accepts F | [1]; [8] F: bool; }}
             register L @ 0x11 {{ cite \"t\"; scope guest; write store; migrate saved 3; }}
             register T @ 0x10 {{ cite \"t\"; scope guest; when CAP.F else fault; write store; migrate {migrate}; }} }}"
        )
    };
    let files = Files::new(&side("one", "saved 1"), &side("two", "transient \"t\""));
    let lines = "wrmsr 10 1\nsave guest\n";
    let output = common::msr(&["sim", &files.old, "--cap", "0x102"], lines);
    let text = String::from_utf8(output.stdout).expect("text");
    let record = text.lines().last().expect("a record");
    assert_eq!(
        files.converted(record),
        ("T (0x10) holds 0x1, there 0x0\n".to_owned(), 1)
    );
}

/// What a read leaves out now is shown later.
#[test]
fn state_that_a_read_leaves_out_is_not_dropped_unsaid() {
    let side = |name: &str, migrate: &str| {
        gated(
            name,
            "",
            &format!("read state if L.X else 0; write store; migrate {migrate};"),
        )
        .replace("reset 1;", "")
    };
    let files = Files::new(&side("one", "saved 2"), &side("two", "transient \"t\""));
    let record = files.record("wrmsr 11 5\n");
    let lost = "R (0x11) reads 0x0000000000000005 after wrmsr 0x10 0x1, there 0x0000000000000000\n";
    assert_eq!(files.converted(&record), (lost.to_owned(), 1));
    assert_eq!(files.converted(&files.record("")).1, 0);
}

/// The default guest goes on by its record alone only if nothing of that is lost.
#[test]
fn what_the_default_guest_loses_is_said() {
    let old = gated("one", "", "reset 5; write store; migrate saved 2;");
    let new = gated(
        "two",
        "",
        "reset 1; write store; reserved fault_if_set; migrate saved 2; [0] A: bool;",
    );
    let (text, _) = specs::diff(&old, &new, &[]);
    let why = "  a guest as created by default: refused (";
    has(&text, why);
    let new = gated("two", "", "reset 4; write store; migrate transient \"t\";");
    let (text, _) = specs::diff(&old, &new, &["--json"]);
    let why = "its record is converted with --lossy and it does not rely on this: R (0x11) reads 0x0000000000000005, there 0x0000000000000004";
    has(&text, why);
}
