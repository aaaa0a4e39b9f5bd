-- One row per person whose refill is due at $as_of by the raw claims: the newest claim of a drug, and its usual distance.
with claims as (
    select distinct person_id, ndc_code, dispensing_date from fills where dispensing_date <= $as_of
),

numbered as (
    select *, row_number() over (partition by person_id, ndc_code order by dispensing_date desc) as back from claims
),

paced as (
    select
        newest.person_id,
        newest.dispensing_date,
        (newest.dispensing_date - third.dispensing_date) // 3 as pace
    from (from numbered where back = 1) as newest
    left join (from numbered where back = 4) as third using (person_id, ndc_code)
)

select
    person_id::varchar as user_id,
    bool_or(pace between 7 and 120) as is_paced
from paced
where dispensing_date + to_days(if(pace between 7 and 120, pace, 30)::int) > $as_of
    and dispensing_date + to_days(if(pace between 7 and 120, pace, 30)::int) <= $as_of + interval 7 days
group by person_id
