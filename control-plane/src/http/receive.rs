//! Bodies are read whole before anything is taken for their requests: a slow one keeps nobody else waiting. Each is bounded in
//! size by its route and in time altogether, however it trickles.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use tokio::time;

use super::app::App;
use super::error::Failure;

/// Longest body of a request, in bytes; a batch import may be longer.
pub const MAX_BODY: usize = 64 * 1024;

/// For `/v1`.
pub async fn receive(State(app): State<App>, request: Request, next: Next) -> Result<Response, Failure> {
    let most = match request.uri().path() {
        super::keys::BATCH_PATH => super::keys::MAX_BATCH_BODY,
        _ => MAX_BODY,
    };
    Ok(next.run(whole(request, most, app.patience.body).await?).await)
}

/// The request with its body in memory; the error when that is longer than `most` bytes or does not come in time.
pub(super) async fn whole(request: Request, most: usize, within: Duration) -> Result<Request, Failure> {
    if request.body().is_end_stream() {
        return Ok(request);
    }
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if length.and_then(|text| text.parse::<usize>().ok()).is_some_and(|length| length > most) {
        return Err(Failure::PayloadTooLarge);
    }
    let (parts, body) = request.into_parts();
    let late = |_| Failure::BadRequest("the body did not arrive in time".to_owned());
    let bytes = time::timeout(within, gather(body, most)).await.map_err(late)??;
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

/// Its bytes in one piece, so that one in a thousand frames costs no more than one in one.
async fn gather(mut body: Body, most: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Failure::BadRequest("the body could not be read".to_owned()))?;
        let Ok(data) = frame.into_data() else { continue };
        if data.len() > most - bytes.len() {
            return Err(Failure::PayloadTooLarge);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}
