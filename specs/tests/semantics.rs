//! The machine-check interface, register by register: every MSR that the interface names, in each version, as data, through
//! the generated code and the reference interpreter alike.
mod common;

use common::{Pair, model};
use msr_dsl::interpret::Answer;
use msr_dsl::model::Model;
use msr_runtime::Interface;
use std::fmt::Debug;

const ALL: u64 = u64::MAX;
const GP: Answer = Answer::Fault;
const OK: Answer = Answer::Ok;
const NOT_LISTED: Answer = Answer::Unlisted;
const fn is(value: u64) -> Answer {
    Answer::Value(value)
}

/// What one write does, and what is read afterwards.
struct Line {
    /// The guest's MCG_CAP.
    cap: u64,
    /// From which MSR to which, with which stride.
    msrs: (u32, u32, u32),
    /// Read in a new guest.
    born: Answer,
    /// Value written, answer, value read then.
    writes: &'static [(u64, Answer, Answer)],
}

const PLAIN: u64 = 0x100_0c02;
const LMCE: u64 = 0x900_0c02;

const fn one(msr: u32) -> (u32, u32, u32) {
    (msr, msr, 1)
}

/// Versions 2 and 3 alike.
const BOTH: &[Line] = &[
    // MCG_CAP: ignored.
    Line {
        cap: PLAIN,
        msrs: one(0x179),
        born: is(PLAIN),
        writes: &[(0, OK, is(PLAIN)), (ALL, OK, is(PLAIN))],
    },
    // MCG_STATUS: all 64 bits stored.
    Line {
        cap: PLAIN,
        msrs: one(0x17a),
        born: is(0),
        writes: &[
            (ALL, OK, is(ALL)),
            (5, OK, is(5)),
            (0x8000_0000_0000_0000, OK, is(1 << 63)),
            (0, OK, is(0)),
        ],
    },
    // MCG_CTL: zero, or all ones for a guest from before the redesign.
    Line {
        cap: PLAIN,
        msrs: one(0x17b),
        born: is(0),
        writes: &[(ALL, OK, is(0)), (0, OK, is(0))],
    },
    Line {
        cap: PLAIN | 0x100,
        msrs: one(0x17b),
        born: is(ALL),
        writes: &[(0, OK, is(ALL)), (5, OK, is(ALL))],
    },
    // MCi_CTL below the count: all ones.
    Line {
        cap: PLAIN,
        msrs: (0x400, 0x404, 4),
        born: is(ALL),
        writes: &[(0, OK, is(ALL)), (ALL, OK, is(ALL))],
    },
    // STATUS, ADDR, MISC: zero clears, any other value faults.
    Line {
        cap: PLAIN,
        msrs: (0x401, 0x403, 1),
        born: is(0),
        writes: &[(0, OK, is(0)), (1, GP, is(0)), (ALL, GP, is(0))],
    },
    Line {
        cap: PLAIN,
        msrs: (0x405, 0x407, 1),
        born: is(0),
        writes: &[(0, OK, is(0)), (1 << 63, GP, is(0))],
    },
    // The same in every bank below the count, where there is no state.
    Line {
        cap: 0x100_0c20,
        msrs: (0x409, 0x47d, 4),
        born: is(0),
        writes: &[(0, OK, is(0)), (1, GP, is(0))],
    },
    Line {
        cap: 0x100_0c20,
        msrs: (0x40b, 0x47f, 4),
        born: is(0),
        writes: &[(0, OK, is(0)), (1, GP, is(0))],
    },
    Line {
        cap: 0x100_0c20,
        msrs: (0x400, 0x47c, 4),
        born: is(ALL),
        writes: &[(0, OK, is(ALL))],
    },
    // A count above 32 is 32.
    Line {
        cap: 0x100_0cff,
        msrs: (0x400, 0x47c, 4),
        born: is(ALL),
        writes: &[(0, OK, is(ALL))],
    },
    Line {
        cap: 0x100_0cff,
        msrs: (0x480, 0x4cf, 1),
        born: NOT_LISTED,
        writes: &[(0, NOT_LISTED, NOT_LISTED)],
    },
    // CTL2: 64 bits stored in banks 0 and 1, dropped in others; CMCI_P does not matter.
    Line {
        cap: PLAIN,
        msrs: (0x280, 0x281, 1),
        born: is(0),
        writes: &[(ALL, OK, is(ALL)), (0x4000_7fff, OK, is(0x4000_7fff))],
    },
    Line {
        cap: 2,
        msrs: (0x280, 0x281, 1),
        born: is(0),
        writes: &[(ALL, OK, is(ALL))],
    },
    Line {
        cap: 0x100_0c20,
        msrs: (0x282, 0x29f, 1),
        born: is(0),
        writes: &[(ALL, OK, is(0)), (0, OK, is(0))],
    },
    // At or above the count, below bank 32: zero, dropped.
    Line {
        cap: PLAIN,
        msrs: (0x408, 0x47f, 1),
        born: is(0),
        writes: &[(ALL, OK, is(0)), (0, OK, is(0))],
    },
    Line {
        cap: PLAIN,
        msrs: (0x282, 0x29f, 1),
        born: is(0),
        writes: &[(ALL, OK, is(0))],
    },
    Line {
        cap: 0,
        msrs: (0x400, 0x47f, 1),
        born: is(0),
        writes: &[(ALL, OK, is(0))],
    },
    Line {
        cap: 1,
        msrs: (0x404, 0x407, 1),
        born: is(0),
        writes: &[(7, OK, is(0))],
    },
    Line {
        cap: 0,
        msrs: (0x280, 0x29f, 1),
        born: is(0),
        writes: &[(ALL, OK, is(0))],
    },
    // Behind the banks: not in the interface.
    Line {
        cap: PLAIN,
        msrs: (0x480, 0x4cf, 1),
        born: NOT_LISTED,
        writes: &[(0, NOT_LISTED, NOT_LISTED)],
    },
    Line {
        cap: PLAIN,
        msrs: (0x2a0, 0x2ff, 1),
        born: NOT_LISTED,
        writes: &[(1, NOT_LISTED, NOT_LISTED)],
    },
    Line {
        cap: PLAIN,
        msrs: one(0x178),
        born: NOT_LISTED,
        writes: &[],
    },
    Line {
        cap: PLAIN,
        msrs: one(0x17c),
        born: NOT_LISTED,
        writes: &[],
    },
    // P5 registers: reads alias bank 1, writes are not in the interface.
    Line {
        cap: PLAIN,
        msrs: (0, 1, 1),
        born: is(0),
        writes: &[(0, NOT_LISTED, is(0)), (1, NOT_LISTED, is(0))],
    },
];

