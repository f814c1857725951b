"""Generated inputs for every public name: what `make fuzz` runs.

    python tests/fuzz.py --n 5000 --seed 0 [--only NAME] [--jobs 2] [--k 17]

Input k is a function of the seed and k: legal and illegal rows, labels, weights and
parameters for one public class or function, and some calls of what it offers. Each
call must end in finite numbers, in numbers that are not and a warning that says so, or
in an error that names what is wrong. The run fails where one ends in an exception that
only a reader of the source understands, in NaN without a word, in a RuntimeWarning of
NumPy, or not at all.

What a user's own model does by itself with the same rows is its own: such errors and
warnings are counted apart.
"""

import argparse
import dis
import importlib
import inspect
import pkgutil
import re
import signal
import sys
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context

import numpy as np
from fuzz_inputs import Draw
from fuzz_recipes import RECIPES, SHARES
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from threadpoolctl import threadpool_limits

import sklinfluence

# From what is fine to what fails the run.
RESULT = "result"
CLEAR = "clear error"
OWN = "the model's own error"
WARNED = "warned NaN"
SILENT = "silent NaN or inf"
LEAKED = "leaked warning"
UNRELATED = "unrelated exception"
SLOW = "past the time limit"
OUTCOMES = [RESULT, CLEAR, OWN, WARNED, SILENT, LEAKED, UNRELATED, SLOW]
FAILURES = [SILENT, LEAKED, UNRELATED, SLOW]

SECONDS = 90
# Documented to be infinite or NaN, without a warning each time.
DOCUMENTED = {
    "loo_error_bound_": "inf where no bound is known",
    "threshold_": "inf where nothing is flagged",
    "solver_info_": "an infinite condition number",
    "label_quality_": "NaN where nothing predicts the row without it",
    "report": "the same",
    "certify": "-inf and inf where nothing can be said",
    "cv_results_": "NaN for a candidate whose scoring failed, which is warned about",
    "loo_correlation": "NaN where one side is constant",
    "lds": "NaN where one side is constant",
    "values_stderr_": "NaN where a row was measured once",
    "spread": "the same",
    "consistency_score": "NaN where a row was in every subset",
    "shapley_interaction": "NaN where a pair never trained together",
    "poisoning_ratio": "inf where no clean row has influence",
    "SkorchEmbedding.transform": "NaN where the module makes NaN of a row",
    "DataOOBRanker.values_": "NaN where every member saw the row",
}
# The user's own model answers these.
DELEGATED = {
    "predict",
    "predict_proba",
    "predict_log_proba",
    "decision_function",
    "score",
}
# Words of which an error that explains itself has one, or a parameter's name.
TELLING = (
    "input sample row column feature label class target weight estimator fitted array "
    "shape dtype ranker model parameter group index net layer score n_jobs"
).split()


class TimeLimit(BaseException):
    """Not an Exception: nothing on the way may take it for an error of its own."""


@dataclass
class Finding:
    """How one call ended."""

    outcome: str
    call: str
    detail: str = ""
    trace: str = ""


