//! Tests of the formats and edits that are no single line: BIND, PAM, lists, and what is taken out.

use super::lists::{WantedList, holding, remove, take_out, values};
use super::*;
use proptest::prelude::*;

fn none(_: &str) -> Result<Vec<String>, String> {
    Ok(Vec::new())
}

fn bind(key: &str) -> Wanted<'_> {
    Wanted { format: SettingFormat::Bind, section: Some("options"), key, value: "no" }
}

fn pam(value: &str) -> Wanted<'_> {
    Wanted { format: SettingFormat::Pam, section: None, key: "pam_env.so user_readenv", value }
}

#[test]
fn bind_takes_the_options_and_views_may_say_otherwise() {
    let key = "stale-answer-enable";
    let is = |text: &str| effective(text, &bind(key), &none);
    assert_eq!(is("options { stale-answer-enable yes; };"), Ok(Effective::Value("yes".to_owned())));
    assert_eq!(is("options{stale-answer-enable true;};"), Ok(Effective::Value("yes".to_owned())));
    assert_eq!(is("options { /* stale-answer-enable yes; */ };\n// stale-answer-enable yes;\n"), Ok(Effective::Unset));
    let view = "options { stale-answer-enable no; };\nview \"a\" { zone \".\" { stale-answer-enable yes; }; };\n";
    assert_eq!(is(view), Ok(Effective::Mixed("yes".to_owned())));
    assert!(matches!(set(view, &bind(key), &none), Err(FormatError::Conditional { .. })));
    let agreed = "options { stale-answer-enable yes; };\nview \"a\" { stale-answer-enable no; };\n";
    assert!(set(agreed, &bind(key), &none).is_ok());
    for broken in ["options {", "options { a \"b; };", "}", "options { a b }; ", "/* x", "a b"] {
        assert!(is(broken).is_err(), "{broken}");
    }
    let deep = format!("{}{}", "a {".repeat(4000), "};".repeat(4000));
    assert!(is(&deep).is_err(), "no stack is used up");
}

#[test]
fn bind_edits_are_one_statement() {
    for (before, after) in [
        ("options {\n\tdirectory \"/x\";\n};\n", "options {\n\trecursion no;\n\tdirectory \"/x\";\n};\n"),
        ("options { recursion yes; }; // x\n", "options { recursion no; }; // x\n"),
        ("options {\n\trecursion\n\t yes ; # why\n};", "options {\n\trecursion no; # why\n};"),
        ("acl a { any; };\noptions{};", "acl a { any; };\noptions{\n\trecursion no;};"),
    ] {
        let (text, edit) = set(before, &bind("recursion"), &none).unwrap();
        assert_eq!(text, after);
        assert_eq!(take_back(SettingFormat::Bind, &text, &edit), Ok(TakenBack::Text(before.to_owned())));
        assert_eq!(take_back(SettingFormat::Bind, before, &edit), Ok(TakenBack::AlreadyGone));
        let changed = text.replace("recursion no", "recursion maybe");
        assert!(matches!(take_back(SettingFormat::Bind, &changed, &edit), Ok(TakenBack::Drifted(v)) if v == "maybe"));
        let beside = text.replace("options", "options /* mine */");
        let back = take_back(SettingFormat::Bind, &beside, &edit).unwrap();
        assert_eq!(back, TakenBack::Text(before.replace("options", "options /* mine */")));
    }
    for text in ["", "options {};\noptions {};\n", "options { recursion yes; recursion no; };\n"] {
        assert!(set(text, &bind("recursion"), &none).is_err(), "{text}");
    }
    let includes = |_: &str| Ok(vec!["recursion yes;".to_owned()]);
    let text = "options { include \"/x\"; };\n";
    assert_eq!(effective(text, &bind("recursion"), &includes), Ok(Effective::Value("yes".to_owned())));
    assert!(matches!(set(text, &bind("recursion"), &includes), Err(FormatError::Elsewhere(_))));
    let circle = |_: &str| Ok(vec!["include \"/x\";".to_owned()]);
    assert!(matches!(effective("include \"/x\";", &bind("recursion"), &circle), Err(FormatError::Include(_))));
}

