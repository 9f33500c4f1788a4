//! Copies out of guests' memory and into it, by marked instructions: a machine check that comes of them makes the copy fail, not the hypervisor.

use core::arch::global_asm;

use kernel::units::{Hpa, PAGE_SIZE};

/// The memory could not be read, or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

/// Whether the injector raises a machine check in the middle of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Raise {
    /// No.
    Nothing,
    /// Yes: its registers are set.
    #[cfg(feature = "faults")]
    MachineCheck,
}

global_asm!(
    r#"
    # marked_copy(to, from, count, raise): whether the copy failed.
    .globl marked_copy
marked_copy:
    mov eax, ecx
    mov rcx, rdx
    .globl marked_copy_start
marked_copy_start:
    test eax, eax
    jz 2f
    int 18                                  # the injector: as if the load met the error
2:  rep movsb
    .globl marked_copy_end
marked_copy_end:
    xor eax, eax
    ret
    .globl marked_copy_failed
marked_copy_failed:
    mov eax, 1
    ret
    "#
);

unsafe extern "C" {
    fn marked_copy(to: *mut u8, from: *const u8, count: usize, raise: u32) -> u32;
    static marked_copy_start: [u8; 0];
    static marked_copy_end: [u8; 0];
    static marked_copy_failed: [u8; 0];
}

/// Where an interrupted copy goes on if it has to fail; none if `rip` is in no copy.
pub fn fix_up(rip: u64) -> Option<u64> {
    let (start, end) = (
        (&raw const marked_copy_start) as u64,
        (&raw const marked_copy_end) as u64,
    );
    (start..end)
        .contains(&rip)
        .then_some((&raw const marked_copy_failed) as u64)
}

/// Copies bytes at a host address, of a guest that may be running: racing stores give the old bytes or the new.
pub fn copy(from: Hpa, to: &mut [u8], raise: Raise) -> Result<(), Unreadable> {
    // SAFETY: guests' memory is mapped and not handed out again; whoever calls knows that `from` and what follows is such.
    unsafe { copy_raw(from, to.as_mut_ptr(), to.len(), raise) }
}

/// Copies bytes to a host address, of a guest that may be running.
pub fn copy_into(from: &[u8], to: Hpa, raise: Raise) -> Result<(), Unreadable> {
    // SAFETY: as for `copy`; what a guest has in its memory nothing of ours relies on.
    unsafe {
        copy_raw(
            Hpa(from.as_ptr() as u64),
            to.0 as *mut u8,
            from.len(),
            raise,
        )
    }
}

/// Copies a page of a guest, which nobody writes, to one that nobody else has.
pub fn copy_page(from: Hpa, to: Hpa) -> Result<(), Unreadable> {
    // SAFETY: as for `copy`; `to` is a page that was just taken.
    unsafe { copy_raw(from, to.0 as *mut u8, PAGE_SIZE as usize, Raise::Nothing) }
}

/// # Safety
/// Both ranges are mapped, and `to` is the caller's.
unsafe fn copy_raw(from: Hpa, to: *mut u8, count: usize, raise: Raise) -> Result<(), Unreadable> {
    let raise = u32::from(raise != Raise::Nothing);
    // SAFETY: by the caller.
    match unsafe { marked_copy(to, from.0 as *const u8, count, raise) } {
        0 => Ok(()),
        _ => Err(Unreadable),
    }
}
