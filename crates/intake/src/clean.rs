//! Drops what XML 1.0 forbids before a parser sees it, and counts what was dropped.
//!
//! Service banners end up in scanner output, so control characters, NUL and bytes that are no UTF-8 are met in real
//! documents. They are dropped, never replaced, so that addresses and names do not grow odd characters. The same layer
//! holds the two bounds that only bytes can tell: the size of the input and the size of one token.

use std::io::{self, BufRead, Read};

/// Bytes cleaned at once.
const CHUNK_BYTES: usize = 64 << 10;

/// A reader of clean UTF-8 over a reader of anything.
#[derive(Debug)]
pub struct Clean<R> {
    inner: R,
    out: Vec<u8>,
    position: usize,
    /// The beginning of a character whose end was not in the chunk.
    carry: Vec<u8>,
    dropped: u64,
    newlines: u64,
    input_left: u64,
    input_bytes_max: u64,
    token_left: usize,
    token_bytes_max: usize,
    exceeded: Option<(&'static str, u64)>,
    failed: Option<io::Error>,
}

impl<R: BufRead> Clean<R> {
    /// Cleans `inner`, refusing more than `input_bytes_max` in all and more than `token_bytes_max` between two calls
    /// of [`Clean::next_token`].
    pub fn new(inner: R, input_bytes_max: u64, token_bytes_max: usize) -> Self {
        Clean {
            inner,
            out: Vec::with_capacity(CHUNK_BYTES),
            position: 0,
            carry: Vec::new(),
            dropped: 0,
            newlines: 0,
            input_left: input_bytes_max,
            input_bytes_max,
            token_left: token_bytes_max,
            token_bytes_max,
            exceeded: None,
            failed: None,
        }
    }

    /// A new token begins: it may use the whole bound again.
    pub fn next_token(&mut self) {
        self.token_left = self.token_bytes_max;
    }

    /// Characters and stray bytes dropped so far.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The line that is being read, from 1.
    pub fn line(&self) -> u64 {
        self.newlines + 1
    }

    /// Which bound was passed, if reading stopped for that.
    pub fn exceeded(&self) -> Option<(&'static str, u64)> {
        self.exceeded
    }

    /// The error of the inner reader, if reading stopped for that.
    pub fn take_failure(&mut self) -> Option<io::Error> {
        self.failed.take()
    }

    fn refuse(&mut self, what: &'static str, limit: u64) -> io::Error {
        self.exceeded = Some((what, limit));
        io::Error::other(what)
    }

    /// Reads and cleans until there is something to hand out or the input is over.
    fn refill(&mut self) -> io::Result<()> {
        self.out.clear();
        self.position = 0;
        while self.out.is_empty() {
            let available = loop {
                match self.inner.fill_buf() {
                    Ok(bytes) => break bytes,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => {
                        let kind = error.kind();
                        self.failed = Some(error);
                        return Err(kind.into());
                    }
                }
            };
            let taken = available.len().min(CHUNK_BYTES);
            if taken == 0 {
                // An unfinished character at the very end.
                self.dropped += u64::from(!self.carry.is_empty());
                self.carry.clear();
                return Ok(());
            }
            let chunk = available.get(..taken).unwrap_or(available);
            if self.carry.is_empty() {
                self.carry = clean_into(chunk, &mut self.out, &mut self.dropped);
            } else {
                let mut joined = std::mem::take(&mut self.carry);
                joined.extend_from_slice(chunk);
                self.carry = clean_into(&joined, &mut self.out, &mut self.dropped);
            }
            self.inner.consume(taken);
            let taken = taken as u64;
            if taken > self.input_left {
                return Err(self.refuse("the input", self.input_bytes_max));
            }
            self.input_left -= taken;
        }
        Ok(())
    }
}

/// Appends the allowed characters of `chunk` to `out`; returns the unfinished character at its end.
fn clean_into(chunk: &[u8], out: &mut Vec<u8>, dropped: &mut u64) -> Vec<u8> {
    let mut rest = chunk;
    loop {
        match std::str::from_utf8(rest) {
            Ok(text) => {
                allowed_into(text, out, dropped);
                return Vec::new();
            }
            Err(error) => {
                let (good, bad) = rest.split_at(error.valid_up_to());
                allowed_into(std::str::from_utf8(good).unwrap_or_default(), out, dropped);
                let Some(length) = error.error_len() else {
                    return bad.to_vec();
                };
                *dropped += length as u64;
                rest = bad.get(length..).unwrap_or_default();
            }
        }
    }
}

fn allowed_into(text: &str, out: &mut Vec<u8>, dropped: &mut u64) {
    let plain = !text.bytes().any(|b| b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r'));
    if plain && (text.is_ascii() || text.chars().all(allowed)) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    let mut buffer = [0; 4];
    for character in text.chars() {
        if allowed(character) {
            out.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
        } else {
            *dropped += 1;
        }
    }
}

/// Whether XML 1.0 allows the character (production `Char`; surrogates cannot occur in a `char`).
pub fn allowed(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{FFFD}' | '\u{10000}'..='\u{10FFFF}')
}

impl<R: BufRead> BufRead for Clean<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.exceeded.is_some() {
            return Err(io::Error::other("a bound was passed"));
        }
        if self.token_left == 0 {
            return Err(self.refuse("one piece of text or markup", self.token_bytes_max as u64));
        }
        if self.position >= self.out.len() {
            self.refill()?;
        }
        let rest = self.out.get(self.position..).unwrap_or_default();
        Ok(rest.get(..self.token_left).unwrap_or(rest))
    }

