//! Option profiles, appliances, asset groups, addresses and networks on the wire (spec sections 4.2, 8, 9, 10).

use super::call::Call;
use super::faults::FaultKind;
use super::params::{Kind, Known};
use super::reply::{Refusal, Reply};
use super::select::{belongs, within};
use super::xml::{Xml, stamp};
use crate::roll::Roll;
use crate::subscription::{APPLIANCES, Appliance, GROUPS, Group, Members, NETWORKS, PROFILES, Profile};
use std::net::Ipv4Addr;

/// `action=list` and nothing else.
pub(super) fn only_list(call: &Call, known: &[&[Known]]) -> Result<(), Refusal> {
    let action = call.action()?;
    if action != "list" {
        return Err(call.unknown_action(action));
    }
    call.params.check(known)
}

/// Option profiles: a bare root without RESPONSE and DATETIME.
pub(super) fn option_profiles(call: &Call) -> Result<Reply, Refusal> {
    only_list(call, &[&[("id", Kind::Ids), ("title", Kind::Text)]])?;
    let ids = call.params.ids("id");
    let title = call.params.get("title");
    let wanted = |profile: &&Profile| {
        ids.as_ref().is_none_or(|ids| within(ids, u64::from(profile.id)))
            && title.is_none_or(|title| title == profile.title)
    };
    let mut xml = Xml::default();
    xml.raw("<?xml version=\"1.0\" encoding=\"UTF-8\" ?>");
    let dtd = format!("{}/api/{}.0/fo/subscription/option_profile/option_profile_info.dtd", call.base, call.version);
    xml.raw(&format!("<!DOCTYPE OPTION_PROFILES SYSTEM \"{dtd}\">"));
    xml.open("OPTION_PROFILES");
    for profile in PROFILES.iter().filter(wanted) {
        option_profile(&mut xml, profile);
    }
    xml.close("OPTION_PROFILES");
    Ok(Reply::xml(xml.finish()))
}

fn option_profile(xml: &mut Xml, profile: &Profile) {
    xml.open("OPTION_PROFILE");
    xml.open("BASIC_INFO");
    xml.number("ID", profile.id);
    xml.cdata("GROUP_NAME", profile.title);
    xml.leaf("GROUP_TYPE", "user");
    xml.cdata("USER_ID", "Sim User (quays3am1)");
    xml.number("UNIT_ID", 0_u32);
    xml.number("SUBSCRIPTION_ID", 44_000_u32);
    xml.number("IS_DEFAULT", u64::from(profile.is_default));
    xml.number("IS_GLOBAL", 1_u32);
    xml.number("IS_OFFLINE_SYNCABLE", 0_u32);
    xml.leaf("UPDATE_DATE", profile.updated.unwrap_or("N/A"));
    xml.close("BASIC_INFO");
    xml.open("SCAN");
    xml.open("PORTS");
    for (name, kind) in [("TCP_PORTS", "TCP_PORTS_TYPE"), ("UDP_PORTS", "UDP_PORTS_TYPE")] {
        xml.open(name);
        xml.leaf(kind, "standard");
        xml.close(name);
    }
    xml.number("AUTHORITATIVE_OPTION", 0_u32);
    xml.close("PORTS");
    xml.number("SCAN_DEAD_HOSTS", 0_u32);
    xml.open("PERFORMANCE");
    xml.leaf("OVERALL_PERFORMANCE", "Normal");
    xml.close("PERFORMANCE");
    xml.number("LOAD_BALANCER_DETECTION", 0_u32);
    passwords(xml, profile);
    xml.open("VULNERABILITY_DETECTION");
    match profile.search_list {
        None => xml.element("COMPLETE", "<![CDATA[complete]]>"),
        Some(list) => {
            xml.open("CUSTOM_LIST");
            xml.open("CUSTOM");
            xml.number("ID", list.id);
            xml.cdata("TITLE", list.title);
            xml.leaf("TYPE", if list.is_dynamic() { "dynamic" } else { "static" });
            xml.leaf("LOGIN", "quays3am1");
            xml.close("CUSTOM");
            xml.close("CUSTOM_LIST");
        }
    }
    xml.close("VULNERABILITY_DETECTION");
    xml.cdata("AUTHENTICATION", "Windows,Unix");
    xml.close("SCAN");
    xml.close("OPTION_PROFILE");
}

/// The brute-force section of one profile holds a login and a password, as real answers can; a client must not keep it.
fn passwords(xml: &mut Xml, profile: &Profile) {
    xml.open("PASSWORD_BRUTE_FORCING");
    xml.open("SYSTEM");
    xml.number("HAS_SYSTEM", 0_u32);
    xml.close("SYSTEM");
    if profile.id == 510_002 {
        xml.open("CUSTOM_LIST");
        xml.open("CUSTOM");
        xml.number("ID", 3_001_u32);
        xml.cdata("TITLE", "default logins");
        xml.leaf("TYPE", "SSH2");
        xml.cdata("LOGIN_PASSWORD", "L:admin,P:sim-brute-force-secret");
        xml.close("CUSTOM");
        xml.close("CUSTOM_LIST");
    }
    xml.close("PASSWORD_BRUTE_FORCING");
}

