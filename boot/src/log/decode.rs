//! Turns an encoded frame into an event, with the table in the image's ELF.

use defmt_decoder::{DecodeError, StreamDecoder, Table};

use super::event::{Event, Level};
use crate::error::{Error, Result};

/// The image's table of format strings.
pub struct Decoder {
    table: Table,
}

impl Decoder {
    /// Reads the table from an image's ELF.
    ///
    /// # Errors
    /// The ELF has no table, or one of another defmt.
    pub fn new(elf: &[u8]) -> Result<Self> {
        match Table::parse(elf) {
            Ok(Some(table)) => Ok(Self { table }),
            Ok(None) => Err(Error::Impossible(
                "the image has no .defmt section: it is not the hypervisor, or it was stripped"
                    .into(),
            )),
            Err(why) => Err(Error::Impossible(format!(
                "the image's log table cannot be read: {why}"
            ))),
        }
    }

    /// Decodes one frame (without its closing zero). `None`: it does not belong to this image, or was damaged.
    pub fn decode(&self, frame: &[u8]) -> Option<Event> {
        let mut stream: Box<dyn StreamDecoder + Send + Sync + '_> = self.table.new_stream_decoder();
        stream.received(frame);
        stream.received(&[0]);
        let frame = match stream.decode() {
            Ok(frame) => frame,
            Err(DecodeError::Malformed | DecodeError::UnexpectedEof) => return None,
        };
        let t = frame
            .display_timestamp()
            .and_then(|stamp| stamp.to_string().trim().parse().ok());
        // defmt-parser's level type is not re-exported; its name is stable.
        let level = match frame.level().map(|level| level.as_str()) {
            Some("error") => Level::Error,
            Some("warn") => Level::Warn,
            _ => Level::Info,
        };
        Some(Event::parse(&frame.display_message().to_string(), t, level))
    }
}
