//! Living with rate and concurrency limits.

use crate::support::{Scripted, all, answer, client, error, page};
use server::connect::qualys::DetectionQuery;
use std::time::Duration;

const RATE: &str = "This API cannot be run again for another 0 hours, 2 minutes and 5 seconds.";

#[tokio::test]
async fn a_refused_call_waits_as_long_as_it_was_told() {
    for (headers, wait) in [
        (vec![("X-RateLimit-Remaining", 0), ("X-RateLimit-ToWait-Sec", 40), ("X-RateLimit-Window-Sec", 3600)], 41),
        (vec![("X-RateLimit-Remaining", 0), ("X-RateLimit-Window-Sec", 3600)], 126),
    ] {
        let mut refused = answer(409, error(1965, RATE));
        for (name, value) in &headers {
            refused = refused.with(name, value);
        }
        let server = Scripted::start([refused, answer(200, page(&[1], None))]).await;
        let (client, waits) = client(&server.url, |_| {});
        all(client.host_detections(&DetectionQuery::default())).await.unwrap();
        assert_eq!(waits.seconds().iter().sum::<u64>(), wait, "{headers:?}: {:?}", waits.seconds());
        assert_eq!(server.asked().len(), 2);
    }
}

#[tokio::test]
async fn too_many_at_once_backs_off_longer_each_time() {
    let text = "This API cannot be run again until 1 currently running instance has finished.";
    for code in [1960, 1920] {
        let refused =
            answer(409, error(code, text)).with("X-Concurrency-Limit-Limit", 2).with("X-Concurrency-Limit-Running", 2);
        let server = Scripted::start([refused.clone(), refused.clone(), refused, answer(200, page(&[1], None))]).await;
        let (client, waits) = client(&server.url, |_| {});
        all(client.host_detections(&DetectionQuery::default())).await.unwrap();
        assert_eq!(waits.seconds(), [5, 10, 20]);
    }
}

#[tokio::test]
async fn a_wait_that_is_too_long_is_given_back() {
    let refused =
        answer(409, error(1965, RATE)).with("X-RateLimit-Remaining", 0).with("X-RateLimit-ToWait-Sec", 86_000);
    let server = Scripted::start([refused]).await;
    let (client, waits) = client(&server.url, |_| {});
    let first = all(client.host_detections(&DetectionQuery::default())).await.unwrap_err();
    assert_eq!((first.kind(), first.transient()), ("limited", true));
    assert_eq!(first.reply().unwrap().code.as_deref(), Some("1965"));
    // The platform is not even asked while it said it would refuse.
    let second = all(client.host_detections(&DetectionQuery::default())).await.unwrap_err();
    assert_eq!(second.kind(), "limited");
    assert_eq!((server.asked().len(), waits.seconds().len()), (1, 0));

    let busy = Scripted::start([answer(409, error(1960, "busy"))]).await;
    let (client, waits) = self::client(&busy.url, |config| config.limit_wait_max = Duration::from_secs(60));
    assert_eq!(all(client.host_detections(&DetectionQuery::default())).await.unwrap_err().kind(), "limited");
    assert_eq!(waits.seconds(), [5, 10, 20]);
}

#[tokio::test]
async fn a_good_answer_that_used_up_the_window_holds_the_next_call_back() {
    let used_up =
        answer(200, page(&[1], Some("?id_min=2"))).with("x-ratelimit-remaining", 0).with("x-ratelimit-towait-sec", 30);
    let server = Scripted::start([used_up, answer(200, page(&[2], None)).with("x-ratelimit-remaining", 299)]).await;
    let (client, waits) = client(&server.url, |_| {});
    all(client.host_detections(&DetectionQuery::default())).await.unwrap();
    assert_eq!(waits.seconds(), [30]);
}

#[tokio::test]
async fn the_gateway_style_of_refusal_is_understood() {
    let server =
        Scripted::start([answer(429, "slow down").with("retry-after", 9), answer(200, page(&[1], None))]).await;
    let (client, waits) = client(&server.url, |_| {});
    all(client.host_detections(&DetectionQuery::default())).await.unwrap();
    assert_eq!(waits.seconds(), [10]);
}
