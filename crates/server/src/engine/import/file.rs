//! Imports of files that people load.

use super::Error;
use super::batch::{self, Wanted};
use super::merger::{DESCRIBED_MAX, Merger};
use crate::app::App;
use crate::http::limits::UPLOAD_BYTES_MAX;
use crate::instances::enabled;
use axum::body::Bytes;
use domain::number::Number;
use futures_util::{Stream, StreamExt as _};
use intake::file::FileReport;
use intake::summary::Rejection;
use intake::{Limits, ReadError, Stop};
use std::fs::File;
use std::io::{BufReader, Seek as _};
use store::imports::{Cause, Counters, Kind, Start};
use store::instances;
use tokio::io::AsyncWriteExt as _;

/// The instance of files whose loader names none.
pub const DEFAULT_INSTANCE: &str = "Files (Qualys)";

/// A file that was put aside whole.
#[derive(Debug)]
pub struct Upload {
    /// Its bytes, on the disk and without a name there.
    pub file: File,
    /// What the loader calls it.
    pub name: String,
}

/// A good file, read to its end once, not merged yet.
#[derive(Debug)]
pub struct Checked {
    upload: Upload,
    /// What it is and what it holds; of the rows that cannot be used it describes the first.
    pub report: FileReport,
    /// These rows, as many as a run describes.
    rejections: Vec<Rejection>,
}

/// An import of a file that has begun.
#[derive(Debug)]
pub struct Started {
    /// The run's number.
    pub number: Number,
    /// The run's key.
    pub id: i64,
    merger: Merger,
    checked: Checked,
}

/// Read an upload to its end and keep nothing.
///
/// # Errors
/// [`Error::Input`] for a file that is broken, hostile or of a kind that is not imported.
pub async fn check(upload: Upload) -> Result<Checked, Error> {
    let (upload, mut report) = blocking(move || {
        let mut upload = upload;
        upload.file.rewind().map_err(Error::Spool)?;
        let limits = Limits { rejections_described: DESCRIBED_MAX, ..Limits::default() };
        let report = intake::file::check(BufReader::with_capacity(64 << 10, &upload.file), &limits)?;
        Ok((upload, report))
    })
    .await?;
    let rejections = report.summary.rejections.clone();
    report.summary.rejections.truncate(Limits::default().rejections_described);
    Ok(Checked { upload, report, rejections })
}

/// Put an upload aside in the data folder, without a name there.
///
/// # Errors
/// [`Error::Input`] `too_large` beyond the edge's limit for uploads; [`Error::Spool`] where it cannot be kept or the
/// sender goes away.
pub async fn spool<E>(
    app: &App,
    name: String,
    body: impl Stream<Item = Result<Bytes, E>> + Send,
) -> Result<Upload, Error>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let server = app.clone();
    let file = blocking(move || {
        let folder = super::spool_folder(&server).map_err(Error::Spool)?;
        tempfile::tempfile_in(folder).map_err(Error::Spool)
    })
    .await?;
    let mut file = tokio::fs::File::from_std(file);
    let (mut body, mut length) = (std::pin::pin!(body), 0_usize);
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| Error::Spool(std::io::Error::other(error)))?;
        length += piece.len();
        if length > UPLOAD_BYTES_MAX {
            let limit = UPLOAD_BYTES_MAX as u64;
            return Err(Error::Input(ReadError::TooLarge { what: "the uploaded file", limit }));
        }
        file.write_all(&piece).await.map_err(Error::Spool)?;
    }
    file.flush().await.map_err(Error::Spool)?;
    Ok(Upload { file: file.into_std().await, name })
}

/// Begin the import of a good file into the instance of this name, which is made where there is none.
///
/// # Errors
/// [`Error::Refused`] while another import of the instance runs, where it is disabled, or where the name belongs to another product.
pub async fn start(app: &App, actor: &str, instance: &str, checked: Checked) -> Result<Started, Error> {
    let (name, author, now) = (instance.to_owned(), actor.to_owned(), app.clock.now());
    let known = app.database.write(move |tx| {
        let id = instances::for_files(tx, &author, &name, "qualys", now)?;
        instances::one(tx, id)
    });
    let known = known.await?;
    enabled(&known)?;
    let instance = known.id;
    let source = checked.upload.name.clone();
    let start = Start { instance, kind: Kind::File, cause: Cause::People, actor, source: &source };
    let merger = Merger::start(app, start).await?;
    Ok(Started { number: merger.run.number, id: merger.run.id, merger, checked })
}

impl Started {
    /// What the file holds.
    #[must_use]
    pub fn report(&self) -> &FileReport {
        &self.checked.report
    }

    /// Merge the file. However it ends, the run's record says so.
    ///
    /// # Errors
    /// What ended it early; complete hosts are kept.
    pub async fn run(self) -> Result<Counters, Error> {
        let Started { mut merger, checked, .. } = self;
        let outcome = merge(&mut merger, checked).await;
        merger.finish(None, outcome.map(|()| String::new())).await
    }
}

async fn merge(merger: &mut Merger, checked: Checked) -> Result<(), Error> {
    let Checked { upload, report, rejections } = checked;
    merger.step("file").await?;
    let bytes = upload.file.metadata().map_err(Error::Spool)?.len();
    let summary = &report.summary;
    merger.count(1, summary.hosts + summary.detections + summary.vulnerabilities, bytes).await?;
    merger.reject(summary, &rejections).await?;
    // A report lists its hosts before the glossary that explains them. Scores and kinds hang on the glossary, so it
    // goes first.
    let passes: &[Wanted] = if report.summary.hosts > 0 && report.summary.vulnerabilities > 0 {
        &[Wanted::Vulnerabilities, Wanted::Machines]
    } else {
        &[Wanted::Everything]
    };
    let mut file = upload.file;
    for wanted in passes {
        file = pass(merger, file, *wanted).await?;
    }
    Ok(())
}

async fn pass(merger: &mut Merger, mut file: File, wanted: Wanted) -> Result<File, Error> {
    let (mut collector, batches) = batch::channel(wanted);
    let reading = tokio::task::spawn_blocking(move || {
        file.rewind().map_err(Error::Spool)?;
        let input = BufReader::with_capacity(64 << 10, &file);
        intake::file::read(input, &Limits::default(), &mut |observation| collector.push(observation))?;
        collector.finish().map_err(|Stop| Error::Input(ReadError::Stopped))?;
        Ok(file)
    });
    let merged = merger.merge_all(batches).await;
    let read = reading.await.map_err(|error| Error::Spool(std::io::Error::other(error)))?;
    merged?;
    read
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::Spool(std::io::Error::other(error)))?
}
