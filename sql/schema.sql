-- What the migrations come to. Written by `make schema`; a test keeps it true.

-- answers_under_way
--   what text not null
--   event_id uuid not null
--   lease_token bigint not null

-- contact_lookups
--   source text not null
--   kind text not null
--   contact text not null
--   candidates jsonb not null
--   fetched_at timestamp with time zone not null default now()
--   expires_at timestamp with time zone not null

-- duties
--   name text not null
--   began_at timestamp with time zone not null

-- erased_leads
--   lead_id text not null
--   erased_at timestamp with time zone not null default clock_timestamp()

-- erasures
--   id uuid not null default gen_random_uuid()
--   asked_by text not null
--   erased_at timestamp with time zone not null default clock_timestamp()
--   counts jsonb not null

-- event_attempts
--   event_id uuid not null
--   lease_token bigint not null
--   attempt integer not null
--   worker text not null
--   started_at timestamp with time zone not null
--   finished_at timestamp with time zone not null default clock_timestamp()
--   result text not null
--   outcome text
--   error_kind text
--   error_message text
--   steps jsonb not null default '{}'::jsonb
--   notes jsonb not null default '[]'::jsonb

-- health_queue
--   oldest_due_seconds double precision
--   pollers_beating integer
--   pollers_silent integer
--   messages_unclear integer

-- health_upstreams
--   name text
--   paused_seconds double precision
--   reason text
--   budget_spent boolean

-- lead_messages
--   id uuid not null default gen_random_uuid()
--   event_id uuid not null
--   lead_id text not null
--   content_key text not null
--   body text not null
--   ref text not null
--   status text not null default 'pending'::text
--   sends integer not null default 0
--   looks integer not null default 0
--   sending_at timestamp with time zone
--   sent_at timestamp with time zone
--   proof text
--   c2s_message_id text
--   contacts text[] not null default '{}'::text[]
--   created_at timestamp with time zone not null default now()

-- lead_people
--   lead_id text not null
--   cpf text not null
--   found_by text not null
--   event_id uuid not null
--   seen_at timestamp with time zone not null default now()

-- leads
--   lead_id text not null
--   name text
--   phone text
--   email text
--   closed boolean not null default false
--   facts_updated_at timestamp with time zone not null
--   first_seen_at timestamp with time zone not null default now()
--   last_seen_at timestamp with time zone not null default now()

-- people
--   cpf text not null
--   profile jsonb
--   fetched_at timestamp with time zone not null default now()
--   expires_at timestamp with time zone not null
--   first_seen_at timestamp with time zone not null default now()
--   profile_fetched_at timestamp with time zone
--   full_name text default (profile ->> 'name'::text)
--   birth_date date default make_date((substr((profile ->> 'birth_date'::text), 1, 4))::integer, (substr((profile ->> 'birth_date'::text), 6, 2))::integer, (substr((profile ->> 'birth_date'::text), 9, 2))::integer)
--   sex text default (profile ->> 'sex'::text)
--   mother text default (profile ->> 'mother'::text)
--   marital_status text default (profile ->> 'marital_status'::text)
--   education text default (profile ->> 'education'::text)
--   occupation text default (profile ->> 'occupation'::text)
--   deceased boolean default 
CASE
    WHEN (profile IS NOT NULL) THEN COALESCE(((profile ->> 'deceased'::text))::boolean, false)
    ELSE NULL::boolean
END
--   irregular text default (profile ->> 'irregular'::text)
--   income numeric(12,2) default ((profile ->> 'income'::text))::numeric
--   income_from numeric(12,2) default (((profile -> 'income_range'::text) ->> 0))::numeric
--   income_to numeric(12,2) default (((profile -> 'income_range'::text) ->> 1))::numeric
--   purchasing_power text default (profile ->> 'purchasing_power'::text)
--   credit_score integer default ((profile ->> 'credit_score'::text))::integer
--   credit_risk text default (profile ->> 'credit_risk'::text)

