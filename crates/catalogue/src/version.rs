//! Package versions: how dpkg and rpm order them, and ranges such as `>=1:8.5p1, <1:9.8p1`.
//!
//! A bound compares only what it writes: a bound without an epoch ignores the epoch of the installed package, a bound without
//! a distribution revision ignores the revision. So `>=7.5` means "this feature came with upstream 7.5" on every distribution.
//! Ranges say where a *setting* works, never who is vulnerable: back-ported fixes keep old numbers (`design.md` 10).

use std::{cmp::Ordering, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Whose ordering rules apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VersionScheme {
    /// Debian and its derivatives.
    Dpkg,
    /// Red Hat, SUSE and theirs.
    Rpm,
    /// Numbers with dots, for versions of operating systems: `9` covers `9.4`.
    Dotted,
}

/// A version taken apart: `epoch:upstream-revision`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Parts<'a> {
    epoch: Option<u64>,
    upstream: &'a str,
    revision: Option<&'a str>,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Self {
        let (epoch, rest) = match text.split_once(':') {
            Some((epoch, rest)) if !epoch.is_empty() && epoch.bytes().all(|b| b.is_ascii_digit()) => {
                (Some(epoch.parse().unwrap_or(u64::MAX)), rest)
            }
            _ => (None, text),
        };
        let (upstream, revision) = match rest.rsplit_once('-') {
            Some((upstream, revision)) => (upstream, Some(revision)),
            None => (rest, None),
        };
        Self { epoch, upstream, revision }
    }
}

/// Compare two full versions as the package manager does. A missing epoch counts as 0; a missing revision counts as none.
#[must_use]
pub fn compare(scheme: VersionScheme, a: &str, b: &str) -> Ordering {
    if scheme == VersionScheme::Dotted {
        return compare_dotted(a, b);
    }
    let (a, b) = (Parts::of(a), Parts::of(b));
    a.epoch
        .unwrap_or(0)
        .cmp(&b.epoch.unwrap_or(0))
        .then_with(|| compare_part(scheme, a.upstream, b.upstream))
        .then_with(|| compare_part(scheme, a.revision.unwrap_or(""), b.revision.unwrap_or("")))
}

/// Compare an installed version with a bound, by the parts that the bound writes.
fn compare_with_bound(scheme: VersionScheme, installed: &str, bound: &str) -> Ordering {
    if scheme == VersionScheme::Dotted {
        return compare_dotted(installed, bound);
    }
    let (a, b) = (Parts::of(installed), Parts::of(bound));
    let epoch = b.epoch.map_or(Ordering::Equal, |epoch| a.epoch.unwrap_or(0).cmp(&epoch));
    epoch.then_with(|| compare_part(scheme, a.upstream, b.upstream)).then_with(|| {
        b.revision.map_or(Ordering::Equal, |revision| compare_part(scheme, a.revision.unwrap_or(""), revision))
    })
}

fn compare_part(scheme: VersionScheme, a: &str, b: &str) -> Ordering {
    match scheme {
        VersionScheme::Rpm => compare_rpm(a.as_bytes(), b.as_bytes()),
        VersionScheme::Dpkg | VersionScheme::Dotted => compare_dpkg(a.as_bytes(), b.as_bytes()),
    }
}

fn split_while(bytes: &[u8], keep: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|b| !keep(*b)).unwrap_or(bytes.len());
    bytes.split_at(end)
}

fn without_zeros(digits: &[u8]) -> &[u8] {
    split_while(digits, |b| b == b'0').1
}