/// Scanner appliances.
pub(super) fn appliances(call: &Call) -> Result<Reply, Refusal> {
    const KNOWN: &[Known] = &[
        ("output_mode", Kind::OneOf(&["brief", "full"])),
        ("ids", Kind::Ids),
        ("name", Kind::Text),
        ("busy", Kind::Flag),
        ("scan_ref", Kind::Text),
        ("scan_detail", Kind::Flag),
        ("type", Kind::OneOf(&["physical", "virtual", "containerized", "offline"])),
        ("platform_provider", Kind::Text),
        ("network_id", Kind::Number),
        ("show_tags", Kind::Flag),
        ("include_cloud_info", Kind::Flag),
        ("include_license_info", Kind::Flag),
    ];
    only_list(call, &[KNOWN])?;
    let params = &call.params;
    let ids = params.ids("ids");
    let running = |appliance: &Appliance| {
        let scans = call.app.world.scans();
        scans.iter().filter(|scan| !scan.has_ended() && scan.appliances.contains(&appliance.id)).count() as u64
    };
    let wanted = |appliance: &&Appliance| {
        ids.as_ref().is_none_or(|ids| within(ids, u64::from(appliance.id)))
            && params.get("name").is_none_or(|name| appliance.name.contains(name))
            && params.number("network_id").is_none_or(|network| network == u64::from(appliance.network))
            && params.get("busy").is_none_or(|busy| (busy == "1") == (running(appliance) > 0))
            && params.get("type").is_none_or(|kind| kind == "virtual")
    };
    let full = params.get("output_mode") == Some("full");
    let mut xml = Xml::at_depth(2);
    let found: Vec<&Appliance> = APPLIANCES.iter().filter(wanted).collect();
    if !found.is_empty() {
        xml.open("APPLIANCE_LIST");
        for appliance in found {
            appliance_row(&mut xml, call, appliance, running(appliance), full);
        }
        xml.close("APPLIANCE_LIST");
    }
    if params.flag("include_license_info", false) {
        xml.open("LICENSE_INFO");
        xml.number("QVSA_LICENSES_COUNT", 10_u32);
        xml.number("QVSA_LICENSES_USED", APPLIANCES.len() as u64);
        xml.close("LICENSE_INFO");
    }
    let dtd = "/api/2.0/fo/appliance/appliance_list_output.dtd";
    Ok(document(call, "APPLIANCE_LIST_OUTPUT", dtd, &xml.finish()))
}

/// A document around its content.
pub(super) fn document(call: &Call, root: &str, dtd: &str, content: &str) -> Reply {
    Reply::xml(call.prologue(root, dtd) + content + &call.epilogue(root))
}

fn appliance_row(xml: &mut Xml, call: &Call, appliance: &Appliance, running: u64, full: bool) {
    let uuid = Roll::new(call.app.world.options.seed, &[70, u64::from(appliance.id)]).uuid();
    xml.open("APPLIANCE");
    xml.number("ID", appliance.id);
    xml.leaf("UUID", &uuid.to_string());
    xml.cdata("NAME", appliance.name);
    if call.app.world.options.switches.networks {
        xml.number("NETWORK_ID", appliance.network);
    }
    xml.leaf("SOFTWARE_VERSION", "3.9");
    xml.number("RUNNING_SLICES_COUNT", running);
    xml.number("RUNNING_SCAN_COUNT", running);
    xml.leaf("STATUS", if appliance.online { "Online" } else { "Offline" });
    if full {
        appliance_details(xml, call, appliance);
    }
    xml.close("APPLIANCE");
}

