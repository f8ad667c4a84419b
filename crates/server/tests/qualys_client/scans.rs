//! Launching, and why a launch is never repeated blindly.

use crate::support::{Scripted, answer, client, error};
use server::connect::qualys::{Error, LaunchRequest, ProfileChoice, ScannerChoice};

fn request() -> LaunchRequest {
    LaunchRequest {
        title: "quell VSCAN0000001-1 k3y".to_owned(),
        profile: ProfileChoice::Id(11),
        ips: vec!["10.0.0.1".to_owned(), "10.0.0.5-10.0.0.9".to_owned()],
        network_id: Some(0),
        scanner: ScannerChoice::External,
        priority: None,
    }
}

fn launched() -> String {
    "<SIMPLE_RETURN><RESPONSE><TEXT>New vm scan launched</TEXT><ITEM_LIST><ITEM><KEY>ID</KEY><VALUE>7</VALUE></ITEM>\
     <ITEM><KEY>REFERENCE</KEY><VALUE>scan/1.2</VALUE></ITEM></ITEM_LIST></RESPONSE></SIMPLE_RETURN>"
        .to_owned()
}

#[tokio::test]
async fn a_launch_gives_the_reference() {
    let server = Scripted::start([answer(200, launched())]).await;
    let (client, _) = client(&server.url, |_| {});
    let scan = client.launch_scan(&request()).await.unwrap();
    assert_eq!((scan.reference.as_str(), scan.id), ("scan/1.2", Some(7)));
    let asked = &server.asked()[0];
    assert_eq!(asked.path, "/api/2.0/fo/scan/");
    for (name, value) in [
        ("action", "launch"),
        ("scan_title", "quell VSCAN0000001-1 k3y"),
        ("option_id", "11"),
        ("ip", "10.0.0.1,10.0.0.5-10.0.0.9"),
        ("ip_network_id", "0"),
        ("iscanner_name", "External"),
    ] {
        assert_eq!(asked.parameter(name), Some(value), "{name}");
    }
}

#[tokio::test]
async fn an_unclear_answer_is_not_repeated() {
    for unclear in [
        answer(502, "<html>502</html>"),
        answer(504, ""),
        answer(200, launched()).cut(),
        answer(200, "<SIMPLE_RETURN><RESPONSE>"),
        answer(200, "<SIMPLE_RETURN><RESPONSE><TEXT>New vm scan launched</TEXT></RESPONSE></SIMPLE_RETURN>"),
    ] {
        let server = Scripted::start([unclear.clone()]).await;
        let (client, _) = client(&server.url, |_| {});
        let error = client.launch_scan(&request()).await.unwrap_err();
        assert!(matches!(error, Error::Uncertain { .. }), "{unclear:?}: {error}");
        assert_eq!(server.asked().len(), 1, "{unclear:?}");
    }
}

#[tokio::test]
async fn a_refusal_before_the_work_is_repeated_or_final() {
    let busy = answer(409, error(1960, "busy"));
    let server = Scripted::start([busy, answer(200, launched())]).await;
    let (first, waits) = client(&server.url, |_| {});
    first.launch_scan(&request()).await.unwrap();
    assert_eq!((server.asked().len(), waits.seconds()), (2, vec![5]));

    for (status, code) in [(400, 1905), (400, 999)] {
        let server = Scripted::start([answer(status, error(code, "IPs not approved for this account"))]).await;
        let (second, _) = client(&server.url, |_| {});
        assert_eq!(second.launch_scan(&request()).await.unwrap_err().kind(), "refused");
        assert_eq!(server.asked().len(), 1);
    }
}
