//! State that a guest's vCPUs share: generated code and reference interpreter agree on accesses by several vCPUs, on both kinds of
//! records, and on bytes that are none.

use msr_dsl::interpret::{Answer, Machine};
use msr_dsl::model::{Model, View};
use msr_dsl::source::compile_text;
use msr_runtime::record::{HEADER, crc32c};
use msr_runtime::{RecordError, Refusal, Reset, SharedInterface, SharedState};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::fmt::Debug;

mod hyperv {
    use msr_dsl_macros::interface;
    include!("shared/hyperv.msr");
}
mod domain {
    use msr_dsl_macros::interface;
    include!("shared/domain.msr");
}

const HYPERV: &str = include_str!("shared/hyperv.msr");
const DOMAIN: &str = include_str!("shared/domain.msr");
const VCPUS: usize = 3;

fn model(text: &str) -> Model {
    compile_text(text).model.expect("a spec without mistakes")
}

fn answer<T, H: Debug>(result: Result<T, Refusal<H>>, ok: impl Fn(T) -> Answer) -> Answer {
    match result {
        Ok(value) => ok(value),
        Err(Refusal::Fault) => Answer::Fault,
        Err(Refusal::Unlisted) => Answer::Unlisted,
        Err(Refusal::Pass) => Answer::Pass,
        Err(Refusal::Hook(hook)) => {
            let text = format!("{hook:?}");
            Answer::Hook(text.split(' ').next().unwrap_or("").to_owned())
        }
    }
}

/// A guest with some vCPUs, twice.
struct Pair<'m, S: SharedInterface> {
    vcpus: Vec<S>,
    shared: S::Guest,
    reference: Machine<'m>,
}

impl<'m, S> Pair<'m, S>
where
    S: SharedInterface<Hook: Debug> + PartialEq + Debug,
    S::Guest: PartialEq + Debug + Clone,
{
    fn new(view: &'m View, word: u64) -> Self {
        let vcpus = (0..VCPUS).map(|_| {
            let mut vcpu = S::create();
            vcpu.set_capability_word(word);
            vcpu
        });
        let mut reference = Machine::new(view);
        reference.set_capability(word);
        Self {
            vcpus: vcpus.collect(),
            shared: S::Guest::create(),
            reference,
        }
    }

    fn read(&mut self, vcpu: usize, msr: u32) {
        self.reference.switch_to(vcpu as u32);
        let generated = answer(self.vcpus[vcpu].read(&self.shared, msr), Answer::Value);
        assert_eq!(
            generated,
            self.reference.read(msr),
            "vcpu {vcpu}: rdmsr {msr:#x}"
        );
    }

    fn write(&mut self, vcpu: usize, msr: u32, value: u64) {
        self.reference.switch_to(vcpu as u32);
        let written = self.vcpus[vcpu].write(&mut self.shared, msr, value);
        let (own, reference) = (
            answer(written, |()| Answer::Ok),
            self.reference.write(msr, value),
        );
        assert_eq!(own, reference, "vcpu {vcpu}: wrmsr {msr:#x} {value:#x}");
    }

    fn init(&mut self, vcpu: usize) {
        self.reference.switch_to(vcpu as u32);
        self.reference.reset(Reset::Init);
        self.vcpus[vcpu].reset(&mut self.shared, Reset::Init);
    }

    fn power_on(&mut self) {
        self.reference.reset(Reset::PowerOn);
        self.shared = S::Guest::create();
        for vcpu in &mut self.vcpus {
            vcpu.reset(&mut self.shared, Reset::PowerOn);
        }
    }

    /// Both write the same records, and each becomes what its own says.
    fn move_away(&mut self, vcpu: usize) {
        self.reference.switch_to(vcpu as u32);
        let (own, shared) = (saved(&self.vcpus[vcpu]), saved_shared(&self.shared));
        assert_eq!(own, self.reference.save(), "record of vcpu {vcpu}");
        assert_eq!(shared, self.reference.save_guest(), "record of the guest");
        self.restore(vcpu, &own);
        self.restore_shared(&shared);
    }

    fn restore(&mut self, vcpu: usize, record: &[u8]) {
        self.reference.switch_to(vcpu as u32);
        let (own, reference) = (S::restore(record, crc32c), self.reference.restore(record));
        assert_eq!(told(&own), reference);
        if let Ok(own) = own {
            self.vcpus[vcpu] = own;
        }
    }

    fn restore_shared(&mut self, record: &[u8]) {
        let own = S::Guest::restore(record, crc32c);
        assert_eq!(told(&own), self.reference.restore_guest(record));
        if let Ok(own) = own {
            self.shared = own;
        }
    }

    /// Every vCPU sees the same on both sides.
    fn same(&mut self, msrs: &[u32]) {
        for vcpu in 0..VCPUS {
            msrs.iter().for_each(|msr| self.read(vcpu, *msr));
        }
    }
}

fn told<T>(result: &Result<T, RecordError>) -> Result<(), String> {
    result.as_ref().map(|_| ()).map_err(ToString::to_string)
}

