"""Pushes the time of the last success with the Python client."""

import sys

from prometheus_client import CollectorRegistry, Gauge, push_to_gateway

registry = CollectorRegistry()
Gauge("last_success_timestamp_seconds", "When.", registry=registry).set_to_current_time()
push_to_gateway(sys.argv[1], job="python", registry=registry)
