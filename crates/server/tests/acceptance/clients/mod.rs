//! A client of somebody else's, installed from the package index into a private environment, against `/mtg/v1`.

use crate::world::World;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use testkit::server::{ADMIN_PASSWORD, TestServer};

/// The client with its version.
const PACKAGE: &str = "qualys-mcp==0.2.9";

/// A Python environment with the client, without what its own server part needs; or the reason why there is none.
fn environment(folder: &Path) -> Result<PathBuf, String> {
    let run = |command: &mut Command| {
        let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    };
    run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
    let python = folder.join("bin/python");
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", PACKAGE];
    run(Command::new(&python).args(install))?;
    Ok(python)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn qualys_mcp_completes_its_script() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let place = folder.path().join("venv");
    let python = match tokio::task::spawn_blocking(move || environment(&place)).await.unwrap() {
        Ok(python) => python,
        Err(reason) => {
            let why = format!("python3 with pip could not install {PACKAGE}: {reason}");
            skip::skipped("clients::qualys_mcp_completes_its_script", &why);
            return;
        }
    };
    let world = World::ready(TestServer::start().await).await;
    let (qid, assets) = world.mitigable().await;
    let key = assets[0]["id"].as_i64().unwrap();
    let asset = crate::mtg::asset_id(key);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/acceptance/clients/qualys_mcp.py");
    let url = world.server.url("");
    let url = url.trim_end_matches('/').to_owned();
    let cache = folder.path().join("cache");
    let output = tokio::task::spawn_blocking(move || {
        Command::new(python)
            .arg("-P")
            .arg(script)
            .args([qid.to_string(), asset])
            .env("QUALYS_BASE_URL", &url)
            .env("QUALYS_GATEWAY_URL", &url)
            .env("QUALYS_USERNAME", "admin")
            .env("QUALYS_PASSWORD", ADMIN_PASSWORD)
            .env("QUALYS_MCP_CACHE_DIR", cache)
            .env("QUALYS_MCP_NO_TRACKING", "1")
            .output()
    });
    let output = output.await.expect("a thread").expect("a process");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.contains("all steps done"), "{out}\n{err}");
    let tokens: Value = world.admin.get("/api/v1/tokens").await.expect(200);
    assert!(tokens.to_string().contains("signed in at /auth"), "its token is listed like any other: {tokens}");
}