fn appliance_details(xml: &mut Xml, call: &Call, appliance: &Appliance) {
    xml.leaf("MODEL_NUMBER", "qvsa-sim");
    xml.leaf("TYPE", "virtual");
    xml.number("SERIAL_NUMBER", 0_u32);
    xml.number("ACTIVATION_CODE", 20_043_587_000_000 + u64::from(appliance.id));
    xml.open("INTERFACE_SETTINGS");
    xml.leaf("INTERFACE", "lan");
    xml.leaf("IP_ADDRESS", &format!("10.255.0.{}", appliance.id % 250 + 1));
    xml.leaf("NETMASK", "255.255.255.0");
    xml.leaf("GATEWAY", "10.255.0.1");
    xml.close("INTERFACE_SETTINGS");
    xml.open("PROXY_SETTINGS");
    xml.leaf("SETTING", "Disabled");
    xml.close("PROXY_SETTINGS");
    xml.number("IS_CLOUD_DEPLOYED", 0_u32);
    xml.leaf("VLANS", "");
    xml.leaf("STATIC_ROUTES", "");
    xml.leaf("ML_LATEST", "12.10.24-1");
    xml.element("ML_VERSION updated=\"yes\"", "12.10.24-1");
    xml.leaf("VULNSIGS_LATEST", "2.6.100-2");
    xml.element("VULNSIGS_VERSION updated=\"yes\"", "2.6.100-2");
    let groups: Vec<&Group> = GROUPS.iter().filter(|group| group.appliance == Some(appliance.id)).collect();
    xml.number("ASSET_GROUP_COUNT", groups.len() as u64);
    if !groups.is_empty() {
        xml.open("ASSET_GROUP_LIST");
        for group in groups {
            xml.open("ASSET_GROUP");
            xml.number("ID", group.id);
            xml.cdata("NAME", group.title);
            xml.close("ASSET_GROUP");
        }
        xml.close("ASSET_GROUP_LIST");
    }
    xml.time("LAST_UPDATED_DATE", call.now);
    xml.leaf("POLLING_INTERVAL", "180 seconds");
    xml.leaf("USER_LOGIN", &call.app.world.options.username);
    xml.number("HEARTBEATS_MISSED", if appliance.online { 0_u32 } else { 812 });
    xml.leaf("SS_CONNECTION", if appliance.online { "Enabled" } else { "Disabled" });
    xml.leaf("SS_LAST_CONNECTED", &stamp(call.now));
    xml.number("FDCC_ENABLED", 0_u32);
    xml.leaf("UPDATED", "Yes");
    xml.number("MAX_CAPACITY_UNITS", 100_u32);
}

