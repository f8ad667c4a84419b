//! Archives of the zip family, as far as taking one member out and putting it back needs: where members lie, and the splice that
//! leaves every other byte of the archive alone. Works on anything that can be read and sought; no paths, no journal.
//!
//! Nothing is decompressed here but archives within archives, when asked, into a bounded buffer. What is written unusually (several
//! disks, zip64, entries that overlap, a member listed twice) is refused with the reason rather than guessed: an archive is foreign
//! data, and a class loader's idea of it has to stay the same but for the member.

use std::io::{self, Read, Seek, SeekFrom};

/// An archive larger than this is not looked at, in bytes.
pub const ARCHIVE_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Largest list of members, in bytes.
const LIST_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Largest member that is taken out, compressed, in bytes.
const MEMBER_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Most bytes unpacked of one archive within another.
pub const INNER_BYTES_MAX: u64 = 64 * 1024 * 1024;

const END: [u8; 4] = *b"PK\x05\x06";
const END_BYTES: usize = 22;
const LISTED: [u8; 4] = *b"PK\x01\x02";
const LISTED_BYTES: usize = 46;
const LOCAL: [u8; 4] = *b"PK\x03\x04";
const LOCAL_BYTES: usize = 30;
const ZIP64: [u8; 4] = *b"PK\x06\x07";

/// Why an archive cannot be judged or changed.
#[derive(Debug, thiserror::Error)]
pub enum ZipError {
    /// It does not end like an archive.
    #[error("it is no archive")]
    NotOne,
    /// More than is looked at.
    #[error("it is larger than this agent looks at")]
    TooLarge,
    /// Written in a way this agent does not change.
    #[error("{0}")]
    Unusual(&'static str),
    /// It could not be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A member as the archive's list has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name, as far as it is UTF-8.
    pub name: String,
    /// Compression method: 0 stored, 8 deflated.
    method: u16,
    encrypted: bool,
    packed: u64,
    /// Where its local header begins, from the start of the file.
    at: u64,
    /// Where its record in the list begins, and its length.
    record: (usize, usize),
}

/// An archive's list of members.
#[derive(Clone, Debug)]
pub struct List {
    /// The members, in the order of the list.
    pub members: Vec<Member>,
    /// Where the list begins in the file: everything before it are members.
    start: u64,
    /// What was put in front of the archive (a script that starts it): offsets in the list do not count it.
    shift: u64,
    /// The list and everything behind it.
    tail: Vec<u8>,
    /// Where the end record begins in `tail`.
    end: usize,
}

/// What was cut out: enough to put exactly this back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Where the member began.
    pub at: u64,
    /// The member with its header.
    pub member: Vec<u8>,
    /// The list as it was, and everything behind it.
    pub tail: Vec<u8>,
}

/// Cut marks of the kept form: which one it is, for a later version to know.
const KEPT: &[u8; 8] = b"quellzip";

impl Cut {
    /// The bytes to keep.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = KEPT.to_vec();
        bytes.extend(self.at.to_le_bytes());
        bytes.extend((self.member.len() as u64).to_le_bytes());
        bytes.extend(&self.member);
        bytes.extend(&self.tail);
        bytes
    }

    /// Read what [`Cut::to_bytes`] made.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(KEPT)?;
        let number = |at: usize| Some(u64::from_le_bytes(rest.get(at..at + 8)?.try_into().ok()?));
        let (at, length) = (number(0)?, usize::try_from(number(8)?).ok()?);
        let (member, tail) = rest.get(16..)?.split_at_checked(length)?;
        Some(Self { at, member: member.to_vec(), tail: tail.to_vec() })
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn set_u16(bytes: &mut [u8], at: usize, value: u16) {
    if let Some(place) = bytes.get_mut(at..at + 2) {
        place.copy_from_slice(&value.to_le_bytes());
    }
}

fn set_u32(bytes: &mut [u8], at: usize, value: u32) {
    if let Some(place) = bytes.get_mut(at..at + 4) {
        place.copy_from_slice(&value.to_le_bytes());
    }
}

