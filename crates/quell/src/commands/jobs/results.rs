//! What came of a job: the progress report in its forms, and how long evidence is kept.

use super::tables::REPORT;
use crate::client::{Client, path};
use crate::failure::Failure;
use crate::output::{self, Format};
use protocol::api::response::{ReportBody, RetentionBody, RetentionRequest};

/// The report in the form of its own: CSV and JSON as the server writes them, a table of what matters for people.
pub async fn report(
    client: &Client,
    number: &str,
    wanted: impl Iterator<Item = (&'static str, String)>,
    format: Format,
) -> Result<(), Failure> {
    let mut query: Vec<(&str, String)> = wanted.collect();
    let place = path(&["jobs", number, "report"]);
    if format == Format::Csv {
        query.push(("format", "csv".to_owned()));
        return client.copy(&place, &query).await;
    }
    let report: ReportBody = client.get(&place, &query).await?;
    if format == Format::Json {
        return output::json(&report);
    }
    output::list(format, &report.lines, REPORT)
}

pub async fn retention(client: &Client, days: Option<i64>, format: Format) -> Result<(), Failure> {
    let place = path(&["settings", "retention"]);
    let RetentionBody { retention } = match days {
        None => client.get(&place, &[]).await?,
        Some(days) => client.put(&place, &RetentionRequest { days }).await?,
    };
    let kept = if retention.days == 0 { "for ever".to_owned() } else { format!("{} days", retention.days) };
    let fields = [("kept", kept), ("default", format!("{} days", retention.default_days))];
    output::record(format, &retention, &fields)
}
