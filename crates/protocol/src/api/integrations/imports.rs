//! Imports: what is asked for, runs, schedules and troubles.

use crate::api::response::RepeatBody;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What is imported now.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ImportRequest {
    /// `everything` when absent, `knowledge_base`, `knowledge_base_full`, `host_detection`, `comprehensive`, `host_list`, `setup`,
    /// `option_profiles`, `appliances` or `search_lists`.
    pub kind: Option<String>,
}

/// `{"import": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ImportBody {
    /// The run.
    pub import: Import,
    /// What it did one after the other.
    #[serde(default)]
    pub steps: Vec<ImportStep>,
    /// The first rows of the input that could not be used; all that are described are at `/imports/{number}/rejections`.
    #[serde(default)]
    pub rejections: Vec<ImportRejection>,
}

/// One step of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ImportStep {
    /// `option_profiles`, `appliances`, `knowledge_base`, `host_list`, `detections`, `back_fill`, `hosts` or `file`.
    pub name: String,
    /// Answers of the platform.
    pub pages: i64,
    /// Hosts, detections and entries that were read.
    pub rows: i64,
    /// Bytes of the answers; 0 where they are not known.
    pub bytes: i64,
    /// Milliseconds of waiting for the platform, its limits and second tries among them.
    pub asked_ms: i64,
    /// Milliseconds of merging.
    pub merged_ms: i64,
    /// Begun.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub started_at: Timestamp,
    /// Ended; absent for one that is at work or did not get to its end.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub ended_at: Option<Timestamp>,
}

/// `{"rejections": […]}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ImportRejectionsBody {
    /// In the input's order, at most 10,000.
    pub rejections: Vec<ImportRejection>,
}

/// `{"schedules": […]}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ImportSchedulesBody {
    /// One per kind; none for an instance that is filled from files.
    pub schedules: Vec<ImportSchedule>,
}

/// `{"schedule": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ImportScheduleBody {
    /// The schedule.
    pub schedule: ImportSchedule,
}

/// When imports of one kind come from an instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ImportSchedule {
    /// `knowledge_base`, `knowledge_base_full`, `host_detection`, `comprehensive`, `host_list`, `option_profiles`, `appliances` or
    /// `search_lists`.
    pub kind: String,
    /// When.
    pub cadence: CadenceBody,
    /// The same in words.
    pub words: String,
    /// The next times, at most five.
    #[cfg_attr(feature = "schema", schema(value_type = Vec<String>))]
    pub next: Vec<Timestamp>,
    /// Since when it was due again while one was still waiting for its turn.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub held_since_at: Option<Timestamp>,
    /// Counts the edits: the number in the entity tag.
    pub version: i64,
}

/// When imports of one kind come.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CadenceBody {
    /// `off`, `every` (so many minutes) or `at` (times of a day).
    pub when: String,
    /// For `every`: 15 to 43200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minutes: Option<i64>,
    /// For `at`: the first day and the time of day, `2026-11-22T03:00:00`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// For `at`: whose clock, an IANA name; `UTC` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// For `at`: on which days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<RepeatBody>,
}

/// The next times of a schedule that was not saved.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CadencePreviewBody {
    /// The schedule in words.
    pub words: String,
    /// Its next times, at most five.
    #[cfg_attr(feature = "schema", schema(value_type = Vec<String>))]
    pub next: Vec<Timestamp>,
}

/// `{"import": …, "report": …}`: a file whose import has begun, and what it holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct FileImportBody {
    /// The run.
    pub import: Import,
    /// The account of the reading: format, raw counts by type, what is skipped by name.
    #[cfg_attr(feature = "schema", schema(value_type = Object))]
    pub report: serde_json::Value,
}

/// `{"imports": […], "next": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ImportsBody {
    /// Newest first, unless sorted otherwise.
    pub imports: Vec<Import>,
    /// The cursor of the next page.
    pub next: Option<String>,
}

/// A run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Import {
    /// `VINTRUN0000001`.
    pub number: String,
    /// Key of the instance.
    pub instance_id: i64,
    /// Its name.
    pub instance: String,
    /// `everything`, `knowledge_base`, `knowledge_base_full`, `host_detection`, `comprehensive`, `host_list`, `setup`, `option_profiles`,
    /// `appliances`, `search_lists`, `file` or `targeted`.
    pub kind: String,
    /// `schedule`, `people` or `scan`.
    pub cause: String,
    /// Who asked: `users/ada`, `engine/import`.
    pub actor: String,
    /// The file's name, or what a targeted pull is for.
    pub source: String,
    /// `queued`, `running`, `complete`, `failed` or `cancelled`.
    pub state: String,
    /// Why it failed, or a remark.
    pub detail: String,
    /// What became of the rows.
    pub counters: ImportCounters,
    /// What a finished run covered up to.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub until_at: Option<Timestamp>,
    /// Since when it waited for its turn; absent for one that did not.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub queued_at: Option<Timestamp>,
    /// Who asked that it stops: `users/ada`; mostly empty.
    #[serde(default)]
    pub cancel_by: String,
    /// Begun; of one that waits, since when it does.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub started_at: Timestamp,
    /// Ended.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub ended_at: Option<Timestamp>,
}

/// How many rows of one kind a run met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct ImportCount {
    /// Not known before.
    pub new: u64,
    /// Known, and different now.
    pub updated: u64,
    /// Known and the same: not written.
    pub unchanged: u64,
    /// Left out on purpose: a second row of the same key in the same input.
    pub ignored: u64,
    /// Not usable.
    pub rejected: u64,
}

/// What became of the items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct ImportItemCount {
    /// Made.
    pub new: u64,
    /// Changed in any way.
    pub updated: u64,
    /// Of these: closed.
    pub closed: u64,
    /// Of these: opened again.
    pub reopened: u64,
}

/// The counters of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct ImportCounters {
    /// Entries of the knowledge base.
    pub vulnerabilities: ImportCount,
    /// Of the new ones: known from a detection only.
    pub placeholders: u64,
    /// Hosts as the scanner knows them.
    pub hosts: ImportCount,
    /// Assets made for hosts that matched none.
    pub assets_new: u64,
    /// Detections.
    pub detections: ImportCount,
    /// Items.
    pub items: ImportItemCount,
    /// Option profiles, appliances and asset groups.
    pub setup: ImportCount,
}

/// A row that could not be used.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ImportRejection {
    /// Which row.
    pub what: String,
    /// The line of the input at which it ended, where it has lines.
    #[serde(default)]
    pub line: Option<i64>,
    /// Why.
    pub reason: String,
}

/// `{"troubles": […]}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ImportTroublesBody {
    /// The newest first; none where imports are well.
    pub troubles: Vec<ImportTrouble>,
}

/// What is wrong with imports of an instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ImportTrouble {
    /// Key of the instance.
    pub instance_id: i64,
    /// Its name.
    pub instance: String,
    /// Which imports.
    pub kind: String,
    /// `failed`, `too_long`, `held`, `behind` or `sign_in`.
    pub what: String,
    /// The same in a sentence.
    pub says: String,
    /// Since when.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub since_at: Timestamp,
    /// The run it was seen in.
    pub import: Option<String>,
    /// Why.
    pub detail: String,
}
