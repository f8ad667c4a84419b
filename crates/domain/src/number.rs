//! Numbers that people see: `MJ0000001`, `VIT0000001`.
//!
//! A number is never reused, may have gaps and may outgrow seven digits (design, section 10).

use std::fmt;
use std::str::FromStr;

/// What kind of record a number names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Series {
    /// Mitigation job, `MJ`.
    Job,
    /// Vulnerable item, `VIT`.
    Item,
    /// Remediation task, `VUL`.
    RemediationTask,
    /// Remediation effort, `REF`.
    Effort,
    /// Request to put items off or to call them false positives, `VCA`.
    Exception,
    /// Rescan request, `VSCAN`.
    Scan,
    /// Integration run, `VINTRUN`.
    IntegrationRun,
}

impl Series {
    const ALL: [Series; 7] = [
        Series::Job,
        Series::Item,
        Series::RemediationTask,
        Series::Effort,
        Series::Exception,
        Series::Scan,
        Series::IntegrationRun,
    ];

    /// The letters in front of the digits.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Series::Job => "MJ",
            Series::Item => "VIT",
            Series::RemediationTask => "VUL",
            Series::Effort => "REF",
            Series::Exception => "VCA",
            Series::Scan => "VSCAN",
            Series::IntegrationRun => "VINTRUN",
        }
    }
}

/// A number in one series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Number {
    /// The series it belongs to.
    pub series: Series,
    /// The ordinal, from 1.
    pub ordinal: i64,
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:07}", self.series.prefix(), self.ordinal)
    }
}

/// The text is not a number of any series.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a record number such as MJ0000001, VIT0000001 or VSCAN0000001")]
pub struct NotANumber(pub String);

impl FromStr for Number {
    type Err = NotANumber;

    fn from_str(text: &str) -> Result<Self, NotANumber> {
        let refuse = || NotANumber(text.to_owned());
        let at = text.find(|c: char| c.is_ascii_digit()).ok_or_else(refuse)?;
        let (letters, digits) = text.split_at(at);
        let series =
            Series::ALL.into_iter().find(|series| series.prefix().eq_ignore_ascii_case(letters)).ok_or_else(refuse)?;
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(refuse());
        }
        let ordinal: i64 = digits.parse().map_err(|_| refuse())?;
        if ordinal < 1 {
            return Err(refuse());
        }
        Ok(Number { series, ordinal })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_seven_digits_and_more_when_outgrown() {
        let number = |series, ordinal| Number { series, ordinal }.to_string();
        assert_eq!(number(Series::Job, 1), "MJ0000001");
        assert_eq!(number(Series::Scan, 12_345_678), "VSCAN12345678");
    }

    #[test]
    fn parses_what_it_prints_and_refuses_the_rest() {
        for series in Series::ALL {
            let number = Number { series, ordinal: 42 };
            assert_eq!(number.to_string().parse(), Ok(number));
        }
        assert_eq!("vit7".parse(), Ok(Number { series: Series::Item, ordinal: 7 }));
        for text in ["", "MJ", "7", "XX1", "MJ0", "MJ-1", "MJ1x", "MJ99999999999999999999"] {
            assert!(text.parse::<Number>().is_err(), "{text}");
        }
    }
}
