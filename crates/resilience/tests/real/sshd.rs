//! An sshd of our own on a high port of loopback, and what others see of it.

use crate::processes::{Process, until};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const SSHD: &str = "/usr/sbin/sshd";
const KEYGEN: &str = "/usr/bin/ssh-keygen";
const NMAP: &str = "/usr/bin/nmap";

/// What is missing for these tests, if anything is.
pub fn missing() -> Option<String> {
    let absent: Vec<&str> = [SSHD, KEYGEN, NMAP].into_iter().filter(|path| !Path::new(path).is_file()).collect();
    (!absent.is_empty()).then(|| format!("{} not installed (openssh-server, nmap)", absent.join(", ")))
}

/// Write the configuration of an sshd that listens on a free port, below this root, with a host key of its own.
pub fn configure(root: &Path, extra: &str) -> u16 {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let folder = root.join("etc/ssh");
    std::fs::create_dir_all(&folder).unwrap();
    let key = folder.join("ssh_host_ed25519_key");
    if !key.exists() {
        let made = Command::new(KEYGEN).args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status().unwrap();
        assert!(made.success(), "no host key");
    }
    let text = format!(
        "# An sshd of a test.\nPort {port}\nListenAddress 127.0.0.1\nHostKey {}\nPidFile none\nUsePAM no\n{extra}",
        key.display()
    );
    std::fs::write(folder.join("sshd_config"), text).unwrap();
    port
}

/// The process.
pub struct Sshd {
    pub port: u16,
    process: Process,
    log: PathBuf,
}

impl Sshd {
    /// Start it with the configuration below a root.
    pub fn start(root: &Path, port: u16, log: PathBuf) -> Self {
        let config = root.join("etc/ssh/sshd_config");
        // The folder that its unit would make is in a mount of its own: nothing stays on this machine.
        let script = "mount -t tmpfs -o mode=0755 none /run && mkdir -m 0755 /run/sshd && exec \"$0\" \"$@\"";
        let mut command = if rustix::process::geteuid().is_root() {
            let mut command = Command::new("unshare");
            command.args(["--mount", "sh", "-c", script, SSHD]);
            command
        } else {
            Command::new(SSHD)
        };
        command.args(["-D", "-f"]).arg(&config).arg("-E").arg(&log);
        std::fs::write(&log, "").unwrap();
        let process = Process::start(&mut command, &log.with_extension("out"));
        let started = Self { port, process, log };
        started.listens(1);
        started
    }

    /// Make it read its configuration again.
    pub fn reload(&self) {
        let before = self.times();
        let pid = Pid::from_raw(i32::try_from(self.process.id()).unwrap()).unwrap();
        kill_process(pid, Signal::HUP).unwrap();
        self.listens(before + 1);
    }

    fn times(&self) -> usize {
        std::fs::read_to_string(&self.log).unwrap().matches("Server listening").count()
    }

    fn listens(&self, times: usize) {
        let seen = || (self.times() >= times).then_some(());
        let deadline = Instant::now() + Duration::from_secs(30);
        while seen().is_none() {
            let said = || std::fs::read_to_string(&self.log).unwrap();
            assert!(Instant::now() < deadline, "sshd does not listen: {}", said());
            std::thread::sleep(Duration::from_millis(20));
        }
        until("an open port", 10, || TcpStream::connect(("127.0.0.1", self.port)).ok());
    }

    /// What nmap reads from the server's key exchange message: names by list, such as `mac_algorithms`.
    pub fn offers(&self) -> BTreeMap<String, Vec<String>> {
        // The plus makes it look at any port, not at 22 alone.
        let said = Command::new(NMAP)
            .args(["-Pn", "-n", "-p", &self.port.to_string(), "--script", "+ssh2-enum-algos", "127.0.0.1"])
            .output()
            .unwrap();
        let text = String::from_utf8(said.stdout).unwrap();
        let mut lists: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut list = None;
        for line in text.lines().filter(|line| line.starts_with('|')) {
            let words: Vec<&str> = line.trim_start_matches(['|', '_', ' ']).split_whitespace().collect();
            match words.as_slice() {
                [name, count] if name.ends_with(':') && count.starts_with('(') => {
                    list = Some(name.trim_end_matches(':').to_owned());
                }
                [name] => {
                    if let Some(list) = &list {
                        lists.entry(list.clone()).or_default().push((*name).to_owned());
                    }
                }
                _ => {}
            }
        }
        assert!(lists.contains_key("kex_algorithms"), "nmap read nothing: {text}");
        lists
    }

    /// Connect, say nothing, and wait: after how long the server hangs up, or nothing when it has not within `patience`.
    pub fn hangs_up_after(&self, patience: Duration) -> Option<Duration> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let begun = Instant::now();
        let mut block = [0; 1024];
        let mut heard = Vec::new();
        loop {
            let left = patience.saturating_sub(begun.elapsed());
            if left.is_zero() {
                break;
            }
            stream.set_read_timeout(Some(left)).unwrap();
            match stream.read(&mut block) {
                Ok(0) => break,
                Ok(read) => heard.extend_from_slice(&block[..read]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
                Err(error) => panic!("{error}"),
            }
        }
        assert!(heard.starts_with(b"SSH-2.0-"), "not an sshd: {heard:?}");
        let took = begun.elapsed();
        (took < patience).then_some(took)
    }
}
