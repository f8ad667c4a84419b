//! What others do on a host beside us, from a job's order to the score, with a server and an agent as processes: a mitigation that
//! was there already (203, 206), one of ours (204), one that is not ours any more (205), and one that somebody changed (drift).

use crate::processes::{binaries, until};
use crate::terrapin_and_grace::seed;
use crate::world::{PATIENCE, World, throw_away};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;
use ureq::http::Method;

/// The simulator's QID of CVE-2024-6387.
const GRACE: u32 = 900_001;
const ENTRY: &str = "linux-sshd-login-grace-0";

/// Score with mitigations counted, and the item's mitigation status.
fn score(world: &World) -> (i64, String) {
    let database = rusqlite::Connection::open(world.database()).unwrap();
    database.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    let sql = "SELECT i.residual, i.mitigation FROM vulnerable_item i JOIN vulnerability v ON v.id = i.vulnerability_id \
               WHERE v.qid = ?1 AND i.asset_id = (SELECT asset_id FROM agent WHERE asset_id IS NOT NULL)";
    database.query_row(sql, [GRACE], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

/// A job of a kind; status, code and detail of its one task.
fn run(world: &mut World, kind: &str) -> (String, i64, Value) {
    let ended = world.job(kind);
    let tasks = world.api.must(Method::GET, &format!("/api/v1/jobs/{}/tasks", ended.number), None);
    assert_eq!(tasks["tasks"].as_array().unwrap().len(), 1, "{tasks}");
    let task = &tasks["tasks"][0];
    assert_eq!(task["entry"], ENTRY, "{task}");
    (task["state"].as_str().unwrap().to_owned(), task["code"].as_i64().unwrap(), task["detail"].clone())
}

fn control(world: &mut World) -> Value {
    let page = world.api.must(Method::GET, "/api/v1/controls", None);
    let found = page["controls"].as_array().unwrap().iter().find(|control| control["entry"] == ENTRY);
    found.cloned().unwrap_or(Value::Null)
}

/// By hand: the first value counts for sshd.
fn by_hand(file: &Path, seconds: u32) {
    let text = std::fs::read_to_string(file).unwrap();
    std::fs::write(file, format!("LoginGraceTime {seconds}\n{text}")).unwrap();
}

/// The host is started again: another boot id, and the agent with it, which then looks within a minute or two.
fn boot(world: &mut World, n: u32) {
    let path = world.root().join("proc/sys/kernel/random/boot_id");
    std::fs::write(path, format!("00000000-0000-4000-8000-{n:012}\n")).unwrap();
    let kept = world.state().join("checks.json");
    let text = std::fs::read_to_string(&kept).unwrap_or_else(|_| "{}".to_owned());
    let mut checks: Value = serde_json::from_str(&text).unwrap();
    // It may not have looked once yet, and then would not know the boot before.
    if checks["boot_id"].as_str().unwrap_or_default().is_empty() {
        checks["boot_id"] = json!("the boot before");
        std::fs::write(&kept, checks.to_string()).unwrap();
    }
    world.start_agent(None);
}

#[test]
fn what_others_did_is_told_apart_from_ours_and_drift_is_put_back() {
    let folder = TempDir::with_prefix("quell-others-").unwrap();
    let disk = folder.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let mut world = World::of(folder, disk, seed(&[GRACE]), |_| {}, throw_away);
    world.qids = vec![i64::from(GRACE)];
    let file = world.root().join("etc/ssh/sshd_config");
    let original = std::fs::read_to_string(&file).unwrap();
    let exposed = score(&world);

    // Somebody was faster: the score is lowered once (203), then it is known (206), and there is nothing of ours to take back.
    by_hand(&file, 0);
    let theirs = std::fs::read_to_string(&file).unwrap();
    let (state, code, detail) = run(&mut world, "mitigation");
    assert_eq!((state.as_str(), code, detail), ("unchanged", 33, json!(203)));
    let lowered = score(&world);
    assert!(lowered.0 < exposed.0, "{lowered:?} of {exposed:?}");
    assert_eq!(run(&mut world, "mitigation").2, json!(206));
    assert_eq!(score(&world), lowered, "once");
    assert_eq!(control(&mut world)["origin"], "external");
    assert_eq!(world.make_job("rollback"), None, "not ours");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), theirs);

    // Without them it is ours, and another job finds it so (204).
    std::fs::write(&file, &original).unwrap();
    let (state, code, detail) = run(&mut world, "mitigation");
    assert_eq!((state.as_str(), code, detail), ("succeeded", 0, Value::Null));
    assert_eq!(score(&world), lowered);
    assert_eq!(run(&mut world, "mitigation").2, json!(204));
    assert_eq!(control(&mut world)["origin"], "ours");

    // Somebody changes it: the score is back up at once, and putting it back lowers it again.
    by_hand(&file, 30);
    world.agent.take();
    boot(&mut world, 2);
    until("noticing the drift", PATIENCE * 3, || (control(&mut world)["state"] == "drifted").then_some(()));
    assert_eq!(score(&world), (exposed.0, "drifted".to_owned()));
    let id = control(&mut world)["id"].as_i64().unwrap();
    let made = world.api.must(Method::POST, &format!("/api/v1/controls/{id}/reapply"), Some(&json!({})));
    let ended = world.finish(made["job"].as_str().unwrap());
    assert_eq!((ended.tasks[0].1.as_str(), ended.tasks[0].2), ("succeeded", 0), "{ended:?}");
    assert_eq!(score(&world), lowered);
    assert!(std::fs::read_to_string(&file).unwrap().starts_with("LoginGraceTime 0\n"));

    // The host's owner takes ours back, and somebody puts it there by hand: ours by the server's books, but the host knows better.
    world.agent.take();
    let mut revert = Command::new(binaries().join("quell-agent"));
    revert.args(["revert", "--all", "--state"]).arg(world.state()).arg("--root").arg(world.root());
    assert!(revert.status().unwrap().success());
    by_hand(&file, 0);
    let theirs = std::fs::read_to_string(&file).unwrap();
    world.start_agent(None);
    let (_, code, detail) = run(&mut world, "rollback");
    assert_eq!((code, detail), (33, json!(205)));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), theirs, "left alone");
}
