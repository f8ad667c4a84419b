//! What the database has, read past the servers.

use crate::fleet::Fleet;
use crate::watch::TaskNow;
use rusqlite::Params;
use uuid::Uuid;

impl Fleet<'_> {
    /// The tasks as the database has them.
    pub fn tasks(&self) -> Vec<TaskNow> {
        self.task_rows("ORDER BY t.id", [])
    }

    /// One task.
    pub fn task(&self, uuid: Uuid) -> Option<TaskNow> {
        self.task_rows("WHERE t.uuid = ?1", [uuid.as_bytes().as_slice()]).pop()
    }

    fn task_rows(&self, rest: &str, parameters: impl Params) -> Vec<TaskNow> {
        let sql = format!(
            "SELECT t.id, t.uuid, t.state, t.epoch, coalesce(t.code, -1), g.agent_id, t.run_id, j.number, t.asset_id, t.wave,
                 t.due_at, r.state, r.wave, t.started_at, t.agent_key, t.start_by
             FROM task t JOIN run r ON r.id = t.run_id JOIN job j ON j.id = t.job_id
             LEFT JOIN agent g ON g.id = t.agent_key {rest}"
        );
        let mut statement = self.database.prepare_cached(&sql).expect("a statement");
        let uuid = |bytes: Vec<u8>| Uuid::from_slice(&bytes).unwrap_or_default();
        let rows = statement.query_map(parameters, |row| {
            Ok(TaskNow {
                id: row.get(0)?,
                uuid: uuid(row.get(1)?),
                state: row.get(2)?,
                epoch: row.get(3)?,
                code: row.get(4)?,
                agent_id: row.get::<_, Option<Vec<u8>>>(5)?.map(uuid),
                run: row.get(6)?,
                job: row.get(7)?,
                asset: row.get(8)?,
                wave: row.get(9)?,
                due_at: row.get(10)?,
                run_state: row.get(11)?,
                open_wave: row.get(12)?,
                started_at: row.get(13)?,
                agent: row.get(14)?,
                start_by: row.get(15)?,
            })
        });
        rows.expect("tasks").map(|row| row.expect("a task")).collect()
    }

    /// Rows of any statement.
    pub fn rows<T>(&self, sql: &str, read: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<T>) -> Vec<T> {
        let mut statement = self.database.prepare_cached(sql).expect("a statement");
        let rows = statement.query_map([], |row| read(row)).expect("rows");
        rows.map(|row| row.expect("a row")).collect()
    }

    /// A number.
    pub fn number(&self, sql: &str) -> i64 {
        self.rows(sql, |row| row.get(0)).pop().unwrap_or(0)
    }

    /// Whether a halt of everything, or of this task's run, is durable.
    pub fn stands_halted(&self, task: &TaskNow) -> bool {
        let everything = "SELECT count(*) FROM setting WHERE key = 'halt' AND value LIKE '%\"halted\":true%'";
        task.stopped() || self.number(everything) > 0
    }
}
