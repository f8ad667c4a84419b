//! The query language and keyset pages in SQL, compared with what the language says, on both engines.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::allow_attributes,
    reason = "a test panics rather than returning an error"
)]

use domain::filter::{
    Context, Field, Fields, Filter, Flag, Kind, Match, Operand, Operator, Subject, Value, When, matches, parse,
};
use domain::time::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use store::filter::Column;
use store::list::{self, List, Order, Query, Sort, count, keys, page};
use store::{Sql, Transaction, record, stage};
use testkit::both_engines;
use testkit::database::TestDatabase;

const STATES: &[&str] = &["open", "closed"];

const FIELDS: Fields = Fields {
    fields: &[
        Field { name: "severity", kind: Kind::Number, doc: "" },
        Field { name: "cvss", kind: Kind::Decimal, doc: "" },
        Field { name: "title", kind: Kind::Text, doc: "" },
        Field { name: "host", kind: Kind::Name, doc: "" },
        Field { name: "owner", kind: Kind::Person, doc: "" },
        Field { name: "state", kind: Kind::Words(STATES), doc: "" },
        Field { name: "urgent", kind: Kind::Truth, doc: "" },
        Field { name: "seen", kind: Kind::Instant, doc: "" },
        Field { name: "tag", kind: Kind::Name, doc: "" },
    ],
    flags: &[Flag { name: "closed", field: "state", words: &["closed"], doc: "" }],
    free: &["title", "host", "tag"],
};

const LIST: List = List {
    name: "samples",
    select: "sample.id, sample.severity, sample.cvss, sample.title, sample.host, sample.owner, sample.state,
             sample.urgent, sample.seen",
    from: "sample",
    key: "sample.id",
    fields: &FIELDS,
    columns: &[
        Column::one("severity", "sample.severity"),
        Column::one("cvss", "sample.cvss"),
        Column::one("title", "sample.title"),
        Column::one("host", "sample.host"),
        Column::one("owner", "sample.owner"),
        Column::one("state", "sample.state"),
        Column::one("urgent", "sample.urgent"),
        Column::one("seen", "sample.seen"),
        Column::many("tag", "sample_tag WHERE sample_tag.sample_id = sample.id", "sample_tag.tag"),
    ],
    sorts: &[
        Sort::whole("severity", "sample.severity").or_null(),
        Sort::real("cvss", "sample.cvss").or_null(),
        Sort::text("title", "sample.title"),
        Sort::text("host", "sample.host").or_null(),
        Sort::whole("seen", "sample.seen").or_null(),
    ],
};

const TABLES: &str = "
    CREATE TABLE sample (
        id {whole} NOT NULL PRIMARY KEY, severity {small}, cvss {real}, title {text} NOT NULL, host {text},
        owner {text}, state {text} NOT NULL, urgent {bool} NOT NULL, seen {time}
    ) {strict};
    CREATE TABLE sample_tag (sample_id {whole} NOT NULL, tag {text} NOT NULL, PRIMARY KEY (sample_id, tag)) {keyed};";

record! {
    #[derive(Clone, Debug, PartialEq)]
    struct Sample {
        id: i64,
        severity: Option<i16>,
        cvss: Option<f64>,
        title: String,
        host: Option<String>,
        owner: Option<String>,
        state: String,
        urgent: bool,
        seen: Option<Timestamp>,
    }
}
stage!(Sample as "sample_batch" {
    id: i64, severity: Option<i16>, cvss: Option<f64>, title: String, host: Option<String>, owner: Option<String>,
    state: String, urgent: bool, seen: Option<Timestamp>,
});

#[derive(Clone, Debug)]
struct Tag {
    sample_id: i64,
    tag: String,
}
stage!(Tag as "sample_tag_batch" { sample_id: i64, tag: String });

/// A sample with its tags, as the language sees it.
#[derive(Clone, Debug)]
struct Whole {
    sample: Sample,
    tags: Vec<String>,
}

