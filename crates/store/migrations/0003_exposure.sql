-- Scanners, what they report, and the items people work on.
-- Instants are UTC microseconds; civil times appear nowhere here.

CREATE TABLE scanner (
    id {id},
    product {text} NOT NULL,
    name {text} NOT NULL,
    active {bool} NOT NULL,
    activated_at {whole}
) {strict};
CREATE UNIQUE INDEX scanner_product ON scanner (product);
-- known from the start, inactive until an administrator says otherwise (S2.02)
INSERT INTO scanner (product, name, active) VALUES ('qualys', 'Qualys', false);

CREATE TABLE integration_instance (
    id {id},
    name {text} NOT NULL,
    product {text} NOT NULL,
    api_url {text} NOT NULL,
    gateway_url {text} NOT NULL,
    -- basic, session, token, or files for one that is filled by hand
    auth {text} NOT NULL,
    username {text} NOT NULL,
    -- sealed with the key of the data directory; never leaves the server
    secret {bytes} NOT NULL,
    versions {text} NOT NULL,
    default_profile {text},
    default_appliance {text},
    tracking_hours {whole} NOT NULL,
    -- minutes between two scheduled imports; null for none
    interval_minutes {whole},
    next_import_at {whole},
    -- what the last finished run covered up to; only a finished run moves them
    knowledge_base_until {whole},
    host_detection_until {whole},
    -- set by the first import run that starts after the scanner was activated; kept for ever after
    source_stamped_at {whole},
    -- counts the edits: the entity tag
    version {whole} NOT NULL,
    created_at {whole} NOT NULL,
    updated_at {whole} NOT NULL
) {strict};
CREATE UNIQUE INDEX integration_instance_name ON integration_instance (name);

CREATE TABLE option_profile (
    id {id},
    instance_id {whole} NOT NULL REFERENCES integration_instance (id),
    key {text} NOT NULL,
    title {text} NOT NULL,
    is_default {bool} NOT NULL,
    complete {bool} NOT NULL,
    seen_at {whole} NOT NULL
) {strict};
CREATE UNIQUE INDEX option_profile_key ON option_profile (instance_id, key);

CREATE TABLE appliance (
    id {id},
    instance_id {whole} NOT NULL REFERENCES integration_instance (id),
    key {text} NOT NULL,
    name {text} NOT NULL,
    status {text} NOT NULL,
    -- ranges served, from asset groups with this default appliance: JSON list of [low, high] addresses
    addresses {text} NOT NULL,
    network_id {text} NOT NULL,
    profile {text},
    precedence {whole} NOT NULL,
    seen_at {whole} NOT NULL
) {strict};
CREATE UNIQUE INDEX appliance_key ON appliance (instance_id, key);

CREATE TABLE asset (
    id {id},
    name {text} NOT NULL,
    platform {text} NOT NULL,
    os {text} NOT NULL,
    ip {text} NOT NULL,
    fqdn {text} NOT NULL,
    netbios {text} NOT NULL,
    network_id {text} NOT NULL,
    criticality {whole} NOT NULL,
    zone {text} NOT NULL,
    scanner_uuid {text},
    machine_id {text},
    macs {text} NOT NULL,
    created_at {whole} NOT NULL,
    last_seen_at {whole} NOT NULL
) {strict};
CREATE INDEX asset_scanner_uuid ON asset (scanner_uuid);
CREATE INDEX asset_machine_id ON asset (machine_id);
CREATE INDEX asset_name ON asset (name);

CREATE INDEX asset_last_seen ON asset (last_seen_at, id);

CREATE TABLE asset_tag (
    asset_id {whole} NOT NULL REFERENCES asset (id),
    tag {text} NOT NULL,
    -- the integration instance that reports it; 0 for a tag people gave
    origin {whole} NOT NULL,
    PRIMARY KEY (asset_id, tag, origin)
) {keyed};
CREATE INDEX asset_tag_tag ON asset_tag (tag);

