//! Two clocks: one that never steps back, and one that the rest of the world shares.

/// Nanoseconds on the monotonic clock, which all worker threads of one process share. Never steps back.
pub type Monotonic = u64;
/// Nanoseconds since the Unix epoch. May step in either direction.
pub type WallClock = u64;

/// One reading of both clocks, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For limits, leases and timeouts.
    pub monotonic: Monotonic,
    /// For expiry and the age of the table.
    pub wall: WallClock,
}

/// Reads the clocks.
pub trait Clock {
    /// Both clocks at this moment.
    fn now(&self) -> Now;

    /// The monotonic clock alone, for who needs no more: each reading is a host call.
    fn monotonic(&self) -> Monotonic {
        self.now().monotonic
    }

    /// The wall clock alone.
    fn wall(&self) -> WallClock {
        self.now().wall
    }
}
