//! Planned misbehaviour: which request is answered wrongly, and how (spec section 13 item 6).

use super::params::Params;
use super::reply::{Chunks, Family, Refusal, Reply};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

/// One kind of misbehaviour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum FaultKind {
    /// 409 with 1965: too many calls.
    RateLimited {
        /// Seconds to wait, in the text and, if `headers`, in the header.
        seconds: u64,
        /// Whether `X-RateLimit-ToWait-Sec` is sent; some answers lack it.
        headers: bool,
    },
    /// 409 with 1960: too many calls at once.
    TooManyAtOnce {
        /// Whether the answer carries the limit headers.
        headers: bool,
    },
    /// 409 with 1920: blocked by other objects.
    Blocked,
    /// An HTML page of a front end, usually 502, 503 or 504.
    Html {
        /// HTTP status.
        status: u16,
    },
    /// 503 with 1999: maintenance.
    Maintenance,
    /// 401 with 2000, as if the password were wrong.
    BadLogin,
    /// 414: the address is too long.
    TooLong,
    /// 404, as a retired version might answer.
    Gone,
    /// Status 200 whose body is an error envelope.
    ErrorWith200 {
        /// The error code.
        code: u32,
    },
    /// Status 200 with nothing in it.
    Empty,
    /// A GENERIC_RETURN after some hosts or entries, then the end.
    ErrorMidway {
        /// Rows before it.
        after: usize,
    },
    /// The connection breaks after so many bytes.
    Cut {
        /// Bytes that arrive.
        after: usize,
    },
    /// Characters that XML 1.0 forbids, and broken UTF-8.
    InvalidCharacters,
    /// Comments inside the response while the server "works".
    KeepAliveComments,
    /// The body arrives in small pieces with pauses.
    SlowDrip {
        /// Bytes per piece.
        bytes: usize,
        /// Milliseconds between two pieces.
        pause_ms: u64,
    },
    /// The answer begins late.
    Delay {
        /// Milliseconds before the first byte.
        ms: u64,
    },
    /// The page begins with the last host of the page before.
    DuplicateHost,
    /// The next-page address asks for the same page again.
    FrozenCursor,
    /// Element names in lower case.
    LowerCaseTags,
    /// Id lists use ranges.
    IdRange,
    /// Detections lack UNIQUE_VULN_ID.
    NoUniqueVulnId,
    /// RESULTS are escaped twice.
    DoubleEscapedResults,
    /// 1901 for calls that name this parameter, as a version that does not know it.
    UnknownParameter {
        /// Its name.
        name: String,
    },
    /// White space is added until the page is this long.
    HugePage {
        /// Bytes of the padding.
        bytes: usize,
    },
}

/// One planned fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Name of the end point as in the journal; absent means any.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// The first request (from 1, counted per end point, or over all if no end point is named) it hits; absent means the next one.
    #[serde(default)]
    pub from: Option<u64>,
    /// How many requests it hits; 0 means every one from then on.
    #[serde(default = "once")]
    pub times: u64,
    /// What happens.
    #[serde(flatten)]
    pub what: FaultKind,
}

fn once() -> u64 {
    1
}

impl Fault {
    /// The fault on the next request of an end point.
    pub fn next(endpoint: &str, what: FaultKind) -> Self {
        Self { endpoint: Some(endpoint.to_owned()), from: None, times: 1, what }
    }

    /// The fault on the `number`th request of an end point since the plan was set.
    pub fn on(endpoint: &str, number: u64, what: FaultKind) -> Self {
        Self { endpoint: Some(endpoint.to_owned()), from: Some(number), times: 1, what }
    }
}

/// A list of faults; the first that fits a request is used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FaultPlan {
    /// The faults.
    pub faults: Vec<Fault>,
}

impl From<Vec<Fault>> for FaultPlan {
    fn from(faults: Vec<Fault>) -> Self {
        Self { faults }
    }
}

/// The plan in force and what was counted since it was set.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    state: Mutex<Counting>,
}

