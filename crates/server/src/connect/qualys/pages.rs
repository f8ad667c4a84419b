//! Pages: how one leads to the next (`spec/qualys-api.md` section 5), and reading one.

use crate::connect::qualys::client::{Call, Client};
use crate::connect::qualys::error::Error;
use crate::connect::qualys::shared::Stats;
use crate::connect::qualys::spool::Spool;
use intake::qualys::{hld, host_list, knowledge_base};
use intake::summary::PageWarning;
use intake::{Limits, Observation, ReadError, Stop, Summary};
use sha2::{Digest, Sha256};
use std::io::BufRead;
use url::Url;

/// A pull of several pages. Ask for the next page until there is none.
///
/// A host can be on two pages when data moves meanwhile; it is handed out again, and the receiver keeps the last.
#[derive(Debug)]
pub struct Pages {
    client: Client,
    document: Document,
    walk: Walk,
    number: u32,
    last_digest: Option<[u8; 32]>,
}

/// What the pages are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Document {
    Detections,
    Hosts,
    KnowledgeBase,
}

/// One page, known to be good. It can be read as often as needed.
#[derive(Debug)]
pub struct Page {
    /// From 1.
    pub number: u32,
    /// What is on it.
    pub summary: Summary,
    /// Ids, where only ids were asked for.
    pub ids: Vec<i64>,
    /// Where the next page begins; `None` on the last one. A later pull can resume there once this page is stored.
    pub next: Option<i64>,
    /// Names and values of the call that brought it.
    parameters: Vec<(String, String)>,
    document: Document,
    limits: Limits,
    spool: Spool,
}

impl Pages {
    pub(crate) fn new(client: Client, document: Document, call: Call) -> Pages {
        let pages_max = client.config().pages_max;
        Pages { client, document, walk: Walk::new(call, pages_max), number: 0, last_digest: None }
    }

    /// What was called so far by the client of this pull.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.client.stats()
    }

    /// Gets the next page whole, or `None` after the last. After an error the pull is over.
    pub async fn next(&mut self) -> Result<Option<Page>, Error> {
        let Some(call) = self.walk.call() else { return Ok(None) };
        let what = call.endpoint.name();
        let mut parameters = call.parameters.clone();
        let reader = match self.document {
            Document::Detections => check_detections,
            Document::Hosts => check_hosts,
            Document::KnowledgeBase => check_knowledge_base,
        };
        let (checked, sent) = self.client.inner.call(call, reader).await?;
        if self.last_digest == Some(checked.digest) {
            return Err(Error::Paging { what, reason: "the same page came twice".to_owned() });
        }
        self.last_digest = Some(checked.digest);
        parameters.retain(|(name, _)| !sent.dropped.contains(name));
        self.walk.forgo(&sent.dropped);
        self.walk.advance(checked.summary.warning.as_ref(), checked.first)?;
        self.number += 1;
        Ok(Some(Page {
            number: self.number,
            summary: checked.summary,
            ids: checked.ids,
            next: self.walk.cursor(),
            parameters,
            document: self.document,
            limits: self.client.inner.limits.clone(),
            spool: sent.spool,
        }))
    }
}

impl Page {
    /// Did the call that brought this page ask for what `flag` shows? Not where the platform refused the parameter and was
    /// asked without it, nor where the address of this page, which the platform gave, says otherwise: what is missing on
    /// such a page says nothing.
    #[must_use]
    pub fn asked(&self, flag: &str) -> bool {
        self.parameters.iter().any(|(name, value)| name == flag && value == "1")
    }

    /// Hands out what is on the page, one record at a time. Synchronous: call it where blocking is allowed.
    pub fn read(&mut self, sink: &mut dyn FnMut(Observation) -> Result<(), Stop>) -> Result<Summary, ReadError> {
        let mut input = self.spool.reader().map_err(ReadError::Io)?;
        match self.document {
            Document::Detections => hld::read(&mut input, &self.limits, sink),
            Document::Hosts => host_list::read(&mut input, &self.limits, sink).map(|list| list.summary),
            Document::KnowledgeBase => knowledge_base::read(&mut input, &self.limits, sink),
        }
    }

