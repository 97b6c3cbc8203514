"""What the workflows and tools of a filled store do, as generators that are replayed like the code
of a user: what a task has settled is answered at once, the rest is sent to the server.

A host may hold: then code stops where it says so, and the store is left with something that is
under way. A host that does not hold brings the same runs to their ends."""
import collections
import json

from tests.lib import polosd
from tests.lib.polosd import child, common_pb2, definitions_pb2, host_pb2, steps_pb2

HOUR_MS = 3600 * 1000
LONG = 150  # Steps: more than a snapshot is apart.
LARGE = "large value " * 30000  # Kept apart from the journal.

Step = collections.namedtuple("Step", "key value state", defaults=("",))
# parks: the host lets go of the code while it waits. waits: False, the code goes on at once.
Order = collections.namedtuple("Order", "key order parks waits", defaults=(False, True))
Hold = collections.namedtuple("Hold", "")


class Failed(Exception):
    def __init__(self, kind, text, retryable=False):
        super().__init__(text)
        self.kind = kind
        self.retryable = retryable


# ---- what code waits for ----

def suspend(show=None, timeout_ms=0):
    timeout = polosd.length(timeout_ms) if timeout_ms else None
    return {"suspend": steps_pb2.Suspend(data_json=json.dumps(show), timeout=timeout)}


def sleep(length_ms):
    return {"sleep": steps_pb2.Sleep(duration=polosd.length(length_ms))}


def invoke(*names, wait=True, value=None, **options):
    children = [
        child(name, "hi", common_pb2.RUN_KIND_AGENT, **options) if name == "talker"
        else child(name, value, **options) for name in names]
    return {"start_runs": steps_pb2.StartRuns(runs=children, wait=wait)}


def await_event(topic, event_type=""):
    return {"await_event": steps_pb2.AwaitEvent(topic=topic, event_type=event_type)}


# ---- the workflows ----

def steps(task):
    for number in range(1, 4):
        yield Step("step-%d" % number, number, json.dumps({"done": number}))
    return {"input": json.loads(task.input_json), "large": LARGE}


def long(task):
    for number in range(1, LONG + 1):
        yield Step("step-%d" % number, number)
    answer = yield Order("ask", suspend("the long one"), parks=True)
    return json.loads(answer.value_json)["data"]


def fails(task):
    yield Step("tried", 1)
    raise Failed("ValueError", "no good")


def flaky(task):
    yield Step("tried", 1)
    if task.retry_count == 0:
        raise Failed("ValueError", "not yet", retryable=True)
    return task.retry_count


def broken(task):
    yield Step("tried", 1)
    if holds(task):
        raise Failed("ValueError", "not while it is filled", retryable=True)
    return "mended"


def misfit(task):
    yield Step("tried", 1)
    if holds(task):
        raise Failed("NON_DETERMINISM", "other steps")
    return "fits"


