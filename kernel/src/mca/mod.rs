//! The host side of a machine check, for any number of processors.
//!
//! [`handle`] is the whole of it, run by each processor that got an #MC; docs/engine.md tells the flow as a story.
//!
//! * Every wait is bounded, and no lock is taken that interrupted code may hold: nobody waits for ever.
//! * First round: banks are read and graded ([`grade`]); second round: they are claimed and cleared, but not if the machine
//!   has to be reset.
//! * What every machine check passes through is inlined into one function: each call would cost some 14 instructions for registers
//!   that are saved and restored. What is rare is not.
//! * One processor recovers. Nothing of a vCPU's state is touched here: it gets mail.

mod claim;
mod counts;
mod emptied;
mod end;
mod extent;
mod flush;
mod handle;
#[cfg(loom)]
pub mod mutant;
#[cfg(not(loom))]
mod mutant;
mod noted;
mod poll;
mod pool;
mod recover;
mod rendezvous;
mod scan;
mod shared;
mod start;
mod turn;
mod wait;

pub use crate::mc::code::ErrorCode;
pub use crate::mc::fatal::FatalReason;
pub use crate::mc::grade::{Class, grade, grade_poll};
pub use crate::mc::machine::{Addressee, Interrupted, Kept, Machine, Owner, Replaced};
pub use crate::mc::registers;
pub use crate::mc::registers::{McgCap, McgStatus, Misc, Status};
pub use end::{await_reset, still_ending, stop_others};
pub use flush::{catch_up, flush_everywhere, is_flushed, nmi, put_back, take_out};
pub use handle::{Verdict, handle};
pub use poll::{at_work, poll};
pub use rendezvous::is_missing;
pub use shared::{Config, Shared};
pub use start::{join, online, start};
