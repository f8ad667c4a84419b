//! `crypto_policy.module`: a module is part of the system-wide cryptographic policy of RHEL and what is made like it.
//!
//! What is wanted is a line in a file; what is applied is another that `update-crypto-policies` writes when it makes the settings of
//! every program anew. On the live system that program does both. Below another root the first is edited and the second waits.

use super::{Finding, KindError, Presence, Workspace};
use crate::fs::Node;
use crate::host::Host;
use crate::record::Step;
use catalogue::actions::CryptoPolicyModule;

/// The policy that is wanted.
const CONFIG: &str = "/etc/crypto-policies/config";
/// The policy that was applied last.
const APPLIED: &str = "/etc/crypto-policies/state/current";
/// The program, on the live system.
const UPDATE: [&str; 2] = ["/usr/bin/update-crypto-policies", "/bin/update-crypto-policies"];

/// The policy in a file: the first line that is no comment.
fn policy(text: &str) -> Option<&str> {
    text.lines().map(|line| line.split('#').next().unwrap_or_default().trim()).find(|line| !line.is_empty())
}

fn has(policy: &str, module: &str) -> bool {
    policy.split(':').skip(1).any(|part| part == module)
}

fn without(policy: &str, module: &str) -> String {
    let mut parts = policy.split(':');
    let base = parts.next().unwrap_or_default();
    std::iter::once(base).chain(parts.filter(|part| *part != module)).collect::<Vec<_>>().join(":")
}

/// Only what the program itself takes is handed to it.
fn plain(policy: &str) -> bool {
    policy.len() < 1000
        && policy.starts_with(|c: char| c.is_ascii_alphabetic())
        && policy.chars().all(|c| c.is_ascii_alphanumeric() || "-_:.".contains(c))
}

fn wanted_now(host: &Host, workspace: &Workspace<'_>) -> Option<String> {
    let planned = workspace.last_act(|step| match step {
        Step::CryptoPolicy { after, .. } => Some(after.clone()),
        _ => None,
    });
    let text = || workspace.drafted(CONFIG).or_else(|| host.tree.fact(CONFIG));
    planned.or_else(|| policy(&text()?).map(str::to_owned))
}

/// See [`super::check`].
///
/// # Errors
/// Never; the signature is that of all kinds.
pub fn check(action: &CryptoPolicyModule, host: &Host, workspace: &Workspace<'_>) -> Result<Finding, KindError> {
    let name = action.name.as_str();
    if host.tree.node(CONFIG).is_ok_and(|node| node == Node::Absent) {
        return Ok(Finding::because(Presence::NotHere, "(absent)", "this system has no such policy"));
    }
    let Some(wanted) = wanted_now(host, workspace) else {
        return Ok(Finding::unknown(format!("{CONFIG} cannot be read")));
    };
    let text = host.tree.fact(APPLIED).unwrap_or_default();
    let applied = policy(&text).unwrap_or_default();
    let planned = workspace.acts(|step| matches!(step, Step::CryptoPolicy { .. }));
    let shown = format!("{wanted}, applied {}", if applied.is_empty() { "(unknown)" } else { applied });
    Ok(match (has(&wanted, name), planned || has(applied, name)) {
        (true, true) => Finding::new(Presence::Present, shown),
        (true, false) => Finding::because(Presence::Partial, shown, "update-crypto-policies has not applied it yet"),
        (false, true) => Finding::because(Presence::Absent, shown, "the next update of the policy drops it"),
        (false, false) => Finding::new(Presence::Absent, shown),
    })
}

/// See [`super::plan`].
///
/// # Errors
/// When the policy cannot be read, or there is no text of the module.
pub fn plan(action: &CryptoPolicyModule, host: &Host, workspace: &mut Workspace<'_>) -> Result<(), KindError> {
    let (name, file) = (action.name.as_str(), action.file());
    let cannot = KindError::Cannot;
    if workspace.file(&file)?.is_none() {
        return Err(cannot(format!("there is no {file}")));
    }
    let before = wanted_now(host, workspace).filter(|policy| plain(policy));
    let before = before.ok_or_else(|| cannot(format!("{CONFIG} names no policy this agent can read")))?;
    // Set, and not applied: it is applied again.
    let after = if has(&before, name) { before.clone() } else { format!("{before}:{name}") };
    if host.tree.live() {
        if host.program(&UPDATE).is_none() {
            return Err(cannot("update-crypto-policies is not here; install crypto-policies-scripts".to_owned()));
        }
        workspace.act(Step::CryptoPolicy { module: name.to_owned(), before, after });
        return Ok(());
    }
    let old = workspace.file(CONFIG)?.ok_or_else(|| cannot(format!("there is no {CONFIG}")))?;
    let text = String::from_utf8_lossy(&old.bytes).into_owned();
    let line = text.lines().find(|line| policy(line) == Some(before.as_str())).unwrap_or_default().to_owned();
    let at = text.find(&line).unwrap_or_default();
    let new = line.replacen(&before, &after, 1);
    let text = crate::format::spliced(&text, at..at + line.len(), &new);
    let image = workspace.image(Some(&old), text, 0o644);
    workspace.put_file(CONFIG, Some(image))?;
    Ok(())
}

/// The policy that is wanted on this host now.
fn present(host: &Host) -> Result<String, String> {
    let text = host.tree.fact(CONFIG).unwrap_or_default();
    let found = policy(&text).filter(|policy| plain(policy)).map(str::to_owned);
    found.ok_or_else(|| format!("{CONFIG} names no policy this agent can read"))
}

/// What takes a module out of the policy as it is now, whatever else is in it; nothing where it is not in it.
///
/// # Errors
/// A sentence when the policy cannot be read.
pub fn take_back(module: &str, host: &Host) -> Result<Option<Step>, String> {
    let before = present(host)?;
    let after = without(&before, module);
    Ok((after != before).then(|| Step::CryptoPolicy { module: module.to_owned(), before, after }))
}

/// Whether the wanted policy is this one.
///
/// # Errors
/// A sentence when it cannot be read.
pub fn is(policy: &str, host: &Host) -> Result<bool, String> {
    present(host).map(|present| present == policy)
}

/// Set and apply a policy.
///
/// # Errors
/// A sentence; when somebody set another meanwhile, nothing is done.
pub fn perform(before: &str, after: &str, host: &Host) -> Result<(), String> {
    if !is(before, host)? && !is(after, host)? {
        return Err("the cryptographic policy changed while we worked on it".to_owned());
    }
    if !plain(after) {
        return Err(format!("{after:?} is no policy"));
    }
    let program = host.program(&UPDATE).ok_or("update-crypto-policies is not here")?;
    let said = host.call(program, &["--set", after])?;
    if said.ok { Ok(()) } else { Err(format!("update-crypto-policies: {}", said.text)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_come_and_go_and_the_rest_stays() {
        assert_eq!(policy("# chosen by us\n\nDEFAULT:AD-SUPPORT # x\n"), Some("DEFAULT:AD-SUPPORT"));
        assert!(has("DEFAULT:A:B", "B") && !has("DEFAULT", "DEFAULT") && !has("DEFAULT:AB", "A"));
        assert_eq!(without("DEFAULT:A:B:A", "A"), "DEFAULT:B");
        assert!(plain("FIPS:OSPP") && !plain("--no-check") && !plain("A B") && !plain(""));
    }
}
