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
use std::process::Output;
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

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = common::quell(self.folder.path());
        let server = self.world.server.url("/");
        command.env("QUELL_SERVER", server.trim_end_matches('/')).env("QUELL_TOKEN", &self.token).args(arguments);
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
