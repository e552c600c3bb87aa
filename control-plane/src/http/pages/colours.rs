//! Light, dark, or as the reader's system is: a cookie of the browser, chosen on the account page. It opens nothing and says nothing of anybody.
//!
//! Every page shows it, also those that know no session, such as an error. So what a request came with stands beside the task that answers it.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

use super::cookies;
use crate::domain::error::Error;
use crate::http::app::App;

/// What the reader has chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Colours {
    /// As the system is.
    #[default]
    System,
    Light,
    Dark,
}

tokio::task_local! { static CHOSEN: Colours; }

/// A year, from each choice on.
const MAX_AGE_SECONDS: u32 = 365 * 24 * 3600;

impl Colours {
    /// Of the request that is answered here.
    pub fn chosen() -> Self {
        CHOSEN.try_with(|colours| *colours).unwrap_or_default()
    }

    /// The name in the cookie, in the form and of the page's class.
    pub const fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// What the browser's own parts follow.
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::System => "light dark",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// What is not understood is as if it were not there.
    pub fn of(name: &str) -> Self {
        [Self::Light, Self::Dark].into_iter().find(|colours| colours.name() == name).unwrap_or_default()
    }

    fn of_cookies(app: &App, headers: &HeaderMap) -> Self {
        cookies::value(&cookies::name(app, "colours"), headers).map(Self::of).unwrap_or_default()
    }

    /// The cookie that keeps it; of what needs none, the one that takes it back.
    pub fn cookie(self, app: &App) -> Result<HeaderValue, Error> {
        let name = cookies::name(app, "colours");
        let (value, age) = if self == Self::System { ("", 0) } else { (self.name(), MAX_AGE_SECONDS) };
        let secure = if app.pages.is_secure() { "; Secure" } else { "" };
        let text = format!("{name}={value}; HttpOnly; SameSite=Lax; Path=/; Max-Age={age}{secure}");
        HeaderValue::from_str(&text).map_err(Error::internal)
    }
}

/// Notes what a request came with.
pub(super) async fn note(State(app): State<App>, request: Request, next: Next) -> Response {
    let colours = Colours::of_cookies(&app, request.headers());
    CHOSEN.scope(colours, next.run(request)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_page_shows_what_its_request_came_with() {
        assert_eq!(Colours::chosen(), Colours::System, "of no request");
        for colours in [Colours::System, Colours::Light, Colours::Dark] {
            assert_eq!(Colours::of(colours.name()), colours);
            assert_eq!(CHOSEN.scope(colours, async { Colours::chosen() }).await, colours);
        }
        assert_eq!(Colours::of("\"><script>"), Colours::System);
    }
}
