//! `quell demo`: the whole loop on this machine, for real, without root and without anything installed.
//!
//! A simulated Qualys subscription, a server on SQLite and three agent processes, each with a root folder of its own that
//! holds real configuration files, on free loopback ports. Every step goes through the public API as a signed-in user:
//! what is shown here is what an installation does. Nothing outside the demo's folder is touched.

mod api;
mod choose;
mod narrator;
mod stage;
mod steps;
mod summary;

use crate::failure::Failure;
use crate::output;
use narrator::Narrator;
use stage::Stage;
pub use stage::end_with_the_demo;
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};

/// Play the whole loop: import, mitigate, verify, rescan, close
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// End after the loop; otherwise everything stays up until Ctrl+C
    #[arg(long)]
    exit: bool,
    /// Print one summary object as the last line of standard output; the story goes to standard error
    #[arg(long)]
    json: bool,
    /// Changes hosts, QIDs and scores
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Hosts of the simulated subscription
    #[arg(long, default_value_t = 12, hide = true, value_name = "N")]
    hosts: u32,
    /// Ordinary detections per host
    #[arg(long, default_value_t = 12, hide = true, value_name = "N")]
    detections: u32,
    /// Keep everything in this folder [default: a temporary one, removed at the end]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Play the demo.
///
/// # Errors
/// The first step that did not do what it says.
pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let voice = Narrator::new(arguments.json);
    let mut stage = Stage::set(&arguments, &voice).await?;
    let mut terminate =
        signal(SignalKind::terminate()).map_err(|error| Failure::internal("cannot wait for signals", error))?;
    // However it ends, the processes it started end with it.
    let result = tokio::select! {
        played = play(&arguments, &mut stage, &voice) => played,
        _ = tokio::signal::ctrl_c() => interrupted(&arguments),
        _ = terminate.recv() => interrupted(&arguments),
    };
    stage.strike().await;
    result
}

/// A signal is how a demo that stays up ends; one that was to end by itself did not get there.
fn interrupted(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.exit { Err(Failure::Said("interrupted before the loop was closed".to_owned())) } else { Ok(()) }
}

async fn play(arguments: &Arguments, stage: &mut Stage, voice: &Narrator) -> Result<(), Failure> {
    let summary = steps::play(stage, voice).await?;
    summary.check()?;
    voice.close(&summary);
    if arguments.json {
        let text = serde_json::to_string(&summary).map_err(|error| Failure::internal("cannot write JSON", error))?;
        output::line(&text)?;
    }
    if arguments.exit {
        return Ok(());
    }
    voice.stay(stage);
    std::future::pending().await
}
