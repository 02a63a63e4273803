"""`python -m etl.edge`: the agent from a checkout, without the rest of floorpulse."""

import sys

from etl.edge.command import main

sys.exit(main())
