//! Reads a log on a thread of its own, so that the run can also watch the clock and the user.

use std::io::Read;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use super::decode::Decoder;
use super::event::Event;
use super::framing::{Framer, Piece};

/// What a log gives.
#[derive(Debug)]
pub enum Item {
    /// A boot began.
    Start,
    /// An event.
    Event(Event),
    /// A frame that this image's table does not explain.
    Undecodable,
    /// Nothing more comes.
    End {
        /// What there was instead of a log, if there was none at all; its end.
        noise: String,
    },
}

/// Starts reading.
pub fn read(mut log: Box<dyn Read + Send>, decoder: Decoder) -> Receiver<Item> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut framer = Framer::default();
        let mut buffer = vec![0; 1 << 16];
        loop {
            let got = match log.read(&mut buffer) {
                Ok(0) => break,
                Ok(got) => got,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                // An emulator that was ended: the same as its end.
                Err(_) => break,
            };
            for piece in framer.push(&buffer[..got]) {
                let item = match piece {
                    Piece::Start => Item::Start,
                    Piece::Frame(frame) => decoder
                        .decode(&frame)
                        .map_or(Item::Undecodable, Item::Event),
                };
                if sender.send(item).is_err() {
                    return;
                }
            }
        }
        let noise = if framer.started() {
            String::new()
        } else {
            framer.noise()
        };
        // The run may have ended already: then nobody wants to know.
        let _ = sender.send(Item::End { noise });
    });
    receiver
}
