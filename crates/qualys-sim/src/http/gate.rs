//! What stands before every call: who is calling, and whether the call may run now (spec sections 2.2 and 2.4).

use super::reply::Refusal;
use crate::options::{Account, Limits, Options};
use crate::roll::Roll;
use base64::Engine;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex};

/// Idle time after which a session ends.
const SESSION_IDLE: SignedDuration = SignedDuration::from_mins(60);
/// Life of a gateway token.
const TOKEN_LIFE: SignedDuration = SignedDuration::from_hours(4);
/// Most sessions of one login.
const SESSIONS_MAX: usize = 10;

/// Sessions and tokens.
#[derive(Debug, Default)]
pub(crate) struct Access {
    sessions: Mutex<HashMap<String, Timestamp>>,
    tokens: Mutex<HashMap<String, Timestamp>>,
    made: Mutex<u64>,
}

/// How a call was authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// By password.
    Password,
    /// By session cookie; neither counted nor given rate headers.
    Session,
    /// By bearer token.
    Token,
}

impl Access {
    /// Checks the credentials of an API call.
    pub(crate) fn check(
        &self,
        options: &Options,
        headers: &[(String, String)],
        now: Timestamp,
    ) -> Result<Caller, Refusal> {
        let header = |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let wrong = || Err(Refusal::login(401, 2000, "Bad Login/Password"));
        let caller = match header("authorization").and_then(|value| value.split_once(' ')) {
            Some((scheme, value)) if scheme.eq_ignore_ascii_case("basic") => {
                if !password_fits(options, value) {
                    return wrong();
                }
                Caller::Password
            }
            Some((scheme, value)) if scheme.eq_ignore_ascii_case("bearer") => {
                if !(options.switches.bearer_on_api && self.token_holds(value, now)) {
                    return wrong();
                }
                Caller::Token
            }
            _ => match header("cookie").and_then(session_of) {
                Some(session) if self.touch_session(session, now) => Caller::Session,
                _ => return wrong(),
            },
        };
        account_state(options.account)?;
        Ok(caller)
    }

    /// Opens a session and returns its id.
    pub(crate) fn open_session(
        &self,
        options: &Options,
        user: &str,
        password: &str,
        now: Timestamp,
    ) -> Result<String, Refusal> {
        if user != options.username || password != options.password {
            return Err(Refusal::login(401, 2000, "Bad Login/Password"));
        }
        account_state(options.account)?;
        let mut sessions = self.sessions.lock().expect("no code panics while holding the sessions");
        sessions.retain(|_, used| now.duration_since(*used) < SESSION_IDLE);
        if sessions.len() >= SESSIONS_MAX {
            return Err(Refusal::login(409, 2014, "This user has too many concurrent login sessions"));
        }
        let id = self.secret(options.seed, 1);
        sessions.insert(id.clone(), now);
        Ok(id)
    }

    /// Ends the session of a cookie; whether there was one.
    pub(crate) fn close_session(&self, cookie: Option<&str>) -> bool {
        let mut sessions = self.sessions.lock().expect("no code panics while holding the sessions");
        cookie.and_then(session_of).is_some_and(|id| sessions.remove(id).is_some())
    }

    /// Makes a gateway token; `None` when the password is wrong.
    pub(crate) fn make_token(&self, options: &Options, user: &str, password: &str, now: Timestamp) -> Option<String> {
        if user != options.username || password != options.password {
            return None;
        }
        let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
        let expires = now.checked_add(TOKEN_LIFE).unwrap_or(now);
        let claims = format!("{{\"sub\":\"{user}\",\"exp\":{}}}", expires.as_second());
        let token = format!(
            "{}.{}.{}",
            encode("{\"alg\":\"none\",\"sim\":true}"),
            encode(&claims),
            self.secret(options.seed, 2)
        );
        self.tokens.lock().expect("no code panics while holding the tokens").insert(token.clone(), expires);
        Some(token)
    }

