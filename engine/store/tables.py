"""The projections of what the engine itself issued: scores, statements, the journal, closings and seals."""

from __future__ import annotations

ISSUED = """
-- Scores as issued; one that is computed again is a further version.
CREATE TABLE scores (
    scorecard text NOT NULL,
    period text NOT NULL,
    partner text NOT NULL,
    version int NOT NULL,
    grade text NOT NULL,
    score text NOT NULL,
    digest text NOT NULL,
    text text NOT NULL,
    own_position bigint NOT NULL, -- of its event in the log
    closing int, -- the number of the closing of its period that it belongs to
    PRIMARY KEY (scorecard, period, partner, version)
);
CREATE UNIQUE INDEX scores_own_position ON scores (own_position);

-- Statements as issued: version 1 as closed, each later one as restated. Nothing but `taken_by` and `closing` ever changes.
CREATE TABLE statements (
    contract text NOT NULL,
    period text NOT NULL,
    version int NOT NULL,
    first date NOT NULL,
    "end" date NOT NULL,
    rulebook text NOT NULL,
    position bigint NOT NULL, -- the end of the log then: what it knew
    events bigint NOT NULL,
    digest text NOT NULL,
    statement text NOT NULL,
    given text NOT NULL, -- JSON: all that the statement was computed from
    carried text NOT NULL, -- JSON: the balances that it leaves to the next period
    seals text NOT NULL, -- JSON: the digests of the events that it stands on
    adjustment text NOT NULL, -- JSON: of a restated one, what changed against the version before; else ''
    own_position bigint NOT NULL, -- of its event in the log
    taken_by text, -- of a restated one, the period whose statement has the adjustment; null while it waits
    closing int, -- the number of the closing of its period that it belongs to, or of that of `taken_by`
    PRIMARY KEY (contract, period, version)
);
CREATE INDEX statements_first ON statements (first, contract);
CREATE INDEX statements_rulebook ON statements (rulebook, "end");
CREATE UNIQUE INDEX statements_own_position ON statements (own_position);
CREATE INDEX statements_without_closing ON statements (period) WHERE closing IS NULL;
CREATE INDEX statements_waiting ON statements (contract) WHERE version > 1 AND taken_by IS NULL;

-- What resolved discrepancies add to a later statement: one row an event.
CREATE TABLE resolutions (
    position bigint PRIMARY KEY,
    contract text NOT NULL,
    period text NOT NULL,
    "end" date NOT NULL,
    adjustment text NOT NULL, -- JSON
    taken_by text -- the period whose statement has it; null while it waits
);
CREATE INDEX resolutions_contract ON resolutions (contract);
CREATE INDEX resolutions_waiting ON resolutions (contract) WHERE taken_by IS NULL;

-- The journal (engine.projections.journal): one row a posting, debits positive. The rows of a position and a line's entry sum to 0.
CREATE TABLE journal (
    position bigint NOT NULL, -- of the event that it follows from
    line int NOT NULL,
    entry int NOT NULL, -- tells apart the entries of one event
    day date NOT NULL, -- on which it takes effect
    contract text NOT NULL,
    period text NOT NULL,
    reference text NOT NULL,
    account text NOT NULL,
    party text NOT NULL,
    amount numeric(38, 12) NOT NULL,
    currency text NOT NULL,
    PRIMARY KEY (position, line)
);
CREATE INDEX journal_account ON journal (account, party, day);
CREATE INDEX journal_contract ON journal (contract, day);

-- Closings of a period, numbered from 1: each with the root over the statements that it issued.
CREATE TABLE closings (
    period text NOT NULL,
    number int NOT NULL,
    position bigint NOT NULL,
    statements int NOT NULL,
    head text NOT NULL,
    root text NOT NULL,
    PRIMARY KEY (period, number)
);

-- The chain over the log up to the position (engine.projections.seals): its head after the last whole block, and the leaves
-- of the block that is not whole yet. One row.
CREATE TABLE chain (
    position bigint NOT NULL,
    head bytea NOT NULL,
    leaves bytea NOT NULL
);
INSERT INTO chain VALUES (0, '', '');

-- The rolling digest over the events of one subject, up to the chain's position.
CREATE TABLE seals (
    kind text NOT NULL,
    name text NOT NULL,
    period date NOT NULL, -- the first day of the contract's period; 1970-01-01 for subjects that have none
    events bigint NOT NULL,
    digest bytea NOT NULL,
    PRIMARY KEY (kind, name, period)
);
"""
