"""`python -m lowmem_sentiment` is the command `lowmem-sentiment`."""

from .cli import main

raise SystemExit(main())