#[test]
fn pam_options_are_set_on_every_line_of_the_module() {
    let before = "#%PAM-1.0\nauth [success=1 default=ignore] pam_unix.so nullok\nsession optional pam_env.so user_readenv=1 # why\n\
                  session\trequired\t/lib/security/pam_env.so envfile=/etc/x\n-session optional pam_env.so";
    assert_eq!(effective(before, &pam("0"), &none), Ok(Effective::Mixed("1".to_owned())));
    let (text, edit) = set(before, &pam("0"), &none).unwrap();
    assert!(text.contains("pam_env.so user_readenv=0 # why\n"), "{text}");
    assert!(text.contains("envfile=/etc/x user_readenv=0\n") && text.ends_with("pam_env.so user_readenv=0"), "{text}");
    assert!(text.contains("pam_unix.so nullok\n"));
    assert_eq!(effective(&text, &pam("0"), &none), Ok(Effective::Value("0".to_owned())));
    assert_eq!(take_back(SettingFormat::Pam, &text, &edit), Ok(TakenBack::Text(before.to_owned())));
    let other = text.replace("user_readenv=0 # why", "user_readenv=2 # why");
    assert!(matches!(take_back(SettingFormat::Pam, &other, &edit), Ok(TakenBack::Drifted(_))));
    let beside = format!("auth required pam_deny.so\n{text}");
    let back = format!("auth required pam_deny.so\n{before}");
    assert_eq!(take_back(SettingFormat::Pam, &beside, &edit), Ok(TakenBack::Text(back)));
    for awkward in [
        "session optional pam_env.so \\\n user_readenv=1\n",
        "session [success=1 pam_env.so\n",
        "auth required pam_deny.so\n",
    ] {
        assert!(set(awkward, &pam("0"), &none).is_err(), "{awkward}");
    }
    // A stack that other services share is looked at and never changed.
    let shared = |_: &str| Ok(vec!["session optional pam_env.so user_readenv=1\n".to_owned()]);
    for include in ["@include common-session\n", "session include system-auth\n", "session substack system-auth\n"] {
        let text = format!("session optional pam_env.so user_readenv=0\n{include}");
        assert_eq!(effective(&text, &pam("0"), &shared), Ok(Effective::Mixed("1".to_owned())), "{include}");
        assert!(matches!(set(&text, &pam("0"), &shared), Err(FormatError::Conditional { .. })), "{include}");
    }
}

fn fruit() -> WantedList<'static> {
    WantedList { format: SettingFormat::Smbconf, section: Some("*"), key: "vfs objects", remove: "fruit" }
}

#[test]
fn a_word_is_taken_out_of_every_list_and_put_back() {
    let before = "# x\n[global]\n vfs objects = catia Fruit:a, streams_xattr\n[homes]\nvfs object=fruit\n[data]\nVFS Objects = acl_xattr grapefruit\n";
    assert_eq!(holding(before, &fruit(), &none).unwrap().len(), 2);
    let (text, edit) = remove(before, &fruit(), &none).unwrap();
    assert_eq!(
        text,
        "# x\n[global]\n vfs objects = catia streams_xattr\n[homes]\nvfs objects =\n[data]\nVFS Objects = acl_xattr grapefruit\n"
    );
    assert_eq!(holding(&text, &fruit(), &none), Ok(Vec::new()));
    assert_eq!(take_back(SettingFormat::Smbconf, &text, &edit), Ok(TakenBack::Text(before.to_owned())));
    let beside = text.replace("[data]", "[data]\npath = /srv");
    let back = take_back(SettingFormat::Smbconf, &beside, &edit).unwrap();
    assert_eq!(back, TakenBack::Text(before.replace("[data]", "[data]\npath = /srv")));
    let changed = text.replace("catia streams_xattr", "catia");
    assert!(matches!(take_back(SettingFormat::Smbconf, &changed, &edit), Ok(TakenBack::Drifted(v)) if v == "catia"));
    // By its file, and with what stands before any section.
    for text in ["[a]\nvfs objects = /usr/lib/samba/vfs/fruit.so\n", "vfs objects = \"fruit\"\n[a]\n"] {
        assert_eq!(holding(text, &fruit(), &none).unwrap().len(), 1, "{text}");
        assert!(remove(text, &fruit(), &none).is_ok(), "{text}");
    }
}

#[test]
fn a_list_in_an_included_section_is_seen_and_left_to_a_person() {
    let shares = |_: &str| Ok(vec!["[share]\nvfs objects = fruit\n".to_owned()]);
    let text = "[global]\ninclude = /etc/samba/shares.conf\n";
    assert_eq!(holding(text, &fruit(), &shares).unwrap().len(), 1);
    assert!(matches!(remove(text, &fruit(), &shares), Err(FormatError::Elsewhere(_))));
    // Within its own section an include is overruled by a line after it.
    let global = |_: &str| Ok(vec!["vfs objects = fruit catia\n".to_owned()]);
    let (edited, edit) = remove(text, &fruit(), &global).unwrap();
    assert_eq!(edited, format!("{text}vfs objects = catia\n"));
    assert_eq!(take_back(SettingFormat::Smbconf, &edited, &edit), Ok(TakenBack::Text(text.to_owned())));
}

