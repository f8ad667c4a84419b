//! The walk through `docs/custom-mitigations.md`, command by command: keys, an entry of the organisation's own, two signatures,
//! and a job that carries it out on a host and takes it back.

use crate::processes::binaries;
use crate::terrapin_and_grace::seed;
use crate::world::World;
use catalogue::bundle::Bundle;
use protocol::signed::PublicKey;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

const ID: &str = "org-sshd-no-x11";
/// A finding of the simulated scanner that has no CVE and no entry: an SSH server that forwards X11.
const X11: u32 = 900_202;

/// Run `quell catalogue …` on a desk, which must succeed or not; gives what it printed.
fn quell(desk: &Path, line: &str, well: bool) -> String {
    let said = Command::new(binaries().join("quell"))
        .arg("catalogue")
        .args(line.split_whitespace())
        .current_dir(desk)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
    assert_eq!(said.status.success(), well, "quell catalogue {line}: {text}");
    text
}

fn public(text: &str) -> &str {
    text.split_whitespace().find(|word| word.starts_with("ed25519:")).expect("a public key is printed")
}

/// What the page says, up to the signed folder.
fn ceremony(desk: &Path, order: &PublicKey) -> Bundle {
    let run = |line: &str| quell(desk, line, true);
    let key = |name: &str| public(&run(&format!("key new {name}.pem"))).to_owned();
    let [_, content, organisation] = ["root", "content", "organisation"].map(key);
    run(&format!(
        "root new --root-key root.pem --content {content} --organisation {organisation} --order {order} \
         --expires 2099-01-01 --out root.json"
    ));
    run(&format!("new --id {ID} --kind file.setting --qid {X11} --points 30 --out own"));
    // What the page has a person change in the file.
    let path = desk.join("own").join(format!("{ID}.toml"));
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text.replace("CHANGE: ", "");
    std::fs::write(&path, text).unwrap();
    run("lint own --warnings");
    run("sign --key content.pem --version 1 --expires 2098-01-01 --custom own --root root.json --out signed");
    assert!(run("verify signed --root root.json").contains("not signed by the organisation"));
    quell(desk, "countersign signed --root root.json --yes --organisation-key content.pem", false);
    quell(desk, "countersign signed --root root.json --organisation-key organisation.pem", false);
    assert!(
        run("countersign signed --root root.json --yes --organisation-key organisation.pem").contains("is complete")
    );
    assert!(!run("verify signed --root root.json").contains("not usable"));
    Bundle::read_from(&desk.join("signed")).unwrap()
}

#[test]
fn a_mitigation_of_the_organisations_own_reaches_a_host_and_is_taken_back() {
    let folder = TempDir::with_prefix("quell-own-").unwrap();
    let (disk, desk) = (folder.path().join("disk"), folder.path().join("desk"));
    std::fs::create_dir(&disk).unwrap();
    std::fs::create_dir(&desk).unwrap();
    let mut world = World::of(folder, disk, seed(&[X11]), |_| {}, |order| ceremony(&desk, order));
    world.qids = vec![i64::from(X11)];
    let config = world.root().join("etc/ssh/sshd_config");
    let original = std::fs::read(&config).unwrap();
    assert!(qualys_sim::world::is_found(&world.root(), X11).unwrap(), "the scanner sees it");

    let done = world.job("mitigation");
    let only = |done: &crate::world::Ended| -> (String, String) {
        assert_eq!((done.status.as_str(), done.tasks.len()), ("COMPLETED", 1), "{done:?}");
        (done.tasks[0].0.clone(), done.tasks[0].1.clone())
    };
    assert_eq!(only(&done), (ID.to_owned(), "succeeded".to_owned()));
    assert!(!qualys_sim::world::is_found(&world.root(), X11).unwrap(), "the scanner does not see it any more");

    let done = world.job("rollback");
    assert_eq!(only(&done), (ID.to_owned(), "reverted".to_owned()));
    assert_eq!(std::fs::read(&config).unwrap(), original, "byte for byte");
}
