"""Goal: docs/providers.md has every provider with its URL and variables, and no other.

Method: the rows of service/llm/providers.c against the rows of the page's first table.
"""
import os
import re
import unittest

ROOT = os.environ.get("POLOS_WORKSPACE", os.getcwd())
FIELD = re.compile(r'\.(name|base_url|base_url_setting|key_setting) = "([^"]*)"')
ROW = re.compile(r"^\| `(\w+)` \|(.*)$")


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def rows_of_source():
    rows = {}
    for field, value in FIELD.findall(read("service/llm/providers.c")):
        if field == "name":
            fields = rows[value] = {}
        else:
            fields[field] = value
    return rows


def rows_of_page():
    table = read("docs/providers.md").split("\n## ")[0]
    matches = [ROW.match(line) for line in table.splitlines()]
    return {match.group(1): match.group(2) for match in matches if match}


class Page(unittest.TestCase):
    def test_page_has_the_rows(self):
        source, page = rows_of_source(), rows_of_page()
        self.assertGreater(len(source), 10)
        self.assertEqual(list(source), list(page))
        for name, fields in source.items():
            for value in fields.values():
                self.assertIn(f"`{value}`", page[name])


if __name__ == "__main__":
    unittest.main()
