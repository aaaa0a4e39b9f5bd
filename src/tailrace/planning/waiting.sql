-- One row per message that has to wait for its hours, with its zone; hours_id tells equal zones and hours.
select
    timed.intent_id,
    zones.zone,
    timed.days,
    timed.from_minute,
    timed.to_minute,
    case when timed.is_quiet then $quiet_days::integer[] end as quiet_days,
    case when timed.is_quiet then $quiet_from::integer end as quiet_from,
    case when timed.is_quiet then $quiet_to::integer end as quiet_to,
    md5(concat_ws(
        chr(31), zones.zone, timed.days::varchar, timed.from_minute::varchar, timed.to_minute::varchar, timed.is_quiet::varchar
    )) as hours_id
from timed
inner join zones on zones.person_id = timed.person_id
