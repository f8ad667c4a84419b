//! Answers of the asset and portal interface (`ServiceResponse`): whether a call worked, and how many records of which
//! kind it held. Errors come with HTTP status 200 here.

use crate::error::ReadError;
use crate::limits::Limits;
use crate::summary::count;
use crate::xml::Xml;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::BufRead;

/// The root element, in the upper case in which names are compared.
pub const ROOT: &str = "SERVICERESPONSE";

/// One answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ServiceAnswer {
    /// Records as the scanner counts them; can disagree with `records`.
    pub count: Option<i64>,
    /// Whether there is another page.
    pub more: bool,
    /// Cursor for the next page.
    pub last_id: Option<i64>,
    /// Records that are really there, by element name.
    pub records: BTreeMap<String, u64>,
}

/// Reads one answer; any code but `SUCCESS` is an [`ReadError::ApiError`].
pub fn read(input: impl BufRead, limits: &Limits) -> Result<ServiceAnswer, ReadError> {
    let mut xml = Xml::new(input, limits);
    xml.open(ROOT)?;
    let mut found = ServiceAnswer::default();
    let (mut code, mut words) = (None, Vec::new());
    xml.children(|xml, name| {
        match name {
            "RESPONSECODE" => code = xml.text()?,
            "RESPONSEERRORDETAILS" => xml.children(|xml, name| {
                if matches!(name, "ERRORMESSAGE" | "ERRORRESOLUTION") {
                    words.extend(xml.text()?);
                }
                Ok(())
            })?,
            "COUNT" => found.count = xml.number()?,
            "HASMORERECORDS" => found.more = xml.flag()?.unwrap_or(false),
            "LASTID" => found.last_id = xml.number()?,
            "DATA" => xml.children(|_, name| {
                count(&mut found.records, name);
                Ok(())
            })?,
            _ => {}
        }
        Ok(())
    })?;
    xml.close()?;
    match code.as_deref() {
        Some("SUCCESS") => Ok(found),
        Some(_) => Err(ReadError::ApiError { code, text: words.join(" "), items: Vec::new() }),
        None => Err(ReadError::WrongRoot { expected: "ServiceResponse", found: "an answer without a code".to_owned() }),
    }
}
