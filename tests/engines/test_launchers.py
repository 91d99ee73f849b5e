"""The files that begin clusters: by Ray's own schema, by the fields of KubeRay's resources, and the command lines in them."""

import importlib
import json
import re
from pathlib import Path

import pytest

from nash_tf import main
from nash_tf.settings import engine as engine_settings
from tests.helpers import ROOT

pytest.importorskip("ray")
yaml, jsonschema = (importlib.import_module(name) for name in ("yaml", "jsonschema"))  # Ray needs both

# Of ray.io/v1, KubeRay 1.5: what its CRD requires or allows, of which these files use a part.
JOB = {
    "entrypoint", "submissionMode", "backoffLimit", "shutdownAfterJobFinishes", "ttlSecondsAfterFinished", "rayClusterSpec",
    "activeDeadlineSeconds", "runtimeEnvYAML", "entrypointNumCpus", "entrypointResources",
}  # fmt: skip
CLUSTER = {
    "rayVersion",
    "enableInTreeAutoscaling",
    "autoscalerOptions",
    "authOptions",
    "headGroupSpec",
    "workerGroupSpecs",
}
GROUP = {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"}


def parsed(command, monkeypatch):
    monkeypatch.setattr(engine_settings, "missing", lambda name: None)
    config, _ = main.parse([argument for argument in command.split() if argument != "--resume"])
    return config


def test_the_cluster_launcher_takes_its_file(monkeypatch):
    text = (ROOT / "launchers" / "ray-cluster.yaml").read_text()
    config = yaml.safe_load(text)
    schema = Path(importlib.import_module("ray.autoscaler").__file__).with_name("ray-schema.json")
    jsonschema.validate(config, json.loads(schema.read_text()))
    assert any("--include-dashboard=false" in command for command in config["head_start_ray_commands"])
    assert "--env=RAY_AUTH_MODE=token" in config["docker"]["run_options"]
    assert (
        "--entrypoint=" in config["docker"]["run_options"]
    )  # Ray begins a shell in the container; the image's is nash-tf
    (command,) = re.findall(r"nash-tf .*--engine=ray --.*", text)
    assert parsed(command.replace("--dataset=DIR ", ""), monkeypatch).ray_address == "auto"


def test_kuberay_takes_its_file(monkeypatch):
    documents = list(yaml.safe_load_all((ROOT / "launchers" / "rayjob.yaml").read_text()))
    job = documents[-1]
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    assert job["spec"].keys() <= JOB and cluster.keys() <= CLUSTER
    assert job["spec"]["submissionMode"] in ("K8sJobMode", "HTTPMode", "SidecarMode", "InteractiveMode")
    assert cluster["authOptions"] == {"mode": "token"}
    (workers,) = cluster["workerGroupSpecs"]
    assert workers.keys() <= GROUP and cluster["headGroupSpec"].keys() <= GROUP
    for group in (workers, cluster["headGroupSpec"]):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        assert group["template"]["metadata"]["labels"] == documents[1]["spec"]["podSelector"]["matchLabels"]
        assert all({"name", "image", "resources"} <= each.keys() for each in group["template"]["spec"]["containers"])
    config = parsed(job["spec"]["entrypoint"], monkeypatch)
    (container,) = workers["template"]["spec"]["containers"]
    assert config.cpus_per_training == float(container["resources"]["requests"]["cpu"])
    assert config.workers == workers["maxReplicas"]
