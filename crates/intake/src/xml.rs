//! Walks an XML document by element name, one child at a time, within the bounds of [`Limits`].
//!
//! A handler is called for each child element and reads it (as text or as children again); what a handler leaves
//! unread is skipped and its name counted. No position is ever assumed, names match in any case, comments and
//! processing instructions are passed over anywhere, and no tree is built. A DOCTYPE is passed over too, never
//! fetched; a document that defines entities of its own is refused.

use crate::clean::Clean;
use crate::error::ReadError;
use crate::limits::Limits;
use crate::observation::Micros;
use crate::summary::{Summary, count};
use crate::values;
use quick_xml::Reader;
use quick_xml::errors::{Error, IllFormedError};
use quick_xml::events::Event;
use std::borrow::Cow;
use std::io::BufRead;

/// An element's name, in upper case. Longer names than any we know are cut and match nothing.
#[derive(Clone, Copy)]
pub(crate) struct Tag {
    bytes: [u8; Tag::LENGTH_MAX],
    length: usize,
}

impl Tag {
    const LENGTH_MAX: usize = 48;

    fn new(name: &str) -> Tag {
        let mut tag = Tag { bytes: [0; Tag::LENGTH_MAX], length: 0 };
        for (to, from) in tag.bytes.iter_mut().zip(name.bytes()) {
            *to = if from.is_ascii() { from.to_ascii_uppercase() } else { b'?' };
            tag.length += 1;
        }
        tag
    }

    pub(crate) fn as_str(&self) -> &str {
        self.bytes.get(..self.length).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

enum Step {
    Start(Tag),
    End,
    Eof,
}

/// Collects an element's text up to a bound.
struct Collector {
    text: String,
    bytes_max: usize,
    cut: bool,
}

impl Collector {
    fn push(&mut self, more: &str) {
        if self.cut {
            return;
        }
        // Leading white space is trimmed in the end anyway and must not use up the bound.
        let more = if self.text.is_empty() { more.trim_start() } else { more };
        let room = self.bytes_max - self.text.len();
        if more.len() <= room {
            self.text.push_str(more);
            return;
        }
        let end = (0..=room).rev().find(|at| more.is_char_boundary(*at)).unwrap_or(0);
        self.text.push_str(more.get(..end).unwrap_or_default());
        self.cut = !more.get(end..).unwrap_or_default().trim().is_empty();
    }
}

/// A cursor over one document.
pub(crate) struct Xml<'l, R: BufRead> {
    reader: Reader<Clean<R>>,
    buffer: Vec<u8>,
    attributes: String,
    depth: usize,
    /// Bytes of text kept for the record that is being read.
    record_bytes: usize,
    /// The document is itself an error answer, or one is being read.
    in_return: bool,
    stray_text: Option<String>,
    /// A declaration, a comment or a document type was seen.
    begun: bool,
    pub(crate) limits: &'l Limits,
    pub(crate) summary: Summary,
}

impl<'l, R: BufRead> Xml<'l, R> {
    pub(crate) fn new(input: R, limits: &'l Limits) -> Self {
        let mut reader = Reader::from_reader(Clean::new(input, limits.input_bytes, limits.token_bytes));
        let config = reader.config_mut();
        config.expand_empty_elements = true;
        config.check_end_names = true;
        Xml {
            reader,
            buffer: Vec::new(),
            attributes: String::new(),
            depth: 0,
            record_bytes: 0,
            in_return: false,
            stray_text: None,
            begun: false,
            limits,
            summary: Summary::default(),
        }
    }

    pub(crate) fn line(&self) -> u64 {
        self.reader.get_ref().line()
    }

    /// Opens the document, which has to be an `expected` one. Error answers become errors.
    pub(crate) fn open(&mut self, expected: &'static str) -> Result<(), ReadError> {
        let root = self.root(expected)?;
        if root.as_str() == expected {
            return Ok(());
        }
        if is_return(root.as_str()) {
            return Err(self.returned(root, expected));
        }
        Err(ReadError::WrongRoot { expected, found: format!("a document `{}`", root.as_str()) })
    }

