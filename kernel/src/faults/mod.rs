//! The fault injector: bank contents as text commands, and an overlay that shows them as if the hardware had them.
//!
//! The engine learns of a fault only by reading MSRs. Raising the vector is the machine's business. Absent from a production
//! image (feature `faults`).

#[cfg(any(feature = "faults", test))]
mod command;
#[cfg(any(feature = "faults", test))]
mod overlay;

#[cfg(any(feature = "faults", test))]
mod schedule;

pub use crate::mc::refused::Refused;
#[cfg(any(feature = "faults", test))]
pub use command::{Fault, When, parse};
#[cfg(any(feature = "faults", test))]
pub use overlay::{Overlay, raise};
#[cfg(any(feature = "faults", test))]
pub use schedule::Schedule;
