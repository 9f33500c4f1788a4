//! The platform's registers as the SDM has them: values after power-on and INIT, reserved bits, what the hypervisor holds.
mod common;

use common::{Pair, model, values};
use msr_runtime::record::crc32c;
use msr_runtime::{Interface, Refusal, Reset};
use specs::platform::v1::{Held, Hook, State};

fn saved(state: &State) -> Vec<u8> {
    let mut out = vec![0; State::RECORD_LENGTH];
    state.save(&mut out, crc32c).expect("as long as the record");
    out
}

/// MSRs, their values after power-on, and after INIT when they were 6 before (SDM vol. 3, table 10-1 and 11.12.5.1).
const VALUES: &[(u32, u64, u64)] = &[
    (0x17, 0, 0),
    (0x1b, 0xfee0_0d00, 0xfee0_0d00),
    (0x8b, 1 << 32, 1 << 32),
    (0xce, 0, 0),
    (0xfe, 0x508, 0x508),
    (0x1a0, 0x1800, 0x1800),
    (0x200, 0, 6),
    (0x20e, 0, 6),
    (0x250, 0, 6),
    (0x26f, 0, 6),
    (0x2ff, 0x806, 6),
    (0x802, 0, 0),
    (0x803, 0x5_0014, 0x5_0014),
    (0x808, 0, 0),
    (0x80a, 0, 0),
    (0x80f, 0xff, 0xff),
    (0x82f, 0x1_0000, 0x1_0000),
    (0x830, 0x500, 0x500),
    (0x832, 0x1_0000, 0x1_0000),
    (0x835, 0x1_0000, 0x1_0000),
    (0x837, 0x1_0000, 0x1_0000),
    (0x839, 0, 0),
    (0x83e, 0, 0),
];

#[test]
fn power_on_and_init() {
    let mut state = State::new();
    for (msr, value, _) in VALUES {
        assert_eq!(state.read(*msr), Ok(*value), "{msr:#x} after power-on");
    }
    for (msr, ..) in VALUES {
        // What cannot be written faults or stays.
        let _ = state.write(*msr, 6);
    }
    state.reset(Reset::Init);
    for (msr, _, value) in VALUES {
        assert_eq!(state.read(*msr), Ok(*value), "{msr:#x} after INIT");
    }
}

#[test]
fn what_is_held_after_init() {
    let mut state = State::new();
    for &register in Held::ALL {
        assert!(state.hold(register, 0x100) || state.hold(register, 2));
    }
    let before = state;
    state.reset(Reset::Init);
    for &register in Held::ALL {
        let cleared = matches!(
            register,
            Held::Ia32Efer
                | Held::Ia32FsBase
                | Held::Ia32GsBase
                | Held::Ia32Debugctl
                | Held::X2apicTpr
        );
        let value = if cleared { 0 } else { before.held(register) };
        assert_eq!(state.held(register), value, "{register:?}");
    }
    assert_eq!(State::new().held(Held::Ia32Pat), 0x0007_0406_0007_0406);
}

