//! Gathers what the pages load and embeds it: the libraries named in `ui/package-lock.json`, our own style sheet and
//! script, the typeface, and a sprite of the icons named below.
//!
//! `npm ci` runs in `OUT_DIR`, so the source tree stays clean, and runs again only when the lock file changes. Install
//! scripts of the packages are never executed. Set `QUELL_UI_NODE_MODULES` to a folder that `npm ci` has filled
//! elsewhere to build without a network. It does not minify, bundle or transpile: files are served as published, except
//! that the style kit is wrapped in a cascade layer so that our own rules win without `!important`.

use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Files served exactly as their package publishes them: our name, the place in `node_modules`.
const LIBRARIES: [(&str, &str); 4] = [
    ("htmx.js", "htmx.org/dist/htmx.min.js"),
    ("sse.js", "htmx-ext-sse/dist/sse.min.js"),
    ("idiomorph.js", "idiomorph/dist/idiomorph-ext.min.js"),
    ("inter.woff2", "@fontsource-variable/inter/files/inter-latin-wght-normal.woff2"),
];

/// The style kit, wrapped in `@layer kit` below.
const KIT: &str = "@tabler/core/dist/css/tabler.min.css";

/// Our own files in `ui/`.
const OWN: [&str; 4] = ["quell.css", "quell.js", "theme.js", "favicon.svg"];

/// The icons that pages may name, by their file name in `@tabler/icons`. A page that names another one shows nothing,
/// which the test of the templates refuses.
const ICONS: &[&str] = &[
    "activity",
    "adjustments-horizontal",
    "alert-triangle",
    "arrow-back-up",
    "arrow-down",
    "arrow-right",
    "arrow-up",
    "ban",
    "bolt",
    "brand-apple",
    "brand-debian",
    "brand-redhat",
    "brand-ubuntu",
    "brand-windows",
    "bug",
    "calendar",
    "check",
    "checklist",
    "chevron-down",
    "chevron-left",
    "chevron-right",
    "circle-check",
    "circle-x",
    "clipboard-check",
    "clock",
    "clock-off",
    "copy",
    "database-import",
    "device-desktop",
    "device-desktop-cog",
    "dots",
    "download",
    "external-link",
    "eye",
    "file-text",
    "filter",
    "flame",
    "hand-stop",
    "help",
    "history",
    "hourglass",
    "info-circle",
    "key",
    "layout-dashboard",
    "layout-rows",
    "link",
    "list-check",
    "lock",
    "logout",
    "mail",
    "menu-2",
    "minus",
    "moon",
    "pencil",
    "player-pause",
    "player-play",
    "player-stop",
    "plug-connected",
    "plus",
    "radar",
    "refresh",
    "rotate",
    "search",
    "server",
    "settings",
    "shield",
    "shield-check",
    "shield-half",
    "shield-off",
    "square",
    "sun",
    "tag",
    "target",
    "terminal-2",
    "trash",
    "upload",
    "user",
    "user-plus",
    "users",
    "x",
];

