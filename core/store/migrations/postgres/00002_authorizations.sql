-- +goose Up
CREATE TABLE authorizations (
    id            TEXT    NOT NULL PRIMARY KEY,
    tenant        TEXT    NOT NULL,
    integration   TEXT    NOT NULL,
    name          TEXT    NOT NULL,
    grant_id      TEXT    NOT NULL,           -- one of the integration's grants
    status        TEXT    NOT NULL,           -- pending, authorized, reauthorize
    reason        TEXT    NOT NULL,
    since_ms      BIGINT NOT NULL,           -- of the status
    account       TEXT    NOT NULL,           -- who granted it, as the provider says
    base          TEXT    NOT NULL,           -- base address of its API
    origins       TEXT    NOT NULL,           -- schemes and hosts that its secrets may go to, with spaces between
    scopes        TEXT    NOT NULL,           -- granted, with spaces between
    fields        TEXT    NOT NULL,           -- JSON object: values that are no secrets
    secrets       BYTEA,                       -- sealed JSON object
    tokens        BYTEA,                       -- sealed JSON
    token_ends_ms BIGINT,                    -- of the access token
    renew_ms      BIGINT,                    -- when it is renewed ahead of that
    ends_ms       BIGINT,                    -- of the grant, unless granted again
    warned_ms     BIGINT,                    -- when its coming end was reported
    version       BIGINT NOT NULL,           -- grows with each change
    lease_owner   TEXT    NOT NULL DEFAULT '',  -- the replica that renews it
    lease_ms      BIGINT NOT NULL DEFAULT 0,
    created_ms    BIGINT NOT NULL,
    created_by    TEXT    NOT NULL,
    updated_ms    BIGINT NOT NULL,
    updated_by    TEXT    NOT NULL
);
CREATE UNIQUE INDEX authorizations_name ON authorizations (tenant, integration, lower(name));

CREATE TABLE default_authorizations (
    tenant           TEXT NOT NULL,
    integration      TEXT NOT NULL,
    node             TEXT NOT NULL,           -- '' = every node without a default of its own
    authorization_id TEXT NOT NULL,
    PRIMARY KEY (tenant, integration, node)
);

-- A sign-in at a provider that is under way.
CREATE TABLE sign_ins (
    state_hash       BYTEA    NOT NULL PRIMARY KEY,  -- SHA-256
    authorization_id TEXT    NOT NULL,
    edited_ms        BIGINT NOT NULL,          -- updated_ms of the authorization when it began
    session          BYTEA    NOT NULL,          -- SHA-256 of the admin's session token
    verifier         BYTEA    NOT NULL,          -- of PKCE, sealed
    created_ms       BIGINT NOT NULL
);

CREATE TABLE accounts (
    id         TEXT    NOT NULL PRIMARY KEY,
    tenant     TEXT    NOT NULL,
    upn        TEXT    NOT NULL UNIQUE,       -- lower case
    name       TEXT    NOT NULL,
    role       TEXT    NOT NULL,              -- admin, integrator, supervisor, agent, viewer
    password   TEXT    NOT NULL,              -- argon2id in PHC form; '' = single sign-on
    issuer     TEXT    NOT NULL,              -- of the identity that signed in first; '' = none yet
    subject    TEXT    NOT NULL,
    created_ms BIGINT NOT NULL
);
CREATE INDEX accounts_tenant ON accounts (tenant, upn);

CREATE TABLE sessions (
    token      TEXT    NOT NULL PRIMARY KEY,  -- hashed
    account_id TEXT    NOT NULL,              -- '' before sign-in
    data       BYTEA    NOT NULL,              -- sealed
    ends_ms    BIGINT NOT NULL
);
CREATE INDEX sessions_ends ON sessions (ends_ms);
CREATE INDEX sessions_account ON sessions (account_id);

CREATE TABLE setup_tokens (
    hash       BYTEA    NOT NULL PRIMARY KEY,  -- SHA-256
    tenant     TEXT    NOT NULL,
    created_ms BIGINT NOT NULL
);

ALTER TABLE api_keys ADD COLUMN used_ms BIGINT;  -- right to the hour
