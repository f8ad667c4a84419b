//! Scans: their life, what they change, and how they can go wrong.

use crate::support::{Answer, Sim, options};
use jiff::SignedDuration;
use qualys_sim::hosts::Host;
use qualys_sim::{Options, Outcome, Switches, world};

const SCAN: &str = "/api/2.0/fo/scan/";

impl Sim {
    /// Launches a scan of one host on the head office's appliance and returns its reference.
    async fn launch(&self, host: &Host, profile: &str) -> String {
        let ip = host.ip.to_string();
        let form =
            [("action", "launch"), ("option_id", profile), ("ip", ip.as_str()), ("iscanner_name", "scanner-hq-1")];
        let answer = self.post(SCAN, &form).await;
        assert_eq!(answer.first("TEXT").as_deref(), Some("New vm scan launched"), "{}", answer.text);
        answer.reference()
    }

    async fn listed(&self, reference: &str) -> (String, String, Option<String>) {
        let answer = self.get(&format!("/api/3.0/fo/scan/?action=list&scan_ref={reference}")).await;
        (
            answer.first("STATE").unwrap_or_default(),
            answer.first("PROCESSED").unwrap_or_default(),
            answer.first("SUB_STATE"),
        )
    }

    fn pass(&self, seconds: i64) {
        self.simulator.step_clock(SignedDuration::from_secs(seconds));
    }

    async fn control(&self, action: &str, reference: &str) -> Answer {
        self.post(SCAN, &[("action", action), ("scan_ref", reference)]).await
    }
}

#[tokio::test]
async fn a_scan_walks_through_its_states_and_detections_follow_only_when_it_is_processed() {
    let sim = Sim::start(options()).await;
    let host = sim.simulator.demo_hosts()[0].clone();
    sim.simulator.set_fixed(host.id, 900_101, true);
    let before = sim.status(host.id, 900_101).await;
    let reference = sim.launch(&host, "510001").await;
    assert!(reference.starts_with("scan/") && reference.len() == "scan/1788264000.10001".len(), "{reference}");
    let steps = [(0, "Queued", "0"), (21, "Running", "0"), (95, "Loading", "0"), (15, "Finished", "0")];
    for (seconds, state, processed) in steps {
        sim.pass(seconds);
        let (listed, flag, _) = sim.listed(&reference).await;
        assert_eq!((listed.as_str(), flag.as_str()), (state, processed));
        assert_eq!(sim.status(host.id, 900_101).await, before, "not before it is processed");
    }
    sim.pass(30);
    assert_eq!(sim.listed(&reference).await, ("Finished".to_owned(), "1".to_owned(), None));
    assert_eq!(sim.status(host.id, 900_101).await.as_deref(), Some("Fixed"));
    let fixed = sim.detections(&[("ids", &host.id.to_string()), ("status", "Fixed"), ("qids", "900101")]).await;
    assert!(fixed.first("LAST_FIXED_DATETIME").is_some());
}

#[tokio::test]
async fn a_folder_decides_what_a_scan_finds() {
    let sim = Sim::start(options()).await;
    let host = sim.simulator.demo_hosts()[2].clone();
    let folder = tempfile::tempdir().expect("a temporary folder");
    sim.simulator.write_root(&host, folder.path()).expect("a root folder");
    let scan = async || {
        let reference = sim.launch(&host, "510001").await;
        sim.pass(600);
        assert_eq!(sim.listed(&reference).await.1, "1");
    };
    scan().await;
    for qid in [900_002, 900_004, 900_007, 900_101] {
        assert_eq!(sim.status(host.id, qid).await.as_deref(), Some("Active"), "{qid}");
    }
    // A mitigation by setting: Terrapin stays, because the scanner reads versions; the setuid bit goes, because the bit is the finding.
    let sshd = folder.path().join("etc/ssh/sshd_config");
    let text = std::fs::read_to_string(&sshd).expect("sshd_config");
    std::fs::write(&sshd, format!("Ciphers -chacha20-poly1305@openssh.com\nMACs -*-etm@openssh.com\n{text}"))
        .expect("sshd_config");
    let pkexec = folder.path().join("usr/bin/pkexec");
    std::fs::set_permissions(&pkexec, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a mode");
    // A fix by other means.
    assert!(world::fix(folder.path(), 900_007).expect("a fix"));
    assert!(!world::is_exposed(folder.path(), 900_002).expect("a demo qid"));
    scan().await;
    assert_eq!(sim.status(host.id, 900_002).await.as_deref(), Some("Active"));
    assert_eq!(sim.status(host.id, 900_004).await.as_deref(), Some("Fixed"));
    assert_eq!(sim.status(host.id, 900_007).await.as_deref(), Some("Fixed"));
    std::fs::set_permissions(&pkexec, std::os::unix::fs::PermissionsExt::from_mode(0o4755)).expect("a mode");
    scan().await;
    assert_eq!(sim.status(host.id, 900_004).await.as_deref(), Some("Re-Opened"));
    scan().await;
    assert_eq!(sim.status(host.id, 900_004).await.as_deref(), Some("Active"));
    let id = host.id.to_string();
    let row = sim.detections(&[("ids", &id), ("qids", "900004"), ("show_reopened_info", "1")]).await;
    assert!(
        row.first("TIMES_REOPENED").is_some() && row.first("LAST_FIXED_DATETIME").is_some(),
        "an Active row keeps its history"
    );
}

#[tokio::test]
async fn a_truth_folder_is_found_by_any_name_of_the_host() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let fleet = qualys_sim::hosts::Fleet::new(1, 12, 3);
    let names =
        [fleet.host(0).name, fleet.host(1).id.to_string(), fleet.host(2).agent_uuid.expect("an agent").to_string()];
    for (index, name) in (0..).zip(&names) {
        world::write_root(&folder.path().join(name), 1, &fleet.host(index)).expect("a root folder");
    }
    let sim = Sim::start(Options { truth: Some(folder.path().to_owned()), ..options() }).await;
    for (host, name) in sim.simulator.demo_hosts().iter().zip(&names) {
        assert_eq!(sim.simulator.root(host.id), Some(folder.path().join(name)));
    }
}