impl Subject for Whole {
    fn values(&self, field: &str) -> Vec<Value> {
        let text = |value: &Option<String>| value.iter().cloned().map(Value::Text).collect();
        let sample = &self.sample;
        match field {
            "severity" => sample.severity.map(|n| Value::Number(i64::from(n))).into_iter().collect(),
            "cvss" => sample.cvss.map(Value::Decimal).into_iter().collect(),
            "title" => vec![Value::Text(sample.title.clone())],
            "host" => text(&sample.host),
            "owner" => text(&sample.owner),
            "state" => vec![Value::Text(sample.state.clone())],
            "urgent" => vec![Value::Truth(sample.urgent)],
            "seen" => sample.seen.map(Value::Instant).into_iter().collect(),
            "tag" => self.tags.iter().cloned().map(Value::Text).collect(),
            other => panic!("unknown field {other}"),
        }
    }
}

fn fill(tx: &mut Transaction<'_>, samples: &[Sample], tags: &[Tag]) -> store::Result<()> {
    tx.execute("DELETE FROM sample", &[])?;
    tx.execute("DELETE FROM sample_tag", &[])?;
    tx.stage(samples)?;
    tx.execute(
        "INSERT INTO sample (id, severity, cvss, title, host, owner, state, urgent, seen)
         SELECT id, severity, cvss, title, host, owner, state, urgent, seen FROM sample_batch",
        &[],
    )?;
    tx.stage(tags)?;
    tx.execute("INSERT INTO sample_tag (sample_id, tag) SELECT sample_id, tag FROM sample_tag_batch", &[])?;
    Ok(())
}

fn put(db: &TestDatabase, rows: &[Whole]) {
    let samples: Vec<Sample> = rows.iter().map(|row| row.sample.clone()).collect();
    let tag = |row: &Whole| {
        let id = row.sample.id;
        row.tags.clone().into_iter().map(move |tag| Tag { sample_id: id, tag }).collect::<Vec<_>>()
    };
    let tags: Vec<Tag> = rows.iter().flat_map(tag).collect();
    db.write_blocking(move |tx| fill(tx, &samples, &tags)).unwrap();
}

// --- random rows and filters ------------------------------------------------------------------------------------------

fn context() -> Context {
    let now = Timestamp::from_micros(1_790_000_000_000_000);
    Context { me: Some("Ada".to_owned()), ..Context::at(now) }
}

/// Few letters, so that things match; wildcards, quotes and letters outside ASCII, so that escaping shows.
fn text() -> impl Strategy<Value = String> {
    "[aAb%_\\\\'É☃ ]{0,4}"
}

fn row() -> impl Strategy<Value = Whole> {
    let seen = (-3..3_i64).prop_map(|day| context().now.plus_seconds(day * 43_200));
    let sample = (
        prop::option::of(0..6_i16),
        prop::option::of((0..4_i32).prop_map(|n| f64::from(n) * 0.1)),
        text(),
        prop::option::of(text()),
        prop::option::of(prop_oneof![Just("ada".to_owned()), Just("Bob".to_owned())]),
        prop::sample::select(STATES),
        any::<bool>(),
        prop::option::of(seen),
    );
    (sample, prop::collection::btree_set(text(), 0..3)).prop_map(|(sample, tags)| Whole {
        sample: Sample {
            id: 0,
            severity: sample.0,
            cvss: sample.1,
            title: sample.2,
            host: sample.3,
            owner: sample.4,
            state: sample.5.to_owned(),
            urgent: sample.6,
            seen: sample.7,
        },
        tags: tags.into_iter().collect(),
    })
}

fn rows() -> impl Strategy<Value = Vec<Whole>> {
    // Keys in an order of their own, so that the order of insertion proves nothing.
    (prop::collection::vec(row(), 0..24), any::<u64>()).prop_map(|(mut rows, seed)| {
        for (at, row) in rows.iter_mut().enumerate() {
            row.sample.id = (((at as u64 * 37 + seed % 64) % 64) * 3) as i64 - 60;
        }
        rows
    })
}

