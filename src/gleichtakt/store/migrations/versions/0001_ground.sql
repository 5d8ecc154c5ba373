CREATE TABLE instance (
    id SERIAL NOT NULL CONSTRAINT instance_single_check CHECK (id = 1),
    epoch UUID NOT NULL,
    mode TEXT DEFAULT 'live' NOT NULL,
    reason TEXT DEFAULT '' NOT NULL,
    database_id TEXT DEFAULT '' NOT NULL,
    host TEXT DEFAULT '' NOT NULL,
    beat BIGINT DEFAULT 0 NOT NULL,
    heartbeat_at TIMESTAMP WITH TIME ZONE,
    pruned_xid BIGINT DEFAULT 0 NOT NULL,
    pruned_id BIGINT DEFAULT 0 NOT NULL,
    zone_release TEXT DEFAULT '' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT instance_pkey PRIMARY KEY (id)
);

CREATE TABLE organization (
    id UUID NOT NULL,
    name TEXT DEFAULT '' NOT NULL,
    external_id TEXT,
    time_zone TEXT DEFAULT 'Europe/Berlin' NOT NULL,
    language TEXT DEFAULT 'de' NOT NULL,
    version BIGINT DEFAULT 1 NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT organization_pkey PRIMARY KEY (id),
    CONSTRAINT organization_external_id_key UNIQUE (external_id)
);

CREATE TABLE series (
    resource_id UUID NOT NULL,
    id UUID NOT NULL,
    organization_id UUID NOT NULL,
    uid TEXT DEFAULT '' NOT NULL,
    external_id TEXT,
    origin TEXT DEFAULT 'app' NOT NULL,
    origin_link_id UUID,
    version BIGINT DEFAULT 1 NOT NULL,
    document TEXT DEFAULT '' NOT NULL,
    starts_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ends_at TIMESTAMP WITH TIME ZONE,
    is_recurring BOOLEAN DEFAULT false NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    deleted_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT series_pkey PRIMARY KEY (resource_id, id)
)
 PARTITION BY HASH (resource_id);

CREATE INDEX series_resource_id_uid_ix ON series (resource_id, uid);

CREATE UNIQUE INDEX series_resource_id_external_id_ix ON series (resource_id, external_id) WHERE external_id IS NOT NULL AND deleted_at IS NULL;

CREATE INDEX series_resource_id_starts_at_ix ON series (resource_id, starts_at, id);

CREATE TABLE occurrence (
    resource_id UUID NOT NULL,
    series_id UUID NOT NULL,
    slot TEXT DEFAULT '' NOT NULL,
    starts_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
    show_as TEXT DEFAULT 'busy' NOT NULL,
    status TEXT DEFAULT 'confirmed' NOT NULL,
    is_all_day BOOLEAN DEFAULT false NOT NULL,
    is_private BOOLEAN DEFAULT false NOT NULL
)
 PARTITION BY HASH (resource_id);

CREATE INDEX occurrence_resource_id_starts_at_ix ON occurrence (resource_id, starts_at);

CREATE INDEX occurrence_resource_id_series_id_ix ON occurrence (resource_id, series_id);

CREATE TABLE observed (
    resource_id UUID NOT NULL,
    link_id UUID NOT NULL,
    href TEXT DEFAULT '' NOT NULL,
    etag TEXT DEFAULT '' NOT NULL,
    uid TEXT DEFAULT '' NOT NULL,
    starts_at TIMESTAMP WITH TIME ZONE,
    ends_at TIMESTAMP WITH TIME ZONE,
    document TEXT,
    reason TEXT DEFAULT '' NOT NULL,
    reason_code TEXT DEFAULT '' NOT NULL,
    reason_params JSONB DEFAULT '{}' NOT NULL,
    marker TEXT DEFAULT '' NOT NULL,
    key TEXT DEFAULT '' NOT NULL,
    title_digest TEXT DEFAULT '' NOT NULL,
    is_organizer BOOLEAN DEFAULT true NOT NULL,
    response TEXT DEFAULT 'none' NOT NULL,
    kind TEXT DEFAULT 'default' NOT NULL,
    stale BOOLEAN DEFAULT true NOT NULL,
    gone BOOLEAN DEFAULT false NOT NULL,
    listing TEXT DEFAULT '' NOT NULL,
    attempt INTEGER DEFAULT 0 NOT NULL,
    retry_at TIMESTAMP WITH TIME ZONE,
    seen_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    modified_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT observed_pkey PRIMARY KEY (resource_id, link_id, href)
)
 PARTITION BY HASH (resource_id);

