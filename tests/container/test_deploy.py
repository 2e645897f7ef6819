"""The examples in ``deploy/`` name what exists: settings, paths, ports, the user, and time enough to stop."""

import re
import subprocess
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.config.load import CONFIG_VARIABLE
from gateway.config.oauth import Application
from gateway.config.schema import variables
from gateway.config.settings import Settings, Timeouts
from gateway.oauth import PROVIDERS
from tests.servers.machine import find_program

REPOSITORY = Path(__file__).resolve().parents[2]
DEPLOY = REPOSITORY / "deploy"
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text()
STATE = "/var/lib/pop3-gateway"
_OF_A_PROVIDER = re.compile(
    rf"POP3_GATEWAY_OAUTH_({'|'.join(PROVIDERS)})_({'|'.join(Application.settable())})".upper()
)
# How long the gateway takes at most after SIGTERM, and a little to spare.
STOP_SECONDS = Timeouts().shutdown + 5


@pytest.mark.parametrize("name", ["compose.yaml", "kubernetes.yaml", "pop3-gateway.service", "../Dockerfile"])
def test_variables_are_settings(name: str) -> None:
    named = set(re.findall(r"\bPOP3_GATEWAY_[A-Z0-9_]+\b(?=[:=\n])", (DEPLOY / name).read_text()))
    of_providers = {found for found in named if _OF_A_PROVIDER.fullmatch(found)}
    assert named
    assert named - of_providers <= {*variables(), CONFIG_VARIABLE}


def test_compose_runs_the_image_with_nothing_it_does_not_need() -> None:
    service = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["gateway"]
    assert (DEPLOY / service["build"] / "Dockerfile").samefile(REPOSITORY / "Dockerfile")
    assert service["ports"] == ["110:1110", "995:1995"]
    assert service["volumes"] == [f"state:{STATE}"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert int(service["stop_grace_period"].removesuffix("s")) >= STOP_SECONDS


def test_kubernetes_runs_the_image_with_nothing_it_does_not_need() -> None:
    kinds: dict[str, Any] = {
        one["kind"]: one for one in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
    }
    pod = kinds["Deployment"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    user, group = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)[0]
    assert (pod["securityContext"]["runAsUser"], pod["securityContext"]["runAsGroup"]) == (int(user), int(group))
    assert pod["terminationGracePeriodSeconds"] >= STOP_SECONDS
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    probes = [container[f"{when}Probe"]["exec"]["command"] for when in ("startup", "readiness", "liveness")]
    assert probes == [["pop3-gateway", "health"]] * 3
    assert STATE in [mount["mountPath"] for mount in container["volumeMounts"]]
    exposed = {port["name"]: port["containerPort"] for port in container["ports"]}
    served = {port["port"]: exposed[port["targetPort"]] for port in kinds["Service"]["spec"]["ports"]}
    assert served == {110: 1110, 995: 1995}
    assert kinds["Service"]["spec"]["selector"] == kinds["Deployment"]["spec"]["selector"]["matchLabels"]


def test_unit_leaves_time_to_stop() -> None:
    unit = (DEPLOY / "pop3-gateway.service").read_text()
    assert int(re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)[0]) >= STOP_SECONDS
    assert "\nStateDirectory=pop3-gateway\n" in unit


def test_haproxy_says_for_whom_it_comes_wherever_the_gateway_believes_it() -> None:
    """Without that all its clients would be on loopback, from where passwords are taken without TLS."""
    text = (DEPLOY / "haproxy.cfg").read_text()
    [named] = re.findall(r"^#\s+(listen: .*)$", text, re.MULTILINE)
    sites = Settings.model_validate(yaml.safe_load(named) | {"upstream": "imaps://imap.example.com"}).listen
    servers = re.findall(r"^\s*server \S+ (\S+)", text, re.MULTILINE)
    assert servers == ["{}:{}".format(*site.address) for site in sites]
    assert all(ip_address(site.address[0]) in network for site in sites for network in site.proxy_from)
    assert all(site.proxy_from for site in sites)
    defaults = re.findall(r"^\s*default-server (.*)$", text, re.MULTILINE)
    assert len(defaults) == len(re.findall(r"^backend ", text, re.MULTILINE))
    assert all({"send-proxy-v2", "check-send-proxy"} <= set(options.split()) for options in defaults)
    if program := find_program("haproxy"):
        done = subprocess.run([program, "-c", "-f", DEPLOY / "haproxy.cfg"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_a_file_over_the_images_own_is_told_to_listen_where_the_ports_lead() -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    [named] = re.findall(r"^ +# +(listen: .*)$", text, re.MULTILINE)
    [own] = re.findall(r"'(listen: [^']*)'", DOCKERFILE)
    assert yaml.safe_load(named) == yaml.safe_load(own)


def test_unit_is_installed_from_where_it_is_and_gives_up_on_what_no_restart_mends() -> None:
    unit = (DEPLOY / "pop3-gateway.service").read_text()
    for path in re.findall(r"\bcp (\S+)", unit):
        assert (REPOSITORY / path).exists(), path
    assert "\nRestartPreventExitStatus=2\n" in unit
    assert "\nExecReload=/bin/kill -HUP $MAINPID\n" in unit


def test_kubernetes_has_the_image_that_the_readme_builds() -> None:
    [built] = set(re.findall(r"docker build -t (\S+) \.", (REPOSITORY / "README.md").read_text()))
    assert re.findall(r"^ +image: (.*)$", (DEPLOY / "kubernetes.yaml").read_text(), re.MULTILINE) == [built]
