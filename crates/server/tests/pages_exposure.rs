//! The pages of exposure over real HTTP against a simulated platform: scanners and their set-up, imports and files, items
//! and assets, and a rescan from the button to the scan record (S2.01-S2.17).

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a test stops where something is missing"
)]

use domain::time::Timestamp;
use qualys_sim::{ClockMode, Limits, Options, Simulator};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;
use testkit::server::{Client, Reply, START_MICROS, TestServer};

const LOOKS_MAX: u32 = 400;
const STEP: Duration = Duration::from_millis(25);

async fn simulator() -> Simulator {
    // No limits: the clocks stand still, so nobody could wait for one.
    let limits = Limits { rate: 1_000_000, window_seconds: 1, concurrency: 100 };
    let clock = ClockMode::Manual(Timestamp::from_micros(START_MICROS).to_jiff());
    Simulator::start(Options { hosts: 8, limits, clock, ..Options::default() }).await.expect("the simulator starts")
}

fn place(reply: &Reply) -> String {
    reply.headers.get("location").map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

/// A page that is whole, holds these words and breaks no rule of ours.
async fn page(client: &Client, path: &str, words: &[&str]) -> String {
    let reply = client.get(path).await;
    assert_eq!(reply.status, 200, "{path}: {}", reply.text);
    let policy = reply.headers["content-security-policy"].to_str().unwrap();
    assert!(!policy.contains("unsafe"), "{policy}");
    assert!(!reply.text.contains(" style=\"") && !reply.text.contains("<style"), "inline style in {path}");
    assert!(!reply.text.contains("<script>") && !reply.text.contains(" onclick"), "inline script in {path}");
    for word in words {
        assert!(reply.text.contains(word), "{path} says nothing of {word}: {}", reply.text);
    }
    reply.text
}

/// A form that leads on; gives where to.
async fn sent(client: &Client, path: &str, fields: &[(&str, &str)]) -> String {
    let reply = client.form(path, fields).await;
    assert_eq!(reply.status, 303, "{path}: {}", reply.text);
    place(&reply)
}

async fn import_ended(client: &Client, path: &str) -> String {
    for _ in 0..LOOKS_MAX {
        let text = page(client, path, &[]).await;
        if !text.contains("hx-trigger=\"every 2s\"") {
            return text;
        }
        tokio::time::sleep(STEP).await;
    }
    panic!("{path} does not end");
}

fn set_up(simulator: &Simulator) -> Vec<(&'static str, String)> {
    vec![
        ("name", "Qualys <EU>".to_owned()),
        ("api_url", simulator.api_url().clone()),
        ("auth", "basic".to_owned()),
        ("username", simulator.username().to_owned()),
        ("password", simulator.password().to_owned()),
        ("interval_minutes", "0".to_owned()),
        ("tracking_hours", "24".to_owned()),
        ("default_profile", String::new()),
    ]
}

fn pairs(fields: &[(&'static str, String)]) -> Vec<(&'static str, String)> {
    fields.to_vec()
}

async fn post(client: &Client, path: &str, fields: &[(&'static str, String)]) -> Reply {
    client.send(client.request(reqwest::Method::POST, path).form(&pairs(fields))).await
}

/// Set up through the pages: an instance, tested, imported; gives the instance's page.
async fn connected(admin: &Client, simulator: &Simulator) -> String {
    page(admin, "/instances/new", &["API address", "never shown again"]).await;
    let mut fields = set_up(simulator);
    fields[5].1 = "x".to_owned();
    let wrong = post(admin, "/instances", &fields).await;
    assert!(wrong.status == 422 && wrong.text.contains("This is a whole number."), "{}", wrong.text);
    assert!(!wrong.text.contains(simulator.password()), "a secret is never shown");
    fields[5].1 = "0".to_owned();
    let made = post(admin, "/instances/test", &fields).await;
    assert_eq!(made.status, 303, "{}", made.text);
    let here = place(&made);
    let shown = page(admin, &here, &["Signed in; the account sees hosts.", "Qualys &#60;EU&#62;"]).await;
    assert!(!shown.contains(simulator.password()), "a secret is never shown");

    let run = sent(admin, &format!("{here}/fetch"), &[]).await;
    import_ended(admin, &run).await;
    let shown = page(admin, &here, &["Quell"]).await;
    assert!(shown.contains("value=\"510001\""), "profiles can be chosen: {shown}");
    fields[4].1 = String::new();
    fields[7].1 = "510001".to_owned();
    let tested = post(admin, &format!("{here}/test"), &fields).await;
    assert!(tested.status == 200 && tested.text.contains("Signed in"), "{}", tested.text);
    assert!(tested.text.contains("value=\"510001\" selected"), "{}", tested.text);

    let run = sent(admin, &format!("{here}/import"), &[]).await;
    let ended = import_ended(admin, &run).await;
    assert!(ended.contains("Completed") && ended.contains("Items opened"), "{ended}");
    here
}

testkit::both_servers!(a_rescan_goes_from_the_button_to_the_scan_record, |server| async move {
    let simulator = simulator().await;
    let admin = server.admin().await;
    let instance = connected(&admin, &simulator).await;
    let list = page(&admin, "/items?q=is%3Aopen+and+platform%3Alinux+and+qid%3A%3C901000", &["VIT00"]).await;
    let number = format!("VIT{}", &list.split("href=\"/items/VIT").nth(1).unwrap()[..7]);
    let item = format!("/items/{number}");

    // S2.02: shown, disabled, with the reason.
    let shown = page(&admin, &item, &["The Qualys scanner is inactive"]).await;
    assert!(!shown.contains(&format!("hx-get=\"{item}/rescan\"")), "{shown}");
    let refused = admin.form(&format!("{item}/rescan"), &[("profile", "default")]).await;
    assert!(refused.status == 422 && refused.text.contains("is inactive"), "{}", refused.text);
    // S2.03, S2.04: activated, then available after the next import.
    page(&admin, "/scanners", &["Inactive", "Qualys &#60;EU&#62;"]).await;
    page(&admin, "/scanners/qualys", &["Active", "Update", "Import now"]).await;
    assert_eq!(sent(&admin, "/scanners/qualys", &[("active", "on")]).await, "/scanners/qualys");
    page(&admin, "/scanners/qualys", &["Qualys is active.", "after the next import", "Activate"]).await;
    page(&admin, &item, &["available after the next import"]).await;
    let run = sent(&admin, &format!("{instance}/import"), &[]).await;
    import_ended(&admin, &run).await;
    page(&admin, "/items?q=source%3AQualys", &[&number]).await;

    // S2.10-S2.12: the modal, with the default profile and the list of others.
    page(&admin, &item, &[&format!("hx-get=\"{item}/rescan\"")]).await;
    let form = format!("{item}/rescan");
    page(&admin, &form, &["id=\"q-modal\"", "Use default option profile", "Specify option profile"]).await;
    let none = admin.form(&form, &[("profile", "named"), ("named", "")]).await;
    assert!(none.status == 422 && none.text.contains("Choose the option profile"), "{}", none.text);
    let unknown = admin.form(&form, &[("profile", "named"), ("named", "0")]).await;
    assert!(unknown.status == 422 && unknown.text.contains("has no option profile 0"), "{}", unknown.text);
    // What would be scanned, before it is asked for; it waits for the scan window that was set.
    let policy = format!("{instance}/rescans");
    page(&admin, &instance, &[&format!("hx-get=\"{policy}\"")]).await;
    page(&admin, &policy, &["id=\"q-modal\"", "Scan window from", "Time zone"]).await;
    let numbers = [("running_max", "5"), ("launches_max", "10"), ("launches_seconds", "3600")];
    let with = |from: &'static str, zone: &'static str| {
        let mut fields = vec![("from", from), ("until", "00:00"), ("zone", zone)];
        fields.extend(numbers);
        fields
    };
    let wrong = admin.form(&policy, &with("00:00", "Mars/Phobos")).await;
    assert!(wrong.status == 422 && wrong.text.contains("is not a time zone"), "{}", wrong.text);
    assert_eq!(sent(&admin, &policy, &with("00:00", "Europe/Rome")).await, instance);
    let plan = admin.form(&form, &[("profile", "default"), ("step", "plan")]).await;
    assert!(
        plan.status == 200 && plan.text.contains("Planned scans") && plan.text.contains("name=\"plan\""),
        "{}",
        plan.text
    );
    page(&admin, "/scans", &["No rescans yet", "Who may rescan"]).await;
    page(&admin, "/settings/rescans", &["Remediation owners rescan", "by name"]).await;
    assert_eq!(sent(&admin, "/settings/rescans", &[("by_group", "yes")]).await, "/scans");
    // S2.13, S2.14: the message, and View status.
    assert_eq!(sent(&admin, &form, &[("profile", "default"), ("key", "1")]).await, item);
    let shown = page(&admin, &item, &["The scan request is being processed", "View status"]).await;
    let scan = format!("VSCAN{}", &shown.split("href=\"/scans/VSCAN").nth(1).unwrap()[..7]);
    // A second press leads to the same request.
    sent(&admin, &form, &[("profile", "default"), ("key", "1")]).await;
    let again = page(&admin, &item, &["View status", &scan]).await;
    assert_eq!(again.matches(">View status<").count(), 1);
    // S2.15-S2.17.
    let scan = format!("/scans/{scan}");
    page(&admin, &scan, &["Scan Summary", "Scanner source", "sse-connect=\"/scans/", "Cancel the scan"]).await;
    page(&admin, &format!("{scan}?part=scans"), &["Option profile", "Qualys &#60;EU&#62;"]).await;
    page(&admin, &format!("{scan}?part=source"), &[&number, "not yet"]).await;
    page(&admin, &format!("{scan}?part=left"), &["Everything that was asked for is looked at."]).await;
    // A second one who asks joins it and may leave it again.
    let vera = server.user("vera", &["vulnerability_analyst"]).await;
    sent(&vera, &form, &[("profile", "default")]).await;
    page(&vera, &scan, &["admin, vera", "Leave the scan", "Cancel for everybody"]).await;
    assert_eq!(sent(&vera, &format!("{scan}/cancel"), &[]).await, scan);
    page(&vera, &scan, &["goes on for the others", "vera (left)"]).await;
    for _ in 0..LOOKS_MAX {
        if !page(&admin, &scan, &[]).await.contains("sse-connect") {
            break;
        }
        simulator.step_clock(jiff::SignedDuration::from_secs(20));
        server.clock.advance(20);
        tokio::time::sleep(STEP).await;
    }
    page(&admin, &scan, &["Complete", "its detections were imported and judged", "Retry what failed"]).await;
    page(&admin, &format!("{scan}?part=unscanned"), &["No address is known that a scan has no result for."]).await;
    let file = admin.get(&format!("{scan}/report?format=csv")).await;
    assert!(file.status == 200 && file.text.contains(&number), "{}", file.text);
    let again = sent(&admin, &format!("{scan}/retry?what=failed"), &[]).await;
    page(&admin, &again, &["Nothing of it came to nothing."]).await;
    let live = admin.get(&format!("{scan}/live?part=scans")).await;
    assert_eq!(live.headers["content-type"], "text/event-stream");
    assert!(live.text.contains("event: scan") && live.text.contains("event: end"), "{}", live.text);
    page(&admin, "/scans?q=is%3Aopen", &["No scan records match"]).await;
    page(&admin, "/scans", &["Complete", "Qualys"]).await;
    page(&admin, &item, &["Rescans", scan.trim_start_matches("/scans/")]).await;
    simulator.shutdown().await;
});

testkit::both_servers!(items_are_filtered_sorted_assigned_and_worked_on, |server| async move {
    let simulator = simulator().await;
    let admin = server.admin().await;
    connected(&admin, &simulator).await;
    server.user("ada", &["vulnerability_analyst"]).await;
    let list = page(&admin, "/items?q=is%3Aopen&sort=number", &["aria-sort=\"ascending\"", "Vulnerable items"]).await;
    let numbers: Vec<&str> = list.split("name=\"row\" value=\"").skip(1).map(|rest| &rest[..10]).collect();
    assert!(numbers.len() > 5 && numbers.is_sorted(), "{numbers:?}");
    page(&admin, "/items?q=is%3Aopen&sort=-number", &["aria-sort=\"descending\""]).await;
    let wrong = page(&admin, "/items?q=sevrity%3A5", &["id=\"q-caret\"", "<mark>sevrity</mark>"]).await;
    assert!(wrong.contains("Did you mean severity?"), "{wrong}");
    page(&admin, "/items?q=asset%3Anone-such", &["No vulnerable items match"]).await;
    assert_eq!(admin.get("/items?sort=nonsense").await.status, 422);

    let item = format!("/items/{}", numbers[0]);
    page(&admin, &item, &["Detections", "Mitigation", "nobody", &format!("{item}/score")]).await;
    page(&admin, &format!("{item}/score"), &["How it is reckoned"]).await;
    page(&admin, &format!("{item}/assignment"), &["value=\"ada\"", "No group"]).await;
    let unknown = admin.form(&format!("{item}/assignment"), &[("assignee", "bob")]).await;
    assert!(unknown.status == 422 && unknown.text.contains("There is no active user bob."), "{}", unknown.text);
    sent(&admin, &format!("{item}/assignment"), &[("assignee", "ada"), ("group", "")]).await;
    page(&admin, &item, &["is assigned to ada.", "Assignment: Ada"]).await;
    page(&admin, &format!("{item}/state"), &["Under Investigation", "It is Open now."]).await;
    sent(&admin, &format!("{item}/state"), &[("state", "resolved")]).await;
    page(&admin, &item, &["is Resolved.", "State: Open → Resolved"]).await;
    let closed = admin.form(&format!("{item}/state"), &[("state", "closed")]).await;
    assert!(closed.status == 422 && closed.text.contains("closed by an import only"), "{}", closed.text);
    assert_eq!(admin.get("/items/VIT9999999").await.status, 404);

    let rows = [("row", numbers[1]), ("row", numbers[2]), ("q", "is:open"), ("all", "")];
    assert_eq!(sent(&admin, "/items/assign-to-me", &rows).await, "/items?q=is%3Aopen");
    page(&admin, "/items?q=assignee%3Ame", &["2 assigned to you.", numbers[1], numbers[2]]).await;
    let several = sent(&admin, "/items/rescan", &rows).await;
    page(&admin, &several, &["None of the chosen items can be rescanned.", "2 left out", "is inactive"]).await;
    let all = sent(&admin, "/items/rescan", &[("q", "is:open"), ("all", "1")]).await;
    assert_eq!(all, "/rescan?q=is%3Aopen");
    page(&admin, &all, &["left out"]).await;

    // S2.07: a remediation owner works on what is assigned to him.
    let owner = server.user("otto", &["remediation_owner"]).await;
    page(&owner, "/items", &["No vulnerable items"]).await;
    assert_eq!(owner.get(&item).await.status, 403);
    sent(&admin, &format!("/items/{}/assignment", numbers[3]), &[("assignee", "otto"), ("group", "")]).await;
    page(&owner, "/items", &[numbers[3]]).await;
    let reader = server.user("rita", &["read_only"]).await;
    let read = page(&reader, &item, &["Your roles do not include the permission"]).await;
    assert!(!read.contains(&format!("hx-get=\"{item}/state\"")), "{read}");
    assert_eq!(reader.form(&format!("{item}/state"), &[("state", "open")]).await.status, 403);
    assert_eq!(reader.get("/imports/file").await.status, 403);
    page(&reader, "/scanners/qualys", &["disabled", "Your roles do not include"]).await;
    simulator.shutdown().await;
});

testkit::both_servers!(the_list_and_an_asset_say_why_nothing_can_be_rescanned, |server| async move {
    let simulator = simulator().await;
    let admin = server.admin().await;
    let instance = connected(&admin, &simulator).await;
    let list = page(&admin, "/assets?q=platform%3Alinux+and+items%3A%3E0", &[]).await;
    let assets: BTreeSet<&str> =
        list.split("href=\"/assets/").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    let assets: Vec<&&str> = assets.iter().filter(|id| id.parse::<i64>().is_ok()).collect();
    let [mine, other, ..] = assets[..] else { panic!("{assets:?}") };
    let (mine, other) = (format!("/assets/{mine}"), format!("/assets/{other}"));
    const REFUSED: &str = "formaction=\"/items/rescan\" disabled title=\"";
    const OFFERED: &str = "/rescan\"";
    let refused = async |why: &str| {
        page(&admin, "/items?q=is%3Aopen", &[&format!("{REFUSED}{why}")]).await;
        let shown = page(&admin, &mine, &[why]).await;
        assert!(!shown.contains(OFFERED), "{shown}");
    };
    refused("The Qualys scanner is inactive").await;
    sent(&admin, "/scanners/qualys", &[("active", "on")]).await;
    refused("The scanner was activated lately; available after the next import").await;
    let run = sent(&admin, &format!("{instance}/import"), &[]).await;
    import_ended(&admin, &run).await;
    let shown = page(&admin, "/items?q=is%3Aopen", &["formaction=\"/items/rescan\""]).await;
    assert!(!shown.contains(REFUSED), "{shown}");
    page(&admin, &mine, &[OFFERED]).await;

    // S2.07: what is assigned to him decides, not that he is an owner.
    let owner = server.user("otto", &["remediation_owner"]).await;
    let query = format!("/items?q=is%3Aopen+and+asset.id%3A{}", mine.rsplit('/').next().unwrap());
    let items = page(&admin, &query, &["VIT00"]).await;
    let number = format!("VIT{}", &items.split("href=\"/items/VIT").nth(1).unwrap()[..7]);
    sent(&admin, &format!("/items/{number}/assignment"), &[("assignee", "otto"), ("group", "")]).await;
    page(&owner, &mine, &[OFFERED]).await;
    let shown = page(&owner, &other, &["This record is not assigned to you"]).await;
    assert!(!shown.contains(OFFERED), "{shown}");
    let reader = server.user("rita", &["read_only"]).await;
    let shown = page(&reader, &mine, &["Your roles do not include the permission"]).await;
    assert!(!shown.contains(OFFERED), "{shown}");
    simulator.shutdown().await;
});

testkit::both_servers!(assets_show_what_is_open_and_are_edited, |server| async move {
    let simulator = simulator().await;
    let admin = server.admin().await;
    connected(&admin, &simulator).await;
    let list = page(&admin, "/assets?q=platform%3Alinux", &["No agent", "Highest score"]).await;
    let id = list.split("href=\"/assets/").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let asset = format!("/assets/{id}");
    page(&admin, &asset, &["Mitigations in force", "Open items", "quell-agent enrol", "made this asset", "host "])
        .await;
    page(&admin, &format!("{asset}/edit"), &["id=\"q-modal\"", "Criticality"]).await;
    let wrong = admin.form(&format!("{asset}/edit"), &[("criticality", "9"), ("tags", "")]).await;
    assert!(
        wrong.status == 422 && wrong.text.contains("Criticality is 1 to 5, or 0 for what its tags say."),
        "{}",
        wrong.text
    );
    sent(&admin, &format!("{asset}/edit"), &[("criticality", "5"), ("tags", "crown jewel, lab")]).await;
    page(&admin, &asset, &["5 of 5", "crown jewel", "Saved ", "Edit: criticality 5"]).await;
    page(&admin, "/assets?q=tag%3Alab", &[&format!("href=\"{asset}\"")]).await;
    page(&admin, "/assets?sort=-items&q=agent%3Ano", &["aria-sort=\"descending\""]).await;
    assert_eq!(admin.get("/assets/999999").await.status, 404);
    simulator.shutdown().await;
});

const HOSTS: &str = r#"<?xml version="1.0" encoding="UTF-8" ?>
<HOST_LIST_VM_DETECTION_OUTPUT><RESPONSE><DATETIME>2026-11-01T00:00:00Z</DATETIME><HOST_LIST>
<HOST><ID>11</ID><IP>192.0.2.11</IP><TRACKING_METHOD>IP</TRACKING_METHOD><OS><![CDATA[Ubuntu 22.04]]></OS>
<DNS><![CDATA[web.example]]></DNS><DETECTION_LIST><DETECTION><QID>91</QID><TYPE>Confirmed</TYPE><SEVERITY>5</SEVERITY>
<PORT>443</PORT><PROTOCOL>tcp</PROTOCOL><STATUS>Active</STATUS><QDS severity="CRITICAL">95</QDS>
<RESULTS><![CDATA[<b>banner</b>]]></RESULTS></DETECTION><DETECTION><TYPE>Confirmed</TYPE></DETECTION></DETECTION_LIST>
</HOST></HOST_LIST></RESPONSE></HOST_LIST_VM_DETECTION_OUTPUT>"#;

async fn upload(client: &Client, content: &str, fragment: bool) -> Reply {
    let body = format!(
        "--XX\r\nContent-Disposition: form-data; name=\"integration\"\r\n\r\nFiles of Bern\r\n--XX\r\nContent-Disposition: \
         form-data; name=\"file\"; filename=\"hosts.xml\"\r\nContent-Type: text/xml\r\n\r\n{content}\r\n--XX--\r\n"
    );
    let request = client.request(reqwest::Method::POST, "/imports/file");
    let request = request.header("content-type", "multipart/form-data; boundary=XX").body(body);
    client.send(if fragment { request.header("hx-request", "true") } else { request }).await
}

testkit::both_servers!(a_file_is_loaded_and_its_rejections_shown, |server| async move {
    let admin = server.admin().await;
    page(&admin, "/imports", &["No imports yet", "Import a file"]).await;
    page(&admin, "/imports/file", &["id=\"q-modal\"", "Files (Qualys)", "Host list detection"]).await;
    let broken = upload(&admin, "<HOST_LIST_VM_DETECTION_OUTPUT><RESPONSE>", false).await;
    assert!(broken.status == 422 && broken.text.contains("Files of Bern"), "{}", broken.text);
    let foreign = upload(&admin, "a,b,c\n1,2,3\n", false).await;
    assert_eq!(foreign.status, 422, "{}", foreign.text);
    page(&admin, "/imports", &["No imports yet"]).await;
    let loaded = upload(&admin, HOSTS, true).await;
    assert_eq!(loaded.status, 200, "{}", loaded.text);
    let run = loaded.headers["hx-redirect"].to_str().unwrap().to_owned();
    let ended = import_ended(&admin, &run).await;
    for words in ["hosts.xml for Files of Bern", "Completed", "<b>1</b> rejected", "QID"] {
        assert!(ended.contains(words), "{words}: {ended}");
    }
    page(&admin, "/imports?q=kind%3Afile", &["hosts.xml"]).await;
    page(&admin, "/imports?q=is%3Afailed", &["No imports match"]).await;
    let list = page(&admin, "/items", &["web.example"]).await;
    let item = format!("/items/VIT{}", &list.split("href=\"/items/VIT").nth(1).unwrap()[..7]);
    let shown = page(&admin, &item, &["443/tcp", "&#60;b&#62;banner"]).await;
    assert!(!shown.contains("<b>banner"), "foreign text is text");
    page(&admin, "/scanners/qualys", &["Files of Bern", "filled from files"]).await;
});

/// Every address that a page leads to.
fn links(page: &str) -> BTreeSet<String> {
    let cut = |attribute: &'static str| page.split(attribute).skip(1).filter_map(|rest| rest.split('"').next());
    cut(" href=\"/").chain(cut("hx-get=\"/")).map(|path| format!("/{}", path.replace("&#38;", "&"))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_link_leads_nowhere() {
    let server = TestServer::start().await;
    let simulator = simulator().await;
    let admin = server.admin().await;
    connected(&admin, &simulator).await;
    let item = admin.get("/api/v1/items?limit=1").await.expect(200);
    let number = item["items"][0]["number"].as_str().unwrap().to_owned();
    admin.patch("/api/v1/scanners/qualys", &json!({ "active": true })).await.expect(200);
    let start = ["/items", "/assets", "/scans", "/imports", "/scanners", "/scanners/qualys", "/instances/new"];
    let mut open: Vec<String> = start.iter().map(ToString::to_string).collect();
    open.extend([format!("/items/{number}"), format!("/items/{number}/rescan"), "/assets/1".to_owned()]);
    let mut seen: BTreeSet<String> = open.iter().cloned().collect();
    for from in open {
        let text = page(&admin, &from, &[]).await;
        // One of a kind is enough: rows differ in their numbers only.
        let kind = |path: &str| path.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
        let kinds: BTreeSet<String> = seen.iter().map(|path| kind(path)).collect();
        for to in links(&text).into_iter().filter(|to| !to.starts_with("/ui/")) {
            if kinds.contains(&kind(&to)) || !seen.insert(to.clone()) {
                continue;
            }
            let reply = admin.get(to.split('#').next().unwrap()).await;
            assert_eq!(reply.status, 200, "{from} leads to {to}: {}", reply.text);
        }
    }
    simulator.shutdown().await;
}

/// The text of a page as people read it.
fn read(page: &str) -> String {
    [("&#39;", "'"), ("&#34;", "\""), ("&#60;", "<"), ("&#62;", ">"), ("&#38;", "&")]
        .iter()
        .fold(page.to_owned(), |text, (coded, plain)| text.replace(coded, plain))
}

// Each statement of the catalogue, given to the vulnerability of a detection in turn, reaches who looks at that detection: on the
// item's page, the vulnerability's, and both ways to its eliminations. No catalogue is installed: the statements need none.
testkit::both_servers!(nothing_sound_is_said_wherever_a_detection_is_looked_at, |server| async move {
    let simulator = simulator().await;
    let admin = server.admin().await;
    connected(&admin, &simulator).await;
    let statements = catalogue::statements::all();
    assert_eq!(statements.len(), 18);
    let told = admin.get("/api/v1/catalogue/statements").await.expect(200);
    assert_eq!(told["statements"].as_array().unwrap().len(), 18, "{told}");
    assert_eq!(server.client().get("/api/v1/catalogue/statements").await.status, 401);

    let items = admin.get("/api/v1/items?q=is:open&limit=1").await.expect(200);
    let number = items["items"][0]["number"].as_str().unwrap().to_owned();
    let qid = items["items"][0]["qid"].as_i64().unwrap();
    for (at, statement) in statements.iter().enumerate() {
        let cve = statement.cve.to_string();
        let given = cve.clone();
        let write = server.app().database.write(move |tx| {
            tx.execute(
                "DELETE FROM vulnerability_cve WHERE vulnerability_id IN (SELECT id FROM vulnerability WHERE qid = $1)",
                &[&qid],
            )?;
            tx.execute(
                "INSERT INTO vulnerability_cve (vulnerability_id, cve) SELECT id, $2 FROM vulnerability WHERE qid = $1",
                &[&qid, &given],
            )
        });
        assert_eq!(write.await.unwrap(), 1, "{cve}");

        let item = format!("/items/{number}");
        let shown = read(&page(&admin, &item, &[]).await);
        // The way from the item to its eliminations is the one people take.
        let on = shown.split("href=\"/eliminations?").nth(1).and_then(|rest| rest.split('"').next());
        let on = format!("/eliminations?{}", on.unwrap_or_else(|| panic!("{item} leads nowhere: {shown}")));
        for path in [item, format!("/vulnerabilities/{qid}"), format!("/eliminations?q=qid%3A{qid}"), on] {
            let shown = read(&page(&admin, &path, &[]).await);
            let scope = statement.scope.as_ref().map_or_else(String::new, |scope| format!(" {scope}"));
            let whole = format!("{cve} ({}){scope}. {} <a href=\"{}\"", statement.name, statement.text, statement.url);
            assert_eq!(shown.matches("Nothing sound exists short of the fix").count(), 1, "{cve} on {path}");
            assert!(shown.contains(&whole), "{path} does not say: {whole}");
        }

        let said = |body: &serde_json::Value| {
            let list = body["no_sound_mitigation"].as_array().unwrap();
            assert_eq!(list.len(), 1, "{cve}: {body}");
            list[0].clone()
        };
        let whole = &told["statements"][at];
        assert_eq!(whole["sentence"], statement.sentence(), "{cve}");
        assert_eq!(said(&admin.get(&format!("/api/v1/items/{number}")).await.expect(200)), *whole);
        assert_eq!(said(&admin.get(&format!("/api/v1/vulnerabilities/{qid}")).await.expect(200)), *whole);
        let choices = said(&admin.get(&format!("/api/v1/eliminations?qid={qid}")).await.expect(200));
        assert_eq!((&choices["qid"], &choices["statement"]), (&json!(qid), whole), "{cve}");
    }

    // Of any other CVE nothing is said.
    let write = server.app().database.write(move |tx| {
        tx.execute(
            "UPDATE vulnerability_cve SET cve = 'CVE-2024-6387' WHERE vulnerability_id IN
             (SELECT id FROM vulnerability WHERE qid = $1)",
            &[&qid],
        )
    });
    assert_eq!(write.await.unwrap(), 1);
    for path in [format!("/items/{number}"), format!("/vulnerabilities/{qid}"), format!("/eliminations?q=qid%3A{qid}")]
    {
        assert!(!page(&admin, &path, &[]).await.contains("Nothing sound exists"), "{path}");
    }
    simulator.shutdown().await;
});
