//! The kinds of action: one module each. A kind looks at the host through a [`Workspace`] and makes its changes there; what
//! reaches the host are the workspace's steps, done by [`crate::work`] after they are journalled. So a plan, a dry run and an
//! apply are the same code, and a file is replaced once however many actions change it.

pub mod archive_member_absent;
pub mod crypto_policy_module;
mod diff;
pub mod file_acl;
pub mod file_dropin;
pub mod file_list_setting;
pub mod file_mode;
pub mod file_scan;
pub mod file_setting;
pub mod file_setting_absent;
pub mod file_xml;
pub mod firewall_rule;
pub mod iis;
pub mod kernel_cmdline;
pub mod kernel_module;
pub mod kernel_sysctl;
pub mod package_state;
pub mod registry;
pub mod selinux_boolean;
pub mod service_state;
pub mod windows_firewall;
pub mod windows_service;
pub mod windows_setting;
pub mod workspace;

use crate::fs::FsError;
use crate::host::Host;
use crate::record::{FileEdit, XmlFileEdit};
use crate::windows::Windows;
use catalogue::actions::{Action, rails};
use catalogue::schema::Entry;
use domain::mitigation::ControlState;
pub use workspace::Workspace;

/// Windows, where this is one.
fn windows(host: &Host) -> Result<&dyn Windows, String> {
    host.windows.as_deref().ok_or_else(|| "this is no Windows".to_owned())
}

/// What a report says is needed where only a restart of the host makes a change effective.
pub const REBOOT: &str = "reboot";

/// What a check finds for one action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// The wanted state is not there.
    Absent,
    /// It is there and in force.
    Present,
    /// It is there but waits for a restart, a reload or a reboot.
    Partial,
    /// It is set for the next boot, but the running system was set otherwise: to be applied again.
    Lapsed,
    /// It cannot be read.
    Unknown,
    /// There is nothing here the action could concern.
    NotHere,
}

/// See [`Presence`], with what people want to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was found.
    pub presence: Presence,
    /// The state as a short text; `(absent)` when there is none.
    pub shown: String,
    /// Why, when it is not simply so.
    pub note: String,
}

impl Finding {
    fn new(presence: Presence, shown: impl Into<String>) -> Self {
        Self { presence, shown: shown.into(), note: String::new() }
    }

    fn because(presence: Presence, shown: impl Into<String>, note: impl Into<String>) -> Self {
        Self { presence, shown: shown.into(), note: note.into() }
    }

    /// Nothing can be said.
    fn unknown(note: impl Into<String>) -> Self {
        Self::because(Presence::Unknown, "(unknown)", note)
    }
}

/// Why an action cannot be planned.
#[derive(Debug, thiserror::Error)]
pub enum KindError {
    /// The host's files refuse.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// A person has to decide, or this agent cannot.
    #[error("{0}")]
    Cannot(String),
    /// The path is not one this kind may write to.
    #[error("{kind} may not write to {path}")]
    Forbidden {
        /// The kind.
        kind: &'static str,
        /// The path.
        path: String,
    },
}

/// What is the state of this action here? Read-only.
#[must_use]
pub fn check(action: &Action, host: &Host, workspace: &Workspace<'_>) -> Finding {
    let found = match action {
        Action::FileSetting(wanted) => file_setting::check(wanted, host, workspace),
        Action::FileDropin(wanted) => file_dropin::check(wanted, workspace),
        Action::FileMode(wanted) => file_mode::check(wanted, host, workspace),
        Action::KernelSysctl(wanted) => kernel_sysctl::check(wanted, host, workspace),
        Action::KernelModule(wanted) => kernel_module::check(wanted, host, workspace),
        Action::ServiceState(wanted) if host.windows.is_some() => windows_service::check(wanted, host, workspace),
        Action::ServiceState(wanted) => service_state::check(wanted, host, workspace),
        Action::PackageState(wanted) => package_state::check(wanted, host, workspace),
        Action::FileXml(wanted) => file_xml::check(wanted, workspace),
        Action::KernelCmdline(wanted) => kernel_cmdline::check(wanted, host, workspace),
        Action::FirewallRule(wanted) if host.windows.is_some() => windows_firewall::check(wanted, host, workspace),
        Action::FirewallRule(wanted) => firewall_rule::check(wanted, host, workspace),
        Action::ArchiveMemberAbsent(wanted) => archive_member_absent::check(wanted, host, workspace),
        Action::SelinuxBoolean(wanted) => selinux_boolean::check(wanted, host, workspace),
        Action::FileListSetting(wanted) => file_list_setting::check(wanted, host, workspace),
        Action::FileSettingAbsent(wanted) => file_setting_absent::check(wanted, host, workspace),
        Action::FileScan(wanted) => file_scan::check(wanted, host, workspace),
        Action::CryptoPolicyModule(wanted) => crypto_policy_module::check(wanted, host, workspace),
        Action::WindowsSetting(wanted) => windows_setting::check(wanted, host, workspace),
        Action::FileAcl(wanted) => file_acl::check(wanted, host, workspace),
        Action::IisRewriteRule(wanted) => iis::check_rule(wanted, host, workspace),
        Action::IisGlobalModule(wanted) => iis::check_module(wanted, host, workspace),
        Action::RegistryValue(wanted) => registry::check_value(wanted, host, workspace),
        Action::RegistryValueAbsent(wanted) => registry::check_value_absent(wanted, host, workspace),
        Action::RegistryKeyAbsent(wanted) => registry::check_key_absent(wanted, host, workspace),
    };
    found.unwrap_or_else(|error| Finding::unknown(error.to_string()))
}