-- person_addresses
--   cpf text not null
--   address_key text not null
--   source text not null
--   rank integer not null
--   street_type text
--   street text
--   number text
--   complement text
--   district text
--   city text
--   state text
--   postcode text
--   first_seen_at timestamp with time zone not null
--   last_seen_at timestamp with time zone not null

-- person_companies
--   cpf text not null
--   cnpj text not null
--   source text not null
--   rank integer not null
--   name text
--   relation text
--   since date
--   active boolean
--   first_seen_at timestamp with time zone not null
--   last_seen_at timestamp with time zone not null

-- person_emails
--   cpf text not null
--   email text not null
--   source text not null
--   rank integer not null
--   priority text
--   quality text
--   personal boolean
--   blacklisted boolean
--   first_seen_at timestamp with time zone not null
--   last_seen_at timestamp with time zone not null

-- person_phones
--   cpf text not null
--   phone text not null
--   source text not null
--   rank integer not null
--   kind text
--   operator text
--   active boolean
--   whatsapp boolean
--   first_seen_at timestamp with time zone not null
--   last_seen_at timestamp with time zone not null

-- pollers
--   name text not null
--   started_at timestamp with time zone not null default now()
--   beat_at timestamp with time zone not null default now()
--   in_flight integer not null default 0
--   concurrency integer not null

-- rejected_deliveries
--   id uuid not null default gen_random_uuid()
--   raw bytea not null
--   reason text not null
--   detail text
--   lead_id text
--   headers jsonb not null default '{}'::jsonb
--   received_at timestamp with time zone not null default now()
--   replayed_at timestamp with time zone

-- schema_migrations
--   version integer not null
--   name text not null
--   checksum text not null
--   applied_at timestamp with time zone not null default now()

-- upstreams
--   name text not null
--   paused_until timestamp with time zone
--   reason text
--   probing_until timestamp with time zone
--   failures integer not null default 0
--   pauses integer not null default 0
--   next_slot_at timestamp with time zone not null default now()
--   min_interval interval not null default '00:00:00'::interval
--   daily_budget integer not null default 0
--   budget_day date not null default CURRENT_DATE
--   calls_today integer not null default 0
--   changed_at timestamp with time zone not null default now()

-- v_failures
--   error_kind text
--   events bigint
--   newest_at timestamp with time zone
--   newest_message text
--   newest_event uuid
--   newest_lead text

-- v_hit_rate
--   source text
--   kind text
--   latest bigint
--   latest_found bigint
--   earlier bigint
--   earlier_found bigint
--   fell boolean

-- v_in_flight
--   event_id uuid
--   lead_id text
--   claimed_by text
--   attempts integer
--   claimed_at timestamp with time zone
--   lease_left interval
--   deadline_left interval
--   stuck boolean

-- v_lead_history
--   lead_id text
--   at timestamp with time zone
--   what text
--   detail text
--   event_id uuid

-- v_leads
--   lead_id text
--   name text
--   closed boolean
--   first_seen_at timestamp with time zone
--   last_seen_at timestamp with time zone
--   status text
--   outcome text
--   error_kind text
--   error_message text
--   people text
--   cpfs text
--   last_told_at timestamp with time zone
--   messages bigint

-- v_messages_open
--   lead_id text
--   ref text
--   status text
--   sends integer
--   looks integer
--   for_how_long interval
--   event_id uuid
--   event_status text
--   error_kind text

-- v_people
--   cpf text
--   full_name text
--   birth_date date
--   age integer
--   sex text
--   mother text
--   marital_status text
--   education text
--   occupation text
--   deceased boolean
--   irregular text
--   income numeric(12,2)
--   income_from numeric(12,2)
--   income_to numeric(12,2)
--   purchasing_power text
--   credit_score integer
--   credit_risk text
--   has_record boolean
--   profile_fetched_at timestamp with time zone
--   fresh boolean
--   leads bigint
--   best_phone text
--   best_email text

-- v_queue
--   status text
--   waiting_for text
--   events bigint
--   due bigint
--   oldest_due_for interval
--   next_due_at timestamp with time zone

