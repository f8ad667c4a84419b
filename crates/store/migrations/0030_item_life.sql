-- Why an item is in its state, what was granted to it on request, and the requests.

-- code:argument, see domain::item::why; empty for what was set before causes were kept
ALTER TABLE vulnerable_item ADD COLUMN state_cause {text} NOT NULL DEFAULT '';
-- a deferral or false positive that was granted: its substate (empty for none) and until when (null for ever); outlives a closing
ALTER TABLE vulnerable_item ADD COLUMN granted_what {text} NOT NULL DEFAULT '';
ALTER TABLE vulnerable_item ADD COLUMN granted_until_at {time};
CREATE INDEX vulnerable_item_granted_until ON vulnerable_item (granted_until_at);

CREATE TABLE exception_request (
    id {id},
    number {whole} NOT NULL,
    -- deferral or false_positive
    kind {text} NOT NULL,
    -- the substate that it gives
    what {text} NOT NULL,
    note {text} NOT NULL,
    until_at {time},
    -- requested, approved, rejected, withdrawn, lapsed, obsolete or revoked
    state {text} NOT NULL,
    requested_by {whole} NOT NULL,
    requested_at {time} NOT NULL,
    answer_by_at {time} NOT NULL,
    decided_by {whole},
    decided_at {time},
    answer {text} NOT NULL,
    -- counts the changes: the entity tag
    version {whole} NOT NULL
) {strict};
CREATE UNIQUE INDEX exception_request_number ON exception_request (number);
CREATE INDEX exception_request_state ON exception_request (state, answer_by_at);

CREATE TABLE exception_item (
    request_id {whole} NOT NULL REFERENCES exception_request (id),
    item_id {whole} NOT NULL REFERENCES vulnerable_item (id),
    -- the item's state before it was in review
    before_state {text} NOT NULL,
    -- empty until it is settled, then done, or overtaken where the item went another way before the answer
    outcome {text} NOT NULL,
    PRIMARY KEY (request_id, item_id)
) {keyed};
CREATE INDEX exception_item_item ON exception_item (item_id);
