//! Truncated pages: hosts, detections, groups, ids, CSV and the activity log.

use crate::support::{Answer, Sim, options};
use qualys_sim::{Options, Switches};
use reqwest::Method;
use std::collections::BTreeSet;

/// Follows WARNING/URL by its query until the last page; returns the ids in the order they came and the number of pages.
async fn walk(sim: &Sim, path: &str, form: &[(&str, &str)]) -> (Vec<String>, usize) {
    let mut form: Vec<(String, String)> =
        form.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let (mut ids, mut pages) = (Vec::new(), 0);
    loop {
        let answer = Answer::of(sim.request(Method::POST, path).form(&form)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        ids.extend(hosts_of(&answer));
        pages += 1;
        let Some(url) = answer.first("URL") else { return (ids, pages) };
        assert_eq!(answer.code(), Some(1980));
        let cursor = url.rsplit("id_min=").next().expect("a cursor").to_owned();
        form.retain(|(name, _)| name != "id_min");
        form.push(("id_min".to_owned(), cursor));
        assert!(pages < 100, "the cursor does not advance");
    }
}

/// Host ids only: detections, tags and groups have ids of their own.
fn hosts_of(answer: &Answer) -> Vec<String> {
    answer
        .text
        .split("<HOST>")
        .skip(1)
        .filter_map(|host| crate::support::elements(host, "ID").into_iter().next())
        .collect()
}

#[tokio::test]
async fn pages_hold_every_host_once_in_ascending_order() {
    let sim = Sim::start(Options { hosts: 23, ..options() }).await;
    for path in
        ["/api/5.0/fo/asset/host/vm/detection/", "/api/5.0/fo/asset/host/", "/api/2.0/fo/asset/host/vm/detection/"]
    {
        for (limit, expected_pages) in [("1", 23), ("5", 5), ("23", 1), ("0", 1)] {
            let (ids, pages) = walk(&sim, path, &[("action", "list"), ("truncation_limit", limit)]).await;
            let numbers: Vec<u64> = ids.iter().map(|id| id.parse().expect("a number")).collect();
            assert!(numbers.is_sorted(), "{path}");
            assert_eq!(
                (numbers.len(), numbers.iter().collect::<BTreeSet<_>>().len(), pages),
                (23, 23, expected_pages),
                "{path} by {limit}"
            );
        }
    }
}

#[tokio::test]
async fn a_page_of_filtered_hosts_is_as_full_as_the_filter_allows() {
    let sim = Sim::start(Options { hosts: 40, ..options() }).await;
    let form = [("action", "list"), ("os_pattern", "^Windows"), ("truncation_limit", "3")];
    let (ids, pages) = walk(&sim, "/api/5.0/fo/asset/host/vm/detection/", &form).await;
    let windows = sim.simulator.state().fleet().iter().filter(|host| host.os.is_windows()).count();
    assert!(windows > 4);
    assert_eq!((ids.len(), pages), (windows, windows.div_ceil(3)));
}

#[tokio::test]
async fn the_address_of_the_next_page_may_name_a_foreign_host() {
    let base = "https://qualysapi.example.invalid";
    let switches = Switches { returned_base: Some(base.to_owned()), ..Switches::default() };
    let sim = Sim::start(Options { switches, ..options() }).await;
    let answer = sim.detections(&[("truncation_limit", "1"), ("os_pattern", "^x|y z")]).await;
    assert!(answer.first("URL").is_none(), "no host matches");
    let answer = sim.detections(&[("truncation_limit", "1"), ("show_tags", "1")]).await;
    let url = answer.first("URL").expect("a next page");
    assert!(url.starts_with(&format!("{base}/api/5.0/fo/asset/host/vm/detection/?")), "{url}");
    assert!(url.contains("show_tags=1"), "{url}");
}

#[tokio::test]
async fn nothing_matching_is_a_response_with_only_a_date() {
    let sim = Sim::start(options()).await;
    for path in [
        "/api/5.0/fo/asset/host/vm/detection/?action=list&ids=123",
        "/api/5.0/fo/asset/host/?action=list&ids=123",
        "/api/2.0/fo/asset/host/?action=list&details=None&ids=123",
        "/api/2.0/fo/knowledge_base/vuln/?action=list&ids=123",
        "/api/3.0/fo/scan/?action=list",
    ] {
        let answer = sim.get(path).await;
        let response = answer.first("RESPONSE").expect("a response");
        assert!(response.starts_with("<DATETIME>") && response.ends_with("</DATETIME>"), "{path}: {response}");
    }
}

#[tokio::test]
async fn ids_alone_come_as_ids_and_as_a_range_where_switched_on() {
    let sim = Sim::start(options()).await;
    let answer = sim.get("/api/2.0/fo/asset/host/?action=list&details=None&truncation_limit=0").await;
    assert_eq!(answer.all("ID").len(), 12);
    let page = sim.get("/api/2.0/fo/asset/host/?action=list&details=None&truncation_limit=5").await;
    assert_eq!((page.all("ID").len(), page.code()), (5, Some(1980)));
    let switches = Switches { id_ranges: true, ..Switches::default() };
    let sim = Sim::start(Options { switches, ..options() }).await;
    let answer = sim.get("/api/2.0/fo/asset/host/?action=list&details=None").await;
    let range = answer.first("ID_RANGE").expect("a range");
    let (low, high) = range.split_once('-').expect("two ends");
    assert!(low.parse::<u64>().expect("a number") < high.parse().expect("a number"));
}

#[tokio::test]
async fn groups_page_by_id_too() {
    let sim = Sim::start(options()).await;
    let answer = sim.get("/api/2.0/fo/asset/group/?action=list&truncation_limit=3").await;
    assert_eq!((answer.all("ASSET_GROUP").len(), answer.code()), (3, Some(1980)));
    let rest = sim.get("/api/2.0/fo/asset/group/?action=list&truncation_limit=3&id_min=7004").await;
    assert_eq!((rest.all("ASSET_GROUP").len(), rest.code()), (1, None));
    assert!(answer.first("IP_RANGE").is_some() && answer.first("DEFAULT_APPLIANCE_ID").is_some());
    assert!(rest.first("IP_SET").is_none(), "a group without addresses and without an appliance exists");
}

#[tokio::test]
async fn csv_has_markers_and_names_the_next_page_or_the_end_in_its_footer() {
    let sim = Sim::start(options()).await;
    let page = sim.detections(&[("output_format", "CSV"), ("truncation_limit", "2")]).await;
    assert_eq!(page.header("content-type"), Some("text/csv"));
    let lines: Vec<&str> = page.text.lines().collect();
    assert_eq!(lines[0], "----BEGIN_RESPONSE_HEADER_CSV");
    assert!(page.text.contains("----BEGIN_RESPONSE_BODY_CSV\n\"Host ID\",\"IP Address\""));
    assert!(page.text.contains("\"1980\",\"2 record limit exceeded."));
    let whole = sim.detections(&[("output_format", "CSV"), ("truncation_limit", "0")]).await;
    assert!(whole.text.ends_with("\"Status Message\"\n\"Finished\"\n----END_RESPONSE_FOOTER_CSV\n"));
    let bare = sim.detections(&[("output_format", "CSV_NO_METADATA")]).await;
    assert!(bare.text.starts_with("\"Host ID\"") && !bare.text.contains("----"));
}

#[tokio::test]
async fn the_activity_log_runs_backwards() {
    let sim = Sim::start(options()).await;
    for _ in 0..4 {
        sim.get("/api/3.0/fo/scan/?action=list").await;
    }
    let page = sim.get("/api/2.0/fo/activity_log/?action=list&truncation_limit=2").await;
    assert!(
        page.text.contains("\"1980\",\"2 record limit exceeded") && page.text.contains("id_max=3"),
        "{}",
        page.text
    );
    let rest = sim.get("/api/2.0/fo/activity_log/?action=list&truncation_limit=10&id_max=3").await;
    assert_eq!(rest.text.matches("\"\"resource\"\"").count(), 3);
    assert!(!rest.text.contains("1980"));
}