/// Plan the change in the workspace. Returns the edit within a file.
///
/// # Errors
/// See [`KindError`]; what the workspace holds is of no use then.
pub fn plan(action: &Action, host: &Host, workspace: &mut Workspace<'_>) -> Result<Edit, KindError> {
    // A signed entry is no reason to write just anywhere (catalogue README 3, safety rails).
    if !action.path_is_allowed() {
        let path = action.path().unwrap_or_default().to_owned();
        return Err(KindError::Forbidden { kind: action.kind(), path });
    }
    if let Some(breach) = rails::breach(action) {
        return Err(KindError::Cannot(breach.message));
    }
    match action {
        Action::FileSetting(wanted) => file_setting::plan(wanted, host, workspace).map(Edit::Setting),
        Action::FileDropin(wanted) => nothing(file_dropin::plan(wanted, workspace)),
        Action::FileMode(wanted) => nothing(file_mode::plan(wanted, host, workspace)),
        Action::KernelSysctl(wanted) => nothing(kernel_sysctl::plan(wanted, host, workspace)),
        Action::KernelModule(wanted) => nothing(kernel_module::plan(wanted, host, workspace)),
        Action::ServiceState(wanted) if host.windows.is_some() => {
            nothing(windows_service::plan(wanted, host, workspace))
        }
        Action::ServiceState(wanted) => nothing(service_state::plan(wanted, host, workspace)),
        Action::PackageState(wanted) => nothing(package_state::plan(wanted, host, workspace)),
        Action::FileXml(wanted) => file_xml::plan(wanted, workspace).map(Edit::Xml),
        Action::KernelCmdline(wanted) => nothing(kernel_cmdline::plan(wanted, host, workspace)),
        Action::FirewallRule(wanted) if host.windows.is_some() => {
            nothing(windows_firewall::plan(wanted, host, workspace))
        }
        Action::FirewallRule(wanted) => nothing(firewall_rule::plan(wanted, host, workspace)),
        Action::ArchiveMemberAbsent(wanted) => nothing(archive_member_absent::plan(wanted, host, workspace)),
        Action::SelinuxBoolean(wanted) => nothing(selinux_boolean::plan(wanted, host, workspace)),
        Action::FileListSetting(wanted) => file_list_setting::plan(wanted, host, workspace).map(Edit::Setting),
        Action::FileSettingAbsent(wanted) => file_setting_absent::plan(wanted, host, workspace).map(Edit::Setting),
        Action::FileScan(wanted) => nothing(file_scan::plan(wanted)),
        Action::CryptoPolicyModule(wanted) => nothing(crypto_policy_module::plan(wanted, host, workspace)),
        Action::WindowsSetting(wanted) => nothing(windows_setting::plan(wanted, host, workspace)),
        Action::FileAcl(wanted) => nothing(file_acl::plan(wanted, host, workspace)),
        Action::IisRewriteRule(wanted) => nothing(iis::plan_rule(wanted, host, workspace)),
        Action::IisGlobalModule(wanted) => nothing(iis::plan_module(wanted, host, workspace)),
        Action::RegistryValue(wanted) => nothing(registry::plan_value(wanted, host, workspace)),
        Action::RegistryValueAbsent(wanted) => nothing(registry::plan_value_absent(wanted, host, workspace)),
        Action::RegistryKeyAbsent(wanted) => nothing(registry::plan_key_absent(wanted, host, workspace)),
    }
}

/// An edit within a file that holds other things, too.
#[derive(Debug)]
pub enum Edit {
    /// None: what is changed is ours as a whole.
    None,
    /// A setting.
    Setting(FileEdit),
    /// A place in an XML file.
    Xml(XmlFileEdit),
}

fn nothing(planned: Result<(), KindError>) -> Result<Edit, KindError> {
    planned.map(|()| Edit::None)
}

/// Names the setting on this host, for sharing between entries.
#[must_use]
pub fn key(action: &Action) -> String {
    match action {
        Action::FileSetting(wanted) => {
            let (section, format) = (wanted.section.as_ref().map(catalogue::text::Line::as_str), wanted.format);
            let key = crate::format::items::plain_key(format, wanted.key.as_str());
            let section = crate::format::items::plain_section(format, section, wanted.key.as_str());
            let key = key.unwrap_or_else(|| wanted.key.to_string());
            format!("file.setting:{}:{}:{key}", wanted.path, section.unwrap_or_default())
        }
        Action::FileListSetting(wanted) => {
            format!("{}:{}:{}", action.kind(), action.target(), wanted.remove.as_str().to_lowercase())
        }
        other => format!("{}:{}", other.kind(), other.target()),
    }
}

/// The state of a whole entry from its actions' findings.
#[must_use]
pub fn entry_state(findings: &[Finding], ours: bool) -> ControlState {
    let has = |presence| findings.iter().any(|finding| finding.presence == presence);
    if findings.iter().all(|finding| finding.presence == Presence::NotHere) {
        ControlState::NotApplicable
    } else if has(Presence::Unknown) {
        ControlState::Unknown
    } else if has(Presence::Absent) || (ours && has(Presence::Lapsed)) {
        // What we put there and is gone was changed by somebody.
        if ours { ControlState::Drifted } else { ControlState::Exposed }
    } else if has(Presence::Partial) || has(Presence::Lapsed) {
        ControlState::Configured
    } else {
        ControlState::Effective
    }
}

/// Check every action of an entry.
#[must_use]
pub fn check_all(entry: &Entry, host: &Host, workspace: &Workspace<'_>) -> Vec<Finding> {
    entry.actions.iter().map(|action| check(action, host, workspace)).collect()
}
