"""Bugs planted under the simulation of a partition. The form: //bazel:mutants.bzl."""

MUTANTS = {
    "ack_before_durable": (
        "A host is told that its step is durable before it is.",
        {
            "case VERDICT_TERMINAL: kind = &acknowledge_act; break;":
                """case VERDICT_TERMINAL: kind = &acknowledge_act;
                hosts_mark_handled(partition->hosts, receipt->session, receipt->seq); break;""",
        },
    ),
    "ack_over_open": ("An acknowledgement covers messages that are still open.", {
        """while (window->handled < window->received && *state_of(window, window->handled + 1) ==
        WINDOW_STATE_HANDLED) { window->handled++; }""":
            "window->handled = seq;",
    }),
    "active_row_stays": ("A run that has ended stays in the table that recovery reads.", {
        "if (run->row_written)": "if (!run->row_written)",
    }),
    "adopted_end_not_told": ("A successor is not told of a child that had ended before.", {
        "ending_tell(partition, successor->state.id, child, &outcome);": "(void)outcome;",
    }),
    "amended_arguments_dropped": (
        "A tool is called with what its model said, not with what hooks made of it.",
        {
            "*input = story.arguments;": "(void)input;",
        },
    ),
    "amended_result_untold": ("A model is told what a tool gave, not what hooks made of it.", {
        "kind == EVENT_INPUT_AMENDED || kind == EVENT_RESULT_AMENDED;":
            "kind == EVENT_INPUT_AMENDED;",
    }),
    "answer_feedback_dropped": ("A model is asked again and not told what was wrong.", {
        "builder->feedback = event.reply_rejected.feedback;": "(void)event;",
    }),
    "answer_fenced_rejected": ("JSON between fences is no answer.", {
        "found = is_json ? inner : found;": "found = STR_EMPTY;",
    }),
    "answer_unjudged": ("Answers are not judged by their schema.", {
        "return schema_judge(schema, json, \"answer\", own);": "return STATUS_OK;",
    }),
    "apart_holds_up_others": ("A run that cannot be read keeps the process from starting.", {
        "if (loaded.code == CODE_DATA_LOSS) { continue;": "if (false) { continue;",
    }),
    "apart_tree_not_cancelled": (
        "A child that cannot be read when its tree is cancelled is passed over.",
        {
            "if (below == BELOW_TO_CANCEL && !is_there) {":
                "if (below == BELOW_TO_CANCEL && !is_there) { return;",
        },
    ),
    "input_key_forgotten": ("What is sent twice under one key is told twice.", {
        "send->ret_existed = str_equal(event->input_accepted.data, send->data);":
            "send->ret_existed = false;",
        "search->has_other = !send->ret_existed;": "",
    }),
    "input_order_turned": ("A model is told the newest input first.", {
        "str data = builder->inputs[0];": "str data = builder->inputs[builder->input_count - 1];",
        "memmove(builder->inputs, builder->inputs + 1, builder->input_count * sizeof(data));": "",
    }),
    "pin_forgets_who_was_there": (
        "The runs of a version are counted anew in each round.",
        {"int64_t runs = (int64_t)before + pin->change;": "int64_t runs = pin->change;"},
    ),
    "deleted_beside_a_start": ("A version goes in the round in which a run begins with it.", {
        "if (is_it && pin->change > 0) {": "if (is_it && pin->change > 1000) {",
    }),
    "deleted_under_a_host": ("An agent is deleted that a host defines.", {
        "return !is_defined;": "return true;",
    }),
    "copies_are_not_pinned": ("A fork does not count among the runs of its version.", {
        "pin(self, &event->run_started.spec, 1);": "(void)self, (void)run;",
    }),
    "deleted_twice": ("Two who delete one version in a round are both told that they did.", {
        "if (at->is_under_way && str_equal(": "if (at == NULL && str_equal(",
    }),
    "built_again": ("Runs are counted again when the commit that counted them failed.", {
        "if (!definitions->is_built) { status read =": "if (false) { status read =",
    }),
    "orphans_of_given_up_go_on": ("The children that code gave up go on.", {
        "event->wait_settled.kind == EFFECT_CHILDREN && outcome->failed &&":
            "event->wait_settled.kind == EFFECT_NONE && outcome->failed &&",
    }),
    "given_up_stays_open": ("A wait that the code gave up stays open.", {
        "if (wait != NULL) { draft_withdraw_wait(":
            "if (wait != NULL && draft == NULL) { draft_withdraw_wait(",
    }),
    "given_up_not_told": ("A task does not say which key its code gave up.", {
        "fact.key = event->withdrawn.key;": "",
    }),
    "results_overtake_steps": ("A result does not say which steps stand before it.", {
        ".steps_before = steps_before}": ".steps_before = steps_before & 0}",
    }),
    "tries_not_told": ("A task does not say which tries of its steps failed.", {
        "fact.try_number = event->step_tried.try_number;": "",
    }),
    "pause_begins_anew": ("The pause before a try begins anew with every host.", {
        "fact.pause_ms = time_left(reading->partition, event->step_tried.retry_at_ms);":
            "fact.pause_ms = event->step_tried.retry_at_ms - event->time_ms;",
    }),
    "cancel_shown_twice": ("What a host says of a task's code counts as often as it is said.", {
        "if (number <= task->steps) { return VERDICT_DONE_BEFORE; }":
            "if (number <= task->steps) { number = task->steps + 1; }",
    }),
    "orphans_go_on": ("The children a failed run waited for go on.", {
        "if (awaits(&run->state, is_task ? event->effect : 0)) {": "if (false) {",
    }),
    "orphans_outlive_nobody": ("Children that outlive their parent are cancelled with it.", {
        "place->parent_effect != 0 && !place->outlives_parent &&": "place->parent_effect != 0 &&",
    }),
    "reply_lost_with_its_commit": ("A reply whose commit fails is asked for again.", {
        "if (kept != NULL) {":
            """if (kept != NULL) { request_answer(models->partition, &kept->request, NULL); }
            if (false) {""",
    }),
    "drained_calls_begin": ("A process that is to end begins model calls.", {
        "if (partition->requests.is_draining) { features_tell(": "if (false) { features_tell(",
    }),
    "renewal_left_out": ("A successor waits for a child that was cancelled and never begins.", {
        "!start_run(partition, &spec, arena, &failure, &id)) {": "(id = spec.parent, false)) {",
    }),
    "alarm_not_moved": (
        "The alarm of a run stays where it was when its events move the deadline.",
        {
            "timers_arm(partition->timers, run->state.id, row.next_deadline_ms);":
                """if (!run->row_written) { timers_arm(partition->timers, run->state.id,
                row.next_deadline_ms); }""",
        },
    ),
    "alarm_row_stays": ("The row of an alarm that was moved stays.", {
        "run->alarm_ms != 0": "run->alarm_ms != 0 && due_ms == 0",
    }),
    "answer_before_commit": (
        "Callers are answered before the batch is on disk.",
        {
            "answer_later(partition, request, NULL);":
                "request_answer(partition, request, NULL);",
        },
    ),
    "await_of_lost_round_passed_over": (
        "A wait whose end was not committed is not looked at again.",
        {
            """topic->looked = 0; topic->awaits_from = await_rows_of(topic->hash);
            if (!topic->is_type) {""": "topic->looked = 0; if (!topic->is_type) {",
        },
    ),
    "await_passed_over": ("Who awaits a topic after somebody was woken is not looked at.", {
        "topic_note_await(topic, run->state.id, wait->effect);": "(void)topic;",
    }),
    "await_row_stays": (
        "The row of a wait for an event outlives the wait.",
        {
            ".set = put_row, .over = delete_row, }; static const struct wait_kind publish_kind":
                ".set = put_row, }; static const struct wait_kind publish_kind",
        },
    ),
    "awaits_not_recovered": (
        "After a restart nobody looks for events that came before it and woke nobody.",
        {
            "look_at(loading->partition, topic, 0);": "topic->is_new = false;",
        },
    ),
    "batch_lost_with_commit": (
        "Triggers are not read again when a commit was lost.",
        {
            """status read = read_rows(self); if (!status_is_ok(read)) { log_line(LOG_ERROR,
            "triggers_unreadable" """:
                """status read = self == NULL ? read_rows(self) : STATUS_OK; if
                (!status_is_ok(read)) { log_line(LOG_ERROR, "triggers_unreadable" """,
        },
    ),
    "batch_not_looked_at_again": ("A trigger that changes does not look at the events that wait.", {
        "trigger->batch_timeout_ms = offer->batch_timeout_ms; trigger->due_ms = AT_ONCE_MS;":
            "trigger->batch_timeout_ms = offer->batch_timeout_ms;",
    }),
    "batch_not_read": ("What this very round has written of a run is not seen.", {
        "if (live != NULL && live->is_touched)": "if (live != NULL && live->is_touched && false)",
    }),
    "batch_not_recovered": (
        "After a restart a batch that is not full waits until another event comes.",
        {
            "trigger->due_ms = AT_ONCE_MS; return true;": "return true;",
        },
    ),
    "batch_not_written": ("A trigger's position is not written with the run it starts.", {
        "trigger->position = collecting.last; put_row(partition, trigger);":
            "trigger->position = collecting.last;",
    }),
    "batch_of_one_more": ("A batch may have one event more than its size.", {
        ".count_max = trigger->batch_size": ".count_max = trigger->batch_size + 1",
        "collecting.count == trigger->batch_size": "collecting.count >= trigger->batch_size",
    }),
    "batch_starts_early": ("A batch that is not full starts at once.", {
        "is_due = due_ms != 0 && partition->now_ms >= due_ms": "is_due = due_ms != 0",
    }),
    "batch_timer_not_armed": ("A batch that is not full waits until another event comes.", {
        "trigger->due_ms = due_ms;": "trigger->due_ms = 0;",
    }),
    "call_not_cancelled": (
        "The model call of a run that was cancelled goes on.",
        {
            "if (models->partition->options.models.vtable != NULL) {": "if (models == NULL) {",
        },
    ),
    "called_run_moves_ticks": ("A schedule whose run is asked for at once begins anew.", {
        "assert(schedule->row.last_tick_ms == partition->now_ms);":
            "schedule->row.base_ms = partition->now_ms;",
    }),
    "paused_schedule_knows_no_ticks": ("A paused schedule's run is not told its next tick.", {
        "bool has_ticks = schedule->zone != NULL;":
            "bool has_ticks = schedule->zone != NULL && schedule->pause == NULL;",
    }),
    "queue_in_use_deleted": ("A queue is deleted in which runs wait.", {
        "bool is_idle = report.running == 0 && report.waiting == 0;":
            "bool is_idle = report.running == 0;",
    }),
    "released_in_vain": ("A task that its host gave back counts as lost.", {
        ".lease_lost = {.cause = message->text, .is_excused = true}":
            ".lease_lost = {.cause = message->text, .is_excused = false}",
    }),
    "set_aside_in_vain": ("A host is not set aside.", {
        "session->is_set_aside = true;": "(void)session;",
    }),
    "changed_schedule_catches_up": (
        "A schedule with other ticks catches up those before it was changed.",
        {
            "if (!is_same_time)": "if (!is_same_time && row->base_ms == 0)",
        },
    ),
    "child_not_told": ("A parent is not told of a child that was cancelled.", {
        "uuid_is_zero(place->parent) || place->parent_effect == 0":
            """uuid_is_zero(place->parent) || place->parent_effect == 0 || run->state.state ==
            RUN_CANCELLED""",
    }),
    "cleanup_waits_for_admission": ("Code that was cancelled waits for admission to clean up.", {
        "effect->kind == EFFECT_BODY && !run->state.is_cancelling": "effect->kind == EFFECT_BODY",
    }),
    "default_queue_ignored": ("A workflow's own queue is not asked for.", {
        "spec->kind == RUN_KIND_WORKFLOW": "spec->kind == RUN_KIND_TOOL",
    }),
    "definition_not_pinned": (
        "A run read again goes on with another definition than it was begun with.",
        {
            """return status_make(CODE_DATA_LOSS, "the run's start names no definition"); }""":
                """return status_make(CODE_DATA_LOSS, "the run's start names no definition"); } if
                (definitions_of(partition)->newest != NULL) { hash.ptr = (const char
                *)definitions_of(partition)->newest->hash; }""",
        },
    ),
    "deleted_schedule_comes_back": ("A schedule that is deleted stays on disk.", {
        "static const enum index_kind kinds[] = {INDEX_SCHEDULE, INDEX_SCHEDULE_INPUT,":
            "static const enum index_kind kinds[] = {INDEX_SCHEDULE_INPUT,",
    }),
    "deleted_schedule_fires": ("A schedule that is deleted stays in memory.", {
        "schedule_drop(schedules_of(partition), schedule);": "(void)schedule_drop;",
    }),
    "delta_ahead": ("A delta carries the number of an event that is not committed yet.", {
        ".seq = run->durable_seq,": ".seq = run->state.seq,",
    }),
    "drop_not_written": ("Which events are dropped is not written.", {
        "put_row(partition, topic); if (last >= from)": "if (last >= from)",
    }),
    "dropped_event_stays": ("The last event that is dropped stays on disk.", {
        "for (; from <= up_to && *budget > 0;": "for (; from < up_to && *budget > 0;",
        "return from > up_to ? OWED_DONE": "return from >= up_to ? OWED_DONE",
    }),
    "dropped_events_shown": ("Events that were dropped are still shown.", {
        "replay->sequence = replay->sequence + 1 < first ?":
            "replay->sequence = replay->sequence + 2 < first ?",
    }),
    "ended_hides_below": ("A cancellation does not pass through a run that has ended.", {
        "return engine_is_terminal(run) ? BELOW_TO_PASS : BELOW_TO_CANCEL;":
            "return engine_is_terminal(run) ? BELOW_DONE : BELOW_TO_CANCEL;",
        "return row.status == RUN_STATUS_CANCELLED ? BELOW_DONE : BELOW_TO_PASS;":
            "return row.status == RUN_STATUS_CANCELLED ? BELOW_DONE : BELOW_DONE;",
    }),
    "event_after_batch_missed": ("The event after a full batch is passed over.", {
        "trigger->position = collecting.last;":
            "trigger->position = collecting.last + (is_full && trigger->batch_size > 1);",
    }),
    "expect_wrong_epoch": (
        "After a restart a host is expected to hold its task under the epoch before.",
        {
            "hosts_expect(partition->hosts, ref, effect->attempt,":
                "hosts_expect(partition->hosts, ref, effect->attempt - 1,",
        },
    ),
    "fork_keeps_times": ("The facts of a fork keep the times they had.", {
        "(int64_t)(partition->now_ms - point.time_ms)": "0",
    }),
    "fork_begun_too_early": ("A fork goes on before it has all the facts it begins with.", {
        "if (run->state.seq < copy->row.after_seq) { return OWED_GOES_ON; }":
            "if (run->state.seq < copy->row.after_seq / 2) { return OWED_GOES_ON; }",
        "assert(run->state.seq == row.after_seq);": "",
    }),
    "fork_forgotten": ("After a restart a run that is still copied is taken for a whole one.", {
        "run->is_copying = !engine_is_terminal(&run->state) && *find(self, run->state.id) != NULL;":
            "run->is_copying = self == NULL;",
    }),
    "half_fork_is_heard": ("Who waits for an event is told of it while its history is copied.", {
        "remember(room, state->seq + 1, event);": "note_set(self, run, state->seq + 1, event);",
    }),
    "handover_skips": (
        "A watcher that comes back in the middle of a record is not shown its rest.",
        {
            "TRY(journal_record_start(source, run, replay->seq + 1, &replay->next));":
                "replay->next = replay->seq + 1;",
        },
    ),
    "history_without_end": ("A run that passes the limit of its history goes on.", {
        "engine_is_terminal(&run->state) || run->history_bytes <= limit_of(histories)":
            "engine_is_terminal(&run->state) || run->history_bytes > limit_of(histories)",
    }),
    "history_shrinks": ("What a run's history holds is counted from its last snapshot on.", {
        "run->history_bytes = history_bytes;": "run->history_bytes = 0;",
    }),
    "joined_with_a_gap": ("What comes while a watcher is read for is not kept.", {
        "if (followed != NULL && followed->reading > 0) {":
            "if (followed != NULL && followed->reading > 9999) {",
    }),
    "joined_too_early": ("What is kept no more, for its size, is taken to have been seen.", {
        "followed->lost = kept->number;": "",
    }),
    "joined_behind_the_end": ("Who was read for while the run ended waits for more.", {
        "followed->has_ended = true;": "",
    }),
    "joined_in_doubt": ("A commit of unknown outcome is not shown to who is read for.", {
        "followed->lost = followed->reading > 0 ? number : 0;": "followed->lost = 0;",
    }),
    "joined_before_it_was_shown": ("A watcher joins before all that the round did was shown.", {
        ".at = {[ROUND_COMMITTED] = settle}, .record_put":
            ".at = {[ROUND_SEALS] = settle}, .record_put",
    }),
    "more_unheard": ("That a peer can take more, said while it was read for, is forgotten.", {
        "follower->may_go_on = is_read_for(follower);": "follower->may_go_on = false;",
    }),
    "key_limit_one_more": ("A key runs one more than its limit.", {
        "key->running < limit": "key->running <= limit",
    }),
    "key_not_written": ("An idempotency key is known until the end of the round only.", {
        "store_batch_put(&partition->batch, STORE_IDEMPOTENCY,":
            "if (len == 0) store_batch_put(&partition->batch, STORE_IDEMPOTENCY,",
    }),
    "last_tick_not_told": ("A run is told its own tick as the one before.", {
        """put_time(&writer, "last_timestamp", schedule->row.last_tick_ms);""":
            """put_time(&writer, "last_timestamp", tick_ms);""",
    }),
    "late_event_missed": ("Every fourth event of a topic wakes nobody who awaits it.", {
        "if (matches)": "if (matches && event->sequence % 4 != 0)",
    }),
    "limits_not_written": ("Limits that change are not written.", {
        """store_batch_put(&partition->batch, STORE_INDEX, key_index(key, partition->options.space,
        INDEX_QUEUE, offer->name), buf_str(&value));""":
            """if (!is_defined) { store_batch_put(&partition->batch, STORE_INDEX, key_index(key,
            partition->options.space, INDEX_QUEUE, offer->name), buf_str(&value)); }""",
    }),
    "limits_wait_for_a_start": ("New limits hold only when something else happens in the queue.", {
        "queue_set_limits(queue, limits); make_busy(order, queue);":
            "queue_set_limits(queue, limits);",
    }),
    "losses_all_excused": (
        "Every lost lease is excused, not only those nobody knows to have been given.",
        {
            "lose_tasks(hosts, session, session->state == SESSION_EXPECTED, cause);":
                "lose_tasks(hosts, session, true, cause);",
        },
    ),
    "lost_not_told": ("The tasks of a host whose lease ran out are lost in silence.", {
        "hosts->options.lost(hosts->options.context, &loss);":
            "if (session->link != NULL) hosts->options.lost(hosts->options.context, &loss);",
    }),
    "lower_priority_first": ("Within a key the lower priority goes first.", {
        "left->priority > right->priority": "left->priority < right->priority",
    }),
    "new_child_not_cancelled": (
        "A child started in the round of its parent's cancellation lives on.",
        {
            "uuid_equal(children->fresh[i].parent, parent)) { run_ids_add(":
                "uuid_equal(children->fresh[i].parent, parent) && i > 99) { run_ids_add(",
        },
    ),
    "newest_goes_first": ("Of the same priority the run that was started last goes first.", {
        "memcmp(left->task.run.bytes, right->task.run.bytes, sizeof(uuid)) < 0":
            "memcmp(left->task.run.bytes, right->task.run.bytes, sizeof(uuid)) > 0",
    }),
    "not_sent_again": ("A host that resumes its session is not sent again what it missed.", {
        "session->written = session->outbound.acknowledged;":
            "session->written = session->outbound.acknowledged + 1;",
    }),
    "oldest_tick_caught_up": (
        "What was missed is caught up by the oldest tick, and then the next.",
        {
            "next_ms <= now_ms": "next_ms <= tick_ms",
            "assert(schedule->due_ms == 0 || schedule->due_ms > partition->now_ms);": "",
        },
    ),
    "outcomes_not_told_again": (
        "Outcomes of a commit that did happen after all are not told to their hosts.",
        {
            "if (hosts_can_tell(partition->hosts, ref)) {": "if (false) {",
        },
    ),
    "owed_lost_with_commit": (
        "What was owed before a commit that failed is forgotten with it.",
        {
            "forget_all(owings); owings->is_unread = true;": "forget_all(owings);",
        },
    ),
    "owed_row_not_put": (
        "What a round left owed is in memory only.",
        {
            "if (item->number == 0 || item->is_moved)": "if (item->is_moved)",
        },
    ),
    "owed_row_stays": ("What was owed and is done keeps its row.", {
        "} else if (number != 0) { delete_row(owings, lane, number);":
            "} else if (number != 0 && lane == NULL) { delete_row(owings, lane, number);",
    }),
    "park_lost": ("A task parked by a round whose commit fails is not ready again.", {
        "!act->run->is_touched": "act->run->is_touched && false",
    }),
    "park_not_released": ("A parked task keeps its slot.", {
        "event->kind == EVENT_TASK_FAILED || event->kind == EVENT_TASK_PARKED":
            "event->kind == EVENT_TASK_FAILED",
    }),
    "parked_without_alarm": ("After a restart, a run that waits for a host has no deadline.", {
        "timers_arm(partition->timers, row.run, row.due_ms);": "",
    }),
    "place_kept_when_ended": (
        "A run that has ended keeps its place in the queue.",
        {
            """.has_begun = body->attempt > 0, }; queue_order_wait(queues_in(partition), &place,
            &waiting); } else""":
                """.has_begun = body->attempt > 0, }; queue_order_wait(queues_in(partition), &place,
                &waiting); } else if (body != NULL)""",
        },
    ),
    "place_kept_when_parked": (
        "Code that is parked keeps its place in the queue.",
        {
            """.has_begun = body->attempt > 0, }; queue_order_wait(queues_in(partition), &place,
            &waiting); } else""":
                """.has_begun = body->attempt > 0, }; queue_order_wait(queues_in(partition), &place,
                &waiting); } else if (body == NULL || body->state != EFFECT_PARKED)""",
        },
    ),
    "place_not_recovered": (
        "A run at work holds no place until it is recovered.",
        {
            "features_tell(partition, reread, run); runs_recover_later(":
                """if (run->state.id.bytes[0] == 255) { features_tell(partition, reread, run); }
                runs_recover_later(""",
        },
    ),
    "queue_limit_one_more": ("A queue runs one more than its limit.", {
        "queue->running < queue->limits.concurrency": "queue->running <= queue->limits.concurrency",
    }),
    "rate_counts_all_admissions": ("To go on after a wait counts as a beginning.", {
        "is_start = effect->attempt == 0;": "is_start = true;",
    }),
    "rate_forgotten_at_restart": ("After a restart the rate looks back at nothing.", {
        "{INDEX_QUEUE_START, visit_start},": "",
    }),
    "rate_not_waited_for": ("The process is not woken when the rate lets the next one begin.", {
        "due_ms == 0 || queue->due_ms < due_ms ? queue->due_ms : due_ms":
            "queue->due_ms == 0 ? 1 : due_ms",
    }),
    "rate_one_more": ("One more may begin than the rate says.", {
        "queue->start_count < rate": "queue->start_count <= rate",
    }),
    "reads_before_reload": (
        "Reads of a failed round show events that were never committed.",
        {
            "if (act.kind->is_read) {":
                """if (act.kind->is_read) { act.kind->perform(partition, &act);
                arena_reset(&partition->scratch); } else if (act.kind->name == NULL) {""",
        },
    ),
    "recovery_repeats_calls": (
        "Recovery after a failed commit makes a call again that is in flight.",
        {
            """effect->kind == EFFECT_MODEL && effect->state == EFFECT_READY &&
            room_of(models->partition, run)->call == 0""":
                "effect->kind == EFFECT_MODEL && effect->state == EFFECT_READY",
        },
    ),
    "recovery_without_calls": (
        "Recovery does not make the model calls again that died with the process.",
        {
            """effect->kind == EFFECT_MODEL && effect->state == EFFECT_READY &&
            room_of(models->partition, run)->call == 0""":
                """effect->kind == EFFECT_MODEL && effect->state == EFFECT_READY &&
                room_of(models->partition, run)->call != 0""",
        },
    ),
    "pause_not_written": ("That a schedule is paused is not written.", {
        "store_batch_put(&partition->batch, STORE_INDEX, row, pause->cause);": "(void)row;",
    }),
    "paused_schedule_fires": ("A schedule that is paused starts runs.", {
        "if (schedule->pause != NULL) { return": "if (schedule->due_ms == 1) { return",
    }),
    "replaced_input_stays": ("A schedule that is replaced goes on with its old input.", {
        "put_or_delete(partition, INDEX_SCHEDULE_INPUT, id, offer->input);":
            """if (is_new || !schedule->row.has_input || offer->input.len == 0) {
            put_or_delete(partition, INDEX_SCHEDULE_INPUT, id, offer->input); }""",
    }),
    "row_without_priority": ("The row of a run that waits for admission forgets its priority.", {
        "row->priority = place.priority;": "",
    }),
    "row_without_queue": ("The row of a run that waits for admission does not say so.", {
        "first->attempt > 0;": "first->attempt > 0; memset(row->queue, 0, sizeof(row->queue));",
    }),
    "served_key_stays_first": ("A key that was served is still the first.", {
        "key->served = ++key->queue->served;": "",
    }),
    "slot_not_released": (
        "A settled task keeps its slot.",
        {
            "act_add(partition, &release_act, run)->effect = event->effect;":
                "act_add(partition, &release_act, run)->effect = event->effect + 1;",
        },
    ),
    "slot_not_released_when_unknown": (
        "A task settled by a commit of unknown outcome keeps its slot.",
        {
            "release_again(tasks->partition, run, &acts[i]);": "(void)run;",
        },
    ),
    "slots_overbooked": ("A host is given a task more than it has slots.", {
        "session->held.count < session->slots &&": "session->held.count <= session->slots &&",
    }),
    "snapshot_without_tail": ("A run is loaded as its snapshot, without the events after it.", {
        "key_journal(from, space, id, run->state.seq + 1)":
            "key_journal(from, space, id, run->snapshot_seq > 0 ? UINT32_MAX : run->state.seq + 1)",
    }),
    "subscriber_skips": ("A subscriber that was read for is passed over what came meanwhile.", {
        "if (replay->after_ms != 0) {":
            "replay->sequence += replay->sequence > 3; if (replay->after_ms != 0) {",
    }),
    "subscriber_sees_all_types": ("One of a type is shown what else came while it was read for.", {
        "if (wants(follower, str_make(kept->label, kept->label_len))) {":
            "if (kept->label_len + 1 > 0) {",
    }),
    "start_during_sweep": (
        "Runs start in a tree while a cancellation passes through it.",
        {
            "return kind->must_wait != NULL && kind->must_wait(partition, run);":
                "return kind->must_wait != NULL && partition == NULL && run == NULL;",
        },
    ),
    "started_when_cancelled": (
        "Code that cleans up may start runs.",
        {
            "if (step->run->state.is_cancelling) {":
                "if (step->run->state.is_cancelling && wanted->waits) {",
        },
    ),
    "suspension_row_misdated": (
        "The row of a suspension is looked for under another time when it is over.",
        {
            "suspension_row_tail(effect->since_ms,": "suspension_row_tail(partition->now_ms,",
        },
    ),
    "task_without_steps": ("A task is given to its next host without the last step it settled.", {
        ".step_count = replay.count,": ".step_count = replay.count > 0 ? replay.count - 1 : 0,",
    }),
    "text_repeated": ("A watcher that was slow is shown the text of a call from its start again.", {
        "mark->offset = delta->offset;": "",
    }),
    "tick_lost_with_commit": (
        "Schedules are not read again when a commit was lost.",
        {
            """status read = load(self); if (!status_is_ok(read)) { log_line(LOG_ERROR,
            "schedules_unreadable" """:
                """status read = self == NULL ? load(self) : STATUS_OK; if
                (!status_is_ok(read)) { log_line(LOG_ERROR, "schedules_unreadable" """,
        },
    ),
    "tick_not_waited_for": ("The process is not woken by a new schedule's first tick.", {
        "schedules_find_next(schedules); return schedule->due_ms;": "return schedule->due_ms;",
    }),
    "tick_not_written": ("How far a schedule has come is not written with the run.", {
        """assert(schedule->due_ms == 0 || schedule->due_ms > partition->now_ms);
        schedule_put_row(partition, schedule);""":
            "assert(schedule->due_ms == 0 || schedule->due_ms > partition->now_ms);",
    }),
    "tick_of_downtime_lost": ("Ticks that came while the process was down are forgotten.", {
        "schedule_set_row(partition, schedule_add(":
            """row.base_ms = partition->now_ms > row.base_ms ? partition->now_ms : row.base_ms;
            schedule_set_row(partition, schedule_add(""",
    }),
    "tick_overtakes": ("A tick starts a run while the one before is at work.", {
        "return engine_is_terminal(&run->state) ? is_over : STATUS_OK;": "return is_over;",
    }),
    "unpaused_catches_up": ("A schedule that goes on has the ticks of its pause.", {
        "unpause(partition, schedule);": "(void)unpause; schedule_put_row(partition, schedule);",
    }),
    "tree_ends_not_counted": ("A run that has ended counts in its tree.", {
        "change(trees, place->root, false);": "(void)trees;",
    }),
    "trigger_begins_at_first": ("A new trigger begins with the topic's first event.", {
        "status found = topic_last(partition, offer->topic, &trigger->position);":
            "status found = STATUS_OK; trigger->position = 0;",
    }),
    "waits_not_answered": (
        "Who waits for a run is not told that a commit of unknown outcome ended it.",
        {
            "answer(callers, run);":
                "(void)callers;",
        },
    ),
    "list_end_row_missing": ("A run that was cancelled is not listed by its end.", {
        "return kind == EVENT_RUN_FAILED ? RUN_STATUS_FAILED : RUN_STATUS_CANCELLED;": "return 4;",
    }),
    "list_from_half_an_index": ("Runs are listed by an index that is not complete yet.", {
        "*ret = built.is_complete;": "*ret = !uuid_is_zero(built.last);",
        """if (found.code == CODE_NOT_FOUND) { return STATUS_OK; } TRY(found);
        TRY(run_index_built_decode(bytes, &built));""":
            """if (found.code == CODE_NOT_FOUND) { *ret = true; return STATUS_OK; } TRY(found);
            TRY(run_index_built_decode(bytes, &built));""",
    }),
    "list_without_the_root": ("A list of a tree without children leaves its root out.", {
        "bool is_bare = listing->place->is_of_tree && listing->examined == 0;":
            "bool is_bare = listing->place->is_of_tree && listing->examined == SIZE_MAX;",
    }),
    "list_root_has_no_row": ("A list of a tree with children leaves its root out.", {
        "put_row(partition, RUN_BY_TREE, root, spec->root);": "(void)root;",
    }),
    "list_row_of_a_tree_missing": ("A run two below its root is no run of the tree.", {
        "put_row(partition, RUN_BY_TREE, root, run);":
            "put_row(partition, RUN_BY_TREE, spec->depth > 1 ? STR_EMPTY : root, run);",
    }),
    "early_wait_forgotten": ("Who waits for a fact is told when the time is up.", {
        "if (has_early(callers, run->state.id) || (is_asked": "if ((is_asked",
    }),
    "early_wait_too_early": ("Who waits for a fact after another is told of that one.", {
        "(wait->or_after_seq != 0 && state->seq > wait->or_after_seq);":
            "(wait->or_after_seq != 0 && state->seq >= wait->or_after_seq);",
    }),
    "list_row_lost_in_build": ("The last run of a round is left out when the index is made.", {
        "building->runs++; lists->next[building->set].last = run;":
            """building->runs++; lists->next[building->set].last = run;
            if (building->runs == 2) { lists->built[building->set].last = run; }""",
    }),
    "read_first_host": ("A run is shown with the first host that had its task, not the last.", {
        """return effect_is_task(effect) && effect->state == EFFECT_LEASED &&
        read->ret.hosts[index].len == 0;""":
            "return effect_is_task(effect) && effect->state == EFFECT_LEASED;",
    }),
    "read_page_skips": ("A page of a journal ends with a record that the next one leaves out.", {
        "page->next = seq;": "page->next = seq + 1;",
    }),
    "read_tail_turned": ("The newest records of a run are given in the wrong order.", {
        "records[count - 1 - i] = read->tail[i];": "records[1 + i] = read->tail[i];",
    }),
    "suspension_row_off_by_one": ("The row of a suspension names the fact before it.", {
        "suspension_row_value(wait->seq, value);": "suspension_row_value(wait->seq - 1, value);",
    }),
    "wake_lost": ("A wake-up whose commit failed is not repeated.", {
        "look_at(partition, topic, 0); } static void doubt_all(":
            "look_at(partition, topic, 0); topic->is_new = false; } static void doubt_all(",
    }),
    "watchers_not_reread": (
        "Watchers are not shown what a commit of unknown outcome did write.",
        {
            "if (it->place == FOLLOWER_LIVE && it->number < number) { read_on(":
                "if (it->place == FOLLOWER_LIVE && it->number < number && number == 0) { read_on(",
        },
    ),
    "deleted_rows_stay": ("The row of how a deleted run ended stays among the lists.", {
        "delete_byte(partition, RUN_BY_END, row->status, run);":
            "delete_byte(partition, RUN_BY_KIND, 1, run);",
    }),
    "deletion_forgets_the_rest": ("Of a history that is deleted in parts the second part stays.", {
        "*ret_over = seq == 0;": "*ret_over = true;",
    }),
    "deletion_of_anothers": ("A retry's deletion takes the runs that it shares with the first.", {
        "return !status_is_ok(read) || uuid_equal(spec.root, root);":
            "return !status_is_ok(read) || uuid_equal(spec.root, root) || seq_of(root) == 0;",
    }),
    "deletion_skips": ("A run below one that is deleted is passed over.", {
        "owed->cursor = below.ids[i]; } *ret_over = below.count < limit;":
            "owed->cursor = below.ids[below.count - 1]; } *ret_over = below.count < limit;",
    }),
    "refused_deletion_counts": ("A run whose deletion was refused by the store is forgotten.", {
        "runs_drop_forgotten(partition, false);": "(void)partition;",
    }),
    "answer_to_several": ("A key that may mean two suspensions answers the open one.", {
        "(meant.open_count == 1 && was_asked)":
            "(meant.open_count == 1 && was_asked && answer == NULL)",
    }),
    "misfit_answers": ("An answer that does not fit its suspension's schema counts.", {
        """status judged = status_is_ok(found) ?
        answer_judge(schema, resume->data, answer->arena) : found;""":
            "status judged = found;",
    }),
    "misfit_kept_answers": ("A kept answer that does not fit counts when its suspension comes.", {
        "step->command.step_request.kept_misfit = str_of(judged.why); return;": "(void)judged;",
    }),
    "schema_forgotten": ("What is read again asks for any answer.", {
        "*ret_schema = search.last.answer_schema;": "*ret_schema = STR_EMPTY;",
    }),
    "place_of_question_lost": ("A suspension is not found where it stands in its journal.", {
        "note_seq(keys, run, STEP_KEY_ASKED, event->effect, seq);":
            "note_seq(keys, run, STEP_KEY_ASKED, event->effect + 1, seq);",
    }),
    "place_of_kept_lost": ("A kept answer is not found where it stands in its journal.", {
        "note_seq(keys, run, STEP_KEY_KEPT, engine_key(event->resume_kept.key), seq);":
            "note_seq(keys, run, STEP_KEY_KEPT, 1 + engine_key(event->resume_kept.key), seq);",
    }),
    "misfit_drops_what_fits": ("A kept answer is dropped where the suspension has a schema.", {
        "if (!status_is_ok(judged)) { step->command.step_request.kept_misfit = str_of(judged.why);":
            """if (judged.code != CODE_OK || step->command.step_request.answer_schema.len > 0) {
                step->command.step_request.kept_misfit = STR("why");""",
    }),
    "kept_beside_open": ("An answer is kept while other suspensions are open.", {
        "others.open_count > 0": "others.open_count > SUSPENSIONS_MEANT_MAX",
    }),
    "question_below_not_over": ("That one below a root is over is in no row of the root.", {
        "change(keys, (struct change){.tail = step_key_row_tail(root, STEP_KEY_OVER_BELOW,":
            "(void)root; change(keys, (struct change){.tail = step_key_row_tail(id.run, 2,",
    }),
    "question_below_unseen": ("Those open below a root are not looked for.", {
        "add_open(finding->meant, id);": "(void)id;",
    }),
    "unread_alarms_wait": ("After a failed read sleepers oversleep for a minute.", {
        "(may_pass ? READ_AGAIN_MS : SPAN_MS)": "(may_pass ? SPAN_MS : SPAN_MS)",
    }),
    "unread_doubt_goes_on": (
        "A round decides before what the failed one changed was read anew.",
        {
            "if (!round_is_certain(partition)) {":
                "if (!round_is_certain(partition) && runs->doubt_ms == 1) {",
        },
    ),
    "unread_forgotten": ("A run that could not be read for a moment is not read again.", {
        "unread_add(partition->runs.unread, id, partition->now_ms + READ_AGAIN_MS);": "(void)id;",
    }),
    "unread_gift_lost": ("A task that could not be read when it was to be given is forgotten.", {
        """hosts_release(partition->hosts, ref);
        runs_recover_later(partition, run, partition->now_ms + READ_AGAIN_MS);""":
            "hosts_release(partition->hosts, ref);",
    }),
    "unread_key_is_new": ("A key that cannot be looked up starts a second run.", {
        "if (found.code == CODE_NOT_FOUND) { return false; } if (!status_is_ok(found)) {":
            "if (found.code != CODE_OK) { return false; } if (!status_is_ok(found)) {",
    }),
    "unread_limits_lost": ("A queue's limits that could not be read anew are gone.", {
        "round_doubt(((struct queues_feature *)self)->partition, read);": "(void)self;",
    }),
    "unread_list_is_short": ("An open suspension that could not be read is not listed.", {
        "listing->status = read; } else if (search.is_found) {": "} else if (search.is_found) {",
    }),
    "unread_not_recovered": ("What a run was to be read for is not made up for.", {
        "run->was_unread = true; runs_recover_later(partition, run, partition->now_ms);":
            "(void)run;",
    }),
    "unread_outcome_not_told": ("An outcome that could not be read is never told.", {
        """runs_recover_later(partition, run, partition->now_ms + READ_AGAIN_MS); } }
        void step_request_settle(""": "(void)run; } } void step_request_settle(",
    }),
    "unread_round_committed": ("A round is committed though a read it needed has failed.", {
        "if (spoilt != NULL) {": "if (spoilt != NULL && partition->batch.count == 99999) {",
    }),
    "unread_slot_stays": ("A slot stays taken when the run could not be read.", {
        "keep_doubt(tasks, &acts[i]);": "(void)keep_doubt;",
    }),
    "tree_doubt_forgotten": ("Who follows a tree misses what a lost commit has written.", {
        "follow_read_again(&watchers->trees, root_of(watchers->partition, run));": "",
    }),
    "tree_end_untold": ("Who follows a tree is not told that it has ended.", {
        "act_add(partition, &tree_end_act, NULL)->run_id = root;": "(void)tree_end_act;",
    }),
    "tree_ends_with_root": ("A tree has ended when its root has.", {
        "ret->has_ended = row.status > RUN_STATUS_WAITING && live == 0;":
            "ret->has_ended = row.status > RUN_STATUS_WAITING;",
    }),
    "tree_root_unordered": ("A root with children has its facts in no order.", {
        "place->is_alone = false; put_facts(": "put_facts(",
    }),
    "unread_tree_counted_anew": ("A tree whose row could not be read is counted anew.", {
        "if (!status_is_ok(read) && store_may_pass(read)) { round_spoil(partition, read); } else":
            "",
    }),
    "unread_trigger_begins_early": ("A new trigger whose topic was not read begins with 0.", {
        """topic_last(partition, offer->topic, &trigger->position);
        if (!status_is_ok(found) && store_may_pass(found)) {""":
            "topic_last(partition, offer->topic, &trigger->position); if (false) {",
    }),
    "low_disk_starts": ("With little space left, triggers, forks and retries go on.", {
        "return !stats.is_low_on_space;": "return true;",
    }),
    "piece_told_twice": ("A piece of what a host is owed is told again.", {
        "cursor->told += (uint32_t)page.count;": "cursor->told += 0 * (uint32_t)page.count;",
    }),
    "refused_with_its_round": ("A host is refused by facts that were never committed.", {
        "static const struct act_kind acknowledge_act = {":
            """static void refuse_all_the_same(struct partition *partition, const struct act *act,
            const struct failure *failure) { (void)failure; perform_refuse(partition, act); }
            static const struct act_kind acknowledge_act = {""",
        ".perform = perform_refuse, .abandon = abandon_receipt":
            ".perform = perform_refuse, .abandon = refuse_all_the_same",
    }),
    "lost_call_answers_nobody": ("A reply whose run was dropped meanwhile is not taken.", {
        "} else if (!lost_calls_take(&models->lost, done->call, &lost)) {": "} else {",
    }),
    "lost_call_made_at_once": ("A call is made again before what waits was heard.", {
        "} else if (!lost_calls_have(&models->lost, run->state.id, effect)) {": "} else {",
    }),
    "lost_call_never_made": ("A call whose reply did not come is not made again.", {
        "const struct effect made = *effect; call_again(partition, run, &made);": "(void)effect;",
    }),
    "language_passed_over": ("A history is given to code of any language.", {
        "return language == 0 || language == language_of(offered);":
            "return language == 0 || offered != 0;",
    }),
    "held_text_shown": ("Text is streamed that guardrails have not let pass.", {
        "if (run != NULL && !is_held) {": "(void)is_held; if (run != NULL) {",
    }),
    "judged_for_another": ("The model is asked for a turn where it is to judge.", {
        "if (!effect_is_judgement(effect)) {": "if (true) {",
    }),
    "lost_tasks_not_named": ("A host that dials again is not told what it lost.", {
        "lost[lost_count++] = hello->held[i];": "lost[lost_count] = hello->held[i];",
    }),
    "revoked_key_comes_back": ("A key that was revoked is good again after a restart.", {
        "key->revoked_ms = now_ms; put(table, key, batch);":
            "key->revoked_ms = now_ms; (void)batch;",
    }),
}

# Where they were seen last, if late: tried first, to save time.
SEEN_AT = {
    "awaits_not_recovered": 585,
    "called_run_moves_ticks": 618,
    "deletion_of_anothers": 249,
    "list_row_lost_in_build": 229,
    "misfit_answers": 134,
    "misfit_drops_what_fits": 222,
    "more_unheard": 151,
    "paused_schedule_knows_no_ticks": 374,
    "recovery_repeats_calls": 121,
    "refused_with_its_round": 237,
    "renewal_left_out": 422,
    "results_overtake_steps": 71,
    "schema_forgotten": 134,
    "start_during_sweep": 188,
    "unread_tree_counted_anew": 104,
}
