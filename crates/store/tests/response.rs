//! Lists of jobs and agents name only what exists, on both engines.

#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "a test may panic")]

use domain::filter::{Context, Filter, parse};
use domain::time::Timestamp;
use store::list::{List, Query, page};
use testkit::both_engines;

fn every_field_and_order_is_answered<R: store::Record + Send + 'static>(db: &store::Database, list: &'static List) {
    assert_eq!(store::filter::mistakes(list.fields, list.columns), Vec::<String>::new());
    let context = || Context::at(Timestamp::from_micros(1));
    for field in list.fields.fields {
        let filter = parse(&format!("has:{}", field.name), list.fields).unwrap();
        db.read_blocking(move |tx| Ok(page::<R>(tx, list, None, &Query::new(filter.clone(), context())).map(|_| ())))
            .unwrap()
            .unwrap();
    }
    for sort in list.sorts {
        let mut query = Query::new(Filter::Everything, context());
        query.order = store::list::Order { by: Some(sort.name.to_owned()), descending: true };
        db.read_blocking(move |tx| Ok(page::<R>(tx, list, None, &query).map(|_| ()))).unwrap().unwrap();
    }
}

both_engines!(lists_of_jobs_and_agents, |db| {
    every_field_and_order_is_answered::<store::jobs::JobLine>(db, &store::jobs::LIST);
    every_field_and_order_is_answered::<store::agents::AgentLine>(db, &store::agents::LIST);
    db.read_blocking(|tx| {
        let scope = Some(store::jobs::within(Some(&["a".to_owned(), "b".to_owned()])));
        Ok(page::<store::jobs::JobLine>(
            tx,
            &store::jobs::LIST,
            scope,
            &Query::new(Filter::Everything, Context::at(Timestamp::from_micros(1))),
        )
        .map(|_| ()))
    })
    .unwrap()
    .unwrap();
});
