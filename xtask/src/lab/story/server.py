"""An HTTP server whose every answer takes SECONDS, as a long report or a batch job does.

Usage: server.py PORT SECONDS. It says on stdout when a request came and when its answer was handed to the kernel;
the path of the request names it.
"""

import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT, SECONDS = int(sys.argv[1]), float(sys.argv[2])


def say(line):
    """One write a line: requests have threads of their own, and what `print` writes in parts they mix."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Slow(BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.strip("/")
        say(f"asked {name}")
        time.sleep(SECONDS)
        body = f"the answer to {name}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        say(f"answered {name}")

    def log_message(self, *arguments):
        """The two lines above say all there is to say."""


server = ThreadingHTTPServer(("", PORT), Slow)
say("listening")
server.serve_forever()
