//! `iis.rewrite_rule` and `iis.global_module`: a rule of URL Rewrite that ends requests, and a module that IIS does not load,
//! through [`crate::windows::Windows`].
//!
//! Both lists have an order that matters. A rule of ours comes first, because one before it could let a request through; what was
//! taken out goes back to its place.

use super::{Finding, KindError, Presence, Workspace, windows};
use crate::host::Host;
use crate::record::{IisModule, RewriteRule, Step};
use crate::restore::As;
use crate::windows::Windows;
use catalogue::actions::{IisGlobalModule, IisRewriteRule};

/// The module of IIS that asks the rules: without it they are words in a file.
const REWRITE: &str = "RewriteModule";
/// What a rule may do for a request to be over.
const ENDS: [&str; 2] = ["AbortRequest", "CustomResponse"];
/// What a rule may do so that what lies behind never sees the request; one that was sent elsewhere comes again and is asked anew.
const KEEPS_AWAY: [&str; 3] = ["AbortRequest", "CustomResponse", "Redirect"];

fn modules(host: &Host) -> Result<Option<Vec<IisModule>>, KindError> {
    windows(host).and_then(Windows::iis_modules).map_err(KindError::Cannot)
}

fn rules(site: &str, host: &Host) -> Result<Option<Vec<RewriteRule>>, KindError> {
    windows(host).and_then(|windows| windows.rewrite_rules(site)).map_err(KindError::Cannot)
}

/// Whether URL Rewrite is there.
fn asks_rules(modules: &[IisModule]) -> bool {
    modules.iter().any(|module| module.name.eq_ignore_ascii_case(REWRITE))
}

fn not_here(why: impl Into<String>) -> Finding {
    Finding::because(Presence::NotHere, "(absent)", why)
}

/// The rule as we write it.
fn ours(action: &IisRewriteRule) -> RewriteRule {
    RewriteRule {
        name: action.rule(),
        enabled: true,
        stops: true,
        path: ".*".to_owned(),
        conditions: vec![(IisRewriteRule::INPUT.to_owned(), action.pattern())],
        action: "AbortRequest".to_owned(),
        more: false,
        behind: String::new(),
    }
}

/// Whether a rule ends the requests that are meant, whosever it is and whatever it is called.
fn ends(rule: &RewriteRule, action: &IisRewriteRule) -> bool {
    let wanted = ours(action);
    let same = (rule.enabled, rule.stops, rule.more) == (true, true, false);
    same && rule.path == wanted.path && rule.conditions == wanted.conditions && ENDS.contains(&rule.action.as_str())
}

/// Whether a request that a rule fits can get past every rule behind it, and be answered.
fn lets_past(rule: &RewriteRule) -> bool {
    rule.enabled && (rule.more || (rule.stops && !KEEPS_AWAY.contains(&rule.action.as_str())))
}

/// See [`super::check`].
///
/// # Errors
/// When rules or modules cannot be read.
pub fn check_rule(action: &IisRewriteRule, host: &Host, workspace: &Workspace<'_>) -> Result<Finding, KindError> {
    let site = action.site.as_str();
    if host.windows.is_none() {
        return Ok(not_here("this is no Windows"));
    }
    let Some(modules) = modules(host)? else { return Ok(not_here("there is no IIS here")) };
    let Some(rules) = rules(site, host)? else { return Ok(not_here(format!("IIS has no site {site}"))) };
    if !asks_rules(&modules) {
        return Ok(Finding::because(Presence::Absent, "(absent)", "URL Rewrite is not installed"));
    }
    let name = action.rule();
    let planned = workspace.acts(
        |step| matches!(step, Step::RewriteRule { site: at, name: of, after: Some(_), .. } if at == site && *of == name),
    );
    if planned {
        return Ok(Finding::new(Presence::Present, format!("ended by {name}")));
    }
    for rule in &rules {
        if ends(rule, action) {
            return Ok(Finding::new(Presence::Present, format!("ended by {}", rule.name)));
        }
        if lets_past(rule) {
            let note = format!("the rule {} comes first and may let requests past all behind it", rule.name);
            return Ok(Finding::because(Presence::Absent, "not ended", note));
        }
    }
    Ok(Finding::new(Presence::Absent, "not ended"))
}

