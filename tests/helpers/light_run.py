"""As a program, a run without its search: settings and results. Of method `fixed` it has no results until it is resumed."""

import json
import sys
import time

from nash_tf import main
from nash_tf.files import run_directory

if __name__ == "__main__":
    config, values = main.parse(sys.argv)
    run_directory.write_config(config, {})
    if config.method == "fixed" and not values.resume:
        time.sleep(600)
    (config.directory / run_directory.RESULTS).write_text(json.dumps({"method": config.method, "seed": config.seed}))