class Case:
    """One input: its draws, its calls and how these ended."""

    FAILED = object()

    def __init__(self, seed, k, public=""):
        self.draw = Draw(seed, k)
        self.public = public
        self.findings = []
        self.said = []
        self.rows = None
        self.models, self.asked = [], []
        self.passes_rows_on = False

    def cheap(self, name, value):
        """A parameter's value, less where it would only take longer."""
        if name == "solver" and isinstance(value, str) and value == "lissa":
            return "cg"
        if name == "max_evaluations" and isinstance(value, int):
            return min(value, 12)
        costs = name.startswith("n_") or name in ("depth", "max_iter", "every", "rank")
        large = isinstance(value, int) and not isinstance(value, bool) and value > 50
        return 7 if costs and large else value

    def call(self, name, function, /, *args, **kwargs):
        """Call, and write down how it ended; FAILED where it raised."""
        n_said = len(self.said)
        try:
            result = function(*args, **kwargs)
        except TimeLimit:
            raise
        except Exception as error:
            self.findings.append(self._of_error(name, error))
            return self.FAILED
        self.findings += [
            Finding(LEAKED, name, text, trace)
            for is_leak, text, trace in self.said[n_said:]
            if is_leak
        ]
        self.findings.append(self._of_result(name, result))
        return result

    def _of_result(self, name, result):
        passed_on = self.passes_rows_on and "transform" in name
        passed_on = passed_on or (self.passes_rows_on and name in PASSED_ON)
        documented = {name, f"{self.public}.{name}"} & DOCUMENTED.keys()
        if passed_on or name in DELEGATED or documented or is_finite(result):
            return Finding(RESULT, name)
        outcome = WARNED if any(not leak for leak, *_ in self.said) else SILENT
        return Finding(outcome, name, _brief(result))

    def _of_error(self, name, error):
        detail = f"{type(error).__name__}: {' '.join(str(error).split())}"
        if is_clear(error):
            return Finding(CLEAR, name, detail)
        trace = "".join(traceback.format_exception(error))
        own = self._model_raises(error)
        return Finding(OWN if own else UNRELATED, name, detail, trace)

    def _model_raises(self, error):
        """Whether the user's model alone raises the same on the same rows."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return any(
                type(own) is type(error) and str(own)[:60] == str(error)[:60]
                for own in self._errors_of_the_model()
            )

    def _errors_of_the_model(self):
        for model in self.models if self.rows is not None else ():
            fitted = []
            X, y, weights = self.rows.training()
            for given in ({}, weights):
                try:
                    fitted.append(clone(model).fit(X, y, **given))
                except Exception as error:
                    yield error
            for queries in [X, *self.asked] if fitted else ():
                for method in ("predict", "predict_proba"):
                    try:
                        getattr(fitted[-1], method)(queries)
                    except Exception as error:
                        yield error

    def hear(self, message, category, filename, lineno, file=None, line=None):
        """A warning is given: whose it is, by the frames that led to it."""
        text = f"{category.__name__}: {' '.join(str(message).split())}"
        stack = traceback.extract_stack()[:-1]
        is_leak = leaks(category, str(message), _modules(), bool(self.models))
        self.said.append((is_leak, text, "".join(traceback.format_list(stack[-12:]))))

    def worst(self):
        found = {finding.outcome for finding in self.findings}
        return max(found or {RESULT}, key=OUTCOMES.index)


# What corrupting functions give back holds what came in.
PASSED_ON = {
    "fit_resample",
    "add_backdoor",
    "apply_review",
    "corrupt_targets",
    "flip_labels",
}


def _modules():
    """Modules on the stack, innermost first, without this one and the library's."""
    frame, found = sys._getframe(2), []
    while frame is not None:
        found.append(frame.f_globals.get("__name__", ""))
        frame = frame.f_back
    return found


def leaks(category, message, modules, has_model):
    """Whether a warning is one that our own arithmetic let out.

    Ours by the innermost frame that is not NumPy's or SciPy's. What scikit-learn says
    while a model that the user gave is at work is between those two.
    """
    if not issubclass(category, (RuntimeWarning, DeprecationWarning, FutureWarning)):
        return False
    above = ("numpy", "scipy", "warnings", "fuzz", "contextlib", "joblib", "__main__")
    owner = next((name for name in modules if not name.startswith(above)), "")
    if owner.startswith("sklinfluence"):
        spoken = issubclass(category, RuntimeWarning) and _is_a_sentence(message)
        return not spoken
    is_numeric = issubclass(category, RuntimeWarning) and "encountered" in message
    return is_numeric and owner.startswith("sklearn") and not has_model


def _is_a_sentence(message):
    """Whether someone wrote it for a user: NumPy's own are a phrase."""
    return len(message) > 70


