//! The test of a connection: what goes wrong is told apart, line by line.

use crate::support::{Answer, Scripted, answer, client, error, page};
use server::connect::qualys::{Check, Endpoint, Verdict};
use std::time::Duration;

const ABOUT: &str = "<ABOUT><WEB-VERSION>1</WEB-VERSION></ABOUT>";
const HOSTS: &str = "<HOST_LIST_OUTPUT><RESPONSE><ID_SET><ID>1</ID></ID_SET></RESPONSE></HOST_LIST_OUTPUT>";
const KNOWLEDGE: &str = "<KNOWLEDGE_BASE_VULN_LIST_OUTPUT><RESPONSE></RESPONSE></KNOWLEDGE_BASE_VULN_LIST_OUTPUT>";
const PROFILES: &str = "<OPTION_PROFILES></OPTION_PROFILES>";
const APPLIANCES: &str = "<APPLIANCE_LIST_OUTPUT><RESPONSE></RESPONSE></APPLIANCE_LIST_OUTPUT>";
const GROUPS: &str = "<ASSET_GROUP_LIST_OUTPUT><RESPONSE></RESPONSE></ASSET_GROUP_LIST_OUTPUT>";
const SCANS: &str = "<SCAN_LIST_OUTPUT><RESPONSE></RESPONSE></SCAN_LIST_OUTPUT>";

/// A platform on which everything works, but for one answer.
fn answers(at: usize, other: Answer) -> Vec<Answer> {
    let bodies = [ABOUT, HOSTS, &page(&[1], None), KNOWLEDGE, PROFILES, APPLIANCES, GROUPS, SCANS].map(str::to_owned);
    let mut answers: Vec<Answer> = bodies.into_iter().map(|body| answer(200, body)).collect();
    if let Some(place) = answers.get_mut(at) {
        *place = other;
    }
    answers
}

async fn checked(url: &str) -> Vec<Check> {
    let (client, _) = client(url, |config| {
        config.retries_max = 0;
        config.limit_wait_max = Duration::ZERO;
        config.connect_timeout = Duration::from_millis(300);
        config.read_timeout = Duration::from_millis(300);
    });
    client.check().await
}

#[tokio::test]
async fn each_line_has_its_own_verdict_cause_and_advice() {
    let limited =
        answer(409, error(1965, "Later.")).with("X-RateLimit-ToWait-Sec", 60).with("X-RateLimit-Remaining", 0);
    for (at, other, verdict, cause, tried) in [
        (9, answer(200, ""), Verdict::Works, "", 8),
        (0, answer(401, error(2000, "Bad Login/Password")), Verdict::Refused, "sign_in", 1),
        (0, answer(403, error(2012, "No API")), Verdict::Refused, "account", 1),
        (0, answer(404, "nginx"), Verdict::Failed, "wrong_host", 1),
        (0, answer(200, "<html>A printer</html>"), Verdict::Failed, "wrong_host", 1),
        (0, answer(302, "").with("location", "https://sso.example/x"), Verdict::Failed, "wrong_host", 1),
        (0, answer(503, "<html>"), Verdict::Failed, "unavailable", 1),
        (2, answer(403, "<html>"), Verdict::Refused, "permission", 8),
        (3, answer(401, error(2000, "Bad Login/Password")), Verdict::Refused, "sign_in", 4),
        (4, answer(400, error(1905, "not available to this user")), Verdict::Refused, "permission", 8),
        (5, answer(200, "<html>"), Verdict::Failed, "answer", 8),
        (7, limited, Verdict::Limited, "limited", 8),
    ] {
        let server = Scripted::start(answers(at, other.clone())).await;
        let checks = checked(&server.url).await;
        assert_eq!(checks.len(), 8);
        let line = checks.get(at).unwrap_or(&checks[0]);
        assert_eq!((line.verdict, line.cause), (verdict, cause), "{other:?}: {checks:?}");
        assert_eq!(line.advice.is_empty(), verdict == Verdict::Works, "{line:?}");
        let untried = checks.iter().filter(|check| check.verdict == Verdict::NotTried).count();
        assert_eq!((8 - untried, server.asked().len()), (tried, tried), "{other:?}: {checks:?}");
        assert!(!format!("{checks:?}").contains("sim-password"));
    }
}

#[tokio::test]
async fn a_host_that_is_not_there_is_told_from_one_that_is_silent_or_not_trusted() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let refused = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    // Takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_url = format!("http://{}", silent.local_addr().unwrap());
    // Speaks no TLS.
    let plain = Scripted::start([answer(200, ABOUT)]).await;
    let not_tls = plain.url.replace("http://", "https://");
    for (url, cause) in [
        (refused.as_str(), "connection_refused"),
        (silent_url.as_str(), "time_out"),
        (not_tls.as_str(), "tls"),
        ("https://no-such-host.invalid", "dns"),
    ] {
        let checks = checked(url).await;
        assert_eq!((checks[0].verdict, checks[0].cause), (Verdict::Failed, cause), "{url}: {checks:?}");
        assert!(checks[1..].iter().all(|check| check.verdict == Verdict::NotTried), "{checks:?}");
    }
}

#[tokio::test]
async fn a_later_version_is_remembered_and_silence_is_not() {
    let server = Scripted::start([answer(404, ""), answer(200, KNOWLEDGE)]).await;
    let (first, _) = client(&server.url, |_| {});
    let query = server::connect::qualys::KnowledgeBaseQuery::default();
    crate::support::all(first.knowledge_base(&query)).await.unwrap();
    let fallen: Vec<_> = first.fallen().into_iter().map(|fallen| (fallen.endpoint, fallen.from, fallen.to)).collect();
    assert_eq!(fallen, [(Endpoint::KnowledgeBase, 2, 3)]);
    // Known from before, it is used at once; of another configured version it says nothing.
    for (configured, path) in [(2, "/api/3.0/fo/knowledge_base/vuln/"), (4, "/api/4.0/fo/knowledge_base/vuln/")] {
        let server = Scripted::start([answer(200, KNOWLEDGE)]).await;
        let (second, _) = client(&server.url, |config| config.versions.set(Endpoint::KnowledgeBase, configured));
        second.fall(first.fallen()[0]);
        crate::support::all(second.knowledge_base(&query)).await.unwrap();
        assert_eq!(server.asked()[0].path, path);
    }
    // Where nothing answers, the next call begins with the configured version again.
    let gone = Scripted::start([answer(404, "")]).await;
    let (third, _) = client(&gone.url, |_| {});
    for _ in 0..2 {
        assert_eq!(crate::support::all(third.knowledge_base(&query)).await.unwrap_err().kind(), "version_gone");
    }
    let asked: Vec<_> = gone.asked().into_iter().map(|asked| asked.path).collect();
    assert_eq!(asked.iter().filter(|path| path.starts_with("/api/2.0/")).count(), 2, "{asked:?}");
    assert!(third.fallen().is_empty());
}
