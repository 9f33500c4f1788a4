//! Where commands come from: COM1, as `serial` has set it.

use x86::io::{inb, outb};

use super::serial::{DATA, DATA_TERMINAL_READY, LINE_STATUS, MODEM_CONTROL};

const REQUEST_TO_SEND: u8 = 1 << 1;
const DATA_READY: u8 = 1 << 0;
/// Polls in which a following byte arrives at 115200 baud (87 microseconds; a port read takes about 1 on hardware, and a
/// tick under an emulator that has 8,700 ticks a byte).
const BYTE_TIME: u32 = 20_000;

/// Reads what has come on COM1 and hands over each byte, until a byte time has passed without one or the sink has had
/// enough (returns false). RTS is raised only here, so that a sender with flow control waits meanwhile.
pub fn read(mut sink: impl FnMut(u8) -> bool) {
    // SAFETY: as in `serial::init`.
    unsafe {
        // No UART: the status reads all ones.
        if inb(LINE_STATUS) == 0xff {
            return;
        }
        outb(MODEM_CONTROL, DATA_TERMINAL_READY | REQUEST_TO_SEND);
        // With nothing there at once, there is nothing to wait for.
        let mut polls = if inb(LINE_STATUS) & DATA_READY != 0 {
            BYTE_TIME
        } else {
            0
        };
        while polls > 0 {
            if inb(LINE_STATUS) & DATA_READY == 0 {
                polls -= 1;
            } else if sink(inb(DATA)) {
                polls = BYTE_TIME;
            } else {
                break;
            }
        }
        outb(MODEM_CONTROL, DATA_TERMINAL_READY);
    }
}
