//! Putting back what we changed, and nothing else: compare-and-swap on every setting (S10).
//!
//! The whole file is put back byte for byte only while it is exactly what we wrote. Where somebody changed something else in it,
//! our setting alone goes back; where somebody changed our setting, the plan stops and nothing at all is written.

use crate::format::{self, TakenBack};
use crate::fs::{FsError, Image, Node, PROGRAM_BYTES_MAX, SPECIAL_BITS};
use crate::host::Host;
use crate::kinds::{
    self, Workspace, archive_member_absent, crypto_policy_module, firewall_rule, kernel_cmdline, package_state,
    selinux_boolean,
};
use crate::leftover;
use crate::orders::Book;
use crate::record::{By, FileState, Hold, Holding, Step, XmlFileEdit};
use crate::state::StateDir;
use crate::steps::perform;
use crate::xml;
use protocol::agent::ActionEvidence;
use std::collections::BTreeSet;

/// Why nothing is put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Somebody changed our setting: which, and to what.
    Drifted(String),
    /// It cannot be done.
    Failed(String),
}

impl From<FsError> for Stop {
    fn from(error: FsError) -> Self {
        Stop::Failed(error.to_string())
    }
}

/// What putting back means.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Steps, in order.
    pub steps: Vec<Step>,
    /// Files to be written.
    pub images: Vec<Image>,
    /// What is said of each action.
    pub evidence: Vec<ActionEvidence>,
}

/// Settings of a holding that another entry of ours still needs, with that entry.
#[must_use]
pub fn heirs(holding: &Holding, book: &Book) -> Vec<(String, String)> {
    let ours = holding.holds.iter().filter(|hold| hold.by != By::Others);
    ours.filter_map(|hold| Some((hold.key.clone(), book.other_holder(&hold.key, &holding.entry_id)?.to_owned())))
        .collect()
}

/// Digests of all prior states that may still be needed.
#[must_use]
pub fn priors(book: &Book) -> BTreeSet<String> {
    let steps = book.holdings().values().flat_map(|holding| &holding.steps);
    steps
        .filter_map(|step| match step {
            Step::File { before: Some(before), .. } => Some(before.digest.clone()),
            Step::Archive { cut, .. } => Some(cut.clone()),
            _ => None,
        })
        .collect()
}

/// Plan to put back a holding, all of it or nothing.
///
/// # Errors
/// See [`Stop`].
pub fn plan(holding: &Holding, passed_on: &[(String, String)], host: &Host, state: &StateDir) -> Result<Plan, Stop> {
    let stays = |hold: &Hold| hold.by != By::Us || passed_on.iter().any(|(key, _)| *key == hold.key);
    let mut workspace = Workspace::new(&host.tree);
    let mut plan = Plan::default();
    let mut whole: BTreeSet<&str> = BTreeSet::new();
    let mut acts = Vec::new();
    for hold in holding.holds.iter().rev() {
        if stays(hold) {
            plan.evidence.push(evidence(hold, "kept", Vec::new(), String::new()));
            continue;
        }
        match hold.edited() {
            Some(path) if whole.contains(path) => {}
            Some(path) => {
                if let Some((before, made)) = whole_file(path, holding, &stays, host)? {
                    put_whole(path, before.as_ref(), &mut workspace, state)?;
                    workspace_made(&mut acts, path, made);
                    whole.insert(path);
                } else {
                    setting_alone(hold, &mut workspace)?;
                }
            }
            None => {
                for step in hold.steps.iter().rev().filter_map(|at| holding.steps.get(*at as usize)) {
                    one_step(step, hold, host, &mut workspace, state, &mut acts)?;
                }
            }
        }
        let files = hold.steps.iter().filter_map(|at| holding.steps.get(*at as usize)).map(Step::place);
        let files: Vec<String> = files.filter(|place| place.starts_with('/')).collect();
        let diff = files.iter().map(|file| workspace.diff(file)).collect();
        plan.evidence.push(evidence(hold, "reverted", files, diff));
    }
    plan.evidence.reverse();
    plan.steps = workspace.steps()?;
    // A policy must not name a module whose text is gone already.
    plan.steps.sort_by_key(|step| !matches!(step, Step::CryptoPolicy { .. }));
    for step in &mut plan.steps {
        if let Step::File { path, made, after: None, .. } | Step::Link { path, made, after: None, .. } = step {
            made.extend(acts.iter().filter(|(of, _)| of == path).flat_map(|(_, made)| made.iter().cloned()));
        }
    }
    plan.images = plan.steps.iter().filter_map(|step| workspace.images(&step.place()).1.cloned()).collect();
    for step in &plan.steps {
        if let Step::Archive { cut, .. } = step {
            let bytes = state.prior(cut).ok_or_else(|| damaged(step))?;
            plan.images.push(Image { bytes, mode: 0, uid: 0, gid: 0 });
        }
    }
    Ok(plan)
}

