//! `archive.member_absent`: a member is in none of some archives below some folders.
//!
//! Found are regular files only; no link is followed, and every bound that is hit makes the answer "unknown" rather than "not
//! there". An archive within another is looked into but never changed: who put it there has to. Programs that have the old file
//! open go on with it, which counts as waiting for a restart.

use super::{Finding, KindError, Presence, Workspace};
use crate::fs::{Hashing, Limits};
use crate::host::Host;
use crate::record::{ArchiveChange, FileState, Step};
use crate::zipfile::{self, ARCHIVE_BYTES_MAX, ZipError};
use catalogue::actions::ArchiveMemberAbsent;
use protocol::digest::Digest;
use std::io::{Cursor, Read, Seek};

/// Bounds of the search below one folder.
const LIMITS: Limits = Limits { depth: 24, names: 400_000 };
/// Most archives that one action changes.
const CHANGED_MAX: usize = 256;
/// Most bytes unpacked for one archive on the disk.
const UNPACKED_MAX: u64 = 256 * 1024 * 1024;
/// Archives within archives within archives.
const NESTED_MAX: u32 = 3;
/// Most paths shown.
const SHOWN_MAX: usize = 8;

/// What a search found.
#[derive(Default)]
struct Survey {
    /// Archives of the right names without the member.
    clean: Vec<String>,
    /// With it.
    holding: Vec<String>,
    /// `outer!inner` with it.
    nested: Vec<String>,
    /// Why something may have been missed.
    gaps: Vec<String>,
}

/// See [`super::check`].
///
/// # Errors
/// When a folder cannot be opened.
pub fn check(action: &ArchiveMemberAbsent, host: &Host, workspace: &Workspace<'_>) -> Result<Finding, KindError> {
    let mut survey = survey(action, host)?;
    let planned = |path: &String| workspace.acts(|step| is_removal(step, path, action.member.as_str()));
    let (done, holding) = survey.holding.drain(..).partition(planned);
    let (done, holding): (Vec<String>, Vec<String>) = (done, holding);
    if !holding.is_empty() || !survey.nested.is_empty() {
        let shown = listed(&[holding.as_slice(), &survey.nested].concat());
        let note = match survey.nested.first() {
            Some(nested) => format!("{nested} lies within another archive and has to be changed by hand"),
            None => String::new(),
        };
        return Ok(Finding::because(Presence::Absent, shown, note));
    }
    if !survey.gaps.is_empty() {
        return Ok(Finding::unknown(listed(&survey.gaps)));
    }
    if survey.clean.is_empty() && done.is_empty() {
        return Ok(Finding::because(Presence::NotHere, "(absent)", "there is no such archive"));
    }
    let clean = survey.clean.len() + done.len();
    let shown = format!("in none of {clean} {}", if clean == 1 { "archive" } else { "archives" });
    let open = host.tree.replaced_but_open(&survey.clean);
    if !open.by.is_empty() {
        let note = format!("a program has the old archive open and has to be restarted: process {}", listed(&open.by));
        return Ok(Finding::because(Presence::Partial, shown, note));
    }
    // Who holds very many files may hold an old archive among them; no more than that can be made of it.
    if let Some(gap) = open.gap {
        let note = format!("whether a program has the old archive open is not known: {gap}; restart what uses it");
        return Ok(Finding::because(Presence::Partial, shown, note));
    }
    Ok(Finding::new(Presence::Present, shown))
}

/// See [`super::plan`].
///
/// # Errors
/// When an archive cannot be changed, or something may have been missed.
pub fn plan(action: &ArchiveMemberAbsent, host: &Host, workspace: &mut Workspace<'_>) -> Result<(), KindError> {
    let survey = survey(action, host)?;
    if let Some(nested) = survey.nested.first() {
        let text = format!("{nested} lies within another archive; replace or change it by hand");
        return Err(KindError::Cannot(text));
    }
    if let Some(gap) = survey.gaps.first() {
        return Err(KindError::Cannot(format!("not everything could be looked at: {gap}")));
    }
    if survey.holding.len() > CHANGED_MAX {
        return Err(KindError::Cannot(format!("more than {CHANGED_MAX} archives would be changed")));
    }
    for path in survey.holding {
        if workspace.acts(|step| step.place() == path) {
            return Err(KindError::Cannot(format!("another action of this entry changes {path}")));
        }
        let step = removal(action.member.as_str(), &path, host)?;
        workspace.act(step);
    }
    Ok(())
}

