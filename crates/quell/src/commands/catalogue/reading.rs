//! The commands that only read: verifying a catalogue folder, linting and showing entries.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use catalogue::{
    bundle::{Bundle, VerifiedCatalogue, verify_bundle},
    embedded,
    folder::read_capped,
    lints::{Finding, Severity, lint_all},
    schema::{ENTRY_BYTES_MAX, Entry},
    statements,
    text::Cve,
};
use domain::time::Timestamp;
use protocol::{
    root::{ROOT_BYTES_MAX, Root},
    signed::{Envelope, EnvelopeError},
};
use serde_json::json;

use super::{Error, Lint, Output, Show, Verify, ceremony::read_root, print_json, table};

/// Entries with the names of their files, from a folder (or one file) or from the program itself.
pub(super) fn load(path: Option<&Path>) -> Result<Vec<(String, Entry)>, Error> {
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

pub(super) fn findings(entries: &[(String, Entry)]) -> Vec<Finding> {
    lint_all(entries.iter().map(|(name, entry)| (name.as_str(), entry)))
}

pub(super) fn verify(arguments: &Verify, output: Output, now: Timestamp, out: &mut impl Write) -> Result<(), Error> {
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

pub(super) fn lint(arguments: &Lint, output: Output, out: &mut impl Write) -> Result<(), Error> {
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

pub(super) fn show(arguments: &Show, output: Output, out: &mut impl Write) -> Result<(), Error> {
    let entries: Vec<Entry> = load(arguments.entries.as_deref())?.into_iter().map(|(_, entry)| entry).collect();
    let named = arguments.id.as_ref().filter(|id| id.to_uppercase().parse::<Cve>().is_ok());
    if let Some(id) = arguments.id.as_ref().filter(|_| named.is_none()) {
        let entry =
            entries.iter().find(|entry| entry.id.as_str() == id).ok_or_else(|| Error::NoSuchEntry(id.clone()))?;
        return show_entry(entry, output, out);
    }
    let wanted = named.or(arguments.cve.as_ref()).map(|cve| cve.to_uppercase());
    let statement = wanted.as_ref().and_then(|cve| statements::of(&cve.parse().ok()?));
    let covers = |entry: &&Entry| {
        wanted
            .as_ref()
            .is_none_or(|cve| entry.vulnerabilities.iter().any(|c| c.cve.as_ref().is_some_and(|c| c.as_str() == cve)))
    };
    let shown: Vec<&Entry> = entries.iter().filter(covers).collect();
    if output == Output::Json {
        let entries: Vec<_> = shown.iter().map(|entry| json!({ "digest": entry.digest(), "entry": entry })).collect();
        return match statement {
            Some(statement) => print_json(&json!({ "entries": entries, "no_sound_mitigation": statement }), out),
            None => print_json(&json!({ "entries": entries }), out),
        };
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
    writeln!(out, "{table}\n{} entries", shown.len())?;
    match statement {
        Some(statement) => Ok(writeln!(out, "\n{}\n{}", statement.sentence(), statement.url)?),
        None => Ok(()),
    }
}

pub(super) fn show_entry(entry: &Entry, output: Output, out: &mut impl Write) -> Result<(), Error> {
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
    for words in catalogue::words::of(entry) {
        writeln!(out, "{} on {}", words.kind, words.target)?;
        writeln!(out, "  checked: {}\n  changed: {}\n  undone: {}", words.checked, words.changed, words.undone)?;
    }
    for sentence in catalogue::words::afterwards(entry) {
        writeln!(out, "{sentence}")?;
    }
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
