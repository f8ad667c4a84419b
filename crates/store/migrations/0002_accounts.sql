-- People, their groups, sessions and tokens. Secrets are stored as digests only.

CREATE TABLE account (
    id {id},
    -- folded to lower case; the resource name everywhere
    name {text} NOT NULL,
    full_name {text} NOT NULL,
    email {text} NOT NULL,
    -- a PHC string of argon2id
    password_hash {text} NOT NULL,
    -- given by somebody else: has to be replaced before anything else is done
    password_temporary {bool} NOT NULL,
    -- role words in order, separated by a space, with one before the first and after the last
    roles {text} NOT NULL,
    -- JSON list of tags; NULL: every asset
    scope {json},
    active {bool} NOT NULL,
    -- counts the edits: the entity tag
    version {whole} NOT NULL,
    created_at {time} NOT NULL,
    changed_at {time} NOT NULL,
    signed_in_at {time}
) {strict};
CREATE UNIQUE INDEX account_name ON account (name);

-- Groups of people that items and tasks are assigned to, by name.
CREATE TABLE account_group (
    id {id},
    name {text} NOT NULL,
    created_at {time} NOT NULL
) {strict};
CREATE UNIQUE INDEX account_group_name ON account_group (name);

CREATE TABLE account_group_member (
    group_id {whole} NOT NULL REFERENCES account_group (id),
    account_id {whole} NOT NULL REFERENCES account (id),
    PRIMARY KEY (group_id, account_id)
) {keyed};
CREATE INDEX account_group_member_account ON account_group_member (account_id);

CREATE TABLE session (
    digest {bytes} NOT NULL PRIMARY KEY,
    account_id {whole} NOT NULL REFERENCES account (id),
    created_at {time} NOT NULL,
    -- moved at most once a minute
    used_at {time} NOT NULL,
    address {text} NOT NULL,
    browser {text} NOT NULL
) {keyed};
CREATE INDEX session_account ON session (account_id);
CREATE INDEX session_used ON session (used_at);

CREATE TABLE token (
    id {id},
    account_id {whole} NOT NULL REFERENCES account (id),
    name {text} NOT NULL,
    digest {bytes} NOT NULL,
    -- its first characters, so that people can tell their tokens apart
    hint {text} NOT NULL,
    -- scope words, written as roles are
    scopes {text} NOT NULL,
    created_at {time} NOT NULL,
    expires_at {time} NOT NULL,
    -- moved at most once an hour
    used_at {time},
    revoked_at {time}
) {strict};
CREATE UNIQUE INDEX token_digest ON token (digest);
CREATE INDEX token_account ON token (account_id, id);

-- Failed sign-ins by account name and by address, so that a restart does not reset the wait.
CREATE TABLE sign_in_failure (
    subject {text} NOT NULL PRIMARY KEY,
    failures {whole} NOT NULL,
    last_at {time} NOT NULL
) {keyed};
CREATE INDEX sign_in_failure_last ON sign_in_failure (last_at);
