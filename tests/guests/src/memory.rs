//! The memory functions that compiled Rust calls and this target leaves to its C library. In assembly, since the compiler
//! may turn a loop that does the same into a call of the function that it is in.

use core::arch::asm;

/// Copies `count` bytes between places that do not overlap.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    // SAFETY: the caller owns `count` bytes at both places; the direction flag is clear, as the ABI asks.
    unsafe {
        asm!(
            "rep movsb",
            inout("rdi") to => _, inout("rsi") from => _, inout("rcx") count => _,
            options(nostack, preserves_flags),
        );
    }
    to
}

/// Copies `count` bytes between places that may overlap.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    if (to as usize).wrapping_sub(from as usize) >= count {
        // SAFETY: going up, no byte is overwritten before it has been read.
        return unsafe { memcpy(to, from, count) };
    }
    // SAFETY: as above, going down; the direction flag is cleared again.
    unsafe {
        asm!(
            "std", "rep movsb", "cld",
            inout("rdi") to.wrapping_add(count).wrapping_sub(1) => _,
            inout("rsi") from.wrapping_add(count).wrapping_sub(1) => _,
            inout("rcx") count => _,
            options(nostack),
        );
    }
    to
}

/// Fills `count` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, count: usize) -> *mut u8 {
    // SAFETY: the caller owns `count` bytes; the direction flag is clear.
    unsafe {
        asm!(
            "rep stosb",
            inout("rdi") to => _, in("al") byte as u8, inout("rcx") count => _,
            options(nostack, preserves_flags),
        );
    }
    to
}

/// Compares `count` bytes: negative, zero or positive as the first differing byte is.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, count: usize) -> i32 {
    let (above, below): (u8, u8);
    // SAFETY: the caller owns `count` bytes at both places. The comparison clears the flags that none would leave.
    unsafe {
        asm!(
            "cmp eax, eax",
            "repe cmpsb",
            "seta {above}",
            "setb {below}",
            above = out(reg_byte) above,
            below = out(reg_byte) below,
            in("eax") 0,
            inout("rsi") left => _,
            inout("rdi") right => _,
            inout("rcx") count => _,
            options(readonly, nostack),
        );
    }
    i32::from(above) - i32::from(below)
}

/// Zero when `count` bytes are the same.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, count: usize) -> i32 {
    // SAFETY: as the caller's.
    unsafe { memcmp(left, right, count) }
}

/// Counts the bytes before the zero.
#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(text: *const u8) -> usize {
    let left: usize;
    // SAFETY: the caller owns the bytes up to the zero.
    unsafe {
        asm!(
            "repne scasb",
            in("al") 0u8,
            inout("rdi") text => _,
            inout("rcx") usize::MAX => left,
            options(readonly, nostack),
        );
    }
    usize::MAX - left - 1
}
