"""``python -m liter`` is the command ``liter``."""

import sys

from ._cli import main

sys.exit(main())
