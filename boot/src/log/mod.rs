//! The hypervisor's log: defmt frames in, events out.
//!
//! Generic over kinds and fields: what a kernel of another version says is shown as well.

mod decode;
mod event;
mod framing;
mod reader;
mod reorder;

pub use decode::Decoder;
pub use event::{Event, Level, Value};
pub use framing::{Framer, MAGIC, Piece};
pub use reader::{Item, read};
pub use reorder::Reorder;
