//! What an action does, in words for people who have to say yes to it: what is checked, what is changed, what is undone.
//!
//! The words follow from the action's parameters, never from prose in the entry, so that they cannot say anything else than
//! what the agent does. How the agent does it is `agent`'s business; the words are held to each kind by a test.

use crate::actions::{
    Action, ArchiveMemberAbsent, CryptoPolicyModule, FileAcl, FileDropin, FileListSetting, FileMode, FileScan,
    FileSetting, FileSettingAbsent, FileXml, FirewallRule, IisGlobalModule, KernelCmdline, KernelModule, KernelSysctl,
    PackageState, PackageWant, RegistryKeyAbsent, RegistryValue, RegistryValueAbsent, ServiceState, Validator,
    WindowsSetting,
};
use crate::schema::{Entry, Reboot, Reversible};

/// One action in words; each is a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// The kind as written in entries.
    pub kind: &'static str,
    /// What it acts on.
    pub target: String,
    /// What is looked at, before and after.
    pub checked: String,
    /// What is changed where the check does not find the wanted state.
    pub changed: String,
    /// What a rollback does.
    pub undone: String,
}

/// The actions of an entry in words, in the order in which they are applied.
#[must_use]
pub fn of(entry: &Entry) -> Vec<Words> {
    entry.actions.iter().map(action).collect()
}

fn checking(validator: Option<Validator>) -> &'static str {
    match validator {
        Some(_) => " The program's own check has to accept the new file, or the old one is put back.",
        None => "",
    }
}

const SETTING_BACK: &str = "The setting gets the value it had before, or is taken out where there was none; where somebody \
                            changed it meanwhile it is left alone.";
const FILE_BACK: &str = "The file gets its former content back, or is removed where there was none; where somebody changed it meanwhile it is \
     left alone.";
const REGISTRY_BACK: &str = "What was there before is written back; what somebody changed meanwhile is left alone.";

