//! What keys are used for, as the pages show it: cells of a list, charts.
#![allow(dead_code, unused_imports, reason = "the pages that use it come next")]

mod cells;
mod chart;
mod span;

pub(super) use self::cells::{LastUsed, Line};
pub(super) use self::chart::{Chart, refused};
pub(super) use self::span::Span;
