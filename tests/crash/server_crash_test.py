"""Goal: what the server acknowledged outlives it: killed at any instant, or with the power cut.
Method: the real polosd under load from callers and a host; it dies at a point drawn from a seed, is
started again, and so on; at the end the histories are held against what was acknowledged. A control
with a disk that lies about its syncs must be caught, or the test proves nothing."""
import os
import random
import sys
import threading
import unittest

from tests.crash.loads import Lives, Violation, Work
from tests.lib import polosd

KILLS = int(os.environ.get("POLOS_CRASH_KILLS", "12"))
LOSSES = int(os.environ.get("POLOS_CRASH_LOSSES", "12"))
CONTROLS = 4
SHIM = os.path.abspath(os.environ.get("POWERLOSS_LIBRARY", "tests/crash/libpowerloss.so"))


class Kill(unittest.TestCase):
    def kill(self, kind):
        server = polosd.Server(["--lease-ms", "3000"])
        self.addCleanup(server.close)
        draw = random.Random(7)
        load = kind(server)
        self.addCleanup(load.host.close)
        server.start()
        load.host.start()
        load.define()
        for _ in range(KILLS):
            target = load.acks + draw.randint(1, 30)
            driver = threading.Thread(target=load.drive, args=(60,))
            driver.start()
            load.wait_for(lambda t=target: load.acks >= t, timeout=20)
            server.kill()
            driver.join(30)
            server.start()
        histories = load.check()
        self.assertGreater(len(histories), KILLS)
        print("kills %d, runs %d, %s" % (KILLS, len(histories), load.told()))

    def test_work_killed_at_random_points(self):
        self.kill(Work)

    def test_lives_killed_at_random_points(self):
        self.kill(Lives)


class Laws(unittest.TestCase):
    """The checker itself: it must fail when told of promises nobody made."""

    def test_broken_promises_are_noticed(self):
        server = polosd.Server()
        self.addCleanup(server.close)
        load = Lives(server)
        self.addCleanup(load.host.close)
        server.start()
        load.host.start()
        load.define()
        load.drive(40)
        load.check()
        run_id, number = next(iter(load.accepted)), next(iter(load.published))
        for notes, key, value in ((load.accepted, run_id, -1), (load.published, number, 10**6),
                                  (load.lives, run_id, -2), (load.__dict__, "ROOM", 1)):
            kept = notes.get(key, load.ROOM)
            notes[key] = value
            with self.assertRaises(Violation) as caught:
                load.check()
            print("noticed:", str(caught.exception)[:100])
            notes[key] = kept


class PowerLoss(unittest.TestCase):
    def lose(self, kind, seed, lies):
        """True when the power went while promises were out; raises Violation when one is broken."""
        draw = random.Random(seed)
        server = polosd.Server(["--lease-ms", "3000"])
        load = kind(server)
        env = {"LD_PRELOAD": SHIM, "POWERLOSS_DIR": server.data, "POWERLOSS_SEED": str(seed),
               "POWERLOSS_AT": str(draw.randint(300, 1200))}
        env.update({"POWERLOSS_LIES": "1"} if lies else {})
        try:
            if not server.try_start(env):
                return False
            load.host.start()
            load.define()
            load.drive(100000)
            self.assertEqual(server.process.wait(30), 137, server.log())
            server.process.stdout.close()
            if not server.try_start():
                raise Violation("it does not start again: " + server.log()[-300:])
            load.define()
            load.check()
            return load.acks > 0
        finally:
            load.host.close()
            server.close()

    def survive(self, kind):
        struck = sum(self.lose(kind, seed, lies=False) for seed in range(1, LOSSES + 1))
        print("power losses with promises out: %d of %d" % (struck, LOSSES))
        self.assertGreater(struck, LOSSES // 2)

    def test_what_was_acknowledged_of_work_survives(self):
        self.survive(Work)

    def test_what_was_acknowledged_of_lives_survives(self):
        self.survive(Lives)

    def test_control_a_disk_that_lies_is_caught(self):
        caught = 0
        for seed in range(101, 101 + CONTROLS):
            try:
                self.lose(Work, seed, lies=True)
            except Violation as violation:
                print("caught:", str(violation)[:160])
                caught += 1
        self.assertGreater(caught, 0)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
