//! The replay gate: recorded requests of a real subscription get the same status, root element and header names from the simulator.
//!
//! The recordings lie outside the repository. Where they are absent the test says so loudly and passes.

use crate::support::{Answer, Sim, options};
use qualys_sim::{Account, Options};
use reqwest::Method;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Headers whose presence depends on the connection or on the moment, not on the kind of answer.
const INCIDENTAL: &[&str] = &["connection", "keep-alive", "transfer-encoding", "content-length", "date"];
/// Parts of the platform that are not simulated.
const NOT_SIMULATED: &[&str] = &["/qps/rest/3.0/"];

fn recordings() -> Option<PathBuf> {
    Some(skip::fixtures(env!("CARGO_MANIFEST_DIR"))?.join("jupiterone/har"))
}

fn har_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(har_files(&path));
        } else if path.extension().is_some_and(|ending| ending == "har") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn root(text: &str) -> String {
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        rest = &rest[at..];
        if !rest.starts_with("<?") && !rest.starts_with("<!") {
            return rest[1..].split([' ', '>', '\n']).next().unwrap_or_default().to_owned();
        }
        let end = if rest.starts_with("<!--") { "-->" } else { ">" };
        rest = rest.find(end).map_or("", |end| &rest[end + 1..]);
    }
    String::new()
}

fn names(headers: &Value) -> BTreeSet<String> {
    let headers = headers.as_array().map(Vec::as_slice).unwrap_or_default();
    headers
        .iter()
        .filter_map(|header| header["name"].as_str())
        .map(str::to_lowercase)
        .filter(|name| !INCIDENTAL.contains(&name.as_str()))
        .collect()
}

#[tokio::test]
async fn recorded_exchanges_look_the_same() {
    let Some(folder) = recordings() else {
        return;
    };
    let active = Sim::start(options()).await;
    let expired = Sim::start(Options { account: Account::Expired, ..options() }).await;
    let (mut compared, mut left_out) = (0, 0);
    for file in har_files(&folder) {
        let har: Value = serde_json::from_slice(&std::fs::read(&file).expect("a file")).expect("JSON");
        let entries = har["log"]["entries"].as_array().expect("entries");
        let is_expired = file.to_string_lossy().contains("Expired");
        for entry in entries {
            let (request, response) = (&entry["request"], &entry["response"]);
            let url = request["url"].as_str().expect("an address");
            let path = url.splitn(4, '/').nth(3).map(|path| format!("/{path}")).expect("a path");
            if NOT_SIMULATED.iter().any(|part| path.starts_with(part)) {
                left_out += 1;
                continue;
            }
            let sim = if is_expired { &expired } else { &active };
            let answer = replay(sim, request, &path).await;
            let recorded = response["content"]["text"].as_str().unwrap_or_default();
            let place = format!("{}: {path}", file.display());
            assert_eq!(u64::from(answer.status), response["status"].as_u64().expect("a status"), "{place}");
            assert_eq!(root(&answer.text), root(recorded), "{place}");
            compare_headers(&place, &answer, &response["headers"]);
            compared += 1;
        }
    }
    eprintln!("replayed {compared} exchanges; {left_out} of web application scanning are not simulated");
    assert!(compared >= 12, "only {compared} exchanges were found");
}

async fn replay(sim: &Sim, request: &Value, path: &str) -> Answer {
    let method = Method::from_bytes(request["method"].as_str().expect("a method").as_bytes()).expect("a method");
    let mut call = sim.request(method, path);
    if let Some(body) = request.pointer("/postData/text").and_then(Value::as_str) {
        let kind = request["headers"].as_array().and_then(|headers| {
            headers
                .iter()
                .find(|header| header["name"].as_str().is_some_and(|name| name.eq_ignore_ascii_case("content-type")))
        });
        let kind =
            kind.and_then(|header| header["value"].as_str()).unwrap_or("application/x-www-form-urlencoded").to_owned();
        call = call.header("content-type", kind).body(body.to_owned());
    }
    Answer::of(call).await
}

/// The portal's answers differ among themselves from year to year: some recordings carry the protection headers and some do not.
fn compare_headers(place: &str, answer: &Answer, recorded: &Value) {
    let optional = ["strict-transport-security", "x-content-type-options", "x-frame-options", "x-xss-protection"];
    let ours: BTreeSet<String> =
        answer.headers.keys().filter(|name| !INCIDENTAL.contains(&name.as_str())).cloned().collect();
    let theirs = names(recorded);
    let differing: Vec<&String> = ours.symmetric_difference(&theirs).collect();
    let portal = place.contains("/qps/rest/portal/");
    let serious: Vec<&&String> =
        differing.iter().filter(|name| !(portal && optional.contains(&name.as_str()))).collect();
    assert!(serious.is_empty(), "{place}: {serious:?}");
}
