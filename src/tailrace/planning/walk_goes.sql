-- One row per pass that comes to a step in this run (`why` says why), goes on from it (`way`), or has it done (`does`).
-- What follows is due at leaves_due_at.
with standing as (
    select
        here.*,
        steps.kind,
        here.arrived_at + to_seconds(steps.seconds) as ends,
        decisions.pass is not null as holds,
        decisions.way as decided_way,
        decisions.does as decided_does
    from here
    inner join steps on steps.place = here.place
    left join decisions on decisions.pass = here.pass
),

deciding as (
    select
        *,
        case kind
            when 'send' then case when not is_considered then 'passed' end
            when 'wait' then case when ends <= $as_of::timestamp then 'waited' end
            when 'wait_until' then case
                when holds then 'happened'
                when ends <= $as_of::timestamp then 'timed_out'
            end
            when 'if' then case when holds then 'yes' else 'no' end
            when 'split' then decided_way
            when 'webhook' then decided_way
            when 'exit' then 'exited'
            else 'passed'
        end as way
    from standing
),

going as (
    select
        pass,
        place,
        from_place,
        why,
        due_at,
        is_considered or kind = 'send' as is_considered,
        way,
        case
            when kind = 'wait' or (kind = 'wait_until' and way = 'timed_out') then ends
            when kind = 'wait_until' or (kind = 'webhook' and way <> 'passed') then $as_of::timestamp
            else due_at
        end as leaves_due_at,
        case
            when kind in ('split', 'webhook') then decided_does
            when kind = 'send' then way is not null
            else kind in ('update', 'notify', 'add_to', 'remove_from')
        end as does
    from deciding
)

select * from going
where why is not null or way is not null or does
