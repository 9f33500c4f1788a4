//! The memory functions that the compiler calls: this target's precompiled core library leaves them to the C library, of which
//! there is none here. By string instructions: short, and no XMM register.

use core::arch::asm;

/// # Safety
/// As C's.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(destination: *mut u8, source: *const u8, length: usize) -> *mut u8 {
    // SAFETY: by the caller.
    unsafe {
        asm!(
            "rep movsq",
            "mov ecx, {rest:e}",
            "rep movsb",
            rest = in(reg) length % 8,
            inout("rcx") length / 8 => _,
            inout("rdi") destination => _,
            inout("rsi") source => _,
            options(nostack, preserves_flags)
        );
    }
    destination
}

/// # Safety
/// As C's.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(destination: *mut u8, source: *const u8, length: usize) -> *mut u8 {
    if (destination as usize).wrapping_sub(source as usize) >= length {
        // SAFETY: by the caller; copying upwards reads nothing that it has written.
        return unsafe { memcpy(destination, source, length) };
    }
    // SAFETY: by the caller; downwards, from the last byte.
    unsafe {
        asm!(
            "std",
            "rep movsb",
            "cld",
            inout("rcx") length => _,
            inout("rdi") destination.wrapping_add(length).wrapping_sub(1) => _,
            inout("rsi") source.wrapping_add(length).wrapping_sub(1) => _,
            options(nostack)
        );
    }
    destination
}

/// # Safety
/// As C's.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(destination: *mut u8, byte: i32, length: usize) -> *mut u8 {
    let pattern = u64::from(byte as u8) * 0x0101_0101_0101_0101;
    // SAFETY: by the caller.
    unsafe {
        asm!(
            "rep stosq",
            "mov ecx, {rest:e}",
            "rep stosb",
            rest = in(reg) length % 8,
            in("rax") pattern,
            inout("rcx") length / 8 => _,
            inout("rdi") destination => _,
            options(nostack, preserves_flags)
        );
    }
    destination
}

/// # Safety
/// As C's.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(first: *const u8, second: *const u8, length: usize) -> i32 {
    for index in 0..length {
        // SAFETY: by the caller. Volatile, so that the loop does not become a call of this function.
        let (a, b) = unsafe {
            (
                first.add(index).read_volatile(),
                second.add(index).read_volatile(),
            )
        };
        if a != b {
            return i32::from(a) - i32::from(b);
        }
    }
    0
}

/// # Safety
/// As C's.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(first: *const u8, second: *const u8, length: usize) -> i32 {
    // SAFETY: by the caller.
    unsafe { memcmp(first, second, length) }
}
