//! `quell catalogue` from a key on an empty disk to a refused catalogue, as a person types it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails says so by panicking")]

#[path = "../src/commands/catalogue/mod.rs"]
mod command;

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use clap::Parser as _;
use command::{Error, Offline, Output};
use serde_json::Value;

#[derive(Debug, clap::Parser)]
struct Cli {
    #[command(subcommand)]
    command: Offline,
}

const NOW: &str = "2026-11-22T12:00:00Z";

struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Words of the form `@name` are files on the desk.
    fn run_at(&self, now: &str, output: Output, line: &str) -> Result<String, Error> {
        let words = line.split_whitespace().map(|word| match word.split_once('@') {
            Some((before, name)) if !word.starts_with("ed25519:") => format!("{before}{}", self.path(name)),
            _ => word.to_owned(),
        });
        let cli = Cli::try_parse_from(std::iter::once("catalogue".to_owned()).chain(words)).unwrap();
        let mut out = Vec::new();
        command::run(&cli.command, output, now.parse().unwrap(), &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.run_at(NOW, Output::Json, line).unwrap()).unwrap()
    }

    fn refused(&self, line: &str) -> Error {
        self.run_at(NOW, Output::Json, line).expect_err(line)
    }

    fn key(&self, name: &str) -> String {
        self.json(&format!("key new @{name}"))["public_key"].as_str().unwrap().to_owned()
    }

    /// Keys, a root of version 1, and a catalogue of version 5.
    fn with_catalogue() -> Self {
        Self::with_catalogue_until("2027-11-22")
    }

    fn with_catalogue_until(expires: &str) -> Self {
        let desk = Self::new();
        desk.key("root.pem");
        let [content, organisation, order] =
            ["content.pem", "organisation.pem", "order.pem"].map(|name| desk.key(name));
        desk.json(&format!(
            "root new --root-key @root.pem --content {content} --organisation {organisation} --order {order} \
             --expires {expires} --out @root.json"
        ));
        desk.json("sign --key @content.pem --version 5 --expires 2027-02-01 --out @signed");
        desk
    }
}

#[test]
fn keys_are_private_and_never_overwritten() {
    let desk = Desk::new();
    let public = desk.key("a.pem");
    let path = desk.path("a.pem");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(matches!(desk.refused("key new @a.pem"), Error::File { .. }));
    let shown = desk.run_at(NOW, Output::Table, "key show @a.pem").unwrap();
    assert!(shown.contains(&public) && !shown.contains("PRIVATE"), "{shown}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(desk.refused("key show @a.pem"), Error::KeyOpen { .. }));
}

#[test]
fn a_signed_catalogue_verifies_and_its_enemies_do_not() {
    let desk = Desk::with_catalogue();
    let good = desk.json("verify @signed --root @root.json --highest-seen 5");
    assert_eq!(good["version"], 5);
    assert_eq!(good["entries"].as_array().unwrap().len(), catalogue::embedded::sources().len());
    assert_eq!(good["rejected"], serde_json::json!([]));

    let older = desk.refused("verify @signed --root @root.json --highest-seen 6");
    assert!(matches!(older, Error::Catalogue(catalogue::index::CatalogueError::Older { highest_seen: 6, found: 5 })));
    let late = desk.run_at("2027-02-01T00:00:00Z", Output::Json, "verify @signed --root @root.json");
    assert!(matches!(late, Err(Error::Catalogue(catalogue::index::CatalogueError::Expired(_)))));
    let too_late = desk.run_at("2028-01-01T00:00:00Z", Output::Json, "verify @signed --root @root.json");
    assert!(matches!(too_late, Err(Error::Catalogue(catalogue::index::CatalogueError::RootExpired(_)))));

    desk.json("sign --key @order.pem --version 6 --expires 2027-02-01 --out @wrong");
    let wrong = desk.refused("verify @wrong --root @root.json");
    assert!(matches!(wrong, Error::Catalogue(catalogue::index::CatalogueError::WrongKey)));

    let entries = desk.path("signed/entries");
    let first = fs::read_dir(entries).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&first).unwrap();
    bytes[40] ^= 1;
    fs::write(&first, bytes).unwrap();
    let tampered = desk.refused("verify @signed --root @root.json");
    assert!(matches!(tampered, Error::Catalogue(catalogue::index::CatalogueError::WrongDigest { .. })));
    fs::remove_file(&first).unwrap();
    let missing = desk.refused("verify @signed --root @root.json");
    assert!(matches!(missing, Error::Catalogue(catalogue::index::CatalogueError::Missing { .. })));
}