#[derive(Debug, Default)]
struct Counting {
    plan: Vec<(Fault, u64)>,
    seen: HashMap<String, u64>,
    all: u64,
}

impl Faults {
    /// Replaces the plan and starts counting anew.
    pub(crate) fn set(&self, plan: FaultPlan) {
        let mut state = self.state.lock().expect("no code panics while holding the fault plan");
        *state = Counting { plan: plan.faults.into_iter().map(|fault| (fault, 0)).collect(), ..Counting::default() };
    }

    /// Counts a request and says what is to go wrong with it.
    pub(crate) fn take(&self, endpoint: &str) -> Option<FaultKind> {
        let mut state = self.state.lock().expect("no code panics while holding the fault plan");
        state.all += 1;
        let all = state.all;
        let here = {
            let seen = state.seen.entry(endpoint.to_owned()).or_default();
            *seen += 1;
            *seen
        };
        for (fault, used) in &mut state.plan {
            let fits = fault.endpoint.as_deref().is_none_or(|name| name == endpoint);
            let number = if fault.endpoint.is_some() { here } else { all };
            let open = fault.times == 0 || *used < fault.times;
            if fits && open && fault.from.is_none_or(|from| number >= from) {
                *used += 1;
                return Some(fault.what.clone());
            }
        }
        None
    }
}

impl FaultKind {
    /// The answer of a fault that replaces the whole call.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        Some(match self {
            Self::RateLimited { seconds, .. } => {
                let (hours, minutes, rest) = (seconds / 3_600, seconds % 3_600 / 60, seconds % 60);
                let text = format!(
                    "This API cannot be run again for another {hours} hours, {minutes} minutes and {rest} seconds."
                );
                Refusal::new(409, 1965, text).item("SECONDS_TO_WAIT", seconds.to_string())
            }
            Self::TooManyAtOnce { .. } => {
                Refusal::new(409, 1960, "This API cannot be run again until 1 currently running instance has finished.")
                    .item("CALLS_TO_FINISH", "1")
            }
            Self::Blocked => {
                Refusal::new(409, 1920, "The requested operation is blocked by one or more existing objects.")
            }
            Self::Maintenance => Refusal::new(503, 1999, "The service is under maintenance. Please try again later."),
            Self::BadLogin => Refusal::login(401, 2000, "Bad Login/Password"),
            Self::ErrorWith200 { code } => Refusal::new(200, *code, "Internal error. Please contact support."),
            _ => return None,
        })
    }

    /// The answer to a call with a parameter that the fault makes unknown.
    pub(crate) fn unknown(&self, params: &Params) -> Option<Refusal> {
        match self {
            Self::UnknownParameter { name } if params.get(name).is_some() => {
                Some(Refusal::bad(1901, format!("Unrecognized parameter(s): {name}")))
            }
            _ => None,
        }
    }

    /// The answer of a fault that is no answer of the API at all.
    pub(crate) fn page(&self) -> Option<Reply> {
        let html = |status: u16, text: &str| {
            let page =
                format!("<html>\n<head><title>{status} {text}</title></head>\n<body><h1>{text}</h1></body>\n</html>\n");
            Reply::new(status, "text/html; charset=UTF-8", page, Family::Plain).with("connection", "close")
        };
        Some(match self {
            Self::Html { status } => html(*status, "The front end got no answer"),
            Self::TooLong => html(414, "Request-URI Too Long"),
            Self::Gone => html(404, "Not Found"),
            Self::Empty => Reply::new(200, "application/xml", String::new(), Family::Api),
            _ => return None,
        })
    }

    /// Pauses before and between pieces.
    pub(crate) fn pace(&self) -> (Duration, Option<(usize, Duration)>) {
        match self {
            Self::Delay { ms } => (Duration::from_millis(*ms), None),
            Self::SlowDrip { bytes, pause_ms } => {
                (Duration::ZERO, Some(((*bytes).max(1), Duration::from_millis(*pause_ms))))
            }
            _ => (Duration::ZERO, None),
        }
    }

    /// Changes the body of an answer.
    pub(crate) fn spoil(&self, body: Chunks) -> Chunks {
        match self {
            Self::LowerCaseTags => Box::new(body.map(|chunk| lower_case_tags(&chunk))),
            Self::InvalidCharacters => Box::new(body.map(|chunk| with_invalid_characters(&chunk))),
            Self::HugePage { bytes } => Box::new(padded(body, *bytes)),
            _ => body,
        }
    }
}

