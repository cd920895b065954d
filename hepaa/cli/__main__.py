"""`python -m hepaa.cli`."""

import sys

from hepaa.cli import main

sys.exit(main())
