//! What a good entry keeps to beyond what the parser demands. Errors stop `quell catalogue sign`; warnings are shown.
//!
//! Lints judge the text of an entry only. Whether its facts are true is for the person who opens the references.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use domain::mitigation::{Coverage, Implication};
use serde::Serialize;

use crate::{
    actions::{
        Action, FileListSetting, FileMode, FileSetting, FileSettingAbsent, FirewallRule, ModeChange, PackageWant,
        ServiceStart, SettingFormat, Validator, rails,
    },
    schema::{Entry, EntryPlatform, Reboot, ReferenceKind, Reversible, Risk, Status},
    text::EntryId,
};

/// Longest title, in characters.
pub const TITLE_CHARS_MAX: usize = 72;
/// Points above this are unusual for something that is not a fix.
pub const POINTS_USUAL_MAX: u8 = 60;

/// How serious a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth a look; does not stop signing.
    Warning,
    /// Stops signing.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// One thing found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The entry, as far as it could be read.
    pub entry: String,
    /// How serious it is.
    pub severity: Severity,
    /// A stable name of the lint.
    pub lint: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

struct Findings<'a> {
    entry: &'a EntryId,
    found: Vec<Finding>,
}

impl Findings<'_> {
    fn add(&mut self, broken: bool, severity: Severity, lint: &'static str, message: impl FnOnce() -> String) {
        if broken {
            self.found.push(Finding { entry: self.entry.to_string(), severity, lint, message: message() });
        }
    }

    fn error(&mut self, broken: bool, lint: &'static str, message: impl FnOnce() -> String) {
        self.add(broken, Severity::Error, lint, message);
    }

    fn warn(&mut self, broken: bool, lint: &'static str, message: impl FnOnce() -> String) {
        self.add(broken, Severity::Warning, lint, message);
    }
}

/// Lint one entry.
#[must_use]
pub fn lint(entry: &Entry) -> Vec<Finding> {
    let mut findings = Findings { entry: &entry.id, found: Vec::new() };
    lint_texts(entry, &mut findings);
    lint_points(entry, &mut findings);
    lint_references(entry, &mut findings);
    lint_reversibility(entry, &mut findings);
    for action in &entry.actions {
        lint_action(action, entry, &mut findings);
    }
    // The rails are not ours alone: agents refuse what breaks one, too.
    for rails::Breach { rail, message } in rails::breaches(entry) {
        findings.error(true, rail, || message);
    }
    lint_actions_together(entry, &mut findings);
    lint_applies(entry, &mut findings);
    findings.found
}

/// Lint a set of entries, given with the names of their files without `.toml`: each by itself, then ids and references between
/// them.
#[must_use]
pub fn lint_all<'a>(entries: impl IntoIterator<Item = (&'a str, &'a Entry)>) -> Vec<Finding> {
    let entries: Vec<(&str, &Entry)> = entries.into_iter().collect();
    let mut found: Vec<Finding> = entries.iter().flat_map(|(_, entry)| lint(entry)).collect();
    let mut seen: BTreeSet<&EntryId> = BTreeSet::new();
    let by_id: BTreeMap<&EntryId, &Entry> = entries.iter().map(|(_, entry)| (&entry.id, *entry)).collect();
    for (file, entry) in &entries {
        let mut findings = Findings { entry: &entry.id, found: Vec::new() };
        findings.error(!seen.insert(&entry.id), "duplicate-id", || "another entry has the same id".to_owned());
        findings.error(*file != entry.id.as_str(), "file-name", || {
            format!("the file is called {file}.toml, not {}.toml", entry.id)
        });
        for other in entry.applies.conflicts.iter().chain(&entry.superseded_by) {
            findings.error(!by_id.contains_key(other), "unknown-entry", || {
                format!("it names entry {other}, which does not exist")
            });
        }
        for other in &entry.applies.conflicts {
            let mutual = by_id.get(other).is_none_or(|other| other.applies.conflicts.contains(&entry.id));
            findings.error(!mutual, "one-sided-conflict", || {
                format!("it conflicts with {other}, which does not say so itself")
            });
        }
        found.append(&mut findings.found);
    }
    found
}