#[test]
fn reserved_bits_fault() {
    let writes: &[(u32, &[u64], &[u64])] = &[
        (0x1b, &[0xfee0_0d00], &[0xfee0_0900, 0xfee0_0c00, 0]),
        (
            0x200,
            &[0, 6, 5 | 0xf_ffff_ffff_f000],
            &[2, 7, 1 << 8, 1 << 52],
        ),
        (
            0x268,
            &[0x0606_0504_0100_0606],
            &[0x0200, 3, 0x0700_0000, 1 << 63],
        ),
        (0x2ff, &[0xc06, 0], &[0x1000, 2, 0xff]),
        (0x808, &[0xff], &[0x100]),
        (0x80b, &[0], &[1]),
        (0x80f, &[0x1ff], &[0x200, 0x1000]),
        (0x828, &[0], &[1]),
        (0x832, &[0x2_00ff | 0x1_0000], &[0xff, 0x4_0000 | 0x1_0000]),
        (0x838, &[0], &[1]),
        (0x83e, &[0xb], &[4, 0x10]),
    ];
    let mut state = State::new();
    for (msr, good, bad) in writes {
        for value in *good {
            assert_eq!(state.write(*msr, *value), Ok(()), "{msr:#x} {value:#x}");
        }
        for value in *bad {
            assert_eq!(
                state.write(*msr, *value),
                Err(Refusal::Fault),
                "{msr:#x} {value:#x}"
            );
        }
    }
    // NMI, INIT and SIPI reach the hypervisor; no other mode does, nor a reserved bit.
    for value in [0x400, 0x500, 0x4500, 0x1_0000_4500, 0xc_4500, 0x608, 0xd00] {
        let sent = Hook::X2apicIcrWrite { value };
        assert_eq!(
            state.write(0x830, value),
            Err(Refusal::Hook(sent)),
            "{value:#x}"
        );
        assert_eq!(state.read(0x830), Ok(value));
    }
    for bit in [12, 13, 16, 17, 18, 19, 20, 31] {
        let value = 0x500 | 1 << bit;
        assert_eq!(state.write(0x830, value), Err(Refusal::Fault), "{value:#x}");
    }
    for value in [0, 0x100, 0x200, 0x300, 0x700] {
        assert_eq!(state.write(0x830, value), Err(Refusal::Fault), "{value:#x}");
    }
    assert_eq!(
        state.read(0x830),
        Ok(0xd00),
        "a refused command is not there"
    );
}

#[test]
fn a_vcpu_has_its_number() {
    for number in 0..40 {
        let mut state = State::new();
        assert!(state.hold(Held::X2apicApicid, number));
        let boot = if number == 0 { 0x100 } else { 0 };
        assert_eq!(state.read(0x1b), Ok(0xfee0_0c00 | boot));
        assert_eq!(state.read(0x802), Ok(number));
        let logical = number >> 4 << 16 | 1 << (number & 0xf);
        assert_eq!(state.read(0x80d), Ok(logical), "{number}");
    }
}

/// Generated code and interpreter agree on which values the hypervisor can hold, and what it holds a restore takes.
#[test]
fn held_registers_travel() {
    let platform = model("platform");
    let view = platform.newest();
    let (mut held, mut refused) = (0, 0);
    for &register in Held::ALL {
        let named = view.registers.iter().find(|r| {
            r.held
                && r.addresses
                    .iter()
                    .any(|address| address.first == register.msr())
        });
        let name = &named.expect("a held register").name;
        for value in values() {
            let mut pair = Pair::<State>::new(&platform);
            let is_held = pair.generated.hold(register, value);
            assert_eq!(
                pair.reference.hold(name, value),
                is_held,
                "{name} {value:#x}"
            );
            held += u32::from(is_held);
            refused += u32::from(!is_held);
            pair.same(&[0x1b, 0x3b, 0x802, 0x808, 0x80d]);
            let bytes = saved(&pair.generated);
            assert_eq!(bytes, pair.reference.save());
            assert_eq!(State::restore(&bytes, crc32c), Ok(pair.generated));
            assert_eq!(pair.reference.restore(&bytes), Ok(()));
        }
    }
    assert!(held > 50 && refused > 50, "{held} held, {refused} refused");
}

#[test]
fn what_hardware_would_refuse_is_not_held() {
    let holds = |register, value| {
        let mut state = State::new();
        let held = state.hold(register, value);
        assert_eq!(state != State::new(), held, "{register:?} {value:#x}");
        held
    };
    for (register, good, bad) in [
        (Held::Ia32Lstar, 0xffff_8000_0000_0000, 0x8000_0000_0000),
        (Held::Ia32FsBase, 0x7fff_ffff_ffff, 0xffff_0000_0000_0000),
        (Held::Ia32KernelGsBase, u64::MAX, 1 << 63),
        (Held::Ia32Pat, 0x0706_0504_0100_0007, 0x0200),
        (Held::Ia32Efer, 0xd01, 0x1000),
        (Held::Ia32Fmask, 0xffff_ffff, 1 << 32),
        (Held::Ia32Debugctl, 2, 1),
    ] {
        assert!(holds(register, good), "{register:?} {good:#x}");
        assert!(!holds(register, bad), "{register:?} {bad:#x}");
    }
}