def is_clear(error):
    """Whether an error was raised on purpose, by us or scikit-learn, and says why."""
    if isinstance(error, NotFittedError):
        return True
    ours = type(error).__module__.startswith("sklinfluence")
    # AttributeError: of scikit-learn's own classes, for a method that is not there.
    kinds = (ValueError, TypeError, ImportError, AttributeError)
    if not (ours or isinstance(error, kinds)):
        return False
    frames = list(traceback.walk_tb(error.__traceback__))
    modules = [frame.f_globals.get("__name__", "") for frame, _ in frames]
    asked = [name for name in modules if not name.startswith(LIBRARIES)]
    if asked[-1].startswith(CHECKS):
        return True
    last = error.__traceback__
    while last.tb_next is not None:
        last = last.tb_next
    code = last.tb_frame.f_code.co_code
    on_purpose = code[last.tb_lasti] == dis.opmap["RAISE_VARARGS"]
    ours = modules[-1].startswith(("sklinfluence", "sklearn", "joblib"))
    return ours and on_purpose and tells(str(error))


LIBRARIES = ("numpy", "scipy", "pandas", "polars")
# scikit-learn's checks of inputs let NumPy say "could not convert string to float".
CHECKS = (
    "sklearn.utils.validation",
    "sklearn.utils.multiclass",
    "sklearn.utils._param_validation",
    "sklearn.utils._array_api",
)


def tells(message):
    """Whether a message is more than a phrase and names what it is about."""
    named = any(word in message.lower() for word in TELLING)
    named = named or not parameters_in_public().isdisjoint(re.findall(r"\w+", message))
    return len(message) > 15 and named


@cache
def parameters_in_public():
    """Names of the parameters of everything public, methods included."""
    found = set()
    for public in public_names().values():
        members = vars(public).values() if inspect.isclass(public) else ()
        for function in (public, *filter(inspect.isfunction, members)):
            found.update(inspect.signature(function).parameters)
    return found


def is_finite(result):
    """Whether every number in a result is one, whatever holds it."""
    if sparse.issparse(result):
        result = result.data
    if hasattr(result, "select_dtypes"):
        result = result.select_dtypes("number").to_numpy()
    if isinstance(result, dict):
        return all(map(is_finite, result.values()))
    if isinstance(result, (list, tuple)):
        return all(map(is_finite, result))
    if isinstance(result, (float, complex, np.ndarray, np.generic)):
        array = np.asarray(result)
        return array.dtype.kind not in "fc" or bool(np.isfinite(array).all())
    return True


def _brief(result):
    return " ".join(repr(result).split())[:150]


# --- one input ------------------------------------------------------------------------


def public_names():
    """Name to object of every class and function in an ``__all__`` of the package."""
    found = {}
    for module in pkgutil.iter_modules(sklinfluence.__path__):
        if module.name.startswith("_"):
            continue
        topic = importlib.import_module(f"sklinfluence.{module.name}")
        for name in getattr(topic, "__all__", ()):
            public = getattr(topic, name)
            is_error = inspect.isclass(public) and issubclass(public, BaseException)
            if callable(public) and not is_error:
                found[name] = public
    return found


def missing_recipes():
    """Public names that no recipe makes, and recipes that make nothing public."""
    return sorted(public_names().keys() ^ RECIPES.keys())


def names_in_turn():
    """Names in the order in which inputs take them, some more than once a round."""
    rounds = max(SHARES.values())
    names = sorted(RECIPES)
    return [name for r in range(rounds) for name in names if r < SHARES.get(name, 1)]


def _ring(signum, frame):
    raise TimeLimit


def run_one(seed, k):
    """(name, words, findings, warnings) of one input."""
    turn = names_in_turn()
    name = turn[k % len(turn)]
    case = Case(seed, k, name)
    np.random.seed(k % 2**32)
    signal.signal(signal.SIGALRM, _ring)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = case.hear
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        try:
            RECIPES[name](case, public_names()[name])
        except TimeLimit:
            trace = traceback.format_exc()
            case.findings.append(Finding(SLOW, name, f"{SECONDS} s", trace))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    said = [text for _, text, _ in case.said]
    return name, case.worst(), "; ".join(case.draw.words), case.findings, said


