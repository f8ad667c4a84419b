//! Answers before they become HTTP: status, framing, chunks; and the service's error envelope (spec sections 2.3 and 2.5).

use super::xml::Xml;
use jiff::Timestamp;

/// A body that is produced piece by piece.
pub(crate) type Chunks = Box<dyn Iterator<Item = Vec<u8>> + Send>;

/// An answer in the making.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Chunks,
    /// Part of the `fo` family: framing headers and rate headers belong to it.
    pub(crate) family: Family,
}

/// Which front end answers; each has its own headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// `/api/N.0/fo/` and `/msp/`, with rate headers.
    Api,
    /// The same front end before the call was counted: login errors, sessions.
    Login,
    /// `/qps/`.
    Qps,
    /// The gateway and the simulator's own control.
    Plain,
}

impl Reply {
    /// An XML document of the API.
    pub(crate) fn xml(text: String) -> Self {
        Self::new(200, "application/xml", text, Family::Api)
    }

    /// An answer with a ready body.
    pub(crate) fn new(status: u16, content_type: &'static str, text: String, family: Family) -> Self {
        Self { status, content_type, headers: Vec::new(), body: Box::new(std::iter::once(text.into_bytes())), family }
    }

    /// An XML answer that is produced while it is sent.
    pub(crate) fn stream(content_type: &'static str, body: Chunks) -> Self {
        Self { status: 200, content_type, headers: Vec::new(), body, family: Family::Api }
    }

    /// JSON of the simulator's own.
    pub(crate) fn json(status: u16, value: &serde_json::Value) -> Self {
        Self::new(status, "application/json", value.to_string(), Family::Plain)
    }

    /// Adds a header.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// A call the service refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: Option<u32>,
    pub(crate) text: String,
    pub(crate) items: Vec<(&'static str, String)>,
    /// Answered before the call was counted.
    pub(crate) at_login: bool,
}

impl Refusal {
    /// A 400 with a code.
    pub(crate) fn bad(code: u32, text: impl Into<String>) -> Self {
        Self::new(400, code, text)
    }

    /// Any status with a code.
    pub(crate) fn new(status: u16, code: u32, text: impl Into<String>) -> Self {
        Self { status, code: Some(code), text: text.into(), items: Vec::new(), at_login: false }
    }

    /// A refusal of the login layer: no rate headers, `text/xml`.
    pub(crate) fn login(status: u16, code: u32, text: &str) -> Self {
        Self { at_login: true, ..Self::new(status, code, text) }
    }

    /// Adds an ITEM.
    pub(crate) fn item(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.items.push((key, value.into()));
        self
    }

    /// As an answer.
    pub(crate) fn reply(&self, base: &str, now: Timestamp) -> Reply {
        let text = simple_return(base, now, self.code, &self.text, &self.items);
        let (text, content_type, family) = if self.at_login {
            (format!("<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n{text}"), "text/xml;charset=UTF-8", Family::Login)
        } else {
            (text, "application/xml", Family::Api)
        };
        let reply = Reply::new(self.status, content_type, text, family);
        if self.status >= 400 { reply.with("connection", "close") } else { reply }
    }
}

/// The success envelope of actions that return no data.
pub(crate) fn done(base: &str, now: Timestamp, text: &str, items: &[(&'static str, String)]) -> Reply {
    let body = simple_return(base, now, None, text, items);
    Reply::xml(format!("<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n{body}"))
}

/// SIMPLE_RETURN; errors start with the DOCTYPE, as recorded.
pub(crate) fn simple_return(
    base: &str,
    now: Timestamp,
    code: Option<u32>,
    text: &str,
    items: &[(&'static str, String)],
) -> String {
    let mut xml = Xml::default();
    xml.raw(&format!("<!DOCTYPE SIMPLE_RETURN SYSTEM \"{base}/api/2.0/simple_return.dtd\">"));
    xml.open("SIMPLE_RETURN");
    xml.open("RESPONSE");
    xml.time("DATETIME", now);
    if let Some(code) = code {
        xml.number("CODE", code);
    }
    xml.leaf("TEXT", text);
    if !items.is_empty() {
        xml.open("ITEM_LIST");
        for (key, value) in items {
            xml.open("ITEM");
            xml.leaf("KEY", key);
            xml.leaf("VALUE", value);
            xml.close("ITEM");
        }
        xml.close("ITEM_LIST");
    }
    xml.close("RESPONSE");
    xml.close("SIMPLE_RETURN");
    xml.finish()
}