CREATE INDEX observed_written_ix ON observed (resource_id, link_id) WHERE listing = 'written';

CREATE INDEX observed_uid_ix ON observed (resource_id, link_id, uid);

CREATE INDEX observed_stale_ix ON observed (resource_id, link_id) WHERE stale;

CREATE INDEX observed_unreadable_ix ON observed (resource_id, link_id) WHERE reason = 'unreadable';

CREATE TABLE pairing (
    resource_id UUID NOT NULL,
    link_id UUID NOT NULL,
    series_id UUID NOT NULL,
    href TEXT,
    remote_uid TEXT DEFAULT '' NOT NULL,
    etag TEXT DEFAULT '' NOT NULL,
    series_version BIGINT DEFAULT 0 NOT NULL,
    base_ours JSONB,
    base_theirs JSONB,
    made_by_us BOOLEAN DEFAULT false NOT NULL,
    stale BOOLEAN DEFAULT true NOT NULL,
    intent JSONB,
    state TEXT DEFAULT 'open' NOT NULL,
    hold_id UUID,
    verdict TEXT DEFAULT '' NOT NULL,
    attempt INTEGER DEFAULT 0 NOT NULL,
    retry_at TIMESTAMP WITH TIME ZONE,
    problem_code TEXT DEFAULT '' NOT NULL,
    writes JSONB DEFAULT '[]' NOT NULL,
    CONSTRAINT pairing_pkey PRIMARY KEY (resource_id, link_id, series_id)
)
 PARTITION BY HASH (resource_id);

CREATE INDEX pairing_series_ix ON pairing (resource_id, series_id);

CREATE UNIQUE INDEX pairing_href_ix ON pairing (resource_id, link_id, href) WHERE href IS NOT NULL;

CREATE INDEX pairing_intent_ix ON pairing (resource_id, link_id) WHERE intent IS NOT NULL;

CREATE INDEX pairing_stale_ix ON pairing (resource_id, link_id) WHERE stale;

CREATE SEQUENCE journal_id_seq AS BIGINT;

CREATE TABLE journal (
    resource_id UUID NOT NULL,
    id BIGINT DEFAULT nextval('journal_id_seq') NOT NULL,
    organization_id UUID NOT NULL,
    link_id UUID,
    run_id UUID,
    series_id UUID,
    href TEXT,
    side TEXT DEFAULT '' NOT NULL,
    verb TEXT DEFAULT '' NOT NULL,
    actor TEXT DEFAULT '' NOT NULL,
    fields JSONB DEFAULT '[]' NOT NULL,
    before TEXT,
    after TEXT,
    loser TEXT,
    at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT journal_pkey PRIMARY KEY (resource_id, id)
)
 PARTITION BY HASH (resource_id);

CREATE INDEX journal_run_id_ix ON journal (run_id);

CREATE INDEX journal_series_ix ON journal (resource_id, series_id);

CREATE TABLE change (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    organization_id UUID NOT NULL,
    type TEXT DEFAULT '' NOT NULL,
    resource_id UUID,
    object_id UUID,
    xid BIGINT DEFAULT (pg_current_xact_id()::text::bigint) NOT NULL,
    occurred_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT change_pkey PRIMARY KEY (id)
);

CREATE INDEX change_order_ix ON change (xid, id);

CREATE INDEX change_feed_ix ON change (organization_id, xid, id);

CREATE TABLE outbox (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    organization_id UUID,
    kind TEXT DEFAULT '' NOT NULL,
    key TEXT,
    args JSONB DEFAULT '{}' NOT NULL,
    run_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    attempt INTEGER DEFAULT 0 NOT NULL,
    owner TEXT,
    lease_until TIMESTAMP WITH TIME ZONE,
    error_code TEXT DEFAULT '' NOT NULL,
    CONSTRAINT outbox_pkey PRIMARY KEY (id)
);

