//! The account that the network half runs as: one of its own, so that no process of another program may send it signals, look into it or
//! be looked into. `nobody` is many programs' account.

use crate::deadline::Deadline;
use crate::host::call;
use std::path::Path;

/// The agent's own account.
pub const ACCOUNT: &str = "quell-agent";
/// What there is without one.
const SHARED: &str = "nobody";
/// Makes accounts.
const USERADD: &str = "/usr/sbin/useradd";
/// What an account gets that nobody signs in with; the first that is there.
const NO_SHELLS: [&str; 4] = ["/usr/sbin/nologin", "/sbin/nologin", "/usr/bin/false", "/bin/false"];

/// User and group of an account, by number.
type Ids = (u32, u32);

/// Which account was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// User and group.
    pub ids: Ids,
    /// Why that is worse than it could be, in a sentence.
    pub warning: Option<String>,
}

/// The account of the network half, from the database below `root`: the one that was asked for, else our own, else `nobody`.
///
/// # Errors
/// A sentence when there is none of it, or it is root's.
pub(crate) fn choose(root: &Path, asked: Option<&str>) -> Result<Chosen, String> {
    if let Some(name) = asked {
        let ids = ids(root, name)?;
        let ids =
            ids.ok_or_else(|| format!("there is no user `{name}` for the network half; name another with --user"))?;
        return Ok(Chosen { ids, warning: None });
    }
    if let Some(ids) = ids(root, ACCOUNT)? {
        return Ok(Chosen { ids, warning: None });
    }
    let ids = ids(root, SHARED)?.ok_or_else(|| {
        format!("there is neither a user `{ACCOUNT}` nor `{SHARED}` for the network half; name one with --user")
    })?;
    let warning = format!(
        "there is no user `{ACCOUNT}`, so the network half runs as `{SHARED}`, as processes of others may: make it ({}), or name \
         another with --user",
        by_hand()
    );
    Ok(Chosen { ids, warning: Some(warning) })
}

/// Make our own account below `root`, which is `/` unless a test says otherwise; says whether it was made. One that is there is left as
/// it is.
///
/// # Errors
/// A sentence when it cannot be made, or is root's.
pub(crate) fn ensure(root: &Path) -> Result<bool, String> {
    if ids(root, ACCOUNT)?.is_some() {
        return Ok(false);
    }
    let cannot = |why: &str| {
        format!(
            "the user `{ACCOUNT}` for the network half could not be made: {why}; make it by hand ({}), or name another account with \
             --user here and for `run`",
            by_hand()
        )
    };
    let below = root.display().to_string();
    let prefix = ["--prefix", below.as_str()];
    let prefix: &[&str] = if root == Path::new("/") { &[] } else { &prefix };
    let words = words();
    let arguments: Vec<&str> = prefix.iter().chain(&words).copied().collect();
    let said = call(USERADD, &arguments, Deadline::NEVER).map_err(|why| cannot(&why))?;
    // Another one may have made it at the same time; what counts is what is there now.
    match ids(root, ACCOUNT)? {
        Some(_) => Ok(true),
        None => Err(cannot(if said.text.is_empty() { "useradd did not say why" } else { &said.text })),
    }
}

/// A system account with a group of its own, no home, no shell and no password.
fn words() -> [&'static str; 10] {
    let shell = NO_SHELLS.into_iter().find(|shell| Path::new(shell).exists()).unwrap_or("/bin/false");
    let comment = "Network half of the Quell agent";
    [
        "--system",
        "--user-group",
        "--no-create-home",
        "--home-dir",
        "/nonexistent",
        "--shell",
        shell,
        "--comment",
        comment,
        ACCOUNT,
    ]
}

fn by_hand() -> String {
    format!(
        "useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin {ACCOUNT}"
    )
}

