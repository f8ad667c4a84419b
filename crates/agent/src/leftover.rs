//! A package manager that outlives the agent which began it. An agent that is killed leaves apt-get and dpkg at work; what is judged
//! or put back meanwhile is judged by packages that are half gone. It is never stopped, because dpkg half way is worse than late: it is
//! waited for, within a bound, and while it runs no package is changed or judged.
//!
//! What is begun is written down beside the journal before it is, and its process group right after. A group lives on when its first
//! process is gone, and its number is given to nobody else as long.
//!
//! A note that is there and cannot be read says that something may be at work, and not what: every package manager of our user may be
//! it, and is waited for. But it may as well be somebody else's, so once the wait is over that note counts for nothing.

use crate::command::empty_if_full;
use crate::executor::Executor;
use crate::host::Host;
use crate::processes::{self, Process};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long the next start, and the owner's revert, wait for one.
pub(crate) const WAIT: Duration = Duration::from_secs(120);
/// Between two looks.
const POLL: Duration = Duration::from_millis(200);
/// What package managers start: looked for where the agent died before it had written the group down, or where that cannot be read.
const NAMES: [&str; 2] = ["apt-get", "dpkg"];

/// What is written down of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Begun {
    program: String,
    boot_id: String,
    /// The session of the agent that began it, which it is in.
    session: i32,
    /// When, as [`Process::started`] counts.
    since: u64,
    /// Its process group, once it has one.
    group: Option<i32>,
}

impl Begun {
    fn by_us(program: &str) -> Self {
        // Nought where the session was begun outside of this container, which `getsid` of a library may not return.
        let us = i32::try_from(std::process::id()).ok().and_then(Process::look);
        let session = us.map_or(0, |us| us.session);
        Self { program: program.to_owned(), boot_id: boot_id(), session, since: processes::now(), group: None }
    }

    /// Replaced in one step: whoever reads it finds one or the other.
    fn write(&self, path: &Path) -> std::io::Result<()> {
        let next = path.with_extension("next");
        std::fs::write(&next, serde_json::to_vec(self).unwrap_or_default())?;
        std::fs::rename(next, path)
    }

    /// A process of it that runs.
    fn running(&self) -> Option<Process> {
        if self.boot_id != boot_id() {
            return None;
        }
        let ours = |process: &Process| {
            let belongs = match self.group {
                Some(group) => process.group == group,
                None => NAMES.contains(&process.name.as_str()) || self.program.ends_with(&format!("/{}", process.name)),
            };
            belongs && process.session == self.session && process.started >= self.since
        };
        Process::all().into_iter().find(ours)
    }
}

fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

/// A package manager that is called now, written down until this is dropped.
#[derive(Debug)]
pub(crate) struct Note {
    path: PathBuf,
    begun: Begun,
}

impl Note {
    /// To be made before the program is started. Where it cannot be written the program is called all the same: it only helps whoever
    /// comes after a crash.
    pub(crate) fn of(path: &Path, program: &str) -> Self {
        let note = Self { path: path.to_owned(), begun: Begun::by_us(program) };
        note.write();
        note
    }

    /// It was started as the first of this process group.
    pub(crate) fn started(&mut self, group: u32) {
        self.begun.group = i32::try_from(group).ok();
        self.write();
    }

    fn write(&self) {
        if let Err(error) = self.begun.write(&self.path) {
            tracing::warn!("that {} runs was not written down: {error}", self.begun.program);
        }
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// What an agent that died has written down; nothing where there is no note, and why it cannot be read where there is one.
fn read(path: &Path) -> Option<Result<Begun, String>> {
    match std::fs::read(path) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).map_err(|error| error.to_string())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => Some(Err(error.to_string())),
    }
}

/// Whether there is a note that nobody can read.
fn unreadable(path: &Path) -> bool {
    matches!(read(path), Some(Err(_)))
}

/// What runs still of what an agent had begun that died, as a sentence; nothing where all of it has ended.
pub(crate) fn still(path: &Path) -> Option<String> {
    still_as(path, &NAMES)
}

/// As [`still`]; where the note cannot be read a process of our user with one of these names may be what is looked for. In any session:
/// a service has another one with each start, and packages have one database for all. Others' processes may have any name.
fn still_as(path: &Path, names: &[&str]) -> Option<String> {
    let (what, process) = match read(path)? {
        Ok(begun) => (format!("{}, begun by an agent that died,", begun.program), begun.running()?),
        Err(why) => {
            let may_be = |process: &Process| names.contains(&process.name.as_str()) && process.of_our_user();
            let what = "what may have been begun by an agent that died";
            (format!("{what} (its note cannot be read: {why})"), Process::all().into_iter().find(may_be)?)
        }
    };
    Some(format!("{what} still runs ({} as process {}) and is not stopped half way", process.name, process.pid))
}

