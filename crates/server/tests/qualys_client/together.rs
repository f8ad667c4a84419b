//! Several clients of one subscription: what one learns holds for all, imports leave room, sessions are shared.

use crate::support::{Scripted, all, answer, client, error, page};
use server::connect::qualys::{Auth, Config, DetectionQuery, Endpoint, ScanQuery, Use};
use std::time::Duration;

const SCANS: &str = "<SCAN_LIST_OUTPUT><RESPONSE></RESPONSE></SCAN_LIST_OUTPUT>";

fn hasty(config: &Config) -> Config {
    Config { retries_max: 0, limit_wait_max: Duration::ZERO, ..config.clone() }
}

#[tokio::test]
async fn a_wait_that_one_was_told_holds_for_the_other() {
    let used_up = answer(200, page(&[1], None)).with("x-ratelimit-remaining", 0).with("x-ratelimit-towait-sec", 30);
    let server = Scripted::start([used_up, answer(200, page(&[2], None))]).await;
    let (import, _) = client(&server.url, |_| {});
    let rescan = import.beside(hasty(import.config()), Use::Prompt).unwrap();
    all(import.lend(Use::Import).host_detections(&DetectionQuery::default())).await.unwrap();
    let refused = all(rescan.host_detections(&DetectionQuery::default())).await.unwrap_err();
    assert_eq!((refused.kind(), server.asked().len()), ("limited", 1), "it is not even asked");
    // The limit of one end point is not that of another.
    let scans = rescan.list_scans(&ScanQuery::default()).await;
    assert_eq!((scans.is_err(), server.asked().len()), (true, 2), "the answer is no list of scans, but it was asked");
}

#[tokio::test]
async fn what_was_known_before_a_restart_holds_from_the_first_call() {
    let refused =
        answer(409, error(1965, "Later.")).with("X-RateLimit-Remaining", 0).with("X-RateLimit-ToWait-Sec", 600);
    let server = Scripted::start([refused]).await;
    let (before, _) = client(&server.url, |config| config.limit_wait_max = Duration::ZERO);
    assert_eq!(all(before.host_detections(&DetectionQuery::default())).await.unwrap_err().kind(), "limited");
    let known = before.quotas();
    assert!(known.iter().any(|(endpoint, quota)| *endpoint == Endpoint::Detections && quota.refused.contains("1965")));
    assert!(before.news().1 > 0);
    let again = Scripted::start([answer(200, page(&[1], None))]).await;
    let (after, _) = client(&again.url, |config| config.limit_wait_max = Duration::ZERO);
    for (endpoint, quota) in &known {
        after.recall(*endpoint, quota);
    }
    assert_eq!(all(after.host_detections(&DetectionQuery::default())).await.unwrap_err().kind(), "limited");
    assert!(again.asked().is_empty());
}

#[tokio::test]
async fn near_the_end_of_the_window_imports_wait_and_rescans_go_on() {
    let few = answer(200, page(&[1], None))
        .with("x-ratelimit-limit", 300)
        .with("x-ratelimit-window-sec", 3_600)
        .with("x-ratelimit-remaining", 30)
        .with("x-ratelimit-towait-sec", 0);
    let server = Scripted::start([few]).await;
    let (import, waits) = client(&server.url, |_| {});
    let rescan = import.beside(hasty(import.config()), Use::Prompt).unwrap();
    let query = DetectionQuery::default();
    all(import.host_detections(&query)).await.unwrap();
    all(rescan.host_detections(&query)).await.unwrap();
    assert_eq!((waits.seconds(), server.asked().len()), (vec![], 2));
    all(import.host_detections(&query)).await.unwrap();
    assert_eq!(waits.seconds(), [360], "a tenth of the window");
    assert_eq!(import.stats().waited_ms, 360_000);
}

#[tokio::test]
async fn a_session_is_shared_and_a_borrower_does_not_end_it() {
    const LOGGED_IN: &str = "<SIMPLE_RETURN><RESPONSE><TEXT>Logged in</TEXT></RESPONSE></SIMPLE_RETURN>";
    let cookie = answer(200, LOGGED_IN).with("set-cookie", "QualysSession=first1; path=/api; secure");
    let server = Scripted::start([cookie, answer(200, SCANS)]).await;
    let (owner, _) = client(&server.url, |config| config.auth = Auth::Session);
    for _ in 0..3 {
        let lent = owner.lend(Use::Prompt);
        lent.list_scans(&ScanQuery::default()).await.unwrap();
        lent.close().await;
    }
    let asked = server.asked();
    let signs = asked.iter().filter(|call| call.path.ends_with("/session/")).count();
    assert_eq!((signs, asked.len()), (1, 4), "one sign-in for all, no sign-out");
    // A test signs in by itself.
    owner.apart(owner.config().clone()).unwrap().list_scans(&ScanQuery::default()).await.unwrap_err();
    assert_eq!(server.asked().last().unwrap().parameter("action"), Some("login"));
}

#[tokio::test]
async fn what_was_called_is_counted_by_piece_of_work() {
    let server =
        Scripted::start([answer(502, "x"), answer(200, page(&[1], Some("?id_min=2"))), answer(200, page(&[2], None))])
            .await;
    let (owner, _) = client(&server.url, |_| {});
    let lent = owner.lend(Use::Import);
    let mut pages = lent.host_detections(&DetectionQuery::default());
    while pages.next().await.unwrap().is_some() {}
    let stats = pages.stats();
    assert_eq!((stats.calls, stats.retries, stats.waited_ms), (3, 1, 2_000));
    assert!(stats.bytes > 300, "{stats:?}");
    assert_eq!(lent.stats(), stats);
    assert_eq!(owner.stats().calls, 0, "others count for themselves");
}
