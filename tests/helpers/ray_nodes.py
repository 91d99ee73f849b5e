"""A cluster of Ray on this machine: a head without CPUs, and nodes of one CPU each, of which another begins where one dies.

As a program it is that cluster, until standard input ends, and prints its address and the process ids of the nodes' raylets by node,
as JSON, a line each time that they change. A process of its own: Ray reads some of the environment when it is imported.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys

from tests.helpers import ROOT

ENVIRONMENT = {  # loopback; and a node that is killed is known to be dead within seconds, one that is slow is not
    "RAY_AUTH_MODE": "disabled",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "30000",
    "RAY_health_check_failure_threshold": "3",
}
MEMORY = 100 * 2**20  # bytes of each node's object store, the least that Ray takes is 75 MB


class Nodes:
    """A cluster in a process of its own.

    Args:
        count: of nodes beside the head.
        **environment: of the cluster, beside `ENVIRONMENT`.
    """

    def __init__(self, count, **environment):
        command = [sys.executable, "-m", "tests.helpers.ray_nodes", str(count)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, **ENVIRONMENT, **environment},
        )
        self.changed()

    def changed(self):
        """Waits for the nodes to change."""
        told = json.loads(self._process.stdout.readline())
        self.address, self.raylets = told["address"], told["raylets"]

    def kill(self, node):
        """Kills the raylet of a node; `changed` waits for the next one."""
        os.kill(self.raylets[node], signal.SIGKILL)

    def close(self):
        self._process.stdin.close()
        self._process.wait(60)


class Holder:
    """A process of Ray's that keeps what it is given; here, since it needs no TensorFlow."""

    def hold(self, thing):
        import ray

        return [ray.put(thing)]


def main(count: int) -> None:
    from ray.cluster_utils import Cluster

    cluster = Cluster(True, head_node_args={"num_cpus": 0, "include_dashboard": False, "object_store_memory": MEMORY})

    def raylet(node):
        return node.all_processes["raylet"][0].process

    def tell():
        raylets = {node.node_id: raylet(node).pid for node in nodes}
        print(json.dumps({"address": cluster.address, "raylets": raylets}), flush=True)

    try:
        nodes = [cluster.add_node(num_cpus=1, object_store_memory=MEMORY) for _ in range(count)]
        tell()
        while not select.select([sys.stdin], [], [], 0.5)[0]:
            for dead in [node for node in nodes if raylet(node).poll() is not None]:
                nodes.remove(dead)
                with contextlib.suppress(Exception):  # it is dead
                    cluster.remove_node(dead, allow_graceful=False)
                nodes.append(cluster.add_node(num_cpus=1, object_store_memory=MEMORY))
                tell()
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]))
