#!/usr/bin/python3
"""access_table.py SET C H: which roles each method asks for, as a table in C.

SET is a FileDescriptorSet with all that it imports. Every method of the package polos.v1 has to
have a rule (`option (polos.v1.access)`): without one this fails, and so does the build.
"""
import sys

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

HEADER = """\
/* Made of the protos by bazel/tools/access_table.py. */
#ifndef PROTOS_ACCESS_TABLE_H
#define PROTOS_ACCESS_TABLE_H

#include <stdint.h>

struct access_row {
    const char *path; /* NULL: behind the last. */
    uint32_t roles; /* A bit for each polos.v1.KeyRole, by its number. */
};

extern const struct access_row access_table[];

#endif
"""
SOURCE = """\
#include "protos/access_table.h"

const struct access_row access_table[] = {
%s    {0, 0},
};
"""


def methods_of(files, rule):
    for file in files:
        for service in file.service if file.package == "polos.v1" else ():
            for method in service.method:
                path = f"/{file.package}.{service.name}/{method.name}"
                yield path, list(method.options.Extensions[rule].roles)


def read(path):
    """The set, with the options that it defines itself."""
    with open(path, "rb") as file:
        data = file.read()
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(data).file:
        pool.Add(file)
    kind = pool.FindMessageTypeByName("google.protobuf.FileDescriptorSet")
    messages = message_factory.MessageFactory(pool).GetPrototype(kind)
    return messages.FromString(data).file, pool.FindExtensionByName("polos.v1.access")


def main(source, c, h):
    rows = []
    for path, roles in methods_of(*read(source)):
        if not roles or 0 in roles:
            sys.exit(f"{path} has no rule: say in its proto who may call it, as in\n"
                     "    option (polos.v1.access) = {roles: [KEY_ROLE_ADMIN]};")
        rows.append('    {"%s", 0x%x},\n' % (path, sum({1 << role for role in roles})))
    with open(c, "w", encoding="utf-8") as file:
        file.write(SOURCE % "".join(rows))
    with open(h, "w", encoding="utf-8") as file:
        file.write(HEADER)


if __name__ == "__main__":
    main(*sys.argv[1:])
