"""Running checks: what each found, in one line, whatever the model does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from siconvnet.conformance.checks import CHECKS, CheckFailed, NotApplicable
from siconvnet.conformance.subject import Subject, as_tuple
from siconvnet.conformance.torch_settings import torch_settings_restored
from siconvnet.errors import InvalidArgument, SiconvnetError, UnknownName
from siconvnet.registry import reason_of


@dataclass(frozen=True)
class Result:
    """What a check found.

    Attributes:
        check: a key of `CHECKS`.
        status: "passed", "failed" or "skipped".
        detail: what was found, what is wrong, or why it was skipped, in one line.
        needs: the check without which this one says nothing, and that did not pass; empty if it was skipped for
            another reason, or not at all.
    """

    check: str
    status: str
    detail: str
    needs: str = ""


def run_check(name: str, subject: Subject) -> Result:
    """One check by itself. The caller's random state and torch's settings are as before.

    Raises:
        UnknownName: there is no such check.
        InvalidArgument: what is to be checked was not given to `subject_of`.
    """
    if name not in CHECKS:
        raise UnknownName("check", name, CHECKS)
    if not isinstance(subject, Subject):
        raise InvalidArgument(f"an object of {type(subject).__name__} cannot be checked; give it to subject_of first.")
    try:
        with torch.random.fork_rng(range(torch.cuda.device_count())), torch_settings_restored():
            return Result(name, "passed", CHECKS[name].run(subject))
    except NotApplicable as reason:
        return Result(name, "skipped", str(reason))
    except (CheckFailed, SiconvnetError) as error:
        return Result(name, "failed", " ".join(str(error).split()))
    except (Exception, SystemExit) as error:
        return Result(name, "failed", reason_of(error))


def run_checks(subject: Subject, names: Iterable[str] = tuple(CHECKS)) -> list[Result]:
    """Several checks. One that another's failure leaves without a meaning is skipped."""
    results, unusable = [], set()
    for name in as_tuple(names):
        missing = [needed for needed in CHECKS[name].needs if needed in unusable] if name in CHECKS else []
        result = Result(name, "skipped", f"needs {missing[0]}", missing[0]) if missing else run_check(name, subject)
        if missing or result.status == "failed":
            unusable.add(name)
        results.append(result)
    return results
