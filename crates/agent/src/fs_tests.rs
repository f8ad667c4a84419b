use super::*;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

fn tree() -> (tempfile::TempDir, Tree) {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("etc/ssh")).unwrap();
    for directory in ["etc", "etc/ssh"] {
        std::fs::set_permissions(root.path().join(directory), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let tree = Tree::open(root.path()).unwrap();
    (root, tree)
}

fn image(tree: &Tree, text: &str, mode: u32) -> Image {
    let (uid, gid) = tree.owner();
    Image { bytes: text.as_bytes().to_vec(), mode, uid, gid }
}

#[test]
fn a_file_is_made_replaced_and_removed() {
    let (root, tree) = tree();
    assert_eq!(tree.read("/etc/a").unwrap(), None);
    let first = image(&tree, "one\n", 0o640);
    tree.replace("/etc/a", &first, None, "t").unwrap();
    assert_eq!(tree.read("/etc/a").unwrap(), Some(first.clone()));
    let before = std::fs::metadata(root.path().join("etc/a")).unwrap().ino();
    let second = image(&tree, "two\n", 0o600);
    assert!(matches!(tree.replace("/etc/a", &second, None, "t").unwrap_err().why, Why::Changed));
    assert_eq!(std::fs::metadata(root.path().join("etc/a")).unwrap().ino(), before, "a refusal writes nothing");
    tree.replace("/etc/a", &second, Some(&first.state()), "t").unwrap();
    assert_eq!(std::fs::read_dir(root.path().join("etc")).unwrap().count(), 2, "no temporary file stays");
    assert!(tree.remove("/etc/a", &first.state()).is_err());
    tree.remove("/etc/a", &second.state()).unwrap();
    assert_eq!(tree.node("/etc/a").unwrap(), Node::Absent);
}

#[test]
fn links_and_bad_paths_are_refused() {
    let (root, tree) = tree();
    std::fs::write(root.path().join("etc/real"), "x").unwrap();
    symlink("real", root.path().join("etc/link")).unwrap();
    symlink("etc", root.path().join("dir")).unwrap();
    symlink("/etc/passwd", root.path().join("etc/out")).unwrap();
    assert!(matches!(tree.read("/etc/link").unwrap_err().why, Why::Link));
    assert!(matches!(tree.read("/dir/real").unwrap_err().why, Why::Link));
    for path in ["etc/a", "/etc/../etc/a", "/etc//a", "/etc/./a", "/", "/etc/a\n"] {
        assert!(matches!(tree.read(path).unwrap_err().why, Why::Path), "{path:?}");
    }
    assert_eq!(tree.fact("/etc/link").as_deref(), Some("x"));
    assert_eq!(tree.fact("/etc/out"), None, "a fact never comes from outside the root");
}

#[test]
fn directories_that_others_can_write_are_refused() {
    let (root, tree) = tree();
    std::fs::set_permissions(root.path().join("etc"), std::fs::Permissions::from_mode(0o757)).unwrap();
    let error = tree.replace("/etc/ssh/a", &image(&tree, "", 0o644), None, "t").unwrap_err();
    assert!(matches!(error.why, Why::Unsafe(shown) if shown == "/etc"));
}

#[test]
fn hard_links_and_large_files_are_refused() {
    let (root, tree) = tree();
    std::fs::write(root.path().join("etc/a"), "x").unwrap();
    std::fs::hard_link(root.path().join("etc/a"), root.path().join("etc/b")).unwrap();
    let state = tree.read("/etc/a").unwrap().unwrap().state();
    assert!(matches!(
        tree.replace("/etc/a", &image(&tree, "y", 0o644), Some(&state), "t").unwrap_err().why,
        Why::HardLinks(2)
    ));
    std::fs::write(root.path().join("etc/big"), vec![b'x'; FILE_BYTES_MAX + 1]).unwrap();
    assert!(matches!(tree.read("/etc/big").unwrap_err().why, Why::TooLarge(_)));
}

#[test]
fn setuid_is_given_to_the_marked_file_alone() {
    let (root, tree) = tree();
    let path = root.path().join("etc/a");
    let set = |bits: u32| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(bits)).unwrap();
    let bits = || match tree.node("/etc/a").unwrap() {
        Node::File { mode } => mode,
        other => panic!("{other:?}"),
    };
    std::fs::write(&path, "program").unwrap();
    set(0o4755);
    let mark = tree.large_state("/etc/a", PROGRAM_BYTES_MAX).unwrap().unwrap();
    for (given, taken) in [(0o4755, 0o755), (0o2755, 0o755), (0o6711, 0o2711)] {
        set(taken);
        let give = |mark: Option<&FileState>| tree.change_mode("/etc/a", taken, given, mark);
        assert!(matches!(give(None).unwrap_err().why, Why::Unmarked), "{given:o}");
        for other in [
            FileState { digest: "0".repeat(64), ..mark.clone() },
            FileState { uid: mark.uid + 1, ..mark.clone() },
            FileState { gid: mark.gid + 1, ..mark.clone() },
        ] {
            assert!(matches!(give(Some(&other)).unwrap_err().why, Why::Changed), "{given:o} {other:?}");
        }
        assert_eq!(bits(), taken);
        give(Some(&mark)).unwrap();
        assert_eq!(bits(), given);
    }
    // No other bits need one, and taking them away needs none.
    tree.change_mode("/etc/a", 0o6711, 0o777, None).unwrap();
    tree.change_mode("/etc/a", 0o777, 0o700, None).unwrap();
}

