//! `quell catalogue`: keys, the trust root, signing, checking and reading the catalogue. Works on files, needs no server.
//!
//! Private keys are read from and written to files of mode 0600 and appear nowhere else.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use catalogue::{
    embedded,
    folder::{FolderError, read_capped},
    index::{Bundle, CatalogueError, Revocation, Revoked, VerifiedCatalogue, verify_bundle},
    lints::{Finding, Severity, lint_all},
    schema::{ENTRY_BYTES_MAX, Entry, EntryError},
    text::EntryId,
};
use comfy_table::{ContentArrangement, Table, presets::UTF8_BORDERS_ONLY};
use domain::time::Timestamp;
use protocol::{
    digest::Digest,
    root::{ROOT_BYTES_MAX, ROOT_SPEC, Role, RoleKeys, Roles, Root, RootError},
    signed::{Envelope, EnvelopeError, KeyError, PublicKey, SigningKey},
};
use serde_json::json;

/// Largest key file read, in bytes.
const KEY_BYTES_MAX: usize = 4096;

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
    /// Make or show signing keys.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Make, update or show trust roots.
    #[command(subcommand)]
    Root(RootCommand),
    /// Sign entries into a catalogue folder.
    Sign(Sign),
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
    /// The entry; without it all are listed.
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
pub fn run(command: &Command, output: Output, now: Timestamp, out: &mut impl Write) -> Result<(), Error> {
    match command {
        Command::Key(KeyCommand::New { file }) => key_new(file, output, out),
        Command::Key(KeyCommand::Show { file }) => print_key(&read_key(file)?.public(), output, out),
        Command::Root(RootCommand::New(arguments)) => root_new(arguments, output, now, out),
        Command::Root(RootCommand::Update(arguments)) => root_update(arguments, output, now, out),
        Command::Root(RootCommand::Show { file }) => print_root(&read_root(file)?, output, now, out),
        Command::Sign(arguments) => sign(arguments, output, now, out),
        Command::Verify(arguments) => verify(arguments, output, now, out),
        Command::Lint(arguments) => lint(arguments, output, out),
        Command::Show(arguments) => show(arguments, output, out),
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

/// Write a file that must not be there yet.
fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let failed = |source| Error::File { doing: "writing", path: path.to_owned(), source };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)
}

fn read_key(path: &Path) -> Result<SigningKey, Error> {
    let failed = |source| Error::File { doing: "reading", path: path.to_owned(), source };
    if fs::metadata(path).map_err(failed)?.permissions().mode() & 0o077 != 0 {
        return Err(Error::KeyOpen { path: path.to_owned() });
    }
    let bytes = read_capped(path, KEY_BYTES_MAX)?;
    let key = |source| Error::Key { path: path.to_owned(), source };
    let text = String::from_utf8(bytes).map_err(|_| key(KeyError::PrivateText))?;
    SigningKey::from_pem(&text).map_err(key)
}

fn read_keys(paths: &[PathBuf]) -> Result<Vec<SigningKey>, Error> {
    paths.iter().map(|path| read_key(path)).collect()
}

fn key_new(path: &Path, output: Output, out: &mut impl Write) -> Result<(), Error> {
    let key = SigningKey::generate().map_err(|source| Error::Key { path: path.to_owned(), source })?;
    write_new(path, key.to_pem().as_bytes(), 0o600)?;
    print_key(&key.public(), output, out)
}

fn print_key(key: &PublicKey, output: Output, out: &mut impl Write) -> Result<(), Error> {
    match output {
        Output::Json => print_json(&json!({ "public_key": key, "id": key.id() }), out),
        Output::Table => Ok(writeln!(out, "public key  {key}\nkey id      {}", key.id())?),
    }
}

fn read_root(path: &Path) -> Result<Root, Error> {
    Ok(Root::trust_first(&Envelope::parse(&read_capped(path, ROOT_BYTES_MAX)?, ROOT_BYTES_MAX)?)?)
}

