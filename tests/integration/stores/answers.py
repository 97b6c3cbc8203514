"""What the API says of a store, as plain values, and how two of them are compared. Nothing else
here knows the fields of an answer: when the API renames one, a row in RENAMED says what the
expected files call it."""
import collections.abc
import hashlib
import json

import grpc

from tests.integration.stores import facts
from tests.lib.polosd import (common_pb2, queues_pb2, runs_pb2, schedules_pb2, suspend_pb2,
                              topics_pb2)

# "Message.field" of today -> what it was called when the files were written.
RENAMED = {
    "Run.turns": "steps",
    "Run.created_at": "created_at_ms",
    "Run.ended_at": "ended_at_ms",
    "Run.deadline": "deadline_ms",
    "Run.run_timeout": "run_timeout_ms",
    "Turn.text": "content",
    "ToolResult.name": "tool_name",
    "Waiting.since": "since_ms",
    "Waiting.deadline": "deadline_ms",
    "QueueDefinition.rate_period": "rate_period_ms",
    "Schedule.id": "schedule_id",
    "Schedule.name": "workflow_id",
    "Schedule.next_tick": "next_tick_ms",
    "Schedule.last_tick": "last_tick_ms",
    "Schedule.created_at": "created_at_ms",
    "TopicEvent.created_at": "created_at_ms",
    "Suspension.created_at": "since_ms",
    "Suspension.deadline": "deadline_ms",
}
# Parts whose fields were those of the whole.
WITHIN = {"Schedule.spec"}
STOPS = {"MAX_TURNS": "max_steps", "UNSPECIFIED": ""}
WAITS = {"CHILDREN": "child", "PLACE": "model"}


def run_then(run, found):
    """What the fields of a run said that are told in another way today."""
    found["total_steps"] = run.turn_count + run.step_count
    found["steps_left_out"] = run.turn_count - len(run.turns)
    stop = common_pb2.StopReason.Name(run.stop_reason)[len("STOP_REASON_"):]
    found["stop_reason"] = STOPS.get(stop, stop.lower())
    for wait, told in zip(run.waiting, found["waiting"]):
        kind = common_pb2.Waiting.Kind.Name(wait.kind)[len("KIND_"):]
        told["kind"] = WAITS.get(kind, kind.lower())
        if kind in ("TASK", "HOST"):
            told["kind"] = "workflow" if run.kind == common_pb2.RUN_KIND_WORKFLOW else "tool"
        told["name"] = wait.name or wait.step_key


def turn_then(turn, found):
    """A result repeated what its call had been given."""
    given = {call.call_id: call.arguments_json for call in turn.tool_calls}
    for result in found["tool_results"]:
        result["arguments_json"] = given[result["call_id"]]


def suspension_then(suspension, found):
    answer = suspension.answer
    found["open"] = suspension.state == suspend_pb2.Suspension.STATE_OPEN
    found["resumed_by"] = answer.answered_by
    found["answer_json"] = answer.data_json
    found["resumed_at_ms"] = answer.answered_at.ToMilliseconds()


THEN = {"Run": run_then, "Turn": turn_then, "Suspension": suspension_then}
# Not compared: sentences for people that are made when somebody asks.
LEFT_OUT = {"Waiting.message"}
TEXT_MAX = 200  # Longer text is known by its length and hash.


def ask(server, topics):
    """Everything the store can be asked for."""
    runs = listed(server)
    histories = {run_id: [shortened(facts.told(event, run_id)) for event in server.history(run_id)]
                 for run_id in runs}
    return {
        "runs": {run_id: plain(server.get(run_id)) for run_id in runs},
        "histories": histories,
        "lists": lists(server, runs),
        "suspensions": suspensions(server),
        "asked": {run_id: one for run_id in runs for one in [asked(server, run_id)] if one},
        "queues": paged(server.queues.List, queues_pb2.QueueServiceListRequest, "queues"),
        "schedules": paged(server.schedules.List, schedules_pb2.ScheduleServiceListRequest,
                           "schedules"),
        "topics": {topic: [plain(answer.event) for answer in server.topics.Subscribe(
            topics_pb2.TopicServiceSubscribeRequest(topic=topic)) if answer.HasField("event")]
                   for topic in topics},
    }


def listed(server, **fields):
    return [run["id"] for run in paged(server.runs.List, runs_pb2.RunServiceListRequest, "runs",
                                       filter=runs_pb2.RunFilter(**fields))]


