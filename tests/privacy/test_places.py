"""Every column of the schema is classified: personal or not, and what an erasure does with it."""

from tests.conftest import Database

from c2s_enrich.privacy.places import PLACES

# Ids, times, counts and words of our own; nothing that anybody outside can write into.
NOT_PERSONAL: dict[str, frozenset[str]] = {
    table: frozenset(columns.split())
    for table, columns in {
        "webhook_events": "id updated_at status outcome attempts max_attempts available_at"
        " claimed_by claimed_at lease_token lease_expires_at deadline_at"
        " error_kind error_group waiting_for waiting_reason losses suspect reprocess"
        " received_at processed_at payload_removed_at request_id ordered_at",
        "event_attempts": "event_id lease_token attempt worker started_at finished_at result"
        " outcome error_kind steps calls",
        "leads": "closed facts_updated_at first_seen_at last_seen_at",
        "lead_people": "found_by event_id seen_at",
        "lead_messages": "id event_id status sends looks sending_at sender sent_at proof"
        " created_at",
        "contact_lookups": "source kind fetched_at expires_at",
        "answers_under_way": "event_id lease_token",
        "people": "fetched_at expires_at first_seen_at profile_fetched_at",
        "person_phones": "source rank first_seen_at last_seen_at",
        "person_emails": "source rank first_seen_at last_seen_at",
        "person_addresses": "source rank first_seen_at last_seen_at",
        "person_companies": "source rank first_seen_at last_seen_at",
        "rejected_deliveries": "id reason received_at replayed_at times last_received_at"
        " dismissed_at",
        "erased_leads": "erased_at",
        "suppressions": "kind created_at",
        "operator_actions": "id at actor via verb state planned done skipped ended_at",
        "erasures": "id asked_by erased_at counts",
        "alerts": "key scope text since told_at recovered_at",
        "duties": "name began_at",
        "muted_errors": "error_group muted_at",
        "hash_key": "only_row check_value since",
        "restores": "id noticed_at why identity since",
        "read_backs": "account tried_at proven_at",
        "intake_minutes": "minute delivered duplicates refused rejected",
        "paid_calls": "day upstream kind found",
        "pollers": "name started_at beat_at in_flight concurrency pulse version metrics",
        "schema_migrations": "version name checksum applied_at",
        "subscriptions": "action address asked_at",
        "upstreams": "name paused_until paused_since reason probing_until failures pauses"
        " next_slot_at min_interval daily_budget usual_budget budget_day"
        " calls_today changed_at",
    }.items()
}


class TestEveryColumn:
    async def test_stands_in_the_list_once(self, db: Database) -> None:
        rows = await db.fetch(
            "select table_name, column_name from information_schema.columns"
            " join pg_tables on tablename = table_name and schemaname = table_schema"
            " where table_schema = current_schema()"
        )
        listed = [(place.table, place.column) for place in PLACES]
        listed += [(table, column) for table, columns in NOT_PERSONAL.items() for column in columns]

        assert sorted(listed) == sorted(map(tuple, rows))

    def test_that_stays_says_what_for(self) -> None:
        assert all(
            ": " in place.holds or "C2S" in place.holds
            for place in PLACES
            if place.erasure == "stays"
        )
