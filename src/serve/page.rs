//! The page at `/`: chat and lessons in a browser. It is made from `web/serve` and committed, so that the program builds without
//! Node; a test of the package compares.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Response, header};
use axum::routing::get;

use super::app::App;
use super::body::typed;

/// Path, type and text of each file.
const FILES: [(&str, &str, &str); 4] = [
    ("/", "text/html; charset=utf-8", include_str!("page/index.html")),
    ("/page.js", "text/javascript; charset=utf-8", include_str!("page/page.js")),
    ("/page.css", "text/css; charset=utf-8", include_str!("page/page.css")),
    ("/icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
];

/// The page may run its own script and talk to its own server, and nothing else; no other page may hold it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The addresses.
pub(super) fn router() -> Router<Arc<App>> {
    let file = |kind, text| get(move || std::future::ready(show(kind, text)));
    FILES.iter().fold(Router::new(), |router, &(path, kind, text)| router.route(path, file(kind, text)))
}

/// Whether this is a file of the page, which says nothing of the model and is shown without the key that it then asks for.
pub(super) fn is_of_page(path: &str) -> bool {
    FILES.iter().any(|(known, ..)| *known == path)
}

fn show(kind: &'static str, text: &'static str) -> Response<Body> {
    let mut response = typed(kind, Body::from(text));
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
