-- Rescan requests: a parent, its launches at the scanner, and what was asked to be looked at.

CREATE TABLE scan (
    id {id},
    number {whole} NOT NULL,
    -- queued, scanning, complete, error, timed_out, cancelled
    state {text} NOT NULL,
    -- what is worth knowing beside the state; mostly empty
    message {text} NOT NULL,
    -- product of the scanner
    scanner {text} NOT NULL,
    -- vulnerable_item, asset
    source {text} NOT NULL,
    -- key of the option profile that was named; empty for the default
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
    -- key of the appliance, or External
    appliance {text} NOT NULL,
    network_id {text} NOT NULL,
    profile_key {text} NOT NULL,
    profile_title {text} NOT NULL,
    -- separated by commas
    addresses {text} NOT NULL,
    -- the scan's title: what a launch whose answer was lost is found by
    request_key {text} NOT NULL,
    -- planned, launching, running, finished, pulling, complete, error, timed_out, cancelled
    state {text} NOT NULL,
    reference {text} NOT NULL,
    message {text} NOT NULL,
    -- launches tried, looks taken at the running scan, failures in a row
    attempts {whole} NOT NULL,
    looks {whole} NOT NULL,
    failures {whole} NOT NULL,
    -- it ended after its tracking had
    adopted {bool} NOT NULL,
    launching_at {whole},
    launched_at {whole},
    -- the same by the scanner's clock, which its scan times have to be compared with
    scanner_launched_at {whole},
    finished_at {whole},
    ended_at {whole},
    tracking_until {whole} NOT NULL,
    -- number of the import run that pulled the results
    run_number {whole},
    -- when there is something to do for it; null when there is nothing any more
    next_at {whole},
    -- which worker has it, until when
    claim {uuid},
    claimed_until_at {whole}
) {strict};
CREATE UNIQUE INDEX scan_child_key ON scan_child (scan_id, ordinal);
CREATE UNIQUE INDEX scan_child_request ON scan_child (request_key);
CREATE INDEX scan_child_due ON scan_child (next_at);

CREATE TABLE scan_target (
    id {id},
    scan_id {whole} NOT NULL REFERENCES scan (id),
    child_id {whole} NOT NULL REFERENCES scan_child (id),
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
