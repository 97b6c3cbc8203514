"""Goal: each row of the failure table, as a user meets it.
Method: the real polosd, killed, restarted, drained, with hosts that die, dial again or fall silent;
what is claimed is read from the journal afterwards."""
import json
import os
import queue
import sys
import threading
import time
import unittest

import grpc

from tests.lib import polosd
from tests.lib.polosd import agents_pb2, common_pb2, definitions_pb2, host_pb2, steps_pb2

ADD = definitions_pb2.ToolDefinition(id="add", parameters_json='{"type":"object"}')
ONCE = definitions_pb2.ToolDefinition(id="pay", parameters_json='{"type":"object"}',
                                 on_lost=common_pb2.LOST_CALL_UNKNOWN)
CALL = [{"tool_calls": [{"name": "add", "arguments": {"a": 1}}]}, {"text": "got {{tool_result}}"}]


def types(events):
    return [polosd.kind_of(event) for event in events]


class Hosted(polosd.Hosted):
    LEASE_MS = 600

    def host(self, **fields):
        host = polosd.Host(self.server, **fields).start()
        self.hosts.append(host)
        return host


class Durable(Hosted):
    def test_a_start_is_there_after_a_kill_and_its_key_finds_it(self):
        run_id = self.server.start_workflow("later", {"n": 1}, key="k1")
        self.server.kill()
        self.server.start()
        self.assertEqual(self.server.start_workflow("later", {"n": 1}, key="k1"), run_id)
        self.assertEqual(self.server.get(run_id).status, common_pb2.RUN_STATUS_WAITING)
        self.host(workflows=["later"], work=lambda h, t: h.done(t, json.loads(t.input_json)["n"]))
        self.assertEqual(self.server.wait_ended(run_id).result_json, "1")

    def test_a_model_call_that_died_is_made_again_and_a_finished_one_is_not(self):
        self.server.agent("slow", CALL[:1] + [{"text": "word " * 50}], tools=[ADD],
                          options={"delta_ms": 20, "chunk": 5})
        self.host(tools=["add"], work=lambda h, t: h.done(t, 3))
        run_id = self.server.start_agent("slow")
        attempts = set()
        for answer in self.server.watch(run_id):
            if answer.HasField("delta") and answer.delta.turn == 2:
                attempts.add(answer.delta.attempt)
                break
        self.server.kill()
        self.server.start()
        shown = ""
        for answer in self.server.watch(run_id):
            if answer.HasField("delta") and answer.delta.turn == 2:
                attempts.add(answer.delta.attempt)
                shown += answer.delta.text
            if answer.HasField("ended"):
                run = answer.ended
        self.assertEqual(run.status, common_pb2.RUN_STATUS_COMPLETED)
        self.assertEqual(attempts, {1, 2})
        self.assertEqual(shown, "word " * 50)
        events = self.server.history(run_id)
        self.assertEqual(
            [(e.effect_id, e.attempt) for e in events if e.HasField("model_requested")],
            [(1, 1), (3, 1), (3, 2)])
        self.assertEqual([e.effect_id for e in events if e.HasField("model_replied")], [1, 3])

    def test_a_host_at_work_through_a_restart_keeps_its_task(self):
        at_work, go_on = threading.Event(), threading.Event()

        def work(host, task):
            at_work.set()
            threading.Thread(target=lambda: go_on.wait(20) and host.done(task, 5)).start()

        self.server.agent("a", CALL, tools=[ADD])
        host = self.host(tools=["add"], work=work)
        run_id = self.server.start_agent("a")
        self.assertTrue(at_work.wait(10))
        host.welcome.clear()
        self.server.kill()
        self.server.start()
        self.assertTrue(host.welcome.wait(10))
        go_on.set()
        run = self.server.wait_ended(run_id)
        self.assertEqual(json.loads(run.result_json), "got 5")
        self.assertEqual(len(host.tasks), 1)
        self.assertEqual(types(self.server.history(run_id)).count("LEASE_GRANTED"), 1)

    def test_a_dead_hosts_task_goes_to_another_with_its_steps(self):
        stepped = threading.Event()

        def die(host, task):
            host.step(task, 1, "first", 0)
            stepped.set()

        def finish(host, task):
            self.assertEqual(task.epoch, 2)
            self.assertEqual([(s.key, s.outcome.value_json) for s in task.steps],
                             [("first", "0")])
            host.step(task, 2, "second", 1)
            host.done(task, "done")

        first = self.host(workflows=["w"], work=die, host_id="first")
        run_id = self.server.start_workflow("w")
        self.until(run_id, "STEP_SETTLED")
        first.close()
        self.host(workflows=["w"], work=finish, host_id="second")
        run = self.server.wait_ended(run_id)
        self.assertEqual(run.result_json, '"done"')
        self.assertEqual(types(self.server.history(run_id)), [
            "RUN_STARTED", "TASK_REQUESTED", "LEASE_GRANTED", "STEP_SETTLED", "LEASE_LOST",
            "LEASE_GRANTED", "STEP_SETTLED", "TASK_SETTLED", "RUN_COMPLETED"])

    def test_an_at_most_once_tool_of_a_dead_host_is_not_sent_again(self):
        self.server.agent("payer", [
            {"tool_calls": [{"name": "pay", "arguments": {}}]}, {"text": "{{tool_result}}"},
        ], tools=[ONCE])
        got = threading.Event()
        first = self.host(tools=["pay"], work=lambda h, t: got.set(), host_id="first")
        run_id = self.server.start_agent("payer")
        self.assertTrue(got.wait(10))
        first.close()
        second = self.host(tools=["pay"], work=lambda h, t: h.done(t, 1), host_id="second")
        run = self.server.wait_ended(run_id)
        self.assertEqual(run.turns[0].tool_results[0].error.reason, "OUTCOME_UNKNOWN")
        self.assertEqual(second.tasks, [])

    def test_a_watcher_goes_on_at_its_position(self):
        self.server.agent("talker", [{"text": "abcdefghij" * 20}],
                          options={"delta_ms": 2, "chunk": 3})
        run_id = self.server.start_agent("talker")
        text, seqs, position, ended = "", [], "", None
        while ended is None:
            taken = 0
            for answer in self.server.watch(run_id, position):
                position = answer.position
                text += answer.delta.text
                if answer.HasField("fact"):
                    seqs.append(answer.fact.seq)
                if answer.HasField("ended"):
                    ended = answer.ended
                taken += 1
                if taken == 7:
                    break
        self.assertEqual(seqs, [1, 2, 3, 4])
        # The reply's fact supersedes what deltas were left when the watcher was away.
        self.assertTrue(("abcdefghij" * 20).startswith(text), text)
        self.assertEqual(json.loads(ended.result_json), "abcdefghij" * 20)

    def test_a_drained_server_lets_calls_finish_and_sends_watchers_away(self):
        self.server.agent("slow", [{"text": "x" * 40}], options={"delta_ms": 10, "chunk": 1})
        call = self.server.agents.Run.future(
            agents_pb2.AgentServiceRunRequest(agent_id="slow", input="go"))
        run_id = ""
        while not run_id:
            found = self.server.list(name="slow")
            run_id = found.runs[0].id if found.runs else ""
        watch = self.server.watch(run_id)
        next(watch)
        waits = self.server.watch(self.server.start_workflow("nobody"))
        next(waits)
        self.assertEqual(self.server.stop(), 0)
        self.assertEqual(call.result(10).run.status, common_pb2.RUN_STATUS_COMPLETED)
        with self.assertRaises(grpc.RpcError) as caught:
            list(waits)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.UNAVAILABLE)
        self.server.start()
        self.assertEqual(self.server.get(run_id).status, common_pb2.RUN_STATUS_COMPLETED)

    def test_a_drained_server_lets_model_calls_finish_and_begins_none(self):
        self.server.agent("slow", [{"text": "word " * 40,
                                    "tool_calls": [{"name": "no_such_tool", "arguments": {}}]},
                                   {"text": "done"}], options={"delta_ms": 20, "chunk": 5})
        run_id = self.server.start_agent("slow")
        for answer in self.server.watch(run_id):
            if answer.HasField("delta"):
                break
        self.assertEqual(self.server.stop(), 0)
        self.server.start()
        self.assertEqual(self.server.wait_ended(run_id).result_json, '"done"')
        asked = [(event.seq, event.attempt) for event in self.server.history(run_id)
                 if event.HasField("model_requested")]
        self.assertEqual([attempt for _, attempt in asked], [1, 1, 2])  # The second was not begun.

    def test_a_drained_server_waits_for_a_silent_model_only_so_long(self):
        self.server.options += ["--drain-ms", "300"]
        self.server.stop()
        self.server.start()
        self.server.agent("slow", [{"text": "word " * 4000}], options={"delta_ms": 1000})
        run_id = self.server.start_agent("slow")
        for answer in self.server.watch(run_id):
            if answer.HasField("delta"):
                break
        self.assertEqual(self.server.stop(), 0)
        self.assertIn("models_cut_off", self.server.log())

    def test_a_drained_server_does_not_wait_for_runs_that_wait(self):
        call = self.server.workflows.Run.future(
            polosd.workflows_pb2.WorkflowServiceRunRequest(workflow_id="nobody"))
        found = []
        while not found:
            found = self.server.list(name="nobody").runs
        began = time.monotonic()
        self.assertEqual(self.server.stop(), 0)
        self.assertEqual(call.exception(10).code(), grpc.StatusCode.UNAVAILABLE)
        self.assertLess(time.monotonic() - began, 9)  # --drain-ms is 10 s.

    def test_what_is_said_right_after_hello_is_heard(self):
        run_id = self.server.start_workflow("w")
        first = self.host(workflows=["w"], work=lambda h, t: None, host_id="one")
        self.until(run_id, "LEASE_GRANTED")
        task = None
        while task is None:
            task = first.tasks[0] if first.tasks else None
        first.close()
        held = [host_pb2.HeldTask(task_id=task.task_id, epoch=task.epoch)]
        done = host_pb2.TaskDone(task_id=task.task_id, epoch=task.epoch,
                                  outcome=steps_pb2.TaskOutcome(value_json="1"))
        self.server.kill()
        self.server.start()
        stop = threading.Event()

        def messages():
            yield polosd.hello_of(
                host_id="one", slots=1, held=held,
                workflows=[definitions_pb2.WorkflowDefinition(id="w")])
            yield polosd.envelope_of(1, task_done=done)
            stop.wait(20)

        stream = self.server.tools.Connect(messages())
        self.assertTrue(next(stream).HasField("welcome"))
        self.assertEqual(self.server.wait_ended(run_id).result_json, "1")
        stop.set()

    def test_a_full_disk_refuses_new_work_and_serves_the_rest(self):
        run_id = self.server.start_workflow("w")
        self.server.stop()
        space = os.statvfs(self.server.root)
        self.server.options += ["--free-bytes-soft", str(space.f_bavail * space.f_frsize * 2)]
        self.server.start()
        with self.assertRaises(grpc.RpcError) as caught:
            self.server.start_workflow("w")
        self.assertEqual(caught.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        self.assertEqual(polosd.details_of(caught.exception)[0], "LOW_DISK")
        self.assertEqual(self.server.get(run_id).id, run_id)
        self.host(workflows=["w"], work=lambda h, t: h.done(t, 1))
        self.assertEqual(self.server.wait_ended(run_id).result_json, "1")

    def test_a_message_sent_twice_counts_once(self):
        def work(host, task):
            host.step(task, 1, "k", 1)
            host.step(task, 1, "k", 2)
            host.step(task, 3, "gap", 3)
            host.done(task, "end")

        host = self.host(workflows=["w"], work=work)
        run_id = self.server.start_workflow("w")
        self.server.wait_ended(run_id)
        events = [e for e in self.server.history(run_id) if e.HasField("step_settled")]
        self.assertEqual([json.loads(e.step_settled.step.outcome.value_json) for e in events], [1])
        self.assertEqual([r.reason for r in host.refused], ["STEP_GAP"])

    def test_slots_are_never_overbooked_and_the_line_is_served_in_order(self):
        lock, state = threading.Lock(), {"now": 0, "most": 0, "order": []}

        def work(host, task):
            with lock:
                state["now"] += 1
                state["most"] = max(state["most"], state["now"])
                state["order"].append(json.loads(task.input_json))
                state["now"] -= 1
            host.done(task, 1)

        runs = [self.server.start_workflow("w", n) for n in range(20)]
        self.host(workflows=["w"], work=work, slots=1)
        for run_id in runs:
            self.server.wait_ended(run_id)
        self.assertEqual(state["order"], list(range(20)))
        self.assertEqual(state["most"], 1)

    def test_parallel_tool_calls_run_side_by_side(self):
        self.server.agent("many", [
            {"tool_calls": [{"name": "add", "arguments": {"n": n}} for n in range(5)]},
            {"text": "done"},
        ], tools=[ADD])
        tasks, all_here = [], threading.Event()

        def work(host, task):
            tasks.append(task)
            if len(tasks) == 5:
                for held in reversed(tasks):
                    host.done(held, json.loads(held.input_json)["n"])
                all_here.set()

        self.host(tools=["add"], work=work)
        run = self.server.wait_ended(self.server.start_agent("many"))
        self.assertTrue(all_here.is_set())
        self.assertEqual([r.result_json for r in run.turns[0].tool_results],
                         ["0", "1", "2", "3", "4"])

    def test_a_cancelled_run_tells_its_host(self):
        got = threading.Event()
        host = self.host(workflows=["w"], work=lambda h, t: got.set())
        run_id = self.server.start_workflow("w")
        self.assertTrue(got.wait(10))
        task_id = host.tasks[0].task_id
        self.server.runs.Cancel(polosd.runs_pb2.RunServiceCancelRequest(run_id=run_id))
        run = self.server.wait_ended(run_id)
        self.assertEqual(run.status, common_pb2.RUN_STATUS_CANCELLED)
        # The next task comes after the cancellation on the same stream.
        got.clear()
        other = self.server.start_workflow("w")
        self.assertTrue(got.wait(10))
        self.assertNotIn(task_id, host.held)
        host.done(host.tasks[1], 1)
        self.server.wait_ended(other)

    def test_lists_newest_first_in_pages(self):
        runs = [self.server.start_workflow("w%d" % (n % 2), n) for n in range(7)]
        request = polosd.runs_pb2.RunServiceListRequest(page_size=3)
        found = []
        while True:
            page = self.server.runs.List(request)
            found += [run.id for run in page.runs]
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        self.assertEqual(found, runs[::-1])
        statuses = [common_pb2.RUN_STATUS_WAITING, common_pb2.RUN_STATUS_FAILED]
        named = self.server.list(name="w1", statuses=statuses)
        self.assertEqual([run.id for run in named.runs], runs[5::-2])
        request.page_token = self.server.runs.List(
            polosd.runs_pb2.RunServiceListRequest(page_size=3)).next_page_token
        request.filter.name = "w1"
        with self.assertRaises(grpc.RpcError) as caught:
            self.server.runs.List(request)
        self.assertEqual(polosd.details_of(caught.exception)[1], "page_token")

    def test_a_wait_ends_with_its_run_or_its_time(self):
        wait = polosd.runs_pb2.RunServiceWaitRequest
        run_id = self.server.start_workflow("later")
        run = self.server.runs.Wait(wait(run_id=run_id, timeout=polosd.length(20))).run
        self.assertEqual(run.status, common_pb2.RUN_STATUS_WAITING)
        call = self.server.runs.Wait.future(wait(run_id=run_id))
        self.host(workflows=["later"], work=lambda host, task: host.done(task, "x"))
        self.assertEqual(call.result(20).run.result_json, '"x"')
        basic = self.server.runs.Wait(
            wait(run_id=run_id, view=polosd.runs_pb2.RUN_VIEW_BASIC)).run
        self.assertEqual((basic.result_json, list(basic.omitted_fields)),
                         ("", ["input_json", "result_json"]))
        for timeout in (0, 600001):
            with self.assertRaises(grpc.RpcError) as caught:
                self.server.runs.Wait(wait(run_id=run_id, timeout=polosd.length(timeout)))
            self.assertEqual(polosd.details_of(caught.exception)[1], "timeout")

    def test_a_copy_under_a_key_is_made_once(self):
        """Over a kill, too, and whatever became of the copy meanwhile."""
        def work(host, task):
            host.step(task, 1, "a", 1)
            host.send(task_done=host_pb2.TaskDone(
                task_id=task.task_id, epoch=task.epoch, outcome=steps_pb2.TaskOutcome(
                    error=steps_pb2.TaskError(type="ValueError", message="broken"))))
        self.host(workflows=["later"], work=work)
        run_id = self.server.start_workflow("later")
        self.server.wait_ended(run_id)
        settled = [e.seq for e in self.server.history(run_id) if e.HasField("step_settled")][0]
        fork = polosd.runs_pb2.RunServiceForkRequest(
            run_id=run_id, after_seq=settled, idempotency_key="fork")
        retry = polosd.runs_pb2.RunServiceRetryRequest(run_id=run_id, idempotency_key="retry")
        first = self.server.runs.Fork(fork), self.server.runs.Retry(retry)
        self.assertEqual([each.existed for each in first], [False, False])
        for answer in first:
            self.server.wait_ended(answer.run.id)
        self.server.kill()
        self.server.start()
        second = self.server.runs.Fork(fork), self.server.runs.Retry(retry)
        self.assertEqual([each.existed for each in second], [True, True])
        self.assertEqual([each.run.id for each in second], [each.run.id for each in first])
        self.assertEqual(second[0].run.status, common_pb2.RUN_STATUS_FAILED)
        retry.idempotency_key = "fork"
        with self.assertRaises(grpc.RpcError) as caught:
            self.server.runs.Retry(retry)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.ALREADY_EXISTS)

    def test_limits_end_an_agents_loop(self):
        self.server.agent("loop", [{"tool_calls": [{"name": "add", "arguments": {}}],
                                    "text": "again"}] * 5, tools=[ADD], max_turns=3)
        self.host(tools=["add"], work=lambda h, t: h.done(t, 1))
        run = self.server.wait_ended(self.server.start_agent("loop"))
        self.assertEqual((run.stop_reason, run.turn_count),
                         (common_pb2.STOP_REASON_MAX_TURNS, 3))
        self.assertEqual(json.loads(run.result_json), "again")

    def test_a_silent_host_is_given_up(self):
        """Half-open: the stream stays, nothing comes."""
        silent = threading.Event()

        def messages():
            yield polosd.hello_of(
                host_id="silent", slots=1, workflows=[definitions_pb2.WorkflowDefinition(id="w")])
            silent.wait(30)

        stream = self.server.tools.Connect(messages())
        self.assertTrue(next(stream).HasField("welcome"))
        run_id = self.server.start_workflow("w")
        self.assertTrue(next(stream).messages[0].HasField("task"))
        self.host(workflows=["w"], work=lambda h, t: h.done(t, 1), host_id="lively")
        self.assertEqual(self.server.wait_ended(run_id).result_json, "1")
        with self.assertRaises(grpc.RpcError):
            list(stream)
        silent.set()


