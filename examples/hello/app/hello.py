"""The example application: says hello, and misbehaves when asked to."""

import os
import socket
import time

from flask import Flask, jsonify, request

VERSION = os.environ.get("HELLO_VERSION", "0")
GREETING = os.environ.get("HELLO_GREETING", "Hello")

app = Flask(__name__)
started = time.time()
eaten = []


@app.get("/")
def index():
    text = f"{GREETING} from version {VERSION} on {socket.gethostname()}\n"
    return text, 200, {"Content-Type": "text/plain; charset=utf-8"}


@app.get("/healthz")
def healthz():
    return jsonify(status="ok", version=VERSION, uptime_s=round(time.time() - started, 1))


@app.get("/crash")
def crash():
    """Ends the process, and with it the container, with exit code 3."""
    os._exit(3)


@app.get("/eat")
def eat():
    """Allocates and keeps ?mb=N mebibytes; a memory limit ends that."""
    mb = request.args.get("mb", default=1, type=int)
    eaten.append(bytearray(os.urandom(1 << 10)) * (mb << 10))
    return f"{sum(map(len, eaten)) >> 20} MiB eaten\n"
