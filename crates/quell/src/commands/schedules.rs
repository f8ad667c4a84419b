//! `quell schedules`: when imports of each kind come from an integration instance.

use super::Context;
use super::instances::find;
use crate::client::path;
use crate::failure::Failure;
use crate::output::{self, Column};
use protocol::api::integrations::{
    CadenceBody, CadencePreviewBody, ImportSchedule, ImportScheduleBody, ImportSchedulesBody,
};
use protocol::api::response::RepeatBody;
use reqwest::Method;

/// What can be done with schedules of imports.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the schedules of an instance, one per kind
    List {
        /// Its key or name
        instance: String,
    },
    /// Change when imports of a kind come
    Set(Box<Set>),
}

/// A schedule to be kept, or only tried.
#[derive(Debug, clap::Args)]
pub struct Set {
    /// Key or name of the instance
    instance: String,
    /// knowledge_base, knowledge_base_full, host_detection, comprehensive, host_list, option_profiles, appliances or search_lists
    kind: String,
    /// Only when somebody asks
    #[arg(long, conflicts_with_all = ["every", "repeat"])]
    off: bool,
    /// Every so many minutes, 15 to 43200
    #[arg(long, value_name = "MINUTES", conflicts_with = "repeat")]
    every: Option<i64>,
    /// At times of the day, again and again
    #[arg(long, requires = "at", required_unless_present_any = ["off", "every"],
        value_parser = ["daily", "weekly", "month_day", "month_weekday", "last_day", "patch_tuesday"])]
    repeat: Option<String>,
    /// First day and time of day, 2026-11-22T03:00
    #[arg(long, value_name = "DATETIME", requires = "repeat")]
    at: Option<String>,
    /// Zone of --at: an IANA name [default: UTC]
    #[arg(long, requires = "repeat")]
    zone: Option<String>,
    /// Every so many days, weeks or months
    #[arg(long, requires = "repeat", value_name = "PERIODS")]
    periods: Option<i64>,
    /// Days of the week for weekly: mon,thu
    #[arg(long, requires = "repeat", value_delimiter = ',')]
    days: Option<Vec<String>>,
    /// Day of the month for month_day; 31 is the last day where the month is shorter
    #[arg(long, requires = "repeat")]
    day: Option<i64>,
    /// Which one for month_weekday: first, second, third, fourth or last
    #[arg(long, requires = "repeat")]
    nth: Option<String>,
    /// Which day of the week for month_weekday: fri
    #[arg(long, requires = "repeat")]
    weekday: Option<String>,
    /// Days after Patch Tuesday; before it when negative
    #[arg(long, requires = "repeat", allow_hyphen_values = true)]
    offset: Option<i64>,
    /// Only show the next times
    #[arg(long)]
    dry_run: bool,
}

impl Set {
    fn cadence(&self) -> CadenceBody {
        let when = match (self.off, self.every) {
            (true, _) => "off",
            (_, Some(_)) => "every",
            _ => "at",
        };
        let repeat = self.repeat.clone().map(|by| RepeatBody {
            by,
            every: self.periods,
            days: self.days.clone(),
            day: self.day,
            nth: self.nth.clone(),
            weekday: self.weekday.clone(),
            offset: self.offset,
            ..RepeatBody::default()
        });
        let (minutes, at, zone) = (self.every, self.at.clone(), self.zone.clone());
        CadenceBody { when: when.to_owned(), minutes, at, zone, repeat }
    }
}

const COLUMNS: &[Column<ImportSchedule>] = &[
    ("KIND", |schedule| schedule.kind.clone()),
    ("COMES", |schedule| schedule.words.clone()),
    ("NEXT", |schedule| schedule.next.first().map(ToString::to_string).unwrap_or_default()),
    ("HELD SINCE", |schedule| schedule.held_since_at.map(|at| at.to_string()).unwrap_or_default()),
];

/// Run a command.
///
/// # Errors
/// [`Failure`] of the server.
pub async fn run(command: Command, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    match command {
        Command::List { instance } => {
            let found = find(&client, &instance).await?;
            let at = path(&["instances", &found.id.to_string(), "schedules"]);
            let ImportSchedulesBody { schedules } = client.get(&at, &[]).await?;
            output::list(context.format, &schedules, COLUMNS)
        }
        Command::Set(set) if set.dry_run => {
            let tried: CadencePreviewBody = client.post(&path(&["schedules", "preview"]), &set.cadence()).await?;
            let mut lines = vec![("comes", tried.words.clone())];
            lines.extend(tried.next.iter().map(|at| ("next", at.to_string())));
            output::record(context.format, &tried, &lines)
        }
        Command::Set(set) => {
            let found = find(&client, &set.instance).await?;
            let at = path(&["instances", &found.id.to_string(), "schedules", &set.kind]);
            let before: ImportScheduleBody = client.get(&at, &[]).await?;
            let request =
                client.request(Method::PUT, &at).header("if-match", format!("\"v{}\"", before.schedule.version));
            let ImportScheduleBody { schedule } = client.body(request.json(&set.cadence())).await?;
            let mut lines = vec![("kind", schedule.kind.clone()), ("comes", schedule.words.clone())];
            lines.extend(schedule.next.iter().map(|at| ("next", at.to_string())));
            output::record(context.format, &schedule, &lines)
        }
    }
}
