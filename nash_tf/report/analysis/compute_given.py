"""Whether a run had the compute that was asked for: what ended it early, or let it overrun its budget."""

import re

from nash_tf.records.runs import Run, sentence_of
from nash_tf.strategy.explanations import TIME_LEFT

# Ends of a search that has done what it was asked to.
_AS_ASKED = re.compile(
    r"(its one step is|all [0-9]+ steps are) done|the budget of \S+ epochs of the first network is spent"
)


def other_than_asked(run: Run) -> str:
    """What a finished run says of compute that it had beside, or without, what it was asked for; "" where it says nothing of that."""
    found = []
    ended = sentence_of(run.results.get("search_ended"))
    if ended and not _AS_ASKED.fullmatch(ended) and not (_is_limited(run, ended) and TIME_LEFT not in ended):
        found.append(ended.rstrip("."))
    asked, done = run.setting("final_epochs"), run.result("final_epochs_done")
    if words := sentence_of(run.results.get("final_ended")):
        found.append(words.rstrip("."))
    elif asked and done is not None and done < asked:
        found.append(f"{done:g} of {asked:g} epochs of final training")
    return "; ".join(found)


def _is_limited(run: Run, ended: str) -> bool:
    """Whether a limit on time has ended the search: then it had the time that was asked for."""
    return run.results.get("ended_by_limit") is True or ended.startswith("a limit on time")
