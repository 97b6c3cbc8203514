"""Goal:   a run asks its model as often as the page says, and says what became of it.
Method: the real polosd, and a server that answers as each case says; what counts is the number
        of requests that reached it.
"""
import json
import unittest

from polos.v1 import agents_pb2, definitions_pb2, messages_pb2, runs_pb2

from tests.integration.llm_transport.replay import HANG, Raw, ReplayServer, Response, chunk, sse
from tests.lib.polosd import Server, common_pb2, model_of

HELLO = sse(chunk({"content": "hello"}), chunk({}, "stop"))
BUSY = Response(b'{"error":{"message":"busy"}}', status=503, content_type="application/json")


class Polosd(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(["--model-attempts-max", "3", "--model-calls-max", "32"],
                            {"NO_PROXY": "*", "no_proxy": "*"})
        cls.addClassCleanup(cls.server.close)
        cls.server.start()

    def register(self, agent_id, model):
        definition = definitions_pb2.AgentDefinition(
            id=agent_id, models=[model_of("openai_compatible", "m", base_url=model.url)])
        self.server.agents.Register(agents_pb2.AgentServiceRegisterRequest(agent=definition))

    def run_with(self, *responses):
        """The run of an agent whose model answers so, and how often it was asked."""
        with ReplayServer(*responses) as model:
            self.register("a", model)
            run = self.server.wait_ended(self.server.start_agent("a"))
            return run, len(model.requests)

    def waiting(self, run_id):
        return self.server.get(run_id).waiting[0].message

    def test_lasting_failure_is_counted_once(self):
        run, asked = self.run_with(BUSY)
        self.assertEqual(asked, 3)
        self.assertEqual(run.error.reason, "MODEL_OVERLOADED")
        self.assertIn("given up after 3 tries", run.error.message)

    def test_the_log_says_whose_call_failed(self):
        run, _ = self.run_with(Response(b"{}", status=404, content_type="application/json"))
        self.assertIn(f'model_failed run={run.id} agent=a model="m" provider=openai_compatible '
                      f"reason={run.error.reason} http=404 attempt=1", self.server.log())

    def test_passing_failure_is_repaired(self):
        run, asked = self.run_with(BUSY, BUSY, Response(HELLO))
        self.assertEqual((json.loads(run.result_json), asked), ("hello", 3))

    def test_lost_content_is_said_anew(self):
        cut = Response(sse(chunk({"content": "he"}), done=False))
        run, asked = self.run_with(cut, Response(HELLO))
        self.assertEqual((json.loads(run.result_json), asked), ("hello", 2))

    def test_server_that_hangs_holds_up_no_other(self):
        with ReplayServer(Raw(HANG)) as hanging:
            runs = []
            self.register("h", hanging)
            for _ in range(40):
                runs.append(self.server.start_agent("h"))
            while len(hanging.requests) < 32:
                hanging.closing.wait(0.01)
            run, asked = self.run_with(Response(HELLO))
            self.assertEqual((json.loads(run.result_json), asked), ("hello", 1))
            self.assertEqual(len(hanging.requests), 32)
            sentence = "it waits for a place at %s, attempt 1" % hanging.url[:-len("/v1")]
            while sum(self.waiting(run_id) == sentence for run_id in runs) < 8:
                hanging.closing.wait(0.01)
            late = self.server.wait_ended(self.server.start_agent("h", timeout_ms=1000))
            self.assertIn("while its model call waited for a place at http://127.0.0.1:",
                          late.error.message)
            for run_id in runs:
                self.server.runs.Cancel(runs_pb2.RunServiceCancelRequest(run_id=run_id))

    def test_what_a_user_shows_reaches_the_model(self):
        media = messages_pb2.Media(data=b"\x89PNG\xff", media_type="image/png")
        parts = [messages_pb2.Part(text="what is it?"), messages_pb2.Part(media=media)]
        with ReplayServer(Response(HELLO)) as model:
            self.register("seer", model)
            started = self.server.agents.Start(agents_pb2.AgentServiceStartRequest(
                agent_id="seer", messages=[messages_pb2.Message(parts=parts)]))
            self.server.wait_ended(started.run_id)
            sent = json.loads(model.requests[0].body)
        self.assertEqual(sent["messages"][-1]["content"], [
            {"type": "text", "text": "what is it?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBOR/8="}}])

    def test_refusal_is_one(self):
        refusal = sse(chunk({"refusal": "I cannot."}), chunk({}, "stop"))
        run, _ = self.run_with(Response(refusal))
        self.assertEqual(run.stop_reason, common_pb2.STOP_REASON_REFUSAL)


if __name__ == "__main__":
    unittest.main()
