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
