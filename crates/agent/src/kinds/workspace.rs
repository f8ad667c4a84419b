//! The host's state with planned changes laid over it: kinds read through it and write into it, nothing else is touched.
//! Comparing both sides gives the steps to be done, each place once.

use super::diff::lines_diff;
use crate::fs::{FsError, Image, Node, PROGRAM_BYTES_MAX, SPECIAL_BITS, Tree};
use crate::record::{ArchiveChange, Step};
use catalogue::actions::RegistryData;
use std::collections::BTreeMap;

/// What is, or shall be, at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Thing {
    File(Option<Image>),
    Mode(u32),
    Link(Option<String>),
    Kernel(String),
}

#[derive(Clone, Debug)]
struct Draft {
    before: Thing,
    after: Thing,
}

/// See the module.
#[derive(Debug)]
pub struct Workspace<'t> {
    tree: &'t Tree,
    order: Vec<String>,
    drafts: BTreeMap<String, Draft>,
    /// Steps that are no change of a file: stop a unit, remove packages.
    acts: Vec<Step>,
    touched: Vec<String>,
}

impl<'t> Workspace<'t> {
    /// Nothing planned yet.
    #[must_use]
    pub fn new(tree: &'t Tree) -> Self {
        Self { tree, order: Vec::new(), drafts: BTreeMap::new(), acts: Vec::new(), touched: Vec::new() }
    }

