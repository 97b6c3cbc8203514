"""Goal: one stream shows a root and all that is started below it, and is taken up again by one
position after a cut or a restart: nothing is missing, nothing comes twice, each run keeps its
order.
Method: the real polosd, killed under the watcher, and hosts written from the protocol; what was
shown is compared with the histories of all runs."""
import threading
import unittest

import grpc

from tests.lib import polosd
from tests.lib.polosd import child, common_pb2, runs_pb2, steps_pb2

COMPLETED = common_pb2.RUN_STATUS_COMPLETED
WIDTH = 20
BELOW = 2
RUNS = 1 + WIDTH + WIDTH * BELOW
CUT_EVERY = 17


class Watcher(threading.Thread):
    """Follows a tree to its end, through whatever happens to the server, and cuts the stream itself
    after every so many answers."""

    def __init__(self, server, root, cut_every=0, deltas=False):
        super().__init__(daemon=True)
        self.server, self.root, self.cut_every, self.deltas = server, root, cut_every, deltas
        self.facts = []  # (run id, fact)
        self.texts = {}  # (run id, effect, attempt) -> text
        self.positions = [""]
        self.behind = [""]  # of so many facts, the position
        self.cuts, self.ended, self.error = 0, None, None
        self.seen_some = threading.Event()

    def run(self):
        while self.ended is None and self.error is None:
            try:
                self.read()
            except ValueError:  # the channel is closed when the server is there again
                self.cuts += 1
            except grpc.RpcError as error:
                self.cuts += 1
                if error.code() != grpc.StatusCode.UNAVAILABLE:
                    self.error = error

    def read(self):
        stream = self.server.runs.Watch(runs_pb2.RunServiceWatchRequest(
            run_id=self.root, position=self.positions[-1], deltas=self.deltas, tree=True),
            timeout=60)
        for count, answer in enumerate(stream, 1):
            self.take(answer)
            if count == self.cut_every and self.ended is None:
                stream.cancel()
                self.cuts += 1
                return

    def take(self, answer):
        run_id = answer.run_id or self.root
        kind = answer.WhichOneof("event")
        self.positions.append(answer.position)
        if kind == "fact":
            self.facts.append((run_id, answer.fact))
            self.behind.append(answer.position)
            if len(self.facts) == 3 * WIDTH:
                self.seen_some.set()
        elif kind == "delta":
            self.take_text((run_id, answer.delta.effect_id, answer.delta.attempt), answer.delta)
        elif kind == "ended":
            self.ended = answer.ended

    def take_text(self, call, delta):
        """What was seen before is shown again by a stream that is taken up again."""
        seen = self.texts.setdefault(call, b"")
        text = delta.text.encode()
        assert delta.offset <= len(seen), "a gap in the text"
        assert text[:len(seen) - delta.offset] == seen[delta.offset:][:len(text)]
        self.texts[call] = seen + text[len(seen) - delta.offset:]


