-- One row per message that has to wait for its hours: the campaign's window, and for marketing the quiet hours.
select
    candidates.intent_id,
    candidates.person_id,
    campaign_rules.days,
    campaign_rules.from_minute,
    campaign_rules.to_minute,
    candidates.class = 'marketing' and $quiet as is_quiet
from candidates
inner join campaign_rules
    on campaign_rules.campaign = candidates.campaign and campaign_rules.version = candidates.version
where candidates.class in ('marketing', 'transactional')
    and candidates.message is not null
    and (campaign_rules.days is not null or (candidates.class = 'marketing' and $quiet))
