//! The processes: started, found, killed and started again by their ids, never by a name.

use rustix::process::{Pid, Signal, kill_process};
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The folder with the binaries of this build, built if they are not there or not up to date. `QUELL_CRASH_BINARIES` names a folder
/// whose binaries are used as they are.
pub fn binaries() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        if let Some(folder) = std::env::var_os("QUELL_CRASH_BINARIES") {
            return PathBuf::from(folder);
        }
        let test = std::env::current_exe().unwrap();
        let folder = test.parent().and_then(Path::parent).unwrap().to_owned();
        // The same selection as the test command's own build: then nothing is built twice.
        let mut build = skip::cargo(env!("CARGO"));
        build.args(["build", "--quiet", "--workspace", "--bins"]).current_dir(env!("CARGO_MANIFEST_DIR"));
        build.arg("--target-dir").arg(folder.parent().unwrap());
        if folder.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success(), "the binaries cannot be built");
        folder
    })
}

/// A process that is killed when it goes out of scope.
pub struct Process {
    child: Child,
}

impl Process {
    /// Start a program with its output appended to a log.
    pub fn start(command: &mut Command, log: &Path) -> Self {
        let open = || -> File { OpenOptions::new().create(true).append(true).open(log).unwrap() };
        let child = command.stdin(Stdio::null()).stdout(open()).stderr(open()).spawn().unwrap();
        Self { child }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// It has ended by itself, or by a failpoint.
    pub fn is_dead(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGKILL to its child processes that are network halves; how many there were.
    pub fn kill_net(&self) -> usize {
        let found = net_halves(self.id());
        for pid in &found {
            let _ = kill_process(*pid, Signal::KILL);
        }
        found.len()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Children of a process that were started as a network half.
pub fn net_halves(parent: u32) -> Vec<Pid> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // The name in brackets may hold blanks; the parent is the second field behind it.
        let ppid = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse::<u32>().ok());
        let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if ppid == Some(parent) && command.split(|byte| *byte == 0).nth(1) == Some(b"net") {
            found.extend(Pid::from_raw(pid));
        }
    }
    found
}

/// Look again and again until `ready` gives something.
#[track_caller]
pub fn until<T>(what: &str, seconds: u64, mut ready: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(found) = ready() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} did not happen within {seconds} s");
        std::thread::sleep(Duration::from_millis(50));
    }
}
