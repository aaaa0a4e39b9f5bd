-- One row per campaign, step, decision of the other plan and decision of this one; a null verdict: it has none there.
with this as ({this}),

other as ({other}),

paired as (
    select
        coalesce(this.campaign, other.campaign) as campaign,
        coalesce(this.step, other.step) as step,
        coalesce(this.person_id, other.person_id) as person_id,
        other.verdict as verdict_before,
        other.reason as reason_before,
        this.verdict as verdict_now,
        this.reason as reason_now
    from this
    full outer join other on other.item = this.item
),

ranked as (
    select
        *,
        row_number() over (
            partition by campaign, step, verdict_before, reason_before, verdict_now, reason_now
            order by md5(person_id::varchar), person_id
        ) as place
    from paired
)

select
    campaign,
    step,
    verdict_before,
    reason_before,
    verdict_now,
    reason_now,
    count(*) as people,
    coalesce(list(person_id order by place) filter (where place <= $size), []) as sample
from ranked
group by campaign, step, verdict_before, reason_before, verdict_now, reason_now
order by campaign, step, verdict_before nulls last, reason_before, verdict_now nulls last, reason_now
