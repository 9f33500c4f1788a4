//! Whose a vCPU is: the one processor that touches what is its own, and which that is next.
//!
//! Whoever has something for the vCPU writes it down first and then asks for its processor, to have that one look. It may get the old one while the vCPU is being handed over:
//! the new one then sees what was written when it looks for the first time, so that nobody has to be asked twice.

use crate::sync::{AtomicU32, Ordering, constructor, fence};
use crate::units::Pcpu;

/// The processor whose something is.
pub struct Whose(AtomicU32);

impl Whose {
    constructor! {
        /// It is that processor's.
        pub fn new(number: Pcpu) -> Self {
            Self(AtomicU32::new(number.0 as u32))
        }
    }

    /// The processor whose it is. If it is another one's by the time that this returns, that one sees what was written before the call.
    pub fn processor(&self) -> Pcpu {
        // With that of `hand_over`: either this one is first, and what was written is seen there, or that one is, and the new number is seen here.
        fence(Ordering::SeqCst);
        Pcpu(self.0.load(Ordering::Acquire) as u16)
    }

    /// It is that processor's from now on. By the one whose it was, which touches it no more.
    pub fn hand_over(&self, to: Pcpu) {
        self.0.store(to.0.into(), Ordering::Release);
        fence(Ordering::SeqCst);
    }
}
