//! Name and password, session, token: signing in, once more when needed, and never a refused password twice.

use crate::support::{Scripted, all, answer, client, error, page};
use server::connect::qualys::{Auth, DetectionQuery};
use url::Url;

const LOGGED_IN: &str = "<SIMPLE_RETURN><RESPONSE><TEXT>Logged in</TEXT></RESPONSE></SIMPLE_RETURN>";

#[tokio::test]
async fn a_refused_password_is_tried_once() {
    for auth in [Auth::Basic, Auth::Session, Auth::Jwt] {
        let server = Scripted::start([answer(401, error(2000, "Bad Login/Password"))]).await;
        let (client, waits) = client(&server.url, |config| {
            config.auth = auth;
            config.gateway_url = Some(Url::parse(&server.url).unwrap());
        });
        let error = all(client.host_detections(&DetectionQuery::default())).await.unwrap_err();
        assert_eq!(error.kind(), "sign_in", "{auth:?}");
        assert!(error.to_string().contains("platform URL"));
        assert_eq!((server.asked().len(), waits.seconds().len()), (1, 0), "{auth:?}");
    }
}

#[tokio::test]
async fn a_session_is_opened_used_renewed_once_and_closed() {
    let cookie = |id: &str| answer(200, LOGGED_IN).with("set-cookie", format!("QualysSession={id}; path=/api; secure"));
    let ended = answer(401, error(2000, "Bad Login/Password for first1"));
    let server = Scripted::start([
        cookie("first1"),
        answer(200, page(&[1], Some("?id_min=2"))),
        ended.clone(),
        cookie("second2"),
        answer(200, page(&[2], None)),
        answer(200, LOGGED_IN),
    ])
    .await;
    let (client, _) = client(&server.url, |config| config.auth = Auth::Session);
    all(client.host_detections(&DetectionQuery::default())).await.unwrap();
    client.close().await;
    let asked = server.asked();
    assert_eq!(asked[0].path, "/api/2.0/fo/session/");
    assert_eq!((asked[0].parameter("action"), asked[0].parameter("password")), (Some("login"), Some("sim-password")));
    assert_eq!(asked[1].header("cookie"), Some("QualysSession=first1"));
    assert_eq!(asked[1].header("authorization"), None);
    assert_eq!(asked[2].header("cookie"), Some("QualysSession=first1"));
    assert_eq!(asked[4].header("cookie"), Some("QualysSession=second2"));
    assert_eq!(
        (asked[5].parameter("action"), asked[5].header("cookie")),
        (Some("logout"), Some("QualysSession=second2"))
    );

    let server = Scripted::start([cookie("first1"), ended.clone(), cookie("second2"), ended]).await;
    let (client, _) = self::client(&server.url, |config| config.auth = Auth::Session);
    let error = all(client.host_detections(&DetectionQuery::default())).await.unwrap_err();
    assert_eq!((error.kind(), server.asked().len()), ("sign_in", 4));
    assert!(!format!("{error:?}").contains("second2"), "the session is a secret");
}

#[tokio::test]
async fn a_token_comes_from_the_gateway_and_is_renewed_once() {
    let gateway = Scripted::start([answer(201, "aaa.bbb.ccc\n"), answer(201, "ddd.eee.fff")]).await;
    let server = Scripted::start([answer(401, "{\"error\":\"expired\"}"), answer(200, page(&[1], None))]).await;
    let (client, _) = client(&server.url, |config| {
        config.auth = Auth::Jwt;
        config.gateway_url = Some(Url::parse(&gateway.url).unwrap());
    });
    all(client.host_detections(&DetectionQuery::default())).await.unwrap();
    assert_eq!(gateway.asked()[0].path, "/auth");
    assert_eq!(gateway.asked()[0].parameter("token"), Some("true"));
    let asked = server.asked();
    assert_eq!(asked[0].header("authorization"), Some("Bearer aaa.bbb.ccc"));
    assert_eq!(asked[1].header("authorization"), Some("Bearer ddd.eee.fff"));
}

#[tokio::test]
async fn what_is_no_token_is_not_used() {
    for body in ["", "<html>sign in</html>", "{\"token\":1}", "two words"] {
        let server = Scripted::start([answer(200, body)]).await;
        let (client, _) = client(&server.url, |config| {
            config.auth = Auth::Jwt;
            config.gateway_url = Some(Url::parse(&server.url).unwrap());
        });
        assert_eq!(
            all(client.host_detections(&DetectionQuery::default())).await.unwrap_err().kind(),
            "sign_in",
            "{body}"
        );
        assert_eq!(server.asked().len(), 1);
    }
    let (client, _) = client("http://127.0.0.1:1", |config| config.auth = Auth::Jwt);
    assert_eq!(all(client.host_detections(&DetectionQuery::default())).await.unwrap_err().kind(), "config");
}
