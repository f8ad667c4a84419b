//! Writes the service's XML: two blanks per level, CDATA where the service uses it.
//!
//! A writer of its own, because faults need to produce what a correct library refuses to.

use jiff::Timestamp;

/// Text of a document in the making.
#[derive(Debug, Default)]
pub(crate) struct Xml {
    text: String,
    depth: usize,
}

impl Xml {
    /// An empty piece at a depth.
    pub(crate) fn at_depth(depth: usize) -> Self {
        Self { text: String::new(), depth }
    }

    /// The finished text.
    pub(crate) fn finish(self) -> String {
        self.text
    }

    fn indent(&mut self) {
        for _ in 0..self.depth {
            self.text.push_str("  ");
        }
    }

    /// Opens an element.
    pub(crate) fn open(&mut self, name: &str) {
        self.indent();
        self.text.push('<');
        self.text.push_str(name);
        self.text.push_str(">\n");
        self.depth += 1;
    }

    /// Closes an element.
    pub(crate) fn close(&mut self, name: &str) {
        self.depth = self.depth.saturating_sub(1);
        self.indent();
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push_str(">\n");
    }

    /// An element holding escaped text.
    pub(crate) fn leaf(&mut self, name: &str, value: &str) {
        self.element(name, &escape(value));
    }

    /// An element holding a number.
    pub(crate) fn number(&mut self, name: &str, value: impl Into<u64>) {
        self.element(name, &value.into().to_string());
    }

    /// An element holding an instant.
    pub(crate) fn time(&mut self, name: &str, value: Timestamp) {
        self.element(name, &stamp(value));
    }

    /// An element holding an instant, if there is one.
    pub(crate) fn maybe_time(&mut self, name: &str, value: Option<Timestamp>) {
        if let Some(value) = value {
            self.time(name, value);
        }
    }

    /// An element holding CDATA.
    pub(crate) fn cdata(&mut self, name: &str, value: &str) {
        self.begin(name);
        self.text.push_str("<![CDATA[");
        if value.contains("]]>") {
            self.text.push_str(&value.replace("]]>", "]]]]><![CDATA[>"));
        } else {
            self.text.push_str(value);
        }
        self.text.push_str("]]>");
        self.end(name);
    }

    /// An element whose content is already XML.
    pub(crate) fn element(&mut self, name: &str, content: &str) {
        self.begin(name);
        self.text.push_str(content);
        self.end(name);
    }

    fn begin(&mut self, name: &str) {
        self.indent();
        self.text.push('<');
        self.text.push_str(name);
        self.text.push('>');
    }

    fn end(&mut self, name: &str) {
        self.text.push_str("</");
        self.text.push_str(name.split(' ').next().unwrap_or(name));
        self.text.push_str(">\n");
    }

    /// Text as it stands, on a line of its own.
    pub(crate) fn raw(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }
}

/// Escapes the five characters.
pub(crate) fn escape(text: &str) -> String {
    quick_xml::escape::escape(text).into_owned()
}

/// An instant as `YYYY-MM-DDTHH:MM:SSZ`.
pub(crate) fn stamp(at: Timestamp) -> String {
    // Six of them are in every detection, and a format string would be read each time.
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}
