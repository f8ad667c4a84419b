//! The language by example, and the laws it keeps.

use super::*;
use proptest::prelude::*;

const STATES: &[&str] = &["open", "in progress", "closed"];

const FIELDS: Fields = Fields {
    fields: &[
        Field { name: "qid", kind: Kind::Number, doc: "" },
        Field { name: "severity", kind: Kind::Number, doc: "" },
        Field { name: "cvss", kind: Kind::Decimal, doc: "" },
        Field { name: "title", kind: Kind::Text, doc: "" },
        Field { name: "asset.tag", kind: Kind::Name, doc: "" },
        Field { name: "assignee", kind: Kind::Person, doc: "" },
        Field { name: "state", kind: Kind::Words(STATES), doc: "" },
        Field { name: "mitigable", kind: Kind::Truth, doc: "" },
        Field { name: "first_seen", kind: Kind::Instant, doc: "" },
    ],
    flags: &[
        Flag { name: "closed", field: "state", words: &["closed"], doc: "" },
        Flag { name: "active", field: "state", words: &["open", "in progress"], doc: "" },
    ],
    free: &["title", "asset.tag"],
};

/// What a query prints as, or its error with the caret.
fn canonical(text: &str) -> String {
    match parse(text, &FIELDS) {
        Ok(filter) => filter.to_string(),
        Err(error) => error.pointed(text),
    }
}

#[test]
fn the_table_has_no_mistakes() {
    assert_eq!(FIELDS.mistakes(), Vec::<String>::new());
    let broken = Fields {
        fields: &[Field { name: "a", kind: Kind::Number, doc: "" }, Field { name: "a", kind: Kind::Text, doc: "" }],
        flags: &[Flag { name: "x", field: "a", words: &["y"], doc: "" }],
        free: &["a", "b"],
    };
    assert_eq!(broken.mistakes().len(), 4);
}

