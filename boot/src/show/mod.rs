//! How events are shown: as a timeline for people, as JSON lines for machines, as records for what reads
//! Linux's.

mod clock;
mod json;
mod mcelog;
mod timeline;
mod words;

pub use json::Json;
pub use mcelog::{Recorder, records as mcelog};
pub use timeline::Timeline;
