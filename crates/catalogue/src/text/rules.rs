//! The rules of the texts: what each type takes.

pub(super) fn is_entry_id(text: &str) -> bool {
    (3..=80).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.ends_with('-')
        && !text.contains("--")
}

pub(super) fn is_boolean_name(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

pub(super) fn is_policy_module(text: &str) -> bool {
    (3..=64).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-')
        && !text.ends_with('-')
}

pub(super) fn is_cve(text: &str) -> bool {
    let Some((year, number)) = text.strip_prefix("CVE-").and_then(|rest| rest.split_once('-')) else { return false };
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    year.len() == 4 && digits(year) && year >= "1999" && (4..=19).contains(&number.len()) && digits(number)
}

pub(super) fn is_path(text: &str, stars_in_last: bool) -> bool {
    let Some(rest) = text.strip_prefix('/') else { return false };
    let parts: Vec<&str> = rest.split('/').collect();
    let last = parts.len().saturating_sub(1);
    text.len() <= 255
        && parts.iter().enumerate().all(|(index, part)| {
            let stars = part.contains('*') && !(stars_in_last && index == last);
            !part.is_empty()
                && *part != "."
                && *part != ".."
                && !stars
                && !part.contains(|c: char| c.is_control() || matches!(c, '?' | '[' | ']' | '{' | '}' | '\\'))
        })
}

pub(super) fn is_host_path(text: &str) -> bool {
    is_path(text, false)
}

pub(super) fn is_path_pattern(text: &str) -> bool {
    is_path(text, true)
}

pub(super) fn is_line(text: &str) -> bool {
    !text.is_empty() && text.len() <= 1000 && text.trim() == text && !text.contains(char::is_control)
}

pub(super) fn is_file_text(text: &str) -> bool {
    text.len() <= 16 * 1024
        && text.ends_with('\n')
        && !text.contains(|c: char| c.is_control() && c != '\n' && c != '\t')
}

pub(super) fn is_sysctl_key(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    text.len() <= 120
        && parts.len() >= 2
        && parts.iter().all(|part| {
            part.starts_with(|c: char| c.is_ascii_alphanumeric())
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        })
}

pub(super) fn is_module_name(text: &str) -> bool {
    (1..=55).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

pub(super) fn is_name(text: &str, more: &[u8]) -> bool {
    (1..=128).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || more.contains(&b))
}

pub(super) fn is_service_name(text: &str) -> bool {
    is_name(text, b".-_@")
}

pub(super) fn is_package_name(text: &str) -> bool {
    is_name(text, b".+-_")
}

pub(super) fn is_name_pattern(text: &str) -> bool {
    let own = text.bytes().take_while(u8::is_ascii_alphanumeric).count();
    own >= 3 && is_path(&format!("/{text}"), true)
}

/// How a parameter is written; which ones an entry may set is a rail (`actions/rails/boot.rs`).
pub(super) fn is_cmdline_param(text: &str) -> bool {
    let (name, value) = text.split_once('=').unwrap_or((text, "-"));
    let fits = |part: &str, more: &[u8]| {
        (1..=80).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric() || more.contains(&b))
    };
    fits(name, b"_.-") && name.starts_with(|c: char| c.is_ascii_lowercase()) && fits(value, b"_.,:-")
}

pub(super) fn is_xml_name(text: &str) -> bool {
    text.len() <= 80
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

pub(super) fn is_xml_path(text: &str) -> bool {
    text.len() <= 255
        && text.strip_prefix('/').is_some_and(|rest| rest.split('/').count() <= 16 && rest.split('/').all(is_xml_name))
}

pub(super) fn is_registry_key(text: &str) -> bool {
    let mut parts = text.split('\\');
    let root = parts.next().unwrap_or_default();
    let mut below = parts.peekable();
    text.len() <= 255
        && matches!(root, "HKLM" | "HKCR" | "hklm" | "hkcr")
        && below.peek().is_some()
        && below.all(|part| is_line(part) && part != "." && part != "..")
}

pub(super) fn is_windows_file(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && !part.ends_with(['.', ' '])
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._- ".contains(&b))
    };
    text.len() <= 255 && text.strip_prefix("%windir%\\").is_some_and(|rest| rest.split('\\').all(part))
}

pub(super) fn is_site_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && !text.ends_with([' ', '.'])
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b" .-_".contains(&b))
}

pub(super) fn is_url_word(text: &str) -> bool {
    (5..=40).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

pub(super) fn is_url(text: &str) -> bool {
    text.len() <= 300
        && text.strip_prefix("https://").is_some_and(|rest| rest.contains('.') && !rest.starts_with(['/', '.']))
        && !text.contains(|c: char| c.is_control() || c.is_whitespace() || matches!(c, '"' | '<' | '>'))
}