/// An account in the database below `root`; nothing where there is none.
fn ids(root: &Path, name: &str) -> Result<Option<Ids>, String> {
    let text = std::fs::read_to_string(root.join("etc/passwd")).unwrap_or_default();
    let found = text.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        match fields.as_slice() {
            [user, _, uid, gid, ..] if *user == name => Some((uid.parse().ok()?, gid.parse().ok()?)),
            _ => None,
        }
    });
    match found {
        Some((0, _) | (_, 0)) => {
            Err(format!("the network half must not run as root or in its group, as `{name}` does; name another --user"))
        }
        found => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A root with these accounts.
    fn root(passwd: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        for (file, text) in [("passwd", passwd), ("group", "root:x:0:\n"), ("shadow", "root:*:1::::::\n")] {
            fs::write(root.path().join("etc").join(file), text).unwrap();
        }
        root
    }

    const ROOT: &str = "root:x:0:0:root:/root:/bin/sh\n";
    const NOBODY: &str = "nobody:x:65534:65534::/:/bin/false\n";

    #[test]
    fn our_own_account_comes_first_and_the_shared_one_with_a_warning() {
        let own = "quell-agent:x:990:991::/nonexistent:/usr/sbin/nologin\n";
        let cases = [
            (format!("{ROOT}{NOBODY}{own}"), None, Ok((990, 991)), false),
            (format!("{ROOT}{NOBODY}"), None, Ok((65534, 65534)), true),
            (format!("{ROOT}{NOBODY}{own}"), Some("nobody"), Ok((65534, 65534)), false),
            (format!("{ROOT}{NOBODY}"), Some("quell-agent"), Err("no user `quell-agent`"), false),
            (format!("{ROOT}{own}"), Some("root"), Err("must not run as root"), false),
            (format!("{NOBODY}quell-agent:x:0:991::/:/bin/sh\n"), None, Err("must not run as root"), false),
            (format!("{NOBODY}quell-agent:x:990:0::/:/bin/sh\n"), None, Err("must not run as root"), false),
            (ROOT.to_owned(), None, Err("neither a user `quell-agent` nor `nobody`"), false),
        ];
        for (passwd, asked, expected, warns) in cases {
            let root = root(&passwd);
            let chosen = choose(root.path(), asked);
            match expected {
                Ok(ids) => assert_eq!(chosen.as_ref().map(|chosen| chosen.ids), Ok(ids), "{passwd}"),
                Err(why) => assert!(chosen.as_ref().unwrap_err().contains(why), "{chosen:?}"),
            }
            let warning = chosen.ok().and_then(|chosen| chosen.warning);
            assert_eq!(warning.is_some_and(|text| text.contains("useradd --system")), warns, "{passwd}");
        }
    }

    #[test]
    fn the_account_is_made_by_the_systems_own_tool_without_shell_home_and_password() {
        const NAME: &str = "account::the_account_is_made_by_the_systems_own_tool";
        if !rustix::process::geteuid().is_root() || !Path::new(USERADD).is_file() {
            return skip::skipped(NAME, "needs root and useradd (package passwd)");
        }
        let machine = || fs::read_to_string("/etc/passwd").unwrap();
        let (root, before) = (root(&format!("{ROOT}{NOBODY}")), machine());
        let read = |file: &str| fs::read_to_string(root.path().join("etc").join(file)).unwrap();
        let line = |file: &str| -> Vec<String> {
            let text = read(file);
            let line = text.lines().find(|line| line.starts_with("quell-agent:")).unwrap_or_default();
            line.split(':').map(str::to_owned).collect()
        };
        assert_eq!(ensure(root.path()), Ok(true));
        let (account, group) = (line("passwd"), line("group"));
        let uid: u32 = account[2].parse().unwrap();
        assert!((1..1000).contains(&uid), "{account:?}");
        assert_eq!((account[3].as_str(), account[5].as_str()), (group[2].as_str(), "/nonexistent"));
        assert!(NO_SHELLS.contains(&account[6].as_str()), "{account:?}");
        assert!(line("shadow")[1].starts_with('!'), "nobody signs in with it");
        assert!(!root.path().join("nonexistent").exists() && !root.path().join("home").exists());
        let chosen = choose(root.path(), None).unwrap();
        assert_eq!((chosen.ids, chosen.warning), ((uid, account[3].parse().unwrap()), None));
        let made = (read("passwd"), read("group"), read("shadow"));
        assert_eq!(ensure(root.path()), Ok(false), "one that is there is left as it is");
        assert_eq!((read("passwd"), read("group"), read("shadow")), made);
        assert_eq!(machine(), before, "this machine has no account more");
    }

    #[test]
    fn where_it_cannot_be_made_that_is_said_with_what_to_do() {
        const NAME: &str = "account::where_it_cannot_be_made_that_is_said";
        if !rustix::process::geteuid().is_root() || !Path::new(USERADD).is_file() {
            return skip::skipped(NAME, "needs root and useradd (package passwd)");
        }
        let root = root(&format!("{ROOT}{NOBODY}"));
        // Its group is there and is somebody's: useradd refuses, and nothing is made.
        fs::write(root.path().join("etc/group"), "root:x:0:\nquell-agent:x:5:\n").unwrap();
        let said = ensure(root.path()).unwrap_err();
        for part in ["could not be made", "group quell-agent exists", "useradd --system", "--user"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert_eq!(fs::read_to_string(root.path().join("etc/passwd")).unwrap(), format!("{ROOT}{NOBODY}"));
    }
}
