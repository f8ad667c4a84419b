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
fn modes_and_links_change_by_compare_and_swap() {
    let (root, tree) = tree();
    std::fs::write(root.path().join("etc/a"), "x").unwrap();
    std::fs::set_permissions(root.path().join("etc/a"), std::fs::Permissions::from_mode(0o4755)).unwrap();
    assert!(tree.change_mode("/etc/a", 0o755, 0o644).is_err());
    tree.change_mode("/etc/a", 0o4755, 0o755).unwrap();
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
