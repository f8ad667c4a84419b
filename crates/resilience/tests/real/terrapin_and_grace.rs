//! The two exposures of an sshd that can be seen from outside, before a job, after it, and after its rollback.

use crate::sshd::{Sshd, configure, missing};
use crate::world::{Ended, World, throw_away};
use qualys_sim::hosts::Fleet;
use qualys_sim::world::Plan;
use std::collections::BTreeMap;
use std::time::Duration;
use tempfile::TempDir;

/// The simulator's QIDs of CVE-2024-6387 and CVE-2023-48795.
const GRACE: u32 = 900_001;
const TERRAPIN: u32 = 900_002;

/// A subscription whose first host has these weaknesses.
pub fn seed(wanted: &[u32]) -> u64 {
    let has = |seed: &u64| {
        let host = Fleet::new(*seed, 3, 1).host(0);
        let Some(plan) = Plan::of(*seed, &host) else { return false };
        let found: Vec<u32> = plan.weaknesses().map(|weakness| weakness.qid).collect();
        wanted.iter().all(|qid| found.contains(qid)) && !plan.grace_in_dropin
    };
    (0..10_000).find(has).expect("one of many hosts has them")
}

/// A server, an agent below a root, and an sshd with its configuration there; a job will be made for this QID.
fn site(qid: u32, extra: &str) -> (World, Sshd) {
    let folder = TempDir::with_prefix("quell-real-").unwrap();
    let disk = folder.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let mut port = 0;
    let mut world = World::of(folder, disk, seed(&[qid]), |root| port = configure(root, extra), throw_away);
    world.qids = vec![i64::from(qid)];
    let sshd = Sshd::start(&world.root(), port, world.log("sshd"));
    (world, sshd)
}

/// One task did it; an entry for another distribution, which the host itself passes over, does not count.
fn one(ended: &Ended, entry: &str, state: &str) {
    assert_eq!(ended.status, "COMPLETED", "{ended:?}");
    let tasks: Vec<(&str, &str, i64)> = ended
        .tasks
        .iter()
        .map(|(e, s, code, _)| (e.as_str(), s.as_str(), *code))
        .filter(|(_, state, code)| (*state, *code) != ("not_applicable", 101))
        .collect();
    assert_eq!(tasks, [(entry, state, 0)], "{ended:?}");
}

/// Names of the Terrapin attack in what a server offers: ChaCha20-Poly1305, and codes that are made after encryption.
fn terrapin(offers: &BTreeMap<String, Vec<String>>) -> Vec<&str> {
    let names = ["encryption_algorithms", "mac_algorithms"].into_iter().filter_map(|list| offers.get(list)).flatten();
    names.map(String::as_str).filter(|name| name.starts_with("chacha20-poly1305") || name.contains("-etm@")).collect()
}

#[test]
fn real_terrapin_leaves_the_wire_with_a_job_and_comes_back_with_its_rollback() {
    if let Some(missing) = missing() {
        skip::skipped("real::real_terrapin_leaves_the_wire_with_a_job_and_comes_back_with_its_rollback", &missing);
        return;
    }
    let (mut world, sshd) = site(TERRAPIN, "");
    let config = world.root().join("etc/ssh/sshd_config");
    let original = std::fs::read(&config).unwrap();
    let before = sshd.offers();
    let exposed = terrapin(&before);
    assert!(exposed.contains(&"chacha20-poly1305@openssh.com"), "{before:?}");
    assert!(exposed.contains(&"hmac-sha2-256-etm@openssh.com"), "{before:?}");

    one(&world.job("mitigation"), "linux-terrapin-sshd-config", "succeeded");
    sshd.reload();
    let after = sshd.offers();
    assert_eq!(terrapin(&after), [] as [&str; 0]);
    // It still is an sshd that people can use.
    assert!(after["encryption_algorithms"].iter().any(|name| name == "aes256-gcm@openssh.com"), "{after:?}");
    assert!(after["mac_algorithms"].iter().any(|name| name == "hmac-sha2-256"), "{after:?}");

    one(&world.job("rollback"), "linux-terrapin-sshd-config", "reverted");
    sshd.reload();
    assert_eq!(sshd.offers(), before);
    assert_eq!(std::fs::read(&config).unwrap(), original, "byte for byte");
}

#[test]
fn real_login_grace_time_cuts_a_silent_client_before_the_job_and_after_its_rollback_only() {
    if let Some(missing) = missing() {
        let name = "real::real_login_grace_time_cuts_a_silent_client_before_the_job_and_after_its_rollback_only";
        skip::skipped(name, &missing);
        return;
    }
    let (mut world, sshd) = site(GRACE, "LoginGraceTime 5\n");
    let cut_at_five = |sshd: &Sshd| {
        let cut = sshd.hangs_up_after(Duration::from_secs(14)).expect("the silent client is cut");
        assert!(cut >= Duration::from_secs(4) && cut < Duration::from_secs(9), "cut after {cut:?}");
    };
    cut_at_five(&sshd);

    one(&world.job("mitigation"), "linux-sshd-login-grace-0", "succeeded");
    sshd.reload();
    assert_eq!(sshd.hangs_up_after(Duration::from_secs(15)), None, "still connected at 15 s");

    one(&world.job("rollback"), "linux-sshd-login-grace-0", "reverted");
    sshd.reload();
    cut_at_five(&sshd);
}
