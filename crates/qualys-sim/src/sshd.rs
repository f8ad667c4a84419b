//! What sshd and ssh would do with the configuration under a root folder: includes, first value wins, algorithm lists.
//!
//! Settings inside `Match` and narrower `Host` blocks are ignored, because they do not hold for everybody.

use std::collections::BTreeMap;
use std::path::Path;

const CIPHERS: &str =
    "chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr,aes128-gcm@openssh.com,aes256-gcm@openssh.com";
const MACS: &str = "umac-64-etm@openssh.com,umac-128-etm@openssh.com,hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,\
    hmac-sha1-etm@openssh.com,umac-64@openssh.com,umac-128@openssh.com,hmac-sha2-256,hmac-sha2-512,hmac-sha1";

/// The deepest chain of includes that is followed, as in OpenSSH.
const INCLUDE_DEPTH_MAX: usize = 16;

/// The settings that hold for everybody, keyed by keyword in lower case.
#[derive(Debug, Default)]
pub struct Settings {
    values: BTreeMap<String, String>,
}

impl Settings {
    /// Reads the server's configuration under `root`.
    pub fn of_server(root: &Path) -> Self {
        let mut settings = Self::default();
        settings.read(root, "etc/ssh/sshd_config", 0);
        settings
    }

    /// Reads the system-wide client configuration under `root`.
    pub fn of_client(root: &Path) -> Self {
        let mut settings = Self::default();
        settings.read(root, "etc/ssh/ssh_config", 0);
        settings
    }

    /// The effective value of a keyword given in lower case; `None` means the program's default.
    pub fn get(&self, keyword: &str) -> Option<&str> {
        self.values.get(keyword).map(String::as_str)
    }

    /// Whether `LoginGraceTime` is switched off.
    pub fn login_grace_is_zero(&self) -> bool {
        self.get("logingracetime").is_some_and(|value| {
            value.starts_with(|first: char| first.is_ascii_digit())
                && !value.chars().any(|letter| ('1'..='9').contains(&letter))
        })
    }

    /// Whether an algorithm pair with the prefix truncation weakness is on offer.
    pub fn offers_terrapin(&self) -> bool {
        let ciphers = offered(CIPHERS, self.get("ciphers"));
        let macs = offered(MACS, self.get("macs"));
        let chacha = ciphers.iter().any(|cipher| cipher.starts_with("chacha20-poly1305"));
        let cbc = ciphers.iter().any(|cipher| cipher.ends_with("-cbc"));
        let etm = macs.iter().any(|mac| mac.contains("-etm@"));
        chacha || (cbc && etm)
    }

    fn read(&mut self, root: &Path, file: &str, depth: usize) {
        let Ok(text) = std::fs::read_to_string(root.join(file)) else {
            return;
        };
        let mut for_everybody = true;
        for line in text.lines() {
            let Some((keyword, value)) = split_setting(line) else { continue };
            match keyword.as_str() {
                "match" => for_everybody = value.eq_ignore_ascii_case("all"),
                "host" => for_everybody = value == "*",
                _ if !for_everybody => {}
                "include" if depth < INCLUDE_DEPTH_MAX => {
                    for pattern in value.split_whitespace() {
                        for included in expand(root, pattern) {
                            self.read(root, &included, depth + 1);
                        }
                    }
                }
                _ => {
                    self.values.entry(keyword).or_insert(value);
                }
            }
        }
    }
}

/// `Keyword value`, `Keyword=value`, quotes around the value, comments left out.
fn split_setting(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let end = line.find(|letter: char| letter.is_whitespace() || letter == '=')?;
    let (keyword, rest) = line.split_at(end);
    let value = rest.trim_start_matches(|letter: char| letter.is_whitespace() || letter == '=');
    Some((keyword.to_ascii_lowercase(), value.trim().trim_matches('"').to_owned()))
}