CREATE TABLE source_host (
    id {id},
    instance_id {whole} NOT NULL REFERENCES integration_instance (id),
    -- the scanner's own id of the host; for files without one, its address and network
    host_key {text} NOT NULL,
    -- whether the scanner gave the key itself
    keyed {bool} NOT NULL,
    asset_id {whole} NOT NULL REFERENCES asset (id),
    agent_uuid {text},
    asset_key {text},
    ip {text} NOT NULL,
    fqdn {text} NOT NULL,
    netbios {text} NOT NULL,
    os {text} NOT NULL,
    network_id {text} NOT NULL,
    tracking {text} NOT NULL,
    matched_by {text} NOT NULL,
    last_scan_at {whole},
    last_processed_at {whole},
    -- what an unchanged host is recognised by
    digest {bytes} NOT NULL,
    run_id {whole} NOT NULL
) {strict};
CREATE UNIQUE INDEX source_host_key ON source_host (instance_id, host_key);
CREATE INDEX source_host_asset ON source_host (asset_id);
CREATE INDEX source_host_agent_uuid ON source_host (agent_uuid);
CREATE INDEX source_host_fqdn ON source_host (fqdn);
CREATE INDEX source_host_netbios ON source_host (netbios);
CREATE INDEX source_host_ip ON source_host (ip);

CREATE TABLE vulnerability (
    id {id},
    product {text} NOT NULL,
    key {text} NOT NULL,
    qid {whole} NOT NULL,
    title {text} NOT NULL,
    kind {text} NOT NULL,
    severity {whole} NOT NULL,
    category {text} NOT NULL,
    cvss2 {real},
    cvss3 {real},
    cvss3_vector {text} NOT NULL,
    patchable {bool} NOT NULL,
    threat {text} NOT NULL,
    impact {text} NOT NULL,
    solution {text} NOT NULL,
    published_at {whole},
    modified_at {whole},
    disabled {bool} NOT NULL,
    -- known only from a detection so far; the knowledge base fills it in
    placeholder {bool} NOT NULL,
    -- changes when anything above does; what an unchanged row is recognised by
    digest {bytes} NOT NULL,
    run_id {whole} NOT NULL
) {strict};
CREATE UNIQUE INDEX vulnerability_key ON vulnerability (product, key);

CREATE TABLE vulnerability_cve (
    vulnerability_id {whole} NOT NULL REFERENCES vulnerability (id),
    cve {text} NOT NULL,
    qvs {whole},
    PRIMARY KEY (vulnerability_id, cve)
) {keyed};
CREATE INDEX vulnerability_cve_cve ON vulnerability_cve (cve);

CREATE TABLE vulnerable_item (
    id {id},
    number {whole} NOT NULL,
    vulnerability_id {whole} NOT NULL REFERENCES vulnerability (id),
    asset_id {whole} NOT NULL REFERENCES asset (id),
    instance_id {whole} NOT NULL REFERENCES integration_instance (id),
    state {text} NOT NULL,
    substate {text} NOT NULL,
    mitigation {text} NOT NULL,
    inherent {whole} NOT NULL,
    residual {whole} NOT NULL,
    score_source {text} NOT NULL,
    owner_id {whole},
    group_name {text} NOT NULL,
    reopened {whole} NOT NULL,
    opened_at {whole} NOT NULL,
    resolved_at {whole},
    closed_at {whole},
    last_found_at {whole},
    updated_at {whole} NOT NULL,
    run_id {whole} NOT NULL
) {strict};
CREATE UNIQUE INDEX vulnerable_item_number ON vulnerable_item (number);
CREATE UNIQUE INDEX vulnerable_item_key ON vulnerable_item (vulnerability_id, asset_id, instance_id);
CREATE INDEX vulnerable_item_asset ON vulnerable_item (asset_id);
CREATE INDEX vulnerable_item_residual ON vulnerable_item (residual, id);

