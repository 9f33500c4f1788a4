//! Lines of text for the hypervisor's log.

use core::fmt::{self, Write};
use core::hint::spin_loop;
use core::sync::atomic::{AtomicBool, Ordering};

use kernel::guest::hypercall::Hypercall;

use crate::hypercall;

/// Held while a line is written, so that lines of several vCPUs do not mix.
static BUSY: AtomicBool = AtomicBool::new(false);

/// Writes a line, formatted as by `format!`.
#[macro_export]
macro_rules! line {
    ($($argument:tt)*) => { $crate::console::line(format_args!($($argument)*)) };
}

/// Writes a line. Not for exception handlers: the interrupted code may be writing one.
pub fn line(text: fmt::Arguments) {
    while BUSY.swap(true, Ordering::Acquire) {
        spin_loop();
    }
    line_now(text);
    BUSY.store(false, Ordering::Release);
}

/// Writes a line at once, into another line if need be: for the last words of a guest.
pub fn line_now(text: fmt::Arguments) {
    let mut packer = Packer {
        bytes: [0; 8],
        count: 0,
    };
    packer.write_fmt(text).expect("a packer takes any text");
    packer.push(b'\n');
    packer.flush();
}

/// Packs text into calls of eight bytes.
struct Packer {
    bytes: [u8; 8],
    count: usize,
}

impl Packer {
    fn push(&mut self, byte: u8) {
        self.bytes[self.count] = byte;
        self.count += 1;
        if self.count == self.bytes.len() {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if self.count > 0 {
            let bytes = u64::from_le_bytes(self.bytes);
            hypercall::call(Hypercall::Console, [bytes, self.count as u64, 0, 0, 0]);
            self.count = 0;
        }
    }
}

impl Write for Packer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| self.push(byte));
        Ok(())
    }
}
