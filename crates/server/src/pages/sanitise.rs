//! Scanner texts hold HTML written by others. Before a page shows them they are parsed and rebuilt from a short list of
//! elements that only format text.
//!
//! There is no way to switch it off, and the result is the only type besides our own parts that templates print
//! unescaped.

use ammonia::{Builder, UrlRelative};
use askama::filters::HtmlSafe;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::LazyLock;

/// Text above this many bytes is cut before parsing, so that one knowledge base entry cannot cost a page.
const BYTES_MAX: usize = 256 * 1024;

/// HTML that is safe to print.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Clean(String);

impl fmt::Display for Clean {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}
impl HtmlSafe for Clean {}

impl Clean {
    /// Whether there is nothing to show.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.trim().is_empty()
    }
}

static BUILDER: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let mut builder = Builder::empty();
    builder
        .tags(HashSet::from([
            "a", "b", "strong", "i", "em", "u", "p", "br", "ul", "ol", "li", "dl", "dt", "dd", "code", "pre", "tt",
            "sub", "sup", "table", "thead", "tbody", "tr", "td", "th",
        ]))
        .tag_attributes(HashMap::from([("a", HashSet::from(["href"]))]))
        .url_schemes(HashSet::from(["http", "https"]))
        .url_relative(UrlRelative::Deny)
        .link_rel(Some("noopener noreferrer nofollow"))
        .set_tag_attribute_value("a", "target", "_blank")
        .clean_content_tags(HashSet::from([
            "script", "style", "title", "iframe", "object", "svg", "math", "template", "noscript",
        ]))
        .strip_comments(true);
    builder
});

/// Foreign HTML without anything that could act: no scripts, styles, forms, images, frames, classes or ids; links only
/// to `http` and `https`, opened without a way back.
#[must_use]
pub fn html(foreign: &str) -> Clean {
    let mut end = foreign.len().min(BYTES_MAX);
    while !foreign.is_char_boundary(end) {
        end -= 1;
    }
    Clean(BUILDER.clean(foreign.get(..end).unwrap_or_default()).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formatting_survives() {
        let text = "A <b>buffer</b> overflow.<P>Affected:<BR><ul><li>one<li>two</ul><pre>x &lt; y</pre>";
        let clean = html(text).to_string();
        for part in ["<b>buffer</b>", "<p>", "<li>one</li>", "<pre>x &lt; y</pre>"] {
            assert!(clean.contains(part), "{part} in {clean}");
        }
        let link = html("<a href='https://example.com/a?b=1&c=2' onclick='x()'>advisory</a>").to_string();
        assert!(link.contains("href=\"https://example.com/a?b=1&amp;c=2\"") && link.contains("noopener"), "{link}");
        assert!(!link.contains("onclick"), "{link}");
    }

    #[test]
    fn attacks_do_not() {
        for attack in [
            "<script>alert(1)</script>",
            "<ScRiPt src=//evil.example/x.js></sCrIpT>",
            "<img src=x onerror=alert(1)>",
            "<svg/onload=alert(1)><use href='data:image/svg+xml,x#y'/></svg>",
            "<a href='javascript:alert(1)'>x</a>",
            "<a href='  jAvA\tscript:alert(1)'>x</a>",
            "<a href='&#106;avascript:alert(1)'>x</a>",
            "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
            "<a href='//evil.example/'>x</a>",
            "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
            "<form action=/jobs method=post><button>Click</button></form>",
            "<p style='position:fixed;inset:0'>x</p>",
            "<b id=q-post class=q-toast hx-get=/jobs data-confirm=x>x</b>",
            "<div hx-on:click='alert(1)'>x</div>",
            "<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;img src=1 onerror=alert(1)&gt;\">",
            "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
            "<base href='https://evil.example/'>",
            "<meta http-equiv=refresh content='0;url=https://evil.example/'>",
            "<!--[if IE]><script>alert(1)</script><![endif]-->",
            "<template><script>alert(1)</script></template>",
        ] {
            let clean = html(attack).to_string();
            // What is left must, when parsed again, hold no element or attribute beyond the list.
            let markup: String = clean
                .split('<')
                .skip(1)
                .filter_map(|rest| rest.split('>').next())
                .collect::<Vec<_>>()
                .join(" ")
                .to_lowercase();
            for danger in [
                "script",
                "onerror",
                "onload",
                "onclick",
                "img",
                "svg",
                "iframe",
                "form",
                "button",
                "style",
                "id=",
                "class=",
                "hx-",
                "data-",
                "base",
                "meta",
                "data:",
                "evil.example/",
                "template",
            ] {
                let link_to_evil_text = danger == "evil.example/" && !markup.contains("href");
                assert!(!markup.contains(danger) || link_to_evil_text, "{danger} from {attack}: {clean}");
            }
            assert_eq!(html(&clean).to_string(), clean, "cleaning twice changes nothing: {attack}");
        }
    }

    #[test]
    fn huge_and_deep_texts_end() {
        assert!(html(&"<b>".repeat(20_000)).to_string().len() < 4 * BYTES_MAX);
        assert!(html(&"é".repeat(BYTES_MAX)).to_string().len() <= BYTES_MAX);
    }
}
