-- grain: one row per line, call or row that was read; raw is kept where something is odd or refused
with found as ({found}),
judged as (
    select
        *,
        case
            when unread is not null then unread
            when type is null then 'type_missing'
            when type not in ('identify', 'track', 'page', 'screen', 'group', 'alias') then 'type_unknown'
            when user_id is null and anonymous_id is null and not ({may_lack_person}) then 'id_missing'
            when type = 'track' and event is null then 'event_missing'
            when type = 'group' and group_id is null then 'group_missing'
            when type = 'alias' and (previous_id is null or user_id is null) then 'alias_incomplete'
            when is_time_wrong then 'time_invalid'
            when event_at is null then 'time_missing'
            when event_at < {since} or event_at >= {until} then 'time_implausible'
            when not starts_with(properties, '{') or not starts_with(traits, '{') or not starts_with(context, '{') then 'body_not_an_object'
        end as why
    from found
)
select
    file_no::integer as file_no,
    line::bigint as line,
    part::integer as part,
    case when is_odd or is_uncovered or is_shape_new or why is not null or {may_refuse} then raw end::varchar as raw,
    is_odd::boolean as is_odd,
    is_verbatim::boolean as is_verbatim,
    shape::ubigint as shape,
    is_shape_new::boolean as is_shape_new,
    n_found::bigint as n_found,
    why,
    coalesce(
        message_id,
        'sha:' || sha256(concat_ws(
            chr(31), {told_apart_by}type, coalesce(event, chr(30)), coalesce(user_id, chr(30)), coalesce(anonymous_id, chr(30)),
            coalesce(previous_id, chr(30)), coalesce(group_id, chr(30)), event_at::varchar, coalesce(properties, chr(30)),
            coalesce(traits, chr(30)), coalesce(context, chr(30)), coalesce(rest, chr(30))
        ))
    ) as event_id,
    type::varchar as type,
    event::varchar as event,
    user_id::varchar as user_id,
    anonymous_id::varchar as anonymous_id,
    previous_id::varchar as previous_id,
    group_id::varchar as group_id,
    event_at::timestamp as event_at,
    properties::varchar as properties,
    traits::varchar as traits,
    context::varchar as context,
    rest::varchar as rest
from judged
