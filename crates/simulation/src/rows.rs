//! What the database has, read past the servers.

use crate::fleet::Fleet;
use crate::watch::TaskNow;
use uuid::Uuid;

impl Fleet<'_> {
    /// The tasks as the database has them, read past the server.
    pub fn tasks(&self) -> Vec<TaskNow> {
        let mut statement = self
            .database
            .prepare_cached(
                "SELECT t.id, t.uuid, t.state, t.epoch, coalesce(t.code, -1), g.agent_id,
                     EXISTS (SELECT 1 FROM approval p WHERE p.run_id = t.run_id AND p.state = 'pending')
                 FROM task t LEFT JOIN agent g ON g.id = t.agent_key ORDER BY t.id",
            )
            .expect("a statement");
        let uuid = |bytes: Vec<u8>| Uuid::from_slice(&bytes).unwrap_or_default();
        let rows = statement.query_map([], |row| {
            Ok(TaskNow {
                id: row.get(0)?,
                uuid: uuid(row.get(1)?),
                state: row.get(2)?,
                epoch: row.get(3)?,
                code: row.get(4)?,
                agent_id: row.get::<_, Option<Vec<u8>>>(5)?.map(uuid),
                unapproved: row.get(6)?,
            })
        });
        rows.expect("tasks").map(|row| row.expect("a task")).collect()
    }
}
