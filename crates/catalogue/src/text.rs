//! Texts with a rule: ids, CVE numbers, paths, names. Each is a type that can only be made from a text that keeps its rule, so
//! that an agent never meets a path with `..` or a value with a line break, not even in a signed entry.

mod rules;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use rules::*;

/// A text that breaks the rule of its type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct TextError {
    /// The text, cut to a readable length.
    pub text: String,
    /// What the type asks for.
    pub expected: &'static str,
}

fn refused(text: &str, expected: &'static str) -> TextError {
    TextError { text: text.chars().take(80).collect(), expected }
}

/// Define a string type with a rule.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $rule:expr, $expected:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = TextError;

            fn try_from(text: String) -> Result<Self, TextError> {
                let rule: fn(&str) -> bool = $rule;
                if rule(&text) { Ok(Self(text)) } else { Err(refused(&text, $expected)) }
            }
        }

        impl FromStr for $name {
            type Err = TextError;

            fn from_str(text: &str) -> Result<Self, TextError> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text!(
    /// The name of an entry: kebab case, 3 to 80 characters, never used again for something else.
    EntryId, is_entry_id, "an entry id (3 to 80 of a-z, 0-9 and single inner hyphens, starting with a letter)"
);
text!(
    /// A switch of the SELinux policy, such as `deny_ptrace`.
    BooleanName, is_boolean_name, "the name of an SELinux boolean (1 to 64 of a-z, A-Z, 0-9 and _)"
);
text!(
    /// A module of the cryptographic policy, `NO-SHA1`: upper case, because the policy's own program compares so.
    PolicyModule, is_policy_module, "the name of a policy module (3 to 64 of A-Z, 0-9 and inner hyphens)"
);
text!(
    /// A CVE number, `CVE-2024-6387`.
    Cve, is_cve, "a CVE number such as CVE-2024-6387"
);
text!(
    /// An absolute path of a host, without `.`, `..`, empty parts, control characters or wild cards; at most 255 bytes.
    HostPath, is_host_path, "an absolute path without '.', '..', doubled slashes, wild cards or control characters"
);
text!(
    /// As [`HostPath`], but the last part may hold `*`, which stands for any characters but `/`.
    PathPattern, is_path_pattern, "an absolute path whose last part may hold '*'"
);
text!(
    /// One line of printable text: a setting's key, section or value; at most 1,000 characters, no line break, no other
    /// control character, no space at either end.
    Line, is_line, "one line of 1 to 1000 printable characters without space at its ends"
);
text!(
    /// The text of a whole small file: at most 16 KiB, line breaks and tabs allowed, other control characters not; ends with a
    /// line break.
    FileText, is_file_text, "a text of at most 16 KiB ending in a line break, without control characters"
);
text!(
    /// A kernel parameter in dotted form, `net.ipv4.tcp_sack`.
    SysctlKey, is_sysctl_key, "a kernel parameter such as net.ipv4.tcp_sack"
);
text!(
    /// A kernel module's name. `-` and `_` are the same to the kernel; entries write `_`.
    ModuleName, is_module_name, "a kernel module name of a-z, 0-9 and _"
);
text!(
    /// A systemd unit with its suffix, `cups-browsed.service`, or a Windows service name.
    ServiceName, is_service_name, "a service name of letters, digits and . - _ @"
);
text!(
    /// A package's name in one package manager.
    PackageName, is_package_name, "a package name of letters, digits and . + - _"
);
text!(
    /// The name of a firewall rule of ours, `low-mss-v4`: at most 40 of a-z, 0-9 and single inner hyphens.
    RuleName, |text| is_entry_id(text) && text.len() <= 40, "a rule name (3 to 40 of a-z, 0-9 and single inner hyphens)"
);
text!(
    /// A file name in which `*` stands for any characters, `log4j-core-2.1*.jar`. Begins with three or more letters or digits of
    /// its own, so that no pattern names nearly everything.
    NamePattern, is_name_pattern, "a file name that starts with at least three letters or digits; '*' allowed"
);
text!(
    /// The name of an archive's member, `org/example/Thing.class`: relative, without `.` and `..`.
    MemberName, |text| is_path(&format!("/{text}"), false), "a relative path without '.', '..' or wild cards"
);
text!(
    /// A parameter of the kernel's command line, `name` or `name=value`.
    CmdlineParam, is_cmdline_param, "a kernel parameter such as gather_data_sampling=force"
);
text!(
    /// The name of an XML element or attribute.
    XmlName, is_xml_name, "an XML name of letters, digits and . - _"
);
text!(
    /// XML element names from the document's own down, `/policymap/policy`.
    XmlPath, is_xml_path, "a path of XML element names such as /policymap/policy"
);
text!(
    /// A key of the registry from one of `HKLM` and `HKCR` down.
    RegistryKey, is_registry_key, "a registry key such as HKLM\\\\SOFTWARE\\\\Example"
);
text!(
    /// The name of a registry value.
    RegistryName, |text| is_line(text) && text.len() <= 255 && !text.contains('\\'), "the name of a registry value"
);
text!(
    /// A file of Windows below its own folder, `%windir%\system32\x.dll`: lower case, so that one file has one name; without `.`
    /// and `..`, streams, wild cards or other variables.
    WindowsFile, is_windows_file, "a file such as %windir%\\system32\\example.dll, in lower case"
);
text!(
    /// The name of a web site of IIS, `Default Web Site`; no application below it.
    SiteName, is_site_name, "the name of a site (1 to 64 of letters, digits, spaces and . - _)"
);
text!(
    /// A word of a web address: 5 to 40 of a-z and 0-9, so that it means itself in every pattern and hardly anything else.
    UrlWord, is_url_word, "a word of an address (5 to 40 of a-z and 0-9)"
);
text!(
    /// A web address that begins with `https://`.
    Url, is_url, "an https address without spaces"
);

impl EntryId {
    /// What the ids of an organisation's own entries begin with. No entry that comes with the program has such an id, so the two
    /// never stand in each other's way.
    pub const CUSTOM_PREFIX: &str = "org-";

    /// Whether this is an entry of the organisation's own, which its own keys have to sign as well.
    #[must_use]
    pub fn is_custom(&self) -> bool {
        self.0.starts_with(Self::CUSTOM_PREFIX)
    }
}

impl PathPattern {
    /// The folder that holds the pattern's matches.
    #[must_use]
    pub fn folder(&self) -> &str {
        match self.0.rfind('/') {
            Some(0) | None => "/",
            Some(end) => self.0.get(..end).unwrap_or("/"),
        }
    }

    /// The last part: a file name, possibly with `*`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// Whether it holds a `*`.
    #[must_use]
    pub fn is_wild(&self) -> bool {
        self.0.contains('*')
    }

    /// Whether a file name in [`PathPattern::folder`] matches. A leading dot must be written.
    #[must_use]
    pub fn matches_name(&self, name: &str) -> bool {
        let pattern = self.name();
        (!name.starts_with('.') || pattern.starts_with('.')) && matches_stars(pattern, name)
    }
}

impl NamePattern {
    /// Whether a file name matches.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        matches_stars(&self.0, name)
    }
}

