//! The OpenAPI text is a reviewed snapshot: `docs/api.json`. After a wanted change write it anew with
//! `QUELL_UPDATE_SNAPSHOTS=1 cargo test -p server --test description` and look at the difference.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a test stops where something is missing"
)]

use std::path::Path;

#[test]
fn the_description_is_the_reviewed_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/api.json");
    let now = server::api::description();
    if std::env::var_os("QUELL_UPDATE_SNAPSHOTS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &now).unwrap();
    }
    let reviewed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(reviewed == now, "the API differs from docs/api.json; see the head of this file");
}

#[test]
fn the_description_is_openapi_3_1_and_whole() {
    let description: serde_json::Value = serde_json::from_str(&server::api::description()).unwrap();
    assert!(description["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut ids = std::collections::BTreeSet::new();
    for (path, operations) in description["paths"].as_object().unwrap() {
        assert!(path.starts_with("/api/v1/"), "{path}");
        for (method, operation) in operations.as_object().unwrap() {
            assert!(operation["summary"].is_string(), "{method} {path} says what it does");
            assert!(operation["tags"].is_array(), "{method} {path} belongs to a noun");
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{method} {path} has the id {id} of another operation");
        }
    }
}