    /// Whether a call of the gateway carries a token that holds.
    pub(crate) fn has_token(&self, headers: &[(String, String)], now: Timestamp) -> bool {
        let header = headers.iter().find(|(known, _)| known == "authorization");
        let scheme = header.and_then(|(_, value)| value.split_once(' '));
        scheme.is_some_and(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer") && self.token_holds(token, now))
    }

    fn token_holds(&self, token: &str, now: Timestamp) -> bool {
        let tokens = self.tokens.lock().expect("no code panics while holding the tokens");
        tokens.get(token).is_some_and(|expires| now < *expires)
    }

    fn touch_session(&self, id: &str, now: Timestamp) -> bool {
        let mut sessions = self.sessions.lock().expect("no code panics while holding the sessions");
        match sessions.get_mut(id) {
            Some(used) if now.duration_since(*used) < SESSION_IDLE => {
                *used = now;
                true
            }
            _ => false,
        }
    }

    fn secret(&self, seed: u64, kind: u64) -> String {
        let mut made = self.made.lock().expect("no code panics while holding the counter");
        *made += 1;
        Roll::new(seed, &[40, kind, *made]).hex(32)
    }
}

fn password_fits(options: &Options, encoded: &str) -> bool {
    let wanted = format!("{}:{}", options.username, options.password);
    base64::engine::general_purpose::STANDARD.decode(encoded.trim()).is_ok_and(|bytes| bytes == wanted.as_bytes())
}

fn session_of(cookie: &str) -> Option<&str> {
    cookie
        .split(';')
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == "QualysSession")
        .map(|(_, id)| id)
}

fn account_state(account: Account) -> Result<(), Refusal> {
    Err(match account {
        Account::Active => return Ok(()),
        Account::Inactive => Refusal::login(403, 2002, "User account is inactive."),
        Account::Unregistered => {
            Refusal::login(409, 2003, "Registration must be completed before API requests will be served.")
        }
        Account::Unlicensed => Refusal::login(403, 2012, "User license is not authorized to run this API."),
        Account::Expired => Refusal::login(200, 2001, "This account has expired."),
    })
}

/// What the limit headers of an answer say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) rate: u32,
    pub(crate) window: u32,
    pub(crate) remaining: Option<u32>,
    pub(crate) wait: Option<u64>,
    pub(crate) concurrency: u32,
    pub(crate) running: u32,
}

/// Calls of one end point side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Parallel {
    /// Under way now.
    pub running: u32,
    /// The most there were at once, those refused for being too many included.
    pub most: u32,
}

/// Calls per end point.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    counts: Arc<Mutex<HashMap<&'static str, Count>>>,
}

#[derive(Debug, Default)]
struct Count {
    running: u32,
    most: u32,
    calls: VecDeque<Timestamp>,
}

/// A call under way; it counts as running until it is dropped, that is until its body was sent.
#[derive(Debug)]
pub(crate) struct Running {
    counts: Arc<Mutex<HashMap<&'static str, Count>>>,
    endpoint: &'static str,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(mut counts) = self.counts.lock()
            && let Some(count) = counts.get_mut(self.endpoint)
        {
            count.running = count.running.saturating_sub(1);
        }
    }
}

impl Meter {
    /// How many calls ran side by side, per end point.
    pub(crate) fn parallel(&self) -> BTreeMap<String, Parallel> {
        let counts = self.counts.lock().expect("no code panics while holding the meter");
        let of = |count: &Count| Parallel { running: count.running, most: count.most };
        counts.iter().map(|(name, count)| ((*name).to_owned(), of(count))).collect()
    }

    /// Forgets the highest numbers.
    pub(crate) fn forget_most(&self) {
        let mut counts = self.counts.lock().expect("no code panics while holding the meter");
        counts.values_mut().for_each(|count| count.most = count.running);
    }

