"""Goal: whatever a person gets wrong is answered by name, and nothing is lost.
Method: the real polosd, one mistake at a time; after each the server still answers."""
import json
import socket
import subprocess
import sys
import unittest

import grpc

from tests.lib import polosd
from tests.lib.polosd import (Server, agents_pb2, common_pb2, definitions_pb2, host_pb2,
                              messages_pb2, options_of, runs_pb2, steps_pb2, topics_pb2,
                              workflows_pb2)

TOOL = definitions_pb2.ToolDefinition(
    id="add", parameters_json='{"type":"object","properties":{"a":{"type":"number"}}}')


stop = definitions_pb2.StopCondition


def model(provider="scripted", name="m", **fields):
    return polosd.model_of(provider, name, **fields)


class BadInput(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = polosd.Server(env={"OPENAI_API_KEY": "", "OPENAI_BASE_URL": ""}).start()

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def refused(self, code, reason, field, call, *args, **kwargs):
        with self.assertRaises(grpc.RpcError) as caught:
            call(*args, **kwargs)
        error = caught.exception
        self.assertEqual(error.code(), code, error.details())
        got_reason, got_field, message = polosd.details_of(error)
        self.assertEqual((got_reason, got_field), (reason, field), message)
        self.assertGreater(len(message), 20)
        return message

    def run_agent(self, agent_id, **fields):
        return self.server.agents.Run(
            agents_pb2.AgentServiceRunRequest(agent_id=agent_id, **fields), timeout=20).run

    def test_unknown_agent(self):
        message = self.refused(grpc.StatusCode.NOT_FOUND, "AGENT_NOT_FOUND", "agent_id",
                               self.run_agent, "nobody", input="hi")
        self.assertIn("'nobody'", message)

    def test_unknown_provider_names_the_known_ones(self):
        for provider, base_url, word in (
                ("nosuch", "", "openai"),
                ("openai_compatible", "http://h:99999/v1", "port"),
                ("openai_compatible", "https://h/v1#x", "#"), ("openai", "https://", "host")):
            with self.subTest(provider=provider, base_url=base_url):
                definition = definitions_pb2.AgentDefinition(
                    id="odd", models=[model(provider, base_url=base_url)])
                message = self.refused(
                    grpc.StatusCode.INVALID_ARGUMENT, "INVALID_PROVIDER",
                    "agent.models[0].provider",
                    self.server.agents.Register,
                    agents_pb2.AgentServiceRegisterRequest(agent=definition))
                self.assertIn("agent 'odd'", message)
                self.assertIn(word, message)

    def test_a_host_with_an_unknown_provider_is_told(self):
        hello = polosd.hello_of(host_id="h", agents=[
            definitions_pb2.AgentDefinition(id="odd", models=[model("nosuch")])])
        message = self.refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_PROVIDER",
                               "agent.models[0].provider", list,
                               self.server.tools.Connect(iter([hello])))
        self.assertIn("agent 'odd': unknown provider \"nosuch\"", message)

    def test_missing_key_names_the_variable(self):
        definition = definitions_pb2.AgentDefinition(id="keyless", models=[model("openai")])
        registered = self.server.agents.Register(
            agents_pb2.AgentServiceRegisterRequest(agent=definition))
        self.assertEqual(registered.model_reach, agents_pb2.MODEL_REACH_NO_KEY)
        message = self.refused(grpc.StatusCode.FAILED_PRECONDITION, "PROVIDER_KEY_MISSING",
                               "agent.models[0].provider", self.run_agent, "keyless", input="hi")
        self.assertIn("OPENAI_API_KEY", message)

    def test_bad_definitions(self):
        for definition, field in [
            (dict(id=""), "agent.id"), (dict(id="a b"), "agent.id"),
            (dict(models=[]), "agent.models"), (dict(models=[model(), model()]), "agent.models"),
            (dict(models=[model("")]), "agent.models[0].provider"),
            (dict(models=[model(name="")]), "agent.models[0].model"),
            (dict(models=[model(options_json="[1]")]), "agent.models[0].options_json"),
            (dict(max_turns=1001), "agent.max_turns"),
            (dict(stop_conditions=[stop()]), "agent.stop_conditions[0]"),
            (dict(stop_conditions=[stop(max_tokens=1), stop(max_tokens=0)]),
             "agent.stop_conditions[1].max_tokens"),
            (dict(stop_conditions=[stop(max_turns=0)]), "agent.stop_conditions[0].max_turns"),
            (dict(stop_conditions=[stop(max_turns=1)] * 33), "agent.stop_conditions"),
            (dict(tools=[TOOL, definitions_pb2.ToolDefinition(id="b", parameters_json="{")]),
             "agent.tools[1].parameters_json"),
            (dict(tools=[definitions_pb2.ToolDefinition(id="b", on_lost=3)]),
             "agent.tools[0].on_lost"),
        ]:
            with self.subTest(field=field):
                definition = definitions_pb2.AgentDefinition(
                    **dict(dict(id="a", models=[model()]), **definition))
                request = agents_pb2.AgentServiceRegisterRequest(agent=definition)
                self.refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", field,
                             self.server.agents.Register, request)

    def test_bad_starts(self):
        self.server.agent("ok", [{"text": "fine"}])
        start = self.server.agents.Start
        request = agents_pb2.AgentServiceStartRequest
        said = messages_pb2.Message
        part = messages_pb2.Part
        media = messages_pb2.Media
        assistant = messages_pb2.Message.ROLE_ASSISTANT
        for message, field in [
            (request(agent_id="ok", messages=[said(origin="p/m", parts=[part(text="x")])]),
             "messages[0].origin"),
            (request(agent_id="ok", messages=[said(parts=[part(refusal="no")])]),
             "messages[0].parts[0].text"),
            (request(agent_id="ok", messages=[said(parts=[part(media=media())])]),
             "messages[0].parts[0].media.data"),
            (request(agent_id="ok", messages=[said(parts=[part(media=media(data=b"x"))])]),
             "messages[0].parts[0].media.media_type"),
            (request(agent_id="ok", messages=[said(parts=[part(media=media(url="file:///x"))])]),
             "input"),
            (request(agent_id="ok", messages=[said(role=assistant, parts=[
                part(media=media(url="https://x"))])]), "messages[0].parts[0].media"),
            (request(agent_id="ok", input="a", messages=[said(parts=[part(text="b")])]), "input"),
            (request(agent_id="ok"), "input"),
            (request(agent_id="ok", messages=[said()]), "messages[0].parts"),
            (request(agent_id="ok", messages=[said(parts=[part(text="b"), part()])]),
             "messages[0].parts[1].text"),
            (request(agent_id="ok", messages=[said(role=99, parts=[part(text="b")])]),
             "messages[0].role"),
            (request(agent_id="ok", input="a", options=options_of(provider_options_json="3")),
             "options.provider_options_json"),
            (request(agent_id="ok", input="a", options=options_of("k" * 201)),
             "options.idempotency_key"),
            (request(agent_id="ok", input="a", options=options_of(timeout_ms=-1000)),
             "options.run_timeout"),
            (request(agent_id="ok", input="a", options=options_of(max_retries=1)),
             "options.retry.max_retries"),
            (request(agent_id="ok", input="a" * (1 << 20 | 1)), "input"),
        ]:
            with self.subTest(field=field):
                self.refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", field, start,
                             message)

    def test_media_that_a_provider_cant_be_shown(self):
        definition = definitions_pb2.AgentDefinition(
            id="reader", models=[model("openai_compatible", base_url="http://127.0.0.1:1/v1")])
        self.server.agents.Register(agents_pb2.AgentServiceRegisterRequest(agent=definition))
        video = messages_pb2.Part(media=messages_pb2.Media(data=b"x", media_type="video/mp4"))
        message = self.refused(
            grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", "input", self.server.agents.Start,
            agents_pb2.AgentServiceStartRequest(
                agent_id="reader", messages=[messages_pb2.Message(parts=[video])]))
        self.assertIn("input[0].content[0] is video/mp4", message)
        self.assertIn("openai_compatible", message)

    def test_nothing_is_cut_at_a_nul(self):
        """In a call, in a stream, at any depth; surrogates are no text either."""
        event = topics_pb2.NewEvent(data_json='"QQ"')
        messages = (
            ("AgentService/Start", agents_pb2.AgentServiceStartRequest(
                agent_id="nobody", input="helloQQworld"), "input"),
            ("AgentService/Start", agents_pb2.AgentServiceStartRequest(
                agent_id="nobody", input="a", options=options_of("keyQQ1")),
             "options.idempotency_key"),
            ("TopicService/Publish", topics_pb2.TopicServicePublishRequest(
                topic="t", events=[topics_pb2.NewEvent(), event]), "events[1].data_json"),
            ("TopicService/Subscribe", topics_pb2.TopicServiceSubscribeRequest(topic="QQ"),
             "topic"))
        for path, message, field in messages:
            for junk, name in ((b"\x00\x00", field), (b"\xff\xff", field.replace("[1]", ""))):
                with self.subTest(path=path, field=field, junk=junk):
                    call = self.server.channel.unary_unary("/polos.v1." + path)
                    with self.assertRaises(grpc.RpcError) as caught:
                        call(message.SerializeToString().replace(b"QQ", junk))
                    self.assertEqual(caught.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
                    self.assertEqual(polosd.details_of(caught.exception)[1], name)

    def test_what_only_a_newer_server_knows(self):
        """A call that changes something refuses it; a read passes over it."""
        newer = b"\xf8\x06\x01"  # Field 111: 1
        start = agents_pb2.AgentServiceStartRequest(agent_id="nobody", input="a")
        list_runs = runs_pb2.RunServiceListRequest()
        for path, message, code, field in (
                ("AgentService/Start", start, grpc.StatusCode.INVALID_ARGUMENT, "111"),
                ("RunService/List", list_runs, grpc.StatusCode.OK, "")):
            call = self.server.channel.unary_unary("/polos.v1." + path)
            try:
                call(message.SerializeToString() + newer)
                found = grpc.StatusCode.OK, ""
            except grpc.RpcError as error:
                found = error.code(), polosd.details_of(error)[1]
            self.assertEqual(found, (code, field))

    def test_oversize_message(self):
        request = agents_pb2.AgentServiceStartRequest(agent_id="ok", input="a" * (5 << 20))
        with self.assertRaises(grpc.RpcError) as caught:
            self.server.agents.Start(request)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)

    def test_unknown_run(self):
        run_id = "01890000-0000-7000-8000-000000000000"
        self.refused(grpc.StatusCode.NOT_FOUND, "RUN_NOT_FOUND", "run_id", self.server.get, run_id)
        self.refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", "run_id",
                     self.server.get, "17")
        self.refused(grpc.StatusCode.NOT_FOUND, "RUN_NOT_FOUND", "run_id",
                     lambda: list(self.server.watch(run_id)))

    def test_bad_position(self):
        run_id = self.server.start_workflow("nobody")
        self.refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", "position",
                     lambda: list(self.server.watch(run_id, position="x.y")))
        self.refused(grpc.StatusCode.OUT_OF_RANGE, "POSITION_AHEAD", "position",
                     lambda: list(self.server.watch(run_id, position="999.0.0.0")))

    def test_reused_key(self):
        first = self.server.start_workflow("nobody", 1, key="one")
        self.assertEqual(self.server.start_workflow("nobody", 1, key="one"), first)
        self.refused(grpc.StatusCode.ALREADY_EXISTS, "IDEMPOTENCY_KEY_REUSED",
                     "options.idempotency_key", self.server.start_workflow, "nobody", 2, "one")

    def test_cancelling_twice(self):
        run_id = self.server.start_workflow("nobody")
        request = runs_pb2.RunServiceCancelRequest(run_id=run_id, cause="enough")
        run = self.server.runs.Cancel(request).run
        self.assertEqual(run.status, common_pb2.RUN_STATUS_CANCELLED)
        self.assertIn("enough", run.error.message)
        self.refused(grpc.StatusCode.FAILED_PRECONDITION, "RUN_ENDED", "run_id",
                     self.server.runs.Cancel, request)

    def test_model_gets_told_of_bad_arguments_and_unknown_tools(self):
        self.server.agent("clumsy", [
            {"tool_calls": [{"name": "add", "arguments": "{not json"}]},
            {"tool_calls": [{"name": "subtract", "arguments": {}}]},
            {"text": "sorry"},
        ], tools=[TOOL])
        run = self.run_agent("clumsy", input="go")
        self.assertEqual(run.status, common_pb2.RUN_STATUS_COMPLETED)
        self.assertEqual(json.loads(run.result_json), "sorry")
        self.assertEqual(run.turns[0].tool_results[0].error.reason, "INVALID_ARGUMENTS")
        self.assertEqual(run.turns[1].tool_results[0].error.reason, "UNKNOWN_TOOL")
        self.assertIn("add", run.turns[1].tool_results[0].error.message)

    def test_a_tool_that_raises_is_told_to_the_model(self):
        self.server.agent("brave", [
            {"tool_calls": [{"name": "add", "arguments": {"a": 1}}]},
            {"text": "it said: {{tool_result}}"},
        ], tools=[TOOL])
        host = polosd.Host(self.server, tools=["add"],
                           work=lambda h, t: h.failed(t, "ValueError", "no good"))
        host.start()
        try:
            run = self.run_agent("brave", input="go")
        finally:
            host.close()
        self.assertEqual(json.loads(run.result_json), "it said: Error: no good")
        self.assertEqual(run.turns[0].tool_results[0].error.reason, "ValueError")

    def test_a_tool_nobody_hosts_waits_visibly_until_the_deadline(self):
        self.server.agent("lonely", [
            {"tool_calls": [{"name": "add", "arguments": {"a": 1}}]},
        ], tools=[TOOL])
        run_id = self.server.start_agent("lonely", timeout_ms=700)
        for answer in self.server.watch(run_id):
            if answer.fact.HasField("task_requested"):
                run = self.server.get(run_id)
                self.assertEqual(run.status, common_pb2.RUN_STATUS_WAITING)
                self.assertEqual(run.waiting[0].name, "add")
                self.assertIn("no connected host offers tool add", run.waiting[0].message)
                self.assertEqual(run.waiting[0].deadline, run.deadline)
            ended = answer.ended
        self.assertEqual(ended.status, common_pb2.RUN_STATUS_FAILED)
        self.assertEqual(ended.error.reason, "DEADLINE_EXCEEDED")
        self.assertIn("'add' waited for a host to run it", ended.error.message)

    def test_a_deadline_tells_which_model_was_waited_for(self):
        failing = {"text": "x", "error": {"reason": "RATE_LIMITED", "retryable": True}}
        self.server.agent("slow", [{"text": "a b c d"}], options={"delta_ms": 60000})
        self.server.agent("limited", [failing])
        slow = self.server.start_agent("slow", timeout_ms=500)
        limited = self.server.start_agent("limited", timeout_ms=500)
        self.assertIn("the model 'test' was answering, attempt 1",
                      self.server.wait_ended(slow).error.message)
        self.assertIn("it waited to call the model 'test' again: ",
                      self.server.wait_ended(limited).error.message)

    def test_garbage_on_the_port(self):
        host, port = self.server.address.rsplit(":", 1)
        for garbage in [b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 4096, bytes(range(256)) * 64,
                        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 512]:
            with socket.create_connection((host, int(port)), 5) as connection:
                connection.sendall(garbage)
        self.assertTrue(self.server.start_workflow("nobody"))

    def test_a_second_server_on_the_same_folder(self):
        second = subprocess.run(
            [polosd.BINARY, "--listen", "127.0.0.1:0", "--data", self.server.data],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False)
        self.assertEqual(second.returncode, 1)
        self.assertEqual(second.stdout, b"")
        self.assertIn(self.server.data, second.stderr.decode())
        self.assertIn("another", second.stderr.decode())

    def test_a_port_that_is_taken(self):
        other = polosd.Server()
        other.address = self.server.address
        self.assertFalse(other.try_start())
        self.assertIn(self.server.address, other.log())
        other.close()

    def test_hosts_that_break_the_rules(self):
        hello = polosd.hello_of(host_id="h", slots=1)
        done = host_pb2.TaskDone(task_id="01890000-0000-7000-8000-000000000000.1", epoch=1,
                                 outcome=steps_pb2.TaskOutcome(value_json="1"))
        many = host_pb2.ToolServiceConnectRequest(
            first_seq=1, messages=[host_pb2.HostMessage(task_done=done)] * 1001)
        for messages, code in [
            ([polosd.envelope_of(1, step_done=host_pb2.StepDone())],
             grpc.StatusCode.INVALID_ARGUMENT),
            ([polosd.hello_of(slots=1)], grpc.StatusCode.INVALID_ARGUMENT),
            ([polosd.hello_of(host_id="h")], grpc.StatusCode.INVALID_ARGUMENT),
            ([polosd.hello_of(host_id="h", slots=1, language="x" * 33)],
             grpc.StatusCode.INVALID_ARGUMENT),
            ([polosd.hello_of(host_id="h", slots=1, protocol=0)],
             grpc.StatusCode.INVALID_ARGUMENT),
            ([hello, polosd.envelope_of(5, task_done=done)],
             grpc.StatusCode.FAILED_PRECONDITION),
            ([hello, many], grpc.StatusCode.INVALID_ARGUMENT),
        ]:
            with self.subTest(messages=messages), self.assertRaises(grpc.RpcError) as caught:
                list(self.server.tools.Connect(iter(messages), timeout=5))
            self.assertEqual(caught.exception.code(), code, caught.exception.details())

    def test_a_workflow_input_that_is_no_json(self):
        request = workflows_pb2.WorkflowServiceStartRequest(workflow_id="w", input_json="{")
        self.refused(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", "input_json",
                     self.server.workflows.Start, request)


class CommandLine(unittest.TestCase):
    def test_mistakes_are_named(self):
        for arguments, word in [(["--nosuch"], "--nosuch"), (["--lease-ms", "x"], "lease-ms"),
                                (["--listen", "nowhere"], "listen")]:
            with self.subTest(arguments=arguments):
                done = subprocess.run([polosd.BINARY] + arguments, stdin=subprocess.DEVNULL,
                                      capture_output=True, timeout=20, check=False)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(word, done.stderr.decode())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
