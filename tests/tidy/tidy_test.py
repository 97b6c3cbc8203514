"""Goal:   each rule of tidy finds what it is there for, and lets good code pass.
Method: a small good tree in a temporary folder; one violation planted at a time.
"""
import os
import tempfile
import unittest

import hand
import layers
import tidy

GOOD = {
    "VERSION": "1.2.3\n",
    ".clang-format": "BasedOnStyle: LLVM\nIndentWidth: 4\nBreakBeforeBraces: Linux\n"
    "AllowShortFunctionsOnASingleLine: None\n",
    "service/base/BUILD.bazel": 'c_library(name = "base", srcs = ["x.c"], hdrs = ["x.h"])\n',
    "service/base/README.md": "# base\n\n`x.h`\n",
    "service/base/x.c": '#include "service/base/x.h"\n\nint base_x(void)\n{\n    return 1;\n}\n',
    "service/base/x.h": (
        "/* x: one. */\n#ifndef SERVICE_BASE_X_H\n#define SERVICE_BASE_X_H\n\n"
        "int base_x(void);\n\n#endif\n"
    ),
    "service/engine/BUILD.bazel": 'c_library(name = "engine", srcs = glob(["*.c"]))\n',
    "service/engine/README.md": "# engine\n\n`e.c`\n",
    "service/engine/e.c": (
        '#include "service/base/x.h"\n\n/* Never calls time(NULL). */\n'
        "int engine_e(int due_time)\n{\n    return base_x() + due_time;\n}\n"
    ),
}


