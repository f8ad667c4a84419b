//! Pages, bad answers and redirects, from a script.

use crate::support::{Scripted, all, answer, client, error, hosts, page};
use server::connect::qualys::{DetectionQuery, KnowledgeBaseQuery};

#[tokio::test]
async fn a_request_is_what_the_platform_expects() {
    let server = Scripted::start([answer(200, page(&[1], None))]).await;
    let (client, _) = client(&server.url, |config| config.page_size = 7);
    let query = DetectionQuery {
        ids: vec![3, 1, 2],
        qids: vec![900_001],
        processed_after: Some("2026-01-02T03:04:05.6Z".parse().unwrap()),
        ..DetectionQuery::default()
    };
    all(client.host_detections(&query)).await.unwrap();
    let asked = &server.asked()[0];
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/api/5.0/fo/asset/host/vm/detection/"));
    assert_eq!(asked.header("authorization"), Some("Basic cXVheXMzYW0xOnNpbS1wYXNzd29yZA=="));
    assert!(asked.header("x-requested-with").is_some_and(|value| !value.is_empty()));
    for (name, value) in [
        ("action", "list"),
        ("status", "New,Active,Re-Opened,Fixed"),
        ("truncation_limit", "7"),
        ("ids", "1-3"),
        ("qids", "900001"),
        ("show_qds", "1"),
        ("vm_processed_after", "2026-01-02T03:04:05Z"),
    ] {
        assert_eq!(asked.parameter(name), Some(value), "{name}");
    }
}

#[tokio::test]
async fn pages_follow_the_cursor_on_the_configured_host_only() {
    let server = Scripted::start([
        answer(
            200,
            page(&[1, 2], Some("https://evil.example/api/2.0/fo/x/?action=delete&truncation_limit=2&id_min=3")),
        ),
        answer(200, page(&[3], None)),
    ])
    .await;
    let (client, _) = client(&server.url, |_| {});
    let mut pages = all(client.host_detections(&DetectionQuery::default())).await.unwrap();
    assert_eq!(pages.iter().map(|page| (page.number, page.next)).collect::<Vec<_>>(), [(1, Some(3)), (2, None)]);
    assert_eq!(hosts(&mut pages[0]).len() + hosts(&mut pages[1]).len(), 3);
    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!((asked[1].parameter("action"), asked[1].parameter("id_min")), (Some("list"), Some("3")));
    assert_eq!(asked[1].path, asked[0].path);
}

#[tokio::test]
async fn a_page_knows_what_it_was_asked_for_in_the_end() {
    // Refused once: asked without it, on the pages after as well, and each page says so.
    let server = Scripted::start([
        answer(400, error(1901, "Unrecognized parameter(s): show_tags")),
        answer(200, page(&[1], Some("?id_min=2"))),
        answer(200, page(&[2], None)),
    ])
    .await;
    let (refused, _) = client(&server.url, |_| {});
    let pages = all(refused.host_detections(&DetectionQuery::default())).await.unwrap();
    for page in &pages {
        assert!(!page.asked("show_tags") && page.asked("show_asset_id"), "page {}", page.number);
    }
    let asked = server.asked();
    let tags: Vec<_> = asked.iter().map(|call| call.parameter("show_tags")).collect();
    assert_eq!(tags, [Some("1"), None, None]);

    // The address of the next page is the platform's; it can take a parameter back.
    let server =
        Scripted::start([answer(200, page(&[1], Some("?id_min=2&show_tags=0"))), answer(200, page(&[2], None))]).await;
    let (turned, _) = client(&server.url, |_| {});
    let pages = all(turned.host_detections(&DetectionQuery::default())).await.unwrap();
    assert_eq!(pages.iter().map(|page| page.asked("show_tags")).collect::<Vec<_>>(), [true, false]);
}

