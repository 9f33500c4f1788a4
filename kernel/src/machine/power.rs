//! The end: off and reset.

use x86::io::outb;

/// Turns an emulated machine off; a real one stays halted with the log written.
pub fn off() -> ! {
    for byte in *b"Shutdown" {
        // SAFETY: Bochs's power-off port (iodev/unmapped.cc); elsewhere nothing answers there.
        unsafe { outb(0x8900, byte) };
    }
    super::halt()
}

/// Resets the machine by the way that keeps the machine-check banks: the keyboard controller's reset line (INIT-like reset
/// of the chipset, not a power cycle), then port 0x92, then a triple fault.
pub fn reset() -> ! {
    // SAFETY: resetting is what is wanted; the ports are the PC/AT's.
    unsafe {
        outb(0x64, 0xfe);
        outb(0x92, 1);
    }
    super::halt()
}
