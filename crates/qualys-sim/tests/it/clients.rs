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

#[tokio::test(flavor = "multi_thread")]
async fn pyqualys_completes_its_script() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let python = match environment(folder.path(), "pyqualys==0.1.1") {
        Ok(python) => python,
        Err(reason) => {
            eprintln!(
                "SKIPPED: python3 with pip could not install pyqualys 0.1.1, the compatibility gate did not run: {reason}"
            );
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
