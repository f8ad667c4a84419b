//! Starting processes that need the network: the network half, and a package manager that has to download.
//!
//! The executor's threads lose the network by a seccomp filter ([`seal`]), and children inherit it. One thread is started
//! before the filter and never parses anything foreign: it takes [`Launch`] messages, each a closed choice, and nothing else.

use crate::command::{Fault, Patience};
use crate::host::{Said, call_packages};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use std::collections::BTreeMap;
use std::io::PipeReader;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};

/// How the network half is started.
#[derive(Clone, Debug)]
pub struct NetCommand {
    /// The executable.
    pub program: PathBuf,
    /// Its arguments, ending in what makes it the network half.
    pub arguments: Vec<String>,
    /// User and group to run as; nothing keeps ours.
    pub user: Option<(u32, u32)>,
}

/// The network half, started.
#[derive(Debug)]
pub struct NetProcess {
    /// The process, with pipes at its standard input and output.
    pub child: Child,
    /// What it prints. Where nobody reads this in time it is lost: printing never holds the network half up.
    pub stderr: PipeReader,
}

enum Launch {
    Net(NetCommand, Sender<std::io::Result<NetProcess>>),
    Call(&'static str, Vec<String>, Patience, Option<PathBuf>, Sender<Result<Said, Fault>>),
}

static LAUNCHER: OnceLock<Sender<Launch>> = OnceLock::new();

/// Start the thread. To be called before [`seal`]; a second call changes nothing.
pub fn start() {
    let (to, from) = channel::<Launch>();
    if LAUNCHER.set(to).is_err() {
        return;
    }
    let work = move || {
        for launch in from {
            match launch {
                Launch::Net(command, answer) => drop(answer.send(spawn_net(&command))),
                Launch::Call(program, arguments, patience, note, answer) => {
                    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                    drop(answer.send(call_packages(program, &arguments, patience, note.as_deref())));
                }
            }
        }
    };
    let spawned = std::thread::Builder::new().name("launcher".to_owned()).stack_size(256 * 1024).spawn(work);
    drop(spawned);
}

/// Start the network half with pipes at its standard input, output and error.
///
/// # Errors
/// When it cannot be started.
pub fn net(command: NetCommand) -> std::io::Result<NetProcess> {
    let gone = || std::io::Error::other("the launcher thread is gone");
    let (answer, heard) = channel();
    LAUNCHER.get().ok_or_else(gone)?.send(Launch::Net(command, answer)).map_err(|_| gone())?;
    heard.recv().map_err(|_| gone())?
}

/// As [`call_packages`], for a package manager that has to download.
///
/// # Errors
/// See [`call_packages`].
pub(crate) fn call_with_network(
    program: &'static str,
    arguments: &[&str],
    patience: Patience,
    note: Option<&Path>,
) -> Result<Said, Fault> {
    let gone = || Fault::Failed("the launcher thread is gone".to_owned());
    let Some(launcher) = LAUNCHER.get() else { return call_packages(program, arguments, patience, note) };
    let (answer, heard) = channel();
    let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let note = note.map(Path::to_owned);
    launcher.send(Launch::Call(program, arguments, patience, note, answer)).map_err(|_| gone())?;
    heard.recv().map_err(|_| gone())?
}

fn spawn_net(command: &NetCommand) -> std::io::Result<NetProcess> {
    use std::os::unix::process::CommandExt as _;
    // The file that runs now, reached without walking a path: the other user may not enter the directories on the way, and
    // an update that replaces the file must not give us a half of another version.
    let own = Path::new("/proc/self/exe");
    let (stderr, to) = std::io::pipe()?;
    rustix::io::ioctl_fionbio(&to, true)?;
    if crate::confine::by_units() {
        // Started by the service manager: by its path, and as the user that the unit names.
        let mut process = Command::new(crate::confine::SYSTEMD_RUN);
        process.args(crate::confine::network_unit(command.user));
        if crate::failpoint::armed() {
            let value = std::env::var(crate::failpoint::VARIABLE).unwrap_or_default();
            process.arg(format!("--setenv={}={value}", crate::failpoint::VARIABLE));
        }
        process.arg("--").arg(&command.program).args(&command.arguments);
        process.env_clear().current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(to);
        return Ok(NetProcess { child: process.spawn()?, stderr });
    }
    let mut process = Command::new(if own.exists() { own } else { command.program.as_path() });
    process.arg0(&command.program);
    process.args(&command.arguments).env_clear().current_dir("/");
    process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(to);
    if crate::failpoint::armed() {
        process.env(crate::failpoint::VARIABLE, std::env::var_os(crate::failpoint::VARIABLE).unwrap_or_default());
    }
    if let Some((uid, gid)) = command.user {
        // Also clears the supplementary groups.
        process.gid(gid).uid(uid);
    }
    Ok(NetProcess { child: process.spawn()?, stderr })
}

/// Take the network from the calling thread and every thread it starts from now on, for ever.
///
/// # Errors
/// A sentence when the kernel or the architecture does not support it.
pub fn seal() -> Result<(), String> {
    const AF_UNIX: u64 = 1;
    // Families in use that carry nothing off the host: local sockets, and netlink for programs like systemctl.
    const AF_NETLINK: u64 = 16;
    let (socket, io_uring_setup): (i64, i64) = match std::env::consts::ARCH {
        "x86_64" => (41, 425),
        "aarch64" | "riscv64" => (198, 425),
        other => return Err(format!("no filter is known for {other}")),
    };
    let fail = |error: seccompiler::BackendError| format!("making the filter: {error}");
    let not = |family| SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, family);
    let rule = SeccompRule::new(vec![not(AF_UNIX).map_err(fail)?, not(AF_NETLINK).map_err(fail)?]).map_err(fail)?;
    // io_uring can open sockets too, without the system call that is watched.
    let rules = BTreeMap::from([(socket, vec![rule]), (io_uring_setup, Vec::new())]);
    let arch = std::env::consts::ARCH.try_into().map_err(fail)?;
    const EACCES: u32 = 13;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(EACCES), arch).map_err(fail)?;
    let program: BpfProgram = filter.try_into().map_err(fail)?;
    seccompiler::apply_filter(&program).map_err(|error| format!("installing the filter: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_half_that_prints_without_end_is_held_up_by_nobody_who_does_not_read() {
        const INSIDE: &str = "as-the-network-half";
        if std::env::args().any(|argument| argument == INSIDE) {
            use std::io::Write as _;
            // Far more than a pipe holds; what finds no room is lost.
            for _ in 0..1000 {
                let _ = std::io::stderr().write_all(&[b'x'; 10_000]);
            }
            return;
        }
        start();
        let test = "launcher::tests::a_network_half_that_prints_without_end_is_held_up_by_nobody_who_does_not_read";
        let arguments = [test, "--exact", "--nocapture", INSIDE].map(str::to_owned).to_vec();
        let program = std::env::current_exe().unwrap();
        let mut started = net(NetCommand { program, arguments, user: None }).unwrap();
        let said = std::io::read_to_string(started.child.stdout.take().unwrap()).unwrap();
        assert!(started.child.wait().unwrap().success() && said.contains("1 passed"), "{said}");
        let mut printed = Vec::new();
        std::io::Read::read_to_end(&mut started.stderr, &mut printed).unwrap();
        assert!(!printed.is_empty() && printed.len() < 5_000_000, "{}", printed.len());
    }

    #[test]
    fn a_sealed_thread_has_no_network_and_its_children_have_none_but_the_launcher_has() {
        start();
        let sealed = std::thread::spawn(|| {
            if let Err(reason) = seal() {
                skip::skipped("launcher::a_sealed_thread_has_no_network", &reason);
                return;
            }
            assert!(std::net::UdpSocket::bind("127.0.0.1:0").is_err());
            assert!(std::net::TcpListener::bind("[::1]:0").is_err());
            assert!(std::os::unix::net::UnixDatagram::unbound().is_ok());
            let inherited = std::thread::spawn(|| std::net::TcpListener::bind("127.0.0.1:0").is_err());
            assert!(inherited.join().unwrap());
            let said = call_with_network("/bin/sh", &["-c", "true"], crate::host::PACKAGES_PATIENCE, None).unwrap();
            assert!(said.ok);
        });
        sealed.join().unwrap();
        assert!(std::net::UdpSocket::bind("127.0.0.1:0").is_ok());
    }
}