CREATE UNIQUE INDEX outbox_key_ix ON outbox (key) WHERE key IS NOT NULL AND owner IS NULL;

CREATE INDEX outbox_run_at_ix ON outbox (run_at) WHERE owner IS NULL;

CREATE TABLE chore (
    name TEXT DEFAULT '' NOT NULL,
    due TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    done_at TIMESTAMP WITH TIME ZONE,
    owner TEXT,
    lease_until TIMESTAMP WITH TIME ZONE,
    CONSTRAINT chore_pkey PRIMARY KEY (name)
);

CREATE TABLE audit (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    organization_id UUID,
    actor TEXT DEFAULT '' NOT NULL,
    action TEXT DEFAULT '' NOT NULL,
    object TEXT DEFAULT '' NOT NULL,
    before JSONB,
    after JSONB,
    at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    hash TEXT DEFAULT '' NOT NULL,
    CONSTRAINT audit_pkey PRIMARY KEY (id)
);

CREATE INDEX audit_organization_id_at_ix ON audit (organization_id, at);

CREATE TABLE idempotency (
    organization_id UUID NOT NULL,
    key TEXT DEFAULT '' NOT NULL,
    request_digest TEXT DEFAULT '' NOT NULL,
    status INTEGER,
    headers JSONB DEFAULT '{}' NOT NULL,
    body BYTEA,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT idempotency_pkey PRIMARY KEY (organization_id, key)
);

CREATE TABLE connection (
    id UUID NOT NULL,
    organization_id UUID NOT NULL,
    provider TEXT DEFAULT '' NOT NULL,
    name TEXT DEFAULT '' NOT NULL,
    external_id TEXT,
    url TEXT DEFAULT '' NOT NULL,
    autodiscover_address TEXT DEFAULT '' NOT NULL,
    auth_method TEXT DEFAULT 'none' NOT NULL,
    auth JSONB DEFAULT '{}' NOT NULL,
    secret BYTEA,
    access TEXT DEFAULT 'own' NOT NULL,
    tls JSONB DEFAULT '{}' NOT NULL,
    allow_insecure BOOLEAN DEFAULT false NOT NULL,
    options JSONB DEFAULT '{}' NOT NULL,
    state TEXT DEFAULT 'new' NOT NULL,
    state_code TEXT DEFAULT '' NOT NULL,
    state_params JSONB DEFAULT '{}' NOT NULL,
    state_since TIMESTAMP WITH TIME ZONE,
    paused_until TIMESTAMP WITH TIME ZONE,
    refusals JSONB DEFAULT '[]' NOT NULL,
    server_version TEXT DEFAULT '' NOT NULL,
    doctor JSONB,
    doctor_at TIMESTAMP WITH TIME ZONE,
    version BIGINT DEFAULT 1 NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT connection_pkey PRIMARY KEY (id),
    CONSTRAINT connection_organization_id_external_id_key UNIQUE (organization_id, external_id),
    CONSTRAINT connection_organization_id_fkey FOREIGN KEY(organization_id) REFERENCES organization (id) ON DELETE CASCADE
);

CREATE INDEX connection_organization_id_ix ON connection (organization_id);

CREATE TABLE resource_group (
    id UUID NOT NULL,
    organization_id UUID NOT NULL,
    name TEXT DEFAULT '' NOT NULL,
    external_id TEXT,
    version BIGINT DEFAULT 1 NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT resource_group_pkey PRIMARY KEY (id),
    CONSTRAINT resource_group_organization_id_external_id_key UNIQUE (organization_id, external_id),
    CONSTRAINT resource_group_organization_id_fkey FOREIGN KEY(organization_id) REFERENCES organization (id) ON DELETE CASCADE
);

