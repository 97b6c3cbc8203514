"""Goal: what is said to an agent at work is told to its model once, in order, at the next turn.
Method: the scripted model says what it was told; the server is killed in between, tools are at
work, a limit is reached, callers say it twice."""
import unittest

import grpc

from tests.lib import polosd
from tests.lib.polosd import common_pb2, definitions_pb2, runs_pb2

ADD = definitions_pb2.ToolDefinition(id="add", parameters_json='{"type":"object"}')
CALL = {"tool_calls": [{"name": "add", "arguments": {}}]}
SLOW = {"delta_ms": 20, "chunk": 5}


class Inputs(polosd.Hosted):
    def host(self, *workflows, **fields):
        host = polosd.Host(self.server, workflows=workflows,
                           work=lambda host, task: self.tasks.put(task), **fields).start()
        self.hosts.append(host)
        return host

    def send(self, run_id, text, key=""):
        return self.server.runs.Send(runs_pb2.RunServiceSendRequest(
            run_id=run_id, input=text, idempotency_key=key))

    def facts(self, run_id):
        return [(polosd.kind_of(e), getattr(e, e.WhichOneof("event")).input_id)
                for e in self.server.history(run_id) if polosd.kind_of(e).startswith("INPUT")]

    def refused(self, run_id, text="more", key=""):
        with self.assertRaises(grpc.RpcError) as caught:
            self.send(run_id, text, key)
        return polosd.details_of(caught.exception)[0]

    def test_it_is_told_behind_the_results_in_order(self):
        host = self.host(tools=["add"])
        self.server.agent("a", [CALL, {"text": "{{tool_result}}{{input}}"}], tools=[ADD])
        run_id = self.server.start_agent("a")
        task = self.task()
        self.assertEqual(self.send(run_id, "first").input_id, "1")
        self.assertEqual(self.send(run_id, "second").input_id, "2")
        host.done(task, 3)
        run = self.server.wait_ended(run_id)
        self.assertEqual((run.result_json, run.turn_count), ('"second"', 2))
        self.assertEqual(self.facts(run_id), [("INPUT_ACCEPTED", "1"), ("INPUT_ACCEPTED", "2"),
                                              ("INPUT_TAKEN", "1"), ("INPUT_TAKEN", "2")])
        taken = [e.input_taken.turn for e in self.server.history(run_id)
                 if e.HasField("input_taken")]
        self.assertEqual(taken, [2, 2])

    def until_said(self, run_id, turn):
        for answer in self.server.watch(run_id):
            if answer.HasField("delta") and answer.delta.turn == turn:
                return

    def test_it_holds_the_run_open_through_a_kill(self):
        self.server.agent("a", [{"text": "word " * 60}, {"text": "{{input}} " + "x " * 60}],
                          options=SLOW)
        run_id = self.server.start_agent("a")
        self.until_said(run_id, 1)
        self.send(run_id, "shorter", key="k")
        self.server.kill()
        self.server.start()
        again = self.send(run_id, "shorter", key="k")
        self.assertTrue(again.existed)
        self.assertEqual(again.input_id, "1")
        self.until_said(run_id, 2)
        self.server.kill()
        self.server.start()
        run = self.server.wait_ended(run_id)
        self.assertEqual(run.status, common_pb2.RUN_STATUS_COMPLETED)
        self.assertEqual(run.turn_count, 2)
        self.assertTrue(run.result_json.startswith('"shorter x'), run.result_json)
        self.assertEqual(self.facts(run_id), [("INPUT_ACCEPTED", "1"), ("INPUT_TAKEN", "1")])
        [accepted] = [e.input_accepted for e in self.server.history(run_id)
                      if e.HasField("input_accepted")]
        self.assertEqual(accepted.message.parts[0].text, "shorter")

    def test_what_no_turn_is_left_for_is_returned(self):
        self.server.agent("a", [{"text": "word " * 30}], options=SLOW, max_turns=1)
        run_id = self.server.start_agent("a")
        self.until_said(run_id, 1)
        self.send(run_id, "go on")
        self.assertEqual(self.server.wait_ended(run_id).turn_count, 1)
        self.assertEqual(self.facts(run_id), [("INPUT_ACCEPTED", "1"), ("INPUT_RETURNED", "1")])

    def test_who_cannot_be_told_says_why(self):
        host = self.host("w", tools=["add"])
        flow = self.server.start_workflow("w")
        body = self.task()
        self.assertEqual(self.refused(flow), "RUN_NOT_AGENT")
        host.done(body, 1)
        self.server.agent("a", [CALL, {"text": "ok"}], tools=[ADD])
        run_id = self.server.start_agent("a")
        task = self.task()
        self.send(run_id, "one", key="k")
        self.assertTrue(self.send(run_id, "one", key="k").existed)
        self.assertEqual(self.refused(run_id, "two", key="k"), "IDEMPOTENCY_KEY_REUSED")
        self.assertEqual(self.refused(run_id, ""), "INVALID_FIELD")
        for number in range(31):
            self.send(run_id, "more %d" % number)
        self.assertEqual(self.refused(run_id), "TOO_MANY_INPUTS")
        host.done(task, 3)
        self.assertEqual(self.server.wait_ended(run_id).turn_count, 2)
        self.assertEqual(self.refused(run_id, "one", key="k"), "RUN_ENDED")
        self.assertEqual(self.refused("01a226c5-b1dd-71db-bd58-321edb243535"), "RUN_NOT_FOUND")


if __name__ == "__main__":
    unittest.main()
