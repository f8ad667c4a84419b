//! The licence audit: every dependency's licence expression must be satisfied by the list below.
//!
//! `spdx` is the library that cargo-deny uses; building cargo-deny itself would double the time of a cold run.

use crate::Outcome;
use serde::Deserialize;
use spdx::{Expression, LicenseReq};

/// Licences that let Quell be given away under Apache-2.0.
const ALLOWED: [&str; 10] = [
    "Apache-2.0",
    "MIT",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Unicode-3.0",
    "Zlib",
    "0BSD",
    "CDLA-Permissive-2.0",
    "MIT-0",
];

/// Licences allowed for one crate only, with the reason.
const EXCEPTIONS: [(&str, &str, &str); 3] = [
    ("cssparser", "MPL-2.0", "a dependency of ammonia; file-level copyleft on files we do not change"),
    ("cssparser-macros", "MPL-2.0", "a dependency of ammonia; file-level copyleft on files we do not change"),
    ("dtoa-short", "MPL-2.0", "a dependency of ammonia; file-level copyleft on files we do not change"),
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
}

/// Check every dependency.
pub fn check() -> Outcome {
    let output = skip::cargo(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .output()
        .map_err(|error| format!("cargo metadata could not be started: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let metadata: Metadata =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata is unreadable: {error}"))?;
    let outside: Vec<&Package> = metadata.packages.iter().filter(|package| package.source.is_some()).collect();
    let wrong: Vec<String> = outside.iter().filter_map(|package| fault(package)).collect();
    if wrong.is_empty() {
        println!("licences: {} dependencies, all allowed", outside.len());
        return Ok(());
    }
    Err(format!("licences that are not allowed:\n  {}", wrong.join("\n  ")))
}

fn fault(package: &Package) -> Option<String> {
    let who = format!("{} {}", package.name, package.version);
    let Some(text) = &package.license else { return Some(format!("{who}: states no licence expression")) };
    // Older manifests write `MIT/Apache-2.0` for `MIT OR Apache-2.0`.
    let text = text.replace('/', " OR ");
    match Expression::parse(&text) {
        Err(error) => Some(format!("{who}: `{text}` is not a licence expression: {}", error.reason)),
        Ok(expression) if expression.evaluate(|wanted| allowed(&package.name, wanted)) => None,
        Ok(_) => Some(format!("{who}: {text}")),
    }
}

fn allowed(package: &str, wanted: &LicenseReq) -> bool {
    let Some(id) = wanted.license.id() else { return false };
    ALLOWED.contains(&id.name) || EXCEPTIONS.iter().any(|(name, licence, _)| *name == package && *licence == id.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, license: &str) -> Package {
        let license = Some(license.to_owned());
        Package { name: name.to_owned(), version: "1.0.0".to_owned(), license, source: Some("registry".to_owned()) }
    }

    #[test]
    fn expressions_are_understood() {
        for good in ["MIT", "MIT/Apache-2.0", "GPL-3.0 OR MIT", "(MIT OR GPL-2.0) AND Unicode-3.0"] {
            assert_eq!(fault(&package("x", good)), None, "{good}");
        }
        for bad in ["GPL-3.0", "MIT AND GPL-2.0", "MPL-2.0", "nonsense licence"] {
            assert!(fault(&package("x", bad)).is_some(), "{bad}");
        }
        assert_eq!(fault(&package("cssparser", "MPL-2.0")), None);
    }
}
