//! Lending over a fleet as a model for an exhaustive checker: gateways, the book, its engine and its clock, messages that are lost, late or
//! come twice, gateways that die, histories that begin anew. The book's steps and the gateways' pools are the functions that run.
//!
//! Time is in ticks of half a lease; a token comes with each tick. A holder's clock may be slow or fast within what is allowed, so it may end
//! a lease at any time up to its end, as seen by nobody's clock but the world's.

pub mod model;
pub mod weak;