#[test]
fn revoked_entries_are_named() {
    let desk = Desk::with_catalogue();
    let line =
        "sign --key @content.pem --version 6 --expires 2027-02-01 --out @signed --revoke linux-tcp-sack-off=withdrawn";
    assert_eq!(desk.json(line)["revoked"], 1);
    let verified = desk.json("verify @signed --root @root.json --highest-seen 5");
    assert_eq!(verified["rejected"][0]["id"], "linux-tcp-sack-off");
}

#[test]
fn a_root_is_rotated_and_an_old_client_follows() {
    let desk = Desk::with_catalogue();
    desk.key("root2.pem");
    let [content, organisation, order] = ["content2.pem", "organisation2.pem", "order2.pem"].map(|name| desk.key(name));
    let roles = format!("--content {content} --organisation {organisation} --order {order} --expires 2028-06-01");
    // Signed by the new root key only: refused and not written.
    let alone = desk.refused(&format!("root update --from @root.json --root-key @root2.pem {roles} --out @root2.json"));
    assert!(matches!(alone, Error::Root(protocol::root::RootError::Untrusted(_))), "{alone:?}");
    assert!(!Path::new(&desk.path("root2.json")).exists());
    let both = "--root-key @root2.pem --old-root-key @root.pem";
    let updated = desk.json(&format!("root update --from @root.json {both} {roles} --out @root2.json"));
    assert_eq!(updated["root"]["version"], 2);
    desk.json(
        "sign --key @content2.pem --version 7 --expires 2027-02-01 --out @signed --root @root.json --root @root2.json",
    );
    // The client still trusts version 1 and finds the way through the folder.
    assert_eq!(desk.json("verify @signed --root @root.json")["root_version"], 2);
    // The content key of version 1 is worth nothing any more.
    desk.json("sign --key @content.pem --version 8 --expires 2027-02-01 --out @old --root @root2.json");
    assert!(matches!(
        desk.refused("verify @old --root @root.json"),
        Error::Catalogue(catalogue::index::CatalogueError::WrongKey)
    ));
}

#[test]
fn careless_arguments_are_refused() {
    let desk = Desk::with_catalogue();
    let late = desk.refused("sign --key @content.pem --version 6 --expires 2026-11-22 --out @x");
    assert!(matches!(late, Error::AlreadyExpired(_)));
    let order = desk.json("key show @order.pem")["public_key"].as_str().unwrap().to_owned();
    let shared = desk.refused(&format!(
        "root new --root-key @root.pem --content {order} --organisation {order} --order {order} --expires 2028-01-01 --out @bad.json"
    ));
    assert!(matches!(shared, Error::Root(protocol::root::RootError::Inconsistent(_))));
    assert!(
        Cli::try_parse_from(["catalogue", "sign", "--version", "1", "--expires", "soon", "--out", "x", "--key", "k"])
            .is_err()
    );
    assert!(
        Cli::try_parse_from(["catalogue", "sign", "--version", "1", "--expires", "2027-01-01", "--out", "x"]).is_err()
    );
}

