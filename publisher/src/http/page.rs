//! The page that shows the cluster at work, inside the binary. What it does is `browser/`'s business.

use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use peal_proto::ProblemKind;
use peal_serve::{Failure, Path};
use rust_embed::{EmbeddedFile, RustEmbed};
use schemars::JsonSchema;
use serde::Deserialize;

#[derive(RustEmbed)]
#[folder = "../browser/dist"]
struct Page;

/// Only our own files, no inline scripts; but sockets to any node, and calls to any publisher, wherever they run.
const POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss: http: https:; img-src 'self' data:; \
     object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

pub(super) async fn index(headers: HeaderMap) -> Result<Response, Failure> {
    answer("index.html", &headers)
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct OfFile {
    /// The file's name.
    file: String,
}

pub(super) async fn file(Path(OfFile { file }): Path<OfFile>, headers: HeaderMap) -> Result<Response, Failure> {
    answer(&file, &headers)
}

fn answer(name: &str, headers: &HeaderMap) -> Result<Response, Failure> {
    let nothing = || Failure::new(ProblemKind::NotFound, format!("there is nothing at /{name}"));
    let file = Page::get(name).ok_or_else(nothing)?;
    let tag = tag(&file);
    let fixed = [(ETAG, tag.as_str()), (CACHE_CONTROL, "no-cache"), (CONTENT_SECURITY_POLICY, POLICY)];
    if headers.get(IF_NONE_MATCH).is_some_and(|known| known == tag.as_str()) {
        return Ok((StatusCode::NOT_MODIFIED, fixed).into_response());
    }
    Ok((fixed, [(CONTENT_TYPE, content_type(name))], file.data).into_response())
}

fn tag(file: &EmbeddedFile) -> String {
    let hash = file.metadata.sha256_hash();
    let (first, _) = hash.split_at(8);
    let number = first.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    format!("\"{number:016x}\"")
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some(_) | None => "application/octet-stream",
    }
}
