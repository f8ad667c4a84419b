//! Reads texts with separators by the names of their columns, one row at a time, within the bounds of [`Limits`].
//!
//! The names stand in a line of their own, which may come after a preamble of any kind. Their order is never assumed; a column that
//! nobody asks for is counted by its name, one that stands there twice and is asked for refuses the file. A file that ends inside
//! of quotes, or without a line's end in a row that is shorter than the names, was cut off.

use crate::clean::Clean;
use crate::error::ReadError;
use crate::limits::Limits;
use crate::observation::Micros;
use crate::summary::{Summary, count};
use crate::values;
use csv::{Reader, ReaderBuilder, StringRecord};
use std::io::{self, BufRead, Read};

/// Records that are looked through for the names of the columns.
pub(crate) const PREAMBLE_RECORDS_MAX: usize = 1_000;
/// Words that stand for "none" in real files.
const NONE: [&str; 5] = ["", "-", "'-", "N/A", "None"];

/// Where a column stands, if it does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column(Option<usize>);

impl Column {
    /// Whether the file has it.
    pub(crate) fn exists(self) -> bool {
        self.0.is_some()
    }
}

/// A cursor over the rows of one text.
pub(crate) struct Table<'l, R: BufRead> {
    reader: Reader<Quotes<Clean<R>>>,
    record: StringRecord,
    names: Vec<String>,
    asked: Vec<bool>,
    /// Bytes of text kept for the record that is being read.
    record_bytes: usize,
    pub(crate) limits: &'l Limits,
    pub(crate) summary: Summary,
}

impl<'l, R: BufRead> Table<'l, R> {
    /// Reads up to the names of the columns, which `is_header` recognises; `preamble` receives what comes before them.
    pub(crate) fn open(
        input: R,
        limits: &'l Limits,
        expected: &'static str,
        is_header: impl Fn(&StringRecord) -> bool,
        mut preamble: impl FnMut(&StringRecord),
    ) -> Result<Self, ReadError> {
        let input = Quotes::new(Clean::new(input, limits.input_bytes, limits.token_bytes));
        let reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(input);
        let mut table = Table {
            reader,
            record: StringRecord::new(),
            names: Vec::new(),
            asked: Vec::new(),
            record_bytes: 0,
            limits,
            summary: Summary::default(),
        };
        for _ in 0..PREAMBLE_RECORDS_MAX {
            if !table.read()? {
                break;
            }
            if is_header(&table.record) {
                table.names = table.record.iter().map(name).collect();
                table.asked = vec![false; table.names.len()];
                return Ok(table);
            }
            preamble(&table.record);
        }
        Err(ReadError::WrongRoot { expected, found: "text without a line that names its columns".to_owned() })
    }

    /// Where the first of these columns that the file has stands.
    ///
    /// # Errors
    /// [`ReadError::NotWellFormed`] where one stands there twice: nobody could say which counts.
    pub(crate) fn column(&mut self, names: &[&str]) -> Result<Column, ReadError> {
        for wanted in names {
            let mut places = (0..).zip(&self.names).filter(|(_, name)| name.eq_ignore_ascii_case(wanted));
            let Some((at, _)) = places.next() else { continue };
            if places.next().is_some() {
                return Err(self.broken(format!("the column \"{wanted}\" stands there twice")));
            }
            if let Some(asked) = self.asked.get_mut(at) {
                *asked = true;
            }
            return Ok(Column(Some(at)));
        }
        Ok(Column(None))
    }

    /// All columns that are of use were asked for: the others are counted as skipped.
    pub(crate) fn asked_for_all(&mut self) {
        for (name, asked) in self.names.iter().zip(&self.asked) {
            if !asked && !name.is_empty() {
                let short: String = name.chars().take(60).collect();
                count(&mut self.summary.skipped, &short);
            }
        }
    }

    /// Reads the next row; `false` after the last, which has to be whole.
    pub(crate) fn next(&mut self) -> Result<bool, ReadError> {
        let short = !self.record.is_empty() && self.record.len() < self.names.len();
        if self.next_of_any_length()? {
            return Ok(true);
        }
        if short && !self.reader.get_ref().ended {
            return Err(ReadError::Truncated { line: self.line() });
        }
        Ok(false)
    }

    /// The same of lines that are no rows, such as a footer that says itself where it ends.
    pub(crate) fn next_of_any_length(&mut self) -> Result<bool, ReadError> {
        let more = self.read()?;
        if !more {
            self.summary.dropped_characters += self.reader.get_ref().inner.dropped();
        }
        Ok(more)
    }

