//! The seams between the pure core and the proxy: shared data, clocks, callouts. Each is what the host really offers, with
//! its sharp edges named in the types instead of hidden.

mod callouts;
mod clock;
mod error;
#[cfg(any(test, feature = "fake-host"))]
pub mod fake;
mod peer;
mod random;
mod shared_data;

pub use callouts::{Call, Callouts};
pub use clock::{Clock, Monotonic, Now, WallClock};
pub use error::HostError;
pub use peer::Peer;
pub use random::random_u64;
pub use shared_data::{Expect, SharedData, Versioned, Write};