const VERSION_2: &[Line] = &[
    Line {
        cap: PLAIN,
        msrs: one(0x4d0),
        born: NOT_LISTED,
        writes: &[(0, NOT_LISTED, NOT_LISTED)],
    },
    Line {
        cap: PLAIN,
        msrs: one(0x3a),
        born: NOT_LISTED,
        writes: &[(1, NOT_LISTED, NOT_LISTED)],
    },
];

const VERSION_3: &[Line] = &[
    // MCG_EXT_CTL: only with LMCE_P; 0 and 1 stored, anything else faults.
    Line {
        cap: PLAIN,
        msrs: one(0x4d0),
        born: GP,
        writes: &[(0, GP, GP), (1, GP, GP)],
    },
    Line {
        cap: LMCE,
        msrs: one(0x4d0),
        born: is(0),
        writes: &[
            (1, OK, is(1)),
            (2, GP, is(1)),
            (3, GP, is(1)),
            (ALL, GP, is(1)),
            (0, OK, is(0)),
            (1 << 63, GP, is(0)),
        ],
    },
    // FEATURE_CONTROL: locked, bit 20 exactly with LMCE_P; writes fault.
    Line {
        cap: PLAIN,
        msrs: one(0x3a),
        born: is(1),
        writes: &[(0, GP, is(1)), (1, GP, is(1))],
    },
    Line {
        cap: LMCE,
        msrs: one(0x3a),
        born: is(0x10_0001),
        writes: &[(0x10_0001, GP, is(0x10_0001))],
    },
    Line {
        cap: LMCE,
        msrs: one(0x179),
        born: is(LMCE),
        writes: &[(PLAIN, OK, is(LMCE))],
    },
];

