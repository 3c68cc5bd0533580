"""What lies in deploy/ works as far as it can be told without the machines: by each tool's own check, and by our own settings."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import kubernetes_validate  # type: ignore[import-untyped]  # it has no types
import pytest
import yaml  # type: ignore[import-untyped]  # its types are another package, for this one place

from resetsvc.cli import main
from resetsvc.server import read_config
from resetsvc.settings import load_settings
from resetsvc.testing import make_settings
from resetsvc.web.openapi import document
from tests.rules.source import ROOT
from tests.support.lacking import lacking

DEPLOY = ROOT / "deploy"
UNITS = sorted(DEPLOY.glob("*.service"))
KEY = "a key for these tests, and for nothing else: 0123456789"
STOP = 45  # seconds: a stop in order takes 35 at the most
Yaml = Mapping[str, Any]


def assert_is_command(words: list[str]) -> None:
    """A command line of ours: its command and options are there."""
    program, name, *options = words
    assert program.endswith("resetsvc")
    command = main.commands[name]
    # With its parent: a command keeps the names of its help option from the first context that it sees.
    with click.Context(command, parent=click.Context(main, **main.context_settings)) as context:
        command.make_parser(context).parse_args(list(options))


def assert_are_settings(given: Mapping[str, str], monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Read like the environment of a process that has nothing else."""
    monkeypatch.chdir(folder)
    for name in [name for name in os.environ if name.startswith("RESETSVC_")]:
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert load_settings().dispatch is False


# ---- systemd ----


