//! Third-party clients against the simulator. Each is installed from the package index into a private environment.

use crate::support::Sim;
use qualys_sim::{Limits, Options, Switches};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A client: the package with its version, what else pip is told, and the script that drives it.
struct Client {
    package: &'static str,
    pip: &'static [&'static str],
    script: &'static str,
}

/// A Python environment with one package, or the reason why there is none.
fn environment(folder: &Path, client: &Client) -> Result<PathBuf, String> {
    let run = |command: &mut Command| {
        let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    };
    run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
    let python = folder.join("bin/python");
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    run(Command::new(&python).args(install).args(client.pip).arg(client.package))?;
    Ok(python)
}

/// Runs a client's script to its end against a simulator. Nothing that it sends is refused, and it reached every end point named.
async fn completes(client: Client, options: Options, arguments: &[&str], reached: &[&str]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (place, package) = (folder.path().join("venv"), client.package);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(client.script);
    let python = tokio::task::spawn_blocking(move || environment(&place, &client)).await.expect("a thread");
    let python = match python {
        Ok(python) => python,
        Err(reason) => {
            let test = std::thread::current().name().unwrap_or("a client").to_owned();
            skip::skipped(&test, &format!("python3 with pip could not install {package}: {reason}"));
            return;
        }
    };
    let sim = Sim::start(options).await;
    let url = sim.simulator.api_url();
    let (user, password) = (sim.simulator.username(), sim.simulator.password());
    let ip = sim.simulator.demo_hosts().first().expect("a host").ip.to_string();
    let mut command = Command::new(python);
    // The interpreter must not find the script's own folder first: the file has the name of the package.
    command.arg("-P").arg(script);
    for argument in arguments {
        command.arg(match *argument {
            "URL" => url.as_str(),
            "USER" => user,
            "PASSWORD" => password,
            "IP" => ip.as_str(),
            other => other,
        });
    }
    command
        .env("QUALYS_BASE_URL", &url)
        .env("QUALYS_GATEWAY_URL", sim.simulator.gateway_url())
        .env("QUALYS_USERNAME", user)
        .env("QUALYS_PASSWORD", password)
        .env("QUALYS_MCP_CACHE_DIR", folder.path().join("cache"))
        .env("QUALYS_MCP_NO_TRACKING", "1");
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.expect("a thread").expect("a process");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.contains("all steps done"), "{out}\n{err}");
    let journal = sim.simulator.journal();
    let refused: Vec<_> = journal.iter().filter(|entry| entry.status >= 400).collect();
    assert!(refused.is_empty(), "{refused:#?}");
    for endpoint in reached {
        assert!(journal.iter().any(|entry| entry.endpoint == *endpoint), "{package} never asked for {endpoint}");
    }
}

#[tokio::test]
async fn the_program_prints_where_it_listens_and_serves_folders_it_wrote() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut program = tokio::process::Command::new(env!("CARGO_BIN_EXE_qualys-sim"))
        .args(["--json", "--seed", "9", "--hosts", "20", "--write-truth", "--truth"])
        .arg(folder.path())
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the program");
    let mut lines =
        tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(program.stdout.take().expect("its output")));
    let line = lines.next_line().await.expect("a line").expect("a line");
    let said: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    let text = |name: &str| said[name].as_str().expect("a text").to_owned();
    let client = reqwest::Client::new();
    let about =
        client.get(format!("{}/msp/about.php", text("api_url"))).basic_auth(text("username"), Some(text("password")));
    assert_eq!(about.send().await.expect("an answer").status(), 200);
    let hosts = client.get(format!("{}/sim/hosts", text("api_url"))).send().await.expect("hosts");
    let hosts: serde_json::Value = hosts.json().await.expect("JSON");
    assert_eq!(hosts.as_array().map(Vec::len), Some(20));
    let root = PathBuf::from(hosts[0]["root"].as_str().expect("a folder"));
    let uuid = std::fs::read_to_string(root.join("etc/qualys/hostid")).expect("the agent's file");
    assert_eq!(hosts[0]["agent_uuid"].as_str(), Some(uuid.trim()));
    program.kill().await.expect("the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn pyqualys_completes_its_script() {
    let client = Client { package: "pyqualys==0.1.1", pip: &[], script: "pyqualys.py" };
    let options = Options { hosts: 7, scan_speed: 300.0, ..Options::default() };
    let reached = ["host-list", "host-detection", "asset-group", "scan"];
    completes(client, options, &["URL", "USER", "PASSWORD", "IP"], &reached).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn qualysdk_completes_its_script() {
    let client = Client { package: "qualysdk==0.3.17", pip: &[], script: "qualysdk.py" };
    // It sleeps for an hour where a limit runs out.
    let limits = Limits { rate: 10_000, ..Limits::default() };
    let switches = Switches { networks: false, ..Switches::default() };
    let options = Options { hosts: 7, scan_speed: 20.0, limits, switches, ..Options::default() };
    let reached = [
        "about",
        "knowledge-base",
        "host-list",
        "host-detection",
        "appliance",
        "asset-group",
        "search-list",
        "dynamic-search-list",
        "scan",
        "auth",
    ];
    completes(client, options, &["URL", "USER", "PASSWORD", "IP"], &reached).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn qualys_mcp_completes_its_script() {
    // Its functions need no package of others; those are for its own server.
    let client = Client { package: "qualys-mcp==0.2.9", pip: &["--no-deps"], script: "qualys_mcp.py" };
    let options = Options { hosts: 1_150, ..Options::default() };
    let reached = [
        "host-detection",
        "knowledge-base",
        "appliance",
        "scan",
        "schedule",
        "auth",
        "mitigation-jobs",
        "mitigation-job",
        "mitigations",
        "patch-jobs",
        "asset-count",
    ];
    completes(client, options, &["1150", "IP"], &reached).await;
}