impl RoleArguments {
    fn root(&self, version: u64, root_keys: &[SigningKey], now: Timestamp) -> Result<Root, Error> {
        if self.expires <= now {
            return Err(Error::AlreadyExpired(self.expires));
        }
        let role =
            |keys: &[PublicKey], threshold| RoleKeys { keyids: keys.iter().map(PublicKey::id).collect(), threshold };
        let root_keys: Vec<PublicKey> = root_keys.iter().map(SigningKey::public).collect();
        let mut keys: Vec<PublicKey> = Vec::new();
        for key in root_keys.iter().chain(&self.content).chain(&self.organisation).chain(&self.order) {
            if !keys.contains(key) {
                keys.push(key.clone());
            }
        }
        let roles = Roles {
            root: role(&root_keys, self.root_threshold),
            content: role(&self.content, self.content_threshold),
            organisation: role(&self.organisation, 1),
            order: role(&self.order, 1),
        };
        Ok(Root { spec: ROOT_SPEC, version, expires: self.expires, keys, roles })
    }
}

fn root_new(arguments: &RootNew, output: Output, now: Timestamp, out: &mut impl Write) -> Result<(), Error> {
    let keys = read_keys(&arguments.root_keys)?;
    let root = arguments.roles.root(1, &keys, now)?;
    let sealed = root.seal(&keys.iter().collect::<Vec<_>>())?;
    // What nobody would trust is not written.
    Root::trust_first(&sealed)?;
    write_new(&arguments.out, &sealed.to_json(), 0o644)?;
    print_root(&root, output, now, out)
}

fn root_update(arguments: &RootUpdate, output: Output, now: Timestamp, out: &mut impl Write) -> Result<(), Error> {
    let before = read_root(&arguments.from)?;
    let keys = read_keys(&arguments.root_keys)?;
    let old_keys = read_keys(&arguments.old_root_keys)?;
    let root = arguments.roles.root(before.version.saturating_add(1), &keys, now)?;
    let mut sealed = root.seal(&keys.iter().collect::<Vec<_>>())?;
    for key in &old_keys {
        sealed.add_signature(key);
    }
    before.accept_update(&sealed)?;
    write_new(&arguments.out, &sealed.to_json(), 0o644)?;
    print_root(&root, output, now, out)
}

fn print_root(root: &Root, output: Output, now: Timestamp, out: &mut impl Write) -> Result<(), Error> {
    let fresh = root.freshness(now).allows_new_work();
    if output == Output::Json {
        return print_json(&json!({ "root": root, "fresh": fresh }), out);
    }
    writeln!(out, "version  {}\nexpires  {}{}", root.version, root.expires, if fresh { "" } else { "  (expired)" })?;
    let mut table = table(["role", "needed", "key id"]);
    for role in Role::ALL {
        let keys = root.role(role);
        for id in &keys.keyids {
            table.add_row([role.to_string(), keys.threshold.to_string(), id.to_string()]);
        }
    }
    Ok(writeln!(out, "{table}")?)
}

/// Entries with the names of their files, from a folder (or one file) or from the program itself.
fn load(path: Option<&Path>) -> Result<Vec<(String, Entry)>, Error> {
    let mut texts = Vec::new();
    match path {
        None => texts.extend(embedded::sources().iter().map(|source| (source.path.to_owned(), source.text.to_owned()))),
        Some(path) => collect(path, &mut texts)?,
    }
    texts.sort();
    let parse = |(path, text): (String, String)| match Entry::from_toml(&text) {
        Ok(entry) => Ok((file_name(&path), entry)),
        Err(source) => Err(Error::Entry { path, source }),
    };
    texts.into_iter().map(parse).collect()
}

fn file_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).trim_end_matches(".toml").to_owned()
}

fn collect(path: &Path, texts: &mut Vec<(String, String)>) -> Result<(), Error> {
    let failed = |source| Error::File { doing: "reading", path: path.to_owned(), source };
    if path.is_dir() {
        for item in fs::read_dir(path).map_err(failed)? {
            let item = item.map_err(failed)?.path();
            if item.is_dir() || item.extension().is_some_and(|extension| extension == "toml") {
                collect(&item, texts)?;
            }
        }
        return Ok(());
    }
    let bytes = read_capped(path, ENTRY_BYTES_MAX)?;
    let text = String::from_utf8(bytes).map_err(|error| failed(io::Error::other(error)))?;
    texts.push((path.display().to_string(), text));
    Ok(())
}

fn findings(entries: &[(String, Entry)]) -> Vec<Finding> {
    lint_all(entries.iter().map(|(name, entry)| (name.as_str(), entry)))
}

