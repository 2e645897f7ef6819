"""Fixtures for all tests: real servers behind the gateway, and the gateway itself as a process."""

pytest_plugins = ["tests.servers.fixtures", "tests.gateway_process"]