#[test]
fn lint_and_show_read_entries() {
    let desk = Desk::new();
    let linted = desk.json("lint");
    assert_eq!(linted["errors"], 0);
    assert!(linted["warnings"].as_u64().unwrap() > 0, "no reference has been read by a person yet");
    let found = desk.json("show --cve cve-2024-6387");
    assert_eq!(found["entries"][0]["entry"]["id"], "linux-sshd-login-grace-0");
    let text = desk.run_at(NOW, Output::Table, "show linux-sshd-login-grace-0").unwrap();
    for part in ["LoginGraceTime = 0", "CVE-2024-6387", "not yet read by a person", "MaxStartups"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(matches!(desk.refused("show nothing"), Error::NoSuchEntry(_)));
    let none = desk.json("show cve-2022-0847");
    assert_eq!(
        (none["entries"].as_array().unwrap().len(), &none["no_sound_mitigation"]["name"]),
        (0, &"Dirty Pipe".into())
    );
    let text = desk.run_at(NOW, Output::Table, "show CVE-2021-33909").unwrap();
    for part in ["linux-sequoia-userns-bpf", "No sound mitigation is known for CVE-2021-33909 (Sequoia)."] {
        assert!(text.contains(part), "{part}: {text}");
    }

    let good =
        catalogue::embedded::sources().iter().find(|s| s.path.ends_with("linux-tcp-sack-off.toml")).unwrap().text;
    fs::create_dir(desk.path("mine")).unwrap();
    fs::write(desk.path("mine/linux-tcp-sack-off.toml"), good.replace("points = 40", "points = 100")).unwrap();
    assert!(matches!(desk.refused("lint @mine"), Error::Entry { .. }));
    fs::write(desk.path("mine/linux-tcp-sack-off.toml"), good).unwrap();
    assert_eq!(desk.json("lint @mine/linux-tcp-sack-off.toml")["errors"], 0);
    fs::rename(desk.path("mine/linux-tcp-sack-off.toml"), desk.path("mine/other.toml")).unwrap();
    assert!(matches!(desk.refused("lint @mine"), Error::LintErrors(1)));
    desk.key("content.pem");
    let refused =
        desk.refused("sign --key @content.pem --version 1 --expires 2027-01-01 --out @signed --entries @mine");
    assert!(matches!(refused, Error::LintErrors(1)));
}

#[test]
fn every_kind_has_a_beginning_that_parses_and_has_no_lint_errors() {
    let desk = Desk::new();
    for kind in catalogue::actions::ACTION_KINDS {
        let id = format!("org-{}", kind.replace(['.', '_'], "-"));
        let made = desk.json(&format!("new --id {id} --kind {kind} --cve cve-2024-6387 --points 20 --out @mine"));
        assert_eq!(made["id"], id.as_str());
    }
    let linted = desk.json("lint @mine");
    assert_eq!((&linted["entries"], &linted["errors"]), (&catalogue::actions::ACTION_KINDS.len().into(), &0.into()));
    let text = fs::read_to_string(desk.path("mine/org-file-setting.toml")).unwrap();
    assert!(text.contains("CHANGE") && text.contains("points   = 20"), "{text}");
    desk.json("new --id org-finding --kind service.state --qid 38601 --out @mine");
    assert_eq!(desk.json("show org-finding --entries @mine")["entry"]["vulnerability"][0]["qids"][0]["qid"], 38_601);
    // What is there is never overwritten, and nobody is asked where nobody sits.
    assert!(matches!(
        desk.refused("new --id org-finding --kind service.state --qid 1 --out @mine"),
        Error::File { .. }
    ));
    assert!(matches!(desk.refused("new --kind service.state --qid 1 --out @mine"), Error::Argument(_)));
    assert!(matches!(desk.refused("new --id org-x --kind script --qid 1 --out @mine"), Error::Argument(_)));
    assert!(matches!(desk.refused("new --id org-x --kind file.mode --cve many --out @mine"), Error::Argument(_)));
    assert!(matches!(desk.refused("new --id linux-x --kind file.mode --qid 1 --out @mine"), Error::Prefix { .. }));
}

#[test]
fn r18_the_impact_of_an_own_mitigation_is_1_to_99_and_a_fix_has_100() {
    let desk = Desk::new();
    for points in ["0", "100"] {
        let line = format!("new --id org-x --kind file.mode --cve CVE-2024-6387 --points {points} --out @mine");
        assert!(matches!(desk.refused(&line), Error::Entry { .. }), "{points}");
        assert!(!Path::new(&desk.path("mine/org-x.toml")).exists());
    }
    for points in ["1", "99"] {
        desk.json(&format!(
            "new --id org-{points}-x --kind file.mode --cve CVE-2024-6387 --points {points} --out @mine"
        ));
    }
    let path = desk.path("mine/org-99-x.toml");
    let text = fs::read_to_string(&path).unwrap();
    let fix = text.replace("implication = \"mitigation\"", "implication = \"fix\"");
    let permanent = fix.replace("reversible = \"yes\"", "reversible = \"no\"");
    assert_ne!(permanent, text);
    fs::write(&path, &permanent).unwrap();
    assert!(matches!(desk.refused("lint @mine"), Error::Entry { .. }), "a fix of 99 points");
    fs::write(&path, permanent.replace("points   = 99", "points   = 100")).unwrap();
    assert_eq!(desk.json("lint @mine")["errors"], 0);
}

#[test]
fn own_entries_need_the_signatures_of_content_and_organisation() {
    let desk = Desk::with_catalogue();
    let known = catalogue::embedded::sources().len();
    desk.json("new --id org-no-example --kind service.state --cve CVE-2024-6387 --out @mine");
    let good = |line: &str| {
        let verified = desk.json(line);
        (verified["entries"].as_array().unwrap().len(), verified["rejected"].as_array().unwrap().len())
    };
    desk.json("sign --key @content.pem --version 6 --expires 2027-02-01 --custom @mine --out @signed");
    assert_eq!(good("verify @signed --root @root.json"), (known, 1), "the rest stays usable");
    let said = desk.json("verify @signed --root @root.json")["rejected"][0].clone();
    assert_eq!(said["id"], "org-no-example");
    assert!(said["reason"].as_str().unwrap().contains("not signed by the organisation"), "{said}");

    // Keys of other roles are no signature of the organisation, and a stranger's is none either.
    desk.key("stranger.pem");
    for key in ["content.pem", "root.pem", "order.pem", "stranger.pem"] {
        let line = format!("countersign @signed --root @root.json --yes --organisation-key @{key}");
        assert!(matches!(desk.refused(&line), Error::NotByOrganisation), "{key}");
    }
    assert_eq!(good("verify @signed --root @root.json"), (known, 1));
    let signed = desk.json("countersign @signed --root @root.json --yes --organisation-key @organisation.pem");
    assert_eq!((&signed["complete"], &signed["entries"][0]["id"]), (&true.into(), &"org-no-example".into()));
    assert_eq!(good("verify @signed --root @root.json"), (known + 1, 0));

    // The organisation alone signs nothing, and never what the content keys have not signed.
    desk.json("sign --key @organisation.pem --version 7 --expires 2027-02-01 --custom @mine --out @alone");
    let line = "countersign @alone --root @root.json --yes --organisation-key @organisation.pem";
    assert!(matches!(desk.refused(line), Error::Catalogue(catalogue::index::CatalogueError::WrongKey)));
    // One pair of hands may do both at once.
    desk.json(
        "sign --key @content.pem --organisation-key @organisation.pem --version 8 --expires 2027-02-01 --custom @mine --out @both",
    );
    assert_eq!(good("verify @both --root @root.json"), (known + 1, 0));
}

#[test]
fn own_entries_never_stand_in_the_way_of_others() {
    let desk = Desk::with_catalogue();
    desk.json("new --id org-no-example --kind service.state --cve CVE-2024-6387 --out @mine");
    let as_others = "sign --key @content.pem --version 6 --expires 2027-02-01 --entries @mine --out @x";
    assert!(matches!(desk.refused(as_others), Error::Prefix { custom: false, .. }));
    let text = fs::read_to_string(desk.path("mine/org-no-example.toml")).unwrap();
    fs::write(desk.path("mine/org-no-example.toml"), text.replace("org-no-example", "linux-tcp-sack-off")).unwrap();
    let shadow = "sign --key @content.pem --version 6 --expires 2027-02-01 --custom @mine --out @x";
    assert!(matches!(desk.refused(shadow), Error::Prefix { custom: true, .. }));
    assert!(catalogue::embedded::entries().unwrap().iter().all(|entry| !entry.id.is_custom()));
}

#[test]
fn own_entries_are_shown_and_agreed_to_before_they_are_signed() {
    let desk = Desk::with_catalogue();
    desk.json("new --id org-no-example --kind service.state --cve CVE-2024-6387 --out @mine");
    desk.json("sign --key @content.pem --version 6 --expires 2027-02-01 --custom @mine --out @signed");
    let index = || fs::read(desk.path("signed/index.json")).unwrap();
    let unsigned = index();
    let line = "countersign @signed --root @root.json --organisation-key @organisation.pem";
    let mut out = Vec::new();
    let words = line.split_whitespace().map(|word| word.replace('@', &format!("{}/", desk.path(""))));
    let cli = Cli::try_parse_from(std::iter::once("catalogue".to_owned()).chain(words)).unwrap();
    let refused = command::run(&cli.command, Output::Json, NOW.parse().unwrap(), &mut out);
    assert!(matches!(refused, Err(Error::NotAgreed)));
    let told: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!((&told["signed"], &told["version"]), (&false.into(), &6.into()));
    let entry = &told["entries"][0];
    assert_eq!((&entry["id"], &entry["entry"]["id"]), (&"org-no-example".into(), &"org-no-example".into()), "in full");
    assert!(entry["entry"]["action"].as_array().is_some_and(|actions| !actions.is_empty()), "{entry}");
    assert_eq!(index(), unsigned, "nothing was written");

    let shown = desk.run_at(NOW, Output::Table, &format!("{line} --yes")).unwrap();
    let digest = entry["digest"].as_str().unwrap();
    for part in ["org-no-example, revision 1", "Side effects:", "checked:", "undone:", digest] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(shown.find(digest) < shown.find("is complete"), "shown before it is said to be signed");
    assert_ne!(index(), unsigned);
    let again = desk.json(&format!("{line} --yes"));
    assert_eq!((&again["signed"], &again["entries"][0]["digest"]), (&true.into(), &digest.into()));
}

#[test]
fn the_first_of_several_organisation_keys_is_shown_the_entries_too() {
    let desk = Desk::new();
    desk.key("root.pem");
    let [content, one, two, order] = ["content.pem", "one.pem", "two.pem", "order.pem"].map(|name| desk.key(name));
    desk.json(&format!(
        "root new --root-key @root.pem --content {content} --organisation {one} --organisation {two} --order {order} \
         --organisation-threshold 2 --expires 2027-11-22 --out @root.json"
    ));
    desk.json("new --id org-no-example --kind service.state --cve CVE-2024-6387 --out @mine");
    desk.json("sign --key @content.pem --version 6 --expires 2027-02-01 --custom @mine --out @signed");
    let first = "countersign @signed --root @root.json --organisation-key @one.pem --yes";
    assert!(matches!(desk.refused(first), Error::NotByOrganisation));
    let said = desk.json(&format!("{first} --more-to-come"));
    assert_eq!((&said["complete"], &said["entries"][0]["id"]), (&false.into(), &"org-no-example".into()));
    let said = desk.json("countersign @signed --root @root.json --organisation-key @two.pem --yes");
    assert_eq!((&said["complete"], &said["entries"][0]["id"]), (&true.into(), &"org-no-example".into()));
}

#[test]
fn own_entries_with_errors_are_not_countersigned() {
    let desk = Desk::with_catalogue();
    desk.json("new --id org-no-example --kind service.state --cve CVE-2024-6387 --title Short --out @mine");
    let path = desk.path("mine/org-no-example.toml");
    let text = fs::read_to_string(&path).unwrap().replace("Short", &["long"; 20].join(" "));
    let entry = catalogue::schema::Entry::from_toml(&text).unwrap();
    // `lint` and `sign` refuse it, so a content key of other hands has signed it.
    fs::write(&path, &text).unwrap();
    for line in ["lint @mine", "sign --key @content.pem --version 6 --expires 2027-02-01 --custom @mine --out @own"] {
        assert!(matches!(desk.refused(line), Error::LintErrors(_)), "{line}");
    }
    assert!(!Path::new(&desk.path("own")).exists(), "nothing was signed");
    let key = protocol::signed::SigningKey::from_pem(&fs::read_to_string(desk.path("content.pem")).unwrap()).unwrap();
    let expires = "2027-02-01T00:00:00Z".parse().unwrap();
    let bundle = catalogue::bundle::Bundle::sign(6, expires, &[entry], vec![], &[&key]).unwrap();
    bundle.write_to(Path::new(&desk.path("signed"))).unwrap();
    let line = "countersign @signed --root @root.json --organisation-key @organisation.pem --yes";
    let Error::OwnEntryErrors(said) = desk.refused(line) else { panic!("another refusal") };
    assert!(said.contains("org-no-example") && said.contains("title-length"), "{said}");
    assert_eq!(catalogue::bundle::Bundle::read_from(Path::new(&desk.path("signed"))).unwrap(), bundle, "as it was");
}

/// The built program, with nobody at a terminal, and with somebody who answers.
#[test]
fn the_terminal_is_asked_before_the_organisation_signs() {
    // The program reads the real clock.
    let desk = Desk::with_catalogue_until("2099-01-01");
    desk.json("new --id org-no-example --kind service.state --cve CVE-2024-6387 --out @mine");
    desk.json("sign --key @content.pem --version 6 --expires 2097-02-01 --custom @mine --out @signed");
    let index = || fs::read(desk.path("signed/index.json")).unwrap();
    let unsigned = index();
    let program = env!("CARGO_BIN_EXE_quell");
    let line = format!("{program} catalogue countersign signed --root root.json --organisation-key organisation.pem");
    let fed = |command: &mut std::process::Command, answer: &str| {
        let mut child = command
            .current_dir(desk.folder.path())
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), answer.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let mut words = line.split_whitespace();
    let mut piped = std::process::Command::new(words.next().unwrap());
    let (well, said) = fed(piped.args(words), "yes\n");
    assert!(!well && said.contains("nothing was signed") && said.contains("org-no-example, revision 1"), "{said}");
    assert_eq!(index(), unsigned, "a pipe agrees to nothing");

    // util-linux's script gives the program a terminal.
    let terminal = |answer: &str| {
        let mut script = std::process::Command::new("script");
        fed(script.args(["--quiet", "--return", "--command", &line, "/dev/null"]), answer)
    };
    if std::process::Command::new("script").arg("--version").output().is_err() {
        skip::skipped("catalogue", "`script` of util-linux, which gives a program a terminal, is not there");
        return;
    }
    let (well, said) = terminal("no\n");
    assert!(!well && said.contains("yes/no") && index() == unsigned, "{said}");
    let (well, said) = terminal("yes\n");
    assert!(well && said.contains("is complete") && index() != unsigned, "{said}");
    assert!(said.find("Digest") < said.find("yes/no"), "the entry is on the screen before the question: {said}");
}
