"""Fixtures for all tests: real servers behind the gateway, and the gateway itself as a process."""

import os

pytest_plugins = [
    "tests.servers.fixtures",
    "tests.servers.authorization",
    "tests.gateway_process",
    "tests.granted",
]
if os.environ.get("TEST_ACCOUNTS") == "stored":
    pytest_plugins.append("tests.stored_accounts")
