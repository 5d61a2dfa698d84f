"""The engine's tables beside the log `settle.log`, in three parts.

`SOURCES` are kept for ever, as they came, in the PostgreSQL schema `settle`. `PROJECTIONS` are what the log comes to: they can
be made anew from it, also beside the live ones, so their names carry no schema; a connection's search path says which is meant.
`COPIES` are of projections and go where those go (engine.store.copies).
"""

from __future__ import annotations

from engine.store.tables import ISSUED

SCHEMA = "settle"
VERSION = 6

SOURCES = """
CREATE TABLE settle.version (version int NOT NULL);

-- When the positions from first to last were recorded: one row for what a transaction appends at once.
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
-- What has arrived that suspended messages wait for, and up to which position: until they have been tried again.
CREATE TABLE settle.arrivals (
    cause text PRIMARY KEY,
    position bigint NOT NULL
);
-- Suspended messages that are recorded as soon as one of the authorisations, with all within which it lies, has room for so much.
CREATE TABLE settle.volume_waits (
    id bigint NOT NULL,
    authorisation text NOT NULL,
    micros bigint NOT NULL,
    PRIMARY KEY (id, authorisation)
);
CREATE INDEX volume_waits_order ON settle.volume_waits (authorisation, id);
CREATE INDEX volume_waits_least ON settle.volume_waits (authorisation, micros);
CREATE INDEX suspense_dead_letters ON settle.suspense (id) WHERE state = 'rejected' AND NOT dead_lettered;

-- Up to which position what was issued has been sent to Kafka; `sending` is set while a transaction there may be under way. By `id`
-- the cluster tells this store's sender from others.
CREATE TABLE settle.outbox (
    name text PRIMARY KEY,
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    position bigint NOT NULL DEFAULT 0,
    sending bigint,
    begun_at timestamptz
);
-- The data keys of what is personal (engine.store.data_keys). Each is wrapped by the secret key, which the row of kind check tells
-- apart from any other. Without `wrapped` it was destroyed: nothing that was sealed with it can be read again. Vacuumed at once, so
-- that what was destroyed, or wrapped by a key of before, does not stay either.
CREATE TABLE settle.data_keys (
    partner text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('contact', 'bank_account', 'check')),
    id text NOT NULL,
    wrapped bytea,
    PRIMARY KEY (partner, kind, id)
) WITH (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0);

-- Which positions each seal of the archive covers, and how many late events nobody had restated when it was decided.
CREATE TABLE settle.archive_seals (
    number int PRIMARY KEY,
    first bigint NOT NULL,
    last bigint NOT NULL,
    buckets int NOT NULL CHECK (buckets > 0),
    late bigint NOT NULL DEFAULT 0
);
"""

