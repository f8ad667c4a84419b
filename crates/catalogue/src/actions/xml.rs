//! Parameters of `file.xml`: one attribute, text or element of an XML file, found by a simple path.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::text::{HostPath, Line, XmlName, XmlPath};

/// Parameters of `file.xml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
pub struct FileXml {
    /// The file.
    pub path: HostPath,
    /// Names from the document's element down: `/policymap/policy`.
    pub element: XmlPath,
    /// Only elements with these attributes; `*` in a value stands for any characters, but with [`XmlWant::Present`] for itself.
    pub only: BTreeMap<XmlName, Line>,
    /// What is wanted.
    pub want: XmlWant,
}

/// What `file.xml` wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum XmlWant {
    /// An element with exactly the attributes of `only` is there, as the last child of its parent where it had to be added.
    Present,
    /// No such element is there.
    Absent,
    /// Every such element has this attribute with this value.
    Attribute {
        /// The attribute.
        name: XmlName,
        /// Its value, unescaped.
        value: Line,
    },
    /// No such element has this attribute.
    NoAttribute {
        /// The attribute.
        name: XmlName,
    },
    /// Every such element holds this text and nothing else.
    Text {
        /// The text, unescaped.
        value: Line,
    },
}

impl FileXml {
    /// What the action acts on: the file, the path and what picks the element.
    #[must_use]
    pub fn target(&self) -> String {
        let only: Vec<String> = self.only.iter().map(|(name, value)| format!("@{name}={value}")).collect();
        let only = if only.is_empty() { String::new() } else { format!("[{}]", only.join(" ")) };
        let what = match &self.want {
            XmlWant::Attribute { name, .. } | XmlWant::NoAttribute { name } => format!("/@{name}"),
            _ => String::new(),
        };
        format!("{} {}{only}{what}", self.path, self.element)
    }
}

impl fmt::Display for XmlWant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Present => f.write_str("element there"),
            Self::Absent => f.write_str("no such element"),
            Self::Attribute { name, value } => write!(f, "{name} = {value}"),
            Self::NoAttribute { name } => write!(f, "no {name}"),
            Self::Text { value } => write!(f, "text {value}"),
        }
    }
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WantWord {
    Present,
    Absent,
    Attribute,
    NoAttribute,
    Text,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    path: HostPath,
    element: XmlPath,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    only: BTreeMap<XmlName, Line>,
    want: WantWord,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attribute: Option<XmlName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<Line>,
}

impl TryFrom<Fields> for FileXml {
    type Error = &'static str;

    fn try_from(fields: Fields) -> Result<Self, &'static str> {
        let Fields { path, element, only, want, attribute, value } = fields;
        let want = match (want, attribute, value) {
            (WantWord::Present, None, None) => XmlWant::Present,
            (WantWord::Absent, None, None) => XmlWant::Absent,
            (WantWord::Attribute, Some(name), Some(value)) => XmlWant::Attribute { name, value },
            (WantWord::NoAttribute, Some(name), None) => XmlWant::NoAttribute { name },
            (WantWord::Text, None, Some(value)) => XmlWant::Text { value },
            _ => return Err("file.xml: attribute and value do not fit what is wanted"),
        };
        if want == XmlWant::Present && (only.is_empty() || element.parent().is_none()) {
            return Err("file.xml: want = \"present\" needs attributes and an element below the document's");
        }
        if want == XmlWant::Absent && element.parent().is_none() {
            return Err("file.xml: the document's own element cannot be absent");
        }
        if only.len() > 16 {
            return Err("file.xml: more than 16 attributes");
        }
        Ok(Self { path, element, only, want })
    }
}

impl From<FileXml> for Fields {
    fn from(file: FileXml) -> Self {
        let (want, attribute, value) = match file.want {
            XmlWant::Present => (WantWord::Present, None, None),
            XmlWant::Absent => (WantWord::Absent, None, None),
            XmlWant::Attribute { name, value } => (WantWord::Attribute, Some(name), Some(value)),
            XmlWant::NoAttribute { name } => (WantWord::NoAttribute, Some(name), None),
            XmlWant::Text { value } => (WantWord::Text, None, Some(value)),
        };
        Self { path: file.path, element: file.element, only: file.only, want, attribute, value }
    }
}
