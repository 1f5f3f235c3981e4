"""Vector files (recorded examples of a broker's protocol) run against an installed adapter.

`run_file` judges a whole file, `run_case` one case. Strict: a missing or extra tick or field, a
number that differs, an exception, another count of errors, and the case has failed.

- `vectors`: reading a file
- `rig`: a codec on the bench: fixed time and chance, credentials, subscriptions
- `compare`: what differs between what was expected and what came
- `cases`: how each type of case is run
"""

from openalgo_ws.conformance.cases import CaseResult, run_case, run_file
from openalgo_ws.conformance.vectors import VectorFile, VectorFileError, read_file

__all__ = ["CaseResult", "VectorFile", "VectorFileError", "read_file", "run_case", "run_file"]
