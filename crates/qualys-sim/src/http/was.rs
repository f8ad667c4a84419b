//! Web application scanning, as far as real traffic was recorded: searches for web applications and for findings in them.
//!
//! Applications and findings are a function of the seed and never change. Every finding names a QID of the knowledge base.

use super::call::Call;
use super::reply::Reply;
use super::search::{Field, Kind, Search, searched};
use super::xml::Xml;
use crate::knowledge::{EntryKind, Knowledge};
use crate::roll::Roll;
use jiff::{SignedDuration, Timestamp};

const APPS: u64 = 5;
const FIRST_APP: u64 = 238_000_000;
const FIRST_FINDING: u64 = 16_500_000;
/// Findings of an application: so many of information gathered, the others weaknesses.
const INFORMATION: u64 = 3;
const FINDINGS: u64 = 8;

#[derive(Debug)]
struct App {
    id: u64,
    name: String,
    url: String,
    created: Timestamp,
    scanned: Option<Timestamp>,
}

/// The application at a place; the last one was never scanned.
fn app(call: &Call, at: u64) -> App {
    let source = &call.app.world.source;
    let mut roll = Roll::new(source.seed, &[80, at]);
    let name = format!("shop-{:02}", at + 1);
    let days = |days: i64| source.origin.checked_sub(SignedDuration::from_hours(24 * days)).unwrap_or(source.origin);
    let age = roll.between(60, 900);
    App {
        id: FIRST_APP + at * 7,
        url: format!("https://{name}.example/"),
        name,
        created: days(age),
        scanned: (at + 1 < APPS).then(|| days(roll.between(1, age - 1))),
    }
}

/// Answers a search for web applications.
pub(super) fn apps(call: &Call) -> Reply {
    const KINDS: &[(&str, Kind)] = &[
        ("id", Kind::Number),
        ("isScanned", Kind::Flag),
        ("isScheduled", Kind::Flag),
        ("lastScan.date", Kind::Time),
        ("createdDate", Kind::Time),
        ("updatedDate", Kind::Time),
    ];
    const XSD: &str = "3.0/was/webapp.xsd";
    searched(call, XSD, KINDS, |search| {
        let found = (0..APPS).map(|at| app(call, at)).filter(|app| app_fits(search, app));
        search.page(call, XSD, found, |app| app.id, write_app)
    })
}

fn app_fits(search: &Search, app: &App) -> bool {
    search.fits(app.id, |field| {
        Some(match field {
            "id" => Field::Number(app.id),
            "name" => Field::Text(&app.name),
            "url" => Field::Text(&app.url),
            "isScanned" => Field::Flag(app.scanned.is_some()),
            "isScheduled" => Field::Flag(false),
            // An application without a scan has no such date and is before none.
            "lastScan.date" => Field::Time(app.scanned.unwrap_or(Timestamp::MIN)),
            "createdDate" => Field::Time(app.created),
            "updatedDate" => Field::Time(app.scanned.unwrap_or(app.created)),
            _ => return None,
        })
    })
}

fn write_app(xml: &mut Xml, app: &App) {
    xml.open("WebApp");
    xml.number("id", app.id);
    xml.cdata("name", &app.name);
    xml.cdata("url", &app.url);
    xml.open("owner");
    xml.number("id", 17_700_001_u32);
    xml.close("owner");
    xml.open("tags");
    xml.number("count", 0_u32);
    xml.close("tags");
    xml.time("createdDate", app.created);
    xml.time("updatedDate", app.scanned.unwrap_or(app.created));
    xml.close("WebApp");
}

#[derive(Debug)]
struct Finding {
    id: u64,
    unique: String,
    qid: u32,
    title: String,
    severity: u8,
    is_information: bool,
    potential: bool,
    status: &'static str,
    found: Timestamp,
    app: App,
}

fn kind(finding: &Finding) -> &'static str {
    if finding.is_information { "INFORMATION_GATHERED" } else { "VULNERABILITY" }
}

