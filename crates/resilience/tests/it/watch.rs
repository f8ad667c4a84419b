//! Sees every replacement of a file below a folder, through inotify.

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Files whose names start so are written before they are renamed over their target.
const TEMPORARY: &[u8] = b".quell-";

pub struct Watch {
    inotify: OwnedFd,
    folders: BTreeMap<i32, PathBuf>,
}

impl Watch {
    /// Watch all folders below `root`; those made later are not seen.
    pub fn on(root: &Path) -> Self {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
        let (mut folders, mut open) = (BTreeMap::new(), vec![root.to_owned()]);
        while let Some(folder) = open.pop() {
            let flags = WatchFlags::MOVED_TO | WatchFlags::CLOSE_WRITE | WatchFlags::DELETE | WatchFlags::MODIFY;
            let number = inotify::add_watch(&inotify, &folder, flags).unwrap();
            for entry in std::fs::read_dir(&folder).unwrap().flatten() {
                if entry.file_type().unwrap().is_dir() {
                    open.push(entry.path());
                }
            }
            folders.insert(number, folder);
        }
        Self { inotify, folders }
    }

    /// How often each file was replaced, written in place or removed since last asked.
    pub fn changes(&self) -> BTreeMap<PathBuf, usize> {
        let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        let mut found = BTreeMap::new();
        while let Ok(event) = reader.next() {
            let (Some(folder), Some(name)) = (self.folders.get(&event.wd()), event.file_name()) else { continue };
            if !name.to_bytes().starts_with(TEMPORARY) {
                *found.entry(folder.join(name.to_str().unwrap())).or_default() += 1;
            }
        }
        found
    }
}