fn damaged(step: &Step) -> Stop {
    Stop::Failed(format!("what was cut out of {} is damaged or gone", step.place()))
}

fn evidence(hold: &Hold, did: &str, files: Vec<String>, diff: String) -> ActionEvidence {
    ActionEvidence {
        kind: hold.kind.clone(),
        target: hold.target.clone(),
        before: String::new(),
        after: String::new(),
        did: did.to_owned(),
        files,
        diff,
    }
}

type Made = Vec<(String, Vec<String>)>;

fn workspace_made(all: &mut Made, path: &str, made: Vec<String>) {
    all.push((path.to_owned(), made));
}

/// The prior state of a whole file, if it is exactly as we left it, or back already, and every setting of ours in it goes back with
/// it.
#[expect(clippy::type_complexity, reason = "the prior state and the directories made for the file, used at one place")]
fn whole_file(
    path: &str,
    holding: &Holding,
    stays: &dyn Fn(&Hold) -> bool,
    host: &Host,
) -> Result<Option<(Option<FileState>, Vec<String>)>, Stop> {
    let here = |hold: &&Hold| hold.edited() == Some(path);
    let mut writes: BTreeSet<u32> = BTreeSet::new();
    for hold in holding.holds.iter().filter(here) {
        if stays(hold) {
            return Ok(None);
        }
        writes.extend(hold.steps.iter().copied());
    }
    let mut writes = writes.into_iter();
    let (Some(at), None) = (writes.next(), writes.next()) else { return Ok(None) };
    let Some(Step::File { before, after: Some(after), made, .. }) = holding.steps.get(at as usize) else {
        return Ok(None);
    };
    let present = host.tree.read(path)?.map(|image| image.state());
    // What a revert that was cut off has put back already is back, also where there was no file.
    let untouched = present.as_ref() == Some(after) || present == *before;
    Ok(untouched.then(|| (before.clone(), made.clone())))
}

fn put_whole(
    path: &str,
    before: Option<&FileState>,
    workspace: &mut Workspace<'_>,
    state: &StateDir,
) -> Result<(), Stop> {
    let image = match before {
        None => None,
        Some(before) => {
            let bytes = state.prior(&before.digest);
            let bytes = bytes.ok_or_else(|| Stop::Failed(format!("the prior bytes of {path} are damaged or gone")))?;
            Some(Image { bytes, mode: before.mode, uid: before.uid, gid: before.gid })
        }
    };
    Ok(workspace.put_file(path, image)?)
}

fn setting_alone(hold: &Hold, workspace: &mut Workspace<'_>) -> Result<(), Stop> {
    if let Some(edit) = &hold.xml {
        return xml_alone(hold, edit, workspace);
    }
    let Some(edit) = &hold.edit else { return Ok(()) };
    let Some(image) = workspace.file(&edit.path)? else {
        return Err(Stop::Drifted(format!("{} is gone", edit.path)));
    };
    let text = String::from_utf8(image.bytes.clone());
    let text = text.map_err(|_| Stop::Failed(format!("{} is not UTF-8 text any more", edit.path)))?;
    match format::take_back(edit.format, &text, &edit.edit).map_err(|error| Stop::Failed(error.to_string()))? {
        TakenBack::AlreadyGone => Ok(()),
        TakenBack::Drifted(value) => Err(Stop::Drifted(format!("{} is now {value}", hold.target))),
        TakenBack::Text(text) => Ok(workspace.put_file(&edit.path, Some(Image { bytes: text.into_bytes(), ..image }))?),
    }
}

