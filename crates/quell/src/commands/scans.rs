//! `quell scans`: rescans, from asking to verdicts.

use super::Context;
use super::waiting::{self, Look};
use crate::client::{Client, ListArguments, path};
use crate::failure::Failure;
use crate::output::{self, Column, Format, note};
use protocol::api::scans::{
    CancelRequest, ChildScan, LeftOut, NewScan, OfferBody, OptionProfile, Pace, PaceBody, Plan, PlanBody, PlannedScan,
    Policy, PolicyBody, RequestedBody, RetryRequest, Rules, RulesBody, Scan, ScanBody, ScanSource, ScansBody,
    SkippedItem,
};
use std::time::Duration;

/// How often a scan that is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What can be done with rescans.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List rescans; `-q "is:open by:me"`
    List(ListArguments),
    /// Show a rescan with its scans and what they found
    Show {
        /// Its number, VSCAN0000001
        number: String,
    },
    /// Show whether an item, a remediation task or an effort can be rescanned, and the option profiles to choose from
    Offer {
        /// Number of the item, the task or the effort: VIT0000001, VUL0000001, REF0000001
        record: String,
    },
    /// Ask the scanner to look again at items
    #[command(group(clap::ArgGroup::new("source").required(true)))]
    Request {
        /// Numbers of the items, VIT0000001
        #[arg(group = "source", value_delimiter = ',')]
        items: Vec<String>,
        /// All items that match this query, as "is:open platform:linux"
        #[arg(group = "source", short = 'q', long)]
        query: Option<String>,
        /// Key of an asset: what is open on it and may be rescanned
        #[arg(group = "source", long)]
        asset: Option<i64>,
        /// Number of a remediation task: what is open in it
        #[arg(group = "source", long)]
        task: Option<String>,
        /// Number of an effort: what is open in it
        #[arg(group = "source", long)]
        effort: Option<String>,
        /// Do not mail me when it ends
        #[arg(long)]
        no_mail: bool,
        /// Only show what would be scanned and what would not
        #[arg(long, conflicts_with = "wait")]
        preview: bool,
        /// Key or title of an option profile; the default one when absent
        #[arg(long)]
        profile: Option<String>,
        /// Leave out the items that may not be rescanned
        #[arg(long)]
        eligible_only: bool,
        /// Wait until it has ended; fails where it did not complete
        #[arg(long)]
        wait: bool,
    },
    /// Wait until a rescan has ended; fails where it did not complete
    Wait {
        /// Its number, VSCAN0000001
        number: String,
    },
    /// Cancel a rescan: nothing more is launched, what runs is stopped at the scanner; where others asked for it too,
    /// only leave it
    Cancel {
        /// Its number, VSCAN0000001
        number: String,
        /// For everybody who asked for it
        #[arg(long)]
        everybody: bool,
    },
    /// Ask a rescan again for the scans that failed
    Retry {
        /// Its number, VSCAN0000001
        number: String,
        /// For what was not reached or not tested instead
        #[arg(long)]
        unreached: bool,
    },
    /// Show who may ask for rescans, or change it
    Rules {
        /// May a remediation owner rescan what is assigned to one of his groups: true or false
        #[arg(long)]
        by_group: Option<bool>,
    },
    /// Show when rescans of an integration instance are launched and how many, or change it
    Policy {
        /// Key of the instance
        instance: i64,
        /// When the scan window opens, 22:00
        #[arg(long)]
        from: Option<String>,
        /// When it ends, 06:00; the same time means always
        #[arg(long)]
        until: Option<String>,
        /// Time zone of both, Europe/Rome
        #[arg(long)]
        zone: Option<String>,
        /// Scans at once at most
        #[arg(long)]
        running: Option<i64>,
        /// Launches at most within --seconds
        #[arg(long)]
        launches: Option<i64>,
        /// The time in which launches are counted, in seconds
        #[arg(long)]
        seconds: Option<i64>,
        /// Rescan what people resolve by itself: true or false
        #[arg(long)]
        on_resolved: Option<bool>,
    },
    /// Show how often running scans are looked at, or change it
    Pace {
        /// Seconds before the first look; the pause grows by half each time
        #[arg(long)]
        first: Option<i64>,
        /// Longest pause between two looks, in seconds
        #[arg(long)]
        longest: Option<i64>,
        /// Seconds for which a launch without an answer is searched for before it is sent again
        #[arg(long)]
        search: Option<i64>,
    },
}

