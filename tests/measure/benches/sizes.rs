//! Times of accesses to specs of 10, 100 and 1000 registers, by criterion: the number of registers must not show. (What a test holds are
//! the instructions, in `tests/limits.rs`; no test looks at a time.)

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use measure::sizes::{hundred, ten, thousand};
use msr_runtime::Interface;
use std::hint::black_box;
use std::time::Duration;

/// Accesses of one measurement.
const ACCESSES: u32 = 64;

/// MSRs all over the registers, in no order that a processor could guess: steps of a prime.
fn msrs(registers: u32) -> Vec<u32> {
    (0..ACCESSES)
        .map(|at| 0x100 + at * 7919 % registers)
        .collect()
}

fn reads<S: Interface>(criterion: &mut Criterion, registers: u32) {
    let (state, msrs) = (S::create(), msrs(registers));
    let mut group = criterion.benchmark_group("read");
    group.throughput(Throughput::Elements(u64::from(ACCESSES)));
    group.bench_function(BenchmarkId::from_parameter(registers), |bench| {
        bench.iter(|| {
            for msr in &msrs {
                let _ = black_box(black_box(&state).read(black_box(*msr)));
            }
        });
    });
}

fn writes<S: Interface>(criterion: &mut Criterion, registers: u32) {
    let (mut state, msrs) = (S::create(), msrs(registers));
    let mut group = criterion.benchmark_group("write");
    group.throughput(Throughput::Elements(u64::from(ACCESSES)));
    group.bench_function(BenchmarkId::from_parameter(registers), |bench| {
        bench.iter(|| {
            for msr in &msrs {
                let _ = black_box(black_box(&mut state).write(black_box(*msr), black_box(5)));
            }
        });
    });
}

fn sizes(criterion: &mut Criterion) {
    reads::<ten::v1::State>(criterion, 10);
    reads::<hundred::v1::State>(criterion, 100);
    reads::<thousand::v1::State>(criterion, 1000);
    writes::<ten::v1::State>(criterion, 10);
    writes::<hundred::v1::State>(criterion, 100);
    writes::<thousand::v1::State>(criterion, 1000);
}

criterion_group! {
    name = all;
    config = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = sizes
}
criterion_main!(all);
