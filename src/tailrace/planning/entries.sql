-- One row per person whom the trigger names: the enrollment it makes, or why it makes none (refused).
select
    md5(concat_ws(chr(31), $campaign, triggers.person_id::varchar, triggers.occurrence)) as enrollment_id,
    triggers.person_id,
    triggers.occurrence,
    triggers.due_at,
    triggers.event,
    case
        when ('0x' || substr(md5(concat_ws(chr(31), 'holdout:' || $campaign, triggers.person_id::varchar, '')), 1, 8))::bigint
            % 10000 < $holdout_bp
            then 'holdout'
        else 'treated'
    end as arm,
    coalesce(
        $status_refusal,
        triggers.refused,
        case when exists (
            select 1 from enrolled
            where enrolled.person_id = triggers.person_id and enrolled.occurrence = triggers.occurrence
        ) then 'already_enrolled' end
    ) as refused
from triggers
