//! The fields of a machine that several formats share.

use crate::error::ReadError;
use crate::observation::{HostReport, TagReport};
use crate::xml::Xml;
use std::io::BufRead;

/// Reads the child `name` of a HOST element into `host`; a name that is not known here is left unread.
pub(crate) fn field<R: BufRead>(xml: &mut Xml<'_, R>, name: &str, host: &mut HostReport) -> Result<(), ReadError> {
    match name {
        "ID" | "HOST_ID" => host.host_id = xml.number()?,
        "ASSET_ID" => host.asset_id = xml.number()?,
        "IP" => address(xml, host)?,
        "IPV6" => host.ipv6 = xml.text()?,
        "NETWORK_ID" => host.network_id = xml.number()?,
        "NETWORK_NAME" => host.network_name = xml.text()?,
        "TRACKING_METHOD" => host.tracking_method = xml.text()?,
        "OS" | "OPERATING_SYSTEM" => host.os = xml.text()?,
        "OS_CPE" => host.os_cpe = xml.text()?,
        "DNS" => host.dns = xml.text()?,
        "DNS_DATA" => xml.children(|xml, name| {
            match name {
                "HOSTNAME" => host.hostname = xml.text()?,
                "DOMAIN" => host.domain = xml.text()?,
                "FQDN" => host.fqdn = xml.text()?,
                _ => {}
            }
            Ok(())
        })?,
        "NETBIOS" => host.netbios = xml.text()?,
        "QG_HOSTID" => host.agent_uuid = xml.text()?,
        "CLOUD_PROVIDER" => host.cloud_provider = xml.text()?,
        "CLOUD_SERVICE" => host.cloud_service = xml.text()?,
        "CLOUD_RESOURCE_ID" | "EC2_INSTANCE_ID" => {
            let id = xml.text()?;
            host.cloud_instance_id = host.cloud_instance_id.take().or(id);
        }
        "TAGS" => tags(xml, host)?,
        "ASSET_TAGS" | "ASSET_GROUPS" => titles(xml, host)?,
        "TRURISK_SCORE" => host.risk_score = xml.number()?,
        "ASSET_CRITICALITY_SCORE" => host.criticality = xml.number()?,
        "LAST_SCAN_DATETIME" | "LAST_VULN_SCAN_DATETIME" => host.last_scan_at = xml.instant()?,
        "LAST_VM_SCANNED_DATE" => host.last_vm_scan_at = xml.instant()?,
        "LAST_VM_AUTH_SCANNED_DATE" => host.last_vm_auth_scan_at = xml.instant()?,
        "LAST_PC_SCANNED_DATE" | "LAST_COMPLIANCE_SCAN_DATETIME" => host.last_compliance_scan_at = xml.instant()?,
        "LAST_ACTIVITY" => host.last_activity_at = xml.instant()?,
        _ => {}
    }
    Ok(())
}

/// An address; report files put the network's id beside it, and some hold an IPv6 address here.
fn address<R: BufRead>(xml: &mut Xml<'_, R>, host: &mut HostReport) -> Result<(), ReadError> {
    let network = xml.attribute("network_id").and_then(|id| id.parse().ok());
    host.network_id = host.network_id.or(network);
    match xml.text()? {
        Some(address) if address.contains(':') && host.ipv6.is_none() => host.ipv6 = Some(address),
        address => host.ip = address,
    }
    Ok(())
}

fn tags<R: BufRead>(xml: &mut Xml<'_, R>, host: &mut HostReport) -> Result<(), ReadError> {
    xml.children(|xml, name| {
        if name != "TAG" {
            return Ok(());
        }
        let mut tag = TagReport::default();
        xml.children(|xml, name| {
            match name {
                "TAG_ID" => tag.id = xml.number()?,
                "NAME" => tag.name = xml.text()?.unwrap_or_default(),
                _ => {}
            }
            Ok(())
        })?;
        if !tag.name.is_empty() {
            xml.push(&mut host.tags, tag);
        }
        Ok(())
    })
}

/// Names only, as report files list tags (`ASSET_TAG`) and groups (`ASSET_GROUP_TITLE`).
fn titles<R: BufRead>(xml: &mut Xml<'_, R>, host: &mut HostReport) -> Result<(), ReadError> {
    xml.children(|xml, name| {
        match name {
            "ASSET_TAG" => {
                if let Some(name) = xml.text()? {
                    xml.push(&mut host.tags, TagReport { id: None, name });
                }
            }
            "ASSET_GROUP_TITLE" => {
                if let Some(title) = xml.text()? {
                    xml.push(&mut host.asset_groups, title);
                }
            }
            _ => {}
        }
        Ok(())
    })
}

/// How a machine is named in a message.
pub(crate) fn name(host: &HostReport) -> String {
    let id = host.host_id.map(|id| format!("host {id}"));
    id.or_else(|| host.ip.clone()).or_else(|| host.dns.clone()).unwrap_or_else(|| "a host without id".to_owned())
}