/// The findings of every application that was scanned, by id.
fn all(call: &Call) -> impl Iterator<Item = Finding> + '_ {
    let source = &call.app.world.source;
    (0..APPS * FINDINGS).filter_map(move |at| {
        let app = app(call, at / FINDINGS);
        let found = app.scanned?;
        let mut roll = Roll::new(source.seed, &[81, at]);
        let (place, is_information) = (at % FINDINGS, at % FINDINGS < INFORMATION);
        let qid = if is_information {
            source.knowledge.information().nth(usize::try_from(place).unwrap_or(0))?
        } else {
            on_the_network(&source.knowledge, roll.draw())?
        };
        let entry = source.knowledge.entry(qid)?;
        let (unique, status) = (roll.uuid().to_string(), *roll.pick(&["NEW", "ACTIVE", "REOPENED", "FIXED"]));
        Some(Finding {
            id: FIRST_FINDING + at * 4,
            unique,
            qid,
            title: entry.title,
            severity: entry.severity,
            is_information,
            potential: entry.kind == EntryKind::Potential,
            status,
            found,
            app,
        })
    })
}

/// A QID of the ordinary ones that are found over the network.
fn on_the_network(knowledge: &Knowledge, draw: u64) -> Option<u32> {
    let (first, count) = knowledge.ordinary(false);
    let start = u32::try_from(draw.checked_rem(u64::from(count))?).ok()?;
    let found = |qid: &u32| knowledge.brief(*qid).is_some_and(|brief| brief.port.is_some());
    (0..count).map(|step| first + (start + step) % count).find(found)
}

/// Answers a search for findings.
pub(super) fn findings(call: &Call) -> Reply {
    const KINDS: &[(&str, Kind)] = &[
        ("id", Kind::Number),
        ("qid", Kind::Number),
        ("severity", Kind::Number),
        ("webApp.id", Kind::Number),
        ("firstDetectedDate", Kind::Time),
        ("lastDetectedDate", Kind::Time),
        ("lastTestedDate", Kind::Time),
    ];
    const XSD: &str = "3.0/was/finding.xsd";
    searched(call, XSD, KINDS, |search| {
        let found = all(call).filter(|finding| finding_fits(search, finding));
        search.page(call, XSD, found, |finding| finding.id, write_finding)
    })
}

fn finding_fits(search: &Search, finding: &Finding) -> bool {
    search.fits(finding.id, |field| {
        Some(match field {
            "id" => Field::Number(finding.id),
            "qid" => Field::Number(u64::from(finding.qid)),
            "severity" => Field::Number(u64::from(finding.severity)),
            "type" => Field::Text(kind(finding)),
            "status" => Field::Text(if finding.is_information { "" } else { finding.status }),
            "webApp.id" => Field::Number(finding.app.id),
            "webApp.name" => Field::Text(&finding.app.name),
            "firstDetectedDate" | "lastDetectedDate" | "lastTestedDate" => Field::Time(finding.found),
            _ => return None,
        })
    })
}

fn write_finding(xml: &mut Xml, finding: &Finding) {
    xml.open("Finding");
    xml.number("id", finding.id);
    xml.leaf("uniqueId", &finding.unique);
    xml.number("qid", finding.qid);
    xml.cdata("name", &finding.title);
    xml.leaf("type", kind(finding));
    xml.leaf("potential", if finding.potential { "true" } else { "false" });
    xml.leaf("findingType", "QUALYS");
    xml.number("severity", finding.severity);
    if !finding.is_information {
        xml.cdata("url", &finding.app.url);
        xml.leaf("status", finding.status);
    }
    for name in ["firstDetectedDate", "lastDetectedDate", "lastTestedDate"] {
        xml.time(name, finding.found);
    }
    if !finding.is_information {
        xml.number("timesDetected", 1_u32);
    }
    xml.open("webApp");
    xml.number("id", finding.app.id);
    xml.cdata("name", &finding.app.name);
    xml.cdata("url", &finding.app.url);
    xml.close("webApp");
    if !finding.is_information {
        xml.leaf("isIgnored", "false");
    }
    xml.close("Finding");
}
