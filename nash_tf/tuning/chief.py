"""The chief: hands out the trials of its oracle to workers, over Keras Tuner's protocol.

The port answers whoever can reach it, unless `NASH_TF_SECRET` is set: keep it on loopback or in a trusted network.
"""

import hmac
import time
from concurrent import futures

import grpc
from keras_tuner import errors

from nash_tf.tuning import private_api
from nash_tf.tuning.client import SECRET_KEY
from nash_tf.tuning.oracle import HillClimbingOracle
from nash_tf.workers import roles
from nash_tf.workers.local import LocalWorkers

POLL = 0.5  # seconds between two looks at the workers
SAVE_EVERY = 60.0  # seconds after which it is written how much time has passed
LARGEST = 64 * 2**20  # bytes of a message
LONGEST_REASON = 1000  # letters of the answer to a call that fails


def serve(oracle: HillClimbingOracle, workers: LocalWorkers | None = None) -> None:
    """Hands out an oracle's trials until the search is over and all workers know it.

    Args:
        oracle: of the search.
        workers: processes of this machine to watch over, if any.

    Raises:
        FatalError: a worker says that the search cannot go on, and why.
        OSError: the address of `KERASTUNER_*` cannot be listened on.
    """
    options = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", LARGEST)]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1), interceptors=[_Doorkeeper()], options=options)
    private_api.add_oracle_servicer(oracle, server)
    try:
        bound = server.add_insecure_port(roles.address())
    except RuntimeError:
        bound = 0
    if not bound:
        raise OSError(
            f"KERASTUNER_ORACLE_IP:KERASTUNER_ORACLE_PORT={roles.address()}: cannot be listened on; is another chief there?"
        )
    oracle.fatal = None  # what ended an earlier search here may have passed
    leases = oracle.book.lending.leases
    leases.look()
    server.start()
    # A chief that is started again may find the search over; workers of the one before are told so when they come back.
    awaited = time.monotonic() + (0.0 if workers else leases.timeout)
    saved, trained_before = time.monotonic(), _cpu_seconds(oracle)
    try:
        while True:
            leases.look()
            oracle.limits.trained_by_workers = _cpu_seconds(oracle) - trained_before
            if oracle.fatal:
                raise errors.FatalError(oracle.fatal)
            if time.monotonic() > saved + SAVE_EVERY:
                oracle.save()  # how much time has passed
                saved = time.monotonic()
            if workers is not None:
                oracle.requeue(*workers.keep_up(not oracle.over(), busy=tuple(oracle.ongoing_trials)))
            oracle.requeue_dead()
            left = oracle.is_alone() and not (workers and workers.running())
            if oracle.over() and left and time.monotonic() > awaited:
                return
            time.sleep(POLL)
    finally:
        server.stop(grace=1.0).wait()
        leases.stop_looking()
        oracle.limits.trained_by_workers = _cpu_seconds(oracle) - trained_before


def _cpu_seconds(oracle: HillClimbingOracle) -> float:
    """Of all trainings that have ended, and of those that came to nothing."""
    return oracle.limits.in_vain + sum(outcome.cpu_seconds for outcome in list(oracle.search.outcomes.values()))


class _Doorkeeper(grpc.ServerInterceptor):
    """Refuses calls without what chief and workers have in common; answers those that fail with why, in a line."""

    def __init__(self):
        def refuse(request, context):
            context.abort(grpc.StatusCode.UNAUTHENTICATED, f"the caller's {roles.SECRET} is not the chief's")

        self._secret = roles.secret()
        self._refusal = grpc.unary_unary_rpc_method_handler(refuse)

    def intercept_service(self, continuation, details):
        given = str(dict(details.invocation_metadata).get(SECRET_KEY, ""))
        if not hmac.compare_digest(given.encode(errors="replace"), self._secret.encode()):
            return self._refusal
        handler = continuation(details)
        return None if handler is None else _in_a_line(handler)


def _in_a_line(handler: grpc.RpcMethodHandler) -> grpc.RpcMethodHandler:
    """A handler whose exceptions are told in a line, where gRPC would print a traceback for each."""

    def answer(request, context):
        try:
            return handler.unary_unary(request, context)
        except Exception as error:
            reason = " ".join(f"{error or type(error).__name__}".split())[:LONGEST_REASON]
            print(f"A worker's call was refused: {reason}", flush=True)
            return context.abort(grpc.StatusCode.INTERNAL, reason)

    return grpc.unary_unary_rpc_method_handler(answer, handler.request_deserializer, handler.response_serializer)
