"""Goal: a store that an earlier release wrote is opened as if nothing had happened: each answer is
what that release said of it, and what waited there goes on.
Method: the stores in tests/fixtures/stores, which a server of their release left when it was
stopped or killed; the real polosd opens copies of them, some minutes after they were left and some
hours."""
import glob
import json
import sys
import unittest

from tests.integration.stores import answers, fill

STORES = sorted(glob.glob("tests/fixtures/stores/*/*.json"))


def stores():
    """(name, archive, what its release said of it)"""
    for path in STORES:
        with open(path, encoding="utf-8") as file:
            yield path, path[:-len("json")] + "tar.xz", json.load(file)


class OlderStores(unittest.TestCase):
    maxDiff = None

    def test_there_are_some(self):
        self.assertTrue(STORES)

    def opened(self, archive, at_ms, lease_ms):
        server = fill.opened(archive, at_ms, lease_ms)
        self.addCleanup(server.close)
        return server

    def test_each_row_can_be_read(self):
        for name, archive, expected in stores():
            with self.subTest(name):
                self.assertEqual(fill.rows(archive), expected["rows"])

    def test_each_answer_is_what_it_was(self):
        for name, archive, expected in stores():
            with self.subTest(name):
                server = self.opened(archive, fill.OPENED_MS, fill.HOUR_MS)
                moving = [expected["runs"][label] for label in expected["moving"]]
                found = answers.ask(server, expected["topics"])
                lines = answers.compare(expected["answers"], found, moving)
                self.assertEqual(lines[:20], [], "%d differences" % len(lines))

    def test_what_waits_goes_on(self):
        for name, archive, expected in stores():
            with self.subTest(name):
                server = self.opened(archive, fill.LATER_MS, fill.LEASE_MS)
                self.assertEqual(fill.go_on(server, expected["runs"]), expected["ends"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
