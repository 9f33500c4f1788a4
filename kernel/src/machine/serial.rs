//! Where the log goes: port 0xE9 of an emulator, or COM1.

use core::sync::atomic::{AtomicBool, Ordering};

use x86::io::{inb, outb};

/// Bochs and QEMU's debug console: reads give the port's own number where it exists.
const DEBUG_CONSOLE: u16 = 0xe9;
const COM1: u16 = 0x3f8;
pub(super) const DATA: u16 = COM1;
const INTERRUPT_ENABLE: u16 = COM1 + 1;
const FIFO_CONTROL: u16 = COM1 + 2;
const LINE_CONTROL: u16 = COM1 + 3;
pub(super) const MODEM_CONTROL: u16 = COM1 + 4;
pub(super) const LINE_STATUS: u16 = COM1 + 5;
const DIVISOR_ACCESS: u8 = 1 << 7;
const EIGHT_BITS: u8 = 3;
pub(super) const DATA_TERMINAL_READY: u8 = 1 << 0;
const TRANSMITTER_EMPTY: u8 = 1 << 5;
/// Polls before a UART that does not answer is given up: from then on nobody waits for it until it has been found ready.
const PATIENCE: u32 = 1_000_000;

/// The way out, chosen once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// The emulator's debug console: a tick a byte.
    DebugConsole,
    /// COM1, 115200 8N1.
    Com1,
}

/// Sets COM1 to 115200 8N1 without FIFO (input must not overrun between two polls), and finds the way out.
pub fn init() -> Output {
    // SAFETY: these ports are COM1's by convention since the PC/AT and the emulators' debug console; a machine without them
    // ignores the writes and reads all ones.
    unsafe {
        outb(INTERRUPT_ENABLE, 0);
        outb(LINE_CONTROL, DIVISOR_ACCESS);
        outb(DATA, 1);
        outb(INTERRUPT_ENABLE, 0);
        outb(LINE_CONTROL, EIGHT_BITS);
        outb(FIFO_CONTROL, 0);
        outb(MODEM_CONTROL, DATA_TERMINAL_READY);
        if inb(DEBUG_CONSOLE) == DEBUG_CONSOLE as u8 {
            Output::DebugConsole
        } else {
            Output::Com1
        }
    }
}

/// The UART was given up.
static GIVEN_UP: AtomicBool = AtomicBool::new(false);

/// Whether the UART takes a byte, now or soon.
fn is_ready() -> bool {
    let patience = if GIVEN_UP.load(Ordering::Relaxed) {
        1
    } else {
        PATIENCE
    };
    // SAFETY: as in `init`.
    let is_empty = || unsafe { inb(LINE_STATUS) } & TRANSMITTER_EMPTY != 0;
    let is_ready = (0..patience).any(|_| is_empty());
    GIVEN_UP.store(!is_ready, Ordering::Relaxed);
    is_ready
}

/// Writes bytes; a UART that never empties loses them rather than hang the machine.
pub fn write(output: Output, bytes: &[u8]) {
    for &byte in bytes {
        // SAFETY: as in `init`.
        unsafe {
            match output {
                Output::DebugConsole => outb(DEBUG_CONSOLE, byte),
                Output::Com1 if is_ready() => outb(DATA, byte),
                Output::Com1 => {}
            }
        }
    }
}
