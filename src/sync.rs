//! Keeping the key table of this Envoy process equal to the control plane's.
pub mod wire;