/// See [`super::plan`].
///
/// # Errors
/// When the rules cannot be read, URL Rewrite is not installed, or somebody else has a rule of our name.
pub fn plan_rule(action: &IisRewriteRule, host: &Host, workspace: &mut Workspace<'_>) -> Result<(), KindError> {
    let (site, name) = (action.site.to_string(), action.rule());
    let cannot = |why: String| KindError::Cannot(format!("{site}: {why}"));
    if !asks_rules(&modules(host)?.unwrap_or_default()) {
        return Err(cannot("URL Rewrite is not installed; install it, then apply this again".to_owned()));
    }
    let rules = rules(&site, host)?.ok_or_else(|| cannot("IIS has no such site".to_owned()))?;
    let before = rules.into_iter().find(|rule| rule.name.eq_ignore_ascii_case(&name));
    if before.as_ref().is_some_and(|rule| rule.more) {
        return Err(cannot(format!(
            "a rule {name} is there that says more than could be put back; look at it by hand"
        )));
    }
    workspace.act(Step::RewriteRule { site, name, before, after: Some(ours(action)) });
    Ok(())
}

/// See [`super::check`].
///
/// # Errors
/// When the modules cannot be read.
pub fn check_module(action: &IisGlobalModule, host: &Host, workspace: &Workspace<'_>) -> Result<Finding, KindError> {
    if host.windows.is_none() {
        return Ok(not_here("this is no Windows"));
    }
    let Some(modules) = modules(host)? else { return Ok(not_here("there is no IIS here")) };
    let name = action.name.as_str();
    let planned = workspace.acts(|step| matches!(step, Step::IisModule { name: of, after: None, .. } if of == name));
    Ok(match modules.iter().find(|module| module.name.eq_ignore_ascii_case(name)) {
        Some(module) if !planned => Finding::new(Presence::Absent, format!("loaded from {}", module.image)),
        _ => Finding::new(Presence::Present, "(absent)"),
    })
}

/// See [`super::plan`].
///
/// # Errors
/// When the modules cannot be read.
pub fn plan_module(action: &IisGlobalModule, host: &Host, workspace: &mut Workspace<'_>) -> Result<(), KindError> {
    let name = action.name.as_str();
    let before = modules(host)?.unwrap_or_default().into_iter().find(|module| module.name.eq_ignore_ascii_case(name));
    workspace.act(Step::IisModule { name: name.to_owned(), before, after: None });
    Ok(())
}

/// How a rule or a module stands to a step of ours, wherever it stands in its list; of a site or an IIS that is gone nothing is left
/// to put back.
///
/// # Errors
/// A sentence when it cannot be read.
pub fn compare(step: &Step, host: &Host) -> Result<As, String> {
    let windows = windows(host)?;
    match step {
        Step::RewriteRule { site, name, before, after } => {
            let Some(rules) = windows.rewrite_rules(site)? else { return Ok(As::Before) };
            let now = rules.into_iter().find(|rule| rule.name.eq_ignore_ascii_case(name));
            Ok(one_of(now.as_ref(), before.as_ref(), after.as_ref(), RewriteRule::says))
        }
        Step::IisModule { name, before, after } => {
            let Some(modules) = windows.iis_modules()? else { return Ok(As::Before) };
            let now = modules.into_iter().find(|module| module.name.eq_ignore_ascii_case(name));
            Ok(one_of(now.as_ref(), before.as_ref(), after.as_ref(), IisModule::is_that))
        }
        _ => Ok(As::Before),
    }
}

fn one_of<T>(now: Option<&T>, before: Option<&T>, after: Option<&T>, same: impl Fn(&T, &T) -> bool) -> As {
    let same = |one: Option<&T>, other: Option<&T>| match (one, other) {
        (Some(one), Some(other)) => same(one, other),
        (one, other) => one.is_none() && other.is_none(),
    };
    match now {
        _ if same(now, before) => As::Before,
        _ if same(now, after) => As::After,
        None => As::Neither("gone".to_owned()),
        Some(_) => As::Neither("another one".to_owned()),
    }
}

/// Do a step of IIS, if what is there is what it was planned with.
///
/// # Errors
/// A sentence; when somebody changed it meanwhile, nothing is done.
pub fn perform(step: &Step, host: &Host) -> Result<(), String> {
    if compare(step, host)? != As::Before {
        return Err(format!("{} changed while we worked on it", step.place()));
    }
    let windows = windows(host)?;
    match step {
        Step::RewriteRule { site, name, after, .. } => windows.set_rewrite_rule(site, name, after.as_ref()),
        Step::IisModule { name, after, .. } => windows.set_iis_module(name, after.as_ref()),
        _ => Ok(()),
    }
}