/// Lower-cases element names; a chunk never ends inside a tag or CDATA section.
fn lower_case_tags(chunk: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(chunk);
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_ref();
    while let Some(at) = rest.find('<') {
        let (before, tag) = rest.split_at(at);
        out.push_str(before);
        let end = if tag.starts_with("<![CDATA[") {
            tag.find("]]>").map(|end| end + 3)
        } else {
            tag.find('>').map(|end| end + 1)
        };
        let (tag, after) = tag.split_at(end.unwrap_or(tag.len()));
        if tag.starts_with("<!") || tag.starts_with("<?") {
            out.push_str(tag);
        } else {
            out.push_str(&tag.to_lowercase());
        }
        rest = after;
    }
    out.push_str(rest);
    out.into_bytes()
}

/// Puts a control character and a broken byte into every RESULTS, or into the first text if there is none.
fn with_invalid_characters(chunk: &[u8]) -> Vec<u8> {
    let marker = b"<![CDATA[";
    let mut out = Vec::with_capacity(chunk.len() + 64);
    let mut rest = chunk;
    while let Some(at) = rest.windows(marker.len()).position(|window| window == marker) {
        let (before, after) = rest.split_at(at + marker.len());
        out.extend_from_slice(before);
        out.extend_from_slice(b"\x01\x0b\xff\xfe");
        rest = after;
    }
    out.extend_from_slice(rest);
    out
}

/// White space after the first chunk, in pieces of 64 KiB.
fn padded(body: Chunks, bytes: usize) -> impl Iterator<Item = Vec<u8>> + Send {
    const PIECE: usize = 65_536;
    let line: Vec<u8> = std::iter::repeat_n(b' ', 127).chain([b'\n']).collect();
    let pieces = (0..bytes.div_ceil(PIECE)).map(move |at| {
        let length = PIECE.min(bytes - at * PIECE);
        line.iter().copied().cycle().take(length).collect::<Vec<u8>>()
    });
    let mut body = body.peekable();
    let first = body.next();
    first.into_iter().chain(pieces).chain(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_hits_the_request_it_was_planned_for_and_no_other() {
        let faults = Faults::default();
        faults.set(
            vec![
                Fault::on("scan", 2, FaultKind::Blocked),
                Fault { endpoint: None, from: Some(5), times: 2, what: FaultKind::Empty },
            ]
            .into(),
        );
        let taken: Vec<bool> = ["scan", "host-list", "scan", "scan", "about", "about", "about"]
            .iter()
            .map(|endpoint| faults.take(endpoint).is_some())
            .collect();
        assert_eq!(taken, [false, false, true, false, true, true, false]);
    }

    #[test]
    fn lower_casing_leaves_text_and_cdata_alone() {
        let chunk = b"<!DOCTYPE X>\n<HOST_LIST a=\"1\"><OS><![CDATA[<B>Linux</B>]]></OS>TEXT</HOST_LIST>";
        let expected = "<!DOCTYPE X>\n<host_list a=\"1\"><os><![CDATA[<B>Linux</B>]]></os>TEXT</host_list>";
        assert_eq!(String::from_utf8(lower_case_tags(chunk)).expect("text"), expected);
    }

    #[test]
    fn a_plan_is_read_from_json() {
        let text = r#"[{"endpoint":"host-detection","from":2,"kind":"cut","after":100},{"kind":"blocked","times":0}]"#;
        let plan: FaultPlan = serde_json::from_str(text).expect("a plan");
        assert_eq!(plan.faults[0], Fault::on("host-detection", 2, FaultKind::Cut { after: 100 }));
        assert_eq!((plan.faults[1].times, &plan.faults[1].what), (0, &FaultKind::Blocked));
    }
}
