//! Parameters of a call: query and form merged, names and values checked as the service checks them (spec section 2.1).

use super::reply::Refusal;
use jiff::Timestamp;
use jiff::civil::Date;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// What the value of a parameter has to look like.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// Anything.
    Text,
    /// `1,5-9` of positive integers.
    Ids,
    /// `10.0.0.1,10.0.0.5-10.0.0.9`.
    Ips,
    /// An unsigned number.
    Number,
    /// `0` or `1`.
    Flag,
    /// `YYYY-MM-DD` or `YYYY-MM-DDTHH:MM:SSZ`.
    Date,
    /// One of the words.
    OneOf(&'static [&'static str]),
    /// A comma-separated list of the words.
    ListOf(&'static [&'static str]),
}

/// A parameter an action knows.
pub(crate) type Known = (&'static str, Kind);

/// Parameters every `fo` call knows.
pub(crate) const COMMON: &[Known] = &[("action", Kind::Text), ("echo_request", Kind::Flag)];

/// A call's parameters; a repeated name keeps its last value.
#[derive(Debug, Clone, Default)]
pub(crate) struct Params {
    values: BTreeMap<String, String>,
    order: Vec<String>,
}

impl Params {
    /// Reads the query string and, after it, the form body.
    pub(crate) fn read(query: &str, form: &str) -> Self {
        let mut params = Self::default();
        for pair in query.split('&').chain(form.split('&')).filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            params.set(&decode(name), decode(value));
        }
        params
    }

    /// Sets a value.
    pub(crate) fn set(&mut self, name: &str, value: String) {
        if self.values.insert(name.to_owned(), value).is_none() {
            self.order.push(name.to_owned());
        }
    }

    /// A value that is not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// Whether a flag is set, or its default.
    pub(crate) fn flag(&self, name: &str, default: bool) -> bool {
        self.get(name).map_or(default, |value| value == "1")
    }

    /// A number.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }

    /// The inclusive id ranges of a list.
    pub(crate) fn ids(&self, name: &str) -> Option<Vec<(u64, u64)>> {
        self.get(name).map(|value| value.split(',').filter_map(|part| id_range(part).ok()).collect())
    }

    /// The inclusive address ranges of a list.
    pub(crate) fn ips(&self, name: &str) -> Option<Vec<(Ipv4Addr, Ipv4Addr)>> {
        self.get(name).map(|value| value.split(',').filter_map(|part| ip_range(part).ok()).collect())
    }

    /// An instant.
    pub(crate) fn date(&self, name: &str) -> Option<Timestamp> {
        parse_date(self.get(name)?)
    }

    /// The parts of a comma-separated list.
    pub(crate) fn list(&self, name: &str) -> Option<Vec<&str>> {
        self.get(name).map(|value| value.split(',').map(str::trim).filter(|part| !part.is_empty()).collect())
    }

    /// Names and values in the order they came.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.order.iter().filter_map(|name| self.values.get(name).map(|value| (name.as_str(), value.as_str())))
    }

    /// Refuses unknown names (1901), then bad values (1905).
    pub(crate) fn check(&self, known: &[&[Known]]) -> Result<(), Refusal> {
        let find = |name: &str| COMMON.iter().chain(known.iter().copied().flatten()).find(|(known, _)| *known == name);
        let unknown: Vec<&str> = self.order.iter().map(String::as_str).filter(|name| find(name).is_none()).collect();
        if !unknown.is_empty() {
            return Err(Refusal::bad(1901, format!("Unrecognized parameter(s): {}", unknown.join(", "))));
        }
        for name in &self.order {
            if let (Some((_, kind)), Some(value)) = (find(name), self.get(name)) {
                check_value(name, value, *kind)?;
            }
        }
        Ok(())
    }

    /// Refuses a missing parameter (1903).
    pub(crate) fn require(&self, name: &str) -> Result<&str, Refusal> {
        self.get(name).ok_or_else(|| Refusal::bad(1903, format!("Missing required parameter(s): {name}")))
    }

    /// Refuses more than one of a group (1904).
    pub(crate) fn at_most_one(&self, names: &[&str]) -> Result<(), Refusal> {
        let given: Vec<&str> = names.iter().copied().filter(|name| self.get(name).is_some()).collect();
        if given.len() > 1 {
            let text = format!("Please specify only one of the following parameters: {}", given.join(", "));
            return Err(Refusal::bad(1904, text));
        }
        Ok(())
    }

    /// Refuses none of a group (1922).
    pub(crate) fn at_least_one(&self, names: &[&str]) -> Result<(), Refusal> {
        if names.iter().any(|name| self.get(name).is_some()) {
            return Ok(());
        }
        Err(Refusal::bad(
            1922,
            format!("Please specify at least one of the following parameters: {}", names.join(", ")),
        ))
    }
}

