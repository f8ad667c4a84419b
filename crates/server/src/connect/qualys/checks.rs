//! The test of a connection: everything an import or a rescan needs, tried once each, with what to do where it fails.
//!
//! The platform answers a wrong password, a missing permission and a wrong platform alike, so a refused sign-in names all
//! three. What can be told apart is: names, certificates, silence, another host than the platform's. A password that was
//! refused is not sent again: the rest is left untried.

use crate::connect::qualys::client::{Call, Client};
use crate::connect::qualys::config::{Auth, Endpoint};
use crate::connect::qualys::detections::DetectionQuery;
use crate::connect::qualys::error::{Cause, Error};
use crate::connect::qualys::hosts::HostQuery;
use crate::connect::qualys::knowledge_base::KnowledgeBaseQuery;
use crate::connect::qualys::pages::{Document, Pages};
use intake::qualys::{appliances, asset_groups, scans};
use std::time::Duration;

/// Longest time for one check.
const CHECK_TIME: Duration = Duration::from_secs(10);
/// Longest time for all of them: a request to this server is answered within half a minute.
const ALL_TIME: Duration = Duration::from_secs(24);
/// A vulnerability that every knowledge base has; one that has it not answers with an empty list.
const ANY_QID: i64 = 45_017;

/// What is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Name and password, or a session.
    SignIn,
    /// A token of the gateway, and that the platform takes it.
    Gateway,
    /// The host list.
    Hosts,
    /// Detections.
    Detections,
    /// The knowledge base.
    KnowledgeBase,
    /// Option profiles.
    OptionProfiles,
    /// Scanner appliances.
    Appliances,
    /// Asset groups.
    AssetGroups,
    /// The list of scans.
    ScanList,
}

impl What {
    /// What is tried of a connection that signs in like this, in order.
    #[must_use]
    pub fn of(auth: Auth) -> [What; 8] {
        let first = if auth == Auth::Jwt { What::Gateway } else { What::SignIn };
        [
            first,
            What::Hosts,
            What::Detections,
            What::KnowledgeBase,
            What::OptionProfiles,
            What::Appliances,
            What::AssetGroups,
            What::ScanList,
        ]
    }

    /// The stable word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            What::SignIn => "sign_in",
            What::Gateway => "gateway_token",
            What::Hosts => "host_list",
            What::Detections => "detections",
            What::KnowledgeBase => "knowledge_base",
            What::OptionProfiles => "option_profiles",
            What::Appliances => "appliances",
            What::AssetGroups => "asset_groups",
            What::ScanList => "scan_list",
        }
    }

    /// Whether imports cannot do without it; the others are for rescans.
    #[must_use]
    pub fn for_imports(self) -> bool {
        !matches!(self, What::OptionProfiles | What::Appliances | What::AssetGroups | What::ScanList)
    }
}

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It works.
    Works,
    /// It would, but the platform's limit is used up for now.
    Limited,
    /// The platform was asked and refused.
    Refused,
    /// There was no usable answer.
    Failed,
    /// An earlier check leaves no point in it.
    NotTried,
}

impl Verdict {
    /// The stable word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Works => "works",
            Verdict::Limited => "limited",
            Verdict::Refused => "refused",
            Verdict::Failed => "failed",
            Verdict::NotTried => "not_tried",
        }
    }
}

/// One line of the test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was tried.
    pub what: What,
    /// What came of it.
    pub verdict: Verdict,
    /// A stable word for the reason; empty where it works.
    pub cause: &'static str,
    /// What was found, or what the platform said.
    pub detail: String,
    /// What to do; empty where nothing is to be done.
    pub advice: &'static str,
}

impl Client {
    /// Tries everything that imports and rescans need, each once, and gives a line for each. Signs in at most once.
    pub async fn check(&self) -> Vec<Check> {
        let wanted = What::of(self.config().auth);
        let mut found = Vec::new();
        // What is not reached in time stays untried.
        let _ = tokio::time::timeout(ALL_TIME, self.check_each(&wanted, &mut found)).await;
        for what in wanted.into_iter().skip(found.len()) {
            let advice = "Put right what failed above, then test again.";
            found.push(Check { what, verdict: Verdict::NotTried, cause: "not_tried", detail: String::new(), advice });
        }
        found
    }

