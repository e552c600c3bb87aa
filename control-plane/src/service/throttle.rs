//! Slows guessing down: see `attempts`; over several control planes: see `exchange`.

mod attempts;
mod codes;
mod exchange;
mod subject;

pub use self::attempts::{Attempt, Throttle};
pub use self::exchange::exchange;

#[cfg(test)]
mod tests;
