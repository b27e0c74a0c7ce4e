"""What probes ask, in a pod of the end-to-end tests: HTTPS on 8443 and gRPC's health service on 50051.

A name (a path of HTTPS, a service of gRPC) is of one of the files in /state: an empty one is well, any other is ill, and
what has no file is not known. Of HTTP/2 no more than one call needs. Sources: RFC 9113, RFC 7541, GRPC Health Checking
Protocol.

usage: probed.py CERTIFICATE KEY"""
import http.server
import os
import socketserver
import ssl
import sys
import threading

DATA, HEADERS, SETTINGS = 0, 1, 4
END_STREAM, END_HEADERS, ACK = 1, 4, 1
STATUS_200, CONTENT_TYPE = b"\x88", b"\x0f\x10\x10application/grpc"


def state(name):
    path = "/state/" + os.path.basename(name)
    return os.path.getsize(path) == 0 if name and os.path.exists(path) else None


class Https(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        well = state(self.path)
        self.send_response(404 if well is None else 200 if well else 503)
        self.end_headers()


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def answer(stream, well):
    if well is None:  # NOT_FOUND, and no message
        end = b"\x00\x0bgrpc-status\x015"
        return frame(HEADERS, END_STREAM | END_HEADERS, stream, STATUS_200 + CONTENT_TYPE + end)
    message = b"\x08" + (b"\x01" if well else b"\x02")
    return (frame(HEADERS, END_HEADERS, stream, STATUS_200 + CONTENT_TYPE)
            + frame(DATA, 0, stream, b"\x00" + len(message).to_bytes(4, "big") + message)
            + frame(HEADERS, END_STREAM | END_HEADERS, stream, b"\x00\x0bgrpc-status\x010"))


class Grpc(socketserver.StreamRequestHandler):
    def handle(self):
        question = b""
        if self.rfile.read(24) != b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":
            return
        self.wfile.write(frame(SETTINGS, 0, 0))
        while len(head := self.rfile.read(9)) == 9:
            payload = self.rfile.read(int.from_bytes(head[:3], "big"))
            kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
            if kind == SETTINGS and not flags & ACK:
                self.wfile.write(frame(SETTINGS, ACK, 0))
            if kind == DATA:
                question += payload
                if flags & END_STREAM:  # one byte that says "not compressed", four of length, then field 1: the name
                    self.wfile.write(answer(stream, state(question[7:].decode())))


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
https = http.server.ThreadingHTTPServer(("", 8443), Https)
https.socket = context.wrap_socket(https.socket, server_side=True)
threading.Thread(target=https.serve_forever, daemon=True).start()
Server(("", 50051), Grpc).serve_forever()
