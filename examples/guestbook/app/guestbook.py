"""A guest book. GET / lists its entries, POST / with a field "entry" adds one. They are a list in redis, written to the leader and read from any
follower; if redis is away the page says so, and a form that cannot be kept is refused (503), never lost in silence."""
import html
import http.server
import signal
import socket
import sys
import urllib.parse

import redis

KEPT = 1000  # entries
LONGEST = 4096  # bytes of a form

patience = {"socket_connect_timeout": 2, "socket_timeout": 2}
leader = redis.Redis("redis-leader", **patience)
follower = redis.Redis("redis-follower", **patience)

PAGE = """<!doctype html><title>Guest book</title><h1>Guest book</h1>
<form method="post"><input name="entry" autofocus><button>Write</button></form>
<ul>
{entries}
</ul>
<p>served by {host}</p>
"""


def add(entry):
    with leader.pipeline() as p:
        p.lpush("entries", entry).ltrim("entries", 0, KEPT - 1).execute()


def entries():
    return [e.decode(errors="replace") for e in follower.lrange("entries", 0, -1)]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/alive":
            return self.say(200, "yes\n")
        try:
            listed = "\n".join(f"<li>{html.escape(e)}</li>" for e in entries())
        except redis.RedisError as e:
            return self.say(503, f"The book cannot be read just now: {e}\n")
        self.say(200, PAGE.format(entries=listed, host=socket.gethostname()), "text/html")

    def do_POST(self):
        size = int(self.headers.get("Content-Length", 0))
        if size > LONGEST:
            return self.say(413, "That is too long.\n")
        entry = urllib.parse.parse_qs(self.rfile.read(size).decode(errors="replace")).get("entry", [""])[0].strip()
        try:
            if entry:
                add(entry)
        except redis.RedisError as e:
            return self.say(503, f"The book cannot be written just now: {e}\n")
        self.say(303, "Written.\n")

    def say(self, code, text, sort="text/plain"):
        body = text.encode()
        self.send_response(code)
        if code == 303:
            self.send_header("Location", "/")
        self.send_header("Content-Type", f"{sort}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # the first process of a container is ended by nothing that it does not handle
http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