#[tokio::test]
async fn only_what_the_profile_covers_and_the_appliance_reaches_is_tested() {
    let sim = Sim::start(Options { hosts: 30, ..options() }).await;
    let host = sim.simulator.demo_hosts()[0].clone();
    sim.simulator.set_fixed(host.id, 900_101, true);
    sim.launch(&host, "510004").await;
    sim.pass(600);
    assert_ne!(sim.status(host.id, 900_101).await.as_deref(), Some("Fixed"), "the profile tests Windows only");

    let ip = host.ip.to_string();
    let form =
        [("action", "launch"), ("option_title", "Initial Options"), ("ip", ip.as_str()), ("iscanner_id", "11002")];
    let reference = sim.post(SCAN, &form).await.reference();
    sim.pass(600);
    assert_eq!(sim.listed(&reference).await, ("Finished".to_owned(), "1".to_owned(), Some("No_Host".to_owned())));
    assert_ne!(sim.status(host.id, 900_101).await.as_deref(), Some("Fixed"), "the appliance stands in another network");

    sim.simulator.set_alive(host.id, false);
    let reference = sim.launch(&host, "510001").await;
    sim.pass(600);
    assert_eq!(sim.listed(&reference).await.2.as_deref(), Some("No_Host"));
    sim.simulator.set_alive(host.id, true);

    let form = [("action", "launch"), ("option_id", "510001"), ("ip", ip.as_str()), ("iscanner_name", "scanner-lab")];
    let reference = sim.post(SCAN, &form).await.reference();
    sim.pass(600);
    assert_eq!(sim.listed(&reference).await.0, "Error", "an appliance that is offline");

    sim.launch(&host, "510001").await;
    sim.pass(600);
    assert_eq!(sim.status(host.id, 900_101).await.as_deref(), Some("Fixed"));
}

#[tokio::test]
async fn a_host_that_was_not_a_target_keeps_its_rows() {
    let sim = Sim::start(options()).await;
    let hosts = sim.simulator.demo_hosts();
    let other = hosts[1].id.to_string();
    let ask = [("ids", other.as_str()), ("status", "New,Active,Re-Opened,Fixed"), ("show_igs", "1")];
    let before = sim.detections(&ask).await.first("HOST_LIST");
    sim.launch(&hosts[0], "510001").await;
    sim.pass(600);
    assert_eq!(sim.detections(&ask).await.first("HOST_LIST"), before);
    let delta = sim.detections(&[("vm_processed_after", "2026-09-01T12:00:01Z")]).await;
    assert_eq!(delta.all("IP"), [hosts[0].ip.to_string()], "a delta import sees the scanned host alone");
}

#[tokio::test]
async fn new_findings_appear_with_the_scan() {
    let sim = Sim::start(options()).await;
    let host = sim.simulator.demo_hosts()[0].clone();
    let absent = [900_004, 900_007, 900_110];
    let mut qid = 0;
    for candidate in absent {
        if sim.status(host.id, candidate).await.is_none() {
            qid = candidate;
        }
    }
    assert_ne!(qid, 0, "some weakness is not on this host");
    sim.simulator.set_fixed(host.id, qid, false);
    sim.launch(&host, "510001").await;
    sim.pass(600);
    assert_eq!(sim.status(host.id, qid).await.as_deref(), Some("New"));
}

