//! Recorded traffic of the real service, replayed; skipped loudly where the recordings are not beside the repository.

use crate::support::{Scripted, all, answer, client};
use server::connect::qualys::{DetectionQuery, HostQuery, KnowledgeBaseQuery};

/// The exchanges of a recording whose address holds `part`: status, headers and body as they were.
async fn replay(file: &str, part: &str) -> Option<Scripted> {
    let text = std::fs::read_to_string(testkit::fixtures::folder()?.join("jupiterone/har").join(file)).unwrap();
    let har: serde_json::Value = serde_json::from_str(&text).unwrap();
    let entries = har["log"]["entries"].as_array().unwrap();
    let wanted = entries.iter().filter(|entry| entry["request"]["url"].as_str().unwrap().contains(part));
    let answers: Vec<_> = wanted
        .map(|entry| {
            let response = &entry["response"];
            let status = u16::try_from(response["status"].as_u64().unwrap()).unwrap();
            let mut found = answer(status, response["content"]["text"].as_str().unwrap_or_default());
            for name in
                ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-towait-sec", "x-concurrency-limit-limit"]
            {
                let headers = response["headers"].as_array().unwrap();
                let header = headers.iter().find(|header| header["name"].as_str().unwrap().eq_ignore_ascii_case(name));
                if let Some(header) = header {
                    found = found.with(name, header["value"].as_str().unwrap());
                }
            }
            found
        })
        .collect();
    assert!(!answers.is_empty(), "{file} holds no {part}");
    Some(Scripted::start(answers).await)
}

#[tokio::test]
async fn detections() {
    let Some(server) = replay("iterateHostDetectionsUnknownId_600973842.har", "/vm/detection/").await else { return };
    let (first, _) = client(&server.url, |_| {});
    let pages = all(first.host_detections(&DetectionQuery::default())).await.unwrap();
    assert_eq!((pages.len(), pages[0].summary.hosts), (1, 0));

    let Some(server) = replay("iterateHostDetectionsBadId_4219405639.har", "/vm/detection/").await else { return };
    let (second, _) = client(&server.url, |_| {});
    let error = all(second.host_detections(&DetectionQuery::default())).await.unwrap_err();
    assert_eq!((error.kind(), error.reply().unwrap().code.as_deref()), ("refused", Some("1905")));
}

#[tokio::test]
async fn knowledge_base() {
    for (file, count) in [
        ("steps/steps_741716276.har", 42),
        ("iterateVulnerabilities_939003581.har", 1),
        ("iterateVulnerabilitiesUnknownId_2039106884.har", 0),
    ] {
        let Some(server) = replay(file, "/knowledge_base/").await else { return };
        let (client, _) = client(&server.url, |_| {});
        let pages = all(client.knowledge_base(&KnowledgeBaseQuery::default())).await.unwrap();
        assert_eq!(pages[0].summary.vulnerabilities, count, "{file}");
    }
}

#[tokio::test]
async fn host_ids_and_an_expired_account() {
    let Some(server) = replay("fetchScannedHostIds_571760531.har", "/fo/asset/host/").await else { return };
    let (first, _) = client(&server.url, |_| {});
    assert_eq!(first.host_ids(&HostQuery::default()).await.unwrap().len(), 1);

    // Status 200, and yet an error.
    let Some(server) = replay("verifyAuthenticationExpired_3066582617.har", "/activity_log/").await else { return };
    let (second, _) = client(&server.url, |_| {});
    let error = second.host_ids(&HostQuery::default()).await.unwrap_err();
    assert_eq!((error.kind(), error.reply().unwrap().code.as_deref()), ("account", Some("2001")));
    assert_eq!(server.asked().len(), 1);
}
