//! Parameters of the kinds that touch files: `file.setting`, `file.dropin`, `file.mode`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::text::{FileText, HostPath, Line, PathPattern};

/// Parameters of `file.setting`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSetting {
    /// The main configuration file.
    pub path: HostPath,
    /// How the file is read, which decides what "in effect" means.
    pub format: SettingFormat,
    /// The section, for formats that have sections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section: Option<Line>,
    /// The setting's name.
    pub key: Line,
    /// The wanted value in the file's own spelling.
    pub value: Line,
    /// The validator that has to accept the result before it replaces the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validate: Option<Validator>,
}

/// Configuration formats of `file.setting`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SettingFormat {
    /// OpenSSH server: first value wins, `Include` is followed, `Match` blocks end the global part.
    Sshd,
    /// OpenSSH client: first value wins, global part before the first `Host` or `Match`.
    Ssh,
    /// Samba: last value wins within a section; names ignore case and spaces.
    Smbconf,
    /// Sections in brackets, `key = value`, last wins.
    Ini,
    /// Postfix `main.cf`: last wins, continuation lines begin with space.
    Postconf,
    /// BIND `named.conf`: statements in blocks.
    Bind,
    /// Git: dotted key, sections, last wins.
    Gitconfig,
    /// PAM: an option of a module's line.
    Pam,
    /// NTP: words on lines, accumulating.
    Ntp,
}

impl SettingFormat {
    /// Whether settings of this format live in a section that has to be named.
    #[must_use]
    pub fn needs_section(self) -> bool {
        matches!(self, Self::Smbconf | Self::Ini | Self::Bind)
    }
}

/// Programs that check a configuration. Names, never command lines: the agent holds the fixed arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Validator {
    /// `sshd -t`.
    Sshd,
    /// `visudo -c`.
    Visudo,
    /// `testparm -s`.
    Testparm,
    /// `apachectl configtest`.
    Apachectl,
    /// `named-checkconf`.
    Named,
    /// `postfix check`.
    Postfix,
    /// The polkit rule syntax.
    Polkit,
}

/// Parameters of `file.dropin`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileDropin {
    /// Where the file is.
    pub path: HostPath,
    /// Its permission bits.
    pub mode: FileBits,
    /// Its whole text.
    pub content: FileText,
    /// The validator that has to accept the result before it replaces the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validate: Option<Validator>,
}

/// Permission bits, written as four octal digits: `"0644"`. Never setuid, setgid or writable for everybody: no mitigation
/// needs to hand out what those hand out, and whoever holds a content key gets no use of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FileBits(u32);

impl FileBits {
    /// The bits, at most `0o1775`.
    #[must_use]
    pub fn bits(self) -> u32 {
        self.0
    }
}

/// A text that is not four octal digits, or holds bits that are never given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a mode of four octal digits such as \"0644\", without setuid, setgid and write for everybody")]
pub struct FileBitsError(String);

impl FromStr for FileBits {
    type Err = FileBitsError;

    fn from_str(text: &str) -> Result<Self, FileBitsError> {
        let octal = text.len() == 4 && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
        let bits = octal.then(|| u32::from_str_radix(text, 8).ok()).flatten();
        bits.filter(|bits| bits & 0o6002 == 0).map(Self).ok_or_else(|| FileBitsError(text.chars().take(20).collect()))
    }
}

impl TryFrom<String> for FileBits {
    type Error = FileBitsError;

    fn try_from(text: String) -> Result<Self, FileBitsError> {
        text.parse()
    }
}

impl From<FileBits> for String {
    fn from(bits: FileBits) -> Self {
        bits.to_string()
    }
}

impl fmt::Display for FileBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

/// Parameters of `file.mode`: a path and either `clear` or `mode`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "FileModeFields", into = "FileModeFields")]
pub struct FileMode {
    /// The file; `*` in the last part covers several.
    pub path: PathPattern,
    /// What becomes of the bits.
    pub change: ModeChange,
}

/// What `file.mode` does to permission bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModeChange {
    /// Take these bits away, leave all others.
    Clear(Vec<ModeBit>),
    /// Set all bits.
    Set(FileBits),
}

impl ModeChange {
    /// The bits wanted for a file that has these bits now.
    #[must_use]
    pub fn wanted(&self, present: u32) -> u32 {
        match self {
            Self::Clear(bits) => bits.iter().fold(present & 0o7777, |mode, bit| mode & !bit.mask()),
            Self::Set(bits) => bits.bits(),
        }
    }
}

impl fmt::Display for ModeChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clear(bits) => {
                let names: Vec<&str> = bits.iter().map(|bit| bit.as_str()).collect();
                write!(f, "without {}", names.join(" and "))
            }
            Self::Set(bits) => write!(f, "mode {bits}"),
        }
    }
}

/// A group of permission bits that can be cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModeBit {
    /// Set-user-ID, `4000`.
    Suid,
    /// Set-group-ID, `2000`.
    Sgid,
    /// All three execute bits, `0111`.
    Exec,
}

impl ModeBit {
    /// The bits as a mask.
    #[must_use]
    pub fn mask(self) -> u32 {
        match self {
            Self::Suid => 0o4000,
            Self::Sgid => 0o2000,
            Self::Exec => 0o0111,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Suid => "suid",
            Self::Sgid => "sgid",
            Self::Exec => "exec",
        }
    }
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileModeFields {
    path: PathPattern,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    clear: Option<Vec<ModeBit>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mode: Option<FileBits>,
}

impl TryFrom<FileModeFields> for FileMode {
    type Error = &'static str;

    fn try_from(fields: FileModeFields) -> Result<Self, &'static str> {
        let change = match (fields.clear, fields.mode) {
            (Some(clear), None) if clear.is_empty() => return Err("file.mode: clear names no bit"),
            (Some(clear), None) => ModeChange::Clear(clear),
            (None, Some(mode)) => ModeChange::Set(mode),
            _ => return Err("file.mode: exactly one of clear and mode is needed"),
        };
        Ok(Self { path: fields.path, change })
    }
}

impl From<FileMode> for FileModeFields {
    fn from(value: FileMode) -> Self {
        let (clear, mode) = match value.change {
            ModeChange::Clear(bits) => (Some(bits), None),
            ModeChange::Set(bits) => (None, Some(bits)),
        };
        Self { path: value.path, clear, mode }
    }
}