/// The AMD interface, where it differs.
const AMD: &[Line] = &[
    Line {
        cap: 2,
        msrs: one(0x179),
        born: is(2),
        writes: &[(ALL, OK, is(2))],
    },
    Line {
        cap: 2,
        msrs: one(0x17a),
        born: is(0),
        writes: &[(ALL, OK, is(ALL))],
    },
    Line {
        cap: 2,
        msrs: one(0x17b),
        born: is(0),
        writes: &[(ALL, OK, is(0))],
    },
    Line {
        cap: 2,
        msrs: (0x400, 0x404, 4),
        born: is(ALL),
        writes: &[(0, OK, is(ALL))],
    },
    Line {
        cap: 2,
        msrs: (0x405, 0x407, 1),
        born: is(0),
        writes: &[(0, OK, is(0)), (1, GP, is(0))],
    },
    Line {
        cap: 2,
        msrs: (0x408, 0x47f, 1),
        born: is(0),
        writes: &[(ALL, OK, is(0))],
    },
    Line {
        cap: 2,
        msrs: (0x280, 0x29f, 1),
        born: is(0),
        writes: &[(ALL, OK, is(0))],
    },
    Line {
        cap: 2,
        msrs: one(0x4d0),
        born: GP,
        writes: &[(0, GP, GP)],
    },
    Line {
        cap: 2,
        msrs: (0, 1, 1),
        born: is(0),
        writes: &[],
    },
    Line {
        cap: 2,
        msrs: (0xc000_0408, 0xc000_040a, 1),
        born: is(1 << 61),
        writes: &[(0, OK, is(1 << 61)), (ALL, OK, is(1 << 61))],
    },
    Line {
        cap: 2,
        msrs: one(0xc000_040b),
        born: NOT_LISTED,
        writes: &[],
    },
    Line {
        cap: 2,
        msrs: one(0x3a),
        born: NOT_LISTED,
        writes: &[],
    },
];

const KVM_PLAIN: u64 = 0x100_010a;

