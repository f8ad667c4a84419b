//! Parameters of `file.acl`: nobody may use a library of Windows, by its access list.
//!
//! The kind takes rights away from named libraries and does nothing else: no entry can give anybody a right, and none can name a
//! library that the system needs to start or people need to sign in.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::text::WindowsFile;

/// Parameters of `file.acl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileAcl {
    /// The file, in lower case, one of those that [`allowed_library`] knows.
    pub path: WindowsFile,
    /// What is wanted of its access list.
    pub want: AclWant,
}

/// What `file.acl` can want. A name: what stands in the access list is the agent's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AclWant {
    /// Everyone is denied everything, so that no program can load it.
    DenyEveryone,
}

impl fmt::Display for AclWant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DenyEveryone => "denied to everyone",
        })
    }
}

/// Folders in which the libraries lie, of 64-bit and of 32-bit programs.
const FOLDERS: [&str; 2] = ["%windir%\\system32\\", "%windir%\\syswow64\\"];
/// Libraries that Microsoft itself advised to deny, and that nothing needs to start or to sign in.
const LIBRARIES: [&str; 3] = ["jscript.dll", "t2embed.dll", "vbscript.dll"];

/// Whether an entry may deny this file: a short list, because a machine that cannot load a library of the system may never start
/// again, and then nothing puts it back.
#[must_use]
pub(super) fn allowed_library(path: &WindowsFile) -> bool {
    FOLDERS.iter().any(|folder| path.as_str().strip_prefix(folder).is_some_and(|name| LIBRARIES.contains(&name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_libraries_that_nothing_needs_to_start_can_be_denied() {
        for (path, allowed) in [
            ("%windir%\\system32\\jscript.dll", true),
            ("%windir%\\syswow64\\vbscript.dll", true),
            ("%windir%\\system32\\kernel32.dll", false),
            ("%windir%\\system32\\ntdll.dll", false),
            ("%windir%\\system32\\winlogon.exe", false),
            ("%windir%\\system32\\config\\sam", false),
            ("%windir%\\system32\\drivers\\jscript.dll", false),
            ("%windir%\\jscript.dll", false),
            ("%windir%\\system32", false),
        ] {
            assert_eq!(allowed_library(&path.parse().unwrap()), allowed, "{path}");
        }
    }
}
