//! Scanner appliances and which of them serves an address.

use serde::{Deserialize, Serialize};

/// `{"appliances": […], "next": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AppliancesBody {
    /// In their precedence, unless sorted otherwise.
    pub appliances: Vec<Appliance>,
    /// The cursor of the next page.
    #[serde(default)]
    pub next: Option<String>,
}

/// `{"appliance": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ApplianceBody {
    /// The row.
    pub appliance: Appliance,
}

/// Which addresses a scanner appliance serves: a row from the scanner's list, from one of its asset groups, or made by
/// people.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Appliance {
    /// Key of the row.
    pub id: i64,
    /// Key of the integration instance.
    pub instance_id: i64,
    /// Its name.
    pub instance: String,
    /// The scanner's key of the appliance; `0` for the platform's own scanners.
    pub key: String,
    /// Name.
    pub name: String,
    /// What the scanner last said of it: `Online`, `Offline`; empty where it does not list it.
    pub status: String,
    /// The asset group the row comes from; empty for none.
    pub group: String,
    /// Ranges it serves, low and high address of each.
    pub addresses: Vec<(String, String)>,
    /// The scanner's network; empty without networks.
    pub network_id: String,
    /// A query over assets whose addresses it serves, too; empty for none.
    pub condition: String,
    /// Key of the option profile used with it.
    pub profile: Option<String>,
    /// Lower wins where several serve an address.
    pub precedence: i64,
    /// Whether it is chosen by address.
    pub active: bool,
    /// Made by people.
    pub manual: bool,
}

/// A row made by hand.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewAppliance {
    /// Key of the integration instance.
    pub instance_id: i64,
    /// The scanner's key of the appliance; `0` or `External` for the platform's own scanners.
    pub key: String,
    /// Name; the key when absent.
    #[serde(default)]
    pub name: String,
    /// Addresses and ranges `a-b`, at most 10,000.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// The scanner's network.
    #[serde(default)]
    pub network_id: String,
    /// A query over assets whose addresses it serves, too.
    #[serde(default)]
    pub condition: String,
    /// Key or title of the option profile to use with it.
    pub profile: Option<String>,
    /// Lower wins; 100 when absent.
    pub precedence: Option<i64>,
}

/// What changes of a row; what is absent stays. Key, name, network and addresses of a row that comes from the scanner are
/// the scanner's.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ApplianceChange {
    /// The scanner's key of the appliance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Addresses and ranges `a-b`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addresses: Option<Vec<String>>,
    /// The scanner's network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_id: Option<String>,
    /// A query over assets; empty for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// Key or title of the option profile; empty for the instance's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Lower wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precedence: Option<i64>,
    /// Whether it is chosen by address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
}

/// `{"place": …}`: where an address is scanned from.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PlaceBody {
    /// Where.
    pub place: Place,
}

/// Where an address is scanned from.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Place {
    /// Key of the row; absent where the platform's own scanners are used because nothing else fits.
    pub row: Option<i64>,
    /// Name of the appliance.
    pub appliance: String,
    /// Why: `range`, `condition`, `default` or `external`.
    pub why: String,
    /// Key or title of the option profile used there; absent where none is set.
    pub profile: Option<String>,
    /// All of it in a sentence.
    pub sentence: String,
}
