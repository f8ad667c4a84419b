//! An organisation's own entries: a commented beginning of one, the rule about their names, and the organisation's signature.
//!
//! The content key signs an index with them like any other; agents and servers use them only when keys of the organisation role
//! signed the same index (`catalogue::index::verify_index`).

use std::{
    fs,
    io::{self, BufRead as _, IsTerminal as _, Write},
    path::Path,
};

use catalogue::{
    bundle::{Bundle, VerifiedCatalogue, verify_bundle},
    index::INDEX_BYTES_MAX,
    lints::{Finding, Severity},
    schema::Entry,
    text::EntryId,
};
use domain::time::Timestamp;
use protocol::{root::ROOT_BYTES_MAX, signed::Envelope};
use serde_json::json;

use super::{
    Countersign, Error, New, Output,
    ceremony::{read_keys, read_root, write_new},
    print_json,
    reading::{findings, show_entry},
    skeleton::{Choice, skeleton},
};

/// `quell catalogue new`: write a beginning that parses and has no lint errors, and say what is to be done with it.
pub(super) fn new(arguments: &New, output: Output, out: &mut impl Write) -> Result<(), Error> {
    let id = asked("id", arguments.id.as_deref(), "Id of the entry, beginning with org-: ")?;
    let id: EntryId = id.parse().map_err(|error: catalogue::text::TextError| Error::Argument(error.to_string()))?;
    named_as_custom(&id, true)?;
    let kind = asked("kind", arguments.kind.as_deref(), "Kind of action, such as file.setting or service.state: ")?;
    let covers = match (&arguments.cve, arguments.qid) {
        (None, None) => asked("cve or --qid", None, "The CVE it covers, or the number of a QID: ")?,
        (Some(cve), _) => cve.clone(),
        (None, Some(qid)) => qid.to_string(),
    };
    let choice = Choice {
        id: &id,
        kind: &kind,
        covers: &covers,
        title: arguments.title.as_deref(),
        points: arguments.points,
        reference: arguments.reference.as_deref(),
    };
    let text = skeleton(&choice)?;
    let path = arguments.out.join(format!("{id}.toml"));
    // Whatever was typed, what is written parses and can be signed.
    let entry = Entry::from_toml(&text).map_err(|source| Error::Entry { path: path.display().to_string(), source })?;
    let errors = lint_errors(&[(id.to_string(), entry)]);
    if errors > 0 {
        return Err(Error::LintErrors(errors));
    }
    fs::create_dir_all(&arguments.out).map_err(|source| Error::File {
        doing: "creating",
        path: arguments.out.clone(),
        source,
    })?;
    write_new(&path, text.as_bytes(), 0o644)?;
    match output {
        Output::Json => print_json(&json!({ "file": path, "id": id }), out),
        Output::Table => Ok(writeln!(
            out,
            "wrote {0}\nEvery line that says CHANGE is an example. Then:\n  quell catalogue lint {0} --warnings",
            path.display()
        )?),
    }
}

fn asked(flag: &str, given: Option<&str>, question: &str) -> Result<String, Error> {
    if let Some(given) = given {
        return Ok(given.to_owned());
    }
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return Err(Error::Argument(format!("give --{flag}: nobody can be asked")));
    }
    let mut stderr = io::stderr();
    write!(stderr, "{question}").and_then(|()| stderr.flush())?;
    let mut line = String::new();
    stdin.lock().read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

fn lint_errors(entries: &[(String, Entry)]) -> usize {
    findings(entries).iter().filter(|finding| finding.severity == Severity::Error).count()
}

/// An organisation's own entries carry its prefix, and no others do.
pub(super) fn named_as_custom(id: &EntryId, custom: bool) -> Result<(), Error> {
    if id.is_custom() == custom { Ok(()) } else { Err(Error::Prefix { id: id.clone(), custom }) }
}

