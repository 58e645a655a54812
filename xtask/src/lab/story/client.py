"""An HTTP client as most are written: a read timeout, and not a word about keep-alive."""

import sys
from urllib.request import urlopen

try:
    sys.stdout.write(urlopen(sys.argv[1], timeout=float(sys.argv[2])).read().decode())
except TimeoutError as silence:
    sys.exit(print(silence, file=sys.stderr) or 28)