    /// Bytes of the answer.
    pub fn bytes(&self) -> u64 {
        self.spool.len()
    }
}

/// What the first reading of a page found.
struct Checked {
    summary: Summary,
    ids: Vec<i64>,
    /// The lowest id on the page.
    first: Option<i64>,
    digest: [u8; 32],
}

fn check_detections(input: &mut dyn BufRead, limits: &Limits) -> Result<Checked, ReadError> {
    digested(input, |input, sink| Ok((hld::read(input, limits, sink)?, Vec::new())))
}

fn check_hosts(input: &mut dyn BufRead, limits: &Limits) -> Result<Checked, ReadError> {
    digested(input, |input, sink| {
        let list = host_list::read(input, limits, sink)?;
        Ok((list.summary, list.ids))
    })
}

fn check_knowledge_base(input: &mut dyn BufRead, limits: &Limits) -> Result<Checked, ReadError> {
    digested(input, |input, sink| Ok((knowledge_base::read(input, limits, sink)?, Vec::new())))
}

type Sink<'s> = &'s mut dyn FnMut(Observation) -> Result<(), Stop>;

/// Reads through a digest, to notice a page that comes twice, and keeps the lowest id.
fn digested(
    input: &mut dyn BufRead,
    read: impl FnOnce(&mut dyn BufRead, Sink<'_>) -> Result<(Summary, Vec<i64>), ReadError>,
) -> Result<Checked, ReadError> {
    let mut digest = Digesting { input, state: Sha256::new() };
    let mut first: Option<i64> = None;
    let (summary, ids) = read(&mut digest, &mut |observation| {
        let id = match observation {
            Observation::Host(host) => host.host_id,
            Observation::Vulnerability(vulnerability) => Some(vulnerability.qid),
        };
        first = [first, id].into_iter().flatten().min();
        Ok(())
    })?;
    let first = first.or(ids.iter().min().copied());
    Ok(Checked { summary, ids, first, digest: digest.state.finalize().into() })
}

struct Digesting<'i> {
    input: &'i mut dyn BufRead,
    state: Sha256,
}

impl std::io::Read for Digesting<'_> {
    fn read(&mut self, target: &mut [u8]) -> std::io::Result<usize> {
        let read = self.input.read(target)?;
        self.state.update(target.get(..read).unwrap_or_default());
        Ok(read)
    }
}

impl BufRead for Digesting<'_> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        self.input.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        // The bytes are still there: the buffer is only moved on below.
        if let Ok(bytes) = self.input.fill_buf() {
            self.state.update(bytes.get(..amount).unwrap_or_default());
        }
        self.input.consume(amount);
    }
}

/// Follows the cursor from page to page.
#[derive(Debug)]
pub(crate) struct Walk {
    call: Option<Call>,
    pages_left: u32,
}

impl Walk {
    pub(crate) fn new(call: Call, pages_max: u32) -> Walk {
        Walk { call: Some(call), pages_left: pages_max }
    }

    /// The call for the next page.
    pub(crate) fn call(&self) -> Option<Call> {
        self.call.clone()
    }

    /// Ask without these from now on: a parameter that was refused once is refused on every page.
    pub(crate) fn forgo(&mut self, names: &[String]) {
        if let Some(call) = &mut self.call {
            call.parameters.retain(|(name, _)| !names.contains(name));
        }
    }

    /// Where the next page begins.
    pub(crate) fn cursor(&self) -> Option<i64> {
        self.call.as_ref().and_then(cursor)
    }

