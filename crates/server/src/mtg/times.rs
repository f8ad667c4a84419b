//! The two forms of time of this API: civil times as `2026-1-23 04:27:51 AM`, instants as milliseconds since 1970.

use domain::time::Timestamp;
use jiff::civil::DateTime;

/// The form of civil times.
const CIVIL: &str = "%Y-%m-%d %I:%M:%S %p";

/// A civil time as scripts send it; the ISO form is taken as well.
#[must_use]
pub fn civil(text: &str) -> Option<DateTime> {
    let text = text.trim();
    DateTime::strptime(CIVIL, text).or_else(|_| text.parse()).ok()
}

/// A civil time as scripts read it: the month is not padded.
#[must_use]
pub fn shown(at: DateTime) -> String {
    at.strftime("%Y-%-m-%d %I:%M:%S %p").to_string()
}

/// An instant in UTC in the civil form.
#[must_use]
pub fn in_utc(at: Timestamp) -> String {
    shown(at.to_jiff().to_zoned(jiff::tz::TimeZone::UTC).datetime())
}

/// An instant in milliseconds.
#[must_use]
pub fn millis(at: Timestamp) -> i64 {
    at.micros() / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn civil_times_in_both_forms() {
        let at: DateTime = "2026-01-23T04:27:51".parse().unwrap();
        for text in ["2026-1-23 04:27:51 AM", "2026-01-23 4:27:51 am", " 2026-01-23T04:27:51 "] {
            assert_eq!(civil(text), Some(at), "{text}");
        }
        assert_eq!(shown(at), "2026-1-23 04:27:51 AM");
        assert_eq!(shown("2025-07-01T21:57:18".parse().unwrap()), "2025-7-01 09:57:18 PM");
        assert_eq!(civil(&shown("2025-07-01T12:00:00".parse().unwrap())), "2025-07-01T12:00:00".parse().ok());
        for text in ["", "soon", "2026-13-01 01:00:00 AM", "2026-1-1 13:00:00 PM"] {
            assert_eq!(civil(text), None, "{text}");
        }
    }
}