fn xml_alone(hold: &Hold, edit: &XmlFileEdit, workspace: &mut Workspace<'_>) -> Result<(), Stop> {
    let Some(image) = workspace.file(&edit.path)? else {
        return Err(Stop::Drifted(format!("{} is gone", edit.path)));
    };
    let failed = |error: &dyn std::fmt::Display| Stop::Failed(format!("{}: {error}", edit.path));
    let text = String::from_utf8(image.bytes.clone()).map_err(|_| failed(&"it is not UTF-8 text any more"))?;
    match xml::take_back(&text, &edit.edit).map_err(|error| failed(&error))? {
        xml::TakenBack::AlreadyGone => Ok(()),
        xml::TakenBack::Drifted(what) => Err(Stop::Drifted(format!("{} is now {what}", hold.target))),
        xml::TakenBack::Text(text) => {
            Ok(workspace.put_file(&edit.path, Some(Image { bytes: text.into_bytes(), ..image }))?)
        }
    }
}

/// Put back one step that is no edit within a file.
fn one_step(
    step: &Step,
    hold: &Hold,
    host: &Host,
    workspace: &mut Workspace<'_>,
    state: &StateDir,
    acts: &mut Made,
) -> Result<(), Stop> {
    let drifted = |what: String| Err(Stop::Drifted(format!("{}: {what}", hold.target)));
    match step {
        Step::File { path, before, after, made } => {
            let present = workspace.file(path)?.map(|image| image.state());
            if present == *before {
                return Ok(());
            }
            if present != *after {
                return drifted(format!("{path} is not as we left it"));
            }
            workspace_made(acts, path, made.clone());
            put_whole(path, before.as_ref(), workspace, state)
        }
        Step::Link { path, before, after, made } => {
            let present = match workspace.node(path)? {
                Node::Absent => None,
                Node::Link(target) => Some(target),
                Node::File { .. } | Node::Other => return drifted(format!("{path} is no link any more")),
            };
            if present != *before && present != *after {
                return drifted(format!("{path} points to {}", present.unwrap_or_else(|| "nothing".to_owned())));
            }
            workspace_made(acts, path, made.clone());
            workspace.put_link(path, present, before.clone());
            Ok(())
        }
        Step::Mode { path, before, after, mark } => {
            let Node::File { mode } = workspace.node(path)? else {
                return drifted(format!("{path} is no file any more"));
            };
            // Only the bits we changed are ours.
            let ours = before ^ after;
            if mode & ours == before & ours {
                return Ok(());
            }
            if mode & ours != after & ours {
                return drifted(format!("{path} has mode {mode:04o}"));
            }
            let back = (mode & !ours) | (before & ours);
            if back & !mode & SPECIAL_BITS != 0 {
                same_program(path, mark.as_ref(), host)?.map_or(Ok(()), drifted)?;
            }
            workspace.put_mode(path, mode, back);
            Ok(())
        }
        Step::Kernel { path, before, after } => match workspace.kernel(path) {
            None => Err(Stop::Failed(format!("{path} cannot be read"))),
            Some(present) if present == *before => Ok(()),
            Some(present) if present == *after => {
                workspace.put_kernel(path, present, before.clone());
                Ok(())
            }
            Some(present) => drifted(format!("{path} is now {present}")),
        },
        Step::Stop { .. } | Step::Start { .. } => {
            workspace.act(step.inverse());
            Ok(())
        }
        Step::Archive { cut, .. } => {
            let kept = state.prior(cut).ok_or_else(|| damaged(step))?;
            match archive_member_absent::take_back(step, host, &kept) {
                Ok(None) => Ok(()),
                Ok(Some(back)) => {
                    workspace.act(back);
                    Ok(())
                }
                Err((true, what)) => drifted(what),
                Err((false, why)) => Err(Stop::Failed(why)),
            }
        }
        Step::Firewall { name, before, after } => {
            let failed = Stop::Failed;
            if firewall_rule::is(name, before.as_deref(), host).map_err(failed)? {
                return Ok(());
            }
            if !firewall_rule::is(name, after.as_deref(), host).map_err(failed)? {
                // A reboot or a flush may have taken it: then there is nothing of ours to take back.
                return match firewall_rule::is(name, None, host).map_err(failed)? {
                    true => Ok(()),
                    false => drifted(format!("the rule {name} is another one now")),
                };
            }
            workspace.act(step.inverse());
            Ok(())
        }
        Step::SelinuxBoolean { name, before, .. } => {
            if !selinux_boolean::is(name, *before, host).map_err(Stop::Failed)? {
                workspace.act(step.inverse());
            }
            Ok(())
        }
        Step::BootMenu => {
            workspace.act(Step::BootMenu);
            Ok(())
        }
        Step::BootArgument { param, .. } => {
            if kernel_cmdline::argued_anywhere(param, host).map_err(Stop::Failed)? {
                workspace.act(step.inverse());
            }
            Ok(())
        }
        Step::CryptoPolicy { module, .. } => {
            if let Some(back) = crypto_policy_module::take_back(module, host).map_err(Stop::Failed)? {
                workspace.act(back);
            }
            Ok(())
        }
        Step::Registry { .. }
        | Step::RegistryTree { .. }
        | Step::Service { .. }
        | Step::WindowsSwitch { .. }
        | Step::FileAccess { .. }
        | Step::RewriteRule { .. }
        | Step::IisModule { .. } => match windows_as(step, host).map_err(Stop::Failed)? {
            As::Before => Ok(()),
            As::After => {
                workspace.act(step.inverse());
                Ok(())
            }
            As::Neither(now) => drifted(format!("{} is now {now}", step.place())),
        },
        Step::Remove { packages } => {
            leftover::none(host).map_err(Stop::Failed)?;
            reinstall(packages, host, workspace)
        }
        Step::Install { packages } => {
            leftover::none(host).map_err(Stop::Failed)?;
            let installed = host.packages().cloned().unwrap_or_default();
            let here = packages.iter().filter_map(|package| {
                let version = installed.get(&package.name)?.clone();
                Some(crate::record::Package { name: package.name.clone(), version })
            });
            let packages: Vec<_> = here.collect();
            if !packages.is_empty() {
                package_state::fits(host).map_err(Stop::Failed)?;
                workspace.act(Step::Remove { packages });
            }
            Ok(())
        }
    }
}