fn sign(arguments: &Sign, output: Output, now: Timestamp, out: &mut impl Write) -> Result<(), Error> {
    if arguments.expires <= now {
        return Err(Error::AlreadyExpired(arguments.expires));
    }
    let named = load(arguments.entries.as_deref())?;
    let errors = findings(&named).iter().filter(|finding| finding.severity == Severity::Error).count();
    if errors > 0 {
        return Err(Error::LintErrors(errors));
    }
    let entries: Vec<Entry> = named.into_iter().map(|(_, entry)| entry).collect();
    let keys = read_keys(&arguments.keys)?;
    let keys: Vec<&SigningKey> = keys.iter().collect();
    let mut bundle = Bundle::sign(arguments.version, arguments.expires, &entries, arguments.revoke.clone(), &keys)?;
    for path in &arguments.roots {
        bundle.roots.push(read_capped(path, ROOT_BYTES_MAX)?);
    }
    bundle.write_to(&arguments.out)?;
    let signers: Vec<String> = keys.iter().map(|key| key.id().to_string()).collect();
    match output {
        Output::Json => print_json(
            &json!({
                "folder": arguments.out, "version": arguments.version, "expires": arguments.expires,
                "entries": entries.len(), "revoked": arguments.revoke.len(), "signed_by": signers,
            }),
            out,
        ),
        Output::Table => Ok(writeln!(
            out,
            "signed {} entries as version {} until {} into {}\nby {}",
            entries.len(),
            arguments.version,
            arguments.expires,
            arguments.out.display(),
            signers.join("\n   ")
        )?),
    }
}

fn verify(arguments: &Verify, output: Output, now: Timestamp, out: &mut impl Write) -> Result<(), Error> {
    let bundle = Bundle::read_from(&arguments.folder)?;
    let updates: Result<Vec<Envelope>, EnvelopeError> =
        bundle.roots.iter().map(|sealed| Envelope::parse(sealed, ROOT_BYTES_MAX)).collect();
    let root = read_root(&arguments.root)?.accept_chain(&updates?)?;
    let catalogue = verify_bundle(&root, &bundle.index, &bundle.entries, now, arguments.highest_seen)?;
    print_verified(&root, &catalogue, output, out)
}

fn print_verified(
    root: &Root,
    catalogue: &VerifiedCatalogue,
    output: Output,
    out: &mut impl Write,
) -> Result<(), Error> {
    let index = catalogue.index().index();
    let rejected: Vec<(String, String)> =
        catalogue.rejected().iter().map(|(id, error)| (id.to_string(), error.to_string())).collect();
    if output == Output::Json {
        let entries: Vec<_> = catalogue
            .entries()
            .map(
                |entry| json!({ "id": entry.entry().id, "revision": entry.entry().revision, "digest": entry.digest() }),
            )
            .collect();
        let rejected: Vec<_> = rejected.iter().map(|(id, reason)| json!({ "id": id, "reason": reason })).collect();
        return print_json(
            &json!({
                "root_version": root.version, "version": index.version, "expires": index.expires,
                "entries": entries, "rejected": rejected, "revoked": index.revoked,
            }),
            out,
        );
    }
    writeln!(
        out,
        "the catalogue is good: version {} until {}, root version {}",
        index.version, index.expires, root.version
    )?;
    let mut table = table(["entry", "revision", "digest"]);
    for entry in catalogue.entries() {
        table.add_row([entry.entry().id.to_string(), entry.entry().revision.to_string(), entry.digest().to_string()]);
    }
    writeln!(out, "{table}")?;
    for (id, reason) in rejected {
        writeln!(out, "not usable: {id}: {reason}")?;
    }
    Ok(())
}

