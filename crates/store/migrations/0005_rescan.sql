-- Rescan requests: a parent, its launches at the scanner, and what was asked to be looked at.

CREATE TABLE scan (
    id {id},
    number {whole} NOT NULL,
    -- queued, scanning, complete, error, timed_out, cancelled
    state {text} NOT NULL,
    message {text} NOT NULL,
    scanner {text} NOT NULL,
    -- vulnerable_item, asset
    source {text} NOT NULL,
    profile_choice {text} NOT NULL,
    requested_by {whole} NOT NULL,
    created_at {whole} NOT NULL,
    ended_at {whole}
) {strict};
CREATE UNIQUE INDEX scan_number ON scan (number);

CREATE TABLE scan_child (
    id {id},
    scan_id {whole} NOT NULL REFERENCES scan (id),
    ordinal {whole} NOT NULL,
    instance_id {whole} NOT NULL REFERENCES integration_instance (id),
    appliance {text} NOT NULL,
    network_id {text} NOT NULL,
    profile_key {text} NOT NULL,
    profile_title {text} NOT NULL,
    addresses {text} NOT NULL,
    -- in the scan's title: what a launch whose answer was lost is found by
    request_key {text} NOT NULL,
    -- planned, launching, running, finished, pulling, complete, error, timed_out, cancelled
    state {text} NOT NULL,
    reference {text} NOT NULL,
    message {text} NOT NULL,
    attempts {whole} NOT NULL,
    launching_at {whole},
    launched_at {whole},
    finished_at {whole},
    next_at {whole} NOT NULL,
    tracking_until {whole} NOT NULL,
    run_id {whole}
) {strict};
CREATE UNIQUE INDEX scan_child_key ON scan_child (scan_id, ordinal);
CREATE INDEX scan_child_due ON scan_child (state, next_at);

CREATE TABLE scan_target (
    id {id},
    scan_id {whole} NOT NULL REFERENCES scan (id),
    child_id {whole} REFERENCES scan_child (id),
    item_id {whole} NOT NULL REFERENCES vulnerable_item (id),
    source_host_id {whole} NOT NULL REFERENCES source_host (id),
    address {text} NOT NULL,
    -- fixed, still_present, still_present_mitigated, not_reached, not_tested; empty while open
    verdict {text} NOT NULL,
    reason {text} NOT NULL,
    judged_at {whole}
) {strict};
CREATE UNIQUE INDEX scan_target_key ON scan_target (scan_id, item_id, source_host_id);
CREATE INDEX scan_target_item ON scan_target (item_id);
CREATE INDEX scan_target_child ON scan_target (child_id);
