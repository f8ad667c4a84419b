//! `quell jobs` and `quell tags` against a server in this process, read as a person reads them: free-standing jobs, schedules,
//! rollouts, what is done to a job, and what came of it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a test panics rather than returning an error"
)]

mod common;
#[allow(dead_code, reason = "shared with the tests of the API")]
#[path = "../../server/tests/acceptance/hands.rs"]
mod hands;
#[allow(dead_code, reason = "shared with the tests of pages")]
#[path = "../../server/tests/pages_jobs/world.rs"]
mod world;

use domain::mitigation::{ControlState, Origin};
use hands::{in_place, over, ready, report, said, tag};
use protocol::agent::Outcome;
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Output, Stdio};
use testkit::server::TestServer;
use world::World;

/// Somebody at a prompt.
struct Prompt {
    world: World,
    token: String,
    folder: tempfile::TempDir,
    qid: String,
    assets: Vec<i64>,
    names: Vec<String>,
}

impl Prompt {
    async fn new() -> Prompt {
        let world = World::ready(TestServer::start().await).await;
        let (qid, found) = world.mitigable().await;
        let assets: Vec<i64> = found.iter().map(|asset| asset["id"].as_i64().unwrap()).collect();
        let names = found.iter().map(|asset| asset["name"].as_str().unwrap().to_owned()).collect();
        tag(&world, assets[0], &["lab"]).await;
        tag(&world, assets[1], &["lab", "payments"]).await;
        let token = world.admin.make_token(&["all"]).await;
        Prompt { world, token, folder: tempfile::tempdir().unwrap(), qid: qid.to_string(), assets, names }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = common::quell(self.folder.path());
        let server = self.world.server.url("/");
        command.env("QUELL_SERVER", server.trim_end_matches('/')).env("QUELL_TOKEN", &self.token).args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        tokio::task::block_in_place(|| command.output().unwrap())
    }

