//! The fuzzer's bytes, taken as numbers one after the other. What is missing at the end is zero.

/// What is left of the input.
pub struct Input<'a>(pub &'a [u8]);

impl Input<'_> {
    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// The next two bytes.
    pub fn short(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// True when nothing is left.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
