"""Facts of histories as they were told when the files of stores were written: a word and free
JSON. Today each kind is a message of its own."""
import json

from tests.lib.polosd import common_pb2, history_pb2, kind_of, steps_pb2

# A kind's name of today -> what it was called then.
RENAMED = {"ADMISSION_ASKED": "TURN_ASKED", "ADMISSION_GIVEN": "TURN_GIVEN",
           "ANSWER_KEPT": "RESUME_KEPT"}
# Told of no fact today: its definition, or the parent, or the child's own history says it.
GONE = {"parent_effect", "parent_index", "max_steps", "max_total_tokens", "account"}
TASKS = {history_pb2.TASK_KIND_TOOL: "tool", history_pb2.TASK_KIND_WORKFLOW: "body"}
WAITS = {steps_pb2.STEP_KIND_SLEEP: "sleep", steps_pb2.STEP_KIND_SUSPENSION: "suspension",
         steps_pb2.STEP_KIND_EVENT: "event", steps_pb2.STEP_KIND_CHILDREN: "children",
         steps_pb2.STEP_KIND_AT_ONCE: "order"}
STOPS = {common_pb2.STOP_REASON_MAX_TURNS: "max_steps"}


def ms(time):
    return time.ToMilliseconds()


def value(text):
    """What a model sent need not be JSON."""
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text


def failure(error):
    return {"type": error.reason, "message": error.message, "stack": error.stack}


def outcome(step):
    if step.outcome.HasField("error"):
        error = step.outcome.error
        return {"error": {"type": error.type, "message": error.message, "stack": error.stack}}
    return {"value": value(step.outcome.value_json)}


def run_started(event, run_id):
    told = event.run_started
    options = told.options
    found = {"run_id": run_id, "kind": common_pb2.RunKind.Name(told.kind)[9:].lower(),
             "input": value(told.input_json), "options": value(options.provider_options_json),
             "state": value(options.initial_state_json), "max_retries": options.retry.max_retries,
             "deadline_ms": ms(event.time) + ms(options.run_timeout)}
    for name in ("name", "definition_hash", "parent_run_id", "root_run_id"):
        found[name] = getattr(told, name)
    for name in ("session_id", "user_id", "conversation_id", "idempotency_key", "queue",
                 "concurrency_key", "priority"):
        found[name] = getattr(options, name)
    return found


def tool_call(call):
    arguments = value(call.arguments_json)
    found = {"call_id": call.call_id, "name": call.name, "arguments": arguments}
    return found if isinstance(arguments, dict) else dict(found, arguments_invalid=True)


def model_replied(event, run_id):
    told = event.model_replied
    parts = told.message.parts
    reply = {"model": told.model, "origin": told.message.origin, "stop_raw": told.stop_word,
             "response_id": told.response_id,
             "tool_calls": [tool_call(part.tool_call)
                            for part in parts if part.HasField("tool_call")]}
    for name in ("text", "reasoning", "refusal"):
        reply[name] = "".join(getattr(part, name) for part in parts)
    stop = history_pb2.ReplyStop.Name(told.stop)[len("REPLY_STOP_"):].lower()
    usage = {name: getattr(told.usage, name)
             for name in ("input_tokens", "output_tokens", "cache_read_input_tokens",
                          "cache_creation_input_tokens", "reasoning_tokens")}
    return {"reply": reply, "stop": {"tool_calls": "tools"}.get(stop, stop),
            "usage": None if told.usage.incomplete else usage}


def task_settled(event, run_id):
    told = event.task_settled
    end = {"error": failure(told.error)} if told.HasField("error") else {
        "value": value(told.value_json)}
    return dict(end, state=value(told.state_json))


def wait_set(event, run_id):
    told = event.wait_set
    found = {"kind": WAITS[told.kind], "task": told.task_effect_id, "key": told.key,
             "until_ms": ms(told.deadline)}
    if told.HasField("suspension"):
        found["data"] = value(told.suspension.data_json)
    elif told.HasField("event"):
        found["data"] = {"topic": told.event.topic, "event_type": told.event.event_type}
    elif told.HasField("runs"):
        found["data"] = [{"run_id": run.id, "name": run.name} for run in told.runs.runs]
        found["children"] = len(told.runs.runs)
    return found