-- v_spend
--   day date
--   source text
--   kind text
--   answers bigint
--   found bigint

-- v_throughput
--   five_minutes timestamp with time zone
--   completed bigint
--   failed bigint
--   median_seconds double precision
--   p95_seconds double precision

-- webhook_events
--   id uuid not null default gen_random_uuid()
--   lead_id text not null
--   updated_at timestamp with time zone not null
--   hook_action text
--   payload_raw jsonb not null
--   status text not null default 'received'::text
--   outcome text
--   attempts integer not null default 0
--   max_attempts integer not null default 8
--   available_at timestamp with time zone not null default now()
--   claimed_by text
--   claimed_at timestamp with time zone
--   lease_token bigint not null default 0
--   lease_expires_at timestamp with time zone
--   deadline_at timestamp with time zone
--   error_kind text
--   error_message text
--   waiting_for text
--   suspect boolean not null default false
--   reprocess boolean not null default false
--   fingerprint text
--   received_at timestamp with time zone not null default now()
--   processed_at timestamp with time zone
--   payload_removed_at timestamp with time zone

-- answers_under_way: answers_under_way_pkey PRIMARY KEY (what)
-- contact_lookups: contact_lookups_kind_check CHECK ((kind = ANY (ARRAY['phone'::text, 'email'::text])))
-- contact_lookups: contact_lookups_pkey PRIMARY KEY (contact, kind, source)
-- contact_lookups: contact_lookups_source_check CHECK ((source = ANY (ARRAY['diretrix'::text, 'work_api'::text])))
-- duties: duties_pkey PRIMARY KEY (name)
-- erased_leads: erased_leads_pkey PRIMARY KEY (lead_id)
-- erasures: erasures_asked_by_check CHECK ((asked_by = ANY (ARRAY['lead'::text, 'cpf'::text])))
-- erasures: erasures_pkey PRIMARY KEY (id)
-- event_attempts: event_attempts_pkey PRIMARY KEY (event_id, lease_token)
-- event_attempts: event_attempts_result_check CHECK ((result = ANY (ARRAY['completed'::text, 'retried'::text, 'postponed'::text, 'failed'::text, 'released'::text, 'worker_lost'::text, 'taken_away'::text])))
-- lead_messages: lead_messages_lead_id_content_key_key UNIQUE (lead_id, content_key)
-- lead_messages: lead_messages_pkey PRIMARY KEY (id)
-- lead_messages: lead_messages_proof_check CHECK ((proof = ANY (ARRAY['answer'::text, 'read_back'::text, 'webhook'::text, 'person'::text])))
-- lead_messages: lead_messages_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'sending'::text, 'sent'::text])))
-- lead_messages: sending_at_from_the_first_send CHECK (((status = 'pending'::text) OR (sending_at IS NOT NULL)))
-- lead_messages: sent_is_dated CHECK (((status = 'sent'::text) = (sent_at IS NOT NULL)))
-- lead_people: lead_people_found_by_check CHECK ((found_by = ANY (ARRAY['phone'::text, 'email'::text, 'both'::text])))
-- lead_people: lead_people_pkey PRIMARY KEY (lead_id, cpf)
-- leads: leads_pkey PRIMARY KEY (lead_id)
-- people: people_cpf_check CHECK ((cpf ~ '^[0-9]{11}$'::text))
-- people: people_pkey PRIMARY KEY (cpf)
-- person_addresses: person_addresses_cpf_fkey FOREIGN KEY (cpf) REFERENCES people(cpf) ON DELETE CASCADE
-- person_addresses: person_addresses_pkey PRIMARY KEY (cpf, address_key, source)
-- person_companies: person_companies_cpf_fkey FOREIGN KEY (cpf) REFERENCES people(cpf) ON DELETE CASCADE
-- person_companies: person_companies_pkey PRIMARY KEY (cpf, cnpj, source)
-- person_emails: person_emails_cpf_fkey FOREIGN KEY (cpf) REFERENCES people(cpf) ON DELETE CASCADE
-- person_emails: person_emails_pkey PRIMARY KEY (cpf, email, source)
-- person_phones: person_phones_cpf_fkey FOREIGN KEY (cpf) REFERENCES people(cpf) ON DELETE CASCADE
-- person_phones: person_phones_pkey PRIMARY KEY (cpf, phone, source)
-- pollers: pollers_pkey PRIMARY KEY (name)
-- rejected_deliveries: rejected_deliveries_pkey PRIMARY KEY (id)
-- schema_migrations: schema_migrations_pkey PRIMARY KEY (version)
-- upstreams: upstreams_pkey PRIMARY KEY (name)
-- webhook_events: leased_if_and_only_if_processing CHECK ((((status = 'processing'::text) = (lease_expires_at IS NOT NULL)) AND ((status = 'processing'::text) = (claimed_by IS NOT NULL)) AND ((status = 'processing'::text) = (claimed_at IS NOT NULL)) AND ((status = 'processing'::text) = (deadline_at IS NOT NULL))))
-- webhook_events: outcome_only_when_completed CHECK (((outcome IS NULL) OR (status = 'completed'::text)))
-- webhook_events: processed_at_only_when_settled CHECK (((processed_at IS NULL) OR (status = ANY (ARRAY['completed'::text, 'failed'::text]))))
-- webhook_events: webhook_events_attempts_check CHECK ((attempts >= 0))
-- webhook_events: webhook_events_error_kind_check CHECK ((error_kind = ANY (ARRAY['missing_customer'::text, 'lead_not_found'::text, 'upstream_unavailable'::text, 'upstream_refused'::text, 'upstream_unreadable'::text, 'delivery_unclear'::text, 'worker_lost'::text, 'bug'::text])))
-- webhook_events: webhook_events_lead_id_check CHECK ((lead_id <> ''::text))
-- webhook_events: webhook_events_lead_id_updated_at_key UNIQUE (lead_id, updated_at)
-- webhook_events: webhook_events_max_attempts_check CHECK ((max_attempts > 0))
-- webhook_events: webhook_events_outcome_check CHECK ((outcome = ANY (ARRAY['enriched'::text, 'partial'::text, 'not_found'::text, 'unchanged'::text, 'superseded'::text, 'ignored'::text, 'erased'::text])))
-- webhook_events: webhook_events_pkey PRIMARY KEY (id)
-- webhook_events: webhook_events_status_check CHECK ((status = ANY (ARRAY['received'::text, 'processing'::text, 'completed'::text, 'failed'::text])))

