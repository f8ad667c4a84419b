-- The catalogue in force, agents, mitigation jobs and what they did.

-- Root metadata, every version: an agent that was away follows the chain.
CREATE TABLE trust_root (
    version {whole} NOT NULL PRIMARY KEY,
    envelope {text} NOT NULL,
    installed_at {time} NOT NULL
) {strict};

CREATE TABLE catalogue_release (
    id {id},
    version {whole} NOT NULL,
    expires_at {whole} NOT NULL,
    -- the signed envelope, exact bytes
    index_envelope {text} NOT NULL,
    installed_at {whole} NOT NULL
) {strict};
CREATE UNIQUE INDEX catalogue_release_version ON catalogue_release (version);

CREATE TABLE catalogue_entry (
    id {id},
    entry {text} NOT NULL,
    revision {whole} NOT NULL,
    digest {text} NOT NULL,
    title {text} NOT NULL,
    platform {text} NOT NULL,
    -- mitigation or fix
    implication {text} NOT NULL,
    risk {text} NOT NULL,
    reversible {bool} NOT NULL,
    -- kind@version words an agent must list
    needs {text} NOT NULL,
    body {bytes} NOT NULL,
    -- in the newest release; older revisions stay for reverts
    current {bool} NOT NULL
) {strict};
CREATE UNIQUE INDEX catalogue_entry_digest ON catalogue_entry (digest);
CREATE INDEX catalogue_entry_entry ON catalogue_entry (entry);

CREATE TABLE catalogue_cve (
    entry_key {whole} NOT NULL REFERENCES catalogue_entry (id),
    -- empty for an entry that names a scanner id instead of a CVE
    cve {text} NOT NULL,
    qid {whole} NOT NULL,
    coverage {text} NOT NULL,
    points {whole} NOT NULL,
    PRIMARY KEY (entry_key, cve, qid)
) {strict};
CREATE INDEX catalogue_cve_cve ON catalogue_cve (cve);

CREATE TABLE enrolment_token (
    id {uuid} PRIMARY KEY,
    label {text} NOT NULL,
    secret_hash {bytes} NOT NULL,
    uses_left {whole} NOT NULL,
    expires_at {whole} NOT NULL,
    created_by {whole} NOT NULL,
    created_at {whole} NOT NULL
) {strict};

CREATE TABLE agent (
    id {id},
    agent_id {uuid} NOT NULL,
    instance_id {uuid} NOT NULL,
    token_id {uuid} NOT NULL,
    public_key {text} NOT NULL,
    asset_id {whole} REFERENCES asset (id),
    -- linked, own (an asset made for it), ambiguous
    link {text} NOT NULL,
    evidence {text} NOT NULL,
    hostname {text} NOT NULL,
    zone {text} NOT NULL,
    facts {text} NOT NULL,
    version {text} NOT NULL,
    mode {text} NOT NULL,
    request_seq {whole} NOT NULL,
    order_seq {whole} NOT NULL,
    enrolled_at {whole} NOT NULL,
    last_seen_at {whole} NOT NULL,
    revoked_at {whole}
) {strict};
CREATE UNIQUE INDEX agent_agent_id ON agent (agent_id);
CREATE UNIQUE INDEX agent_public_key ON agent (token_id, public_key);
CREATE INDEX agent_asset ON agent (asset_id);

CREATE TABLE job (
    id {id},
    number {whole} NOT NULL,
    -- mitigation or rollback
    kind {text} NOT NULL,
    platform {text} NOT NULL,
    -- elimination (assets may only be removed) or free
    origin {text} NOT NULL,
    title {text} NOT NULL,
    description {text} NOT NULL,
    -- DRAFT, DISABLED, ENABLED, COMPLETED, COMPLETED_WITH_FAILURES
    status {text} NOT NULL,
    schedule {text} NOT NULL,
    recipients {text} NOT NULL,
    mail_started {bool} NOT NULL,
    mail_percent {whole},
    owner_id {whole} NOT NULL,
    -- counts the edits: the entity tag
    version {whole} NOT NULL,
    cancelled {bool} NOT NULL,
    created_at {whole} NOT NULL,
    updated_at {whole} NOT NULL,
    enabled_at {whole},
    started_at {whole},
    ended_at {whole},
    -- gone from the lists; tasks and controls still name it
    deleted_at {whole}
) {strict};
CREATE UNIQUE INDEX job_number ON job (number);

