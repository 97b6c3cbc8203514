"""Goal: what hosts offered and defined is shown when they are gone and the server was killed; what
nobody uses can be deleted, once, and stays deleted.
Method: the real polosd, hosts that dial in and leave, agents of many versions, kills."""
import sys
import threading
import unittest

import grpc

from tests.lib import polosd
from tests.lib.polosd import agents_pb2, common_pb2, definitions_pb2, tools_pb2, workflows_pb2

LOOK = definitions_pb2.ToolDefinition(id="look", description="Looks.", parameters_json="{}",
                                      on_lost=common_pb2.LOST_CALL_REPEAT)
VERSIONS = 600  # They go in three pieces.


class Definitions(polosd.Hosted):
    LEASE_MS = 600

    def host(self, host_id, **fields):
        tools, workflows = fields.pop("tools", []), fields.pop("workflows", [])
        host = polosd.Host(self.server, host_id=host_id, **fields)
        host.hello.update(tools=tools, workflows=workflows)
        host.start()
        self.hosts.append(host)
        self.assertTrue(host.welcome.wait(10))
        return host

    def versions(self, agent_id):
        found, token = [], ""
        while True:
            page = self.server.agents.List(agents_pb2.AgentServiceListRequest(
                versions_of=agent_id, page_size=100, page_token=token))
            found += page.agents
            token = page.next_page_token
            if not token:
                return found

    def delete(self, agent_id, definition_hash=""):
        return self.server.agents.Delete(agents_pb2.AgentServiceDeleteRequest(
            agent_id=agent_id, definition_hash=definition_hash), timeout=30)

    def refused(self, reason, call, *arguments):
        with self.assertRaises(grpc.RpcError) as caught:
            call(*arguments)
        self.assertEqual(polosd.details_of(caught.exception)[0], reason)

    def restart(self):
        self.server.kill()
        self.server.start()

    def test_what_a_host_offered_is_shown_after_it(self):
        each = definitions_pb2.WorkflowDefinition(id="each", description="Each.", queue="mail")
        host = self.host("one", tools=[LOOK], workflows=[each], deployment="v7")
        shown = self.server.workflows.Get(
            workflows_pb2.WorkflowServiceGetRequest(workflow_id="each")).workflow
        self.assertEqual((shown.definition, shown.deployment, shown.hosts), (each, "v7", 1))
        self.refused("DEFINITION_IN_USE", self.server.workflows.Delete,
                     workflows_pb2.WorkflowServiceDeleteRequest(workflow_id="each"))
        host.close()
        self.restart()
        tools = self.server.tools.List(tools_pb2.ToolServiceListRequest()).tools
        self.assertEqual([(t.definition, t.deployment, t.hosts) for t in tools], [(LOOK, "v7", 0)])
        gone = workflows_pb2.WorkflowServiceDeleteRequest(workflow_id="each")
        self.server.workflows.Delete(gone)
        self.restart()
        self.refused("WORKFLOW_NOT_FOUND", self.server.workflows.Delete, gone)
        self.server.tools.Delete(tools_pb2.ToolServiceDeleteRequest(tool_id="look"))
        self.assertFalse(self.server.tools.List(tools_pb2.ToolServiceListRequest()).tools)

    def test_a_version_goes_when_its_runs_have_ended(self):
        script = [{"tool_calls": [{"name": "look", "arguments": {}}]}, {"text": "seen"}]
        self.server.agent("helper", script, tools=[LOOK])
        run_id = self.server.start_agent("helper")
        self.server.agent("helper", script[1:], tools=[LOOK])
        newest, old = self.versions("helper")
        self.assertEqual([newest.newest, old.newest, newest.runs, old.runs], [True, False, 0, 1])
        self.restart()
        self.refused("DEFINITION_IN_USE", self.delete, "helper", old.definition_hash)
        self.host("one", tools=[LOOK], work=lambda host, task: host.done(task, 1))
        self.server.wait_ended(run_id)
        self.delete("helper", old.definition_hash)
        self.refused("AGENT_NOT_FOUND", self.delete, "helper", old.definition_hash)
        self.refused("DEFINITION_IN_USE", self.delete, "helper", newest.definition_hash)
        self.restart()
        self.assertEqual([v.definition_hash for v in self.versions("helper")],
                         [newest.definition_hash])
        self.assertEqual(self.server.get(run_id).result_json, '"seen"')

    def test_a_drained_host_ends_what_it_holds_and_is_given_nothing_new(self):
        held = threading.Event()
        tasks = []

        def work(host, task):
            tasks.append((host, task))
            held.set()

        flow = definitions_pb2.WorkflowDefinition(id="flow")
        first = self.host("one", workflows=[flow], work=work)
        run_id = self.server.start_workflow("flow")
        self.assertTrue(held.wait(10))
        drained = self.server.tools.DrainHost(
            tools_pb2.ToolServiceDrainHostRequest(host_id="one")).host
        self.assertEqual((drained.draining, drained.tasks, drained.workflow_ids),
                         (True, 1, ["flow"]))
        second = self.server.start_workflow("flow")
        self.host("two", workflows=[flow], work=lambda host, task: host.done(task, "two"))
        self.assertEqual(self.server.wait_ended(second).result_json, '"two"')
        first.done(tasks[0][1], "one")
        self.assertEqual(self.server.wait_ended(run_id).result_json, '"one"')
        hosts = self.server.tools.ListHosts(tools_pb2.ToolServiceListHostsRequest()).hosts
        self.assertEqual([(h.id, h.draining, h.connected) for h in hosts],
                         [("one", True, True), ("two", False, True)])
        self.refused("HOST_NOT_FOUND", self.server.tools.DrainHost,
                     tools_pb2.ToolServiceDrainHostRequest(host_id="three"))

    def test_an_agent_of_many_versions_goes_though_the_server_is_killed(self):
        for number in range(VERSIONS):
            self.server.agent("helper", [{"text": "x"}], system_prompt=str(number))
        answers = []

        def ask():
            try:
                answers.append(self.delete("helper"))
            except grpc.RpcError as error:
                answers.append(error.code())

        asking = threading.Thread(target=ask)
        asking.start()
        self.server.kill()
        asking.join()
        self.server.start()
        left = self.versions("helper")
        if left:
            self.assertTrue(left[0].newest)
            self.assertEqual(left[0].definition.system_prompt, str(VERSIONS - 1))
            self.delete("helper")
        self.refused("AGENT_NOT_FOUND", self.delete, "helper")
        self.assertFalse(self.versions("helper"))
        self.refused("AGENT_NOT_FOUND", self.server.start_agent, "helper")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