    /// Reads up to the root element, whatever it is.
    pub(crate) fn root(&mut self, expected: &'static str) -> Result<Tag, ReadError> {
        let step = self.step(None);
        if let Some(text) = &self.stray_text {
            return Err(ReadError::WrongRoot { expected, found: format!("text that is not XML: {text}") });
        }
        match step? {
            Step::Start(tag) => Ok(tag),
            Step::End => Err(self.broken("an end tag without a start tag")),
            Step::Eof if self.begun => Err(self.truncated()),
            Step::Eof => Err(ReadError::WrongRoot { expected, found: "an empty input".to_owned() }),
        }
    }

    /// The root was read to its end: nothing but comments may follow.
    pub(crate) fn close(mut self) -> Result<Summary, ReadError> {
        match self.step(None)? {
            Step::Eof if self.stray_text.is_none() => {}
            Step::Eof => return Err(self.broken("text after the end of the document")),
            Step::Start(_) | Step::End => return Err(self.broken("markup after the end of the document")),
        }
        self.summary.dropped_characters += self.reader.get_ref().dropped();
        Ok(self.summary)
    }

    /// Calls `each` for every child of the element just opened, and reads up to that element's end.
    pub(crate) fn children(
        &mut self,
        mut each: impl FnMut(&mut Self, &str) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        let depth = self.depth;
        loop {
            match self.step(None)? {
                Step::Start(tag) => {
                    each(self, tag.as_str())?;
                    if self.depth > depth {
                        count(&mut self.summary.skipped, tag.as_str());
                        while self.depth > depth {
                            if let Step::Eof = self.step(None)? {
                                return Err(self.truncated());
                            }
                        }
                    }
                }
                Step::End => return Ok(()),
                Step::Eof => return Err(self.truncated()),
            }
        }
    }

    /// The trimmed text of the element just opened, children's text included; `None` when empty.
    pub(crate) fn text(&mut self) -> Result<Option<String>, ReadError> {
        self.text_within(self.limits.short_text_bytes)
    }

    /// The same for prose.
    pub(crate) fn prose(&mut self) -> Result<Option<String>, ReadError> {
        self.text_within(self.limits.prose_bytes)
    }

    /// The same for evidence: cut when the record has used up its share of memory, entities resolved once more.
    pub(crate) fn evidence(&mut self) -> Result<Option<String>, ReadError> {
        let left = self.limits.record_bytes.saturating_sub(self.record_bytes);
        let text = self.text_within(self.limits.results_bytes.min(left))?;
        Ok(text.map(|text| match values::unescape(&text) {
            Cow::Owned(shorter) => shorter,
            Cow::Borrowed(_) => text,
        }))
    }

    fn text_within(&mut self, bytes_max: usize) -> Result<Option<String>, ReadError> {
        let depth = self.depth;
        let mut collector = Collector { text: String::new(), bytes_max, cut: false };
        while self.depth >= depth {
            if let Step::Eof = self.step(Some(&mut collector))? {
                return Err(self.truncated());
            }
        }
        let mut text = collector.text;
        text.truncate(text.trim_end().len());
        if collector.cut {
            self.note("text cut at its limit");
        }
        if text.is_empty() {
            return Ok(None);
        }
        self.record_bytes += text.len();
        // Twice the bound, because evidence alone may fill it once.
        if self.record_bytes > self.limits.record_bytes.saturating_mul(2) {
            return Err(ReadError::TooLarge { what: "one record", limit: self.limits.record_bytes as u64 });
        }
        Ok(Some(text))
    }

    /// A new record begins: its texts may use the whole bound again.
    pub(crate) fn next_record(&mut self) {
        self.record_bytes = 0;
    }

