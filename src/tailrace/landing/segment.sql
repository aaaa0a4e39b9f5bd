-- grain: one row per line of `lines` that is not blank, read as a call of the Segment spec
with line as ({lines}),
read as (
    select *, try(from_json(l, {spec})) as s
    from line
    where l <> ''
),
-- A verbatim line is known to be its parts; any other one that can be parsed is written again and looked through.
compared as (
    select
        *,
        s.properties::varchar as properties,
        s.traits::varchar as traits,
        s.context::varchar as context,
        case when s is null then false else {is_verbatim} end as is_verbatim
    from read
),
-- Of a verbatim line that fits, with all its bodies, nothing is left to be asked.
fitted as (
    select *, case when is_verbatim then {fits} else false end as is_fitting
    from compared
),
-- The shape of a line is its keys; of a known one no object has a key twice, and whether it has other keys is known.
parsed as (
    select
        *,
        case when s is not null and not is_verbatim then json(l)::varchar end as m,
        case
            when is_fitting then null
            when is_verbatim
                then hash(
                    json_keys(properties, {properties_paths}), json_keys(traits, {traits_paths}),
                    json_keys(context, {context_paths})
                )
            when s is not null then hash(json_keys(l, {paths}))
        end as shape
    from fitted
),
opened as (
    select
        *,
        {n_known} as n_known,
        case
            when is_verbatim or s is null then null
            when {is_plain} then null
            when not list_has_all({known}, json_keys(l)) then nullif(json_merge_patch(l, {spec_keys})::varchar, '{}')
        end as rest,
        -- A verbatim line is one object more than its bodies.
        case when is_fitting then -1 when is_verbatim then n_objects(l) - 1 else n_objects(m) end as n_found,
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
    case
        when is_fitting then false
        when is_verbatim
            then maybe_unsound(properties) or maybe_unsound(traits) or maybe_unsound(context)
        when s is null then true
        when not starts_with(m, '{') then true
        when maybe_unsound(m) then true
        when l <> m and maybe_changed(l, m) then true
        else maybe_not_text(s."messageId") or maybe_not_text(s.event) or maybe_not_text(s.name)
            or maybe_not_text(s."userId") or maybe_not_text(s."anonymousId") or maybe_not_text(s."previousId")
            or maybe_not_text(s."groupId")
    end as is_odd,
    o.is_verbatim,
    o.shape,
    not is_fitting and o.n_known is null as is_shape_new,
    o.n_found > coalesce(o.n_known, 0) as is_uncovered,
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
