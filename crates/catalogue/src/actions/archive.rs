//! Parameters of `archive.member_absent`: a member is taken out of archives of the zip family (jar, war, ear).

use serde::{Deserialize, Serialize};

use crate::text::{HostPath, MemberName, NamePattern};

/// Parameters of `archive.member_absent`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
pub struct ArchiveMemberAbsent {
    /// The folders searched, with everything below them; links are not followed. At least one.
    pub roots: Vec<HostPath>,
    /// File names of the archives that are changed. At least one.
    pub names: Vec<NamePattern>,
    /// The member that must not be in them.
    pub member: MemberName,
    /// Whether such archives are also looked for inside of other archives (`*.jar`, `*.war`, `*.ear`). One that is found there
    /// is told and left to a person.
    pub nested: bool,
}

impl ArchiveMemberAbsent {
    /// Most folders, and most names, of one action.
    pub const LIST_MAX: usize = 64;

    /// Whether a file of this name is one of the archives.
    #[must_use]
    pub fn names_archive(&self, name: &str) -> bool {
        self.names.iter().any(|pattern| pattern.matches(name))
    }
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    roots: Vec<HostPath>,
    names: Vec<NamePattern>,
    member: MemberName,
    nested: bool,
}

impl TryFrom<Fields> for ArchiveMemberAbsent {
    type Error = &'static str;

    fn try_from(fields: Fields) -> Result<Self, &'static str> {
        let fits = |length: usize| (1..=Self::LIST_MAX).contains(&length);
        if !fits(fields.roots.len()) || !fits(fields.names.len()) {
            return Err("archive.member_absent: roots and names need 1 to 64 members each");
        }
        let Fields { roots, names, member, nested } = fields;
        Ok(Self { roots, names, member, nested })
    }
}

impl From<ArchiveMemberAbsent> for Fields {
    fn from(value: ArchiveMemberAbsent) -> Self {
        let ArchiveMemberAbsent { roots, names, member, nested } = value;
        Self { roots, names, member, nested }
    }
}