const SCANS: &[Column<Scan>] = &[
    ("NUMBER", |scan| scan.number.clone()),
    ("STATE", |scan| scan.state.clone()),
    ("SCANS", |scan| format!("{}/{}", scan.children.completed, scan.children.total)),
    ("ITEMS", |scan| scan.items.to_string()),
    ("VERDICTS", verdicts),
    ("SOURCE", |scan| scan.source.clone()),
    ("BY", |scan| scan.requested_by.clone()),
    ("REQUESTED", |scan| scan.requested_at.to_string()),
];

const CHILDREN: &[Column<ChildScan>] = &[
    ("SCAN", |child| child.name.clone()),
    ("STATE", |child| child.state.clone()),
    ("REFERENCE", |child| child.reference.iter().chain(&child.doubles).cloned().collect::<Vec<_>>().join(" ")),
    ("INSTANCE", |child| child.instance.clone()),
    ("APPLIANCE", |child| child.appliance.clone()),
    ("PROFILE", |child| child.profile.title.clone()),
    ("ADDRESSES", |child| child.addresses.len().to_string()),
    ("MESSAGE", |child| child.message.clone()),
];

const SOURCES: &[Column<ScanSource>] = &[
    ("ITEM", |source| source.item.clone()),
    ("QID", |source| source.qid.to_string()),
    ("TITLE", |source| source.title.clone()),
    ("ASSET", |source| source.asset.clone()),
    ("STATE", |source| source.state.clone()),
    ("TARGET", |source| source.target.clone()),
    ("SCORE", |source| source.residual.to_string()),
    ("VERDICT", |source| source.verdict.clone().unwrap_or_else(|| "waiting".to_owned())),
    ("REASON", |source| source.reason.clone()),
];

const PLANNED: &[Column<PlannedScan>] = &[
    ("INSTANCE", |scan| scan.instance.clone()),
    ("APPLIANCE", |scan| scan.appliance.clone()),
    ("STATUS", |scan| scan.appliance_status.clone()),
    ("NETWORK", |scan| scan.network_id.clone()),
    ("PROFILE", |scan| scan.profile.title.clone()),
    ("ITEMS", |scan| scan.items.to_string()),
    ("IPS", |scan| scan.address_count.to_string()),
    ("ADDRESSES", |scan| scan.addresses.join(" ")),
];

const LEFT_OUT: &[Column<LeftOut>] = &[
    ("LEFT OUT", |left| left.item.clone()),
    ("ASSET", |left| left.asset.clone()),
    ("HOST", |left| left.host.clone().unwrap_or_default()),
    ("SCAN", |left| left.scan.clone().unwrap_or_default()),
    ("REASON", |left| left.reason.clone()),
];

const PROFILES: &[Column<OptionProfile>] = &[
    ("KEY", |profile| profile.key.clone()),
    ("TITLE", |profile| profile.title.clone()),
    ("TESTS", |profile| if profile.complete { "everything" } else { "a list of vulnerabilities" }.to_owned()),
];

fn verdicts(scan: &Scan) -> String {
    let counts = &scan.verdicts;
    let named = [
        (counts.fixed, "fixed"),
        (counts.still_present, "still present"),
        (counts.still_present_mitigated, "still present, mitigated"),
        (counts.not_reached, "not reached"),
        (counts.not_tested, "not tested"),
        (counts.waiting, "waiting"),
    ];
    let said = named.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    said.collect::<Vec<_>>().join("; ")
}

