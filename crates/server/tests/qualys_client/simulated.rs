//! Every call against the simulator, with its misbehaviour.

use crate::support::{Waits, all, client, entries, hosts};
use intake::qualys::scans::ScanState;
use qualys_sim::{Account, Fault, FaultKind, Options, Simulator};
use server::connect::qualys::{
    Auth, Client, Config, DetectionQuery, HostQuery, KnowledgeBaseQuery, LaunchRequest, ProfileChoice, ScanQuery,
    ScannerChoice, Verdict,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use url::Url;

async fn simulator(change: impl FnOnce(&mut Options)) -> Simulator {
    let mut options = Options::default();
    change(&mut options);
    Simulator::start(options).await.unwrap()
}

fn client_of(simulator: &Simulator, change: impl FnOnce(&mut Config)) -> (Client, Arc<Waits>) {
    client(&simulator.api_url(), |config| {
        config.gateway_url = Some(Url::parse(&simulator.gateway_url()).unwrap());
        change(config);
    })
}

#[tokio::test]
async fn detections_and_knowledge_fit_together() {
    let simulator = simulator(|_| {}).await;
    let (client, _) = client_of(&simulator, |config| config.page_size = 5);
    let mut pages =
        all(client.host_detections(&DetectionQuery { information: true, ..DetectionQuery::default() })).await.unwrap();
    assert!(pages.len() > 1);
    let found: Vec<_> = pages.iter_mut().flat_map(hosts).collect();
    let ids: Vec<_> = found.iter().map(|host| host.host_id.unwrap()).collect();
    assert_eq!(ids, client.host_ids(&HostQuery::default()).await.unwrap());
    assert!(pages.iter().all(|page| page.summary.rejected == 0 && page.summary.notes.is_empty()));
    assert!(found.iter().all(|host| host.asset_id.is_some() && host.os.is_some()));
    let detections: Vec<_> = found.iter().flat_map(|host| &host.detections).collect();
    assert!(detections.iter().any(|detection| detection.score.is_some() && !detection.score_factors.is_empty()));

    let qids: Vec<i64> =
        detections.iter().map(|detection| detection.qid).collect::<BTreeSet<_>>().into_iter().collect();
    let query = KnowledgeBaseQuery { ids: qids.clone(), ..KnowledgeBaseQuery::default() };
    let mut pages = all(client.knowledge_base(&query)).await.unwrap();
    let known: BTreeSet<i64> = pages.iter_mut().flat_map(entries).map(|entry| entry.qid).collect();
    assert_eq!(known.into_iter().collect::<Vec<_>>(), qids);

    let one = DetectionQuery { ids: vec![ids[0]], qids: vec![found[0].detections[0].qid], ..DetectionQuery::default() };
    let mut pages = all(client.host_detections(&DetectionQuery { information: true, ..one })).await.unwrap();
    assert_eq!(hosts(&mut pages[0])[0].detections.len(), 1);
}

#[tokio::test]
async fn every_way_to_sign_in() {
    let simulator = simulator(|options| options.switches.bearer_on_api = true).await;
    for auth in [Auth::Basic, Auth::Session, Auth::Jwt] {
        let (client, _) = client_of(&simulator, |config| config.auth = auth);
        let checks = client.check().await;
        for check in &checks {
            assert_eq!((check.verdict, check.cause), (Verdict::Works, ""), "{auth:?} {check:?}");
        }
        assert_eq!(checks.len(), 8);
        client.close().await;
        let (stranger, _) = client_of(&simulator, |config| {
            config.auth = auth;
            config.password = server::connect::qualys::Secret::new("wrong");
        });
        simulator.clear_journal();
        let checks = stranger.check().await;
        assert_eq!((checks[0].verdict, checks[0].cause), (Verdict::Refused, "sign_in"), "{auth:?}");
        assert!(checks[1..].iter().all(|check| check.verdict == Verdict::NotTried), "{checks:?}");
        assert_eq!(simulator.journal().len(), 1, "a password is tried once: {auth:?}");
    }
}

#[tokio::test]
async fn account_states() {
    for account in [Account::Inactive, Account::Unregistered, Account::Unlicensed, Account::Expired] {
        let simulator = simulator(|options| options.account = account).await;
        let (client, waits) = client_of(&simulator, |_| {});
        let checks = client.check().await;
        assert_eq!((checks[0].verdict, checks[0].cause), (Verdict::Refused, "account"), "{account:?}");
        assert_eq!(client.host_ids(&HostQuery::default()).await.unwrap_err().kind(), "account", "{account:?}");
        assert!(waits.seconds().is_empty());
    }
}

#[tokio::test]
async fn small_lists() {
    let simulator = simulator(|_| {}).await;
    let (client, _) = client_of(&simulator, |config| config.page_size = 2);
    let profiles = client.option_profiles().await.unwrap();
    assert!(profiles.iter().any(|profile| profile.default) && profiles.iter().all(|profile| !profile.name.is_empty()));
    let appliances = client.appliances().await.unwrap();
    assert!(appliances.len() >= 2 && appliances.iter().all(|appliance| appliance.id > 0 && appliance.status.is_some()));
    let groups = client.asset_groups().await.unwrap();
    assert!(groups.iter().any(|group| !group.addresses.is_empty()));
    let mut pages = all(client.host_list(&HostQuery::default())).await.unwrap();
    assert!(pages.iter_mut().flat_map(hosts).all(|host| host.ip.is_some()));
}

#[tokio::test]
async fn ranges_foreign_hosts_and_old_versions() {
    let simulator = simulator(|options| {
        options.switches.id_ranges = true;
        options.switches.returned_base = Some("https://elsewhere.example".to_owned());
        options.switches.retired_versions = vec![2];
    })
    .await;
    let (client, _) = client_of(&simulator, |config| config.page_size = 4);
    // A range may span ids that no host has; none may be missing.
    let ids = client.host_ids(&HostQuery::default()).await.unwrap();
    let mut pages = all(client.host_list(&HostQuery::default())).await.unwrap();
    let found: Vec<_> = pages.iter_mut().flat_map(hosts).filter_map(|host| host.host_id).collect();
    assert_eq!(found.len(), 12);
    assert!(found.iter().all(|id| ids.contains(id)));
    assert_eq!(all(client.host_detections(&DetectionQuery::default())).await.unwrap().len(), 3);
    let pages =
        all(client.knowledge_base(&KnowledgeBaseQuery { ids: vec![900_000], ..KnowledgeBaseQuery::default() })).await;
    assert!(pages.is_ok(), "a later version answers: {pages:?}");
}

#[tokio::test]
async fn misbehaviour_is_lived_with() {
    let simulator = simulator(|_| {}).await;
    let (client, _) = client_of(&simulator, |config| config.page_size = 5);
    let expected: Vec<_> =
        all(client.host_detections(&DetectionQuery::default())).await.unwrap().iter_mut().flat_map(hosts).collect();
    for what in [
        FaultKind::RateLimited { seconds: 30, headers: true },
        FaultKind::RateLimited { seconds: 30, headers: false },
        FaultKind::TooManyAtOnce { headers: true },
        FaultKind::TooManyAtOnce { headers: false },
        FaultKind::Blocked,
        FaultKind::Html { status: 502 },
        FaultKind::Html { status: 504 },
        FaultKind::Maintenance,
        FaultKind::ErrorWith200 { code: 999 },
        FaultKind::Empty,
        FaultKind::ErrorMidway { after: 2 },
        FaultKind::Cut { after: 1500 },
        FaultKind::InvalidCharacters,
        FaultKind::KeepAliveComments,
        FaultKind::SlowDrip { bytes: 4096, pause_ms: 1 },
        FaultKind::LowerCaseTags,
        FaultKind::HugePage { bytes: 3 << 20 },
        FaultKind::DoubleEscapedResults,
    ] {
        simulator.set_fault_plan(vec![Fault::on("host-detection", 2, what.clone())]);
        let mut pages =
            all(client.host_detections(&DetectionQuery::default())).await.unwrap_or_else(|e| panic!("{what:?}: {e}"));
        let found: Vec<_> = pages.iter_mut().flat_map(hosts).collect();
        let shape = |hosts: &[intake::HostReport]| -> Vec<_> {
            hosts
                .iter()
                .map(|host| (host.host_id, host.ip.clone(), host.detections.iter().map(|d| d.qid).collect::<Vec<_>>()))
                .collect()
        };
        assert_eq!(shape(&found), shape(&expected), "{what:?}");
        let dropped: u64 = pages.iter().map(|page| page.summary.dropped_characters).sum();
        assert_eq!(dropped > 0, what == FaultKind::InvalidCharacters, "{what:?}");
    }
    simulator.set_fault_plan(vec![Fault::on("host-detection", 1, FaultKind::FrozenCursor)]);
    assert_eq!(all(client.host_detections(&DetectionQuery::default())).await.unwrap_err().kind(), "paging");
    simulator.set_fault_plan(vec![Fault::on("host-detection", 2, FaultKind::DuplicateHost)]);
    let mut pages = all(client.host_detections(&DetectionQuery::default())).await.unwrap();
    let count = pages.iter_mut().flat_map(hosts).count();
    assert_eq!(count, expected.len() + 1, "a host on two pages is handed out twice, the last wins");
}

#[tokio::test]
async fn a_scan_from_launch_to_its_result() {
    let simulator = simulator(|options| {
        options.clock = qualys_sim::ClockMode::Manual("2026-05-04T03:02:01Z".parse().unwrap());
    })
    .await;
    let (client, _) = client_of(&simulator, |_| {});
    let profile = client.option_profiles().await.unwrap().into_iter().find(|profile| profile.complete).unwrap();
    let ip = simulator.demo_hosts()[0].ip.to_string();
    let launch = |title: &str| LaunchRequest {
        title: title.to_owned(),
        profile: ProfileChoice::Id(profile.id),
        ips: vec![ip.clone()],
        network_id: None,
        scanner: ScannerChoice::External,
        priority: None,
    };
    let scan = client.launch_scan(&launch("ours 1")).await.unwrap();
    let by_reference = ScanQuery { reference: Some(scan.reference.clone()), ..ScanQuery::default() };
    let listed = client.list_scans(&by_reference).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert!(!listed[0].processed);
    let by_title = ScanQuery { title: Some("ours 1".to_owned()), ..ScanQuery::default() };
    assert_eq!(client.list_scans(&by_title).await.unwrap()[0].reference, scan.reference);
    let none = ScanQuery { title: Some("ours 2".to_owned()), ..ScanQuery::default() };
    assert!(client.list_scans(&none).await.unwrap().is_empty());

    simulator.step_clock(jiff::SignedDuration::from_hours(6));
    let listed = client.list_scans(&by_reference).await.unwrap();
    assert_eq!((listed[0].state.clone(), listed[0].processed), (Some(ScanState::Finished), true));
    let result = client.fetch_scan(&scan.reference).await.unwrap();
    assert!(result.reached.contains_key(&ip), "{result:?}");

    let second = client.launch_scan(&launch("ours 2")).await.unwrap();
    client.cancel_scan(&second.reference).await.unwrap();
    let canceled = ScanQuery { reference: Some(second.reference), ..ScanQuery::default() };
    assert_eq!(client.list_scans(&canceled).await.unwrap()[0].state, Some(ScanState::Canceled));
    assert_eq!(client.cancel_scan("scan/1.1").await.unwrap_err().kind(), "refused");
}