/// Linux KVM 6.1 as QEMU sets it up.
const KVM: &[Line] = &[
    Line {
        cap: KVM_PLAIN,
        msrs: one(0x179),
        born: is(KVM_PLAIN),
        writes: &[(0, GP, is(KVM_PLAIN)), (KVM_PLAIN, GP, is(KVM_PLAIN))],
    },
    Line {
        cap: 0x100_000a,
        msrs: one(0x17b),
        born: GP,
        writes: &[(0, GP, GP)],
    },
    Line {
        cap: KVM_PLAIN,
        msrs: one(0x17b),
        born: is(ALL),
        writes: &[(1, GP, is(ALL)), (0, OK, is(0)), (ALL, OK, is(ALL))],
    },
    Line {
        cap: KVM_PLAIN,
        msrs: (0x400, 0x424, 4),
        born: is(ALL),
        writes: &[
            (0, OK, is(0)),
            (!1, OK, is(!1)),
            (!0x400, OK, is(!0x400)),
            (!0x401, OK, is(!0x401)),
            (!2, GP, is(!0x401)),
            (5, GP, is(!0x401)),
        ],
    },
    Line {
        cap: KVM_PLAIN,
        msrs: (0x401, 0x425, 4),
        born: is(0),
        writes: &[(0, OK, is(0)), (1, GP, is(0))],
    },
    Line {
        cap: KVM_PLAIN,
        msrs: (0x402, 0x426, 4),
        born: is(0),
        writes: &[(ALL, OK, is(ALL)), (5, OK, is(5))],
    },
    Line {
        cap: KVM_PLAIN,
        msrs: (0x403, 0x427, 4),
        born: is(0),
        writes: &[(ALL, OK, is(ALL))],
    },
    Line {
        cap: KVM_PLAIN,
        msrs: (0x428, 0x47f, 1),
        born: GP,
        writes: &[(0, GP, GP)],
    },
    Line {
        cap: KVM_PLAIN,
        msrs: (0x280, 0x29f, 1),
        born: GP,
        writes: &[(0, GP, GP)],
    },
    Line {
        cap: KVM_PLAIN | 0x400,
        msrs: (0x280, 0x289, 1),
        born: is(0),
        writes: &[
            (0x4000_7fff, OK, is(0x4000_7fff)),
            (0x8000, GP, is(0x4000_7fff)),
            (1 << 63, GP, is(0x4000_7fff)),
        ],
    },
    Line {
        cap: KVM_PLAIN | 0x400,
        msrs: (0x28a, 0x29f, 1),
        born: GP,
        writes: &[(0, GP, GP)],
    },
    Line {
        cap: KVM_PLAIN,
        msrs: one(0x3a),
        born: is(0),
        writes: &[
            (0x10_0000, GP, is(0)),
            (2, GP, is(0)),
            (1, OK, is(1)),
            (1, GP, is(1)),
            (0, GP, is(1)),
        ],
    },
    Line {
        cap: KVM_PLAIN | 1 << 27,
        msrs: one(0x3a),
        born: is(0),
        writes: &[
            (0x10_0000, OK, is(0x10_0000)),
            (0x10_0001, OK, is(0x10_0001)),
            (0, GP, is(0x10_0001)),
        ],
    },
    Line {
        cap: KVM_PLAIN | 1 << 27,
        msrs: one(0x4d0),
        born: GP,
        writes: &[(1, GP, GP)],
    },
    Line {
        cap: KVM_PLAIN,
        msrs: (0, 1, 1),
        born: is(0),
        writes: &[(0, GP, is(0))],
    },
    Line {
        cap: KVM_PLAIN,
        msrs: one(0x17a),
        born: is(0),
        writes: &[(ALL, OK, is(ALL))],
    },
];

const SDM_PLAIN: u64 = 0x100_0904;

/// The strict reading of the SDM.
const SDM: &[Line] = &[
    Line {
        cap: 0x100_0804,
        msrs: one(0x17b),
        born: GP,
        writes: &[(0, GP, GP)],
    },
    Line {
        cap: SDM_PLAIN,
        msrs: one(0x17b),
        born: is(ALL),
        writes: &[(0, OK, is(0)), (2, GP, is(0)), (ALL, OK, is(ALL))],
    },
    Line {
        cap: SDM_PLAIN,
        msrs: (0x400, 0x40c, 4),
        born: is(ALL),
        writes: &[(0x1234, OK, is(0x1234))],
    },
    Line {
        cap: SDM_PLAIN,
        msrs: (0x401, 0x403, 1),
        born: is(0),
        writes: &[(0, OK, is(0)), (8, GP, is(0))],
    },
    Line {
        cap: SDM_PLAIN,
        msrs: (0x410, 0x47f, 1),
        born: GP,
        writes: &[(0, GP, GP)],
    },
    Line {
        cap: SDM_PLAIN,
        msrs: (0x280, 0x29f, 1),
        born: GP,
        writes: &[(0, GP, GP)],
    },
    Line {
        cap: SDM_PLAIN | 0x400,
        msrs: (0x280, 0x283, 1),
        born: is(0),
        writes: &[
            (0x4000_0001, OK, is(0x4000_0001)),
            (0x8000_0000, GP, is(0x4000_0001)),
        ],
    },
    Line {
        cap: SDM_PLAIN,
        msrs: one(0x17a),
        born: is(0),
        writes: &[
            (7, GP, is(0)),
            (4, GP, is(0)),
            (1 << 63, GP, is(0)),
            (0, OK, is(0)),
        ],
    },
    Line {
        cap: SDM_PLAIN | 1 << 27,
        msrs: one(0x17a),
        born: is(0),
        writes: &[(0xf, GP, is(0)), (0, OK, is(0))],
    },
    Line {
        cap: SDM_PLAIN | 1 << 27,
        msrs: one(0x4d0),
        born: GP,
        writes: &[(1, GP, GP)],
    },
];

