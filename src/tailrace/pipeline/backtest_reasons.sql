-- One row per step, verdict and reason: how many different messages it stood against at any instant.
select
    step,
    concat(verdict, ' ', reason) as why,
    count(distinct intent_id) as n
from verdicts
where verdict <> 'send'
    and step not in ('(entry)', '(correction)')
group by all
order by n desc, step, why