-- Which asset is in the job for which vulnerability.
CREATE TABLE job_target (
    job_id {whole} NOT NULL REFERENCES job (id),
    asset_id {whole} NOT NULL REFERENCES asset (id),
    vulnerability_id {whole} NOT NULL REFERENCES vulnerability (id),
    PRIMARY KEY (job_id, asset_id, vulnerability_id)
) {strict};

-- What is done for a vulnerability.
CREATE TABLE job_action (
    job_id {whole} NOT NULL REFERENCES job (id),
    vulnerability_id {whole} NOT NULL REFERENCES vulnerability (id),
    entry_key {whole} NOT NULL REFERENCES catalogue_entry (id),
    PRIMARY KEY (job_id, vulnerability_id, entry_key)
) {strict};

CREATE TABLE job_coauthor (
    job_id {whole} NOT NULL REFERENCES job (id),
    user_id {whole} NOT NULL,
    PRIMARY KEY (job_id, user_id)
) {strict};

CREATE TABLE run (
    id {id},
    job_id {whole} NOT NULL REFERENCES job (id),
    ordinal {whole} NOT NULL,
    -- open or ended
    state {text} NOT NULL,
    started_at {whole} NOT NULL,
    ended_at {whole}
) {strict};
CREATE UNIQUE INDEX run_ordinal ON run (job_id, ordinal);

CREATE TABLE task (
    id {id},
    uuid {uuid} NOT NULL,
    run_id {whole} NOT NULL REFERENCES run (id),
    job_id {whole} NOT NULL REFERENCES job (id),
    asset_id {whole} NOT NULL REFERENCES asset (id),
    agent_key {whole} REFERENCES agent (id),
    entry_key {whole} NOT NULL REFERENCES catalogue_entry (id),
    -- apply or revert
    kind {text} NOT NULL,
    state {text} NOT NULL,
    epoch {whole} NOT NULL,
    attempts {whole} NOT NULL,
    cancel_requested {bool} NOT NULL,
    -- the instant the schedule resolved to, and the zone it was resolved in
    due_at {whole} NOT NULL,
    zone {text} NOT NULL,
    not_after {whole},
    -- the signed order of this epoch, exact bytes; kept until the next epoch
    order_envelope {text},
    -- hex digest of the event that resolved the last epoch
    resolved_by {text} NOT NULL,
    -- 0, 1, 33 or 101 once ended; detail 203 to 206
    code {whole},
    detail {whole},
    message {text} NOT NULL,
    report {text} NOT NULL,
    started_at {whole},
    ended_at {whole},
    updated_at {whole} NOT NULL
) {strict};
CREATE UNIQUE INDEX task_uuid ON task (uuid);
CREATE UNIQUE INDEX task_key ON task (run_id, asset_id, entry_key);
CREATE INDEX task_agent ON task (agent_key, state);
CREATE INDEX task_state ON task (state, due_at);
CREATE INDEX task_job ON task (job_id, id);

CREATE TABLE task_event (
    id {id},
    task_id {whole} NOT NULL REFERENCES task (id),
    epoch {whole} NOT NULL,
    n {whole} NOT NULL,
    -- the exact bytes as the agent journalled them
    body {text} NOT NULL,
    received_at {whole} NOT NULL
) {strict};
CREATE UNIQUE INDEX task_event_key ON task_event (task_id, epoch, n);

-- A mitigation in force, or that was, on an asset.
CREATE TABLE control (
    id {id},
    asset_id {whole} NOT NULL REFERENCES asset (id),
    entry {text} NOT NULL,
    entry_key {whole} NOT NULL REFERENCES catalogue_entry (id),
    state {text} NOT NULL,
    -- ours or external
    origin {text} NOT NULL,
    task_id {whole} REFERENCES task (id),
    since_at {whole} NOT NULL,
    checked_at {whole} NOT NULL
) {strict};
CREATE UNIQUE INDEX control_key ON control (asset_id, entry);