#[test]
fn every_register_of_version_4() {
    let vmce = model("vmce");
    follow::<specs::vmce::v4::State>(&vmce, BOTH);
    follow::<specs::vmce::v4::State>(&vmce, VERSION_3);
}

#[test]
fn the_amd_interface() {
    follow::<specs::vmce_amd::v2::State>(&model("vmce-amd"), AMD);
}

#[test]
fn the_interface_of_kvm() {
    follow::<specs::kvm::v1::State>(&model("kvm"), KVM);
}

#[test]
fn the_interface_of_the_sdm() {
    follow::<specs::sdm::v1::State>(&model("sdm"), SDM);
}

/// With LMCE, MCG_EXT_CTL appears when the firmware has set bit 20 of FEATURE_CONTROL.
fn local_machine_checks<S: Interface + Copy>(model: &Model)
where
    S::Hook: Debug,
{
    let word = S::create().capability_word() | 1 << 27;
    let mut guest = Pair::<S>::new(model).with_capability(word);
    assert_eq!(guest.read(0x4d0), GP);
    assert_eq!(guest.write(0x3a, 0x10_0001), OK);
    assert_eq!(guest.read(0x4d0), is(0));
    assert_eq!(guest.write(0x4d0, 2), GP);
    assert_eq!(guest.write(0x4d0, 1), OK);
    assert_eq!(guest.read(0x4d0), is(1));
}

#[test]
fn feature_control_opens_local_machine_checks() {
    local_machine_checks::<specs::kvm::v1::State>(&model("kvm"));
    local_machine_checks::<specs::sdm::v1::State>(&model("sdm"));
}

fn follow<S: Interface + Copy>(model: &Model, lines: &[Line])
where
    S::Hook: Debug,
{
    for line in lines {
        let (first, last, stride) = line.msrs;
        for msr in (first..=last).step_by(stride as usize) {
            let mut guest = Pair::<S>::new(model).with_capability(line.cap);
            let at = format!("{msr:#x}, version {}, MCG_CAP {:#x}", S::VERSION, line.cap);
            assert_eq!(guest.read(msr), line.born, "rdmsr of a new guest: {at}");
            for (value, answer, then) in line.writes {
                assert_eq!(guest.write(msr, *value), *answer, "wrmsr {value:#x}: {at}");
                assert_eq!(guest.read(msr), *then, "rdmsr after wrmsr {value:#x}: {at}");
            }
        }
    }
}

#[test]
fn every_register_of_version_2() {
    let vmce = model("vmce");
    follow::<specs::vmce::v2::State>(&vmce, BOTH);
    follow::<specs::vmce::v2::State>(&vmce, VERSION_2);
}

#[test]
fn every_register_of_version_3() {
    let vmce = model("vmce");
    follow::<specs::vmce::v3::State>(&vmce, BOTH);
    follow::<specs::vmce::v3::State>(&vmce, VERSION_3);
}

#[test]
fn state_is_small() {
    assert!(
        size_of::<specs::vmce::v2::State>() <= 128,
        "{}",
        size_of::<specs::vmce::v2::State>()
    );
    assert!(
        size_of::<specs::vmce::v3::State>() <= 128,
        "{}",
        size_of::<specs::vmce::v3::State>()
    );
    assert!(
        size_of::<specs::McState>() < 512,
        "{}",
        size_of::<specs::McState>()
    );
}