def test_there_are_units_for_one_process_and_for_any_number() -> None:
    assert [unit.name for unit in UNITS] == [
        "resetsvc-dispatch.service",
        "resetsvc-dispatch@.service",
        "resetsvc.service",
        "resetsvc@.service",
    ]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_has_nothing_to_say_against_a_unit(unit: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        lacking("systemd-analyze (Debian: apt install systemd)")
    text = unit.read_text()
    assert "/opt/resetsvc/bin/resetsvc " in text
    copy = tmp_path / unit.name.replace("@", "@8001")  # this number of it
    copy.write_text(text.replace("/opt/resetsvc/bin/resetsvc", sys.executable))
    told = subprocess.run(
        ["systemd-analyze", "verify", f"./{copy.name}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (told.returncode, told.stdout + told.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_starts_a_command_of_ours_and_gives_a_stop_its_time(unit: Path) -> None:
    text = unit.read_text().replace("%i", "8001")
    (line,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    assert_is_command(line.split())
    assert f"TimeoutStopSec={STOP}\n" in text
    assert ("Environment=RESETSVC_DISPATCH=false\n" in text) == (unit.name == "resetsvc@.service")


def test_units_are_what_the_how_to_shows() -> None:
    shown = (ROOT / "docs/how_to/under_systemd.md").read_text()
    for name in ("resetsvc.service", "resetsvc-dispatch.service"):
        assert f"```ini\n{(DEPLOY / name).read_text()}```\n" in shown


# ---- containers ----


def test_the_image_has_the_extras_that_several_machines_need_and_gets_the_signal_itself() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    (extras,) = re.findall(r"'/src\[(.*?)\]'", text)
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {"postgres", "redis"} <= set(extras.split(",")) <= set(known)
    (command,) = re.findall(r"^CMD (\[.*\])$", text, re.MULTILINE)
    assert_is_command(yaml.safe_load(command))
    allowed = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    needed = {"pyproject.toml", "constraints.txt", "README.md", "LICENSE", "src"}
    assert {line[1:] for line in allowed if line.startswith("!")} == needed


@pytest.fixture
def composed(monkeypatch: pytest.MonkeyPatch) -> Yaml:
    """The compose file as docker-compose reads it, or what it has to say against it."""
    if shutil.which("docker-compose") is None:
        lacking("docker-compose (Debian: apt install docker-compose)")
    told = subprocess.run(
        ["docker-compose", "--file", DEPLOY / "compose.yaml", "config"],
        env={"PATH": os.environ["PATH"], "RESETSVC_SECRET_KEY": KEY, "POSTGRES_PASSWORD": "hunter2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (told.returncode, told.stderr) == (0, "")
    read: Yaml = yaml.safe_load(told.stdout)
    return read


def test_the_compose_file_starts_two_that_accept_and_two_that_deliver_once_the_schema_is_there(
    composed: Yaml, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    services = composed["services"]
    assert set(services) == {"accept", "deliver", "migrate", "postgres", "redis", "mailpit"}
    for name, command in (("accept", "serve"), ("deliver", "dispatch"), ("migrate", "migrate")):
        service = services[name]
        assert service["command"][1] == command
        assert_is_command(service["command"])
        assert_are_settings(service["environment"], monkeypatch, tmp_path)
        assert service["stop_grace_period"] == f"{STOP}s"
    for name in ("accept", "deliver"):
        assert services[name]["deploy"]["replicas"] == 2
        assert services[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert set(services["migrate"]["depends_on"]) == {"postgres"}


def test_nothing_of_the_compose_file_can_be_reached_from_another_machine(composed: Yaml) -> None:
    published = [port for service in composed["services"].values() for port in service.get("ports", [])]
    assert published
    assert all(str(port).startswith("127.0.0.1:") for port in published)


def test_the_health_check_of_the_compose_file_asks_a_path_of_ours(composed: Yaml, tmp_path: Path) -> None:
    *_, script = composed["services"]["accept"]["healthcheck"]["test"]
    compile(script, "health check", "exec")
    (path,) = re.findall(r"http://127\.0\.0\.1:8000(/\w+)", script)
    assert path in document(make_settings(tmp_path))["paths"]


# ---- Kubernetes ----


def manifests() -> list[Yaml]:
    return list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))


def of_kind(kind: str) -> dict[str, Yaml]:
    return {found["metadata"]["name"]: found for found in manifests() if found["kind"] == kind}


def pods() -> Iterator[tuple[str, Yaml]]:
    for kind in ("Job", "Deployment"):
        for name, found in of_kind(kind).items():
            yield name, found["spec"]["template"]


@pytest.mark.parametrize("version", ["1.30", "1.37"])
def test_every_manifest_fits_kubernetes_own_schema(version: str) -> None:
    for manifest in manifests():
        kubernetes_validate.validate(manifest, version, strict=True)


def test_all_pods_get_the_same_settings_and_those_are_good(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given = {**of_kind("ConfigMap")["resetsvc"]["data"], **of_kind("Secret")["resetsvc"]["stringData"]}
    assert given["RESETSVC_SECRET_KEY"].startswith("CHANGE-ME")
    assert_are_settings({**given, "RESETSVC_SECRET_KEY": KEY}, monkeypatch, tmp_path)
    for _, pod in pods():
        (container,) = pod["spec"]["containers"]
        assert container["envFrom"] == [
            {"configMapRef": {"name": "resetsvc"}},
            {"secretRef": {"name": "resetsvc"}},
        ]
        assert_is_command(container["command"])


def test_kubernetes_own_variables_do_not_keep_a_pod_from_starting() -> None:
    """It sets RESETSVC_PORT for the Service `resetsvc`, and a RESETSVC_… that is no setting is refused."""
    assert "resetsvc" in of_kind("Service")
    assert [pod["spec"]["enableServiceLinks"] for _, pod in pods()] == [False, False, False]


def test_what_has_no_label_of_an_app_is_what_comes_before_the_pods() -> None:
    """The how-to applies `--selector '!app'` first."""
    first = [found["kind"] for found in manifests() if "app" not in found["metadata"].get("labels", {})]
    assert first == ["Secret", "ConfigMap", "ConfigMap", "Job"]
    assert "--selector '!app'" in (ROOT / "docs/how_to/several_machines.md").read_text()


def test_a_pod_that_accepts_is_asked_whether_it_is_ready_and_whether_it_lives(tmp_path: Path) -> None:
    deployment = of_kind("Deployment")["resetsvc"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    asked = {probe: container[f"{probe}Probe"]["httpGet"] for probe in ("startup", "readiness", "liveness")}
    assert {probe: get["path"] for probe, get in asked.items()} == {
        "startup": "/readyz",
        "readiness": "/readyz",
        "liveness": "/healthz",  # or a database that is away would have all pods restarted
    }
    assert {get["path"] for get in asked.values()} <= document(make_settings(tmp_path))["paths"].keys()
    (port,) = container["ports"]
    assert {get["port"] for get in asked.values()} == {port["name"]}
    assert container["command"][-1].endswith(f":{port['containerPort']}")
    (forwarded,) = of_kind("Service")["resetsvc"]["spec"]["ports"]
    assert forwarded["targetPort"] == port["name"]


def test_pods_get_the_time_that_a_stop_takes_and_go_one_by_one() -> None:
    budgets = of_kind("PodDisruptionBudget")
    assert of_kind("Deployment").keys() == budgets.keys() == {"resetsvc", "resetsvc-dispatch"}
    for name, deployment in of_kind("Deployment").items():
        spec, pod = deployment["spec"], deployment["spec"]["template"]
        assert spec["replicas"] >= 2 > budgets[name]["spec"]["minAvailable"]
        assert budgets[name]["spec"]["selector"] == spec["selector"]
        assert spec["selector"]["matchLabels"] == pod["metadata"]["labels"]
        (container,) = pod["spec"]["containers"]
        pause = (
            container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["sleep", "0"])
        )
        assert pod["spec"]["terminationGracePeriodSeconds"] == STOP + int(pause[1])
    assert of_kind("Deployment")["resetsvc"]["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_a_stop_in_order_is_over_before_anybody_kills() -> None:
    config = read_config(None)
    assert config.graceful_timeout + config.shutdown_timeout < STOP