CREATE TABLE webhook (
    id UUID NOT NULL,
    organization_id UUID NOT NULL,
    url TEXT DEFAULT '' NOT NULL,
    types JSONB DEFAULT '[]' NOT NULL,
    active BOOLEAN DEFAULT true NOT NULL,
    secret BYTEA,
    previous_secret BYTEA,
    cursor_xid BIGINT DEFAULT 0 NOT NULL,
    cursor_id BIGINT DEFAULT 0 NOT NULL,
    failing_since TIMESTAMP WITH TIME ZONE,
    attempt INTEGER DEFAULT 0 NOT NULL,
    retry_at TIMESTAMP WITH TIME ZONE,
    last_status TEXT DEFAULT '' NOT NULL,
    owner TEXT,
    lease_until TIMESTAMP WITH TIME ZONE,
    version BIGINT DEFAULT 1 NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT webhook_pkey PRIMARY KEY (id),
    CONSTRAINT webhook_organization_id_fkey FOREIGN KEY(organization_id) REFERENCES organization (id) ON DELETE CASCADE
);

CREATE TABLE setting (
    organization_id UUID NOT NULL,
    level TEXT DEFAULT '' NOT NULL,
    object_id UUID NOT NULL,
    name TEXT DEFAULT '' NOT NULL,
    value JSONB NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_by TEXT DEFAULT '' NOT NULL,
    CONSTRAINT setting_pkey PRIMARY KEY (level, object_id, name),
    CONSTRAINT setting_organization_id_fkey FOREIGN KEY(organization_id) REFERENCES organization (id) ON DELETE CASCADE
);

CREATE TABLE account (
    id UUID NOT NULL,
    organization_id UUID,
    username TEXT DEFAULT '' NOT NULL,
    password_hash TEXT DEFAULT '' NOT NULL,
    role TEXT DEFAULT 'viewer' NOT NULL,
    language TEXT DEFAULT 'de' NOT NULL,
    active BOOLEAN DEFAULT true NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    last_login_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT account_pkey PRIMARY KEY (id),
    CONSTRAINT account_username_key UNIQUE (username),
    CONSTRAINT account_organization_id_fkey FOREIGN KEY(organization_id) REFERENCES organization (id) ON DELETE CASCADE
);

CREATE TABLE api_key (
    id UUID NOT NULL,
    organization_id UUID,
    name TEXT DEFAULT '' NOT NULL,
    prefix TEXT DEFAULT '' NOT NULL,
    key_hash TEXT DEFAULT '' NOT NULL,
    scopes JSONB DEFAULT '[]' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    last_used_at TIMESTAMP WITH TIME ZONE,
    expires_at TIMESTAMP WITH TIME ZONE,
    revoked_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT api_key_pkey PRIMARY KEY (id),
    CONSTRAINT api_key_key_hash_key UNIQUE (key_hash),
    CONSTRAINT api_key_organization_id_fkey FOREIGN KEY(organization_id) REFERENCES organization (id) ON DELETE CASCADE
);

CREATE TABLE resource (
    id UUID NOT NULL,
    organization_id UUID NOT NULL,
    group_id UUID,
    external_id TEXT,
    kind TEXT DEFAULT 'person' NOT NULL,
    name TEXT DEFAULT '' NOT NULL,
    email TEXT DEFAULT '' NOT NULL,
    time_zone TEXT DEFAULT 'Europe/Berlin' NOT NULL,
    language TEXT DEFAULT 'de' NOT NULL,
    login_at TIMESTAMP WITH TIME ZONE,
    version BIGINT DEFAULT 1 NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT resource_pkey PRIMARY KEY (id),
    CONSTRAINT resource_organization_id_external_id_key UNIQUE (organization_id, external_id),
    CONSTRAINT resource_organization_id_fkey FOREIGN KEY(organization_id) REFERENCES organization (id) ON DELETE CASCADE,
    CONSTRAINT resource_group_id_fkey FOREIGN KEY(group_id) REFERENCES resource_group (id) ON DELETE SET NULL
);

CREATE INDEX resource_group_id_ix ON resource (group_id);

CREATE TABLE lane (
    id UUID NOT NULL,
    organization_id UUID NOT NULL,
    connection_id UUID NOT NULL,
    mailbox TEXT DEFAULT '' NOT NULL,
    due TIMESTAMP WITH TIME ZONE,
    owner TEXT,
    lease_until TIMESTAMP WITH TIME ZONE,
    fence BIGINT DEFAULT 0 NOT NULL,
    wake BIGINT DEFAULT 0 NOT NULL,
    attempt INTEGER DEFAULT 0 NOT NULL,
    paused_until TIMESTAMP WITH TIME ZONE,
    last_served_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT lane_pkey PRIMARY KEY (id),
    CONSTRAINT lane_connection_id_mailbox_key UNIQUE (connection_id, mailbox),
    CONSTRAINT lane_organization_id_fkey FOREIGN KEY(organization_id) REFERENCES organization (id) ON DELETE CASCADE,
    CONSTRAINT lane_connection_id_fkey FOREIGN KEY(connection_id) REFERENCES connection (id) ON DELETE CASCADE
)
 WITH (fillfactor = 70);

