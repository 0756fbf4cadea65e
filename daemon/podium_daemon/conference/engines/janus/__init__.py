"""Janus: media moved by a Janus of our own, behind the same seats and the same page as the embedded engine."""