    /// A file as planned, or as it is.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn file(&self, path: &str) -> Result<Option<Image>, FsError> {
        match self.drafts.get(path) {
            Some(Draft { after: Thing::File(image), .. }) => Ok(image.clone()),
            _ => self.tree.read(path),
        }
    }

    /// The text of a file that is planned to be written; nothing of any other.
    #[must_use]
    pub fn drafted(&self, path: &str) -> Option<String> {
        match self.drafts.get(path) {
            Some(Draft { after: Thing::File(Some(image)), .. }) => {
                Some(String::from_utf8_lossy(&image.bytes).into_owned())
            }
            _ => None,
        }
    }

    /// Plan a file's bytes and attributes; nothing removes it.
    ///
    /// # Errors
    /// When what is there cannot be read.
    pub fn put_file(&mut self, path: &str, image: Option<Image>) -> Result<(), FsError> {
        let before = self.tree.read(path)?;
        self.put(path, Thing::File(before), Thing::File(image));
        Ok(())
    }

    /// A file's text with planned bytes, keeping mode and owner; a new one gets `mode` and our owner.
    #[must_use]
    pub fn image(&self, old: Option<&Image>, text: String, mode: u32) -> Image {
        let (uid, gid) = self.tree.owner();
        match old {
            Some(old) => Image { bytes: text.into_bytes(), ..old.clone() },
            None => Image { bytes: text.into_bytes(), mode, uid, gid },
        }
    }

    /// Owner and group of files of ours.
    #[must_use]
    pub fn owner(&self) -> (u32, u32) {
        self.tree.owner()
    }

    /// What is at a place, permission bits as planned.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn node(&self, path: &str) -> Result<Node, FsError> {
        Ok(match self.drafts.get(path).map(|draft| &draft.after) {
            Some(Thing::Mode(mode)) => Node::File { mode: *mode },
            Some(Thing::Link(Some(target))) => Node::Link(target.clone()),
            Some(Thing::Link(None) | Thing::File(None)) => Node::Absent,
            Some(Thing::File(Some(image))) => Node::File { mode: image.mode },
            Some(Thing::Kernel(_)) | None => self.tree.node(path)?,
        })
    }

    /// Plan permission bits.
    pub fn put_mode(&mut self, path: &str, before: u32, after: u32) {
        self.put(path, Thing::Mode(before), Thing::Mode(after));
    }

    /// Plan a link; nothing removes it.
    pub fn put_link(&mut self, path: &str, before: Option<String>, after: Option<String>) {
        self.put(path, Thing::Link(before), Thing::Link(after));
    }

    /// A kernel parameter as planned, or as it is; nothing where there is none.
    #[must_use]
    pub fn kernel(&self, path: &str) -> Option<String> {
        match self.drafts.get(path) {
            Some(Draft { after: Thing::Kernel(value), .. }) => Some(value.clone()),
            _ => self.tree.fact(path).map(|text| text.trim().to_owned()),
        }
    }

    /// Plan a kernel parameter.
    pub fn put_kernel(&mut self, path: &str, before: String, after: String) {
        self.put(path, Thing::Kernel(before), Thing::Kernel(after));
    }

    /// Plan something that is no change of a file.
    pub fn act(&mut self, step: Step) {
        self.touched.push(step.place());
        self.acts.push(step);
    }

    /// Whether something is planned that is no change of a file and fits.
    #[must_use]
    pub fn acts(&self, fits: impl Fn(&Step) -> bool) -> bool {
        self.acts.iter().any(fits)
    }

    /// The last step of these planned that gives what is asked for.
    pub fn last_act<T>(&self, give: impl Fn(&Step) -> Option<T>) -> Option<T> {
        self.acts.iter().rev().find_map(give)
    }

    fn put(&mut self, path: &str, before: Thing, after: Thing) {
        self.touched.push(path.to_owned());
        match self.drafts.get_mut(path) {
            Some(draft) => draft.after = after,
            None => {
                self.order.push(path.to_owned());
                self.drafts.insert(path.to_owned(), Draft { before, after });
            }
        }
    }

    /// The places planned since this was last asked.
    pub fn take_touched(&mut self) -> Vec<String> {
        std::mem::take(&mut self.touched)
    }

    /// What has to be done, in the order it was planned, each place once.
    ///
    /// # Errors
    /// When a directory cannot be looked at, or a place could not be changed when its turn comes.
    pub fn steps(&self) -> Result<Vec<Step>, FsError> {
        let mut steps = Vec::new();
        let mut making: Vec<String> = Vec::new();
        for path in &self.order {
            let Some(draft) = self.drafts.get(path).filter(|draft| draft.before != draft.after) else { continue };
            // What could not be changed when its turn comes is not planned: an intent is for what can be done in full.
            if !matches!(draft.after, Thing::Kernel(_)) {
                self.tree.changeable(path, matches!(draft.after, Thing::File(_)))?;
            }
            let mut made = match &draft.after {
                Thing::File(Some(_)) | Thing::Link(Some(_)) => self.tree.missing_parents(path)?,
                _ => Vec::new(),
            };
            made.retain(|directory| !making.contains(directory));
            making.extend(made.iter().cloned());
            steps.push(match (&draft.before, &draft.after) {
                (Thing::File(before), Thing::File(after)) => Step::File {
                    path: path.clone(),
                    before: before.as_ref().map(Image::state),
                    after: after.as_ref().map(Image::state),
                    made,
                },
                (Thing::Link(before), Thing::Link(after)) => {
                    Step::Link { path: path.clone(), before: before.clone(), after: after.clone(), made }
                }
                (Thing::Mode(before), Thing::Mode(after)) => {
                    let (before, after) = (*before, *after);
                    let marked = (before ^ after) & SPECIAL_BITS != 0;
                    let mark = if marked { self.tree.large_state(path, PROGRAM_BYTES_MAX)? } else { None };
                    Step::Mode { path: path.clone(), before, after, mark }
                }
                (Thing::Kernel(before), Thing::Kernel(after)) => {
                    Step::Kernel { path: path.clone(), before: before.clone(), after: after.clone() }
                }
                _ => continue,
            });
        }
        for act in &self.acts {
            // A whole file too, which is streamed instead of drafted.
            if let Step::Archive { path, .. } = act {
                self.tree.changeable(path, true)?;
            }
        }
        steps.extend(self.acts.iter().cloned());
        Ok(steps)
    }

    /// The bytes a file had before, and those it is planned to have.
    #[must_use]
    pub fn images(&self, path: &str) -> (Option<&Image>, Option<&Image>) {
        match self.drafts.get(path) {
            Some(Draft { before: Thing::File(before), after: Thing::File(after) }) => (before.as_ref(), after.as_ref()),
            _ => (None, None),
        }
    }

    /// The change at one place as people read it.
    #[must_use]
    pub fn diff(&self, path: &str) -> String {
        let Some(draft) = self.drafts.get(path) else {
            return self
                .acts
                .iter()
                .filter(|step| step.place() == path)
                .map(|step| format!("! {}\n", act(step)))
                .collect();
        };
        let absent = || "(absent)".to_owned();
        let short = |thing: &Thing| match thing {
            Thing::Mode(mode) => format!("mode {mode:04o}"),
            Thing::Link(target) => target.clone().map_or_else(absent, |target| format!("link to {target}")),
            Thing::Kernel(value) => value.clone(),
            Thing::File(_) => String::new(),
        };
        match (&draft.before, &draft.after) {
            (Thing::File(before), Thing::File(after)) => {
                let text = |image: &Option<Image>| {
                    image.as_ref().map(|image| String::from_utf8_lossy(&image.bytes).into_owned()).unwrap_or_default()
                };
                lines_diff(path, &text(before), &text(after))
            }
            (before, after) => format!("--- {path}\n-{}\n+{}\n", short(before), short(after)),
        }
    }
}

