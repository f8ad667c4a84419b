//! The parts of Windows that are not the bytes of files, behind one trait: registry, services, access lists, IIS. Kinds are
//! written against the trait, so that their planning, journal and revert are the same code everywhere; [`Memory`] stands in for a
//! machine in tests.
//!
//! This version of the agent runs on Linux only: without a backend every such action is not applicable.

use crate::record::{FileAccess, IisModule, RegistryPlace, RegistryTree, RewriteRule, ServiceLook};
use catalogue::actions::{RegistryData, WindowsSwitch};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Mutex, MutexGuard};

/// What the kinds need of Windows. Names of keys, values and services ignore case. Errors are sentences.
pub trait Windows: Debug + Send {
    /// The version, `10.0.17763.1`.
    fn version(&self) -> String;

    /// A value; nothing when it or its key is not there.
    ///
    /// # Errors
    /// When it cannot be read.
    fn value(&self, at: &RegistryPlace, name: &str) -> Result<Option<RegistryData>, String>;

    /// Set a value of a key that exists, or delete it.
    ///
    /// # Errors
    /// When it cannot be done.
    fn set_value(&self, at: &RegistryPlace, name: &str, data: Option<&RegistryData>) -> Result<(), String>;

    /// Whether a key is there.
    ///
    /// # Errors
    /// When it cannot be read.
    fn has_key(&self, at: &RegistryPlace) -> Result<bool, String>;

    /// Make a key below one that exists.
    ///
    /// # Errors
    /// When it cannot be done.
    fn make_key(&self, at: &RegistryPlace) -> Result<(), String>;

    /// Delete a key that holds nothing; one that holds something stays.
    ///
    /// # Errors
    /// When it cannot be done.
    fn remove_empty_key(&self, at: &RegistryPlace) -> Result<(), String>;

    /// A key with everything below it, and who may do what with it.
    ///
    /// # Errors
    /// When it cannot be read.
    fn tree(&self, at: &RegistryPlace) -> Result<Option<RegistryTree>, String>;

    /// Put a key with everything below it in place of what is there, or delete it.
    ///
    /// # Errors
    /// When it cannot be done.
    fn set_tree(&self, at: &RegistryPlace, tree: Option<&RegistryTree>) -> Result<(), String>;

    /// A service; nothing when there is none of this name.
    ///
    /// # Errors
    /// When it cannot be read.
    fn service(&self, name: &str) -> Result<Option<ServiceLook>, String>;

    /// Set how a service starts, then start or stop it.
    ///
    /// # Errors
    /// When it cannot be done.
    fn set_service(&self, name: &str, look: ServiceLook) -> Result<(), String>;

    /// Where a switch is and what it says: by interface, or once with an empty name; nothing where there is no such switch.
    ///
    /// # Errors
    /// When it cannot be read.
    fn switches(&self, setting: WindowsSwitch) -> Result<Vec<(String, String)>, String>;

    /// Turn a switch that is there.
    ///
    /// # Errors
    /// When it cannot be done.
    fn set_switch(&self, setting: WindowsSwitch, at: &str, value: &str) -> Result<(), String>;

    /// The firewall rule of ours with this name: the JSON of its parameters, as it was given.
    ///
    /// # Errors
    /// When it cannot be read.
    fn rule(&self, name: &str) -> Result<Option<String>, String>;

    /// Put a firewall rule of ours in place of the one with its name, or take it away.
    ///
    /// # Errors
    /// When it cannot be done.
    fn set_rule(&self, name: &str, rule: Option<&str>) -> Result<(), String>;

    /// Owner and access list of a file below `%windir%`, in lower case; nothing where there is no such file. A link is not followed.
    ///
    /// # Errors
    /// When they cannot be read.
    fn file_access(&self, path: &str) -> Result<Option<FileAccess>, String>;

    /// Set owner and access list of a file that is there, exactly as given, and leave everything else of it. A link is not followed.
    ///
    /// # Errors
    /// When it cannot be done.
    fn set_file_access(&self, path: &str, access: &FileAccess) -> Result<(), String>;

    /// The inbound rules of URL Rewrite that a site itself has in its `web.config`, in their order; nothing where there is no such
    /// site.
    ///
    /// # Errors
    /// When they cannot be read.
    fn rewrite_rules(&self, site: &str) -> Result<Option<Vec<RewriteRule>>, String>;

