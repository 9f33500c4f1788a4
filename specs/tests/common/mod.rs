//! Generated code and reference interpreter side by side.
#![allow(
    dead_code,
    reason = "each test that includes this module uses a part of it"
)]

use msr_dsl::interpret::{Answer, Machine};
use msr_dsl::model::Model;
use msr_dsl::source::compile_text;
use msr_runtime::{Interface, Refusal, Reset};
use std::fmt::Debug;

/// The model of a shipped spec.
pub fn model(name: &str) -> Model {
    let path = format!("{}/{name}.msr", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    compile_text(&text)
        .model
        .unwrap_or_else(|| panic!("{path} has mistakes"))
}

/// What an access did, in the interpreter's words.
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

/// One vCPU, twice.
#[derive(Clone)]
pub struct Pair<'a, S> {
    pub generated: S,
    pub reference: Machine<'a>,
}

impl<'a, S: Interface + Clone> Pair<'a, S>
where
    S::Hook: Debug,
{
    pub fn new(model: &'a Model) -> Self {
        let view = model
            .version(S::VERSION)
            .expect("the version is in the spec");
        Self {
            generated: S::create(),
            reference: Machine::new(view),
        }
    }

    pub fn with_capability(mut self, word: u64) -> Self {
        self.generated.set_capability_word(word);
        self.reference.set_capability(word);
        self
    }

    /// RDMSR on both; they must agree.
    #[track_caller]
    pub fn read(&self, msr: u32) -> Answer {
        let generated = answer(self.generated.read(msr), Answer::Value);
        let reference = self.reference.read(msr);
        assert_eq!(
            generated,
            reference,
            "rdmsr {msr:#x} of {} {}",
            S::NAME,
            S::VERSION
        );
        generated
    }

    /// WRMSR on both; they must agree.
    #[track_caller]
    pub fn write(&mut self, msr: u32, value: u64) -> Answer {
        let generated = answer(self.generated.write(msr, value), |()| Answer::Ok);
        let reference = self.reference.write(msr, value);
        assert_eq!(
            generated,
            reference,
            "wrmsr {msr:#x} {value:#x} of {} {}",
            S::NAME,
            S::VERSION
        );
        generated
    }

    pub fn reset(&mut self, reset: Reset) {
        self.generated.reset(reset);
        self.reference.reset(reset);
    }

    /// Every MSR of the interface reads the same.
    #[track_caller]
    pub fn same(&self, msrs: &[u32]) {
        for msr in msrs {
            self.read(*msr);
        }
    }
}

/// Every MSR that any version of the spec lists, its neighbours, and a few far away.
pub fn msrs(model: &Model) -> Vec<u32> {
    let mut all = vec![
        0,
        1,
        2,
        0xff,
        0x1fff,
        0x2000,
        0x4000_0000,
        0x7fff_ffff,
        0xc000_0000,
        0xc001_0015,
        u32::MAX,
    ];
    for register in model.views.iter().flat_map(|view| &view.registers) {
        for (msr, _) in register.addresses.iter().flat_map(|address| address.msrs()) {
            all.extend([
                msr.wrapping_sub(1),
                msr,
                msr.wrapping_add(1),
                msr ^ 0x2000,
                msr ^ 0x4000_0000,
            ]);
        }
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// Values at which rules turn.
pub fn values() -> Vec<u64> {
    let mut all = vec![
        0,
        u64::MAX,
        0x5555_5555_5555_5555,
        0xaaaa_aaaa_aaaa_aaaa,
        0xffff_ffff,
    ];
    for bit in 0..64 {
        all.extend([
            1 << bit,
            !(1 << bit),
            (1u64 << bit).wrapping_sub(1),
            !((1 << bit) | 1),
            !((1 << bit) | 1 << 10),
        ]);
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// Capability words that a restore takes: counts at which things turn, with none, each, all but each and all of the accepted bits above.
pub fn capabilities(model: &Model, version: u16) -> Vec<u64> {
    let view = model.version(version).expect("the version is in the spec");
    let Some(id) = view.capability else {
        return vec![0];
    };
    let register = view.register(id);
    let flags = register.accepts & !0xff;
    let mut words = vec![0, flags];
    for bit in (8..64)
        .map(|bit| 1u64 << bit)
        .filter(|bit| flags & bit != 0)
    {
        words.extend([bit, flags & !bit]);
    }
    let counts = [0, 1, 2, 3, 4, 10, 31, 32, 33, 255].into_iter();
    let all = counts.flat_map(|count| words.iter().map(move |word| word | count));
    let mut all: Vec<u64> = all
        .filter(|word| Machine::new(view).promise(*word).is_ok())
        .collect();
    all.push(register.reset);
    all
}

/// Those of the listed MSRs that are worth a look after every write: single registers, and banks 0, 1, 2 and the last.
pub fn watched(model: &Model, version: u16) -> Vec<u32> {
    let view = model.version(version).expect("the version is in the spec");
    let addresses = view
        .registers
        .iter()
        .flat_map(|register| &register.addresses);
    let near = |index: u32, count: u32| index < 3 || index + 1 == count;
    addresses
        .flat_map(|a| {
            a.msrs()
                .filter(move |(_, index)| near(*index, a.count))
                .map(|(msr, _)| msr)
        })
        .collect()
}

/// Runs `$check::<State>(model)` for every version of every shipped spec.
#[macro_export]
macro_rules! every_version {
    ($check:ident) => {
        let vmce = $crate::common::model("vmce");
        $check::<specs::vmce::v2::State>(&vmce);
        $check::<specs::vmce::v3::State>(&vmce);
        $check::<specs::vmce::v4::State>(&vmce);
        $check::<specs::vmce_amd::v2::State>(&$crate::common::model("vmce-amd"));
        $check::<specs::kvm::v1::State>(&$crate::common::model("kvm"));
        $check::<specs::sdm::v1::State>(&$crate::common::model("sdm"));
        let platform = $crate::common::model("platform");
        $check::<specs::platform::v1::State>(&platform);
    };
}