#[tokio::test]
async fn scans_can_end_in_every_way() {
    let cases = [
        (Outcome::NoHost, "Finished", "1", Some("No_Host")),
        (Outcome::Error, "Error", "0", None),
        (Outcome::NeverProcessed, "Finished", "0", None),
        (Outcome::Stuck, "Running", "0", None),
        (Outcome::Partial, "Canceled", "1", None),
        (Outcome::Truth, "Finished", "1", None),
    ];
    for (outcome, state, processed, sub_state) in cases {
        let sim = Sim::start(options()).await;
        let host = sim.simulator.demo_hosts()[0].clone();
        sim.simulator.set_fixed(host.id, 900_101, true);
        sim.simulator.set_next_outcome(outcome);
        let reference = sim.launch(&host, "510001").await;
        sim.pass(100_000);
        let expected = (state.to_owned(), processed.to_owned(), sub_state.map(str::to_owned));
        assert_eq!(sim.listed(&reference).await, expected, "{outcome:?}");
        let changed = sim.status(host.id, 900_101).await.as_deref() == Some("Fixed");
        assert_eq!(changed, matches!(outcome, Outcome::Truth | Outcome::Partial), "{outcome:?}");
    }
}

#[tokio::test]
async fn scans_are_held_resumed_stopped_and_deleted_in_the_right_states_only() {
    let sim = Sim::start(options()).await;
    let host = sim.simulator.demo_hosts()[0].clone();
    let reference = sim.launch(&host, "510001").await;
    assert_eq!(sim.control("pause", &reference).await.code(), Some(1920), "not while it is queued");
    assert_eq!(sim.control("delete", &reference).await.code(), Some(1920), "not before it has ended");
    sim.pass(30);
    let paused = sim.control("pause", &reference).await;
    assert_eq!((paused.status, paused.all("KEY")), (200, vec!["ID".to_owned(), "REFERENCE".to_owned()]));
    sim.pass(100_000);
    assert_eq!(sim.listed(&reference).await.0, "Paused");
    assert_eq!(sim.control("resume", &reference).await.status, 200);
    assert_eq!(sim.control("cancel", &reference).await.status, 200);
    assert_eq!(sim.listed(&reference).await.0, "Canceled");
    assert_eq!(sim.control("cancel", &reference).await.code(), Some(1920));
    assert_eq!(sim.control("delete", &reference).await.status, 200);
    assert_eq!(sim.listed(&reference).await.0, "");
    let loading = sim.launch(&host, "510001").await;
    sim.pass(20 + 94 + 1);
    assert_eq!(sim.listed(&loading).await.0, "Loading");
    assert_eq!(sim.control("cancel", &loading).await.code(), Some(1920), "not while it is loading");
}

#[tokio::test]
async fn results_are_an_array_of_unlike_objects_or_csv_and_only_for_ended_scans() {
    let sim = Sim::start(options()).await;
    let host = sim.simulator.demo_hosts()[0].clone();
    let reference = sim.launch(&host, "510001").await;
    let fetch = async |format: &str| {
        sim.post(SCAN, &[("action", "fetch"), ("scan_ref", &reference), ("output_format", format)]).await
    };
    assert_eq!(fetch("json").await.code(), Some(1920));
    sim.pass(600);
    let json = fetch("json_extended").await;
    assert_eq!(json.header("content-type"), Some("application/json"));
    let parts: Vec<serde_json::Value> = serde_json::from_str(&json.text).expect("an array");
    assert!(parts[0].get("result_date").is_some() && parts[1]["reference"] == reference.as_str());
    let rows = &parts[2..parts.len() - 1];
    assert!(!rows.is_empty() && rows.iter().all(|row| row["qid"].is_number() && row["ip"] == host.ip.to_string()));
    assert!(parts[parts.len() - 1].get("target_distribution_across_scanner_appliances").is_some());
    let csv = fetch("csv").await;
    assert_eq!(csv.header("content-type"), Some("text/csv"));
    assert!(csv.text.contains("\"ip\",\"dns\",\"netbios\",\"qid\""));
}

#[tokio::test]
async fn platforms_that_differ_can_be_had() {
    let switches = Switches { wrong_state_is_bad_value: true, results_labelled_html: true, ..Switches::default() };
    let sim = Sim::start(Options { switches, ..options() }).await;
    let reference = sim.launch(&sim.simulator.demo_hosts()[0].clone(), "510001").await;
    let refused = sim.control("resume", &reference).await;
    assert_eq!((refused.status, refused.code()), (400, Some(1905)));
    sim.pass(600);
    let form = [("action", "fetch"), ("scan_ref", reference.as_str()), ("output_format", "json")];
    assert_eq!(sim.post(SCAN, &form).await.header("content-type"), Some("text/html; charset=UTF-8"));
}

