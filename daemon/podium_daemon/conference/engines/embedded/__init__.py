"""The embedded engine: a small SFU on aiortc that forwards RTP undecoded, in a child process of the daemon."""
