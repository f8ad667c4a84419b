//! Whether an item can be rescanned, whoever asks (S2.02 to S2.06), and which of its hosts.

use crate::refusal::Refusal;

/// The product whose items can be rescanned (S2.05).
pub const PRODUCT: &str = "qualys";

/// The default option profile for where an item is scanned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultProfile<'a> {
    /// There is one, and the scanner has it.
    Known,
    /// Neither the appliance nor the instance names one.
    Unset,
    /// The one that is named is not at the scanner any more.
    Gone(&'a str),
}

/// What decides whether an item can be rescanned, whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Situation<'a> {
    /// Product of the item's integration instance.
    pub product: &'a str,
    /// The scanner is Active.
    pub active: bool,
    /// An import run has started since the scanner was activated, once.
    pub stamped: bool,
    /// The item is Closed.
    pub closed: bool,
    /// The instance has a connection to the scanner; one that is filled from files has none.
    pub connected: bool,
    /// The instance is not disabled.
    pub enabled: bool,
    /// Addresses the scanner can be pointed at.
    pub addresses: usize,
    /// What those are scanned with unless a profile is named.
    pub profile: DefaultProfile<'a>,
}

/// May this item be rescanned? The first reason that holds is the one people see.
///
/// # Errors
/// `source_not_supported`, `scanner_inactive`, `source_not_connected`, `instance_disabled`, `source_not_stamped`,
/// `record_closed`, `nothing_to_scan`, `no_default_profile`.
pub fn permitted(situation: Situation<'_>) -> Result<(), Refusal> {
    if situation.product != PRODUCT {
        return Err(Refusal::new(
            "source_not_supported",
            "the item does not come from Qualys; only Qualys items can be rescanned",
        ));
    }
    if !situation.active {
        return Err(Refusal::new(
            "scanner_inactive",
            "the Qualys scanner is inactive; an administrator activates it under Scanners",
        ));
    }
    if !situation.connected {
        return Err(Refusal::new(
            "source_not_connected",
            "the item was imported from files; set up a connection to Qualys to rescan it",
        ));
    }
    if !situation.enabled {
        return Err(Refusal::new(
            "instance_disabled",
            "the integration instance is disabled; an administrator enables it under Scanners",
        ));
    }
    if !situation.stamped {
        return Err(Refusal::new(
            "source_not_stamped",
            "the scanner was activated lately; available after the next import",
        ));
    }
    if situation.closed {
        return Err(Refusal::new("record_closed", "the item is closed; there is nothing left to verify"));
    }
    if situation.addresses == 0 {
        return Err(Refusal::new("nothing_to_scan", "the asset has no address that the scanner can reach"));
    }
    match situation.profile {
        DefaultProfile::Known => Ok(()),
        DefaultProfile::Unset => Err(Refusal::new(
            "no_default_profile",
            "no default option profile is set, neither at the appliance nor at the integration; set one under Scanners",
        )),
        DefaultProfile::Gone(name) => Err(Refusal::new(
            "no_default_profile",
            format!("the scanner does not have the default option profile {name} any more; set another under Scanners"),
        )),
    }
}

/// Why one host of an item is not scanned although the item is: it has no address. `tracking` is how the scanner tracks it.
#[must_use]
pub fn unscannable(address: &str, tracking: &str) -> Option<Refusal> {
    match (address.is_empty(), tracking) {
        (false, _) => None,
        (true, "AGENT" | "QAGENT") => Some(Refusal::new(
            "agent_only",
            "the host is known by the scanner's agent only and has no address to point a scan at",
        )),
        (true, _) => Some(Refusal::new("no_address", "the scanner gave no address for the host")),
    }
}