class Leaving(Hosted):
    """What a host gives back goes to another at once, and is no lost lease."""

    LEASE_MS = 60000  # Nothing here waits for it.

    def given_to(self, host_id):
        """A host whose tasks are worked on by hand, and a queue of them."""
        given = queue.Queue()
        host = self.host(workflows=["w"], host_id=host_id, work=lambda h, t: given.put(t))
        self.assertTrue(host.welcome.wait(10))
        return host, given

    def passed_on(self, give_back, count):
        first, at_first = self.given_to("first")
        runs = [self.server.start_workflow("w") for _ in range(count)]
        tasks = [at_first.get(timeout=20) for _ in range(count)]
        for task in tasks:
            first.step(task, 1, "begun", 1)
        first.send(drain=host_pb2.HostDrain())  # So that it gets nothing again.
        second, at_second = self.given_to("second")
        give_back(first, tasks)
        for _ in range(count):
            task = at_second.get(timeout=20)
            self.assertEqual((task.epoch, [step.key for step in task.steps]), (2, ["begun"]))
            second.done(task, "second")
        for run_id in runs:
            self.assertEqual(self.server.wait_ended(run_id).result_json, '"second"')
        first.done(tasks[0], "too late")
        deadline = time.monotonic() + 20
        while not first.refused and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertTrue(first.refused[0].task_is_gone)

    def test_one_task(self):
        self.passed_on(lambda host, tasks: host.send(release=host_pb2.Release(
            task_id=tasks[0].task_id, epoch=tasks[0].epoch)), 1)

    def test_all_of_them(self):
        self.passed_on(
            lambda host, tasks: host.send(drain=host_pb2.HostDrain(release_all=True)), 5)

    def test_lengths_are_by_the_servers_clock(self):
        """The host says how long, so nothing is reckoned from its clock."""
        host, given = self.given_to("first")
        run_id = self.server.start_workflow("w")
        task = given.get(timeout=20)
        host.order(task, "nap", sleep=steps_pb2.Sleep(duration=polosd.length(1500)))
        self.assertEqual(host.outcomes.get(timeout=20).key, "nap")
        host.done(task, 1)
        self.server.wait_ended(run_id)
        events = {polosd.kind_of(event): event for event in self.server.history(run_id)}
        slept_ms = (events["WAIT_SETTLED"].time.ToMilliseconds() -
                    events["WAIT_SET"].time.ToMilliseconds())
        self.assertGreaterEqual(slept_ms, 1500)