/// Whether the file is still the one that had setuid or setgid: how it differs, where it does.
fn same_program(path: &str, mark: Option<&FileState>, host: &Host) -> Result<Option<String>, Stop> {
    let Some(mark) = mark else {
        let why = "an agent of before took setuid or setgid away without noting of which file";
        return Err(Stop::Failed(format!(
            "{path}: {why}, so they are not given back; give them with chmod where they are wanted"
        )));
    };
    let Some(now) = host.tree.large_state(path, PROGRAM_BYTES_MAX)? else {
        return Ok(Some(format!("{path} is gone")));
    };
    if now.is_same_file(mark) {
        return Ok(None);
    }
    let what = if now.digest == mark.digest { "has another owner" } else { "has another content" };
    let text = "than when it lost setuid or setgid, which are given to no other program; give them with chmod where they are wanted";
    Ok(Some(format!("{path} {what} {text}")))
}

fn reinstall(packages: &[crate::record::Package], host: &Host, workspace: &mut Workspace<'_>) -> Result<(), Stop> {
    let installed = host.packages().ok_or_else(|| Stop::Failed("the package database cannot be read".to_owned()))?;
    let missing: Vec<_> = packages.iter().filter(|package| !installed.contains_key(&package.name)).cloned().collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !host.tree.live() {
        let names: Vec<&str> = missing.iter().map(|package| package.name.as_str()).collect();
        let text = format!("packages can be installed again on a live system only: {}", names.join(", "));
        return Err(Stop::Failed(text));
    }
    package_state::fits(host).map_err(Stop::Failed)?;
    workspace.act(Step::Install { packages: missing });
    Ok(())
}

