//! The stylesheet, the script and the icon: compiled in, under names that have their hash, so that browsers keep them for
//! ever and never keep an old one.

use std::sync::LazyLock;

use axum::Router;
use axum::http::header;
use axum::routing::get;
use sha2::{Digest, Sha256};

use crate::http::app::App;

/// A file and where it is.
pub(super) struct Asset {
    /// Its path, with its hash.
    pub path: String,
    content_type: &'static str,
    body: &'static str,
}

pub(super) static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new(
        "style",
        "css",
        "text/css; charset=utf-8",
        concat!(include_str!("../../../assets/style.css"), include_str!("../../../assets/usage.css")),
    )
});
pub(super) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new(
        "pages",
        "js",
        "text/javascript; charset=utf-8",
        concat!(include_str!("../../../assets/pages.js"), include_str!("../../../assets/live.js")),
    )
});
pub(super) static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon", "svg", "image/svg+xml", include_str!("../../../assets/icon.svg")));

const FOR_EVER: &str = "public, max-age=31536000, immutable";

impl Asset {
    fn new(name: &str, extension: &str, content_type: &'static str, body: &'static str) -> Self {
        let hash: String = Sha256::digest(body).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Self { path: format!("/assets/{name}.{hash}.{extension}"), content_type, body }
    }
}

pub(super) fn routes() -> Router<App> {
    [&*STYLE, &*SCRIPT, &*ICON].into_iter().fold(Router::new(), |router, asset| {
        let answer = [(header::CONTENT_TYPE, asset.content_type), (header::CACHE_CONTROL, FOR_EVER)];
        router.route(&asset.path, get(async move || (answer, asset.body)))
    })
}
