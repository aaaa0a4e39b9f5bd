-- grain: one row per line of `lines` that is not blank, read as one call of Customer.io's Track API (v1 or v2)
with line as ({lines}),
read as (
    select *, try(json(l))::varchar as m, try(from_json(l, {request_spec})) as r
    from line
    where l <> ''
),
-- A line with a path is a request as it was logged, and its body is the call; any other line is the body of a v2 call.
opened as (
    select
        *,
        hash(case when r is not null then json_keys(l, {paths}) end) as shape,
        n_objects(m) as n_found,
        r.path is not null as is_logged,
        case when r.path is null then l else r.body::varchar end as body,
        regexp_replace(regexp_replace(split_part(r.path, '?', 1), '^https?://[^/]+', ''), '/+$', '') as path,
        upper(r.method) as method
    from read
),
routed as (
    select
        *,
        try(from_json(body, {call_spec})) as c,
        path is not null and path not like '/api/v2/%' as is_v1,
        nullif(try(url_decode(regexp_extract(path, '^/api/v1/customers/([^/]+)', 1))), '') as address,
        regexp_extract(path, '^/api/v1/customers/[^/]+(/[a-z_]+)?', 1) as below,
        try(url_decode(regexp_extract(path, '^/api/v1/customers/[^/]+/devices/([^/]+)$', 1))) as path_token,
        regexp_extract(path, '^/api/v1/forms/([^/]+)/submit$', 1) as form
    from opened
),
named as (
    select
        *,
        case
            when not is_v1 then case c.type
                when 'person' then case when c.action in (
                    'identify', 'event', 'page', 'screen', 'delete', 'suppress', 'unsuppress', 'add_relationships',
                    'delete_relationships', 'add_device', 'delete_device', 'merge'
                ) then c.action end
                when 'object' then case
                    when c.action in ('identify', 'identify_anonymous') then case
                        when json_array_length(c.cio_relationships) > 0 then 'add_relationships' else 'object'
                    end
                    when c.action = 'delete' then 'delete_object'
                    when c.action in ('add_relationships', 'delete_relationships') then c.action
                end
                when 'delivery' then 'not_kept'
            end
            when method = 'PUT' and regexp_full_match(path, '/api/v1/customers/[^/]+') then 'identify'
            when method = 'DELETE' and regexp_full_match(path, '/api/v1/customers/[^/]+') then 'delete'
            when method = 'POST' and (below = '/events' or path = '/api/v1/events') then case
                when coalesce(c.type, 'event') in ('event', 'page', 'screen') then coalesce(c.type, 'event')
            end
            when method = 'POST' and below in ('/suppress', '/unsuppress') then below[2:]
            when method = 'PUT' and below = '/devices' then 'add_device'
            when method = 'DELETE' and below = '/devices' and path_token <> '' then 'delete_device'
            when method = 'POST' and path = '/api/v1/merge_customers' then 'merge'
            when method = 'POST' and form <> '' then 'form'
            when regexp_matches(path, '^/api/v1/(segments/|metrics$|push/events$|accounts/)|^/unsubscribe/') then 'not_kept'
        end as act
    from routed
),
-- Who is meant, and which object; of a relationship one end is in `identifiers` and the other in its one element.
ends as (
    select
        *,
        case
            when is_v1 then null
            when c.type = 'object' then (c.cio_relationships -> '$[0].identifiers')
            else c.identifiers
        end as who,
        case
            when act in ('object', 'delete_object') or c.type = 'object' then c.identifiers
            when act in ('add_relationships', 'delete_relationships') then (c.cio_relationships -> '$[0].identifiers')
        end as thing,
        nullif((c.cio_relationships -> '$[0].relationship_attributes'), 'null'::json) as relation,
        coalesce(c.attributes, '{}')::varchar as attributes
    from named
),
people as (
    select
        *,
        case
            when act = 'form' then coalesce(nullif((c.data ->> '$.id'), ''), customerio_mail((c.data ->> '$.email')))
            when act = 'merge' then customerio_person(c."primary")
            when is_v1 and address like 'cio\_%' escape '\' then address
            when is_v1 and address like '%_@_%' then customerio_mail(address)
            when is_v1 then address
            else customerio_person(who)
        end as addressed,
        customerio_person(c.secondary) as merged,
        case
            when act = 'merge' then n_identifiers(c."primary") = 1 and n_identifiers(c.secondary) = 1
            when is_v1 or act in ('object', 'delete_object') then true
            else n_identifiers(who) + ((who ->> '$.anonymous_id') is not null)::int = 1
        end as is_named_once,
        (thing ->> '$.object_type_id') as object_type,
        nullif((thing ->> '$.object_id'), '') as object_id,
        case
            when act = 'identify' and is_v1 then coalesce(body, '{}')
            when act = 'identify' then attributes
            when act in ('event', 'page', 'screen') and is_v1 then coalesce(c.data, '{}')::varchar
            when act = 'form' then coalesce(c.data, '{}')::varchar
            else attributes
        end as told
    from ends
),
timed as (
    select
        *,
        case
            when act = 'identify' and is_v1 then (told ->> '$._timestamp')
            when act = 'identify' then coalesce(c.timestamp, (told ->> '$._timestamp'))
            else c.timestamp
        end as stamp,
        case when is_logged then r.received_at else c.received_at end as receipt,
        case {objects} end as object,
        -- Who is addressed by e-mail address or by Customer.io's own id, and told their id.
        case
            when act <> 'identify' or addressed is null then null
            when (is_v1 and (address like 'cio\_%' escape '\' or address like '%_@_%')) or (not is_v1 and (who ->> '$.id') is null)
                then nullif((told ->> '$.id'), '')
        end as told_id
    from people
),
moments as (
    select
        *,
        unix_moment(stamp) as stamped_at,
        case
            when starts_with(receipt::varchar, '"') then moment((receipt ->> '$'))
            else unix_moment(receipt::varchar)
        end as received_at
    from timed
)
select
    file_no,
    line,
    part,
    l as raw,
    case
        when r is null or m is null or not starts_with(m, '{') then true
        when maybe_unsound(m) or (l <> m and maybe_changed(l, m)) then true
        when is_v1 and act = 'identify' and (told -> '$.cio_relationships') is not null then true
        when not is_v1 and (c.batch is not null or json_array_length(c.cio_relationships) > 1) then true
        when not is_v1 and c.cio_relationships is not null
            and coalesce(c.action, '') not in ('add_relationships', 'delete_relationships') then true
        else maybe_not_text(r.path) or maybe_not_text(r.method) or maybe_not_text(c.type) or maybe_not_text(c.action)
            or maybe_not_text(c.name) or maybe_not_text(c.id) or maybe_not_text(addressed) or maybe_not_text(merged)
            or maybe_not_text(told_id) or maybe_not_text(object_id) or maybe_not_text(object_type)
            or maybe_not_text(coalesce(c.anonymous_id, (who ->> '$.anonymous_id'), (told ->> '$.anonymous_id')))
    end as is_odd,
    false as is_verbatim,
    shape,
    {n_known} is null as is_shape_new,
    n_found > coalesce({n_known}, 0) as is_uncovered,
    n_found,
    case
        when r is null or m is null or not starts_with(m, '{') then 'not_json'
        when r.status is not null and coalesce(try_cast(r.status as integer), 0) not between 200 and 299 then 'call_refused'
        when is_logged and body is not null and not starts_with(trim(body), '{') then 'body_not_an_object'
        when act is null or (not is_v1 and c.batch is not null) then 'call_unknown'
        when act = 'not_kept' then 'call_not_kept'
        when not starts_with(told, '{') or not starts_with(attributes, '{') or not starts_with(relation::varchar, '{')
            or not starts_with(c.device::varchar, '{') then 'body_not_an_object'
        when contains(address, chr(0)) or contains(path_token, chr(0)) then 'nul_character'
        when not is_named_once then 'identifiers_wrong'
        when thing is not null and (object_id is null or object_type is null) then 'identifiers_wrong'
    end as unread,
    nullif(case when act in ('event', 'page', 'screen') then c.id end, '') as message_id,
    case
        when act = 'identify' then 'identify'
        when act in ('page', 'screen') then act
        when act = 'merge' then 'alias'
        when act in ('object', 'add_relationships', 'delete_relationships') then 'group'
        when act is not null then 'track'
    end as type,
    nullif(case act
        when 'event' then trim(c.name)
        when 'page' then trim(c.name)
        when 'screen' then trim(c.name)
        when 'delete' then 'User Deleted'
        when 'suppress' then 'User Suppressed'
        when 'unsuppress' then 'User Unsuppressed'
        when 'add_device' then 'Device Created or Updated'
        when 'delete_device' then 'Device Deleted'
        when 'delete_object' then 'Object Deleted'
        when 'form' then 'form_submitted'
    end, '') as event,
    coalesce(told_id, addressed) as user_id,
    nullif(case
        when act = 'identify' then (told ->> '$.anonymous_id')
        when is_v1 then c.anonymous_id
        else (who ->> '$.anonymous_id')
    end, '') as anonymous_id,
    case when act = 'merge' then merged when told_id <> addressed then addressed end as previous_id,
    object_id as group_id,
    coalesce(stamped_at, received_at) as event_at,
    (stamp is not null and stamped_at is null) or (receipt is not null and received_at is null) as is_time_wrong,
    nullif(case
        when act in ('event', 'screen') then told
        when act = 'page' then json_merge_patch(told, case when (told -> '$.url') is null then json_object('url', trim(c.name)) else '{}' end)::varchar
        when act = 'form' then json_merge_patch(told, json_object('form', form))::varchar
        when act in ('add_device', 'delete_device') then json_merge_patch(
            json_merge_patch(coalesce(c.device, '{}'), json_object(
                'id', null, 'token', coalesce(nullif(path_token, ''), (c.device ->> '$.token'), (c.device ->> '$.id'))
            )), case when c.attributes is null then '{}'::json else json_object('attributes', c.attributes) end
        )::varchar
        when act = 'delete_object' then json_object('object', object)::varchar
    end, '{}') as properties,
    nullif(case
        -- What is patched keeps its nulls, which take an attribute away; a patch would lose its own.
        when act = 'identify' then json_merge_patch(json_merge_patch(told, {reserved}), case
            when addressed like '%_@_%' and (told -> '$.email') is null then json_object('email', addressed) else '{}'
        end)::varchar
        when act = 'object' then json_merge_patch(told, json_object('object', object))::varchar
        when act = 'add_relationships' and relation is null then json_object('object', object)::varchar
        when act = 'add_relationships' then json_object('object', object, 'relationshipAttributes', relation)::varchar
        when act = 'delete_relationships' then json_object('object', object, 'is_member', false)::varchar
    end, '{}') as traits,
    null::varchar as context,
    nullif(try(json_merge_patch(
        case when is_logged then json_merge_patch(l, {request_keys}) else '{}' end,
        case when act = 'identify' and is_v1 then '{}' else json_merge_patch(coalesce(body, '{}'), {call_keys}) end
    ))::varchar, '{}') as rest
from moments
