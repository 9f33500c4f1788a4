//! Cuts the byte stream into encoded frames.
//!
//! The stream starts with a magic, so that whatever an emulator or firmware wrote before is skipped. A machine that resets and
//! boots again writes the magic again.

/// What the stream starts with.
pub const MAGIC: &[u8; 8] = b"\0BKSHOT1";

/// The magic as it looks in a stream that was cut at zeros.
const TAIL: &[u8] = MAGIC.split_at(1).1;

/// A piece of the stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// A boot begins.
    Start,
    /// An encoded frame, without its closing zero.
    Frame(Vec<u8>),
}

/// Cuts the stream.
#[derive(Debug, Default)]
pub struct Framer {
    started: bool,
    partial: Vec<u8>,
    noise: Vec<u8>,
}

/// How much of what comes before the magic is kept, in bytes.
const NOISE_KEPT: usize = 2048;

/// A frame that gets longer than this is noise, in bytes. The longest true one is a console line.
const FRAME_LIMIT: usize = 1 << 16;

impl Framer {
    /// Takes bytes and gives the pieces that they complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for &byte in bytes {
            if !self.started {
                self.skip(byte, &mut pieces);
            } else if byte == 0 {
                self.close(&mut pieces);
            } else {
                self.partial.push(byte);
                if self.partial == TAIL {
                    self.partial.clear();
                    pieces.push(Piece::Start);
                } else if self.partial.len() > FRAME_LIMIT {
                    self.close(&mut pieces);
                }
            }
        }
        pieces
    }

    /// What came before the magic (its end).
    pub fn noise(&self) -> String {
        let end = self.noise.strip_suffix(MAGIC).unwrap_or(&self.noise);
        String::from_utf8_lossy(end).into_owned()
    }

    /// Whether the magic was seen.
    pub fn started(&self) -> bool {
        self.started
    }

    fn skip(&mut self, byte: u8, pieces: &mut Vec<Piece>) {
        self.noise.push(byte);
        if self.noise.ends_with(MAGIC) {
            self.started = true;
            pieces.push(Piece::Start);
        } else if self.noise.len() > 2 * NOISE_KEPT {
            self.noise.drain(..NOISE_KEPT);
        }
    }

    fn close(&mut self, pieces: &mut Vec<Piece>) {
        if !self.partial.is_empty() {
            pieces.push(Piece::Frame(std::mem::take(&mut self.partial)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(bytes: &[u8]) -> Piece {
        Piece::Frame(bytes.to_vec())
    }

    #[test]
    fn skips_to_the_magic_and_cuts_at_zeros() {
        let mut framer = Framer::default();
        let pieces = framer.push(b"Bochs says\n\0BKSHO\0BKSHOT1ab\0\0cd\0e");
        assert_eq!(pieces, [Piece::Start, frame(b"ab"), frame(b"cd")]);
        assert_eq!(framer.noise(), "Bochs says\n\0BKSHO");
        assert_eq!(framer.push(b"f\0"), [frame(b"ef")]);
    }

    #[test]
    fn byte_by_byte_is_the_same() {
        let stream = b"xx\0BKSHOT1ab\0\0BKSHOT1cd\0";
        let mut framer = Framer::default();
        let pieces: Vec<_> = stream.iter().flat_map(|b| framer.push(&[*b])).collect();
        assert_eq!(
            pieces,
            [Piece::Start, frame(b"ab"), Piece::Start, frame(b"cd")]
        );
    }

    #[test]
    fn endless_noise_takes_no_endless_memory() {
        let mut framer = Framer::default();
        framer.push(&vec![b'x'; 1 << 20]);
        assert!(!framer.started());
        assert!(framer.noise().len() <= 2 * NOISE_KEPT);
        framer.push(MAGIC);
        assert_eq!(framer.push(&vec![1; FRAME_LIMIT + 1]).len(), 1);
    }
}