/// Run a command.
///
/// # Errors
/// [`Failure`] of the server; where `--wait` ends with a rescan that did not complete.
pub async fn run(command: Command, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let format = context.format;
    match command {
        Command::List(list) => {
            let scans = client.list(&path(&["scans"]), &list, |body: ScansBody| (body.scans, body.next)).await?;
            output::list(format, &scans, SCANS)
        }
        Command::Show { number } => show(format, &read(&client, &number).await?),
        Command::Offer { record } => {
            let noun = match record.get(..3) {
                Some("VUL") => "tasks",
                Some("REF") => "efforts",
                _ => "items",
            };
            let offer: OfferBody = client.get(&path(&[noun, &record, "rescan"]), &[]).await?;
            offered(format, &offer)
        }
        Command::Request {
            items,
            query,
            asset,
            task,
            effort,
            no_mail,
            preview,
            profile,
            eligible_only,
            wait: waiting,
        } => {
            let mail = no_mail.then_some(false);
            let new = NewScan { items, q: query, asset, task, effort, profile, eligible_only, plan: None, mail };
            if preview {
                let body: PlanBody = client.post(&path(&["scans", "preview"]), &new).await?;
                return planned(format, &body.plan);
            }
            let requested: RequestedBody = client.post(&path(&["scans"]), &new).await?;
            tell(&requested);
            let number = requested.scan.number.clone();
            if waiting {
                return wait(&client, &number, format).await;
            }
            if format == Format::Json { output::json(&requested) } else { show(format, &read(&client, &number).await?) }
        }
        Command::Wait { number } => wait(&client, &number, format).await,
        Command::Cancel { number, everybody } => {
            let request = CancelRequest { everybody };
            let shown: ScanBody = client.post(&path(&["scans", &number, "cancel"]), &request).await?;
            if !everybody && shown.scan.ended_at.is_none() {
                note(&format!("{number} goes on for the others who asked for it"));
            }
            show(format, &shown)
        }
        Command::Retry { number, unreached } => {
            let request = RetryRequest { what: if unreached { "unreached" } else { "failed" }.to_owned() };
            let shown: ScanBody = client.post(&path(&["scans", &number, "retry"]), &request).await?;
            show(format, &shown)
        }
        Command::Rules { by_group } => {
            let address = path(&["settings", "rescan-rules"]);
            let body: RulesBody = match by_group {
                Some(by_group) => client.put(&address, &RulesBody { rules: Rules { by_group } }).await?,
                None => client.get(&address, &[]).await?,
            };
            let words = if body.rules.by_group { "by name or by group" } else { "by name only" };
            output::record(format, &body.rules, &[("owners rescan what is assigned", words.to_owned())])
        }
        Command::Policy { instance, from, until, zone, running, launches, seconds, on_resolved } => {
            let address = path(&["instances", &instance.to_string(), "rescan-policy"]);
            let mut body: PolicyBody = client.get(&address, &[]).await?;
            let given = from.is_some() || until.is_some() || zone.is_some();
            if given || on_resolved.is_some() || running.is_some() || launches.is_some() || seconds.is_some() {
                let old = body.policy;
                let policy = Policy {
                    from: from.unwrap_or(old.from),
                    until: until.unwrap_or(old.until),
                    zone: zone.unwrap_or(old.zone),
                    running_max: running.unwrap_or(old.running_max),
                    launches_max: launches.unwrap_or(old.launches_max),
                    launches_seconds: seconds.unwrap_or(old.launches_seconds),
                    on_resolved: on_resolved.unwrap_or(old.on_resolved),
                };
                body = client.put(&address, &PolicyBody { policy }).await?;
            }
            let policy = &body.policy;
            let always = policy.from == policy.until;
            let window = if always { "always".to_owned() } else { format!("{} to {}", policy.from, policy.until) };
            let fields = [
                ("scan window", window),
                ("time zone", policy.zone.clone()),
                ("scans at once", policy.running_max.to_string()),
                ("launches", format!("{} in {} s", policy.launches_max, policy.launches_seconds)),
                ("resolved items", if policy.on_resolved { "rescanned by itself" } else { "on demand" }.to_owned()),
            ];
            output::record(format, policy, &fields)
        }
        Command::Pace { first, longest, search } => pace(&client, [first, longest, search], format).await,
    }
}

async fn read(client: &Client, number: &str) -> Result<ScanBody, Failure> {
    client.get(&path(&["scans", number]), &[]).await
}

fn tell(requested: &RequestedBody) {
    let number = &requested.scan.number;
    note(&format!("{}: {number}", requested.message));
    for open in &requested.open {
        note(&format!("{} is looked at by {} already", open.item, open.scan));
    }
    left_out(&requested.skipped);
}

fn left_out(skipped: &[SkippedItem]) {
    for one in skipped {
        let which = one.host.map(|host| format!(" on host {host}")).unwrap_or_default();
        note(&format!("{}{which} is left out: {}", one.item, one.reason));
    }
}

fn planned(format: Format, plan: &Plan) -> Result<(), Failure> {
    if format == Format::Json {
        return output::json(plan);
    }
    for open in &plan.open {
        note(&format!("{} is looked at by {} already", open.item, open.scan));
    }
    left_out(&plan.left_out);
    for scan in &plan.scans {
        let place = format!("{} on {}", scan.instance, scan.appliance);
        if let (Some(at), Some(local)) = (scan.opens_at, &scan.opens_local) {
            note(&format!("{place} waits for the scan window, which opens at {local} ({at})"));
        }
        if let Some(seconds) = scan.seconds_expected {
            note(&format!("{place}: scans of this size took about {seconds} s lately"));
        }
        for one in &scan.untested {
            note(&one.reason);
        }
        let unnamed = scan.untested_count - i64::try_from(scan.untested.len()).unwrap_or(0);
        if unnamed > 0 {
            note(&format!("the same holds for {unnamed} more vulnerabilities"));
        }
    }
    output::list(format, &plan.scans, PLANNED)
}