#[tokio::test]
async fn pages_that_lead_nowhere_are_an_error() {
    let stuck = Scripted::start([answer(200, page(&[1], Some("https://x/?id_min=2")))]).await;
    let (stuck_client, _) = client(&stuck.url, |_| {});
    let error = all(stuck_client.host_detections(&DetectionQuery::default())).await.unwrap_err();
    assert_eq!(error.kind(), "paging");
    assert!(stuck.asked().len() <= 2);

    let endless: Vec<_> = (1..9).map(|at| answer(200, page(&[at], Some(&format!("?id_min={}", at + 1))))).collect();
    let endless = Scripted::start(endless).await;
    let (endless_client, _) = client(&endless.url, |config| config.pages_max = 4);
    assert_eq!(all(endless_client.host_detections(&DetectionQuery::default())).await.unwrap_err().kind(), "paging");
    assert_eq!(endless.asked().len(), 4);
}

#[tokio::test]
async fn a_page_that_breaks_is_void_and_fetched_again_alone() {
    let begun = page(&[1, 2], None);
    let begun = &begun[..begun.find("<HOST><ID>2").unwrap()];
    let midway =
        format!("{begun}<GENERIC_RETURN><RETURN status=\"FAILED\" number=\"999\">Internal</RETURN></GENERIC_RETURN>");
    for bad in [
        answer(200, begun),
        answer(200, begun).cut(),
        answer(200, midway),
        answer(200, error(999, "Internal error")),
        answer(200, "<html><body>We will be back</body></html>"),
        answer(200, ""),
        answer(502, "<html>502</html>"),
        answer(503, error(1999, "Maintenance")),
        answer(202, error(1981, "still being processed")),
    ] {
        let first = answer(200, page(&[1], Some("?id_min=2")));
        let server = Scripted::start([first, bad.clone(), bad.clone(), answer(200, page(&[2], None))]).await;
        let (client, waits) = client(&server.url, |_| {});
        let mut pages =
            all(client.host_detections(&DetectionQuery::default())).await.unwrap_or_else(|e| panic!("{bad:?}: {e}"));
        let ids: Vec<_> = pages.iter_mut().flat_map(hosts).map(|host| host.host_id.unwrap()).collect();
        assert_eq!(ids, [1, 2], "{bad:?}");
        assert_eq!(waits.seconds(), [2, 4], "{bad:?}");
        assert_eq!(server.asked()[3].parameter("id_min"), Some("2"));
    }
}

#[tokio::test]
async fn retries_end() {
    for (bad, kind) in [
        (answer(502, "<html>password sim-password</html>"), "unavailable"),
        (answer(503, error(1999, "Maintenance")), "unavailable"),
        (answer(200, "<HOST_LIST_VM_DETECTION_OUTPUT>"), "answer"),
        (answer(200, page(&[1], None)).cut(), "unreachable"),
    ] {
        let server = Scripted::start([bad]).await;
        let (client, waits) = client(&server.url, |config| config.retries_max = 3);
        let error = all(client.host_detections(&DetectionQuery::default())).await.unwrap_err();
        assert_eq!((error.kind(), error.transient()), (kind, true), "{error}");
        assert_eq!((server.asked().len(), waits.seconds()), (4, vec![2, 4, 8]));
    }
}

#[tokio::test]
async fn refusals_are_not_repeated_and_say_what_the_platform_said() {
    let text = "parameter ids has invalid value: sim-password";
    for (status, code, kind) in
        [(400, 1905, "refused"), (409, 2003, "account"), (200, 2001, "account"), (403, 2012, "account")]
    {
        let server = Scripted::start([answer(status, error(code, text))]).await;
        let (client, waits) = client(&server.url, |_| {});
        let found = all(client.host_detections(&DetectionQuery::default())).await.unwrap_err();
        assert_eq!(found.kind(), kind, "{found}");
        let reply = found.reply().unwrap();
        assert_eq!((reply.status, reply.code.as_deref()), (status, Some(code.to_string().as_str())));
        assert_eq!(reply.text, "parameter ids has invalid value: ***", "secrets are masked");
        assert!(!format!("{found:?} {found}").contains("sim-password"));
        assert!(reply.body.starts_with("<SIMPLE_RETURN>") && reply.body.len() <= 2048);
        assert_eq!((server.asked().len(), waits.seconds().len()), (1, 0));
    }
}

