-- grain: one row per shape not seen before; an object count of -1 means that each line of the shape is judged alone
insert into shapes
-- Where keys are made of data every line has its own: of the rarest there is nothing to learn, and memory is to hold a line each.
with commonest as (
    select shape
    from ({seen})
    where is_shape_new and not is_odd and raw is not null and shape not in (select shape from shapes)
    group by shape
    order by count(*) desc, shape
    limit 1000
),
one as (
    select shape, any_value({l: raw, is_verbatim: is_verbatim}) as line
    from ({seen})
    where is_shape_new and not is_odd and raw is not null and shape in (select shape from commonest)
    group by shape
),
keyed as (
    select
        shape,
        try(json_keys(line.l)) as top,
        case
            when line.is_verbatim
                then coalesce(json_keys(line.l -> '$.properties', {properties_paths}), [])
                    || coalesce(json_keys(line.l -> '$.traits', {traits_paths}), [])
                    || coalesce(json_keys(line.l -> '$.context', {context_paths}), [])
            else try(json_keys(line.l, {paths}))
        end as keys
    from one
)
select
    shape,
    case
        when keys is null or list_contains(top, 'batch')
            or not list_bool_and([len(list_distinct(x)) = len(x) for x in keys if x is not null]) then -1
        else len([x for x in keys if len(x) > 0])
    end as n_objects,
    list_has_all({known}, top) as is_plain,
    top as keys
from keyed
