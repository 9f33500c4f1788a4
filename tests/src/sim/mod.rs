//! A simulated machine with 1 to 4096 processors, for the machine-check engine.
//!
//! Every processor is a coroutine that may be suspended at each of its calls of `Machine`; a seed decides who goes on, so a
//! run is the same every time. What atomics alone can do wrong between two such calls is left to the model checker.

mod call;
mod run;
mod vcpu;
mod view;
mod world;

pub use call::{After, Call, Raise};
pub use run::{Attendance, Order, Outcome, Signal, Simulation};
pub use vcpu::{Seen, Vcpu};
pub use view::View;
pub use world::{Regs, Step, Work, World, running};
