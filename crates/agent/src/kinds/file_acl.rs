//! `file.acl`: the access list of a library of Windows denies everyone, through [`crate::windows::Windows`].
//!
//! The list is Windows' own text of it (SDDL). Only as much of it is read as decides whether everyone is denied; what is put back is
//! the text that was captured, with the owner. A list that cannot be read for sure is left to a person.

use super::{Finding, KindError, Presence, Workspace, windows};
use crate::host::Host;
use crate::record::{FileAccess, Step};
use crate::restore::As;
use catalogue::actions::FileAcl;

/// The administrators, who own the file while it is denied: an owner can always change the list, so that a revert can.
const ADMINISTRATORS: &str = "S-1-5-32-544";
/// Everyone is denied everything.
const DENY: &str = "(D;;FA;;;WD)";
/// What a program needs of a library: to read it, and to execute it.
const USE: u32 = 0x1 | 0x20;
/// Longest access list that is read, in bytes; Windows has none longer than 64 KiB in its own form.
const LIST_BYTES_MAX: usize = 64 * 1024;

/// Owner and list as planned, or as they are.
fn access(path: &str, host: &Host, workspace: &Workspace<'_>) -> Result<Option<FileAccess>, KindError> {
    let planned = workspace.last_act(|step| match step {
        Step::FileAccess { path: of, after, .. } if of == path => Some(after.clone()),
        _ => None,
    });
    match planned {
        Some(after) => Ok(Some(after)),
        None => windows(host).and_then(|windows| windows.file_access(path)).map_err(KindError::Cannot),
    }
}

/// See [`super::check`].
///
/// # Errors
/// When the access list cannot be read.
pub fn check(action: &FileAcl, host: &Host, workspace: &Workspace<'_>) -> Result<Finding, KindError> {
    if host.windows.is_none() {
        return Ok(Finding::because(Presence::NotHere, "(absent)", "this is no Windows"));
    }
    let path = action.path.as_str();
    let Some(found) = access(path, host, workspace)? else {
        return Ok(Finding::because(Presence::NotHere, "(absent)", format!("there is no file {path}")));
    };
    Ok(match denies_everyone(&found.list).map_err(|why| KindError::Cannot(format!("{path}: {why}")))? {
        true => Finding::new(Presence::Present, "denied to everyone"),
        false => Finding::new(Presence::Absent, "not denied to everyone"),
    })
}

/// See [`super::plan`].
///
/// # Errors
/// When the access list cannot be read, or there is none to put an entry into.
pub fn plan(action: &FileAcl, host: &Host, workspace: &mut Workspace<'_>) -> Result<(), KindError> {
    let path = action.path.as_str().to_owned();
    let cannot = |why: &str| KindError::Cannot(format!("{path}: {why}"));
    let before = access(&path, host, workspace)?.ok_or_else(|| cannot("there is no such file"))?;
    let (flags, entries) = parts(&before.list).map_err(cannot)?;
    if flags == OPEN {
        return Err(cannot("it has no access list at all, so that everybody may do everything; look at it by hand"));
    }
    let rest: String = entries.iter().map(|entry| format!("({entry})")).collect();
    let after = FileAccess { owner: ADMINISTRATORS.to_owned(), list: format!("D:{flags}{DENY}{rest}") };
    workspace.act(Step::FileAccess { path, before, after });
    Ok(())
}

/// How owner and list stand to a step of ours; a file that is gone is as before.
///
/// # Errors
/// A sentence when they cannot be read.
pub fn compare(path: &str, before: &FileAccess, after: &FileAccess, host: &Host) -> Result<As, String> {
    Ok(match windows(host)?.file_access(path)? {
        None => As::Before,
        Some(now) if now == *before => As::Before,
        Some(now) if now == *after => As::After,
        Some(_) => As::Neither("owned or open otherwise".to_owned()),
    })
}

