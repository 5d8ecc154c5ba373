"""Settings of a process: the environment over the file over the defaults, and a clear word about what cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from gleichtakt.settings import BadSetting, Settings, load


def test_the_environment_goes_over_the_file_and_an_empty_value_counts_as_absent(tmp_path: Path) -> None:
    file = tmp_path / "gleichtakt.toml"
    file.write_text('worker_slots = 4\nlease_seconds = 30\nlisten = "127.0.0.1:1"\n')
    found = load({"GLEICHTAKT_WORKER_SLOTS": "8", "GLEICHTAKT_LISTEN": ""}, file)
    assert (found.worker_slots, found.lease_seconds, found.listen) == (8, 30, "127.0.0.1:1")
    assert load({}, tmp_path / "missing.toml") == Settings()


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"GLEICHTAKT_LEASE_SECONDS": "0"}, "lease_seconds: expected 1 to 120"),
        ({"GLEICHTAKT_LEASE_SECONDS": "121"}, "lease_seconds: expected 1 to 120"),
        ({"GLEICHTAKT_LEASE_SECONDS": "soon"}, "lease_seconds: expected a whole number"),
        ({"GLEICHTAKT_LISTEN": "here"}, "listen: expected host:port"),
    ],
)
def test_a_value_that_cannot_be_meant_is_named_with_what_is_expected(
    environment: dict[str, str], words: str, tmp_path: Path
) -> None:
    with pytest.raises(BadSetting, match=words):
        load(environment, tmp_path / "missing.toml")
