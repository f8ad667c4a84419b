//! Tests of the agent's directory.

use super::*;

#[test]
fn request_numbers_are_never_given_twice() {
    let directory = tempfile::tempdir().unwrap();
    let state = StateDir::open(directory.path()).unwrap();
    let (from, until) = state.reserve_seq().unwrap();
    assert_eq!((from, until), (1, 1001));
    assert_eq!(StateDir::open(directory.path()).unwrap().reserve_seq().unwrap().0, until);
    std::fs::write(directory.path().join("seq"), "x").unwrap();
    assert!(state.reserve_seq().is_err(), "never starts again from one");
}

#[test]
fn the_owners_switches_are_read_afresh_and_fail_safe() {
    let directory = tempfile::tempdir().unwrap();
    let state = StateDir::open(directory.path()).unwrap();
    assert_eq!(state.controls().mode(), "normal");
    state.switch("monitor-only", true).unwrap();
    assert_eq!(state.controls().mode(), "monitor_only");
    state.switch("halt", true).unwrap();
    assert_eq!(state.controls().mode(), "halted");
    state.switch("halt", false).unwrap();
    state.switch("halt", false).unwrap();
    std::fs::write(directory.path().join("deny"), "# mine\nlinux-a\n linux-mod-* \n").unwrap();
    let controls = state.controls();
    assert!(controls.denies("linux-a") && controls.denies("linux-mod-tipc"));
    assert!(!controls.denies("linux-ab"));
    std::fs::write(directory.path().join("deny"), [0xff]).unwrap();
    assert!(state.controls().halted, "a deny list that cannot be read denies everything");
}

#[test]
fn content_is_only_what_its_digest_says() {
    let directory = tempfile::tempdir().unwrap();
    let state = StateDir::open(directory.path()).unwrap();
    let digest = state.keep_content(b"{}").unwrap();
    assert_eq!(state.content(&digest).as_deref(), Some(b"{}".as_slice()));
    std::fs::write(directory.path().join("content").join(&digest), "{} ").unwrap();
    assert_eq!(state.content(&digest), None);
    assert_eq!(state.content("../agent.key"), None);
}

#[test]
fn an_existing_directory_is_closed_to_others_when_it_is_ours() {
    let folder = tempfile::tempdir().unwrap();
    let open = |path: &Path| std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let path = folder.path().join("state");
    std::fs::create_dir(&path).unwrap();
    open(&path);
    StateDir::open(&path).unwrap();
    assert_eq!(mode(&path), 0o700, "an empty one is ours from now on");
    open(&path);
    std::fs::write(path.join("agent.json"), "{}").unwrap();
    StateDir::open(&path).unwrap();
    assert_eq!(mode(&path), 0o700, "one with an enrolment is ours");
    std::fs::rename(path.join("agent.json"), path.join("letters")).unwrap();
    open(&path);
    assert!(matches!(StateDir::open(&path), Err(StateError::Shared(_))));
    assert_eq!(mode(&path), 0o755, "somebody else's is not touched");
}

#[test]
fn a_directory_of_somebody_else_is_not_used_however_closed_it_is() {
    if !rustix::process::geteuid().is_root() {
        skip::skipped("state::a_directory_of_somebody_else", "needs root to give a directory to somebody else");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    std::fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
    std::os::unix::fs::chown(&path, Some(65534), Some(65534)).unwrap();
    assert!(matches!(StateDir::open(&path), Err(StateError::Foreign { uid: 65534, .. })));
    std::os::unix::fs::chown(&path, Some(0), Some(0)).unwrap();
    assert!(StateDir::open(&path).is_ok());
}

#[test]
fn only_one_agent_uses_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let state = StateDir::open(directory.path()).unwrap();
    let held = state.lock().unwrap();
    assert!(matches!(state.lock(), Err(StateError::Locked(_))));
    drop(held);
    assert!(state.lock().is_ok());
}

#[test]
fn whoever_asks_whether_an_agent_runs_keeps_none_from_starting() {
    let directory = tempfile::tempdir().unwrap();
    let state = StateDir::open(directory.path()).unwrap();
    assert!(!state.running(), "nobody ever ran");
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    let _ = state.running();
                }
            });
        }
        let taken = (0..200).find(|_| state.lock().is_err());
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(taken, None, "somebody who only looked stood in the way");
    });
    let held = state.lock().unwrap();
    assert!(state.running());
    drop(held);
    assert!(!state.running());
}

#[test]
fn a_number_that_somebody_else_has_now_is_no_agent_that_runs() {
    let directory = tempfile::tempdir().unwrap();
    let state = StateDir::open(directory.path()).unwrap();
    let own = crate::processes::Process::look(i32::try_from(std::process::id()).unwrap()).unwrap();
    let lock = directory.path().join("lock");
    for (text, running) in [
        (format!("{} {}\n", own.pid, own.started), true),
        // Left by an agent that was killed.
        (format!("{} {}\n", own.pid, own.started + 1), false),
        (format!("{} {}\n", i32::MAX, own.started), false),
        ("nonsense".to_owned(), false),
    ] {
        std::fs::write(&lock, &text).unwrap();
        assert_eq!(state.running(), running, "{text}");
    }
    // An agent of before holds it without a word.
    std::fs::write(&lock, "").unwrap();
    let file = std::fs::File::open(&lock).unwrap();
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    assert!(state.running());
}