    /// What is shown where it works: standard output, then what is said beside it.
    #[track_caller]
    fn says(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let text = text(&output);
        assert!(output.status.success(), "{arguments:?}: {text}");
        text
    }

    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["-o", "json"]].concat());
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// A refusal: its exit code, and what it says.
    #[track_caller]
    fn refused(&self, arguments: &[&str], code: i32, words: &str) {
        let output = self.run(arguments);
        let text = text(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains(words), "{arguments:?}: {text}");
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The lines of a table without its heading.
fn rows(text: &str) -> Vec<&str> {
    text.lines().skip(1).take_while(|line| line.starts_with(' ')).collect()
}

#[track_caller]
fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} in:\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_free_standing_job_is_tried_made_and_planned() {
    let me = Prompt::new().await;
    // Tags.
    has(&me.says(&["tags", "list"]), &["TAG", "BELOW", "CRITICALITY", "lab", "payments"]);
    has(&me.says(&["tags", "edit", "payments", "--parent", "lab", "--criticality", "5"]), &["payments", "lab", "5"]);
    me.refused(&["tags", "edit", "lab", "--parent", "payments"], 1, "stands below");
    me.refused(&["tags", "edit", "lab", "--criticality", "6"], 1, "1 to 5");

    // Tried before anything is made: who is in, who is not and why.
    let tried = me.says(&["jobs", "try", "linux", "--tag", "lab", "--qid", &me.qid]);
    has(&tried, &["ASSET", "NAME", "QIDS", &me.names[0], &me.names[1], &me.qid, "2 in, 0 left out"]);
    let both = me.says(&["jobs", "try", "linux", "--tag", "lab,payments", "--all-tags"]);
    has(&both, &["1 in"]);
    let without = me.says(&["jobs", "try", "linux", "--tag", "lab", "--without-tag", "payments"]);
    has(&without, &["1 in, 1 left out", "no: ", &me.names[1]]);
    let all = me.says(&["jobs", "try", "linux", "--query", "platform:linux"]);
    has(&all, &["no: ", "an agent is missing on some; install it there:"]);
    me.refused(&["jobs", "try", "linux", "--query", "nme:x"], 1, "nme");
    me.refused(&["jobs", "new", "macos", "--tag", "lab"], 5, "cannot be mitigated");

    let made = me.says(&["jobs", "new", "linux", "--title", "Harden the lab", "--tag", "lab", "--qid", &me.qid]);
    has(&made, &["number ", "MJ0000001", "status ", "DRAFT", "Harden the lab", "on linux", &me.names[0], &me.names[1]]);
    let number = "MJ0000001";
    has(&me.says(&["jobs", "selection", number]), &["2 in, 0 left out"]);
    let fewer = me.says(&["jobs", "edit", number, "--tag", "lab", "--without-asset", &me.assets[1].to_string()]);
    assert!(!fewer.contains(&me.names[1]), "{fewer}");

    // When it runs.
    let first = ["jobs", "edit", number, "--at", "2027-01-04T02:30", "--zone", "Europe/Rome"];
    let edited = me.says(
        &[&first[..], &["--repeat", "patch_tuesday", "--offset", "3", "--window", "120", "--standing", "true"]]
            .concat(),
    );
    has(&edited, &["Patch Tuesday", "Europe/Rome", "next run"]);
    let preview = me.says(&["jobs", "preview", number, "--times", "3"]);
    // The second Tuesday of January 2027 is the 12th; three days later it is 02:30 in Rome, 01:30 in UTC.
    has(&preview, &["TIME", "ZONE", "WINDOW ENDS", "2027-01-15T02:30", "2027-01-15T01:30:00Z", "2027-01-15T03:30:00Z"]);
    assert_eq!(rows(&preview).len(), 3, "{preview}");
    let gap = ["jobs", "preview", number, "--at", "2027-03-27T02:30", "--zone", "Europe/Rome", "--repeat", "daily"];
    has(&me.says(&gap), &["2027-03-28", "the clocks jump over this time"]);
    me.refused(&["jobs", "edit", number, "--repeat", "daily"], 2, "--at");
    me.refused(&["jobs", "edit", number, "--at", "soon"], 1, "give date and time as");
    me.refused(&["jobs", "edit", number, "--at", "2027-01-04T02:30", "--zone", "Mars/Olympus"], 1, "Mars/Olympus");

    // How it spreads, and what follows it.
    has(&me.says(&["jobs", "set", number, "--preset", "canary"]), &["wave"]);
    has(&me.says(&["jobs", "set", number, "--wave", "1", "--wave", "50%", "--soak", "600"]), &["50%"]);
    me.refused(&["jobs", "set", number, "--preset", "bold"], 1, "all_at_once, canary, careful");
    me.refused(&["jobs", "set", number, "--wave", "none"], 1, "none");
    let after = me.json(&["jobs", "edit", number, "--expires-days", "90", "--review-at", "2027-02-01"]);
    assert_eq!(
        (&after["after"]["expires_days"], &after["after"]["review_at"]),
        (&90.into(), &"2027-02-01T00:00:00Z".into())
    );

    // What is done to it.
    has(&me.says(&["jobs", "save", number]), &["DISABLED"]);
    has(&me.says(&["jobs", "enable", number]), &["ENABLED", "next run"]);
    has(&me.says(&["jobs", "pause", number]), &["ENABLED, paused"]);
    me.refused(&["jobs", "pause", number], 5, "paused");
    let resumed = me.says(&["jobs", "resume", number]);
    assert!(!resumed.contains("paused"), "{resumed}");
    has(&me.says(&["jobs", "disable", number]), &["DISABLED"]);
    has(&me.says(&["jobs", "clone", number]), &["MJ0000002", "DRAFT"]);
    me.world.server.user("carla", &["job_author"]).await;
    has(&me.says(&["jobs", "owner", number, "carla"]), &["carla"]);
    me.refused(&["jobs", "owner", number, "nobody"], 1, "nobody");
    me.refused(&["jobs", "show", "MJ0000009"], 4, "there is no job MJ0000009");
    has(&me.says(&["jobs", "list"]), &["NUMBER", "SCHEDULE", number, "MJ0000002", "Patch Tuesday"]);
    has(&me.says(&["jobs", "delete", "MJ0000002"]), &["MJ0000002 is deleted"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_of_a_job_is_read_and_kept() {
    let me = Prompt::new().await;
    let (number, _, assets) = hands::running(&me.world).await;
    let number = number.as_str();
    has(&me.says(&["jobs", "report", number]), &["Pending"]);
    let (first, others) = assets.split_first().unwrap();
    let external = said(Outcome::Unchanged, ControlState::Effective, Some(Origin::External));
    report(&me.world.server, *first, &external).await;
    for asset in others {
        report(&me.world.server, *asset, &said(Outcome::Failed, ControlState::Exposed, None)).await;
    }
    over(&me.world.admin, number).await;

    // For people: a code never without its reason.
    let told = me.says(&["jobs", "report", number]);
    has(&told, &["ASSET", "REASON", "SCORE", "33/203", "put there by others", "Failed", "said by a test", " -> "]);
    let failed = me.says(&["jobs", "report", number, "--status", "failed"]);
    assert!(!failed.contains("33/203") && failed.contains("Failed"), "{failed}");
    me.refused(&["jobs", "report", number, "--status", "lost"], 1, "lost");
    // For programs: the whole of it.
    let csv = me.says(&["jobs", "report", number, "-o", "csv"]);
    assert!(csv.starts_with("jobNumber,run,assetId,assetName,"), "{csv}");
    assert_eq!(csv.lines().count(), assets.len() + 1);
    let few = me.says(&["jobs", "report", number, "--columns", "qid,returnCode", "--status", "skipped", "-o", "csv"]);
    assert_eq!(few, format!("qid,returnCode\n{},33\n", me.qid));
    let json = me.json(&["jobs", "report", number]);
    assert_eq!(json["lines"].as_array().unwrap().len(), assets.len());

    has(&me.says(&["jobs", "cves", number]), &["CVE", "MITIGATED", "PARTLY", "NOT", "POINTS", "CVE-"]);
    let tasks = me.says(&["jobs", "tasks", number]);
    has(&tasks, &["ASSET", "CODE", "DETAIL", "203", "failed"]);
    has(&me.says(&["jobs", "progress", number]), &["run 1 ended", "WAVE"]);
    has(&me.says(&["jobs", "runs", number]), &["RUN", "CAUSE", "enabled"]);

    // Again, where it failed.
    has(&me.says(&["jobs", "retry", number]), &["ENABLED"]);
    ready(&me.world.server, i64::try_from(others.len()).unwrap()).await;
    for asset in others {
        let well = in_place();
        report(&me.world.server, *asset, &well).await;
    }
    has(&me.says(&["jobs", "wait", number]), &["COMPLETED", "0 failed"]);
    has(&me.says(&["jobs", "runs", number]), &["retry", "2 "]);
    assert_eq!(me.json(&["jobs", "report", number, "--run", "1"])["lines"].as_array().unwrap().len(), assets.len());
    me.refused(&["jobs", "report", number, "--run", "9"], 4, "run 9");
    me.refused(&["jobs", "retry", number], 5, "failed");

    has(&me.says(&["jobs", "retention"]), &["kept", "400 days"]);
    has(&me.says(&["jobs", "retention", "30"]), &["30 days"]);
    has(&me.says(&["jobs", "retention", "0"]), &["for ever"]);
    me.refused(&["jobs", "retention", "1"], 1, "7 to 36500 days");
    // One switch for everything.
    has(&me.says(&["jobs", "halt", "a phone call"]), &["true", "a phone call", "admin"]);
    has(&me.says(&["jobs", "go-on"]), &["false"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_task_of_a_run_is_listed_however_many_there_are() {
    let me = Prompt::new().await;
    let (number, _, assets) = hands::running(&me.world).await;
    let number = number.as_str();
    let names: Vec<String> = (0..530).map(|n| format!("zz-{n:03}")).collect();
    me.world.more_tasks(number, &names).await;
    let listed = |more: &[&str]| {
        let tasks = me.json(&[&["jobs", "tasks", number], more].concat());
        let name = |task: &Value| task["asset_name"].as_str().unwrap().to_owned();
        tasks.as_array().unwrap().iter().map(name).collect::<Vec<_>>()
    };
    // More than one page of the API holds.
    for more in [&[] as &[&str], &["--run", "1"]] {
        let all = listed(more);
        assert_eq!(all.len(), assets.len() + names.len(), "{more:?}");
        assert!(all.ends_with(&names), "{more:?}");
    }
    assert_eq!(listed(&["--query", "asset:zz-529"]), ["zz-529"]);
    assert_eq!(listed(&["--query", "is:failed"]), Vec::<String>::new());
    me.refused(&["jobs", "tasks", number, "--run", "9"], 4, "run 9");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_spread_halted_resumed_and_promoted() {
    let me = Prompt::new().await;
    let qid: i64 = me.qid.parse().unwrap();
    let number = hands::draft(&me.world.admin, qid, &me.assets[..2]).await;
    hands::only_safe(&me.world, &number, qid).await;
    let number = number.as_str();
    let one_by_one = ["--wave", "1", "--soak", "0", "--permits", "true", "--restarts", "2", "--failures", "1"];
    let set = me.says(&[&["jobs", "set", number][..], &one_by_one].concat());
    has(&set, &["waves of 1 and the rest, no time apart", "asks for a permit", "at most 2 at once"]);
    me.refused(&["jobs", "set", number, "--preset", "reckless"], 1, "all_at_once, canary, careful");
    me.refused(&["jobs", "halt-run", number, "too early"], 4, "a run of MJ0000001");
    me.says(&["jobs", "save", number, "--enable"]);
    ready(&me.world.server, 1).await;

    let halted = me.says(&["jobs", "halt-run", number, "the shop is open"]);
    has(&halted, &["run 1 halt", "(by ", "the shop is open", "0 permits out"]);
    me.refused(&["jobs", "halt-run", number, "again"], 5, "halted");
    has(&me.says(&["jobs", "resume-run", number]), &["run 1 open"]);
    me.refused(&["jobs", "resume-run", number], 5, "not halted");
    let promoted = me.json(&["jobs", "promote", number]);
    assert_eq!(promoted["runs"][0]["waves"].as_array().unwrap().len(), 2, "{promoted}");
    ready(&me.world.server, 2).await;
    let progress = me.says(&["jobs", "progress", number, "-o", "csv"]);
    assert_eq!(progress.lines().count(), 3, "a head and two waves: {progress}");
    me.refused(&["jobs", "promote", number], 5, "last wave");
}

/// QIDs that something on Linux is done about, with different actions, on assets that can be chosen.
async fn several_qids(me: &Prompt) -> String {
    let found =
        me.world.admin.get("/api/v1/vulnerabilities?q=is:found%20and%20is:mitigable&limit=100").await.expect(200);
    let mut qids = Vec::new();
    for vulnerability in found["vulnerabilities"].as_array().unwrap() {
        let qid = vulnerability["qid"].to_string();
        let all = me.world.admin.get(&format!("/api/v1/eliminations?qid={qid}")).await.expect(200);
        let able = |asset: &Value| asset["selectable"] == true && asset["platform"] == "linux";
        if all["assets"].as_array().unwrap().iter().any(able) {
            qids.push(qid);
        }
    }
    qids.join(",")
}

/// The catalogue entries of a job, one per action.
fn entries(job: &Value) -> Vec<String> {
    job["actions"].as_array().unwrap().iter().map(|action| action["entry"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_action_is_removed_and_people_are_taken_off_a_job() {
    let me = Prompt::new().await;
    let qids = several_qids(&me).await;
    let made = me.json(&["jobs", "create", &qids, "--platform", "linux"]);
    let number = made["summary"]["number"].as_str().unwrap();
    let before = entries(&made);
    let removed = before.first().unwrap();
    let left: Vec<String> = before.iter().filter(|entry| *entry != removed).cloned().collect();
    assert!(!left.is_empty(), "{before:?}");
    me.refused(
        &["jobs", "edit", number, "--remove-entry", "lnx-none"],
        1,
        "MJ0000001 has no action `lnx-none`; it has ",
    );
    let both = ["jobs", "edit", number, "--remove-entry", removed, "--without-entry", removed];
    me.refused(&both, 2, "cannot be used with");
    assert_eq!(entries(&me.json(&["jobs", "edit", number, "--remove-entry", removed])), left);
    me.refused(&["jobs", "edit", number, "--remove-entry", removed], 1, "has no action");
    // Nothing is added to a job from eliminations; which entry it takes is said when it is made.
    me.refused(&["jobs", "edit", number, "--entry", removed], 5, "made from eliminations");
    me.refused(
        &["jobs", "create", &qids, "--platform", "linux", "--entry", "lnx-none"],
        1,
        "`lnx-none` is no elimination",
    );
    let named = me.json(&["jobs", "create", &qids, "--platform", "linux", "--entry", removed]);
    assert!(entries(&named).contains(removed), "{named}");

    let free = me.json(&["jobs", "new", "linux", "--tag", "lab", "--qid", &me.qid]);
    let free = free["summary"]["number"].as_str().unwrap();
    me.refused(&["jobs", "edit", free, "--remove-entry", removed], 1, "leave one out by --without-entry");

    me.world.server.user("carla", &["job_author"]).await;
    let people = ["--recipients", "a@example.org,b@example.org", "--coauthors", "carla"];
    let edited = me.json(&[&["jobs", "edit", number][..], &people].concat());
    assert_eq!((edited["recipients"].as_array().unwrap().len(), &edited["coauthors"][0]), (2, &"carla".into()));
    me.refused(&["jobs", "edit", number, "--no-recipients", "--recipients", "c@example.org"], 2, "cannot be used with");
    me.refused(&["jobs", "edit", number, "--no-coauthors", "--coauthors", "carla"], 2, "cannot be used with");
    let nobody = me.json(&["jobs", "edit", number, "--no-recipients", "--no-coauthors"]);
    assert_eq!((&nobody["recipients"], &nobody["coauthors"]), (&Value::Array(vec![]), &Value::Array(vec![])));
    assert_eq!(entries(&nobody), left, "what is not given stays");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_is_reviewed_at_the_prompt_before_it_is_saved() {
    let me = Prompt::new().await;
    let qid: i64 = me.qid.parse().unwrap();
    let number = hands::draft(&me.world.admin, qid, &me.assets[..2]).await;
    let number = number.as_str();
    has(&me.says(&["jobs", "show", number]), &["recipients", "never", "afterwards", "nothing", "rollout", "instants"]);
    let words = ["--description", "Until the patch\nstatus COMPLETED"];
    let when = ["--at", "2031-01-04T02:30", "--zone", "Europe/Rome", "--window", "60"];
    let mail = ["--recipients", "a@example.org", "--mail-started", "true", "--mail-percent", "50"];
    let after = ["--expires-days", "90", "--review-at", "2031-02-01"];
    me.says(&[&["jobs", "edit", number][..], &words, &when, &mail, &after].concat());
    let rollout = me.says(&["jobs", "set", number, "--wave", "1", "--soak", "600"]);
    let sentence = rollout.lines().next().unwrap();
    let shown = me.says(&["jobs", "show", number]);
    has(
        &shown,
        &[
            "Until the patch",
            "2031-01-04T02:30:00+01:00 in Europe/Rome (2031-01-04T01:30:00Z, until 2031-01-04T02:30:00Z), 2 assets",
            "a@example.org",
            "at the start and when 50 % have reported",
            "expires 90 days after it was put in place, then its rollback is proposed; review at 2031-02-01T00:00:00Z",
            sentence,
        ],
    );
    assert_eq!(
        shown.lines().filter(|line| line.starts_with("status")).count(),
        1,
        "a description is no field: {shown}"
    );
    assert!(!shown.contains("outside your asset scope"), "{shown}");

    // Somebody who sees one of the two assets is told that there is another.
    let sue = me.world.server.user("sue", &["read_only"]).await;
    let write = me
        .world
        .server
        .app()
        .database
        .write(|tx| tx.execute("UPDATE account SET scope = $1 WHERE name = $2", &[&"[\"payments\"]", &"sue"]));
    assert_eq!(write.await.unwrap(), 1);
    let token = sue.make_token(&["read"]).await;
    let mut command = me.command(&["jobs", "show", number]);
    let seen = tokio::task::block_in_place(|| command.env("QUELL_TOKEN", token).output().unwrap());
    let seen = text(&seen);
    has(&seen, &[&me.names[1], "and 1 outside your asset scope"]);
    assert!(!seen.contains(&me.names[0]), "{seen}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_for_a_job_ends_where_it_cannot_go_on_by_itself() {
    let me = Prompt::new().await;
    let (number, _, assets) = hands::running(&me.world).await;
    let number = number.as_str();
    let count = i64::try_from(assets.len()).unwrap();
    let stopped = |words: &str| me.refused(&["jobs", "wait", number], 7, words);
    me.says(&["jobs", "cancel", number]);
    stopped("was cancelled");
    me.says(&["jobs", "run-now", number]);
    ready(&me.world.server, count).await;

    me.says(&["jobs", "pause", number]);
    stopped("MJ0000001 is paused; nothing more of it starts until `quell jobs resume MJ0000001`");
    me.says(&["jobs", "resume", number]);
    me.says(&["jobs", "halt-run", number, "the shop is open"]);
    stopped("the shop is open; `quell jobs resume-run MJ0000001` lets it go on");
    me.says(&["jobs", "resume-run", number]);
    me.says(&["jobs", "halt", "a phone call"]);
    stopped("everything is halted by admin: a phone call; `quell jobs go-on` lifts the halt");
    me.says(&["jobs", "go-on"]);

    let copy = "MJ0000002";
    has(&me.says(&["jobs", "clone", number]), &[copy]);
    me.refused(&["jobs", "wait", copy], 7, "is a draft");
    me.says(&["jobs", "save", copy]);
    me.refused(&["jobs", "wait", copy], 7, "MJ0000002 is DISABLED and does not run until somebody enables it");
    // For programs: one document, and the reason beside it.
    let output = me.run(&["jobs", "wait", copy, "-o", "json"]);
    let job: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &job["summary"]["status"]), (Some(7), &"DISABLED".into()));
    me.says(&["jobs", "halt", "again"]);
    let output = me.run(&["jobs", "enable", copy, "--wait", "-o", "json"]);
    let job: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &job["summary"]["status"]), (Some(7), &"ENABLED".into()), "{}", text(&output));
    me.says(&["jobs", "go-on"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_for_a_job_says_how_far_it_is_and_its_history_says_what_happened() {
    let me = Prompt::new().await;
    let (number, _, assets) = hands::running(&me.world).await;
    let number = number.as_str();
    let mut command = me.command(&["jobs", "wait", number]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let first = tokio::task::block_in_place(|| lines.next().unwrap().unwrap());
    assert_eq!(first, format!("{number}: 0 of {} tasks done", assets.len()));
    for asset in &assets {
        report(&me.world.server, *asset, &in_place()).await;
    }
    let output = tokio::task::block_in_place(|| child.wait_with_output().unwrap());
    assert!(output.status.success(), "{}", text(&output));
    has(&text(&output), &["COMPLETED", "0 failed"]);

    let history = me.says(&["jobs", "history", number]);
    has(
        &history,
        &["AT", "WHAT", "BY", "RUN", "ENTRY", "Draft made", "Saved and enabled", "users/admin", "The run is over"],
    );
    has(&history, &[&format!("{} began", me.names[0]), &format!("{}: succeeded", me.names[0])]);
    let all = me.json(&["jobs", "history", number]);
    let newest = me.json(&["jobs", "history", number, "--limit", "1"]);
    assert_eq!((newest.as_array().unwrap().len(), &newest[0]), (1, &all[0]));
    let tasks = me.json(&["jobs", "history", number, "-q", "what:task", "--all"]);
    assert_eq!(tasks.as_array().unwrap().len(), 2 * assets.len());
    me.refused(&["jobs", "history", "MJ0000009"], 4, "there is no job MJ0000009");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_draft_of_a_job_for_both_platforms_is_named() {
    let me = Prompt::new().await;
    me.world.also_on_windows(me.qid.parse().unwrap(), me.assets[1]).await;
    let made = me.says(&["jobs", "create", &me.qid, "--each-platform", "--platform", "linux"]);
    has(&made, &["on linux", &me.names[0], " is the draft for the other platform"]);
    let (number, twin) = made.trim_end().rsplit_once('\n').unwrap();
    let twin = twin.split(' ').next().unwrap();
    assert!(["MJ0000001", "MJ0000002"].contains(&twin) && number.contains(twin), "{made}");
    let other = me.says(&["jobs", "show", twin]);
    has(&other, &["on windows", "other platform", &me.names[1]]);
    assert!(!other.contains(&me.names[0]), "{other}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_job_put_in_place_is_rolled_back_by_a_draft_of_its_own() {
    let me = Prompt::new().await;
    let (number, _, assets) = hands::running(&me.world).await;
    me.refused(&["jobs", "rollback", "MJ0000009"], 4, "there is no job MJ0000009");
    for asset in &assets {
        report(&me.world.server, *asset, &in_place()).await;
    }
    over(&me.world.admin, &number).await;
    let made = me.says(&["jobs", "rollback", &number]);
    has(&made, &["MJ0000002", "DRAFT", "rollback on linux", &me.names[0]]);
    assert!(!made.contains("is the draft for the other platform"), "{made}");
}