/// What a package manager writes to instead of a pipe, beside its note.
pub(crate) fn output(note: &Path) -> PathBuf {
    note.with_extension("said")
}

/// Nothing is at work any more, or nobody can tell.
fn forget(path: &Path) {
    let _ = std::fs::remove_file(path);
    let _ = std::fs::remove_file(output(path));
}

/// Whether no package manager of an agent that died is at work.
///
/// # Errors
/// A sentence when one is.
pub(crate) fn none(host: &Host) -> Result<(), String> {
    host.calls.as_deref().and_then(still).map_or(Ok(()), Err)
}

/// Wait for it to end; what runs still when the time is over, as a sentence.
fn wait(path: &Path, within: Duration) -> Option<String> {
    let deadline = Instant::now() + within;
    loop {
        let Some(still) = still(path) else {
            forget(path);
            return None;
        };
        empty_if_full(&output(path));
        if Instant::now() >= deadline {
            return Some(still);
        }
        std::thread::sleep(POLL);
    }
}

impl Executor {
    /// Before anything is judged or put back: wait for what an agent that died has left at work.
    pub(crate) fn wait_for_leftover(&mut self) {
        let Some(path) = self.host.calls.clone() else { return };
        let Some(found) = still(&path) else {
            if let Some(Err(why)) = read(&path) {
                tracing::warn!("what an agent that died was at cannot be read ({why}); no package manager is at work");
            }
            // Of another boot, or long over.
            return forget(&path);
        };
        let seconds = self.host.leftover_wait.as_secs();
        tracing::warn!("{found}; it is waited for, {seconds} s at most");
        match wait(&path, self.host.leftover_wait) {
            None => {
                tracing::info!("it has ended");
                self.host.refresh();
            }
            // Nothing that nobody can name keeps packages from being changed for ever.
            Some(still) if unreadable(&path) => {
                forget(&path);
                tracing::error!("{still}; it may as well be another's, and is not waited for any longer");
                self.host.refresh();
            }
            Some(still) => tracing::error!("{still}; no package is changed here until it has ended"),
        }
    }

