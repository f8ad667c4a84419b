//! `qualys-sim`: the simulator as a program of its own.

use clap::Parser;
use qualys_sim::{Limits, Options, Simulator, Switches, world};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// Simulates a Qualys subscription on one port.
#[derive(Debug, Parser)]
#[command(name = "qualys-sim", version)]
struct Arguments {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Seed of the data set
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of hosts
    #[arg(long, default_value_t = 12)]
    hosts: u32,
    /// How many of them can have a root folder
    #[arg(long, default_value_t = 3)]
    demo_hosts: u32,
    /// Ordinary findings per host
    #[arg(long, default_value_t = 12)]
    detections: u32,
    /// Login name
    #[arg(long, default_value = "quays3am1")]
    username: String,
    /// Password
    #[arg(long, env = "QUALYS_SIM_PASSWORD", default_value = "sim-password")]
    password: String,
    /// Folder with one root folder per host, named by host name, host id or agent UUID
    #[arg(long)]
    truth: Option<PathBuf>,
    /// Write the root folders of the demo hosts into the truth folder first
    #[arg(long, requires = "truth")]
    write_truth: bool,
    /// How many times faster than real ones scans run
    #[arg(long, default_value_t = 1.0)]
    scan_speed: f64,
    /// Calls per window and end point; 0 means no limit
    #[arg(long, default_value_t = 300)]
    rate_limit: u32,
    /// Parallel calls per end point
    #[arg(long, default_value_t = 2)]
    concurrency: u32,
    /// Hosts on a page at most, whatever a call asks for; 0 means as many as it asks for
    #[arg(long, default_value_t = 0)]
    page_hosts: u64,
    /// A subscription without the networks feature
    #[arg(long)]
    no_networks: bool,
    /// Print one JSON object instead of lines
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "qualys-sim: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let options = Options {
        listen: arguments.listen,
        seed: arguments.seed,
        hosts: arguments.hosts,
        demo_hosts: arguments.demo_hosts,
        detections_per_host: arguments.detections,
        username: arguments.username,
        password: arguments.password,
        scan_speed: arguments.scan_speed,
        limits: Limits { rate: arguments.rate_limit, concurrency: arguments.concurrency, ..Limits::default() },
        truth: arguments.truth,
        switches: Switches {
            networks: !arguments.no_networks,
            page_hosts: arguments.page_hosts,
            ..Switches::default()
        },
        ..Options::default()
    };
    if arguments.write_truth {
        write_truth(&options)?;
    }
    let simulator = Simulator::start(options).await?;
    announce(&simulator, arguments.json)?;
    tokio::signal::ctrl_c().await?;
    simulator.shutdown().await;
    Ok(())
}

fn write_truth(options: &Options) -> Result<(), world::WorldError> {
    let Some(truth) = &options.truth else { return Ok(()) };
    let fleet = qualys_sim::hosts::Fleet::new(options.seed, options.hosts, options.demo_hosts);
    for host in fleet.iter().take(fleet.demo_len() as usize) {
        let root = truth.join(&host.name);
        if !root.exists() {
            world::write_root(&root, options.seed, &host)?;
        }
    }
    Ok(())
}

fn announce(simulator: &Simulator, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let (api, gateway) = (simulator.api_url(), simulator.gateway_url());
    if json {
        let object = serde_json::json!({
            "api_url": api, "gateway_url": gateway, "username": simulator.username(), "password": simulator.password(),
        });
        writeln!(out, "{object}")?;
    } else {
        writeln!(
            out,
            "api      {api}\ngateway  {gateway}\nusername {}\npassword {}",
            simulator.username(),
            simulator.password()
        )?;
    }
    out.flush()
}
