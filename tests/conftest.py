"What the tests share: where the repository is, and what happens where data or a browser is missing."
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
os.environ.setdefault("ARQ_DATA", str(ROOT.parent / "shared" / "data"))


def skip_or_fail(reason: str, variable: str) -> None:
    "Skip loudly; where the environment variable is set, as in CI, what is missing is a failure."
    if os.environ.get(variable, "0") not in ("", "0"): pytest.fail(f"required here ({variable}): {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture
def data() -> Path:
    "The folder of the image archives."
    folder = Path(os.environ["ARQ_DATA"])
    if not folder.is_dir(): skip_or_fail(f"no image archives in {folder}: set ARQ_DATA", "ARQ_REQUIRE_DATA")
    return folder
