//! Pages of imports: schedules with their next times, runs with their steps, what was rejected as a file.

use super::{ended, instance, simulator};
use qualys_sim::Options;
use serde_json::json;

/// Host list detection with rows that cannot be used.
fn broken(rows: usize) -> String {
    let row = "<DETECTION><TYPE>Confirmed</TYPE><SEVERITY>3</SEVERITY><STATUS>Active</STATUS></DETECTION>\n";
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
         <HOST_LIST_VM_DETECTION_OUTPUT><RESPONSE><DATETIME>2026-11-22T10:00:00Z</DATETIME><HOST_LIST><HOST><ID>7</ID>
         <IP>10.0.0.7</IP><DETECTION_LIST>{}</DETECTION_LIST></HOST></HOST_LIST></RESPONSE></HOST_LIST_VM_DETECTION_OUTPUT>",
        row.repeat(rows)
    )
}

testkit::both_servers!(rows_that_cannot_be_used_are_all_there_to_download, |server| async move {
    let admin = server.admin().await;
    let sent = admin.request(reqwest::Method::POST, "/api/v1/imports/files?name=broken.xml").body(broken(300));
    let begun = admin.send(sent.header("content-type", "application/octet-stream")).await.expect(202);
    assert_eq!(begun["report"]["rejections"].as_array().expect("a list").len(), 20, "the report names the first");
    let number = begun["import"]["number"].as_str().expect("a number");
    let run = ended(&admin, number).await;
    assert_eq!(run["import"]["counters"]["detections"]["rejected"], 300, "{run}");
    assert_eq!(run["rejections"].as_array().expect("a list").len(), 20);
    assert_eq!(run["steps"][0]["name"], "file", "{run}");
    let path = format!("/api/v1/imports/{number}/rejections");
    let all = admin.get(&path).await.expect(200);
    let all = all["rejections"].as_array().expect("a list").clone();
    assert_eq!(all.len(), 300);
    let lines: Vec<i64> = all.iter().filter_map(|row| row["line"].as_i64()).collect();
    assert!(lines.len() == 300 && lines.is_sorted() && lines[0] < lines[299], "in the order of the input");
    let csv = admin.get(&format!("{path}?format=csv")).await;
    assert_eq!((csv.status, csv.text.lines().count()), (200, 301), "{}", csv.text);
    assert!(csv.text.starts_with("row,line,reason\n"));
    assert_eq!(admin.get(&format!("{path}?format=xlsx")).await.status, 422);
    let page = admin.get(&format!("/imports/{number}")).await.text;
    assert!(page.contains("Rejected rows (CSV)") && page.contains("280 more were refused"), "{page}");
    assert_eq!(admin.get(&format!("/imports/{number}/rejected?format=csv")).await.text, csv.text);
    // What a file holds is nobody's who may not look at integrations.
    let author = server.user("jo", &["job_reader"]).await;
    let kept = json!({ "name": "kim", "roles": ["vulnerability_administrator"], "scope": ["prod"] });
    let made = admin.post("/api/v1/users", &kept).await.expect(201);
    let once = made["one_time_password"].as_str().expect("a password");
    let kim = server.client().sign_in("kim", once).await.choose_password(once, "a long enough password 7").await;
    for who in [&author, &kim] {
        for path in [&path, &format!("/imports/{number}/rejected?format=csv")] {
            let denied = who.get(path).await;
            assert_eq!(denied.status, 403, "{path}: {:.300}", denied.text);
        }
    }
    let seen = kim.get(&format!("/api/v1/imports/{number}")).await.expect(200);
    assert_eq!(seen["rejections"], json!([]), "rows name machines, whosever they are");
    assert_eq!(seen["import"]["counters"]["detections"]["rejected"], 300);
    assert!(!kim.get(&format!("/imports/{number}")).await.text.contains("host 7"));
});

