//! Which end point a path means.

/// An end point, named as in the journal and in fault plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    HostDetection,
    HostList,
    KnowledgeBase,
    CveScores,
    Scan,
    OptionProfile,
    Appliance,
    AssetGroup,
    AssetIp,
    Network,
    SearchList,
    DynamicSearchList,
    ActivityLog,
    Session,
    About,
    PortalVersion,
    HostAsset,
    WebApp,
    WebFinding,
    Schedule,
    MitigationJobs,
    MitigationJob,
    Mitigations,
    PatchJobs,
    AssetCount,
    Auth,
    Control,
    Unknown,
}

impl Endpoint {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::HostDetection => "host-detection",
            Self::HostList => "host-list",
            Self::KnowledgeBase => "knowledge-base",
            Self::CveScores => "cve-scores",
            Self::Scan => "scan",
            Self::OptionProfile => "option-profile",
            Self::Appliance => "appliance",
            Self::AssetGroup => "asset-group",
            Self::AssetIp => "asset-ip",
            Self::Network => "network",
            Self::SearchList => "search-list",
            Self::DynamicSearchList => "dynamic-search-list",
            Self::ActivityLog => "activity-log",
            Self::Session => "session",
            Self::About => "about",
            Self::PortalVersion => "portal-version",
            Self::HostAsset => "host-asset",
            Self::WebApp => "web-app",
            Self::WebFinding => "web-finding",
            Self::Schedule => "schedule",
            Self::MitigationJobs => "mitigation-jobs",
            Self::MitigationJob => "mitigation-job",
            Self::Mitigations => "mitigations",
            Self::PatchJobs => "patch-jobs",
            Self::AssetCount => "asset-count",
            Self::Auth => "auth",
            Self::Control => "control",
            Self::Unknown => "unknown",
        }
    }

    /// The versions that exist (spec section 1.2).
    fn versions(self) -> &'static [u8] {
        match self {
            Self::HostDetection | Self::HostList | Self::Schedule => &[2, 3, 4, 5],
            Self::KnowledgeBase => &[2, 3, 4],
            Self::CveScores => &[3],
            Self::Scan => &[2, 3],
            Self::OptionProfile => &[2, 4, 5, 7],
            _ => &[2],
        }
    }
}

/// A path understood: end point and version (0 where it has none).
pub(crate) fn find(path: &str) -> (Endpoint, u8) {
    if path == "/sim" || path.starts_with("/sim/") {
        return (Endpoint::Control, 0);
    }
    let trimmed = path.strip_suffix("index.php").unwrap_or(path);
    let trimmed = trimmed.strip_suffix('/').unwrap_or(trimmed);
    let plain = match trimmed {
        "/msp/about.php" => Endpoint::About,
        "/auth" => Endpoint::Auth,
        "/qps/rest/portal/version" => Endpoint::PortalVersion,
        "/qps/rest/2.0/search/am/hostasset" | "/qps/rest/2.0/count/am/hostasset" => Endpoint::HostAsset,
        "/qps/rest/3.0/search/was/webapp" | "/qps/rest/3.0/count/was/webapp" => Endpoint::WebApp,
        "/qps/rest/3.0/search/was/finding" | "/qps/rest/3.0/count/was/finding" => Endpoint::WebFinding,
        "/mtg/v1/deploymentjobs" => Endpoint::MitigationJobs,
        "/mtg/v1/mitigations" | "/etm/api/rest/v1/mitigations" => Endpoint::Mitigations,
        "/pm/v1/deploymentjobs" => Endpoint::PatchJobs,
        "/rest/2.0/count/am/asset" => Endpoint::AssetCount,
        other if is_job(other) => Endpoint::MitigationJob,
        _ => Endpoint::Unknown,
    };
    if plain != Endpoint::Unknown {
        return (plain, 0);
    }
    let Some((version, rest)) = trimmed.strip_prefix("/api/").and_then(|rest| rest.split_once(".0/fo/")) else {
        return (Endpoint::Unknown, 0);
    };
    let endpoint = match rest {
        "asset/host/vm/detection" => Endpoint::HostDetection,
        "asset/host" => Endpoint::HostList,
        "asset/group" => Endpoint::AssetGroup,
        "asset/ip" => Endpoint::AssetIp,
        "knowledge_base/vuln" => Endpoint::KnowledgeBase,
        "knowledge_base/qvs" => Endpoint::CveScores,
        "scan" => Endpoint::Scan,
        "subscription/option_profile/vm" => Endpoint::OptionProfile,
        "appliance" => Endpoint::Appliance,
        "network" => Endpoint::Network,
        "qid/search_list/static" => Endpoint::SearchList,
        "qid/search_list/dynamic" => Endpoint::DynamicSearchList,
        "schedule/scan" => Endpoint::Schedule,
        "activity_log" => Endpoint::ActivityLog,
        "session" => Endpoint::Session,
        _ => Endpoint::Unknown,
    };
    match version.parse::<u8>() {
        Ok(version) if endpoint.versions().contains(&version) => (endpoint, version),
        _ => (Endpoint::Unknown, 0),
    }
}

/// `/mtg/v1/deploymentjob/` and one id.
fn is_job(path: &str) -> bool {
    path.strip_prefix("/mtg/v1/deploymentjob/").is_some_and(|id| !id.is_empty() && !id.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_understood_with_and_without_index_php() {
        let cases = [
            ("/api/5.0/fo/asset/host/vm/detection/", Endpoint::HostDetection, 5),
            ("/api/2.0/fo/asset/host/vm/detection/index.php", Endpoint::HostDetection, 2),
            ("/api/6.0/fo/asset/host/vm/detection/", Endpoint::Unknown, 0),
            ("/api/3.0/fo/asset/host/", Endpoint::HostList, 3),
            ("/api/3.0/fo/scan/", Endpoint::Scan, 3),
            ("/api/5.0/fo/scan/", Endpoint::Unknown, 0),
            ("/msp/about.php", Endpoint::About, 0),
            ("/sim/journal", Endpoint::Control, 0),
            ("/mtg/v1/deploymentjob/1-2", Endpoint::MitigationJob, 0),
            ("/mtg/v1/deploymentjob/", Endpoint::Unknown, 0),
            ("/api/5.0/fo/schedule/scan/", Endpoint::Schedule, 5),
            ("/elsewhere", Endpoint::Unknown, 0),
        ];
        for (path, endpoint, version) in cases {
            assert_eq!(find(path), (endpoint, version), "{path}");
        }
    }
}
