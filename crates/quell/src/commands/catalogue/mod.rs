//! `quell catalogue`: keys, the trust root, signing, checking and reading the catalogue. All but
//! `install`, which is [`super::catalogue_install`], works on files and needs no server.
//!
//! Private keys are read from and written to files of mode 0600 and appear nowhere else.

mod ceremony;
mod custom;
mod reading;
mod skeleton;

use std::{
    io::{self, Write},
    path::PathBuf,
};

use catalogue::{
    folder::FolderError,
    index::{CatalogueError, Revocation, Revoked},
    schema::EntryError,
    text::EntryId,
};
use comfy_table::{ContentArrangement, Table, presets::UTF8_BORDERS_ONLY};
use domain::time::Timestamp;
use protocol::{
    digest::Digest,
    root::RootError,
    signed::{EnvelopeError, KeyError, PublicKey},
};

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// For people.
    Table,
    /// One JSON document.
    Json,
}

/// What `quell catalogue` can do.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// On files, without a server.
    #[command(flatten)]
    Offline(Offline),
    /// Install a signed catalogue folder on the server; the server and every agent verify it again.
    Install {
        /// The folder that `sign` wrote.
        folder: PathBuf,
    },
    /// Show an entry of the catalogue in force on the server: what it does in words, and who signed for it.
    Details {
        /// Its id.
        entry: String,
    },
}

/// What needs no server.
#[derive(Debug, clap::Subcommand)]
pub enum Offline {
    /// Make or show signing keys.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Make, update or show trust roots.
    #[command(subcommand)]
    Root(RootCommand),
    /// Begin an entry of the organisation's own: a commented file that parses and has no lint errors. Asks for what is not given.
    New(New),
    /// Sign entries into a catalogue folder.
    Sign(Sign),
    /// Add the organisation's signature to a signed catalogue folder, without which its own entries are not used. Shows every
    /// own entry in full and asks before it signs.
    Countersign(Countersign),
    /// Check a catalogue folder as a server or an agent does before it adopts it.
    Verify(Verify),
    /// Check entries for mistakes; exits with 1 when there are errors.
    Lint(Lint),
    /// List entries, or show one.
    Show(Show),
}

/// What `quell catalogue key` can do.
#[derive(Debug, clap::Subcommand)]
pub enum KeyCommand {
    /// Make a key from the system's randomness and write it to FILE with mode 0600. Never overwrites.
    New {
        /// Where the private key goes.
        file: PathBuf,
    },
    /// Print the public half and the id of the private key in FILE.
    Show {
        /// The private key.
        file: PathBuf,
    },
}

/// What `quell catalogue root` can do.
#[derive(Debug, clap::Subcommand)]
pub enum RootCommand {
    /// Make version 1 of a trust root, signed with its own root keys.
    New(RootNew),
    /// Make the next version of a trust root. Signed with the root keys of both versions.
    Update(RootUpdate),
    /// Show a trust root and whether it is signed by its own root keys.
    Show {
        /// The sealed root.
        file: PathBuf,
    },
}

/// The keys of a root's roles. Each may be given several times.
#[derive(Debug, clap::Args)]
pub struct RoleArguments {
    /// Public key that may sign catalogues, `ed25519:...`.
    #[arg(long = "content", required = true, value_name = "PUBLIC_KEY")]
    content: Vec<PublicKey>,
    /// Public key that may sign approvals of the organisation.
    #[arg(long = "organisation", required = true, value_name = "PUBLIC_KEY")]
    organisation: Vec<PublicKey>,
    /// Public key of the server, which signs orders.
    #[arg(long = "order", required = true, value_name = "PUBLIC_KEY")]
    order: Vec<PublicKey>,
    /// How many content keys must sign a catalogue.
    #[arg(long, default_value_t = 1, value_name = "N")]
    content_threshold: u32,
    /// How many organisation keys must sign an approval.
    #[arg(long, default_value_t = 1, value_name = "N")]
    organisation_threshold: u32,
    /// How many root keys must sign the next root.
    #[arg(long, default_value_t = 1, value_name = "N")]
    root_threshold: u32,
    /// When the root runs out: a date or an instant in UTC.
    #[arg(long, value_name = "DATE", value_parser = parse_expiry)]
    expires: Timestamp,
}