testkit::both_servers!(a_schedule_is_tried_kept_and_begun_on_its_pages, |server| async move {
    let simulator = simulator(Options { hosts: 3, ..Options::default() }).await;
    let admin = server.admin().await;
    let id = instance(&admin, &simulator).await;
    let path = format!("/instances/{id}/schedule");
    let page = admin.get(&path).await.text;
    assert!(page.contains("Whole knowledge base") && page.contains("when somebody asks"), "{page}");
    assert!(admin.get(&format!("/instances/{id}")).await.text.contains(&path), "the integration leads there");
    let form = admin.get(&format!("{path}/host_list")).await.text;
    assert!(form.contains("Show the next times") && form.contains("value=\"UTC\""), "{form}");

    let sunday = [
        ("version", "1"),
        ("when", "at"),
        ("time", "02:30"),
        ("zone", "Europe/Rome"),
        ("date", "2026-01-01"),
        ("repeat", "weekly"),
        ("day_sun", "on"),
    ];
    let tried = admin.form(&format!("{path}/host_list/times"), &sunday).await;
    assert!(
        tried.status == 200 && tried.text.contains("Every week on Sunday at 02:30 (Europe/Rome)"),
        "{}",
        tried.text
    );
    assert!(admin.get(&path).await.text.matches("when somebody asks").count() >= 6, "nothing was kept");
    for (name, value, said) in [
        ("zone", "Mars/Phobos", "is not a time zone"),
        ("day_sun", "", "at least one day"),
        ("time", "x", "ive date and time"),
        ("when", "sometimes", "comes `off`"),
    ] {
        let bad: Vec<(&str, &str)> = sunday.map(|(one, kept)| (one, if one == name { value } else { kept })).to_vec();
        for to in [format!("{path}/host_list"), format!("{path}/host_list/times")] {
            let refused = admin.form(&to, &bad).await;
            assert!(refused.status == 422 && refused.text.contains(said), "{name}: {}", refused.text);
        }
    }
    let kept = admin.form(&format!("{path}/host_list"), &sunday).await;
    assert_eq!(kept.status, 303, "{}", kept.text);
    assert!(admin.get(&path).await.text.contains("Every week on Sunday at 02:30 (Europe/Rome)"));
    let form = admin.get(&format!("{path}/host_list")).await.text;
    assert!(form.contains("value=\"Europe/Rome\"") && form.contains("value=\"02:30\""), "{form}");
    let stale = admin.form(&format!("{path}/host_list"), &sunday).await;
    assert_eq!(stale.status, 422, "somebody has changed it: {}", stale.text);
    let says = stale.text.contains("Somebody else has changed this") && stale.text.contains("value=\"2\"");
    assert!(says && stale.text.contains("value=\"Europe/Rome\""), "with what holds now: {}", stale.text);

    let reader = server.user("rita", &["read_only"]).await;
    let seen = reader.get(&path).await;
    assert!(seen.status == 200 && seen.text.contains("disabled"), "{}", seen.text);
    assert_eq!(reader.form(&format!("{path}/host_list"), &sunday).await.status, 403);
    assert_eq!(reader.form(&format!("/instances/{id}/import/host_list"), &[]).await.status, 403);

    let begun = admin.form(&format!("/instances/{id}/import/host_list"), &[]).await;
    assert_eq!(begun.status, 303, "{}", begun.text);
    let runs = admin.get("/api/v1/imports?q=kind:host_list").await.expect(200);
    let number = runs["imports"][0]["number"].as_str().expect("a number");
    assert_eq!(ended(&admin, number).await["import"]["state"], "complete");
    let page = admin.get(&format!("/imports/{number}")).await.text;
    assert!(page.contains("Steps of the import") && page.contains("Host list from Simulated"), "{page}");
    let over = admin.form(&format!("/imports/{number}/cancel"), &[]).await;
    assert_eq!(over.status, 303, "said on its page: {}", over.text);
    let files = json!({ "kind": "nothing" });
    assert_eq!(admin.post(&format!("/api/v1/instances/{id}/imports"), &files).await.status, 422);
    simulator.shutdown().await;
});