    /// Counts a call, or refuses it: parallel calls first, then the rate.
    pub(crate) fn enter(
        &self,
        limits: Limits,
        endpoint: &'static str,
        now: Timestamp,
    ) -> Result<(Running, Usage), (Box<Refusal>, Usage)> {
        let concurrency = if endpoint == "knowledge-base" { 1 } else { limits.concurrency.max(1) };
        let mut counts = self.counts.lock().expect("no code panics while holding the meter");
        let count = counts.entry(endpoint).or_default();
        count.most = count.most.max(count.running + 1);
        let window = SignedDuration::from_secs(i64::from(limits.window_seconds));
        while count.calls.front().is_some_and(|call| now.duration_since(*call) >= window) {
            count.calls.pop_front();
        }
        let used = u32::try_from(count.calls.len()).unwrap_or(u32::MAX);
        let usage = Usage {
            rate: limits.rate,
            window: limits.window_seconds,
            remaining: Some(limits.rate.saturating_sub(used + 1)),
            wait: Some(0),
            concurrency,
            running: count.running,
        };
        if count.running >= concurrency {
            let refusal = super::faults::FaultKind::TooManyAtOnce { headers: true }.refusal();
            let refusal = refusal.expect("this fault is a refusal");
            return Err((Box::new(refusal), Usage { remaining: None, wait: None, ..usage }));
        }
        if limits.rate > 0 && used >= limits.rate {
            let first = count.calls.front().copied().unwrap_or(now);
            let free = first.checked_add(window).unwrap_or(now);
            let seconds = u64::try_from(free.duration_since(now).as_secs()).unwrap_or(0).max(1);
            let refusal = super::faults::FaultKind::RateLimited { seconds, headers: true }.refusal();
            let refusal = refusal.expect("this fault is a refusal");
            return Err((Box::new(refusal), Usage { remaining: Some(0), wait: Some(seconds), ..usage }));
        }
        count.running += 1;
        count.calls.push_back(now);
        drop(counts);
        Ok((Running { counts: Arc::clone(&self.counts), endpoint }, usage))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parallel_calls_are_judged_before_the_rate_and_a_finished_call_makes_room() {
        let meter = Meter::default();
        let limits = Limits { rate: 3, window_seconds: 60, concurrency: 2 };
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a fixed instant");
        let first = meter.enter(limits, "scan", now).expect("room");
        let second = meter.enter(limits, "scan", now).expect("room");
        assert_eq!((first.1.remaining, second.1.remaining, second.1.running), (Some(2), Some(1), 1));
        assert_eq!(meter.parallel()["scan"], Parallel { running: 2, most: 2 });
        let (refusal, usage) = meter.enter(limits, "scan", now).expect_err("two are running");
        assert_eq!(meter.parallel()["scan"], Parallel { running: 2, most: 3 }, "a refused call was one too many");
        assert_eq!((refusal.code, usage.remaining, usage.running), (Some(1960), None, 2));
        drop(first);
        meter.enter(limits, "scan", now).expect("room again");
        drop(second);
        let later = now.checked_add(SignedDuration::from_secs(20)).expect("in range");
        let (refusal, usage) = meter.enter(limits, "scan", later).expect_err("three were counted");
        assert_eq!((refusal.code, usage.wait), (Some(1965), Some(40)));
        assert!(meter.enter(limits, "about", later).is_ok(), "each end point counts for itself");
        let next = now.checked_add(SignedDuration::from_secs(61)).expect("in range");
        assert!(meter.enter(limits, "scan", next).is_ok());
    }

    #[test]
    fn a_session_ends_when_it_idles() {
        let (access, options) = (Access::default(), Options::default());
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a fixed instant");
        let id = access.open_session(&options, &options.username, &options.password, now).expect("a session");
        let headers = vec![("cookie".to_owned(), format!("a=b; QualysSession={id}"))];
        let at = |minutes| now.checked_add(SignedDuration::from_mins(minutes)).expect("in range");
        assert_eq!(access.check(&options, &headers, at(59)), Ok(Caller::Session));
        assert_eq!(access.check(&options, &headers, at(118)), Ok(Caller::Session));
        assert!(access.check(&options, &headers, at(179)).is_err());
    }
}
