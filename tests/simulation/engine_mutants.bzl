"""Bugs planted under the simulation of one run. The form: //bazel:mutants.bzl."""

MUTANTS = {
    "admission_kept": ("An agent whose tools all rest stays admitted.", {
        "run->admission = rests ?": "run->admission = rests && run->effect_count > 4 ?",
    }),
    "admission_not_asked": ("After a tool an agent calls its model without admission.", {
        "bool waits = draft->run.admission == ADMISSION_AWAITED;":
            "bool waits = draft->run.admission == ADMISSION_AWAITED && draft->run.turns == 0;",
    }),
    "all_refused_forgotten": ("A turn whose only call was refused has no next one.", {
        "request_tool(draft, &plan->calls[i]); } if (draft->run.effect_count == 0) {":
            """request_tool(draft, &plan->calls[i]); }
            if (draft->run.effect_count == 0 && plan->call_count > 1) {""",
    }),
    "at_most_once_again": ("A task declared at most once is offered to a second host.", {
        "if (effect.at_most_once)": "if (effect.at_most_once && effect.leases_lost > 0)",
    }),
    "at_most_once_dropped": ("That a task is declared at most once is not kept.", {
        "effect->at_most_once = event->task_requested.at_most_once;": "",
    }),
    "at_once_restarts_clock": (
        "What is done at once sets the run's clock anew, so that a loop of it never times out.",
        {
            "if (wait->kind != EFFECT_AT_ONCE) { restart_clock(run, event->time_ms); }":
                "restart_clock(run, event->time_ms);",
        },
    ),
    "attempt_ignored": ("An answer to an earlier attempt is taken for the present one.", {
        "effect->attempt != command->attempt": "effect->attempt < command->attempt",
    }),
    "attempts_one_more": ("A model call fails once more than it may.", {
        "effect->failures + 1 < ENGINE_MODEL_ATTEMPTS_MAX":
            "effect->failures < ENGINE_MODEL_ATTEMPTS_MAX",
    }),
    "call_not_held": ("A tool call does not wait for its callbacks.", {
        "if (kind == EFFECT_TOOL && run->callbacks[CALLBACK_TOOL_START] > 0) {":
            "if (kind == EFFECT_TOOL && run->callbacks[CALLBACK_TOOL_START] > 1) {",
    }),
    "callback_asked_again": ("After a callback that passed the same one is asked again.", {
        "draft_ask_one(draft, phase, callback->index + 1u, callback->owner);":
            "draft_ask_one(draft, phase, callback->index, callback->owner);",
    }),
    "callback_failure_ignored": ("A callback about a tool call fails, and nothing follows.", {
        "if (outcome->failed) { stop(draft, phase, outcome); return; }":
            """if (outcome->failed && callback->owner == 0) { stop(draft, phase, outcome);
            return; }""",
    }),
    "callback_last_skipped": ("Of several callbacks of a phase the last is not asked.", {
        "if (callback->index + 1u < draft->run.callbacks[phase]) {":
            "if (callback->index + 2u < draft->run.callbacks[phase]) {",
    }),
    "callback_of_turn_end_skipped": ("A turn without calls ends without its callbacks.", {
        "if (!draft_ask(draft, CALLBACK_TURN_END, 0)) {":
            """if (draft->run.last_stop != REPLY_STOP_TOOLS ||
            !draft_ask(draft, CALLBACK_TURN_END, 0)) {""",
    }),
    "cancelled_code_waits": ("Code that is being cancelled may wait for something new.", {
        "&& (is_full || draft->run.is_cancelling)": "&& is_full",
    }),
    "cleanup_without_time": ("Code that cleans up may take for ever.", {
        "if (is_over && before.is_cancelling)":
            """if (before.is_cancelling && before.effect_count == 1) { return VERDICT_DONE_BEFORE;
            } if (is_over && before.is_cancelling)""",
    }),
    "clock_not_restarted": (
        "The run's clock is not set anew when a wait is cut off by its task's end.",
        {
            "restart_clock(run, now_ms);": "(void)now_ms;",
        },
    ),
    "clock_runs_on": ("The run's clock goes on while all its code waits.", {
        "!states_may_owe(run, KINDS_TASK) || run->is_cancelling":
            "!states_may_owe(run, KINDS_TASK) || run->is_cancelling || run->kept_count > 0",
    }),
    "deadline_exclusive": ("A run lives on at the very millisecond of its deadline.", {
        "draft->now_ms >= before.deadline_ms": "draft->now_ms > before.deadline_ms",
    }),
    "failed_not_terminal": ("A failed run can be cancelled.", {
        """[RUN_FAILED] = {"failed", 0}""":
            """[RUN_FAILED] = {"failed", STATE_BIT(RUN_CANCELLED)}""",
        "return run->state >= RUN_COMPLETED;":
            "return run->state >= RUN_COMPLETED && run->state != RUN_FAILED;",
    }),
    "first_timeout_only": ("Of several effects whose time is up, only the first is dealt with.", {
        "time_effect(draft, &before.effects[i]);":
            "time_effect(draft, &before.effects[i]); if (draft->decision->count > 0) { break; }",
    }),
    "guardrail_last_skipped": ("Of several guardrails the last is not asked.", {
        "if (index + 1 < draft->run.callbacks[CALLBACK_REPLY]) {":
            "if (index + 2 < draft->run.callbacks[CALLBACK_REPLY]) {",
    }),
    "guardrail_no_retry": ("A reply that was turned down fails the run at once.", {
        "if (draft->run.replies_rejected > draft->run.guardrail_retries ||":
            "if (draft->run.replies_rejected > 0 ||",
    }),
    "guardrail_retries_kept": ("The retries of one turn count in the next.", {
        "run->replies_rejected = 0;": "(void)run;",
    }),
    "guardrail_takes_a_turn": ("A reply that was turned down counts as a turn.", {
        "run->turns--;": "",
    }),
    "guardrail_verdict_ignored": ("What a model holds of a reply is not minded.", {
        "if (command->reply_judged.passed) {":
            "if (command->reply_judged.passed || draft->run.turns > 1) {",
    }),
    "held_call_times_out": ("The time of a call that its callbacks hold rings an alarm.", {
        "effect_is_held(effect) ? 0 : effect->deadline_ms": "effect->deadline_ms",
    }),
    "held_time_counts": ("The time of a call runs while its callbacks are asked.", {
        "effect->deadline_ms += effect->deadline_ms == 0 ? 0 : event->time_ms - effect->since_ms;":
            "",
    }),
    "hopeless_retried": ("A failure that no other call can mend is tried again.", {
        "command->model_failed.retryable": "command->model_failed.jitter != 0",
    }),
    "inputs_dropped_by_end": ("An answer ends the run though something was said meanwhile.", {
        "bool has_said = run->inputs_open > 0 &&": "bool has_said = run->inputs_open > 1 &&",
    }),
    "inputs_in_a_pause": ("An input is put between the parts of a turn.", {
        "draft_go_on(draft); return; }": "draft_open_turn(draft); return; }",
    }),
    "inputs_not_returned": ("A cancelled run says nothing of what it was told last.", {
        "void draft_cancel(struct draft *draft, str cause) { draft_return_inputs(draft);":
            "void draft_cancel(struct draft *draft, str cause) {",
    }),
    "kept_used_twice": ("An early answer is still kept when its suspension has used it.", {
        "run->kept[i] == effect->key": "run->kept[i] == effect->key && i > 0",
    }),
    "last_child_unsettled": (
        "A wait goes on when the last of its children has ended out of order.",
        {
            "found.children_left == 1": "found.children_left == 1 && command->child_done.index > 0",
        },
    ),
    "lease_binds": (
        "A run goes over to another deployment before that one's code has done anything for it.",
        {
            "run->deployment = run->deployment == 0 ? effect->deployment : run->deployment;":
                "run->deployment = effect->deployment;",
        },
    ),
    "lease_lost_uncounted": ("A lost lease is not counted, so a task is never given up.", {
        "effect->leases_lost += event->lease_lost.is_excused ? 0 : 1;": "",
    }),
    "leases_lost_kept_by_steps": ("A settled step does not make up for the hosts lost before.", {
        "task->mismatches = 0; task->leases_lost = 0;": "task->mismatches = 0;",
    }),
    "leases_lost_kept_by_waits": ("A settled wait does not make up for the hosts lost before.", {
        "owner->waits_settled++; owner->leases_lost = 0;": "owner->waits_settled++;",
    }),
    "leases_one_more": ("A task is given to one host more than it may.", {
        "effect.leases_lost + 1 >= ENGINE_TASK_LEASES_MAX":
            "effect.leases_lost >= ENGINE_TASK_LEASES_MAX",
    }),
    "misfit_is_retry": (
        "Code that does not fit uses up a retry, and what was waited for is lost.",
        {
            "(effect->mismatches < UINT8_MAX)); return;": "(effect->mismatches < UINT8_MAX));",
        },
    ),
    "misfit_runs_out": ("The clock of a run that waits for code goes on.", {
        "!code_waits(run, effect) && !effect_is_stopped(effect)": "!code_waits(run, effect)",
    }),
    "misfit_says_state": ("Code that does not fit changes the state of its run.", {
        ".state = is_mismatch ? none : command->task.state":
            ".state = is_mismatch && none.json.len > 0 ? none : command->task.state",
    }),
    "output_no_retry": ("An answer that does not fit is not asked for again.", {
        "draft->run.outputs_rejected == draft->run.output_tries ||":
            "draft->run.outputs_rejected + 1 >= draft->run.output_tries ||",
    }),
    "output_past_limit": ("An answer is asked for again when no turn is left.", {
        "== draft->run.output_tries || draft_limit(draft).len > 0)": "== draft->run.output_tries)",
    }),
    "output_unasked_judged": ("A model's refusal is judged as if it were the answer.", {
        "&& is_answer(plan->stop);": "&& plan->stop != REPLY_STOP_TOOLS;",
    }),
    "output_uncounted": ("The tokens a model wrote are not added up.", {
        "run->output_tokens += usage->output;": "",
    }),
    "park_unseen": (
        "A task that its host lets go of before it has seen all outcomes is not given again.",
        {
            "is_ready = task->waits_settled > command->park.outcomes_seen || !waits":
                "is_ready = !waits",
        },
    ),
    "parked_stays": ("A parked task is not ready when a wait of its code ends.", {
        "owner->state == EFFECT_PARKED":
            "owner->state == EFFECT_PARKED && wait->kind != EFFECT_EVENT",
    }),
    "phase_outlives_run": ("A run that was cancelled still stands where it stood.", {
        "run->phase = PHASE_NONE;": "run->phase = next == RUN_CANCELLED ? run->phase : PHASE_NONE;",
    }),
    "refused_call_run": ("A refused tool call is run like any other.", {
        "call->refusal_type != NULL": "call->refusal_type != NULL && call->at_most_once",
    }),
    "refused_turn_forgotten": ("A loop that a callback ended says that it ended by itself.", {
        """if (run->is_turn_refused) { return STR("hook"); }""": "",
    }),
    "reissue_same_attempt": ("A call is made again under the attempt it already had.", {
        "draft_request_model(draft, command->effect, command->attempt + 1);":
            "draft_request_model(draft, command->effect, command->attempt);",
    }),
    "retry_drops_children": (
        "A run that is tried again no longer waits for the children it started.",
        {
            """close_waits_but(run, event->effect, event->time_ms,
            event->task_failed.keeps_children ? EFFECT_CHILDREN : EFFECT_NONE);""":
                "close_waits_but(run, event->effect, event->time_ms, EFFECT_NONE);",
        },
    ),
    "retry_hint_ignored": ("The server's hint shortens the wait instead of bounding it.", {
        "delay > hint ? delay : hint": "hint != 0 && hint < delay ? hint : delay",
    }),
    "retry_keeps_waits": (
        "A run that is tried again still waits for what its failed code waited for.",
        {
            """close_waits_but(run, event->effect, event->time_ms,
            event->task_failed.keeps_children ? EFFECT_CHILDREN : EFFECT_NONE);""":
                "",
        },
    ),
    "retry_never_due": ("A failed call is to be made again, but no time is noted.", {
        "effect->due_ms = event->model_failed.retry_at_ms;": "effect->due_ms = 0;",
    }),
    "run_end_skipped": ("A run that a limit ends is not asked about its end.", {
        "if (limit.len > 0) { close_run(draft, limit); return; } draft_open_turn(draft);":
            "if (limit.len > 0) { draft_complete(draft, limit); return; } draft_open_turn(draft);",
    }),
    "run_retries_one_more": ("A run is tried again once more than it may.", {
        "draft->run.retries < draft->run.retries_max":
            "draft->run.retries <= draft->run.retries_max",
    }),
    "settled_without_lease": ("A host that lost its lease settles the task.", {
        "if (effect->state != EFFECT_LEASED) { return VERDICT_STALE; } bool again":
            """if (effect->state != EFFECT_LEASED && effect->leases_lost == 0) {
            return VERDICT_STALE; } bool again""",
    }),
    "snapshot_without_steps": ("A snapshot forgets how many steps a task has settled.", {
        ".steps = effect->steps,": "",
    }),
    "step_gap_accepted": ("A step is taken although those before it are missing.", {
        "return number == task->steps + 1 ? VERDICT_OK : VERDICT_GAP;":
            "return number <= task->steps + 2 ? VERDICT_OK : VERDICT_GAP;",
    }),
    "step_repeat_settled": ("A repeated step is answered as if it were missing, not as done.", {
        "if (number <= task->steps) {": "if (number < task->steps) {",
    }),
    "step_without_lease": ("A host that lost its lease settles a step of the task.", {
        "if (task->state != EFFECT_LEASED) { return VERDICT_STALE; } if (number":
            """if (task->state != EFFECT_LEASED && task->leases_lost == 0) {
            return VERDICT_STALE; } if (number""",
    }),
    "stopped_clock_runs_out": (
        "A task that timed out while no code fitted it takes the run's time with it.",
        {
            "if (effect_is_stopped(task)) { restart_clock(run, event->time_ms); }": "",
        },
    ),
    "tokens_max_ignored": ("Only input tokens count towards the limit.", {
        "run->input_tokens + run->output_tokens >= run->tokens_max":
            "run->input_tokens >= run->tokens_max",
    }),
    "tool_end_unasked": ("A call that timed out is not shown to the callbacks behind it.", {
        "draft_after_settled(draft, effect, &outcome, outcome.error_type, STR_EMPTY); }":
            """if (draft->run.kind == RUN_KIND_AGENT && effect->kind == EFFECT_TOOL) {
            if (draft->run.effect_count == 0) { draft_turn_over(draft); } return; }
            draft_after_settled(draft, effect, &outcome, outcome.error_type, STR_EMPTY); }""",
    }),
    "turn_start_unasked": ("Only the first turn asks the callbacks of its start.", {
        "if (!draft_ask(draft, CALLBACK_TURN_START, 0)) {":
            "if (draft->run.turns > 0 || !draft_ask(draft, CALLBACK_TURN_START, 0)) {",
    }),
    "turns_max_one_more": ("An agent takes one turn more than it may.", {
        "run->turns >= run->turns_max": "run->turns > run->turns_max",
    }),
    "waiting_task_no_alarm": ("The deadline of a task that waits for a host rings no alarm.", {
        "effect_is_held(effect) ? 0 :": "effect->state != EFFECT_LEASED ? 0 :",
    }),
}

# Seeds at which rare ones were seen last: a hint of where to look first, no more.
SEEN_AT = {
    "stopped_clock_runs_out": 16443,
}