fn lint_texts(entry: &Entry, findings: &mut Findings<'_>) {
    let title = entry.title.as_str();
    let length = title.chars().count();
    findings.error(length > TITLE_CHARS_MAX, "title-length", || {
        format!("the title has {length} characters, at most {TITLE_CHARS_MAX}")
    });
    findings.warn(title.ends_with('.'), "title-stop", || "the title ends with a full stop".to_owned());
    for (name, text) in [("summary", &entry.human.summary), ("side_effects", &entry.human.side_effects)] {
        findings
            .warn(!text.as_str().ends_with('.'), "sentence", || format!("{name} is not a sentence with a full stop"));
    }
    for (name, text) in [("summary", &entry.human.summary), ("side_effects", &entry.human.side_effects)] {
        findings.warn(text.as_str().starts_with("CHANGE"), "unfinished", || format!("{name} is still the example's"));
    }
    let short = entry.human.summary.as_str().chars().count() < 60;
    findings.warn(short, "summary-length", || {
        "the summary is too short to say what is weak and how it is closed".to_owned()
    });
    findings.warn(entry.status == Status::Draft, "draft", || "a draft is never offered".to_owned());
}

fn lint_points(entry: &Entry, findings: &mut Findings<'_>) {
    for covered in &entry.vulnerabilities {
        let name = covered.cve.as_ref().map_or("the finding without CVE", |cve| cve.as_str());
        let points = covered.points;
        if entry.implication == Implication::Fix || entry.status == Status::CheckOnly {
            continue;
        }
        findings.warn(points > POINTS_USUAL_MAX, "points-high", || {
            format!("{points} points for {name}: above {POINTS_USUAL_MAX} only a fix is credible")
        });
        let range = match covered.coverage {
            Coverage::Full => 20..=65,
            Coverage::Substantial => 20..=45,
            Coverage::Partial => 5..=35,
        };
        findings.warn(!range.contains(&points), "points-coverage", || {
            format!(
                "{points} points for {name} do not fit coverage {} ({} to {} by the rule)",
                covered.coverage.as_str(),
                range.start(),
                range.end()
            )
        });
    }
}

fn lint_references(entry: &Entry, findings: &mut Findings<'_>) {
    let official = |kind| matches!(kind, ReferenceKind::Vendor | ReferenceKind::Cna | ReferenceKind::Cert);
    findings.error(!entry.references.iter().any(|r| official(r.kind)), "no-vendor-reference", || {
        "no reference is by the vendor, the CNA or a response team".to_owned()
    });
    findings.error(!entry.references.iter().any(|r| r.seen.is_some()), "no-source-read", || {
        "no reference says how it was read (seen = \"vendor\" or \"mirror\")".to_owned()
    });
    let mut urls = BTreeSet::new();
    for reference in &entry.references {
        findings.warn(reference.read_on.is_none(), "read-on-missing", || {
            format!("{} has no read_on: a person has to open it before the entry is relied on", reference.url)
        });
        findings.warn(!urls.insert(&reference.url), "reference-twice", || format!("{} is listed twice", reference.url));
    }
}

fn lint_reversibility(entry: &Entry, findings: &mut Findings<'_>) {
    let fix = entry.implication == Implication::Fix;
    let reversible = entry.after.reversible;
    findings.error(fix && reversible != Reversible::No, "fix-reversible", || {
        "a fix has no rollback: reversible must be \"no\"".to_owned()
    });
    findings.error(!fix && reversible == Reversible::No && entry.human.risk == Risk::Low, "irreversible-risk", || {
        "what cannot be taken back is never of low risk".to_owned()
    });
    findings.warn(!fix && reversible == Reversible::No, "irreversible", || {
        "it cannot be taken back; say so in side_effects, it needs an approval of its own".to_owned()
    });
    let has_modules = entry.actions.iter().any(|action| matches!(action, Action::KernelModule(_)));
    findings.warn(has_modules && entry.after.reboot == Reboot::No, "module-reboot", || {
        "a module in use stays loaded: reboot is \"if-loaded\" at least".to_owned()
    });
    findings.warn(!has_modules && entry.after.reboot == Reboot::IfLoaded, "no-module-reboot", || {
        "reboot = \"if-loaded\" is for kernel modules".to_owned()
    });
}

