//! Standard output and standard error. A reader that has gone away (`cargo msr check ... | head`) is no error of ours.

use super::USAGE;
use std::fmt::Arguments;
use std::io::{ErrorKind, Write};

/// `println!` for results. A full disk ends the program: results are lost.
macro_rules! put {
    ($($text:tt)*) => {
        $crate::cli::output::line(format_args!($($text)*))
    };
}

/// `eprintln!` for talk.
macro_rules! tell {
    ($($text:tt)*) => {
        $crate::cli::output::talk(format_args!($($text)*))
    };
}

pub(super) use {put, tell};

/// Whether somebody reads standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// More may follow.
    There,
    /// Nobody will see what follows.
    Gone,
}

/// Writes a line to standard output.
pub fn line(text: Arguments) -> Reader {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Ok(()) => Reader::There,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Reader::Gone,
        Err(error) => {
            talk(format_args!("standard output: {error}"));
            std::process::exit(USAGE.into());
        }
    }
}

/// Writes a line to standard error, if it can be written to.
pub fn talk(text: Arguments) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
