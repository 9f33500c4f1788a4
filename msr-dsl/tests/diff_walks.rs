//! What a comparison says about guests, against guests that live: random interfaces with banks, locks, a machine check and state
//! that vCPUs share, and on both sides the same random accesses. Whatever differs must have a finding whose guests these are and whose
//! bits differ; and a guest of which every condition holds must be taken, and must never notice.

#[path = "common/numbers.rs"]
mod numbers;

use msr_dsl::compare::finding::Finding;
use msr_dsl::compare::side::Side;
use msr_dsl::compare::steps::{Injected, Step, execute};
use msr_dsl::compare::verdict::{Reason, Verdict};
use msr_dsl::compare::{Comparison, compare};
use msr_dsl::interpret::{Answer, Machine};
use msr_dsl::model::View;
use msr_dsl::source::compile_text;
use numbers::Numbers;

/// One of several.
fn one_of<T: Copy>(numbers: &mut Numbers, all: &[T]) -> T {
    all[numbers.below(all.len())]
}

/// A register of a bank each, one of each vCPU, one that may be the guest's, and the rest of the interface.
const REGISTERS: usize = 3;
/// Choices of a register, and of the interface.
const OWN: usize = 12;
const CHOICES: usize = 10 + REGISTERS * OWN;

type Choices = [usize; CHOICES];

/// Values of a register's last choice: a bit that guests can clear, and the same one kept turned round.
const STRAIGHT: usize = 1;
const TURNED: usize = 2;

/// What a guest gains without having asked for it, so that it reads otherwise.
const GAINS: [&str; 4] = [
    "register-present",
    "write-kept",
    "injection-sets-more",
    "bank-count-raised",
];

/// A guest that keeps what it writes has written to that MSR.
fn is_gain(finding: &Finding, difference: &Difference) -> bool {
    let wrote =
        |step: &Step| matches!(step, Step::Write { msr, .. } if Some(*msr) == difference.msr);
    let id = finding.rule.id;
    GAINS.contains(&id) && (id != "write-kept" || difference.lived.iter().any(wrote))
}

/// Conditions that rules of a register ask.
const ATOMS: [&str; 12] = [
    "CAP.F",
    "CAP.G",
    "!CAP.F",
    "B[0].X",
    "B[1].X",
    "!B[1].Y",
    "STATUS[1].VAL",
    "GLOBAL.MCIP",
    "CAP.F && B[0].Y",
    "CAP.G || GLOBAL.RIPV",
    "!CAP.G && !B[0].X",
    "CAP.F && CAP.G",
];

fn pick<'t>(choice: usize, of: &[&'t str]) -> &'t str {
    of[choice % of.len()]
}

