//! `quell approvals`: what waits for a second person, the plan in full, and the signature that lets it go on.
//!
//! The signing key stays with its holder: this program reads the plan, checks that the manifest the server wants signed is
//! exactly the plan's own, and only then signs. A server that shows one thing and has another signed gets nothing.

use super::Context;
use crate::client::{Client, ListArguments, path};
use crate::failure::Failure;
use crate::output::{self, Column, Format, line, note, plain, said};
use ::catalogue::schema::Entry;
use protocol::api::response::{
    Approval, ApprovalBody, ApprovalPolicy, ApprovalReject, ApprovalSign, ApprovalSummary, ApprovalsBody,
};
use protocol::approval::{MANIFEST_TYPE, Plan, PlanEntry};
use protocol::signed::{Envelope, SigningKey};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// What can be done with approvals.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List requests; those that wait unless --state says otherwise
    List {
        /// In which state
        #[arg(long, default_value = "pending", value_parser = ["pending", "approved", "rejected", "void", "expired", "all"])]
        state: String,
        #[command(flatten)]
        list: ListArguments,
    },
    /// Show a request with its plan: what is done, where, when and in which waves, what halts it, what it would do to the scores
    Show {
        /// Its key, or the number of its job
        id: String,
    },
    /// Sign a request with a key of the organisation role, and send the signature
    Approve {
        /// Its key, or the number of its job
        id: String,
        /// The private key, as `quell catalogue key new` wrote it; it is read and not sent
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// Write the signed envelope to standard output instead of sending it, for another machine to send
        #[arg(long)]
        offline: bool,
    },
    /// Send a signed envelope that was made elsewhere
    Send {
        /// Its key, or the number of its job
        id: String,
        /// The envelope
        #[arg(value_name = "FILE")]
        envelope: PathBuf,
    },
    /// Reject a request: its run is taken back and the job disabled
    Reject {
        /// Its key, or the number of its job
        id: String,
        /// Why; the job's author reads it
        #[arg(long)]
        reason: String,
    },
    /// Show from which class on a second person is asked, or set it
    Policy {
        /// 1 or 2
        #[arg(long, value_name = "CLASS")]
        from_class: Option<u8>,
    },
}

const APPROVALS: &[Column<ApprovalSummary>] = &[
    ("ID", |a| a.id.to_string()),
    ("JOB", |a| a.job.clone()),
    ("RUN", |a| a.run.to_string()),
    ("STATE", |a| a.state.clone()),
    ("SIGNED", |a| format!("{}/{}", a.signatures, a.needed)),
    ("CLASS", |a| a.class.to_string()),
    ("MACHINES", |a| a.machines.to_string()),
    ("TITLE", |a| a.title.clone()),
    ("ASKED BY", |a| a.requested_by.clone()),
    ("UNTIL", |a| a.valid_until.to_string()),
];

/// Run a command.
///
/// # Errors
/// [`Failure`] of the server, of the key file, or of a plan that is not what is to be signed.
pub async fn run(command: Command, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    match command {
        Command::List { state, list } => {
            let state = if state == "all" { String::new() } else { format!("?state={state}") };
            let place = path(&["approvals"]) + &state;
            let found = client.list(&place, &list, |body: ApprovalsBody| (body.approvals, body.next)).await?;
            output::list(context.format, &found, APPROVALS)
        }
        Command::Show { id } => show(context.format, &find(&client, &id).await?),
        Command::Approve { id, key, offline } => approve(&client, context.format, &id, &key, offline).await,
        Command::Send { id, envelope } => {
            let failed = |source| Failure::File { doing: "read", path: envelope.clone(), source };
            let text = std::fs::read_to_string(&envelope).map_err(failed)?;
            send(&client, context.format, find(&client, &id).await?.summary.id, text).await
        }
        Command::Reject { id, reason } => {
            let id = find(&client, &id).await?.summary.id.to_string();
            let done: ApprovalBody =
                client.post(&path(&["approvals", &id, "reject"]), &ApprovalReject { reason }).await?;
            state(context.format, &done.approval)
        }
        Command::Policy { from_class } => {
            let at = path(&["approvals", "policy"]);
            let policy: ApprovalPolicy = match from_class {
                Some(from_class) => client.put(&at, &ApprovalPolicy { from_class }).await?,
                None => client.get(&at, &[]).await?,
            };
            output::record(context.format, &policy, &[("from class", policy.from_class.to_string())])
        }
    }
}

/// A request by its key or by its job's number.
async fn find(client: &Client, id: &str) -> Result<Approval, Failure> {
    let at = if id.starts_with("MJ") { path(&["jobs", id, "approval"]) } else { path(&["approvals", id]) };
    client.get::<ApprovalBody>(&at, &[]).await.map(|body| body.approval)
}

/// The plan, believed only as far as its manifest is the one to be signed.
fn checked(approval: &Approval) -> Result<Plan, Failure> {
    let wrong = |error: protocol::approval::PlanFault| Failure::Failed(Box::new(error));
    let plan = Plan::read(&approval.plan).map_err(wrong)?;
    plan.vouches(&approval.plan, approval.manifest.as_bytes()).map_err(wrong)?;
    Ok(plan)
}

