"""The engine's tables beside the log. All lie in the PostgreSQL schema `settle`; the log itself is `settle.log`."""

from __future__ import annotations

SCHEMA = "settle"
VERSION = 1

TABLES = """
CREATE TABLE settle.version (version int NOT NULL);

-- When the positions from first to last were recorded: one row a transaction.
CREATE TABLE settle.batches (
    first_position bigint PRIMARY KEY,
    last_position bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    CHECK (last_position >= first_position)
);

-- Every identity ever taken in, with a hash of its content: what makes a repeat a duplicate, for ever.
CREATE TABLE settle.identities (
    identity uuid PRIMARY KEY,
    content uuid NOT NULL
);

-- The account of each channel. next_offset - start_offset = the sum of the counts, always.
CREATE TABLE settle.intake (
    channel text NOT NULL,
    partition int NOT NULL,
    start_offset bigint NOT NULL,
    next_offset bigint NOT NULL,
    recorded bigint NOT NULL DEFAULT 0,
    duplicate bigint NOT NULL DEFAULT 0,
    suspended bigint NOT NULL DEFAULT 0,
    rejected bigint NOT NULL DEFAULT 0,
    skipped bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (channel, partition),
    CONSTRAINT intake_balances
        CHECK (next_offset - start_offset = recorded + duplicate + suspended + rejected + skipped)
);

CREATE TABLE settle.suspense (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('suspended', 'rejected', 'recycled', 'written_off')),
    code text NOT NULL,
    sentence text NOT NULL,
    waits_for text,
    channel text NOT NULL,
    partition int NOT NULL,
    "offset" bigint NOT NULL,
    headers jsonb,
    raw bytea NOT NULL,
    raw_bytes bigint NOT NULL,
    identity uuid,
    content uuid,
    received_at timestamptz NOT NULL,
    decided_at timestamptz,
    decided_by text,
    reason text,
    dead_lettered boolean NOT NULL DEFAULT false
);
CREATE INDEX suspense_waits_for ON settle.suspense (waits_for) WHERE state = 'suspended';
CREATE INDEX suspense_identity ON settle.suspense (identity);
CREATE INDEX suspense_state ON settle.suspense (state, id);
CREATE INDEX suspense_dead_letters ON settle.suspense (id) WHERE state = 'rejected' AND NOT dead_lettered;

CREATE TABLE settle.partners (
    partner text PRIMARY KEY,
    state bytea NOT NULL
);

CREATE TABLE settle.contracts (
    contract text PRIMARY KEY,
    partner text NOT NULL,
    cooperation_model text NOT NULL,
    rulebook text NOT NULL,
    currency text NOT NULL,
    valid_from date NOT NULL,
    valid_to date,
    calendar text NOT NULL,
    time_zone text NOT NULL,
    products text[],
    terminated boolean NOT NULL
);
CREATE INDEX contracts_partner ON settle.contracts (partner);
CREATE INDEX contracts_rulebook ON settle.contracts (rulebook);

CREATE TABLE settle.rulebook_versions (
    rulebook text NOT NULL,
    version int NOT NULL,
    valid_from date NOT NULL,
    currency text NOT NULL,
    digest text NOT NULL,
    grain text[] NOT NULL,
    text text NOT NULL,
    PRIMARY KEY (rulebook, version),
    UNIQUE (rulebook, valid_from)
);

CREATE TABLE settle.facts (
    contract text NOT NULL,
    period date NOT NULL,
    event text NOT NULL,
    field text NOT NULL,
    dimensions text NOT NULL,
    events bigint NOT NULL,
    value_micros numeric(38, 0) NOT NULL,
    PRIMARY KEY (contract, period, event, field, dimensions)
) WITH (fillfactor = 60); -- room beside each fact for its next version, so that an update leaves the index alone
CREATE INDEX facts_period ON settle.facts (period);

CREATE TABLE settle.statements (
    contract text NOT NULL,
    period text NOT NULL,
    first date NOT NULL,
    "end" date NOT NULL,
    rulebook text NOT NULL,
    position bigint NOT NULL,
    events bigint NOT NULL,
    digest text NOT NULL,
    statement text NOT NULL,
    facts text NOT NULL,
    PRIMARY KEY (contract, period)
);
CREATE INDEX statements_first ON settle.statements (first, contract);
CREATE INDEX statements_rulebook ON settle.statements (rulebook, "end");
"""
