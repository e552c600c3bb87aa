//! A form that makes or ends a key, sent once or more often: the work is done once, to its end, and whoever sends the form again
//! within a minute is answered as the first time. Who has changed the form meanwhile, or sends it for another key, is told that
//! nothing more was done.

use std::future::Future;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Redirect;

use crate::domain::error::Error;
use crate::domain::keys::IdempotencyKey;
use crate::domain::keys::secret::PlaintextKey;
use crate::http::app::App;
use crate::http::pages::error::PageError;
use crate::http::pages::fields::Fields;
use crate::http::pages::place::{Place, Uncounted};
use crate::service::keys::kept::{Asked, FormId, Made};
use crate::store::Written;

/// A form by its token, in the hands of one session.
pub(super) struct Once {
    /// The token.
    pub token: String,
    /// What the database remembers it by: tied to the user, so that another user's token means nothing.
    pub key: IdempotencyKey,
    id: FormId,
    asked: Asked,
    person: i64,
}

/// What came of a form.
pub(super) enum Outcome<T> {
    /// It has made this, just now.
    First(T, Made),
    /// It was sent before and made this.
    Again(Made),
    /// It was sent before, asking for something else, and made this key.
    Changed(String),
}

/// A form that has a token.
const FORM: &str = "form";

/// What the work of a form says of itself.
pub(super) type Done<T> = Result<Written<(T, String, Option<PlaintextKey>)>, Error>;

impl Once {
    /// From the fields of a form that has a token; `what` it does, and to which key.
    pub fn new(place: &Place, what: &str, fields: &Fields) -> Result<Self, Error> {
        let token = fields.text("once").to_owned();
        if token.is_empty() {
            return Err(Error::invalid("once", "is missing: open the form again"));
        }
        let key = IdempotencyKey::parse(&format!("page:{}:{token}", place.signed_in.user.id))?;
        let (id, person) = (form_id(place, FORM, &token), place.signed_in.user.seq);
        Ok(Self { token, key, id, asked: asked(what, fields), person })
    }

    /// Does the work, unless the form was sent before and there is still what it made.
    pub async fn run<T: Send + 'static>(
        &self,
        app: &App,
        work: impl Future<Output = Done<T>> + Send + 'static,
    ) -> Result<Outcome<T>, Error> {
        run(app, (self.id, self.asked), self.person, work).await
    }
}

/// The same for ending a key, which happens once by itself.
pub(super) async fn run_end<T: Send + 'static>(
    app: &App,
    place: &Place,
    key_id: &str,
    work: impl Future<Output = Done<T>> + Send + 'static,
) -> Result<Outcome<T>, Error> {
    let form = (form_id(place, "end", key_id), Asked::new(&["end", key_id]));
    run(app, form, place.signed_in.user.seq, work).await
}

/// The key was copied: nobody needs to see it again.
pub(in crate::http::pages) async fn copied(
    State(app): State<App>,
    posted: Uncounted,
) -> Result<Redirect, PageError> {
    let posted = posted.uncounted();
    app.kept.forget(&form_id(&posted.place, FORM, posted.fields.text("once")));
    Ok(Redirect::to(&format!("/w/{}/settings/api-keys", posted.place.membership.slug)))
}

fn form_id(place: &Place, kind: &str, name: &str) -> FormId {
    FormId::new(&[&place.signed_in.csrf, &place.membership.workspace, kind, name])
}

/// All fields but the session's token, which is the same for all forms of the session.
fn asked(what: &str, fields: &Fields) -> Asked {
    let fields = fields.pairs().into_iter().filter(|(name, _)| *name != "csrf");
    let parts: Vec<_> = [what].into_iter().chain(fields.flat_map(|(name, value)| [name, value])).collect();
    Asked::new(&parts)
}

async fn run<T: Send + 'static>(
    app: &App,
    (id, asked): (FormId, Asked),
    person: i64,
    work: impl Future<Output = Done<T>> + Send + 'static,
) -> Result<Outcome<T>, Error> {
    let kept = app.kept.clone();
    // To its end even when nobody listens any more: a browser drops the answer to the first click when it gets the second.
    let whole = async move {
        // A second click waits here for the first.
        let mut slot = kept.slot(id, person).lock_owned().await;
        match slot.as_ref() {
            Some(made) if made.asked == asked => return Ok(Outcome::Again(made.clone())),
            Some(made) => return Ok(Outcome::Changed(made.id.clone())),
            None => {}
        }
        let done = work.await;
        let Written { value: (value, key, plaintext), head, at } = done.inspect_err(|_| kept.forget(&id))?;
        let (plaintext, revision) = (plaintext.map(Arc::new), head.revision);
        let made = Made { asked, id: key, plaintext, revision, at };
        *slot = Some(made.clone());
        Ok(Outcome::First(value, made))
    };
    tokio::spawn(whole).await.map_err(Error::internal)?
}