    /// Takes in what a page said about the next one, and the lowest id it held: the next page has to leave at least that
    /// one behind. The URL decides whether there is a next page; the warning's code can be missing.
    pub(crate) fn advance(&mut self, warning: Option<&PageWarning>, first: Option<i64>) -> Result<(), Error> {
        let Some(call) = self.call.take() else { return Ok(()) };
        let Some(url) = warning.and_then(|warning| warning.url.as_deref()) else { return Ok(()) };
        let refuse = |reason: &str| Err(Error::Paging { what: call.endpoint.name(), reason: reason.to_owned() });
        self.pages_left = self.pages_left.saturating_sub(1);
        if self.pages_left == 0 {
            return refuse("more pages than the configured maximum");
        }
        let Some(next) = follow(&call, url) else { return refuse("the address of the next page has no cursor") };
        if cursor(&next) <= cursor(&call).max(first) {
            return refuse("the cursor does not advance");
        }
        self.call = Some(next);
        Ok(())
    }
}

fn cursor(call: &Call) -> Option<i64> {
    call.parameters.iter().find(|(name, _)| name == "id_min").and_then(|(_, value)| value.parse().ok())
}

/// The next call: our own, with the query of the returned address merged over it. Nothing else of that address is used:
/// not its host, not its path, and neither the action nor the form of the answer.
fn follow(call: &Call, url: &str) -> Option<Call> {
    const OURS: [&str; 5] = ["action", "output_format", "echo_request", "username", "password"];
    let anywhere = Url::parse("https://localhost/").ok()?;
    let url = anywhere.join(url.trim()).ok()?;
    let mut next = call.clone();
    let mut found = false;
    for (name, value) in url.query_pairs() {
        if OURS.contains(&&*name) {
            continue;
        }
        if name == "id_min" {
            found = value.parse::<i64>().is_ok();
        }
        next.parameters.retain(|(known, _)| *known != name);
        next.parameters.push((name.into_owned(), value.into_owned()));
    }
    found.then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::qualys::config::Endpoint;

    fn warning(url: &str) -> PageWarning {
        PageWarning { code: None, text: None, url: Some(url.to_owned()) }
    }

    fn walk() -> Walk {
        let call = Call::new(Endpoint::Detections, "list").with("ids", "1-9").with("truncation_limit", 2);
        Walk::new(call, 10)
    }

    #[test]
    fn only_the_query_is_taken_and_merged() {
        let mut walk = walk();
        let url = "https://evil.example/api/2.0/fo/user/?action=delete&truncation_limit=1&id_min=5&extra=x%20y&output_format=CSV";
        walk.advance(Some(&warning(url)), None).expect("goes on");
        let parameters = walk.call().expect("a call").parameters;
        let shown: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(shown, ["action=list", "ids=1-9", "truncation_limit=1", "id_min=5", "extra=x y"]);
        assert_eq!(walk.cursor(), Some(5));
    }

    #[test]
    fn pages_end() {
        let mut last = walk();
        last.advance(None, None).expect("the end");
        assert!(last.call().is_none());

        let mut stuck = walk();
        stuck.advance(Some(&warning("https://x/?id_min=5")), None).expect("goes on");
        let error = stuck.advance(Some(&warning("https://x/?id_min=5")), None).expect_err("no progress");
        assert!(error.to_string().contains("does not advance"));

        let mut frozen = walk();
        assert!(frozen.advance(Some(&warning("https://x/?id_min=5")), Some(5)).is_err(), "the same page again");

        let mut backwards = walk();
        backwards.advance(Some(&warning("https://x/?id_min=5")), None).expect("goes on");
        assert!(backwards.advance(Some(&warning("https://x/?id_min=4")), None).is_err());

        for url in ["https://x/", "?id_min=abc", "not a url"] {
            assert!(walk().advance(Some(&warning(url)), None).is_err(), "{url}");
        }

        let mut endless = walk();
        let error = (1..20).find_map(|at| endless.advance(Some(&warning(&format!("?id_min={at}"))), None).err());
        assert!(error.is_some_and(|error| error.to_string().contains("maximum")));
    }
}