fn show(format: Format, body: &ScanBody) -> Result<(), Failure> {
    match format {
        Format::Json => output::json(body),
        // A table of texts: one kind of row only, and what was found is what people want of it.
        Format::Csv => output::list(format, &body.sources, SOURCES),
        Format::Table => {
            let (scan, children) = (&body.scan, &body.scan.children);
            let summary = format!(
                "{} of {} complete, {} failed, {} open",
                children.completed, children.total, children.failed, children.open
            );
            let fields = [
                ("number", scan.number.clone()),
                ("state", scan.state.clone()),
                ("message", scan.message.clone()),
                ("source", scan.source.clone()),
                ("profile", scan.profile.clone().unwrap_or_else(|| "default".to_owned())),
                ("requested", format!("by {} at {}", wanting(body), scan.requested_at)),
                ("ended", scan.ended_at.map(|at| at.to_string()).unwrap_or_default()),
                ("scans", summary),
                ("verdicts", verdicts(scan)),
            ];
            output::record(format, scan, &fields)?;
            output::line("")?;
            output::list(format, &body.children, CHILDREN)?;
            output::line("")?;
            output::list(format, &body.sources, SOURCES)?;
            if body.left_out.is_empty() {
                return Ok(());
            }
            output::line("")?;
            output::list(format, &body.left_out, LEFT_OUT)
        }
    }
}

/// Everybody who asked for it and did not leave it, the first one first.
fn wanting(body: &ScanBody) -> String {
    let names = body.requesters.iter().filter(|one| one.left_at.is_none()).map(|one| one.name.as_str());
    names.collect::<Vec<_>>().join(", ")
}

fn offered(format: Format, offer: &OfferBody) -> Result<(), Failure> {
    if format == Format::Json {
        return output::json(offer);
    }
    if let Some(warning) = offer.default_profile.as_ref().and_then(|profile| profile.warning.as_ref()) {
        note(warning);
    }
    let default = offer.default_profile.as_ref().map(|profile| profile.title.clone());
    let fields = [
        ("can be rescanned", if offer.allowed { "yes".to_owned() } else { "no".to_owned() }),
        ("reason", offer.reason.clone().unwrap_or_default()),
        ("default profile", default.unwrap_or_else(|| "none".to_owned())),
        ("open rescan", offer.open_scan.clone().unwrap_or_default()),
    ];
    output::record(format, offer, &fields)?;
    output::line("")?;
    output::list(format, &offer.profiles, PROFILES)
}

/// Look at a rescan until it has ended.
async fn wait(client: &Client, number: &str, format: Format) -> Result<(), Failure> {
    let look = async || {
        let body = read(client, number).await?;
        Ok(if body.scan.ended_at.is_some() { Look::Over(body) } else { Look::Still(standing(&body)) })
    };
    let body = waiting::until(LOOK_EVERY, look).await?;
    show(format, &body)?;
    match body.scan.state.as_str() {
        "complete" => Ok(()),
        state => Err(Failure::Said(format!("{number} is {state}: {}", body.scan.message))),
    }
}

/// Where the scans of a rescan are, in one line.
fn standing(body: &ScanBody) -> String {
    let parts = body.children.iter().map(|child| {
        let message = if child.message.is_empty() { String::new() } else { format!(" ({})", child.message) };
        format!("{} {}{message}", child.name, child.state)
    });
    parts.collect::<Vec<_>>().join(", ")
}

async fn pace(client: &Client, changes: [Option<i64>; 3], format: Format) -> Result<(), Failure> {
    let address = path(&["settings", "rescan-pace"]);
    let mut body: PaceBody = client.get(&address, &[]).await?;
    if changes.iter().any(Option::is_some) {
        let [first, longest, search] = changes;
        let pace = Pace {
            first_seconds: first.unwrap_or(body.pace.first_seconds),
            longest_seconds: longest.unwrap_or(body.pace.longest_seconds),
            search_seconds: search.unwrap_or(body.pace.search_seconds),
        };
        body = client.put(&address, &PaceBody { pace }).await?;
    }
    let fields = [
        ("first look after", format!("{} s", body.pace.first_seconds)),
        ("longest pause", format!("{} s", body.pace.longest_seconds)),
        ("search for a lost launch", format!("{} s", body.pace.search_seconds)),
    ];
    output::record(format, &body.pace, &fields)
}
