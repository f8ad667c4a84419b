//! Asset groups (`ASSET_GROUP_LIST_OUTPUT`): which addresses belong together and which appliance scans them.

use crate::error::ReadError;
use crate::limits::Limits;
use crate::observation::Micros;
use crate::qualys::page::{self, Listing, comma_list};
use serde::Serialize;
use std::io::BufRead;

/// The root element.
pub const ROOT: &str = "ASSET_GROUP_LIST_OUTPUT";

/// One asset group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AssetGroup {
    /// The scanner's key.
    pub id: i64,
    /// What people call it.
    pub title: String,
    /// The network its addresses are in.
    pub network_id: Option<i64>,
    /// The appliance that scans it unless told otherwise.
    pub default_appliance_id: Option<i64>,
    /// Appliances that may scan it.
    pub appliance_ids: Vec<i64>,
    /// Addresses and ranges (`a-b`, both ends included) as written.
    pub addresses: Vec<String>,
    /// DNS names.
    pub dns_names: Vec<String>,
    /// Latest edit.
    pub updated_at: Option<Micros>,
}

/// Reads one answer; the summary's warning says whether there is another page.
pub fn read(input: impl BufRead, limits: &Limits) -> Result<Listing<AssetGroup>, ReadError> {
    page::listing(input, limits, [ROOT, "ASSET_GROUP_LIST", "ASSET_GROUP"], |xml| {
        let mut found = AssetGroup::default();
        xml.children(|xml, name| {
            match name {
                "ID" => found.id = xml.number()?.unwrap_or_default(),
                "TITLE" => found.title = xml.text()?.unwrap_or_default(),
                "NETWORK_ID" => found.network_id = xml.number()?,
                "DEFAULT_APPLIANCE_ID" => found.default_appliance_id = xml.number()?.filter(|id| *id > 0),
                "APPLIANCE_IDS" => {
                    let ids = comma_list(xml.prose()?);
                    found.appliance_ids = ids.iter().filter_map(|id| id.parse().ok()).collect();
                }
                "IP_SET" => xml.children(|xml, name| {
                    if matches!(name, "IP" | "IP_RANGE")
                        && let Some(address) = xml.text()?
                    {
                        xml.push(&mut found.addresses, address);
                    }
                    Ok(())
                })?,
                "DNS_LIST" => xml.children(|xml, _| {
                    if let Some(dns) = xml.text()? {
                        xml.push(&mut found.dns_names, dns);
                    }
                    Ok(())
                })?,
                "LAST_UPDATE" => found.updated_at = xml.instant()?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(found)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appliances_and_addresses() {
        let text = "<ASSET_GROUP_LIST_OUTPUT><RESPONSE><ASSET_GROUP_LIST><ASSET_GROUP><ID>8</ID><TITLE>HQ</TITLE><NETWORK_ID>0</NETWORK_ID>
            <DEFAULT_APPLIANCE_ID>5</DEFAULT_APPLIANCE_ID><APPLIANCE_IDS>5, 6</APPLIANCE_IDS><IP_SET><IP>10.0.0.1</IP>
            <IP_RANGE>10.0.1.0-10.0.1.255</IP_RANGE></IP_SET></ASSET_GROUP></ASSET_GROUP_LIST>
            <WARNING><CODE>1980</CODE><URL><![CDATA[
            https://elsewhere/api/2.0/fo/asset/group/?action=list&id_min=9 ]]></URL></WARNING></RESPONSE></ASSET_GROUP_LIST_OUTPUT>";
        let listing = read(text.as_bytes(), &Limits::default()).expect("good");
        let group = &listing.entries[0];
        assert_eq!((group.default_appliance_id, group.appliance_ids.as_slice()), (Some(5), &[5, 6][..]));
        assert_eq!(group.addresses, ["10.0.0.1", "10.0.1.0-10.0.1.255"]);
        let warning = listing.summary.warning.expect("warning");
        assert_eq!(warning.code, Some(1980));
        assert!(warning.url.is_some_and(|url| url.starts_with("https://") && url.ends_with("id_min=9")));
    }
}
