-- One row per zone and set of hours that some message has to wait for.
select distinct
    hours_id,
    zone,
    days,
    from_minute,
    to_minute,
    quiet_days,
    quiet_from,
    quiet_to
from waiting