#[test]
fn what_is_taken_out_leaves_a_mark_and_comes_back_to_its_place() {
    let named = "options { a b; };\nview \"x\" {\n\tnxdomain-redirect \"e.\"; // why\n};\nview y { nxdomain-redirect\n\"f.\"; };";
    let ini = "[a]\nkey = 1\n  key = 2\r\nother = 3\n[b]\nkey = 4";
    let sshd = "Port 22\nBanner /x\nMatch User a\n\tBanner none\n";
    for (format, key, before, count) in [
        (SettingFormat::Bind, "nxdomain-redirect", named, 2),
        (SettingFormat::Ini, "key", ini, 3),
        (SettingFormat::Sshd, "banner", sshd, 2),
        (SettingFormat::Postconf, "relay", "a = b\nrelay = x,\n  y\nc = d\n", 1),
    ] {
        assert_eq!(values(format, before, None, key, &none).unwrap().len(), count, "{before}");
        let (text, edit) = take_out(format, before, None, key, &none).unwrap();
        assert_eq!(values(format, &text, None, key, &none), Ok(Vec::new()), "{text}");
        assert_eq!(text.matches("was taken out here").count(), count, "{text}");
        assert_eq!(take_back(format, &text, &edit), Ok(TakenBack::Text(before.to_owned())), "{text}");
        assert_eq!(take_back(format, before, &edit), Ok(TakenBack::AlreadyGone), "{text}");
        let unmarked = text.replace("was taken out", "went");
        assert!(matches!(take_back(format, &unmarked, &edit), Ok(TakenBack::Drifted(_))), "{unmarked}");
        assert!(take_out(format, &format!("{before}\n{text}"), None, key, &none).is_err(), "marks of ours are there");
    }
    let (text, edit) = take_out(SettingFormat::Ini, "key = 1\n", None, "key", &none).unwrap();
    let anew = format!("{text}key = 7\n");
    assert_eq!(take_back(SettingFormat::Ini, &anew, &edit), Ok(TakenBack::Drifted("7".to_owned())));
    let included = |_: &str| Ok(vec!["view z { nxdomain-redirect \"g.\"; };".to_owned()]);
    let text = format!("{named}\ninclude \"/x\";");
    assert!(matches!(
        take_out(SettingFormat::Bind, &text, None, "nxdomain-redirect", &included),
        Err(FormatError::Elsewhere(_))
    ));
}

fn configuration() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("options { recursion yes; };"),
        Just("options {\n"),
        Just("};"),
        Just("};\n"),
        Just("recursion no;"),
        Just("\trecursion\n yes;"),
        Just("view a {"),
        Just("/* x */"),
        Just("# recursion yes;\n"),
        Just("\"q;\""),
        Just("x"),
        Just(";"),
        Just("/"),
        Just("\\"),
        Just("é"),
    ];
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

fn stack() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("session optional pam_env.so"),
        Just(" user_readenv=1"),
        Just(" user_readenv"),
        Just(" [a=b c]"),
        Just(" #"),
        Just("\\"),
        Just("\r\n"),
        Just("\n"),
        Just("auth include x\n"),
        Just("é "),
    ];
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn whatever_is_edited_decides_and_can_be_taken_back(text in configuration(), pam_text in stack(), any in ".{0,80}") {
        for text in [&text, &any] {
            if let Ok((edited, edit)) = set(text, &bind("recursion"), &none) {
                prop_assert_eq!(effective(&edited, &bind("recursion"), &none), Ok(Effective::Value("no".to_owned())));
                prop_assert_eq!(take_back(SettingFormat::Bind, &edited, &edit), Ok(TakenBack::Text(text.clone())));
            }
            for format in [SettingFormat::Bind, SettingFormat::Ini, SettingFormat::Smbconf, SettingFormat::Sshd] {
                if let Ok((edited, _)) = take_out(format, text, None, "recursion", &none) {
                    prop_assert_eq!(values(format, &edited, None, "recursion", &none), Ok(Vec::new()));
                }
            }
        }
        for text in [&pam_text, &any] {
            if let Ok((edited, edit)) = set(text, &pam("0"), &none) {
                prop_assert_eq!(effective(&edited, &pam("0"), &none), Ok(Effective::Value("0".to_owned())));
                prop_assert_eq!(take_back(SettingFormat::Pam, &edited, &edit), Ok(TakenBack::Text(text.clone())));
            }
        }
    }
}
