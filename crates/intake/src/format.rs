//! Recognises a document by its first bytes, by name, so that a refusal can say what the file is.
//!
//! Content decides, never the file's name. Only Qualys formats with a reader here are read; everything else is named.

mod csv;
mod json;
mod xml;

pub use csv::Layout;

use crate::error::ReadError;
use std::borrow::Cow;

/// How many bytes are enough to recognise a document.
pub const HEAD_BYTES: usize = 64 << 10;

/// What a document is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// Its name for people.
    pub name: Cow<'static, str>,
    /// Whether it is one we read, one of Qualys that we do not, or another product's.
    pub kind: Kind,
}

/// What can be done with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It has a reader.
    Readable(Readable),
    /// It is Qualys' own, but not imported; the advice says what to export in its place.
    Qualys(&'static str),
    /// It is some other product's, or no scanner's at all.
    Foreign,
}

/// Formats with a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readable {
    /// Host list detection XML.
    HostListDetection,
    /// Knowledge base XML.
    KnowledgeBase,
    /// Host based scan report XML.
    AssetDataReport,
    /// Results of one scan, XML.
    ScanResults,
    /// A text with separators.
    Table(Layout),
    /// A status or error answer that was saved; reading it gives the error it holds.
    StatusAnswer,
}

/// Advice for Qualys files that hold detections in another form.
pub(crate) const USE_XML: &str = "export the host based scan report, or save the host list detection API output as XML";
/// Advice for Qualys files that hold no detections.
pub(crate) const NO_DETECTIONS: &str =
    "it holds no detections; import a host list detection, a knowledge base or a scan report";

impl Format {
    fn qualys(name: &'static str, advice: &'static str) -> Format {
        Format { name: name.into(), kind: Kind::Qualys(advice) }
    }

    fn foreign(name: impl Into<Cow<'static, str>>) -> Format {
        Format { name: name.into(), kind: Kind::Foreign }
    }

    fn readable(name: &'static str, reader: Readable) -> Format {
        Format { name: name.into(), kind: Kind::Readable(reader) }
    }

    /// The refusal for a format without a reader.
    pub fn refusal(&self) -> ReadError {
        match self.kind {
            Kind::Qualys(advice) => ReadError::Refused { name: self.name.to_string(), qualys: true, advice },
            Kind::Foreign | Kind::Readable(_) => ReadError::Refused {
                name: self.name.to_string(),
                qualys: false,
                advice: "only Qualys files are imported: host list detection, knowledge base, scan reports and VMDR lists",
            },
        }
    }
}

/// Recognises a document by its first [`HEAD_BYTES`] (or by all of it, if it is shorter).
///
/// A document that defines entities of its own is an error at once.
pub fn recognise(head: &[u8]) -> Result<Format, ReadError> {
    if let Some(format) = binary(head) {
        return Ok(format);
    }
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let text = String::from_utf8_lossy(head);
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || c.is_control());
    match text.chars().next() {
        None => Ok(Format::foreign("an empty file")),
        Some('<') => xml::recognise(head),
        Some('{' | '[') => Ok(json::recognise(text)),
        Some(_) => Ok(csv::recognise(text)),
    }
}

fn binary(head: &[u8]) -> Option<Format> {
    const SIGNS: [(&[u8], &str); 10] = [
        (b"\x1f\x8b", "a gzip archive; unpack it first"),
        (b"%PDF", "a PDF document"),
        (b"\xff\xfe", "UTF-16 text; save it as UTF-8"),
        (b"\xfe\xff", "UTF-16 text; save it as UTF-8"),
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it first"),
        (b"\xd0\xcf\x11\xe0", "an old Office document"),
        (b"BZh", "a bzip2 archive; unpack it first"),
        (b"\xfd7zXZ", "an xz archive; unpack it first"),
        (b"\x28\xb5\x2f\xfd", "a zstd archive; unpack it first"),
        (b"SQLite format 3", "an SQLite database"),
    ];
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return Some(Format::foreign(zip(head)));
    }
    SIGNS.iter().find(|(sign, _)| head.starts_with(sign)).map(|(_, name)| Format::foreign(*name))
}

/// Names of the first entries tell spreadsheets and known exports from other archives.
fn zip(head: &[u8]) -> &'static str {
    let holds = |name: &[u8]| head.windows(name.len()).any(|window| window == name);
    if holds(b"[Content_Types].xml") {
        "an Excel or Office document"
    } else if holds(b"machines/") || holds(b"vulnerabilities/vulnerabilities") {
        "a ZIP archive of Microsoft Defender vulnerability data"
    } else {
        "a ZIP archive; unpack it first"
    }
}
