//! What the detection list, the host list, the knowledge base and the subscription say.

use crate::support::{Sim, elements, options};
use qualys_sim::{Options, Switches};

#[tokio::test]
async fn the_same_seed_says_the_same_and_another_one_does_not() {
    let mut answers = Vec::new();
    for seed in [5, 5, 6] {
        let sim = Sim::start(Options { seed, hosts: 20, ..options() }).await;
        let detections =
            sim.detections(&[("show_qds", "1"), ("status", "New,Active,Re-Opened,Fixed"), ("show_igs", "1")]).await;
        let knowledge = sim.get("/api/2.0/fo/knowledge_base/vuln/?action=list&details=All").await;
        let own = sim.simulator.api_url();
        answers.push(detections.text.replace(&own, "") + &knowledge.text.replace(&own, ""));
    }
    assert_eq!(answers[0], answers[1]);
    assert_ne!(answers[0], answers[2]);
    let scores = |text: &str| elements(text, "QDS");
    assert_ne!(scores(&answers[0]), scores(&answers[2]));
    assert_ne!(elements(&answers[0], "IP"), elements(&answers[2], "IP"));
}

#[tokio::test]
async fn a_host_does_not_change_when_the_fleet_grows() {
    let small = Sim::start(Options { hosts: 4, ..options() }).await;
    let large = Sim::start(Options { hosts: 3_000, ..options() }).await;
    let id = small.simulator.demo_hosts()[1].id.to_string();
    let ask = [("ids", id.as_str()), ("show_tags", "1")];
    let (one, other) = (small.detections(&ask).await, large.detections(&ask).await);
    assert_eq!(one.first("HOST_LIST"), other.first("HOST_LIST"));
}

#[tokio::test]
async fn defaults_hide_what_was_not_asked_for() {
    let sim = Sim::start(Options { hosts: 30, ..options() }).await;
    let plain = sim.detections(&[]).await;
    assert!(!plain.all("STATUS").contains(&"Fixed".to_owned()));
    assert!(!plain.all("TYPE").contains(&"Info".to_owned()));
    for element in ["QDS", "QDS_FACTORS", "TAGS", "ASSET_ID", "TIMES_REOPENED"] {
        assert!(plain.first(element).is_none(), "{element}");
    }
    let asked = sim
        .detections(&[
            ("status", "New,Active,Re-Opened,Fixed"),
            ("show_igs", "1"),
            ("show_qds", "1"),
            ("show_qds_factors", "1"),
            ("show_tags", "1"),
            ("show_asset_id", "1"),
            ("show_reopened_info", "1"),
        ])
        .await;
    for status in ["New", "Active", "Re-Opened", "Fixed"] {
        assert!(asked.all("STATUS").contains(&status.to_owned()), "{status}");
    }
    assert!(asked.all("TYPE").contains(&"Info".to_owned()) && asked.all("TYPE").contains(&"Potential".to_owned()));
    for element in
        ["QDS", "QDS_FACTORS", "TAGS", "ASSET_ID", "TIMES_REOPENED", "LAST_FIXED_DATETIME", "QG_HOSTID", "NETBIOS"]
    {
        assert!(asked.first(element).is_some(), "{element}");
    }
    assert!(sim.detections(&[("show_results", "0")]).await.first("RESULTS").is_none());
}

#[tokio::test]
async fn bands_and_scores_agree() {
    let sim = Sim::start(Options { hosts: 30, ..options() }).await;
    let answer = sim.detections(&[("show_qds", "1")]).await;
    let mut seen = std::collections::BTreeSet::new();
    for part in answer.text.split("<QDS severity=\"").skip(1) {
        let (band, rest) = part.split_once("\">").expect("an attribute");
        let score: u8 = rest.split('<').next().and_then(|text| text.parse().ok()).expect("a score");
        let expected = match score {
            90..=100 => "CRITICAL",
            70..=89 => "HIGH",
            40..=69 => "MEDIUM",
            _ => "LOW",
        };
        assert_eq!(band, expected, "{score}");
        seen.insert(band.to_owned());
    }
    assert_eq!(seen.len(), 4, "{seen:?}");
}

