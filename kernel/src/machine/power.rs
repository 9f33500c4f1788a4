//! The end: off and reset.

use x86::io::{inb, outb};

use super::descriptors::TablePointer;

/// Turns an emulated machine off; a real one stays halted with the log written.
pub fn off() -> ! {
    for byte in *b"Shutdown" {
        // SAFETY: Bochs's power-off port (iodev/unmapped.cc); elsewhere nothing answers there.
        unsafe { outb(0x8900, byte) };
    }
    super::halt()
}

/// Resets the machine by ways that keep the machine-check banks, the gentlest first: the keyboard controller's reset line, port 0x92,
/// a triple fault. Not port 0xcf9, which is a power cycle to many chipsets.
pub fn reset() -> ! {
    const KEYBOARD_STATUS: u16 = 0x64;
    const INPUT_FULL: u8 = 1 << 1;
    const PULSE_RESET: u8 = 0xfe;
    // SAFETY: resetting is what is wanted; the ports are the PC/AT's, and a machine without them reads all ones.
    unsafe {
        for _ in 0..PATIENCE {
            if inb(KEYBOARD_STATUS) & INPUT_FULL == 0 {
                break;
            }
        }
        outb(KEYBOARD_STATUS, PULSE_RESET);
        wait();
        outb(0x92, inb(0x92) & !1);
        outb(0x92, inb(0x92) | 1);
        wait();
        let no_idt = TablePointer { limit: 0, base: 0 };
        core::arch::asm!("lidt [{}]", "ud2", in(reg) &no_idt, options(noreturn));
    }
}

/// Polls of a device that may not be there.
const PATIENCE: u32 = 100_000;

/// Gives a reset the time to happen: some tens of milliseconds.
fn wait() {
    for _ in 0..PATIENCE {
        // SAFETY: the port of POST codes has no effect on the machine.
        unsafe { outb(0x80, 0) };
    }
}
