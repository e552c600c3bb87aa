//! What keys are used for, as the pages show it: cells of a list, charts.

mod cells;
mod chart;
mod span;

pub(super) use self::cells::{LastUsed, Line};
pub(super) use self::chart::Chart;
pub(super) use self::span::Span;
