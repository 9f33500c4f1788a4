//! Calls to the hypervisor, by the one table of its crate.

use core::arch::asm;

use kernel::guest::hypercall::Hypercall;

/// Makes a hypercall with up to five arguments; the result is RAX.
pub fn call(number: Hypercall, arguments: [u64; 5]) -> u64 {
    let result;
    // SAFETY: a hypercall of the table changes RAX alone and no memory of the guest.
    unsafe {
        asm!(
            "vmcall",
            inlateout("rax") number as u64 => result,
            in("rdi") arguments[0],
            in("rsi") arguments[1],
            in("rdx") arguments[2],
            in("r10") arguments[3],
            in("r8") arguments[4],
            options(nostack),
        );
    }
    result
}

/// Ends the guest.
pub fn shutdown(code: u64) -> ! {
    call(Hypercall::Shutdown, [code, 0, 0, 0, 0]);
    crate::smp::halt()
}