impl CmdlineParam {
    /// The parameter's name, without a value.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.split('=').next().unwrap_or_default()
    }
}

impl XmlPath {
    /// The names, outermost first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').skip(1)
    }

    /// The path of the element that holds this one; none for the document's own.
    #[must_use]
    pub fn parent(&self) -> Option<&str> {
        self.0.rsplit_once('/').map(|(parent, _)| parent).filter(|parent| !parent.is_empty())
    }
}

/// Whether a text matches a pattern in which `*` stands for any characters.
#[must_use]
pub fn matches_stars(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut middle: Vec<&str> = parts.collect();
    let Some(last) = middle.pop() else { return rest.is_empty() };
    let mut rest = rest;
    for part in middle {
        let Some(found) = rest.find(part) else { return false };
        rest = rest.get(found + part.len()..).unwrap_or_default();
    }
    rest.ends_with(last)
}

impl ServiceName {
    /// The unit's name as systemd spells it in full: `.service` added where no suffix is written.
    #[must_use]
    pub fn unit(&self) -> String {
        const SUFFIXES: [&str; 5] = [".service", ".socket", ".timer", ".path", ".target"];
        if SUFFIXES.iter().any(|suffix| self.0.ends_with(suffix)) {
            self.0.clone()
        } else {
            format!("{}.service", self.0)
        }
    }
}

impl SysctlKey {
    /// The file below `/proc/sys`, `net/ipv4/tcp_sack`.
    #[must_use]
    pub fn proc_path(&self) -> String {
        self.0.replace('.', "/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table<T: FromStr>(good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(text.parse::<T>().is_ok(), "{text:?} must be accepted");
        }
        for text in bad {
            assert!(text.parse::<T>().is_err(), "{text:?} must be refused");
        }
    }