CREATE INDEX lane_lease_until_ix ON lane (lease_until) WHERE owner IS NOT NULL;

CREATE INDEX lane_due_ix ON lane (due) WHERE owner IS NULL AND due IS NOT NULL;

CREATE INDEX lane_turn_ix ON lane (organization_id, due) WHERE owner IS NULL AND due IS NOT NULL;

CREATE TABLE session (
    token_hash TEXT DEFAULT '' NOT NULL,
    account_id UUID NOT NULL,
    csrf TEXT DEFAULT '' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT session_pkey PRIMARY KEY (token_hash),
    CONSTRAINT session_account_id_fkey FOREIGN KEY(account_id) REFERENCES account (id) ON DELETE CASCADE
);

CREATE TABLE link (
    id UUID NOT NULL,
    organization_id UUID NOT NULL,
    resource_id UUID NOT NULL,
    connection_id UUID NOT NULL,
    lane_id UUID NOT NULL,
    mailbox TEXT DEFAULT '' NOT NULL,
    calendar TEXT DEFAULT '' NOT NULL,
    calendar_name TEXT DEFAULT '' NOT NULL,
    active BOOLEAN DEFAULT true NOT NULL,
    state TEXT DEFAULT 'new' NOT NULL,
    cursor TEXT,
    policy_digest TEXT DEFAULT '' NOT NULL,
    listing TEXT,
    listed_at TIMESTAMP WITH TIME ZONE,
    first_run_done BOOLEAN DEFAULT false NOT NULL,
    force_listing BOOLEAN DEFAULT false NOT NULL,
    due TIMESTAMP WITH TIME ZONE,
    last_attempt TIMESTAMP WITH TIME ZONE,
    last_success TIMESTAMP WITH TIME ZONE,
    failing_since TIMESTAMP WITH TIME ZONE,
    error_code TEXT DEFAULT '' NOT NULL,
    error_params JSONB DEFAULT '{}' NOT NULL,
    facts JSONB DEFAULT '{}' NOT NULL,
    remote_account TEXT DEFAULT '' NOT NULL,
    version BIGINT DEFAULT 1 NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT link_pkey PRIMARY KEY (id),
    CONSTRAINT link_connection_id_mailbox_calendar_key UNIQUE (connection_id, mailbox, calendar),
    CONSTRAINT link_organization_id_fkey FOREIGN KEY(organization_id) REFERENCES organization (id) ON DELETE CASCADE,
    CONSTRAINT link_resource_id_fkey FOREIGN KEY(resource_id) REFERENCES resource (id) ON DELETE CASCADE,
    CONSTRAINT link_connection_id_fkey FOREIGN KEY(connection_id) REFERENCES connection (id) ON DELETE CASCADE,
    CONSTRAINT link_lane_id_fkey FOREIGN KEY(lane_id) REFERENCES lane (id) ON DELETE CASCADE
);

CREATE INDEX link_lane_id_ix ON link (lane_id);

CREATE INDEX link_resource_id_ix ON link (resource_id);

CREATE INDEX link_organization_id_ix ON link (organization_id);

CREATE TABLE feed_token (
    id UUID NOT NULL,
    organization_id UUID NOT NULL,
    resource_id UUID NOT NULL,
    name TEXT DEFAULT '' NOT NULL,
    detail TEXT DEFAULT 'busy' NOT NULL,
    token_hash TEXT DEFAULT '' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    revoked_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT feed_token_pkey PRIMARY KEY (id),
    CONSTRAINT feed_token_token_hash_key UNIQUE (token_hash),
    CONSTRAINT feed_token_organization_id_fkey FOREIGN KEY(organization_id) REFERENCES organization (id) ON DELETE CASCADE,
    CONSTRAINT feed_token_resource_id_fkey FOREIGN KEY(resource_id) REFERENCES resource (id) ON DELETE CASCADE
);

