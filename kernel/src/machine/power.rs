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

/// Resets the machine by ways that keep the machine-check banks, which are cleared by power-on alone (SDM vol. 3, 17.3.2.2), the surest
/// first:
///
/// 1. the keyboard controller's reset line (port 0x64, command 0xfe),
/// 2. the fast reset of port 0x92,
/// 3. the chipset's reset register (port 0xcf9): a hard reset, 6, never a power cycle, 14. Emulators clear the banks even so, and some
///    chipsets too, which is why it is not the first,
/// 4. a triple fault.
pub fn reset() -> ! {
    const KEYBOARD_STATUS: u16 = 0x64;
    const INPUT_FULL: u8 = 1 << 1;
    const PULSE_RESET: u8 = 0xfe;
    const RESET_CONTROL: u16 = 0xcf9;
    const HARD_RESET: u8 = 1 << 1;
    const RESET_PROCESSOR: u8 = 1 << 2;
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
        outb(RESET_CONTROL, HARD_RESET);
        outb(RESET_CONTROL, HARD_RESET | RESET_PROCESSOR);
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
