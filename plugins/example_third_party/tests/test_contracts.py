"""Every method of this plugin keeps robex's contracts."""

from benchmark_core.testing import conformance

test_conformance = conformance("example")
