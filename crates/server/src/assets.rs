//! The files that pages load: style, scripts, icons and the typeface, gathered by `build.rs` and part of the binary.
//!
//! Every name carries a digest of its bytes, so a browser may keep a file for ever and a new release is never mixed with
//! an old one. It serves nothing from disk and knows no other folder than its table.

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// One embedded file.
#[derive(Debug)]
pub struct Asset {
    /// The path it is served under, with the digest in its name.
    pub path: &'static str,
    /// The entity tag, quotes included.
    pub etag: &'static str,
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// The file as published.
    pub bytes: &'static [u8],
    /// The same bytes packed with gzip, where that is smaller by a tenth or more.
    pub gzip: Option<&'static [u8]>,
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// The route that serves them all. It needs neither session nor state, and merges into any router.
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/ui/{file}", get(serve))
}

async fn serve(Path(file): Path<String>, headers: HeaderMap) -> Response {
    let wanted = ASSETS.iter().find(|asset| asset.path.strip_prefix("/ui/") == Some(file.as_str()));
    let Some(asset) = wanted else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mut reply = HeaderMap::new();
    reply.insert(header::ETAG, HeaderValue::from_static(asset.etag));
    reply.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    reply.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if mentions(&headers, &header::IF_NONE_MATCH, asset.etag) {
        return (StatusCode::NOT_MODIFIED, reply).into_response();
    }
    reply.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.content_type));
    match asset.gzip.filter(|_| mentions(&headers, &header::ACCEPT_ENCODING, "gzip")) {
        Some(packed) => {
            reply.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            (reply, packed).into_response()
        }
        None => (reply, asset.bytes).into_response(),
    }
}

/// Whether a comma-separated header names `item`. A refusal (`gzip;q=0`) counts as not named; other weights do not
/// matter, for there is one encoding to choose.
fn mentions(headers: &HeaderMap, name: &header::HeaderName, item: &str) -> bool {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(
        |part| {
            let mut pieces = part.split(';').map(str::trim);
            pieces.next() == Some(item)
                && !pieces.any(|weight| matches!(weight, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt as _;

    async fn fetch(path: &str, with: &[(header::HeaderName, &str)]) -> Response {
        let mut request = Request::get(path);
        for (name, value) in with {
            request = request.header(name, *value);
        }
        router::<()>().oneshot(request.body(Body::empty()).expect("a valid request")).await.expect("infallible")
    }

    #[tokio::test]
    async fn a_file_is_immutable_tagged_and_packed_on_request() {
        let plain = fetch(QUELL_CSS, &[]).await;
        assert_eq!(plain.status(), StatusCode::OK);
        assert_eq!(plain.headers()[header::CACHE_CONTROL], "public, max-age=31536000, immutable");
        assert_eq!(plain.headers()[header::CONTENT_TYPE], "text/css; charset=utf-8");
        assert!(!plain.headers().contains_key(header::CONTENT_ENCODING));
        let tag = plain.headers()[header::ETAG].to_str().expect("ascii").to_owned();

        let packed = fetch(QUELL_CSS, &[(header::ACCEPT_ENCODING, "br, gzip;q=0.8")]).await;
        assert_eq!(packed.headers()[header::CONTENT_ENCODING], "gzip");
        let refused = fetch(QUELL_CSS, &[(header::ACCEPT_ENCODING, "gzip;q=0")]).await;
        assert!(!refused.headers().contains_key(header::CONTENT_ENCODING));
        let known = fetch(QUELL_CSS, &[(header::IF_NONE_MATCH, &tag)]).await;
        assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
    }

    #[tokio::test]
    async fn nothing_else_is_served() {
        for path in ["/ui/quell.css", "/ui/..%2fCargo.toml", "/ui/", "/ui/kit.0000000000000000.css"] {
            assert_eq!(fetch(path, &[]).await.status(), StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[test]
    fn first_load_stays_small() {
        let size = |path: &str| {
            ASSETS.iter().find(|a| a.path == path).map_or(0, |a| a.gzip.map_or(a.bytes.len(), <[u8]>::len))
        };
        assert!(size(QUELL_JS) < 10 * 1024, "our script: {} bytes", size(QUELL_JS));
        let total: usize = ASSETS.iter().map(|a| size(a.path)).sum();
        assert!(total < 200 * 1024, "first load: {total} bytes");
    }

    #[test]
    fn the_kit_cannot_override_our_rules() {
        let kit = ASSETS.iter().find(|a| a.path == KIT_CSS).expect("the kit is embedded");
        assert!(kit.bytes.starts_with(b"@layer kit{"));
        assert!(kit.bytes.ends_with(b"}"));
    }

    #[test]
    fn our_style_sheet_closes_what_it_opens() {
        let css =
            ASSETS.iter().find(|a| a.path == QUELL_CSS).map(|a| String::from_utf8_lossy(a.bytes)).expect("embedded");
        let mut depth = 0_i32;
        for (at, line) in css.lines().enumerate() {
            depth += i32::try_from(line.matches('{').count()).expect("short")
                - i32::try_from(line.matches('}').count()).expect("short");
            assert!((0..=1).contains(&depth), "line {}: {line}", at + 1);
        }
        assert_eq!(depth, 0);
    }
}
