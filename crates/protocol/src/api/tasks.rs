//! Remediation tasks: sets of items for one owner or group, the rules that make them, and notes about records.

use super::exposure::ItemHistoryLine;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A remediation task. Its counts are of the items that the caller may know of.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RemediationTask {
    /// `VUL0000001`.
    pub number: String,
    /// Title.
    pub title: String,
    /// Description.
    pub description: String,
    /// `open`, `under_investigation`, `awaiting_implementation`, `in_review`, `deferred`, `resolved` or `closed`.
    pub state: String,
    /// Why it is so: `fixed`, `cancelled`, a reason of a deferral, or empty.
    pub substate: String,
    /// Sign-in name of who works on it.
    pub assignee: Option<String>,
    /// Name of the group that works on it.
    pub group: Option<String>,
    /// What made it: `hand`, `rule`, `effort` or `split`.
    pub origin: String,
    /// Name of the rule that made it, while there is that rule.
    pub rule: Option<String>,
    /// The effort it was made for.
    pub effort: Option<String>,
    /// The task it was split from.
    pub split_from: Option<String>,
    /// Deferred: the earliest end of its items' deferrals.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub deferred_until: Option<Timestamp>,
    /// The earliest due date of its open items.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub due_at: Option<Timestamp>,
    /// Whether it closed in time: `missed` where one of its items missed its date, else `met` where one met it; absent without dates.
    pub due_met: Option<String>,
    /// When it became Resolved.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub resolved_at: Option<Timestamp>,
    /// When it closed.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub closed_at: Option<Timestamp>,
    /// Items; they are at `/items?q=task:VUL0000001`.
    pub items: i64,
    /// Of these: not closed.
    pub open_items: i64,
    /// Of these: deferred.
    pub deferred_items: i64,
    /// Highest score of its open items; absent without any.
    pub score: Option<i64>,
    /// Who or what made it: `users/ada`, the number of an import.
    pub created_by: String,
    /// When.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
    /// Last changed.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub updated_at: Timestamp,
}

/// `{"task": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RemediationTaskBody {
    /// The task.
    pub task: RemediationTask,
}

/// `{"tasks": […], "next": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RemediationTasksBody {
    /// The tasks.
    pub tasks: Vec<RemediationTask>,
    /// The cursor of the next page.
    pub next: Option<String>,
}

/// Tasks to be made of items: of those named, or of those that match the query now. Closed ones are left out.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewRemediationTasks {
    /// Numbers of the items, 1 to 10,000.
    #[serde(default)]
    pub items: Vec<String>,
    /// Instead of numbers: a condition in the query language of items.
    #[serde(default)]
    pub q: Option<String>,
    /// `none` (all in one task), `group`, `group_asset`, `group_vulnerability` or `group_band`; `none` where it is empty.
    #[serde(default)]
    pub group_by: String,
    /// What is done with items that are in an open task already: `skip`, `move` or `keep` (in both); `skip` where it is empty.
    #[serde(default)]
    pub existing: String,
    /// Title, at most 160 characters, before what the items of a task share; made of that alone where it is empty.
    #[serde(default)]
    pub title: String,
    /// Description, at most 4,000 characters.
    #[serde(default)]
    pub description: String,
    /// Sign-in name of who gets the tasks.
    #[serde(default)]
    pub assignee: Option<String>,
    /// Name of the group that gets them; without both, the group of each task's items where they are grouped by it.
    #[serde(default)]
    pub group: Option<String>,
}

/// What was made.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RemediationTasksMadeBody {
    /// Numbers of the new tasks.
    pub tasks: Vec<String>,
    /// Items in them.
    pub items: i64,
    /// Items left out: closed ones, and those in an open task already where these are skipped.
    pub skipped: i64,
}

/// Another title or description; what is absent stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RemediationTaskChange {
    /// Title, 1 to 160 characters.
    #[serde(default)]
    pub title: Option<String>,
    /// Description, at most 4,000 characters.
    #[serde(default)]
    pub description: Option<String>,
}

/// Who works on a task from now on; what is absent or empty is nobody.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RemediationTaskAssignment {
    /// Sign-in name.
    #[serde(default)]
    pub assignee: Option<String>,
    /// Name of a group.
    #[serde(default)]
    pub group: Option<String>,
    /// Why; needed where nobody has it afterwards.
    #[serde(default)]
    pub note: String,
}

/// Which open items go into a new task: those named, or those of the task that match the query.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RemediationTaskSplit {
    /// Numbers of items.
    #[serde(default)]
    pub items: Vec<String>,
    /// Instead of numbers: a condition in the query language of items.
    #[serde(default)]
    pub q: Option<String>,
    /// Title of the new task; the old one's where it is empty.
    #[serde(default)]
    pub title: String,
    /// Sign-in name of who gets it.
    #[serde(default)]
    pub assignee: Option<String>,
    /// Name of the group that gets it; without both, the old one's group.
    #[serde(default)]
    pub group: Option<String>,
}