/// Arguments of `root new`.
#[derive(Debug, clap::Args)]
pub struct RootNew {
    /// Private root key file; all of them sign.
    #[arg(long = "root-key", required = true, value_name = "FILE")]
    root_keys: Vec<PathBuf>,
    #[command(flatten)]
    roles: RoleArguments,
    /// Where the sealed root goes. Never overwrites.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Arguments of `root update`.
#[derive(Debug, clap::Args)]
pub struct RootUpdate {
    /// The sealed root to follow.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Private root key file of the new root; all of them sign.
    #[arg(long = "root-key", required = true, value_name = "FILE")]
    root_keys: Vec<PathBuf>,
    /// Private root key file of the root before, where it is not one of the new ones.
    #[arg(long = "old-root-key", value_name = "FILE")]
    old_root_keys: Vec<PathBuf>,
    #[command(flatten)]
    roles: RoleArguments,
    /// Where the sealed root goes. Never overwrites.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Arguments of `new`.
#[derive(Debug, clap::Args)]
pub struct New {
    /// Its id, beginning with `org-`; also the name of its file.
    #[arg(long)]
    id: Option<String>,
    /// The kind of its action, such as `file.setting`.
    #[arg(long)]
    kind: Option<String>,
    /// The CVE it covers.
    #[arg(long, value_name = "CVE")]
    cve: Option<String>,
    /// The QID it covers, where there is no CVE.
    #[arg(long, conflicts_with = "cve", value_name = "N")]
    qid: Option<u32>,
    /// What it does, in a few words.
    #[arg(long)]
    title: Option<String>,
    /// How far the score falls while it is effective, 1 to 99.
    #[arg(long, value_name = "N")]
    points: Option<u8>,
    /// Where the facts come from.
    #[arg(long, value_name = "URL")]
    reference: Option<String>,
    /// The folder to write it to.
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
}

/// Arguments of `countersign`.
#[derive(Debug, clap::Args)]
pub struct Countersign {
    /// The folder that `sign` wrote.
    folder: PathBuf,
    /// Private organisation key file. Several sign together.
    #[arg(long = "organisation-key", required = true, value_name = "FILE")]
    keys: Vec<PathBuf>,
    /// The sealed root that is trusted.
    #[arg(long, value_name = "FILE")]
    root: PathBuf,
    /// Accept that the root asks for more organisation keys than these: somebody else signs after this.
    #[arg(long)]
    more_to_come: bool,
    /// You have read every own entry in full; without it a terminal is asked, and nothing else is signed.
    #[arg(long)]
    yes: bool,
}

/// Arguments of `sign`.
#[derive(Debug, clap::Args)]
pub struct Sign {
    /// Private content key file. Several sign together.
    #[arg(long = "key", required = true, value_name = "FILE")]
    keys: Vec<PathBuf>,
    /// Version of the index; higher than every one signed before.
    #[arg(long, value_name = "N")]
    version: u64,
    /// When the index runs out: a date or an instant in UTC.
    #[arg(long, value_name = "DATE", value_parser = parse_expiry)]
    expires: Timestamp,
    /// The folder to write.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// A folder of entries instead of those that come with the program.
    #[arg(long, value_name = "DIR")]
    entries: Option<PathBuf>,
    /// A folder of the organisation's own entries, whose ids begin with `org-`, beside the others.
    #[arg(long, value_name = "DIR")]
    custom: Option<PathBuf>,
    /// Private organisation key file, where the same hands hold it; else `countersign` adds its signature.
    #[arg(long = "organisation-key", value_name = "FILE")]
    organisation_keys: Vec<PathBuf>,
    /// Sealed roots to put into the folder, oldest first.
    #[arg(long = "root", value_name = "FILE")]
    roots: Vec<PathBuf>,
    /// Revoke an entry id or a digest, with the reason: `ID=REASON`.
    #[arg(long = "revoke", value_name = "ID=REASON", value_parser = parse_revocation)]
    revoke: Vec<Revocation>,
}

/// Arguments of `verify`.
#[derive(Debug, clap::Args)]
pub struct Verify {
    /// The catalogue folder.
    folder: PathBuf,
    /// The sealed root that is trusted. Updates in the folder are followed from it.
    #[arg(long, value_name = "FILE")]
    root: PathBuf,
    /// The highest index version ever seen: an older one is refused.
    #[arg(long, default_value_t = 0, value_name = "N")]
    highest_seen: u64,
}

/// Arguments of `lint`.
#[derive(Debug, clap::Args)]
pub struct Lint {
    /// A folder of entries, or one entry's file; without it those that come with the program.
    path: Option<PathBuf>,
    /// Show warnings too.
    #[arg(long)]
    warnings: bool,
}

/// Arguments of `show`.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// The entry, or a CVE as with `--cve`; without it all are listed.
    id: Option<String>,
    /// Only entries that cover this CVE.
    #[arg(long, value_name = "CVE")]
    cve: Option<String>,
    /// A folder of entries instead of those that come with the program.
    #[arg(long, value_name = "DIR")]
    entries: Option<PathBuf>,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("{doing} {path}", path = path.display())]
    File {
        /// What was attempted.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A private key that others may read.
    #[error("{path} can be read by others; run chmod 600 on it, and replace the key if they may have", path = path.display())]
    KeyOpen {
        /// The key file.
        path: PathBuf,
    },
    /// A file that holds no key.
    #[error("{path}: {source}", path = path.display())]
    Key {
        /// The key file.
        path: PathBuf,
        /// What is wrong.
        source: KeyError,
    },
    /// A folder of the catalogue.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A trust root.
    #[error(transparent)]
    Root(#[from] RootError),
    /// Not an envelope.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// The catalogue is not accepted.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// An entry does not parse.
    #[error("{path}: {source}")]
    Entry {
        /// Its file.
        path: String,
        /// What is wrong.
        source: EntryError,
    },
    /// Entries with errors are not signed.
    #[error("{0} errors in the entries; see quell catalogue lint")]
    LintErrors(usize),
    /// Errors in the organisation's own entries of a folder that is to be countersigned.
    #[error("nothing was signed: the organisation's own entries have errors, mend them and sign the folder again: {0}")]
    OwnEntryErrors(String),
    /// An own entry that contradicts the signed index.
    #[error("nothing was signed: the text of entry {0} is not what the index lists; sign the folder again")]
    NotAsListed(EntryId),
    /// Nobody has agreed to sign the own entries.
    #[error("nothing was signed: read the own entries in full, then answer yes on a terminal or repeat it with --yes")]
    NotAgreed,
    /// An argument that makes no sense.
    #[error("{0}")]
    Argument(String),
    /// An organisation's own entry without its prefix, or another one with it.
    #[error(
        "entry {id} {}: the ids of the organisation's own entries begin with {}, and no others do",
        if *custom { "is given as the organisation's own" } else { "is not given as the organisation's own" },
        EntryId::CUSTOM_PREFIX
    )]
    Prefix {
        /// The entry.
        id: EntryId,
        /// Whether it was given as the organisation's own.
        custom: bool,
    },
    /// The keys given are not enough for the organisation role of the root.
    #[error(
        "these keys are not enough for the organisation role of the root; with --more-to-come they are added all the same"
    )]
    NotByOrganisation,
    /// The instant given lies in the past.
    #[error("{0} is over; give a later date")]
    AlreadyExpired(Timestamp),
    /// No such entry.
    #[error("there is no entry {0}; see quell catalogue show")]
    NoSuchEntry(String),
    /// The result could not be printed.
    #[error("printing the result")]
    Print(#[from] io::Error),
}