/// Files of an include pattern in sorted order; only a `*` in the last part is understood.
fn expand(root: &Path, pattern: &str) -> Vec<String> {
    let pattern = pattern.trim_matches('"');
    let relative = match pattern.strip_prefix('/') {
        Some(absolute) => absolute.to_owned(),
        None => format!("etc/ssh/{pattern}"),
    };
    let (folder, name) = relative.rsplit_once('/').unwrap_or(("", &relative));
    if !name.contains('*') {
        return vec![relative];
    }
    let Ok(entries) = std::fs::read_dir(root.join(folder)) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|entry| !entry.starts_with('.') && matches(name, entry))
        .map(|entry| format!("{folder}/{entry}"))
        .collect();
    names.sort();
    names
}

/// The list on offer after `+`, `-`, `^` or a list of its own was applied to the default.
fn offered(default: &str, setting: Option<&str>) -> Vec<String> {
    let list = |text: &str| text.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>();
    let standard = list(default);
    let Some(setting) = setting else { return standard };
    if let Some(removed) = setting.strip_prefix('-') {
        let patterns = list(removed);
        return standard.into_iter().filter(|name| !patterns.iter().any(|pattern| matches(pattern, name))).collect();
    }
    match setting.strip_prefix(['+', '^']) {
        Some(added) => standard.into_iter().chain(list(added)).collect(),
        None => list(setting),
    }
}

/// Shell-like matching with `*` and `?`.
fn matches(pattern: &str, name: &str) -> bool {
    let mut rest = pattern.chars();
    match (rest.next(), name.chars().next()) {
        (None, None) => true,
        (Some('*'), first) => {
            matches(rest.as_str(), name)
                || first.is_some_and(|letter| matches(pattern, name.get(letter.len_utf8()..).unwrap_or("")))
        }
        (Some('?'), Some(letter)) => matches(rest.as_str(), name.get(letter.len_utf8()..).unwrap_or("")),
        (Some(wanted), Some(letter)) if wanted == letter => {
            matches(rest.as_str(), name.get(letter.len_utf8()..).unwrap_or(""))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
            std::fs::write(path, text).expect("a file");
        }
        folder
    }

    #[test]
    fn the_first_value_wins_and_an_include_stands_where_it_is_written() {
        let cases = [
            ("LoginGraceTime 0\nInclude /etc/ssh/sshd_config.d/*.conf\n", "LoginGraceTime 60\n", true),
            ("Include /etc/ssh/sshd_config.d/*.conf\nLoginGraceTime 0\n", "LoginGraceTime 60\n", false),
            ("Include sshd_config.d/*.conf\nLoginGraceTime 2m\n", "logingracetime=0s\n", true),
            ("#LoginGraceTime 0\n", "", false),
            ("Match User bob\n LoginGraceTime 0\n", "", false),
        ];
        for (main, dropin, zero) in cases {
            let root = folder(&[("etc/ssh/sshd_config", main), ("etc/ssh/sshd_config.d/10-a.conf", dropin)]);
            assert_eq!(Settings::of_server(root.path()).login_grace_is_zero(), zero, "{main} / {dropin}");
        }
    }

    #[test]
    fn terrapin_needs_chacha_or_cbc_with_etm() {
        let cases = [
            ("", true),
            ("Ciphers -chacha20-poly1305@openssh.com\n", false),
            ("Ciphers -chacha20-poly1305@openssh.com\nMACs -*-etm@openssh.com\n", false),
            ("Ciphers aes256-ctr,aes128-cbc\n", true),
            ("Ciphers aes256-ctr,aes128-cbc\nMACs hmac-sha2-256\n", false),
            ("Ciphers +aes128-cbc\nMACs -*etm*\n", true),
        ];
        for (text, offered) in cases {
            let root = folder(&[("etc/ssh/sshd_config", text)]);
            assert_eq!(Settings::of_server(root.path()).offers_terrapin(), offered, "{text}");
        }
    }
}
