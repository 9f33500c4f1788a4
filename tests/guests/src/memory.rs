//! The memory functions that compiled Rust calls and this target leaves to its C library.

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
    let mut index = 0;
    while index < count {
        // SAFETY: the caller owns `count` bytes at both places.
        let (left, right) = unsafe { (left.add(index).read(), right.add(index).read()) };
        if left != right {
            return i32::from(left) - i32::from(right);
        }
        index += 1;
    }
    0
}