fn act(step: &Step) -> String {
    match step {
        Step::Stop { unit } => format!("stop {unit}"),
        Step::Start { unit } => format!("start {unit}"),
        Step::Remove { packages } | Step::Install { packages } => {
            let names: Vec<String> = packages.iter().map(|p| format!("{} {}", p.name, p.version)).collect();
            let verb = if matches!(step, Step::Remove { .. }) { "remove" } else { "install" };
            format!("{verb} {}", names.join(", "))
        }
        Step::Archive { path, member, change, .. } => match change {
            ArchiveChange::Remove => format!("take {member} out of {path}"),
            ArchiveChange::Restore | ArchiveChange::Insert => format!("put {member} back into {path}"),
        },
        Step::Firewall { before, after, .. } => {
            let line = |rule: &Option<String>| rule.clone().unwrap_or_else(|| "(absent)".to_owned());
            format!("{}\n-{}\n+{}", step.place(), line(before), line(after))
        }
        Step::SelinuxBoolean { before, after, .. } => {
            let word = |on: bool| if on { "on" } else { "off" };
            format!("{}\n-{}\n+{}", step.place(), word(*before), word(*after))
        }
        Step::CryptoPolicy { before, after, .. } => format!("{}\n-{before}\n+{after}", step.place()),
        Step::WindowsSwitch { before, after, .. } => format!("{}\n-{before}\n+{after}", step.place()),
        Step::BootMenu => "make the boot menu anew".to_owned(),
        Step::BootArgument { param, after, .. } => {
            format!(
                "{} {param} {} every boot entry",
                if *after { "add" } else { "take" },
                if *after { "to" } else { "from" }
            )
        }
        Step::Registry { before, after, .. } => {
            let data = |data: &Option<RegistryData>| data.as_ref().map_or("(absent)".to_owned(), ToString::to_string);
            format!("{}\n-{}\n+{}", step.place(), data(before), data(after))
        }
        Step::RegistryTree { after: None, .. } => format!("delete {}", step.place()),
        Step::RegistryTree { after: Some(_), .. } => format!("put back {}", step.place()),
        Step::Service { before, after, .. } => format!("{}: {before} -> {after}", step.place()),
        other => other.place(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_planned_twice_is_one_step_and_nothing_planned_is_none() {
        let root = tempfile::tempdir().unwrap();
        let tree = Tree::open(root.path()).unwrap();
        let mut workspace = Workspace::new(&tree);
        for text in ["one", "two"] {
            let image = workspace.image(None, text.to_owned(), 0o644);
            workspace.put_file("/a/b", Some(image)).unwrap();
        }
        workspace.put_mode("/x", 0o755, 0o755);
        let steps = workspace.steps().unwrap();
        assert!(matches!(steps.as_slice(), [Step::File { before: None, made, .. }] if made == &["/a"]));
        assert_eq!(workspace.file("/a/b").unwrap().unwrap().bytes, b"two");
        workspace.put_file("/a/b", None).unwrap();
        assert!(workspace.steps().unwrap().is_empty());
    }
}
