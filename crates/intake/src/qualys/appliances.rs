//! Scanner appliances (`APPLIANCE_LIST_OUTPUT`). External scanners are not in the list; activation codes and proxy
//! settings are never kept.

use crate::error::ReadError;
use crate::limits::Limits;
use crate::qualys::page::{self, Listing};
use crate::xml::Xml;
use serde::Serialize;
use std::io::BufRead;

/// The root element.
pub const ROOT: &str = "APPLIANCE_LIST_OUTPUT";

/// One appliance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Appliance {
    /// The scanner's key.
    pub id: i64,
    /// Its UUID.
    pub uuid: Option<String>,
    /// What people call it; scans are launched by it.
    pub name: String,
    /// The network it stands in.
    pub network_id: Option<i64>,
    /// Whether it is online; an open list of words.
    pub status: Option<String>,
    /// Scans it runs at the moment.
    pub running_scans: Option<i64>,
    /// Software version.
    pub software_version: Option<String>,
    /// `physical`, `virtual`, ... (only in full answers).
    pub kind: Option<String>,
    /// Asset groups it serves, by id (only in full answers).
    pub asset_group_ids: Vec<i64>,
}

/// Reads one answer.
pub fn read(input: impl BufRead, limits: &Limits) -> Result<Listing<Appliance>, ReadError> {
    page::listing(input, limits, [ROOT, "APPLIANCE_LIST", "APPLIANCE"], |xml| {
        let mut found = Appliance::default();
        xml.children(|xml, name| {
            match name {
                "ID" => found.id = xml.number()?.unwrap_or_default(),
                "UUID" => found.uuid = xml.text()?,
                "NAME" => found.name = xml.text()?.unwrap_or_default(),
                "NETWORK_ID" => found.network_id = xml.number()?,
                "STATUS" => found.status = xml.text()?,
                "RUNNING_SCAN_COUNT" => found.running_scans = xml.number()?,
                "SOFTWARE_VERSION" => found.software_version = xml.text()?,
                "TYPE" => found.kind = xml.text()?,
                "ASSET_GROUP_LIST" => group_ids(xml, &mut found.asset_group_ids)?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(found)
    })
}

fn group_ids<R: BufRead>(xml: &mut Xml<'_, R>, ids: &mut Vec<i64>) -> Result<(), ReadError> {
    xml.children(|xml, _| {
        xml.children(|xml, name| {
            if name == "ID"
                && let Some(id) = xml.number()?
            {
                xml.push(ids, id);
            }
            Ok(())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept() {
        let text = "<APPLIANCE_LIST_OUTPUT><RESPONSE><APPLIANCE_LIST><APPLIANCE><ID>5</ID><NAME>scanner1</NAME><NETWORK_ID>0</NETWORK_ID>
            <STATUS>Online</STATUS><RUNNING_SCAN_COUNT>2</RUNNING_SCAN_COUNT><ACTIVATION_CODE>12345678</ACTIVATION_CODE>
            <ASSET_GROUP_LIST><ASSET_GROUP><ID>77</ID><NAME>All</NAME></ASSET_GROUP></ASSET_GROUP_LIST></APPLIANCE></APPLIANCE_LIST>
            </RESPONSE></APPLIANCE_LIST_OUTPUT>";
        let listing = read(text.as_bytes(), &Limits::default()).expect("good");
        assert_eq!(listing.entries[0].name, "scanner1");
        assert_eq!(listing.entries[0].asset_group_ids, [77]);
        assert!(!format!("{listing:?}").contains("12345678"));
        let none = "<APPLIANCE_LIST_OUTPUT><RESPONSE><DATETIME>2020-01-01T00:00:00Z</DATETIME></RESPONSE></APPLIANCE_LIST_OUTPUT>";
        assert!(read(none.as_bytes(), &Limits::default()).expect("empty").entries.is_empty());
    }
}
