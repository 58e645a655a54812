"""An HTTP server whose every answer takes SECONDS, as a long report or a batch job does.

Usage: server.py PORT SECONDS. It says on stdout when a request came and when its answer was handed to the kernel;
the path of the request names it.
"""

import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT, SECONDS = int(sys.argv[1]), float(sys.argv[2])


class Slow(BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.strip("/")
        print("asked", name, flush=True)
        time.sleep(SECONDS)
        body = f"the answer to {name}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        print("answered", name, flush=True)

    def log_message(self, *arguments):
        """The two lines above say all there is to say."""


server = ThreadingHTTPServer(("", PORT), Slow)
print("listening", flush=True)
server.serve_forever()
