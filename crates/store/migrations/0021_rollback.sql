-- A job that works on fewer than each of its assets with each action of its vulnerabilities there: a rollback of exactly what a
-- job put in place. A job without rows here works on all of them.
CREATE TABLE job_pair (
    job_id {whole} NOT NULL REFERENCES job (id),
    asset_id {whole} NOT NULL REFERENCES asset (id),
    entry_key {whole} NOT NULL REFERENCES catalogue_entry (id),
    PRIMARY KEY (job_id, asset_id, entry_key)
) {strict};