/// One of [`REGISTERS`]. Those further behind ask those before them.
fn register(at: usize, choices: &[usize]) -> String {
    let (head, scope) = match at {
        0 => ("bank register B @ 0x500 + i", ""),
        1 => ("register S @ 0x10", ""),
        _ => (
            "register T @ 0x11",
            pick(choices[0], &["", "", "scope guest;"]),
        ),
    };
    let asks = |choice: usize| match (at, choice % 16) {
        (2, 12) => "S.X",
        (2, 13) => "!S.Y",
        (_, 14) => "X",
        (_, 15) => "!Y",
        (_, choice) => ATOMS[choice % ATOMS.len()],
    };
    let outside = |choice: usize| ATOMS[choice % ATOMS.len()];
    let rule = |choice: usize, lock: usize| match choice % 10 {
        0 | 1 => "store".to_owned(),
        2 => "ignore".to_owned(),
        3 => "fault_if_set".to_owned(),
        4 => "one_clears".to_owned(),
        5 => "zero_clears".to_owned(),
        6 => "sticky".to_owned(),
        7 => "one_sets".to_owned(),
        _ => format!("locked {}", asks(lock)),
    };
    let (x, y) = (rule(choices[1], choices[2]), rule(choices[3], choices[4]));
    let when = match choices[5] % 12 {
        0 => format!("when {} else fault;", outside(choices[6])),
        1 => format!("when {} else zero;", outside(choices[6])),
        2 => format!("when {} else unlisted;", outside(choices[6])),
        _ => String::new(),
    };
    let legal = match choices[7] % 16 {
        0 => "legal 0, 3 else fault;".to_owned(),
        1 => "legal 0..=2 else ignore;".to_owned(),
        2 => format!("require {} || value == 0 else fault;", outside(choices[6])),
        3 => format!("require {} else ignore;", outside(choices[6])),
        _ => String::new(),
    };
    let reset = pick(choices[8], &["", "", "", "reset 1;", "reset 2;"]);
    let init = pick(choices[9], &["", "", "init reset;"]);
    let tag = at + 1;
    let migrate = match choices[10] % 8 {
        0 => "migrate transient \"t\";".to_owned(),
        1 => format!("migrate saved {tag}; restore accepts X | Y;"),
        2 => format!("migrate saved {tag} default 1;"),
        _ => format!("migrate saved {tag};"),
    };
    let read = match choices[11] % 12 {
        0 => format!("read {}; write ignore;", outside(choices[6])),
        _ => format!("write {y};"),
    };
    // One meaning in two encodings.
    let (reset, x, turned) = match choices[11] % 12 {
        STRAIGHT => ("reset 1;", "one_clears".to_owned(), ""),
        TURNED => (
            "",
            "one_sets".to_owned(),
            "read state & 2 | (1 if !X else 0);",
        ),
        _ => (reset, x, ""),
    };
    format!(
        "{head} {{ cite \"t\"; {scope} {when} {reset} {init} {legal} {turned} write store; reserved fault_if_set; {migrate}
           [0] X: bool {{ write {x}; }} [1] Y: bool {{ {read} }} }}\n"
    )
}

