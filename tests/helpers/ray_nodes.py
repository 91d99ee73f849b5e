"""A cluster of Ray on this machine: a head without CPUs, and two nodes of one CPU each; until standard input ends.

Prints its address and the process ids of the two nodes' raylets, as JSON. A process of its own: Ray reads some of the environment
when it is imported.
"""

import json
import os
import sys

ENVIRONMENT = {  # loopback; and a node that is killed is known to be dead within seconds
    "RAY_AUTH_MODE": "disabled",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "5000",
    "RAY_health_check_failure_threshold": "3",
}
MEMORY = 100 * 2**20  # bytes of each node's object store, the least that Ray takes is 75 MB


def main() -> None:
    os.environ.update(ENVIRONMENT)
    from ray.cluster_utils import Cluster

    cluster = Cluster(True, head_node_args={"num_cpus": 0, "include_dashboard": False, "object_store_memory": MEMORY})
    try:
        nodes = [cluster.add_node(num_cpus=1, object_store_memory=MEMORY) for _ in range(2)]
        raylets = [node.all_processes["raylet"][0].process.pid for node in nodes]
        print(json.dumps({"address": cluster.address, "raylets": raylets}), flush=True)
        sys.stdin.read()
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main()
