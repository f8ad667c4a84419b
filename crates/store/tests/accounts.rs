//! Accounts as the store keeps them; what people see of it is tested over HTTP in the server.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::allow_attributes,
    reason = "a test panics rather than returning an error"
)]

use domain::access::{AssetScope, Role};
use domain::filter::parse;
use domain::time::Timestamp;
use store::accounts::{self, NewAccount};
use store::filter::mistakes;
use store::list::{List, Order, Query};
use testkit::both_engines;

const LISTS: [List; 4] = [accounts::USERS, accounts::GROUPS, store::tokens::TOKENS, store::audit::ENTRIES];

#[test]
fn every_field_of_a_list_has_its_column() {
    for list in LISTS {
        assert_eq!(mistakes(list.fields, list.columns), Vec::<String>::new(), "{}", list.name);
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(second * 1_000_000)
}

both_engines!(every_field_and_order_of_the_lists_is_sql_on_this_engine, |db| {
    for list in LISTS {
        for field in list.fields.fields {
            let value = match field.kind {
                domain::filter::Kind::Truth => "true",
                domain::filter::Kind::Instant => "2026-11-22",
                _ => "x",
            };
            let filter = parse(&format!("{}:{value} or not {}:{value}", field.name, field.name), list.fields).unwrap();
            for sort in list.sorts.iter().flat_map(|sort| [sort.name.to_owned(), format!("-{}", sort.name)]) {
                let context = domain::filter::Context::at(at(0));
                let query = Query { order: Order::parse(&sort), ..Query::new(filter.clone(), context) };
                db.read_blocking(move |tx| {
                    let counted = store::list::count(tx, &list, None, &query, 10);
                    assert!(counted.is_ok(), "{} {}: {counted:?}", list.name, sort);
                    let page = store::list::page::<store::Scalar<i64>>(tx, &list, None, &query);
                    assert!(page.is_ok(), "{} {}: {page:?}", list.name, sort);
                    Ok(())
                })
                .unwrap();
            }
        }
    }
});

both_engines!(an_edit_of_an_older_version_is_not_kept, |db| {
    let new = NewAccount {
        name: "ada".to_owned(),
        full_name: String::new(),
        email: String::new(),
        password_hash: "x".to_owned(),
        password_temporary: false,
        roles: [Role::SuperUser].into(),
        scope: AssetScope::Tags(["prod".to_owned()].into()),
    };
    db.write_blocking(move |tx| {
        let id = accounts::create(tx, "test", &new, at(1))?;
        let first = accounts::by_id(tx, id)?.expect("just made");
        assert_eq!((&first.roles, &first.scope), (&new.roles, &new.scope));
        assert_eq!(accounts::other_super_users(tx, id)?, 0);
        assert!(accounts::save(tx, "test", &first, at(2))?);
        assert!(!accounts::save(tx, "test", &first, at(3))?, "its version has passed");
        let again = tx.attempt(|tx| accounts::create(tx, "test", &new, at(4)));
        assert!(again.is_err_and(|error| error.conflicts_with("account_name")));
        Ok(())
    })
    .unwrap();
});
