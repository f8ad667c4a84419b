-- Remediation efforts, the rules that assign items, watch topics, and who is to be told by mail.

-- what assigned an item: empty for nothing, person (who may have given it to nobody), task, rule:4; and when
ALTER TABLE vulnerable_item ADD COLUMN assigned_by {text} NOT NULL DEFAULT '';
ALTER TABLE vulnerable_item ADD COLUMN assigned_at {time};
UPDATE vulnerable_item SET assigned_by = 'person' WHERE owner_id IS NOT NULL OR group_name <> '';
CREATE INDEX vulnerable_item_owner ON vulnerable_item (owner_id, id) WHERE owner_id IS NOT NULL;
CREATE INDEX vulnerable_item_assigned ON vulnerable_item (assigned_by, id) WHERE assigned_by <> '';

CREATE TABLE assignment_rule (
    id {id},
    name {text} NOT NULL,
    active {bool} NOT NULL,
    -- lower is asked first
    position {whole} NOT NULL,
    -- in the query language of items
    condition {text} NOT NULL,
    -- group, user, tag or previous
    kind {text} NOT NULL,
    -- the group; empty for other kinds
    group_name {text} NOT NULL,
    user_id {whole},
    -- tag: what the asset's tag begins with, the rest of it names the group
    tag_prefix {text} NOT NULL,
    -- counts the changes: the entity tag
    version {whole} NOT NULL
) {strict};

CREATE TABLE watch_topic (
    id {id},
    name {text} NOT NULL,
    description {text} NOT NULL,
    -- in the query language of items; empty for none yet
    condition {text} NOT NULL,
    owner_id {whole},
    group_name {text} NOT NULL,
    -- lower is shown first
    position {whole} NOT NULL,
    active {bool} NOT NULL,
    version {whole} NOT NULL,
    created_at {time} NOT NULL
) {strict};

INSERT INTO watch_topic (name, description, condition, group_name, position, active, version, created_at) VALUES
    ('Critical and high', 'Scores of 70 and above', 'is:open and score:>=70', '', 100, TRUE, 1, 0),
    ('Overdue critical', 'Scores of 90 and above that are late', 'is:overdue and score:>=90', '', 200, TRUE, 1, 0),
    ('Critical in no task', 'Scores of 90 and above that no remediation task holds', 'is:open and score:>=90 and not has:task', '',
     300, TRUE, 1, 0),
    ('Linux', 'Machines with Linux', 'is:open and platform:linux', '', 400, TRUE, 1, 0),
    ('Windows', 'Machines with Windows', 'is:open and platform:windows', '', 500, TRUE, 1, 0),
    ('Drifted', 'A mitigation was changed by somebody', 'is:open and is:drifted', '', 600, TRUE, 1, 0);

CREATE TABLE effort (
    id {id},
    number {whole} NOT NULL,
    title {text} NOT NULL,
    description {text} NOT NULL,
    topic_id {whole} REFERENCES watch_topic (id),
    -- what its items met when it was made; empty where they were named
    condition {text} NOT NULL,
    owner_id {whole},
    group_name {text} NOT NULL,
    -- filling, active or inactive
    state {text} NOT NULL,
    -- while it is filled: up to which key items were looked at, and the last one that is
    filled_to {whole} NOT NULL,
    fill_end {whole} NOT NULL,
    created_by {whole} NOT NULL,
    created_at {time} NOT NULL,
    closed_at {time},
    version {whole} NOT NULL
) {strict};
CREATE UNIQUE INDEX effort_number ON effort (number);
CREATE INDEX effort_state ON effort (state, id);

CREATE TABLE effort_item (
    effort_id {whole} NOT NULL REFERENCES effort (id),
    item_id {whole} NOT NULL REFERENCES vulnerable_item (id),
    PRIMARY KEY (effort_id, item_id)
) {keyed};
CREATE INDEX effort_item_item ON effort_item (item_id);

-- At most one effort that is not inactive holds an item: the key sees to it. A claim of an inactive effort is void.
CREATE TABLE effort_claim (
    item_id {whole} NOT NULL REFERENCES vulnerable_item (id),
    effort_id {whole} NOT NULL REFERENCES effort (id),
    PRIMARY KEY (item_id)
) {keyed};
CREATE INDEX effort_claim_effort ON effort_claim (effort_id);

CREATE TABLE effort_history (
    id {id},
    effort_id {whole} NOT NULL REFERENCES effort (id),
    at {time} NOT NULL,
    what {text} NOT NULL,
    before {text} NOT NULL,
    after {text} NOT NULL,
    cause {text} NOT NULL
) {strict};
CREATE INDEX effort_history_effort ON effort_history (effort_id, id);

-- Who is to be told of what since when: collected, and mailed as one letter.
CREATE TABLE notice_due (
    account_id {whole} NOT NULL REFERENCES account (id),
    -- assigned or overdue
    kind {text} NOT NULL,
    at {time} NOT NULL,
    PRIMARY KEY (account_id, kind)
) {keyed};
CREATE INDEX notice_due_at ON notice_due (at);

-- What an account does not want to be told, and how many letters of this kind it got on a day.
CREATE TABLE notice_account (
    account_id {whole} NOT NULL REFERENCES account (id),
    -- kinds that are off, each between spaces
    off {text} NOT NULL,
    day {whole} NOT NULL,
    letters {whole} NOT NULL,
    PRIMARY KEY (account_id)
) {keyed};