#[test]
fn what_is_open_is_looked_at_within_bounds_and_a_bound_is_told() {
    let (root, tree) = tree();
    let open = |process: u32, descriptor: usize, target: &str| {
        let folder = root.path().join(format!("proc/{process}/fd"));
        std::fs::create_dir_all(&folder).unwrap();
        symlink(target, folder.join(descriptor.to_string())).unwrap();
    };
    (0..30).for_each(|descriptor| open(1, descriptor, "/dev/null"));
    open(2, 3, "/opt/a.jar (deleted)");
    open(2, 4, "/opt/b.jar (deleted)");
    open(3, 5, "/opt/a.jar");
    open(3, 6, "/opt/c.jar (deleted)");
    std::fs::create_dir_all(root.path().join("proc/4")).unwrap();
    let paths = ["/opt/a.jar", "/opt/b.jar"].map(str::to_owned);
    let held = |of_one, of_all| tree.replaced_but_open_within(&paths, of_one, of_all);
    let whole = held(100, 1000);
    assert!(whole.gap.is_none() && whole.by.len() == 1 && whole.by[0].starts_with("2: /opt/"), "{whole:?}");
    let cut = held(10, 1000);
    assert_eq!(cut.by, whole.by, "one who holds much hides nobody else: {cut:?}");
    assert_eq!(cut.gap.as_deref(), Some("process 1 has more than 10 files open"));
    let cut = held(100, 30);
    assert_eq!((cut.by.len(), cut.gap.as_deref()), (0, Some("more than 30 files are open")), "{cut:?}");
    assert_eq!(tree.look_at_open("1", 30, &mut |_| false), Looked::At(30));
    assert_eq!(tree.look_at_open("1", 29, &mut |_| false), Looked::Cut);
    assert_eq!(tree.look_at_open("4", 29, &mut |_| false), Looked::Not);
}

#[test]
fn modes_and_links_change_by_compare_and_swap() {
    let (root, tree) = tree();
    std::fs::write(root.path().join("etc/a"), "x").unwrap();
    std::fs::set_permissions(root.path().join("etc/a"), std::fs::Permissions::from_mode(0o4755)).unwrap();
    assert!(tree.change_mode("/etc/a", 0o755, 0o644, None).is_err());
    tree.change_mode("/etc/a", 0o4755, 0o755, None).unwrap();
    assert_eq!(tree.node("/etc/a").unwrap(), Node::File { mode: 0o755 });
    tree.change_link("/etc/l", None, Some("/dev/null"), "t").unwrap();
    assert_eq!(tree.link("/etc/l").as_deref(), Some("/dev/null"));
    assert!(tree.change_link("/etc/l", None, Some("x"), "t").is_err());
    tree.change_link("/etc/l", Some("/dev/null"), None, "t").unwrap();
    assert_eq!(tree.node("/etc/l").unwrap(), Node::Absent);
    assert!(tree.change_link("/etc/a", None, Some("x"), "t").is_err(), "a file is no link");
}

#[test]
fn missing_directories_are_made_and_unmade() {
    let (root, tree) = tree();
    let missing = tree.missing_parents("/etc/x/y/z").unwrap();
    assert_eq!(missing, ["/etc/x", "/etc/x/y"]);
    tree.make(&missing).unwrap();
    tree.replace("/etc/x/y/z", &image(&tree, "", 0o644), None, "t").unwrap();
    tree.unmake(&missing);
    assert!(root.path().join("etc/x/y").exists(), "not while something is in it");
    let state = tree.read("/etc/x/y/z").unwrap().unwrap().state();
    tree.remove("/etc/x/y/z", &state).unwrap();
    tree.unmake(&missing);
    assert!(!root.path().join("etc/x").exists());
}

#[test]
fn extended_attributes_survive_a_replacement() {
    let (root, tree) = tree();
    let path = root.path().join("etc/a");
    std::fs::write(&path, "x").unwrap();
    let flags = rustix::fs::XattrFlags::empty();
    if let Err(errno) = rustix::fs::setxattr(&path, "user.quell", b"kept", flags) {
        skip::skipped("fs::extended_attributes_survive_a_replacement", &format!("none here: {errno}"));
        return;
    }
    let old = tree.read("/etc/a").unwrap().unwrap();
    let new = Image { bytes: b"y".to_vec(), ..old.clone() };
    tree.replace("/etc/a", &new, Some(&old.state()), "t").unwrap();
    let mut value = vec![0; 16];
    let size = rustix::fs::getxattr(&path, "user.quell", value.as_mut_slice()).unwrap();
    assert_eq!(&value[..size], b"kept");
}