fn check_value(name: &str, value: &str, kind: Kind) -> Result<(), Refusal> {
    let refuse = |why: String| Err(Refusal::bad(1905, format!("parameter {name} has invalid value: {value} ({why})")));
    match kind {
        Kind::Text => Ok(()),
        Kind::Ids => match value.split(',').find_map(|part| id_range(part).err().map(|()| part)) {
            Some(part) => refuse(format!("neither a positive integer nor a range: {part}")),
            None => Ok(()),
        },
        Kind::Ips => match value.split(',').find_map(|part| ip_range(part).err().map(|()| part)) {
            Some(part) => refuse(format!("neither an IP address nor a range: {part}")),
            None => Ok(()),
        },
        Kind::Number if value.parse::<u64>().is_err() => refuse("not a non-negative integer".to_owned()),
        Kind::Flag if value != "0" && value != "1" => refuse("must be 0 or 1".to_owned()),
        Kind::Date if parse_date(value).is_none() => refuse("not a date of the form YYYY-MM-DD[THH:MM:SSZ]".to_owned()),
        Kind::OneOf(words) if !words.contains(&value) => refuse(format!("must be one of: {}", words.join(", "))),
        Kind::ListOf(words) if value.split(',').any(|part| !words.contains(&part.trim())) => {
            refuse(format!("must be a list of: {}", words.join(", ")))
        }
        _ => Ok(()),
    }
}

fn id_range(part: &str) -> Result<(u64, u64), ()> {
    let positive = |text: &str| text.trim().parse::<u64>().ok().filter(|number| *number > 0).ok_or(());
    match part.split_once('-') {
        Some((low, high)) => {
            let (low, high) = (positive(low)?, positive(high)?);
            if low <= high { Ok((low, high)) } else { Err(()) }
        }
        None => positive(part).map(|number| (number, number)),
    }
}

fn ip_range(part: &str) -> Result<(Ipv4Addr, Ipv4Addr), ()> {
    let address = |text: &str| text.trim().parse::<Ipv4Addr>().map_err(|_| ());
    match part.split_once('-') {
        Some((low, high)) => {
            let (low, high) = (address(low)?, address(high)?);
            if low <= high { Ok((low, high)) } else { Err(()) }
        }
        None => address(part).map(|ip| (ip, ip)),
    }
}

fn parse_date(text: &str) -> Option<Timestamp> {
    if text.len() == "YYYY-MM-DDTHH:MM:SSZ".len() && text.ends_with('Z') {
        return text.parse().ok();
    }
    let date: Date = (text.len() == "YYYY-MM-DD".len()).then(|| text.parse().ok())??;
    date.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

/// Decodes `%xx` and `+`; a broken escape stays as it is.
pub(crate) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let mut ahead = rest.clone();
                let hex = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
                if let (Some(high), Some(low)) = (hex(ahead.next()), hex(ahead.next())) {
                    bytes.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                    rest = ahead;
                } else {
                    bytes.push(b'%');
                }
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Encodes a value for a query string.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~,:".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Known] = &[
        ("ids", Kind::Ids),
        ("ips", Kind::Ips),
        ("limit", Kind::Number),
        ("show", Kind::Flag),
        ("since", Kind::Date),
        ("format", Kind::OneOf(&["XML", "CSV"])),
        ("status", Kind::ListOf(&["New", "Fixed"])),
    ];

    #[test]
    fn query_and_form_are_merged_and_the_last_value_wins() {
        let params = Params::read("action=list&ids=1", "ids=2%2C5-9&os=a+b%20c%zz");
        assert_eq!(params.ids("ids"), Some(vec![(2, 2), (5, 9)]));
        assert_eq!(params.get("os"), Some("a b c%zz"));
        assert_eq!(params.get("action"), Some("list"));
    }

    #[test]
    fn names_and_values_are_checked() {
        let cases = [
            ("ids=1,5-9", None),
            ("ids=abc123", Some(1905)),
            ("ids=9-5", Some(1905)),
            ("ids=0", Some(1905)),
            ("ips=10.0.0.1-10.0.0.9", None),
            ("ips=10.0.0.0/24", Some(1905)),
            ("limit=-1", Some(1905)),
            ("show=yes", Some(1905)),
            ("since=2026-01-01", None),
            ("since=2026-01-01T00:00:00Z", None),
            ("since=01.01.2026", Some(1905)),
            ("format=xml", Some(1905)),
            ("status=New,Fixed", None),
            ("status=New,Gone", Some(1905)),
            ("IDs=1", Some(1901)),
            ("action=list&echo_request=1", None),
        ];
        for (query, code) in cases {
            let refusal = Params::read(query, "").check(&[KNOWN]).err().and_then(|refusal| refusal.code);
            assert_eq!(refusal, code, "{query}");
        }
    }

    #[test]
    fn the_text_of_a_bad_id_is_the_recorded_one() {
        let refusal = Params::read("ids=abc123", "").check(&[KNOWN]).expect_err("a bad id");
        let text = "parameter ids has invalid value: abc123 (neither a positive integer nor a range: abc123)";
        assert_eq!(refusal.text, text);
    }
}
