//! Keeping the key table of this Envoy process equal to the control plane's.
//!
//! [`machine`] decides what happens next and touches nothing, [`patience`] how long a poll may be held, and [`failure`] is why there is no
//! answer; [`driver`] carries it out on the host; [`lease`] makes sure that one context of the process does it; [`session`] tells this
//! process from others of its name; [`reports`] and [`no_table`] are what operators read of it. [`usage`] posts what
//! keys were used for, beside the polls. The wire form is in [`crate::contract::page`].

pub mod driver;
pub mod failure;
mod followers;
pub mod lease;
pub mod lender;
pub mod machine;
pub mod no_table;
mod pace;
pub mod patience;
mod plans;
pub mod reports;
pub mod session;
pub mod tagged_position;
pub mod usage;