#[test]
fn queries_have_one_canonical_form() {
    let cases = [
        ("", ""),
        ("   ", ""),
        ("qid:91614", "qid:91614"),
        ("QID = 91614", "qid:91614"),
        ("severity : [ 4 , 5 ]", "severity:[4, 5]"),
        ("severity:[2..4]", "severity:[2..4]"),
        ("severity:(2 .. 4)", "severity:(2..4)"),
        ("severity>=4", "severity:>=4"),
        ("severity: < -4", "severity:<-4"),
        ("severity!=4", "not severity:4"),
        ("severity:!=4", "not severity:4"),
        ("cvss:>7.5", "cvss:>7.5"),
        ("title:overflow", "title:overflow"),
        ("title:\"buffer overflow\"", "title:\"buffer overflow\""),
        ("title:\"say \\\"hi\\\" \\\\\"", "title:\"say \\\"hi\\\" \\\\\""),
        ("title:`Exact Title`", "title:`Exact Title`"),
        ("asset.tag:web*", "asset.tag:web*"),
        ("asset.tag:\"web server\"*", "asset.tag:\"web server\"*"),
        ("assignee:me", "assignee:me"),
        ("assignee:\"me\"", "assignee:\"me\""),
        ("assignee:none", "not has:assignee"),
        ("is:mitigable", "mitigable:true"),
        ("mitigable:no", "mitigable:false"),
        ("IS:Closed", "state:closed"),
        ("is:active", "state:[open, \"in progress\"]"),
        ("has:assignee", "has:assignee"),
        ("first_seen:>now-30d", "first_seen:>now-30d"),
        ("first_seen:>now-4w", "first_seen:>now-28d"),
        ("first_seen:<now+90m", "first_seen:<now+90m"),
        ("first_seen:2026-11-22", "first_seen:2026-11-22"),
        ("first_seen:>=2026-11-22T10:30:00Z", "first_seen:>=2026-11-22T10:30:00Z"),
        ("first_seen:[2026-11-01..2026-11-22]", "first_seen:[2026-11-01..2026-11-22]"),
        ("openssl heartbleed", "openssl and heartbleed"),
        ("\"and\"", "\"and\""),
        ("CVE-2021-44228", "CVE-2021-44228"),
        ("10.0.0.1", "10.0.0.1"),
        ("a or b and c", "a or b and c"),
        ("(a or b) and c", "(a or b) and c"),
        ("a AND (b AND c)", "a and b and c"),
        ("not not a", "a"),
        ("not a b", "not a and b"),
        ("not (a b)", "not (a and b)"),
        ("(((a)))", "a"),
        (
            "qid:91614 and severity:[4,5] and not is:closed and asset.tag:\"prod\" and first_seen:>now-30d",
            "qid:91614 and severity:[4, 5] and not state:closed and asset.tag:prod and first_seen:>now-30d",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(canonical(text), expected, "{text}");
    }
}

#[test]
fn mistakes_are_pointed_at_and_a_correction_is_offered() {
    let cases = [
        ("severty:5", "^^^^^^^", "there is no field `severty`; did you mean `severity`?"),
        ("is:mitigated", "   ^^^^^^^^^", "there is no word after is: `mitigated`"),
        ("is:mitigabel", "   ^^^^^^^^^", "there is no word after is: `mitigabel`; did you mean `mitigable`?"),
        ("has:asignee", "    ^^^^^^^", "there is no field `asignee`; did you mean `assignee`?"),
        ("state:opn", "      ^^^", "state is one of open, in progress, closed; did you mean `open`?"),
        ("severity:high", "         ^^^^", "severity expects a whole number here"),
        ("severity:99999999999999999999", "         ^^^^^^^^^^^^^^^^^^^^", "severity expects a whole number here"),
        ("severity:", "         ^", "a value for severity is missing here: a whole number"),
        ("severity:[4,5 and a", "              ^^^", "a comma or a closing bracket is missing here"),
        ("severity:[]", "         ^", "an empty list matches nothing"),
        ("severity:(4)", "           ^", "two dots are missing here: a range is (a..b) or [a..b]"),
        ("title:>x", "      ^", "title is text and has no order; use `title:`"),
        ("title:\"x", "      ^", "this double quote is never closed"),
        ("(a or b", "       ^", "a closing parenthesis is missing here"),
        ("a)", " ^", "this parenthesis closes nothing"),
        ("and a", "^^^", "a condition is missing before `and`"),
        ("a or", "    ^", "a condition is missing here"),
        ("first_seen:yesterday", "           ^^^^^^^^^", "first_seen expects a date, an instant or now-30d here"),
        ("first_seen:now-9999999w", "           ^^^^^^^^^^^^", "first_seen expects a date, an instant or now-30d here"),
        ("cvss:1e9", "     ^^^", "cvss expects a number here"),
        ("cvss:NaN", "     ^^^", "cvss expects a number here"),
        ("state:open*", "          ^", "state is one of a list of words and takes no star"),
        ("título:x", "^^^^^^", "there is no field `título`"),
        ("\"\"", "^^", "empty text cannot be looked for"),
    ];
    for (text, carets, message) in cases {
        assert_eq!(canonical(text), format!("{text}\n{carets}\n{message}"), "{text}");
    }
}

#[test]
fn size_depth_and_cost_are_bounded() {
    let error = |text: &str| parse(text, &FIELDS).unwrap_err().message;
    assert!(error(&"a".repeat(TEXT_MAX + 1)).contains("longer than"));
    assert!(error(&"(".repeat(1_000)).contains("nested deeper"));
    assert!(error(&"not ".repeat(1_000)).contains("nested deeper"));
    assert!(error(&"a ".repeat(31)).contains("too much at once"));
    assert!(error(&format!("qid:[{}1]", "1,".repeat(LIST_MAX))).contains("longer than"));
    assert!(parse(&format!("qid:[{}1]", "1,".repeat(LIST_MAX - 1)), &FIELDS).is_ok());
}

struct Row(Vec<(&'static str, Value)>);

impl Subject for Row {
    fn values(&self, field: &str) -> Vec<Value> {
        self.0.iter().filter(|(name, _)| *name == field).map(|(_, value)| value.clone()).collect()
    }
}

#[test]
fn conditions_mean_what_they_say() {
    let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
    let zone = TimeZone::get("Europe/Rome").unwrap();
    let context = Context { now, zone, me: Some("Ada".to_owned()) };
    let seen = Value::Instant("2026-11-21T23:30:00Z".parse().unwrap());
    let row = Row(vec![
        ("qid", Value::Number(38628)),
        ("title", Value::Text("OpenSSL Buffer Overflow".to_owned())),
        ("asset.tag", Value::Text("Prod".to_owned())),
        ("asset.tag", Value::Text("web".to_owned())),
        ("assignee", Value::Text("ada".to_owned())),
        ("state", Value::Text("open".to_owned())),
        ("first_seen", seen),
    ]);
    let cases = [
        ("", true),
        ("qid:38628", true),
        ("qid:(38628..38630)", false),
        ("qid:[38628..38630]", true),
        ("severity:5", false),
        ("not severity:5", true),
        ("severity!=5", true),
        ("severity:<5 or severity:>=5", false),
        ("title:overflow", true),
        ("title:open*", true),
        ("title:buffer*", false),
        ("title:`OpenSSL Buffer Overflow`", true),
        ("title:`openssl buffer overflow`", false),
        ("asset.tag:prod", true),
        ("asset.tag:pro", false),
        ("asset.tag:pro*", true),
        ("not asset.tag:db", true),
        ("not asset.tag:web", false),
        ("asset.tag:[db, web]", true),
        ("assignee:me", true),
        ("assignee:none", false),
        ("is:active", true),
        ("is:closed", false),
        ("has:severity", false),
        ("buffer web", true),
        ("buffer db", false),
        ("first_seen:2026-11-22", true),
        ("first_seen:2026-11-21", false),
        ("first_seen:<2026-11-22", false),
        ("first_seen:<=2026-11-22", true),
        ("first_seen:>2026-11-21", true),
        ("first_seen:>now-1d", true),
        ("first_seen:>now-12h", false),
        ("first_seen:2026-11-21T23:30:00Z", true),
    ];
    for (text, expected) in cases {
        let filter = parse(text, &FIELDS).unwrap();
        assert_eq!(matches(&filter, &FIELDS, &row, &context), expected, "{text}");
    }
}

fn words() -> impl Strategy<Value = String> {
    prop_oneof!["[a-c.]{1,3}", "(and|or|not|me|none|is|has)", "[ -~]{1,6}", "\\PC{1,4}"]
        .prop_filter("control characters and back quotes are not asked for", |text| {
            !text.chars().any(|c| c.is_control() || c == '`')
        })
}

fn whens() -> impl Strategy<Value = When> {
    prop_oneof![
        (-31_557_600_000..31_557_600_000_i64).prop_map(When::FromNow),
        (1..9_998_i16, 1..13_i8, 1..29_i8).prop_map(|(y, m, d)| When::Day(Date::constant(y, m, d))),
        (-60_000_000_000_000_000..250_000_000_000_000_000_i64)
            .prop_map(|micros| When::Instant(Timestamp::from_micros(micros))),
    ]
}

fn conditions() -> impl Strategy<Value = Filter> {
    let operator = prop_oneof![
        Just(Operator::Equal),
        Just(Operator::Less),
        Just(Operator::AtMost),
        Just(Operator::Greater),
        Just(Operator::AtLeast),
    ];
    let how = prop_oneof![Just(Match::Usual), Just(Match::Prefix), Just(Match::Exact)];
    let text = (prop_oneof![Just("title"), Just("asset.tag"), Just("assignee")], words(), how).prop_map(
        |(field, text, how)| Filter::Compare { field, operator: Operator::Equal, operand: Operand::Text(text, how) },
    );
    let number = (operator.clone(), any::<i64>()).prop_map(|(operator, n)| Filter::Compare {
        field: "qid",
        operator,
        operand: Operand::Number(n),
    });
    let instant = (operator, whens()).prop_map(|(operator, w)| Filter::Compare {
        field: "first_seen",
        operator,
        operand: Operand::When(w),
    });
    let list = prop::collection::vec(0..3_usize, 1..4).prop_map(|picks| Filter::OneOf {
        field: "state",
        operands: picks.into_iter().map(|pick| Operand::Word(STATES[pick])).collect(),
    });
    let between = (-1000_i32..1000, any::<bool>()).prop_map(|(n, inclusive)| Filter::Between {
        field: "cvss",
        low: Operand::Decimal(f64::from(n) / 8.0),
        high: Operand::Decimal(f64::from(n) / 4.0),
        inclusive,
    });
    prop_oneof![
        text,
        number,
        instant,
        list,
        between,
        Just(Filter::Present { field: "assignee" }),
        words().prop_map(Filter::Free)
    ]
}

fn trees() -> impl Strategy<Value = Filter> {
    conditions().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Filter::and),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Filter::or),
            inner.prop_map(Filter::not),
        ]
    })
}

proptest! {
    #[test]
    fn printing_and_parsing_give_the_same_tree(filter in trees()) {
        prop_assume!(filter.cost() <= COST_MAX);
        let text = filter.to_string();
        prop_assume!(text.len() <= TEXT_MAX);
        prop_assert_eq!(parse(&text, &FIELDS).map_err(|error| error.pointed(&text)), Ok(filter));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,60}") {
        if let Err(error) = parse(&text, &FIELDS) {
            let _ = error.pointed(&text);
        }
    }

    #[test]
    fn no_text_of_its_own_signs_makes_the_parser_panic(text in "[a-d:\\[\\]().,*\"`<>=!\\\\ \u{e9}]{0,40}") {
        if let Ok(filter) = parse(&text, &FIELDS) {
            prop_assert_eq!(parse(&filter.to_string(), &FIELDS), Ok(filter));
        }
    }
}
