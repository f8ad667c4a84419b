//! `quell demo` as people start it, up to where it says what it can be reached by.

use super::driver::Running;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The demo, its address and its password.
pub fn demo() -> (Running, String, String) {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_quell"));
    // The narration goes to standard error where standard output is no terminal; both are read.
    let child = command.args(["demo", "--seed", "1"]).current_dir(folder).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn().expect("quell starts");
    let (send, lines) = std::sync::mpsc::channel();
    let read = |stream: Box<dyn std::io::Read + Send>, send: std::sync::mpsc::Sender<String>| {
        std::thread::spawn(move || {
            BufReader::new(stream).lines().map_while(Result::ok).for_each(|line| {
                let _ = send.send(line);
            });
        })
    };
    read(Box::new(child.stdout.take().expect("it is piped")), send.clone());
    read(Box::new(child.stderr.take().expect("it is piped")), send);
    let running = Running(child);
    let (mut address, mut password, mut said) = (None, None, String::new());
    let until = Instant::now() + Duration::from_secs(300);
    while address.is_none() || password.is_none() {
        let left = until.saturating_duration_since(Instant::now());
        let line = lines.recv_timeout(left).unwrap_or_else(|_| panic!("the demo is not ready:\n{said}"));
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("address"), Some(url)) => address = Some(url.trim_end_matches('/').to_owned()),
            (Some("password"), Some(word)) => password = Some(word.to_owned()),
            _ => {}
        }
        said.push_str(&line);
        said.push('\n');
    }
    (running, address.expect("it was said"), password.expect("it was said"))
}