/// Read the list of an archive.
///
/// # Errors
/// See [`ZipError`].
pub fn list(file: &mut (impl Read + Seek)) -> Result<List, ZipError> {
    let size = file.seek(SeekFrom::End(0))?;
    if size > ARCHIVE_BYTES_MAX {
        return Err(ZipError::TooLarge);
    }
    let look = size.min(END_BYTES as u64 + 65_535);
    let mut last = read_at(file, size - look, look)?;
    let is_end = |at: usize| {
        let comment = u16_at(&last, at + 20).map(usize::from);
        last.get(at..at + 4) == Some(&END) && comment == last.len().checked_sub(at + END_BYTES)
    };
    let candidates = (0..last.len().saturating_sub(END_BYTES - 1)).rev();
    let at = candidates.into_iter().find(|at| is_end(*at)).ok_or(ZipError::NotOne)?;
    if at.checked_sub(20).and_then(|before| last.get(before..before + 4)) == Some(&ZIP64) {
        return Err(ZipError::Unusual("it is of the 64-bit form, which has to be changed by hand"));
    }
    let end = last.split_off(at);
    let field = |at| u16_at(&end, at).unwrap_or(u16::MAX);
    let wide = |at| u64::from(u32_at(&end, at).unwrap_or(u32::MAX));
    let (count, length, offset) = (field(10), wide(12), wide(16));
    if field(4) != 0 || field(6) != 0 || field(8) != count {
        return Err(ZipError::Unusual("it is one of several parts"));
    }
    if count == u16::MAX || length == u64::from(u32::MAX) || offset == u64::from(u32::MAX) {
        return Err(ZipError::Unusual("it is of the 64-bit form, which has to be changed by hand"));
    }
    if length > LIST_BYTES_MAX {
        return Err(ZipError::TooLarge);
    }
    let end_at = size - end.len() as u64;
    let start = end_at.checked_sub(length).ok_or(ZipError::NotOne)?;
    let shift = start.checked_sub(offset).ok_or(ZipError::NotOne)?;
    let mut tail = read_at(file, start, length)?;
    let members = read_members(&tail, count, shift, start)?;
    let end_in_tail = tail.len();
    tail.extend(end);
    Ok(List { members, start, shift, tail, end: end_in_tail })
}

fn read_at(file: &mut (impl Read + Seek), at: u64, length: u64) -> Result<Vec<u8>, ZipError> {
    file.seek(SeekFrom::Start(at))?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == length { Ok(bytes) } else { Err(ZipError::NotOne) }
}

fn read_members(list: &[u8], count: u16, shift: u64, start: u64) -> Result<Vec<Member>, ZipError> {
    const DAMAGED: ZipError = ZipError::Unusual("its list of members is damaged");
    let mut members = Vec::new();
    let mut at = 0;
    for _ in 0..count {
        let record = list.get(at..).filter(|rest| rest.starts_with(&LISTED)).ok_or(DAMAGED)?;
        let field = |place| u16_at(record, place).map(usize::from).ok_or(DAMAGED);
        let (name, extra, comment) = (field(28)?, field(30)?, field(32)?);
        let length = LISTED_BYTES + name + extra + comment;
        let text = record.get(LISTED_BYTES..LISTED_BYTES + name).ok_or(DAMAGED)?;
        let place = u64::from(u32_at(record, 42).ok_or(DAMAGED)?) + shift;
        if at + length > list.len() || place >= start || field(34)? != 0 {
            return Err(DAMAGED);
        }
        members.push(Member {
            name: String::from_utf8_lossy(text).into_owned(),
            method: u16_at(record, 10).ok_or(DAMAGED)?,
            encrypted: field(8)? & 1 != 0,
            packed: u64::from(u32_at(record, 20).ok_or(DAMAGED)?),
            at: place,
            record: (at, length),
        });
        at += length;
    }
    if at == list.len() { Ok(members) } else { Err(DAMAGED) }
}

impl List {
    /// Whether a member of this name is listed.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.members.iter().any(|member| member.name == name)
    }

    /// The bytes of a member with its header and what follows it up to the next member.
    fn extent(&self, member: &Member) -> (u64, u64) {
        let next = self.members.iter().map(|other| other.at).filter(|at| *at > member.at).min();
        (member.at, next.unwrap_or(self.start))
    }
}