/// Asset groups.
pub(super) fn asset_groups(call: &Call) -> Result<Reply, Refusal> {
    const KNOWN: &[Known] = &[
        ("ids", Kind::Ids),
        ("id_min", Kind::Number),
        ("id_max", Kind::Number),
        ("truncation_limit", Kind::Number),
        ("network_ids", Kind::Text),
        ("unit_id", Kind::Number),
        ("user_id", Kind::Number),
        ("title", Kind::Text),
        ("show_attributes", Kind::Text),
        ("output_format", Kind::OneOf(&["xml", "csv"])),
    ];
    only_list(call, &[KNOWN])?;
    let params = &call.params;
    let ids = params.ids("ids");
    let networks = params.list("network_ids");
    let wanted = |group: &&Group| {
        let id = u64::from(group.id);
        ids.as_ref().is_none_or(|ids| within(ids, id))
            && id >= params.number("id_min").unwrap_or(0)
            && id <= params.number("id_max").unwrap_or(u64::MAX)
            && params.get("title").is_none_or(|title| title == group.title)
            && networks.as_ref().is_none_or(|ids| ids.contains(&group.network.to_string().as_str()))
    };
    let found: Vec<&Group> = GROUPS.iter().filter(wanted).collect();
    let limit = params.number("truncation_limit").unwrap_or(1_000);
    let page = usize::try_from(limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    if params.get("output_format") == Some("csv") {
        let lines = found.iter().map(|group| format!("\"{}\",\"{}\",\"{}\"\n", group.id, group.title, group.network));
        let text = "\"Id\",\"Title\",\"Network Id\"\n".to_owned() + &lines.collect::<String>();
        return Ok(Reply { content_type: "text/csv", ..Reply::xml(text) });
    }
    let mut xml = Xml::at_depth(2);
    if !found.is_empty() {
        xml.open("ASSET_GROUP_LIST");
        for group in found.iter().take(page) {
            asset_group(&mut xml, call, group);
        }
        xml.close("ASSET_GROUP_LIST");
    }
    let mut content = xml.finish();
    if let Some(next) = found.get(page) {
        let frozen = call.fault == Some(FaultKind::FrozenCursor);
        let cursor = if frozen { call.params.number("id_min").unwrap_or(1) } else { u64::from(next.id) };
        content.push_str(&call.truncated(limit, "id_min", cursor));
    }
    Ok(document(call, "ASSET_GROUP_LIST_OUTPUT", "/api/2.0/fo/asset/group/asset_group_list_output.dtd", &content))
}

fn asset_group(xml: &mut Xml, call: &Call, group: &Group) {
    let shown = call.params.list("show_attributes");
    let shows = |name: &str| shown.as_ref().is_none_or(|names| names.contains(&"ALL") || names.contains(&name));
    xml.open("ASSET_GROUP");
    xml.number("ID", group.id);
    if shows("TITLE") {
        xml.cdata("TITLE", group.title);
    }
    if shows("OWNER_USER_ID") {
        xml.number("OWNER_USER_ID", 1_001_u32);
        xml.number("UNIT_ID", 0_u32);
    }
    if shows("NETWORK_ID") && call.app.world.options.switches.networks {
        xml.number("NETWORK_ID", group.network);
    }
    if shows("LAST_UPDATE") {
        xml.time("LAST_UPDATE", call.app.world.source.origin);
    }
    if shows("BUSINESS_IMPACT") {
        xml.leaf("BUSINESS_IMPACT", "High");
    }
    if let Some(appliance) = group.appliance.filter(|_| shows("DEFAULT_APPLIANCE_ID")) {
        xml.number("DEFAULT_APPLIANCE_ID", appliance);
    }
    if let Some(appliance) = group.appliance.filter(|_| shows("APPLIANCE_IDS")) {
        xml.leaf("APPLIANCE_IDS", &appliance.to_string());
    }
    if shows("IP_SET") {
        address_set(xml, call, group);
    }
    xml.close("ASSET_GROUP");
}

/// IP_SET: one range per run of addresses whose hosts belong to the group.
fn address_set(xml: &mut Xml, call: &Call, group: &Group) {
    let runs = runs(call, |index| belongs(&call.app.world, group, index));
    if runs.is_empty() || group.members == Members::None {
        return;
    }
    xml.open("IP_SET");
    for (low, high) in runs {
        if low == high {
            xml.leaf("IP", &low.to_string());
        } else {
            xml.leaf("IP_RANGE", &format!("{low}-{high}"));
        }
    }
    xml.close("IP_SET");
}

/// The addresses of the hosts that belong, as runs of neighbours.
pub(super) fn runs(call: &Call, belongs: impl Fn(u32) -> bool) -> Vec<(Ipv4Addr, Ipv4Addr)> {
    let fleet = call.app.world.fleet();
    let mut runs: Vec<(Ipv4Addr, Ipv4Addr)> = Vec::new();
    for ip in (0..fleet.len()).filter(|index| belongs(*index)).map(|index| fleet.ip_of(index)) {
        match runs.last_mut() {
            Some((_, high)) if u32::from(*high) + 1 == u32::from(ip) => *high = ip,
            _ => runs.push((ip, ip)),
        }
    }
    runs
}

/// The addresses of the subscription.
pub(super) fn addresses(call: &Call) -> Result<Reply, Refusal> {
    const KNOWN: &[Known] = &[
        ("ips", Kind::Ips),
        ("network_id", Kind::Number),
        ("tracking_method", Kind::Text),
        ("compliance_enabled", Kind::Flag),
        ("certview_enabled", Kind::Flag),
    ];
    only_list(call, &[KNOWN])?;
    let fleet = *call.app.world.fleet();
    let ranges = call.params.ips("ips");
    let network = call.params.number("network_id");
    let runs = runs(call, |index| {
        let ip = fleet.ip_of(index);
        network.is_none_or(|network| network == u64::from(fleet.network_of(index)))
            && ranges.as_ref().is_none_or(|ranges| ranges.iter().any(|(low, high)| (*low..=*high).contains(&ip)))
    });
    let mut xml = Xml::at_depth(2);
    if !runs.is_empty() {
        xml.open("IP_SET");
        for (low, high) in runs {
            let name = if low == high { "IP" } else { "IP_RANGE" };
            let value = if low == high { low.to_string() } else { format!("{low}-{high}") };
            xml.leaf(name, &value);
        }
        xml.close("IP_SET");
    }
    Ok(document(call, "IP_LIST_OUTPUT", "/api/2.0/fo/asset/ip/ip_list_output.dtd", &xml.finish()))
}

/// Networks.
pub(super) fn networks(call: &Call) -> Result<Reply, Refusal> {
    only_list(call, &[&[("ids", Kind::Text)]])?;
    let ids = call.params.list("ids");
    let mut xml = Xml::at_depth(2);
    xml.open("NETWORK_LIST");
    for (id, name) in
        NETWORKS.iter().filter(|(id, _)| ids.as_ref().is_none_or(|ids| ids.contains(&id.to_string().as_str())))
    {
        xml.open("NETWORK");
        xml.number("ID", *id);
        xml.cdata("NAME", name);
        xml.open("SCANNER_APPLIANCE_LIST");
        for appliance in APPLIANCES.iter().filter(|appliance| appliance.network == *id) {
            xml.open("SCANNER_APPLIANCE");
            xml.number("ID", appliance.id);
            xml.cdata("FRIENDLY_NAME", appliance.name);
            xml.close("SCANNER_APPLIANCE");
        }
        xml.close("SCANNER_APPLIANCE_LIST");
        xml.close("NETWORK");
    }
    xml.close("NETWORK_LIST");
    Ok(document(call, "NETWORK_LIST_OUTPUT", "/api/2.0/fo/network/network_list_output.dtd", &xml.finish()))
}
