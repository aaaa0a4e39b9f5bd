-- One row per person and day that their attribute falls on or returns on, of the days that may count in this run.
-- The last day of a month stands for those that the month lacks.
with days as (
    select range::date as day
    from range($first::timestamp, $last::timestamp + interval 1 day, interval 1 day)
),

keys as (
    select
        days.day,
        case $every
            when 'year' then month(days.day) * 100 + places.place
            when 'month' then places.place
            else epoch(days.day)::bigint // 86400
        end as key
    from days
    cross join (select unnest(generate_series(1, 31)) as place) as places
    where places.place = day(days.day)
        or ($every <> 'once' and days.day = last_day(days.day) and places.place > day(days.day))
),

people as (
    select
        people.person_id,
        try_cast({attribute} as date) as day
    from wh.core.dim_people as people
    {features}
)

select
    people.person_id,
    keys.day
from people
inner join keys on keys.key = case $every
    when 'year' then month(people.day) * 100 + day(people.day)
    when 'month' then day(people.day)
    else epoch(people.day)::bigint // 86400
end
where keys.day >= people.day