def lists(server, runs):
    found = {"all": runs}
    for kind in ("AGENT", "WORKFLOW", "TOOL"):
        found["kind " + kind] = listed(server, kind=getattr(common_pb2, "RUN_KIND_" + kind))
    for status in ("COMPLETED", "FAILED", "CANCELLED"):
        found["status " + status] = listed(
            server, statuses=[getattr(common_pb2, "RUN_STATUS_" + status)])
    for deployment in ("one", "two"):
        found["deployment " + deployment] = listed(server, deployment=deployment)
    found["name kid"] = listed(server, name="kid")
    for run_id in runs:
        below = listed(server, parent_run_id=run_id)
        if below:
            found["parent " + run_id] = below
    return found


def suspensions(server):
    return paged(server.suspend.List, suspend_pb2.SuspendServiceListRequest, "suspensions")


def asked(server, run_id):
    """The run's suspension under the key that all programs use; None: it has none."""
    try:
        return plain(server.suspend.Get(suspend_pb2.SuspendServiceGetRequest(
            run_id=run_id, step_key="ask")).suspension)
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.NOT_FOUND:
            raise
        return None


def paged(call, request, field, **fields):
    found, token = [], ""
    while True:
        page = call(request(page_size=20, page_token=token, **fields))
        found += [plain(each) for each in getattr(page, field)]
        token = page.next_page_token
        if not token:
            return found


def plain(message):
    """Unset values too: what is not set is an answer."""
    found = {}
    for field in message.DESCRIPTOR.fields:
        name = "%s.%s" % (message.DESCRIPTOR.name, field.name)
        if name in LEFT_OUT:
            continue
        name = RENAMED.get(name, field.name)
        value = getattr(message, field.name)
        if isinstance(value, collections.abc.MutableSequence):
            found[name] = [plain_value(field, each) for each in value]
        elif field.message_type is not None and field.message_type.file.package != "polos.v1":
            found[name] = value.ToMilliseconds()  # An instant or a length; 0: not set.
        elif "%s.%s" % (message.DESCRIPTOR.name, field.name) in WITHIN:
            found.update(plain(value))
        elif field.message_type is not None and not message.HasField(field.name):
            found[name] = None
        else:
            found[name] = plain_value(field, value)
    if message.DESCRIPTOR.name in THEN:
        THEN[message.DESCRIPTOR.name](message, found)
    return found


def plain_value(field, value):
    if field.message_type is not None:
        return plain(value)
    if field.enum_type is not None:
        return field.enum_type.values_by_number[value].name
    if field.name == "data_json" and value:
        return shortened(json.loads(value))
    return shortened(value)


def shortened(value):
    if isinstance(value, dict):
        return {key: shortened(each) for key, each in value.items()}
    if isinstance(value, list):
        return [shortened(each) for each in value]
    if isinstance(value, str) and len(value) > TEXT_MAX:
        digest = hashlib.sha256(value.encode()).hexdigest()[:16]
        return "%s... %d characters, %s" % (value[:20], len(value), digest)
    return value


def differences(expected, found, path=""):
    """Sentences. A field that was not there when the file was written is no difference."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return [line for key, value in expected.items() for line in (
            differences(value, found[key], "%s.%s" % (path, key)) if key in found
            else ["%s.%s: is missing" % (path, key)])]
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        return [line for i, value in enumerate(expected)
                for line in differences(value, found[i], "%s[%d]" % (path, i))]
    return [] if expected == found else ["%s: %s, not %s" % (path, brief(found), brief(expected))]


def brief(value):
    text = json.dumps(value)
    return text if len(text) <= TEXT_MAX else "%s... (%d characters)" % (text[:TEXT_MAX], len(text))


def compare(expected, found, moving):
    """Sentences. Of a run in `moving`, which goes on as soon as the server is there, only the facts
    that were written count, and that it is there."""
    lines = differences(sorted(expected["runs"]), sorted(found["runs"]), "runs")
    for run_id, events in expected["histories"].items():
        now = found["histories"].get(run_id, [])
        now = now[:len(events)] if run_id in moving else now
        told = [facts.still_told(event) for event in events]
        lines += differences(told, now, "history of " + run_id)
    for run_id, run in expected["runs"].items():
        if run_id not in moving:
            lines += differences(run, found["runs"].get(run_id), "run " + run_id)
    for name, ids in expected["lists"].items():
        lines += differences(*[[each for each in all_ids if each not in moving]
                               for all_ids in (ids, found["lists"].get(name, []))], "list " + name)
    for one in expected["asked"].values():
        if not one["answer_json"]:
            del one["resumed_at_ms"]  # When it timed out is no time of an answer today.
    for part in ("suspensions", "asked", "queues", "schedules", "topics"):
        lines += differences(expected[part], found[part], part)
    return lines
