"""Goal: topics are listed, shortened and dropped on the real server; what is dropped stays gone
across a kill, what waits for a topic misses nothing, and no event is taken from a trigger.
Method: the API over gRPC; handlers themselves: tests/unit/api/topics_test.c."""
import json
import sys
import unittest

import grpc

from tests.lib import polosd
from tests.lib.polosd import definitions_pb2, topics_pb2


class Topics(polosd.Hosted):
    def publish(self, topic, *data):
        events = [topics_pb2.NewEvent(data_json=json.dumps(d)) for d in data]
        return list(self.server.topics.Publish(topics_pb2.TopicServicePublishRequest(
            topic=topic, events=events)).sequences)

    def read(self, topic, **start):
        answers = self.server.topics.Subscribe(topics_pb2.TopicServiceSubscribeRequest(
            topic=topic, **start))
        return [json.loads(a.event.data_json) for a in answers if a.HasField("event")]

    def listed(self, prefix=""):
        return {t.name: (t.first_sequence, t.last_sequence) for t in self.server.topics.List(
            topics_pb2.TopicServiceListRequest(prefix=prefix)).topics}

    def drop(self, topic, up_to=0):
        self.server.topics.Delete(topics_pb2.TopicServiceDeleteRequest(
            topic=topic, up_to_sequence=up_to))

    def test_what_is_dropped_stays_gone(self):
        self.publish("news", *range(1000))
        self.publish("old", 1, 2)
        self.drop("news", up_to=990)
        self.drop("old")
        self.assertEqual(self.read("news"), list(range(990, 1000)))
        self.server.kill()
        self.server.start()
        self.assertEqual(self.listed(), {"news": (991, 1000)})
        self.assertEqual(self.read("news", position="995"), list(range(995, 1000)))
        self.assertEqual(self.read("old"), [])
        self.assertEqual(self.publish("old", 3), [3])
        self.assertEqual(self.listed("o"), {"old": (3, 3)})

    def test_a_trigger_keeps_its_events(self):
        host = polosd.Host(self.server, work=lambda host, task: self.tasks.put(task))
        host.hello["workflows"] = [definitions_pb2.WorkflowDefinition(
            id="pairs", trigger=definitions_pb2.EventTrigger(topic="orders", batch_size=2))]
        self.hosts.append(host.start())
        self.assertTrue(host.welcome.wait(10))
        self.publish("orders", 1, 2, 3)
        self.assertEqual(len(json.loads(self.task().input_json)["events"]), 2)
        self.drop("orders", up_to=2)
        for up_to in (3, 0):
            with self.assertRaises(grpc.RpcError) as caught:
                self.drop("orders", up_to)
            self.assertEqual(caught.exception.code(), grpc.StatusCode.FAILED_PRECONDITION)
            self.assertEqual(polosd.details_of(caught.exception)[:2], ("TOPIC_IN_USE", "topic"))
        self.publish("orders", 4)
        found = json.loads(self.task().input_json)["events"]
        self.assertEqual([event["data"] for event in found], [3, 4])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