    async fn check_each(&self, wanted: &[What], found: &mut Vec<Check>) {
        for what in wanted.iter().copied() {
            let outcome = tokio::time::timeout(CHECK_TIME, self.check_one(what)).await;
            let check = match outcome {
                Ok(Ok(detail)) => Check { what, verdict: Verdict::Works, cause: "", detail, advice: "" },
                Ok(Err(error)) => {
                    let (verdict, cause, advice) = judge(what, &error);
                    Check { what, verdict, cause, detail: crate::http::error::causes(&error), advice }
                }
                Err(_) => {
                    let detail = format!("no answer within {} seconds", CHECK_TIME.as_secs());
                    Check { what, verdict: Verdict::Failed, cause: "time_out", detail, advice: TIMED_OUT }
                }
            };
            let ends = ends(&check);
            found.push(check);
            if ends {
                return;
            }
        }
    }

    async fn check_one(&self, what: What) -> Result<String, Error> {
        let list = |endpoint| Call::new(endpoint, "list");
        match what {
            What::SignIn if self.config().auth == Auth::Basic => self.about().await.map(|_| "signed in".to_owned()),
            What::SignIn | What::Gateway => {
                self.inner.ticket().await.map(|_| "signed in".to_owned()).map_err(|failure| failure.error)
            }
            What::Hosts => {
                let mut pages =
                    Pages::new(self.clone(), Document::Hosts, self.host_call(&HostQuery::default(), "None"));
                let some = pages.next().await?.is_some_and(|page| !page.ids.is_empty());
                Ok(if some { SEES_HOSTS } else { SEES_NONE }.to_owned())
            }
            What::Detections => {
                let query = DetectionQuery { without_results: true, ..DetectionQuery::default() };
                self.host_detections(&query).next().await.map(|_| String::new())
            }
            What::KnowledgeBase => {
                let query = KnowledgeBaseQuery { ids: vec![ANY_QID], ..KnowledgeBaseQuery::default() };
                self.knowledge_base(&query).next().await.map(|_| String::new())
            }
            What::OptionProfiles => self.option_profiles().await.map(|found| format!("{} can be used", found.len())),
            What::Appliances => {
                let call = list(Endpoint::Appliances).with("output_mode", "brief");
                let found = self.call(call, |input, limits| appliances::read(input, limits)).await?;
                Ok(format!("{} can be used", found.entries.len()))
            }
            What::AssetGroups => {
                let call = list(Endpoint::AssetGroups).with("truncation_limit", self.config().page_size);
                self.call(call, |input, limits| asset_groups::read(input, limits)).await.map(|_| String::new())
            }
            What::ScanList => {
                let call = list(Endpoint::ScanList).with("scan_ref", "scan/0.0");
                self.call(call, |input, limits| scans::read(input, limits)).await.map(|_| String::new())
            }
        }
    }
}

/// What the host list says of an account that sees something.
pub const SEES_HOSTS: &str = "the account sees hosts";
/// What it says of one that sees nothing.
pub const SEES_NONE: &str = "the account sees no host: an empty subscription or a narrow scope";

const TIMED_OUT: &str =
    "A firewall may drop the connection, or the platform is slow. Check the way out of this server, then try again.";

/// Whether the checks after this one are pointless, or would send a refused password again.
fn ends(check: &Check) -> bool {
    let first = matches!(check.what, What::SignIn | What::Gateway);
    let failed = matches!(check.verdict, Verdict::Refused | Verdict::Failed);
    (first && failed) || matches!(check.cause, "sign_in" | "dns" | "tls" | "connection_refused")
}