def _run_pair(pair):
    return pair[1], run_one(*pair)


# --- the run --------------------------------------------------------------------------


def table(counts):
    """Outcomes of each name, as lines."""
    head = ["result", "clear", "own", "warned", "silent", "leaked", "unrelated", "slow"]
    width = max(map(len, counts)) + 1
    lines = [" " * width + "".join(f"{word:>10}" for word in head)]
    total = Counter()
    for name in sorted(counts):
        total += counts[name]
        numbers = "".join(f"{counts[name][o] or '.':>10}" for o in OUTCOMES)
        lines.append(f"{name:<{width}}{numbers}")
    numbers = "".join(f"{total[o]:>10}" for o in OUTCOMES)
    return [*lines, f"{f'all {total.total()}':<{width}}{numbers}"]


def _place(trace):
    """The innermost line of the package in a trace."""
    places = re.findall(r'sklinfluence/(\S+)", line (\d+), in (\w+)', trace)
    return "\n        at {}:{}, {}".format(*places[-1]) if places else ""


def show(k, seed, result, verbose):
    """Print an input that failed, with the line that runs it again."""
    name, worst, words, findings, said = result
    print(f"--seed {seed} --k {k}  {name}: {worst}\n    {words}")
    # Once each: a model that is fitted a hundred times warns a hundred times.
    for finding in {(f.call, f.outcome, f.detail): f for f in findings}.values():
        if verbose or finding.outcome in FAILURES:
            at = _place(finding.trace)
            print(f"    {finding.call}: {finding.outcome} {finding.detail[:300]}{at}")
        if finding.trace and verbose:
            print(finding.trace)
    if verbose:
        print(*(f"    warned: {text}" for text in said), sep="\n")
    sys.stdout.flush()


def inputs(args):
    """Numbers of the inputs that are asked for."""
    if args.k is not None:
        return args.k
    turn = names_in_turn()
    numbers = range(args.start, args.start + args.n)
    return [k for k in numbers if args.only in (None, turn[k % len(turn)])]


def results(args):
    pairs = [(args.seed, k) for k in inputs(args)]
    if args.jobs == 1:
        # Small inputs: threads would only contend.
        threadpool_limits(1)
        yield from map(_run_pair, pairs)
        return
    with get_context("spawn").Pool(args.jobs, threadpool_limits, (1,)) as pool:
        yield from pool.imap(_run_pair, pairs, chunksize=20)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=5000, help="how many inputs")
    parser.add_argument("--start", type=int, default=0, help="the first one's number")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--only", choices=sorted(RECIPES), help="inputs of this name")
    parser.add_argument("--k", type=int, nargs="+", help="these inputs, told in full")
    parser.add_argument("--messages", action="store_true", help="list what was said")
    args = parser.parse_args()
    if missing_recipes():
        print(f"No recipe, or no such public name: {', '.join(missing_recipes())}.")
        return 1
    counts, calls, messages = {}, Counter(), Counter()
    for k, result in results(args):
        name, worst, _, findings, said = result
        counts.setdefault(name, Counter())[worst] += 1
        calls.update(finding.outcome for finding in findings)
        messages.update(f.detail[:160] for f in findings if f.outcome in (CLEAR, OWN))
        messages.update(f"warning {text[:160]}" for text in set(said))
        if worst in FAILURES or args.k:
            show(k, args.seed, result, verbose=bool(args.k))
    if args.messages:
        print(*(f"{n:6} {text}" for text, n in messages.most_common()), sep="\n")
    print("Inputs, by the worst of their calls:", *table(counts), sep="\n")
    print("Calls:", ", ".join(f"{outcome} {calls[outcome]}" for outcome in OUTCOMES))
    return int(any(calls[outcome] for outcome in FAILURES))


if __name__ == "__main__":
    sys.exit(main())