/// Find what taking a member out would cut.
///
/// # Errors
/// See [`ZipError`]; [`ZipError::Unusual`] where the member is listed twice or its bytes are not its own.
pub fn cut(file: &mut (impl Read + Seek), list: &List, name: &str) -> Result<Cut, ZipError> {
    let mut found = list.members.iter().filter(|member| member.name == name);
    let member = match (found.next(), found.next()) {
        (Some(member), None) => member,
        (None, _) => return Err(ZipError::Unusual("the member is not in it")),
        (Some(_), Some(_)) => return Err(ZipError::Unusual("it lists the member twice")),
    };
    if list.members.iter().filter(|other| other.at == member.at).count() > 1 {
        return Err(ZipError::Unusual("two members share their bytes"));
    }
    let (from, until) = list.extent(member);
    if until - from > MEMBER_BYTES_MAX {
        return Err(ZipError::TooLarge);
    }
    let bytes = read_at(file, from, until - from)?;
    let local = bytes.get(..LOCAL_BYTES).filter(|header| header.starts_with(&LOCAL));
    let local = local.ok_or(ZipError::Unusual("the member's header is not where the list says"))?;
    let lengths = u16_at(local, 26).zip(u16_at(local, 28)).ok_or(ZipError::NotOne)?;
    let (name_length, extra) = (usize::from(lengths.0), u64::from(lengths.1));
    if bytes.get(LOCAL_BYTES..LOCAL_BYTES + name_length) != Some(name.as_bytes()) {
        return Err(ZipError::Unusual("the member has another name where it lies"));
    }
    if LOCAL_BYTES as u64 + name_length as u64 + extra + member.packed > until - from {
        return Err(ZipError::Unusual("two members share their bytes"));
    }
    Ok(Cut { at: from, member: bytes, tail: list.tail.clone() })
}

/// The list and end of an archive without one member.
fn tail_without(list: &List, name: &str, cut: &Cut) -> Result<Vec<u8>, ZipError> {
    let gone = u32::try_from(cut.member.len()).map_err(|_| ZipError::TooLarge)?;
    let mut tail = Vec::with_capacity(list.tail.len());
    for member in list.members.iter().filter(|member| member.name != name) {
        let (at, length) = member.record;
        let mut record = list.tail.get(at..at + length).unwrap_or_default().to_vec();
        if member.at > cut.at {
            let old = u32_at(&record, 42).unwrap_or_default();
            set_u32(&mut record, 42, old.wrapping_sub(gone));
        }
        tail.extend(record);
    }
    finish_tail(list, tail, list.members.len().saturating_sub(1), list.start - u64::from(gone))
}

/// The end record after a list, with the new counts and places.
fn finish_tail(list: &List, mut tail: Vec<u8>, count: usize, start: u64) -> Result<Vec<u8>, ZipError> {
    let count = u16::try_from(count).ok().filter(|count| *count < u16::MAX).ok_or(ZipError::TooLarge)?;
    let length = u32::try_from(tail.len()).map_err(|_| ZipError::TooLarge)?;
    let offset = u32::try_from(start.saturating_sub(list.shift)).map_err(|_| ZipError::TooLarge)?;
    let mut end = list.tail.get(list.end..).unwrap_or_default().to_vec();
    set_u16(&mut end, 8, count);
    set_u16(&mut end, 10, count);
    set_u32(&mut end, 12, length);
    set_u32(&mut end, 16, offset);
    tail.extend(end);
    Ok(tail)
}

/// Write an archive without a member: every other byte of the members as it was.
///
/// # Errors
/// See [`ZipError`].
pub fn without(file: &mut (impl Read + Seek), name: &str, to: &mut dyn io::Write) -> Result<(), ZipError> {
    let list = list(file)?;
    let cut = cut(file, &list, name)?;
    let tail = tail_without(&list, name, &cut)?;
    copy(file, 0, cut.at, to)?;
    let from = cut.at + cut.member.len() as u64;
    copy(file, from, list.start - from, to)?;
    to.write_all(&tail)?;
    Ok(())
}

