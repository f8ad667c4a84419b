//! The replay gate: recorded requests of a real subscription get the same status, root element and header names from the simulator.
//!
//! The recordings lie outside the repository. Where they are absent the test says so loudly and passes.

use crate::support::{Answer, Sim, elements, options};
use qualys_sim::{Account, Options, Switches};
use reqwest::Method;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Headers of the framing: in how many pieces a body came. Every other name is compared.
const FRAMING: &[&str] = &["transfer-encoding", "content-length"];

/// One recording: the file, and which of the two variants answered. In 2020 the portal sent protection headers under `/qps/` and
/// the front end kept connections open that a client asked to close; in 2022 neither did.
const RECORDINGS: &[(&str, Variant)] = &[
    ("executeAPIRequest409rateLimit_3758975109.har", Variant::Portal2022),
    ("fetchHostDetails_2031643069.har", Variant::Portal2020),
    ("fetchPortalInfo_3149900553.har", Variant::Portal2020),
    ("fetchScannedHostIds_571760531.har", Variant::Portal2020),
    ("iterateHostDetailsBadId_662528071.har", Variant::Portal2020),
    ("iterateHostDetectionsBadId_4219405639.har", Variant::Portal2020),
    ("iterateHostDetectionsUnknownId_600973842.har", Variant::Portal2020),
    ("iterateVulnerabilitiesUnknownId_2039106884.har", Variant::Portal2020),
    ("iterateVulnerabilities_939003581.har", Variant::Portal2020),
    ("iterateWebAppsInvalidFilterValue_942250719.har", Variant::Portal2022),
    ("iterateWebApps_4264083977.har", Variant::Portal2022),
    ("fetchScannedHostDetails_223744471.har", Variant::Portal2020),
    ("steps_741716276.har", Variant::Portal2022),
    ("verifyAuthenticationExpired_3066582617.har", Variant::ExpiredAccount),
    ("verifyAuthentication_406099176.har", Variant::Portal2022),
];

/// How the simulator is started for a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Variant {
    Portal2020,
    Portal2022,
    ExpiredAccount,
}

impl Variant {
    const ALL: [Self; 3] = [Self::Portal2020, Self::Portal2022, Self::ExpiredAccount];

    fn options(self) -> Options {
        let switches = Switches {
            portal_protection: self == Self::Portal2020,
            obeys_close: self == Self::Portal2022,
            ..Switches::default()
        };
        let account = if self == Self::ExpiredAccount { Account::Expired } else { Account::Active };
        Options { switches, account, ..options() }
    }
}

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
        .filter(|name| !FRAMING.contains(&name.as_str()))
        .collect()
}

#[tokio::test]
async fn recorded_exchanges_look_the_same() {
    let Some(folder) = recordings() else {
        return;
    };
    let mut sims = BTreeMap::new();
    for variant in Variant::ALL {
        sims.insert(variant, Sim::start(variant.options()).await);
    }
    let (mut compared, mut seen) = (0, BTreeSet::new());
    for file in har_files(&folder) {
        let name = file.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        let known = RECORDINGS.iter().find(|(known, _)| *known == name);
        let variant = known.unwrap_or_else(|| panic!("{name} is not in the list of recordings")).1;
        seen.insert(name);
        let har: Value = serde_json::from_slice(&std::fs::read(&file).expect("a file")).expect("JSON");
        for entry in har["log"]["entries"].as_array().expect("entries") {
            let (request, response) = (&entry["request"], &entry["response"]);
            let url = request["url"].as_str().expect("an address");
            let path = url.splitn(4, '/').nth(3).map(|path| format!("/{path}")).expect("a path");
            let answer = replay(&sims[&variant], request, &path).await;
            let recorded = response["content"]["text"].as_str().unwrap_or_default();
            let place = format!("{}: {path}", file.display());
            assert_eq!(u64::from(answer.status), response["status"].as_u64().expect("a status"), "{place}");
            assert_eq!(root(&answer.text), root(recorded), "{place}");
            assert_eq!(verdict(&answer.text), verdict(recorded), "{place}");
            assert_eq!(ours(&answer), names(&response["headers"]), "{place}");
            compared += 1;
        }
    }
    assert_eq!((compared, seen.len()), (23, RECORDINGS.len()), "every exchange of every recording is compared");
}

/// What an answer says of itself, in the families that say it in the body.
fn verdict(text: &str) -> Option<String> {
    ["responseCode", "CODE"].into_iter().find_map(|name| elements(text, name).into_iter().next())
}

fn ours(answer: &Answer) -> BTreeSet<String> {
    answer.headers.keys().filter(|name| !FRAMING.contains(&name.as_str())).cloned().collect()
}

/// A header of a recorded request.
fn header<'a>(request: &'a Value, name: &str) -> Option<&'a str> {
    let headers = request["headers"].as_array()?;
    let found = headers.iter().find(|header| header["name"].as_str().is_some_and(|one| one.eq_ignore_ascii_case(name)));
    found?["value"].as_str()
}

async fn replay(sim: &Sim, request: &Value, path: &str) -> Answer {
    let method = Method::from_bytes(request["method"].as_str().expect("a method").as_bytes()).expect("a method");
    let mut call = sim.request(method, path);
    if let Some(wish) = header(request, "connection").filter(|_| !path.starts_with("/qps/")) {
        // The portal says nothing of connections, while the HTTP library under the simulator cannot but confirm that it closes one.
        call = call.header("connection", wish);
    }
    if let Some(body) = request.pointer("/postData/text").and_then(Value::as_str) {
        let kind = header(request, "content-type").unwrap_or("application/x-www-form-urlencoded").to_owned();
        call = call.header("content-type", kind).body(body.to_owned());
    }
    Answer::of(call).await
}
