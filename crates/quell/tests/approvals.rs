//! `quell approvals` and `quell jobs dry-run` against a server in this process: what is shown, what is signed, what is not.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::allow_attributes,
    reason = "a test panics rather than returning an error"
)]

mod common;
#[allow(dead_code, reason = "the walks use the rest")]
#[path = "browser/driver.rs"]
mod driver;
#[allow(dead_code, unused_imports, reason = "the server's own tests use the rest")]
#[path = "../../server/tests/approvals/world.rs"]
mod world;

use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Output, Stdio};
use testkit::server::{TestServer, USER_PASSWORD};
use world::{ORG, RISKY, ROOT, SAFE, World, key};

/// The program, as the owner of this token.
fn quell(world: &World, token: &str, folder: &Path, arguments: &[&str]) -> Output {
    let mut command = common::quell(folder);
    let server = world.server.url("/");
    command.env("QUELL_SERVER", server.trim_end_matches('/')).env("QUELL_TOKEN", token).args(arguments);
    tokio::task::block_in_place(|| command.output().unwrap())
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_is_read_signed_with_a_key_of_ones_own_and_goes_on() {
    let world = World::ready(TestServer::start().await).await;
    let folder = tempfile::tempdir().unwrap();
    let ben = world.ben.make_token(&["read", "jobs"]).await;
    let (number, approval) = world.asked(&[RISKY]).await;
    let run = |arguments: &[&str]| quell(&world, &ben, folder.path(), arguments);
    let list = json(&run(&["approvals", "list", "-o", "json"]));
    assert_eq!(list[0]["job"], number.as_str(), "{list}");
    for (arguments, listed) in [
        (&["--state", "all", "--limit", "1"][..], 1),
        (&["--state", "all", "--all"], 1),
        (&["--state", "approved", "--all"], 0),
        (&["-q", "asker:ada"], 1),
        (&["-q", "asker:ben"], 0),
    ] {
        let found = json(&run(&[&["approvals", "list", "-o", "json"], arguments].concat()));
        assert_eq!(found.as_array().unwrap().len(), listed, "{arguments:?}: {found}");
    }
    assert_eq!(run(&["approvals", "list", "--state", "signed"]).status.code(), Some(2));
    let shown = text(&run(&["approvals", "show", &number]));
    for part in
        ["A risky one", "Somebody may notice.", "value: v", "alpha", "beta", "sum 180 now", "2 machines", "class 2"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let file = |name: &str, n: u8, mode: u32| {
        let path = folder.path().join(name);
        std::fs::write(&path, key(n).to_pem()).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path.display().to_string()
    };
    let (open, wrong, good) =
        (file("open.pem", ORG, 0o644), file("wrong.pem", ROOT, 0o600), file("good.pem", ORG, 0o600));
    for (key, says) in [(&open, "others can read"), (&wrong, "does not hold the organisation role")] {
        let refused = run(&["approvals", "approve", &number, "--key", key]);
        assert!(!refused.status.success() && text(&refused).contains(says), "{}", text(&refused));
    }
    // Signed here, sent from elsewhere.
    let offline = run(&["approvals", "approve", &number, "--key", &good, "--offline"]);
    assert!(offline.status.success(), "{}", text(&offline));
    assert!(!text(&offline).contains("PRIVATE"));
    let envelope = folder.path().join("signed.json");
    std::fs::write(&envelope, &offline.stdout).unwrap();
    let sent = json(&run(&["approvals", "send", &number, &envelope.display().to_string(), "-o", "json"]));
    assert_eq!(sent["summary"]["state"], "approved", "{sent}");
    assert_eq!(sent["summary"]["id"], approval["summary"]["id"]);
    assert_eq!(world.poll(0).await.orders.len(), 1);
    let again = run(&["approvals", "approve", &number, "--key", &good]);
    assert_eq!(again.status.code(), Some(5), "{}", text(&again));
}

/// The server shows one rollout and has another signed, in each of the three places where it could lie.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_with_one_rollout_and_a_manifest_of_another_is_not_signed() {
    let world = World::ready(TestServer::start().await).await;
    let folder = tempfile::tempdir().unwrap();
    let ben = world.ben.make_token(&["read", "jobs"]).await;
    let (number, _) = world.asked(&[RISKY]).await;
    let path = folder.path().join("good.pem");
    std::fs::write(&path, key(ORG).to_pem()).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let key = path.display().to_string();
    let run = |arguments: &[&str]| quell(&world, &ben, folder.path(), arguments);
    let shown = text(&run(&["approvals", "show", &number]));
    for part in [
        "how it is rolled out",
        "waves: one, of all 2 machines",
        "restarts: no machine is restarted",
        "starts: not before",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let never = ("\"restarts\":null", "\"restarts\":50");
    let forgeries = [
        ("plan", never, "the rollouts differ"),
        ("manifest", never, "the rollouts differ"),
        ("plan", ("\"title\":\"T\"", "\"title\":\"Harmless\""), "the plans differ"),
    ];
    for (column, (from, to), says) in forgeries {
        let forge = |from: &'static str, to: &'static str| {
            let sql = match column {
                "plan" => "UPDATE approval SET plan = replace(plan, $1, $2) WHERE plan LIKE '%' || $1 || '%'",
                _ => "UPDATE approval SET manifest = replace(manifest, $1, $2) WHERE manifest LIKE '%' || $1 || '%'",
            };
            world.server.app().database.write(move |tx| tx.execute(sql, &[&from, &to]))
        };
        assert_eq!(forge(from, to).await.unwrap(), 1, "{column}");
        for act in [&["approvals", "show", &number][..], &["approvals", "approve", &number, "--key", &key]] {
            let refused = run(act);
            assert!(!refused.status.success() && text(&refused).contains(says), "{column}: {}", text(&refused));
        }
        assert_eq!(forge(to, from).await.unwrap(), 1, "{column}");
    }
    let signed = run(&["approvals", "approve", &number, "--key", &key]);
    assert!(signed.status.success(), "{}", text(&signed));
    assert!(text(&signed).contains("restarts: no machine is restarted"), "said before it signs: {}", text(&signed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_rejected_and_a_job_run_dry_from_the_command_line() {
    let world = World::ready(TestServer::start().await).await;
    let folder = tempfile::tempdir().unwrap();
    let (ada, ben) = (world.ada.make_token(&["read", "jobs"]).await, world.ben.make_token(&["read", "jobs"]).await);
    let (number, _) = world.asked(&[RISKY]).await;
    let rejected =
        quell(&world, &ben, folder.path(), &["approvals", "reject", &number, "--reason", "too wide", "-o", "json"]);
    assert_eq!(json(&rejected)["summary"]["state"], "rejected");
    assert_eq!(world.status(&number).await, "DISABLED");
    let policy = quell(&world, &ben, folder.path(), &["approvals", "policy"]);
    assert!(text(&policy).contains('2'), "{}", text(&policy));

    let number = world.job(&[SAFE]).await;
    let never = quell(&world, &ada, folder.path(), &["jobs", "dry-run", &number, "--last"]);
    assert!(!never.status.success() && text(&never).contains("never run dry"), "{}", text(&never));
    let begun = quell(&world, &ada, folder.path(), &["jobs", "dry-run", &number]);
    assert!(begun.status.success() && text(&begun).contains("waiting"), "{}", text(&begun));
    for agent in 0..2 {
        let order = world::opened(&world.poll(agent).await.orders[0]);
        let diff = "-k = old\n+k = v\u{1b}[2J\n";
        let state = domain::mitigation::ControlState::Exposed;
        world.report(agent, &order, world::said(protocol::agent::Outcome::Reported, state, "planned", diff)).await;
    }
    let over = quell(&world, &ada, folder.path(), &["jobs", "dry-run", &number, "--last"]);
    let over = text(&over);
    assert!(over.contains("+k = v") && !over.contains('\u{1b}'), "{over}");
    assert!(over.contains("sum of scores 180 now, 180 then"), "{over}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_for_a_job_says_once_that_an_approval_is_missing_and_goes_on_waiting() {
    let world = World::ready(TestServer::start().await).await;
    let folder = tempfile::tempdir().unwrap();
    let ada = world.ada.make_token(&["read", "jobs"]).await;
    let number = world.job(&[RISKY]).await;
    let mut command = common::quell(folder.path());
    let server = world.server.url("/");
    command.env("QUELL_SERVER", server.trim_end_matches('/')).env("QUELL_TOKEN", ada);
    command.args(["jobs", "enable", &number, "--wait"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let first = tokio::task::block_in_place(|| lines.next().unwrap().unwrap());
    for part in
        ["waits for an approval", "0 of 1 signatures", &format!("`quell approvals approve {number} --key FILE`")]
    {
        assert!(first.contains(part), "{part}: {first}");
    }
    // Another look or two: it waits still, and says it no second time.
    tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
    assert!(child.try_wait().unwrap().is_none(), "it ended: {first}");
    let asked = world.ben.get(&format!("/api/v1/jobs/{number}/approval")).await.expect(200);
    let reject = format!("/api/v1/approvals/{}/reject", asked["approval"]["summary"]["id"]);
    world.ben.post(&reject, &serde_json::json!({ "reason": "too wide" })).await.expect(200);
    let status = tokio::task::block_in_place(|| child.wait().unwrap());
    let rest = lines.map(|line| line.unwrap()).collect::<Vec<_>>().join("\n");
    assert_eq!(status.code(), Some(7), "{rest}");
    assert!(rest.contains("is DISABLED") && !rest.contains("waits for an approval"), "{rest}");
}

/// In a browser: who asked, the plan, the command to sign, Reject; the dry run with its diffs. Pictures in both themes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pages_of_approvals_and_dry_runs_in_a_browser() {
    let Some(mut browser) =
        driver::Browser::start("approvals", "the_pages_of_approvals_and_dry_runs_in_a_browser").await
    else {
        return;
    };
    let world = World::ready(TestServer::start().await).await;
    let dry = world.job(&[RISKY, SAFE]).await;
    world.ada.post(&format!("/api/v1/jobs/{dry}/dry-run"), &serde_json::json!({})).await.expect(202);
    for agent in 0..2 {
        for envelope in &world.poll(agent).await.orders {
            let order = world::opened(envelope);
            let diff = "--- /etc/x\n+++ /etc/x\n@@ -1 +1 @@\n-k = old\n+k = v\n";
            let state = domain::mitigation::ControlState::Exposed;
            world.report(agent, &order, world::said(protocol::agent::Outcome::Reported, state, "planned", diff)).await;
        }
    }
    let (number, approval) = world.asked(&[RISKY, SAFE]).await;
    let here = format!("/approvals/{}", approval["summary"]["id"]);
    browser.open(&world.server.url("/"), "/approvals").await;
    browser.sign_in("ben", USER_PASSWORD).await;
    browser.see(&format!("{number} run 1")).await;
    browser.shot("list").await;
    browser.go(&here).await;
    browser.see("What it may affect").await;
    browser.see(&format!("approvals approve {number} --key organisation.pem")).await;
    browser.shot("plan").await;
    browser.go(&format!("/jobs/{number}")).await;
    browser.see("waits for approval by a second person").await;
    browser.shot("job").await;
    browser.go(&format!("/jobs/{dry}/dry-run")).await;
    browser.see("+k = v").await;
    browser.see("180 now, 120 then").await;
    browser.shot("dry-run").await;
    browser.close().await;
}