#[tokio::test]
async fn filters_select_rows_and_hosts() {
    let sim = Sim::start(Options { hosts: 30, ..options() }).await;
    let demo = &sim.simulator.demo_hosts()[0];
    let ip = demo.ip.to_string();
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a [&'a str]);
    let cases: &[Case<'_>] = &[
        (&[("qids", "900002,900101")], "QID", &["900002", "900101"]),
        (&[("severities", "5")], "SEVERITY", &["5"]),
        (&[("status", "Fixed")], "STATUS", &["Fixed"]),
        (&[("ips", &ip)], "IP", &[&ip]),
        (&[("network_ids", "1103")], "NETWORK_ID", &["1103"]),
        (&[("ag_titles", "Branch office")], "NETWORK_ID", &["1103"]),
        (&[("include_vuln_type", "potential")], "TYPE", &["Potential"]),
        (
            &[("use_tags", "1"), ("tag_set_by", "name"), ("tag_set_include", "Windows")],
            "TRACKING_METHOD",
            &["NETBIOS", "Cloud Agent"],
        ),
    ];
    for (form, element, allowed) in cases {
        let values = sim.detections(form).await.all(element);
        assert!(
            !values.is_empty() && values.iter().all(|value| allowed.contains(&value.as_str())),
            "{form:?}: {values:?}"
        );
    }
    let scored = sim.detections(&[("show_qds", "1"), ("qds_min", "90")]).await;
    assert!(scored.all("QDS").iter().all(|score| score.parse::<u8>().is_ok_and(|score| score >= 90)));
    let listed = sim.detections(&[("include_search_list_ids", "88102")]).await;
    assert!(listed.all("QID").iter().all(|qid| qid.starts_with("900")));
    let nobody = sim.detections(&[("vm_processed_after", "2027-01-01")]).await;
    assert!(nobody.first("HOST").is_none());
}

#[tokio::test]
async fn results_are_cdata_and_escaped_inside() {
    let sim = Sim::start(options()).await;
    let answer = sim.detections(&[("show_igs", "1")]).await;
    let results = answer.all("RESULTS");
    assert!(results.iter().any(|text| text.contains("&quot;") && text.contains("-&gt;")));
    assert!(results.iter().any(|text| text.contains("Installed Version\tRequired Version")));
}

#[tokio::test]
async fn every_qid_of_a_detection_has_an_entry_and_a_multi_cve_one_exists() {
    let sim = Sim::start(Options { hosts: 40, ..options() }).await;
    let detections = sim.detections(&[("show_igs", "1"), ("status", "New,Active,Re-Opened,Fixed")]).await;
    let knowledge = sim.get("/api/2.0/fo/knowledge_base/vuln/?action=list&details=All").await;
    let known: std::collections::BTreeSet<String> = knowledge.all("QID").into_iter().collect();
    assert!(detections.all("QID").iter().all(|qid| known.contains(qid)));
    let cups = sim.get("/api/4.0/fo/knowledge_base/vuln/?action=list&details=All&ids=900005").await;
    assert_eq!(cups.all("VULN").len(), 1);
    assert_eq!(elements(&cups.first("CVE_LIST").expect("CVEs"), "ID").len(), 4);
    for element in [
        "TITLE",
        "DIAGNOSIS",
        "CONSEQUENCE",
        "SOLUTION",
        "CVSS_V3",
        "THREAT_INTELLIGENCE",
        "DISCOVERY",
        "SOFTWARE_LIST",
    ] {
        assert!(cups.first(element).is_some_and(|text| !text.is_empty()), "{element}");
    }
    let posted = sim.post("/api/3.0/fo/knowledge_base/vuln/?ids=900001,900002&action=list", &[]).await;
    assert_eq!(posted.all("VULN").len(), 2, "POST with everything in the query");
    let by_cve = sim.get("/api/2.0/fo/knowledge_base/vuln/?action=list&cve=CVE-2024-47175").await;
    assert_eq!(by_cve.first("QID").as_deref(), Some("900005"));
    let recent = sim.get("/api/2.0/fo/knowledge_base/vuln/?action=list&last_modified_after=2026-06-01").await;
    assert!((1..known.len()).contains(&recent.all("VULN").len()));
    let bare = sim.get("/api/2.0/fo/knowledge_base/vuln/?action=list&details=None&id_min=905000").await;
    assert!(bare.first("ID_SET").is_some() && bare.first("VULN").is_none());
}

#[tokio::test]
async fn cvss_blocks_can_be_switched_off() {
    let switches = Switches { cvss: false, ..Switches::default() };
    let sim = Sim::start(Options { switches, ..options() }).await;
    let answer = sim.get("/api/2.0/fo/knowledge_base/vuln/?action=list&ids=900001").await;
    assert!(answer.first("CVSS").is_none() && answer.first("CVSS_V3").is_none());
}

#[tokio::test]
async fn profiles_are_a_bare_root_and_name_their_search_list() {
    let sim = Sim::start(options()).await;
    for version in [2, 4, 5, 7] {
        let answer = sim.get(&format!("/api/{version}.0/fo/subscription/option_profile/vm/?action=list")).await;
        assert!(answer.first("RESPONSE").is_none() && answer.first("DATETIME").is_none());
        assert_eq!(answer.all("OPTION_PROFILE").len(), 5);
        assert_eq!(answer.all("IS_DEFAULT").iter().filter(|flag| *flag == "1").count(), 1);
        assert!(answer.first("LOGIN_PASSWORD").is_some(), "a client must be able to meet a secret here");
    }
    let one = sim.get("/api/2.0/fo/subscription/option_profile/vm/?action=list&id=510004").await;
    assert_eq!(one.all("GROUP_NAME"), ["Windows only"]);
    assert!(one.first("CUSTOM_LIST").is_some());
    let none = sim.get("/api/2.0/fo/subscription/option_profile/vm/?action=list&title=nothing").await;
    assert!(none.first("OPTION_PROFILE").is_none() && none.text.contains("<OPTION_PROFILES>"));
}

#[tokio::test]
async fn appliances_are_brief_or_full_and_more_than_one() {
    let sim = Sim::start(options()).await;
    let brief = sim.get("/api/2.0/fo/appliance/?action=list&include_license_info=0").await;
    assert!(brief.all("APPLIANCE").len() >= 2 && brief.first("TYPE").is_none());
    let full = sim.get("/api/2.0/fo/appliance/?action=list&output_mode=full").await;
    assert!(
        full.first("ASSET_GROUP_LIST").is_some() && full.first("POLLING_INTERVAL").as_deref() == Some("180 seconds")
    );
    assert!(full.all("STATUS").contains(&"Offline".to_owned()));
    let licence = sim.get("/api/2.0/fo/appliance/?action=list&include_license_info=1").await;
    assert!(licence.first("QVSA_LICENSES_COUNT").is_some());
}

#[tokio::test]
async fn host_assets_carry_the_hardware_address_and_errors_come_with_200() {
    let sim = Sim::start(options()).await;
    let host = &sim.simulator.demo_hosts()[2];
    let search = |value: String| {
        format!(
            "<ServiceRequest><preferences><limitResults>1</limitResults></preferences>\
             <filters><Criteria field=\"qwebHostId\" operator=\"EQUALS\">{value}</Criteria></filters></ServiceRequest>"
        )
    };
    let post = |body: String| {
        sim.request(reqwest::Method::POST, "/qps/rest/2.0/search/am/hostasset")
            .header("content-type", "text/xml")
            .body(body)
    };
    let found = crate::support::Answer::of(post(search(host.id.to_string()))).await;
    assert_eq!(found.first("responseCode").as_deref(), Some("SUCCESS"));
    assert_eq!(found.first("macAddress"), Some(host.mac.clone()));
    assert_eq!(found.first("agentId"), host.agent_uuid.map(|uuid| uuid.to_string()));
    let bad = crate::support::Answer::of(post(search("abc123".to_owned()))).await;
    assert_eq!((bad.status, bad.first("responseCode").as_deref()), (200, Some("INVALID_REQUEST")));
    let url = format!("{}/qps/rest/portal/version", sim.simulator.api_url());
    let denied = crate::support::Answer::of(sim.client.get(url).basic_auth("a", Some("b"))).await;
    assert_eq!((denied.status, denied.first("responseCode").as_deref()), (200, Some("INVALID_CREDENTIALS")));
}

#[tokio::test]
async fn scores_per_cve_never_exceed_the_detection_score_and_one_equals_it() {
    let sim = Sim::start(options()).await;
    let knowledge = sim.simulator.state().knowledge();
    let cves = "CVE-2024-47076,CVE-2024-47175,CVE-2024-47177,CVE-2021-4034";
    let answer = sim.get(&format!("/api/3.0/fo/knowledge_base/qvs/?action=list&details=All&cve={cves}")).await;
    let object: serde_json::Value = serde_json::from_str(&answer.text).expect("JSON");
    let score =
        |cve: &str| object[cve]["base"]["qvs"].as_str().and_then(|text| text.parse::<u8>().ok()).expect("a score");
    assert_eq!(object.as_object().map(serde_json::Map::len), Some(4));
    assert_eq!(score("CVE-2021-4034"), knowledge.score(900_004));
    assert!(cves.split(',').take(3).all(|cve| score(cve) < knowledge.score(900_005)));
    assert!(object["CVE-2021-4034"]["contributingFactors"]["cvss"].is_string());
}

#[tokio::test]
async fn bodies_are_compressed_for_those_who_ask_where_switched_on() {
    let switches = Switches { gzip: true, ..Switches::default() };
    let (plain, packed) = (Sim::start(options()).await, Sim::start(Options { switches, ..options() }).await);
    let path = "/api/2.0/fo/knowledge_base/vuln/?action=list";
    let same = |sim: &Sim, text: &str| text.replace(&sim.simulator.api_url(), "");
    let (one, other) = (plain.get(path).await, packed.get(path).await);
    assert_eq!(same(&plain, &one.text), same(&packed, &other.text));
    let bare = reqwest::Client::builder().no_gzip().build().expect("a client");
    let raw = bare
        .get(format!("{}{path}", packed.simulator.api_url()))
        .basic_auth(packed.simulator.username(), Some(packed.simulator.password()))
        .header("X-Requested-With", "t")
        .header("accept-encoding", "gzip");
    let raw = raw.send().await.expect("an answer");
    assert_eq!(raw.headers().get("content-encoding").and_then(|value| value.to_str().ok()), Some("gzip"));
    let bytes = raw.bytes().await.expect("a body");
    assert!(bytes.starts_with(&[0x1f, 0x8b]) && bytes.len() * 5 < one.text.len());
}

#[tokio::test]
async fn a_subscription_without_networks_never_mentions_one() {
    let switches = Switches { networks: false, ..Switches::default() };
    let sim = Sim::start(Options { switches, hosts: 30, ..options() }).await;
    for path in [
        "/api/5.0/fo/asset/host/vm/detection/?action=list",
        "/api/5.0/fo/asset/host/?action=list&details=All",
        "/api/2.0/fo/asset/group/?action=list",
        "/api/2.0/fo/appliance/?action=list&output_mode=full",
    ] {
        assert!(!sim.get(path).await.text.contains("NETWORK"), "{path}");
    }
}
