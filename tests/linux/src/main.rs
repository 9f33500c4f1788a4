//! The first and only program of the Linux that `cargo boot linux-table` boots. As process 1 it starts itself once for each
//! processor. Each of those stays on its processor, has locked pages of its own, and says what Linux tells it of errors in them, in
//! lines on the first serial port:
//!
//! ```text
//! cpu=0 page=3 at=0x4a1b000     where its pages are in physical memory
//! cpu=0 runs                    again and again, as long as it does
//! cpu=0 signal code=4 page=3 lsb=12
//! cpu=0 gone page=3             memory of its own that is no longer mapped
//! cpu=0 ended signal=7          from process 1
//! ```

mod memory;
mod signals;

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use rustix::process::{
    MachineCheckMemoryCorruptionKillPolicy as Policy,
    set_machine_check_memory_corruption_kill_policy as set_policy,
};
use rustix::thread::{CpuSet, sched_setaffinity};

use memory::Pages;
use signals::Signals;

/// Turns of the loop between two looks at the signals: many, so that an error almost always finds the program, not the system.
const TURNS: u64 = 4_000_000;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    match std::env::args().nth(1) {
        None => start(),
        Some(cpu) => witness(cpu.parse()?),
    }
}

/// Process 1: a witness for each processor, and what becomes of it.
fn start() -> Result<()> {
    memory::mount_proc()?;
    let port = File::create("/dev/ttyS0")?;
    let cpus = std::thread::available_parallelism()?.get();
    std::thread::scope(|scope| {
        for cpu in 0..cpus {
            let (out, said) = (port.try_clone(), port.try_clone());
            scope.spawn(move || -> std::io::Result<()> {
                let status = Command::new("/init")
                    .arg(cpu.to_string())
                    .stdout(out?)
                    .status()?;
                let end = format!(
                    "cpu={cpu} ended signal={} code={}\n",
                    status.signal().unwrap_or(0),
                    status.code().unwrap_or(0)
                );
                std::io::Write::write_all(&mut said?, end.as_bytes())
            });
        }
    });
    // Process 1 must not end.
    loop {
        std::thread::park();
    }
}

/// Stays on a processor, computes, and says what it hears.
fn witness(cpu: usize) -> Result<()> {
    let mut cpus = CpuSet::new();
    cpus.set(cpu);
    sched_setaffinity(None, &cpus)?;
    set_policy(Some(Policy::Early))?;
    let mut signals = Signals::listen()?;
    let pages = Pages::new()?;
    for (page, at) in pages.physical()?.into_iter().enumerate() {
        println!("cpu={cpu} page={page} at={at:#x}");
    }
    let mut gone = Vec::new();
    loop {
        let sum = (0..TURNS).fold(0, |sum: u64, turn| std::hint::black_box(sum + turn));
        assert_eq!(sum, TURNS * (TURNS - 1) / 2, "a computation went wrong");
        for signal in signals.take() {
            let page = pages.index_of(signal.address);
            let page = page.map_or("none".to_owned(), |page| page.to_string());
            println!(
                "cpu={cpu} signal code={} page={page} lsb={}",
                signal.code, signal.lsb
            );
        }
        for (page, at) in pages.physical()?.into_iter().enumerate() {
            if at == 0 && !gone.contains(&page) {
                println!("cpu={cpu} gone page={page}");
                gone.push(page);
            }
        }
        println!("cpu={cpu} runs");
    }
}
