//! The host side of machine checks against an independent implementation: QEMU raises real #MC exceptions with real banks, the image
//! runs alone (`mca=only`), and a table says what must come of each.
//!
//! A row is raised in a machine that other rows may have used; a fatal one resets that machine, and what the next boot finds in
//! its banks is checked too.

mod judge;
mod machine;
mod observed;
mod row;

pub use judge::{judge, worst_class};
pub use machine::Machines;
pub use observed::{Observed, Outcome};
pub use row::{Action, Raise, Record, Row, load};
