//! The command line, as types that the `quell-agent` binary and `quell agent` both use.

use crate::account;
use crate::confine::{self, Confinement};
use crate::enrol::{EnrolError, enrol};
use crate::executor::{Executor, ExecutorError};
use crate::failpoint;
use crate::frame::Settings;
use crate::fs::{FsError, Tree};
use crate::host::Host;
use crate::launcher::NetCommand;
use crate::net::NetError;
use crate::owner;
use crate::printable::Lines;
use crate::run::{RunError, supervise};
use crate::state::{StateDir, StateError};
use clap::{Args, Subcommand};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Where the agent keeps its things unless told otherwise.
pub const STATE_DEFAULT: &str = "/var/lib/quell-agent";

/// How much of a token file is read, in bytes; a token has a few hundred.
const TOKEN_FILE_BYTES_MAX: u64 = 16 * 1024;

/// What `quell-agent` can do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Enrol this host with a server, with a token made there
    Enrol(EnrolArgs),
    /// Run the agent
    Run(RunArgs),
    /// The network half; started by `run`, not by people
    #[command(hide = true)]
    Net(NetArgs),
    /// Show what this agent is, what it changed here and what it was told
    Status(OwnerArgs),
    /// Put back what this agent changed, without asking the server
    Revert(RevertArgs),
    /// Stop all changes until `resume`; checks go on
    Halt(OwnerArgs),
    /// End `halt`
    Resume(OwnerArgs),
    /// Allow checks only, or end that
    MonitorOnly(MonitorArgs),
    /// Allow this host to be restarted for an order that needs it, or end that; off unless it was allowed
    AllowRestart(MonitorArgs),
    /// Name the points at which a test can make the agent die
    #[command(hide = true)]
    Failpoints,
}

/// Arguments of `enrol`.
#[derive(Clone, Debug, Args)]
pub struct EnrolArgs {
    /// The token, as the server showed it (quell1.…); while this runs other users of the host can see it here, not in a file
    #[arg(long, env = "QUELL_AGENT_TOKEN", hide_env_values = true, required_unless_present = "token_file")]
    pub token: Option<String>,
    /// A file that holds the token, `-` for standard input
    #[arg(long, value_name = "PATH")]
    pub token_file: Option<PathBuf>,
    /// Where the agent keeps its things
    #[arg(long, default_value = STATE_DEFAULT)]
    pub state: PathBuf,
    /// The host's root directory
    #[arg(long, default_value = "/")]
    pub root: PathBuf,
    /// The account that the network half is to run as, instead of making `quell-agent`; `run` has to be given it, too
    #[arg(long)]
    pub user: Option<String>,
    /// How often to try while the server cannot be reached, about once a minute
    #[arg(long, default_value_t = 1)]
    pub tries: u32,
}

/// Arguments of `run`.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// Where the agent keeps its things
    #[arg(long, default_value = STATE_DEFAULT)]
    pub state: PathBuf,
    /// The host's root directory; every file action works below it
    #[arg(long, default_value = "/")]
    pub root: PathBuf,
    /// Plan only: report what would be changed, change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// The user the network half runs as, when started as root: `quell-agent` unless one is named, `nobody` where there is none
    #[arg(long)]
    pub user: Option<String>,
    /// Go on where the kernel has no Landlock and no systemd runs: what reads foreign things is not kept from the host's files
    #[arg(long)]
    pub unconfined: bool,
    /// How long the server may hold a poll, in seconds
    #[arg(long, default_value_t = Settings::default().hold_seconds)]
    pub hold_seconds: u32,
    /// The longest pause between tries, in seconds
    #[arg(long, default_value_t = Settings::default().backoff_ms_max / 1000)]
    pub backoff_seconds_max: u64,
    /// The longest extra pause after a lost connection, in seconds
    #[arg(long, default_value_t = Settings::default().spread_ms_max / 1000)]
    pub spread_seconds_max: u64,
    /// How long a change of what this host is reached by may be in force before the server was heard through it, in seconds
    #[arg(long, default_value_t = crate::proof::PROOF_SECONDS, value_parser = clap::value_parser!(u64).range(1..=crate::proof::PROOF_SECONDS))]
    pub proof_seconds: u64,
    /// Let the environment make the process die at a named point; for tests only
    #[arg(long, hide = true)]
    pub allow_failpoints: bool,
    /// What makes this executable the network half, one word per use
    #[arg(long = "net-arg", hide = true)]
    pub net_arguments: Vec<String>,
}

/// Arguments of `net`.
#[derive(Clone, Debug, Args)]
pub struct NetArgs {
    /// It does not have to confine itself
    #[arg(long, hide = true)]
    pub confined_elsewhere: bool,
    /// As for `run`
    #[arg(long, hide = true)]
    pub allow_failpoints: bool,
}