fn operator() -> impl Strategy<Value = Operator> {
    prop::sample::select(vec![Operator::Equal, Operator::Less, Operator::AtMost, Operator::Greater, Operator::AtLeast])
}

fn condition() -> impl Strategy<Value = Filter> {
    let how = prop::sample::select(vec![Match::Usual, Match::Prefix, Match::Exact]);
    let texts = ["title", "host", "owner", "tag"];
    let compared =
        |field: &'static str, operator: Operator, operand: Operand| Filter::Compare { field, operator, operand };
    let wanted = prop_oneof![text(), Just("ADA".to_owned())];
    let when = prop_oneof![
        (-150_000..150_000_i64).prop_map(When::FromNow),
        (20..23_i8).prop_map(|day| When::Day(jiff::civil::Date::constant(2026, 9, day))),
    ];
    let one_of = prop_oneof![
        prop::collection::vec(any::<i8>().prop_map(|n| Operand::Number(i64::from(n) * 70_000)), 1..3)
            .prop_map(|operands| Filter::OneOf { field: "severity", operands }),
        prop::collection::vec((0..6_i64).prop_map(Operand::Number), 1..4)
            .prop_map(|operands| Filter::OneOf { field: "severity", operands }),
        prop::collection::vec(text().prop_map(|text| Operand::Text(text, Match::Usual)), 1..4)
            .prop_map(|operands| Filter::OneOf { field: "tag", operands }),
    ];
    prop_oneof![
        (prop::sample::select(texts.to_vec()), wanted, how).prop_map(move |(field, text, how)| compared(
            field,
            Operator::Equal,
            Operand::Text(text, how)
        )),
        (operator(), prop_oneof![0..6_i64, Just(i64::MAX), Just(-40_000)]).prop_map(move |(operator, n)| compared(
            "severity",
            operator,
            Operand::Number(n)
        )),
        (operator(), (0..4_i32).prop_map(|n| f64::from(n) * 0.1)).prop_map(move |(operator, n)| compared(
            "cvss",
            operator,
            Operand::Decimal(n)
        )),
        (operator(), when.clone()).prop_map(move |(operator, when)| compared("seen", operator, Operand::When(when))),
        (when.clone(), when, any::<bool>()).prop_map(|(low, high, inclusive)| Filter::Between {
            field: "seen",
            low: Operand::When(low),
            high: Operand::When(high),
            inclusive,
        }),
        any::<bool>().prop_map(move |truth| compared("urgent", Operator::Equal, Operand::Truth(truth))),
        prop::sample::select(STATES).prop_map(move |word| compared("state", Operator::Equal, Operand::Word(word))),
        Just(compared("owner", Operator::Equal, Operand::Me)),
        one_of,
        prop::sample::select(vec!["severity", "host", "tag", "seen"]).prop_map(|field| Filter::Present { field }),
        text().prop_map(Filter::Free),
    ]
}

fn filter() -> impl Strategy<Value = Filter> {
    condition().prop_recursive(4, 20, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Filter::and),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Filter::or),
            inner.prop_map(Filter::not),
        ]
    })
}

/// Every page after the other, and the pages' sizes.
fn turn(db: &TestDatabase, mut query: Query) -> Vec<i64> {
    let mut ids = Vec::new();
    for _ in 0..100 {
        let wanted = query.clone();
        let page = db.read_blocking(move |tx| page::<Sample>(tx, &LIST, None, &wanted).map_err(store_error)).unwrap();
        assert!(page.rows.len() <= query.limit as usize);
        ids.extend(page.rows.iter().map(|row| row.id));
        match page.next_cursor {
            Some(cursor) => query.cursor = Some(cursor),
            None => return ids,
        }
    }
    panic!("the pages never end");
}

fn store_error(error: list::Error) -> store::Error {
    match error {
        list::Error::Store(error) => error,
        other => store::Error::failed("list", other),
    }
}

