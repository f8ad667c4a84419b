//! Third-party clients against the simulator. Each is installed from the package index into a private environment.

use crate::support::Sim;
use qualys_sim::Options;
use std::path::Path;
use std::process::Command;

/// A Python environment with one package, or the reason why there is none.
fn environment(folder: &Path, package: &str) -> Result<std::path::PathBuf, String> {
    let run = |command: &mut Command| {
        let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    };
    run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
    let python = folder.join("bin/python");
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", package]))?;
    Ok(python)
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
    let root = std::path::PathBuf::from(hosts[0]["root"].as_str().expect("a folder"));
    let uuid = std::fs::read_to_string(root.join("etc/qualys/hostid")).expect("the agent's file");
    assert_eq!(hosts[0]["agent_uuid"].as_str(), Some(uuid.trim()));
    program.kill().await.expect("the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn pyqualys_completes_its_script() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let python = match environment(folder.path(), "pyqualys==0.1.1") {
        Ok(python) => python,
        Err(reason) => {
            let why = format!("python3 with pip could not install pyqualys 0.1.1: {reason}");
            skip::skipped("clients::pyqualys_completes_its_script", &why);
            return;
        }
    };
    let sim = Sim::start(Options { hosts: 7, scan_speed: 300.0, ..Options::default() }).await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/pyqualys.py");
    let (url, user, password) =
        (sim.simulator.api_url(), sim.simulator.username().to_owned(), sim.simulator.password().to_owned());
    let ip = sim.simulator.demo_hosts()[0].ip.to_string();
    let output = tokio::task::spawn_blocking(move || {
        // The interpreter must not find the script's own folder first: the file has the name of the package.
        Command::new(python).arg("-P").arg(script).args([url, user, password, ip]).output()
    });
    let output = output.await.expect("a thread").expect("a process");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.contains("all steps done"), "{out}\n{err}");
    let journal = sim.simulator.journal();
    assert!(journal.iter().all(|entry| entry.status < 400), "{journal:#?}");
}
