-- grain: one row per line of `lines` that is not blank, read as a call of the Segment spec
with line as ({lines}),
parsed as (
    select
        *,
        s.properties::varchar as properties,
        s.traits::varchar as traits,
        s.context::varchar as context
    from (select file_no, line, part, l, try(from_json(l, {spec})) as s from line where l <> '')
),
-- A compact line is accounted for byte by byte: its known keys, each once, with bodies that stand in it as they are
-- written again. It can hold no other key, no key twice and no number that was changed.
weighed as (
    select
        *,
        case
            when strlen(l) = 1 + {weight} then
                coalesce(contains(l, properties), true) and coalesce(contains(l, traits), true)
                and coalesce(contains(l, context), true)
                and not (
                    maybe_number(s."messageId") or maybe_number(s.type) or maybe_number(s.event)
                    or maybe_number(s.name) or maybe_number(s."userId") or maybe_number(s."anonymousId")
                    or maybe_number(s."previousId") or maybe_number(s."groupId") or maybe_number(s.timestamp)
                    or maybe_number(s."originalTimestamp") or maybe_number(s."sentAt") or maybe_number(s."receivedAt")
                )
            else false
        end as is_compact
    from parsed
),
opened as (
    select
        *,
        case when s is not null and not is_compact then nullif(try(json_merge_patch(l, {spec_keys}))::varchar, '{}') end as rest,
        hash(
            case when s is not null and not is_compact then json_keys(l) end,
            json_keys(properties, {properties_paths}),
            json_keys(traits, {traits_paths}),
            json_keys(context, {context_paths})
        ) as shape,
        n_objects(properties) + n_objects(traits) + n_objects(context) as n_found,
        moment(s.timestamp) as stamped_at,
        moment(s."originalTimestamp") as original_at,
        moment(s."sentAt") as sent_at,
        moment(s."receivedAt") as received_at
    from weighed
)
select
    o.file_no,
    o.line,
    o.part,
    o.l as raw,
    s is null
    or not starts_with(l, '{')
    or contains(l, '\u0000')
    or maybe_constant(properties) or maybe_constant(traits) or maybe_constant(context)
    or is_nested_list(properties) or is_nested_list(traits) or is_nested_list(context)
    or case
        when is_compact then false
        else
            maybe_inexact(l) or regexp_matches(l, ',\s*[}\]]')
            or maybe_constant(rest) or is_nested_list(rest) or n_objects(rest) > 1
            or maybe_not_text(s."messageId") or maybe_not_text(s.type) or maybe_not_text(s.event)
            or maybe_not_text(s.name) or maybe_not_text(s."userId") or maybe_not_text(s."anonymousId")
            or maybe_not_text(s."previousId") or maybe_not_text(s."groupId")
    end as is_odd,
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
