//! Style sheet, scripts and images: part of the program, under an address that changes with their content.

use std::sync::OnceLock;

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

const FILES: &[(&str, &str, &str)] = &[
    ("serin.css", STYLE, include_str!("../assets/serin.css")),
    ("logo.svg", IMAGE, include_str!("../assets/logo.svg")),
    ("app.js", SCRIPT, include_str!("../assets/app.js")),
    ("ansi.js", SCRIPT, include_str!("../assets/ansi.js")),
    ("charts.js", SCRIPT, include_str!("../assets/charts.js")),
    ("dialogs.js", SCRIPT, include_str!("../assets/dialogs.js")),
    ("keys.js", SCRIPT, include_str!("../assets/keys.js")),
    ("live.js", SCRIPT, include_str!("../assets/live.js")),
    ("log.js", SCRIPT, include_str!("../assets/log.js")),
    ("morph.js", SCRIPT, include_str!("../assets/morph.js")),
    ("times.js", SCRIPT, include_str!("../assets/times.js")),
];

/// The folder of the assets in addresses.
pub(crate) fn folder() -> &'static str {
    static FOLDER: OnceLock<String> = OnceLock::new();
    FOLDER.get_or_init(|| format!("/assets/{:016x}", digest()))
}

/// FNV-1a over all files: it tells versions apart and needs to resist nobody.
fn digest() -> u64 {
    let bytes = FILES.iter().flat_map(|(name, _, content)| name.bytes().chain(content.bytes()));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// `GET /assets/{version}/{name}`
pub(crate) async fn serve(Path((version, name)): Path<(String, String)>, headers: HeaderMap) -> Response {
    let Some((_, kind, content)) = FILES.iter().find(|(known, _, _)| *known == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let current = folder().strip_prefix("/assets/") == Some(version.as_str());
    let tag = format!("\"{:016x}\"", digest());
    let cache = if current { "public, max-age=31536000, immutable" } else { "no-cache" };
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == tag.as_bytes());
    let fixed = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static(cache)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    let tag = [(header::ETAG, tag)];
    if known {
        return (StatusCode::NOT_MODIFIED, fixed, tag).into_response();
    }
    (fixed, tag, *content).into_response()
}

#[cfg(test)]
mod tests {
    use super::{FILES, SCRIPT};

    #[test]
    fn scripts_import_what_is_there() {
        for (name, _, content) in FILES.iter().filter(|(_, kind, _)| *kind == SCRIPT) {
            for part in content.split("\"./").skip(1) {
                let wanted = part.split('"').next().unwrap();
                assert!(FILES.iter().any(|(known, _, _)| *known == wanted), "{name} imports {wanted}");
            }
        }
    }

    #[test]
    fn scripts_make_no_markup_of_text() {
        for (name, _, content) in FILES {
            for forbidden in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
                assert!(!content.contains(forbidden), "{name} uses {forbidden}");
            }
        }
    }
}
