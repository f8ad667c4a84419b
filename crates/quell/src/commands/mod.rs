//! The command line: one file per noun, the same nouns as in the API and the pages.
//!
//! A noun's file has a `Command` (clap) and a `run(command, context)`; it is listed in [`Command`] and [`run`] below.

mod agents;
mod appliances;
mod approvals;
mod assets;
mod assignment;
mod auto_close;
mod catalogue;
mod catalogue_details;
mod catalogue_install;
mod complete;
mod dry_run;
mod efforts;
mod exceptions;
mod exclusion;
mod follow;
mod import;
mod imports;
mod instances;
mod items;
mod jobs;
mod login;
mod mail;
mod recover;
mod rollout;
mod rules;
mod scanners;
mod scans;
mod schedules;
mod serve;
mod tags;
mod task_rules;
mod tasks;
mod tokens;
mod topics;
mod users;
mod vulnerabilities;
mod waiting;

use crate::client::Client;
use crate::failure::{EXIT_CODES, Failure};
use crate::output::Format;
use crate::profile::ServerArguments;
use clap::{Parser, Subcommand};

/// Quell: closes the loop on vulnerabilities
#[derive(Debug, Parser)]
#[command(name = "quell", version, after_help = EXIT_CODES, arg_required_else_help = true, max_term_width = 120)]
pub struct Arguments {
    #[command(flatten)]
    server: ServerArguments,
    /// How results are written
    #[arg(short, long, global = true, value_enum, default_value_t, env = "QUELL_OUTPUT", value_name = "FORMAT")]
    output: Format,
    #[command(subcommand)]
    command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(Box<serve::Arguments>),
    /// Give a user a new one-time password, on the server's own machine
    Recover(Box<recover::Arguments>),
    /// Sign in and keep a token for the commands below
    Login(login::Login),
    /// End the kept token
    Logout,
    /// Show who one is and what one may do
    Whoami,
    /// Users and groups
    #[command(subcommand)]
    Users(users::Command),
    /// API tokens
    #[command(subcommand)]
    Tokens(tokens::Command),
    /// Load a scanner's file; without a server, read it and say what it holds
    Import(import::Arguments),
    /// Import runs
    #[command(subcommand)]
    Imports(imports::Command),
    /// Scanners: the products that detect
    #[command(subcommand)]
    Scanners(scanners::Command),
    /// Integration instances: subscriptions of scanners, and imports from them
    #[command(subcommand)]
    Instances(instances::Command),
    /// When imports of each kind come from an instance
    #[command(subcommand)]
    Schedules(schedules::Command),
    /// Vulnerabilities
    #[command(subcommand)]
    Vulnerabilities(vulnerabilities::Command),
    /// Assets
    #[command(subcommand)]
    Assets(assets::Command),
    /// Tags of assets
    #[command(subcommand)]
    Tags(tags::Command),
    /// Vulnerable items
    #[command(subcommand)]
    Items(items::Command),
    /// Remediation tasks: sets of items for one owner or group; notes about records
    #[command(subcommand)]
    Tasks(tasks::Command),
    /// Remediation efforts: frozen sets of items that are worked off together
    #[command(subcommand)]
    Efforts(efforts::Command),
    /// Watch topics: queries of items that people keep an eye on and make efforts of
    #[command(subcommand)]
    Topics(topics::Command),
    /// Exceptions: items put off for a time or called false positives, on request and by a decision
    #[command(subcommand)]
    Exceptions(exceptions::Command),
    /// Rules of vulnerability response: due dates, deferrals, what closes items
    #[command(subcommand)]
    Rules(rules::Command),
    /// What is excluded: detections that nobody has to work on
    #[command(subcommand)]
    Exclusion(exclusion::Command),
    /// Rescans: ask the scanner to look again, and see what it found
    #[command(subcommand)]
    Scans(scans::Command),
    /// Mitigation jobs, from eliminations to results
    #[command(subcommand)]
    Jobs(jobs::Command),
    /// Mitigations on assets: in force, drifted, expired; putting them back; asset risk
    #[command(subcommand)]
    Controls(follow::Controls),
    /// Rollbacks that are proposed
    #[command(subcommand)]
    Proposals(follow::Proposals),
    /// Jobs whose review is due
    #[command(subcommand)]
    Reviews(follow::Reviews),
    /// Scanner appliances: which serves which addresses, with which option profile
    #[command(subcommand)]
    Appliances(appliances::Command),
    /// Approval of risky runs by a second person: read the plan, sign it, or reject it
    #[command(subcommand)]
    Approvals(approvals::Command),
    /// Agents and enrolment
    #[command(subcommand)]
    Agents(agents::Command),
    /// Mail: what was sent, waits or was given up; another try, a test
    #[command(subcommand)]
    Mail(mail::Command),
    /// Keys, trust roots, signing and checking of the catalogue; all but `install` need no server
    #[command(subcommand)]
    Catalogue(catalogue::Command),
    /// Play the whole loop on this machine: import, mitigate, verify, rescan, close
    Demo(crate::demo::Arguments),
    /// An agent in this executable, as the demo starts it
    #[command(subcommand, hide = true)]
    AgentProcess(Box<agent::Command>),
    /// Write completions for a shell
    Complete(complete::Arguments),
}

