//! What the end-to-end tests share: they run the artifacts of `make build` on a real Envoy with two workers and look
//! at them the way clients and operators do.
//!
//! [`Stack`] is everything together: upstream, control plane and one Envoy. The parts can also be started one by one,
//! to test what happens without the others. Nothing here waits for a fixed time: [`eventually`] asks until a deadline.
//! Every program writes to a folder of its own test run; the folder stays when the test fails.

#[path = "../../common/cases.rs"]
pub mod cases;
pub mod client;
pub mod control;
pub mod envoy;
pub mod fleet;
pub mod gateway;
pub mod hot_restart;
pub mod http1;
pub mod http2;
pub mod manifests;
pub mod metrics;
pub mod middlebox;
pub mod random;
pub mod ratelimit;
pub mod scripted;
pub mod stack;
pub mod upstream;
mod workers;

pub use client::{Answer, Protocol, Request};
pub use control::Control;
pub use envoy::{Envoy, Plugin};
pub use flamegate_engines::{DEADLINE, eventually, process};
pub use fleet::Fleet;
pub use stack::Stack;
pub use workers::until;
