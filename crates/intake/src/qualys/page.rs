//! The frame that every list answer of the API shares: `RESPONSE` with a date, data, and perhaps an error or a warning.

use crate::error::ReadError;
use crate::limits::Limits;
use crate::summary::{PageWarning, Summary};
use crate::xml::Xml;
use std::io::BufRead;

/// Reads a whole answer with the root `expected`; `each` is called for every child of `RESPONSE` that is data.
pub(crate) fn read<R: BufRead>(
    input: R,
    limits: &Limits,
    expected: &'static str,
    mut each: impl FnMut(&mut Xml<'_, R>, &str) -> Result<(), ReadError>,
) -> Result<Summary, ReadError> {
    let mut xml = Xml::new(input, limits);
    xml.open(expected)?;
    let mut responses = 0;
    xml.children(|xml, name| {
        if name != "RESPONSE" {
            return Ok(());
        }
        responses += 1;
        response(xml, &mut each)
    })?;
    if responses == 0 {
        return Err(ReadError::WrongRoot { expected, found: format!("a document `{expected}` without RESPONSE") });
    }
    xml.close()
}

fn response<R: BufRead>(
    xml: &mut Xml<'_, R>,
    each: &mut impl FnMut(&mut Xml<'_, R>, &str) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let (mut code, mut text) = (None, None);
    xml.children(|xml, name| {
        match name {
            "DATETIME" => xml.summary.generated_at = xml.instant()?,
            "CODE" => code = xml.text()?,
            "TEXT" => text = xml.text()?,
            "WARNING" => warning(xml)?,
            _ => each(xml, name)?,
        }
        Ok(())
    })?;
    match code {
        Some(code) => Err(ReadError::ApiError { code: Some(code), text: text.unwrap_or_default(), items: Vec::new() }),
        None => Ok(()),
    }
}

fn warning<R: BufRead>(xml: &mut Xml<'_, R>) -> Result<(), ReadError> {
    let mut warning = PageWarning::default();
    xml.children(|xml, name| {
        match name {
            "CODE" => warning.code = xml.number()?,
            "TEXT" => warning.text = xml.text()?,
            "URL" => warning.url = xml.prose()?,
            _ => {}
        }
        Ok(())
    })?;
    xml.summary.warning = Some(warning);
    Ok(())
}

/// An error that stands inside a list, where only records may: the page is void.
pub(crate) fn error_in_list<R: BufRead>(xml: &mut Xml<'_, R>, name: &str) -> Result<(), ReadError> {
    if name == "CODE" {
        let code = xml.text()?;
        return Err(ReadError::ApiError {
            code,
            text: "the answer turned into an error".to_owned(),
            items: Vec::new(),
        });
    }
    Ok(())
}

/// Reads an `ID_SET` of ID and ID_RANGE elements (`a-b`, both ends included), ranges expanded.
pub(crate) fn id_set<R: BufRead>(xml: &mut Xml<'_, R>, ids: &mut Vec<i64>) -> Result<(), ReadError> {
    xml.children(|xml, name| {
        if !matches!(name, "ID" | "ID_RANGE") {
            return error_in_list(xml, name);
        }
        let Some(text) = xml.text()? else { return Ok(()) };
        xml.next_record();
        let (first, last) = text.split_once('-').unwrap_or((&text, &text));
        let (Ok(first), Ok(last)) = (first.trim().parse::<i64>(), last.trim().parse::<i64>()) else {
            xml.reject(format!("the id {text}"), "not an id or a range of ids");
            return Ok(());
        };
        let room = xml.limits.set_ids.saturating_sub(ids.len());
        if last.checked_sub(first).is_none_or(|length| length >= i64::try_from(room).unwrap_or(i64::MAX)) {
            return Err(ReadError::TooLarge { what: "a set of ids", limit: xml.limits.set_ids as u64 });
        }
        ids.extend(first..=last);
        Ok(())
    })
}

/// A short list that is held in memory whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing<T> {
    /// The records, in the answer's order.
    pub entries: Vec<T>,
    /// The account of the reading.
    pub summary: Summary,
}

/// Reads an answer whose data is one list: `list` in RESPONSE, `entry` in it, each read by `record`.
pub(crate) fn listing<R: BufRead, T>(
    input: R,
    limits: &Limits,
    [expected, list, entry]: [&'static str; 3],
    mut record: impl FnMut(&mut Xml<'_, R>) -> Result<T, ReadError>,
) -> Result<Listing<T>, ReadError> {
    let mut entries = Vec::new();
    let summary = read(input, limits, expected, |xml, name| {
        if name != list {
            return Ok(());
        }
        xml.children(|xml, name| {
            if name != entry {
                return error_in_list(xml, name);
            }
            if entries.len() >= limits.small_records {
                return Err(ReadError::TooLarge { what: "a list of records", limit: limits.small_records as u64 });
            }
            xml.next_record();
            entries.push(record(xml)?);
            Ok(())
        })
    })?;
    Ok(Listing { entries, summary })
}

/// A list in one text, separated by commas.
pub(crate) fn comma_list(text: Option<String>) -> Vec<String> {
    let text = text.unwrap_or_default();
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(str::to_owned).collect()
}
