//! Keeping the key table of this Envoy process equal to the control plane's.
//!
//! [`machine`] decides what happens next and touches nothing; [`driver`] carries it out on the host; [`lease`] makes sure
//! that one context of the process does it. The wire form is in [`wire`].

pub mod driver;
pub mod lease;
pub mod machine;
pub mod wire;