class PlantedTest(unittest.TestCase):
    def tree(self, changes=None):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        for path, text in dict(GOOD, **(changes or {})).items():
            if text is None:
                continue
            full = os.path.join(folder.name, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w", encoding="utf-8") as file:
                file.write(text)
        return tidy.Tree(folder.name)

    def assert_caught(self, rule, path, text, where=None):
        self.assertEqual([], list(rule(self.tree())))
        found = list(rule(self.tree({path: text})))
        self.assertIn(where or path, [place for place, _, _ in found])

    def test_good_tree_passes_every_rule(self):
        for rule in tidy.RULES:
            self.assertEqual([], list(rule(self.tree())), rule.__name__)

    def test_long_line(self):
        self.assert_caught(tidy.line_length, "service/base/x.c", "/* " + "x" * 95 + " */\n")

    def test_line_of_exactly_the_limit(self):
        tree = self.tree({"service/base/x.c": "x" * 100 + "\n"})
        self.assertEqual([], list(tidy.line_length(tree)))

    def test_long_function(self):
        text = "int f(void)\n{\n" + "    g();\n" * 69 + "}\n"
        self.assert_caught(tidy.function_length, "service/base/x.c", text)

    def test_function_of_exactly_the_limit(self):
        text = "int f(void)\n{\n" + "    g();\n" * 68 + "}\n"
        tree = self.tree({"service/base/x.c": text})
        self.assertEqual([], list(tidy.function_length(tree)))

    def test_long_python_function(self):
        text = "def f():\n" + "    pass\n" * 70
        self.assert_caught(tidy.function_length, "service/base/x.py", text)

    def test_long_file(self):
        self.assert_caught(tidy.file_length, "service/base/x.c", "\n" * 801)

    def test_guard_of_another_path(self):
        text = GOOD["service/base/x.h"].replace("BASE_X", "ENGINE_X")
        self.assert_caught(tidy.header_guard, "service/base/x.h", text)

    def test_guard_that_closes_too_early(self):
        text = GOOD["service/base/x.h"] + "int after;\n"
        self.assert_caught(tidy.header_guard, "service/base/x.h", text)

    def test_later_work_without_owner(self):
        for word in ("TO" + "DO", "FIX" + "ME"):
            text = f"/* {word}: tidy up. */\n"
            self.assert_caught(tidy.owner_of_later_work, "service/base/x.c", text)
            tree = self.tree({"service/base/x.c": f"/* {word}(anna): tidy up. */\n"})
            self.assertEqual([], list(tidy.owner_of_later_work(tree)))

    def test_include_up_the_layers(self):
        text = '#include "service/engine/engine.h"\n'
        self.assert_caught(tidy.include_layers, "service/base/x.c", text)

    def test_include_of_a_library_that_is_not_ours_to_use(self):
        text = "#include <rocksdb/c.h>\n"
        self.assert_caught(tidy.include_layers, "service/engine/e.c", text)

    def test_folder_without_a_row(self):
        self.assert_caught(tidy.include_layers, "service/new/n.c", "#include <stdio.h>\n")

    FEATURE = (
        '#include "service/features/{0}/{0}.h"\n#include "service/features/{1}/{1}.h"\n\n'
        "static const struct feature *const uses[] = {{{2}NULL}};\n"
    )

    def features(self, rule, *rows):
        texts = {f"service/features/{row[0]}/{row[0]}.c": self.FEATURE.format(*row)
                 for row in rows}
        return [(line, sentence) for _, line, sentence in rule(self.tree(texts))]

    def test_uses_that_are_what_is_included(self):
        rows = ("a", "b", "&b_feature, "), ("b", "c", "&c_feature, "), ("c", "c", "")
        self.assertEqual([], self.features(tidy.feature_uses, *rows))
        self.assertEqual([], self.features(tidy.feature_circle, *rows))

    def test_include_that_the_uses_do_not_name(self):
        found = self.features(tidy.feature_uses, ("a", "b", ""))
        self.assertEqual([(2, "the uses of a do not name b")], found)

    def test_include_of_a_header_that_the_uses_do_not_name(self):
        text = '#include "service/features/b/b.h"\n'
        self.assert_caught(tidy.feature_uses, "service/features/a/more.h", text)

    def test_use_of_what_is_not_included(self):
        found = self.features(tidy.feature_uses, ("a", "b", "&b_feature,\n &d_feature, "))
        self.assertEqual([(4, "a includes no header of d, which its uses name")], found)

    def test_features_that_use_each_other(self):
        rows = ("a", "b", "&b_feature, "), ("b", "c", "&c_feature, "), ("c", "a", "&a_feature, ")
        self.assertEqual(3, len(self.features(tidy.feature_circle, *rows)))
        self.assertEqual(1, len(self.features(tidy.feature_circle, ("a", "a", "&a_feature, "))))

    def test_feature_that_only_uses_a_circle(self):
        rows = ("a", "b", "&b_feature, "), ("b", "c", "&c_feature, "), ("c", "b", "&b_feature, ")
        found = [sentence[:7] for _, sentence in self.features(tidy.feature_circle, *rows)]
        self.assertEqual(["b and c", "c and b"], found)

    def test_forbidden_calls_in_the_engine(self):
        for name in ("time", "rand", "malloc", "calloc", "free", "getenv", "printf"):
            text = f"int engine_e(void)\n{{\n    return {name}(0);\n}}\n"
            self.assert_caught(tidy.engine_is_pure, "service/engine/e.c", text)

    def test_file_that_no_target_lists(self):
        self.assert_caught(tidy.listed_in_build, "service/base/y.c", "int y;\n")

    def test_folder_without_readme(self):
        self.assert_caught(
            tidy.readme, "service/engine/README.md", None, "service/engine/README.md"
        )

    def test_long_readme(self):
        self.assert_caught(tidy.readme, "service/base/README.md", "x\n" * 41)

    def readme(self, *rows):
        text = "# base\n\n| file | what |\n| --- | --- |\n" + "".join(f"{row}\n" for row in rows)
        tree = self.tree({"service/base/README.md": text, "service/base/y.c": "int y;\n"})
        return [(line, sentence) for _, line, sentence in tidy.readme_lists_files(tree)]

    def test_readme_that_lists_its_files(self):
        for rows in (("| `x.h` | one |", "| `y.c` | two |"), ("| `x.{h,c}`, `y.c` | both |",),
                     ("| `x.h` | one; the rest is in `y.c` |",)):
            self.assertEqual([], self.readme(*rows), rows)

    def test_readme_that_forgets_a_file(self):
        self.assertEqual([(1, "nothing in it names y.c")], self.readme("| `x.h` | one |"))

    def test_readme_without_a_table(self):
        for text, count in (("# base\n\n`x.h` is one.\n", 1), ("`x.{h,c}`, and `y.c`.\n", 0)):
            tree = self.tree({"service/base/README.md": text, "service/base/y.c": "int y;\n"})
            self.assertEqual(count, len(list(tidy.readme_lists_files(tree))), text)

    def test_readme_that_lists_what_is_not_there(self):
        found = self.readme("| `x.h`, `y.c` | one |", "| `z.h` | none |")
        self.assertEqual([(6, "there is no z.h")], found)

    def test_machine_path(self):
        text = '#define DATA "/' + 'work/data"\n'
        self.assert_caught(tidy.machine_paths, "service/base/x.c", text)

    BANNED = (("service/base/",), {"worker": "host", "struct step": "struct decision"}),

    def banned(self, path, text):
        return [line for _, line, _ in tidy.one_word(self.tree({path: text}), self.BANNED)]

    def test_words_of_others(self):
        bad = ("/* the worker */", "int a_worker;", "WORKERS_MAX = 1,", "int workers;",
               "class RunWorker:", "message WorkerName {", "struct step *step;")
        for line in bad:
            self.assertEqual([2], self.banned("service/base/x.h", "\n" + line + "\n"), line)
        good = ("int homeworker;", "int workerless;", "struct step_row *step;", "a struct, a step")
        for line in good:
            self.assertEqual([], self.banned("service/base/x.h", line + "\n"), line)

    def test_words_that_are_others_only_elsewhere(self):
        self.assertEqual([], self.banned("service/engine/e.c", "int worker;\n"))

    def test_words_of_the_table_are_found(self):
        self.assert_caught(tidy.one_word, "service/base/x.h", "int worker;\n")

    def test_word_of_the_glossary_that_nothing_holds(self):
        table = "# Glossary\n\n## No longer\n\n| no longer | write |\n| --- | --- |\n"
        good = table + "| worker | host |\n| seat, asker (of queues) | admission |\n"
        self.assertEqual([], list(tidy.words_that_went(self.tree({"docs/glossary.md": good}))))
        for row in ("| gadget | tool |", "| worker | helper |", "| worker, gadget | host |"):
            found = list(tidy.words_that_went(self.tree({"docs/glossary.md": table + row + "\n"})))
            self.assertEqual([7], [line for _, line, _ in found], row)

    def test_another_version(self):
        for text in ('#define V "polosd/1.2.4"\n', 'char v[] = "polos-c/1.2";\n'):
            self.assert_caught(tidy.one_version, "service/base/x.c", text)
        for text in ('__version__ = "0.1.0"\n', 'agent = f"polos-python/1.2 python/{x}"\n'):
            self.assert_caught(tidy.one_version, "clients/python/polos/x.py", text)
        self.assert_caught(tidy.one_version, "VERSION", "next\n")

    def test_the_same_version(self):
        text = '__version__ = "1.2.3"\nagent = f"polos-python/1.2.3 python/{x}"\n'
        self.assertEqual([], list(tidy.one_version(self.tree({"clients/python/polos/x.py": text}))))

    def test_what_another_hand_wrote(self):
        rows = (
            (4, "int f(void)\n{\n    int x = 1;\n\n    return x;\n}\n"),
            (3, "int f(void)\n{\n    struct a *a = (struct a *)xcalloc(1, 1);\n}\n"),
            (2, "/* Never ends\n * as a sentence */\nint x;\n"),
        )
        for line, text in rows:
            found = list(tidy.one_hand(self.tree({"service/engine/e.c": text})))
            self.assertEqual([line], [number for _, number, _ in found], text)

    def test_what_the_one_hand_writes(self):
        text = "/* x -> y, as is */\nint x;\n\nint f(void)\n{\n    /* Why. */\n    return x;\n}\n"
        drawn = "/*\n * The way it goes:\n *\n *     here --> there\n */\n"
        self.assertEqual([], list(tidy.one_hand(self.tree({"service/engine/e.c": text + drawn}))))

    def test_the_hand_mends(self):
        text = "int a;\n\nint f(void)\n{\n    char *x = (char *)xmalloc(9);\n\n    g();\n}\n"
        text += "\nint b;\n"
        good = "int a;\n\nint f(void)\n{\n    char *x = xmalloc(9);\n    g();\n}\n\nint b;\n"
        self.assertEqual(good, hand.mended(text))
        self.assertEqual(good, hand.mended(good))

    @unittest.skipUnless(tidy.clang_format(), "there is no clang-format 14 here")
    def test_formatting(self):
        self.assert_caught(tidy.formatting, "service/base/x.c", "int  f( void ) {return 1;}\n")


class LayersTest(unittest.TestCase):
    def test_only_its_own_files_of_storage_see_rocksdb(self):
        self.assertIsNone(layers.refusal("storage/rocksdb_store.c", "rocksdb/c.h"))
        self.assertIsNotNone(layers.refusal("storage/memory_store.c", "rocksdb/c.h"))

    def test_only_rpc_sees_grpc(self):
        self.assertIsNone(layers.refusal("service/rpc/server.c", "grpc/grpc.h"))
        for folder in ("api", "partition", "features", "engine", "llm", "hosts", "gateway"):
            self.assertIsNotNone(layers.refusal(f"service/{folder}/x.c", "grpc/grpc.h"), folder)

    def test_only_the_door_sees_openssl(self):
        self.assertIsNone(layers.refusal("service/door/tls.c", "openssl/ssl.h"))
        self.assertIsNotNone(layers.refusal("service/rpc/server.c", "openssl/ssl.h"))
        self.assertIsNotNone(layers.refusal("service/door/door.c", "grpc/grpc.h"))

    def test_the_store_is_seen_and_not_its_kinds(self):
        for path in ("service/partition/x.c", "service/features/queues/x.c"):
            self.assertIsNone(layers.refusal(path, "storage/store.h"))
            self.assertIsNotNone(layers.refusal(path, "storage/rocksdb_store.h"))

    def test_the_partition_sees_no_feature_and_no_agents(self):
        for header in ("service/features/queues/queues.h", "service/agents/transcript.h"):
            self.assertIsNotNone(layers.refusal("service/partition/x.c", header))
            self.assertIsNone(layers.refusal("service/features/starts/x.c", header))
        self.assertIsNone(
            layers.refusal("service/features/starts/x.c", "service/partition/feature.h")
        )

    def test_transports_do_not_see_each_other_or_the_engine(self):
        self.assertIsNotNone(layers.refusal("service/rpc/x.c", "service/gateway/http.h"))
        self.assertIsNotNone(layers.refusal("service/gateway/x.c", "service/rpc/server.h"))
        self.assertIsNotNone(layers.refusal("service/rpc/x.c", "service/engine/engine.h"))


if __name__ == "__main__":
    unittest.main()