/// Set owner and list, if they are what they were planned with.
///
/// # Errors
/// A sentence; when somebody changed them meanwhile, nothing is done.
pub fn perform(path: &str, before: &FileAccess, after: &FileAccess, host: &Host) -> Result<(), String> {
    let windows = windows(host)?;
    match windows.file_access(path)? {
        Some(now) if now == *before => windows.set_file_access(path, after),
        Some(_) => Err(format!("the access list of {path} changed while we worked on it")),
        None => Err(format!("{path} is gone")),
    }
}

/// What stands for a list that is not there: everybody may do everything.
const OPEN: &str = "NO_ACCESS_CONTROL";

/// The flags of a list and its entries without their parentheses.
fn parts(list: &str) -> Result<(&str, Vec<&str>), &'static str> {
    const UNKNOWN: &str = "its access list is none that this agent can read; look at it by hand";
    let rest = list.strip_prefix("D:").filter(|_| list.len() <= LIST_BYTES_MAX).ok_or(UNKNOWN)?;
    let (flags, mut rest) = rest.split_at(rest.find('(').unwrap_or(rest.len()));
    let known = flags == OPEN
        || ["P", "AR", "AI"].iter().fold(flags.to_owned(), |left, of| left.replacen(of, "", 1)).is_empty();
    if !known {
        return Err(UNKNOWN);
    }
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let end = end_of_entry(rest).ok_or(UNKNOWN)?;
        entries.push(rest.get(1..end).ok_or(UNKNOWN)?);
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    if flags == OPEN && !entries.is_empty() { Err(UNKNOWN) } else { Ok((flags, entries)) }
}

/// Where the entry at the beginning of a text ends: conditions within have parentheses and quoted texts of their own.
fn end_of_entry(text: &str) -> Option<usize> {
    let (mut depth, mut quoted) = (0_u32, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b'(' if !quoted => depth += 1,
            b')' if !quoted => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return (at > 0).then_some(at);
        }
    }
    None
}

/// Whether no program can load the file: an entry denies everyone, and none before it lets anybody in. Entries count in the order
/// in which they stand.
fn denies_everyone(list: &str) -> Result<bool, &'static str> {
    let (flags, entries) = parts(list)?;
    for entry in &entries {
        let mut fields = entry.split(';');
        let mut field = || fields.next().unwrap_or_default();
        let (kind, inheritance, rights, object, inherited, who) =
            (field(), field(), field(), field(), field(), field());
        // Such an entry is for what lies below a folder.
        if pairs(inheritance).any(|flag| flag == "IO") {
            continue;
        }
        let everyone = matches!(who, "WD" | "S-1-1-0") && object.is_empty() && inherited.is_empty();
        match kind {
            "D" if everyone && mask(rights) & USE == USE => return Ok(true),
            "D" | "OD" | "XD" => {}
            // What lets in, or what nobody here knows.
            _ => return Ok(false),
        }
    }
    // A list without an entry that lets somebody in lets nobody in; no list lets in everybody.
    Ok(flags != OPEN)
}

fn pairs(text: &str) -> impl Iterator<Item = &str> {
    (0..text.len()).step_by(2).filter_map(|at| text.get(at..at + 2))
}