/// Digits of any length, so no number overflows.
fn compare_digits(a: &[u8], b: &[u8]) -> Ordering {
    let (a, b) = (without_zeros(a), without_zeros(b));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// Debian policy 5.6.12: runs of non-digits and of digits in turn; `~` sorts before the end, letters before everything else.
fn compare_dpkg(mut a: &[u8], mut b: &[u8]) -> Ordering {
    fn weight(byte: Option<u8>) -> u16 {
        match byte {
            Some(b'~') => 0,
            None => 1,
            Some(letter) if letter.is_ascii_alphabetic() => u16::from(letter) + 1,
            Some(other) => u16::from(other) + 1000,
        }
    }
    while !a.is_empty() || !b.is_empty() {
        let (text_a, rest_a) = split_while(a, |c| !c.is_ascii_digit());
        let (text_b, rest_b) = split_while(b, |c| !c.is_ascii_digit());
        for index in 0..text_a.len().max(text_b.len()) {
            let order = weight(text_a.get(index).copied()).cmp(&weight(text_b.get(index).copied()));
            if order.is_ne() {
                return order;
            }
        }
        let (digits_a, next_a) = split_while(rest_a, |c| c.is_ascii_digit());
        let (digits_b, next_b) = split_while(rest_b, |c| c.is_ascii_digit());
        let order = compare_digits(digits_a, digits_b);
        if order.is_ne() {
            return order;
        }
        (a, b) = (next_a, next_b);
    }
    Ordering::Equal
}

/// rpm's segments: separators only part them; numbers beat letters; `~` sorts before the end and `^` after it but before more.
fn compare_rpm(mut a: &[u8], mut b: &[u8]) -> Ordering {
    let is_text = |c: u8| c.is_ascii_alphanumeric() || c == b'~' || c == b'^';
    loop {
        a = split_while(a, |c| !is_text(c)).1;
        b = split_while(b, |c| !is_text(c)).1;
        match (a.first(), b.first()) {
            (Some(b'~'), Some(b'~')) | (Some(b'^'), Some(b'^')) => {
                (a, b) = (a.get(1..).unwrap_or_default(), b.get(1..).unwrap_or_default());
                continue;
            }
            (Some(b'~'), _) | (None, Some(b'^')) => return Ordering::Less,
            (_, Some(b'~')) | (Some(b'^'), None) => return Ordering::Greater,
            (Some(b'^'), Some(_)) => return Ordering::Less,
            (Some(_), Some(b'^')) => return Ordering::Greater,
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(x), Some(y)) if x.is_ascii_digit() != y.is_ascii_digit() => {
                return if x.is_ascii_digit() { Ordering::Greater } else { Ordering::Less };
            }
            (Some(x), Some(_)) => {
                let digits = x.is_ascii_digit();
                let same_kind = |c: u8| if digits { c.is_ascii_digit() } else { c.is_ascii_alphabetic() };
                let (segment_a, rest_a) = split_while(a, same_kind);
                let (segment_b, rest_b) = split_while(b, same_kind);
                let order = if digits { compare_digits(segment_a, segment_b) } else { segment_a.cmp(segment_b) };
                if order.is_ne() {
                    return order;
                }
                (a, b) = (rest_a, rest_b);
            }
        }
    }
}

/// Only as many numbers as the second writes: `9` equals `9.4`, and `12` is more than `9.4`.
fn compare_dotted(a: &str, b: &str) -> Ordering {
    let mut parts_a = a.split('.');
    for part_b in b.split('.') {
        let part_a = parts_a.next().unwrap_or("0");
        let order = compare_dpkg(part_a.as_bytes(), part_b.as_bytes());
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    AtLeast,
    Above,
    AtMost,
    Below,
    Equal,
    Not,
}

impl Operator {
    // Longer spellings first, so that `>=` is not read as `>`.
    const SPELLINGS: [(&'static str, Self); 6] = [
        (">=", Self::AtLeast),
        ("<=", Self::AtMost),
        ("!=", Self::Not),
        (">", Self::Above),
        ("<", Self::Below),
        ("=", Self::Equal),
    ];

    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::AtLeast => order.is_ge(),
            Self::Above => order.is_gt(),
            Self::AtMost => order.is_le(),
            Self::Below => order.is_lt(),
            Self::Equal => order.is_eq(),
            Self::Not => order.is_ne(),
        }
    }
}

/// Bounds that must all hold, written with commas: `>=1:8.5p1, <1:9.8p1`. A bound without an operator means "equal", which
/// for operating systems covers minor versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VersionRange {
    text: String,
    bounds: Vec<(Operator, String)>,
}

/// A text that is not a version range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a version range such as \">=1:8.5p1, <1:9.8p1\"")]
pub struct RangeError(String);

impl VersionRange {
    /// Whether a version lies in the range.
    #[must_use]
    pub fn contains(&self, scheme: VersionScheme, version: &str) -> bool {
        self.bounds.iter().all(|(operator, bound)| operator.holds(compare_with_bound(scheme, version, bound)))
    }
}

impl FromStr for VersionRange {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let error = || RangeError(text.chars().take(80).collect());
        let mut bounds = Vec::new();
        for part in text.split(',') {
            let part = part.trim();
            let found =
                Operator::SPELLINGS.iter().find_map(|(sign, op)| part.strip_prefix(sign).map(|rest| (*op, rest)));
            let (operator, bound) = found.unwrap_or((Operator::Equal, part));
            let bound = bound.trim();
            let allowed = |b: u8| b.is_ascii_alphanumeric() || b".+-~^_:".contains(&b);
            if !bound.starts_with(|c: char| c.is_ascii_digit()) || !bound.bytes().all(allowed) || bound.len() > 100 {
                return Err(error());
            }
            bounds.push((operator, bound.to_owned()));
        }
        Ok(Self { text: text.to_owned(), bounds })
    }
}

impl TryFrom<String> for VersionRange {
    type Error = RangeError;

    fn try_from(text: String) -> Result<Self, RangeError> {
        text.parse()
    }
}

impl From<VersionRange> for String {
    fn from(range: VersionRange) -> Self {
        range.text
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
#[path = "version_tests.rs"]
mod tests;
