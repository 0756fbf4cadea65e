"""What every part that waits stands on: clock, supervisor, reconcile loop, logs, the state directory."""
