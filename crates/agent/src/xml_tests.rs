//! Tests of [`super`]: edits are small, exact both ways, and hostile documents are refused.

use super::*;
use catalogue::actions::Action;
use proptest::prelude::*;

fn wanted(rest: &str) -> FileXml {
    let action: Action = toml_action(rest);
    match action {
        Action::FileXml(file) => file,
        other => panic!("{other:?}"),
    }
}

fn toml_action(rest: &str) -> Action {
    serde_json::from_str(&format!("{{\"kind\":\"file.xml\",\"path\":\"/etc/x.xml\",{rest}}}")).unwrap()
}

const POLICY: &str = "<?xml version=\"1.0\"?>\n<!DOCTYPE policymap [\n<!ELEMENT policymap (policy)*>\n]>\n<policymap>\n  <!-- <policy domain=\"coder\" rights=\"none\" pattern=\"MVG\" /> -->\n  <policy domain='resource' name=\"memory\" value=\"256MiB\"/>\n</policymap>\n";

fn mvg() -> FileXml {
    wanted(
        r#""element":"/policymap/policy","only":{"domain":"coder","rights":"none","pattern":"MVG"},"want":"present""#,
    )
}

fn ajp() -> FileXml {
    wanted(r#""element":"/Server/Service/Connector","only":{"protocol":"AJP/*"},"want":"absent""#)
}

const SERVER: &str = "<Server>\r\n  <Service name=\"Catalina\">\r\n    <Connector port=\"8080\" protocol=\"HTTP/1.1\"/>\r\n    <Connector port=\"8009\" protocol=\"AJP/1.3\"\r\n               redirectPort=\"8443\" />\r\n    <Engine/>\r\n  </Service>\r\n</Server>\r\n";

fn round_trip(text: &str, wanted: &FileXml) -> (String, XmlEdit) {
    assert!(!look(text, wanted).unwrap().holds);
    let (after, edit) = set(text, wanted).unwrap();
    assert!(look(&after, wanted).unwrap().holds);
    let kept: XmlEdit = serde_json::from_str(&serde_json::to_string(&edit).unwrap()).unwrap();
    assert_eq!(kept, edit);
    (after, edit)
}

#[test]
fn an_element_is_added_last_and_goes_again() {
    let (after, edit) = round_trip(POLICY, &mvg());
    let line = "\n  <policy domain=\"coder\" pattern=\"MVG\" rights=\"none\"/>\n</policymap>\n";
    assert_eq!(after, POLICY.replace("\n</policymap>\n", line), "one line more and nothing else");
    assert_eq!(take_back(&after, &edit).unwrap(), TakenBack::Text(POLICY.to_owned()));
    assert_eq!(take_back(POLICY, &edit).unwrap(), TakenBack::AlreadyGone);
    let more = after.replace("256MiB", "1GiB");
    assert_eq!(take_back(&more, &edit).unwrap(), TakenBack::Text(POLICY.replace("256MiB", "1GiB")));
    let theirs = after.replace("rights=\"none\"/>\n</", "rights=\"none\" x=\"1\"/>\n</");
    assert!(matches!(take_back(&theirs, &edit).unwrap(), TakenBack::Drifted(_)));
}

#[test]
fn an_element_goes_and_comes_back() {
    let (after, edit) = round_trip(SERVER, &ajp());
    assert!(!after.contains("AJP") && after.contains("HTTP/1.1\"/>\r\n    <Engine/>"), "{after}");
    let TakenBack::Text(back) = take_back(&after, &edit).unwrap() else { panic!() };
    assert!(back.contains("protocol=\"AJP/1.3\"\r\n               redirectPort=\"8443\" />"), "{back}");
    assert_eq!(take_back(SERVER, &edit).unwrap(), TakenBack::AlreadyGone);
    assert!(matches!(take_back("<Server/>", &edit).unwrap(), TakenBack::Drifted(_)));
    let commented = SERVER
        .replace("<Connector port=\"8009\"", "<!-- <Connector port=\"8009\"")
        .replace("8443\" />", "8443\" /> -->");
    assert!(look(&commented, &ajp()).unwrap().holds, "what is in a comment is not there");
}

#[test]
fn attributes_and_texts_change_and_change_back() {
    for (text, rest, expected) in [
        (
            "<a><b x='1' y=\"2\"/></a>",
            r#""element":"/a/b","want":"attribute","attribute":"x","value":"it's""#,
            "<a><b x='it&apos;s' y=\"2\"/></a>",
        ),
        (
            "<a><b y=\"2\" /></a>",
            r#""element":"/a/b","want":"attribute","attribute":"x","value":"1<2""#,
            "<a><b y=\"2\" x=\"1&lt;2\" /></a>",
        ),
        (
            "<a><b x=\"1\" y=\"2\"></b><b x=\"3\"/></a>",
            r#""element":"/a/b","want":"no-attribute","attribute":"x""#,
            "<a><b y=\"2\"></b><b/></a>",
        ),
        ("<a><b>old</b></a>", r#""element":"/a/b","want":"text","value":"new & >""#, "<a><b>new &amp; &gt;</b></a>"),
    ] {
        let wanted = wanted(rest);
        let (after, edit) = round_trip(text, &wanted);
        assert_eq!(after, expected);
        let TakenBack::Text(back) = take_back(&after, &edit).unwrap() else { panic!("{text}") };
        let values = |text: &str| look(text, &wanted).unwrap();
        assert_eq!(values(&back), values(text), "{back}");
        assert_eq!(take_back(text, &edit).unwrap(), TakenBack::AlreadyGone);
    }
}

#[test]
fn hostile_documents_are_refused() {
    let bomb = "<!DOCTYPE a [<!ENTITY x \"xxxxxxxxxx\"><!ENTITY y \"&x;&x;&x;\">]><policymap><policy domain=\"&y;\"/></policymap>";
    assert_eq!(look(bomb, &mvg()), Err(XmlError::Entities));
    let outside = "<!DOCTYPE a [<!entity x SYSTEM \"file:///etc/shadow\">]><policymap>&x;</policymap>";
    assert_eq!(look(outside, &mvg()), Err(XmlError::Entities));
    let deep = format!("{}{}", "<a>".repeat(100), "</a>".repeat(100));
    for bad in ["", "no xml", "<a>", "<a></b>", "<a/><b/>", "<a x=1/>", "<a x/>", "<a x=\"1\" x=\"2\"/>", deep.as_str()]
    {
        assert!(look(bad, &mvg()).is_err(), "{bad}");
    }
    let undefined = "<policymap><policy domain=\"&what;\"/></policymap>";
    assert!(look(undefined, &mvg()).is_err(), "a value that cannot be known");
    let text = wanted(r#""element":"/a/b","want":"text","value":"x""#);
    assert!(set("<a><b>one<c/>two</b></a>", &text).is_err());
    assert!(set("<a><b/></a>", &text).is_err());
    assert_eq!(set("<other/>", &mvg()).unwrap_err(), XmlError::NoParent("/policymap".to_owned()));
}

proptest! {
    #[test]
    fn foreign_text_never_panics(text in ".{0,200}", tags in "[<>/a-c \"'=!\\-\\[\\]&;]{0,120}") {
        for text in [text, tags.clone(), format!("<policymap>{tags}</policymap>"), format!("<policymap {tags}/>")] {
            for wanted in [mvg(), ajp(), wanted(r#""element":"/policymap","want":"attribute","attribute":"x","value":"é""#)] {
                if let Ok((after, edit)) = set(&text, &wanted) {
                    prop_assert!(look(&after, &wanted).unwrap().holds);
                    prop_assert!(take_back(&after, &edit).is_ok());
                }
            }
        }
    }
}
