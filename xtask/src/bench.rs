//! Benchmarks: each prints what it measured and the command that measures it again. Never part of the tests.

use crate::Outcome;

/// Run one.
pub fn run(arguments: &[String]) -> Outcome {
    match arguments.first().map(String::as_str) {
        Some("idle") => {
            crate::cargo(&["run", "--release", "--quiet", "--package", "quell", "--", "demo", "--bench-idle"])
        }
        Some(other) => Err(format!("there is no benchmark `{other}`; there is: idle")),
        None => Err("name a benchmark: idle".to_owned()),
    }
}
