"""The edge agent's command line, where it stands alone."""

from __future__ import annotations

import pytest

from etl.edge.command import main


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--batch", "many", "'many' is no whole number above 0"),
        ("--max-events", "0", "'0' is no whole number above 0"),
        ("--retry-s", "soon", "'soon' is no number of seconds"),
        ("--look-s", "nan", "'nan' is no number of seconds"),
    ],
)
def test_a_number_that_is_none_is_told_in_words(
    option: str, value: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "-", "--server", "http://localhost", option, value])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
