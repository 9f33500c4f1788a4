//! What stock Linux does with the machine checks that guests get: scenarios run in Bochs and say what the engine gave each vCPU; the
//! same registers are raised, by QEMU's monitor, in Linux that runs there natively; a table says what must come of it.
//!
//! Linux is booted once and saved when its programs run; each row goes on from there, so that no row depends on another.

mod answer;
mod change;
mod delivered;
mod initramfs;
mod linux;
mod row;

pub use answer::{Answer, Signal, Why, judge};
pub use change::Change;
pub use delivered::{Delivery, Record, Told, deliveries};
pub use linux::{Linux, PROCESSORS};
pub use row::{Row, load};
