//! Makes accesses through generated code, for callgrind to count: `subject interfaces` or `subject sizes`. For each it prints
//! a line, what it did, to which interface, and with what.

use measured::{read, restore, save, write};
use msr_runtime::{Interface, RecordError, Refusal};
use std::hint::black_box;

/// The functions whose instructions are counted. None of them calls another.
mod measured {
    use msr_runtime::{Interface, RecordError, Refusal};

    #[inline(never)]
    pub fn read<S: Interface>(state: &S, msr: u32) -> Result<u64, Refusal<S::Hook>> {
        state.read(msr)
    }

    #[inline(never)]
    pub fn write<S: Interface>(
        state: &mut S,
        msr: u32,
        value: u64,
    ) -> Result<(), Refusal<S::Hook>> {
        state.write(msr, value)
    }

    #[inline(never)]
    pub fn save<S: Interface>(state: &S, out: &mut [u8]) -> Result<usize, RecordError> {
        state.save(out, crate::crc32c)
    }

    #[inline(never)]
    pub fn restore<S: Interface>(bytes: &[u8]) -> Result<S, RecordError> {
        S::restore(bytes, crate::crc32c)
    }
}

/// Never called: it has a panic path, and the test that finds none in generated code has to find this one.
#[inline(never)]
fn may_panic(values: &[u64], at: usize) -> u64 {
    values[at]
}

fn crc32c(crc: u32, bytes: &[u8]) -> u32 {
    // SAFETY: `main` has seen that the processor has SSE4.2.
    unsafe { msr_runtime::record::crc32c_sse42(crc, bytes) }
}

// Called through pointers that the compiler knows nothing of: it must not bend the functions to these calls.
type Read<S> = fn(&S, u32) -> Result<u64, Refusal<<S as Interface>::Hook>>;
type Write<S> = fn(&mut S, u32, u64) -> Result<(), Refusal<<S as Interface>::Hook>>;
type Save<S> = fn(&S, &mut [u8]) -> Result<usize, RecordError>;
type Restore<S> = fn(&[u8]) -> Result<S, RecordError>;

/// MSRs of every window that interfaces use.
fn windows() -> impl Iterator<Item = u32> {
    (0..0x2000)
        .chain(0x4000_0000..0x4000_2000)
        .chain(0xc000_0000..0xc000_2000)
        .chain(0xc001_0000..0xc001_3000)
}

/// Of each row of neighbouring MSRs that an interface lists the first and the last: the first banks and the last.
fn listed<S: Interface>(state: &S) -> Vec<u32> {
    let is_listed = |msr: u32| !matches!(state.read(msr), Err(Refusal::Unlisted));
    let mut all = vec![0xffff_ffff, 0x1fff];
    let mut row: Vec<u32> = Vec::new();
    for msr in windows().chain([0xffff_fff0]) {
        if is_listed(msr) {
            row.push(msr);
        } else if !row.is_empty() {
            let first = row.len().min(12);
            let last = row.len().saturating_sub(4).max(first);
            all.extend(row[..first].iter().chain(&row[last..]));
            row.clear();
        }
    }
    all
}

/// Every access whose way through the code may differ.
fn interface<S: Interface + Copy>() {
    let on = format!("{}@{}", S::NAME, S::VERSION);
    let plain = S::create();
    let every = S::FEATURES
        .iter()
        .fold(plain.capability_word(), |word, feature| word | feature.bit);
    for word in [plain.capability_word(), every] {
        let mut state = plain;
        state.set_capability_word(word);
        for msr in listed(&state) {
            accesses(&on, &state, word, msr);
        }
        records(&on, &state, word);
    }
}

fn accesses<S: Interface + Copy>(on: &str, state: &S, word: u64, msr: u32) {
    let now = black_box(read::<S> as Read<S>)(black_box(state), black_box(msr));
    println!("read {on} msr={msr:#x} capability={word:#x}");
    for value in [0, 1, u64::MAX, now.unwrap_or(2)] {
        let mut written = *state;
        let _ = black_box(black_box(write::<S> as Write<S>)(
            black_box(&mut written),
            black_box(msr),
            black_box(value),
        ));
        println!("write {on} msr={msr:#x} value={value:#x} capability={word:#x}");
    }
}

fn records<S: Interface + Copy>(on: &str, state: &S, word: u64) {
    let mut record = vec![0; S::RECORD_LENGTH];
    let saved = black_box(save::<S> as Save<S>)(black_box(state), black_box(&mut record));
    println!(
        "save {on} bytes={} capability={word:#x}",
        saved.map_or(0, |length| length)
    );
    let restored = black_box(restore::<S> as Restore<S>)(black_box(&record));
    assert!(restored.is_ok(), "a record of its own");
    println!("restore {on} bytes={} capability={word:#x}", record.len());
}

/// The first, a middle and the last of some registers, and one that is not there.
fn size<S: Interface + Copy>(registers: u32) {
    let state = S::create();
    for (which, msr) in [
        ("first", 0x100),
        ("middle", 0x100 + registers / 2),
        ("last", 0x100 + registers - 1),
        ("none", 0x100 + registers),
    ] {
        let _ = black_box(black_box(read::<S> as Read<S>)(
            black_box(&state),
            black_box(msr),
        ));
        println!("read {} {which}", S::NAME);
        let mut written = state;
        let _ = black_box(black_box(write::<S> as Write<S>)(
            black_box(&mut written),
            black_box(msr),
            black_box(5),
        ));
        println!("write {} {which}", S::NAME);
    }
}

fn interfaces() {
    interface::<specs::vmce::v2::State>();
    interface::<specs::vmce::v3::State>();
    interface::<specs::vmce::v4::State>();
    interface::<specs::vmce_amd::v2::State>();
    interface::<specs::kvm::v1::State>();
    interface::<specs::sdm::v1::State>();
    interface::<specs::platform::v1::State>();
}

fn sizes() {
    size::<measure::sizes::ten::v1::State>(10);
    size::<measure::sizes::hundred::v1::State>(100);
    size::<measure::sizes::thousand::v1::State>(1000);
}

fn main() {
    black_box(may_panic as fn(&[u64], usize) -> u64);
    assert!(
        std::arch::is_x86_feature_detected!("sse4.2"),
        "records are sealed by the CRC32 instruction"
    );
    match std::env::args().nth(1).as_deref() {
        Some("interfaces") => interfaces(),
        Some("sizes") => sizes(),
        _ => {
            eprintln!("subject interfaces | sizes");
            std::process::exit(2);
        }
    }
}
