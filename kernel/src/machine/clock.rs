//! The time: how fast the time stamp counter runs, and what the real-time clock says. While the machine boots.

use core::arch::x86_64::__cpuid;

use kernel::clock::{Rate, RealTime, by_base, by_crystal};
use x86::io::{inb, outb};

use super::tsc;

/// A moment, by both clocks.
pub struct Moment {
    /// Time stamp counter.
    pub tsc: u64,
    /// Seconds since 1970; 0 where there is no real-time clock, or it holds no time.
    pub unix: u64,
}

/// How fast this processor's time stamp counter runs. Takes a hundredth of a second.
pub fn rate() -> Rate {
    /// What disturbs a measurement (a system management interrupt, a host that takes the processor away) makes it longer, never shorter.
    const MEASUREMENTS: u32 = 3;
    const CRYSTAL: u32 = 0x15;
    const BASE: u32 = 0x16;
    let most = __cpuid(0).eax;
    let leaf = |number| (most >= number).then(|| __cpuid(number));
    let crystal = leaf(CRYSTAL).and_then(|leaf| by_crystal([leaf.eax, leaf.ebx, leaf.ecx]));
    let base = leaf(BASE).and_then(|leaf| by_base(leaf.eax));
    let measured = (0..MEASUREMENTS).filter_map(|_| measure()).min();
    Rate::choose(crystal, base, measured)
}

/// The rate in kHz by channel 2 of the PC/AT's timer (8254), counted down once without its speaker. `None` where nothing counts.
fn measure() -> Option<u64> {
    const HERTZ: u64 = 1_193_182;
    /// A three-hundredth of a second.
    const COUNT: u16 = 3977;
    const CHANNEL_2: u16 = 0x42;
    const COMMAND: u16 = 0x43;
    /// Channel 2, both bytes of the count, mode 0 (the output rises at the end).
    const ONCE: u8 = 0b1011_0000;
    const CONTROL: u16 = 0x61;
    const GATE: u8 = 1 << 0;
    const SPEAKER: u8 = 1 << 1;
    const OUTPUT: u8 = 1 << 5;
    /// Longer than the count takes on any processor, in time stamp ticks.
    const PATIENCE: u64 = 200_000_000;
    /// That time has at least so many; a port that nobody answers reads all ones at once.
    const LEAST: u64 = 10_000;
    let [low, high] = COUNT.to_le_bytes();
    // SAFETY: the ports are the PC/AT's, and a machine without them reads all ones; nobody else uses the speaker's channel.
    let ticks = unsafe {
        let before = inb(CONTROL);
        outb(CONTROL, before & !SPEAKER | GATE);
        outb(COMMAND, ONCE);
        outb(CHANNEL_2, low);
        outb(CHANNEL_2, high);
        let from = tsc();
        let mut ticks = 0;
        while inb(CONTROL) & OUTPUT == 0 && ticks < PATIENCE {
            ticks = tsc().saturating_sub(from);
        }
        outb(CONTROL, before);
        ticks
    };
    (LEAST..PATIENCE)
        .contains(&ticks)
        .then(|| ticks * HERTZ / (u64::from(COUNT) * 1000))
}

/// What time it is.
pub fn now() -> Moment {
    /// A clock is in the middle of its update for two thousandths of a second in each.
    const TRIES: u32 = 100_000;
    let mut before = None;
    for _ in 0..TRIES {
        let read = read();
        let tsc = tsc();
        if read.is_some() && read == before {
            let unix = read.and_then(RealTime::unix).unwrap_or(0);
            return Moment { tsc, unix };
        }
        before = read;
    }
    Moment {
        tsc: tsc(),
        unix: 0,
    }
}

/// What the clock holds; `None` in the middle of its update.
fn read() -> Option<RealTime> {
    const STATUS_A: u8 = 10;
    const UPDATING: u8 = 1 << 7;
    const STATUS_B: u8 = 11;
    if register(STATUS_A) & UPDATING != 0 {
        return None;
    }
    Some(RealTime {
        registers: [0, 2, 4, 7, 8, 9].map(register),
        status: register(STATUS_B),
    })
}

/// A register of the real-time clock.
fn register(number: u8) -> u8 {
    // SAFETY: the ports are the PC/AT's; reading any of these registers has no effect. Bit 7 stays clear: it would mask NMIs.
    unsafe {
        outb(0x70, number);
        inb(0x71)
    }
}