impl Arguments {
    /// The agent to run in this process, where that is what was asked for: it has no use for the runtime of the others,
    /// and gives up its network before it starts threads.
    #[must_use]
    pub fn agent(&self) -> Option<agent::Command> {
        match &self.command {
            Command::AgentProcess(command) => Some((**command).clone()),
            _ => None,
        }
    }
}

/// What every command works with.
#[derive(Debug)]
pub struct Context {
    /// Server, token and where they are kept.
    pub server: ServerArguments,
    /// How results are written.
    pub format: Format,
}

impl Context {
    /// A client for the server in use.
    ///
    /// # Errors
    /// [`Failure::NoServer`] where none is named.
    pub fn client(&self) -> Result<Client, Failure> {
        Client::new(&self.server.profile()?)
    }
}

/// Run the command.
///
/// # Errors
/// Whatever the command fails with.
pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let context = Context { server: arguments.server, format: arguments.output };
    match arguments.command {
        Command::Serve(arguments) => serve::run(*arguments).await,
        Command::Recover(arguments) => recover::run(*arguments, &context).await,
        Command::Login(arguments) => login::login(arguments, &context).await,
        Command::Logout => login::logout(&context).await,
        Command::Whoami => login::whoami(&context).await,
        Command::Users(command) => users::run(command, &context).await,
        Command::Tokens(command) => tokens::run(command, &context).await,
        Command::Import(arguments) => import::run(arguments, &context).await,
        Command::Imports(command) => imports::run(command, &context).await,
        Command::Scanners(command) => scanners::run(command, &context).await,
        Command::Instances(command) => instances::run(command, &context).await,
        Command::Schedules(command) => schedules::run(command, &context).await,
        Command::Appliances(command) => appliances::run(command, &context).await,
        Command::Vulnerabilities(command) => vulnerabilities::run(command, &context).await,
        Command::Assets(command) => assets::run(command, &context).await,
        Command::Tags(command) => tags::run(command, &context).await,
        Command::Items(command) => items::run(command, &context).await,
        Command::Tasks(command) => tasks::run(command, &context).await,
        Command::Topics(command) => topics::run(command, &context).await,
        Command::Efforts(command) => efforts::run(command, &context).await,
        Command::Exceptions(command) => exceptions::run(command, &context).await,
        Command::Rules(command) => rules::run(command, &context).await,
        Command::Exclusion(command) => exclusion::run(command, &context).await,
        Command::Scans(command) => scans::run(command, &context).await,
        Command::Jobs(command) => jobs::run(command, &context).await,
        Command::Controls(command) => follow::controls(command, &context).await,
        Command::Proposals(command) => follow::proposals(command, &context).await,
        Command::Reviews(command) => follow::reviews(command, &context).await,
        Command::Approvals(command) => approvals::run(command, &context).await,
        Command::Agents(command) => agents::run(command, &context).await,
        Command::Mail(command) => mail::run(command, &context).await,
        Command::Catalogue(catalogue::Command::Install { folder }) => catalogue_install::run(&folder, &context).await,
        Command::Catalogue(catalogue::Command::Details { entry }) => catalogue_details::run(&entry, &context).await,
        Command::Catalogue(catalogue::Command::Offline(command)) => run_catalogue(&command, context.format),
        Command::Demo(arguments) => crate::demo::run(arguments).await,
        Command::AgentProcess(_) => Err(Failure::Said("an agent runs without the command line's runtime".to_owned())),
        Command::Complete(arguments) => complete::run(&arguments),
    }
}

fn run_catalogue(command: &catalogue::Offline, format: Format) -> Result<(), Failure> {
    let output = if format == Format::Table { catalogue::Output::Table } else { catalogue::Output::Json };
    let now = server::clock::system_now();
    catalogue::run(command, output, now, &mut std::io::stdout().lock())
        .map_err(|error| Failure::Failed(Box::new(error)))
}
