//! What to do after an answer that is not good: pure rules over status, headers, code and text.

use intake::ReadError;
use reqwest::header::HeaderMap;
use std::time::Duration;

/// Longest wait read from an answer; anything above is taken for nonsense.
const WAIT_MAX: Duration = Duration::from_secs(7 * 86_400);

/// What the platform says about its limits (`spec/qualys-api.md` 2.4); every part can be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RateHeaders {
    pub(crate) limit: Option<i64>,
    pub(crate) window_seconds: Option<u64>,
    pub(crate) remaining: Option<i64>,
    pub(crate) wait_seconds: Option<u64>,
    pub(crate) concurrency_limit: Option<usize>,
    pub(crate) retry_after_seconds: Option<u64>,
}

impl RateHeaders {
    pub(crate) fn read(headers: &HeaderMap) -> RateHeaders {
        fn number<T: std::str::FromStr>(headers: &HeaderMap, name: &str) -> Option<T> {
            headers.get(name)?.to_str().ok()?.trim().parse().ok()
        }
        RateHeaders {
            limit: number(headers, "x-ratelimit-limit"),
            window_seconds: number(headers, "x-ratelimit-window-sec"),
            remaining: number(headers, "x-ratelimit-remaining"),
            wait_seconds: number(headers, "x-ratelimit-towait-sec"),
            concurrency_limit: number(headers, "x-concurrency-limit-limit"),
            retry_after_seconds: number(headers, "retry-after"),
        }
    }

    /// Whether any of them came.
    pub(crate) fn says_anything(&self) -> bool {
        *self != RateHeaders::default()
    }

    /// How long the next call of this kind has to wait although this one worked.
    pub(crate) fn wait_before_next(&self) -> Option<Duration> {
        let wait = self.wait_seconds.filter(|seconds| *seconds > 0)?;
        (self.remaining.unwrap_or(0) <= 0).then(|| Duration::from_secs(wait).min(WAIT_MAX))
    }
}

/// What follows a bad answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// The same call would fail again.
    GiveUp,
    /// Transient: again after a short, growing pause.
    Again,
    /// Too many calls at once: again after a longer, growing pause.
    Queue,
    /// Too many calls in the window: again after this long.
    Wait(Duration),
    /// The session or token is no longer taken: sign in once more.
    SignInAgain,
    /// The platform does not know one of our parameters.
    UnknownParameter,
    /// This version of the end point does not exist.
    LaterVersion,
}

/// Judges an answer by its status, its limits headers and, where it is one, the error it holds.
pub(crate) fn judge(
    status: u16,
    rate: &RateHeaders,
    code: Option<&str>,
    text: &str,
    items: &[(String, String)],
) -> Then {
    match (code, status) {
        (Some("1965"), _) => Then::Wait(limited_for(rate, text, items)),
        (Some("1960" | "1920" | "1959" | "1966" | "2014"), _) => Then::Queue,
        (Some("999" | "1981" | "1999"), _) => Then::Again,
        (Some("1901"), _) => Then::UnknownParameter,
        (Some("2000"), _) | (None, 401) => Then::SignInAgain,
        (Some(_), 200..=499) => Then::GiveUp,
        (None, 409) if rate.remaining.is_some_and(|left| left <= 0) => Then::Wait(limited_for(rate, text, items)),
        (_, 429) => Then::Wait(limited_for(rate, text, items)),
        (None, 404 | 410) => Then::LaterVersion,
        (_, 202 | 408 | 500 | 502 | 503 | 504) => Then::Again,
        _ => Then::GiveUp,
    }
}

/// Judges a body that was promised good (status 200) and is not.
pub(crate) fn judge_body(rate: &RateHeaders, error: &ReadError) -> Then {
    match error {
        ReadError::ApiError { code: Some(code), text, items } => judge(200, rate, Some(code), text, items),
        // Old answers in the middle of data, cut bodies, pages of the front-end: the page is void, fetch it again.
        ReadError::ApiError { code: None, .. }
        | ReadError::Truncated { .. }
        | ReadError::NotWellFormed { .. }
        | ReadError::WrongRoot { .. }
        | ReadError::Io(_) => Then::Again,
        ReadError::EntityRefused { .. }
        | ReadError::TooLarge { .. }
        | ReadError::Refused { .. }
        | ReadError::Stopped => Then::GiveUp,
    }
}

/// The wait of a rate limit: header, then item, then text, then the whole window.
fn limited_for(rate: &RateHeaders, text: &str, items: &[(String, String)]) -> Duration {
    let positive = |seconds: Option<u64>| seconds.filter(|seconds| *seconds > 0);
    let item = items.iter().find(|(key, _)| key.eq_ignore_ascii_case("SECONDS_TO_WAIT"));
    let seconds = positive(rate.wait_seconds)
        .or(positive(rate.retry_after_seconds))
        .or(positive(item.and_then(|(_, value)| value.trim().parse().ok())))
        .or(positive(spelled_out(text)))
        .or(positive(rate.window_seconds))
        .unwrap_or(60);
    Duration::from_secs(seconds).min(WAIT_MAX)
}

