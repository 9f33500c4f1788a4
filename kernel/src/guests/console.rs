//! A guest's console: lines of printable text, one log message each.

use arrayvec::ArrayVec;

/// Bytes of a line; a longer one is broken.
const LENGTH: usize = 200;

/// A line that is being written.
pub struct Line(ArrayVec<u8, LENGTH>);

impl Line {
    /// An empty line.
    pub const fn new() -> Self {
        Self(ArrayVec::new_const())
    }

    /// Adds a byte; gives each finished line to `print`. What is not printable ASCII becomes `?`.
    pub fn push(&mut self, byte: u8, print: impl FnOnce(&str)) {
        match byte {
            b'\n' => return self.end(print),
            b'\r' => return,
            b'\t' | b' '..=b'~' => _ = self.0.try_push(byte),
            _ => _ = self.0.try_push(b'?'),
        }
        if self.0.is_full() {
            self.end(print);
        }
    }

    /// Gives what there is of a line to `print`.
    pub fn end(&mut self, print: impl FnOnce(&str)) {
        if let Ok(text) = core::str::from_utf8(&self.0) {
            print(text);
        }
        self.0.clear();
    }

    /// Nothing has been written since the last line feed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
