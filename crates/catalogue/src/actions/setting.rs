//! Parameters of the kinds beside `file.setting`: `file.list_setting`, `file.setting_absent` and `file.scan`.

use serde::{Deserialize, Serialize};

use super::file::{SettingFormat, Validator};
use crate::text::{HostPath, Line};

/// Parameters of `file.list_setting`: a word is in none of the lists a setting has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileListSetting {
    /// The main configuration file.
    pub path: HostPath,
    /// How the file is read.
    pub format: SettingFormat,
    /// The section, for formats that have sections; `*` stands for any characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section: Option<Line>,
    /// The setting's name.
    pub key: Line,
    /// The word, without the parameters that programs let follow it after a colon.
    pub remove: Line,
    /// The validator that has to accept the result before it replaces the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validate: Option<Validator>,
}

/// Parameters of `file.setting_absent`: nothing sets it, so that the program's default holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSettingAbsent {
    /// The configuration file. Only this one is changed; what it includes is looked at.
    pub path: HostPath,
    /// How the file is read.
    pub format: SettingFormat,
    /// The section, for formats that have sections; every section where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section: Option<Line>,
    /// The setting's name.
    pub key: Line,
    /// The validator that has to accept the result before it replaces the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validate: Option<Validator>,
}

/// Parameters of `file.scan`: something is in none of some files. It only tells; what it finds is for a person to rewrite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileScan {
    /// What is looked for. A name: where it looks and how is the agent's.
    pub rule: ScanRule,
}

/// What `file.scan` can look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScanRule {
    /// A rule of sudo that lets somebody run programs as everybody but root, `(ALL, !root)`.
    SudoersAllButRoot,
}

impl ScanRule {
    /// The files that are looked at, for people.
    #[must_use]
    pub fn files(self) -> &'static str {
        match self {
            Self::SudoersAllButRoot => "/etc/sudoers",
        }
    }

    /// What is looked for, for people: the end of "no …".
    #[must_use]
    pub fn what(self) -> &'static str {
        match self {
            Self::SudoersAllButRoot => "rule with ALL and an excluded root as the users that programs may be run as",
        }
    }
}

/// Options of PAM modules that entries may set: an option of another module could let anybody in.
const PAM_OPTIONS: [(&str, &[&str]); 1] = [("pam_env.so user_readenv", &["0"])];

/// Whether a setting of PAM is one that entries may change, in a file of one service.
#[must_use]
pub(super) fn allowed_pam(path: &str, key: &str, value: &str) -> bool {
    let service = path.strip_prefix("/etc/pam.d/").is_some_and(|name| !name.is_empty() && !name.contains('/'));
    service && PAM_OPTIONS.iter().any(|(of, values)| *of == key && values.contains(&value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_let_people_in_are_out_of_reach() {
        assert!(allowed_pam("/etc/pam.d/cockpit", "pam_env.so user_readenv", "0"));
        for (path, key, value) in [
            ("/etc/pam.d/cockpit", "pam_unix.so nullok", "1"),
            ("/etc/pam.d/cockpit", "pam_env.so envfile", "/tmp/x"),
            ("/etc/pam.d/cockpit", "pam_env.so user_readenv", "1"),
            ("/etc/pam.d/cockpit", "pam_env.so user_readenv", "0 debug"),
            ("/etc/pam.d/", "pam_env.so user_readenv", "0"),
            ("/etc/pam.d/x/y", "pam_env.so user_readenv", "0"),
            ("/etc/pam.conf", "pam_env.so user_readenv", "0"),
        ] {
            assert!(!allowed_pam(path, key, value), "{path} {key} {value}");
        }
    }
}
