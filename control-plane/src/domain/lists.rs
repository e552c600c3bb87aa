//! Lists and their parts.

/// Rows are counted for people up to this number: nobody pages through more, and counting looks at each of them.
pub const MOST_COUNTED: u32 = 10_000;

/// A part of a list, and the row number behind which the next one begins. `found` is one entry longer when there is a next one.
pub(crate) fn part<T>(mut found: Vec<T>, limit: u32, row: impl Fn(&T) -> i64) -> (Vec<T>, Option<i64>) {
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next = found.last().filter(|_| more).map(row);
    (found, next)
}