#[tokio::test]
async fn the_list_filters_and_shows_what_was_asked_for() {
    let switches = Switches { scan_ids: true, client_element: true, ..Switches::default() };
    let plain = Sim::start(options()).await;
    let odd = Sim::start(Options { switches, ..options() }).await;
    for (sim, has_odd) in [(&plain, false), (&odd, true)] {
        let host = sim.simulator.demo_hosts()[0].clone();
        let first = sim.launch(&host, "510001").await;
        sim.pass(600);
        let second = sim.launch(&host, "510002").await;
        let list = async |query: &str| sim.get(&format!("/api/3.0/fo/scan/?action=list{query}")).await;
        let all = list("").await;
        assert_eq!(all.all("REF"), [second.clone(), first.clone()], "newest first");
        for element in ["ID", "SCAN_TYPE", "CLIENT"] {
            assert_eq!(all.first(element).is_some(), has_odd, "{element}");
        }
        assert_eq!(list("&state=Queued,Running").await.all("REF").concat(), second);
        assert_eq!(list("&processed=1").await.all("REF").concat(), first);
        assert_eq!(list("&show_last=1").await.all("REF").concat(), second);
        assert!(list("&show_status=0").await.first("STATE").is_none());
        assert_eq!(list("&show_op=1").await.all("TITLE").len(), 4, "scan and profile titles");
        sim.pass(31 * 86_400);
        assert!(list("").await.first("SCAN").is_none(), "the window is thirty days");
        assert_eq!(list("&launched_after_datetime=2026-01-01").await.all("REF").len(), 2);
        assert_eq!(list(&format!("&scan_ref={first}")).await.all("REF"), [first]);
    }
}

#[tokio::test]
async fn groups_tags_and_names_are_targets_too() {
    let sim = Sim::start(Options { hosts: 150, ..options() }).await;
    let hosts = sim.simulator.demo_hosts();
    let name = hosts[1].fqdn.clone();
    let excluded = hosts[0].ip.to_string();
    let target = async |form: &[(&str, &str)]| {
        let mut form = form.to_vec();
        form.extend([("action", "launch"), ("option_id", "510001")]);
        let answer = sim.post(SCAN, &form).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let reference = answer.reference();
        sim.get(&format!("/api/3.0/fo/scan/?action=list&scan_ref={reference}")).await.first("TARGET").expect("a target")
    };
    assert_eq!(target(&[("fqdn", &name)]).await, hosts[1].ip.to_string());
    let group =
        [("asset_groups", "Demo servers"), ("exclude_ip_per_scan", excluded.as_str()), ("default_scanner", "1")];
    assert_eq!(target(&group).await, format!("{}, {}", hosts[1].ip, hosts[2].ip));
    let tagged = target(&[("target_from", "tags"), ("tag_set_by", "name"), ("tag_set_include", "Windows")]).await;
    assert!(tagged.split(", ").count() > 2);
    let branch = sim.simulator.state().fleet().iter().find(|host| host.network_id != 0).expect("a host of the branch");
    let ip = branch.ip.to_string();
    let wrong = [("action", "launch"), ("option_id", "510001"), ("ip", ip.as_str())];
    assert_eq!(sim.post(SCAN, &wrong).await.code(), Some(1905), "the address is not in that network");
    assert_eq!(target(&[("ip", &ip), ("ip_network_id", "1103"), ("scanners_in_network", "1")]).await, ip);
    sim.pass(600);
    let scans = sim.simulator.scans();
    let by_tags = &scans[2];
    let networks = |index: u32| sim.simulator.state().fleet().network_of(index);
    let own = by_tags.targets.iter().filter(|index| networks(**index) == by_tags.network).count();
    assert!(own < by_tags.targets.len(), "the tag is used in both networks");
    assert_eq!(by_tags.results.len(), own, "a scan stays in its network");
    let mixed = format!("{},192.0.2.7", hosts[0].ip);
    assert_eq!(target(&[("ip", &mixed)]).await, hosts[0].ip.to_string(), "foreign addresses are dropped silently");
}

#[tokio::test]
async fn a_fast_scan_by_the_real_clock_ends_by_itself() {
    let sim = Sim::start(Options { scan_speed: 600.0, ..Options::default() }).await;
    let host = sim.simulator.demo_hosts()[0].clone();
    sim.simulator.set_fixed(host.id, 900_101, true);
    let reference = sim.launch(&host, "510003").await;
    for _ in 0..200 {
        if sim.listed(&reference).await.1 == "1" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(sim.status(host.id, 900_101).await.as_deref(), Some("Fixed"));
}
