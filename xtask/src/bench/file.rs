//! A file of one gigabyte through `quell import` into a server on SQLite: what it holds, and the peak memory of both.

use super::{Running, Scratch, binary, kib};
use crate::{Outcome, cargo};
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// Size the file grows to, in bytes.
const SIZE: u64 = 1 << 30;
/// Detections of a host in it.
const DETECTIONS: u64 = 100;
/// Different vulnerabilities in it.
const QIDS: u64 = 2_000;
/// What neither process may go beyond, in MiB.
const BUDGET: f64 = 200.0;
/// What a person types when the one-time password was accepted.
const PASSWORD: &str = "chosen for a benchmark alone";

/// Import it twice: the first load and the same again, which changes nothing.
pub fn run() -> Outcome {
    cargo(&["build", "--release", "--package", "quell"])?;
    let scratch = Scratch::new()?;
    measure(&scratch.0)
}

fn measure(folder: &Path) -> Outcome {
    let file = folder.join("hosts.xml");
    let hosts = write(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    println!("file           {SIZE} bytes or a little more, {hosts} hosts, {} detections", hosts * DETECTIONS);
    let quell = binary("quell");
    let mut server = serve(&quell, folder)?;
    let mut lines = BufReader::new(server.0.stdout.take().ok_or("the server has no output")?).lines();
    let mut said = |what: &str| {
        let found = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let (_, value) = line.split_once(what)?;
            Some(value.trim().to_owned())
        });
        found.ok_or_else(|| format!("the server did not say `{what}`"))
    };
    let (url, fingerprint, once) = (said("people:")?, said("fingerprint:")?, said("password:")?);
    let command = |arguments: &[&str]| {
        let mut command = Command::new(&quell);
        command.env("QUELL_CONFIG", folder.join("config.toml")).args(arguments);
        command
    };
    let login = ["login", &url, "-u", "admin", "--password-stdin", "--ca-sha256", &fingerprint];
    let mut login = started(command(&login).stdin(Stdio::piped()).stdout(Stdio::null()))?;
    let typed = format!("{once}\n{PASSWORD}\n");
    login.stdin.take().ok_or("no input")?.write_all(typed.as_bytes()).map_err(|error| format!("login: {error}"))?;
    if !login.wait().is_ok_and(|status| status.success()) {
        return Err("nobody could sign in".to_owned());
    }
    let name = file.to_string_lossy();
    for round in ["first load", "same again"] {
        let begun = Instant::now();
        let import = started(command(&["import", &name, "-o", "json"]).stdout(Stdio::null()))?;
        let (code, client) = peak_until_end(import)?;
        if code != 0 {
            return Err(format!("the import ended with {code}"));
        }
        let seconds = begun.elapsed().as_secs_f64();
        println!("{round:<14} {seconds:.1} s; client peak {client:.1} MiB (budget {BUDGET})");
    }
    println!("server peak    {:.1} MiB (budget {BUDGET})", high_water(server.0.id()));
    Ok(())
}

fn serve(quell: &Path, folder: &Path) -> Result<Running, String> {
    let mut command = Command::new(quell);
    command.args(["serve", "--listen", "127.0.0.1:0", "--agent-listen", "127.0.0.1:0", "--log", "warn", "--data-dir"]);
    started(command.arg(folder.join("data")).stdout(Stdio::piped())).map(Running)
}

fn started(command: &mut Command) -> Result<Child, String> {
    command.spawn().map_err(|error| format!("{command:?}: {error}"))
}

/// Wait for a process; its exit code, and its highest resident size in MiB as last seen.
fn peak_until_end(mut child: Child) -> Result<(i32, f64), String> {
    let mut peak = 0.0_f64;
    loop {
        peak = peak.max(high_water(child.id()));
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            return Ok((status.code().unwrap_or(-1), peak));
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

/// The highest resident size of a process so far, in MiB.
fn high_water(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    kib(line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0))
}

/// Hosts of a made-up host list, until the file has its size.
fn write(path: &Path) -> std::io::Result<u64> {
    let mut out = BufWriter::with_capacity(1 << 20, std::fs::File::create(path)?);
    let mut size = 0_u64;
    let mut put = |text: &str| -> std::io::Result<u64> {
        out.write_all(text.as_bytes())?;
        size += text.len() as u64;
        Ok(size)
    };
    let evidence = "The version found on this host is older than the one that carries the correction. ".repeat(6);
    put("<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n<HOST_LIST_VM_DETECTION_OUTPUT><RESPONSE>\
         <DATETIME>2026-11-01T00:00:00Z</DATETIME><HOST_LIST>\n")?;
    let mut hosts = 0;
    loop {
        hosts += 1;
        let mut text = format!(
            "<HOST><ID>{hosts}</ID><IP>10.{}.{}.{}</IP><OS>Debian Linux 12.5</OS><DNS>host-{hosts}.example</DNS>\
             <LAST_SCAN_DATETIME>2026-10-31T00:00:00Z</LAST_SCAN_DATETIME><DETECTION_LIST>\n",
            (hosts >> 16) & 255,
            (hosts >> 8) & 255,
            hosts & 255
        );
        for place in 0..DETECTIONS {
            let qid = 38_000 + (hosts * 7 + place * 17) % QIDS;
            let (severity, score) = (1 + (qid % 5), 10 + (qid % 90));
            text.push_str(&format!(
                "<DETECTION><UNIQUE_VULN_ID>{}</UNIQUE_VULN_ID><QID>{qid}</QID><TYPE>Confirmed</TYPE>\
                 <SEVERITY>{severity}</SEVERITY><STATUS>Active</STATUS><QDS>{score}</QDS>\
                 <FIRST_FOUND_DATETIME>2026-01-01T00:00:00Z</FIRST_FOUND_DATETIME>\
                 <LAST_FOUND_DATETIME>2026-10-31T00:00:00Z</LAST_FOUND_DATETIME>\
                 <RESULTS><![CDATA[{evidence}]]></RESULTS></DETECTION>\n",
                hosts * DETECTIONS + place
            ));
        }
        text.push_str("</DETECTION_LIST></HOST>\n");
        if put(&text)? >= SIZE {
            break;
        }
    }
    put("</HOST_LIST></RESPONSE></HOST_LIST_VM_DETECTION_OUTPUT>\n")?;
    out.flush()?;
    Ok(hosts)
}