def napper(task):
    yield Step("before", 1)
    yield Order("nap", sleep(HOUR_MS // 6), parks=True)
    return "awake"


def sleeper(task):
    yield Step("before", 1)
    yield Order("nap", sleep(3 * HOUR_MS), parks=True)
    return "awake"


def dozer(task):
    yield Order("nap", sleep(3 * HOUR_MS))
    return "awake"


def asker(task):
    answer = yield Order("ask", suspend({"question": json.loads(task.input_json)}), parks=True)
    return json.loads(answer.value_json)


def held_asker(task):
    answer = yield Order("ask", suspend({"held": True}))
    return json.loads(answer.value_json)


def late(task):
    answer = yield Order("ask", suspend("hurry", 3 * HOUR_MS), parks=True)
    return answer.error.type


def lapsed(task):
    answer = yield Order("ask", suspend("too late", 1))
    return answer.error.type


def early(task):
    yield Step("before", 1)
    yield Hold()
    answer = yield Order("ask", suspend("asked after it was answered"))
    return json.loads(answer.value_json)


def kid(task):
    yield Step("only", 1)
    return json.loads(task.input_json)


def bad_kid(task):
    yield Step("only", 1)
    raise Failed("ValueError", "no good")


def slow_kid(task):
    yield Step("begun", 1)
    yield Hold()
    return "grown"


def family(task):
    kids = yield Order("kids", invoke("kid", "bad_kid", "talker", value=7))
    return [[each["status"], each.get("result")] for each in json.loads(kids.value_json)]


def parent(task):
    kids = yield Order("kids", invoke("kid", "slow_kid", "slow_kid", value=3), parks=True)
    return [each["result"] for each in json.loads(kids.value_json)]


def begetter(task):
    kids = yield Order("kids", invoke("slow_kid"), waits=False)
    if "begetter" in FAILING:
        raise Failed("ValueError", "its child is left")
    kids = yield Order("kids", invoke("slow_kid"))
    return [each["result"] for each in json.loads(kids.value_json)]


def starter(task):
    yield Order("start", invoke("kid", wait=False, value=1))
    return "started"


def listener(task):
    event = yield Order("event", await_event("news", "go"), parks=True)
    return json.loads(event.value_json)["data"]


def speaker(task):
    said = yield Order("say", {"publish": steps_pb2.Publish(
        topic="said", event_type="spoken", data_json='{"by":"speaker"}')})
    return json.loads(said.value_json)


def helper(task):
    done = yield Order("help", {"resume": steps_pb2.Resume(
        run_id=json.loads(task.input_json), step_key="ask", data_json='"helped"')})
    return json.loads(done.value_json)


def undoer(task):
    yield Step("do", 1)
    yield Order("ask", suspend("to be cancelled"), parks=True)
    return "not cancelled"


def worker(task):
    yield Hold()
    return "worked"


def mortal(task):
    yield Step("first", 1)
    return "second life"


def count(task):
    events = json.loads(task.input_json)
    yield Step("counted", len(events.get("events", [events])))
    return len(events.get("events", [events]))


def told(task):
    yield Step("told", 1)
    return json.loads(task.input_json)


# ---- the tools ----

def add(task):
    arguments = json.loads(task.input_json)
    yield Step("sum", 1)
    return arguments["a"] + arguments["b"]


def bad_tool(task):
    yield Step("tried", 1)
    raise Failed("ToolError", "it is out of order")


def look(task):
    yield Step("looked", 1)
    return "seen"


def ask_user(task):
    answer = yield Order("ask", suspend("what now?"), parks=True)
    return json.loads(answer.value_json)["data"]


def slow_tool(task):
    yield Hold()
    return "at last"


WORKFLOWS = {f.__name__: f for f in (
    steps, long, fails, flaky, broken, misfit, napper, sleeper, dozer, asker, held_asker, late,
    lapsed, early, kid, bad_kid, slow_kid, family, parent, begetter, starter, listener, speaker,
    helper, undoer, worker, mortal)}
# Started by events and by the clock.
WORKFLOWS.update(each=count, threes=count, timed=count, hourly=told, told=told, gone=told)
TOOLS = {f.__name__: f for f in (add, bad_tool, look, ask_user, slow_tool)}
# Offered by nobody while the store is filled.
LATE_TOOLS = {"later": look}
LATE_WORKFLOWS = {"offered_later": told}
EVERYTHING = {**WORKFLOWS, **LATE_WORKFLOWS, **TOOLS, **LATE_TOOLS}
TOOL = {name: definitions_pb2.ToolDefinition(id=name, parameters_json='{"type":"object"}')
        for name in (*TOOLS, *LATE_TOOLS)}
CLEANS_UP = ("undoer",)

FAILING = set()  # Names of programs that fail for now.
_holding = set()  # Of task ids: which are given to a host that holds.


def holds(task):
    return task.task_id in _holding


class Code(polosd.Host):
    """A host that runs the programs. Everything happens on the thread that receives."""

    def __init__(self, server, holds, **fields):
        super().__init__(server, **fields)
        self.holds = holds
        self.work = lambda host, task: self.begin(task)
        self.on_outcome = lambda host, outcome: self.outcome(outcome)
        self.open = {}  # task id -> Replay

    def begin(self, task):
        (_holding.add if self.holds else _holding.discard)(task.task_id)
        replay = self.open[task.task_id] = Replay(task)
        if task.cancelling:
            self.clean_up(replay)
        else:
            self.go_on(replay)

    def outcome(self, outcome):
        replay = self.open.get(outcome.task_id)
        if replay is not None and outcome.key not in replay.settled:
            replay.settled[outcome.key] = outcome.outcome
            replay.seen += 1
            self.go_on(replay)

    def cancelled(self, cancel):
        replay = self.open.get(cancel.task_id)
        if replay is not None:
            self.clean_up(replay)

    def clean_up(self, replay):
        task = replay.task
        if task.name not in CLEANS_UP:
            self.finish(task, cancelled=True, outcome=steps_pb2.TaskOutcome(
                error=steps_pb2.TaskError(type="CANCELLED", message="ended")))
            return
        self.settle(replay, Step("undo", "undone"))
        if not (self.holds and "stay" in task.input_json):
            self.finish(task, cancelled=True, outcome=steps_pb2.TaskOutcome(
                error=steps_pb2.TaskError(type="CANCELLED", message="cleaned up")))

    def go_on(self, replay):
        """As far as the code comes with what is settled."""
        code = EVERYTHING[replay.task.name](replay.task)
        try:
            item = next(code)
            while self.is_over(replay, item):
                item = code.send(replay.settled.get(getattr(item, "key", None)))
        except StopIteration as end:
            self.finish(replay.task, outcome=steps_pb2.TaskOutcome(
                value_json=json.dumps(end.value)))
        except Failed as failure:
            self.finish(replay.task, outcome=steps_pb2.TaskOutcome(error=steps_pb2.TaskError(
                type=failure.kind, message=str(failure), stack="a stack")),
                retryable=failure.retryable)

    def is_over(self, replay, item):
        """False: the code goes no further for now."""
        if isinstance(item, Hold):
            return not self.holds
        if item.key in replay.settled:
            return True
        if isinstance(item, Step):
            self.settle(replay, item)
            return True
        if item.key not in replay.asked:
            replay.asked.add(item.key)
            self.order(replay.task, item.key, **item.order)
        if item.parks:
            self.drop(replay.task.task_id)
            self.park(replay.task, seen=replay.seen)
        return not item.waits

    def settle(self, replay, step):
        replay.number += 1
        replay.settled[step.key] = steps_pb2.TaskOutcome(value_json=json.dumps(step.value))
        self.send(step_done=host_pb2.StepDone(
            task_id=replay.task.task_id, epoch=replay.task.epoch, number=replay.number,
            key=step.key, outcome=replay.settled[step.key], state_json=step.state))

    def finish(self, task, **fields):
        self.drop(task.task_id, is_held=True)
        self.send(task_done=host_pb2.TaskDone(task_id=task.task_id, epoch=task.epoch, **fields))

    def drop(self, task_id, is_held=False):
        self.open.pop(task_id, None)
        if not is_held:
            self.held.pop(task_id, None)


class Replay:
    def __init__(self, task):
        self.task = task
        self.settled = {step.key: step.outcome for step in task.steps}
        self.number = task.settled_count
        self.seen = sum(polosd.is_order(step) for step in task.steps)
        self.asked = set()