def wait_settled(event, run_id):
    told = event.wait_settled
    task = {"kind": WAITS[told.step.kind], "key": told.step.key, "by": told.answered_by}
    return dict(outcome(told.step), **task)


def child_settled(event, run_id):
    run = event.child_settled.run
    end = {"error": failure(run.error)} if run.HasField("error") else {
        "value": value(run.result_json)}
    return dict(end, index=event.child_settled.index, child_run_id=run.id)


def answer_kept(event, run_id):
    answer = event.answer_kept.answer
    return {"key": event.answer_kept.step_key, "by": answer.answered_by,
            "data": {"data": value(answer.data_json), "resumed_by": answer.answered_by}}


def stop_of(reason):
    return STOPS.get(reason, common_pb2.StopReason.Name(reason)[len("STOP_REASON_"):].lower())


FORMS = {
    "RUN_STARTED": run_started,
    "RUN_COMPLETED": lambda e, run_id: {"stop_reason": stop_of(e.run_completed.stop_reason)},
    "RUN_FAILED": lambda e, run_id: {"reason": e.run_failed.error.reason,
                                     "message": e.run_failed.error.message},
    "RUN_CANCELLED": lambda e, run_id: {"cause": e.run_cancelled.cause},
    "CANCEL_REQUESTED": lambda e, run_id: {
        "cause": e.cancel_requested.cause,
        "deadline_ms": ms(e.time) + ms(e.cancel_requested.grace)},
    "MODEL_REPLIED": model_replied,
    "MODEL_FAILED": lambda e, run_id: {"reason": e.model_failed.error.reason,
                                       "message": e.model_failed.error.message,
                                       "retry_at_ms": ms(e.model_failed.retry_at)},
    "TASK_REQUESTED": lambda e, run_id: {
        "kind": TASKS[e.task_requested.kind], "name": e.task_requested.name,
        "call_id": e.task_requested.call_id, "input": value(e.task_requested.input_json),
        "deadline_ms": ms(e.task_requested.deadline),
        "at_most_once": e.task_requested.on_lost == common_pb2.LOST_CALL_UNKNOWN},
    "TASK_SETTLED": task_settled,
    "TASK_FAILED": lambda e, run_id: {"error": failure(e.task_failed.error),
                                      "retry_at_ms": ms(e.task_failed.retry_at),
                                      "state": value(e.task_failed.state_json)},
    "LEASE_GRANTED": lambda e, run_id: {"host_id": e.lease_granted.host_id,
                                        "deployment": e.lease_granted.deployment},
    "LEASE_LOST": lambda e, run_id: {"cause": e.lease_lost.cause,
                                     "excused": e.lease_lost.excused},
    "STEP_SETTLED": lambda e, run_id: dict(
        outcome(e.step_settled.step), key=e.step_settled.step.key, number=e.step_settled.number,
        state=value(e.step_settled.state_json)),
    "WAIT_SET": wait_set,
    "WAIT_SETTLED": wait_settled,
    "CHILD_SETTLED": child_settled,
    "ANSWER_KEPT": answer_kept,
}


def told(event, run_id):
    """A fact in the form of then."""
    kind = kind_of(event)
    form = FORMS.get(kind)
    return {"seq": event.seq, "time_ms": ms(event.time), "effect_id": event.effect_id,
            "attempt": event.attempt, "type": RENAMED.get(kind, kind),
            "data_json": {} if form is None else form(event, run_id)}


def still_told(event):
    """A fact of a file, without what is not told of it today."""
    kept = {name: each for name, each in event["data_json"].items()
            if name not in GONE and not (event["type"] == "WAIT_SETTLED" and name == "task")}
    return dict(event, data_json=kept)