/// `quell catalogue countersign`: the organisation's signature under an index that the content keys have signed. Nothing is
/// signed, nor a key read, before every own entry was linted, shown in full and agreed to.
pub(super) fn countersign(
    arguments: &Countersign,
    output: Output,
    now: Timestamp,
    out: &mut impl Write,
) -> Result<(), Error> {
    let mut bundle = Bundle::read_from(&arguments.folder)?;
    let updates: Vec<Envelope> =
        bundle.roots.iter().map(|sealed| Envelope::parse(sealed, ROOT_BYTES_MAX)).collect::<Result<_, _>>()?;
    let root = read_root(&arguments.root)?.accept_chain(&updates)?;
    // Nobody signs what an agent would not take: the content keys come first.
    let before = verify_bundle(&root, &bundle.index, &bundle.entries, now, 0)?;
    let version = before.index().version();
    let own = own_entries(&before, &bundle)?;
    if output == Output::Table {
        for entry in &own {
            show_entry(entry, output, out)?;
            writeln!(out)?;
        }
        out.flush()?;
    }
    let agreed = arguments.yes || (output == Output::Table && asked_to_sign(own.len(), version)?);
    if !agreed {
        if output == Output::Json {
            print_countersigned(version, (false, false), &own, out)?;
        }
        return Err(Error::NotAgreed);
    }
    let mut envelope = Envelope::parse(&bundle.index, INDEX_BYTES_MAX)?;
    for key in &read_keys(&arguments.keys)? {
        envelope.add_signature(key);
    }
    let sealed = envelope.to_json();
    let complete = verify_bundle(&root, &sealed, &bundle.entries, now, 0)?.index().is_by_organisation();
    if !complete && !arguments.more_to_come {
        return Err(Error::NotByOrganisation);
    }
    bundle.index = sealed;
    bundle.write_to(&arguments.folder)?;
    if output == Output::Json {
        return print_countersigned(version, (true, complete), &own, out);
    }
    let said = if complete { "the organisation's signature is complete" } else { "more of its keys have to sign" };
    Ok(writeln!(out, "version {version}: {said}; {} entries of its own", own.len())?)
}

/// The organisation's own entries of a bundle that the content keys have signed, each as the index names it.
///
/// # Errors
/// One that cannot be read and so not be shown, one that is not what the index says, lint errors in any.
fn own_entries(before: &VerifiedCatalogue, bundle: &Bundle) -> Result<Vec<Entry>, Error> {
    let (mut own, mut all) = (Vec::new(), Vec::new());
    for listed in &before.index().index().entries {
        let bytes = bundle.entries.get(&listed.digest).map_or(&[] as &[u8], Vec::as_slice);
        let parsed = Entry::from_json(bytes);
        if listed.id.is_custom() {
            let entry = parsed.map_err(|source| Error::Entry { path: listed.id.to_string(), source })?;
            // What is shown is what is signed: the digest of the text is that of the bytes.
            if (&entry.id, entry.revision, entry.digest()) != (&listed.id, listed.revision, listed.digest) {
                return Err(Error::NotAsListed(listed.id.clone()));
            }
            all.push((listed.id.to_string(), entry.clone()));
            own.push(entry);
        } else if let Ok(entry) = parsed {
            // Others are read for what own ones say of them only.
            all.push((listed.id.to_string(), entry));
        }
    }
    let of_own = |finding: &Finding| {
        finding.severity == Severity::Error && own.iter().any(|entry| entry.id.as_str() == finding.entry)
    };
    let errors: Vec<String> = findings(&all)
        .into_iter()
        .filter(of_own)
        .map(|finding| format!("{}: {} ({})", finding.entry, finding.message, finding.lint))
        .collect();
    if errors.is_empty() { Ok(own) } else { Err(Error::OwnEntryErrors(errors.join("; "))) }
}

/// Whether whoever sits at the terminal agrees; nobody there is no.
fn asked_to_sign(entries: usize, version: u64) -> Result<bool, Error> {
    let (stdin, mut stderr) = (io::stdin(), io::stderr());
    if !stdin.is_terminal() {
        return Ok(false);
    }
    write!(stderr, "Sign version {version} with these {entries} entries for the organisation? yes/no: ")?;
    stderr.flush()?;
    let mut line = String::new();
    stdin.lock().read_line(&mut line)?;
    Ok(line.trim() == "yes")
}

fn print_countersigned(
    version: u64,
    (signed, complete): (bool, bool),
    own: &[Entry],
    out: &mut impl Write,
) -> Result<(), Error> {
    let entries: Vec<_> = own
        .iter()
        .map(|entry| json!({ "id": entry.id, "revision": entry.revision, "digest": entry.digest(), "entry": entry }))
        .collect();
    print_json(&json!({ "version": version, "signed": signed, "complete": complete, "entries": entries }), out)
}

/// Entries below a folder of the organisation's own, refusing any without its prefix.
pub(super) fn load_custom(folder: Option<&Path>) -> Result<Vec<(String, Entry)>, Error> {
    let Some(folder) = folder else { return Ok(Vec::new()) };
    let entries = super::reading::load(Some(folder))?;
    entries.iter().try_for_each(|(_, entry)| named_as_custom(&entry.id, true))?;
    Ok(entries)
}
