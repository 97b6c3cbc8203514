"""Goal: what is wrong when polosd starts is said in one line that says what to do.
Method: the real polosd, started where it may not, or with what it does not know."""
import os
import socket
import sys
import unittest

from tests.lib import polosd


class Starting(unittest.TestCase):
    def setUp(self):
        self.server = polosd.Server()
        self.addCleanup(self.server.close)

    def refused(self):
        """What it says on its one line."""
        self.assertFalse(self.server.try_start())
        lines = [line for line in self.server.log().splitlines()
                 if "variable_unknown" not in line]  # Of the tests' own environment.
        self.assertEqual(len(lines), 1, lines)
        return lines[0]

    def warned(self, what, env=None):
        self.server.start(env)
        self.assertEqual(self.server.stop(), 0)
        lines = [line for line in self.server.log().splitlines() if what in line]
        self.assertEqual(len(lines), 1, self.server.log())
        return lines[0]

    def test_a_port_in_use(self):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            self.server.address = "127.0.0.1:%d" % other.getsockname()[1]
            said = self.refused()
        self.assertIn(self.server.address + ": another process does", said)
        self.assertIn("--listen", said)

    def test_a_folder_of_somebody_else(self):
        os.mkdir(self.server.data)
        note = os.path.join(self.server.data, "notes.txt")
        with open(note, "w", encoding="utf-8") as file:
            file.write("mine")
        said = self.refused()
        self.assertIn("holds no store, but other files (notes.txt)", said)
        self.assertEqual(os.listdir(self.server.data), ["notes.txt"])

    def test_a_store_with_a_note_in_it_is_opened(self):
        self.server.start()
        run_id = self.server.start_workflow("w")
        self.server.kill()
        with open(os.path.join(self.server.data, "notes.txt"), "w", encoding="utf-8") as file:
            file.write("mine")
        self.server.start()
        self.assertEqual(self.server.get(run_id).id, run_id)

    def test_a_volume_that_is_too_small(self):
        volume = os.statvfs(self.server.root)
        most = volume.f_blocks * volume.f_frsize
        self.assertLess(most, 1 << 40)  # Else the option cannot ask for more than there is.
        self.server.options = ["--free-bytes-soft", str(most)]
        said = self.warned("volume_too_small")
        self.assertIn("while more than %d MiB are free" % (most >> 20), said)
        self.assertIn("--free-bytes-soft", said)

    def test_an_address_that_others_reach(self):
        self.server.address = "0.0.0.0:0"
        said = self.refused()
        self.assertIn("there are no keys", said)
        self.assertIn("--allow-no-keys 1", said)

    def test_such_an_address_without_tls(self):
        self.server.address = "0.0.0.0:0"
        self.server.options = ["--allow-no-keys", "1"]
        said = self.refused()
        self.assertIn("--tls-certificates", said)
        self.assertIn("--allow-no-tls 1", said)

    def test_such_an_address_by_will(self):
        self.server.address = "0.0.0.0:0"
        self.server.options = ["--allow-no-keys", "1", "--allow-no-tls", "1"]
        self.assertIn("WARN", self.warned("no_keys").upper())

    def test_an_address_of_this_machine_alone(self):
        self.server.start()
        self.server.stop()
        lines = [line for line in self.server.log().splitlines() if "no_keys" in line]
        self.assertEqual(len(lines), 1)
        self.assertNotIn("WARN", lines[0].upper())

    def test_a_variable_that_is_none(self):
        said = self.warned("POLOSD_LEASE_SM", {"POLOSD_LEASE_SM": "5"})
        self.assertIn("it is no setting", said)


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
