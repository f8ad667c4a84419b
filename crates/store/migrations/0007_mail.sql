-- What is told by mail: one row per event, once (domain::mail).
CREATE TABLE mail_notice (
    id {id},
    -- runs/12/started, or test/ and an id
    key {text} NOT NULL,
    -- started, reported, test
    kind {text} NOT NULL,
    job_id {whole} REFERENCES job (id),
    -- domain::mail::Facts as it was when this was caused
    facts {json} NOT NULL,
    created_at {time} NOT NULL
) {strict};
CREATE UNIQUE INDEX mail_notice_key ON mail_notice (key);

-- The same to one recipient. The work itself waits in outbox, topic mail, under the key of this row.
CREATE TABLE mail (
    id {id},
    notice_id {whole} NOT NULL REFERENCES mail_notice (id),
    recipient {text} NOT NULL,
    -- the left side of its Message-ID, the same at every try
    uuid {uuid} NOT NULL,
    -- queued, sending, sent, failed, dead
    state {text} NOT NULL,
    attempts {whole} NOT NULL,
    next_try_at {time},
    last_error {text} NOT NULL,
    created_at {time} NOT NULL,
    updated_at {time} NOT NULL,
    sent_at {time}
) {strict};
CREATE UNIQUE INDEX mail_recipient ON mail (notice_id, recipient);
CREATE INDEX mail_state ON mail (state, id);