/// Arguments of commands of the host's owner.
#[derive(Clone, Debug, Args)]
pub struct OwnerArgs {
    /// Where the agent keeps its things
    #[arg(long, default_value = STATE_DEFAULT)]
    pub state: PathBuf,
}

/// Arguments of `monitor-only` and `allow-restart`.
#[derive(Clone, Debug, Args)]
pub struct MonitorArgs {
    /// `on` or `off`
    #[arg(value_parser = ["on", "off"])]
    pub switch: String,
    /// Where the agent keeps its things
    #[arg(long, default_value = STATE_DEFAULT)]
    pub state: PathBuf,
}

/// Arguments of `revert`.
#[derive(Clone, Debug, Args)]
pub struct RevertArgs {
    /// Everything this agent changed
    #[arg(long, conflicts_with = "entry", required_unless_present = "entry")]
    pub all: bool,
    /// One catalogue entry
    pub entry: Option<String>,
    /// Say what would be put back, change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Where the agent keeps its things
    #[arg(long, default_value = STATE_DEFAULT)]
    pub state: PathBuf,
    /// The host's root directory, as `run` was given
    #[arg(long, default_value = "/")]
    pub root: PathBuf,
    /// As for `run`
    #[arg(long, hide = true)]
    pub allow_failpoints: bool,
}