    fn read(&mut self) -> Result<bool, ReadError> {
        self.reader.get_mut().inner.next_token();
        match self.reader.read_record(&mut self.record) {
            Ok(more) => {
                let input = self.reader.get_ref();
                // The parser gives what is open at the end as a row like any other.
                if input.over && input.place == Place::Quoted {
                    return Err(ReadError::Truncated { line: input.inner.line() });
                }
                Ok(more)
            }
            Err(error) => Err(self.failure(&error)),
        }
    }

    /// The only cell of a row that has no other.
    pub(crate) fn only(&self) -> Option<&str> {
        (self.record.len() == 1).then(|| self.record.get(0).unwrap_or_default().trim())
    }

    /// The cells of the row, as they are.
    pub(crate) fn cells(&self) -> impl Iterator<Item = &str> {
        self.record.iter().map(str::trim)
    }

    /// The line at which the row began, from 1.
    pub(crate) fn line(&self) -> u64 {
        self.record.position().map_or_else(|| self.reader.position().line(), csv::Position::line)
    }

    /// A cell as it is, without the space around it; empty where there is none or a word for it.
    pub(crate) fn raw(&self, column: Column) -> &str {
        let cell = column.0.and_then(|at| self.record.get(at)).unwrap_or_default().trim();
        if NONE.contains(&cell) { "" } else { cell }
    }

    /// A name, an address, a word.
    pub(crate) fn text(&mut self, column: Column) -> Result<Option<String>, ReadError> {
        self.within(column, self.limits.short_text_bytes)
    }

    /// Prose about a vulnerability.
    pub(crate) fn prose(&mut self, column: Column) -> Result<Option<String>, ReadError> {
        self.within(column, self.limits.prose_bytes)
    }

    /// Evidence: cut when the record has used up its share of memory.
    pub(crate) fn evidence(&mut self, column: Column) -> Result<Option<String>, ReadError> {
        let left = self.limits.record_bytes.saturating_sub(self.record_bytes);
        self.within(column, self.limits.results_bytes.min(left))
    }

    fn within(&mut self, column: Column, bytes_max: usize) -> Result<Option<String>, ReadError> {
        let cell = self.raw(column);
        if cell.is_empty() {
            return Ok(None);
        }
        let end = cell.floor_char_boundary(bytes_max);
        let kept = cell.get(..end).unwrap_or_default().trim_end().to_owned();
        if end < cell.len() {
            self.note("text cut at its limit");
        }
        self.record_bytes += kept.len();
        // Twice the bound, because evidence alone may fill it once.
        if self.record_bytes > self.limits.record_bytes.saturating_mul(2) {
            return Err(ReadError::TooLarge { what: "one record", limit: self.limits.record_bytes as u64 });
        }
        Ok((!kept.is_empty()).then_some(kept))
    }

    /// A new record begins: its texts may use the whole bound again.
    pub(crate) fn next_record(&mut self) {
        self.record_bytes = 0;
    }

    /// A value; text that `parse` does not understand is noted as `problem`.
    pub(crate) fn value<T>(
        &mut self,
        column: Column,
        problem: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let cell = self.raw(column);
        if cell.is_empty() {
            return None;
        }
        let value = parse(cell);
        if value.is_none() {
            self.note(problem);
        }
        value
    }

    /// A whole number.
    pub(crate) fn number(&mut self, column: Column) -> Option<i64> {
        self.value(column, "number not understood", |text| text.parse().ok())
    }

    /// A flag.
    pub(crate) fn flag(&mut self, column: Column) -> Option<bool> {
        self.value(column, "flag not understood", values::flag)
    }

    /// An instant as the API writes it.
    pub(crate) fn instant(&mut self, column: Column) -> Option<Micros> {
        self.value(column, "date not understood", values::instant)
    }

    /// A severity, 1 to 5.
    pub(crate) fn severity(&mut self, column: Column) -> Option<i64> {
        self.value(column, "severity not understood", values::severity)
    }

    /// A port; 0 means none.
    pub(crate) fn port(&mut self, column: Column) -> Option<i64> {
        self.value(column, "port not understood", values::port).filter(|port| *port > 0)
    }

