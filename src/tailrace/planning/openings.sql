-- One row per row of `hours`: the first moment from $as_of on that is in its window and outside its quiet hours.
-- It opens now, or where a span begins or ends, or where the clocks change: those moments are listed, and judged.
with zoned as (
    select distinct zone from hours
),

days as (
    select range::integer as day from range(-2, 18)
),

samples as materialized (
    select
        zoned.zone,
        date_trunc('minute', $as_of::timestamp) + to_days(days.day) as sampled_at,
        seconds_east(zoned.zone, date_trunc('minute', $as_of::timestamp) + to_days(days.day)) as east
    from zoned
    cross join days
),

offsets as (
    select distinct
        zone,
        east
    from samples
),

turns as (
    select
        zone,
        sampled_at,
        east
    from samples
    qualify east <> lead(east) over (partition by zone order by sampled_at)
),

changes_of_clock as materialized (
    select
        turns.zone,
        min(turns.sampled_at + to_minutes(minutes.range)) as moment
    from turns
    cross join range(0, 1441) as minutes
    where seconds_east(turns.zone, turns.sampled_at + to_minutes(minutes.range)) <> turns.east
    group by turns.zone, turns.sampled_at
),

marks as (
    select
        hours_id,
        zone,
        unnest(list_distinct([from_minute, quiet_to % 1440])) as minute
    from hours
),

moments as (
    select
        hours_id,
        $as_of::timestamp as moment
    from hours
    union all
    select
        marks.hours_id,
        date_trunc('day', $as_of::timestamp) + to_days(days.day) + to_minutes(marks.minute) - to_seconds(offsets.east)
    from marks
    inner join offsets on offsets.zone = marks.zone
    cross join days
    union all
    select
        hours.hours_id,
        changes_of_clock.moment
    from hours
    inner join changes_of_clock on changes_of_clock.zone = hours.zone
),

lived as materialized (
    select
        hours.hours_id,
        moments.moment,
        local_time(hours.zone, moments.moment) as local
    from moments
    inner join hours on hours.hours_id = moments.hours_id
    where moments.moment >= $as_of::timestamp
),

judged as (
    select
        lived.hours_id,
        min(lived.moment) as opens_at
    from lived
    inner join hours on hours.hours_id = lived.hours_id
    where coalesce(in_hours(lived.local, hours.days, hours.from_minute, hours.to_minute), true)
        and not coalesce(in_hours(lived.local, hours.quiet_days, hours.quiet_from, hours.quiet_to), false)
    group by lived.hours_id
)

select
    hours.hours_id,
    judged.opens_at
from hours
left join judged on judged.hours_id = hours.hours_id