/// What the pages should give: the oracle filters and sorts in memory.
fn expected(rows: &[Whole], query: &Query) -> Vec<i64> {
    let mut found: Vec<&Whole> =
        rows.iter().filter(|row| matches(&query.filter, &FIELDS, *row, &query.context)).collect();
    let descending = query.order.descending;
    found.sort_by(|a, b| {
        let (left, right) = (&a.sample, &b.sample);
        let by_value = match query.order.by.as_deref() {
            None => std::cmp::Ordering::Equal,
            Some("severity") => last(left.severity, right.severity, descending),
            Some("cvss") => last(left.cvss, right.cvss, descending),
            Some("title") => last(Some(&left.title), Some(&right.title), descending),
            Some("host") => last(left.host.as_ref(), right.host.as_ref(), descending),
            Some("seen") => last(left.seen, right.seen, descending),
            Some(other) => panic!("{other}"),
        };
        let by_key = if descending { right.id.cmp(&left.id) } else { left.id.cmp(&right.id) };
        by_value.then(by_key)
    });
    found.into_iter().map(|row| row.sample.id).collect()
}

/// Missing values last, in both directions.
fn last<T: PartialOrd>(a: Option<T>, b: Option<T>, descending: bool) -> std::cmp::Ordering {
    match (a, b) {
        (Some(a), Some(b)) => {
            let ordering = a.partial_cmp(&b).unwrap();
            if descending { ordering.reverse() } else { ordering }
        }
        (Some(_), None) => std::cmp::Ordering::Less,
        (None, Some(_)) => std::cmp::Ordering::Greater,
        (None, None) => std::cmp::Ordering::Equal,
    }
}

both_engines!(pages_give_what_the_language_says, |db| {
    db.write_blocking(|tx| tx.script(TABLES)).unwrap();
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(150);
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config { cases, failure_persistence: None, ..Config::default() }, rng);
    let order =
        (prop::option::of(prop::sample::select(vec!["severity", "cvss", "title", "host", "seen"])), any::<bool>());
    runner
        .run(&(rows(), filter(), order, 1..7_u32), |(rows, filter, (by, descending), limit)| {
            put(db, &rows);
            let mut query = Query::new(filter, context());
            query.order = Order { by: by.map(str::to_owned), descending };
            query.limit = limit;
            let wanted = expected(&rows, &query);
            prop_assert_eq!(turn(db, query.clone()), wanted.clone(), "{}", &query.filter);
            let all = query.clone();
            let (number, found) = db
                .read_blocking(move |tx| {
                    let number = count(tx, &LIST, None, &all, 10_000).map_err(store_error)?;
                    Ok((number, keys(tx, &LIST, None, &all, 10_000).map_err(store_error)?))
                })
                .unwrap();
            let mut sorted = wanted;
            sorted.sort_unstable();
            prop_assert_eq!(number as usize, sorted.len());
            prop_assert_eq!(found, sorted);
            Ok(())
        })
        .unwrap();
});

#[test]
fn the_list_is_well_made() {
    assert_eq!(store::filter::mistakes(&FIELDS, LIST.columns), Vec::<String>::new());
}

fn sample(id: i64, title: &str, severity: Option<i16>) -> Whole {
    Whole {
        sample: Sample {
            id,
            severity,
            cvss: None,
            title: title.to_owned(),
            host: None,
            owner: None,
            state: "open".to_owned(),
            urgent: false,
            seen: None,
        },
        tags: vec![],
    }
}