fn is_removal(step: &Step, of: &str, what: &str) -> bool {
    matches!(step, Step::Archive { path, member, change: ArchiveChange::Remove, .. } if path == of && member == what)
}

fn cannot(path: &str, error: &dyn std::fmt::Display) -> KindError {
    KindError::Cannot(format!("{path}: {error}"))
}

/// The step that takes the member out of one archive.
fn removal(member: &str, path: &str, host: &Host) -> Result<Step, KindError> {
    // Before half a gigabyte is read for nothing; the workspace asks again for what takes it back, too.
    host.tree.changeable(path, true)?;
    let before = host.tree.large_state(path, ARCHIVE_BYTES_MAX)?.ok_or_else(|| cannot(path, &"it is gone"))?;
    if before.mode & 0o7000 != 0 {
        return Err(cannot(path, &"an archive with special permission bits is not changed"));
    }
    let mut file = host.tree.open_large(path)?.ok_or_else(|| cannot(path, &"it is gone"))?;
    let list = zipfile::list(&mut file).map_err(|error| cannot(path, &error))?;
    let cut = zipfile::cut(&mut file, &list, member).map_err(|error| cannot(path, &error))?;
    let digest = Hashing::digest_of(|to| zipfile::without(&mut file, member, to));
    let digest = digest.map_err(|error| cannot(path, &error))?;
    Ok(Step::Archive {
        path: path.to_owned(),
        member: member.to_owned(),
        after: FileState { digest, ..before.clone() },
        before,
        change: ArchiveChange::Remove,
        cut: Digest::of(&cut.to_bytes()).to_string(),
    })
}

/// The bytes to keep before a step of ours; nothing for other steps.
///
/// # Errors
/// A sentence when the archive is not what was planned with.
pub fn prior(step: &Step, host: &Host) -> Result<Option<Vec<u8>>, String> {
    let Step::Archive { path, member, cut, change: ArchiveChange::Remove, .. } = step else { return Ok(None) };
    let changed = || format!("{path} changed while we worked on it");
    let mut file = host.tree.open_large(path).map_err(|error| error.to_string())?.ok_or_else(changed)?;
    let list = zipfile::list(&mut file).map_err(|_| changed())?;
    let bytes = zipfile::cut(&mut file, &list, member).map_err(|_| changed())?.to_bytes();
    if Digest::of(&bytes).to_string() == *cut { Ok(Some(bytes)) } else { Err(changed()) }
}

/// Change an archive; `bytes` gives what was cut out.
///
/// # Errors
/// A sentence.
pub fn perform(step: &Step, host: &Host, bytes: &dyn Fn(&str) -> Option<Vec<u8>>, tag: &str) -> Result<(), String> {
    let Step::Archive { path, member, before, after, change, cut } = step else { return Ok(()) };
    let kept = match change {
        ArchiveChange::Remove => None,
        ArchiveChange::Restore | ArchiveChange::Insert => {
            let kept = bytes(cut).and_then(|bytes| zipfile::Cut::from_bytes(&bytes));
            Some(kept.ok_or_else(|| format!("what was cut out of {path} is not kept any more"))?)
        }
    };
    let mut write = |file: &mut std::fs::File, to: &mut dyn std::io::Write| {
        rewrite(file, member, *change, kept.as_ref(), to).map_err(std::io::Error::other)
    };
    host.tree.replace_large(path, before, after, tag, &mut write).map_err(|error| error.to_string())
}

fn rewrite(
    file: &mut (impl Read + Seek),
    member: &str,
    change: ArchiveChange,
    kept: Option<&zipfile::Cut>,
    to: &mut dyn std::io::Write,
) -> Result<(), ZipError> {
    match (change, kept) {
        (ArchiveChange::Restore, Some(kept)) => zipfile::whole(file, kept, to),
        (ArchiveChange::Insert, Some(kept)) => zipfile::with(file, member, kept, to),
        _ => zipfile::without(file, member, to),
    }
}