    #[test]
    fn rules() {
        table::<EntryId>(
            &["linux-sshd-login-grace-0"],
            &["", "ab", "A-b-c", "a--b", "ab-", "-ab", "1ab", "a_b", "a/b"],
        );
        table::<Cve>(
            &["CVE-2024-6387", "CVE-1999-0001", "CVE-2021-1234567"],
            &["", "cve-2024-6387", "CVE-24-6387", "CVE-2024-638", "CVE-2024-63a7", "CVE-2024-6387 ", "CVE-1998-0001"],
        );
        let bad_paths =
            ["", "/", "etc/x", "/etc//x", "/etc/../x", "/etc/./x", "/etc/", "/etc/x\n", "/etc/x?", "/etc/\0"];
        table::<HostPath>(&["/etc/ssh/sshd_config", "/usr/bin/pkexec"], &bad_paths);
        table::<HostPath>(&[], &["/etc/*"]);
        table::<PathPattern>(&["/etc/*.conf", "/sys/class/iscsi_session/*"], &bad_paths);
        table::<PathPattern>(&[], &["/etc/*/x"]);
        table::<Line>(&["0", "a b", "-x@y"], &["", " a", "a ", "a\nb", "a\tb", "a\0"]);
        table::<FileText>(&["a\n", "a\tb\nc\n"], &["", "a", "a\r\n", "\u{1b}[0m\n"]);
        table::<SysctlKey>(&["net.ipv4.tcp_sack", "fs.suid_dumpable"], &["fs", "fs..x", ".fs.x", "fs.x/../y", "fs.x "]);
        table::<ModuleName>(&["dccp", "xt_u32", "8021q"], &["", "a-b", "a/b", "A", "a b", "../x"]);
        table::<ServiceName>(&["cups-browsed.service", "getty@tty1.service"], &["", "-x", "a b", "a/b", "a;b"]);
        table::<RuleName>(&["low-mss-v4"], &["", "a b", "x\"y", "A-b-c", "../x"]);
        table::<NamePattern>(&["log4j-core-2.1*.jar"], &["", "*", "*.jar", "ab*", "log4j/../x", "log?j"]);
        table::<MemberName>(&["org/a/B.class"], &["", "/org/a", "../a", "a/../b", "a//b", "a/*"]);
        table::<CmdlineParam>(
            &["gather_data_sampling=force", "spec_store_bypass_disable=on"],
            &["", "init=/bin/sh", "a b", "x=$(y)", "x=\"", "=x", "x="],
        );
        table::<XmlPath>(&["/Server/Service/Connector"], &["", "/", "a/b", "//a", "/a/", "/a[1]", "/a/@b", "/a/*"]);
        table::<RegistryKey>(
            &["HKLM\\SOFTWARE\\X Y", "HKCR\\ms-msdt"],
            &["", "HKLM", "HKCU\\X", "HKLM\\", "HKLM\\a\\\\b", "HKLM\\..\\x", "SOFTWARE\\X"],
        );
        table::<WindowsFile>(
            &["%windir%\\system32\\jscript.dll"],
            &[
                "",
                "%windir%",
                "%windir%\\",
                "c:\\windows\\x.dll",
                "%windir%\\..\\x.dll",
                "%windir%\\.\\x.dll",
                "%windir%\\\\x.dll",
                "%windir%\\x.dll:y",
                "%windir%\\%temp%\\x",
                "%windir%\\System32\\x.dll",
                "%WINDIR%\\x.dll",
                "%windir%\\x/y",
                "%windir%\\x.dll.",
                "%windir%\\x .\\y",
                "%windir%\\*.dll",
            ],
        );
        table::<SiteName>(
            &["Default Web Site", "a"],
            &["", " a", "a ", "a/b", "a'b", "a\"b", "a\\b", "../a", "a*", "[a]", "a\n"],
        );
        table::<UrlWord>(
            &["powershell", "x2345"],
            &["", "owa!", "abcd", ".*abc", "Powershell", "a-b-c-d", "power|shell"],
        );
        table::<PackageName>(&["libstdc++6", "telnet-server"], &["", "-y", "a b", "a=1", "a/b"]);
        table::<Url>(
            &["https://example.org/a?b=c#d"],
            &["http://example.org", "https://", "https://a b.c", "https://x/\""],
        );
    }

    #[test]
    fn patterns_match_names() {
        let matches =
            |pattern: &str, name: &str| format!("/d/{pattern}").parse::<PathPattern>().unwrap().matches_name(name);
        for (pattern, name, expected) in [
            ("*", "x", true),
            ("*", ".x", false),
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*c", "ab", false),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "ac", false),
            ("ab*bc", "abc", false),
            ("abc", "abc", true),
            ("abc", "abcd", false),
            ("*.conf", "x.conf", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
        assert_eq!("/x".parse::<PathPattern>().unwrap().folder(), "/");
        assert_eq!("/x/y*".parse::<PathPattern>().unwrap().folder(), "/x");
    }

    #[test]
    fn unit_names_are_completed() {
        assert_eq!("ssh".parse::<ServiceName>().unwrap().unit(), "ssh.service");
        assert_eq!("telnet.socket".parse::<ServiceName>().unwrap().unit(), "telnet.socket");
    }
}
