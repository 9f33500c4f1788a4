//! How events are shown: as a timeline for people, as JSON lines for machines.

mod json;
mod timeline;
mod words;

pub use json::line as json;
pub use timeline::Timeline;
