//! A private PostgreSQL cluster: in a temporary folder, on a free port of the loopback interface, shared by every
//! test process of a user and gone half a minute after the last of them.
//!
//! `TEST_POSTGRES_URL` names a server to use instead. Where there is neither that nor PostgreSQL's programs, tests
//! are skipped loudly, and their names are appended to the file that `QUELL_SKIPPED_FILE` names, so that CI can fail.
//!
//! Every process that uses the cluster holds a shared lock; a small watcher, started with the cluster, waits for the
//! exclusive lock, stops the cluster and removes its folder. So nothing is left behind even by killed tests.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A database in the test server, dropped with this value.
pub struct TestSchema {
    name: String,
    url: String,
    server: &'static str,
}

impl TestSchema {
    /// A new, empty database; `None`, said loudly, where no server can be had.
    pub fn create(test: &str) -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let server = match server() {
            Ok(server) => server,
            Err(reason) => {
                skip::skipped(test, reason);
                return None;
            }
        };
        let name = format!("quell_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        // A process of an earlier boot or container may have had the same id.
        maintain(server, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        maintain(server, &format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'"));
        let url = with_database(server, &name);
        Some(TestSchema { name, url, server })
    }

    /// How to reach it.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for TestSchema {
    fn drop(&mut self) {
        maintain(self.server, &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
    }
}

/// The server's URL, without a database; starts the cluster at the first call.
fn server() -> Result<&'static str, &'static str> {
    static SERVER: OnceLock<Result<String, String>> = OnceLock::new();
    let server = SERVER.get_or_init(|| match std::env::var("TEST_POSTGRES_URL") {
        Ok(url) if !url.is_empty() => Ok(url),
        _ => Cluster::join().map(|cluster| cluster.url),
    });
    match server {
        Ok(url) => Ok(url),
        Err(reason) => Err(reason),
    }
}

/// The URL with another database: what stands between the address and `?` is replaced.
fn with_database(url: &str, name: &str) -> String {
    let (base, options) = url.split_once('?').map_or((url, None), |(base, options)| (base, Some(options)));
    let after_scheme = base.find("://").map_or(0, |at| at + 3);
    let end = base[after_scheme..].find('/').map_or(base.len(), |at| after_scheme + at);
    let options = options.map(|options| format!("?{options}")).unwrap_or_default();
    format!("{}/{name}{options}", &base[..end])
}

/// Run a statement outside any transaction, on a thread of its own: the client panics inside a runtime.
fn maintain(server: &str, sql: &str) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = postgres::Client::connect(&with_database(server, "postgres"), postgres::NoTls)
                .expect("the test server answers");
            client.batch_execute(sql).expect("a test database can be made and dropped");
        });
    });
}

struct Cluster {
    url: String,
}

impl Cluster {
    /// Use the running cluster or start one. The reason where neither works.
    fn join() -> Result<Self, String> {
        let programs = programs().ok_or("PostgreSQL's programs (initdb, pg_ctl) are not installed")?;
        if which("flock").is_none() {
            return Err("the program flock is not installed".to_owned());
        }
        let folder = folder()?;
        let starting = lock_file(&folder, "start.lock")?;
        starting.lock().map_err(|error| format!("could not lock the test cluster: {error}"))?;
        // Held until this process ends, on purpose.
        let using = lock_file(&folder, "users.lock")?;
        using.lock_shared().map_err(|error| format!("could not lock the test cluster: {error}"))?;
        std::mem::forget(using);
        let url_file = folder.join("url");
        if let Ok(url) = std::fs::read_to_string(&url_file)
            && answers(&url)
        {
            return Ok(Cluster { url });
        }
        let url = start(&programs, &folder)?;
        std::fs::write(&url_file, &url).map_err(|error| format!("could not write {}: {error}", url_file.display()))?;
        Ok(Cluster { url })
    }
}

fn lock_file(folder: &Path, name: &str) -> Result<File, String> {
    let path = folder.join(name);
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(&path)
        .map_err(|error| format!("could not open {}: {error}", path.display()))
}

/// One folder per user; the locks stay in it, the data comes and goes.
fn folder() -> Result<PathBuf, String> {
    let user = std::env::var("USER").unwrap_or_else(|_| "user".to_owned());
    let user: String = user.chars().filter(char::is_ascii_alphanumeric).collect();
    let folder = std::env::temp_dir().join(format!("quell-test-postgres-{user}"));
    std::fs::create_dir_all(&folder).map_err(|error| format!("could not make {}: {error}", folder.display()))?;
    Ok(folder)
}

/// The folder of `initdb` and `pg_ctl`: in PATH, else the newest that a distribution installed.
fn programs() -> Option<PathBuf> {
    let in_path = which("initdb").and_then(|program| program.parent().map(Path::to_owned));
    let installed = || {
        let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
        let mut found: Vec<(u32, PathBuf)> = versions
            .flatten()
            .filter_map(|version| Some((version.file_name().to_str()?.parse().ok()?, version.path().join("bin"))))
            .filter(|(_, bin)| bin.join("initdb").is_file())
            .collect();
        found.sort();
        found.pop().map(|(_, bin)| bin)
    };
    in_path.or_else(installed)
}

fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|candidate| candidate.is_file())
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// PostgreSQL refuses to run as root: then another user has to own the cluster.
fn owner() -> Result<Option<&'static str>, String> {
    if !is_root() {
        return Ok(None);
    }
    ["postgres", "nobody"]
        .into_iter()
        .find(|user| Command::new("id").arg("-u").arg(user).output().is_ok_and(|output| output.status.success()))
        .map(Some)
        .ok_or_else(|| "running as root, and there is no user postgres or nobody to run PostgreSQL as".to_owned())
}

/// A command as the owner of the cluster.
fn as_owner(owner: Option<&str>, program: &Path) -> Command {
    let mut command = match owner {
        None => Command::new(program),
        Some(owner) => {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", owner, "--regid"]).arg(group(owner)).args(["--clear-groups", "--"]).arg(program);
            command
        }
    };
    command.stdin(Stdio::null()).env_remove("PGDATA").env("LC_ALL", "C");
    command
}

fn group(owner: &str) -> String {
    let output = Command::new("id").args(["-g", owner]).output().expect("the program id");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn run(mut command: Command, what: &str) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("could not run {what}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{what} failed: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

/// Make and start a cluster; gives its URL.
fn start(programs: &Path, folder: &Path) -> Result<String, String> {
    let owner = owner()?;
    let data = folder.join("data");
    let _ = std::fs::remove_dir_all(&data);
    std::fs::create_dir_all(&data).map_err(|error| format!("could not make {}: {error}", data.display()))?;
    if let Some(owner) = owner {
        let mut chown = Command::new("chown");
        chown.arg(format!("{owner}:{}", group(owner))).arg(&data);
        run(chown, "chown")?;
    }
    let mut initdb = as_owner(owner, &programs.join("initdb"));
    initdb.arg("-D").arg(&data).args(["-U", "quell", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]);
    run(initdb, "initdb")?;
    for _ in 0..5 {
        let port = free_port()?;
        let settings = format!(
            "-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories= -c fsync=off \
             -c synchronous_commit=off -c full_page_writes=off -c max_connections=300 -c shared_buffers=128MB \
             -c max_wal_size=2GB -c autovacuum_naptime=10s"
        );
        let mut pg_ctl = as_owner(owner, &programs.join("pg_ctl"));
        pg_ctl.arg("-D").arg(&data).args(["-w", "-t", "30", "-o", &settings, "-l"]).arg(data.join("server.log"));
        pg_ctl.arg("start").stdout(Stdio::null()).stderr(Stdio::null());
        let started = pg_ctl.status().is_ok_and(|status| status.success());
        let url = format!("postgresql://quell@127.0.0.1:{port}/postgres");
        if started && wait_for(&url) {
            watch(owner, programs, folder)?;
            return Ok(url);
        }
    }
    let log = std::fs::read_to_string(data.join("server.log")).unwrap_or_default();
    Err(format!("PostgreSQL did not start: {}", log.trim()))
}

fn free_port() -> Result<u16, String> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).map_err(|error| format!("no free port: {error}"))?;
    listener.local_addr().map(|address| address.port()).map_err(|error| format!("no free port: {error}"))
}

fn answers(url: &str) -> bool {
    let url = url.to_owned();
    std::thread::spawn(move || postgres::Client::connect(&url, postgres::NoTls).is_ok()).join().unwrap_or(false)
}

fn wait_for(url: &str) -> bool {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(30) {
        if answers(url) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    false
}

/// Start the watcher that ends the cluster when nobody uses it any more.
fn watch(owner: Option<&str>, programs: &Path, folder: &Path) -> Result<(), String> {
    const SCRIPT: &str = r#"
        folder=$1; pg_ctl=$2; owner=$3; group=$4
        stop() {
            if [ -n "$owner" ]; then
                setpriv --reuid "$owner" --regid "$group" --clear-groups -- "$pg_ctl" -D "$folder/data" -m immediate -w stop
            else
                "$pg_ctl" -D "$folder/data" -m immediate -w stop
            fi
            rm -rf "$folder/data" "$folder/url"
        }
        while :; do
            flock -x "$folder/users.lock" true
            sleep 30
            exec 9>>"$folder/users.lock"
            if flock -x -n 9; then stop; exit 0; fi
            exec 9>&-
        done"#;
    let mut watcher = Command::new("setsid");
    watcher.args(["sh", "-c", SCRIPT, "sh"]).arg(folder).arg(programs.join("pg_ctl"));
    watcher.arg(owner.unwrap_or_default()).arg(owner.map(group).unwrap_or_default());
    watcher.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).current_dir("/");
    watcher.spawn().map(|_| ()).map_err(|error| format!("could not start the watcher of the test cluster: {error}"))
}

#[cfg(test)]
mod tests {
    use super::with_database;

    #[test]
    fn a_database_is_put_into_any_url() {
        let cases = [
            ("postgresql://u@h:1/postgres", "postgresql://u@h:1/x"),
            ("postgresql://u@h:1", "postgresql://u@h:1/x"),
            ("postgresql://u:p@h:1/a?sslmode=disable", "postgresql://u:p@h:1/x?sslmode=disable"),
        ];
        for (url, expected) in cases {
            assert_eq!(with_database(url, "x"), expected);
        }
    }
}
