-- One row per zone and set of hours that some message has to wait for.
select
    row_number() over (order by zone, days, from_minute, to_minute, is_quiet) as hours_id,
    zone,
    days,
    from_minute,
    to_minute,
    is_quiet,
    case when is_quiet then $quiet_days::integer[] end as quiet_days,
    case when is_quiet then $quiet_from::integer end as quiet_from,
    case when is_quiet then $quiet_to::integer end as quiet_to
from (
    select distinct
        zones.zone,
        timed.days,
        timed.from_minute,
        timed.to_minute,
        timed.is_quiet
    from timed
    inner join zones on zones.person_id = timed.person_id
)