/// `... for another 23 hours, 57 minutes and 54 seconds.` in seconds.
fn spelled_out(text: &str) -> Option<u64> {
    let words: Vec<&str> = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let mut total = None;
    for pair in words.windows(2) {
        let [number, unit] = pair else { continue };
        let Ok(number) = number.parse::<u64>() else { continue };
        let seconds = match unit.trim_end_matches('s') {
            "day" => 86_400,
            "hour" => 3_600,
            "minute" => 60,
            "second" => 1,
            _ => continue,
        };
        total = Some(total.unwrap_or(0u64).saturating_add(number.saturating_mul(seconds)));
    }
    total
}

/// The pause before try `tries` (from 0): doubling from `first` up to `most`.
pub(crate) fn pause(first: Duration, most: Duration, tries: u32) -> Duration {
    first.saturating_mul(1 << tries.min(16)).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(remaining: Option<i64>, wait: Option<u64>) -> RateHeaders {
        RateHeaders { remaining, wait_seconds: wait, window_seconds: Some(3600), ..RateHeaders::default() }
    }

    #[test]
    fn every_known_answer_is_judged() {
        let wait = |seconds| Then::Wait(Duration::from_secs(seconds));
        for (status, code, headers, wanted) in [
            (409, Some("1965"), rate(Some(0), Some(12)), wait(12)),
            (409, Some("1965"), rate(Some(0), Some(0)), wait(3600)),
            (409, Some("1960"), rate(None, None), Then::Queue),
            (409, Some("1920"), rate(None, None), Then::Queue),
            (409, Some("2003"), rate(None, None), Then::GiveUp),
            (409, Some("2011"), rate(Some(0), Some(5)), Then::GiveUp),
            (409, None, rate(Some(0), Some(5)), wait(5)),
            (409, None, rate(Some(7), None), Then::GiveUp),
            (429, None, RateHeaders { retry_after_seconds: Some(3), ..RateHeaders::default() }, wait(3)),
            (400, Some("1901"), rate(None, None), Then::UnknownParameter),
            (400, Some("1905"), rate(None, None), Then::GiveUp),
            (400, Some("999"), rate(None, None), Then::Again),
            (503, Some("1999"), rate(None, None), Then::Again),
            (502, None, rate(None, None), Then::Again),
            (503, None, rate(None, None), Then::Again),
            (504, None, rate(None, None), Then::Again),
            (202, Some("1981"), rate(None, None), Then::Again),
            (401, Some("2000"), rate(None, None), Then::SignInAgain),
            (401, None, rate(None, None), Then::SignInAgain),
            (200, Some("2001"), rate(None, None), Then::GiveUp),
            (403, Some("2012"), rate(None, None), Then::GiveUp),
            (404, None, rate(None, None), Then::LaterVersion),
            (414, None, rate(None, None), Then::GiveUp),
        ] {
            assert_eq!(judge(status, &headers, code, "", &[]), wanted, "{status} {code:?} {headers:?}");
        }
    }

    #[test]
    fn the_wait_is_read_where_it_stands() {
        let text = "This API cannot be run again for another 23 hours, 57 minutes and 54 seconds.";
        assert_eq!(spelled_out(text), Some(23 * 3600 + 57 * 60 + 54));
        assert_eq!(spelled_out("cannot be run again until 1 currently running instance has finished"), None);
        let items = [("SECONDS_TO_WAIT".to_owned(), "7".to_owned())];
        assert_eq!(limited_for(&rate(Some(0), None), text, &items), Duration::from_secs(7));
        assert_eq!(limited_for(&rate(Some(0), None), text, &[]), Duration::from_secs(86_274));
        assert_eq!(limited_for(&RateHeaders::default(), "", &[]), Duration::from_secs(60));
        let absurd = RateHeaders { wait_seconds: Some(u64::MAX), ..RateHeaders::default() };
        assert_eq!(limited_for(&absurd, "", &[]), WAIT_MAX);
    }

    #[test]
    fn pauses_grow_and_end() {
        let pauses: Vec<u64> =
            (0..6).map(|tries| pause(Duration::from_secs(2), Duration::from_secs(60), tries).as_secs()).collect();
        assert_eq!(pauses, [2, 4, 8, 16, 32, 60]);
        assert_eq!(pause(Duration::from_secs(2), Duration::from_secs(60), u32::MAX).as_secs(), 60);
    }

    #[test]
    fn a_good_answer_can_tell_to_wait() {
        assert_eq!(rate(Some(0), Some(9)).wait_before_next(), Some(Duration::from_secs(9)));
        assert_eq!(rate(Some(5), Some(0)).wait_before_next(), None);
        assert_eq!(rate(Some(5), Some(9)).wait_before_next(), None);
    }
}
