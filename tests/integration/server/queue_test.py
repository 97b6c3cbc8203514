"""Goal: limits, keys, priorities and rates hold on the real server, across waits, hosts and kills.
Method: the real polosd and a host written from the protocol, which holds what it is given until
told otherwise; the journal says what was granted when."""
from datetime import timedelta
import json
import sys
import time
import unittest

import grpc

from tests.lib import polosd
from tests.lib.polosd import (agents_pb2, child, common_pb2, definitions_pb2, history_pb2,
                              options_of, queues_pb2, steps_pb2, workflows_pb2)

QUEUED = common_pb2.Waiting.KIND_QUEUE


def definition(name, limit=0, per_key=0, rate=0, period_ms=0):
    period = timedelta(milliseconds=period_ms) if period_ms else None
    return queues_pb2.QueueDefinition(name=name, concurrency_limit=limit, per_key_limit=per_key,
                                      rate_limit=rate, rate_period=period)


class Queues(polosd.Hosted):
    def host(self, *workflows, queues=(), own=(), **fields):
        fields.setdefault("work", lambda host, task: self.tasks.put(task))
        host = polosd.Host(self.server, workflows=workflows, **fields)
        host.hello["queues"] = list(queues)
        for workflow in host.hello["workflows"]:
            workflow.queue = dict(own).get(workflow.id, "")
        host.start()
        self.hosts.append(host)
        self.assertTrue(host.welcome.wait(10))
        return host

    def put(self, name, **limits):
        return self.server.queues.Put(queues_pb2.QueueServicePutRequest(
            queue=definition(name, **limits))).queue

    def start(self, workflow="w", name="", key="", priority=0, **options):
        return self.server.workflows.Start(workflows_pb2.WorkflowServiceStartRequest(
            workflow_id=workflow, options=options_of(
                queue=name, concurrency_key=key, priority=priority, **options))).run_id

    def agent(self, agent="a", name="", key="", priority=0, **options):
        return self.server.agents.Start(agents_pb2.AgentServiceStartRequest(
            agent_id=agent, input="hello", options=options_of(
                queue=name, concurrency_key=key, priority=priority, **options))).run_id

    def types(self, run_id):
        return [polosd.kind_of(e) for e in self.server.history(run_id)]

    def count(self, name):
        """(running, waiting) of one queue."""
        found = self.server.queues.Get(queues_pb2.QueueServiceGetRequest(name=name)).queue
        return found.running, found.waiting

    def quiet(self, name, running, waiting):
        """What was asked before has been dealt with: the server answers in order."""
        self.assertEqual(self.count(name), (running, waiting))
        self.assertTrue(self.tasks.empty())

    def granted_ms(self, run_id):
        return [e.time.ToMilliseconds() for e in self.server.history(run_id)
                if e.HasField("lease_granted")]

    def test_a_parent_is_asked_for_the_place_its_child_needs(self):
        host = self.host("w", queues=[definition("one", limit=1), definition("other")])
        run_id = self.start(name="one")
        task = self.task()
        host.order(task, "elsewhere", start_runs=steps_pb2.StartRuns(
            runs=[child("w", queue="other")], wait=True))
        host.done(self.task(), 1)  # It needs no place of that queue.
        host.order(task, "alone", start_runs=steps_pb2.StartRuns(
            runs=[child("w", queue="one")], wait=False))  # Nobody waits for it.
        host.order(task, "kid", start_runs=steps_pb2.StartRuns(
            runs=[child("w", queue="one", priority=1)], wait=True))
        asked = host.yields.get(timeout=20)
        self.assertEqual((asked.task_id, asked.epoch), (task.task_id, task.epoch))
        self.assertTrue(host.yields.empty())
        host.park(task, seen=2)
        kid = self.task()
        self.assertEqual(self.server.get(kid.run_id).parent_run_id, run_id)

    def test_a_grandparent_is_asked_for_the_place(self):
        host = self.host("w", queues=[definition("one", limit=1)])
        self.start(name="one")
        top = self.task()
        host.order(top, "mid", start_runs=steps_pb2.StartRuns(runs=[child("w")], wait=True))
        mid = self.task()
        self.assertTrue(host.yields.empty())
        host.order(mid, "low", start_runs=steps_pb2.StartRuns(
            runs=[child("w", queue="one", priority=1)], wait=True))
        asked = host.yields.get(timeout=20)
        self.assertEqual((asked.task_id, asked.epoch), (top.task_id, top.epoch))
        host.park(top)
        low = self.task()
        self.assertEqual(self.server.get(low.run_id).parent_run_id, mid.run_id)
        self.assertTrue(host.yields.empty())

    def test_an_attempt_that_waits_for_a_child_is_asked_again(self):
        host = self.host("w", queues=[definition("two", limit=2)])
        run_id = self.start(name="two")
        task = self.task()
        host.order(task, "kid", start_runs=steps_pb2.StartRuns(
            runs=[child("w", queue="two")], wait=True))
        self.assertEqual(host.yields.get(timeout=20).epoch, task.epoch)
        self.assertEqual(self.server.get(self.task().run_id).parent_run_id, run_id)
        host.failed(task, "ValueError", "broken", retryable=True)
        again = self.task()
        self.assertEqual(again.run_id, run_id)
        asked = host.yields.get(timeout=20)
        self.assertEqual((asked.task_id, asked.epoch), (again.task_id, again.epoch))
        self.assertGreater(again.epoch, task.epoch)

    def test_keys_share_a_queue(self):
        host = self.host("w", queues=[definition("mail", limit=3, per_key=2)])
        runs = {self.start(name="mail", key=key): key for key in "aaaabbbb"}
        first = [self.task() for _ in range(3)]
        self.assertEqual([runs[t.run_id] for t in first], ["a", "a", "b"])
        self.quiet("mail", 3, 5)
        waiting = self.server.get(list(runs)[3]).waiting[0]
        self.assertEqual((waiting.kind, waiting.name, waiting.message),
                         (QUEUED, "mail", "queue mail runs 3 of 3; 1 is ahead of it"))
        host.done(first[0], 1)  # Of a: b was served last, but a is the one with room and turn.
        later = [self.task()]
        self.assertEqual(runs[later[0].run_id], "a")
        for task in first[1:] + later:
            host.done(task, 1)
        for _ in range(4):
            host.done(self.task(), 1)
        for run_id in runs:
            self.assertEqual(self.server.wait_ended(run_id).status, common_pb2.RUN_STATUS_COMPLETED)
            self.assertEqual(len(self.granted_ms(run_id)), 1)
        self.quiet("mail", 0, 0)

    def test_priority_and_changed_limits(self):
        host = self.host("w")
        self.put("mail", limit=1)
        low = [self.start(name="mail", priority=p) for p in (0, -1, 0, 5)]
        order = []
        for _ in low:
            task = self.task()
            order.append(low.index(task.run_id))
            host.done(task, 1)
        self.assertEqual(order, [0, 3, 2, 1])
        for _ in range(4):
            self.start(name="mail")
        self.task()
        self.quiet("mail", 1, 3)
        after = self.put("mail", limit=3)
        self.assertEqual(after.definition.concurrency_limit, 3)
        self.task(), self.task()
        self.quiet("mail", 3, 1)

    def test_a_kill_keeps_line_and_places(self):
        host = self.host("w", queues=[definition("mail", limit=2)])
        runs = [self.start(name="mail", key=str(i % 3)) for i in range(9)]
        held = [self.task(), self.task()]
        self.quiet("mail", 2, 7)
        host.welcome.clear()
        self.server.kill()
        self.server.start()
        self.assertTrue(host.welcome.wait(10))
        self.assertEqual(self.count("mail"), (2, 7))
        for task in held:
            host.done(task, 1)
        for _ in range(7):
            host.done(self.task(), 1)
        for run_id in runs:
            self.assertEqual(self.server.wait_ended(run_id).status, common_pb2.RUN_STATUS_COMPLETED)
            self.assertEqual(len(self.granted_ms(run_id)), 1)

    def test_a_lost_host_gives_its_places_up(self):
        first = self.host("w", queues=[definition("mail", limit=1)], host_id="one")
        runs = [self.start(name="mail"), self.start(name="mail")]
        lost = self.task()
        first.close()
        second = self.host("w", host_id="two")
        again = self.task()  # After the lease.
        self.assertEqual((again.run_id, again.epoch), (lost.run_id, 2))
        self.assertEqual(self.count("mail"), (1, 1))
        second.done(again, 1)
        second.done(self.task(), 1)
        for run_id in runs:
            self.server.wait_ended(run_id)

    def test_children_wait_in_their_parents_queue(self):
        host = self.host("w", "child", queues=[definition("mail", limit=1)])
        parent = self.start(name="mail")
        task = self.task()
        children = [child("child", queue="mail")] * 2
        host.order(task, "both", start_runs=steps_pb2.StartRuns(runs=children, wait=True))
        self.server.queues.List(queues_pb2.QueueServiceListRequest())
        host.park(task, 0)
        for _ in children:
            given = self.task()
            self.assertEqual((given.name, given.parent_run_id), ("child", parent))
            self.assertEqual(self.count("mail")[0], 1)
            host.done(given, 1)
        again = self.task()
        self.assertEqual(again.run_id, parent)
        host.done(again, 2)
        self.assertEqual(json.loads(self.server.wait_ended(parent).result_json), 2)

    def test_a_rate_is_kept_by_the_clock(self):
        self.host("w", queues=[definition("mail", rate=2, period_ms=700)],
                  work=lambda host, task: host.done(task, 1))
        runs = [self.start(name="mail") for _ in range(6)]
        for run_id in runs:
            self.server.wait_ended(run_id)
        times = sorted(self.granted_ms(run_id)[0] for run_id in runs)
        for earlier, later in zip(times, times[2:]):
            self.assertGreaterEqual(later - earlier, 700)
        self.assertLess(times[-1] - times[0], 700 * 4)

    def test_cancelled_in_line(self):
        host = self.host("w", queues=[definition("mail", limit=1)])
        first, second, third = (self.start(name="mail") for _ in range(3))
        task = self.task()
        self.server.runs.Cancel(polosd.runs_pb2.RunServiceCancelRequest(run_id=second))
        self.assertEqual(self.server.wait_ended(second).status, common_pb2.RUN_STATUS_CANCELLED)
        host.done(task, 1)
        self.assertEqual(self.task().run_id, third)
        self.assertEqual(self.server.wait_ended(first).status, common_pb2.RUN_STATUS_COMPLETED)

    def test_a_deadline_in_line_says_so(self):
        self.host("w", queues=[definition("mail", limit=1)])
        self.start(name="mail")
        run = self.server.wait_ended(self.start(name="mail", timeout_ms=50))
        self.assertEqual(run.error.reason, "DEADLINE_EXCEEDED")
        self.assertIn("queue mail runs 1 of 1; it is next", run.error.message)
        self.assertEqual(self.count("mail"), (1, 0))

    def test_the_workflows_own_queue(self):
        self.host("w", own={"w": "mail"}, queues=[definition("mail", per_key=1)])
        self.start(key="acme")
        self.start(key="acme")
        self.task()
        self.quiet("mail", 1, 1)
        self.host("v", own={"v": "unheard-of"}, host_id="two")
        self.assertEqual(self.count("unheard-of"), (0, 0))

    def delete(self, name):
        self.server.queues.Delete(
            queues_pb2.QueueServiceDeleteRequest(name=name))

    def test_a_queue_is_deleted_when_nothing_is_in_it(self):
        def refused(name):
            with self.assertRaises(grpc.RpcError) as caught:
                self.delete(name)
            return (caught.exception.code(),) + polosd.details_of(caught.exception)

        code = grpc.StatusCode
        self.assertEqual(refused("no name")[:3],
                         (code.INVALID_ARGUMENT, "INVALID_FIELD", "name"))
        self.assertEqual(refused("mail")[:3], (code.NOT_FOUND, "QUEUE_NOT_FOUND", "name"))
        host = self.host("w", own={"w": "mail"}, queues=[definition("mail", limit=1)])
        self.start(), self.start()
        for running, waiting in ((1, 1), (1, 0)):
            self.assertEqual(refused("mail"), (
                code.FAILED_PRECONDITION, "QUEUE_IN_USE", "name",
                "%d runs of queue 'mail' are at work and %d wait for their turn; cancel them or "
                "let them end, and delete it then" % (running, waiting)))
            task = self.task()
            host.done(task, 1)
            self.server.wait_ended(task.run_id)
        self.delete("mail")
        self.server.kill()
        host.closed = True
        self.server.start()
        self.assertEqual(refused("mail")[1], "QUEUE_NOT_FOUND")
        with self.assertRaises(grpc.RpcError) as caught:
            self.start()
        self.assertEqual(polosd.details_of(caught.exception)[0], "QUEUE_NOT_FOUND")
        self.host("w", own={"w": "mail"}, host_id="two")
        self.start()
        self.task()

    def agents_host(self, **limits):
        """An agent "a" that calls the tool "look" once, and says "found"; its queue is mail."""
        host = self.host(tools=["look"], queues=[definition("mail", **limits)])
        self.server.agent("a", [{"tool_calls": [{"name": "look", "arguments": {}}]},
                                {"text": "found"}],
                          tools=[definitions_pb2.ToolDefinition(id="look")], queue="mail")
        return host

    def ended(self, run_id):
        run = self.server.wait_ended(run_id)
        self.assertEqual((run.status, run.result_json),
                         (common_pb2.RUN_STATUS_COMPLETED, '"found"'))

    def test_agents_call_no_model_before_their_turn(self):
        host = self.agents_host(limit=1)
        runs = [self.agent(priority=p) for p in (0, 0, 5)]
        first = self.task()
        self.quiet("mail", 1, 2)
        self.assertEqual(self.types(runs[1]), ["RUN_STARTED", "ADMISSION_ASKED"])
        waiting = self.server.get(runs[1]).waiting[0]
        self.assertEqual((waiting.kind, waiting.name, waiting.message),
                         (QUEUED, "mail", "queue mail runs 1 of 1; 1 is ahead of it"))
        host.done(first, "x")
        self.ended(runs[0])
        for run_id in (runs[2], runs[1]):
            task = self.task()
            self.assertEqual(task.run_id, run_id)
            host.done(task, "x")
            self.ended(run_id)
        self.quiet("mail", 0, 0)
        self.assertEqual(self.types(runs[1])[:4],
                         ["RUN_STARTED", "ADMISSION_ASKED", "ADMISSION_GIVEN", "MODEL_REQUESTED"])

    def suspend(self, host, task):
        host.order(task, "ask", suspend=steps_pb2.Suspend(data_json="{}"))
        self.server.queues.List(queues_pb2.QueueServiceListRequest())
        host.park(task, 0)

    def answer(self, run_id):
        self.server.suspend.Resume(polosd.suspend_pb2.SuspendServiceResumeRequest(
            run_id=run_id, step_key="ask", data_json="1"))

    def test_an_agent_that_only_waits_lets_go_of_its_turn(self):
        host = self.agents_host(limit=1)
        first, second = self.agent(), self.agent()
        asking = self.task()
        self.suspend(host, asking)
        held = self.task()
        self.assertEqual(held.run_id, second)
        self.answer(first)
        self.assertEqual(self.count("mail"), (1, 1))
        self.assertEqual(self.server.get(first).waiting[0].kind, QUEUED)
        self.assertTrue(self.tasks.empty())
        host.done(held, "x")
        again = self.task()
        self.assertEqual((again.run_id, again.epoch), (first, 2))
        self.ended(second)
        host.done(again, "x")
        self.ended(first)
        self.assertEqual(self.types(first).count("ADMISSION_GIVEN"), 2)

    def test_a_kill_keeps_agents_in_line_and_in_place(self):
        host = self.agents_host(limit=1)
        first, second, third = (self.agent(key=k) for k in "abc")
        self.suspend(host, self.task())
        held = self.task()
        self.answer(first)
        self.assertEqual(self.count("mail"), (1, 2))
        host.welcome.clear()
        self.server.kill()
        self.server.start()
        self.assertTrue(host.welcome.wait(10))
        self.assertEqual(self.count("mail"), (1, 2))
        host.done(held, "x")
        order = []
        for _ in range(2):
            task = self.task()
            order.append(task.run_id)
            self.assertEqual(self.count("mail")[0], 1)
            host.done(task, "x")
        self.assertEqual(sorted(order), sorted([first, third]))
        for run_id in (first, second, third):
            self.ended(run_id)

    def test_a_fork_of_an_agent_asks_for_a_turn_of_its_own(self):
        host = self.agents_host(limit=1)
        first = self.agent()
        held = self.task()
        fork = self.server.runs.Fork(polosd.runs_pb2.RunServiceForkRequest(
            run_id=first, after_seq=len(self.server.history(first)))).run.id
        self.quiet("mail", 1, 1)
        self.assertEqual(self.types(fork)[-2:], ["ADMISSION_ASKED", "LEASE_LOST"])
        host.done(held, "x")
        again = self.task()
        self.assertEqual(again.run_id, fork)
        host.done(again, "x")
        self.ended(first)
        self.ended(fork)

    def test_agents_are_cancelled_and_time_out_in_line(self):
        host = self.agents_host(limit=1)
        first, second = self.agent(), self.agent()
        held = self.task()
        third = self.server.wait_ended(self.agent(timeout_ms=50))
        self.assertEqual(third.error.reason, "DEADLINE_EXCEEDED")
        self.assertIn("queue mail runs 1 of 1; 1 is ahead of it", third.error.message)
        self.server.runs.Cancel(polosd.runs_pb2.RunServiceCancelRequest(run_id=second))
        self.assertEqual(self.server.wait_ended(second).status, common_pb2.RUN_STATUS_CANCELLED)
        self.assertEqual(self.count("mail"), (1, 0))
        self.server.runs.Cancel(polosd.runs_pb2.RunServiceCancelRequest(run_id=first))
        self.server.wait_ended(first)
        self.assertEqual(self.count("mail"), (0, 0))
        self.assertEqual(held.run_id, first)

    def test_a_turn_that_was_broken_off_goes_on(self):
        self.server.agent("p", [{"text": "one", "pause": True}, {"text": "two", "pause": True},
                                {"text": "three"}])
        run = self.server.wait_ended(self.agent("p"))
        self.assertEqual((run.result_json, run.stop_reason, run.turn_count),
                         ('"three"', common_pb2.STOP_REASON_END, 3))
        self.assertEqual([turn.text for turn in self.server.get(run.id).turns],
                         ["one", "two", "three"])
        self.server.agent("q", [{"text": "on", "pause": True}] * 9, max_turns=2)
        run = self.server.wait_ended(self.agent("q"))
        self.assertEqual((run.stop_reason, run.turn_count),
                         (common_pb2.STOP_REASON_MAX_TURNS, 2))

    def test_a_rate_counts_the_beginnings_of_agents(self):
        self.put("mail", rate=1, period_ms=500)
        self.server.agent("b", [{"text": "hi"}])
        runs = [self.agent("b", name="mail") for _ in range(4)]
        times = []
        for run_id in runs:
            self.server.wait_ended(run_id)
            times += [e.time.ToMilliseconds() for e in self.server.history(run_id)
                      if e.HasField("admission_given")]
        times.sort()
        for earlier, later in zip(times, times[1:]):
            self.assertGreaterEqual(later - earlier, 500)

    def test_agents_as_children_take_turns(self):
        host = self.agents_host(limit=1)
        self.host("w", host_id="two")
        self.start(name="mail")
        parent = self.task()
        children = [child("a", "hi", common_pb2.RUN_KIND_AGENT, queue="mail",
                          concurrency_key="k")] * 2
        self.hosts[1].order(parent, "both",
                            start_runs=steps_pb2.StartRuns(runs=children, wait=True))
        self.server.queues.List(queues_pb2.QueueServiceListRequest())
        self.hosts[1].park(parent, 0)
        for _ in children:
            task = self.task()
            self.assertEqual((task.kind, task.name), (history_pb2.TASK_KIND_TOOL, "look"))
            self.assertEqual(self.count("mail")[0], 1)
            host.done(task, "x")
        again = self.task()
        self.assertEqual(again.run_id, parent.run_id)
        self.hosts[1].done(again, 2)
        self.server.wait_ended(parent.run_id)

    def test_what_is_refused(self):
        def refused(call):
            with self.assertRaises(grpc.RpcError) as caught:
                call()
            return (caught.exception.code(),) + polosd.details_of(caught.exception)[:2]

        code = grpc.StatusCode
        self.assertEqual(refused(lambda: self.start(name="mail")),
                         (code.NOT_FOUND, "QUEUE_NOT_FOUND", "options.queue"))
        self.assertEqual(refused(lambda: self.start(key="acme")),
                         (code.INVALID_ARGUMENT, "INVALID_FIELD", "options.queue"))
        self.assertEqual(refused(lambda: self.put("mail", rate=1)),
                         (code.INVALID_ARGUMENT, "INVALID_FIELD", "queue.rate_period"))
        self.server.agent("a", [{"text": "hi"}])
        self.put("mail", limit=1)
        self.assertEqual(refused(lambda: self.agent("a", name="nowhere")),
                         (code.NOT_FOUND, "QUEUE_NOT_FOUND", "options.queue"))
        self.assertEqual(refused(lambda: self.agent("a", key="acme")),
                         (code.INVALID_ARGUMENT, "INVALID_FIELD", "options.queue"))
        self.assertEqual(refused(lambda: self.server.agent("b", [], queue="no name")),
                         (code.INVALID_ARGUMENT, "INVALID_FIELD", "agent.queue"))
        hello = polosd.hello_of(
            host_id="h", slots=1, queues=[definition("ok"), definition("no name")])
        self.assertEqual(
            refused(lambda: list(self.server.tools.Connect(iter([hello]), timeout=20))),
            (code.INVALID_ARGUMENT, "INVALID_FIELD", "hello.offers.queues[1].name"))
        key = "again"
        first = self.start(name="mail", idempotency_key=key)
        self.assertEqual(self.start(name="mail", idempotency_key=key), first)
        self.assertEqual(refused(lambda: self.start(name="mail", key="x", idempotency_key=key))[1],
                         "IDEMPOTENCY_KEY_REUSED")

    def test_many_keys_cost_little(self):
        """5,000 keys, one run each, are back in line after a kill, and each gets its turn."""
        count = 5000
        self.put("mail", limit=50, per_key=1)
        call = self.server.workflows.Start.future
        pending = [call(workflows_pb2.WorkflowServiceStartRequest(
            workflow_id="w", options=options_of(queue="mail", concurrency_key=str(i))))
            for i in range(count)]
        for one in pending:
            one.result()
        self.assertEqual(self.count("mail"), (0, count))
        begun = time.monotonic()
        self.server.kill()
        self.server.start()
        self.assertEqual(self.count("mail"), (0, count))
        restart_s = time.monotonic() - begun
        begun = time.monotonic()
        self.host("w", work=lambda host, task: (self.tasks.put(task), host.done(task, 1)))
        for _ in range(count):
            self.task()
        print("restart %.2f s, %d runs through 50 places in %.2f s" %
              (restart_s, count, time.monotonic() - begun))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