fn main() {
    for file in OWN.iter().chain(&["package.json", "package-lock.json"]) {
        println!("cargo::rerun-if-changed=ui/{file}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=QUELL_UI_NODE_MODULES");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let modules = match env::var_os("QUELL_UI_NODE_MODULES") {
        Some(folder) => PathBuf::from(folder),
        None => install(&out.join("npm")),
    };

    let folder = out.join("assets");
    // Old digests must not linger beside new ones; the folder is ours alone.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("OUT_DIR is writable");
    let mut table = Table { folder, rows: String::new(), names: String::new(), font: String::new() };
    for (name, place) in LIBRARIES {
        table.add(name, read(&modules.join(place)));
    }
    table.add("kit.css", layered(&read(&modules.join(KIT))));
    table.add("icons.svg", sprite(&modules.join("@tabler/icons/icons/outline")).into_bytes());
    for name in OWN {
        table.add(name, read(&Path::new("ui").join(name)));
    }
    table.finish(&out.join("assets.rs"));
}

/// Runs `npm ci` in `place` unless it already holds what the lock file says.
fn install(place: &Path) -> PathBuf {
    let modules = place.join("node_modules");
    let lock = read(Path::new("ui/package-lock.json"));
    let stamp = place.join("installed");
    if fs::read(&stamp).is_ok_and(|installed| installed == lock) && modules.is_dir() {
        return modules;
    }
    fs::create_dir_all(place).expect("OUT_DIR is writable");
    for file in ["package.json", "package-lock.json"] {
        fs::write(place.join(file), read(&Path::new("ui").join(file))).expect("OUT_DIR is writable");
    }
    let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
    let output = Command::new(npm)
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
        .current_dir(place)
        .output();
    match output {
        Ok(output) if output.status.success() => {
            fs::write(stamp, lock).expect("OUT_DIR is writable");
            modules
        }
        Ok(output) => panic!(
            "`npm ci` failed ({}); the build fetches the browser libraries of crates/server/ui/package-lock.json from the \
             npm registry once. Without a network, fill a node_modules folder elsewhere and set QUELL_UI_NODE_MODULES to \
             it.\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(error) => panic!("cannot run `npm` ({error}); install Node.js 20 or newer, or set QUELL_UI_NODE_MODULES"),
    }
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

/// The kit inside a cascade layer. Refuses a file that would make a browser fetch something: everything the pages load
/// has to come from this server.
fn layered(css: &[u8]) -> Vec<u8> {
    let css = String::from_utf8(css.to_vec()).expect("a style sheet is UTF-8");
    let css = css.trim_start_matches("@charset \"UTF-8\";");
    assert!(!css.contains("@import"), "the style kit imports another file");
    for part in css.split("url(").skip(1) {
        let target = part.trim_start_matches(['"', '\'']);
        assert!(
            target.starts_with("data:"),
            "the style kit refers to a file: {}",
            target.chars().take(60).collect::<String>()
        );
    }
    let body = css.split("/*# sourceMappingURL").next().expect("split gives at least one part");
    format!("@layer kit{{{body}}}").into_bytes()
}

/// One SVG of symbols, each named as its icon. Colour and stroke come from the page's style sheet.
fn sprite(folder: &Path) -> String {
    let mut svg = String::from("<svg xmlns=\"http://www.w3.org/2000/svg\">");
    for icon in ICONS {
        let text = String::from_utf8(read(&folder.join(format!("{icon}.svg")))).expect("an icon is UTF-8");
        let start = text.find("<svg").expect("an icon is an SVG");
        let open = text[start..].find('>').expect("the svg element is complete") + start + 1;
        let close = text.rfind("</svg>").expect("the svg element ends");
        let body = text[open..close].split_whitespace().collect::<Vec<_>>().join(" ");
        write!(svg, "<symbol id=\"{icon}\" viewBox=\"0 0 24 24\">{body}</symbol>").expect("writing to a string");
    }
    svg + "</svg>"
}

/// The embedded files and the Rust that names them.
struct Table {
    folder: PathBuf,
    rows: String,
    names: String,
    font: String,
}

impl Table {
    fn add(&mut self, name: &str, bytes: Vec<u8>) {
        // The style sheet names the typeface, whose digest is only known here.
        let bytes = match name {
            "quell.css" => {
                let css = String::from_utf8(bytes).expect("our style sheet is UTF-8");
                assert!(css.contains("url(inter.woff2)"), "quell.css no longer names the typeface");
                css.replace("url(inter.woff2)", &format!("url({})", self.font)).into_bytes()
            }
            _ => bytes,
        };
        let (stem, extension) = name.split_once('.').expect("an asset has an extension");
        let digest =
            Sha256::digest(&bytes).iter().take(8).fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        let path = format!("/ui/{stem}.{digest}.{extension}");
        if extension == "woff2" {
            self.font.clone_from(&path);
        }
        let plain = self.write(&format!("{stem}.{digest}.{extension}"), &bytes);
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&bytes).expect("writing to memory");
        let packed = encoder.finish().expect("writing to memory");
        // A typeface is compressed already; the packed form is kept only where it pays.
        let gzip = if packed.len() * 10 < bytes.len() * 9 {
            let file = self.write(&format!("{stem}.{digest}.{extension}.gz"), &packed);
            format!("Some(include_bytes!({file:?}))")
        } else {
            "None".to_owned()
        };
        let constant = name.replace(['.', '-'], "_").to_uppercase();
        writeln!(self.names, "/// Where a page loads `{name}`.\npub const {constant}: &str = {path:?};")
            .expect("writing to a string");
        writeln!(
            self.rows,
            "    Asset {{ path: {constant}, etag: \"\\\"{digest}\\\"\", content_type: {:?}, bytes: include_bytes!({plain:?}), gzip: {gzip} }},",
            content_type(extension)
        )
        .expect("writing to a string");
    }

    fn write(&self, file: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.join(file);
        fs::write(&path, bytes).expect("OUT_DIR is writable");
        path
    }

    fn finish(self, path: &Path) {
        let icons = ICONS.iter().fold(String::new(), |text, icon| text + &format!("{icon:?}, "));
        let code = format!(
            "{}\n/// Every embedded file.\npub static ASSETS: &[Asset] = &[\n{}];\n\n/// The icons in the sprite.\npub const ICONS: &[&str] = &[{icons}];\n",
            self.names, self.rows
        );
        fs::write(path, code).expect("OUT_DIR is writable");
    }
}

fn content_type(extension: &str) -> &'static str {
    match extension {
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "woff2" => "font/woff2",
        other => panic!("no content type is known for .{other}"),
    }
}
