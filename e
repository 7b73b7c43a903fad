lowmem-sentiment: error: cannot write /tmp/small/x: No space left on device; nothing is left half written