fn lint_action(action: &Action, entry: &Entry, findings: &mut Findings<'_>) {
    let target = action.target();
    if let Some(path) = action.path() {
        let wanted = required_validator(path);
        findings.error(wanted.is_some() && action.validator() != wanted, "validator", || {
            format!(
                "{path} has to be validated by {}",
                wanted.map_or_else(String::new, |w| format!("{w:?}").to_lowercase())
            )
        });
    }
    match action {
        Action::FileSetting(FileSetting { format, section, .. }) => {
            findings.error(*format == SettingFormat::Ntp, "format-unsupported", || {
                format!("{target}: agents of this version cannot change files of this format")
            });
            findings.error(format.needs_section() != section.is_some(), "section", || {
                format!("{target}: this format {} a section", if format.needs_section() { "needs" } else { "has no" })
            });
            let block = *format == SettingFormat::Bind && section.as_ref().is_some_and(|s| s.as_str() != "options");
            findings.error(block, "section", || {
                format!("{target}: of named.conf agents change the block \"options\" only")
            });
            lint_restart(*format, entry, &target, findings);
        }
        Action::FileListSetting(FileListSetting { format, section, remove, .. }) => {
            let fits = matches!(format, SettingFormat::Smbconf | SettingFormat::Ini | SettingFormat::Postconf);
            findings.error(!fits, "format-unsupported", || {
                format!("{target}: agents of this version know no lists in files of this format")
            });
            findings.error(format.needs_section() != section.is_some(), "section", || {
                format!("{target}: this format {} a section", if format.needs_section() { "needs" } else { "has no" })
            });
            findings.error(remove.as_str().contains([' ', ',', ':', '"', '/']), "list-word", || {
                format!("{target}: remove is one word, without what follows it after a colon")
            });
            lint_restart(*format, entry, &target, findings);
        }
        Action::FileSettingAbsent(FileSettingAbsent { format, section, .. }) => {
            let fits = !matches!(format, SettingFormat::Pam | SettingFormat::Ntp);
            findings.error(!fits, "format-unsupported", || {
                format!("{target}: agents of this version take nothing out of files of this format")
            });
            let bind = *format == SettingFormat::Bind && section.is_some();
            findings.error(bind || (section.is_some() && !format.needs_section()), "section", || {
                format!("{target}: in this format it is looked for everywhere, name no section")
            });
            lint_restart(*format, entry, &target, findings);
        }
        Action::FileScan(_) => {
            findings.error(entry.status != Status::CheckOnly, "scan-changes-nothing", || {
                format!("{target}: file.scan changes nothing, so status is \"check-only\"")
            });
        }
        Action::CryptoPolicyModule(module) => {
            let own = module.name.as_str().contains("QUELL");
            findings
                .warn(!own, "module-name", || format!("{target}: the name does not say whose module it is (QUELL)"));
            let before = entry.actions.iter().take_while(|other| *other != action);
            let written = before.filter(|other| other.path() == Some(&module.file())).count() > 0;
            findings.error(!written, "module-text", || {
                format!("{target}: a file.dropin before it has to write {}", module.file())
            });
        }
        Action::FileDropin(dropin) => {
            findings.error(dropin.mode.bits() & 0o7022 != 0, "dropin-mode", || {
                format!("{target}: a file of ours is never writable by others nor has special bits")
            });
            let named =
                dropin.path.as_str().rsplit('/').next().is_some_and(|name| name.to_lowercase().contains("quell"));
            findings
                .warn(!named, "dropin-name", || format!("{target}: the name does not say whose file it is (quell)"));
        }
        Action::FileMode(FileMode { change, .. }) => {
            let opens = matches!(change, ModeChange::Set(bits) if bits.bits() & 0o7022 != 0);
            findings.error(opens, "mode-opens", || format!("{target}: sets a special bit or lets others write"));
        }
        Action::ServiceState(service) => {
            let contradiction =
                service.running && matches!(service.start, ServiceStart::Disabled | ServiceStart::Masked);
            findings.error(contradiction, "service-contradiction", || format!("{target}: running, but never started"));
        }
        Action::PackageState(state) => {
            findings.warn(entry.human.risk == Risk::Low && state.want != PackageWant::Present, "package-risk", || {
                format!("{target}: taking packages away is not of low risk")
            });
        }
        Action::KernelCmdline(_) => {
            findings.error(entry.after.reboot != Reboot::Required, "cmdline-reboot", || {
                format!("{target}: the command line is read at boot: reboot is \"required\"")
            });
        }
        Action::FirewallRule(rule) => lint_rule(rule, entry, findings),
        Action::ArchiveMemberAbsent(archive) => {
            let code = archive.member.as_str().ends_with(".class");
            findings.warn(code && entry.after.restart.is_empty() && !entry.human.side_effects.as_str().contains("restart"),
                "archive-restart", || {
                format!("{target}: programs that loaded it go on with it; side_effects has to say that they need a restart")
            });
        }
        Action::IisGlobalModule(_) => {
            findings.error(entry.after.restart.is_empty(), "restart", || {
                format!("{target}: what runs has loaded it already, name the service in after.restart")
            });
        }
        Action::FileAcl(_) => {
            findings.warn(!entry.human.remove_when_patched, "acl-update", || {
                format!("{target}: an update cannot replace it while it is denied: remove_when_patched is true")
            });
        }
        Action::IisRewriteRule(rule) => {
            findings.warn(rule.words.len() < 2 && entry.human.risk == Risk::Low, "rewrite-risk", || {
                format!("{target}: one word alone can be part of ordinary addresses, that is not of low risk")
            });
        }
        Action::FileXml(_)
        | Action::KernelSysctl(_)
        | Action::KernelModule(_)
        | Action::SelinuxBoolean(_)
        | Action::WindowsSetting(_)
        | Action::RegistryValue(_)
        | Action::RegistryValueAbsent(_)
        | Action::RegistryKeyAbsent(_) => {}
    }
}

