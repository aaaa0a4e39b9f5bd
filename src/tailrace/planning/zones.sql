-- One row per person asked for: the zone whose clock they live by, and whether nobody knows it.
with known as (
    select
        iana_zones.name as zone,
        lower(iana_zones.name) as name
    from iana_zones
    where iana_zones.name in (select name from pg_timezone_names())
),

people as (
    select
        asked.person_id,
        lower(trim({timezone}::varchar)) as said_zone,
        lower(trim({country}::varchar)) as said_country
    from (select distinct person_id from asked) as asked
    left join wh.core.dim_people as people on people.person_id = asked.person_id
)

select
    people.person_id,
    coalesce(known.zone, country_zones.zone, $project_zone) as zone,
    known.zone is null and country_zones.zone is null as is_unknown
from people
left join known on known.name = people.said_zone
left join country_zones on country_zones.country = people.said_country
