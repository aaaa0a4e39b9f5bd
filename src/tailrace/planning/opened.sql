-- One row per message that has to wait for its hours: when they begin next (null: never).
select
    timed.intent_id,
    openings.opens_at
from timed
inner join zones on zones.person_id = timed.person_id
inner join hours
    on hours.zone = zones.zone
        and hours.days is not distinct from timed.days
        and hours.from_minute is not distinct from timed.from_minute
        and hours.to_minute is not distinct from timed.to_minute
        and hours.is_quiet = timed.is_quiet
inner join openings on openings.hours_id = hours.hours_id