fn lint_restart(format: SettingFormat, entry: &Entry, target: &str, findings: &mut Findings<'_>) {
    let restarts =
        matches!(format, SettingFormat::Sshd | SettingFormat::Smbconf | SettingFormat::Postconf | SettingFormat::Bind);
    findings.error(restarts && entry.after.restart.is_empty(), "restart", || {
        format!("{target}: the service reads its configuration at its start, name it in after.restart")
    });
}

fn lint_rule(rule: &FirewallRule, entry: &Entry, findings: &mut Findings<'_>) {
    findings.warn(entry.human.risk == Risk::Low && !rule.is_unusual_only(), "firewall-risk", || {
        format!("{}: closing a port is not of low risk", rule.name)
    });
}

/// Files that lock people or services out when they are wrong.
fn required_validator(path: &str) -> Option<Validator> {
    let below = |prefix: &str| path.starts_with(prefix);
    match path {
        "/etc/ssh/sshd_config" => Some(Validator::Sshd),
        "/etc/samba/smb.conf" => Some(Validator::Testparm),
        "/etc/postfix/main.cf" => Some(Validator::Postfix),
        _ if below("/etc/ssh/sshd_config.d/") => Some(Validator::Sshd),
        _ if below("/etc/sudoers.d/") => Some(Validator::Visudo),
        _ if below("/etc/apache2/") || below("/etc/httpd/") => Some(Validator::Apachectl),
        "/etc/named.conf" => Some(Validator::Named),
        _ if below("/etc/bind/") || below("/etc/named/") => Some(Validator::Named),
        _ if below("/etc/polkit-1/") => Some(Validator::Polkit),
        _ => None,
    }
}

fn lint_actions_together(entry: &Entry, findings: &mut Findings<'_>) {
    let mut targets = BTreeSet::new();
    for action in &entry.actions {
        let target = action.target();
        let new = targets.insert((action.kind(), target.clone()));
        findings.error(!new, "same-target", || format!("two actions of kind {} on {target}", action.kind()));
    }
    let of_windows = entry.actions.iter().any(Action::is_of_windows);
    findings.error(of_windows && entry.platform != EntryPlatform::Windows, "platform-kind", || {
        "only Windows has such settings: platform is \"windows\"".to_owned()
    });
    let unix = entry.actions.iter().any(|action| {
        matches!(
            action,
            Action::KernelSysctl(_)
                | Action::KernelModule(_)
                | Action::KernelCmdline(_)
                | Action::PackageState(_)
                | Action::SelinuxBoolean(_)
                | Action::FileScan(_)
                | Action::CryptoPolicyModule(_)
        ) || action.path().is_some()
    });
    findings.error(unix && entry.platform == EntryPlatform::Windows, "platform-kind", || {
        "Windows has none of these settings: platform is \"linux\" or \"any\"".to_owned()
    });
    let stopped: BTreeSet<String> = entry
        .actions
        .iter()
        .filter_map(|action| match action {
            Action::ServiceState(service) if !service.running => Some(service.name.unit()),
            _ => None,
        })
        .collect();
    for name in &entry.after.restart {
        findings
            .error(stopped.contains(&name.unit()), "restart-stopped", || format!("it stops {name} and restarts it"));
    }
}

fn lint_applies(entry: &Entry, findings: &mut Findings<'_>) {
    let conflict = entry.applies.conflicts.contains(&entry.id);
    findings.error(conflict, "conflicts-with-itself", || "it conflicts with itself".to_owned());
    for condition in &entry.applies.package {
        findings
            .error(condition.any.is_empty(), "empty-condition", || "a package condition names no package".to_owned());
        let removed = entry.actions.iter().any(|action| match action {
            Action::PackageState(state) if state.want == PackageWant::Absent => {
                state.names.values().flatten().any(|name| condition.any.contains(name))
            }
            _ => false,
        });
        findings.error(removed, "condition-removed", || {
            "it needs a package that it removes: once in place it would no longer apply".to_owned()
        });
    }
}

#[cfg(test)]
#[path = "lints_tests.rs"]
mod tests;
