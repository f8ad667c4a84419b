//! Lists the entries below `entries/`, so that a new file is part of the program without being named anywhere else.

use std::{env, fmt::Write as _, fs, io, path::Path};

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=entries");
    println!("cargo:rerun-if-changed=build.rs");
    let missing = |name: &'static str| move |_| io::Error::other(format!("cargo does not set {name}"));
    let crate_folder = env::var("CARGO_MANIFEST_DIR").map_err(missing("CARGO_MANIFEST_DIR"))?;
    let output = env::var("OUT_DIR").map_err(missing("OUT_DIR"))?;
    let mut paths = Vec::new();
    collect(&Path::new(&crate_folder).join("entries"), "", &mut paths)?;
    paths.sort();
    let mut list = String::from("&[\n");
    for path in paths {
        writeln!(
            list,
            "    Source {{ path: {path:?}, text: include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/entries/\", {path:?})) }},"
        )
        .map_err(io::Error::other)?;
    }
    list.push(']');
    fs::write(Path::new(&output).join("sources.rs"), list)
}

/// Collect the TOML files below a folder as paths relative to `entries/`.
fn collect(folder: &Path, prefix: &str, paths: &mut Vec<String>) -> io::Result<()> {
    for item in fs::read_dir(folder)? {
        let item = item?;
        let name = item
            .file_name()
            .into_string()
            .map_err(|name| io::Error::other(format!("{} is not UTF-8", name.display())))?;
        if item.file_type()?.is_dir() {
            collect(&item.path(), &format!("{prefix}{name}/"), paths)?;
        } else if name.ends_with(".toml") {
            paths.push(format!("{prefix}{name}"));
        }
    }
    Ok(())
}
