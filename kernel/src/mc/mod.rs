//! What host and guest side of a machine check both speak of: registers, classes, findings, mail, events, and the machine as the engine
//! sees it. Nothing here does anything by itself, and nothing here knows either side.

pub mod code;
pub mod event;
pub mod fatal;
pub mod finding;
pub mod grade;
pub mod machine;
pub mod mail;
pub mod mailbox;
pub mod refused;
pub mod registers;
pub mod stop;