fn lint(arguments: &Lint, output: Output, out: &mut impl Write) -> Result<(), Error> {
    let entries = load(arguments.path.as_deref())?;
    let found = findings(&entries);
    let errors = found.iter().filter(|finding| finding.severity == Severity::Error).count();
    let warnings = found.len() - errors;
    let shown: Vec<&Finding> = found.iter().filter(|f| arguments.warnings || f.severity == Severity::Error).collect();
    if output == Output::Json {
        print_json(
            &json!({ "entries": entries.len(), "errors": errors, "warnings": warnings, "findings": shown }),
            out,
        )?;
    } else {
        if !shown.is_empty() {
            let mut table = table(["severity", "entry", "lint", "what"]);
            for Finding { entry, severity, lint, message } in &shown {
                table.add_row([&severity.to_string(), entry, &(*lint).to_owned(), message]);
            }
            writeln!(out, "{table}")?;
        }
        let hint = if warnings > 0 && !arguments.warnings { " (--warnings shows them)" } else { "" };
        writeln!(out, "{} entries, {errors} errors, {warnings} warnings{hint}", entries.len())?;
    }
    if errors > 0 { Err(Error::LintErrors(errors)) } else { Ok(()) }
}

fn show(arguments: &Show, output: Output, out: &mut impl Write) -> Result<(), Error> {
    let entries: Vec<Entry> = load(arguments.entries.as_deref())?.into_iter().map(|(_, entry)| entry).collect();
    if let Some(id) = &arguments.id {
        let entry =
            entries.iter().find(|entry| entry.id.as_str() == id).ok_or_else(|| Error::NoSuchEntry(id.clone()))?;
        return show_entry(entry, output, out);
    }
    let wanted = arguments.cve.as_deref().map(str::to_uppercase);
    let covers = |entry: &&Entry| {
        wanted
            .as_ref()
            .is_none_or(|cve| entry.vulnerabilities.iter().any(|c| c.cve.as_ref().is_some_and(|c| c.as_str() == cve)))
    };
    let shown: Vec<&Entry> = entries.iter().filter(covers).collect();
    if output == Output::Json {
        let entries: Vec<_> = shown.iter().map(|entry| json!({ "digest": entry.digest(), "entry": entry })).collect();
        return print_json(&json!({ "entries": entries }), out);
    }
    let mut table = table(["entry", "title", "covers", "points", "risk"]);
    for entry in &shown {
        let cves = entry.vulnerabilities.iter().filter_map(|c| c.cve.as_ref()).map(ToString::to_string);
        let points = entry.vulnerabilities.iter().map(|covered| covered.points).max().unwrap_or(0);
        table.add_row([
            entry.id.to_string(),
            entry.title.to_string(),
            cves.collect::<Vec<_>>().join(" "),
            points.to_string(),
            entry.human.risk.as_str().to_owned(),
        ]);
    }
    Ok(writeln!(out, "{table}\n{} entries", shown.len())?)
}

fn show_entry(entry: &Entry, output: Output, out: &mut impl Write) -> Result<(), Error> {
    if output == Output::Json {
        return print_json(&json!({ "digest": entry.digest(), "entry": entry }), out);
    }
    writeln!(out, "{}, revision {}\n{}\n\n{}", entry.id, entry.revision, entry.title, entry.human.summary)?;
    writeln!(out, "Side effects: {}", entry.human.side_effects)?;
    writeln!(
        out,
        "Risk {}, reversible {}, reboot {}",
        entry.human.risk.as_str(),
        entry.after.reversible.as_str(),
        entry.after.reboot.as_str()
    )?;
    let mut covers = table(["covers", "coverage", "points", "vector"]);
    for covered in &entry.vulnerabilities {
        let name = covered.cve.as_ref().map_or_else(
            || covered.qids.iter().map(|q| format!("QID {}", q.qid)).collect::<Vec<_>>().join(" "),
            ToString::to_string,
        );
        covers.add_row([
            name,
            covered.coverage.as_str().to_owned(),
            covered.points.to_string(),
            covered.vector.as_str().to_owned(),
        ]);
    }
    let mut actions = table(["action", "on", "wanted"]);
    for action in &entry.actions {
        actions.add_row([action.kind().to_owned(), action.target(), action.wanted()]);
    }
    writeln!(out, "{covers}\n{actions}")?;
    for condition in entry.applies.describe() {
        writeln!(out, "Only where {condition}.")?;
    }
    for reference in &entry.references {
        let read =
            reference.read_on.map_or_else(|| "not yet read by a person".to_owned(), |day| format!("read on {day}"));
        writeln!(out, "{} ({}, {read})", reference.url, reference.kind.as_str())?;
    }
    Ok(writeln!(out, "Digest {}", entry.digest())?)
}
