//! What a large subscription weighs: answers are made while they are sent, so memory does not follow the number of hosts.

use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Detections of a host of the large subscription.
const PER_HOST: u32 = 100;

/// The program with so many hosts, and what it said of itself.
async fn program(hosts: u32) -> (Child, serde_json::Value) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_qualys-sim"))
        .args(["--json", "--seed", "5", "--hosts", &hosts.to_string(), "--detections", &PER_HOST.to_string()])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the program");
    let mut lines = BufReader::new(program.stdout.take().expect("its output")).lines();
    let line = lines.next_line().await.expect("a line").expect("a line");
    (program, serde_json::from_str(&line).expect("JSON"))
}

/// A number of `/proc/PID/status`, in kilobytes.
fn status(program: &Child, name: &str) -> u64 {
    let pid = program.id().expect("a process");
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the status of a process");
    let line = text.lines().find(|line| line.starts_with(name)).expect("a line of the status");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

/// Pulls every detection in one answer: bytes, detections, and by how many kilobytes the program's peak grew meanwhile.
async fn pull(hosts: u32) -> (usize, usize, u64) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (mut program, said) = program(hosts).await;
    let text = |name: &str| said.get(name).and_then(serde_json::Value::as_str).expect("a text").to_owned();
    let before = status(&program, "VmHWM");
    let query =
        "action=list&truncation_limit=0&show_igs=1&show_qds=1&show_qds_factors=1&status=New,Active,Re-Opened,Fixed";
    let url = format!("{}/api/5.0/fo/asset/host/vm/detection/?{query}", text("api_url"));
    let call = reqwest::Client::new().get(url).basic_auth(text("username"), Some(text("password")));
    let mut answer = call.header("X-Requested-With", "test").send().await.expect("an answer");
    let (mut bytes, mut detections, mut tail) = (0, 0, String::new());
    while let Some(chunk) = answer.chunk().await.expect("a piece") {
        bytes += chunk.len();
        tail.push_str(&String::from_utf8_lossy(&chunk));
        let whole = tail.rfind('\n').map_or(0, |at| at + 1);
        detections += tail[..whole].matches("</DETECTION>").count();
        tail.drain(..whole);
    }
    let grown = status(&program, "VmHWM").saturating_sub(before);
    program.kill().await.expect("the end");
    (bytes, detections, grown)
}

#[tokio::test]
async fn memory_does_not_follow_the_number_of_hosts() {
    let (few, many) = (pull(50).await, pull(1_000).await);
    assert!(many.1 > 100_000 && few.1 > 5_000, "{few:?} {many:?}");
    assert!(many.0 > 60_000_000, "an answer that would be seen in the memory: {many:?}");
    assert!(many.2 < few.2 + 10_000, "kilobytes of growth: {few:?} {many:?}");
}
