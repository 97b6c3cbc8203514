"""Goal: an agent's answer fits its output schema, or the run says that none did.
Method: the scripted model answers what does not fit, then what does or never what does; the server
is killed in between, the run is retried, another run's code asks for it."""
import json
import unittest

import grpc

from tests.lib import polosd
from tests.lib.polosd import agents_pb2, common_pb2, definitions_pb2, runs_pb2, steps_pb2

SCHEMA = json.dumps({"type": "object", "required": ["n"],
                     "properties": {"n": {"type": "integer"}}})
MISFIT, FIT = {"text": '{"n": "one"}'}, {"text": '{"n": 1}'}
TOLD = "answer.n: must be a whole number, is a string"


class Answers(polosd.Hosted):
    def host(self, *workflows, **fields):
        host = polosd.Host(self.server, workflows=workflows,
                           work=lambda host, task: self.tasks.put(task), **fields).start()
        self.hosts.append(host)
        return host

    def outcome(self, host):
        return json.loads(host.outcomes.get(timeout=20).outcome.value_json)

    def run_of(self, script, **fields):
        self.server.agent("typed", script, output_schema_json=SCHEMA, **fields)
        return self.server.wait_ended(self.server.start_agent("typed"))

    def rejections(self, run_id):
        return [event.reply_rejected for event in self.server.history(run_id)
                if event.HasField("reply_rejected")]

    def assert_fits(self, run, turns=1):
        self.assertEqual(run.status, common_pb2.RUN_STATUS_COMPLETED, run.error)
        self.assertEqual(json.loads(run.result_json), {"n": 1})
        self.assertEqual((run.turn_count, run.stop_reason), (turns, common_pb2.STOP_REASON_END))

    def assert_invalid(self, run, turns, said):
        self.assertEqual(run.status, common_pb2.RUN_STATUS_FAILED)
        self.assertEqual(run.error.reason, "OUTPUT_INVALID")
        self.assertEqual((run.turn_count, run.turns[-1].text), (turns, said))
        self.assertEqual(run.result_json, "")

    def test_what_fits_is_the_result_also_between_fences(self):
        for said in ('{"n": 1}', ' {"n":1}\n', '```json\n{"n": 1}\n```',
                     'Here:\n```\n{"n": 1}\n```\nAnything else?'):
            run = self.run_of([{"text": said}])
            self.assert_fits(run)
            self.assertEqual(run.turns[0].text, said)
            self.assertEqual(self.rejections(run.id), [])

    def test_what_does_not_fit_is_asked_for_again_with_the_reasons(self):
        run = self.run_of([MISFIT, {"text": "{{input}}"}, FIT], output_retries=2)
        self.assert_fits(run, turns=3)
        first, second = self.rejections(run.id)
        self.assertTrue(first.schema)
        self.assertIn(TOLD, first.feedback)
        self.assertEqual(run.turns[1].text, first.feedback)  # It was told so, as the user.
        self.assertIn("answer: is no JSON", second.feedback)

    def test_what_never_fits_fails_the_run_and_is_kept(self):
        for retries, turns in (({}, 2), ({"output_retries": 0}, 1), ({"output_retries": 3}, 4)):
            run = self.run_of([MISFIT] * 5, **retries)
            self.assert_invalid(run, turns, MISFIT["text"])
            self.assertIn(TOLD, run.error.message)
            self.assertEqual(len(self.rejections(run.id)), turns)

    def test_no_turn_is_taken_that_a_limit_forbids(self):
        run = self.run_of([MISFIT, FIT], max_turns=1)
        self.assert_invalid(run, 1, MISFIT["text"])

    def test_only_the_answer_is_judged(self):
        tool = definitions_pb2.ToolDefinition(id="add", parameters_json='{"type":"object"}')
        host = self.host(tools=["add"])
        self.server.agent("typed", [{"text": "no JSON", "tool_calls": [
            {"name": "add", "arguments": {}}]}, FIT], tools=[tool], output_schema_json=SCHEMA)
        run_id = self.server.start_agent("typed")
        host.done(self.task(), 3)
        self.assert_fits(self.server.wait_ended(run_id), turns=2)
        self.assertEqual(self.rejections(run_id), [])

    def test_a_kill_between_the_tries_loses_and_doubles_none(self):
        self.server.agent("typed", [MISFIT, {"text": '{"n":' + " " * 200 + "1}"}],
                          output_schema_json=SCHEMA, options={"delta_ms": 20, "chunk": 5})
        run_id = self.server.start_agent("typed")
        for answer in self.server.watch(run_id):
            if answer.HasField("delta") and answer.delta.turn == 2:
                break
        self.server.kill()
        self.server.start()
        self.assert_fits(self.server.wait_ended(run_id), turns=2)
        self.assertEqual(len(self.rejections(run_id)), 1)

    def test_a_retry_asks_for_the_last_answer_again(self):
        run = self.run_of([MISFIT, {"text": '{"n": 1.5}'}])
        self.assert_invalid(run, 2, '{"n": 1.5}')
        again = self.server.runs.Retry(runs_pb2.RunServiceRetryRequest(run_id=run.id)).run.id
        self.assert_invalid(self.server.wait_ended(again), 2, '{"n": 1.5}')
        self.assertEqual(len(self.rejections(again)), 2)

    def test_who_asked_from_a_workflow_is_told(self):
        host = self.host("w")
        for script, told in (([MISFIT, FIT], None), ([MISFIT, MISFIT], "OUTPUT_INVALID")):
            self.server.agent("typed", script, output_schema_json=SCHEMA)
            run_id = self.server.start_workflow("w")
            task = self.task()
            host.order(task, "agent", start_runs=steps_pb2.StartRuns(
                runs=[polosd.child("typed", "hello", kind=common_pb2.RUN_KIND_AGENT)], wait=True))
            [outcome] = self.outcome(host)
            if told is None:
                self.assertEqual((outcome["result"], outcome["total_steps"]), ({"n": 1}, 2))
            else:
                self.assertIn(told, json.dumps(outcome))
            host.done(task, "ok")
            self.server.wait_ended(run_id)

    def test_a_schema_that_nothing_can_be_judged_by_is_refused(self):
        for fields, field in (
                ({"output_schema_json": '{"$ref":"http://x/y"}'}, "agent.output_schema_json"),
                ({"output_schema_json": '{"type":"whole"}'}, "agent.output_schema_json"),
                ({"output_schema_json": SCHEMA, "output_retries": 11}, "agent.output_retries")):
            with self.assertRaises(grpc.RpcError) as caught:
                self.server.agent("typed", [FIT], **fields)
            self.assertEqual(caught.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
            self.assertEqual(polosd.details_of(caught.exception)[1], field)

    def test_its_retries_are_shown(self):
        for given, shown in (({}, 1), ({"output_retries": 0}, 0), ({"output_retries": 4}, 4)):
            self.server.agent("typed", [FIT], output_schema_json=SCHEMA, **given)
            found = self.server.agents.Get(agents_pb2.AgentServiceGetRequest(agent_id="typed"))
            self.assertEqual(found.agent.definition.output_retries, shown)


if __name__ == "__main__":
    unittest.main()