/// One action in words.
#[must_use]
pub fn action(action: &Action) -> Words {
    let (checked, changed, undone) = match action {
        Action::FileSetting(FileSetting { path, key, value, section, validate, .. }) => {
            let within = section.as_ref().map_or_else(String::new, |section| format!(" in section [{section}]"));
            (
                format!("Whether {key}{within} of {path} has the value {value} in effect, included files counted."),
                format!(
                    "{key}{within} of {path} is set to {value}; the rest of the file stays.{}",
                    checking(*validate)
                ),
                SETTING_BACK.to_owned(),
            )
        }
        Action::FileDropin(FileDropin { path, mode, validate, .. }) => (
            format!("Whether {path} holds exactly the content in the entry, with mode {mode}."),
            format!("{path} is written with the content in the entry and mode {mode}.{}", checking(*validate)),
            FILE_BACK.to_owned(),
        ),
        Action::FileMode(FileMode { path, change, .. }) => (
            format!("The permission bits of {path}."),
            format!("The permission bits of {path} are changed: {change}."),
            "The bits become what they were before, unless somebody changed them meanwhile.".to_owned(),
        ),
        Action::KernelSysctl(KernelSysctl { key, op, value }) => (
            format!(
                "Whether {key} {op} {value} holds in the running kernel and in the configuration for the next boot."
            ),
            format!("{key} is set to {value}, at once and by a file of ours for the next boot."),
            format!(
                "{key} gets the value it had before and our file is removed, unless somebody changed either meanwhile."
            ),
        ),
        Action::KernelModule(KernelModule { name, .. }) => (
            format!("Whether the kernel module {name} is loaded, and whether it can be loaded."),
            format!("A file of ours keeps {name} from being loaded, and it is unloaded where nothing uses it."),
            format!("Our file is removed, so that {name} can be loaded again."),
        ),
        Action::ServiceState(ServiceState { name, running, start }) => (
            format!(
                "Whether the service {name} runs and how it starts; where there is no such service, nothing is done."
            ),
            format!("{name} is {}, and its start is set to {start}.", if *running { "started" } else { "stopped" }),
            format!("{name} starts as it did before, and runs again if it ran."),
        ),
        Action::PackageState(package) => packages(package),
        Action::FileXml(FileXml { path, want, .. }) => (
            format!("Whether {path} says: {want}."),
            format!("{path} is changed in that place: {want}; the rest of the file stays."),
            SETTING_BACK.to_owned(),
        ),
        Action::KernelCmdline(KernelCmdline { param }) => (
            format!("Whether {param} stands on the kernel's command line, of this boot and of the next."),
            format!("{param} is added for the next boot; it counts once the machine was restarted."),
            format!("{param} is taken off the command line again; that counts once the machine was restarted."),
        ),
        Action::FirewallRule(rule) => firewall(rule),
        Action::ArchiveMemberAbsent(ArchiveMemberAbsent { member, names, .. }) => {
            let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
            let names = names.join(", ");
            (
                format!("Whether an archive named {names} below the given folders holds {member}."),
                format!("{member} is taken out of each of them; every other byte of the archives stays."),
                "The archives get back what was taken out, unless somebody replaced them meanwhile.".to_owned(),
            )
        }
        Action::SelinuxBoolean(boolean) => (
            format!("Whether SELinux's switch {} is {}, now and at the next boot.", boolean.name, boolean.word()),
            format!("{} is turned {}, now and for every boot.", boolean.name, boolean.word()),
            format!("{} gets the value back that it had.", boolean.name),
        ),
        Action::FileListSetting(FileListSetting { path, section, key, remove, validate, .. }) => {
            let within = section.as_ref().map_or_else(String::new, |section| format!(" in section [{section}]"));
            (
                format!("Whether a list {key}{within} of {path} holds {remove}, included files counted."),
                format!(
                    "{remove} is taken out of every list {key}{within} of {path}; the rest stays.{}",
                    checking(*validate)
                ),
                "The lists become what they were before; one that somebody changed meanwhile is left alone.".to_owned(),
            )
        }
        Action::FileSettingAbsent(FileSettingAbsent { path, section, key, validate, .. }) => {
            let within = section.as_ref().map_or_else(String::new, |section| format!(" in section [{section}]"));
            (
                format!("Whether {path}{within} sets {key}, included files counted."),
                format!("{key} is taken out of {path}{within}, and a comment marks the place.{}", checking(*validate)),
                "What was taken out is put back in its place, unless somebody set it anew or took our mark away."
                    .to_owned(),
            )
        }
        Action::FileScan(FileScan { rule }) => (
            format!("Whether {} holds a {}.", rule.files(), rule.what()),
            "Nothing is changed: a person has to rewrite what is found.".to_owned(),
            "There is nothing to undo, because nothing is changed.".to_owned(),
        ),
        Action::CryptoPolicyModule(CryptoPolicyModule { name }) => (
            format!("Whether the system's cryptographic policy has the module {name}, as set and as applied."),
            format!("{name} is added to the policy, and the policy is applied to all programs that follow it."),
            format!("{name} is taken out of the policy, whatever else it holds by then."),
        ),
        Action::WindowsSetting(WindowsSetting { setting, value }) => (
            format!("Whether Windows' {setting} is {value}{}.", each(*setting)),
            format!("{setting} is set to {value}{}.", each(*setting)),
            "The value it had is set again; what somebody changed meanwhile is left alone.".to_owned(),
        ),
        Action::FileAcl(FileAcl { path, .. }) => (
            format!(
                "Whether the access list of {path} denies everyone the use of it; where there is no such file, nothing is done."
            ),
            format!(
                "An entry that denies everyone everything is put before all others in the access list of {path}, and the \
                 administrators become its owner."
            ),
            "Owner and access list become what they were; one that somebody changed meanwhile is left alone."
                .to_owned(),
        ),
        Action::IisRewriteRule(rule) => (
            format!(
                "Whether a rule of URL Rewrite ends every request to {} whose decoded address holds {}.",
                rule.site,
                rule.said()
            ),
            format!(
                "A rule {} is put before all others of {}: it ends requests whose decoded address holds {}.",
                rule.rule(),
                rule.site,
                rule.said()
            ),
            "Our rule is removed, unless somebody changed it meanwhile; rules of others are never touched.".to_owned(),
        ),
        Action::IisGlobalModule(IisGlobalModule { name, .. }) => (
            format!("Whether IIS loads its module {name}."),
            format!("{name} is taken off the list of modules that IIS loads; its file stays."),
            format!("{name} comes back to its place in the list, with the file and condition it had."),
        ),
        Action::RegistryValue(RegistryValue { key, name, data, .. }) => (
            format!("Whether the registry value {name} of {key} is {data}."),
            format!("{name} of {key} is set to {data}."),
            REGISTRY_BACK.to_owned(),
        ),
        Action::RegistryValueAbsent(RegistryValueAbsent { key, name, .. }) => (
            format!("Whether the registry has a value {name} of {key}."),
            format!("{name} of {key} is removed; its data is kept for the way back."),
            REGISTRY_BACK.to_owned(),
        ),
        Action::RegistryKeyAbsent(RegistryKeyAbsent { key, .. }) => (
            format!("Whether the registry has a key {key}."),
            format!("{key} is removed with what is below it; all of it is kept for the way back."),
            REGISTRY_BACK.to_owned(),
        ),
    };
    Words { kind: action.kind(), target: action.target(), checked, changed, undone }
}

