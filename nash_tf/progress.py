"""What a person sees while a search runs: one line a training, a table a step, the results."""

from nash_tf import hill_climbing
from nash_tf.hill_climbing import Training


def trained(oracle) -> None:
    """Prints the training that has just ended, and the table of its step if that has ended with it."""
    trial = oracle.trials[oracle.end_order[-1]]
    record = next(record for record in oracle.lineage() if _place(record) == _place(trial.hyperparameters.values))
    step, rung, child = _place(record)
    score = f"{oracle.objective.name} {record['val_accuracy']:.4f}" if "val_accuracy" in record else record["status"]
    if record["status"] == "failed":
        score = f"failed: {(trial.message or '').strip().splitlines()[-1:]}"
    print(
        f"step {step}  rung {rung}  child {child}  {record.get('params', 0):>9,} params  "
        f"{record['epochs']:>3} epochs  {score}  {record.get('cpu_seconds', 0):.1f} CPU-s",
        flush=True,
    )
    open_rung, incumbent = hill_climbing.frontier(oracle.steps, oracle.method.promote, oracle.scores())
    if incumbent and incumbent.step == step and (open_rung is None or open_rung.step > step):
        _table(oracle, step, incumbent)


def finished(results: dict, directory) -> None:
    """Prints the results of a whole run."""
    print(
        f"winner: {results['params']:,} params, test accuracy {results['winner_test_accuracy']:.4f}; "
        f"after final training {results['test_accuracy']:.4f}. Exported to {directory}/best",
        flush=True,
    )


def _place(values) -> Training:
    return Training(values["step"], values["rung"], values["child"])


def _table(oracle, step: int, incumbent: Training) -> None:
    last = {}
    for record in oracle.lineage():
        if record["step"] == step:
            last[record["child"]] = record
    print(f"\nstep {step} closed\n  child  rungs     params  accuracy  morphisms")
    for child, record in sorted(last.items(), key=lambda item: (-item[1]["rung"], -item[1].get("val_accuracy", 0))):
        mark = "*" if child == incumbent.child else " "
        operators = ", ".join(move[0] for move in record["morphisms"]) or ("vanilla" if step == 0 else "the parent")
        accuracy = record.get("val_accuracy", float("nan"))
        print(
            f"{mark} {child:>5}  {record['rung'] + 1:>5}  {record.get('params', 0):>9,}  {accuracy:>8.4f}  {operators}"
        )
    print(flush=True)
