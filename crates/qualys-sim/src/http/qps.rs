//! The `/qps/` family: portal version and the host asset search (spec section 4.3). Errors come with status 200.

use super::call::Call;
use super::reply::Reply;
use super::route::Endpoint;
use super::search::{self, Field, Kind, Search, open};
use super::was;
use super::xml::Xml;
use crate::hosts::Host;

const HOST_ASSET: &str = "2.0/am/hostasset.xsd";

/// Answers a call of the family.
pub(super) fn answer(call: &Call) -> Reply {
    if call.app.access.check(&call.app.world.options, &call.headers, call.now).is_err() {
        let text = search::error(
            call,
            "version.xsd",
            "INVALID_CREDENTIALS",
            "User authentication failed.",
            "Check the login and the password.",
        );
        return search::reply(call, text);
    }
    match call.endpoint {
        Endpoint::PortalVersion => search::reply(call, version(call)).with("set-cookie", SESSION_COOKIE),
        Endpoint::WebApp => was::apps(call),
        Endpoint::WebFinding => was::findings(call).with("set-cookie", SESSION_COOKIE),
        _ => search::searched(call, HOST_ASSET, &[("id", Kind::Number), ("qwebHostId", Kind::Number)], |search| {
            hosts(call, search)
        }),
    }
}

/// The cookie that the portal sets and no client needs.
const SESSION_COOKIE: &str = "JSESSIONID=simulated; Path=/; HttpOnly";

fn version(call: &Call) -> String {
    let mut xml = open(call, "version.xsd", "SUCCESS");
    xml.number("count", 1_u32);
    xml.open("data");
    xml.open("Portal-Version");
    xml.leaf("PortalApplication-VERSION", "3.13.0.1-1 SIMULATED");
    xml.leaf("VM-VERSION", "1.0.3");
    xml.close("Portal-Version");
    xml.open("QWeb-Version");
    xml.leaf("WEB-VERSION", "10.39.1.0-1");
    xml.leaf("SCANNER-VERSION", "12.10.24-1");
    xml.leaf("VULNSIGS-VERSION", "2.6.100-2");
    xml.close("QWeb-Version");
    xml.close("data");
    xml.close("ServiceResponse");
    xml.finish()
}

fn tracking(host: &Host) -> &'static str {
    match host.tracking_method() {
        "Cloud Agent" => "QAGENT",
        other => other,
    }
}

fn hosts(call: &Call, search: &Search) -> String {
    let found = call.app.world.fleet().iter().filter(|host| !call.app.world.is_purged(host.index)).filter(|host| {
        search.fits(host.asset_id, |field| {
            Some(match field {
                "id" => Field::Number(host.asset_id),
                "qwebHostId" => Field::Number(host.id),
                "name" => Field::Text(&host.name),
                "dnsHostName" => Field::Text(&host.fqdn),
                "os" => Field::Text(host.os.scanner_name()),
                "trackingMethod" => Field::Text(tracking(host)),
                _ => return None,
            })
        }) && search.fits_tags(&host.tags)
    });
    search.page(call, HOST_ASSET, found, |host| host.asset_id, |xml, host| host_asset(xml, call, host))
}

fn host_asset(xml: &mut Xml, call: &Call, host: &Host) {
    let made = call.app.world.source.origin;
    xml.open("HostAsset");
    xml.number("id", host.asset_id);
    xml.leaf("name", &host.name);
    xml.time("created", made);
    xml.time("modified", made);
    xml.leaf("type", "HOST");
    xml.open("tags");
    xml.open("list");
    for (id, name) in &host.tags {
        xml.open("TagSimple");
        xml.number("id", *id);
        xml.leaf("name", name);
        xml.close("TagSimple");
    }
    xml.close("list");
    xml.close("tags");
    xml.number("qwebHostId", host.id);
    xml.leaf("fqdn", &host.fqdn);
    xml.leaf("os", host.os.scanner_name());
    xml.leaf("dnsHostName", &host.fqdn);
    if let Some(netbios) = &host.netbios {
        xml.leaf("netbiosName", netbios);
    }
    xml.leaf("address", &host.ip.to_string());
    xml.leaf("trackingMethod", tracking(host));
    if let Some(uuid) = host.agent_uuid {
        xml.open("agentInfo");
        xml.leaf("agentVersion", "6.2.0.57");
        xml.leaf("agentId", &uuid.to_string());
        xml.leaf("status", "STATUS_ACTIVE");
        xml.close("agentInfo");
    }
    xml.open("networkInterface");
    xml.open("list");
    xml.open("HostAssetInterface");
    xml.leaf("hostname", &host.fqdn);
    xml.leaf("interfaceName", "eth0");
    xml.leaf("macAddress", &host.mac);
    xml.leaf("address", &host.ip.to_string());
    xml.close("HostAssetInterface");
    xml.close("list");
    xml.close("networkInterface");
    xml.close("HostAsset");
}
