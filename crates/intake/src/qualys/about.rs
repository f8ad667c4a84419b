//! The platform's versions (`ABOUT`), the usual first call of a connection test.

use crate::error::ReadError;
use crate::limits::Limits;
use crate::xml::Xml;
use serde::Serialize;
use std::io::BufRead;

/// The root element.
pub const ROOT: &str = "ABOUT";

/// Versions as written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct About {
    /// Of the web application.
    pub web: Option<String>,
    /// Of the scanners.
    pub scanner: Option<String>,
    /// Of the signatures.
    pub signatures: Option<String>,
}

/// Reads the answer.
pub fn read(input: impl BufRead, limits: &Limits) -> Result<About, ReadError> {
    let mut xml = Xml::new(input, limits);
    xml.open(ROOT)?;
    let mut found = About::default();
    xml.children(|xml, name| {
        match name {
            "WEB-VERSION" => found.web = xml.text()?,
            "SCANNER-VERSION" => found.scanner = xml.text()?,
            "VULNSIGS-VERSION" => found.signatures = xml.text()?,
            _ => {}
        }
        Ok(())
    })?;
    xml.close()?;
    Ok(found)
}
