-- How fast destinations are called, by all senders together.

-- connection, or a host that webhook steps call through it (`connection/host`). free_at: when a next call may go, after all
-- that were reserved; paused_until: it asked to be left alone until then. Microseconds; overwritten, for nobody needs the past.
create table rates (
    name text primary key,
    free_at bigint not null,
    paused_until bigint not null
);