CREATE INDEX feed_token_resource_id_ix ON feed_token (resource_id);

CREATE TABLE run (
    id UUID NOT NULL,
    organization_id UUID NOT NULL,
    link_id UUID,
    connection_id UUID,
    kind TEXT DEFAULT 'sync' NOT NULL,
    state TEXT DEFAULT 'queued' NOT NULL,
    asked_by TEXT DEFAULT '' NOT NULL,
    counts JSONB DEFAULT '{}' NOT NULL,
    held INTEGER DEFAULT 0 NOT NULL,
    conflicts INTEGER DEFAULT 0 NOT NULL,
    problems JSONB DEFAULT '[]' NOT NULL,
    progress JSONB DEFAULT '{}' NOT NULL,
    undo_of UUID,
    error_code TEXT DEFAULT '' NOT NULL,
    error_params JSONB DEFAULT '{}' NOT NULL,
    asked_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE,
    finished_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT run_pkey PRIMARY KEY (id),
    CONSTRAINT run_organization_id_fkey FOREIGN KEY(organization_id) REFERENCES organization (id) ON DELETE CASCADE,
    CONSTRAINT run_link_id_fkey FOREIGN KEY(link_id) REFERENCES link (id) ON DELETE CASCADE
);

CREATE INDEX run_link_id_asked_at_ix ON run (link_id, asked_at);

CREATE INDEX run_organization_id_asked_at_ix ON run (organization_id, asked_at);

CREATE INDEX run_open_ix ON run (link_id) WHERE state IN ('queued', 'running');

CREATE TABLE plan (
    id UUID NOT NULL,
    organization_id UUID NOT NULL,
    link_id UUID NOT NULL,
    run_id UUID,
    kind TEXT DEFAULT 'run' NOT NULL,
    counts JSONB DEFAULT '{}' NOT NULL,
    mails INTEGER DEFAULT 0 NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT plan_pkey PRIMARY KEY (id),
    CONSTRAINT plan_organization_id_fkey FOREIGN KEY(organization_id) REFERENCES organization (id) ON DELETE CASCADE,
    CONSTRAINT plan_link_id_fkey FOREIGN KEY(link_id) REFERENCES link (id) ON DELETE CASCADE
);

CREATE INDEX plan_run_id_ix ON plan (run_id);

CREATE INDEX plan_link_id_ix ON plan (link_id);

CREATE TABLE problem (
    id UUID NOT NULL,
    organization_id UUID NOT NULL,
    resource_id UUID,
    link_id UUID,
    connection_id UUID,
    series_id UUID,
    href TEXT,
    side TEXT DEFAULT '' NOT NULL,
    code TEXT DEFAULT '' NOT NULL,
    params JSONB DEFAULT '{}' NOT NULL,
    kind TEXT DEFAULT '' NOT NULL,
    scope TEXT DEFAULT '' NOT NULL,
    state TEXT DEFAULT 'open' NOT NULL,
    count INTEGER DEFAULT 1 NOT NULL,
    event_start TIMESTAMP WITH TIME ZONE,
    first_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    last_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    next_try_at TIMESTAMP WITH TIME ZONE,
    key TEXT DEFAULT '' NOT NULL,
    CONSTRAINT problem_pkey PRIMARY KEY (id),
    CONSTRAINT problem_organization_id_fkey FOREIGN KEY(organization_id) REFERENCES organization (id) ON DELETE CASCADE,
    CONSTRAINT problem_link_id_fkey FOREIGN KEY(link_id) REFERENCES link (id) ON DELETE CASCADE,
    CONSTRAINT problem_connection_id_fkey FOREIGN KEY(connection_id) REFERENCES connection (id) ON DELETE CASCADE
);

CREATE UNIQUE INDEX problem_open_key_ix ON problem (organization_id, key) WHERE state = 'open';

CREATE INDEX problem_organization_id_last_at_ix ON problem (organization_id, last_at);

