-- What a rescan request was asked of: items, assets/7.
ALTER TABLE scan ADD COLUMN source_key {text} NOT NULL DEFAULT '';

-- What a request does not look at and why; what another request looks at already names that.
CREATE TABLE scan_excluded (
    id {id},
    scan_id {whole} NOT NULL REFERENCES scan (id),
    item_id {whole} NOT NULL REFERENCES vulnerable_item (id),
    -- where only one host of the item is left out
    source_host_id {whole} REFERENCES source_host (id),
    code {text} NOT NULL,
    reason {text} NOT NULL,
    -- ordinal of the number of the request that looks at it
    other_number {whole}
) {strict};
CREATE INDEX scan_excluded_scan ON scan_excluded (scan_id);

-- Everybody who asked for what a request looks at: who came later joined it.
CREATE TABLE scan_requester (
    scan_id {whole} NOT NULL REFERENCES scan (id),
    account_id {whole} NOT NULL,
    at {time} NOT NULL,
    -- this person is mailed when it ends
    mail {bool} NOT NULL,
    -- when this person called it off while others go on
    left_at {time},
    PRIMARY KEY (scan_id, account_id)
) {keyed};
INSERT INTO scan_requester (scan_id, account_id, at, mail) SELECT id, requested_by, created_at, FALSE FROM scan;

-- When rescans of an integration are launched, and how many.
CREATE TABLE rescan_policy (
    instance_id {whole} NOT NULL PRIMARY KEY REFERENCES integration_instance (id),
    -- domain::rescan::Policy
    policy {json} NOT NULL,
    -- since when what people resolve is rescanned by itself; null for never
    on_resolved_at {time},
    version {whole} NOT NULL
) {keyed};
-- window, rate, running, inactive: what a launch waits for; empty where it waits for nothing
ALTER TABLE scan_child ADD COLUMN waits {text} NOT NULL DEFAULT '';
-- the scanner's references of later doubles of the same launch, separated by commas
ALTER TABLE scan_child ADD COLUMN doubles {text} NOT NULL DEFAULT '';

-- What the scanner says of the hosts of a scan, and which addresses it has no result for.
ALTER TABLE scan_child ADD COLUMN hosts_alive {whole};
ALTER TABLE scan_child ADD COLUMN hosts_total {whole};
CREATE TABLE scan_unscanned (
    child_id {whole} NOT NULL REFERENCES scan_child (id),
    address {text} NOT NULL,
    reason {text} NOT NULL,
    PRIMARY KEY (child_id, address)
) {keyed};

-- Asking again for what came to nothing: how often, and launches whose targets went on to a later one.
ALTER TABLE scan ADD COLUMN retries {whole} NOT NULL DEFAULT 0;
ALTER TABLE scan_child ADD COLUMN retried {bool} NOT NULL DEFAULT FALSE;
-- it was cancelled at the scanner, and what it found by then is taken in
ALTER TABLE scan_child ADD COLUMN cut {bool} NOT NULL DEFAULT FALSE;

-- Which resolutions of items were looked at for a rescan by itself.
CREATE TABLE rescan_wish (
    item_id {whole} NOT NULL PRIMARY KEY REFERENCES vulnerable_item (id),
    resolved_at {time} NOT NULL
) {keyed};
