//! When jobs run: schedules, the instants they resolve to, and the runs that were made.

use super::TaskCounts;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

requests! {
    /// When a job runs.
    pub struct ScheduleBody {
        /// `on_demand`, `once` or `recurring`.
        pub when: String,
        /// Civil date and time, `2026-11-22T03:00:00`: of the run for `once`; for `recurring` the first day on which it may
        /// run, and the time of day.
        pub at: Option<String>,
        /// `agent` (each asset's own zone) or an IANA name; `agent` when absent.
        pub zone: Option<String>,
        /// Length of the maintenance window in minutes, 1 to 10080; none when absent. What cannot end within it does not start.
        pub window_minutes: Option<i64>,
        /// For `recurring`: on which days.
        pub repeat: Option<RepeatBody>,
    }

    /// On which days a recurring job runs.
    pub struct RepeatBody {
        /// `daily`, `weekly`, `month_day`, `month_weekday`, `last_day` or `patch_tuesday`.
        pub by: String,
        /// Every so many days, weeks or months; 1 when absent.
        pub every: Option<i64>,
        /// For `weekly`: some of `mon`, `tue`, `wed`, `thu`, `fri`, `sat`, `sun`.
        pub days: Option<Vec<String>>,
        /// For `month_day`: 1 to 31; the last day of a month that is shorter.
        pub day: Option<i64>,
        /// For `month_weekday`: `first`, `second`, `third`, `fourth` or `last`.
        pub nth: Option<String>,
        /// For `month_weekday`: which day of the week.
        pub weekday: Option<String>,
        /// For `patch_tuesday`: days after the second Tuesday of the month, -27 to 27; 0 when absent.
        pub offset: Option<i64>,
        /// The last day on which it may run; it never ends when neither this nor `count` is given.
        pub until: Option<String>,
        /// How many times it runs, counted from its first day, at most 10000.
        pub count: Option<i64>,
    }

    /// What a preview is asked for.
    pub struct PreviewRequest {
        /// A schedule that was not saved; the job's own when absent.
        pub schedule: Option<ScheduleBody>,
        /// How many times, 1 to 50; 5 when absent.
        pub times: Option<i64>,
    }

    /// Who is to own a job.
    pub struct OwnerRequest {
        /// Sign-in name.
        pub owner: String,
    }
}

bodies! {
    /// The next times of a schedule and the instants they are on a job's assets.
    pub struct PreviewBody {
        /// The schedule in words.
        pub words: String,
        /// Its next times; none on demand, and none once it is over.
        pub times: Vec<PreviewTime>,
    }

    /// One time of a schedule.
    pub struct PreviewTime {
        /// On the clock of the zone, `2026-11-22T03:00:00`.
        pub time: String,
        /// When that is, by zone of the job's assets.
        pub instants: Vec<ResolvedInstant>,
    }

    /// An instant a schedule resolves to.
    pub struct ResolvedInstant {
        /// Zone used.
        pub zone: String,
        /// Instant.
        #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
        pub at: Timestamp,
        /// The same on the clock of that zone, with its distance from UTC: `2026-11-22T03:00:00+01:00`.
        pub local: String,
        /// `exact`, `gap`, `overlap` or `unknown_zone`.
        pub fit: String,
        /// What that means, in words; empty for `exact`.
        pub note: String,
        /// The end of the maintenance window, or where the next time's turn begins; none for what stays open.
        #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
        pub window_end: Option<Timestamp>,
        /// Assets that run then.
        pub assets: i64,
    }

    /// `{"runs": […]}`.
    pub struct RunsBody {
        /// Newest first, at most 200.
        pub runs: Vec<Run>,
    }

    /// One execution of a job.
    pub struct Run {
        /// 1, 2, and so on within the job.
        pub run: i64,
        /// `waiting`, `running`, `halted`, `completed`, `completed_with_failures` or `cancelled`.
        pub state: String,
        /// Why it was made: `enabled`, `schedule`, `now`, `retry`.
        pub cause: String,
        /// `apply` or `revert`.
        pub does: String,
        /// Who asked for it: a user, or a part of the server.
        pub asked_by: String,
        /// The civil time of the schedule it is for; none for one that somebody asked for.
        pub time: Option<String>,
        /// Its tasks by what became of them.
        pub tasks: TaskCounts,
        /// Made.
        #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
        pub made_at: Timestamp,
        /// Its first task became due.
        #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
        pub begun_at: Option<Timestamp>,
        /// Its last task ended.
        #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
        pub ended_at: Option<Timestamp>,
    }
}
