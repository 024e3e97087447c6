"""The studies: which data are trained on, by which protocol, and how their results are read.

A study is one file and one registered object; the rest of the harness knows none by name. Other packages add studies
through the entry-point group ``benchmark.studies``: an entry names an instance of `Study`.
"""

from __future__ import annotations

from benchmark.studies.base import Study
from benchmark.studies.lookup import all_studies, default_study, find_study, register_study, study_of

__all__ = ["Study", "all_studies", "default_study", "find_study", "register_study", "study_of"]