class Streams(Hosted):
    """Messages doubled, late and out of order; hosts that are double, and that never answer."""

    LEASE_MS = 3000  # Some of these hosts do not beat.

    def raw(self, messages):
        """A stream of our own: what is put is sent, None ends it; its answers are read by hand."""
        messages.put(polosd.hello_of(
            host_id="raw", slots=1, workflows=[definitions_pb2.WorkflowDefinition(id="w")]))
        self.addCleanup(messages.put, None)
        stream = self.server.tools.Connect(iter(messages.get, None))
        self.assertTrue(next(stream).HasField("welcome"))
        return stream

    def step_of(self, task, seq, number, value):
        return polosd.envelope_of(seq, step_done=host_pb2.StepDone(
            task_id=task.task_id, epoch=task.epoch, number=number, key="k%d" % number,
            outcome=steps_pb2.TaskOutcome(value_json=json.dumps(value))))

    def task_of(self, stream):
        for envelope in stream:
            for message in envelope.messages:
                if message.HasField("task"):
                    return message.task
        raise AssertionError("the stream ended before there was a task")

    def values(self, run_id):
        return [json.loads(e.step_settled.step.outcome.value_json)
                for e in self.server.history(run_id) if e.HasField("step_settled")]

    def test_a_message_that_comes_again_under_its_number_is_passed_over(self):
        messages = queue.Queue()
        stream = self.raw(messages)
        run_id = self.server.start_workflow("w")
        task = self.task_of(stream)
        for value in ("first", "again", "and again"):
            messages.put(self.step_of(task, 1, 1, value))
        messages.put(self.step_of(task, 2, 2, "second"))
        for value in ("late", "later"):  # Long after the messages behind it.
            messages.put(self.step_of(task, 1, 1, value))
        outcome = steps_pb2.TaskOutcome(value_json="1")
        for _ in range(2):
            messages.put(polosd.envelope_of(3, task_done=host_pb2.TaskDone(
                task_id=task.task_id, epoch=task.epoch, outcome=outcome)))
        self.assertEqual(self.server.wait_ended(run_id).result_json, "1")
        self.assertEqual(self.values(run_id), ["first", "second"])

    def test_messages_in_the_wrong_order_end_the_stream_and_do_not_count(self):
        messages = queue.Queue()
        stream = self.raw(messages)
        run_id = self.server.start_workflow("w")
        task = self.task_of(stream)
        messages.put(self.step_of(task, 2, 2, "second"))
        messages.put(self.step_of(task, 1, 1, "first"))
        with self.assertRaises(grpc.RpcError) as caught:
            list(stream)
        self.assertEqual(polosd.details_of(caught.exception)[0], "SEQUENCE_GAP")
        self.assertEqual(self.values(run_id), [])

        def work(host, task):
            host.step(task, 1, "k1", "first")
            host.done(task, 1)

        self.host(workflows=["w"], work=work)
        self.assertEqual(self.server.wait_ended(run_id).result_json, "1")
        self.assertEqual(self.values(run_id), ["first"])

    def test_a_second_host_with_the_id_of_a_living_one_is_turned_away(self):
        at_work, go_on = threading.Event(), threading.Event()

        def work(host, task):
            at_work.set()
            threading.Thread(target=lambda: go_on.wait(20) and host.done(task, "first")).start()

        self.host(workflows=["w"], work=work, host_id="same")
        run_id = self.server.start_workflow("w")
        self.assertTrue(at_work.wait(10))
        for token in ("", "no such token"):
            twin = polosd.hello_of(host_id="same", slots=1, host_token=token,
                                   workflows=[definitions_pb2.WorkflowDefinition(id="w")])
            with self.assertRaises(grpc.RpcError) as caught:
                list(self.server.tools.Connect(iter([twin]), timeout=5))
            self.assertEqual(polosd.details_of(caught.exception)[0], "HOST_ID_TAKEN")
        go_on.set()
        self.assertEqual(self.server.wait_ended(run_id).result_json, '"first"')
        self.assertEqual(types(self.server.history(run_id)).count("LEASE_GRANTED"), 1)

    def test_a_host_that_beats_and_never_answers_is_timed_out(self):
        """Its lease lives; the call's own timeout and the run's end what it holds."""
        tool = definitions_pb2.ToolDefinition(id="hang", parameters_json='{"type":"object"}',
                                         timeout=polosd.length(400))
        self.server.agent("patient", [
            {"tool_calls": [{"name": "hang", "arguments": {}}]}, {"text": "{{tool_result}}"},
        ], tools=[tool])
        got = threading.Event()

        def work(host, task):
            if task.input_json == '"last"':
                got.set()

        host = self.host(tools=["hang"], workflows=["w"], work=work)
        run = self.server.wait_ended(self.server.start_agent("patient"))
        self.assertEqual(run.turns[0].tool_results[0].error.reason, "TIMEOUT")
        run = self.server.wait_ended(self.server.start_workflow("w", timeout_ms=900))
        self.assertEqual(run.error.reason, "DEADLINE_EXCEEDED")
        self.assertIn("while 'w' waited for the host that was at work on it", run.error.message)
        self.server.start_workflow("w", "last")
        self.assertTrue(got.wait(10))  # It comes after the interruptions on the same stream.
        self.assertEqual(list(host.held), [host.tasks[-1].task_id])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
