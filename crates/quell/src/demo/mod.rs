//! `quell demo`: the whole loop on this machine, for real, without root and without anything installed.
//!
//! A simulated Qualys subscription, a server on SQLite and three agent processes, each with a root folder of its own that
//! holds real configuration files, on free loopback ports. Every step goes through the public API as a signed-in user:
//! what is shown here is what an installation does. Nothing outside the demo's folder is touched.

mod api;
mod narrator;
mod stage;
mod steps;
mod summary;

use crate::failure::Failure;
use crate::output;
use narrator::Narrator;
use stage::Stage;
use std::path::PathBuf;
use summary::Summary;

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
    let played = steps::play(&mut stage, &voice).await;
    let result = match played {
        Ok(summary) => finish(&arguments, &stage, &voice, &summary).await,
        Err(failure) => Err(failure),
    };
    stage.strike().await;
    result
}

async fn finish(arguments: &Arguments, stage: &Stage, voice: &Narrator, summary: &Summary) -> Result<(), Failure> {
    summary.check()?;
    voice.close(summary);
    if arguments.json {
        let text = serde_json::to_string(summary).map_err(|error| Failure::internal("cannot write JSON", error))?;
        output::line(&text)?;
    }
    if arguments.exit {
        return Ok(());
    }
    voice.stay(stage);
    let _ = tokio::signal::ctrl_c().await;
    Ok(())
}
