-- grain: one row per event, property and text that came for it, of the properties in `candidates`
with asked as (
    select event, coalesce(user_id, anonymous_id) as who, from_json(properties, '"MAP(VARCHAR, JSON)"') as body
    from read_parquet([{files}])
    where type = 'track' and event in (select event from candidates) and ($source is null or source = $source)
),
entry as (
    select event, who, unnest(map_entries(body)) as pair
    from asked
)
select entry.event, entry.pair.key as property, told(entry.pair.value::varchar) as value, count(distinct entry.who) as n_people
from entry
inner join candidates on entry.event = candidates.event and entry.pair.key = candidates.property
where starts_with(entry.pair.value::varchar, '"')
group by all
order by all
