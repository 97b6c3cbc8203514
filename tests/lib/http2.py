"""HTTP/2 by hand, for what no client of gRPC can be made to send."""
import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RESET, SETTINGS, PING, GOAWAY, WINDOW, CONTINUATION = (
    0, 1, 2, 3, 4, 6, 7, 8, 9)
END_STREAM, ACK, END_HEADERS = 1, 1, 4
HEALTH = "/grpc.health.v1.Health/Check"


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def literal(name, value):
    """A header that nobody has to remember (RFC 7541, 6.2.2)."""
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def headers(path=HEALTH):
    fields = ((":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "a"),
              ("content-type", "application/grpc"), ("te", "trailers"))
    return b"".join(literal(name, value) for name, value in fields)


def connect(port, source=None, timeout=20):
    return socket.create_connection(("127.0.0.1", port), timeout=timeout,
                                    source_address=(source, 0) if source else None)


def begin(port, source=None, timeout=20):
    """A connection that has said what an honest one says first."""
    peer = connect(port, source, timeout)
    peer.sendall(PREFACE + frame(SETTINGS, 0, 0))
    return peer


def is_cut(peer):
    """Reads until the server has ended it; False: it did not within the socket's timeout."""
    try:
        while peer.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True