/// Why a command failed; printed once, with exit code 1.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Enrolment.
    #[error(transparent)]
    Enrol(#[from] EnrolError),
    /// The executor half.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The executor half could not begin.
    #[error(transparent)]
    Executor(#[from] ExecutorError),
    /// The network half.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The host's files.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// The agent's directory.
    #[error(transparent)]
    State(#[from] StateError),
    /// Something else, in a sentence.
    #[error("{0}")]
    Other(String),
}

/// Do a command.
///
/// # Errors
/// See [`Failure`].
pub fn dispatch(command: Command) -> Result<(), Failure> {
    match command {
        Command::Enrol(args) => enrol_command(&args),
        Command::Run(args) => run_command(&args),
        Command::Net(args) => net_command(&args),
        Command::Status(args) => say(&owner::status(&args.state)?),
        Command::Revert(args) => revert_command(&args),
        Command::Halt(args) => Ok(StateDir::open(&args.state)?.switch("halt", true)?),
        Command::Resume(args) => Ok(StateDir::open(&args.state)?.switch("halt", false)?),
        Command::MonitorOnly(args) => Ok(StateDir::open(&args.state)?.switch("monitor-only", args.switch == "on")?),
        Command::AllowRestart(args) => Ok(StateDir::open(&args.state)?.switch("allow-restart", args.switch == "on")?),
        Command::Failpoints => {
            let lines: Vec<String> = failpoint::ALL.iter().map(|(name, when)| format!("{name:24}{when}")).collect();
            say(&lines.join("\n"))
        }
    }
}

/// Enrol.
///
/// # Errors
/// See [`Failure`].
pub fn enrol_command(args: &EnrolArgs) -> Result<(), Failure> {
    let token = match (&args.token_file, &args.token) {
        (Some(path), _) => read_token_file(path)?,
        (None, Some(token)) => token.clone(),
        (None, None) => {
            return Err(Failure::Other(
                "enrolling needs a token: --token-file PATH, or - for standard input".to_owned(),
            ));
        }
    };
    // Before the token is used up.
    make_account(args)?;
    let enrolment = enrol(token.trim(), &args.state, &args.root, args.tries)?;
    tracing::info!("enrolled with {} as agent {}", enrolment.server, enrolment.agent_id);
    Ok(())
}

/// Put back what the agent changed.
///
/// # Errors
/// See [`Failure`]; also while an agent runs, which may be at work on the same files.
pub fn revert_command(args: &RevertArgs) -> Result<(), Failure> {
    if args.allow_failpoints {
        failpoint::allow().map_err(Failure::Other)?;
    }
    let host = Host::new(Tree::open(&args.root)?);
    // Where nothing confines the programs that check a configuration they are not asked, and the revert says so.
    if host.tree.live()
        && let Err(reason) = confine::begin(false)
    {
        tracing::warn!("{reason}");
    }
    let executor = Executor::open(StateDir::open(&args.state)?, host, args.dry_run).map_err(|error| match error {
        ExecutorError::State(StateError::Locked(state)) => Failure::Other(format!(
            "an agent or another revert is at work with {}, maybe on the same files, so nothing was put back: stop it first \
             (systemctl stop quell-agent), then revert",
            state.display()
        )),
        error => error.into(),
    })?;
    let (text, all) = owner::revert(executor, args.entry.as_deref(), args.dry_run);
    say(&text)?;
    if all { Ok(()) } else { Err(Failure::Other("not everything could be put back".to_owned())) }
}

/// The text of a token file; the file is named by the host's owner, what is too long for a token is cut and refused as none.
fn read_token_file(path: &Path) -> Result<String, Failure> {
    let fail = |error| Failure::Other(format!("reading the token from {}: {error}", path.display()));
    let mut text = String::new();
    let read = match path.as_os_str() == "-" {
        true => std::io::stdin().lock().take(TOKEN_FILE_BYTES_MAX).read_to_string(&mut text),
        false => std::fs::File::open(path).and_then(|file| file.take(TOKEN_FILE_BYTES_MAX).read_to_string(&mut text)),
    };
    read.map_err(fail)?;
    Ok(text)
}

/// Run the executor half, which starts the network half from the same executable.
///
/// # Errors
/// See [`Failure`]; it does not return otherwise.
pub fn run_command(args: &RunArgs) -> Result<(), Failure> {
    if args.allow_failpoints {
        failpoint::allow().map_err(Failure::Other)?;
    }
    // The network half is started before any file of the host is read, so that a missing user is said at once.
    let user = drop_to(args.user.as_deref())?;
    let program = std::env::current_exe();
    let program = program.map_err(|error| Failure::Other(format!("finding this executable: {error}")))?;
    let mut arguments = match args.net_arguments.is_empty() {
        true => vec!["net".to_owned()],
        false => args.net_arguments.clone(),
    };
    if args.allow_failpoints {
        arguments.push("--allow-failpoints".to_owned());
    }
    let confinement = confine::begin(args.unconfined).map_err(Failure::Other)?;
    match confinement {
        Confinement::Landlock => {}
        Confinement::Systemd => tracing::info!("this kernel has no Landlock: units of systemd confine instead"),
        Confinement::Nothing => {
            tracing::warn!("--unconfined: what reads foreign things is not kept from the host's files");
        }
    }
    if confinement != Confinement::Landlock {
        arguments.push("--confined-elsewhere".to_owned());
    }
    let settings = Settings {
        hold_seconds: args.hold_seconds,
        backoff_ms_max: args.backoff_seconds_max.saturating_mul(1000).max(1000),
        spread_ms_max: args.spread_seconds_max.saturating_mul(1000),
    };
    let mut host = Host::new(Tree::open(&args.root)?);
    confinement.as_str().clone_into(&mut host.confinement);
    let state = StateDir::open(&args.state)?;
    state.keep_confinement(confinement.as_str())?;
    let mut executor = Executor::open(state, host, args.dry_run)?;
    executor.prove_within(args.proof_seconds);
    Ok(supervise(executor, &NetCommand { program, arguments, user }, &settings)?)
}

/// Run the network half.
///
/// # Errors
/// See [`Failure`].
pub fn net_command(args: &NetArgs) -> Result<(), Failure> {
    if args.allow_failpoints {
        failpoint::allow().map_err(Failure::Other)?;
    }
    Ok(crate::net::serve(args.confined_elsewhere)?)
}

/// Make the account of the network half on the live system, or see to it that the named one is there. Below another root nothing is
/// made: the agent runs on this machine, whose owner did not enrol it.
fn make_account(args: &EnrolArgs) -> Result<(), Failure> {
    if !rustix::process::geteuid().is_root() || !Tree::open(&args.root)?.live() {
        return Ok(());
    }
    match &args.user {
        Some(name) => account::choose(Path::new("/"), Some(name)).map(drop),
        None => account::ensure(Path::new("/")).map(|made| {
            if made {
                tracing::info!("made the user `{}` for the network half", account::ACCOUNT);
            }
        }),
    }
    .map_err(Failure::Other)
}

/// User and group of the network half when we are root, else ours.
fn drop_to(asked: Option<&str>) -> Result<Option<(u32, u32)>, Failure> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let chosen = account::choose(Path::new("/"), asked).map_err(Failure::Other)?;
    if let Some(warning) = chosen.warning {
        tracing::warn!("{warning}");
    }
    Ok(Some(chosen.ids))
}

/// Logs go to standard error, plain, each event one line whatever others have put into it, without times: the service manager adds
/// those.
pub fn log_to_stderr() {
    let level =
        if std::env::var_os("QUELL_AGENT_DEBUG").is_some() { tracing::Level::DEBUG } else { tracing::Level::INFO };
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(|| Lines(std::io::stderr()))
        .without_time()
        .with_target(false)
        .with_ansi(false);
    // A second call changes nothing.
    let _ = subscriber.try_init();
}

fn say(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").map_err(|error| Failure::Other(format!("writing to standard output: {error}")))
}

/// Where a directory is, for messages.
#[must_use]
pub fn shown(path: &Path) -> String {
    path.display().to_string()
}