fn each(setting: crate::actions::WindowsSwitch) -> &'static str {
    if setting.is_of_interfaces() { " on each interface" } else { "" }
}

fn packages(package: &PackageState) -> (String, String, String) {
    let names = Action::PackageState(package.clone()).target();
    match &package.want {
        PackageWant::Absent => (
            format!("Whether one of the packages {names} is installed."),
            format!("{names} are removed by the system's package manager, as far as they are installed."),
            "The removed packages are installed again in the version they had, where the package sources still have it."
                .to_owned(),
        ),
        PackageWant::Present => (
            format!("Whether {names} is installed."),
            format!("{names} is installed by the system's package manager."),
            "What was installed is removed again.".to_owned(),
        ),
        PackageWant::NotVersion { versions } => {
            let versions: Vec<&str> = versions.iter().map(crate::text::Line::as_str).collect();
            (
                format!("Whether {names} is installed in version {}.", versions.join(" or ")),
                format!("{names} is brought to another version by the system's package manager."),
                "The version it had is installed again, where the package sources still have it.".to_owned(),
            )
        }
    }
}

fn firewall(rule: &FirewallRule) -> (String, String, String) {
    (
        format!("Whether our rule is in the packet filter, now and for the next boot: {rule}."),
        format!("A rule of ours is added: {rule}. The agent's own connection and the administrators' stay open."),
        "Our rule is removed; rules of others are never touched.".to_owned(),
    )
}

/// What has to follow before the entry is in effect, and whether it can be undone, in sentences.
#[must_use]
pub fn afterwards(entry: &Entry) -> Vec<String> {
    let mut said = Vec::new();
    let services: Vec<String> = entry.after.restart.iter().map(ToString::to_string).collect();
    if !services.is_empty() {
        said.push(format!("The first service there is of {} is restarted.", services.join(", ")));
    }
    said.push(
        match entry.after.reboot {
            Reboot::Required => {
                "The machine has to be restarted before it is in effect; until then half of the points count."
            }
            Reboot::IfLoaded => "The machine has to be restarted only where what is blocked is in use.",
            Reboot::No => "No restart of the machine is needed.",
        }
        .to_owned(),
    );
    said.push(
        match entry.after.reversible {
            Reversible::Yes => "A rollback puts everything back at once.",
            Reversible::No => "There is no way back.",
            Reversible::AtReboot => "A rollback puts everything back, in effect after a restart.",
        }
        .to_owned(),
    );
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::ACTION_KINDS;
    use std::collections::BTreeSet;

    #[test]
    fn s1_09_every_action_of_the_built_in_entries_says_what_it_checks_changes_and_undoes() {
        let mut kinds = BTreeSet::new();
        for entry in crate::embedded::entries().unwrap() {
            for words in of(&entry) {
                kinds.insert(words.kind);
                for text in [&words.checked, &words.changed, &words.undone] {
                    assert!(text.ends_with('.') && text.len() > 20, "{} {}: {text}", entry.id, words.kind);
                }
            }
            assert!(afterwards(&entry).len() >= 2, "{}", entry.id);
        }
        assert!(kinds.len() > ACTION_KINDS.len() / 2, "{kinds:?}");
    }

    #[test]
    fn the_words_name_what_the_parameters_say() {
        let action: Action =
            toml::from_str("kind = \"kernel.sysctl\"\nkey = \"net.ipv4.tcp_sack\"\nop = \"eq\"\nvalue = 0\n").unwrap();
        let words = super::action(&action);
        assert!(words.checked.contains("net.ipv4.tcp_sack = 0"), "{}", words.checked);
        assert!(words.changed.contains("set to 0"), "{}", words.changed);
    }
}