/// Run a command; `now` decides what has expired.
///
/// # Errors
/// See [`Error`]. Whatever is not an error exits with 0.
pub fn run(command: &Offline, output: Output, now: Timestamp, out: &mut impl Write) -> Result<(), Error> {
    match command {
        Offline::Key(KeyCommand::New { file }) => ceremony::key_new(file, output, out),
        Offline::Key(KeyCommand::Show { file }) => ceremony::key_show(file, output, out),
        Offline::Root(RootCommand::New(arguments)) => ceremony::root_new(arguments, output, now, out),
        Offline::Root(RootCommand::Update(arguments)) => ceremony::root_update(arguments, output, now, out),
        Offline::Root(RootCommand::Show { file }) => ceremony::root_show(file, output, now, out),
        Offline::New(arguments) => custom::new(arguments, output, out),
        Offline::Countersign(arguments) => custom::countersign(arguments, output, now, out),
        Offline::Sign(arguments) => ceremony::sign(arguments, output, now, out),
        Offline::Verify(arguments) => reading::verify(arguments, output, now, out),
        Offline::Lint(arguments) => reading::lint(arguments, output, out),
        Offline::Show(arguments) => reading::show(arguments, output, out),
    }
}

/// A date means its first instant in UTC.
fn parse_expiry(text: &str) -> Result<Timestamp, String> {
    let instant = if text.contains('T') { text.parse() } else { format!("{text}T00:00:00Z").parse() };
    instant.map_err(|_| format!("`{text}` is not a date such as 2027-06-30 or an instant such as 2027-06-30T12:00:00Z"))
}

fn parse_revocation(text: &str) -> Result<Revocation, String> {
    let (what, reason) = text.split_once('=').ok_or("expected ID=REASON")?;
    let what = match what.parse::<Digest>() {
        Ok(digest) => Revoked::Digest(digest),
        Err(_) => Revoked::Id(what.parse::<EntryId>().map_err(|error| error.to_string())?),
    };
    Ok(Revocation { what, reason: reason.parse().map_err(|error: catalogue::text::TextError| error.to_string())? })
}

fn print_json(value: &serde_json::Value, out: &mut impl Write) -> Result<(), Error> {
    Ok(writeln!(out, "{value:#}")?)
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Dynamic).set_header(header);
    table
}