/// What an error of a check means, and what to do about it.
fn judge(what: What, error: &Error) -> (Verdict, &'static str, &'static str) {
    let first = matches!(what, What::SignIn | What::Gateway);
    let other_host = (
        Verdict::Failed,
        "wrong_host",
        "Something else than the scanner's API answers there. Check the host name and the path of the address.",
    );
    let permission = (
        Verdict::Refused,
        "permission",
        "The account's role does not allow this call. Its role or scope has to be widened at Qualys.",
    );
    match error {
        Error::Unreachable { cause, .. } => match cause {
            Cause::Name => (
                Verdict::Failed,
                "dns",
                "The host's name is not known. Check the spelling of the address, and name resolution on this server.",
            ),
            Cause::Refused => (
                Verdict::Failed,
                "connection_refused",
                "Nothing takes connections at that host and port. Check the address, the port, and firewalls.",
            ),
            Cause::TimedOut => (Verdict::Failed, "time_out", TIMED_OUT),
            Cause::Tls => (
                Verdict::Failed,
                "tls",
                "The certificate is not trusted or belongs to another host. Check the host name; the authority of an \
                 inspecting proxy has to be trusted on this server.",
            ),
            Cause::Broken => {
                (Verdict::Failed, "connection", "The connection broke. Try again; check proxies on the way.")
            }
        },
        Error::SignIn { reply } if !first && reply.status != 401 => permission,
        Error::SignIn { .. } => (
            Verdict::Refused,
            "sign_in",
            "Check the user name and password, the account's permission to use the API, and that the address is the \
             platform of the subscription: the scanner answers all three alike.",
        ),
        Error::Account { .. } => (
            Verdict::Refused,
            "account",
            "The account is known but cannot be used. Its owner puts that right at Qualys.",
        ),
        Error::Limited { .. } => {
            (Verdict::Limited, "limited", "The subscription's limit is used up for now. Nothing has to be done.")
        }
        Error::Redirected { .. } => other_host,
        Error::VersionGone { .. } | Error::Answer { .. } if first => other_host,
        Error::VersionGone { .. } => (
            Verdict::Refused,
            "version_gone",
            "None of the known versions of this end point answers. Choose another version, or check the address.",
        ),
        Error::Refused { .. } => permission,
        Error::Unavailable { .. } => {
            (Verdict::Failed, "unavailable", "The platform is down or overloaded. Try again later.")
        }
        Error::Config(_) => (Verdict::Failed, "config", "Put right what is set above, then test again."),
        Error::Answer { .. } | Error::Paging { .. } | Error::Uncertain { .. } => {
            (Verdict::Failed, "answer", "The answer could not be read. Try another version of this end point.")
        }
        Error::Spool(_) => (Verdict::Failed, "server", "This server could not keep the answer. Check its disk."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::qualys::error::Reply;

    fn unreachable(cause: Cause) -> Error {
        Error::Unreachable { host: "h".to_owned(), what: "x", cause, reason: String::new() }
    }

    fn sign_in(status: u16) -> Error {
        Error::SignIn { reply: Box::new(Reply { status, ..Reply::default() }) }
    }

    #[test]
    fn what_can_be_told_apart_is() {
        let redirected = Error::Redirected { what: "x", to: "y".to_owned() };
        let gone = || Error::VersionGone { what: "x", version: 2, reply: Box::default() };
        let refused = Error::Refused { what: "x", reply: Box::default() };
        let limited = Error::Limited { what: "x", wait: Duration::ZERO, reply: Box::default() };
        let account = Error::Account { reply: Box::default() };
        for (what, error, verdict, cause, ends_all) in [
            (What::SignIn, unreachable(Cause::Name), Verdict::Failed, "dns", true),
            (What::SignIn, unreachable(Cause::Refused), Verdict::Failed, "connection_refused", true),
            (What::SignIn, unreachable(Cause::Tls), Verdict::Failed, "tls", true),
            (What::SignIn, unreachable(Cause::TimedOut), Verdict::Failed, "time_out", true),
            (What::Hosts, unreachable(Cause::TimedOut), Verdict::Failed, "time_out", false),
            (What::SignIn, sign_in(401), Verdict::Refused, "sign_in", true),
            (What::Detections, sign_in(401), Verdict::Refused, "sign_in", true),
            (What::Detections, sign_in(403), Verdict::Refused, "permission", false),
            (What::SignIn, account, Verdict::Refused, "account", true),
            (What::SignIn, redirected, Verdict::Failed, "wrong_host", true),
            (What::SignIn, gone(), Verdict::Failed, "wrong_host", true),
            (What::ScanList, gone(), Verdict::Refused, "version_gone", false),
            (What::OptionProfiles, refused, Verdict::Refused, "permission", false),
            (What::KnowledgeBase, limited, Verdict::Limited, "limited", false),
        ] {
            let (found, word, advice) = judge(what, &error);
            assert_eq!((found, word), (verdict, cause), "{what:?} {error}");
            assert!(advice.ends_with('.') && advice.len() > 20, "{advice}");
            let check = Check { what, verdict, cause: word, detail: String::new(), advice };
            assert_eq!(ends(&check), ends_all, "{what:?} {error}");
        }
    }

    #[test]
    fn a_refused_sign_in_names_all_three_causes() {
        let (_, _, advice) = judge(What::SignIn, &sign_in(401));
        for cause in ["password", "permission", "platform"] {
            assert!(advice.contains(cause), "{advice}");
        }
    }
}
