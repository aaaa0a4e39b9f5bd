-- grain: one row per event and property, with how many values of each type came; null is no value
with asked as (
    select event, from_json(properties, '"MAP(VARCHAR, JSON)"') as body
    from read_parquet([{files}])
    where type = 'track' and list_contains($events, event) and ($source is null or source = $source)
),
entry as (
    select event, unnest(map_entries(body)) as pair
    from asked
),
said as (
    select event, pair.key as property, pair.value::varchar as x
    from entry
    where pair.value is not null and pair.value::varchar <> 'null'
)
select
    event,
    property,
    count(*) as n_values,
    count(*) filter (starts_with(x, '"')) as n_strings,
    count(*) filter (x >= '-' and x < ':' and not regexp_matches(x, '[.eE]')) as n_integers,
    count(*) filter (x >= '-' and x < ':' and regexp_matches(x, '[.eE]')) as n_fractions,
    count(*) filter (x in ('true', 'false')) as n_booleans,
    count(*) filter (starts_with(x, '[')) as n_arrays,
    count(*) filter (starts_with(x, '{')) as n_objects,
    count(*) filter (starts_with(x, '"') and is_moment(told(x))) as n_moments,
    count(*) filter (starts_with(x, '"') and is_day(told(x))) as n_days,
    approx_count_distinct(x) as n_different
from said
group by event, property
order by event, n_values desc, property
