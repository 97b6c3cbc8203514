"""The server's address, calls and streams to it, its errors; knows no tasks.

Whoever imports anything of it loads gRPC here, with its own handling of forks off where nobody says
otherwise: it starts threads of its own in each child, and 4 of 10 children die of it, whatever they
are there for. gRPC reads that when it is loaded; programs that are started from here are not to.
"""

import os

_FORKS = "GRPC_ENABLE_FORK_SUPPORT"
_UNSAID = _FORKS not in os.environ
if _UNSAID:
    os.environ[_FORKS] = "0"

import grpc as grpc

if _UNSAID:
    del os.environ[_FORKS]
