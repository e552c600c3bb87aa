//! Puts a key in shadow or takes it out, for operators: whoever is limited cannot loosen the limit.

use axum::extract::State;
use axum::response::Redirect;

use crate::http::app::App;
use crate::http::pages::error::PageError;
use crate::http::pages::place::PostedIn;

/// Does what the button of the key's page says, and leads back there. Sent again, it changes nothing.
pub(in crate::http::pages) async fn set(
    State(app): State<App>,
    PostedIn { place, fields }: PostedIn,
) -> Result<Redirect, PageError> {
    if !place.is_operator() {
        return Err(PageError::Forbidden);
    }
    let key = place.key(&app).await?;
    let wanted = match fields.text("shadow") {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    };
    if let Some(shadow) = wanted {
        app.keys.set_shadow(&key.id, shadow, place.signed_in.actor()).await?;
    }
    Ok(Redirect::to(&format!("/w/{}/settings/api-keys/{}", place.membership.slug, key.id)))
}
