-- The messages to the people in erased_people that are not over are.
update states
set state = 'cancelled', maybe_at = null
where state in ('draft', 'pending', 'claimed', 'unknown')
    and item_id in (select intent_id from intents where person_id in (select person_id from erased_people))
