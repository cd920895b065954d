"""`python -m hepaa`."""

import sys

from hepaa.cli import main

sys.exit(main())
