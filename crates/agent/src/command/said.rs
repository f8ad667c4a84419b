//! What is kept of a program's output: how it begins and how it ends, because a failure is named at the one or the other.

use std::collections::VecDeque;

/// Room for what says that something was cut, in bytes.
const MARK_BYTES: usize = 40;
/// Lines kept of what a program said last, and characters of them.
const LAST_LINES: usize = 3;
const LAST_CHARS: usize = 300;

/// Head and tail of an output.
#[derive(Debug)]
pub(super) struct Kept {
    head: Vec<u8>,
    head_max: usize,
    tail: VecDeque<u8>,
    tail_max: usize,
    total: usize,
}

impl Kept {
    /// Head and tail, `bytes` of both.
    pub fn ends(bytes: usize) -> Self {
        let each = bytes.saturating_sub(MARK_BYTES) / 2;
        Self { head: Vec::new(), head_max: each, tail: VecDeque::new(), tail_max: each, total: 0 }
    }

    /// The head alone.
    pub fn head(bytes: usize) -> Self {
        Self { head_max: bytes, tail_max: 0, ..Self::ends(0) }
    }

    /// Take in what was said next.
    pub fn take(&mut self, new: &[u8]) {
        self.total += new.len();
        let room = self.head_max.saturating_sub(self.head.len()).min(new.len());
        let (head, rest) = new.split_at(room);
        self.head.extend_from_slice(head);
        self.tail.extend(rest);
        let surplus = self.tail.len().saturating_sub(self.tail_max);
        self.tail.drain(..surplus);
    }

    /// Whether nothing was cut.
    pub fn whole(&self) -> bool {
        self.total == self.head.len() + self.tail.len()
    }

    /// What was said, with a mark where something was cut.
    pub fn text(&self) -> String {
        let tail: Vec<u8> = self.tail.iter().copied().collect();
        if self.whole() {
            return String::from_utf8_lossy(&[self.head.as_slice(), &tail].concat()).into_owned();
        }
        let cut = self.total - self.head.len() - tail.len();
        // Half a character at a cut is none.
        let (head, tail) = (String::from_utf8_lossy(&self.head), String::from_utf8_lossy(&tail));
        let (head, tail) = (head.trim_end_matches(char::REPLACEMENT_CHARACTER), tail.trim_start_matches('\u{fffd}'));
        format!("{head}\n[... {cut} bytes cut ...]\n{tail}")
    }
}

/// What a program said last, as the end of a sentence; nothing where it said nothing.
pub(super) fn last_words(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = lines.get(lines.len().saturating_sub(LAST_LINES)..).unwrap_or_default().join(" | ");
    let surplus = last.chars().count().saturating_sub(LAST_CHARS);
    let words: String = last.chars().skip(surplus).collect();
    if words.is_empty() { words } else { format!("; it said last: {words}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(mut kept: Kept, said: &str) -> String {
        // In pieces, as from a pipe.
        said.as_bytes().chunks(7).for_each(|piece| kept.take(piece));
        kept.text()
    }

    #[test]
    fn what_fits_is_kept_as_it_is_and_of_the_rest_head_and_tail() {
        assert_eq!(kept(Kept::ends(100), "short"), "short");
        let exact = "x".repeat(60);
        assert_eq!(kept(Kept::ends(100), &exact), exact);
        let long = format!("head{}tail", "-".repeat(1000));
        let text = kept(Kept::ends(100), &long);
        assert!(text.starts_with("head---") && text.ends_with("---tail") && text.len() <= 100, "{text}");
        assert!(text.contains("\n[... 948 bytes cut ...]\n"), "{text}");
        let text = kept(Kept::ends(100), &"ä".repeat(500));
        assert!(!text.contains('\u{fffd}') && text.starts_with('ä') && text.ends_with('ä'), "{text}");
        let mut head = Kept::head(10);
        head.take(b"0123456789ab");
        assert!(!head.whole());
    }

    #[test]
    fn the_last_words_are_few() {
        assert_eq!(last_words("\n \n"), "");
        assert_eq!(last_words("a\nb\n\nc\nd\n"), "; it said last: b | c | d");
        assert!(last_words(&"x".repeat(5000)).chars().count() < 330);
    }
}