CREATE TABLE hold (
    id UUID NOT NULL,
    organization_id UUID NOT NULL,
    link_id UUID NOT NULL,
    resource_id UUID NOT NULL,
    run_id UUID,
    kind TEXT DEFAULT '' NOT NULL,
    params JSONB DEFAULT '{}' NOT NULL,
    state TEXT DEFAULT 'open' NOT NULL,
    count INTEGER DEFAULT 0 NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    decided_at TIMESTAMP WITH TIME ZONE,
    decided_by TEXT DEFAULT '' NOT NULL,
    CONSTRAINT hold_pkey PRIMARY KEY (id),
    CONSTRAINT hold_organization_id_fkey FOREIGN KEY(organization_id) REFERENCES organization (id) ON DELETE CASCADE,
    CONSTRAINT hold_link_id_fkey FOREIGN KEY(link_id) REFERENCES link (id) ON DELETE CASCADE
);

CREATE INDEX hold_organization_id_created_at_ix ON hold (organization_id, created_at);

CREATE INDEX hold_link_open_ix ON hold (link_id) WHERE state = 'open';

CREATE TABLE conflict (
    id UUID NOT NULL,
    organization_id UUID NOT NULL,
    link_id UUID NOT NULL,
    resource_id UUID NOT NULL,
    series_id UUID NOT NULL,
    href TEXT,
    fields JSONB DEFAULT '[]' NOT NULL,
    base JSONB,
    ours JSONB,
    theirs JSONB,
    state TEXT DEFAULT 'open' NOT NULL,
    resolution TEXT DEFAULT '' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    decided_at TIMESTAMP WITH TIME ZONE,
    decided_by TEXT DEFAULT '' NOT NULL,
    CONSTRAINT conflict_pkey PRIMARY KEY (id),
    CONSTRAINT conflict_organization_id_fkey FOREIGN KEY(organization_id) REFERENCES organization (id) ON DELETE CASCADE,
    CONSTRAINT conflict_link_id_fkey FOREIGN KEY(link_id) REFERENCES link (id) ON DELETE CASCADE
);

CREATE INDEX conflict_open_ix ON conflict (link_id, series_id) WHERE state = 'open';

CREATE INDEX conflict_organization_id_created_at_ix ON conflict (organization_id, created_at);

CREATE TABLE plan_action (
    plan_id UUID NOT NULL,
    number INTEGER NOT NULL,
    resource_id UUID NOT NULL,
    link_id UUID NOT NULL,
    series_id UUID,
    href TEXT,
    side TEXT DEFAULT '' NOT NULL,
    verb TEXT DEFAULT '' NOT NULL,
    uid TEXT DEFAULT '' NOT NULL,
    title TEXT DEFAULT '' NOT NULL,
    fields JSONB DEFAULT '[]' NOT NULL,
    why TEXT DEFAULT '' NOT NULL,
    action JSONB DEFAULT '{}' NOT NULL,
    digest TEXT DEFAULT '' NOT NULL,
    state TEXT DEFAULT 'planned' NOT NULL,
    error_code TEXT DEFAULT '' NOT NULL,
    mails INTEGER DEFAULT 0 NOT NULL,
    CONSTRAINT plan_action_pkey PRIMARY KEY (plan_id, number),
    CONSTRAINT plan_action_plan_id_fkey FOREIGN KEY(plan_id) REFERENCES plan (id) ON DELETE CASCADE
);

CREATE TABLE hold_action (
    hold_id UUID NOT NULL,
    number INTEGER NOT NULL,
    resource_id UUID NOT NULL,
    link_id UUID NOT NULL,
    series_id UUID,
    href TEXT,
    side TEXT DEFAULT '' NOT NULL,
    verb TEXT DEFAULT '' NOT NULL,
    uid TEXT DEFAULT '' NOT NULL,
    title TEXT DEFAULT '' NOT NULL,
    why TEXT DEFAULT '' NOT NULL,
    digest TEXT DEFAULT '' NOT NULL,
    event_start TIMESTAMP WITH TIME ZONE,
    CONSTRAINT hold_action_pkey PRIMARY KEY (hold_id, number),
    CONSTRAINT hold_action_hold_id_fkey FOREIGN KEY(hold_id) REFERENCES hold (id) ON DELETE CASCADE
);

CREATE INDEX hold_action_series_ix ON hold_action (link_id, series_id);
