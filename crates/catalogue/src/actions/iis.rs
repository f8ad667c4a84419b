//! Parameters of the kinds that touch IIS: a rule of URL Rewrite that ends requests, and a module that is not loaded.
//!
//! Both are narrow on purpose. A rule holds words and no pattern of the entry's own, so that none can end every request or take
//! long to match; a module is one of a list, because others of them are what keeps people out.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::text::{RuleName, SiteName, UrlWord};

/// Most words of a rule.
const WORDS_MAX: usize = 8;

/// Parameters of `iis.rewrite_rule`: requests whose address holds all of these words are ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RuleFields", into = "RuleFields")]
pub struct IisRewriteRule {
    /// The site.
    pub site: SiteName,
    /// The rule's name; in IIS `quell-` stands before it, see [`IisRewriteRule::rule`].
    pub name: RuleName,
    /// The words, in any order in the address, upper or lower case. One to [`WORDS_MAX`], each once.
    pub words: Vec<UrlWord>,
}

impl IisRewriteRule {
    /// What the decoded address is asked for: a condition's input in URL Rewrite's own spelling.
    pub const INPUT: &str = "{UrlDecode:{REQUEST_URI}}";

    /// The rule's name in IIS, which says whose it is.
    #[must_use]
    pub fn rule(&self) -> String {
        format!("quell-{}", self.name)
    }

    /// The pattern that a condition matches the address against: every word, wherever it stands.
    #[must_use]
    pub fn pattern(&self) -> String {
        self.words.iter().map(|word| format!("(?=.*{word})")).collect()
    }

    /// The words for people: `autodiscover and powershell`.
    #[must_use]
    pub fn said(&self) -> String {
        let words: Vec<&str> = self.words.iter().map(UrlWord::as_str).collect();
        words.join(" and ")
    }
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFields {
    site: SiteName,
    name: RuleName,
    words: Vec<UrlWord>,
}

impl TryFrom<RuleFields> for IisRewriteRule {
    type Error = &'static str;

    fn try_from(RuleFields { site, name, words }: RuleFields) -> Result<Self, &'static str> {
        if words.is_empty() || words.len() > WORDS_MAX {
            return Err("iis.rewrite_rule: it takes 1 to 8 words; without one it would end every request");
        }
        if words.iter().enumerate().any(|(at, word)| words.iter().take(at).any(|other| other == word)) {
            return Err("iis.rewrite_rule: a word is listed twice");
        }
        Ok(Self { site, name, words })
    }
}

impl From<IisRewriteRule> for RuleFields {
    fn from(IisRewriteRule { site, name, words }: IisRewriteRule) -> Self {
        Self { site, name, words }
    }
}

/// Parameters of `iis.global_module`: IIS does not load a module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IisGlobalModule {
    /// The module.
    pub name: IisModuleName,
    /// What is wanted of it.
    pub want: ModuleWant,
}

/// The modules that an entry may keep from being loaded: a list, because many of the others check who asks, or for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum IisModuleName {
    /// Remembers tokens of people who signed in, so that the next request is faster.
    #[serde(rename = "TokenCacheModule")]
    TokenCache,
}

impl IisModuleName {
    /// As IIS and entries write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TokenCache => "TokenCacheModule",
        }
    }
}

impl fmt::Display for IisModuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What `iis.global_module` can want.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModuleWant {
    /// It is not in the list of modules that IIS loads.
    Absent,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(words: &str) -> Result<IisRewriteRule, toml::de::Error> {
        toml::from_str(&format!("site = \"Default Web Site\"\nname = \"one\"\nwords = {words}\n"))
    }

    #[test]
    fn a_rule_asks_for_every_word_and_can_never_mean_every_request() {
        let good = rule("[\"autodiscover\", \"powershell\"]").unwrap();
        assert_eq!(good.pattern(), "(?=.*autodiscover)(?=.*powershell)");
        assert_eq!((good.rule().as_str(), good.said().as_str()), ("quell-one", "autodiscover and powershell"));
        for words in [
            "[]",
            "[\"\"]",
            "[\".*\"]",
            "[\"powershell|.*\"]",
            "[\"(a+)+powershell\"]",
            "[\"powershell)(?!x\"]",
            "[\"owa\"]",
            "[\"PowerShell\"]",
            "[\"power shell\"]",
            "[\"powershell\", \"powershell\"]",
            "[\"aaaaa\", \"bbbbb\", \"ccccc\", \"ddddd\", \"eeeee\", \"fffff\", \"ggggg\", \"hhhhh\", \"iiiii\"]",
            "\"powershell\"",
        ] {
            assert!(rule(words).is_err(), "{words}");
        }
    }

    #[test]
    fn modules_that_keep_people_out_cannot_be_named() {
        let module = |name: &str, want: &str| {
            toml::from_str::<IisGlobalModule>(&format!("name = \"{name}\"\nwant = \"{want}\"\n"))
        };
        assert!(module("TokenCacheModule", "absent").is_ok());
        for (name, want) in [
            ("WindowsAuthenticationModule", "absent"),
            ("RequestFilteringModule", "absent"),
            ("UrlAuthorizationModule", "absent"),
            ("tokencachemodule", "absent"),
            ("TokenCacheModule", "present"),
        ] {
            assert!(module(name, want).is_err(), "{name} {want}");
        }
    }
}
