"""`python -m dlrm_bench` is the same as `dlrm-bench`."""

import sys

from dlrm_bench.cli import main

sys.exit(main())