fn saved<S: SharedInterface>(state: &S) -> Vec<u8> {
    let mut record = vec![0; S::RECORD_LENGTH];
    state.save(&mut record, crc32c).expect("space");
    record
}

fn saved_shared<G: SharedState>(shared: &G) -> Vec<u8> {
    let mut record = vec![0; G::RECORD_LENGTH];
    shared.save(&mut record, crc32c).expect("space");
    record
}

fn msrs(view: &View) -> Vec<u32> {
    let addresses = view.registers.iter().flat_map(|one| &one.addresses);
    let listed = addresses.flat_map(|address| address.msrs());
    listed.map(|(msr, _)| msr).chain([0, 0x1fff]).collect()
}

fn values() -> Vec<u64> {
    let bits = (0..64).map(|bit| 1u64 << bit);
    let edges = [
        0,
        u64::MAX,
        3,
        5,
        0x1001,
        0xff00,
        0xffff,
        0x5555_5555_5555_5555,
    ];
    bits.clone()
        .chain(bits.map(|bit| !bit))
        .chain(edges)
        .collect()
}

/// Every value at which a rule may turn, written by one vCPU and looked at from all.
fn each_write<S>(model: &Model, words: &[u64])
where
    S: SharedInterface<Hook: Debug> + PartialEq + Debug,
    S::Guest: PartialEq + Debug + Clone,
{
    let view = model.version(S::VERSION).expect("the version");
    let msrs = msrs(view);
    for word in words {
        for msr in &msrs {
            let mut pair = Pair::<S>::new(view, *word);
            for (at, value) in values().into_iter().enumerate() {
                pair.write(at % VCPUS, *msr, value);
                pair.same(&msrs);
            }
            pair.init(1);
            pair.same(&msrs);
            pair.move_away(0);
            pair.same(&msrs);
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Read(usize),
    Write(usize, u64),
    Init,
    PowerOn,
    Move,
}

/// Random traces of several vCPUs.
fn traces<S>(model: &Model, words: &[u64])
where
    S: SharedInterface<Hook: Debug> + PartialEq + Debug,
    S::Guest: PartialEq + Debug + Clone,
{
    let view = model.version(S::VERSION).expect("the version");
    let (msrs, known) = (msrs(view), values());
    let count = msrs.len();
    let value = prop_oneof![3 => prop::sample::select(known), 1 => any::<u64>(), 2 => 0u64..16];
    let step = prop_oneof![
        4 => (0..count).prop_map(Step::Read),
        9 => (0..count, value).prop_map(|(msr, value)| Step::Write(msr, value)),
        1 => Just(Step::Init),
        1 => Just(Step::PowerOn),
        1 => Just(Step::Move),
    ];
    let steps = prop::collection::vec((0..VCPUS, step), 1..50);
    let mut runner = TestRunner::new(Config {
        cases: 300,
        failure_persistence: None,
        ..Config::default()
    });
    let run = runner.run(&(0..words.len(), steps), |(word, steps)| {
        let mut pair = Pair::<S>::new(view, words[word]);
        for (vcpu, step) in steps {
            match step {
                Step::Read(msr) => pair.read(vcpu, msrs[msr]),
                Step::Write(msr, value) => pair.write(vcpu, msrs[msr], value),
                Step::Init => pair.init(vcpu),
                Step::PowerOn => {
                    pair.power_on();
                    // The capability word outlives it; the interpreter looks on from the vCPU that it looked from.
                    pair.same(&msrs);
                }
                Step::Move => pair.move_away(vcpu),
            }
        }
        pair.same(&msrs);
        Ok(())
    });
    run.unwrap_or_else(|error| panic!("{error}"));
}

/// Records with a bit turned, cut, of the other kind, or put together anew: both sides take or refuse them alike, and what is refused
/// changes nothing.
fn hostile<S>(model: &Model)
where
    S: SharedInterface<Hook: Debug> + PartialEq + Debug,
    S::Guest: PartialEq + Debug + Clone,
{
    let view = model.version(S::VERSION).expect("the version");
    let msrs = msrs(view);
    let mut pair = Pair::<S>::new(view, S::create().capability_word());
    let (own, shared) = (saved(&pair.vcpus[0]), saved_shared(&pair.shared));
    let mut records = vec![own.clone(), shared.clone(), Vec::new()];
    for good in [&own, &shared] {
        for bit in 0..good.len() * 8 {
            let mut turned = good.clone();
            turned[bit / 8] ^= 1 << (bit % 8);
            records.push(turned.clone());
            records.push(sealed(turned));
        }
        for length in 0..good.len() {
            records.push(good[..length].to_vec());
            records.push(sealed(good[..length].to_vec()));
        }
        let mut twice = good.clone();
        twice.extend_from_slice(&good[HEADER..]);
        records.push(sealed(twice));
    }
    let mut both = shared.clone();
    both.extend_from_slice(&own[HEADER..]);
    records.push(sealed(both));
    for record in records {
        pair.restore(1, &record);
        pair.restore_shared(&record);
    }
    pair.same(&msrs);
}

/// A record with its own length and checksum.
fn sealed(mut record: Vec<u8>) -> Vec<u8> {
    if record.len() >= HEADER {
        let length = (record.len() as u16).to_le_bytes();
        record[14..16].copy_from_slice(&length);
        let crc = crc32c(crc32c(0, &record[..16]), &record[HEADER..]);
        record[16..HEADER].copy_from_slice(&crc.to_le_bytes());
    }
    record
}

const WORDS: [u64; 6] = [4, 0, 1, 0x104, 0x103, 0x106];

#[test]
fn every_write_is_seen_alike_from_every_vcpu() {
    each_write::<hyperv::v1::State>(&model(HYPERV), &[0]);
    each_write::<domain::v1::State>(&model(DOMAIN), &[4, 1]);
    each_write::<domain::v2::State>(&model(DOMAIN), &[4, 0x103]);
}

#[test]
fn random_traces_of_three_vcpus_agree() {
    traces::<hyperv::v1::State>(&model(HYPERV), &[0]);
    traces::<domain::v1::State>(&model(DOMAIN), &WORDS);
    traces::<domain::v2::State>(&model(DOMAIN), &WORDS);
}

#[test]
fn hostile_records_of_both_kinds_are_answered_alike() {
    hostile::<hyperv::v1::State>(&model(HYPERV));
    hostile::<domain::v1::State>(&model(DOMAIN));
    hostile::<domain::v2::State>(&model(DOMAIN));
}

#[test]
fn a_write_by_one_vcpu_is_read_by_another() {
    use hyperv::v1::{Guest, State};
    let (mut guest, mut first, mut second) = (Guest::create(), State::create(), State::create());
    let at = |msr: u32| 0x4000_0000 + msr;
    assert_eq!(
        first.write(&mut guest, at(1), 0x1001),
        Err(Refusal::Fault),
        "no guest has said which it is"
    );
    assert_eq!(first.write(&mut guest, at(0), 0x8100), Ok(()));
    assert_eq!(second.read(&guest, at(0)), Ok(0x8100));
    // Locked by one, locked for all.
    let hook = hyperv::v1::Hook::Hypercall { value: 0x1003 };
    assert_eq!(
        second.write(&mut guest, at(1), 0x1003),
        Err(Refusal::Hook(hook))
    );
    let _ = first.write(&mut guest, at(1), 0);
    assert_eq!(first.read(&guest, at(1)), Ok(0x1003));
    // What is the vCPU's is not.
    assert_eq!(first.write(&mut guest, at(0x73), 0x5001), Ok(()));
    assert_eq!(second.read(&guest, at(0x73)), Ok(0));
    // INIT of a vCPU is not the guest's.
    first.reset(&mut guest, Reset::Init);
    assert_eq!(first.read(&guest, at(0)), Ok(0x8100));
    first.reset(&mut guest, Reset::PowerOn);
    assert_eq!(
        second.read(&guest, at(0)),
        Ok(0x8100),
        "power-on of one vCPU"
    );
}

#[test]
fn each_kind_of_record_is_refused_as_the_other() {
    use hyperv::v1::{Guest, State};
    let (own, shared) = (saved(&State::create()), saved_shared(&Guest::create()));
    let refused = State::restore(&shared, crc32c).expect_err("a guest's record for a vCPU's");
    assert_eq!(refused, RecordError::UnknownItem(0));
    assert_eq!(
        refused.to_string(),
        "item 0: the record is of what a guest's vCPUs share, not of a vCPU"
    );
    assert_eq!(Guest::restore(&own, crc32c), Err(RecordError::NotOfGuest));
    // An administrator cannot name the item away.
    assert!(msr_runtime::Extra::parse("tag:0").is_err());
}

#[test]
fn what_is_held_is_the_guests_or_the_vcpus() {
    use domain::v2::{Guest, GuestHeld, State};
    let (mut guest, vcpu) = (Guest::create(), State::create());
    assert!(guest.hold(GuestHeld::Clock, 0x1234));
    assert_eq!(vcpu.read(&guest, 0x508), Ok(0x1234));
    let mut reference = model(DOMAIN);
    reference.views.remove(0);
    let mut machine = Machine::new(&reference.views[0]);
    machine.switch_to(2);
    assert!(machine.hold("CLOCK", 0x1234));
    machine.switch_to(0);
    assert_eq!(machine.read(0x508), Answer::Value(0x1234));
    assert_eq!(saved_shared(&guest), machine.save_guest());
    // Its rules count for what is held as for what a restore takes.
    assert!(!guest.hold(GuestHeld::Clock, 0x10000));
    assert!(!machine.hold("CLOCK", 0x10000));
    assert_eq!(guest.held(GuestHeld::Clock), 0x1234);
    let mut bytes = saved_shared(&guest);
    let at = bytes.windows(2).rposition(|two| two == [0x34, 0x12]);
    bytes[at.expect("the clock's word") + 2] = 1;
    let bytes = sealed(bytes);
    let refused = Guest::restore(&bytes, crc32c);
    assert!(matches!(
        refused,
        Err(RecordError::Illegal {
            register: "CLOCK",
            ..
        })
    ));
}
