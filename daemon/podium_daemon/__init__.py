"""The asyncio daemon: everything that waits."""
