"""What all services are built on: clock, supervisor, reconcile loop, logs, the state directory."""
