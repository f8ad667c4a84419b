//! The search of the `/qps/` family: what a ServiceRequest asks for, and one page of an answer (spec section 4.3).

use super::call::Call;
use super::reply::{Family, Reply};
use super::serve::powered_by;
use super::xml::Xml;
use jiff::Timestamp;
use quick_xml::Reader;
use quick_xml::events::Event;

/// What the values of a field have to look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Numbers, separated by commas.
    Number,
    /// `true` or `false`.
    Flag,
    /// An instant.
    Time,
}

/// A field of a record, to be held against a criterion.
#[derive(Debug, Clone, Copy)]
pub(super) enum Field<'a> {
    Number(u64),
    Flag(bool),
    Time(Timestamp),
    Text(&'a str),
}

/// Why a request is refused: message and resolution.
pub(super) type Invalid = (String, &'static str);

/// What a search asks for.
#[derive(Debug)]
pub(super) struct Search {
    limit: usize,
    /// Only records whose id is greater.
    after: u64,
    offset: usize,
    criteria: Vec<(String, String, String)>,
}

impl Search {
    /// Reads a request body; an empty one asks for everything.
    pub(super) fn read(body: &str, kinds: &[(&str, Kind)]) -> Result<Self, Invalid> {
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
                    search.take(&element, &mut criterion, text, kinds)?;
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

    fn take(
        &mut self,
        element: &str,
        criterion: &mut Option<(String, String)>,
        text: String,
        kinds: &[(&str, Kind)],
    ) -> Result<(), Invalid> {
        match element {
            "limitResults" => self.limit = text.parse().unwrap_or(100).clamp(1, 1_000),
            "startFromOffset" => self.offset = text.parse().unwrap_or(1),
            "startFromId" => self.after = text.parse::<u64>().unwrap_or(0).saturating_sub(1),
            "Criteria" => {
                if let Some((field, operator)) = criterion.take() {
                    let kind = kinds.iter().find(|(known, _)| *known == field).map(|(_, kind)| *kind);
                    check(&field, kind, &text)?;
                    self.criteria.push((field, operator, text));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether a record is meant; fields nobody knows decide nothing.
    pub(super) fn fits<'a>(&self, id: u64, field: impl Fn(&str) -> Option<Field<'a>>) -> bool {
        id > self.after
            && self
                .criteria
                .iter()
                .all(|(name, operator, value)| field(name).is_none_or(|field| holds(field, operator, value)))
    }

    /// Whether every criterion on the name of a tag is met by one of a record's tags.
    pub(super) fn fits_tags(&self, tags: &[(u32, &str)]) -> bool {
        let mut asked = self.criteria.iter().filter(|(field, _, _)| field == "tagName");
        asked.all(|(_, operator, value)| tags.iter().any(|(_, mine)| holds(Field::Text(mine), operator, value)))
    }

    /// One page of the records that are meant, as a document; `count` without the records for the counting calls.
    pub(super) fn page<T>(
        &self,
        call: &Call,
        xsd: &str,
        found: impl Iterator<Item = T>,
        id: impl Fn(&T) -> u64,
        write: impl Fn(&mut Xml, &T),
    ) -> String {
        let mut xml = open(call, xsd, "SUCCESS");
        if call.path.contains("/count/") {
            xml.number("count", found.count() as u64);
            xml.close("ServiceResponse");
            return xml.finish();
        }
        let mut rows: Vec<T> = found.skip(self.offset.saturating_sub(1)).take(self.limit + 1).collect();
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        xml.number("count", rows.len() as u64);
        xml.leaf("hasMoreRecords", if more { "true" } else { "false" });
        if let Some(last) = rows.last().filter(|_| more) {
            xml.number("lastId", id(last));
        }
        if !rows.is_empty() {
            xml.open("data");
            for row in &rows {
                write(&mut xml, row);
            }
            xml.close("data");
        }
        xml.close("ServiceResponse");
        xml.finish()
    }
}

/// Refuses a value that its field cannot have; message and resolution as recorded.
fn check(field: &str, kind: Option<Kind>, value: &str) -> Result<(), Invalid> {
    let bad = |fits: &dyn Fn(&str) -> bool| value.split(',').map(str::trim).find(|part| !fits(part));
    let (bad, resolution) = match kind {
        Some(Kind::Number) => (bad(&|part| part.parse::<u64>().is_ok()), "Specify criteria value(s) as Long."),
        Some(Kind::Flag) => (bad(&|part| part == "true" || part == "false"), "Values expected: true, false."),
        Some(Kind::Time) => (bad(&|part| time(part).is_some()), "Specify criteria value(s) as Date."),
        None => return Ok(()),
    };
    match bad {
        Some(bad) => Err((format!("Criteria: Invalid value format for criteria '{field}' ({bad})."), resolution)),
        None => Ok(()),
    }
}

fn time(text: &str) -> Option<Timestamp> {
    let whole = if text.len() == "YYYY-MM-DD".len() { format!("{text}T00:00:00Z") } else { text.to_owned() };
    whole.parse().ok()
}

fn holds(field: Field<'_>, operator: &str, value: &str) -> bool {
    fn ordered<T: PartialOrd>(operator: &str, mine: &T, mut wanted: impl Iterator<Item = T>) -> bool {
        match operator {
            "GREATER" => wanted.all(|other| *mine > other),
            "LESSER" => wanted.all(|other| *mine < other),
            "NOT EQUALS" => wanted.all(|other| *mine != other),
            _ => wanted.any(|other| *mine == other),
        }
    }
    let parts = || value.split(',').map(str::trim);
    match field {
        Field::Number(mine) => ordered(operator, &mine, parts().filter_map(|part| part.parse().ok())),
        Field::Time(mine) => ordered(operator, &mine, parts().filter_map(time)),
        Field::Flag(mine) => ordered(operator, &mine, parts().map(|part| part == "true")),
        Field::Text(mine) if operator == "CONTAINS" => mine.contains(value),
        Field::Text(mine) if operator == "IN" => parts().any(|part| part == mine),
        Field::Text(mine) => (mine == value) != (operator == "NOT EQUALS"),
    }
}

/// The beginning of a ServiceResponse.
pub(super) fn open(call: &Call, xsd: &str, code: &str) -> Xml {
    let mut xml = Xml::default();
    xml.raw("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    let schema = format!("{}/qps/xsd/{xsd}", call.base);
    xml.open(&format!(
        "ServiceResponse xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:noNamespaceSchemaLocation=\"{schema}\""
    ));
    xml.leaf("responseCode", code);
    xml
}

/// A whole answer that refuses.
pub(super) fn error(call: &Call, xsd: &str, code: &str, message: &str, resolution: &str) -> String {
    let mut xml = open(call, xsd, code);
    xml.open("responseErrorDetails");
    xml.leaf("errorMessage", message);
    xml.leaf("errorResolution", resolution);
    xml.close("responseErrorDetails");
    xml.close("ServiceResponse");
    xml.finish()
}

/// An answer of the family, with the protection headers where the subscription's portal sends them.
pub(super) fn reply(call: &Call, text: String) -> Reply {
    let reply = Reply::new(200, "application/xml", text, Family::Qps);
    if !call.app.world.options.switches.portal_protection {
        return reply;
    }
    reply
        .with("strict-transport-security", "max-age=31536000")
        .with("x-frame-options", "SAMEORIGIN")
        .with("x-xss-protection", "1;mode=block")
        .with("x-content-type-options", "nosniff")
}

/// The answer to a search: the page it found, or why it is refused.
pub(super) fn searched(call: &Call, xsd: &str, kinds: &[(&str, Kind)], page: impl Fn(&Search) -> String) -> Reply {
    let found = Search::read(&call.body, kinds);
    let text = match &found {
        Ok(search) => page(search),
        Err((message, resolution)) => error(call, xsd, "INVALID_REQUEST", message, resolution),
    };
    let reply = reply(call, text).with("x-powered-by", powered_by(&call.app));
    // Recorded: only an answer that did search says whether this is an evaluation subscription.
    if found.is_ok() { reply.with("evaluation", "false") } else { reply }
}
