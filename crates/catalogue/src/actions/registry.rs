//! Parameters of the kinds that touch the Windows registry, and which of its keys they may touch.
//!
//! Only settings of the machine: those of each user are not built, and a key below `HKEY_CURRENT_USER` is refused.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::text::{Line, RegistryKey, RegistryName};

/// Parameters of `registry.value`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ValueFields", into = "ValueFields")]
pub struct RegistryValue {
    /// The key.
    pub key: RegistryKey,
    /// The value's name.
    pub name: RegistryName,
    /// Its type and data.
    pub data: RegistryData,
    /// Which half of a 64-bit system's registry.
    pub view: View,
}

/// Parameters of `registry.value_absent`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistryValueAbsent {
    /// The key.
    pub key: RegistryKey,
    /// The value's name.
    pub name: RegistryName,
    /// Which half of a 64-bit system's registry.
    #[serde(default)]
    pub view: View,
}

/// Parameters of `registry.key_absent`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistryKeyAbsent {
    /// The key, which goes with everything below it.
    pub key: RegistryKey,
    /// Which half of a 64-bit system's registry.
    #[serde(default)]
    pub view: View,
}

/// Half of a 64-bit system's registry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum View {
    /// Of 64-bit programs.
    #[default]
    #[serde(rename = "64")]
    Bits64,
    /// Of 32-bit programs.
    #[serde(rename = "32")]
    Bits32,
}

/// Type and data of a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "type", content = "data")]
pub enum RegistryData {
    /// `REG_DWORD`.
    Dword(u32),
    /// `REG_QWORD`.
    Qword(u64),
    /// `REG_SZ`.
    Sz(String),
    /// `REG_EXPAND_SZ`.
    ExpandSz(String),
    /// `REG_MULTI_SZ`.
    MultiSz(Vec<String>),
    /// Any other type, by its number, as bytes. Read and put back, never wanted by an entry.
    Other {
        /// The number of the type.
        number: u32,
        /// The bytes.
        bytes: Vec<u8>,
    },
}

impl fmt::Display for RegistryData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dword(data) => write!(f, "{data} (dword)"),
            Self::Qword(data) => write!(f, "{data} (qword)"),
            Self::Sz(data) => write!(f, "\"{data}\" (sz)"),
            Self::ExpandSz(data) => write!(f, "\"{data}\" (expand-sz)"),
            Self::MultiSz(data) => write!(f, "\"{}\" (multi-sz)", data.join("\", \"")),
            Self::Other { number, bytes } => write!(f, "{} bytes (type {number})", bytes.len()),
        }
    }
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum TypeWord {
    Dword,
    Qword,
    Sz,
    ExpandSz,
    MultiSz,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum DataField {
    Number(u64),
    Text(Line),
    Texts(Vec<Line>),
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ValueFields {
    key: RegistryKey,
    name: RegistryName,
    #[serde(rename = "type")]
    word: TypeWord,
    data: DataField,
    #[serde(default)]
    view: View,
}

impl TryFrom<ValueFields> for RegistryValue {
    type Error = &'static str;

    fn try_from(fields: ValueFields) -> Result<Self, &'static str> {
        let ValueFields { key, name, word, data, view } = fields;
        let data = match (word, data) {
            (TypeWord::Dword, DataField::Number(data)) => {
                RegistryData::Dword(u32::try_from(data).map_err(|_| "registry.value: a dword has 32 bits")?)
            }
            (TypeWord::Qword, DataField::Number(data)) => RegistryData::Qword(data),
            (TypeWord::Sz, DataField::Text(data)) => RegistryData::Sz(data.into()),
            (TypeWord::ExpandSz, DataField::Text(data)) => RegistryData::ExpandSz(data.into()),
            (TypeWord::MultiSz, DataField::Texts(data)) => {
                RegistryData::MultiSz(data.into_iter().map(String::from).collect())
            }
            _ => return Err("registry.value: data is not of that type"),
        };
        Ok(Self { key, name, data, view })
    }
}

impl From<RegistryValue> for ValueFields {
    fn from(value: RegistryValue) -> Self {
        let line = |text: String| Line::try_from(text).expect("it was a line when it was read");
        let (word, data) = match value.data {
            RegistryData::Dword(data) => (TypeWord::Dword, DataField::Number(u64::from(data))),
            RegistryData::Qword(data) => (TypeWord::Qword, DataField::Number(data)),
            RegistryData::Sz(data) => (TypeWord::Sz, DataField::Text(line(data))),
            RegistryData::ExpandSz(data) => (TypeWord::ExpandSz, DataField::Text(line(data))),
            RegistryData::MultiSz(data) => (TypeWord::MultiSz, DataField::Texts(data.into_iter().map(line).collect())),
            RegistryData::Other { .. } => unreachable!("an entry cannot want a type it cannot name"),
        };
        Self { key: value.key, name: value.name, word, data, view: value.view }
    }
}

/// Whether an entry may touch a key, or a value of it: settings of programs and services, not what is started, what is loaded
/// into other programs, who may log in, and what belongs to the agent itself.
#[must_use]
pub fn allowed_key(key: &RegistryKey, name: Option<&RegistryName>) -> bool {
    const BELOW: [&str; 3] = ["hklm\\software\\", "hklm\\system\\currentcontrolset\\", "hkcr\\"];
    const NEVER: [&str; 12] = [
        "\\currentversion\\run",
        "\\currentversion\\policies\\explorer\\run",
        "\\winlogon",
        "\\image file execution options",
        "\\silentprocessexit",
        "\\safeboot",
        "\\control\\lsa",
        "\\session manager\\knowndlls",
        "\\appcertdlls",
        "\\services\\quell",
        "\\software\\quell",
        "\\securityproviders\\wdigest",
    ];
    const NEVER_NAMED: [&str; 8] = [
        "imagepath",
        "servicedll",
        "objectname",
        "failurecommand",
        "appinit_dlls",
        "bootexecute",
        "pendingfilerenameoperations",
        "shell",
    ];
    let key = key.as_str().to_lowercase();
    let named = name.is_some_and(|name| NEVER_NAMED.contains(&name.as_str().to_lowercase().as_str()));
    BELOW.iter().any(|prefix| key.starts_with(prefix)) && !NEVER.iter().any(|never| key.contains(never)) && !named
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_started_or_loaded_is_out_of_reach() {
        for (key, name, allowed) in [
            ("HKLM\\SYSTEM\\CurrentControlSet\\Services\\DNS\\Parameters", "TcpReceivePacketSize", true),
            ("HKLM\\SYSTEM\\CurrentControlSet\\Services\\DNS", "ImagePath", false),
            ("HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Run", "x", false),
            ("HKLM\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\Winlogon", "Userinit", false),
            ("HKLM\\SYSTEM\\Setup", "CmdLine", false),
            ("HKLM\\SAM\\SAM", "x", false),
            (
                "hklm\\software\\microsoft\\windows nt\\currentversion\\image file execution options\\sethc.exe",
                "x",
                false,
            ),
        ] {
            let (key, name) = (key.parse().unwrap(), name.parse().unwrap());
            assert_eq!(allowed_key(&key, Some(&name)), allowed, "{key} {name}");
        }
        assert!(allowed_key(&"HKCR\\ms-msdt".parse().unwrap(), None));
        assert!(!allowed_key(&"HKLM\\SOFTWARE".parse().unwrap(), None));
    }
}