/// What taking one step of ours back means here; nothing when the member is there again already.
///
/// # Errors
/// A sentence, and whether somebody else changed the archive in a way that leaves nothing to put the member into.
pub fn take_back(step: &Step, host: &Host, kept: &[u8]) -> Result<Option<Step>, (bool, String)> {
    let Step::Archive { path, member, before, after, cut, .. } = step else { return Ok(None) };
    let failed = |error: &dyn std::fmt::Display| (false, format!("{path}: {error}"));
    let present = host.tree.large_state(path, ARCHIVE_BYTES_MAX).map_err(|error| failed(&error))?;
    let Some(present) = present else { return Err((true, format!("{path} is gone"))) };
    if present == *before {
        return Ok(None);
    }
    if present == *after {
        return Ok(Some(step.inverse()));
    }
    let gone = || (true, format!("{path} is gone"));
    let mut file = host.tree.open_large(path).map_err(|error| failed(&error))?.ok_or_else(gone)?;
    let list = zipfile::list(&mut file).map_err(|error| (true, format!("{path}: {error}")))?;
    if list.has(member) {
        return Ok(None);
    }
    let kept = zipfile::Cut::from_bytes(kept).ok_or_else(|| failed(&"what was cut out of it is damaged"))?;
    let digest =
        Hashing::digest_of(|to| zipfile::with(&mut file, member, &kept, to)).map_err(|error| failed(&error))?;
    Ok(Some(Step::Archive {
        path: path.clone(),
        member: member.clone(),
        after: FileState { digest, ..present.clone() },
        before: present,
        change: ArchiveChange::Insert,
        cut: cut.clone(),
    }))
}

fn survey(action: &ArchiveMemberAbsent, host: &Host) -> Result<Survey, KindError> {
    let outer = |name: &str| action.names_archive(name) || (action.nested && is_outer(name));
    let mut files = Vec::new();
    let mut survey = Survey::default();
    for root in &action.roots {
        let found = host.tree.find(root.as_str(), LIMITS, &outer)?;
        files.extend(found.files);
        survey.gaps.extend(found.gap);
    }
    files.sort_unstable();
    files.dedup();
    for path in files {
        if host.until.passed() {
            survey.gaps.push(format!("the time for it was over before {path} was looked at"));
            break;
        }
        look(action, host, &path, &mut survey);
    }
    Ok(survey)
}

/// Archives that hold others.
fn is_outer(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [".jar", ".war", ".ear"].iter().any(|suffix| name.ends_with(suffix))
}

fn look(action: &ArchiveMemberAbsent, host: &Host, path: &str, survey: &mut Survey) {
    let name = path.rsplit('/').next().unwrap_or_default();
    let named = action.names_archive(name);
    let mut file = match host.tree.open_large(path) {
        Ok(Some(file)) => file,
        // Removed since the folder was read.
        Ok(None) => return,
        Err(error) => return survey.gaps.push(error.to_string()),
    };
    let list = match zipfile::list(&mut file) {
        Ok(list) => list,
        // No program can load it as an archive either; one that has the name is told all the same.
        Err(ZipError::NotOne) if !named => return,
        Err(error) => return survey.gaps.push(format!("{path}: {error}")),
    };
    if named {
        let place = if list.has(action.member.as_str()) { &mut survey.holding } else { &mut survey.clean };
        place.push(path.to_owned());
    }
    if action.nested {
        let mut budget = UNPACKED_MAX;
        look_inside(action, &mut file, &list, path, 1, &mut budget, survey);
    }
}

fn look_inside(
    action: &ArchiveMemberAbsent,
    file: &mut (impl Read + Seek),
    list: &zipfile::List,
    shown: &str,
    depth: u32,
    budget: &mut u64,
    survey: &mut Survey,
) {
    for member in &list.members {
        let name = member.name.rsplit('/').next().unwrap_or_default();
        let lower = name.to_ascii_lowercase();
        let named = action.names_archive(name);
        if !named && !lower.ends_with(".war") && !lower.ends_with(".ear") {
            continue;
        }
        let shown = format!("{shown}!{}", member.name.escape_default());
        if depth > NESTED_MAX {
            survey.gaps.push(format!("{shown} is nested too deep"));
            continue;
        }
        let inner = zipfile::inner(file, member, budget);
        let inner = inner.and_then(|bytes| {
            let mut inner = Cursor::new(bytes);
            zipfile::list(&mut inner).map(|list| (inner, list))
        });
        match inner {
            Ok((mut inner, list)) => {
                if named && list.has(action.member.as_str()) {
                    survey.nested.push(shown.clone());
                }
                look_inside(action, &mut inner, &list, &shown, depth + 1, budget, survey);
            }
            Err(error) => survey.gaps.push(format!("{shown}: {error}")),
        }
    }
}

fn listed(paths: &[String]) -> String {
    let more = paths.len().saturating_sub(SHOWN_MAX);
    let shown: Vec<&str> = paths.iter().take(SHOWN_MAX).map(String::as_str).collect();
    let shown = shown.join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}