    /// Keep what a leftover writes from filling the disk, as long as it runs. Between orders: what an order calls is looked after there.
    pub(crate) fn tend_leftover(&self) {
        if let Some(path) = self.host.calls.as_deref().filter(|path| path.exists()) {
            empty_if_full(&output(path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt as _;
    use std::process::{Child, Command};

    fn spawn(program: &str, arguments: &[&str]) -> Child {
        Command::new(program).args(arguments).process_group(0).spawn().unwrap()
    }

    #[test]
    fn what_was_left_at_work_is_waited_for_and_never_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let (path, done) = (folder.path().join("called"), folder.path().join("done"));
        // The first of the group ends at once, as a killed apt-get, and what it started works on.
        let script = format!("(sleep 1; touch {}) & exit 0", done.display());
        let mut child = spawn("/bin/sh", &["-c", &script]);
        let mut begun = Begun { since: 0, ..Begun::by_us("/usr/bin/apt-get") };
        begun.group = i32::try_from(child.id()).ok();
        begun.write(&path).unwrap();
        child.wait().unwrap();
        let said = wait(&path, Duration::from_millis(50)).unwrap();
        assert!(said.starts_with("/usr/bin/apt-get, begun by an agent that died, still runs ("), "{said}");
        assert!(path.exists() && !done.exists());
        assert_eq!(wait(&path, Duration::from_secs(30)), None);
        assert!(done.exists(), "it came to its own end");
        assert!(!path.exists(), "and is not looked for again");
    }

    /// Where the process that is killed works; nothing in the one that kills it.
    const FOLDER: &str = "QUELL_TEST_LEFTOVER";

    #[test]
    fn what_a_killed_agent_was_at_comes_to_its_own_end_and_is_found_again() {
        if let Some(folder) = std::env::var_os(FOLDER) {
            let folder = PathBuf::from(folder);
            // Whoever writes to a pipe of which nobody reads the other end dies of it.
            let script =
                format!("sleep 2; echo one; echo two >&2; echo three; touch {}", folder.join("done").display());
            let patience = crate::host::PACKAGES_PATIENCE;
            let _ = crate::host::call_packages("/bin/sh", &["-c", &script], patience, Some(&folder.join("called")));
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let (path, done) = (folder.path().join("called"), folder.path().join("done"));
        let name = "leftover::tests::what_a_killed_agent_was_at_comes_to_its_own_end_and_is_found_again";
        let mut agent = Command::new(std::env::current_exe().unwrap());
        let mut agent = agent.args([name, "--exact"]).env(FOLDER, folder.path()).spawn().unwrap();
        let begun = || -> Option<Begun> { serde_json::from_slice(&std::fs::read(&path).ok()?).ok() };
        let deadline = Instant::now() + Duration::from_secs(60);
        while begun().is_none_or(|begun| begun.group.is_none()) {
            assert!(Instant::now() < deadline, "it is not written down");
            std::thread::sleep(Duration::from_millis(10));
        }
        agent.kill().unwrap();
        agent.wait().unwrap();
        assert!(!done.exists(), "killed too late for this test");
        assert!(still(&path).is_some());
        assert_eq!(wait(&path, Duration::from_secs(60)), None);
        assert!(done.exists(), "it died of its agent's end");
    }

    /// As an agent that a container's runtime starts: the first of its session has no number there.
    #[test]
    fn in_a_container_what_was_left_at_work_is_found_too() {
        const INSIDE: &str = "QUELL_TEST_CONTAINER";
        if std::env::var_os(INSIDE).is_some() {
            assert_eq!(Begun::by_us("/usr/bin/apt-get").session, 0, "this is no container");
            return what_was_left_at_work_is_waited_for_and_never_stopped();
        }
        let within = |program: &Path, arguments: &[&str]| {
            let mut unshare = Command::new("unshare");
            unshare.args(["--pid", "--fork", "--mount-proc", "--"]).arg(program).args(arguments);
            unshare.env(INSIDE, "1").output()
        };
        if !within(Path::new("true"), &[]).is_ok_and(|output| output.status.success()) {
            return skip::elsewhere("leftover::in_a_container", "no namespace of processes can be made here");
        }
        let test = "leftover::tests::in_a_container_what_was_left_at_work_is_found_too";
        let output = within(&std::env::current_exe().unwrap(), &[test, "--exact"]).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }

    #[test]
    fn who_has_its_number_now_is_not_taken_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("called");
        let mut child = spawn("/bin/sleep", &["60"]);
        let group = i32::try_from(child.id()).ok();
        let honest = Begun { since: 0, group, ..Begun::by_us("/usr/bin/apt-get") };
        for (begun, found) in [
            (honest.clone(), true),
            (Begun { since: u64::MAX, ..honest.clone() }, false),
            (Begun { session: honest.session + 1, ..honest.clone() }, false),
            (Begun { boot_id: "another".to_owned(), ..honest.clone() }, false),
            (Begun { group: Some(-1), ..honest.clone() }, false),
            // It died before it knew the group: by its name.
            (Begun { group: None, program: "/bin/sleep".to_owned(), ..honest.clone() }, true),
            (Begun { group: None, program: "/bin/sleep".to_owned(), since: u64::MAX, ..honest.clone() }, false),
        ] {
            begun.write(&path).unwrap();
            assert_eq!(still(&path).is_some(), found, "{begun:?}");
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_note_that_cannot_be_read_says_that_something_may_be_at_work() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("called");
        // A name of its own: others' tests, and this machine, call package managers.
        let name = format!("quelldpkg{}", std::process::id() % 100_000);
        let program = folder.path().join(&name);
        std::fs::copy("/bin/sleep", &program).unwrap();
        let names = [name.as_str()];
        let whole = serde_json::to_vec(&Begun::by_us("/usr/bin/apt-get")).unwrap();
        let cut = &whole[..whole.len() / 2];
        std::fs::write(&path, cut).unwrap();
        assert_eq!(still_as(&path, &names), None, "nothing of that name is at work");
        // Another session than ours, as of an agent that was started anew.
        let mut child = Command::new("setsid").arg(&program).arg("60").spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        while still_as(&path, &names).is_none() {
            assert!(Instant::now() < deadline, "it is not found");
            std::thread::yield_now();
        }
        for note in [cut, b"", b"\xff\xff", b"null"] {
            std::fs::write(&path, note).unwrap();
            let said = still_as(&path, &names).unwrap_or_else(|| panic!("{note:?}"));
            assert!(said.contains(&format!("({name} as process ")) && said.contains("cannot be read"), "{said}");
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(still_as(&path, &names), None, "without a note nothing is looked for");
        std::fs::create_dir(&path).unwrap();
        assert!(still_as(&path, &names).is_some(), "what is no file is no note that says nothing");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn what_is_left_at_work_fills_no_disk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("called");
        let mut child = spawn("/bin/sleep", &["60"]);
        Begun { since: 0, group: i32::try_from(child.id()).ok(), ..Begun::by_us("/usr/bin/apt-get") }
            .write(&path)
            .unwrap();
        std::fs::File::create(output(&path)).unwrap().set_len(1 << 30).unwrap();
        assert!(wait(&path, Duration::ZERO).is_some());
        assert_eq!(std::fs::metadata(output(&path)).unwrap().len(), 0);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(wait(&path, Duration::from_secs(30)), None);
        assert!(!output(&path).exists());
    }
}