fn spec(choices: &Choices) -> String {
    let (own, registers) = choices.split_at(10);
    let stored = pick(own[0], &["2", "2", "2", "1", "3"]);
    let beyond = pick(own[1], &["fault", "fault", "zero"]);
    let limit = pick(own[2], &["3", "3", "4"]);
    let bank = pick(own[3], &["1", "1", "0"]);
    let sets = pick(own[4], &["all", "all", "VAL", "VAL | P", "all less P"]);
    let local = pick(own[5], &["", "", "local S.X;"]);
    let alias = pick(own[6], &["STATUS[1]", "STATUS[1]", "ADDR[1]", "STATUS[0]"]);
    let global = pick(own[7], &["saved 90", "saved 90", "transient \"t\""]);
    let counts = pick(own[8], &["1..=3", "1..=3", "0..=2"]);
    let flags = pick(own[9], &["F | G", "F | G", "F", "G"]);
    let count = pick(
        own[2] / 3,
        &["CAP.COUNT", "CAP.COUNT", "2", "2 if CAP.F else CAP.COUNT"],
    );
    let registers: String = registers
        .chunks(OWN)
        .enumerate()
        .map(|(at, choices)| register(at, choices))
        .collect();
    let bits = match local {
        "" => "RIPV | EIPV | MCIP",
        _ => "RIPV | EIPV | MCIP | LOCAL",
    };
    format!(
        "interface! {{ interface t {{ vendor intel; version 1 \"t\"; capability CAP;
           banks {{ count {count}; limit {limit}; stored {stored}; beyond {beyond}; }}
           waive W007 \"t\"; }}
         feature FF {{ bit CAP.F; offered; }}
         feature GG {{ bit CAP.G; default; }}
         register CAP @ 0x179 {{ cite \"t\"; reset 0x202; write ignore; migrate saved 100; restore accepts COUNT | {flags};
           [7:0] COUNT: u8 {{ restore accepts {counts}; }} [8] F: bool; [9] G: bool; }}
         register GLOBAL @ 0x17a {{ cite \"t\"; write store; reserved fault_if_set; migrate {global};
           [0] RIPV: bool; [1] EIPV: bool; [2] MCIP: bool; [3] LOCAL: bool; }}
         bank register STATUS @ 0x401 + 4 * i {{ cite \"t\"; legal zero else fault; write store; reserved ignore; migrate saved 91;
           restore accepts VAL | P; [0] P: bool; [63] VAL: bool; }}
         bank register ADDR @ 0x402 + 4 * i {{ cite \"t\"; write store; migrate saved 92; }}
         bank register MISC @ 0x403 + 4 * i {{ cite \"t\"; legal zero else fault; write store; migrate saved 93; }}
         register ALIAS @ 0x1 {{ cite \"t\"; read {alias}; write ignore; }}
         {registers}
         injection {{ deliver broadcast; bank {bank}; global GLOBAL sets {bits}; status STATUS sets {sets}; address ADDR sets all;
           misc MISC sets all; {local} }} }}"
    )
}

/// Every MSR that one of them may have.
fn msrs() -> Vec<u32> {
    let banks = (0..5).flat_map(|bank| (1..4).map(move |at| 0x400 + 4 * bank + at));
    let fixed = [0x1, 0x10, 0x11, 0x179, 0x17a];
    fixed.into_iter().chain(banks).chain(0x500..0x505).collect()
}

fn step(numbers: &mut Numbers, msrs: &[u32]) -> Step {
    let msr = match numbers.below(4) {
        0 => one_of(numbers, msrs),
        _ => one_of(numbers, &[0x10, 0x11, 0x17a, 0x500, 0x501]),
    };
    match numbers.below(20) {
        0 => Step::Init,
        1 => Step::InitElsewhere,
        2 => Step::Inject(Injected {
            flags: numbers.below(16) as u64,
            error: [
                one_of(numbers, &[0, 1 << 63, 1 << 63 | 1]),
                numbers.below(4) as u64,
                numbers.below(4) as u64,
            ],
        }),
        3 => Step::Deliver,
        4..12 => Step::Read(msr),
        _ => Step::Write {
            msr,
            value: one_of(numbers, &[0, 1, 2, 3, 0, 1, 2, 3, 0x10]),
        },
    }
}

/// An answer that differs: where it is not of an access, no MSR.
struct Difference {
    msr: Option<u32>,
    answers: [Answer; 2],
    lived: Vec<Step>,
}

/// The first difference that some steps and then every read show.
fn walk(
    pair: &mut [Machine; 2],
    numbers: &mut Numbers,
    msrs: &[u32],
    steps: usize,
) -> Option<Difference> {
    let random: Vec<Step> = (0..steps).map(|_| step(numbers, msrs)).collect();
    let reads = msrs.iter().map(|msr| Step::Read(*msr));
    let all: Vec<Step> = random.into_iter().chain(reads).collect();
    for (at, step) in all.iter().enumerate() {
        let lived = || all[..=at].to_vec();
        let (msr, answers) = match *step {
            Step::Read(msr) => (msr, pair.each_ref().map(|one| one.read(msr))),
            Step::Write { msr, value } => (msr, pair.each_mut().map(|one| one.write(msr, value))),
            _ => {
                let said = pair.each_mut().map(|one| execute(one, step));
                if said[0] != said[1] {
                    let (msr, answers) = (None, [Answer::Ok, Answer::Fault]);
                    return Some(Difference {
                        msr,
                        answers,
                        lived: lived(),
                    });
                }
                continue;
            }
        };
        if answers[0] != answers[1] {
            return Some(Difference {
                msr: Some(msr),
                answers,
                lived: lived(),
            });
        }
    }
    None
}

fn is_refusal(answer: &Answer) -> bool {
    matches!(answer, Answer::Fault | Answer::Unlisted)
}

/// A finding is about it: these guests, this MSR, these bits.
fn tells(finding: &Finding, difference: &Difference, capability: u64) -> bool {
    let is_about = match difference.msr {
        Some(msr) => finding.about.msrs.contains(&msr) || is_about_banks(finding),
        None => true,
    };
    let condition = finding.conditions[0].as_ref();
    let affected = condition.and_then(|condition| condition.affected.as_ref());
    is_about && affected.is_none_or(|affected| affected.contains(capability))
}

/// Banks by their numbers, whichever MSRs those are.
fn is_about_banks(finding: &Finding) -> bool {
    ["injection-bank", "bank-count-source"].contains(&finding.rule.id)
}

/// The differing bits, where both answers are values.
fn bits(difference: &Difference) -> u64 {
    match difference.answers {
        [Answer::Value(old), Answer::Value(new)] => old ^ new,
        _ => 0,
    }
}

struct Pair<'a> {
    texts: [&'a str; 2],
    views: [&'a View; 2],
    comparison: Comparison,
    seed: u64,
}

impl Pair<'_> {
    fn fail(&self, what: &str, difference: Option<&Difference>, capability: u64) -> ! {
        let lived = difference.map(|difference| {
            let lived = difference.lived.iter().map(ToString::to_string);
            format!(
                "{}\n{:?} at {:x?}",
                lived.collect::<Vec<_>>().join("\n"),
                difference.answers,
                difference.msr
            )
        });
        let findings = self.comparison.findings.iter().map(|finding| {
            format!(
                "{} {:x?}: {} | {:?}",
                finding.rule.id, finding.about.msrs, finding.text, finding.conditions[0]
            )
        });
        panic!(
            "seed {}: {what}, capability {capability:#x}\n{}\n{:#?}\n{}\n{}",
            self.seed,
            lived.unwrap_or_default(),
            findings.collect::<Vec<_>>(),
            self.texts[0],
            self.texts[1]
        )
    }

    /// A finding by which guests keep more shows a write to the very MSR that is read then.
    fn only_what_is_written_is_kept(&self) {
        let rules = ["write-kept", "write-ignored"];
        let findings = self.comparison.findings.iter();
        for finding in findings.filter(|finding| rules.contains(&finding.rule.id)) {
            let steps = finding
                .witness
                .as_ref()
                .map(|witness| witness.steps.as_slice());
            if !matches!(steps, Some([.., Step::Write { msr, .. }, Step::Read(read)]) if msr == read)
            {
                self.fail(&format!("{finding:#?}"), None, 0);
            }
        }
    }

    /// Whether a side has guests with this capability word.
    fn has(&self, capability: u64) -> [bool; 2] {
        self.views
            .map(|view| Machine::new(view).promise(capability).is_ok())
    }

    /// Born on both sides.
    fn born(&self, numbers: &mut Numbers, msrs: &[u32], capability: u64) -> bool {
        let mut pair = self.views.map(Machine::new);
        pair.iter_mut()
            .for_each(|one| one.set_capability(capability));
        let steps = one_of(numbers, &[0, 3, 8, 14]);
        let Some(difference) = walk(&mut pair, numbers, msrs, steps) else {
            return false;
        };
        let own: Vec<&Finding> = self
            .comparison
            .findings
            .iter()
            .filter(|finding| tells(finding, &difference, capability))
            .collect();
        if own.is_empty() {
            self.fail("no finding", Some(&difference), capability);
        }
        let told = own.iter().fold(0, |all, finding| match finding.about.bits {
            0 => u64::MAX,
            bits => all | bits,
        });
        if bits(&difference) & !told != 0 {
            self.fail("bits that no finding names", Some(&difference), capability);
        }
        true
    }

    /// Born on the old side, and moved to the new one.
    fn moved(&self, numbers: &mut Numbers, msrs: &[u32], capability: u64) -> Moved {
        let verdict = &self.comparison.verdicts[0];
        if matches!(verdict, Verdict::Refused(_) | Verdict::Undecided(_)) {
            return Moved::NotAsked;
        }
        let mut guest = Machine::new(self.views[0]);
        guest.set_capability(capability);
        let steps = one_of(numbers, &[0, 2, 5, 12]);
        let lived: Vec<Step> = (0..steps).map(|_| step(numbers, msrs)).collect();
        for step in &lived {
            execute(&mut guest, step);
        }
        let mut pair = self.views.map(Machine::new);
        let taken: Result<Vec<()>, String> = pair
            .iter_mut()
            .map(|one| {
                one.restore_either(&guest.save())?;
                match guest.view().is_shared() {
                    true => one.restore_either(&guest.save_guest()),
                    false => Ok(()),
                }
            })
            .collect();
        let holds = |reason: &Reason| {
            let condition = reason.condition.as_ref();
            condition.and_then(|condition| condition.holds(&guest))
        };
        let reasons = verdict.reasons();
        if let Err(refused) = taken {
            let foreseen = reasons.iter().any(|reason| holds(reason) == Some(false));
            if !foreseen {
                self.fail(
                    &format!("refused, {refused}: {reasons:#?}"),
                    None,
                    capability,
                );
            }
            return Moved::Refused;
        }
        let steps = one_of(numbers, &[0, 3, 8, 14]);
        let Some(difference) = walk(&mut pair, numbers, msrs, steps) else {
            return Moved::Same;
        };
        if is_refusal(&difference.answers[0]) {
            return Moved::Gained;
        }
        let open = reasons.iter().filter(|reason| holds(reason) != Some(true));
        let foreseen = open.clone().any(|reason| {
            let mut findings = self.comparison.findings.iter();
            findings.any(|finding| {
                finding.fingerprint() == reason.fingerprint
                    && tells(finding, &difference, capability)
            })
        });
        let meant = self.comparison.findings.iter().any(|finding| {
            is_gain(finding, &difference) && tells(finding, &difference, capability)
        });
        if !foreseen && !meant {
            let what = format!(
                "{:?} is not foreseen: {:#?}",
                guest.save(),
                open.collect::<Vec<_>>()
            );
            self.fail(&what, Some(&difference), capability);
        }
        Moved::Differs
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Moved {
    NotAsked,
    Refused,
    Same,
    Gained,
    Differs,
}

/// Two interfaces that differ in a few lines, and a way through each.
fn one_pair(seed: u64, met: &mut [usize; 6]) {
    let mut numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let (texts, models) = loop {
        let mut old: Choices = std::array::from_fn(|_| numbers.below(240));
        let mut new = old;
        for _ in 0..1 + numbers.below(2) {
            new[numbers.below(CHOICES)] = numbers.below(240);
        }
        if numbers.below(3) == 0 {
            let last = 10 + numbers.below(REGISTERS) * OWN + OWN - 1;
            let at = numbers.below(2);
            let ways = [STRAIGHT, TURNED];
            (old[last], new[last]) = (ways[at], ways[1 - at]);
        }
        let texts = [spec(&old), spec(&new)];
        let models = texts.each_ref().map(|text| compile_text(text).model);
        if let ([Some(old), Some(new)], true) = (models, texts[0] != texts[1]) {
            break (texts, [old, new]);
        }
    };
    let views = models.each_ref().map(|model| model.newest());
    let sides = [0, 1].map(|at| Side::of_spec("t", "t", &texts[at], views[at]));
    let comparison = compare(&sides[0], &sides[1]);
    if !comparison.undecided.is_empty() {
        return;
    }
    let texts = texts.each_ref().map(String::as_str);
    let pair = Pair {
        texts,
        views,
        comparison,
        seed,
    };
    pair.only_what_is_written_is_kept();
    let msrs = msrs();
    for capability in [0x202, 0x302, 0x102, 0x2, 0x201, 0x203, 0x303] {
        for _ in 0..20 {
            let has = pair.has(capability);
            if has == [true, true] {
                met[5] += usize::from(pair.born(&mut numbers, &msrs, capability));
            }
            if !has[0] {
                continue;
            }
            met[pair.moved(&mut numbers, &msrs, capability) as usize] += 1;
        }
    }
}

#[test]
fn what_guests_meet_is_what_was_said() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let first = number("SEED").unwrap_or(1);
    let mut met = [0; 6];
    for seed in first..first + number("PAIRS").unwrap_or(40) {
        one_pair(seed, &mut met);
    }
    println!("{met:?}");
    let [_, refused, same, gained, differs, born] = met;
    assert!(
        refused > 50 && same > 500 && gained > 5 && differs > 50 && born > 200,
        "{met:?}"
    );
}
