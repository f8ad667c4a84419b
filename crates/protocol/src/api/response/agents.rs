//! Agents, the tokens they enrol with, and the mitigations they keep in force.

use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

requests! {
    /// An enrolment token to be made.
    pub struct NewEnrolmentToken {
        /// What it is for.
        pub label: String,
        /// Agents that may enrol with it; 1 when absent.
        pub uses: Option<i64>,
        /// Hours it is good for; 24 when absent.
        pub hours: Option<i64>,
    }

    /// Which asset an agent sits on, decided by a person.
    pub struct AgentLink {
        /// The asset; none = unlinked.
        pub asset: Option<i64>,
        /// Why.
        pub reason: String,
    }

    /// When agents are retired by themselves.
    pub struct RetirementRequest {
        /// Days without a word, 7 to 400; 0 for never.
        pub days: i64,
    }
}

bodies! {
    /// `{"agents": […], "next": …}`.
    pub struct AgentsBody {
        /// A page of agents.
        pub agents: Vec<Agent>,
        /// Where the next page begins.
        pub next: Option<String>,
    }

    /// `{"agent": …}`.
    pub struct AgentBody {
        /// The agent.
        pub agent: Agent,
    }

    /// An agent.
    pub struct Agent {
        /// Id.
        pub id: Uuid,
        /// Asset it sits on.
        pub asset: Option<i64>,
        /// Its name.
        pub asset_name: Option<String>,
        /// `linked`, `own` or `ambiguous`.
        pub link: String,
        /// What proves it.
        pub evidence: String,
        /// Host name as it claims.
        pub hostname: String,
        /// Zone as it reports.
        pub zone: String,
        /// Operating system as it claims.
        pub os: String,
        /// Version.
        pub version: String,
        /// `normal`, `monitor_only`, `halted` or `journal_unwritable`.
        pub mode: String,
        /// Enrolled.
        #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
        pub enrolled_at: Timestamp,
        /// Last heard.
        #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
        pub last_seen_at: Timestamp,
        /// Revoked by a person, or retired by itself.
        #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
        pub revoked_at: Option<Timestamp>,
        /// Contact is lost since: it was not heard of for seven days.
        #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
        pub missing_at: Option<Timestamp>,
        /// Retired by itself, because it was not heard of for too long. It can be taken back.
        #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
        pub retired_at: Option<Timestamp>,
        /// Kinds of action it can do.
        pub capabilities: Vec<String>,
    }

    /// `{"retirement": …}`.
    pub struct RetirementBody {
        /// When agents are retired.
        pub retirement: Retirement,
    }

    /// When agents are retired by themselves.
    pub struct Retirement {
        /// Days without a word while a server listened; 0 for never.
        pub days: i64,
        /// Where nobody has said otherwise.
        pub default_days: i64,
        /// Why none is retired now although some would be; empty where none would be, or all are.
        pub held: String,
    }

    /// `{"tokens": […]}`.
    pub struct EnrolmentTokensBody {
        /// The tokens, without their secrets.
        pub tokens: Vec<EnrolmentToken>,
    }

    /// An enrolment token.
    pub struct EnrolmentToken {
        /// Id.
        pub id: Uuid,
        /// What it is for.
        pub label: String,
        /// Enrolments left.
        pub uses_left: i64,
        /// Good until.
        #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
        pub expires_at: Timestamp,
        /// Made.
        #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
        pub created_at: Timestamp,
    }

    /// A token just made; its text is shown only here.
    pub struct EnrolmentTokenMade {
        /// The token.
        pub token: EnrolmentToken,
        /// What to paste on the host: `quell1.…`.
        pub text: String,
        /// The whole command.
        pub command: String,
    }

    /// `{"controls": […]}`.
    pub struct ControlsBody {
        /// Mitigations in force on the asset, or that were.
        pub controls: Vec<Control>,
    }

    /// A mitigation on an asset.
    pub struct Control {
        /// Catalogue entry.
        pub entry: String,
        /// Its title.
        pub title: String,
        /// `mitigation` or `fix`.
        pub implication: String,
        /// `effective`, `configured`, `drifted`, `exposed`, …
        pub state: String,
        /// `ours` or `external`.
        pub origin: String,
        /// The job that reported it last.
        pub job: Option<String>,
        /// Can be rolled back by us.
        pub reversible: bool,
        /// In this state since.
        #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
        pub since_at: Timestamp,
        /// Last looked at.
        #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
        pub checked_at: Timestamp,
    }
}
