//! Parameters of `selinux.boolean`.

use serde::{Deserialize, Serialize};

use crate::text::BooleanName;

/// Parameters of `selinux.boolean`: a switch of the SELinux policy, now and after a reboot. Where SELinux is not enabled, or its
/// policy has no such switch, there is nothing to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelinuxBoolean {
    /// The switch.
    pub name: BooleanName,
    /// On or off.
    pub value: bool,
}

impl SelinuxBoolean {
    /// The value as people and programs write it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        if self.value { "on" } else { "off" }
    }

    /// Whether it decides how people come in: such a switch is never turned by an entry.
    #[must_use]
    pub fn is_about_access(&self) -> bool {
        let name = self.name.as_str();
        name.starts_with("ssh") || name.starts_with("secure_mode") || name.contains("login")
    }
}
