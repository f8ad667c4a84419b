-- Networks an account has signed in from: a stranger's failures elsewhere do not keep its owner out.
CREATE TABLE sign_in_known (
    account {text} NOT NULL,
    network {text} NOT NULL,
    used_at {time} NOT NULL,
    PRIMARY KEY (account, network)
) {strict};
CREATE INDEX sign_in_known_used ON sign_in_known (used_at);
