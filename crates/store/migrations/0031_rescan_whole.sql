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
    -- when this person called it off while others go on
    left_at {time},
    PRIMARY KEY (scan_id, account_id)
) {keyed};
INSERT INTO scan_requester (scan_id, account_id, at) SELECT id, requested_by, created_at FROM scan;