/// Write the archive as it was before [`without`] made this file of it.
///
/// # Errors
/// See [`ZipError`].
pub fn whole(file: &mut (impl Read + Seek), cut: &Cut, to: &mut dyn io::Write) -> Result<(), ZipError> {
    let start = list(file)?.start;
    let rest = start.checked_sub(cut.at).ok_or(ZipError::Unusual("it is not what this agent wrote"))?;
    copy(file, 0, cut.at, to)?;
    to.write_all(&cut.member)?;
    copy(file, cut.at, rest, to)?;
    to.write_all(&cut.tail)?;
    Ok(())
}

/// Write the archive, which others changed since, with the member put back as its last one.
///
/// # Errors
/// See [`ZipError`]; [`ZipError::Unusual`] where it has such a member.
pub fn with(file: &mut (impl Read + Seek), name: &str, kept: &Cut, to: &mut dyn io::Write) -> Result<(), ZipError> {
    let list = list(file)?;
    if list.has(name) {
        return Err(ZipError::Unusual("it has the member"));
    }
    let mut record = kept_record(kept, name).ok_or(ZipError::Unusual("what was kept of it is damaged"))?;
    let place = u32::try_from(list.start - list.shift).map_err(|_| ZipError::TooLarge)?;
    set_u32(&mut record, 42, place);
    let mut tail = list.tail.get(..list.end).unwrap_or_default().to_vec();
    tail.extend(record);
    let start = list.start + kept.member.len() as u64;
    let tail = finish_tail(&list, tail, list.members.len() + 1, start)?;
    copy(file, 0, list.start, to)?;
    to.write_all(&kept.member)?;
    to.write_all(&tail)?;
    Ok(())
}

/// The member's record in the list that was kept.
fn kept_record(kept: &Cut, name: &str) -> Option<Vec<u8>> {
    let mut at = 0;
    loop {
        let record = kept.tail.get(at..).filter(|rest| rest.starts_with(&LISTED))?;
        let field = |place| u16_at(record, place).map(usize::from);
        let (text, extra, comment) = (field(28)?, field(30)?, field(32)?);
        let length = LISTED_BYTES + text + extra + comment;
        if record.get(LISTED_BYTES..LISTED_BYTES + text)? == name.as_bytes() {
            return Some(record.get(..length)?.to_vec());
        }
        at += length;
    }
}

fn copy(file: &mut (impl Read + Seek), from: u64, length: u64, to: &mut dyn io::Write) -> Result<(), ZipError> {
    file.seek(SeekFrom::Start(from))?;
    let copied = io::copy(&mut file.take(length), to)?;
    if copied == length { Ok(()) } else { Err(ZipError::NotOne) }
}

/// Unpack a member that is an archive itself, at most as many bytes as are left of `budget`, which is lowered.
///
/// # Errors
/// [`ZipError::TooLarge`] where the budget does not do; [`ZipError::Unusual`] for what cannot be unpacked.
pub fn inner(file: &mut (impl Read + Seek), member: &Member, budget: &mut u64) -> Result<Vec<u8>, ZipError> {
    if member.encrypted {
        return Err(ZipError::Unusual("an archive within it is encrypted"));
    }
    let header = read_at(file, member.at, LOCAL_BYTES as u64)?;
    if !header.starts_with(&LOCAL) {
        return Err(ZipError::Unusual("a member's header is not where the list says"));
    }
    let lengths = u16_at(&header, 26).zip(u16_at(&header, 28)).ok_or(ZipError::NotOne)?;
    let start = member.at + LOCAL_BYTES as u64 + u64::from(lengths.0) + u64::from(lengths.1);
    file.seek(SeekFrom::Start(start))?;
    let packed = file.take(member.packed);
    let limit = (*budget).min(INNER_BYTES_MAX);
    let mut bytes = Vec::new();
    match member.method {
        0 => packed.take(limit + 1).read_to_end(&mut bytes)?,
        8 => flate2::read::DeflateDecoder::new(packed).take(limit + 1).read_to_end(&mut bytes)?,
        _ => return Err(ZipError::Unusual("an archive within it is packed in a way this agent does not unpack")),
    };
    let length = bytes.len() as u64;
    if length > limit {
        *budget = 0;
        return Err(ZipError::TooLarge);
    }
    *budget -= length;
    Ok(bytes)
}

#[cfg(test)]
#[path = "zipfile_tests.rs"]
pub(crate) mod tests;