#[tokio::test]
async fn a_parameter_an_older_version_does_not_know_is_left_out() {
    let unknown = answer(400, error(1901, "Unrecognized parameter(s): show_qds_factors"));
    let server =
        Scripted::start([unknown.clone(), answer(200, page(&[1], Some("?id_min=2"))), answer(200, page(&[2], None))])
            .await;
    let (first, _) = client(&server.url, |_| {});
    all(first.host_detections(&DetectionQuery::default())).await.unwrap();
    let asked = server.asked();
    assert_eq!((asked[0].parameter("show_qds_factors"), asked[1].parameter("show_qds_factors")), (Some("1"), None));
    assert_eq!(asked[1].parameter("show_qds"), Some("1"));

    let needed = Scripted::start([answer(400, error(1901, "Unrecognized parameter(s): status"))]).await;
    let (second, _) = client(&needed.url, |_| {});
    assert_eq!(all(second.host_detections(&DetectionQuery::default())).await.unwrap_err().kind(), "refused");
    assert_eq!(needed.asked().len(), 1);
}

#[tokio::test]
async fn a_retired_version_is_followed_by_a_later_one_or_named() {
    let good = "<KNOWLEDGE_BASE_VULN_LIST_OUTPUT><RESPONSE></RESPONSE></KNOWLEDGE_BASE_VULN_LIST_OUTPUT>";
    let server = Scripted::start([answer(404, "Not Found"), answer(200, good)]).await;
    let (first, _) = client(&server.url, |_| {});
    all(first.knowledge_base(&KnowledgeBaseQuery::default())).await.unwrap();
    all(first.knowledge_base(&KnowledgeBaseQuery::default())).await.unwrap();
    let paths: Vec<_> = server.asked().into_iter().map(|asked| asked.path).collect();
    assert_eq!(paths, [2, 3, 3].map(|version| format!("/api/{version}.0/fo/knowledge_base/vuln/")));

    let gone = Scripted::start([answer(404, "Not Found")]).await;
    let (second, _) = client(&gone.url, |_| {});
    let error = all(second.host_detections(&DetectionQuery::default())).await.unwrap_err();
    assert_eq!(error.kind(), "version_gone");
    assert!(error.to_string().contains("5.0"), "{error}");
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let target = Scripted::start([answer(200, page(&[1], None))]).await;
    let to = format!("{}/sso?secret=1", target.url);
    let server = Scripted::start([answer(307, "").with("location", to)]).await;
    let (client, _) = client(&server.url, |_| {});
    let error = all(client.host_detections(&DetectionQuery::default())).await.unwrap_err();
    assert_eq!(error.kind(), "redirected");
    assert!(error.to_string().contains(&target.url) && !error.to_string().contains("secret"));
    assert!(target.asked().is_empty());
}

#[tokio::test]
async fn a_large_page_is_put_aside_and_read_twice() {
    let ids: Vec<i64> = (1..40_000).collect();
    let server = Scripted::start([answer(200, page(&ids, None))]).await;
    let (client, _) = client(&server.url, |_| {});
    let mut pages = all(client.host_detections(&DetectionQuery::default())).await.unwrap();
    assert!(pages[0].bytes() > 1 << 20);
    assert_eq!(pages[0].summary.hosts, 39_999);
    for _ in 0..2 {
        assert_eq!(hosts(&mut pages[0]).len(), 39_999);
    }
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let ids: Vec<i64> = (1..5_000).collect();
    let server = Scripted::start([answer(200, page(&ids, None))]).await;
    let (client, _) = client(&server.url, |config| config.answer_bytes_max = 100_000);
    let error = all(client.host_detections(&DetectionQuery::default())).await.unwrap_err();
    assert_eq!(error.kind(), "answer");
    assert!(error.to_string().contains("limit of 100000"), "{error}");
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn nobody_there() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let (first, waits) = client(&url, |config| config.retries_max = 2);
    let error = all(first.host_detections(&DetectionQuery::default())).await.unwrap_err();
    assert_eq!((error.kind(), waits.seconds()), ("unreachable", vec![2, 4]));
    assert!(error.to_string().contains("127.0.0.1"), "{error}");
}