    fn consume(&mut self, amount: usize) {
        let end = (self.position + amount).min(self.out.len());
        let used = self.out.get(self.position..end).unwrap_or_default();
        self.newlines += used.iter().filter(|b| **b == b'\n').count() as u64;
        self.token_left = self.token_left.saturating_sub(used.len());
        self.position = end;
    }
}

impl<R: BufRead> Read for Clean<R> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let taken = available.len().min(target.len());
        if let (Some(to), Some(from)) = (target.get_mut(..taken), available.get(..taken)) {
            to.copy_from_slice(from);
        }
        self.consume(taken);
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::BufReader;

    fn clean(bytes: &[u8], chunk: usize) -> (String, u64) {
        let mut reader = Clean::new(BufReader::with_capacity(chunk, bytes), u64::MAX, usize::MAX);
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("clean output is UTF-8");
        (text, reader.dropped())
    }

    #[test]
    fn forbidden_characters_are_dropped_and_counted() {
        for (given, wanted, dropped) in [
            (&b"plain"[..], "plain", 0),
            (b"a\0b\x01c\x1f", "abc", 3),
            (b"tab\tnew\r\nline", "tab\tnew\r\nline", 0),
            (b"\xff\xfebroken", "broken", 2),
            ("\u{fffe}x\u{ffff}".as_bytes(), "x", 2),
            ("müde €".as_bytes(), "müde €", 0),
            (b"end \xe2\x82", "end ", 1),
            (b"\x7f is allowed", "\x7f is allowed", 0),
        ] {
            for chunk in [1, 2, 3, 64] {
                assert_eq!(clean(given, chunk), (wanted.to_owned(), dropped), "{given:?} in chunks of {chunk}");
            }
        }
    }

    #[test]
    fn the_bounds_hold() {
        let mut reader = Clean::new(&b"0123456789"[..], 5, usize::MAX);
        assert!(reader.fill_buf().is_err());
        assert_eq!(reader.exceeded(), Some(("the input", 5)));

        let mut reader = Clean::new(BufReader::with_capacity(2, &b"0123456789"[..]), u64::MAX, 4);
        let mut text = String::new();
        assert!(reader.read_to_string(&mut text).is_err());
        assert_eq!(reader.exceeded(), Some(("one piece of text or markup", 4)));
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_chunks_give_the_same_clean_text(bytes in proptest::collection::vec(any::<u8>(), 0..300), chunk in 1usize..20) {
            let (whole, dropped) = clean(&bytes, 4096);
            prop_assert!(whole.chars().all(allowed));
            let (pieces, dropped_in_pieces) = clean(&bytes, chunk);
            prop_assert_eq!(&pieces, &whole);
            prop_assert_eq!(dropped == 0, dropped_in_pieces == 0);
        }
    }
}
