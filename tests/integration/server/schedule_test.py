"""Goal: the clock starts workflows on the real server: once per tick, also across kill -9, and once
for what it slept through.
Method: a zone made for the test, whose clocks are seconds off, so that its next minute begins when
the test wants it; everything else is as users have it."""
import json
import os
import queue
import struct
import sys
import tempfile
import time
import unittest

import grpc

from tests.lib import polosd
from tests.lib.polosd import host_pb2, runs_pb2, workflows_pb2

ZONES = "/usr/share/zoneinfo"


def write_zone(folder, name, offset_s):
    """A TZif file (RFC 8536, version 1) of one offset."""
    header = b"TZif" + bytes(16) + struct.pack(">6I", 0, 0, 0, 0, 1, 4)
    with open(os.path.join(folder, name), "wb") as file:
        file.write(header + struct.pack(">iBB", offset_s, 0, 0) + b"TST\0")


def zone_of_next_minute(folder, name, in_s):
    """Makes a zone whose next minute begins in in_s seconds, rounded up; the Unix time of that."""
    at_s = int(time.time()) + 1 + in_s
    write_zone(folder, name, -(at_s % 60))
    return at_s


def wait_until(unix_s):
    while time.time() < unix_s:
        time.sleep(0.05)


class Schedules(unittest.TestCase):
    def setUp(self):
        self.zones = tempfile.TemporaryDirectory(prefix="zones-")
        self.server = polosd.Server(["--zone-folder", self.zones.name]).start()
        self.hosts = []

    def tearDown(self):
        for host in self.hosts:
            host.close()
        self.server.close()
        self.zones.cleanup()

    def put(self, cron, **fields):
        return self.server.workflows.PutSchedule(workflows_pb2.WorkflowServicePutScheduleRequest(
            workflow_id="tick", cron=cron, **fields))

    def list(self, **fields):
        return self.server.workflows.ListSchedules(
            workflows_pb2.WorkflowServiceListSchedulesRequest(**fields)).schedules

    def runs(self):
        return self.server.list(name="tick").runs

    def host(self):
        tasks = queue.Queue()

        def work(host, task):
            host.done(task, "done")
            tasks.put(json.loads(task.input_json))

        self.hosts.append(polosd.Host(self.server, workflows=["tick"], work=work).start())
        return tasks

    def refused(self, code, reason, field, call, *args, **kwargs):
        with self.assertRaises(grpc.RpcError) as caught:
            call(*args, **kwargs)
        self.assertEqual(caught.exception.code(), code)
        got_reason, got_field, message = polosd.details_of(caught.exception)
        self.assertEqual((got_reason, got_field), (reason, field), message)
        return message

    def test_a_tick_starts_a_run(self):
        tasks = self.host()
        at_s = zone_of_next_minute(self.zones.name, "Soon", 1)
        answer = self.put("* * * * *", timezone="Soon", key="me")
        self.assertEqual(answer.schedule_id, "tick/me")
        self.assertEqual(answer.next_tick_ms, at_s * 1000)
        told = tasks.get(timeout=20)
        self.assertLess(time.time() - at_s, 10)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_s))
        upcoming = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_s + 60))
        self.assertEqual(told, {"timestamp": stamp, "last_timestamp": None, "timezone": "Soon",
                                "schedule_id": "tick/me", "key": "me", "upcoming": upcoming})
        schedule, = self.list()
        self.assertEqual(schedule.last_tick_ms, at_s * 1000)
        self.assertEqual(schedule.next_tick_ms, (at_s + 60) * 1000)
        self.assertEqual([run.id for run in self.runs()], [schedule.last_run_id])

    def test_what_was_slept_through_is_one_run(self):
        at_s = zone_of_next_minute(self.zones.name, "Soon", 3)
        self.put("* * * * *", timezone="Soon", input_json='{"n": 1}')
        self.server.kill()
        self.assertLess(time.time(), at_s, "the machine is too slow for this test")
        wait_until(at_s + 0.2)
        self.server.start()
        tasks = self.host()
        self.assertEqual(tasks.get(timeout=20), {"n": 1})
        self.server.kill()
        self.server.start()
        self.assertEqual(len(self.runs()), 1)
        schedule, = self.list()
        self.assertEqual(schedule.last_tick_ms, at_s * 1000)

    def test_it_is_kept_replaced_and_deleted(self):
        first = self.put("0 3 * * *")
        self.assertEqual(first.next_tick_ms % 86400000, 3 * 3600 * 1000)
        self.server.kill()
        self.server.start()
        self.assertEqual(self.put("0 3 * * *").next_tick_ms, first.next_tick_ms)
        self.assertEqual(self.put("0 4 * * *").next_tick_ms % 86400000, 4 * 3600 * 1000)
        self.put("0 4 * * *", key="b")
        self.assertEqual([s.schedule_id for s in self.list()], ["tick/b", "tick/global"])
        delete = workflows_pb2.WorkflowServiceDeleteScheduleRequest(workflow_id="tick")
        self.server.workflows.DeleteSchedule(delete)
        self.refused(grpc.StatusCode.NOT_FOUND, "SCHEDULE_NOT_FOUND", "key",
                     self.server.workflows.DeleteSchedule, delete)
        self.server.kill()
        self.server.start()
        self.assertEqual([s.key for s in self.list(workflow_id="tick")], ["b"])
        self.assertEqual(len(self.list(workflow_id="other")), 0)

    def test_a_host_offers_it_with_its_workflow(self):
        host = polosd.Host(self.server, work=None)
        host.hello["workflows"] = [host_pb2.WorkflowDefinition(
            id="tick", schedule=host_pb2.Schedule(cron="30 9 * * MON-FRI", key="work"))]
        self.hosts.append(host.start())
        self.assertTrue(host.welcome.wait(20))
        schedule, = self.list()
        self.assertEqual((schedule.cron, schedule.timezone, schedule.key),
                         ("30 9 * * MON-FRI", "UTC", "work"))
        self.assertEqual(schedule.problem, "")

    def test_mistakes_are_named(self):
        invalid = grpc.StatusCode.INVALID_ARGUMENT
        message = self.refused(invalid, "INVALID_FIELD", "cron", self.put, "0 0 30 2 *")
        self.assertIn("never", message)
        message = self.refused(invalid, "INVALID_FIELD", "cron", self.put, "75 * * * *")
        self.assertIn("minute", message)
        self.assertEqual(message.count("cron"), 1, message)
        self.refused(invalid, "INVALID_FIELD", "timezone", self.put, "@daily", timezone="../x")
        message = self.refused(invalid, "INVALID_FIELD", "timezone", self.put, "@daily",
                               timezone="Europe/Berlni")
        self.assertIn("Europe/Berlni", message)
        self.assertEqual(len(self.list()), 0)