class WatchingATree(polosd.Hosted):
    def host(self, *workflows, **fields):
        host = polosd.Host(self.server, workflows=workflows, **fields).start()
        self.hosts.append(host)
        return host

    def follow(self, root, **fields):
        watcher = Watcher(self.server, root, **fields)
        watcher.start()
        return watcher

    def tree_of(self, root):
        """All runs of the tree, by their starts."""
        found, left = {}, [root]
        while left:
            run_id = left.pop()
            found[run_id] = self.server.history(run_id)
            for event in found[run_id]:
                left += [run.id for run in event.wait_set.runs.runs if run.id]
        return found

    def judge(self, watcher):
        """Nothing is missing, nothing comes twice, nothing comes before what caused it."""
        watcher.join(timeout=90)
        self.assertIsNone(watcher.error)
        self.assertFalse(watcher.is_alive(), "the watch did not end")
        histories = self.tree_of(watcher.root)
        parents = {run.id: run_id for run_id, events in histories.items() for event in events
                   for run in event.wait_set.runs.runs}
        shown = {}
        for run_id, fact in watcher.facts:
            if run_id != watcher.root:
                self.assertIn(parents[run_id], shown, "a run is shown before its parent")
            shown.setdefault(run_id, []).append(fact)
        self.assertEqual(shown.keys(), histories.keys())
        for run_id, events in histories.items():
            self.assertEqual([f.seq for f in shown[run_id]], [e.seq for e in events])
            self.assertEqual(shown[run_id], events)
        return histories

    def branch(self, go):
        """A root that starts WIDTH runs, each of which starts BELOW, once it may."""
        def work(host, task):
            if task.name == "leaf":
                go.wait(timeout=60)
                host.step(task, 1, "one", task.run_id)
                host.done(task, 1)
            elif any(step.key == "below" for step in task.steps):
                host.done(task, 1)
            else:
                name, count = ("branch", WIDTH) if task.name == "root" else ("leaf", BELOW)
                host.order(task, "below", start_runs=steps_pb2.StartRuns(
                    wait=True, runs=[child(name)] * count))
                host.park(task)

        self.host("root", "branch", work=work, slots=1000)
        self.host("leaf", work=work, slots=1000, host_id="host-2")
        return self.server.start_workflow("root")

    def test_a_tree_is_followed_over_a_kill(self):
        go = threading.Event()
        root = self.branch(go)
        once = self.follow(root)
        often = self.follow(root, cut_every=CUT_EVERY)
        self.assertTrue(once.seen_some.wait(timeout=60))
        self.server.kill()
        self.server.start()
        go.set()
        histories = self.judge(once)
        self.assertEqual(len(histories), RUNS)
        self.assertGreater(once.cuts, 0)
        self.judge(often)
        self.assertGreater(often.cuts, len(often.facts) // CUT_EVERY - 1)
        self.assertEqual(once.ended.status, COMPLETED)
        self.assertEqual(once.ended.id, root)
        late = self.follow(root, cut_every=CUT_EVERY)
        self.judge(late)
        self.assertEqual([(run, fact.seq) for run, fact in late.facts],
                         [(run, fact.seq) for run, fact in once.facts])

    def test_each_position_goes_on_behind_itself(self):
        go = threading.Event()
        go.set()
        root = self.branch(go)
        whole = self.follow(root)
        self.judge(whole)
        facts = [(run, fact.seq) for run, fact in whole.facts]
        for at in range(0, len(facts), 37):
            rest = Watcher(self.server, root)
            rest.positions = [whole.behind[at]]
            rest.run()
            self.assertEqual([(run, fact.seq) for run, fact in rest.facts], facts[at:])

    def test_it_ends_with_the_last_run_below(self):
        """Not with the root, where a run below goes on."""
        held = []

        def work(host, task):
            if task.name == "below":
                held.append((host, task))
            elif any(step.key == "start" for step in task.steps):
                host.done(task, 1)
            else:
                host.order(task, "start", start_runs=steps_pb2.StartRuns(
                    wait=False, runs=[child("below")]))
                host.done(task, 1)

        self.host("above", "below", work=work)
        root = self.server.start_workflow("above")
        self.server.wait_ended(root)
        watcher = self.follow(root)
        watcher.join(timeout=0.5)
        self.assertTrue(watcher.is_alive())
        host, task = held[0]
        host.step(task, 1, "late", 1)
        host.done(task, 1)
        watcher.join(timeout=30)
        self.assertIsNotNone(watcher.ended)
        self.assertEqual(polosd.kind_of(watcher.facts[-1][1]), "RUN_COMPLETED")
        self.assertEqual(watcher.facts[-1][0], task.run_id)

    def test_texts_of_agents_below_come_whole(self):
        """In streams that were cut, too."""
        self.server.agent("speaker", [{"text": "word " * 200}],
                          options={"delta_ms": 2, "chunk": 7})

        def work(host, task):
            if task.steps:
                host.done(task, 1)
            else:
                host.order(task, "ask", start_runs=steps_pb2.StartRuns(wait=True, runs=[
                    child("speaker", "hello", common_pb2.RUN_KIND_AGENT)] * 3))
                host.park(task)

        self.host("asks", work=work)
        root = self.server.start_workflow("asks")
        watchers = [self.follow(root, deltas=True), self.follow(root, deltas=True, cut_every=5)]
        for watcher in watchers:
            self.judge(watcher)
        whole = watchers[0]
        self.assertEqual(len(whole.texts), 3)
        for text in whole.texts.values():
            self.assertEqual(text.decode().split(), ["word"] * 200)

    def test_what_is_no_tree_or_no_position_is_refused(self):
        self.branch_of_one()
        root = self.server.start_workflow("flow")
        self.server.wait_ended(root)
        below = next(run.id for event in self.server.history(root)
                     for run in event.wait_set.runs.runs)
        position = self.follow_to_end(root)[-1]
        for run_id, at, tree, expected in (
                (root, "x", True, ("INVALID_FIELD", "position")),
                (root, "tree.", True, ("INVALID_FIELD", "position")),
                (root, "tree.01", True, ("INVALID_FIELD", "position")),
                (root, "tree.1.2", True, ("INVALID_FIELD", "position")),
                (root, "tree.99999999999999999999", True, ("INVALID_FIELD", "position")),
                (root, "3.0.0.0", True, ("INVALID_FIELD", "position")),
                (root, position, False, ("INVALID_FIELD", "position")),
                (root, "tree.18446744073709551615", True, ("POSITION_AHEAD", "position")),
                (root, "tree.1000", True, ("POSITION_AHEAD", "position")),
                (below, "", True, ("RUN_NOT_ROOT", "run_id")),
                ("0" * 8 + "-0000-7000-8000-" + "0" * 12, "", True, ("RUN_NOT_FOUND", "run_id"))):
            with self.subTest(run_id=run_id, position=at, tree=tree):
                with self.assertRaises(grpc.RpcError) as raised:
                    list(self.server.runs.Watch(runs_pb2.RunServiceWatchRequest(
                        run_id=run_id, position=at, tree=tree), timeout=20))
                self.assertEqual(polosd.details_of(raised.exception)[:2], expected)

    def branch_of_one(self):
        def work(host, task):
            if task.name == "below" or task.steps:
                host.done(task, 1)
            else:
                host.order(task, "one", start_runs=steps_pb2.StartRuns(
                    wait=True, runs=[child("below")]))
                host.park(task)

        self.host("flow", "below", work=work)

    def follow_to_end(self, root):
        watcher = Watcher(self.server, root)
        watcher.run()
        return watcher.positions


if __name__ == "__main__":
    unittest.main()
