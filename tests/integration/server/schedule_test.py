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
from tests.lib.polosd import definitions_pb2, runs_pb2, schedules_pb2

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

    def put(self, cron, timezone="", key="", **fields):
        spec = schedules_pb2.ScheduleSpec(cron=cron, timezone=timezone, key=key)
        return self.server.schedules.Put(schedules_pb2.ScheduleServicePutRequest(
            name="tick", spec=spec, **fields)).schedule

    def list(self, **fields):
        return self.server.schedules.List(
            schedules_pb2.ScheduleServiceListRequest(**fields)).schedules

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
        self.assertEqual(answer.id, "tick/me")
        self.assertEqual(answer.next_tick.ToMilliseconds(), at_s * 1000)
        told = tasks.get(timeout=20)
        self.assertLess(time.time() - at_s, 10)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_s))
        upcoming = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_s + 60))
        self.assertEqual(told, {"timestamp": stamp, "last_timestamp": None, "timezone": "Soon",
                                "schedule_id": "tick/me", "key": "me", "upcoming": upcoming})
        schedule, = self.list()
        self.assertEqual(schedule.last_tick.ToMilliseconds(), at_s * 1000)
        self.assertEqual(schedule.next_tick.ToMilliseconds(), (at_s + 60) * 1000)
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
        self.assertEqual(schedule.last_tick.ToMilliseconds(), at_s * 1000)

    def test_it_is_kept_replaced_and_deleted(self):
        first = self.put("0 3 * * *")
        self.assertEqual(first.next_tick.ToMilliseconds() % 86400000, 3 * 3600 * 1000)
        self.server.kill()
        self.server.start()
        self.assertEqual(self.put("0 3 * * *").next_tick, first.next_tick)
        moved = self.put("0 4 * * *").next_tick.ToMilliseconds()
        self.assertEqual(moved % 86400000, 4 * 3600 * 1000)
        self.put("0 4 * * *", key="b")
        self.assertEqual([s.id for s in self.list()], ["tick/b", "tick/global"])
        delete = schedules_pb2.ScheduleServiceDeleteRequest(schedule_id="tick/global")
        self.server.schedules.Delete(delete)
        self.refused(grpc.StatusCode.NOT_FOUND, "SCHEDULE_NOT_FOUND", "schedule_id",
                     self.server.schedules.Delete, delete)
        self.server.kill()
        self.server.start()
        self.assertEqual([s.spec.key for s in self.list(name="tick")], ["b"])
        self.assertEqual(len(self.list(name="other")), 0)

    def test_it_rests_and_is_triggered(self):
        self.put("0 3 * * *", options=polosd.start_pb2.StartOptions(user_id="ann"))
        paused = self.server.schedules.Pause(schedules_pb2.ScheduleServicePauseRequest(
            schedule_id="tick/global", cause="holidays")).schedule
        self.assertEqual((paused.paused, paused.problem), (True, "it is paused: holidays"))
        self.server.kill()
        self.server.start()
        schedule, = self.list()
        self.assertTrue(schedule.paused)
        self.assertFalse(schedule.HasField("next_tick"))
        trigger = schedules_pb2.ScheduleServiceTriggerRequest(
            schedule_id="tick/global", idempotency_key="once")
        first = self.server.schedules.Trigger(trigger)
        self.assertEqual(first.outcome, polosd.start_pb2.START_OUTCOME_STARTED)
        again = self.server.schedules.Trigger(trigger)
        self.assertEqual((again.run_id, again.outcome),
                         (first.run_id, polosd.start_pb2.START_OUTCOME_FOUND))
        run, = self.runs()
        self.assertEqual(run.id, first.run_id)
        self.assertEqual(self.server.get(run.id).user_id, "ann")
        unpaused = self.server.schedules.Unpause(schedules_pb2.ScheduleServiceUnpauseRequest(
            schedule_id="tick/global")).schedule
        self.assertFalse(unpaused.paused)
        self.assertTrue(unpaused.HasField("next_tick"))

    def test_a_host_offers_it_with_its_workflow(self):
        host = polosd.Host(self.server, work=None)
        host.hello["workflows"] = [definitions_pb2.WorkflowDefinition(
            id="tick", schedule=schedules_pb2.ScheduleSpec(cron="30 9 * * MON-FRI", key="work"))]
        self.hosts.append(host.start())
        self.assertTrue(host.welcome.wait(20))
        schedule, = self.list()
        spec = schedule.spec
        self.assertEqual((spec.cron, spec.timezone, spec.key),
                         ("30 9 * * MON-FRI", "UTC", "work"))
        self.assertEqual(schedule.problem, "")

    def test_mistakes_are_named(self):
        invalid = grpc.StatusCode.INVALID_ARGUMENT
        message = self.refused(invalid, "INVALID_FIELD", "spec.cron", self.put, "0 0 30 2 *")
        self.assertIn("never", message)
        message = self.refused(invalid, "INVALID_FIELD", "spec.cron", self.put, "75 * * * *")
        self.assertIn("minute", message)
        self.assertEqual(message.count("cron"), 1, message)
        self.refused(invalid, "INVALID_FIELD", "spec.timezone", self.put, "@daily", timezone="../x")
        message = self.refused(invalid, "INVALID_FIELD", "spec.timezone", self.put, "@daily",
                               timezone="Europe/Berlni")
        self.assertIn("Europe/Berlni", message)
        self.assertEqual(len(self.list()), 0)


class Zones(unittest.TestCase):
    def test_the_machines_zones_are_known(self):
        self.assertTrue(os.path.isdir(ZONES), "install tzdata")
        server = polosd.Server().start()
        try:
            request = schedules_pb2.ScheduleServicePutRequest(
                name="tick", spec=schedules_pb2.ScheduleSpec(
                    cron="0 12 * * *", timezone="Asia/Kolkata"))
            tick_ms = server.schedules.Put(request).schedule.next_tick.ToMilliseconds()
            self.assertEqual(tick_ms % 86400000, (6 * 60 + 30) * 60000)
        finally:
            server.close()

    def test_a_server_without_zones_says_so(self):
        server = polosd.Server(["--zone-folder", "/nowhere"]).start()
        try:
            request = schedules_pb2.ScheduleServicePutRequest(
                name="tick", spec=schedules_pb2.ScheduleSpec(
                    cron="0 12 * * *", timezone="Asia/Kolkata"))
            with self.assertRaises(grpc.RpcError) as caught:
                server.schedules.Put(request)
            self.assertEqual(caught.exception.code(), grpc.StatusCode.FAILED_PRECONDITION)
            reason, field, message = polosd.details_of(caught.exception)
            self.assertEqual((reason, field), ("ZONES_MISSING", "spec.timezone"))
            self.assertIn("tzdata", message)
            request.spec.timezone = ""
            self.assertTrue(server.schedules.Put(request).schedule.HasField("next_tick"))
        finally:
            server.close()


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