/// The rights of an entry as bits; what is not known counts as no right.
fn mask(rights: &str) -> u32 {
    if let Some(hex) = rights.strip_prefix("0x") {
        return u32::from_str_radix(hex, 16).unwrap_or(0);
    }
    let bits = |name: &str| match name {
        "FA" | "GA" => 0x001f_01ff,
        "FR" | "GR" => 0x0012_0089,
        "FX" | "GX" => 0x0012_00a0,
        "CC" => 0x1,
        "WP" => 0x20,
        _ => 0,
    };
    pairs(rights).map(bits).fold(0, |all, bits| all | bits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_counts_as_denied_is_what_windows_would_deny() {
        for (list, denied) in [
            ("D:PAI(A;;FA;;;S-1-5-80-1)(A;;0x1200a9;;;BA)(A;;0x1200a9;;;BU)", Ok(false)),
            ("D:PAI(D;;FA;;;WD)(A;;0x1200a9;;;BU)", Ok(true)),
            ("D:(D;;0x1f01ff;;;S-1-1-0)(A;;FA;;;BA)", Ok(true)),
            ("D:(D;;FRFX;;;WD)(A;;FA;;;BA)", Ok(true)),
            ("D:(D;;CCWP;;;WD)(A;;FA;;;BA)", Ok(true)),
            // Not the use of it, not everyone, not the file itself, only under a condition.
            ("D:(D;;FW;;;WD)(A;;FA;;;BA)", Ok(false)),
            ("D:(D;;FR;;;WD)(A;;FA;;;BA)", Ok(false)),
            ("D:(D;;FA;;;BU)(A;;FA;;;BA)", Ok(false)),
            ("D:(D;OICIIO;FA;;;WD)(A;;FA;;;BA)", Ok(false)),
            ("D:(XD;;FA;;;WD;(@User.x==\"a)(\"))(A;;FA;;;BA)", Ok(false)),
            ("D:(OD;;FA;bf967aba-0de6-11d0-a285-00aa003049e2;;WD)(A;;FA;;;BA)", Ok(false)),
            ("D:(D;;FA;bf967aba-0de6-11d0-a285-00aa003049e2;;WD)(A;;FA;;;BA)", Ok(false)),
            // Who stands before it is let in.
            ("D:(A;;0x1200a9;;;BU)(D;;FA;;;WD)", Ok(false)),
            ("D:(XA;;FX;;;WD;(a))(D;;FA;;;WD)", Ok(false)),
            ("D:(ZZ;;FX;;;WD)(D;;FA;;;WD)", Ok(false)),
            ("D:(A;IO;FA;;;CO)(D;;FA;;;WD)", Ok(true)),
            // Nobody is in a list without entries; without a list everybody is.
            ("D:", Ok(true)),
            ("D:P", Ok(true)),
            ("D:NO_ACCESS_CONTROL", Ok(false)),
        ] {
            assert_eq!(denies_everyone(list), denied, "{list}");
        }
        for unreadable in [
            "",
            "S:(AU;;FA;;;WD)",
            "O:BAD:(A;;FA;;;BA)",
            "D:(A;;FA;;;BA",
            "D:A;;FA;;;BA)",
            "D:(A;;FA;;;BA))",
            "D:(A;;FA;;;BA)S:(AU;;FA;;;WD)",
            "D:PX(D;;FA;;;WD)",
            "D:NO_ACCESS_CONTROL(D;;FA;;;WD)",
            "D:()x",
        ] {
            assert!(denies_everyone(unreadable).is_err(), "{unreadable}");
        }
        assert!(denies_everyone(&format!("D:{}", "(D;;FA;;;WD)".repeat(6000))).is_err());
    }

    proptest! {
        #[test]
        fn foreign_lists_never_panic_and_what_is_planned_is_denied(
            pieces in proptest::collection::vec(
                prop_oneof![
                    Just("P"), Just("AI"), Just("AR"), Just("("), Just(")"), Just(";"), Just("A"), Just("D"), Just("FA"), Just("0x"),
                    Just("WD"), Just("\""), Just("é"), Just("NO_ACCESS_CONTROL"), Just("(A;;FA;;;BA)"), Just("(D;;FR;;;WD)"),
                ],
                0..12,
            ),
        ) {
            let text = format!("D:{}", pieces.concat());
            let _ = denies_everyone(&text);
            if let Ok((flags, entries)) = parts(&text)
                && flags != OPEN
            {
                let rest: String = entries.iter().map(|entry| format!("({entry})")).collect();
                prop_assert_eq!(&format!("D:{flags}{rest}"), &text, "nothing of it is lost");
                prop_assert_eq!(denies_everyone(&format!("D:{flags}{DENY}{rest}")), Ok(true), "{}", text);
            }
        }
    }
}
