//! What the demo stands on: folder, simulator, server, agents. Ends what it started, and only that, by its process.

use super::Arguments;
use super::api::Session;
use super::narrator::Narrator;
use crate::failure::Failure;
use qualys_sim::{Options, Simulator};
use server::{Config, Server};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// Scans of the simulator run this many times faster than real ones.
const SCAN_SPEED: f64 = 200.0;

/// A machine of the demo.
#[derive(Debug)]
pub struct Machine {
    /// As the scanner knows it.
    pub host: qualys_sim::hosts::Host,
    /// Its root folder.
    pub root: PathBuf,
    /// Its agent's state.
    pub state: PathBuf,
}

/// Everything that runs.
#[derive(Debug)]
pub struct Stage {
    /// The simulated subscription.
    pub simulator: Simulator,
    /// The server.
    pub server: Server,
    /// The signed-in user.
    pub session: Session,
    /// Sign-in name.
    pub name: String,
    /// Password.
    pub password: String,
    /// The machines with agents.
    pub machines: Vec<Machine>,
    /// Seed.
    pub seed: u64,
    agents: Vec<Child>,
    folder: PathBuf,
    // Removed when the stage is struck.
    _temporary: Option<TempDir>,
}

/// Set for the demo's agents: their standard input is a pipe that ends with the demo, however the demo ends.
const ENDS_WITH_STDIN: &str = "QUELL_DEMO_AGENT";

/// For an agent of the demo: end when the demo is gone, killed or not. Its journal makes that as good as any other end.
pub fn end_with_the_demo() {
    if std::env::var_os(ENDS_WITH_STDIN).is_some() {
        std::thread::spawn(|| {
            let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
            std::process::exit(1);
        });
    }
}

impl Stage {
    /// Start simulator and server and sign in as the first SuperUser.
    ///
    /// # Errors
    /// Whatever cannot be started.
    pub async fn set(arguments: &Arguments, voice: &Narrator) -> Result<Stage, Failure> {
        let step = voice.step("Set the stage: a simulated Qualys subscription and a server on SQLite");
        let internal = |what: &'static str| move |error: std::io::Error| Failure::internal(what, error);
        let (seed, hosts) = (arguments.seed, arguments.hosts);
        let (folder, temporary) = match arguments.dir.as_deref() {
            Some(dir) => {
                fs::create_dir_all(dir).map_err(internal("cannot make the demo's folder"))?;
                (dir.canonicalize().map_err(internal("cannot find the demo's folder"))?, None)
            }
            None => {
                let made = TempDir::with_prefix("quell-demo-").map_err(internal("cannot make a temporary folder"))?;
                (made.path().to_owned(), Some(made))
            }
        };
        let detections_per_host = arguments.detections;
        let options = Options { seed, hosts, detections_per_host, scan_speed: SCAN_SPEED, ..Options::default() };
        let simulator = Simulator::start(options).await.map_err(internal("cannot start the simulator"))?;
        let mut machines = Vec::new();
        for host in simulator.demo_hosts() {
            let home = folder.join("hosts").join(&host.name);
            let machine = Machine { root: home.join("root"), state: home.join("agent"), host };
            fs::create_dir_all(&machine.root).map_err(internal("cannot make a root folder"))?;
            simulator
                .write_root(&machine.host, &machine.root)
                .map_err(|error| Failure::internal("cannot write a root folder", error))?;
            machines.push(machine);
        }
        let server = Server::start(Config::loopback(folder.join("server")))
            .await
            .map_err(|error| Failure::Failed(Box::new(error)))?;
        let first = server.first_account.as_ref();
        let first = first.ok_or_else(|| Failure::Said("the demo's folder was used before; name another".to_owned()))?;
        let (name, session) = (first.name.clone(), Session::begin(&server, &first.name, &first.password).await?);
        let (session, password) = session.replace_password(&server, &name, &first.password).await?;
        step.done(&[
            format!("server     {}", server.app.site.public_url),
            format!("agents     {}", server.app.site.agent_url),
            format!("scanner    {}, seed {seed}, {hosts} hosts", simulator.api_url()),
            format!("signed in  {name}"),
        ]);
        Ok(Stage {
            simulator,
            server,
            session,
            name,
            password,
            machines,
            seed,
            agents: Vec::new(),
            folder,
            _temporary: temporary,
        })
    }

    /// Where everything lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Enrol and start an agent on each machine, as processes of their own.
    ///
    /// # Errors
    /// Where a process cannot be started or its enrolment is refused.
    pub async fn start_agents(&mut self, token: &str) -> Result<(), Failure> {
        let program = std::env::current_exe().map_err(|error| Failure::internal("cannot find this program", error))?;
        for machine in &self.machines {
            let log = machine.state.with_extension("log");
            fs::create_dir_all(&machine.state)
                .map_err(|error| Failure::internal("cannot make a state folder", error))?;
            let command = |verb: &str| -> Result<Command, Failure> {
                let log = fs::File::options().create(true).append(true).open(&log);
                let log = log.map_err(|error| Failure::internal("cannot open an agent's log", error))?;
                let mut command = Command::new(&program);
                command
                    .args(["agent-process", verb])
                    .arg("--state")
                    .arg(&machine.state)
                    .arg("--root")
                    .arg(&machine.root);
                command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
                Ok(command)
            };
            let enrolled = command("enrol")?.args(["--token", token]).status().await;
            let enrolled = enrolled.map_err(|error| Failure::internal("cannot start an agent", error))?;
            if !enrolled.success() {
                let said = fs::read_to_string(&log).unwrap_or_default();
                return Err(Failure::Said(format!("the agent of {} could not enrol: {said}", machine.host.name)));
            }
            let running = command("run")?
                .args(["--net-arg", "agent-process", "--net-arg", "net"])
                .args(["--spread-seconds-max", "1", "--backoff-seconds-max", "2"])
                // The demo's hosts are folders of its own: it also runs where there is nothing to confine with.
                .arg("--unconfined")
                .env(ENDS_WITH_STDIN, "1")
                .stdin(Stdio::piped())
                .spawn()
                .map_err(|error| Failure::internal("cannot start an agent", error))?;
            self.agents.push(running);
        }
        Ok(())
    }

    /// Everything ends.
    pub async fn strike(mut self) {
        for agent in &mut self.agents {
            let _ = agent.kill().await;
        }
        self.server.shutdown().await;
        self.simulator.shutdown().await;
    }
}