/// `{"task": …, "new": …}`: the task that was split, and the number of the new one.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RemediationTaskSplitBody {
    /// The task that was split.
    pub task: RemediationTask,
    /// Number of the new one.
    pub new: String,
}

/// Items to be put into a task, or taken out of it; one of the two.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RemediationTaskItems {
    /// Numbers of open items to put in.
    #[serde(default)]
    pub add: Vec<String>,
    /// Numbers of items to take out.
    #[serde(default)]
    pub remove: Vec<String>,
}

/// Why a task is in its state.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RemediationTaskWhyBody {
    /// State.
    pub state: String,
    /// Why it is in it, in a word; absent for none.
    pub substate: Option<String>,
    /// What decided it, until when, and what would change it, as sentences.
    pub why: Vec<String>,
}

/// `{"history": […]}`, newest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RemediationTaskHistoryBody {
    /// What happened to the task.
    pub history: Vec<ItemHistoryLine>,
}

/// A note about a record.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Note {
    /// Sign-in name of who wrote it.
    pub author: String,
    /// When.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// What.
    pub text: String,
}

/// `{"note": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct NoteBody {
    /// The note.
    pub note: Note,
}

/// `{"notes": […]}`, newest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct NotesBody {
    /// The newest 500 notes.
    pub notes: Vec<Note>,
}

/// A note to be written. It is never changed afterwards.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewNote {
    /// 1 to 10,000 characters.
    pub text: String,
}

/// A task rule: which items of an import are put into tasks, by what they are grouped, who gets the tasks.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TaskRule {
    /// Key.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// It is applied to imports.
    pub active: bool,
    /// Lower ones first.
    pub position: i64,
    /// Which items, in their query language; empty for all.
    pub condition: String,
    /// What they are grouped by: `asset`, `vulnerability`, `category`, `severity`, `band`, `group`, `assignee`, `platform`,
    /// `network`, `instance` or `tag:PREFIX`.
    pub group_by: Vec<String>,
    /// `item` (the group of the items), `fixed` (the group and person below) or one of the fields, whose value names a group.
    pub assign: String,
    /// The group that gets the tasks, where that is fixed.
    pub group: Option<String>,
    /// Sign-in name of who gets them, where that is fixed.
    pub assignee: Option<String>,
    /// What its tasks are called, before what their items share.
    pub title: String,
    /// The import in which it had made 10,000 tasks and stopped; absent for none.
    pub stopped_in: Option<String>,
    /// Its tasks that are not closed.
    pub open_tasks: i64,
}

/// `{"rule": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TaskRuleBody {
    /// The rule.
    pub rule: TaskRule,
}

/// `{"rules": […], "first_only": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TaskRulesBody {
    /// The rules in order.
    pub rules: Vec<TaskRule>,
    /// Only the first rule that matches an item takes it; else every one does.
    pub first_only: bool,
}

/// A task rule to be made, or what becomes of one.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewTaskRule {
    /// Its name, at most 160 characters.
    pub name: String,
    /// It is applied to imports.
    #[serde(default)]
    pub active: bool,
    /// Lower ones first, 1 to 1,000.
    #[serde(default)]
    pub position: i64,
    /// Which items, in their query language; empty for all.
    #[serde(default)]
    pub condition: String,
    /// What they are grouped by, at most six.
    #[serde(default)]
    pub group_by: Vec<String>,
    /// `item`, `fixed` or one of the fields; `item` where it is empty.
    #[serde(default)]
    pub assign: String,
    /// The group that gets the tasks, where that is fixed.
    #[serde(default)]
    pub group: Option<String>,
    /// Sign-in name of who gets them, where that is fixed.
    #[serde(default)]
    pub assignee: Option<String>,
    /// What its tasks are called, at most 80 characters.
    #[serde(default)]
    pub title: String,
}

/// What a rule would make of the items there are now.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TaskRuleTrialBody {
    /// Open items that match, of the first 100,000.
    pub items: i64,
    /// Tasks they would be in.
    pub tasks: i64,
    /// The first 50 of these, largest first.
    pub first: Vec<TaskRuleTrialTask>,
}

/// A task that a rule would make.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TaskRuleTrialTask {
    /// Its title.
    pub title: String,
    /// Its items.
    pub items: i64,
}

/// What came of applying a rule to the items there are.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TaskRuleAppliedBody {
    /// Open tasks that nobody had done anything with, which were deleted.
    pub deleted: i64,
    /// Open ones that stayed, because somebody had.
    pub kept: i64,
    /// Items that were put into tasks.
    pub items: i64,
    /// Tasks of the rule that are not closed now.
    pub tasks: i64,
}

/// Whether only the first rule that matches an item takes it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TaskRuleMode {
    /// Only the first; else every one does.
    pub first_only: bool,
}