    /// An attribute of the element just opened.
    pub(crate) fn attribute(&mut self, name: &str) -> Option<String> {
        let limit = self.limits.short_text_bytes;
        let start = quick_xml::events::BytesStart::from_content(self.attributes.as_str(), 0);
        let value = start
            .attributes()
            .with_checks(false)
            .flatten()
            .find(|attribute| attribute.key.as_ref().eq_ignore_ascii_case(name))
            .map(|attribute| values::unescape(&attribute.value).trim().to_owned())
            .filter(|value| !value.is_empty() && value.len() <= limit)?;
        self.record_bytes += value.len();
        Some(value)
    }

    /// A whole number; text that is none is noted.
    pub(crate) fn number(&mut self) -> Result<Option<i64>, ReadError> {
        self.value("number not understood", |text| text.parse().ok())
    }

    /// A flag; text that is none is noted.
    pub(crate) fn flag(&mut self) -> Result<Option<bool>, ReadError> {
        self.value("flag not understood", values::flag)
    }

    /// An instant; text that is none is noted.
    pub(crate) fn instant(&mut self) -> Result<Option<Micros>, ReadError> {
        self.value("date not understood", values::instant)
    }

    /// A value of the element just opened; text that `parse` does not understand is noted as `problem`.
    pub(crate) fn value<T>(
        &mut self,
        problem: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ReadError> {
        let Some(text) = self.text()? else { return Ok(None) };
        let value = parse(&text);
        // These stand for "none" in real documents.
        if value.is_none() && !matches!(text.as_str(), "N/A" | "-" | "'-" | "None") {
            self.note(problem);
        }
        Ok(value)
    }

    /// Adds to a list of a record unless the list, or the record's share of memory, is full. Entries count with their own
    /// size, so that empty ones cannot fill the memory either.
    pub(crate) fn push<T>(&mut self, list: &mut Vec<T>, entry: T) {
        if list.len() < self.limits.list_entries && self.record_bytes < self.limits.record_bytes {
            self.record_bytes += size_of::<T>();
            list.push(entry);
        } else {
            self.note("list cut at its limit");
        }
    }

    pub(crate) fn note(&mut self, what: &str) {
        count(&mut self.summary.notes, what);
    }

    pub(crate) fn reject(&mut self, row: String, reason: &str) {
        let line = self.line();
        self.summary.reject(self.limits, row, reason, line);
    }

    fn truncated(&self) -> ReadError {
        ReadError::Truncated { line: self.line() }
    }

    fn broken(&self, problem: &str) -> ReadError {
        ReadError::NotWellFormed { line: self.line(), problem: problem.to_owned() }
    }

    /// Reads up to the next start or end of an element; text on the way goes to the collector.
    fn step(&mut self, mut collector: Option<&mut Collector>) -> Result<Step, ReadError> {
        loop {
            self.buffer.clear();
            self.reader.get_mut().next_token();
            let event = match self.reader.read_event_into(&mut self.buffer) {
                Ok(event) => event,
                Err(error) => return Err(self.failure(&error)),
            };
            let line = self.reader.get_ref().line();
            match event {
                Event::Start(start) => {
                    self.attributes.clear();
                    self.attributes.push_str(start.attributes_raw());
                    let tag = Tag::new(start.name().as_ref());
                    if !self.attributes.is_empty() && start.attributes().any(|attribute| attribute.is_err()) {
                        return Err(self.broken("an attribute that is none"));
                    }
                    return self.enter(tag);
                }
                Event::End(_) => {
                    self.depth = self.depth.saturating_sub(1);
                    return Ok(Step::End);
                }
                Event::Text(text) if self.depth == 0 => {
                    let text = text.trim();
                    if !text.is_empty() {
                        self.stray_text = Some(text.chars().take(60).collect());
                        return Ok(Step::Eof);
                    }
                }
                Event::CData(_) | Event::GeneralRef(_) if self.depth == 0 => {
                    self.stray_text = Some("(a section or reference)".to_owned());
                    return Ok(Step::Eof);
                }
                Event::Text(text) => collect(&mut collector, &text.xml10_content()),
                Event::CData(text) => collect(&mut collector, &text.xml10_content()),
                Event::GeneralRef(reference) => match values::reference(&reference) {
                    Some(character) => collect(&mut collector, character.encode_utf8(&mut [0; 4])),
                    None if reference.starts_with('#') => self.summary.dropped_characters += 1,
                    None => return Err(ReadError::EntityRefused { name: reference.chars().take(40).collect(), line }),
                },
                Event::DocType(declaration) => {
                    self.begun = true;
                    if let Some(name) = own_entity(&declaration) {
                        return Err(ReadError::EntityRefused { name, line });
                    }
                }
                Event::Eof if self.depth > 0 => return Err(self.truncated()),
                Event::Eof => return Ok(Step::Eof),
                Event::Decl(declaration) => {
                    self.begun = true;
                    if declaration.encoding().and_then(Result::ok).is_some_and(|name| !is_utf8(&name)) {
                        count(&mut self.summary.notes, "declared another encoding, read as UTF-8");
                    }
                }
                Event::Comment(_) | Event::PI(_) | Event::Empty(_) => self.begun = true,
            }
        }
    }

    /// One level deeper; an error answer in the middle of data ends the reading.
    fn enter(&mut self, tag: Tag) -> Result<Step, ReadError> {
        self.depth += 1;
        if self.depth > self.limits.depth {
            return Err(ReadError::TooLarge { what: "the nesting of elements", limit: self.limits.depth as u64 });
        }
        if self.depth > 1 && !self.in_return && is_return(tag.as_str()) {
            return Err(self.returned(tag, "data"));
        }
        Ok(Step::Start(tag))
    }

    /// What the parser's complaint means to us.
    fn failure(&mut self, error: &Error) -> ReadError {
        let line = self.line();
        let source = self.reader.get_mut();
        if let Some((what, limit)) = source.exceeded() {
            return ReadError::TooLarge { what, limit };
        }
        if let Some(failure) = source.take_failure() {
            return ReadError::Io(failure);
        }
        // A tag, comment or section that is open at the end of the input: more was to come.
        let over = source.fill_buf().is_ok_and(<[u8]>::is_empty);
        match error {
            Error::Syntax(_) | Error::IllFormed(IllFormedError::UnclosedReference) if over => {
                ReadError::Truncated { line }
            }
            _ => ReadError::NotWellFormed { line, problem: error.to_string() },
        }
    }

    /// Reads an error answer that stands where data was expected.
    fn returned(&mut self, tag: Tag, expected: &'static str) -> ReadError {
        self.in_return = true;
        match crate::qualys::returns::read(self, tag.as_str()) {
            Ok(answer) if answer.code.is_some() || answer.failed || expected == "data" => answer.into_error(),
            Ok(answer) => ReadError::WrongRoot { expected, found: format!("the answer \"{}\"", answer.text) },
            Err(error) => error,
        }
    }

    /// Marks the document as an error answer that is read on purpose.
    pub(crate) fn expect_return(&mut self) {
        self.in_return = true;
    }
}

fn collect(collector: &mut Option<&mut Collector>, text: &str) {
    if let Some(collector) = collector {
        collector.push(text);
    }
}

/// The roots of error and status answers.
pub(crate) fn is_return(name: &str) -> bool {
    matches!(name, "SIMPLE_RETURN" | "GENERIC_RETURN" | "BATCH_RETURN")
}

/// The first entity a document type declaration defines or pulls in, if any. The external subset is never fetched, so
/// only the internal one matters.
fn own_entity(declaration: &str) -> Option<String> {
    let upper = declaration.to_ascii_uppercase();
    if let Some(at) = upper.find("<!ENTITY") {
        let rest = declaration.get(at + "<!ENTITY".len()..).unwrap_or_default();
        let name = rest.split_whitespace().find(|word| *word != "%").unwrap_or("?");
        return Some(name.chars().take(40).collect());
    }
    let subset = declaration.split_once('[').map(|(_, subset)| subset)?;
    subset.contains('%').then(|| "%".to_owned())
}

/// Names of UTF-8 and of its ASCII part, in any case.
fn is_utf8(name: &str) -> bool {
    ["utf-8", "utf8", "us-ascii"].iter().any(|known| name.eq_ignore_ascii_case(known))
}
