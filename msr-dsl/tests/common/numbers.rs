//! Numbers that look random and are the same in every run.

/// Numbers from a seed (xorshift).
pub struct Numbers(pub u64);

impl Numbers {
    /// One below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }
}
