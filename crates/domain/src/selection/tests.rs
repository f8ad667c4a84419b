use super::*;
use crate::filter::{Field, Kind, Value};
use crate::time::Timestamp;

const FIELDS: Fields =
    Fields { fields: &[Field { name: "name", kind: Kind::Name, doc: "" }], flags: &[], free: &["name"] };

struct Row(&'static str);

impl Subject for Row {
    fn values(&self, field: &str) -> Vec<Value> {
        if field == "name" { vec![Value::Text(self.0.to_owned())] } else { Vec::new() }
    }
}

fn set(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn rule(tags: &[&str], matching: Match) -> TagRule {
    TagRule { tags: set(tags), matching }
}

fn tree() -> Tree {
    Tree::new([("db".to_owned(), "prod".to_owned()), ("web".to_owned(), "prod".to_owned())])
}

/// The verdict for asset 7, `web-1`, Linux, with an agent and these tags.
fn verdict(selection: &Selection, tags: &[&str], scopes: &[AssetScope]) -> Verdict {
    let (tags, filter, tree) = (set(tags), selection.read(&FIELDS).unwrap(), tree());
    let question = Question {
        selection,
        filter: &filter,
        fields: &FIELDS,
        context: &Context::at(Timestamp::from_micros(1)),
        tree: &tree,
        scopes,
        platform: Platform::Linux,
    };
    let row = Row("web-1");
    decide(&question, &Candidate { id: AssetId(7), platform: Platform::Linux, tags: &tags, agent: true, row: &row })
}

#[test]
fn r19_any_and_all_of_tags_with_what_lies_below_them() {
    let by = |tags: &[&str], matching| Selection { tags: rule(tags, matching), ..Selection::default() };
    for (chosen, carried, expected) in [
        (by(&["prod"], Match::Any), vec!["web"], Verdict::In),
        (by(&["web"], Match::Any), vec!["prod"], Verdict::Absent),
        (by(&["prod", "eu"], Match::Any), vec!["eu"], Verdict::In),
        (by(&["prod", "eu"], Match::All), vec!["eu"], Verdict::Absent),
        (by(&["prod", "eu"], Match::All), vec!["eu", "db"], Verdict::In),
        (by(&[], Match::All), vec!["eu"], Verdict::Absent),
        (Selection { must: set(&["eu"]), ..by(&["prod"], Match::Any) }, vec!["web"], Verdict::Absent),
        (Selection { must: set(&["eu"]), ..by(&["prod"], Match::Any) }, vec!["web", "eu"], Verdict::In),
    ] {
        assert_eq!(verdict(&chosen, &carried, &[]), expected, "{chosen:?} {carried:?}");
    }
}

#[test]
fn r19_any_and_all_of_excluded_tags() {
    let all = Selection { query: "name:web-1".to_owned(), ..Selection::default() };
    let but = |tags: &[&str], matching| Selection { exclude: rule(tags, matching), ..all.clone() };
    let out = Verdict::Out(Reason::ExcludedByTag);
    for (chosen, carried, expected) in [
        (but(&["prod"], Match::Any), vec!["web"], out),
        (but(&["prod", "eu"], Match::All), vec!["web"], Verdict::In),
        (but(&["prod", "eu"], Match::All), vec!["web", "eu"], out),
        (but(&[], Match::All), vec!["web"], Verdict::In),
    ] {
        assert_eq!(verdict(&chosen, &carried, &[]), expected, "{chosen:?} {carried:?}");
    }
    let listed = Selection { exclude_assets: [AssetId(7)].into(), ..Selection::list([AssetId(7)]) };
    assert_eq!(verdict(&listed, &[], &[]), Verdict::Out(Reason::Excluded));
}

#[test]
fn r19_no_way_of_naming_reaches_beyond_a_scope() {
    let mine = [AssetScope::Tags(set(&["lab"]))];
    for chosen in [
        Selection::list([AssetId(7)]),
        Selection { query: "name:web-1".to_owned(), ..Selection::default() },
        Selection { query: "not name:x".to_owned(), ..Selection::default() },
        Selection { tags: rule(&["prod"], Match::Any), ..Selection::default() },
        Selection { must: set(&["prod"]), ..Selection::default() },
    ] {
        assert_eq!(verdict(&chosen, &["web"], &mine), Verdict::Absent, "{chosen:?}");
        assert_eq!(verdict(&chosen, &["web", "lab"], &mine), Verdict::In, "{chosen:?}");
    }
    // Below a tag of the scope is not inside it, and every scope has to agree.
    let parent = [AssetScope::Tags(set(&["prod"]))];
    assert_eq!(verdict(&Selection::list([AssetId(7)]), &["web"], &parent), Verdict::Absent);
    let both = [AssetScope::All, AssetScope::Tags(set(&["lab"]))];
    assert_eq!(verdict(&Selection::list([AssetId(7)]), &["web"], &both), Verdict::Absent);
}

#[test]
fn r8_platform_and_agent_are_asked_last_and_said() {
    let chosen = Selection::list([AssetId(7)]);
    let filter = chosen.read(&FIELDS).unwrap();
    let (tags, tree, row) = (set(&[]), tree(), Row("web-1"));
    let context = Context::at(Timestamp::from_micros(1));
    let question = Question {
        selection: &chosen,
        filter: &filter,
        fields: &FIELDS,
        context: &context,
        tree: &tree,
        scopes: &[],
        platform: Platform::Linux,
    };
    let asset = |platform, agent| Candidate { id: AssetId(7), platform, tags: &tags, agent, row: &row };
    assert_eq!(decide(&question, &asset(Platform::Windows, false)), Verdict::Out(Reason::OtherPlatform));
    assert_eq!(decide(&question, &asset(Platform::Linux, false)), Verdict::Out(Reason::NoAgent));
    assert!(platform(Platform::Linux).is_ok() && platform(Platform::Windows).is_ok());
    assert_eq!(platform(Platform::Macos).unwrap_err().code, "platform_unsupported");
}

#[test]
fn what_cannot_be_read_is_refused_by_field() {
    let bad = |selection: Selection| selection.read(&FIELDS).unwrap_err();
    assert_eq!(bad(Selection { query: "nme:x".to_owned(), ..Selection::default() }).0, "query");
    let many = (0..=TAGS_MAX).map(|n| n.to_string()).collect();
    assert_eq!(bad(Selection { must: many, ..Selection::default() }).1.code, "tags_too_many");
    let tags = rule(&["a\nb"], Match::Any);
    assert_eq!(bad(Selection { exclude: tags, ..Selection::default() }).0, "exclude_tags");
    assert!(Selection::default().is_empty());
}
