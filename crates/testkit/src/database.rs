//! A database of its own for each test, on both engines.
//!
//! ```ignore
//! testkit::both_engines!(jobs_are_claimed_once, |db| {
//!     db.write_blocking(|tx| store::jobs::claim(tx)).unwrap();
//! });
//! // gives the tests jobs_are_claimed_once::sqlite and jobs_are_claimed_once::postgres
//! ```

use crate::postgres;
use store::{Database, Engine, migrate};

/// A database that disappears with the test.
pub struct TestDatabase {
    /// Taken on drop: the connections have to go before what they connect to.
    database: Option<Database>,
    place: Place,
}

enum Place {
    Folder(tempfile::TempDir),
    Postgres(postgres::TestSchema),
}

impl TestDatabase {
    /// An empty SQLite file in a temporary folder, without tables.
    pub fn bare_sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let database = Database::sqlite(folder.path().join("quell.db")).expect("a new SQLite file");
        TestDatabase { database: Some(database), place: Place::Folder(folder) }
    }

    /// An empty PostgreSQL database, without tables; `None`, said loudly, where no server can be had.
    pub fn bare_postgres(test: &str) -> Option<Self> {
        let schema = postgres::TestSchema::create(test)?;
        let database = Database::postgres(schema.url()).expect("the URL of the test database");
        Some(TestDatabase { database: Some(database), place: Place::Postgres(schema) })
    }

    /// A database of this engine with every migration applied; `None` where there is no PostgreSQL.
    pub fn migrated(engine: Engine, test: &str) -> Option<Self> {
        let database = match engine {
            Engine::Sqlite => Self::bare_sqlite(),
            Engine::Postgres => Self::bare_postgres(test)?,
        };
        migrate::run(&database).expect("the migrations apply to an empty database");
        Some(database)
    }

    /// Where it is, to open it a second time (a path or a URL, as [`store::Location`] reads it).
    pub fn location(&self) -> String {
        match &self.place {
            Place::Folder(folder) => folder.path().join("quell.db").display().to_string(),
            Place::Postgres(schema) => schema.url().to_owned(),
        }
    }
}

impl std::ops::Deref for TestDatabase {
    type Target = Database;

    fn deref(&self) -> &Database {
        self.database.as_ref().expect("only taken on drop")
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        drop(self.database.take());
    }
}

/// One test on both engines: `both_engines!(name, |db| { … })`, where `db` is a [`TestDatabase`] with every migration
/// applied. Gives `name::sqlite` and `name::postgres`.
#[macro_export]
macro_rules! both_engines {
    ($(#[$meta:meta])* $name:ident, |$db:ident| $body:block) => {
        $(#[$meta])*
        #[cfg(test)]
        mod $name {
            #[allow(unused_imports, clippy::allow_attributes)]
            use super::*;

            fn check($db: &$crate::database::TestDatabase) $body

            #[test]
            fn sqlite() {
                let test = concat!(module_path!(), "::sqlite");
                let database = $crate::database::TestDatabase::migrated(::store::Engine::Sqlite, test);
                check(&database.expect("SQLite is always there"));
            }

            #[test]
            fn postgres() {
                let test = concat!(module_path!(), "::postgres");
                if let Some(database) = $crate::database::TestDatabase::migrated(::store::Engine::Postgres, test) {
                    check(&database);
                }
            }
        }
    };
}