async fn approve(client: &Client, format: Format, id: &str, key: &Path, offline: bool) -> Result<(), Failure> {
    let approval = find(client, id).await?;
    let plan = checked(&approval)?;
    let key = read_key(key)?;
    if !approval.keys.contains(&key.id().to_string()) {
        let known = approval.keys.join(", ");
        let why = format!(
            "key {} does not hold the organisation role of the root in force; those that do: {known}",
            key.id()
        );
        return Err(Failure::Said(why));
    }
    let envelope = Envelope::sign(MANIFEST_TYPE, approval.manifest.as_bytes(), &[&key]);
    let text = String::from_utf8(envelope.to_json())
        .map_err(|error| Failure::internal("cannot write the envelope down", error))?;
    if offline {
        return line(&text);
    }
    let machines = plan.targets().len();
    for (label, text) in plan.words() {
        note(&plain(&format!("{}: {text}", label.to_lowercase())));
    }
    note(&format!("signing {} run {} on {machines} machines with key {}", plan.job, plan.run, key.id()));
    send(client, format, approval.summary.id, text).await
}

/// Largest key file read, in bytes.
const KEY_BYTES_MAX: u64 = 4_096;

/// A private key from its file, which nobody else may read.
fn read_key(path: &Path) -> Result<SigningKey, Failure> {
    let failed = |source| Failure::File { doing: "read", path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.permissions().mode() & 0o077 != 0 {
        let why = format!("others can read the private key {}; make it yours alone with chmod 600", path.display());
        return Err(Failure::Said(why));
    }
    let mut text = String::new();
    file.take(KEY_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
    SigningKey::from_pem(&text).map_err(|error| Failure::Failed(Box::new(error)))
}

async fn send(client: &Client, format: Format, id: i64, envelope: String) -> Result<(), Failure> {
    let at = path(&["approvals", &id.to_string(), "sign"]);
    let done: ApprovalBody = client.post(&at, &ApprovalSign { envelope }).await?;
    state(format, &done.approval)
}

fn state(format: Format, approval: &Approval) -> Result<(), Failure> {
    let summary = &approval.summary;
    let fields = [
        ("approval", summary.id.to_string()),
        ("job", summary.job.clone()),
        ("state", summary.state.clone()),
        ("signatures", format!("{} of {}", summary.signatures, summary.needed)),
        ("reason", summary.reason.clone()),
    ];
    output::record(format, approval, &fields)
}

fn show(format: Format, approval: &Approval) -> Result<(), Failure> {
    let plan = checked(approval)?;
    if format == Format::Json {
        return output::json(approval);
    }
    let summary = &approval.summary;
    let score = plan.score;
    let fields = [
        ("approval", summary.id.to_string()),
        ("job", format!("{} run {}: {}", plan.job, plan.run, plan.title)),
        ("state", format!("{}, {} of {} signatures", summary.state, summary.signatures, summary.needed)),
        ("reason", summary.reason.clone()),
        ("asked by", format!("{} at {}", plan.requested_by, summary.requested_at)),
        ("schedule", plan.schedule.clone()),
        ("holds", format!("from {} until {}", plan.valid_from, plan.valid_until)),
        (
            "scores",
            format!(
                "{} items, sum {} now, {} if all succeed; {} mitigated then",
                score.items, score.before, score.after, score.mitigated
            ),
        ),
        ("manifest", approval.manifest_digest.clone()),
    ];
    output::record(format, approval, &fields)?;
    if !plan.description.is_empty() {
        said(&format!("\n{}", plan.description))?;
    }
    said("\nhow it is rolled out")?;
    for (label, text) in plan.words() {
        said(&format!("  {}: {text}", label.to_lowercase()))?;
    }
    for entry in &plan.entries {
        show_entry(entry)?;
    }
    said(&format!("\n{} machines", plan.targets().len()))?;
    for asset in &plan.assets {
        let last = asset.start_by.map_or(String::new(), |last| format!(" until {last}"));
        said(&format!(
            "  {}  {}  wave {}  from {}{last}  {}  agent {}",
            asset.name,
            asset.ip,
            asset.wave,
            asset.due_at,
            asset.entries.join(", "),
            asset.agent_id
        ))?;
    }
    for act in approval.acts.iter().filter(|act| !act.allowed && summary.state == "pending") {
        note(&format!("you cannot {} this: {}", act.act, act.reason));
    }
    Ok(())
}

/// An entry from the very bytes whose digest is signed.
fn show_entry(entry: &PlanEntry) -> Result<(), Failure> {
    let read = Entry::from_json(entry.body.as_bytes()).map_err(|error| Failure::Failed(Box::new(error)))?;
    said(&format!("\n{}@{}  {}  (class {})", entry.id, entry.revision, read.title, entry.class))?;
    said(&format!("  {}", read.human.summary))?;
    for action in &read.actions {
        said(&format!("  - {}: {}", action.kind(), action.target()))?;
        if let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(action) {
            for (name, value) in fields.iter().filter(|(name, _)| *name != "kind") {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                said(&format!("      {name}: {value}"))?;
            }
        }
    }
    said(&format!("  side effects: {}", read.human.side_effects))?;
    said(&format!(
        "  risk {}, undone: {}, reboot: {}",
        read.human.risk.as_str(),
        read.after.reversible.as_str(),
        read.after.reboot.as_str()
    ))?;
    said(&format!("  digest {}", entry.digest))
}