    /// Put a rule in place of the one with its name, behind the one it names (at the end where that is gone), or take it away.
    ///
    /// # Errors
    /// When it cannot be done.
    fn set_rewrite_rule(&self, site: &str, name: &str, rule: Option<&RewriteRule>) -> Result<(), String>;

    /// The modules that IIS loads (`globalModules`), in their order; nothing where there is no IIS.
    ///
    /// # Errors
    /// When they cannot be read.
    fn iis_modules(&self) -> Result<Option<Vec<IisModule>>, String>;

    /// Put a module into the list, behind the one it names (at the end where that is gone), or take it off.
    ///
    /// # Errors
    /// When it cannot be done.
    fn set_iis_module(&self, name: &str, module: Option<&IisModule>) -> Result<(), String>;
}

/// Everything a [`Memory`] holds: keys by place in lower case with their values in lower case, and services.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Keys, with their values.
    pub keys: BTreeMap<RegistryPlace, BTreeMap<String, RegistryData>>,
    /// Services.
    pub services: BTreeMap<String, ServiceLook>,
    /// Switches by name and interface.
    pub switches: BTreeMap<(WindowsSwitch, String), String>,
    /// Firewall rules of ours.
    pub rules: BTreeMap<String, String>,
    /// Owner and access list of files.
    pub access: BTreeMap<String, FileAccess>,
    /// Rules of URL Rewrite of each site.
    pub rewrite: BTreeMap<String, Vec<RewriteRule>>,
    /// The modules of IIS; none without IIS.
    pub modules: Option<Vec<IisModule>>,
}

/// A Windows in memory.
#[derive(Debug)]
pub struct Memory {
    version: String,
    contents: Mutex<Contents>,
}

impl Memory {
    /// A machine with the usual outermost keys and nothing below them.
    #[must_use]
    pub fn new(version: &str) -> Self {
        let memory = Self { version: version.to_owned(), contents: Mutex::default() };
        for view in [catalogue::actions::registry::View::Bits64, catalogue::actions::registry::View::Bits32] {
            for key in ["hklm\\software", "hklm\\system\\currentcontrolset", "hkcr"] {
                memory.lock().keys.insert(RegistryPlace { view, key: key.to_owned() }, BTreeMap::new());
            }
        }
        memory
    }

    /// A copy of everything.
    #[must_use]
    pub fn contents(&self) -> Contents {
        self.lock().clone()
    }

    /// A file comes, with this owner and access list.
    pub fn put_file(&self, path: &str, access: &FileAccess) {
        self.lock().access.insert(path.to_owned(), access.clone());
    }

    /// IIS is there, with these modules and sites and the rules of URL Rewrite of each site.
    pub fn put_iis(&self, modules: Vec<IisModule>, rewrite: BTreeMap<String, Vec<RewriteRule>>) {
        let mut contents = self.lock();
        contents.modules = Some(in_order(modules));
        contents.rewrite = rewrite.into_iter().map(|(site, rules)| (site, in_order(rules))).collect();
    }

