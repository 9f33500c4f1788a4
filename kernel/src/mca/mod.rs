//! The host side of a machine check.

mod code;
mod fatal;
mod grade;
mod machine;
pub mod registers;

pub use code::ErrorCode;
pub use fatal::FatalReason;
pub use grade::{Class, grade, grade_poll};
pub use machine::{Addressee, Interrupted, Machine, Owner};
pub use registers::{McgCap, McgStatus, Misc, Status};