CREATE UNIQUE INDEX answers_under_way_pkey ON public.answers_under_way USING btree (what);
CREATE INDEX contact_lookups_by_source ON public.contact_lookups USING btree (source, kind, fetched_at);
CREATE UNIQUE INDEX contact_lookups_pkey ON public.contact_lookups USING btree (contact, kind, source);
CREATE UNIQUE INDEX duties_pkey ON public.duties USING btree (name);
CREATE UNIQUE INDEX erased_leads_pkey ON public.erased_leads USING btree (lead_id);
CREATE UNIQUE INDEX erasures_pkey ON public.erasures USING btree (id);
CREATE INDEX event_attempts_by_age ON public.event_attempts USING btree (finished_at);
CREATE UNIQUE INDEX event_attempts_pkey ON public.event_attempts USING btree (event_id, lease_token);
CREATE INDEX lead_messages_by_event ON public.lead_messages USING btree (event_id);
CREATE UNIQUE INDEX lead_messages_lead_id_content_key_key ON public.lead_messages USING btree (lead_id, content_key);
CREATE INDEX lead_messages_open ON public.lead_messages USING btree (lead_id) WHERE (status <> 'sent'::text);
CREATE UNIQUE INDEX lead_messages_pkey ON public.lead_messages USING btree (id);
CREATE INDEX lead_messages_with_body ON public.lead_messages USING btree (created_at) WHERE (body <> ''::text);
CREATE INDEX lead_people_by_person ON public.lead_people USING btree (cpf);
CREATE UNIQUE INDEX lead_people_pkey ON public.lead_people USING btree (lead_id, cpf);
CREATE INDEX leads_by_age ON public.leads USING btree (last_seen_at);
CREATE UNIQUE INDEX leads_pkey ON public.leads USING btree (lead_id);
CREATE INDEX people_by_age ON public.people USING btree (fetched_at);
CREATE UNIQUE INDEX people_pkey ON public.people USING btree (cpf);
CREATE UNIQUE INDEX person_addresses_pkey ON public.person_addresses USING btree (cpf, address_key, source);
CREATE UNIQUE INDEX person_companies_pkey ON public.person_companies USING btree (cpf, cnpj, source);
CREATE INDEX person_emails_by_email ON public.person_emails USING btree (email);
CREATE UNIQUE INDEX person_emails_pkey ON public.person_emails USING btree (cpf, email, source);
CREATE INDEX person_phones_by_phone ON public.person_phones USING btree (phone);
CREATE UNIQUE INDEX person_phones_pkey ON public.person_phones USING btree (cpf, phone, source);
CREATE UNIQUE INDEX pollers_pkey ON public.pollers USING btree (name);
CREATE INDEX rejected_deliveries_by_age ON public.rejected_deliveries USING btree (received_at);
CREATE UNIQUE INDEX rejected_deliveries_pkey ON public.rejected_deliveries USING btree (id);
CREATE INDEX rejected_deliveries_with_bytes ON public.rejected_deliveries USING btree (received_at) WHERE (raw <> '\x'::bytea);
CREATE UNIQUE INDEX schema_migrations_pkey ON public.schema_migrations USING btree (version);
CREATE UNIQUE INDEX upstreams_pkey ON public.upstreams USING btree (name);
CREATE INDEX webhook_events_by_age ON public.webhook_events USING btree (received_at);
CREATE INDEX webhook_events_due ON public.webhook_events USING btree (available_at, id) WHERE ((status = 'received'::text) AND (NOT suspect));
CREATE INDEX webhook_events_due_alone ON public.webhook_events USING btree (available_at, id) WHERE ((status = 'received'::text) AND suspect);
CREATE UNIQUE INDEX webhook_events_lead_id_updated_at_key ON public.webhook_events USING btree (lead_id, updated_at);
CREATE UNIQUE INDEX webhook_events_one_per_lead ON public.webhook_events USING btree (lead_id) WHERE (status = 'processing'::text);
CREATE UNIQUE INDEX webhook_events_pkey ON public.webhook_events USING btree (id);
CREATE INDEX webhook_events_settled ON public.webhook_events USING btree (processed_at) WHERE (status = ANY (ARRAY['completed'::text, 'failed'::text]));
CREATE INDEX webhook_events_with_payload ON public.webhook_events USING btree (processed_at) WHERE ((status = ANY (ARRAY['completed'::text, 'failed'::text])) AND (payload_removed_at IS NULL));

CREATE TRIGGER changed_by_hand BEFORE UPDATE OF status ON public.webhook_events FOR EACH ROW WHEN (((new.status <> 'processing'::text) AND ((old.status <> 'processing'::text) OR ((new.claimed_by IS NOT NULL) AND (new.lease_token = old.lease_token))))) EXECUTE FUNCTION webhook_events_changed_by_hand();
CREATE TRIGGER erased_when_received_again BEFORE UPDATE OF status ON public.webhook_events FOR EACH ROW WHEN (((new.status = 'received'::text) AND (old.status <> 'received'::text))) EXECUTE FUNCTION keep_lead_erased();
CREATE TRIGGER erased_when_rejected BEFORE INSERT ON public.rejected_deliveries FOR EACH ROW EXECUTE FUNCTION keep_reject_erased();
CREATE TRIGGER erased_when_stored BEFORE INSERT ON public.webhook_events FOR EACH ROW EXECUTE FUNCTION keep_lead_erased();
CREATE TRIGGER inserted AFTER INSERT ON public.webhook_events FOR EACH STATEMENT EXECUTE FUNCTION webhook_events_inserted();
