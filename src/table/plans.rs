//! All plans, once, in shared data: limits and restrictions that records refer to by name. They are written before the records that do.
//!
//! `version u8 │ JSON`: they are few, and read when a worker meets one for the first time after a change.

use std::collections::BTreeMap;

use crate::contract::plan::Plan;
use crate::host::{Expect, HostError, SharedData};

/// Shared-data key of the plans.
pub const PLANS_KEY: &str = "flamegate/plans";
const VERSION: u8 = 1;

/// Plans by name.
pub type Plans = BTreeMap<String, Plan>;

/// All plans; `None` when they are not there or not of a form that we know.
pub fn read<H: SharedData>(host: &H) -> Result<Option<Plans>, HostError> {
    Ok(host.read(PLANS_KEY)?.and_then(|stored| decode(&stored.bytes)))
}

/// Puts these in the place of all that are there.
pub fn write<H: SharedData>(host: &H, plans: &Plans) -> Result<(), HostError> {
    let mut out = vec![VERSION];
    // What came as JSON can be written as JSON.
    out.extend(serde_json::to_vec(plans).unwrap_or_default());
    host.write(PLANS_KEY, &out, Expect::Any).map(drop)
}

fn decode(bytes: &[u8]) -> Option<Plans> {
    let (version, json) = bytes.split_first()?;
    if *version == VERSION { serde_json::from_slice(json).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    #[test]
    fn what_was_written_is_read_and_anything_else_is_nothing() {
        let host = FakeHost::at(1);
        assert_eq!(read(&host), Ok(None));
        let plan = Plan { version: 7, limits: Vec::new(), restrict: None };
        let plans = Plans::from([("gold".to_owned(), plan)]);
        write(&host, &plans).unwrap();
        assert_eq!(read(&host), Ok(Some(plans)));
        for bytes in [&b""[..], b"\x02{}", b"\x01", b"\x01[]"] {
            host.write(PLANS_KEY, bytes, Expect::Any).unwrap();
            assert_eq!(read(&host), Ok(None), "{bytes:?}");
        }
        write(&host, &Plans::new()).unwrap();
        assert_eq!(read(&host), Ok(Some(Plans::new())));
    }
}
