"""Goal: what code waits for outlives everything: hosts that park or die, servers that are killed.
Method: the real polosd and a host written from the protocol; callers answer, publish, cancel, fork;
the journal says what happened."""
import json
import queue
import sys
import threading
import time
import unittest

import grpc

from tests.lib import polosd
from tests.lib.polosd import (child, common_pb2, definitions_pb2, host_pb2, options_of, runs_pb2,
                              steps_pb2, suspend_pb2, topics_pb2, waiting_of, workflows_pb2)


class Waits(polosd.Hosted):
    def host(self, *workflows, **fields):
        fields.setdefault("work", lambda host, task: self.tasks.put(task))
        host = polosd.Host(self.server, workflows=workflows, **fields).start()
        self.hosts.append(host)
        return host

    def outcome(self, host):
        return json.loads(host.outcomes.get(timeout=20).outcome.value_json)

    def restart(self, host):
        host.welcome.clear()
        self.server.kill()
        self.server.start()
        self.assertTrue(host.welcome.wait(10))

    def resume(self, run_id, key, data, by="tester"):
        return self.server.suspend.Resume(suspend_pb2.SuspendServiceResumeRequest(
            run_id=run_id, step_key=key, data_json=json.dumps(data), answered_by=by))

    def suspended(self, run_id=""):
        return self.server.suspend.List(
            suspend_pb2.SuspendServiceListRequest(run_id=run_id)).suspensions

    def test_a_suspension_is_listed_answered_and_told(self):
        host = self.host("w")
        run_id = self.server.start_workflow("w")
        task = self.task()
        host.order(task, "ask", suspend=steps_pb2.Suspend(data_json='{"q":1}'))
        self.until(run_id, "WAIT_SET")
        [found] = self.suspended()
        self.assertEqual((found.run_id, found.step_key, found.data_json, found.state),
                         (run_id, "ask", '{"q":1}', suspend_pb2.Suspension.STATE_OPEN))
        run = self.server.get(run_id)
        self.assertEqual(run.status, common_pb2.RUN_STATUS_WAITING)
        self.assertEqual(waiting_of(run)[-1], ("SUSPENSION", "ask"))
        self.assertEqual(self.told(run_id, "ask", {"yes": True}), self.NOW)
        self.assertEqual(self.outcome(host), {"data": {"yes": True}, "resumed_by": "tester"})
        again = self.resume(run_id, "ask", {"yes": False})
        self.assertEqual(again.outcome, self.SECOND)
        self.assertEqual(again.suspension.answer.data_json, '{"yes": true}')
        self.assertEqual(list(self.suspended()), [])
        one = self.server.suspend.Get(
            suspend_pb2.SuspendServiceGetRequest(run_id=run_id, step_key="ask")).suspension
        self.assertEqual(one, again.suspension)
        self.assertEqual((one.state, one.answer.answered_by, one.answer.data_json),
                         (suspend_pb2.Suspension.STATE_ANSWERED, "tester", '{"yes": true}'))
        host.done(task, 1)
        self.server.wait_ended(run_id)
        self.assertEqual(self.told(run_id, "ask", 3), self.SECOND)
        with self.assertRaises(grpc.RpcError) as caught:
            self.resume(run_id, "other", 3)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.FAILED_PRECONDITION)

    def test_an_early_answer_is_kept_through_a_kill(self):
        host = self.host("w")
        run_id = self.server.start_workflow("w")
        task = self.task()
        self.assertEqual(self.told(run_id, "ask", 7), self.EARLY)
        self.assertEqual(self.told(run_id, "ask", 8), self.SECOND)
        self.restart(host)
        host.order(task, "ask", suspend=steps_pb2.Suspend())
        self.assertEqual(self.outcome(host)["data"], 7)
        host.done(task, 1)
        self.server.wait_ended(run_id)

    def test_a_suspension_times_out(self):
        host = self.host("w")
        run_id = self.server.start_workflow("w")
        task = self.task()
        host.order(task, "ask", suspend=steps_pb2.Suspend(timeout=polosd.length(300)))
        self.assertEqual(host.outcomes.get(timeout=20).outcome.error.type, "TIMEOUT")
        late = self.resume(run_id, "ask", 1)
        self.assertEqual(late.outcome, self.CLOSED)
        self.assertEqual(late.suspension.state, suspend_pb2.Suspension.STATE_EXPIRED)
        self.assertEqual((late.suspension.deadline.ToMilliseconds()
                          - late.suspension.created_at.ToMilliseconds()), 300)

    def test_a_parked_sleep_wakes_on_another_host_after_a_kill(self):
        host = self.host("w")
        run_id = self.server.start_workflow("w")
        task = self.task()
        host.step(task, 1, "before", 5)
        due = int(time.time() * 1000) + 1500
        host.order(task, "nap", sleep=steps_pb2.Sleep(until=polosd.instant_of(due)))
        host.park(task)
        self.until(run_id, "TASK_PARKED")
        host.close()
        self.assertEqual(self.server.get(run_id).status, common_pb2.RUN_STATUS_WAITING)
        self.server.kill()
        self.server.start()
        second = self.host("w", host_id="second")
        again = self.task()
        self.assertGreaterEqual(time.time() * 1000, due)
        self.assertEqual([(s.key, polosd.is_order(s), s.outcome.value_json) for s in again.steps],
                         [("before", False, "5"), ("nap", True, "null")])
        self.assertEqual((again.settled_count, again.epoch), (1, 2))
        second.done(again, "awake")
        self.assertEqual(self.server.wait_ended(run_id).result_json, '"awake"')

    def test_a_stale_park_is_given_again_at_once(self):
        host = self.host("w")
        run_id = self.server.start_workflow("w")
        task = self.task()
        host.order(task, "ask", suspend=steps_pb2.Suspend())
        self.until(run_id, "WAIT_SET")
        self.resume(run_id, "ask", 1)
        host.park(task)  # It has not seen the outcome.
        again = self.task()
        self.assertEqual(again.steps[0].key, "ask")
        host.done(again, 1)
        self.server.wait_ended(run_id)

    def test_children_are_awaited_in_order_whatever_becomes_of_them(self):
        self.server.agent("talker", [{"text": "hello"}])
        host = self.host("parent", "good", "bad", work=self.run_family)
        run_id = self.server.start_workflow("parent")
        run = self.server.wait_ended(run_id)
        results = json.loads(run.result_json)
        self.assertEqual([(r["status"], r.get("result")) for r in results],
                         [("completed", 2), ("failed", None), ("completed", "hello")])
        self.assertEqual(results[1]["error"]["message"], "no good")
        family = self.server.list(parent_run_id=run_id).runs
        self.assertEqual(sorted(r.name for r in family), ["bad", "good", "talker"])
        self.assertEqual(host.refused, [])

    def run_family(self, host, task):
        if task.name == "parent":
            agent = child("talker", "hi", common_pb2.RUN_KIND_AGENT)
            host.order(task, "kids", start_runs=steps_pb2.StartRuns(
                runs=[child("good", 1), child("bad"), agent], wait=True))
            threading.Thread(target=self.finish_family, args=(host, task)).start()
        elif task.name == "good":
            host.done(task, json.loads(task.input_json) + 1)
        else:
            host.failed(task, "ValueError", "no good")

    def finish_family(self, host, task):
        host.done(task, self.outcome(host))

    def test_children_nobody_waits_for_are_started_once(self):
        host = self.host("parent", "kid")
        run_id = self.server.start_workflow("parent")
        task = self.task()
        order = steps_pb2.StartRuns(runs=[child("kid", 1)])
        host.order(task, "go", start_runs=order)
        host.order(task, "go", start_runs=order)
        first = self.outcome(host)
        self.assertEqual(self.outcome(host), first)
        kid = self.task()
        self.assertEqual((kid.name, kid.parent_run_id), ("kid", run_id))
        family = self.server.list(parent_run_id=run_id).runs
        self.assertEqual([r.id for r in family], [first[0]["run_id"]])

    def test_a_cancelled_tree_ends_and_its_code_cleans_up(self):
        host = self.host("parent", "kid")
        run_id = self.server.start_workflow("parent")
        task = self.task()
        host.order(task, "kids", start_runs=steps_pb2.StartRuns(runs=[child("kid")], wait=True))
        kid = self.task()
        host.order(kid, "ask", suspend=steps_pb2.Suspend())
        self.until(kid.run_id, "WAIT_SET")
        self.server.runs.Cancel(runs_pb2.RunServiceCancelRequest(run_id=run_id, cause="enough"))
        for ended in (run_id, kid.run_id):
            run = self.server.wait_ended(ended)
            self.assertEqual(run.status, common_pb2.RUN_STATUS_CANCELLED)
        self.assertIn("enough", self.server.get(run_id).error.message)
        self.assertEqual(list(self.suspended()), [])
        self.assertIn("CANCEL_REQUESTED", [polosd.kind_of(e) for e in self.server.history(run_id)])

    def test_a_cancelled_child_is_told_to_its_parent(self):
        host = self.host("parent", "kid")
        run_id = self.server.start_workflow("parent")
        task = self.task()
        host.order(task, "kids", start_runs=steps_pb2.StartRuns(runs=[child("kid")], wait=True))
        kid = self.task()
        self.server.runs.Cancel(runs_pb2.RunServiceCancelRequest(run_id=kid.run_id))
        self.assertEqual(self.outcome(host)[0]["status"], "cancelled")
        host.done(task, "went on")
        self.assertEqual(self.server.wait_ended(run_id).status, common_pb2.RUN_STATUS_COMPLETED)

    def test_a_parked_run_that_is_cancelled_is_given_once_more_to_clean_up(self):
        host = self.host("w")
        run_id = self.server.start_workflow("w")
        task = self.task()
        host.order(task, "ask", suspend=steps_pb2.Suspend())
        host.park(task)
        self.until(run_id, "TASK_PARKED")
        self.server.runs.Cancel(runs_pb2.RunServiceCancelRequest(run_id=run_id))
        again = self.task()
        self.assertTrue(again.cancelling)
        host.step(again, 1, "cleanup", "done")
        host.cancelled(host_pb2.CancelTask(task_id=again.task_id, epoch=again.epoch))
        self.assertEqual(self.server.wait_ended(run_id).status, common_pb2.RUN_STATUS_CANCELLED)
        self.assertIn("STEP_SETTLED", [polosd.kind_of(e) for e in self.server.history(run_id)])

    def test_an_awaited_event_wakes_those_who_wait_and_only_for_what_comes(self):
        host = self.host("w")
        self.publish("news", "old")
        self.server.start_workflow("w")
        task = self.task()
        host.order(task, "news", await_event=steps_pb2.AwaitEvent(topic="news"))
        self.until(task.run_id, "WAIT_SET")
        self.restart(host)
        self.assertEqual(self.publish("other", "no"), [1])
        self.assertEqual(self.publish("news", "new"), [2])
        event = self.outcome(host)
        self.assertEqual((event["sequence"], event["data"], event["topic"]), (2, "new", "news"))
        host.order(task, "say", publish=steps_pb2.Publish(topic="news", data_json='"mine"'))
        self.assertEqual(self.outcome(host), {"sequence": 3})
        heard = list(self.server.topics.Subscribe(
            topics_pb2.TopicServiceSubscribeRequest(topic="news", after_sequence=1)))
        self.assertEqual([json.loads(h.event.data_json) for h in heard[:2]], ["new", "mine"])
        self.assertEqual(heard[1].event.run_id, task.run_id)
        self.assertEqual([(h.HasField("event"), h.position) for h in heard[2:]], [(False, "3")])

    def told(self, run_id, key, data, by="tester"):
        return self.resume(run_id, key, data, by).outcome

    NOW, EARLY, SECOND, CLOSED = (
        suspend_pb2.RESUME_OUTCOME_ACCEPTED, suspend_pb2.RESUME_OUTCOME_KEPT,
        suspend_pb2.RESUME_OUTCOME_ALREADY_ANSWERED, suspend_pb2.RESUME_OUTCOME_CLOSED)

    def asking_agent(self, calls):
        host = self.host(tools=["look"])
        call = {"tool_calls": [{"name": "look", "arguments": {}}]}
        self.server.agent("a", [call] * calls + [{"text": "done"}],
                          tools=[polosd.definitions_pb2.ToolDefinition(id="look")])
        return host, self.server.start_agent("a")

    def ask(self, host, task, **fields):
        host.order(task, "ask", suspend=steps_pb2.Suspend(data_json="{}", **fields))

    def refused(self, run_id, key):
        with self.assertRaises(grpc.RpcError) as caught:
            self.resume(run_id, key, 9)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.FAILED_PRECONDITION)
        return polosd.details_of(caught.exception)[0]

    def by_id(self, data):
        (open_one,) = self.server.suspend.List(
            suspend_pb2.SuspendServiceListRequest()).suspensions
        return self.server.suspend.Resume(suspend_pb2.SuspendServiceResumeRequest(
            suspension_id=open_one.id, data_json=json.dumps(data))).outcome

    def test_an_answer_after_a_call_that_asked_is_not_for_the_next(self):
        host, run_id = self.asking_agent(2)
        first = self.task()
        self.assertEqual(self.told(run_id, "ask", 1), self.EARLY)
        self.assertEqual(self.told(run_id, "ask", 2), self.SECOND)
        self.ask(host, first)
        self.assertEqual(self.outcome(host)["data"], 1)
        self.assertEqual(self.told(run_id, "ask", 2), self.SECOND)
        host.done(first, "x")
        second = self.task()
        self.assertEqual(self.told(run_id, "ask", 1, by="another"), self.SECOND)
        self.restart(host)
        self.ask(host, second)
        self.until(run_id, "WAIT_SET", 2)
        self.assertEqual(self.refused(run_id, "ask"), "SUSPENSION_AMBIGUOUS")
        self.assertEqual(self.refused(run_id, "other"), "OTHER_SUSPENSIONS_OPEN")
        self.assertEqual(self.by_id(3), self.NOW)
        self.assertEqual(self.outcome(host)["data"], 3)
        host.done(second, "x")
        self.server.wait_ended(run_id)
        self.assertEqual(self.told(run_id, "ask", 4), self.SECOND)

    def test_an_answer_after_the_timeout_is_for_nobody(self):
        host, run_id = self.asking_agent(2)
        first = self.task()
        self.ask(host, first, timeout=polosd.length(1))
        self.assertEqual(host.outcomes.get(timeout=20).outcome.error.type, "TIMEOUT")
        self.assertEqual(self.told(run_id, "ask", 1), self.CLOSED)
        host.done(first, "x")
        second = self.task()
        self.assertEqual(self.told(run_id, "ask", 1), self.CLOSED)
        self.ask(host, second)
        self.until(run_id, "WAIT_SET", 2)
        self.assertEqual(self.refused(run_id, "ask"), "SUSPENSION_AMBIGUOUS")
        self.assertEqual(self.by_id(1), self.NOW)

    def test_an_answer_between_two_attempts_is_for_the_next(self):
        host = self.host("w")
        run_id = self.server.start_workflow("w")
        task = self.task()
        self.ask(host, task)
        self.until(run_id, "WAIT_SET")
        host.failed(task, "ValueError", "oh", retryable=True)  # It takes its question with it.
        self.until(run_id, "TASK_FAILED")
        self.assertEqual(self.told(run_id, "ask", 1), self.EARLY)
        self.assertEqual(self.told(run_id, "ask", 2), self.SECOND)
        again = self.task()
        self.ask(host, again)
        self.assertEqual(self.outcome(host)["data"], 1)
        self.assertEqual(self.told(run_id, "ask", 1), self.SECOND)
        host.failed(again, "ValueError", "oh", retryable=True)
        self.until(run_id, "TASK_FAILED", 2)
        self.assertEqual(self.told(run_id, "ask", 3), self.SECOND)  # It was given its answer.
        third = self.task()
        self.assertEqual([step.key for step in third.steps], ["ask"])
        host.done(third, "ok")

    def test_a_fork_knows_of_the_answers_in_its_events(self):
        host = self.host("w")
        run_id = self.server.start_workflow("w")
        task = self.task()
        self.ask(host, task)
        self.until(run_id, "WAIT_SET")
        asked = len(self.server.history(run_id))
        self.assertEqual(self.told(run_id, "ask", 1), self.NOW)
        answered = asked + 1
        forks = {}
        for seq in (2, asked, answered):
            forks[seq] = self.server.runs.Fork(
                runs_pb2.RunServiceForkRequest(run_id=run_id, after_seq=seq)).run.id
        given = {self.task().run_id for _ in (2, answered)}  # That which is asked waits for it.
        given.add(self.task().run_id)
        self.assertEqual(given, set(forks.values()))
        self.assertEqual(self.told(forks[2], "ask", 2), self.EARLY)
        self.assertEqual(self.told(forks[asked], "ask", 2), self.NOW)
        self.assertEqual(self.told(forks[answered], "ask", 2), self.SECOND)
        kept = self.server.runs.Fork(runs_pb2.RunServiceForkRequest(
            run_id=forks[2], after_seq=len(self.server.history(forks[2])))).run.id
        self.assertEqual(self.told(kept, "ask", 3), self.SECOND)
        self.ask(host, self.task())
        self.until(kept, "WAIT_SETTLED")
        self.assertEqual(self.told(kept, "ask", 3), self.SECOND)

    SCHEMA = json.dumps({"type": "object", "required": ["amount"],
                         "properties": {"amount": {"type": "number", "minimum": 0}}})

    def misfit(self, run_id, data):
        with self.assertRaises(grpc.RpcError) as caught:
            self.resume(run_id, "ask", data)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
        reason, field, message = polosd.details_of(caught.exception)
        self.assertEqual((reason, field), ("ANSWER_MISFIT", "data_json"))
        return message

    def test_an_answer_that_does_not_fit_is_refused(self):
        host = self.host("w")
        run_id = self.server.start_workflow("w")
        task = self.task()
        self.ask(host, task, answer_schema_json=self.SCHEMA)
        self.until(run_id, "WAIT_SET")
        self.assertEqual(self.misfit(run_id, {"amount": "12"}),
                         "answer.amount: must be a number, is a string")
        self.restart(host)
        self.assertEqual(self.misfit(run_id, {"amount": -1}),
                         "answer.amount: must be at least 0, is -1")
        self.assertEqual(self.misfit(run_id, 3), "answer: must be an object, is 3")
        (found,) = self.suspended()
        self.assertEqual((found.state, found.answer_schema_json),
                         (suspend_pb2.Suspension.STATE_OPEN, self.SCHEMA))
        self.assertEqual(self.told(run_id, "ask", {"amount": 12}), self.NOW)
        self.assertEqual(self.outcome(host)["data"], {"amount": 12})
        one = self.server.suspend.Get(suspend_pb2.SuspendServiceGetRequest(
            run_id=run_id, step_key="ask")).suspension
        self.assertEqual((one.state, one.answer_schema_json),
                         (suspend_pb2.Suspension.STATE_ANSWERED, self.SCHEMA))
        self.assertEqual(self.told(run_id, "ask", 3), self.SECOND)  # It is over.

    def test_a_kept_answer_that_does_not_fit_is_dropped(self):
        host = self.host("w")
        run_id = self.server.start_workflow("w")
        task = self.task()
        self.assertEqual(self.told(run_id, "ask", {"amount": "12"}), self.EARLY)
        self.ask(host, task, answer_schema_json=self.SCHEMA)
        event = self.until(run_id, "WAIT_SET")
        self.assertEqual(event.wait_set.kept_misfit,
                         "answer.amount: must be a number, is a string")
        self.assertEqual(self.told(run_id, "ask", {"amount": 1}), self.NOW)
        self.assertEqual(self.outcome(host)["data"], {"amount": 1})
        other = self.server.start_workflow("w")
        task = self.task()
        self.assertEqual(self.told(other, "ask", {"amount": 2}), self.EARLY)
        self.ask(host, task, answer_schema_json=self.SCHEMA)
        self.assertEqual(self.outcome(host)["data"], {"amount": 2})

    def test_code_that_answers_amiss_is_told(self):
        host = self.host("w")
        asking = self.server.start_workflow("w")
        self.ask(host, self.task(), answer_schema_json=self.SCHEMA)
        self.until(asking, "WAIT_SET")
        self.server.start_workflow("w")
        task = self.task()
        host.order(task, "tell", resume=steps_pb2.Resume(
            run_id=asking, step_key="ask", data_json="{}"))
        error = host.outcomes.get(timeout=20).outcome.error
        self.assertEqual((error.type, error.message),
                         ("RESUME_REFUSED", "answer.amount: is missing"))
        self.assertEqual(len(self.suspended(asking)), 1)

    def test_a_schema_that_is_none_is_refused(self):
        host = self.host("w")
        run_id = self.server.start_workflow("w")
        task = self.task()
        self.ask(host, task, answer_schema_json='{"items":{"$ref":"http://x/y"}}')
        host.order(task, "other", suspend=steps_pb2.Suspend(answer_schema_json='{"items":{}}'))
        self.until(run_id, "WAIT_SET")
        while len(host.acknowledged) < 2:  # It comes by another stream.
            pass
        (refused,) = host.refused
        self.assertIn("#/items/$ref: leads out of the schema", refused.message)
        self.assertEqual([one.step_key for one in self.suspended(run_id)], ["other"])

    def parent(self, host, *names):
        """A parent that waits for children; its task, and theirs by name."""
        run_id = self.server.start_workflow("w")
        task = self.task()
        host.order(task, "both", start_runs=steps_pb2.StartRuns(
            runs=[child(name) for name in names], wait=True))
        found = [self.task() for _ in names]
        return run_id, task, {each.name: each for each in found}

    def children_of(self, run_id):
        return sorted(run.id for run in self.server.list(parent_run_id=run_id).runs)

    def test_an_attempt_that_is_tried_again_keeps_its_children(self):
        host = self.host("w", "a", "b")
        run_id, task, found = self.parent(host, "a", "b")
        host.done(found["a"], 1)
        self.server.wait_ended(found["a"].run_id)
        host.failed(task, "ValueError", "oh", retryable=True)
        again = self.task()
        self.assertEqual((again.run_id, again.epoch, len(again.steps)), (run_id, 2, 0))
        host.order(again, "both", start_runs=steps_pb2.StartRuns(
            runs=[child("a"), child("b")], wait=True))
        self.restart(host)
        host.done(found["b"], 2)
        told = self.outcome(host)
        self.assertEqual([(each["run_id"], each["result"]) for each in told],
                         [(found["a"].run_id, 1), (found["b"].run_id, 2)])
        host.done(again, "ok")
        self.assertEqual(self.server.wait_ended(run_id).status, common_pb2.RUN_STATUS_COMPLETED)
        self.assertEqual(len(self.children_of(run_id)), 2)
        self.assertTrue(self.tasks.empty())

    def retry(self, run_id):
        return self.server.runs.Retry(runs_pb2.RunServiceRetryRequest(run_id=run_id)).run.id

    def test_a_parent_names_the_children_it_waits_for_and_what_they_lack(self):
        host = self.host("w", "a")
        run_id = self.server.start_workflow("w")
        task = self.task()
        host.order(task, "kids", start_runs=steps_pb2.StartRuns(
            runs=[child("a"), child("nobodys")], wait=True))
        first = self.task()
        [other] = [each for each in self.children_of(run_id) if each != first.run_id]
        [waiting] = [w for w in self.server.get(run_id).waiting if w.step_key == "kids"]
        self.assertEqual(list(waiting.run_ids), [first.run_id, other])
        self.assertEqual(waiting.message, "it waits for 2 of the runs it started to end: "
                         f"a {first.run_id}, nobodys {other} "
                         "(no connected host offers workflow nobodys; start one)")
        host.done(first, 1)
        self.until(run_id, "CHILD_SETTLED")
        host.park(task)
        self.until(run_id, "TASK_PARKED")
        [waiting] = self.server.get(run_id).waiting
        self.assertEqual(list(waiting.run_ids), [other])
        self.assertEqual(waiting_of(self.server.get(other)), [("HOST", "nobodys")])

    def test_a_run_that_fails_cancels_the_children_it_waited_for(self):
        host = self.host("w", "a", "b")
        run_id, task, found = self.parent(host, "a")
        host.order(task, "left alone", start_runs=steps_pb2.StartRuns(runs=[child("b")]))
        other = self.task()
        host.failed(task, "ValueError", "oh")
        self.server.wait_ended(run_id)
        ended = self.server.wait_ended(found["a"].run_id)
        self.assertEqual(ended.status, common_pb2.RUN_STATUS_CANCELLED)
        asked = [e for e in self.server.history(found["a"].run_id)
                 if e.HasField("cancel_requested")]
        self.assertEqual(asked[0].cancel_requested.cause,
                         "the run that waited for it failed")
        host.done(other, 1)
        self.assertEqual(self.server.wait_ended(other.run_id).status,
                         common_pb2.RUN_STATUS_COMPLETED)

    def test_children_that_outlive_their_parent_go_on_and_are_inherited(self):
        host = self.host("w", "a", "b")
        run_id = self.server.start_workflow("w")
        task = self.task()
        host.order(task, "both", start_runs=steps_pb2.StartRuns(
            runs=[child("a"), child("b")], wait=True, outlive_parent=True))
        found = {each.name: each for each in (self.task(), self.task())}
        host.failed(task, "ValueError", "oh")
        self.server.wait_ended(run_id)
        host.done(found["a"], 1)  # Between the failure and the retry, ...
        self.server.wait_ended(found["a"].run_id)
        new_id = self.retry(run_id)
        again = self.task()
        self.restart(host)
        host.done(found["b"], 2)  # ... and after it.
        self.until(new_id, "WAIT_SETTLED")
        host.order(again, "both", start_runs=steps_pb2.StartRuns(
            runs=[child("a"), child("b")], wait=True, outlive_parent=True))
        self.assertEqual([each["result"] for each in self.outcome(host)], [1, 2])
        host.done(again, "ok")
        self.assertEqual(self.server.wait_ended(new_id).status, common_pb2.RUN_STATUS_COMPLETED)
        self.assertTrue(self.tasks.empty())

    def test_a_retried_parent_is_told_of_an_agent_as_the_first_would_have_been(self):
        host = self.host("w", tools=["t"])
        tool = definitions_pb2.ToolDefinition(id="t", parameters_json='{"type":"object"}')
        self.server.agent("typed", [{"tool_calls": [{"name": "t", "arguments": {}}]},
                                    {"text": '{"n": 1}'}], tools=[tool],
                          output_schema_json='{"type":"object"}')
        run_id = self.server.start_workflow("w")
        task = self.task()
        asked = steps_pb2.StartRuns(
            runs=[child("typed", "hello", kind=common_pb2.RUN_KIND_AGENT)], wait=True,
            outlive_parent=True)
        host.order(task, "agent", start_runs=asked)
        call = self.task()
        host.failed(task, "ValueError", "oh")
        self.server.wait_ended(run_id)
        host.done(call, 1)
        self.server.wait_ended(call.run_id)
        new_id = self.retry(run_id)
        again = self.task()
        self.until(new_id, "WAIT_SETTLED")
        host.order(again, "agent", start_runs=asked)
        [told] = self.outcome(host)
        self.assertEqual((told["result"], told["total_steps"]), ({"n": 1}, 2))

    def below_a_tool(self, host, **fields):
        """An agent's run whose tool waits for a child; the tool's task, and the child's."""
        tool = definitions_pb2.ToolDefinition(id="t", parameters_json='{"type":"object"}', **fields)
        self.server.agent("asks", [{"tool_calls": [{"name": "t", "arguments": {}}]},
                                   {"text": "done"}], tools=[tool])
        run_id = self.server.start_agent("asks")
        task = self.task()
        host.order(task, "one", start_runs=steps_pb2.StartRuns(runs=[child("a")], wait=True))
        return run_id, task, self.task()

    def test_a_tool_that_fails_cancels_the_children_it_waited_for(self):
        host = self.host("a", tools=["t"])
        run_id, task, below = self.below_a_tool(host)
        host.failed(task, "ValueError", "oh")
        self.assertEqual(self.server.wait_ended(run_id).status, common_pb2.RUN_STATUS_COMPLETED)
        self.assertEqual(self.server.wait_ended(below.run_id).status,
                         common_pb2.RUN_STATUS_CANCELLED)

    def test_a_tool_that_times_out_cancels_the_children_it_waited_for(self):
        host = self.host("a", tools=["t"])
        run_id, _, below = self.below_a_tool(host, timeout=polosd.length(1000))
        self.assertEqual(self.server.wait_ended(below.run_id).status,
                         common_pb2.RUN_STATUS_CANCELLED)
        self.assertEqual(self.server.wait_ended(run_id).status, common_pb2.RUN_STATUS_COMPLETED)

    def test_a_retried_run_waits_for_the_children_it_had_begun(self):
        host = self.host("w", "a", "b", "c")
        run_id, task, found = self.parent(host, "a", "b", "c")
        host.done(found["a"], 1)  # What a child had answered is not asked for again.
        self.server.wait_ended(found["a"].run_id)
        host.failed(task, "ValueError", "oh")
        self.assertEqual(self.server.wait_ended(run_id).status, common_pb2.RUN_STATUS_FAILED)
        new_id = self.retry(run_id)
        given = [self.task() for _ in range(3)]  # Its own, and those that were cancelled, anew.
        again = {each.name: each for each in given}
        self.assertEqual((again["w"].run_id, sorted(again)), (new_id, ["b", "c", "w"]))
        host.order(again["w"], "both", start_runs=steps_pb2.StartRuns(
            runs=[child(name) for name in "abc"], wait=True))
        host.done(again["b"], 2)
        self.restart(host)
        host.done(again["c"], 3)
        self.assertEqual([each["result"] for each in self.outcome(host)], [1, 2, 3])
        host.done(again["w"], "ok")
        self.assertEqual(self.server.wait_ended(new_id).status, common_pb2.RUN_STATUS_COMPLETED)
        self.assertEqual(len(self.children_of(run_id)), 3)
        self.assertEqual(self.children_of(new_id),
                         sorted(again[name].run_id for name in "bc"))
        self.assertTrue(self.tasks.empty())
        settled = [e for e in self.server.history(new_id) if e.HasField("child_settled")]
        self.assertEqual(len(settled), 3)

    def test_a_child_that_still_cleans_up_begins_anew_when_it_has(self):
        host = self.host("w", "a")
        run_id, task, found = self.parent(host, "a")
        cancels = queue.Queue()
        host.cancelled = cancels.put
        host.failed(task, "ValueError", "oh")
        self.server.wait_ended(run_id)
        cancels.get(timeout=20)
        new_id = self.retry(run_id)
        task = self.task()
        self.assertEqual((task.run_id, self.children_of(new_id)), (new_id, [found["a"].run_id]))
        host.failed(found["a"], "CANCELLED", "cleaned up")
        again = self.task()
        self.assertEqual((again.name, self.children_of(new_id)), ("a", [again.run_id]))
        host.done(again, 7)
        self.until(new_id, "WAIT_SETTLED")
        host.done(task, "ok")
        self.assertEqual(self.server.wait_ended(new_id).status, common_pb2.RUN_STATUS_COMPLETED)

    def test_a_retry_of_a_retry_begins_children_anew_again(self):
        host = self.host("w", "a")
        run_id, task, found = self.parent(host, "a")
        below = found["a"]
        for _ in range(3):
            host.failed(task, "ValueError", "oh")
            self.server.wait_ended(run_id)
            self.server.wait_ended(below.run_id)
            run_id = self.retry(run_id)
            given = [self.task() for _ in range(2)]
            task, below = sorted(given, key=lambda each: each.name, reverse=True)
            self.assertEqual((task.run_id, self.children_of(run_id)), (run_id, [below.run_id]))
        host.done(below, 1)
        self.until(run_id, "WAIT_SETTLED")
        host.done(task, "ok")
        self.assertEqual(self.server.wait_ended(run_id).status, common_pb2.RUN_STATUS_COMPLETED)
        self.assertTrue(self.tasks.empty())

    def test_what_began_anew_for_a_retried_run_is_cancelled_with_it(self):
        host = self.host("w", "a")
        run_id, task, found = self.parent(host, "a")
        host.failed(task, "ValueError", "oh")
        self.server.wait_ended(run_id)
        self.server.wait_ended(found["a"].run_id)
        new_id = self.retry(run_id)
        below = [each for each in (self.task(), self.task()) if each.name == "a"]
        self.server.runs.Cancel(runs_pb2.RunServiceCancelRequest(run_id=new_id))
        for each in (new_id, below[0].run_id):
            self.assertEqual(self.server.wait_ended(each).status, common_pb2.RUN_STATUS_CANCELLED)

    def publish(self, topic, *data):
        events = [topics_pb2.NewEvent(data_json=json.dumps(d)) for d in data]
        return list(self.server.topics.Publish(topics_pb2.TopicServicePublishRequest(
            topic=topic, events=events)).sequences)

    def test_a_key_publishes_once_across_a_kill(self):
        def publish(data):
            return self.server.topics.Publish(topics_pb2.TopicServicePublishRequest(
                topic="t", idempotency_key="k",
                events=[topics_pb2.NewEvent(data_json=data)] * 2))

        first = publish("1")
        self.assertEqual((list(first.sequences), first.existed), ([1, 2], False))
        self.server.kill()
        self.server.start()
        again = publish("1")
        self.assertEqual((list(again.sequences), again.existed), ([1, 2], True))
        with self.assertRaises(grpc.RpcError) as caught:
            publish("2")
        self.assertEqual(caught.exception.code(), grpc.StatusCode.ALREADY_EXISTS)
        self.assertEqual(polosd.details_of(caught.exception)[:2],
                         ("IDEMPOTENCY_KEY_REUSED", "idempotency_key"))
        self.assertEqual(self.publish("t", 3), [3])

    def test_a_follower_hears_what_comes(self):
        stream = self.server.topics.Subscribe(topics_pb2.TopicServiceSubscribeRequest(
            topic="t", follow=True), timeout=20)
        self.assertFalse(next(stream).HasField("event"))  # It is there, and nothing is yet.
        self.publish("t", *range(600))
        self.assertEqual([next(stream).event.sequence for _ in range(600)],
                         list(range(1, 601)))
        self.publish("t", "last")
        self.assertEqual(next(stream).event.data_json, '"last"')

    def test_events_start_workflows_once_each(self):
        single = definitions_pb2.WorkflowDefinition(
            id="each", trigger=definitions_pb2.EventTrigger(topic="orders"))
        batch = definitions_pb2.WorkflowDefinition(
            id="many", trigger=definitions_pb2.EventTrigger(topic="orders", batch_size=3))
        host = self.host()
        host.close()
        host.hello["workflows"] = [single, batch]
        host.welcome.clear()
        host.start()
        self.assertTrue(host.welcome.wait(10))
        self.publish("orders", 1, 2)
        inputs = [json.loads(self.task().input_json)["data"] for _ in range(2)]
        self.assertEqual(sorted(inputs), [1, 2])
        self.restart(host)
        self.publish("orders", 3)
        found = {task.name: json.loads(task.input_json) for task in (self.task(), self.task())}
        self.assertEqual(found["each"]["data"], 3)
        self.assertEqual([e["data"] for e in found["many"]["events"]], [1, 2, 3])
        runs = self.server.runs.List(runs_pb2.RunServiceListRequest()).runs
        self.assertEqual(sorted(r.name for r in runs), ["each", "each", "each", "many"])

    def test_a_failed_run_is_tried_again_with_its_steps(self):
        host = self.host("w")
        run_id = self.server.start_workflow("w")
        task = self.task()
        host.step(task, 1, "once", 1)
        host.failed(task, "ConnectionError", "flaky", retryable=True)
        again = self.task()
        self.assertEqual((again.retry_count, [s.key for s in again.steps]), (1, ["once"]))
        host.done(again, "ok")
        self.assertEqual(self.server.wait_ended(run_id).retry_count, 1)

    def test_the_clock_stands_still_while_code_waits(self):
        host = self.host("w")
        run_id = self.server.start_workflow("w", timeout_ms=900)
        task = self.task()
        due = int(time.time() * 1000) + 1300
        host.order(task, "nap", sleep=steps_pb2.Sleep(until=polosd.instant_of(due)))
        self.assertIsNone(self.outcome(host))
        host.done(task, "in time")
        self.assertEqual(self.server.wait_ended(run_id).result_json, '"in time"')

    def test_a_fork_goes_on_from_a_point_and_a_retry_from_the_last_good_one(self):
        host = self.host("w")
        run_id = self.server.start_workflow("w", {"n": 1})
        task = self.task()
        host.step(task, 1, "a", 1)
        host.step(task, 2, "b", 2)
        host.failed(task, "ValueError", "broken")
        self.assertEqual(self.server.wait_ended(run_id).status, common_pb2.RUN_STATUS_FAILED)
        settled = [e.seq for e in self.server.history(run_id) if e.HasField("step_settled")]
        fork_id = self.server.runs.Fork(
            runs_pb2.RunServiceForkRequest(run_id=run_id, after_seq=settled[0])).run.id
        forked = self.task()
        self.assertEqual((forked.run_id, [s.key for s in forked.steps]), (fork_id, ["a"]))
        host.done(forked, "forked")
        self.assertEqual(self.server.wait_ended(fork_id).result_json, '"forked"')
        retried = self.server.runs.Retry(runs_pb2.RunServiceRetryRequest(run_id=run_id)).run
        task = self.task()
        self.assertEqual((task.run_id, [s.key for s in task.steps]), (retried.id, ["a", "b"]))
        host.done(task, "fixed")
        self.assertEqual(self.server.wait_ended(retried.id).result_json, '"fixed"')
        self.assertEqual(self.server.get(run_id).status, common_pb2.RUN_STATUS_FAILED)
        with self.assertRaises(grpc.RpcError) as caught:
            self.server.runs.Retry(runs_pb2.RunServiceRetryRequest(run_id=fork_id))
        self.assertEqual(caught.exception.code(), grpc.StatusCode.FAILED_PRECONDITION)

    def test_state_is_durable_with_the_step_that_changed_it(self):
        host = self.host("w")
        request = workflows_pb2.WorkflowServiceStartRequest(
            workflow_id="w", options=options_of(initial_state_json='{"n":0}'))
        run_id = self.server.workflows.Start(request).run_id
        task = self.task()
        self.assertEqual(task.state_json, '{"n":0}')
        host.send(step_done=host_pb2.StepDone(
            task_id=task.task_id, epoch=task.epoch, number=1, key="k", state_json='{"n":1}',
            outcome=steps_pb2.TaskOutcome(value_json="1")))
        self.until(run_id, "STEP_SETTLED")
        host.close()
        second = self.host("w", host_id="second")
        again = self.task()
        self.assertEqual(again.state_json, '{"n":1}')
        second.done(again, 1)
        self.assertEqual(self.server.wait_ended(run_id).state_json, '{"n":1}')

    def test_state_that_only_the_end_sets_is_shown(self):
        host = self.host("w")
        run_id = self.server.start_workflow("w")
        task = self.task()
        host.send(task_done=host_pb2.TaskDone(
            task_id=task.task_id, epoch=task.epoch, state_json='{"n":2}',
            outcome=steps_pb2.TaskOutcome(value_json="1")))
        self.assertEqual(self.server.wait_ended(run_id).state_json, '{"n":2}')
        self.assertEqual(self.server.get(run_id).state_json, '{"n":2}')


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
