//! What keys are used for: how often each had which outcome, in which minutes, hours and days.

pub(crate) mod lines;
pub(crate) mod period;
pub(crate) mod post;
pub(crate) mod tally;

pub use self::lines::Lines;
pub use self::period::{MOST_BUCKETS, Period, Step};
pub use self::post::{Batch, Dead, Ended, KeyRow, Rows, Use};
pub use self::tally::{Bucket, Minute, Tally, minute_of, time_of};