    /// An interface goes away.
    pub fn unplug(&self, at: &str) {
        self.lock().switches.retain(|(_, of), _| of != at);
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn plain(at: &RegistryPlace) -> RegistryPlace {
    RegistryPlace { view: at.view, key: at.key.to_lowercase() }
}

fn below(key: &str, of: &str) -> bool {
    key.strip_prefix(of).is_some_and(|rest| rest.starts_with('\\'))
}

impl Windows for Memory {
    fn version(&self) -> String {
        self.version.clone()
    }

    fn value(&self, at: &RegistryPlace, name: &str) -> Result<Option<RegistryData>, String> {
        Ok(self.lock().keys.get(&plain(at)).and_then(|values| values.get(&name.to_lowercase())).cloned())
    }

    fn set_value(&self, at: &RegistryPlace, name: &str, data: Option<&RegistryData>) -> Result<(), String> {
        let mut contents = self.lock();
        let values = contents.keys.get_mut(&plain(at)).ok_or_else(|| format!("there is no key {}", at.key))?;
        match data {
            Some(data) => values.insert(name.to_lowercase(), data.clone()),
            None => values.remove(&name.to_lowercase()),
        };
        Ok(())
    }

    fn has_key(&self, at: &RegistryPlace) -> Result<bool, String> {
        Ok(self.lock().keys.contains_key(&plain(at)))
    }

    fn make_key(&self, at: &RegistryPlace) -> Result<(), String> {
        self.lock().keys.entry(plain(at)).or_default();
        Ok(())
    }

    fn remove_empty_key(&self, at: &RegistryPlace) -> Result<(), String> {
        let (mut contents, at) = (self.lock(), plain(at));
        let holds = contents.keys.get(&at).is_some_and(|values| !values.is_empty())
            || contents.keys.keys().any(|other| other.view == at.view && below(&other.key, &at.key));
        if !holds {
            contents.keys.remove(&at);
        }
        Ok(())
    }

    fn tree(&self, at: &RegistryPlace) -> Result<Option<RegistryTree>, String> {
        let (contents, at) = (self.lock(), plain(at));
        let Some(values) = contents.keys.get(&at) else { return Ok(None) };
        let mut tree = RegistryTree { values: values.clone(), ..RegistryTree::default() };
        for (place, values) in
            contents.keys.iter().filter(|(place, _)| place.view == at.view && below(&place.key, &at.key))
        {
            let mut node = &mut tree;
            for name in place.key.get(at.key.len() + 1..).unwrap_or_default().split('\\') {
                node = node.keys.entry(name.to_owned()).or_default();
            }
            node.values.clone_from(values);
        }
        Ok(Some(tree))
    }

    fn set_tree(&self, at: &RegistryPlace, tree: Option<&RegistryTree>) -> Result<(), String> {
        let (mut contents, at) = (self.lock(), plain(at));
        contents.keys.retain(|place, _| place.view != at.view || (place.key != at.key && !below(&place.key, &at.key)));
        let mut todo: Vec<(RegistryPlace, &RegistryTree)> = tree.map(|tree| (at, tree)).into_iter().collect();
        while let Some((place, tree)) = todo.pop() {
            for (name, below) in &tree.keys {
                todo.push((RegistryPlace { view: place.view, key: format!("{}\\{name}", place.key) }, below));
            }
            contents.keys.insert(place, tree.values.clone());
        }
        Ok(())
    }

    fn service(&self, name: &str) -> Result<Option<ServiceLook>, String> {
        Ok(self.lock().services.get(&name.to_lowercase()).copied())
    }

    fn set_service(&self, name: &str, look: ServiceLook) -> Result<(), String> {
        self.lock().services.insert(name.to_lowercase(), look);
        Ok(())
    }

    fn switches(&self, setting: WindowsSwitch) -> Result<Vec<(String, String)>, String> {
        let contents = self.lock();
        let found = contents.switches.iter().filter(|((of, _), _)| *of == setting);
        Ok(found.map(|((_, at), value)| (at.clone(), value.clone())).collect())
    }

    fn set_switch(&self, setting: WindowsSwitch, at: &str, value: &str) -> Result<(), String> {
        self.lock().switches.insert((setting, at.to_owned()), value.to_owned());
        Ok(())
    }

    fn rule(&self, name: &str) -> Result<Option<String>, String> {
        Ok(self.lock().rules.get(name).cloned())
    }

    fn set_rule(&self, name: &str, rule: Option<&str>) -> Result<(), String> {
        let mut contents = self.lock();
        match rule {
            Some(rule) => contents.rules.insert(name.to_owned(), rule.to_owned()),
            None => contents.rules.remove(name),
        };
        Ok(())
    }

    fn file_access(&self, path: &str) -> Result<Option<FileAccess>, String> {
        Ok(self.lock().access.get(path).cloned())
    }

    fn set_file_access(&self, path: &str, access: &FileAccess) -> Result<(), String> {
        let mut contents = self.lock();
        let at = contents.access.get_mut(path).ok_or_else(|| format!("there is no file {path}"))?;
        at.clone_from(access);
        Ok(())
    }

    fn rewrite_rules(&self, site: &str) -> Result<Option<Vec<RewriteRule>>, String> {
        Ok(self.lock().rewrite.get(site).cloned().map(in_order))
    }

    fn set_rewrite_rule(&self, site: &str, name: &str, rule: Option<&RewriteRule>) -> Result<(), String> {
        let mut contents = self.lock();
        let rules = contents.rewrite.get_mut(site).ok_or_else(|| format!("IIS has no site {site}"))?;
        *rules = listed(std::mem::take(rules), name, rule);
        Ok(())
    }

    fn iis_modules(&self) -> Result<Option<Vec<IisModule>>, String> {
        Ok(self.lock().modules.clone().map(in_order))
    }

    fn set_iis_module(&self, name: &str, module: Option<&IisModule>) -> Result<(), String> {
        let mut contents = self.lock();
        let modules = contents.modules.as_mut().ok_or("there is no IIS")?;
        *modules = listed(std::mem::take(modules), name, module);
        Ok(())
    }
}

/// Something with a name and a place in a list.
trait Listed {
    fn name(&self) -> &str;
    fn behind(&mut self) -> &mut String;
}

impl Listed for RewriteRule {
    fn name(&self) -> &str {
        &self.name
    }

    fn behind(&mut self) -> &mut String {
        &mut self.behind
    }
}

impl Listed for IisModule {
    fn name(&self) -> &str {
        &self.name
    }

    fn behind(&mut self) -> &mut String {
        &mut self.behind
    }
}

/// Say of each behind which it stands.
fn in_order<T: Listed>(mut list: Vec<T>) -> Vec<T> {
    let mut last = String::new();
    for one in &mut list {
        let name = one.name().to_owned();
        *one.behind() = std::mem::replace(&mut last, name);
    }
    list
}

/// A list with one of this name in its place, or without it.
fn listed<T: Listed + Clone>(mut list: Vec<T>, name: &str, one: Option<&T>) -> Vec<T> {
    list.retain(|other| !other.name().eq_ignore_ascii_case(name));
    if let Some(mut one) = one.cloned() {
        let behind = std::mem::take(one.behind());
        let at = list.iter().position(|other| other.name().eq_ignore_ascii_case(&behind));
        let at = if behind.is_empty() { 0 } else { at.map_or(list.len(), |at| at + 1) };
        list.insert(at, one);
    }
    in_order(list)
}

/// Several hands on one machine: a test keeps one while the agent has the other.
impl Windows for std::sync::Arc<Memory> {
    fn version(&self) -> String {
        (**self).version()
    }

    fn value(&self, at: &RegistryPlace, name: &str) -> Result<Option<RegistryData>, String> {
        (**self).value(at, name)
    }

    fn set_value(&self, at: &RegistryPlace, name: &str, data: Option<&RegistryData>) -> Result<(), String> {
        (**self).set_value(at, name, data)
    }

    fn has_key(&self, at: &RegistryPlace) -> Result<bool, String> {
        (**self).has_key(at)
    }

    fn make_key(&self, at: &RegistryPlace) -> Result<(), String> {
        (**self).make_key(at)
    }

    fn remove_empty_key(&self, at: &RegistryPlace) -> Result<(), String> {
        (**self).remove_empty_key(at)
    }

    fn tree(&self, at: &RegistryPlace) -> Result<Option<RegistryTree>, String> {
        (**self).tree(at)
    }

    fn set_tree(&self, at: &RegistryPlace, tree: Option<&RegistryTree>) -> Result<(), String> {
        (**self).set_tree(at, tree)
    }

    fn service(&self, name: &str) -> Result<Option<ServiceLook>, String> {
        (**self).service(name)
    }

    fn set_service(&self, name: &str, look: ServiceLook) -> Result<(), String> {
        (**self).set_service(name, look)
    }

    fn switches(&self, setting: WindowsSwitch) -> Result<Vec<(String, String)>, String> {
        (**self).switches(setting)
    }

    fn set_switch(&self, setting: WindowsSwitch, at: &str, value: &str) -> Result<(), String> {
        (**self).set_switch(setting, at, value)
    }

    fn rule(&self, name: &str) -> Result<Option<String>, String> {
        (**self).rule(name)
    }

    fn set_rule(&self, name: &str, rule: Option<&str>) -> Result<(), String> {
        (**self).set_rule(name, rule)
    }

    fn file_access(&self, path: &str) -> Result<Option<FileAccess>, String> {
        (**self).file_access(path)
    }

    fn set_file_access(&self, path: &str, access: &FileAccess) -> Result<(), String> {
        (**self).set_file_access(path, access)
    }

    fn rewrite_rules(&self, site: &str) -> Result<Option<Vec<RewriteRule>>, String> {
        (**self).rewrite_rules(site)
    }

    fn set_rewrite_rule(&self, site: &str, name: &str, rule: Option<&RewriteRule>) -> Result<(), String> {
        (**self).set_rewrite_rule(site, name, rule)
    }

    fn iis_modules(&self) -> Result<Option<Vec<IisModule>>, String> {
        (**self).iis_modules()
    }

    fn set_iis_module(&self, name: &str, module: Option<&IisModule>) -> Result<(), String> {
        (**self).set_iis_module(name, module)
    }
}