both_engines!(a_cursor_belongs_to_its_list_order_and_filter, |db| {
    db.write_blocking(|tx| tx.script(TABLES)).unwrap();
    put(db, &(1..=9).map(|id| sample(id, "x", Some((id % 3) as i16))).collect::<Vec<_>>());
    let ask = |query: &Query| {
        let query = query.clone();
        db.read_blocking(move |tx| Ok(page::<Sample>(tx, &LIST, None, &query))).unwrap()
    };
    let mut query = Query { limit: 4, order: Order::parse("-severity"), ..Query::new(Filter::Everything, context()) };
    let cursor = ask(&query).unwrap().next_cursor.unwrap();
    assert!(cursor.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'), "{cursor}");
    query.cursor = Some(cursor.clone());
    // Severities are id % 3, high to low, and the higher key first: 8 5 2 7 | 4 1 9 6 | 3
    assert_eq!(ask(&query).unwrap().rows.iter().map(|row| row.id).collect::<Vec<_>>(), [4, 1, 9, 6]);
    for order in ["severity", "-cvss", ""] {
        let foreign = Query { order: Order::parse(order), ..query.clone() };
        assert!(matches!(ask(&foreign), Err(list::Error::ForeignCursor)), "{order}");
    }
    let foreign = Query { filter: parse("is:closed", &FIELDS).unwrap(), ..query.clone() };
    assert!(matches!(ask(&foreign), Err(list::Error::ForeignCursor)));
    for damaged in [&cursor[1..], &cursor[..cursor.len() - 1], "", "!", &cursor.to_uppercase(), &"A".repeat(5_000)] {
        query.cursor = Some(damaged.to_owned());
        assert!(matches!(ask(&query), Err(list::Error::ForeignCursor)), "{damaged}");
    }
    query.cursor = None;
    query.order = Order::parse("colour");
    let error = ask(&query).unwrap_err().to_string();
    assert_eq!(error, "this list cannot be sorted by `colour`; it can be by severity, cvss, title, host, seen");
});

both_engines!(the_scope_holds_on_every_page_and_limits_are_bounded, |db| {
    db.write_blocking(|tx| tx.script(TABLES)).unwrap();
    put(db, &(1..=600).map(|id| sample(id, "x", Some((id % 2) as i16))).collect::<Vec<_>>());
    let ask = |limit: u32| {
        db.read_blocking(move |tx| {
            let scope = Sql::new("sample.severity = ").bind(&1_i64);
            let everything = parse("title:x or not title:x", &FIELDS).unwrap();
            let query = Query { limit, ..Query::new(everything, context()) };
            page::<Sample>(tx, &LIST, Some(scope), &query).map_err(store_error)
        })
        .unwrap()
    };
    assert_eq!(ask(0).rows.len(), 1);
    let most = ask(100_000);
    assert_eq!((most.rows.len(), most.next_cursor), (300, None));
    assert!(most.rows.iter().all(|row| row.severity == Some(1)));
});

both_engines!(wildcards_in_a_query_are_letters, |db| {
    db.write_blocking(|tx| tx.script(TABLES)).unwrap();
    let titles = ["100% sure", "100 sure", "a_b", "axb", "a\\b", "ÉTÉ", "été", "AXB"];
    let rows: Vec<Whole> = titles.iter().zip(1..).map(|(title, id)| sample(id, title, None)).collect();
    put(db, &rows);
    let cases: [(&str, &[&str]); 9] = [
        ("title:\"0%\"", &["100% sure"]),
        ("title:a_b", &["a_b"]),
        ("title:\"a_\"*", &["a_b"]),
        ("title:\"a\\\\b\"", &["a\\b"]),
        ("title:axb", &["axb", "AXB"]),
        ("title:`axb`", &["axb"]),
        ("title:ÉTÉ", &["ÉTÉ"]),
        ("\"%\"", &["100% sure"]),
        ("title:\"' OR 1=1 --\"", &[]),
    ];
    for (text, expected) in cases {
        let query = Query::new(parse(text, &FIELDS).unwrap(), context());
        let found = db.read_blocking(move |tx| page::<Sample>(tx, &LIST, None, &query).map_err(store_error)).unwrap();
        let found: Vec<&str> = found.rows.iter().map(|row| row.title.as_str()).collect();
        assert_eq!(found, expected, "{text}");
    }
});
