//! What keys are used for: how often each had which outcome, in which minutes, hours and days.

pub(crate) mod gateways;
pub(crate) mod headroom;
pub(crate) mod lines;
pub(crate) mod period;
pub(crate) mod post;
mod said;
pub(crate) mod shadow;
pub(crate) mod tally;

pub use self::gateways::{GatewayChanges, KeyGateway, MOST_GATEWAYS};
pub use self::headroom::{Headroom, Over};
pub use self::lines::Lines;
pub use self::period::{MOST_BUCKETS, Period, Step};
pub use self::post::{Batch, Dead, Ended, KeyRow, Rows, Use};
pub use self::shadow::{
    KeyShadow, MOST_GATEWAYS_A_DAY, OTHER_GATEWAYS, ReasonShadow, SHADOW_KEPT, ShadowRows,
};
pub use self::tally::{Bucket, Minute, Tally, minute_of, time_of};
