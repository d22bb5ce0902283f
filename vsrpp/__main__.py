"""`python -m vsrpp`, from the checkout or installed."""

import sys

from vsrpp.cli import main

sys.exit(main())
