//! What every tiny guest shares: the way from the PVH entry to Rust on every vCPU, exceptions, a console, MSRs whose
//! faults are answers.
//!
//! A guest is one of the programs in `src/bin`; it names its main function with [`main!`] and runs with a vCPU each on
//! its own stack, interrupts off, memory mapped one to one, SSE on.
#![no_std]

pub mod arguments;
pub mod console;
pub mod exceptions;
pub mod hypercall;
pub mod mca;
mod memory;
pub mod msr;
pub mod platform;
pub mod smp;
mod start;
pub mod tables;

use core::panic::PanicInfo;

/// Names the function that vCPU 0 runs: `fn() -> u64`, whose result is the guest's exit code.
#[macro_export]
macro_rules! main {
    ($main:path) => {
        #[unsafe(no_mangle)]
        extern "Rust" fn guest_main() -> u64 {
            $main()
        }
    };
}

/// Exit code of a guest that panicked.
pub const PANICKED: u64 = 101;

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    console::line_now(format_args!("{info}"));
    hypercall::shutdown(PANICKED)
}