    /// `tcp` or `udp`.
    pub(crate) fn protocol(&mut self, column: Column) -> Result<Option<String>, ReadError> {
        Ok(self.text(column)?.map(|word| word.to_ascii_lowercase()))
    }

    /// A list in one cell, separated by commas.
    pub(crate) fn list(&mut self, column: Column) -> Result<Vec<String>, ReadError> {
        let Some(text) = self.prose(column)? else { return Ok(Vec::new()) };
        let (list, limits) = (&mut text.split(',').map(str::trim).filter(|entry| !entry.is_empty()), self.limits);
        let kept: Vec<String> = list
            .take(limits.list_entries)
            .map(|entry| entry.get(..entry.floor_char_boundary(limits.short_text_bytes)).unwrap_or_default().to_owned())
            .collect();
        if list.next().is_some() {
            self.note("list cut at its limit");
        }
        self.record_bytes += kept.len() * size_of::<String>();
        Ok(kept)
    }

    pub(crate) fn note(&mut self, what: &str) {
        count(&mut self.summary.notes, what);
    }

    /// The row cannot be used.
    pub(crate) fn reject(&mut self, row: String, reason: &str) {
        let line = self.line();
        self.summary.reject(self.limits, row, reason, line);
    }

    fn broken(&self, problem: String) -> ReadError {
        ReadError::NotWellFormed { line: self.line(), problem }
    }

    fn failure(&mut self, error: &csv::Error) -> ReadError {
        let problem = error.to_string();
        let line = self.line();
        let input = &mut self.reader.get_mut().inner;
        if let Some((what, limit)) = input.exceeded() {
            return ReadError::TooLarge { what, limit };
        }
        if let Some(failure) = input.take_failure() {
            return ReadError::Io(failure);
        }
        ReadError::NotWellFormed { line, problem }
    }
}

/// The name of a column without what editors put around it.
pub(crate) fn name(cell: &str) -> String {
    cell.trim().trim_start_matches('\u{feff}').trim_matches('"').trim().to_owned()
}

/// Where in a row the reading is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before a cell.
    Before,
    /// In a cell without quotes.
    Plain,
    /// Between quotes.
    Quoted,
    /// After a quote between quotes: the end of the cell, or the first of two.
    AfterQuote,
}

/// Watches the quotes of a text that goes by, because the parser takes a cell that the end of the input leaves open as whole.
struct Quotes<R> {
    inner: R,
    place: Place,
    /// The last byte ended a line.
    ended: bool,
    /// There is no more.
    over: bool,
    seen: u64,
}

impl<R> Quotes<R> {
    fn new(inner: R) -> Self {
        Quotes { inner, place: Place::Before, ended: true, over: false, seen: 0 }
    }

    fn look(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let mark = self.seen < 3 && b"\xef\xbb\xbf".contains(byte);
            self.seen += 1;
            self.ended = *byte == b'\n' || *byte == b'\r';
            self.place = match (self.place, *byte) {
                (Place::Before | Place::AfterQuote, b'"') => Place::Quoted,
                (Place::Quoted, b'"') => Place::AfterQuote,
                (Place::Quoted, _) => Place::Quoted,
                (_, b',' | b'\n' | b'\r') => Place::Before,
                (place, _) if mark => place,
                (_, _) => Place::Plain,
            };
        }
    }
}

impl<R: Read> Read for Quotes<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.look(buffer.get(..length).unwrap_or_default());
        self.over |= length == 0 && !buffer.is_empty();
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> (Place, bool) {
        let mut quotes = Quotes::new(io::empty());
        for piece in text.as_bytes().chunks(3) {
            quotes.look(piece);
        }
        (quotes.place, quotes.ended)
    }

    #[test]
    fn quotes_are_followed_as_the_parser_does() {
        for (text, expected) in [
            ("", (Place::Before, true)),
            ("a,b\n", (Place::Before, true)),
            ("a,b", (Place::Plain, false)),
            ("\"a", (Place::Quoted, false)),
            ("\"a\nb", (Place::Quoted, false)),
            ("\"a\n", (Place::Quoted, true)),
            ("\"a\"\"", (Place::Quoted, false)),
            ("\"a\"\"\"", (Place::AfterQuote, false)),
            ("5\" disk,\"b\"\r\n", (Place::Before, true)),
            ("\"a\"b\"c\n", (Place::Before, true)),
            ("\u{feff}\"a,", (Place::Quoted, false)),
        ] {
            assert_eq!(place(text), expected, "{text:?}");
        }
    }
}
