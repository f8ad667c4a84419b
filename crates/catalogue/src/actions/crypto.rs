//! Parameters of `crypto_policy.module`.

use serde::{Deserialize, Serialize};

use crate::text::PolicyModule;

/// Parameters of `crypto_policy.module`: a module is part of the system-wide policy of what may be used to encrypt. The module's
/// own text is a `file.dropin` before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CryptoPolicyModule {
    /// The module, without `.pmod`.
    pub name: PolicyModule,
}

impl CryptoPolicyModule {
    /// Where the module's text is.
    #[must_use]
    pub fn file(&self) -> String {
        format!("/etc/crypto-policies/policies/modules/{}.pmod", self.name)
    }
}
