//! Reads the small values of scanner documents: numbers, flags, instants, scores, escaped text.
//!
//! Every function answers `None` for what it cannot read; the caller counts that and goes on.

use crate::observation::{CvssReport, Micros};
use jiff::{Timestamp, civil, tz::TimeZone};
use std::borrow::Cow;

/// An instant. `2020-09-27T01:29:21Z` and other offsets, a civil date and time (taken as UTC) or a bare date
/// (midnight UTC), as the scanner's own rules say (`spec/qualys-api.md` 2.1).
pub fn instant(text: &str) -> Option<Micros> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at.as_microsecond());
    }
    let civil = text
        .parse::<civil::DateTime>()
        .or_else(|_| text.parse::<civil::Date>().map(|date| date.to_datetime(civil::Time::midnight())))
        .ok()?;
    TimeZone::UTC.to_timestamp(civil).ok().map(Timestamp::as_microsecond)
}

/// The American date of fetched scans, `04/01/2019 00:29:48`, by convention UTC.
pub fn american_instant(text: &str) -> Option<Micros> {
    civil(text, &["%m/%d/%Y %H:%M:%S"], &TimeZone::UTC)
}

/// A civil date and time in the first of these formats that fits, in a zone.
pub fn civil(text: &str, formats: &[&str], zone: &TimeZone) -> Option<Micros> {
    let civil = formats.iter().find_map(|format| civil::DateTime::strptime(format, text).ok())?;
    zone.to_timestamp(civil).ok().map(Timestamp::as_microsecond)
}

/// A severity, 1 to 5.
pub fn severity(text: &str) -> Option<i64> {
    text.parse().ok().filter(|severity| (1..=5).contains(severity))
}

/// A detection score (`QDS`), 1 to 100.
pub fn detection_score(text: &str) -> Option<i64> {
    text.parse().ok().filter(|score| (1..=100).contains(score))
}

/// A port, where 0 stands for none.
pub fn port(text: &str) -> Option<i64> {
    text.parse().ok().filter(|port| (0..=65_535).contains(port))
}

/// A flag: `1`, `0`, `true`, `false`, `yes`, `no`, `on`, `off`.
pub fn flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// A CVSS score in one text: `9.3 (AV:N/AC:M/Au:N/C:C/I:C/A:C)`, a bare number, or `-` for none.
pub fn cvss(text: &str) -> Option<CvssReport> {
    let (number, rest) = match text.split_once('(') {
        Some((number, rest)) => (number.trim(), Some(rest.trim_end().trim_end_matches(')').trim())),
        None => (text.trim(), None),
    };
    let base = score(number);
    let vector = rest.filter(|rest| !rest.is_empty()).map(str::to_owned);
    (base.is_some() || vector.is_some()).then_some(CvssReport { base, vector, temporal: None, version: None })
}

/// A CVSS number between 0 and 10.
pub fn score(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|number| (0.0..=10.0).contains(number))
}

/// Resolves the five predefined entities and character references once more; anything else stays as it is.
///
/// Evidence arrives escaped inside a CDATA section, so that the parser's own pass leaves one layer (quirk 1 of
/// `spec/qualys-api.md` 3.4).
pub fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        // The longest reference of interest is `&#x10FFFF;`.
        let end = from.bytes().take(12).position(|b| b == b';');
        let resolved = end.and_then(|end| Some((reference(from.get(1..end)?)?, end)));
        if let Some((character, end)) = resolved {
            out.push(character);
            rest = from.get(end + 1..).unwrap_or_default();
        } else {
            out.push('&');
            rest = from.get(1..).unwrap_or_default();
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// What stands between `&` and `;`: a predefined name or a character reference to an allowed character.
pub fn reference(name: &str) -> Option<char> {
    match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let digits = name.strip_prefix('#')?;
            let number = match digits.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => digits.parse().ok()?,
            };
            char::from_u32(number).filter(|character| crate::clean::allowed(*character))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants() {
        for (text, wanted) in [
            ("1970-01-01T00:00:01Z", Some(1_000_000)),
            ("1970-01-01T02:00:01+02:00", Some(1_000_000)),
            ("1970-01-02", Some(86_400_000_000)),
            ("1970-01-01T00:00:02", Some(2_000_000)),
            ("1970-01-01 00:00:02", Some(2_000_000)),
            ("N/A", None),
            ("", None),
            ("yesterday", None),
            ("2021-02-30T00:00:00Z", None),
        ] {
            assert_eq!(instant(text), wanted, "{text}");
        }
        assert_eq!(american_instant("01/02/1970 00:00:00"), Some(86_400_000_000));
        assert_eq!(american_instant("13/02/1970 00:00:00"), None);
    }

    #[test]
    fn flags() {
        for (text, wanted) in [("1", Some(true)), ("FALSE", Some(false)), ("yes", Some(true)), ("maybe", None)] {
            assert_eq!(flag(text), wanted, "{text}");
        }
    }

    #[test]
    fn scores() {
        let both = cvss("9.3 (AV:N/AC:M/Au:N/C:C/I:C/A:C)").expect("score with vector");
        assert_eq!((both.base, both.vector.as_deref()), (Some(9.3), Some("AV:N/AC:M/Au:N/C:C/I:C/A:C")));
        assert_eq!(cvss("8.8").and_then(|cvss| cvss.base), Some(8.8));
        for none in ["-", "", "eleven", "11.0", "NaN"] {
            assert_eq!(cvss(none), None, "{none}");
        }
    }

    #[test]
    fn one_more_layer_is_resolved() {
        for (given, wanted) in [
            ("plain", "plain"),
            ("doesn&apos;t", "doesn't"),
            ("a -&gt; b &lt;/td&gt;", "a -> b </td>"),
            ("&amp;lt;", "&lt;"),
            ("&#65;&#x42;", "AB"),
            ("&nbsp; & &; &#0; &#xFFFFFFFF;", "&nbsp; & &; &#0; &#xFFFFFFFF;"),
            ("&", "&"),
            ("ü&quot;", "ü\""),
            ("&üüüüüüüüü;", "&üüüüüüüüü;"),
        ] {
            assert_eq!(unescape(given), wanted, "{given}");
        }
    }
}
