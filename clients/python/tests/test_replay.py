"""Replay: the machine's laws, and whole executions of code that races, cut at every fact."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import random
from typing import Any

import pytest

from polos._execution.execution import CodeStopped, Execution
from polos._replay.machine import (
    CANCEL_SHOWN,
    GIVEN_UP,
    Begin,
    Diverged,
    Fact,
    Give,
    Replay,
    SayCancel,
    ShowCancel,
)
from polos._replay.ready import current_task, of_loop
from polos.v1 import host_pb2, steps_pb2


def fact(key: str, **fields: Any) -> Fact:
    return Fact(key, "step", True, key, **fields)


SHOWN = Fact("", CANCEL_SHOWN, False, None)


def gone(key: str, seen: int) -> Fact:
    return Fact(key, GIVEN_UP, False, None, seen=seen)


def idle(machine: Replay, *, busy: bool = False, stuck: bool = False):
    return machine.idle(busy=busy, stuck=lambda: stuck)


# ---- the machine ----


def test_new_keys_begin_at_once_and_are_given_in_the_order_of_their_facts():
    machine = Replay()
    assert machine.ask("a", "step") == Begin("a") and machine.ask("b", "step") == Begin("b")
    machine.settle(fact("b"))
    machine.settle(fact("a"))
    assert [idle(machine), idle(machine), idle(machine)] == [
        [Give(0, fact("b"))],
        [Give(1, fact("a"))],
        [],
    ]


def test_a_fact_nobody_asked_for_holds_back_what_is_new_until_the_code_rests():
    machine = Replay([fact("a"), fact("b")])
    assert machine.ask("new", "step") is None and machine.ask("b", "step") is None
    assert machine.is_blocked and idle(machine) == [Begin("new")]
    assert machine.ask("a", "step") is None
    assert idle(machine) == [Give(0, fact("a"))] and idle(machine) == [Give(1, fact("b"))]


def test_code_that_can_only_wait_for_another_fact_has_diverged():
    machine = Replay([fact("a")])
    assert machine.ask("b", "step") is None
    assert idle(machine, busy=True, stuck=True) == [Begin("b")]
    machine = Replay([fact("a")])
    machine.ask("b", "step")
    (told,) = idle(machine, stuck=True)
    assert isinstance(told, Diverged) and "'a' (step)" in told.message


def test_what_is_given_up_is_passed_over():
    machine = Replay([fact("a"), fact("b")])
    machine.ask("a", "step")
    machine.ask("b", "step")
    machine.withdraw("a")
    assert idle(machine) == [Give(1, fact("b"))] and machine.end() is None


def test_a_cancellation_is_shown_when_nothing_is_due_or_at_work():
    machine = Replay([fact("a")])
    machine.ask("a", "step")
    machine.cancel()
    assert machine.ask("new", "step") is None
    assert idle(machine) == [Give(0, fact("a"))]
    assert idle(machine, busy=True) == [] and idle(machine) == [SayCancel()]
    assert idle(machine) == [] and machine.insist() is None  # it is said once
    machine.settle(SHOWN)
    assert idle(machine, busy=True) == [ShowCancel(None)]
    assert machine.ask("clean up", "step") == Begin("clean up")


def test_a_cancellation_is_shown_again_where_it_was_shown():
    machine = Replay([fact("a"), SHOWN, fact("clean up")], cancelling=True)
    machine.ask("a", "step")
    assert machine.ask("at work", "step") is None
    assert idle(machine) == [Give(0, fact("a"))] and idle(machine) == [ShowCancel(None)]
    machine.withdraw("at work")
    machine.ask("clean up", "step")
    assert idle(machine) == [Give(2, fact("clean up"))] and machine.end() is None


def test_a_wait_that_was_refused_shows_the_cancellation_at_its_place():
    refused = Fact("w", "sleep", False, "no", cancels=True)
    machine = Replay([refused], cancelling=True)
    machine.ask("w", "sleep")
    assert idle(machine) == [SayCancel()] and idle(machine) == []
    machine.settle(fact("later"))
    machine.settle(SHOWN)
    assert idle(machine) == [ShowCancel("w")]
    machine = Replay([refused, fact("later"), SHOWN], cancelling=True)
    machine.ask("w", "sleep")
    assert idle(machine) == [ShowCancel("w")]


def test_what_was_given_up_is_neither_begun_nor_given_and_holds_up_what_came_after():
    machine = Replay([fact("a"), fact("late"), gone("late", 1), gone("slow", 1), fact("b")])
    assert [machine.ask(key, "step") for key in ("a", "late", "slow", "b")] == [None] * 4
    assert idle(machine) == [Give(0, fact("a"))]
    assert idle(machine) == [] and machine.is_blocked
    assert machine.withdraw("slow") is False
    assert idle(machine) == []
    assert machine.withdraw("late") is False
    assert idle(machine) == [Give(4, fact("b"))] and machine.end() is None


def test_code_that_asks_no_more_for_what_it_gave_up_goes_on_once_it_only_waits():
    machine = Replay([gone("slow", 0), fact("b")])
    machine.ask("b", "step")
    assert idle(machine) == [] and idle(machine, busy=True, stuck=True) == []
    assert idle(machine, stuck=True) == [Give(1, fact("b"))]


def test_what_a_failed_attempt_gave_up_last_is_asked_for_again():
    ended = Fact("w", "sleep", False, "given up", ends=True)
    facts = [fact("a"), ended, gone("w", 1), gone("slow", 1)]
    machine = Replay(facts, tries=1)
    machine.ask("a", "step")
    assert idle(machine) == [Give(0, fact("a"))]
    assert machine.ask("w", "sleep") == Begin("w")
    assert machine.ask("slow", "step") == Begin("slow")
    machine = Replay([*facts, fact("slow")], tries=1)  # what comes later makes it count
    machine.ask("a", "step")
    idle(machine)
    assert machine.ask("w", "sleep") is None and machine.ask("slow", "step") is None
    assert idle(machine) == []
    machine.withdraw("w")
    assert idle(machine) == [Give(4, fact("slow"))]


def test_only_what_is_news_is_said_to_be_given_up():
    machine = Replay([fact("a"), gone("b", 0)])
    machine.ask("a", "step")
    machine.ask("b", "step")
    assert machine.withdraw("b") is False and machine.withdraw("a") is True
    assert machine.withdraw("a") is False and machine.given == 0


def test_the_laws_hold_in_every_order():
    """Four keys, asked for and settled in every order, with a cut after each fact."""
    keys = "abcd"
    for settled in itertools.permutations(keys):
        for asked in itertools.permutations(keys):
            for known in range(len(keys) + 1):
                machine = Replay([fact(key) for key in settled[:known]])
                begun = [machine.ask(key, "step") for key in asked]
                given: list[str] = []
                steps = iter(settled[known:])
                while len(given) < len(keys):
                    outputs = idle(machine)
                    begun += [each for each in outputs if isinstance(each, Begin)]
                    gives = [each for each in outputs if isinstance(each, Give)]
                    assert len(gives) <= 1
                    given += [give.fact.key for give in gives]
                    if not outputs:
                        machine.settle(fact(next(steps)))
                assert tuple(given) == settled
                names = sorted(each.key for each in begun if each is not None)
                assert names == sorted(settled[known:])


# ---- whole executions ----


class Journal:
    """A simulated server: what was said to it becomes a fact when the test says so."""

    def __init__(self, keys: list[str]) -> None:
        self.keys = keys
        self.said: dict[str, int] = {}  # step numbers by key
        self.given_up: list[tuple[str, int]] = []

    def step_done(self, task_id: str, key: str, outcome: Any, state: Any) -> int:
        self.said[key] = len(self.said) + 1
        return self.said[key]

    def order(self, task_id: str, order: Any) -> bool:
        raise NotImplementedError

    def cancel_shown(self, task_id: str) -> int:
        raise NotImplementedError

    def withdraw(self, task_id: str, key: str, facts_seen: int) -> int:
        self.given_up.append((key, facts_seen))
        return len(self.said) + len(self.given_up)

    def let_go(self, task_id: str) -> bool:
        return False

    async def prepare(self, target: Any) -> None:
        raise NotImplementedError

    def find(self, name: str) -> Any:
        raise NotImplementedError


async def live(program, settled: list[str], known: int, burst: int) -> list[str]:
    """What a program did, when `known` of its facts were known and the others came `burst` at a
    time."""
    steps = [
        steps_pb2.SettledStep(key=k, outcome=steps_pb2.TaskOutcome(value_json='"x"'))
        for k in settled[:known]
    ]
    journal, trace = Journal(settled), []
    execution = Execution(host_pb2.Task(task_id="t", steps=steps), journal, 60)

    async def step(key: str) -> None:
        if await execution.recall(key, "step") is None:
            with execution.working():
                outcome = steps_pb2.TaskOutcome(value_json='"x"')
                await execution.settle(key, outcome)
        trace.append(key)

    async def code() -> None:
        await execution.begin(None)
        await program(step, trace)
        execution.check_complete()

    context = contextvars.Context()
    context.run(current_task.set, "t")
    task = context.run(asyncio.get_running_loop().create_task, code())
    coming = settled[known:]
    try:
        while not task.done():
            await asyncio.sleep(0)
            while not of_loop(asyncio.get_running_loop()).is_idle("t"):
                await asyncio.sleep(0)
            now = list(itertools.takewhile(journal.said.__contains__, coming[:burst]))
            if not now and not task.done():
                break
            coming = coming[len(now) :]
            for key in now:
                execution.durable(journal.said[key])
        assert task.done(), (settled, known, trace)
        await task
    finally:
        task.cancel()
        execution.close()
    return trace


async def nested(depth: int, work) -> Any:
    if depth == 0:
        return await work()
    (found,) = await asyncio.gather(nested(depth - 1, work))
    return found


def race(depths: dict[str, int]):
    """Every key in a task of its own, so many gathers deep; then a step named for the first."""

    async def program(step, trace) -> None:
        tasks = [
            asyncio.create_task(nested(depth, lambda key=key: step(key)), name=key)
            for key, depth in depths.items()
        ]
        done, left = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        winners = "+".join(sorted(task.get_name() for task in done))
        await step(f"won by {winners}")
        await asyncio.gather(*left)

    return program


@pytest.mark.parametrize("burst", [1, 3])
async def test_a_race_has_the_same_winner_in_every_life(burst):
    """A task that nests six gathers deep against flat ones, facts in every order."""
    depths = {"deep": 6, "flat": 0, "middle": 3}
    for first in itertools.permutations(depths):
        settled = [first[0], f"won by {first[0]}", *first[1:]]
        whole = await live(race(depths), settled, 0, 1)
        assert whole == settled
        for known in range(len(settled) + 1):
            assert await live(race(depths), settled, known, burst) == whole


async def test_random_programs_do_the_same_in_every_life():
    for seed in range(40):
        chance = random.Random(seed)
        depths = {f"k{n}": chance.randrange(7) for n in range(5)}

        async def program(step, trace, depths=depths) -> None:
            async def branch(key: str, depth: int) -> None:
                await nested(depth, lambda: step(key))
                trace.append(f"after {key} of {sorted(trace)}")
                await step(f"{key} again")

            await asyncio.gather(*(branch(key, depth) for key, depth in depths.items()))

        first = list(depths)
        chance.shuffle(first)
        settled = []
        for key in first:
            settled.insert(chance.randrange(len(settled) + 1), key)
        settled += [f"{key} again" for key in settled]
        whole = await live(program, settled, 0, 1)
        for known in range(0, len(settled) + 1, 3):
            assert await live(program, settled, known, chance.randrange(1, 5)) == whole


class Waiting(Journal):
    """Takes orders, and lets go."""

    let_go_count = 0

    def order(self, task_id: str, order: Any) -> bool:
        return True

    def let_go(self, task_id: str) -> bool:
        self.let_go_count += 1
        return True


async def test_code_is_let_go_of_only_when_it_has_seen_all_that_came():
    """What it was told nobody tells it again: it would wait for ever for what has come."""
    order = steps_pb2.StepRequest(key="for ever")
    journal, seen = Waiting([]), []
    execution = Execution(host_pb2.Task(task_id="t"), journal, 0)
    due = execution._parking._due  # as a timer of the loop at any time

    async def waits(key: str, outcome: Any = None) -> None:
        assert await execution.recall(key, "sleep") is None
        await execution.order(steps_pb2.StepRequest(key=key), "sleep")
        seen.append(key)

    async def code() -> None:
        await execution.begin(None)
        await asyncio.gather(*(waits(key) for key in ("a", "b", order.key)))

    context = contextvars.Context()
    context.run(current_task.set, "t")
    task = context.run(asyncio.get_running_loop().create_task, code())
    while len(execution._asks) < 3:
        await asyncio.sleep(0)
    for key in ("a", "b"):
        execution.settled(key, steps_pb2.TaskOutcome(value_json="null"))
        due()
    while len(seen) < 2:
        assert journal.let_go_count == 0
        due()
        await asyncio.sleep(0)
    while journal.let_go_count == 0:
        await asyncio.sleep(0.001)  # its own timer
    assert execution.parked and seen == ["a", "b"]
    execution.close()
    await asyncio.gather(task, return_exceptions=True)


async def test_code_with_a_timer_of_its_own_is_waited_for():
    async def program(step, trace) -> None:
        async def late() -> None:
            await asyncio.sleep(0.05)
            await step("late")

        await asyncio.gather(step("soon"), late())

    trace = await asyncio.wait_for(_patient(program, ["late", "soon"]), 3)
    assert trace == ["late", "soon"]


async def _patient(program, settled: list[str]) -> list[str]:
    """As live(), of a program that also waits for the clock; all its facts are known."""
    steps = [
        steps_pb2.SettledStep(key=k, outcome=steps_pb2.TaskOutcome(value_json="1"))
        for k in settled
    ]
    execution = Execution(host_pb2.Task(task_id="t", steps=steps), Journal(settled), 60)
    trace: list[str] = []

    async def step(key: str) -> None:
        assert await execution.recall(key, "step") is not None
        trace.append(key)

    async def code() -> None:
        await execution.begin(None)
        await program(step, trace)
        execution.check_complete()

    context = contextvars.Context()
    context.run(current_task.set, "t")
    await context.run(asyncio.get_running_loop().create_task, code())
    execution.close()
    return trace


async def test_a_branch_that_is_gone_from_the_code_is_told():
    async def program(step, trace) -> None:
        await step("a")
        await step("c")

    with pytest.raises(CodeStopped):
        await _patient(program, ["a", "b", "c"])


async def test_the_loop_is_as_it_was_when_nothing_is_at_work():
    loop = asyncio.get_running_loop()
    before = loop.call_soon
    ready = of_loop(loop)
    ready.add("x", lambda: None)
    assert loop.call_soon != before
    ready.remove("x")
    assert loop.call_soon == before


async def test_a_stand_in_on_top_of_ours_is_left_alone():
    loop = asyncio.get_running_loop()
    ready = of_loop(loop)
    ready.add("x", lambda: None)
    ours = loop.call_soon

    def theirs(*args: Any, **more: Any) -> Any:
        return ours(*args, **more)

    loop.call_soon = theirs
    ready.remove("x")
    assert loop.call_soon is theirs
    await asyncio.sleep(0)
    ready.add("y", lambda: None)
    ready.remove("y")
    loop.call_soon = ours
    ready.add("z", lambda: None)
    ready.remove("z")
    assert loop.call_soon != ours


async def test_tasks_of_others_do_not_hide_that_the_code_has_diverged(monkeypatch):
    monkeypatch.setattr("polos._execution.execution.DIAGNOSIS_SECONDS", 3600)
    forever = asyncio.Event()
    strangers: list[asyncio.Task[Any]] = []

    def begin_a_stranger() -> None:
        strangers.append(asyncio.ensure_future(forever.wait()))

    async def program(step, trace) -> None:
        contextvars.Context().run(begin_a_stranger)
        await step("a")
        await step("c")

    with pytest.raises(CodeStopped):
        await asyncio.wait_for(_patient(program, ["a", "b", "c"]), 10)
    for task in strangers:
        task.cancel()