TOLD = """
CREATE TABLE contracts (
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
    terminated boolean NOT NULL,
    late_events text NOT NULL,
    left_on date,
    -- All before the products, as those who read all contracts read it (engine.store.registry.signed): days count from 1970.
    line text NOT NULL GENERATED ALWAYS AS (
        contract || E'\\t' || partner || E'\\t' || cooperation_model || E'\\t' || rulebook || E'\\t' || currency || E'\\t'
        || (valid_from - date '1970-01-01')::text || E'\\t' || coalesce((valid_to - date '1970-01-01')::text, '') || E'\\t'
        || calendar || E'\\t' || time_zone || E'\\t' || terminated::text || E'\\t' || late_events || E'\\t'
        || coalesce((left_on - date '1970-01-01')::text, '') || E'\\t'
    ) STORED
);
CREATE INDEX contracts_partner ON contracts (partner);
CREATE INDEX contracts_rulebook ON contracts (rulebook);
CREATE INDEX contracts_suspending ON contracts (contract) WHERE late_events = 'suspend';

-- Relations (engine.aggregates.relation) as their events leave them, and when the latest of these happened; their ids can be read by
-- engine.events.base.joined.
CREATE TABLE relations (
    kind text NOT NULL,
    id text NOT NULL,
    partner text,
    contract text,
    version bigint NOT NULL,
    state bytea NOT NULL,
    time timestamptz NOT NULL,
    PRIMARY KEY (kind, id)
);
CREATE INDEX relations_partner ON relations (partner, kind) WHERE partner IS NOT NULL;
CREATE INDEX relations_contract ON relations (contract, kind) WHERE contract IS NOT NULL;

-- What events of a contract, or of contracts under a cooperation model, have to pass; and where that gate is open.
CREATE TABLE requirements (
    kind text NOT NULL,
    id text NOT NULL,
    scope text NOT NULL CHECK (scope IN ('contract', 'model')),
    subject text NOT NULL,
    gate text NOT NULL,
    key text NOT NULL,
    first date NOT NULL,
    "end" date
);
CREATE INDEX requirements_subject ON requirements (subject);
CREATE INDEX requirements_relation ON requirements (kind, id);

CREATE TABLE standings (
    kind text NOT NULL,
    id text NOT NULL,
    gate text NOT NULL,
    subject text NOT NULL,
    key text NOT NULL,
    product text,
    region text,
    first date NOT NULL,
    "end" date
);
CREATE INDEX standings_subject ON standings (gate, subject);
CREATE INDEX standings_relation ON standings (kind, id);

-- Names under which relations of a kind are found together (engine.aggregates.relation.Aggregate.groups), as SHA-256.
CREATE TABLE relation_groups (
    kind text NOT NULL,
    id text NOT NULL,
    name bytea NOT NULL
);
CREATE INDEX relation_groups_name ON relation_groups (kind, name);
CREATE INDEX relation_groups_relation ON relation_groups (kind, id);

-- How much is sold under authorisations that hold only up to a volume.
CREATE TABLE authorised_volumes (
    authorisation text PRIMARY KEY,
    used_micros numeric(38, 0) NOT NULL
);

CREATE TABLE rulebook_versions (
    rulebook text NOT NULL,
    version int NOT NULL,
    valid_from date NOT NULL,
    currency text NOT NULL,
    digest text NOT NULL,
    grain text NOT NULL, -- engine.facts.Grain.text
    text text NOT NULL,
    position bigint NOT NULL,
    author text,
    approver text,
    PRIMARY KEY (rulebook, version)
);

CREATE TABLE facts (
    contract text NOT NULL,
    period date NOT NULL,
    event text NOT NULL,
    field text NOT NULL,
    dimensions text NOT NULL,
    events bigint NOT NULL,
    value_micros numeric(38, 0) NOT NULL,
    at bigint NOT NULL, -- microseconds since 1970 of the event that a last value stems from, else 0
    key bytea NOT NULL, -- SHA-256 of field and dimensions, which can be longer than an index holds
    PRIMARY KEY (contract, period, event, key)
) WITH (fillfactor = 60); -- room beside each fact for its next version, so that an update leaves the index alone
CREATE INDEX facts_period ON facts (period);

-- Facts of events about partners, by day: one row a key, which the writers' lock sees to, because a key is longer than an
-- index holds. contract is '' where the event names none.
CREATE TABLE partner_facts (
    partner text NOT NULL,
    contract text NOT NULL,
    day date NOT NULL,
    event text NOT NULL,
    field text NOT NULL,
    dimensions text NOT NULL,
    events bigint NOT NULL,
    value_micros numeric(38, 0) NOT NULL
);
CREATE INDEX partner_facts_partner ON partner_facts (partner, day);
CREATE INDEX partner_facts_contract ON partner_facts (contract, day) WHERE contract <> '';

-- One unit of base is so much of quote, as the event at the position published it.
CREATE TABLE rates (
    publisher text NOT NULL,
    base text NOT NULL,
    quote text NOT NULL,
    day date NOT NULL,
    rate numeric(24, 12) NOT NULL CHECK (rate > 0),
    position bigint NOT NULL,
    PRIMARY KEY (publisher, base, quote, day)
);
CREATE INDEX rates_day ON rates (day);

-- Changes of points accounts by hand: one row an event. Burned points are positive.
CREATE TABLE points_entries (
    position bigint PRIMARY KEY,
    partner text NOT NULL,
    program text NOT NULL,
    day date NOT NULL, -- in UTC
    kind text NOT NULL CHECK (kind IN ('adjusted', 'burned')),
    points_micros bigint NOT NULL,
    reason text NOT NULL,
    reference text,
    author text,
    approver text,
    source text NOT NULL,
    id text NOT NULL
);
CREATE INDEX points_entries_partner ON points_entries (partner, program, day);

-- Grades given by persons: one row an event, of which the last in the log stands.
CREATE TABLE overrides (
    position bigint PRIMARY KEY,
    scorecard text NOT NULL,
    period text NOT NULL,
    partner text NOT NULL,
    grade text NOT NULL,
    score_micros bigint,
    reason text NOT NULL,
    author text NOT NULL,
    approver text NOT NULL,
    source text NOT NULL,
    id text NOT NULL
);
CREATE INDEX overrides_scorecard ON overrides (scorecard, period, partner);

-- Who asked that an issued score be computed again: one row an event.
CREATE TABLE reassessments (
    position bigint PRIMARY KEY,
    scorecard text NOT NULL,
    period text NOT NULL,
    partner text NOT NULL,
    reason text NOT NULL,
    author text NOT NULL,
    source text NOT NULL,
    id text NOT NULL
);
CREATE INDEX reassessments_scorecard ON reassessments (scorecard, period, partner);
"""

PROJECTIONS = TOLD + ISSUED

COPIES = """
-- All facts of a period as one Parquet text: as they were after the position, but for contracts that are behind it.
CREATE TABLE fact_copies (
    period date PRIMARY KEY,
    position bigint NOT NULL,
    facts bytea, -- null while it is being made
    digest bytea -- SHA-256 of `facts`
);
CREATE TABLE fact_copies_behind (
    period date NOT NULL REFERENCES fact_copies ON DELETE CASCADE,
    contract text NOT NULL,
    PRIMARY KEY (period, contract)
);
"""
