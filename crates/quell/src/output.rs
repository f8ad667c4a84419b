//! What people and programs read: tables, JSON or CSV on standard output, errors with their causes on standard error.

use crate::failure::Failure;
use comfy_table::{ContentArrangement, Table, presets};
use domain::printable::steers;
use protocol::spreadsheet::inert;
use serde::Serialize;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// One JSON document.
    Json,
    /// Comma-separated values with a heading.
    Csv,
}

/// One column of a list: its heading and what it shows of a record.
pub type Column<T> = (&'static str, fn(&T) -> String);

/// Write a list of records.
///
/// # Errors
/// Where standard output cannot be written.
pub fn list<T: Serialize>(format: Format, records: &[T], columns: &[Column<T>]) -> Result<(), Failure> {
    let rows = || records.iter().map(|record| columns.iter().map(|(_, show)| show(record)).collect::<Vec<_>>());
    let headings: Vec<&str> = columns.iter().map(|(heading, _)| *heading).collect();
    match format {
        Format::Json => json(&records),
        Format::Csv => {
            let mut writer = csv::Writer::from_writer(Vec::new());
            let broken = |error| Failure::internal("cannot write CSV", error);
            writer.write_record(&headings).map_err(broken)?;
            for row in rows() {
                writer.write_record(row.iter().map(|cell| inert(cell).into_owned())).map_err(broken)?;
            }
            let bytes =
                writer.into_inner().map_err(|error| Failure::internal("cannot write CSV", error.into_error()))?;
            print(&bytes)
        }
        Format::Table if records.is_empty() => {
            note("nothing found");
            Ok(())
        }
        Format::Table => {
            let mut table = Table::new();
            table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
            table.set_header(headings);
            rows().for_each(|row| {
                table.add_row(row.iter().map(|cell| plain(cell)));
            });
            line(&table.to_string())
        }
    }
}

/// Write one record: names and values.
///
/// # Errors
/// Where standard output cannot be written.
pub fn record<T: Serialize>(format: Format, record: &T, fields: &[(&'static str, String)]) -> Result<(), Failure> {
    match format {
        Format::Json => json(record),
        Format::Csv => {
            let mut writer = csv::Writer::from_writer(Vec::new());
            let broken = |error| Failure::internal("cannot write CSV", error);
            writer.write_record(fields.iter().map(|(name, _)| *name)).map_err(broken)?;
            writer.write_record(fields.iter().map(|(_, value)| inert(value).into_owned())).map_err(broken)?;
            let bytes =
                writer.into_inner().map_err(|error| Failure::internal("cannot write CSV", error.into_error()))?;
            print(&bytes)
        }
        Format::Table => {
            let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
            // Further lines of a value stand below its first: none of them looks like a field.
            let below = format!("\n{:width$}  ", "");
            fields
                .iter()
                .try_for_each(|(name, value)| line(&format!("{name:width$}  {}", plain(value).replace('\n', &below))))
        }
    }
}

/// Write a JSON document.
///
/// # Errors
/// Where standard output cannot be written.
pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::internal("cannot write JSON", error))?;
    line(&text)
}

/// Write a line to standard output.
///
/// # Errors
/// Where standard output cannot be written.
pub fn line(text: &str) -> Result<(), Failure> {
    print(format!("{text}\n").as_bytes())
}

/// Write bytes to standard output as they are.
///
/// # Errors
/// Where standard output cannot be written.
pub fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    print(bytes)
}

fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        // `quell ... | head` is no mistake.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| Failure::internal("cannot write the result", error)),
    }
}

/// Say something to people beside the result.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Whether somebody sits in front of it.
pub fn interactive() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Whether what is said to people appears at a terminal.
pub fn watched() -> bool {
    io::stderr().is_terminal()
}

/// Say what went wrong, with its causes, and give the exit code.
pub fn failed(failure: &Failure) -> ExitCode {
    let mut text = format!("quell: {failure}");
    let mut cause = std::error::Error::source(failure);
    while let Some(error) = cause {
        text.push_str(&format!("\n  because: {error}"));
        cause = error.source();
    }
    note(&plain(&text));
    failure.exit_code()
}

/// Write a line of text from elsewhere: a terminal obeys none of it.
///
/// # Errors
/// Where standard output cannot be written.
pub fn said(text: &str) -> Result<(), Failure> {
    line(&plain(text))
}

/// Text from elsewhere without what a terminal would obey.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if steers(c) && c != '\n' { '\u{FFFD}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_elsewhere_commands_neither_terminals_nor_spreadsheets() {
        assert_eq!(plain("a\u{1b}[2Jb\n"), "a\u{fffd}[2Jb\n");
        assert_eq!(plain("user\u{202e}gnp.exe\u{200b}"), "user\u{fffd}gnp.exe\u{fffd}");
        let all: String = ('\0'..=char::MAX).collect();
        assert!(!plain(&all).chars().any(|c| c != '\n' && steers(c)));
        assert_eq!(inert("=1+1"), "'=1+1");
        assert_eq!(inert("1=1"), "1=1");
    }
}
