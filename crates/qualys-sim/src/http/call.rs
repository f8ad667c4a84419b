//! One call on its way through the simulator.

use super::faults::{FaultKind, Faults};
use super::gate::{Access, Meter};
use super::journal::Journal;
use super::params::Params;
use super::reply::Refusal;
use super::route::Endpoint;
use super::xml::Xml;
use crate::state::World;
use jiff::Timestamp;
use std::sync::Arc;

/// Everything the handlers share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) world: World,
    pub(crate) journal: Journal,
    pub(crate) faults: Faults,
    pub(crate) access: Access,
    pub(crate) meter: Meter,
}

/// One call.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) app: Arc<App>,
    pub(crate) endpoint: Endpoint,
    pub(crate) version: u8,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) params: Params,
    pub(crate) body: String,
    /// The address the client called, without a slash at the end.
    pub(crate) base: String,
    pub(crate) now: Timestamp,
    pub(crate) fault: Option<FaultKind>,
}

impl Call {
    /// A header, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The value of `action`, which every `fo` call needs.
    pub(crate) fn action(&self) -> Result<&str, Refusal> {
        self.params.require("action")
    }

    /// The refusal of an action the end point does not have.
    pub(crate) fn unknown_action(&self, action: &str) -> Refusal {
        Refusal::bad(1905, format!("parameter action has invalid value: {action} (not an action of this resource)"))
    }

    /// Refuses GET (1908).
    pub(crate) fn post_only(&self) -> Result<(), Refusal> {
        if self.method == "POST" {
            return Ok(());
        }
        Err(Refusal::bad(1908, "The action requires the POST method."))
    }

    /// Declaration, DOCTYPE, comment, root and RESPONSE with its DATETIME; `dtd` is the part after the base.
    pub(crate) fn prologue(&self, root: &str, dtd: &str) -> String {
        let mut xml = Xml::default();
        xml.raw("<?xml version=\"1.0\" encoding=\"UTF-8\" ?>");
        xml.raw(&format!("<!DOCTYPE {root} SYSTEM \"{}{dtd}\">", self.base));
        if self.app.world.options.switches.evaluation {
            xml.raw(EVALUATION);
        }
        xml.open(root);
        if self.params.flag("echo_request", false) {
            self.echo(&mut xml);
        }
        xml.open("RESPONSE");
        xml.time("DATETIME", self.now);
        if self.fault == Some(FaultKind::KeepAliveComments) {
            xml.raw(&format!("<!-- keep-alive for {root}  -->"));
        }
        xml.finish()
    }

    /// The end of a document begun with [`Self::prologue`].
    pub(crate) fn epilogue(&self, root: &str) -> String {
        let mut xml = Xml::at_depth(2);
        xml.close("RESPONSE");
        xml.close(root);
        if self.app.world.options.switches.evaluation {
            xml.raw(EVALUATION);
        }
        xml.raw("<!-- Made by a simulator. The texts are its own and describe no real system. //--> ");
        if self.fault == Some(FaultKind::KeepAliveComments) {
            xml.raw(&format!("<!-- keep-alive for {root}  -->"));
        }
        xml.finish()
    }

    /// The REQUEST block. The service repeats everything, secrets included; so does this.
    fn echo(&self, xml: &mut Xml) {
        xml.open("REQUEST");
        xml.time("DATETIME", self.now);
        xml.leaf("USER_LOGIN", &self.app.world.options.username);
        xml.leaf("RESOURCE", &format!("{}{}", self.base, self.path));
        xml.open("PARAM_LIST");
        for (name, value) in self.params.pairs() {
            xml.open("PARAM");
            xml.leaf("KEY", name);
            xml.leaf("VALUE", value);
            xml.close("PARAM");
        }
        xml.close("PARAM_LIST");
        if !self.body.is_empty() {
            xml.cdata("POST_DATA", &self.body);
        }
        xml.close("REQUEST");
    }

    /// The WARNING that announces a next page beginning at `cursor`.
    pub(crate) fn truncated(&self, limit: u64, cursor_name: &str, cursor: u64) -> String {
        let mut xml = Xml::at_depth(2);
        xml.open("WARNING");
        xml.number("CODE", 1980_u32);
        xml.leaf("TEXT", &format!("{limit} record limit exceeded. Use URL to get next batch of results."));
        xml.cdata("URL", &self.next_page(cursor_name, cursor));
        xml.close("WARNING");
        xml.finish()
    }

    /// The address of the next page: the same call with the cursor set.
    pub(crate) fn next_page(&self, cursor_name: &str, cursor: u64) -> String {
        let base = self.app.world.options.switches.returned_base.as_deref().unwrap_or(&self.base);
        let pairs: Vec<String> = self
            .params
            .pairs()
            .filter(|(name, _)| *name != cursor_name && *name != "echo_request")
            .map(|(name, value)| format!("{name}={}", super::params::encode(value)))
            .chain([format!("{cursor_name}={cursor}")])
            .collect();
        format!("{base}{}?{}", self.path, pairs.join("&"))
    }
}

const EVALUATION: &str = "<!-- This report was generated with an evaluation version of the simulator //--> ";
