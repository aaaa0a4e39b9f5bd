-- grain: one row per line of `lines` that is not blank, read as a call of the Segment spec
with line as ({lines}),
parsed as (
    select
        *,
        try(json(l))::varchar as m,
        try(from_json(l, {spec})) as s,
        hash(try(json_keys(l, {paths}))) as shape
    from line
    where l <> ''
),
-- The shape of a line is its keys; of a known one no object has a key twice, and whether it has other keys is known.
opened as (
    select
        *,
        s.properties::varchar as properties,
        s.traits::varchar as traits,
        s.context::varchar as context,
        case when not ({is_plain}) then nullif(try(json_merge_patch(l, {spec_keys}))::varchar, '{}') end as rest,
        n_objects(m) as n_found,
        moment(s.timestamp) as stamped_at,
        moment(s."originalTimestamp") as original_at,
        moment(s."sentAt") as sent_at,
        moment(s."receivedAt") as received_at
    from parsed
)
select
    o.file_no,
    o.line,
    o.part,
    o.l as raw,
    s is null
    or m is null
    or not starts_with(m, '{')
    or maybe_unsound(m)
    or case when l = m then false else maybe_changed(l) end
    or maybe_not_text(s."messageId") or maybe_not_text(s.event) or maybe_not_text(s.name) or maybe_not_text(s."userId") or maybe_not_text(s."anonymousId")
    or maybe_not_text(s."previousId") or maybe_not_text(s."groupId") as is_odd,
    o.shape,
    {n_known} is null as is_shape_new,
    o.n_found > coalesce({n_known}, 0) as is_uncovered,
    o.n_found,
    case when s is null then 'not_json' end as unread,
    nullif(s."messageId", '') as message_id,
    s.type as type,
    nullif(case when s.type = 'track' then s.event when s.type in ('page', 'screen') then s.name end, '') as event,
    nullif(s."userId", '') as user_id,
    nullif(s."anonymousId", '') as anonymous_id,
    nullif(s."previousId", '') as previous_id,
    nullif(s."groupId", '') as group_id,
    coalesce(received_at - (sent_at - original_at), stamped_at, original_at, received_at) as event_at,
    (s.timestamp is not null and stamped_at is null) or (s."originalTimestamp" is not null and original_at is null)
    or (s."sentAt" is not null and sent_at is null) or (s."receivedAt" is not null and received_at is null)
        as is_time_wrong,
    properties,
    traits,
    context,
    rest
from opened as o