class Zones(unittest.TestCase):
    def test_the_machines_zones_are_known(self):
        self.assertTrue(os.path.isdir(ZONES), "install tzdata")
        server = polosd.Server().start()
        try:
            request = workflows_pb2.WorkflowServicePutScheduleRequest(
                workflow_id="tick", cron="0 12 * * *", timezone="Asia/Kolkata")
            tick_ms = server.workflows.PutSchedule(request).next_tick_ms
            self.assertEqual(tick_ms % 86400000, (6 * 60 + 30) * 60000)
        finally:
            server.close()

    def test_a_server_without_zones_says_so(self):
        server = polosd.Server(["--zone-folder", "/nowhere"]).start()
        try:
            request = workflows_pb2.WorkflowServicePutScheduleRequest(
                workflow_id="tick", cron="0 12 * * *", timezone="Asia/Kolkata")
            with self.assertRaises(grpc.RpcError) as caught:
                server.workflows.PutSchedule(request)
            self.assertEqual(caught.exception.code(), grpc.StatusCode.FAILED_PRECONDITION)
            reason, field, message = polosd.details_of(caught.exception)
            self.assertEqual((reason, field), ("ZONES_MISSING", "timezone"))
            self.assertIn("tzdata", message)
            request.timezone = ""
            self.assertGreater(server.workflows.PutSchedule(request).next_tick_ms, 0)
        finally:
            server.close()


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
