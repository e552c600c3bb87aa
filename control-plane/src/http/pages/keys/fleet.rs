//! What is left of the limits of a key that all gateways count together, and which gateways hold how much: that is for operators.

use crate::contract::WhenUnreachable;
use crate::domain::error::Error;
use crate::domain::keys::{Key, Status};
use crate::http::app::App;
use crate::http::pages::limits::limits_text;
use crate::http::pages::place::Place;
use crate::http::pages::view::grouped;

/// A fleet limit in words.
pub(super) struct Fleet {
    pub limit: String,
    /// What can be admitted now; `None` while nothing counts for all.
    pub left: Option<String>,
    /// Tokens that gateways have; `None` for none.
    pub lent: Option<String>,
    /// True when gateways refuse while nothing counts for all.
    pub refuses: bool,
    /// Gateways with their tokens.
    pub holders: Vec<(String, String)>,
}

impl Fleet {
    /// Those of a key that works.
    pub async fn of(app: &App, place: &Place, key: &Key) -> Result<Vec<Self>, Error> {
        if key.status(app.clock.now()) != Status::Active {
            return Ok(Vec::new());
        }
        let is_operator = place.is_operator();
        let limits = app.lending.of_key(key).await?.into_iter().map(|found| {
            let state = found.state.ok();
            let holders = state.iter().filter(|_| is_operator).flat_map(|state| &state.holders);
            Self {
                limit: limits_text(std::slice::from_ref(&found.limit)),
                left: state.as_ref().map(|state| grouped(state.left)),
                lent: state.as_ref().map(|state| state.lent).filter(|lent| *lent > 0).map(grouped),
                refuses: found.limit.when_unreachable == WhenUnreachable::Refuse,
                holders: holders.map(|(gateway, tokens)| (gateway.clone(), grouped(*tokens))).collect(),
            }
        });
        Ok(limits.collect())
    }
}
