//! People to choose from: in a list where all of them fit into one, else by their sign-in name with the first of them suggested.

use crate::http::Error;
use crate::pages::{Choice, Field, count};
use domain::filter::Context;
use domain::time::Timestamp;
use store::Transaction;
use store::accounts::{self, Account, USERS};
use store::list::{self, Order, Query};

/// People named on one page at most.
const NAMED_MAX: u32 = 500;

/// The people who may sign in, by name.
pub struct People {
    /// The first of them.
    pub known: Vec<Account>,
    /// How many there are besides.
    pub more: i64,
}

impl People {
    /// Nobody: who may not see people chooses none.
    pub fn none() -> People {
        People { known: Vec::new(), more: 0 }
    }

    /// Those there are.
    ///
    /// # Errors
    /// A failure of the store.
    pub fn read(tx: &mut Transaction<'_>, now: Timestamp) -> Result<People, Error> {
        let filter = domain::filter::parse("active:true", USERS.fields).map_err(Error::internal)?;
        let query = Query { order: Order::parse("name"), limit: NAMED_MAX, ..Query::new(filter, Context::at(now)) };
        let page = accounts::page(tx, &query)?;
        let more = match page.next_cursor {
            None => 0,
            Some(_) => list::count(tx, &USERS, None, &query, i64::MAX)? - i64::from(NAMED_MAX),
        };
        Ok(People { known: page.rows, more })
    }

    /// Those of them whom `wanted` leaves, each with name and roles.
    pub fn choices(&self, wanted: impl Fn(&Account) -> bool) -> Vec<Choice> {
        let choice = |account: &Account| {
            let name = if account.full_name.is_empty() { &account.name } else { &account.full_name };
            let roles = account.roles.iter().map(|role| role.label()).collect::<Vec<_>>().join(", ");
            Choice::new(account.name.clone(), format!("{name} · {roles}"))
        };
        self.known.iter().filter(|account| wanted(account)).map(choice).collect()
    }

    /// A field for one of them.
    pub fn field(&self, name: &str, label: &str, typed: &str, wanted: impl Fn(&Account) -> bool) -> Field {
        let mut choices = self.choices(wanted);
        if self.more > 0 {
            return Field::suggest(name, label, typed, choices).help(self.note());
        }
        choices.insert(0, Choice::new("", "Choose a person…"));
        Field::select(name, label, typed, choices)
    }

    /// What is said where there are more than are named.
    pub fn note(&self) -> String {
        match self.more {
            0 => String::new(),
            1 => "1 more person is not suggested here; type the sign-in name.".to_owned(),
            more => {
                format!("{} more people are not suggested here; type a sign-in name.", count(more))
            }
        }
    }
}
