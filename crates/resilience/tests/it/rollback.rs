//! Rolling back by a job, end to end: what was there comes back byte for byte, what others did since stays, and a setting
//! that somebody else has changed is left alone.

use crate::world::{Ended, World};
use std::os::unix::fs::PermissionsExt as _;

const ENTRY: &str = "linux-sshd-login-grace-0";
const FILE: &str = "etc/ssh/sshd_config";
const OURS: &str = "LoginGraceTime 0";

fn state_of<'a>(ended: &'a Ended, entry: &str) -> (&'a str, i64) {
    let task = ended.tasks.iter().find(|(of, ..)| of == entry).unwrap_or_else(|| panic!("no {entry}: {ended:?}"));
    (task.1.as_str(), task.2)
}

#[test]
fn a_rollback_job_restores_what_is_ours_and_nothing_else() {
    let mut world = World::new();
    let file = world.root().join(FILE);
    // An unusual mode and, where we may, an unusual owner: both have to come back.
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    let _ = std::os::unix::fs::chown(&file, Some(12_345), Some(12_346));
    let before = world.files();
    let original = std::fs::read_to_string(&file).unwrap();

    // Nobody else touched it: the whole host is as it was, bytes, modes and owners.
    assert_eq!(state_of(&world.job("mitigation"), ENTRY), ("succeeded", 0));
    assert!(std::fs::read_to_string(&file).unwrap().contains(OURS));
    assert_ne!(world.files(), before);
    let ended = world.job("rollback");
    assert_eq!((state_of(&ended, ENTRY), ended.status.as_str()), (("reverted", 0), "COMPLETED"));
    assert_eq!(world.files(), before, "not byte for byte as before");

    // Somebody changed another line: only our setting goes back.
    assert_eq!(state_of(&world.job("mitigation"), ENTRY), ("succeeded", 0));
    let note = "# a note of the administrator\n";
    let applied = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{note}{applied}")).unwrap();
    assert_eq!(state_of(&world.job("rollback"), ENTRY), ("reverted", 0));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("{note}{original}"));
    let mut with_note = before.clone();
    with_note.get_mut(&file).unwrap().0 = format!("{note}{original}").into_bytes();
    assert_eq!(world.files(), with_note, "something else was changed");

    // Somebody changed our setting: it stops and changes nothing of that file.
    assert_eq!(state_of(&world.job("mitigation"), ENTRY), ("succeeded", 0));
    let applied = std::fs::read_to_string(&file).unwrap();
    let theirs = applied.replace(OURS, "LoginGraceTime 30");
    assert_ne!(theirs, applied);
    std::fs::write(&file, &theirs).unwrap();
    let present = world.files();
    let ended = world.job("rollback");
    assert_eq!(state_of(&ended, ENTRY), ("drifted_since_apply", 1), "{ended:?}");
    assert_eq!(ended.status, "COMPLETED_WITH_FAILURES");
    assert_eq!(world.files().get(&file), present.get(&file), "a drifted setting was written");
}
