//! Text of others, as one line that can be printed: what a server, a network half, a file of the host or a program said must not
//! begin lines of its own in a log, nor move the cursor of the terminal it is read on.

use domain::printable::steers;
use std::io::{self, Write};

/// Most characters of one line; what is longer was not meant to be read.
const LINE_CHARS_MAX: usize = 4000;

/// The text as one line: what ends a line, steers a terminal, or hides or turns around what stands beside it is written out
/// (`\n`, `\u{1b}`), and what is longer than 4000 characters is cut, which the line then says.
#[must_use]
pub fn one_line(text: &str) -> String {
    let text = text.trim_end_matches(['\n', '\r']);
    let mut line = String::with_capacity(text.len());
    for (at, c) in text.chars().enumerate() {
        if at >= LINE_CHARS_MAX {
            line.push_str(&format!(" [... {} characters cut]", text.chars().count() - at));
            break;
        }
        if steers(c) { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}

/// The lines of a text, each as [`one_line`] has it, each with its end: for text that has lines on purpose, such as a diff.
#[must_use]
pub fn lines(text: &str) -> String {
    text.lines().map(|line| one_line(line) + "\n").collect()
}

/// A log in which every event is one line, whatever was put into it. Each write is one event, as `tracing_subscriber` writes them.
#[derive(Debug)]
pub struct Lines<W>(pub W);

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let line = one_line(&String::from_utf8_lossy(event)) + "\n";
        self.0.write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn foreign_text_is_one_line_and_steers_nothing() {
        for (text, line) in [
            ("plain, with \"quotes\", \\ and ä 漢", "plain, with \"quotes\", \\ and ä 漢"),
            ("no\nERROR forged", "no\\nERROR forged"),
            ("no\r\nERROR forged\r\n", "no\\r\\nERROR forged"),
            ("a\u{1b}[2J\u{1b}]0;title\u{7}b", "a\\u{1b}[2J\\u{1b}]0;title\\u{7}b"),
            ("c1 \u{9b}31m", "c1 \\u{9b}31m"),
            ("a\u{2028}b\u{85}c\u{b}d", "a\\u{2028}b\\u{85}c\\u{b}d"),
            ("user\u{202e}gnp.exe", "user\\u{202e}gnp.exe"),
            ("zero\u{200b}width\u{feff}", "zero\\u{200b}width\\u{feff}"),
            ("tab\there\0", "tab\\there\\u{0}"),
            ("\n\n", ""),
        ] {
            assert_eq!(one_line(text), line, "{text:?}");
        }
        let long = one_line(&"\u{1b}".repeat(100_000));
        assert!(long.len() < 8 * LINE_CHARS_MAX && long.ends_with("[... 96000 characters cut]"), "{}", long.len());
        assert_eq!(lines("-a\u{1b}\r\n+b"), "-a\\u{1b}\n+b\n");
        assert_eq!(lines(""), "");
    }

    proptest! {
        #[test]
        fn nothing_of_others_steers_whatever_it_is(text in any::<String>()) {
            prop_assert!(!one_line(&text).chars().any(steers));
            prop_assert!(!lines(&text).chars().any(|c| c != '\n' && steers(c)));
        }
    }

    #[test]
    fn an_event_of_the_log_is_one_line_with_one_end() {
        let mut log = Lines(Vec::new());
        for event in ["  WARN refused: no\n ERROR forged\n", " INFO well\n", " INFO without an end"] {
            log.write_all(event.as_bytes()).unwrap();
        }
        log.write_all(b"\xff\x1b\n").unwrap();
        let text = String::from_utf8(log.0).unwrap();
        let expected = "  WARN refused: no\\n ERROR forged\n INFO well\n INFO without an end\n\u{fffd}\\u{1b}\n";
        assert_eq!(text, expected);
    }
}
