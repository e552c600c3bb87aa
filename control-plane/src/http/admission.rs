//! Who is let in, and how much of what there is anyone may have: connections, places in progress, turns, changes by one person.

pub mod connections;
pub mod person_limit;
pub mod slots;
pub mod turns;