CREATE TABLE item_history (
    id {id},
    item_id {whole} NOT NULL REFERENCES vulnerable_item (id),
    at {whole} NOT NULL,
    -- state, mitigation, assignment or verdict
    what {text} NOT NULL,
    before {text} NOT NULL,
    after {text} NOT NULL,
    cause {text} NOT NULL
) {strict};
CREATE INDEX item_history_item ON item_history (item_id, id);

CREATE TABLE detection (
    id {id},
    instance_id {whole} NOT NULL REFERENCES integration_instance (id),
    source_host_id {whole} NOT NULL REFERENCES source_host (id),
    vulnerability_id {whole} NOT NULL REFERENCES vulnerability (id),
    -- null for what is information only
    item_id {whole} REFERENCES vulnerable_item (id),
    protocol {text} NOT NULL,
    port {whole} NOT NULL,
    fqdn {text} NOT NULL,
    service_instance {text} NOT NULL,
    unique_id {text} NOT NULL,
    kind {text} NOT NULL,
    severity {whole} NOT NULL,
    -- new, active, fixed, reopened; other words of a scanner survive as they are
    status {text} NOT NULL,
    -- the scanner's own score, null when it gave none
    qds {whole},
    inherent {whole} NOT NULL,
    score_source {text} NOT NULL,
    results {text} NOT NULL,
    ignored {bool} NOT NULL,
    disabled {bool} NOT NULL,
    times_found {whole} NOT NULL,
    first_found_at {whole},
    last_found_at {whole},
    last_fixed_at {whole},
    last_test_at {whole},
    last_processed_at {whole},
    -- of everything the scanner said, what an unchanged row is recognised by
    digest {bytes} NOT NULL,
    run_id {whole} NOT NULL
) {strict};
CREATE UNIQUE INDEX detection_key ON detection
    (source_host_id, vulnerability_id, protocol, port, fqdn, service_instance);
CREATE INDEX detection_item ON detection (item_id);
CREATE INDEX detection_vulnerability ON detection (vulnerability_id);

CREATE TABLE detection_history (
    id {id},
    detection_id {whole} NOT NULL REFERENCES detection (id),
    at {whole} NOT NULL,
    before {text} NOT NULL,
    after {text} NOT NULL,
    run_id {whole} NOT NULL
) {strict};
CREATE INDEX detection_history_detection ON detection_history (detection_id, id);

CREATE TABLE score_history (
    id {id},
    item_id {whole} NOT NULL REFERENCES vulnerable_item (id),
    at {whole} NOT NULL,
    inherent {whole} NOT NULL,
    before {whole} NOT NULL,
    after {whole} NOT NULL,
    -- what caused it, for people: "MJ0000001 applied linux-tcp-sack-off"
    cause {text} NOT NULL
) {strict};
CREATE INDEX score_history_item ON score_history (item_id, id);

CREATE TABLE import_run (
    id {id},
    number {whole} NOT NULL,
    instance_id {whole} NOT NULL REFERENCES integration_instance (id),
    -- knowledge_base, host_detection, setup, file, targeted
    kind {text} NOT NULL,
    -- schedule, people, scan
    cause {text} NOT NULL,
    -- who asked: users/ada, engine/import
    actor {text} NOT NULL,
    -- name of the file, or what a targeted pull was for
    source {text} NOT NULL,
    -- running, complete, failed
    state {text} NOT NULL,
    detail {text} NOT NULL,
    -- host keys a failed run got to: where the next one may go on
    cursor_key {text} NOT NULL,
    counters {json} NOT NULL,
    until_at {whole},
    started_at {whole} NOT NULL,
    ended_at {whole}
) {strict};
CREATE UNIQUE INDEX import_run_number ON import_run (number);
CREATE INDEX import_run_instance ON import_run (instance_id, id);

CREATE TABLE import_rejection (
    id {id},
    run_id {whole} NOT NULL REFERENCES import_run (id),
    what {text} NOT NULL,
    reason {text} NOT NULL
) {strict};
CREATE INDEX import_rejection_run ON import_rejection (run_id, id);
