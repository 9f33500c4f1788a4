//! The guest of the scenario `reserved-writes`: reads and writes every MSR of the machine-check interface and many outside
//! it, and says what each access gave. The reference interpreter must say the same for the same accesses.
//!
//! MSRs that a 64-bit guest lives by (EFER, APIC, PAT, TSC ...) are no part of this.
#![no_std]
#![no_main]

use core::ops::RangeInclusive;

use guests::{line, msr};

guests::main!(run);

/// Registers tried with every single bit.
const CLOSELY: [RangeInclusive<u32>; 7] = [
    0x179..=0x17b, // MCG_CAP, MCG_STATUS, MCG_CTL
    0x17f..=0x17f, // MSR_ERROR_CONTROL
    0x280..=0x282, // CTL2 of banks 0, 1 and the first that a guest does not have
    0x29f..=0x29f, // the last CTL2
    0x400..=0x40b, // banks 0 to 2
    0x47c..=0x47f, // bank 31
    0x4d0..=0x4d0, // MCG_EXT_CTL
];

/// Registers tried with a few values: the rest of the interface, and what surrounds it.
const ROUGHLY: [RangeInclusive<u32>; 21] = [
    0x000..=0x001, // P5_MC_ADDR, P5_MC_TYPE
    0x002..=0x005,
    0x00b..=0x00f,
    0x03a..=0x03a, // FEATURE_CONTROL
    0x050..=0x05f,
    0x100..=0x109,
    0x178..=0x178,
    0x17c..=0x17e,
    0x180..=0x185,
    0x278..=0x27f,
    0x283..=0x29e,
    0x2a0..=0x2af,
    0x3fe..=0x3ff,
    0x40c..=0x47b,
    0x480..=0x4cf,
    0x4d1..=0x4df,
    0x1fff..=0x2000,
    0x4000_0000..=0x4000_000f,
    0xbfff_ffff..=0xbfff_ffff,
    0xc000_0408..=0xc000_040a, // AMD's thresholding
    0xc000_2000..=0xc000_2010, // AMD's scalable machine-check architecture
];

const FEW: [u64; 4] = [0, 1, 1 << 63, u64::MAX];

fn run() -> u64 {
    let mut accesses = 0;
    let mut access = |address, value| {
        write(address, value);
        read(address);
        accesses += 2;
    };
    for address in CLOSELY.into_iter().flatten() {
        read(address);
        let bits = (0..64).map(|bit| 1 << bit);
        FEW.into_iter()
            .chain(bits)
            .chain([0])
            .for_each(|value| access(address, value));
    }
    for address in ROUGHLY.into_iter().flatten() {
        read(address);
        FEW.into_iter()
            .chain([0])
            .for_each(|value| access(address, value));
    }
    let first_reads = CLOSELY.into_iter().chain(ROUGHLY).flatten().count();
    line!("accesses {}", accesses + first_reads);
    0
}

fn read(address: u32) {
    match msr::read(address) {
        Some(value) => line!("rdmsr {address:#x} -> {value:#018x}"),
        None => line!("rdmsr {address:#x} -> #GP"),
    }
}

fn write(address: u32, value: u64) {
    // SAFETY: none of the registers above changes anything that Rust relies on.
    let taken = unsafe { msr::write(address, value) };
    let answer = if taken.is_some() { "ok" } else { "#GP" };
    line!("wrmsr {address:#x} {value:#018x} -> {answer}");
}
