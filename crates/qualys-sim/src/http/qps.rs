//! The `/qps/` family: portal version and the host asset search (spec section 4.3). Errors come with status 200.

use super::call::Call;
use super::reply::{Family, Reply};
use super::route::Endpoint;
use super::serve::powered_by;
use super::xml::Xml;
use crate::hosts::Host;
use quick_xml::Reader;
use quick_xml::events::Event;

/// Answers a call of the family.
pub(super) fn answer(call: &Call) -> Reply {
    if call.app.access.check(&call.app.world.options, &call.headers, call.now).is_err() {
        let text = error(
            call,
            "version.xsd",
            "INVALID_CREDENTIALS",
            "User authentication failed.",
            "Check the login and the password.",
        );
        return reply(call, text);
    }
    if call.endpoint == Endpoint::PortalVersion {
        return reply(call, version(call)).with("set-cookie", "JSESSIONID=simulated; Path=/; HttpOnly");
    }
    let found = Search::read(&call.body);
    let text = match &found {
        Ok(search) => hosts(call, search),
        Err((message, resolution)) => error(call, "2.0/am/hostasset.xsd", "INVALID_REQUEST", message, resolution),
    };
    let reply = reply(call, text).with("x-powered-by", powered_by(&call.app));
    // Recorded: only an answer that did search says whether this is an evaluation subscription.
    if found.is_ok() { reply.with("evaluation", "false") } else { reply }
}

fn reply(call: &Call, text: String) -> Reply {
    let reply = Reply::new(200, "application/xml", text, Family::Qps);
    if call.endpoint == Endpoint::HostAsset {
        return reply
            .with("strict-transport-security", "max-age=31536000")
            .with("x-frame-options", "SAMEORIGIN")
            .with("x-xss-protection", "1;mode=block")
            .with("x-content-type-options", "nosniff");
    }
    reply
}

fn open(call: &Call, xsd: &str, code: &str) -> Xml {
    let mut xml = Xml::default();
    xml.raw("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    let schema = format!("{}/qps/xsd/{xsd}", call.base);
    xml.open(&format!(
        "ServiceResponse xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:noNamespaceSchemaLocation=\"{schema}\""
    ));
    xml.leaf("responseCode", code);
    xml
}

fn error(call: &Call, xsd: &str, code: &str, message: &str, resolution: &str) -> String {
    let mut xml = open(call, xsd, code);
    xml.open("responseErrorDetails");
    xml.leaf("errorMessage", message);
    xml.leaf("errorResolution", resolution);
    xml.close("responseErrorDetails");
    xml.close("ServiceResponse");
    xml.finish()
}

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

/// What a search asks for.
#[derive(Debug)]
struct Search {
    limit: usize,
    /// Only hosts whose asset id is greater.
    after: u64,
    offset: usize,
    criteria: Vec<(String, String, String)>,
}

type Invalid = (String, &'static str);

impl Search {
    fn read(body: &str) -> Result<Self, Invalid> {
        let mut search = Self { limit: 100, after: 0, offset: 1, criteria: Vec::new() };
        let mut reader = Reader::from_str(body);
        let mut element = String::new();
        let mut criterion: Option<(String, String)> = None;
        loop {
            match reader.read_event() {
                Ok(Event::Start(start)) => {
                    element = start.name().as_ref().to_owned();
                    if element == "Criteria" {
                        let attribute = |name: &str| {
                            start
                                .attributes()
                                .flatten()
                                .find(|attribute| attribute.key.as_ref() == name)
                                .map(|attribute| attribute.value.into_owned())
                                .unwrap_or_default()
                        };
                        criterion = Some((attribute("field"), attribute("operator")));
                    }
                }
                Ok(Event::Text(text)) => {
                    let text = text.trim().to_owned();
                    search.take(&element, &mut criterion, text)?;
                }
                Ok(Event::End(_)) => element.clear(),
                Ok(Event::Eof) => return Ok(search),
                Ok(_) => {}
                Err(_) => {
                    return Err(("The request body is not well-formed XML.".to_owned(), "Send a ServiceRequest."));
                }
            }
        }
    }

    fn take(&mut self, element: &str, criterion: &mut Option<(String, String)>, text: String) -> Result<(), Invalid> {
        match element {
            "limitResults" => self.limit = text.parse().unwrap_or(100).clamp(1, 1_000),
            "startFromOffset" => self.offset = text.parse().unwrap_or(1),
            "startFromId" => self.after = text.parse::<u64>().unwrap_or(0).saturating_sub(1),
            "Criteria" => {
                if let Some((field, operator)) = criterion.take() {
                    check_number(&field, &text)?;
                    self.criteria.push((field, operator, text));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn fits(&self, host: &Host) -> bool {
        host.asset_id > self.after
            && self.criteria.iter().all(|(field, operator, value)| {
                let number = |mine: u64| {
                    let mut wanted = value.split(',').filter_map(|part| part.trim().parse::<u64>().ok());
                    match operator.as_str() {
                        "GREATER" => wanted.all(|other| mine > other),
                        "LESSER" => wanted.all(|other| mine < other),
                        "NOT EQUALS" => wanted.all(|other| mine != other),
                        _ => wanted.any(|other| mine == other),
                    }
                };
                let text =
                    |mine: &str| if operator == "CONTAINS" { mine.contains(value.as_str()) } else { mine == value };
                match field.as_str() {
                    "id" => number(host.asset_id),
                    "qwebHostId" => number(host.id),
                    "name" => text(&host.name),
                    "dnsHostName" => text(&host.fqdn),
                    "os" => text(host.os.scanner_name()),
                    "trackingMethod" => text(tracking(host)),
                    "tagName" => host.tags.iter().any(|(_, name)| text(name)),
                    _ => true,
                }
            })
    }
}

fn check_number(field: &str, value: &str) -> Result<(), Invalid> {
    let is_number = field == "id" || field == "qwebHostId";
    match value.split(',').find(|part| is_number && part.trim().parse::<u64>().is_err()) {
        Some(bad) => Err((
            format!("Criteria: Invalid value format for criteria '{field}' ({bad})."),
            "Specify criteria value(s) as Long.",
        )),
        None => Ok(()),
    }
}

fn tracking(host: &Host) -> &'static str {
    match host.tracking_method() {
        "Cloud Agent" => "QAGENT",
        other => other,
    }
}

fn hosts(call: &Call, search: &Search) -> String {
    let found: Vec<Host> = call
        .app
        .world
        .fleet()
        .iter()
        .filter(|host| search.fits(host))
        .skip(search.offset.saturating_sub(1))
        .take(search.limit + 1)
        .collect();
    let page = found.get(..found.len().min(search.limit)).unwrap_or_default();
    let mut xml = open(call, "2.0/am/hostasset.xsd", "SUCCESS");
    xml.number("count", page.len() as u64);
    if call.path.contains("/count/") {
        xml.close("ServiceResponse");
        return xml.finish();
    }
    xml.leaf("hasMoreRecords", if found.len() > search.limit { "true" } else { "false" });
    if let Some(last) = page.last().filter(|_| found.len() > search.limit) {
        xml.number("lastId", last.asset_id);
    }
    if !page.is_empty() {
        xml.open("data");
        for host in page {
            host_asset(&mut xml, call, host);
        }
        xml.close("data");
    }
    xml.close("ServiceResponse");
    xml.finish()
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