/// Take one step of a failed try back, if it was done at all.
///
/// # Errors
/// A sentence when it could not be, or somebody else was faster.
pub fn undo(step: &Step, host: &mut Host, bytes: &dyn Fn(&str) -> Option<Vec<u8>>) -> Result<(), String> {
    if as_before(step, host)? { Ok(()) } else { perform(&step.inverse(), host, bytes, "undo") }
}

/// Whether what a step changes is as it was before it; never for starting and stopping, which leave no trace to read.
///
/// # Errors
/// A sentence when it cannot be looked at.
pub fn as_before(step: &Step, host: &mut Host) -> Result<bool, String> {
    Ok(match step {
        Step::File { path, before, .. } => {
            host.tree.read(path).map_err(|error| error.to_string())?.map(|image| image.state()) == *before
        }
        Step::Mode { path, before, .. } => {
            host.tree.node(path).map_err(|error| error.to_string())? == Node::File { mode: *before }
        }
        Step::Link { path, before, .. } => host.tree.link(path) == *before,
        Step::Kernel { path, before, .. } => host.tree.fact(path).is_some_and(|text| text.trim() == before),
        Step::Stop { .. } | Step::Start { .. } | Step::BootMenu => false,
        Step::Archive { path, before, .. } => {
            let present = host.tree.large_state(path, crate::zipfile::ARCHIVE_BYTES_MAX);
            present.map_err(|error| error.to_string())?.as_ref() == Some(before)
        }
        Step::SelinuxBoolean { name, before, .. } => selinux_boolean::is(name, *before, host)?,
        Step::Firewall { name, before, .. } => firewall_rule::is(name, before.as_deref(), host)?,
        Step::BootArgument { param, before: true, .. } => kernel_cmdline::argued(param, host)?,
        Step::BootArgument { param, before: false, .. } => !kernel_cmdline::argued_anywhere(param, host)?,
        Step::CryptoPolicy { before, .. } => crypto_policy_module::is(before, host)?,
        Step::Registry { .. }
        | Step::RegistryTree { .. }
        | Step::Service { .. }
        | Step::WindowsSwitch { .. }
        | Step::FileAccess { .. }
        | Step::RewriteRule { .. }
        | Step::IisModule { .. } => windows_as(step, host)? == As::Before,
        Step::Remove { packages } => {
            // What is at work makes it otherwise in a moment.
            leftover::none(host)?;
            host.refresh();
            host.packages().is_some_and(|installed| packages.iter().all(|p| installed.contains_key(&p.name)))
        }
        Step::Install { packages } => {
            leftover::none(host)?;
            host.refresh();
            let gone = |installed: &std::collections::BTreeMap<String, String>| {
                !packages.iter().any(|package| installed.contains_key(&package.name))
            };
            host.packages().is_some_and(gone) && !package_state::half_way(packages, host)
        }
    })
}

/// How something of Windows stands to a step of ours.
#[derive(Debug, PartialEq, Eq)]
pub enum As {
    /// As before it.
    Before,
    /// As it left it.
    After,
    /// Otherwise: how.
    Neither(String),
}

fn windows_as(step: &Step, host: &Host) -> Result<As, String> {
    match step {
        Step::Service { name, before, after } => kinds::windows_service::compare(name, *before, *after, host),
        Step::WindowsSwitch { setting, at, before, after } => {
            kinds::windows_setting::compare(*setting, at, before, after, host)
        }
        Step::FileAccess { path, before, after } => kinds::file_acl::compare(path, before, after, host),
        Step::RewriteRule { .. } | Step::IisModule { .. } => kinds::iis::compare(step, host),
        _ => kinds::registry::compare(step, host),
    }
}
